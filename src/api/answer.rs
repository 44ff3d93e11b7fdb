//! The bodies of answers, written by hand: compact, and without a null, because agents look for
//! the very text `"FailedPutCount":0` and take any `ErrorCode` for a failure.

use super::backend::{PutAnswer, RecordIds};
use crate::{config::firehose::ApiError, record::RecordId};

/// What a throughput limit's refusal is called in an entry of a batch.
const REFUSED_CODE: &str = "ServiceUnavailableException";

impl RecordIds {
    /// The id of the `index`-th accepted record.
    fn id(&self, index: u64) -> RecordId {
        RecordId { journal: self.journal, position: self.first.plus(index) }
    }
}

/// The answer to PutRecord.
pub fn one(answer: &PutAnswer) -> Result<Vec<u8>, ApiError> {
    if !answer.refused.is_empty() {
        return Err(ApiError::unavailable(answer.refusal));
    }
    let mut body = Vec::with_capacity(80);
    push_id(&mut body, answer.record_ids.id(0));
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
    let mut accepted = 0;
    for index in 0..records {
        if index > 0 {
            body.push(b',');
        }
        if refused.next_if(|&&refused| refused as usize == index).is_some() {
            body.extend_from_slice(&refusal);
        } else {
            push_id(&mut body, answer.record_ids.id(accepted));
            accepted += 1;
        }
    }
    push(&mut body, "]}");
    body
}

/// `{"RecordId":"…"}`.
fn push_id(body: &mut Vec<u8>, id: RecordId) {
    push(body, "{\"RecordId\":\"");
    body.extend_from_slice(&id.to_hex());
    push(body, "\"}");
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
            record_ids: RecordIds { journal: [0xab, 0, 0, 1], first: Position::new(0, 15) },
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
