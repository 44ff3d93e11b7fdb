//! Values of records as parts of a key, so that no value leaves the place that the prefix gives it.
//!
//! | in a value | in the key | why |
//! |---|---|---|
//! | `/` between names | `/` | the service keeps it, too: a value may be several folders |
//! | `/` at the beginning, at the end, beside another | `%2F` | a folder without a name; some stores drop it |
//! | a name `.` or `..` | `%2E`, `%2E%2E` | they mean other folders |
//! | control characters | `%` and two digits for each byte | they end values in routes, and few tools bear them |
//! | `%` before two hexadecimal digits | `%25` | keeps the above unique |
//!
//! All else is kept as it is, so different values are different keys, and `decode` gives them back.

use std::{borrow::Cow, fmt::Write};

use percent_encoding::percent_decode_str;

/// Appends a value as it stands in a key.
pub(super) fn push(value: &str, out: &mut String) {
    if value.bytes().all(is_plain) {
        out.push_str(value);
        return;
    }
    let mut before: Option<&str> = None;
    for name in value.split('/') {
        match before {
            None => {}
            Some(before) if before.is_empty() || name.is_empty() => out.push_str("%2F"),
            Some(_) => out.push('/'),
        }
        push_name(name, out);
        before = Some(name);
    }
}

/// Whether a byte means itself wherever it stands. C2 is where the control characters beyond ASCII
/// begin.
fn is_plain(byte: u8) -> bool {
    byte >= b' ' && !matches!(byte, b'/' | b'.' | b'%' | 0x7f | 0xc2)
}

fn push_name(name: &str, out: &mut String) {
    match name {
        "." => return out.push_str("%2E"),
        ".." => return out.push_str("%2E%2E"),
        _ => {}
    }
    for (at, char) in name.char_indices() {
        if char.is_control() {
            for byte in char.encode_utf8(&mut [0; 4]).bytes() {
                write!(out, "%{byte:02X}").expect("a string takes all text");
            }
        } else if char == '%' && is_escape(&name.as_bytes()[at..]) {
            out.push_str("%25");
        } else {
            out.push(char);
        }
    }
}

fn is_escape(text: &[u8]) -> bool {
    text.get(1..3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// The value that stands in a key so; a text that decodes to no UTF-8 is taken as it is.
pub(super) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap_or(Cow::Borrowed(text)).into_owned()
}

/// The values that the folders of a key name in the manner of Hive: `dt=2026-07-13/country=de/` is
/// `dt` and `country`, percent-escapes taken back. What stands behind the last slash is the
/// object's own name; folders without `=` have no value.
pub fn hive_values(key: &str) -> Vec<(String, String)> {
    let folders = key.rsplit_once('/').map_or("", |(folders, _)| folders);
    let pair = |folder: &str| {
        let (name, value) = folder.split_once('=')?;
        (!name.is_empty()).then(|| (decode(name), decode(value)))
    };
    folders.split('/').filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_in_their_place() {
        for (value, expected) in [
            ("gold", "gold"),
            ("a b&c=d+é#?*", "a b&c=d+é#?*"),
            ("eu/west", "eu/west"),
            ("v1.2", "v1.2"),
            ("...", "..."),
            (".hidden", ".hidden"),
            ("50%", "50%"),
            ("50%x", "50%x"),
            ("%2F", "%252F"),
            (".", "%2E"),
            ("..", "%2E%2E"),
            ("../../etc/passwd", "%2E%2E/%2E%2E/etc/passwd"),
            ("a/../b", "a/%2E%2E/b"),
            ("a/./b", "a/%2E/b"),
            ("/etc", "%2Fetc"),
            ("a/", "a%2F"),
            ("a//b", "a%2F%2Fb"),
            ("/", "%2F"),
            ("//", "%2F%2F"),
            ("a\u{1f}b\0\n", "a%1Fb%00%0A"),
            ("\u{7f}\u{85}\u{a0}", "%7F%C2%85\u{a0}"),
        ] {
            let mut out = String::new();
            push(value, &mut out);
            assert_eq!(out, expected);
            assert_eq!(decode(&out), value);
        }
    }

    #[test]
    fn folders_are_read_in_the_manner_of_hive() {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect::<Vec<_>>()
        };
        for (key, expected) in [
            ("", &[][..]),
            ("dt=1", &[]),
            ("logs/dt=2026-07-13/country=de/name=x.gz", &[("dt", "2026-07-13"), ("country", "de")]),
            ("a=b=c/=d/e=/", &[("a", "b=c"), ("e", "")]),
            ("a=%2E%2E/b%3D=%ff/", &[("a", ".."), ("b=", "%ff")]),
        ] {
            assert_eq!(hive_values(key), pairs(expected), "{key}");
        }
    }
}
