//! Values that no column wants as such: skipped, or kept as compact JSON text.
//!
//! Both check the JSON fully, without recursion, and with the nesting bounded.

use super::{
    input::{DEPTH_MAX, Input, Raw},
    problem::Read,
};

/// Who gets the pieces of a value.
trait Sink {
    fn raw(&mut self, piece: &[u8]);
    fn key(&mut self, key: Raw<'_>);
}

struct Nothing;

impl Sink for Nothing {
    #[inline]
    fn raw(&mut self, _: &[u8]) {}
    #[inline]
    fn key(&mut self, _: Raw<'_>) {}
}

/// JSON text without white space; with keys in lower case if `fold`.
struct Compact<'o> {
    out: &'o mut Vec<u8>,
    fold: bool,
}

impl Sink for Compact<'_> {
    fn raw(&mut self, piece: &[u8]) {
        self.out.extend_from_slice(piece);
    }

    fn key(&mut self, key: Raw<'_>) {
        write_key(key, self.fold, self.out);
    }
}

impl Input<'_> {
    /// Consumes a value.
    pub fn skip(&mut self) -> Read {
        self.walk(&mut Nothing)
    }

    /// Consumes a value and appends it as compact JSON. Numbers and strings stay as they are
    /// written.
    pub fn compact(&mut self, fold: bool, out: &mut Vec<u8>) -> Read {
        self.walk(&mut Compact { out, fold })
    }

    #[inline]
    fn walk(&mut self, sink: &mut impl Sink) -> Read {
        // One bit per open level: set for an object.
        let mut objects = 0_u128;
        let outside = self.depth;
        const { assert!(DEPTH_MAX <= u128::BITS) };
        loop {
            let opened = match self.token()? {
                open @ (b'{' | b'[') => {
                    let object = open == b'{';
                    self.open()?;
                    sink.raw(if object { b"{" } else { b"[" });
                    let close = if object { b'}' } else { b']' };
                    if self.empty(close)? {
                        sink.raw(&[close]);
                        false
                    } else {
                        objects = objects << 1 | u128::from(object);
                        if object {
                            self.key_into(sink)?;
                        }
                        true
                    }
                }
                token => {
                    let start = self.at;
                    self.skip_scalar(token)?;
                    sink.raw(&self.bytes[start..self.at]);
                    false
                }
            };
            if opened {
                continue;
            }
            loop {
                if self.depth == outside {
                    return Ok(());
                }
                let object = objects & 1 == 1;
                let close = if object { b'}' } else { b']' };
                if self.another(close)? {
                    sink.raw(b",");
                    if object {
                        self.key_into(sink)?;
                    }
                    break;
                }
                sink.raw(&[close]);
                objects >>= 1;
            }
        }
    }

    fn key_into(&mut self, sink: &mut impl Sink) -> Read {
        self.quote()?;
        let key = self.string()?;
        sink.key(key);
        self.colon()?;
        sink.raw(b":");
        Ok(())
    }

    /// Consumes a value that is no object and no array.
    #[inline]
    fn skip_scalar(&mut self, token: u8) -> Read {
        match token {
            b'"' => {
                self.at += 1;
                self.string().map(drop)
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'-' | b'0'..=b'9' => self.number().map(drop),
            _ => Err(self.malformed("Expected a value")),
        }
    }
}

/// Appends a key with its quotes.
pub(super) fn write_key(key: Raw<'_>, fold: bool, out: &mut Vec<u8>) {
    out.push(b'"');
    if !fold {
        out.extend_from_slice(key.bytes);
    } else if !key.escaped && key.bytes.is_ascii() {
        out.extend(key.bytes.iter().map(u8::to_ascii_lowercase));
    } else {
        let mut plain = Vec::with_capacity(key.bytes.len());
        key.append_to(&mut plain);
        escape(String::from_utf8_lossy(&plain).to_lowercase().as_bytes(), out);
    }
    out.push(b'"');
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..b' ' => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
}
