//! `ExportLogsServiceRequest` in JSON (OTLP specification, "JSON Protobuf Encoding"): ids in
//! hexadecimal, 64-bit numbers as strings or numbers, enums as numbers. Members that are not known
//! are passed over, and `null` is as good as nothing.

use super::{
    record::{Batch, Common, LogRecord, Rejection, TooMuch},
    text::{self, Object},
};
use crate::{
    limits,
    sources::http::walk::{Cursor, NoJson, Quoted},
};

/// Why a request is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the body is {0}")]
    Json(#[from] NoJson),
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// A value is of another kind than its member takes.
    #[error("\"{member}\" is not {expected}")]
    Kind { member: &'static str, expected: &'static str },
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// Only ever of a piece of a record: it is rejected, and the request is not.
    #[error("values lie too deep")]
    TooDeep,
}

type Done = Result<(), Refusal>;

/// Writes the records of a request.
pub(super) fn read(request: &[u8], batch: &mut Batch) -> Done {
    let request = simdutf8::basic::from_utf8(request).map_err(|_| Refusal::NotUtf8)?;
    let mut cursor = Cursor::new(request);
    let mut record = LogRecord::default();
    object(&mut cursor, "the body", |name, cursor| match &*name.text() {
        "resourceLogs" => {
            array(cursor, "resourceLogs", |cursor| resource_logs(cursor, batch, &mut record))
        }
        _ => skip(cursor),
    })?;
    Ok(cursor.end()?)
}

/// What several records have in common; `None` if it lies too deep, and then none of them is taken.
type Shared = Option<Vec<u8>>;

fn resource_logs(cursor: &mut Cursor<'_>, batch: &mut Batch, record: &mut LogRecord) -> Done {
    let (resource, scopes) = shared(cursor, "resource", "scopeLogs")?;
    for mut scopes in scopes {
        array(&mut scopes, "scopeLogs", |cursor| {
            let (scope, logs) = shared(cursor, "scope", "logRecords")?;
            for mut logs in logs {
                array(&mut logs, "logRecords", |cursor| {
                    log_record(cursor, resource.as_deref(), scope.as_deref(), batch, record)
                })?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Walks a `ResourceLogs` or a `ScopeLogs`: what its records have in common, and where the lists
/// of what it holds begin. Members come in any order, and the former is needed first.
fn shared<'a>(
    cursor: &mut Cursor<'a>,
    common_member: &'static str,
    list_member: &str,
) -> Result<(Shared, Vec<Cursor<'a>>), Refusal> {
    let (mut common, mut lists) = (Common::default(), Vec::new());
    let mut too_deep = false;
    object(cursor, "an element", |name, cursor| {
        let name = name.text();
        if name == common_member {
            let mut inside = Cursor::new(cursor.value()?);
            match described(&mut inside, common_member, &mut common) {
                Err(Refusal::TooDeep) => too_deep = true,
                done => done?,
            }
        } else if name == list_member {
            // An empty or absent list leaves nothing, so memory stays below what came.
            lists.push(Cursor::new(cursor.value()?));
        } else if name == "schemaUrl" {
            string(cursor, "schemaUrl", &mut common.schema_url)?;
        } else {
            skip(cursor)?;
        }
        Ok(())
    })?;
    Ok(((!too_deep).then(|| common.piece()), lists))
}

fn described(cursor: &mut Cursor<'_>, member: &'static str, common: &mut Common) -> Done {
    object(cursor, member, |name, cursor| match &*name.text() {
        "name" => string(cursor, "name", &mut common.name),
        "version" => string(cursor, "version", &mut common.version),
        "attributes" => attributes(cursor, "attributes", &mut common.attributes, 0),
        "droppedAttributesCount" => {
            number(cursor, "droppedAttributesCount").map(|n| common.dropped_attributes_count = n)
        }
        _ => skip(cursor),
    })
}

fn log_record(
    cursor: &mut Cursor<'_>,
    resource: Option<&[u8]>,
    scope: Option<&[u8]>,
    batch: &mut Batch,
    record: &mut LogRecord,
) -> Done {
    // Where the record ends is known before its inside is looked at: one that lies too deep does
    // not end the walk.
    let mut inside = Cursor::new(cursor.value()?);
    record.clear();
    let read = object(&mut inside, "a log record", |name, cursor| {
        log_member(&name.text(), cursor, record)
    });
    match (read, resource, scope) {
        (Ok(()), Some(resource), Some(scope)) => Ok(batch.push(record, resource, scope)?),
        (Ok(()) | Err(Refusal::TooDeep), ..) => {
            batch.reject(Rejection::TooDeep);
            Ok(())
        }
        (Err(refusal), ..) => Err(refusal),
    }
}

fn log_member(name: &str, cursor: &mut Cursor<'_>, record: &mut LogRecord) -> Done {
    match name {
        "timeUnixNano" => record.time_unix_nano = number(cursor, "timeUnixNano")?,
        "observedTimeUnixNano" => {
            record.observed_time_unix_nano = number(cursor, "observedTimeUnixNano")?;
        }
        "severityNumber" => record.severity_number = number(cursor, "severityNumber")?,
        "severityText" => string(cursor, "severityText", &mut record.severity_text)?,
        "eventName" => string(cursor, "eventName", &mut record.event_name)?,
        "body" => {
            record.body.clear();
            if !cursor.null()? {
                any_value(cursor, &mut record.body, 0)?;
            }
        }
        "attributes" => attributes(cursor, "attributes", &mut record.attributes, 0)?,
        "droppedAttributesCount" => {
            record.dropped_attributes_count = number(cursor, "droppedAttributesCount")?;
        }
        "traceId" => id(cursor, "traceId", &mut record.trace_id)?,
        "spanId" => id(cursor, "spanId", &mut record.span_id)?,
        "flags" => record.flags = number(cursor, "flags")?,
        _ => skip(cursor)?,
    }
    Ok(())
}

fn skip(cursor: &mut Cursor<'_>) -> Done {
    cursor.value()?;
    Ok(())
}

/// Walks an object, or nothing at `null`.
fn object<'a>(
    cursor: &mut Cursor<'a>,
    member: &'static str,
    each: impl FnMut(Quoted<'a>, &mut Cursor<'a>) -> Done,
) -> Done {
    match cursor.peek() {
        Some(b'n') => skip(cursor),
        Some(b'{') => cursor.object(each),
        _ => Err(kind(cursor, member, "an object")),
    }
}

/// Walks an array, or nothing at `null`.
fn array<'a>(
    cursor: &mut Cursor<'a>,
    member: &'static str,
    each: impl FnMut(&mut Cursor<'a>) -> Done,
) -> Done {
    match cursor.peek() {
        Some(b'n') => skip(cursor),
        Some(b'[') => cursor.array(each),
        _ => Err(kind(cursor, member, "an array")),
    }
}

/// A text; the last one counts, and an empty one is as good as none.
fn string(cursor: &mut Cursor<'_>, member: &'static str, piece: &mut Vec<u8>) -> Done {
    piece.clear();
    match cursor.peek() {
        Some(b'n') => skip(cursor)?,
        Some(b'"') => match cursor.string()?.raw() {
            "" => {}
            raw => text::quoted(piece, raw),
        },
        _ => return Err(kind(cursor, member, "a string")),
    }
    Ok(())
}

/// A whole number: as such, with a fraction or an exponent that amounts to nothing, or as a string.
fn number<T: TryFrom<i128> + Default>(
    cursor: &mut Cursor<'_>,
    member: &'static str,
) -> Result<T, Refusal> {
    let digits = match cursor.peek() {
        Some(b'n') => return skip(cursor).map(|()| T::default()),
        Some(b'"') => cursor.string()?.raw(),
        Some(b'-' | b'0'..=b'9') => cursor.value()?,
        _ => return Err(kind(cursor, member, "a number")),
    };
    let whole = digits.parse::<i128>().ok().or_else(|| {
        let double = digits.parse::<f64>().ok().filter(|double| double.fract() == 0.0)?;
        (double.abs() < 1e20).then_some(double as i128)
    });
    whole
        .and_then(|whole| T::try_from(whole).ok())
        .ok_or(Refusal::Kind { member, expected: "a whole number in its range" })
}

/// An id: hexadecimal digits, of which the case does not count.
fn id(cursor: &mut Cursor<'_>, member: &'static str, piece: &mut Vec<u8>) -> Done {
    piece.clear();
    match cursor.peek() {
        Some(b'n') => skip(cursor)?,
        Some(b'"') => {
            let refusal = Refusal::Kind { member, expected: "a string of hexadecimal digits" };
            let bytes = hex::decode(cursor.string()?.raw()).map_err(|_| refusal)?;
            text::id(piece, &bytes);
        }
        _ => return Err(kind(cursor, member, "a string of hexadecimal digits")),
    }
    Ok(())
}

/// Pairs as an object; nothing if there are none.
fn attributes(
    cursor: &mut Cursor<'_>,
    member: &'static str,
    out: &mut Vec<u8>,
    depth: usize,
) -> Done {
    let start = out.len();
    let mut object = None;
    // A list that comes twice: the last one counts.
    if depth == 0 {
        out.clear();
    }
    array(cursor, member, |cursor| {
        let object = object.get_or_insert_with(|| Object::open(out));
        pair(cursor, object, out, depth)
    })?;
    if let Some(object) = object {
        object.close(out);
    } else if depth > 0 {
        out.truncate(start);
    }
    Ok(())
}

fn pair(cursor: &mut Cursor<'_>, members: &mut Object, out: &mut Vec<u8>, depth: usize) -> Done {
    // Both are looked for in any order; the value is written once the key is known.
    let (mut key, mut early) = (None, None);
    let mut done = false;
    object(cursor, "an attribute", |name, cursor| {
        match &*name.text() {
            "key" if key.is_none() => match cursor.peek() {
                Some(b'"') => key = Some(cursor.string()?.raw()),
                _ => return Err(kind(cursor, "key", "a string")),
            },
            "value" if !done && early.is_none() => match key {
                Some(key) => {
                    done = true;
                    if members.name(out, |out| text::quoted(out, key)) {
                        any_value(cursor, out, depth)?;
                    } else {
                        skip(cursor)?;
                    }
                }
                None => {
                    let mut value = Vec::new();
                    any_value(cursor, &mut value, depth)?;
                    early = Some(value);
                }
            },
            _ => skip(cursor)?,
        }
        Ok(())
    })?;
    if !done && members.name(out, |out| text::quoted(out, key.unwrap_or_default())) {
        out.extend_from_slice(early.as_deref().unwrap_or(b"null"));
    }
    Ok(())
}

/// A value; one without anything in it is `null`.
fn any_value(cursor: &mut Cursor<'_>, out: &mut Vec<u8>, depth: usize) -> Done {
    if depth > limits::OTLP_DEPTH_MAX {
        return Err(Refusal::TooDeep);
    }
    let start = out.len();
    object(cursor, "a value", |name, cursor| {
        // Of several the first one counts.
        if out.len() > start || cursor.peek() == Some(b'n') {
            return skip(cursor);
        }
        typed_value(&name.text(), cursor, out, depth)
    })?;
    if out.len() == start {
        out.extend_from_slice(b"null");
    }
    Ok(())
}

fn typed_value(name: &str, cursor: &mut Cursor<'_>, out: &mut Vec<u8>, depth: usize) -> Done {
    match name {
        "stringValue" | "bytesValue" => match cursor.peek() {
            Some(b'"') => text::quoted(out, cursor.string()?.raw()),
            _ => return Err(kind(cursor, "a value", "a string")),
        },
        "boolValue" => match cursor.peek() {
            Some(b't' | b'f') => out.extend_from_slice(cursor.value()?.as_bytes()),
            _ => return Err(kind(cursor, "boolValue", "true or false")),
        },
        "intValue" => numeric(cursor, "intValue", out, |digits| digits.parse::<i64>().is_ok())?,
        "doubleValue" => numeric(cursor, "doubleValue", out, is_json_number)?,
        "arrayValue" => {
            out.push(b'[');
            let first = out.len();
            list(cursor, "arrayValue", |cursor| {
                array(cursor, "values", |cursor| {
                    if out.len() > first {
                        out.push(b',');
                    }
                    any_value(cursor, out, depth + 1)
                })
            })?;
            out.push(b']');
        }
        "kvlistValue" => {
            let start = out.len();
            list(cursor, "kvlistValue", |cursor| {
                out.truncate(start);
                attributes(cursor, "values", out, depth + 1)
            })?;
            if out.len() == start {
                out.extend_from_slice(b"{}");
            }
        }
        _ => skip(cursor)?,
    }
    Ok(())
}

/// The `values` of a list.
fn list<'a>(
    cursor: &mut Cursor<'a>,
    member: &'static str,
    mut values: impl FnMut(&mut Cursor<'a>) -> Done,
) -> Done {
    object(cursor, member, |name, cursor| match &*name.text() {
        "values" => values(cursor),
        _ => skip(cursor),
    })
}

/// A number as it stands there; one in a string without its quotes if `fits`, and else with them
/// (`NaN`, or a whole number beyond 64 bits).
fn numeric(
    cursor: &mut Cursor<'_>,
    member: &'static str,
    out: &mut Vec<u8>,
    fits: fn(&str) -> bool,
) -> Done {
    match cursor.peek() {
        Some(b'-' | b'0'..=b'9') => out.extend_from_slice(cursor.value()?.as_bytes()),
        Some(b'"') => match cursor.string()?.raw() {
            // `parse` takes a plus sign and leading zeros, JSON does not.
            digits if is_json_number(digits) && fits(digits) => {
                out.extend_from_slice(digits.as_bytes());
            }
            raw => text::quoted(out, raw),
        },
        _ => return Err(kind(cursor, member, "a number")),
    }
    Ok(())
}

fn is_json_number(text: &str) -> bool {
    let mut cursor = Cursor::new(text);
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && cursor.value().is_ok_and(|value| value.len() == text.len())
}

/// The refusal of a value of the wrong kind, or of one that is none.
fn kind(cursor: &mut Cursor<'_>, member: &'static str, expected: &'static str) -> Refusal {
    match cursor.value() {
        Ok(_) => Refusal::Kind { member, expected },
        Err(error) => error.into(),
    }
}
