//! The body of a put as the SDKs and agents write it, read without a JSON parser.
//!
//! Nothing is decided here: whatever is not exactly the usual shape (an escape, another member, a
//! null, anything wrong) makes the reader give up, and the general one reads the body again and
//! has the last word. What this one accepts, the general one accepts with the same outcome;
//! a property test holds the two against each other.

use super::decode::PutKind;
use crate::record::Put;

/// Bytes looked at together for the end of a text, in a loop that compiles to vector code.
const BLOCK: usize = 32;

/// The stream's name and the records, or `None` to give up. `put` is then in disorder.
pub fn read(kind: PutKind, body: &[u8], put: &mut Put) -> Option<String> {
    let mut reader = Reader { rest: body, guess: 0 };
    let mut name = None;
    let mut has_records = false;
    reader.token(b"{")?;
    loop {
        if name.is_none() && reader.token(b"\"DeliveryStreamName\"").is_some() {
            reader.token(b":")?;
            name = Some(reader.name()?);
        } else if has_records {
            return None;
        } else {
            has_records = true;
            reader.records(kind, put)?;
        }
        if reader.token(b",").is_none() {
            break;
        }
    }
    reader.token(b"}")?;
    reader.skip_space();
    (reader.rest.is_empty() && has_records).then_some(name?)
}

/// What is left of the body.
struct Reader<'a> {
    rest: &'a [u8],
    /// The length of the last text: records of one call are often equally long.
    guess: usize,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Passes white space and then exactly this.
    fn token(&mut self, token: &[u8]) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    /// A stream name of ordinary characters.
    fn name(&mut self) -> Option<String> {
        self.token(b"\"")?;
        let end = self.rest.iter().position(|&c| c == b'"')?;
        let (name, rest) = self.rest.split_at(end);
        if !name.iter().all(|&c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-')) {
            return None;
        }
        self.rest = &rest[1..];
        String::from_utf8(name.to_vec()).ok()
    }

    /// `"Record": {…}` or `"Records": [{…}, …]`.
    fn records(&mut self, kind: PutKind, put: &mut Put) -> Option<()> {
        if kind == PutKind::One {
            self.token(b"\"Record\"")?;
            self.token(b":")?;
            return self.record(put);
        }
        self.token(b"\"Records\"")?;
        self.token(b":")?;
        self.token(b"[")?;
        loop {
            self.record(put)?;
            if self.token(b",").is_none() {
                return self.token(b"]");
            }
        }
    }

    /// `{"Data": "…"}`, with the text decoded to the end of the data.
    fn record(&mut self, put: &mut Put) -> Option<()> {
        // All of it at once, as most clients write it.
        if let Some(rest) = self.rest.strip_prefix(b"{\"Data\":\"") {
            self.rest = rest;
        } else {
            self.token(b"{")?;
            self.token(b"\"Data\"")?;
            self.token(b":")?;
            self.token(b"\"")?;
        }
        let start = put.data.len();
        let end = self.text(&mut put.data)?;
        self.rest = &self.rest[end + 1..];
        self.guess = end;
        put.lengths.push((put.data.len() - start) as u32);
        self.token(b"}")
    }

    /// Decodes the text up to the next quote and returns its length. Where the last text's length
    /// leads to a quote it is tried first: if there is another quote before, it is no base64.
    fn text(&self, data: &mut Vec<u8>) -> Option<usize> {
        let start = data.len();
        if self.rest.get(self.guess) == Some(&b'"') {
            let text = &self.rest[..self.guess];
            if base64_simd::STANDARD.decode_append(text, data).is_ok() {
                return Some(self.guess);
            }
            data.truncate(start);
        }
        let end = find_quote(self.rest)?;
        base64_simd::STANDARD.decode_append(&self.rest[..end], data).ok()?;
        Some(end)
    }
}

fn find_quote(bytes: &[u8]) -> Option<usize> {
    let block = bytes
        .chunks_exact(BLOCK)
        .position(|block| block.iter().fold(false, |found, &c| found | (c == b'"')));
    let from = block.map_or(bytes.len() / BLOCK * BLOCK, |block| block * BLOCK);
    Some(from + bytes[from..].iter().position(|&c| c == b'"')?)
}
