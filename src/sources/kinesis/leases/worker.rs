//! This replica's name in the lease table.

use std::{io, path::Path};

use uuid::Uuid;

use crate::env::Env;

/// Longest name. DynamoDB would take more; names end up in logs and in every row.
const LENGTH_MAX: usize = 255;

/// `<hostname>:<uuid>`, kept in the file `worker_id` in `folder`, so that a replica that comes back
/// finds its leases at once. A folder that was copied to another host gets another name: two
/// replicas of one name would take each other's leases.
pub fn worker_id(folder: &Path, env: &Env) -> Result<String, String> {
    let path = folder.join("worker_id");
    let host = host_name();
    match env.files.read(&path) {
        Ok(bytes) => {
            if let Some(name) = kept(&bytes, &host) {
                return Ok(name);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
    }
    let name = format!("{host}:{}", Uuid::new_v4());
    env.files
        .create_dir_all(folder)
        .and_then(|()| env.files.replace(&path, format!("{name}\n").as_bytes()))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(name)
}

/// The name in the file, if it is one of this host.
fn kept(bytes: &[u8], host: &str) -> Option<String> {
    let name = std::str::from_utf8(bytes).ok()?.trim();
    let (of, id) = name.rsplit_once(':')?;
    (of == host && Uuid::try_parse(id).is_ok()).then(|| name.to_owned())
}

fn host_name() -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    let visible: String = name.chars().filter(char::is_ascii_graphic).take(200).collect();
    if visible.is_empty() { "localhost".to_owned() } else { visible }
}

/// Whether a name that a user gave can stand in the table.
pub(super) fn is_name(name: &str) -> bool {
    (1..=LENGTH_MAX).contains(&name.len()) && name.chars().all(|char| !char.is_control())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::env::{SystemClock, sim::SimFiles};

    #[test]
    fn the_name_is_kept_as_long_as_the_host_is_the_same() {
        let files = SimFiles::new(1);
        let env = Env { clock: Arc::new(SystemClock::default()), files: Arc::new(files.clone()) };
        let folder = Path::new("/data/kinesis");
        let name = worker_id(folder, &env).unwrap();
        assert!(is_name(&name) && name.starts_with(&host_name()), "{name}");
        files.crash();
        assert_eq!(worker_id(folder, &env).unwrap(), name);

        for content in ["elsewhere:0b8f7f2e-4f6d-4d0e-9c55-3c4b4a6f7a11\n", "", "\u{0}"] {
            env.files.replace(&folder.join("worker_id"), content.as_bytes()).unwrap();
            let other = worker_id(folder, &env).unwrap();
            assert!(other.starts_with(&host_name()) && other != name, "{other}");
            assert_eq!(worker_id(folder, &env).unwrap(), other);
        }
    }
}
