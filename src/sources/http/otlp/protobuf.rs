//! `ExportLogsServiceRequest` in Protocol Buffers (opentelemetry-proto 1.x: collector/logs/v1,
//! logs/v1, resource/v1, common/v1). Fields that are not known are passed over.

use super::{
    record::{Batch, Common, LogRecord, Rejection, TooMuch},
    text::{self, Object},
    wire::{Fields, Malformed, Value},
};
use crate::limits;

/// Why a request is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}

/// Why a piece of a record cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfit {
    Malformed,
    TooDeep,
}

impl From<Malformed> for Unfit {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Writes the records of a request.
pub(super) fn read(request: &[u8], batch: &mut Batch) -> Result<(), Refusal> {
    let mut record = LogRecord::default();
    for field in Fields::of(request) {
        if let (1, value) = field? {
            resource_logs(value.bytes()?, batch, &mut record)?;
        }
    }
    Ok(())
}

/// What several records have in common, unless it cannot be written: then none of them can.
type Shared = Result<Vec<u8>, Unfit>;

fn resource_logs(message: &[u8], batch: &mut Batch, record: &mut LogRecord) -> Result<(), Refusal> {
    // Fields come in any order, and the resource is needed first.
    let resource = shared(message, resource)?;
    for field in Fields::of(message) {
        if let (2, value) = field? {
            scope_logs(value.bytes()?, &resource, batch, record)?;
        }
    }
    Ok(())
}

fn scope_logs(
    message: &[u8],
    resource: &Shared,
    batch: &mut Batch,
    record: &mut LogRecord,
) -> Result<(), Refusal> {
    let scope = shared(message, scope)?;
    for field in Fields::of(message) {
        let (2, value) = field? else { continue };
        let bytes = value.bytes()?;
        record.clear();
        match (log_record(bytes, record), resource, &scope) {
            (Err(Unfit::Malformed), ..) => return Err(Malformed.into()),
            (Ok(()), Ok(resource), Ok(scope)) => batch.push(record, resource, scope)?,
            _ => batch.reject(Rejection::TooDeep),
        }
    }
    Ok(())
}

/// The resource (or the scope) of a message, with its schema: fields 1 and 3 of both.
fn shared(
    message: &[u8],
    read: fn(&[u8], &mut Common) -> Result<(), Unfit>,
) -> Result<Shared, Malformed> {
    let mut common = Common::default();
    for field in Fields::of(message) {
        match field? {
            (1, value) => match read(value.bytes()?, &mut common) {
                Ok(()) => {}
                Err(Unfit::Malformed) => return Err(Malformed),
                Err(Unfit::TooDeep) => return Ok(Err(Unfit::TooDeep)),
            },
            (3, value) => string(value, &mut common.schema_url)?,
            _ => {}
        }
    }
    Ok(Ok(common.piece()))
}

fn resource(message: &[u8], common: &mut Common) -> Result<(), Unfit> {
    attributes(message, 1, &mut common.attributes, 0)?;
    for field in Fields::of(message) {
        if let (2, value) = field? {
            common.dropped_attributes_count = value.varint()? as u32;
        }
    }
    Ok(())
}

fn scope(message: &[u8], common: &mut Common) -> Result<(), Unfit> {
    attributes(message, 3, &mut common.attributes, 0)?;
    for field in Fields::of(message) {
        match field? {
            (1, value) => string(value, &mut common.name)?,
            (2, value) => string(value, &mut common.version)?,
            (4, value) => common.dropped_attributes_count = value.varint()? as u32,
            _ => {}
        }
    }
    Ok(())
}

fn log_record(message: &[u8], record: &mut LogRecord) -> Result<(), Unfit> {
    for field in Fields::of(message) {
        log_field(field?, record)?;
    }
    attributes(message, 6, &mut record.attributes, 0)
}

fn log_field((number, value): (u64, Value<'_>), record: &mut LogRecord) -> Result<(), Unfit> {
    match number {
        1 => record.time_unix_nano = value.fixed64()?,
        2 => record.severity_number = value.varint()? as i32,
        3 => string(value, &mut record.severity_text)?,
        5 => {
            record.body.clear();
            any_value(value.bytes()?, &mut record.body, 0)?;
        }
        7 => record.dropped_attributes_count = value.varint()? as u32,
        8 => record.flags = value.fixed32()?,
        9 => id(value, &mut record.trace_id)?,
        10 => id(value, &mut record.span_id)?,
        11 => record.observed_time_unix_nano = value.fixed64()?,
        12 => string(value, &mut record.event_name)?,
        _ => {}
    }
    Ok(())
}

/// A text; the last one counts, and an empty one is as good as none.
fn string(value: Value<'_>, piece: &mut Vec<u8>) -> Result<(), Malformed> {
    let bytes = value.bytes()?;
    piece.clear();
    if !bytes.is_empty() {
        text::string(piece, bytes);
    }
    Ok(())
}

fn id(value: Value<'_>, piece: &mut Vec<u8>) -> Result<(), Malformed> {
    piece.clear();
    text::id(piece, value.bytes()?);
    Ok(())
}

/// The pairs under this field as an object; nothing if there are none.
fn attributes(message: &[u8], field: u64, out: &mut Vec<u8>, depth: usize) -> Result<(), Unfit> {
    let mut object = None;
    for found in Fields::of(message) {
        let (number, value) = found?;
        if number == field {
            let object = object.get_or_insert_with(|| Object::open(out));
            pair(value.bytes()?, object, out, depth)?;
        }
    }
    if let Some(object) = object {
        object.close(out);
    }
    Ok(())
}

fn pair(message: &[u8], object: &mut Object, out: &mut Vec<u8>, depth: usize) -> Result<(), Unfit> {
    let (mut key, mut value): (&[u8], &[u8]) = (b"", b"");
    for field in Fields::of(message) {
        match field? {
            (1, found) => key = found.bytes()?,
            (2, found) => value = found.bytes()?,
            _ => {}
        }
    }
    if object.name(out, |out| text::string(out, key)) {
        any_value(value, out, depth)?;
    }
    Ok(())
}

/// A value; one without anything in it is `null`.
fn any_value(message: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<(), Unfit> {
    if depth > limits::OTLP_DEPTH_MAX {
        return Err(Unfit::TooDeep);
    }
    // Of several the last one counts. They are found before one is written: written and taken
    // back again at every level, they would cost more and more.
    let mut last = None;
    for field in Fields::of(message) {
        let (number, value) = field?;
        if (1..=7).contains(&number) {
            last = Some((number, value));
        }
    }
    let Some((number, value)) = last else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    match number {
        1 => text::string(out, value.bytes()?),
        2 => text::plain(out, value.varint()? != 0),
        3 => text::plain(out, value.varint()? as i64),
        4 => text::double(out, f64::from_bits(value.fixed64()?)),
        5 => array(value.bytes()?, out, depth + 1)?,
        6 => map(value.bytes()?, out, depth + 1)?,
        _ => text::base64(out, value.bytes()?),
    }
    Ok(())
}

fn array(message: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<(), Unfit> {
    out.push(b'[');
    let mut first = true;
    for field in Fields::of(message) {
        if let (1, value) = field? {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            any_value(value.bytes()?, out, depth)?;
        }
    }
    out.push(b']');
    Ok(())
}

fn map(message: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<(), Unfit> {
    let start = out.len();
    attributes(message, 1, out, depth)?;
    if out.len() == start {
        out.extend_from_slice(b"{}");
    }
    Ok(())
}
