//! What an answer by the delivery protocol means (developer guide, "HTTP endpoint delivery request
//! and response specifications").
//!
//! Success is a status of 200 with a body that says so and breaks no rule. Everything else is tried
//! again, but for three: 413 asks for less at a time, 401 and 403 hold the destination until
//! somebody mends the key. These three count whatever the rest of the answer looks like.
//!
//! Two rules are read generously, for the request's id in the body proves already that the records
//! are taken: `application/json` may have parameters (`; charset=utf-8` is what most frameworks
//! send), and a body may come in chunks instead of with a `Content-Length`.

use std::fmt;

use ::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::{
    fault::{Cause, Fault},
    limits,
    net::http::Answer,
};

const INVALID: &str = "HttpEndpoint.InvalidResponseFromDestination";
const REFUSED: &str = "HttpEndpoint.DestinationException";

/// Whether the records of this request are taken, and else what to do.
pub(super) fn judge(answer: &Answer, request_id: &str, secrets: &[String]) -> Result<(), Fault> {
    let status = answer.status.as_u16();
    let said = || Cause::new(REFUSED, message(answer, secrets));
    let retry = |cause| Err(Fault::Retry { cause, after: answer.retry_after() });
    match status {
        413 => return Err(Fault::TooLarge { cause: said() }),
        401 | 403 => return Err(Fault::Halt { cause: said() }),
        _ => {}
    }
    if let Some((code, text)) = beyond_limits(answer) {
        return retry(Cause::new(code, text));
    }
    match status {
        200 => {
            let broken = |rule: String| Cause::new(INVALID, clean(&rule, secrets));
            check(answer, request_id).map_err(broken).or_else(retry)
        }
        400..=599 => retry(said()),
        _ => {
            let text = format!("the answer's status is {status}: only 200 is success");
            retry(Cause::new("HttpEndpoint.InvalidStatusCode", text))
        }
    }
}

/// What is too long in an answer.
fn beyond_limits(answer: &Answer) -> Option<(&'static str, String)> {
    let reason = answer.reason.as_ref().map_or(0, |reason| reason.chars().count());
    if reason > limits::ENDPOINT_REASON_CHARS_MAX {
        let text = format!(
            "the answer's reason phrase has more than {} characters",
            limits::ENDPOINT_REASON_CHARS_MAX
        );
        return Some(("HttpEndpoint.ResponseReasonPhraseExceededLimit", text));
    }
    // Each line of the head has a colon, a space and a line's end besides.
    let head: usize =
        answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if head + answer.body.len() > limits::ENDPOINT_ANSWER_BYTES_MAX {
        let text = format!(
            "the answer is larger than {} bytes, its headers included",
            limits::ENDPOINT_ANSWER_BYTES_MAX
        );
        return Some(("HttpEndpoint.ResponseTooLarge", text));
    }
    None
}

/// The rules for an answer, of which the first that is broken is told.
fn check(answer: &Answer, request_id: &str) -> Result<(), String> {
    if answer.headers.contains_key(CONTENT_ENCODING) {
        return Err("the answer has a Content-Encoding, which is not allowed".into());
    }
    let content_type = match answer.headers.get(CONTENT_TYPE) {
        Some(value) => String::from_utf8_lossy(value.as_bytes()),
        None => return Err("the answer has no Content-Type: application/json is needed".into()),
    };
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(format!("the answer's Content-Type is {kind}, not application/json"));
    }
    let members = Members::read(&answer.body)?;
    match &members.request_id {
        Some(Member::Text(id)) if id == request_id => {}
        Some(Member::Text(id)) => {
            return Err(format!("the answer's requestId is {}, not {request_id}", short(id)));
        }
        Some(_) => return Err("the answer's requestId is no text".into()),
        None => return Err("the answer has no requestId".into()),
    }
    match members.timestamp {
        Some(Member::Number) => Ok(()),
        Some(_) => Err("the answer's timestamp is no number".into()),
        None => Err("the answer has no timestamp".into()),
    }
}

/// The members of an answer's body.
#[derive(Debug, Default)]
struct Members {
    request_id: Option<Member>,
    timestamp: Option<Member>,
    error_message: Option<Member>,
    /// The first member that the protocol does not know, or that stands twice.
    unexpected: Option<String>,
}

impl Members {
    /// Reads a body and checks what holds for any, of success or not.
    fn read(body: &[u8]) -> Result<Self, String> {
        let members: Self = serde_json::from_slice(body).map_err(|error| {
            format!("the answer's body is not the JSON of the protocol: {error}")
        })?;
        if let Some(name) = &members.unexpected {
            return Err(format!("the answer has unexpected fields: {}", short(name)));
        }
        match &members.error_message {
            // Frameworks write a member that is not set as null.
            None | Some(Member::Null) => {}
            Some(Member::Text(text)) => {
                if text.chars().count() > limits::ENDPOINT_ERROR_CHARS_MAX {
                    return Err(format!(
                        "the answer's errorMessage has more than {} characters",
                        limits::ENDPOINT_ERROR_CHARS_MAX
                    ));
                }
            }
            Some(_) => return Err("the answer's errorMessage is no text".into()),
        }
        Ok(members)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members::default();
                while let Some(name) = map.next_key::<String>()? {
                    let member = match name.as_str() {
                        "requestId" => &mut members.request_id,
                        "timestamp" => &mut members.timestamp,
                        "errorMessage" => &mut members.error_message,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            members.unexpected.get_or_insert(name);
                            continue;
                        }
                    };
                    if member.replace(map.next_value()?).is_some() {
                        members.unexpected.get_or_insert(format!("{name} twice"));
                    }
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Read)
    }
}

/// A member's value, as far as it matters. Nothing is built of what is nested.
#[derive(Debug, PartialEq, Eq)]
enum Member {
    Text(String),
    Number,
    Null,
    Other,
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Member, E> {
                Ok(Member::Text(text.to_owned()))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Member, E> {
                Ok(Member::Number)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Member, E> {
                Ok(Member::Number)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Member, E> {
                Ok(Member::Number)
            }

            fn visit_unit<E>(self) -> Result<Member, E> {
                Ok(Member::Null)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Member, E> {
                Ok(Member::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Member, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Member::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Member::Other)
            }
        }

        deserializer.deserialize_any(Read)
    }
}

/// What an answer of failure says: its `errorMessage` where it follows the protocol, else how its
/// body begins.
fn message(answer: &Answer, secrets: &[String]) -> String {
    let said = match Members::read(&answer.body) {
        Ok(Members { error_message: Some(Member::Text(text)), .. }) => text,
        _ => String::from_utf8_lossy(&answer.body).into_owned(),
    };
    with_status(answer, &said, secrets)
}

/// `503: what it said`.
pub(super) fn with_status(answer: &Answer, said: &str, secrets: &[String]) -> String {
    let status = answer.status.as_u16();
    let said = clean(said, secrets);
    if said.is_empty() { format!("status {status}") } else { format!("status {status}: {said}") }
}

/// What somebody else wrote, fit for a message of ours: on one line, bounded, and without what is
/// secret even if they have repeated it.
pub(super) fn clean(text: &str, secrets: &[String]) -> String {
    /// Shorter ones are no secrets, and would tear texts to pieces.
    const SECRET_CHARS_MIN: usize = 6;
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= SECRET_CHARS_MIN) {
        text = text.replace(secret.as_str(), "***");
    }
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(limits::MESSAGE_CHARS_MAX).collect()
}

/// A name or an id of the answer, bounded.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
