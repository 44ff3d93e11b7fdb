//! Pieces of JSON, written one behind the other.

use std::{collections::HashSet, io::Write as _, ops::Range};

/// A string, from bytes that should be UTF-8: what is not becomes U+FFFD. Collectors hand on what
/// they read from files, and a request is not refused for one bad byte.
pub(super) fn string(out: &mut Vec<u8>, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    serde_json::to_writer(out, text.as_ref()).expect("a text is written to memory");
}

/// A string that stood in JSON already.
pub(super) fn quoted(out: &mut Vec<u8>, raw: &str) {
    out.push(b'"');
    out.extend_from_slice(raw.as_bytes());
    out.push(b'"');
}

/// Anything that prints itself as JSON: a whole number, a truth value.
pub(super) fn plain(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("a text is written to memory");
}

/// A double; those that JSON has no word for as the strings of the Protocol Buffers' mapping.
pub(super) fn double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        serde_json::to_writer(out, &value).expect("a number is written to memory");
    } else {
        let name = match value {
            f64::INFINITY => "Infinity",
            f64::NEG_INFINITY => "-Infinity",
            _ => "NaN",
        };
        quoted(out, name);
    }
}

/// Bytes, as base64.
pub(super) fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    quoted(out, &base64_simd::STANDARD.encode_to_string(bytes));
}

/// An id, in lower-case hexadecimal digits. One of nothing but zeros is none, and leaves nothing.
pub(super) fn id(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.iter().any(|&byte| byte != 0) {
        quoted(out, &hex::encode(bytes));
    }
}

/// Names that are compared one by one; above it they are looked up.
const FEW: usize = 24;

/// An object that is being written. A name that comes again is left out with its value: readers
/// disagree about which one counts, and some refuse the whole document.
#[derive(Debug, Default)]
pub(super) struct Object {
    few: Vec<Range<usize>>,
    many: HashSet<Vec<u8>>,
}

impl Object {
    pub(super) fn open(out: &mut Vec<u8>) -> Self {
        out.push(b'{');
        Self::default()
    }

    /// Writes a name, behind which its value is to be written. False if it has been there: then
    /// nothing is to be written.
    pub(super) fn name(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let before = out.len();
        if !self.few.is_empty() {
            out.push(b',');
        }
        let start = out.len();
        write(out);
        if !self.is_new(out, start) {
            out.truncate(before);
            return false;
        }
        out.push(b':');
        true
    }

    pub(super) fn close(self, out: &mut Vec<u8>) {
        out.push(b'}');
    }

    fn is_new(&mut self, out: &[u8], start: usize) -> bool {
        if self.few.len() < FEW {
            let new = !self.few.iter().any(|few| out[few.clone()] == out[start..]);
            if new {
                self.few.push(start..out.len());
            }
            return new;
        }
        if self.many.is_empty() {
            self.many.extend(self.few.iter().map(|few| out[few.clone()].to_vec()));
        }
        self.many.insert(out[start..].to_vec())
    }
}

/// Members of an object of which those that are empty are left out.
pub(super) struct Members<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
}

impl<'o> Members<'o> {
    pub(super) fn of(out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start }
    }

    /// A member whose value is a piece of JSON.
    pub(super) fn piece(&mut self, name: &str, piece: &[u8]) {
        if !piece.is_empty() {
            self.name(name);
            self.out.extend_from_slice(piece);
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, name: &str, number: i64) {
        if number != 0 {
            self.name(name);
            plain(self.out, number);
        }
    }

    /// Nanoseconds: a string, for they are beyond what a double holds.
    pub(super) fn nanoseconds(&mut self, name: &str, nanoseconds: u64) {
        if nanoseconds != 0 {
            self.name(name);
            self.out.push(b'"');
            plain(self.out, nanoseconds);
            self.out.push(b'"');
        }
    }

    /// Closes the object. With nothing in it, it is `{}`.
    pub(super) fn close(self) {
        if self.out.len() == self.start {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }

    /// Closes the object. With nothing in it, nothing stands there.
    pub(super) fn close_if_any(self) {
        if self.out.len() > self.start {
            self.out.push(b'}');
        }
    }

    fn name(&mut self, name: &str) {
        self.out.push(if self.out.len() == self.start { b'{' } else { b',' });
        quoted(self.out, name);
        self.out.push(b':');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_in_an_object_once() {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        for index in (0..100).chain(0..100) {
            if object.name(&mut out, |out| quoted(out, &format!("n{index}"))) {
                plain(&mut out, index);
            }
        }
        object.close(&mut out);
        let read: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&out).unwrap();
        assert_eq!(read.len(), 100);
        assert_eq!(read["n99"], 99);
        assert_eq!(out.iter().filter(|&&byte| byte == b':').count(), 100);
    }

    #[test]
    fn every_double_has_a_word() {
        let write = |value| {
            let mut out = Vec::new();
            double(&mut out, value);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(write(1.0), "1.0");
        assert_eq!(write(f64::NAN), "\"NaN\"");
        assert_eq!(write(f64::INFINITY), "\"Infinity\"");
        assert_eq!(write(f64::NEG_INFINITY), "\"-Infinity\"");
    }
}
