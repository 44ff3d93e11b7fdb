//! Bodies of the collector, taken apart: envelopes of the event endpoint, lines of the raw one.
//!
//! Splunk indexes what stands before the first event that it cannot take, and names that one by
//! its number; its clients send the rest again without it. So here: what stands before is stored.

use http::request::Parts;

use super::{codes::Code, options::HecOutput, query};
use crate::sources::http::{
    records::{Records, TooLarge},
    walk::{Cursor, NoJson, Quoted},
};

/// What a body holds.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// The events before the first bad one.
    pub(super) records: Records,
    pub(super) bad: Option<Bad>,
}

/// The first event that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) why: Why,
    /// Its number, from 0.
    pub(super) number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Code(Code),
    TooLarge(TooLarge),
}

impl From<NoJson> for Why {
    fn from(_: NoJson) -> Self {
        Self::Code(Code::InvalidDataFormat)
    }
}

impl From<Code> for Why {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

impl From<TooLarge> for Why {
    fn from(error: TooLarge) -> Self {
        Self::TooLarge(error)
    }
}

/// Takes the body of the event endpoint apart: envelopes back to back, with white space between
/// them or none, or in arrays.
pub(super) fn envelopes(body: &[u8], output: HecOutput) -> Parsed {
    let (text, is_text) = match std::str::from_utf8(body) {
        Ok(text) => (text, true),
        // What is UTF-8 up to there may hold whole events.
        Err(error) => {
            let (valid, _) = body.split_at(error.valid_up_to());
            (std::str::from_utf8(valid).expect("it is valid so far"), false)
        }
    };
    let mut parsed = Parsed::default();
    let read = all(text, output, &mut parsed.records);
    let read =
        read.and_then(|()| if is_text { Ok(()) } else { Err(NoJson { at: text.len() }.into()) });
    if let Err(why) = read {
        parsed.bad = Some(Bad { why, number: parsed.records.len() });
    }
    parsed
}

fn all(text: &str, output: HecOutput, records: &mut Records) -> Result<(), Why> {
    let mut cursor = Cursor::new(text);
    loop {
        match cursor.peek() {
            None => return Ok(()),
            Some(b'[') => {
                cursor.array(|cursor| envelope(text, cursor, output, records))?;
            }
            Some(_) => envelope(text, &mut cursor, output, records)?,
        }
    }
}

/// What stands under `event`.
enum Event<'a> {
    Text(Quoted<'a>),
    Json(&'a str),
}

fn envelope<'a>(
    text: &'a str,
    cursor: &mut Cursor<'a>,
    output: HecOutput,
    records: &mut Records,
) -> Result<(), Why> {
    cursor.peek();
    let start = cursor.at();
    let (mut event, mut fields_fit) = (None, true);
    cursor.object(|name, cursor| {
        match &*name.text() {
            "event" => {
                event = Some(match cursor.peek() {
                    Some(b'"') => Event::Text(cursor.string()?),
                    _ => Event::Json(cursor.value()?),
                });
            }
            "fields" => {
                fields_fit = matches!(cursor.peek(), Some(b'{' | b'n'));
                cursor.value()?;
            }
            // Splunk drops an envelope with a member that it does not know, and all that follow
            // it, and says nothing. There is no need to.
            _ => drop(cursor.value()?),
        }
        Ok::<(), NoJson>(())
    })?;
    let event = match event {
        None | Some(Event::Json("null")) => return Err(Code::EventRequired.into()),
        Some(Event::Text(text)) if text.raw().is_empty() => return Err(Code::EventBlank.into()),
        Some(event) => event,
    };
    if !fields_fit {
        return Err(Code::Fields.into());
    }
    match (output, event) {
        (HecOutput::Envelope, _) => records.push(&text.as_bytes()[start..cursor.at()])?,
        (HecOutput::Event, Event::Text(text)) => records.push(text.text().as_bytes())?,
        (HecOutput::Event, Event::Json(json)) => records.push(json.as_bytes())?,
    }
    Ok(())
}

/// What the query of a request to the raw endpoint says of all its lines.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    /// `{"host":"…",…,"event":`; what follows is the line.
    before: Vec<u8>,
}

impl Metadata {
    pub(super) fn of(head: &Parts) -> Self {
        let mut before = vec![b'{'];
        for name in ["time", "host", "source", "sourcetype", "index"] {
            if let Some(value) = query::value(head, name) {
                let is_number = name == "time" && value.parse::<f64>().is_ok();
                let whole = is_number.then(|| Cursor::new(&value).value().ok()).flatten();
                let json = match whole {
                    Some(number) if number.len() == value.len() => number.to_owned(),
                    _ => quoted(&value),
                };
                before.extend_from_slice(format!("\"{name}\":{json},").as_bytes());
            }
        }
        before.extend_from_slice(b"\"event\":");
        Self { before }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text serializes")
}

/// Takes the body of the raw endpoint apart: each line a record, empty ones passed over. As
/// `event` a line stands as it came; in an envelope it has to be UTF-8, and what is not becomes
/// U+FFFD.
pub(super) fn lines(body: &[u8], output: HecOutput, metadata: &Metadata) -> Parsed {
    let mut parsed = Parsed::default();
    let mut envelope = Vec::new();
    for line in body.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let pushed = match output {
            HecOutput::Event => parsed.records.push(line),
            HecOutput::Envelope => {
                envelope.clear();
                envelope.extend_from_slice(&metadata.before);
                envelope.extend_from_slice(quoted(&String::from_utf8_lossy(line)).as_bytes());
                envelope.push(b'}');
                parsed.records.push(&envelope)
            }
        };
        if let Err(error) = pushed {
            parsed.bad = Some(Bad { why: error.into(), number: parsed.records.len() });
            break;
        }
    }
    parsed
}
