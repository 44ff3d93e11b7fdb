//! The bodies of answers, written by hand: compact, and without a null, because agents look for
//! the very text `"FailedPutCount":0` and take any `ErrorCode` for a failure.

use super::backend::{PutAnswer, RecordIds};
use crate::{config::firehose::ApiError, record::RecordId};

/// What a throughput limit's refusal is called in an entry of a batch.
const REFUSED_CODE: &str = "ServiceUnavailableException";

impl RecordIds {
    /// The id of the `index`-th accepted record.
    fn id(&self, index: u64) -> RecordId {
        let place = self.places.as_ref().and_then(|places| places.get(index as usize).copied());
        let position = place.unwrap_or_else(|| self.first.plus(index));
        RecordId { journal: self.journal, position }
    }
}

/// The answer to PutRecord.
pub fn one(answer: &PutAnswer) -> Result<Vec<u8>, ApiError> {
    if !answer.refused.is_empty() {
        return Err(ApiError::unavailable(answer.refusal));
    }
    let mut body = Vec::with_capacity(80);
    body.extend_from_slice(&Entry::new(answer.record_ids.id(0)).text);
    body.pop();
    push(&mut body, ",\"Encrypted\":");
    push(&mut body, if answer.encrypted { "true}" } else { "false}" });
    Ok(body)
}

/// The answer to PutRecordBatch: one entry per record of the request, in its order.
pub fn batch(answer: &PutAnswer, records: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(80 + records * 48 + answer.refused.len() * 100);
    push(&mut body, "{\"FailedPutCount\":");
    push(&mut body, &answer.refused.len().to_string());
    push(&mut body, ",\"Encrypted\":");
    push(&mut body, if answer.encrypted { "true" } else { "false" });
    push(&mut body, ",\"RequestResponses\":[");
    let refusal = refused_entry(answer);
    let mut refused = answer.refused.iter().peekable();
    let mut next = Entry::new(answer.record_ids.id(0));
    let mut accepted = 0;
    for index in 0..records {
        if index > 0 {
            body.push(b',');
        }
        if refused.next_if(|&&refused| refused as usize == index).is_some() {
            body.extend_from_slice(&refusal);
        } else {
            body.extend_from_slice(&next.text);
            accepted += 1;
            match &answer.record_ids.places {
                None => next.count_on(),
                Some(_) => next = Entry::new(answer.record_ids.id(accepted)),
            }
        }
    }
    push(&mut body, "]}");
    body
}

/// `{"RecordId":"…"}`, and from there on to that of the following id: the digits of a whole batch
/// are counted up in place.
struct Entry {
    text: [u8; Self::BEFORE.len() + RecordId::HEX_LENGTH + Self::AFTER.len()],
}

impl Entry {
    const BEFORE: &[u8] = b"{\"RecordId\":\"";
    const AFTER: &[u8] = b"\"}";
    /// Digits of the sequence, the last of an id.
    const SEQUENCE_DIGITS: usize = 16;

    fn new(id: RecordId) -> Self {
        let mut text = [0; Self::BEFORE.len() + RecordId::HEX_LENGTH + Self::AFTER.len()];
        let (before, rest) = text.split_at_mut(Self::BEFORE.len());
        let (digits, after) = rest.split_at_mut(RecordId::HEX_LENGTH);
        before.copy_from_slice(Self::BEFORE);
        digits.copy_from_slice(&id.to_hex());
        after.copy_from_slice(Self::AFTER);
        Self { text }
    }

    fn count_on(&mut self) {
        let end = Self::BEFORE.len() + RecordId::HEX_LENGTH;
        for digit in self.text[end - Self::SEQUENCE_DIGITS..end].iter_mut().rev() {
            match *digit {
                b'f' => *digit = b'0',
                b'9' => {
                    *digit = b'a';
                    return;
                }
                _ => {
                    *digit += 1;
                    return;
                }
            }
        }
    }
}

fn refused_entry(answer: &PutAnswer) -> Vec<u8> {
    if answer.refused.is_empty() {
        return Vec::new();
    }
    let message = serde_json::Value::from(answer.refusal);
    format!("{{\"ErrorCode\":\"{REFUSED_CODE}\",\"ErrorMessage\":{message}}}").into_bytes()
}

/// `{"__type":"…","message":"…"}`.
pub fn error(error: &ApiError) -> Vec<u8> {
    let message = serde_json::Value::from(error.message.as_str());
    format!("{{\"__type\":\"{}\",\"message\":{message}}}", error.kind).into_bytes()
}

fn push(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Position;

    fn answer(refused: Vec<u32>) -> PutAnswer {
        PutAnswer {
            record_ids: RecordIds {
                journal: [0xab, 0, 0, 1],
                first: Position::new(0, 15),
                places: None,
            },
            encrypted: false,
            refused,
            refusal: "Slow \"down\".",
        }
    }

    #[test]
    fn a_batch_is_answered_compactly_and_in_order() {
        assert_eq!(
            String::from_utf8(batch(&answer(vec![]), 2)).unwrap(),
            r#"{"FailedPutCount":0,"Encrypted":false,"RequestResponses":[{"RecordId":"ab0000010000000000000000000f"},{"RecordId":"ab00000100000000000000000010"}]}"#
        );
        assert_eq!(
            String::from_utf8(batch(&answer(vec![0, 2]), 4)).unwrap(),
            r#"{"FailedPutCount":2,"Encrypted":false,"RequestResponses":[{"ErrorCode":"ServiceUnavailableException","ErrorMessage":"Slow \"down\"."},{"RecordId":"ab0000010000000000000000000f"},{"ErrorCode":"ServiceUnavailableException","ErrorMessage":"Slow \"down\"."},{"RecordId":"ab00000100000000000000000010"}]}"#
        );
    }

    #[test]
    fn ids_are_counted_up_as_positions_are() {
        for first in [0, 0xfff0, 0x9_ffff_ff00, u64::MAX - 600] {
            let mut ids = answer(vec![]).record_ids;
            ids.first = Position::new(0x0aff, first);
            let mut entry = Entry::new(ids.id(0));
            for index in 0..600 {
                assert_eq!(entry.text, Entry::new(ids.id(index)).text, "{first} + {index}");
                entry.count_on();
            }
        }
    }

    #[test]
    fn one_record_is_answered_or_refused_as_a_whole() {
        let answered = one(&PutAnswer { encrypted: true, ..answer(vec![]) }).unwrap();
        assert_eq!(
            String::from_utf8(answered).unwrap(),
            r#"{"RecordId":"ab0000010000000000000000000f","Encrypted":true}"#
        );
        assert_eq!(one(&answer(vec![0])).unwrap_err(), ApiError::unavailable("Slow \"down\"."));
    }

    #[test]
    fn an_error_is_valid_json_whatever_it_says() {
        let body = error(&ApiError::validation("a \"quote\"\n"));
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"__type":"ValidationException","message":"a \"quote\"\n"}"#
        );
    }
}
