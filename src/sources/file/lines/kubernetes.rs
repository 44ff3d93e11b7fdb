//! Records that say which container a line is of, as users of Fluent Bit know them.

use std::path::Path;

use serde_json::{Map, Value};

use super::decode::Stamp;

/// The members of a record that are the same for all lines of a file: `,"kubernetes":{…}`, or
/// nothing where the path tells nothing.
pub(super) fn members(path: &Path) -> String {
    match metadata(path) {
        Some(metadata) => format!(",\"kubernetes\":{}", Value::Object(metadata)),
        None => String::new(),
    }
}

fn metadata(path: &Path) -> Option<Map<String, Value>> {
    let name = path.file_name()?.to_str()?;
    let told = of_pod(path).or_else(|| of_container(name))?;
    Some(told.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect())
}

type Told<'a> = Vec<(&'static str, &'a str)>;

/// `…/NAMESPACE_POD_UID/CONTAINER/0.log`, also when it was rotated. No underscore may stand in any
/// of the names.
fn of_pod(path: &Path) -> Option<Told<'_>> {
    let restart = path.file_name()?.to_str()?.split('.').next()?;
    let container = path.parent()?;
    let pod = container.parent()?.file_name()?.to_str()?;
    let container = container.file_name()?.to_str()?;
    if restart.is_empty() || !restart.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let [namespace, pod, uid] = three(pod)?;
    Some(vec![
        ("namespace_name", namespace),
        ("pod_name", pod),
        ("pod_id", uid),
        ("container_name", container),
    ])
}

/// `POD_NAMESPACE_CONTAINER-ID.log`. The pod's id is not among them, but the container's.
fn of_container(name: &str) -> Option<Told<'_>> {
    let [pod, namespace, container] = three(name.strip_suffix(".log")?)?;
    let (container, id) = container.rsplit_once('-')?;
    if container.is_empty() || id.len() < 12 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some(vec![
        ("namespace_name", namespace),
        ("pod_name", pod),
        ("container_name", container),
        ("docker_id", id),
    ])
}

fn three(name: &str) -> Option<[&str; 3]> {
    let mut parts = name.split('_');
    let three = [parts.next()?, parts.next()?, parts.next()?];
    (parts.next().is_none() && three.iter().all(|part| !part.is_empty())).then_some(three)
}

/// Writes a record to `out`, no more than `limit` bytes; answers how many bytes of the text found
/// no room. What is no UTF-8 becomes U+FFFD, for JSON cannot hold it.
pub(super) fn record(
    text: &[u8],
    stream: Option<&'static str>,
    time: Option<&Stamp>,
    members: &str,
    limit: usize,
    out: &mut Vec<u8>,
) -> u64 {
    const STREAM: &[u8] = b"\",\"stream\":\"";
    const TIME: &[u8] = b"\",\"time\":\"";
    let time = time.map_or(&b""[..], Stamp::as_bytes);
    let stream = stream.map_or(&b""[..], str::as_bytes);
    let mut around = br#"{"log":""}"#.len() + members.len();
    if !stream.is_empty() {
        around += STREAM.len() + stream.len();
    }
    if !time.is_empty() {
        around += TIME.len() + time.len();
    }
    out.extend_from_slice(br#"{"log":""#);
    let written = escape(text, limit.saturating_sub(around), out);
    for (key, value) in [(STREAM, stream), (TIME, time)] {
        if !value.is_empty() {
            out.extend_from_slice(key);
            out.extend_from_slice(value);
        }
    }
    out.push(b'"');
    out.extend_from_slice(members.as_bytes());
    out.push(b'}');
    (text.len() - written) as u64
}

/// Appends the text as it stands between the quotes of JSON, up to `room` bytes and never half a
/// character; answers how much of the text that is.
fn escape(text: &[u8], room: usize, out: &mut Vec<u8>) -> usize {
    if let Ok(text) = std::str::from_utf8(text) {
        return escape_valid(text, room, out);
    }
    let most = out.len() + room;
    let mut written = 0;
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid();
        let taken = escape_valid(valid, most - out.len(), out);
        written += taken;
        if taken < valid.len() {
            return written;
        }
        let invalid = chunk.invalid();
        if !invalid.is_empty() {
            let replacement = "\u{fffd}".as_bytes();
            if out.len() + replacement.len() > most {
                return written;
            }
            out.extend_from_slice(replacement);
            written += invalid.len();
        }
    }
    written
}

/// How many bytes stand for themselves before the first that does not.
fn plain_run(text: &[u8]) -> usize {
    let is_special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    // Looked at together, for processors compare many bytes at once.
    let (blocks, _) = text.as_chunks::<32>();
    let special = |block: &[u8; 32]| block.iter().fold(false, |any, &byte| any | is_special(byte));
    let start = blocks.iter().position(special).unwrap_or(blocks.len()) * 32;
    let rest = &text[start..];
    start + rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len())
}

fn escape_valid(text: &str, room: usize, out: &mut Vec<u8>) -> usize {
    let most = out.len() + room;
    let bytes = text.as_bytes();
    let mut done = 0;
    while done < bytes.len() {
        let rest = &bytes[done..];
        let plain = plain_run(rest);
        let mut fits = plain.min(most - out.len());
        while !text.is_char_boundary(done + fits) {
            fits -= 1;
        }
        out.extend_from_slice(&rest[..fits]);
        done += fits;
        if fits < plain {
            break;
        }
        let Some(&byte) = rest.get(plain) else { break };
        let mut unicode = *b"\\u0000";
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            other => {
                hex::encode_to_slice([other], &mut unicode[4..]).expect("two digits for a byte");
                &unicode
            }
        };
        if out.len() + escaped.len() > most {
            break;
        }
        out.extend_from_slice(escaped);
        done += 1;
    }
    done
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_tell_the_container() {
        let pod = r#","kubernetes":{"namespace_name":"shop","pod_name":"web-5d7-x","pod_id":"0a1b-2c","container_name":"nginx"}"#;
        for file in ["0.log", "12.log", "0.log.20260102-030405"] {
            let path = format!("/var/log/pods/shop_web-5d7-x_0a1b-2c/nginx/{file}");
            assert_eq!(members(Path::new(&path)), pod);
        }
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let path = format!("/var/log/containers/web-5d7-x_shop_my-nginx-{id}.log");
        let container = format!(
            r#","kubernetes":{{"namespace_name":"shop","pod_name":"web-5d7-x","container_name":"my-nginx","docker_id":"{id}"}}"#
        );
        assert_eq!(members(Path::new(&path)), container);
        for path in [
            "/",
            "/var/log/messages",
            "/var/log/pods/shop_web/nginx/0.log",
            "/var/log/pods/a_b_c_d/nginx/0.log",
            "/var/log/pods/a_b_/nginx/0.log",
            "/var/log/pods/a_b_c/nginx/x.log",
            "/var/log/containers/web_shop_nginx.log",
            "/var/log/containers/web_shop_nginx-xyz.log",
        ] {
            assert_eq!(members(Path::new(path)), "", "{path}");
        }
    }

    proptest! {
        /// Whatever the text is, the record is JSON, not too long, and holds all that has room.
        #[test]
        fn records_are_json(
            text in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), 0..0x20u8], 0..60),
            limit in 40..400usize,
        ) {
            let mut out = Vec::new();
            let cut = record(&text, Some("stdout"), None, "", limit, &mut out) as usize;
            prop_assert!(out.len() <= limit);
            let read: Value = serde_json::from_slice(&out).unwrap();
            let kept = String::from_utf8_lossy(&text[..text.len() - cut]);
            prop_assert_eq!(read["log"].as_str().unwrap(), kept);
            prop_assert_eq!(&read["stream"], "stdout");
            prop_assert!(cut == 0 || out.len() + 6 > limit);
        }
    }
}
