//! Records into jq's values, and jq's values into records.
//!
//! jaq's own reader takes a superset of JSON and recurses as deep as the text does. This one takes
//! JSON only, no deeper than jq 1.6 (256 levels), and shares the bytes of the record. As in jq,
//! control characters may stand unescaped in strings, and of a key that comes twice the last
//! counts.

use bytes::Bytes;
use jaq_json::{Map, Num, Val};

use super::{
    number,
    scan::{Quoted, Scanner},
};
use crate::limits;

/// Integers with more digits are held as decimals: making a big integer of a long text takes time
/// that grows with the square of its length.
const INTEGER_DIGITS_MAX: usize = 40;

/// The one document of a record; `None` if the record is something else. With `fields`, an object
/// is read with these only; the others are checked and left out.
pub(super) fn read(record: &Bytes, fields: Option<&[String]>) -> Option<Val> {
    simdutf8::basic::from_utf8(record).ok()?;
    let mut reader = Reader { record, scanner: Scanner::new(record) };
    let value = match (fields, reader.scanner.peek()?) {
        (Some(fields), b'{') => reader.object(1, Some(fields)),
        _ => reader.value(0),
    }?;
    reader.scanner.peek().is_none().then_some(value)
}

struct Reader<'a> {
    record: &'a Bytes,
    scanner: Scanner<'a>,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Val> {
        match self.scanner.peek()? {
            b'"' => self.string(),
            b'{' if depth < limits::JSON_DEPTH_MAX => self.object(depth + 1, None),
            b'[' if depth < limits::JSON_DEPTH_MAX => self.array(depth + 1),
            b'{' | b'[' => None,
            _ => match self.scanner.word() {
                b"null" => Some(Val::Null),
                b"true" => Some(Val::Bool(true)),
                b"false" => Some(Val::Bool(false)),
                word => number::canonical(word).map(|text| Val::Num(num(&text))),
            },
        }
    }

    fn string(&mut self) -> Option<Val> {
        let quoted: Quoted<'_> = self.scanner.string()?;
        let bytes = if quoted.escaped {
            Bytes::from(quoted.text()?.into_owned())
        } else {
            let end = self.scanner.at - 1;
            self.record.slice(end - quoted.raw.len()..end)
        };
        Some(Val::utf8_str(bytes))
    }

    fn object(&mut self, depth: usize, fields: Option<&[String]>) -> Option<Val> {
        self.scanner.at += 1;
        let mut map = Map::default();
        if self.scanner.take(b'}').is_some() {
            return Some(Val::obj(map));
        }
        loop {
            if self.scanner.peek()? != b'"' {
                return None;
            }
            let start = self.scanner.at;
            let wanted = match fields {
                None => true,
                Some(fields) => {
                    let key = self.checked_string()?;
                    fields.iter().any(|field| key.is(field))
                }
            };
            if wanted {
                self.scanner.at = start;
                let key = self.string()?;
                self.scanner.take(b':')?;
                let value = self.value(depth)?;
                map.insert(key, value);
            } else {
                self.scanner.take(b':')?;
                self.check(depth)?;
            }
            if self.scanner.take(b',').is_none() {
                self.scanner.take(b'}')?;
                return Some(Val::obj(map));
            }
        }
    }

    fn checked_string(&mut self) -> Option<Quoted<'_>> {
        let quoted = self.scanner.string()?;
        if quoted.escaped {
            quoted.text()?;
        }
        Some(quoted)
    }

    /// Goes over a value, as strictly as `value` reads it.
    fn check(&mut self, depth: usize) -> Option<()> {
        let closing = match self.scanner.peek()? {
            b'"' => return self.checked_string().map(drop),
            b'{' => b'}',
            b'[' => b']',
            _ => {
                let word = self.scanner.word();
                let named = matches!(word, b"null" | b"true" | b"false");
                return (named || number::is_number(word)).then_some(());
            }
        };
        if depth >= limits::JSON_DEPTH_MAX {
            return None;
        }
        self.scanner.at += 1;
        if self.scanner.take(closing).is_some() {
            return Some(());
        }
        loop {
            if closing == b'}' {
                if self.scanner.peek()? != b'"' {
                    return None;
                }
                self.checked_string()?;
                self.scanner.take(b':')?;
            }
            self.check(depth + 1)?;
            if self.scanner.take(b',').is_none() {
                return self.scanner.take(closing);
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Val> {
        self.scanner.at += 1;
        if self.scanner.take(b']').is_some() {
            return Some(Val::Arr(Vec::new().into()));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value(depth)?);
            if self.scanner.take(b',').is_none() {
                self.scanner.take(b']')?;
                return Some(Val::Arr(values.into()));
            }
        }
    }
}

fn num(text: &str) -> Num {
    let integer = || Num::from_str_radix(text, 10);
    let plain = text.bytes().skip(1).all(|byte| byte.is_ascii_digit());
    let held =
        if plain && text.len() <= INTEGER_DIGITS_MAX && text != "-0" { integer() } else { None };
    held.unwrap_or_else(|| Num::Dec(text.to_owned().into()))
}

/// A number as jq 1.6 prints it; what is not a number prints as `null`.
pub(super) fn num_text(num: &Num) -> String {
    match num {
        Num::Int(int) => int.to_string(),
        Num::Float(float) => number::print(*float).unwrap_or_else(|| "null".to_owned()),
        other => {
            let text = other.to_string();
            number::canonical(text.as_bytes()).map(|text| text.into_owned()).unwrap_or(text)
        }
    }
}

/// Why a value cannot be written as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unwritable {
    #[error("Object keys must be strings")]
    Key,
    #[error("a byte string is no JSON")]
    Bytes,
    #[error("the result is nested deeper than {} levels", limits::JSON_DEPTH_MAX)]
    Depth,
    #[error("the results have more than {} bytes", limits::JQ_OUTPUT_BYTES_MAX)]
    Size,
}

/// Appends compact JSON, as `jq -c` prints it.
pub(super) fn write(value: &Val, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    write_at(value, out, 0)?;
    within_size(out)
}

fn within_size(out: &[u8]) -> Result<(), Unwritable> {
    if out.len() > limits::JQ_OUTPUT_BYTES_MAX { Err(Unwritable::Size) } else { Ok(()) }
}

fn write_at(value: &Val, out: &mut Vec<u8>, depth: usize) -> Result<(), Unwritable> {
    within_size(out)?;
    match value {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(bool) => out.extend_from_slice(if *bool { b"true" } else { b"false" }),
        Val::Num(num) => out.extend_from_slice(num_text(num).as_bytes()),
        Val::TStr(text) => write_string(text, out),
        Val::BStr(_) => return Err(Unwritable::Bytes),
        Val::Arr(_) | Val::Obj(_) if depth == limits::JSON_DEPTH_MAX => {
            return Err(Unwritable::Depth);
        }
        Val::Arr(values) => {
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                comma(index, out);
                write_at(value, out, depth + 1)?;
            }
            out.push(b']');
        }
        Val::Obj(map) => {
            out.push(b'{');
            for (index, (key, value)) in map.iter().enumerate() {
                comma(index, out);
                let Val::TStr(key) = key else { return Err(Unwritable::Key) };
                write_string(key, out);
                out.push(b':');
                write_at(value, out, depth + 1)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn comma(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn write_string(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    // A filter can put bytes together that are no UTF-8 any more.
    let text = String::from_utf8_lossy(text);
    let bytes = text.as_bytes();
    out.push(b'"');
    let mut written = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= b' ' && !matches!(byte, b'"' | b'\\') {
            continue;
        }
        out.extend_from_slice(&bytes[written..at]);
        written = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}
