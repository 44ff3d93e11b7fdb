//! What a shipment looks like on the wire, before it is compressed.

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::BodyFormat;
use crate::{
    fault::{Cause, Failure, Fault, output_type},
    limits,
    net::gzip,
    seams::Shipment,
};

/// The body of a request.
pub(super) struct Body {
    pub bytes: Bytes,
    /// Whether base64 is most of it.
    pub is_base64: bool,
    /// How many records are in it.
    pub records: usize,
    /// Those that cannot be in it, by index in the shipment.
    pub rejected: Vec<(u64, Failure)>,
}

impl Body {
    /// The bytes in gzip.
    pub fn packed(&self) -> Bytes {
        if self.is_base64 { gzip::pack_records(&self.bytes) } else { gzip::pack(&self.bytes) }
    }
}

/// Builds the body of a shipment. Fails only with `TooLarge`.
pub(super) fn build(format: BodyFormat, shipment: &Shipment, now_ms: i64) -> Result<Body, Fault> {
    let records: Vec<&[u8]> = match &shipment.list {
        Some(_) => shipment.iter().collect(),
        None => vec![&shipment.body],
    };
    let whole = |bytes: Bytes| {
        let rejected = Vec::new();
        Body { bytes, is_base64: false, records: records.len(), rejected }
    };
    match format {
        BodyFormat::Firehose => envelope(&shipment.key, now_ms, &records),
        BodyFormat::Ndjson => {
            let body = whole(lines(&records, shipment.body.len()));
            // Blank records make no line, and no lines are worth no request.
            let records = if body.bytes.is_empty() { 0 } else { body.records };
            Ok(Body { records, ..body })
        }
        BodyFormat::JsonArray => Ok(array(&records, shipment.body.len())),
        BodyFormat::Raw => Ok(whole(shipment.body.clone())),
    }
}

/// The envelope of the delivery protocol:
/// `{"requestId":"…","timestamp":…,"records":[{"data":"…"},…]}`, at most
/// [`limits::ENDPOINT_RECORDS_MAX`] records and [`limits::ENDPOINT_BODY_BYTES_MAX`] bytes.
pub(super) fn envelope(request_id: &str, now_ms: i64, records: &[&[u8]]) -> Result<Body, Fault> {
    const OPEN: &[u8] = br#"{"data":""#;
    const CLOSE: &[u8] = br#""}"#;
    const END: &[u8] = b"]}";
    let id = serde_json::Value::from(request_id);
    let start = format!(r#"{{"requestId":{id},"timestamp":{now_ms},"records":["#);
    let base64 = base64_simd::STANDARD;
    let encoded: usize = records
        .iter()
        .map(|record| OPEN.len() + base64.encoded_length(record.len()) + CLOSE.len() + 1)
        .sum();
    let size = start.len() + encoded + END.len();
    if records.len() > limits::ENDPOINT_RECORDS_MAX || size > limits::ENDPOINT_BODY_BYTES_MAX {
        let text = format!(
            "{} records in {size} bytes: the protocol takes {} records in {} bytes",
            records.len(),
            limits::ENDPOINT_RECORDS_MAX,
            limits::ENDPOINT_BODY_BYTES_MAX
        );
        return Err(Fault::TooLarge { cause: Cause::new("Standpipe.RequestTooLarge", text) });
    }
    let mut text = gzip::Text::with_capacity(size);
    let body = &mut text.bytes;
    body.extend_from_slice(start.as_bytes());
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(OPEN);
        base64.encode_append(record, body);
        body.extend_from_slice(CLOSE);
    }
    body.extend_from_slice(END);
    Ok(Body {
        bytes: Bytes::from_owner(text),
        is_base64: true,
        records: records.len(),
        rejected: Vec::new(),
    })
}

/// A record a line, each ended by LF. JSON that runs over several lines is written on one; what is
/// no JSON goes as it is. A record of nothing but a line's end makes no line.
fn lines(records: &[&[u8]], bytes: usize) -> Bytes {
    let mut body = Vec::with_capacity(bytes + records.len());
    for record in records {
        let record = without_line_end(record);
        if record.is_empty() {
            continue;
        }
        if memchr::memchr2(b'\n', b'\r', record).is_some() && is_json(record) {
            compact(record, &mut body);
        } else {
            body.extend_from_slice(record);
        }
        body.push(b'\n');
    }
    body.into()
}

/// A JSON array of the records that are JSON.
fn array(records: &[&[u8]], bytes: usize) -> Body {
    let mut body = Vec::with_capacity(bytes + records.len() + 2);
    let mut rejected = Vec::new();
    let mut taken = 0;
    body.push(b'[');
    for (index, record) in records.iter().enumerate() {
        if !is_json(record) {
            let text = "the record is no JSON, so that it cannot stand in an array of JSON";
            let kind = output_type::HTTP_ENDPOINT_FAILED;
            rejected.push((index as u64, Failure::new(kind, "Standpipe.RecordNotJson", text)));
            continue;
        }
        if taken > 0 {
            body.push(b',');
        }
        body.extend_from_slice(record.trim_ascii());
        taken += 1;
    }
    body.push(b']');
    Body { bytes: body.into(), is_base64: false, records: taken, rejected }
}

fn without_line_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// Whether this is one JSON value in UTF-8. Neither recursive nor building anything: a record of a
/// million brackets is as good as any.
fn is_json(record: &[u8]) -> bool {
    simdutf8::basic::from_utf8(record).is_ok()
        && serde_json::from_slice::<IgnoredAny>(record).is_ok()
}

/// Appends JSON without the white space between its tokens.
fn compact(json: &[u8], body: &mut Vec<u8>) {
    let mut rest = json;
    loop {
        let end = memchr::memchr(b'"', rest).unwrap_or(rest.len());
        let (between, text) = rest.split_at(end);
        body.extend(between.iter().filter(|byte| !byte.is_ascii_whitespace()));
        if text.is_empty() {
            return;
        }
        let end = end_of_text(text);
        body.extend_from_slice(&text[..end]);
        rest = &text[end..];
    }
}

/// How long the text is that begins with this quotation mark.
fn end_of_text(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(next) = memchr::memchr2(b'"', b'\\', &text[at..]) {
        at += next;
        if text[at] == b'"' {
            return at + 1;
        }
        at = (at + 2).min(text.len());
    }
    text.len()
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
