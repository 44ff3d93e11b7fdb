//! The body of a `_bulk` request: a line that says what to do, then the document on one line, and
//! so on.
//!
//! The lines are all that frames it. A record that is no JSON object would shift everything behind
//! it, so each is checked, and line ends between the tokens of one are left out.

use std::io::Write;

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::options::Options;
use crate::{
    fault::{Failure, output_type},
    net::gzip,
    record::Leaf,
    seams::Shipment,
};

/// The longest two numbers of an id (`-<sequence>.<leaf>`), and what closes its line.
const ID_BYTES: usize = 1 + 20 + 1 + 10 + "\"}}\n".len();

/// The id of a record's document: the same at every attempt, and another for each piece of a record
/// that was taken apart.
pub(super) fn document_id(prefix: &str, leaf: Leaf) -> String {
    let Leaf { sequence, index, of } = leaf;
    if of > 1 { format!("{prefix}-{sequence}.{index}") } else { format!("{prefix}-{sequence}") }
}

/// The line before each document, as far as all of a request have it in common.
pub(super) struct Framing {
    /// `{"create":{"_index":"idx"`
    head: String,
    /// `,"_id":"prefix`, if ids are ours.
    id: Option<String>,
}

impl Framing {
    /// With ids of our own a document is created: a repetition is answered with 409 and changes
    /// nothing. `index` would put it in the place of what somebody may have made of it since. Data
    /// streams take nothing but `create`. Without ids old versions take nothing but `index`.
    pub(super) fn new(options: &Options, index: &str, with_ids: bool) -> Self {
        let action = if with_ids || options.data_stream { "create" } else { "index" };
        let mut head = format!("{{\"{action}\":{{\"_index\":{}", quoted(index));
        if let Some(name) = &options.type_name {
            head.push_str(",\"_type\":");
            head.push_str(&quoted(name));
        }
        let id = with_ids.then(|| {
            let mut prefix = quoted(&options.id_prefix);
            prefix.pop();
            format!(",\"_id\":{prefix}")
        });
        Self { head, id }
    }

    fn line_bytes(&self) -> usize {
        self.head.len() + self.id.as_ref().map_or(0, String::len) + ID_BYTES
    }

    fn write(&self, leaf: Leaf, body: &mut Vec<u8>) {
        body.extend_from_slice(self.head.as_bytes());
        if let Some(id) = &self.id {
            body.extend_from_slice(id.as_bytes());
            let Leaf { sequence, index, of } = leaf;
            let written = if of > 1 {
                write!(body, "-{sequence}.{index}\"")
            } else {
                write!(body, "-{sequence}\"")
            };
            written.expect("a vector takes everything");
        }
        body.extend_from_slice(b"}}\n");
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What goes out.
pub(super) struct Bulk {
    pub body: Bytes,
    /// Which record of the shipment each document is, ascending.
    pub sent: Vec<u64>,
    /// Records that no request can hold.
    pub unfit: Vec<(u64, Failure)>,
}

/// Frames every record of a shipment that is a document.
pub(super) fn build(shipment: &Shipment, framing: &Framing, packed: bool) -> Bulk {
    let leaves = shipment.list.as_ref().map_or(&[][..], |list| &list.leaves);
    let room = shipment.body.len() + leaves.len() * (framing.line_bytes() + 1);
    let mut text = gzip::Text::with_capacity(room);
    let body = &mut text.bytes;
    let mut sent = Vec::with_capacity(leaves.len());
    let mut unfit = Vec::new();
    for ((record, &leaf), index) in shipment.iter().zip(leaves).zip(0..) {
        match document(record) {
            Ok(document) => {
                framing.write(leaf, body);
                write_line(document, body);
                sent.push(index);
            }
            Err(why) => {
                let failure = Failure::new(output_type::OPENSEARCH_FAILED, "OS.MalformedData", why);
                unfit.push((index, failure));
            }
        }
    }
    let body = if packed && !sent.is_empty() { gzip::pack(body) } else { Bytes::from_owner(text) };
    Bulk { body, sent, unfit }
}

/// The record without white space around it, if it is one JSON object and nothing else.
fn document(record: &[u8]) -> Result<&[u8], String> {
    let record = record.trim_ascii();
    if record.first() != Some(&b'{') {
        return Err("the record is no JSON object".into());
    }
    let text = simdutf8::basic::from_utf8(record).map_err(|_| "the record is not UTF-8")?;
    // Skips without recursion, however deep it is nested. Its errors name places, not contents.
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| format!("the record is no JSON: {error}"))?;
    Ok(record)
}

/// Writes a document on one line. In valid JSON a line end stands between tokens only, and no two
/// tokens need the white space between them.
fn write_line(document: &[u8], body: &mut Vec<u8>) {
    let mut rest = document;
    while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
        body.extend_from_slice(&rest[..end]);
        rest = rest[end..].trim_ascii_start();
    }
    body.extend_from_slice(rest);
    body.push(b'\n');
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
