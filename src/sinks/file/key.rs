//! Object keys as paths below a root: every key has its own path, and none leaves the root.
//!
//! A key is taken apart at `/`, and each segment becomes a name. Nearly every segment is its own
//! name. Those that a filesystem cannot hold, or reads as something else, get a name that begins
//! with `%`; so that no other segment can have the same name, one that itself begins with `%`
//! is changed too:
//!
//! | segment | name | why |
//! |---|---|---|
//! | empty (leading, trailing or doubled `/`) | `%` | a path has no empty names |
//! | `.` and `..` | `%2E` and `%2E.` | they mean other folders |
//! | `.standpipe-tmp…` as the first | `%2Estandpipe-tmp…` | temporary files live there |
//! | with NUL bytes | `%0` + the segment, NUL as `%00`, `%` as `%25` | no name holds NUL |
//! | beginning with `%` | `%25` + the rest | keeps the names above unique |

use std::path::PathBuf;

use super::TEMPORARY;
use crate::limits;

/// Why a key has no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a key must not be empty")]
    Empty,
    #[error(
        "a name in the key is {bytes} bytes long and a filesystem takes {}; shorten the prefix",
        limits::FILE_NAME_BYTES_MAX
    )]
    TooLong { bytes: usize },
}

impl KeyError {
    /// The code for logs and faults.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "File.InvalidKey",
            Self::TooLong { .. } => "File.KeyTooLong",
        }
    }
}

/// The path of a key, relative to the root.
pub fn path(key: &str) -> Result<PathBuf, KeyError> {
    if key.is_empty() {
        return Err(KeyError::Empty);
    }
    let mut path = PathBuf::new();
    for (index, segment) in key.split('/').enumerate() {
        let name = name(segment, index == 0);
        if name.len() > limits::FILE_NAME_BYTES_MAX {
            return Err(KeyError::TooLong { bytes: name.len() });
        }
        path.push(name);
    }
    Ok(path)
}

fn name(segment: &str, first: bool) -> String {
    if segment.is_empty() {
        return "%".to_owned();
    }
    if segment.contains('\0') {
        return format!("%0{}", segment.replace('%', "%25").replace('\0', "%00"));
    }
    if let Some(rest) = segment.strip_prefix('%') {
        return format!("%25{rest}");
    }
    let hidden = segment == "." || segment == ".." || (first && segment.starts_with(TEMPORARY));
    match segment.strip_prefix('.') {
        Some(rest) if hidden => format!("%2E{rest}"),
        _ => segment.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_become_paths() {
        for (key, expected) in [
            ("clicks/dt=2026-01-02/a.gz", "clicks/dt=2026-01-02/a.gz"),
            ("a b/ü/c+d%20e", "a b/ü/c+d%20e"),
            (".hidden/...", ".hidden/..."),
            ("/etc/passwd", "%/etc/passwd"),
            ("a//b/", "a/%/b/%"),
            ("../../etc/passwd", "%2E./%2E./etc/passwd"),
            ("a/./b", "a/%2E/b"),
            (".standpipe-tmp/x", "%2Estandpipe-tmp/x"),
            ("a/.standpipe-tmp/x", "a/.standpipe-tmp/x"),
            ("%2E/%", "%252E/%25"),
            ("a\0%b", "%0a%00%25b"),
        ] {
            assert_eq!(path(key), Ok(PathBuf::from(expected)), "{key:?}");
        }
        assert_eq!(path(""), Err(KeyError::Empty));
    }

    #[test]
    fn a_name_longer_than_a_filesystem_takes_is_refused() {
        let fits = "x".repeat(255);
        assert_eq!(path(&format!("a/{fits}")), Ok(PathBuf::from(format!("a/{fits}"))));
        assert_eq!(path(&format!("a/{fits}x/b")), Err(KeyError::TooLong { bytes: 256 }));
    }

    proptest! {
        /// Drawn from the characters that matter, so that equal names would be met.
        #[test]
        fn different_keys_have_different_paths_below_the_root(
            one in "[./%025EaS\0]{1,8}",
            other in "[./%025EaS\0]{1,8}",
        ) {
            let (first, second) = (path(&one).unwrap(), path(&other).unwrap());
            prop_assert_eq!(one == other, first == second, "{:?} {:?}", one, other);
            prop_assert!(first.components().all(|part| matches!(part, Component::Normal(_))));
            // No name vanished on the way: as many as the key has segments.
            prop_assert_eq!(first.components().count(), one.split('/').count());
        }
    }
}
