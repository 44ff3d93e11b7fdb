//! From a body to records, for each format. Records are the bytes that came, never written anew.

use bytes::Bytes;

use super::{
    json::{self, Invalid},
    options::Format,
    records::{Records, TooLarge},
};

/// Why nothing of a body is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("{0}")]
    Json(Invalid),
    #[error("{what} {number}: {error}")]
    TooLarge { what: &'static str, number: usize, error: TooLarge },
}

/// What a Content-Type says a body is, or what to do about one that says nothing.
pub fn by_content_type(content_type: Option<&str>) -> Result<Format, &'static str> {
    let Some(full) = content_type else { return Ok(Format::Raw) };
    let essence = full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonl"
        | "application/jsonlines"
        | "application/x-jsonlines"
        | "application/json-lines"
        | "application/x-json-stream" => Ok(Format::Ndjson),
        "application/json" | "text/json" => Ok(Format::Json),
        // What curl says of `--data` unless it is told, and such data has lost its line ends.
        "application/x-www-form-urlencoded" => Err(
            "a form holds no records: send them with a Content-Type such as application/json or \
             application/x-ndjson (curl: --data-binary and -H)",
        ),
        essence if essence.starts_with("multipart/") => {
            Err("a form holds no records: send them as the body itself")
        }
        essence if essence.ends_with("+json") => Ok(Format::Json),
        essence if essence.starts_with("text/") => Ok(Format::Lines),
        _ => Ok(Format::Raw),
    }
}

/// The records of a body; all of them, or why there are none.
pub fn read(format: Format, body: &Bytes) -> Result<Records, Unfit> {
    let mut records = Records::default();
    match format {
        Format::Ndjson => lines(body, &mut records, true)?,
        Format::Lines => lines(body, &mut records, false)?,
        Format::Json => documents(body, &mut records)?,
        Format::Auto | Format::Raw => {
            if !body.is_empty() {
                push(&mut records, body, "the body, record", 1)?;
            }
        }
    }
    Ok(records)
}

fn lines(body: &[u8], records: &mut Records, are_json: bool) -> Result<(), Unfit> {
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', body).chain(std::iter::once(body.len()));
    for (index, end) in ends.enumerate() {
        let line = &body[start..end];
        start = end + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_blank = if are_json { line.trim_ascii().is_empty() } else { line.is_empty() };
        if is_blank {
            continue;
        }
        if are_json {
            json::check(line)
                .map_err(|invalid| Unfit::Json(Invalid { line: index + 1, ..invalid }))?;
        }
        push(records, line, "line", index + 1)?;
    }
    Ok(())
}

fn documents(body: &[u8], records: &mut Records) -> Result<(), Unfit> {
    if body.trim_ascii().is_empty() {
        return Ok(());
    }
    json::check(body).map_err(Unfit::Json)?;
    match json::elements(body) {
        None => push(records, body.trim_ascii(), "document", 1)?,
        Some(elements) => {
            for (index, element) in elements.enumerate() {
                push(records, element, "element", index + 1)?;
            }
        }
    }
    Ok(())
}

fn push(
    records: &mut Records,
    record: &[u8],
    what: &'static str,
    number: usize,
) -> Result<(), Unfit> {
    records.push(record).map_err(|error| Unfit::TooLarge { what, number, error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RECORD_BYTES_MAX;

    fn of(format: Format, body: &str) -> Result<Vec<String>, Unfit> {
        let records = read(format, &Bytes::copy_from_slice(body.as_bytes()))?;
        let mut texts = Vec::new();
        for part in records.into_parts() {
            let mut data = &part.data[..];
            for length in part.lengths {
                let (record, rest) = data.split_at(length as usize);
                texts.push(String::from_utf8(record.to_vec()).unwrap());
                data = rest;
            }
        }
        Ok(texts)
    }

    #[test]
    fn bodies_become_records_as_they_stand() {
        use Format::*;
        for (format, body, expected) in [
            (Ndjson, "{\"a\": 1}\n\n [2]\r\n \n\"x\"", &["{\"a\": 1}", " [2]", "\"x\""][..]),
            (Ndjson, "", &[]),
            (
                Json,
                " [ {\"a\": [1, 2]} ,\n \"],\" , 1e999 ] ",
                &["{\"a\": [1, 2]}", "\"],\"", "1e999"],
            ),
            (Json, "[]", &[]),
            (Json, " {\"a\":\n1}\n", &["{\"a\":\n1}"]),
            (Json, " \n", &[]),
            (Lines, "a\r\n\nb \n{", &["a", "b ", "{"]),
            (Lines, "a\n", &["a"]),
            (Raw, "a\n\nb\n", &["a\n\nb\n"]),
            (Raw, "", &[]),
        ] {
            assert_eq!(of(format, body).unwrap(), expected, "{format:?} {body:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place() {
        let text = of(Format::Ndjson, "{}\n\n{\"a\":}\n").unwrap_err().to_string();
        assert!(text.starts_with("not JSON at line 3, column 6:"), "{text}");
        let large = "x".repeat(RECORD_BYTES_MAX + 1);
        let text = of(Format::Lines, &format!("a\n{large}")).unwrap_err().to_string();
        assert_eq!(text, "line 2: 1024001 bytes are more than a record may have (1024000)");
        let text = of(Format::Json, &format!("[1, \"{large}\"]")).unwrap_err().to_string();
        assert!(text.starts_with("element 2: "), "{text}");
    }

    #[test]
    fn the_content_type_names_the_format() {
        for (content_type, format) in [
            (None, Format::Raw),
            (Some("application/x-ndjson"), Format::Ndjson),
            (Some("Application/JSON; charset=utf-8"), Format::Json),
            (Some("application/vnd.api+json"), Format::Json),
            (Some("text/plain;charset=utf-8"), Format::Lines),
            (Some("application/octet-stream"), Format::Raw),
        ] {
            assert_eq!(by_content_type(content_type), Ok(format), "{content_type:?}");
        }
        for form in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            assert!(by_content_type(Some(form)).is_err(), "{form}");
        }
    }
}
