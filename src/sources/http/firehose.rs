//! `protocol: firehose`: what a Firehose stream with an HTTP endpoint as its destination sends, so
//! that a stream in AWS flows into this one (guide, "Understand HTTP endpoint delivery request and
//! response specifications").
//!
//! Attempts of one batch carry the same request id: its records are stored once. The common
//! attributes are looked at for their form and not kept. Nothing is ever answered with 413, for
//! then Firehose gives the batch up at once without writing it to its error bucket; with 400 it
//! tries again and writes it there in the end.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::WWW_AUTHENTICATE, request::Parts};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::json;

use super::{
    auth::Keys,
    options::{Options, Secrets},
    protocol::{
        Admission, Call, Caller, Incoming, Protocol, Putter, RETRY_AFTER_S, Refusal, compute,
        header, json, retry_after,
    },
    records::Records,
};
use crate::{env::Clock, limits::HTTP_FIREHOSE_RECORDS_MAX};

const VERSION: &str = "x-amz-firehose-protocol-version";
const REQUEST_ID: &str = "x-amz-firehose-request-id";
const SOURCE: &str = "x-amz-firehose-source-arn";
const ACCESS_KEY: &str = "x-amz-firehose-access-key";
const ATTRIBUTES: &str = "x-amz-firehose-common-attributes";
/// Longest request id that is taken: Firehose sends a UUID.
const REQUEST_ID_BYTES_MAX: usize = 256;
/// Longest `errorMessage` (the specification).
const MESSAGE_CHARS_MAX: usize = 8192;
/// Most common attributes (the specification).
const ATTRIBUTES_MAX: usize = 50;

/// Firehose's requests for one stream.
pub struct Firehose {
    stream: String,
    path: String,
    keys: Keys,
    anonymous: bool,
    max_body: usize,
    clock: Arc<dyn Clock>,
}

/// A request that Firehose would not send.
#[derive(Debug, PartialEq, Eq)]
struct Unfit(String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    #[serde(rename = "timestamp")]
    _timestamp: i64,
    #[serde(borrow)]
    records: Entries<'a>,
}

/// The entries of `records`, never more than a request has.
struct Entries<'a>(Vec<Entry<'a>>);

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    common_attributes: BTreeMap<String, String>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;

        impl<'de> Visitor<'de> for Bounded {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of records")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    if entries.len() == HTTP_FIREHOSE_RECORDS_MAX {
                        let message = format!("more than {HTTP_FIREHOSE_RECORDS_MAX} records");
                        return Err(A::Error::custom(message));
                    }
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_seq(Bounded)
    }
}

impl Firehose {
    pub fn new(options: &Options, stream: &str, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let keys = options.access_key.as_ref().map(Secrets::all).unwrap_or_default();
        Ok(Self {
            stream: stream.to_owned(),
            path: options.path_of(stream),
            keys: Keys::load(keys.to_vec())?,
            anonymous: options.anonymous,
            max_body: options.max_body(),
            clock,
        })
    }

    fn call(&self, request: &Incoming, id: &str, records: &Records) -> Call {
        let source = header(&request.head, SOURCE).unwrap_or_default();
        let parts = [
            &b"firehose"[..],
            self.stream.as_bytes(),
            &request.caller,
            source.as_bytes(),
            id.as_bytes(),
        ];
        // Not of the body: it has a time in it, which another attempt may have anew.
        Call::with_checksum(&parts, records.checksum())
    }

    /// `{"requestId", "timestamp"}`, and what went wrong.
    fn reply(&self, head: &Parts, status: StatusCode, error: Option<&str>) -> Response<Bytes> {
        let id = header(head, REQUEST_ID).filter(|id| id.len() <= REQUEST_ID_BYTES_MAX);
        let id = id.unwrap_or_default();
        let mut body = json!({ "requestId": id, "timestamp": self.clock.now_ms() });
        if let Some(error) = error {
            body["errorMessage"] = error.chars().take(MESSAGE_CHARS_MAX).collect::<String>().into();
        }
        json(status, &body)
    }
}

/// The request id, of a head that is as it must be.
fn read_head(head: &Parts) -> Result<Cow<'_, str>, Unfit> {
    if header(head, VERSION).as_deref() != Some("1.0") {
        return Err(Unfit(format!("{VERSION} must be 1.0")));
    }
    let id = header(head, REQUEST_ID).ok_or_else(|| Unfit(format!("{REQUEST_ID} is missing")))?;
    if id.len() > REQUEST_ID_BYTES_MAX {
        return Err(Unfit(format!("{REQUEST_ID} is longer than {REQUEST_ID_BYTES_MAX} bytes")));
    }
    let content_type = header(head, "content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Unfit("the Content-Type must be application/json".into()));
    }
    if let Some(text) = header(head, ATTRIBUTES) {
        let wrong = |why: &str| Unfit(format!("{ATTRIBUTES} {why}"));
        let attributes: Attributes = serde_json::from_str(&text)
            .map_err(|_| wrong("is not {\"commonAttributes\":{\"name\":\"value\"}}"))?;
        if attributes.common_attributes.len() > ATTRIBUTES_MAX {
            return Err(wrong("has more than 50 attributes"));
        }
    }
    Ok(id)
}

/// The records of a body that belongs to a request of this id.
fn read_body(body: &[u8], id: &str) -> Result<Records, Unfit> {
    let body: Body<'_> = serde_json::from_slice(body)
        .map_err(|error| Unfit(format!("the body is not a request of Firehose: {error}")))?;
    if body.request_id != id {
        return Err(Unfit(format!("requestId is not what {REQUEST_ID} says")));
    }
    let mut records = Records::default();
    let mut data = Vec::new();
    for (index, entry) in body.records.0.iter().enumerate() {
        let wrong = |why: String| Unfit(format!("record {}: {why}", index + 1));
        data.clear();
        base64_simd::STANDARD
            .decode_append(entry.data.as_bytes(), &mut data)
            .map_err(|_| wrong("data is not valid base64".into()))?;
        records.push(&data).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(records)
}

#[async_trait]
impl Protocol for Firehose {
    fn paths(&self) -> Vec<String> {
        vec![self.path.clone()]
    }

    fn keys(&self) -> Vec<Caller> {
        self.keys.digests()
    }

    fn reload(&self) -> Result<(), String> {
        self.keys.reload()
    }

    fn admits(&self, head: &Parts) -> Admission {
        if self.anonymous {
            return Admission::Yes(Caller::default());
        }
        let key = head.headers.get(ACCESS_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
        match self.keys.find(key) {
            Some(caller) => Admission::Yes(caller),
            None => {
                let message = "the access key is not this stream's";
                let mut answer = self.reply(head, StatusCode::UNAUTHORIZED, Some(message));
                let challenge = "X-Amz-Firehose-Access-Key realm=\"standpipe\"";
                let challenge = HeaderValue::from_static(challenge);
                answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                Admission::no(answer)
            }
        }
    }

    fn max_body(&self) -> usize {
        self.max_body
    }

    fn refuse(&self, head: &Parts, refusal: &Refusal) -> Response<Bytes> {
        let status = match refusal {
            Refusal::TooLarge { .. } => StatusCode::BAD_REQUEST,
            other => other.status(),
        };
        let answer = self.reply(head, status, Some(&refusal.to_string()));
        if refusal.is_passing() { retry_after(answer, RETRY_AFTER_S) } else { answer }
    }

    async fn answer(&self, request: Incoming, putter: &dyn Putter) -> Response<Bytes> {
        let head = &request.head;
        let unfit = |Unfit(why): Unfit| self.reply(head, StatusCode::BAD_REQUEST, Some(&why));
        let id = match read_head(head) {
            Ok(id) => id.into_owned(),
            Err(why) => return unfit(why),
        };
        let (body, of) = (request.body.clone(), id.clone());
        let records = match compute(body.len(), move || read_body(&body, &of)).await {
            Ok(records) => records,
            Err(why) => return unfit(why),
        };
        let call = self.call(&request, &id, &records);
        match putter.put(records, Some(call)).await {
            Ok(_) => self.reply(head, StatusCode::OK, None),
            Err(error) => {
                let answer = self.reply(head, error.status(), Some(&error.to_string()));
                retry_after(answer, error.retry_after_s())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_head_is_as_specified_or_named() {
        let good = [
            (VERSION, "1.0"),
            (REQUEST_ID, "a-b"),
            ("content-type", "application/json"),
            (ATTRIBUTES, r#"{"commonAttributes":{"a":"b"}}"#),
        ];
        assert_eq!(read_head(&head(&good)).unwrap(), "a-b");
        assert_eq!(read_head(&head(&good[..3])).unwrap(), "a-b");
        let with = |index: usize, value: &'static str| {
            let mut headers = good;
            headers[index].1 = value;
            read_head(&head(&headers)).unwrap_err().0
        };
        assert!(with(0, "2.0").contains("must be 1.0"));
        assert!(with(1, " ").contains("missing"));
        assert!(with(1, "x".repeat(300).leak()).contains("longer"));
        assert!(with(2, "text/plain").contains("application/json"));
        assert!(with(3, r#"{"a":"b"}"#).contains("commonAttributes"));
    }

    #[test]
    fn a_body_is_as_specified_or_named() {
        let body = |records: &str| {
            read_body(
                format!(r#"{{"requestId":"r","timestamp":1,"records":[{records}]}}"#).as_bytes(),
                "r",
            )
        };
        let records = body(r#"{"data":"YWI="},{"data":""},{"data":"Yw\u003d\u003d"}"#).unwrap();
        assert_eq!(records.len(), 3);
        let again = body(r#"{"data":"YWI="},{"data":""},{"data":"Yw=="}"#).unwrap();
        assert_eq!(records.checksum(), again.checksum());
        let other = body(r#"{"data":"YWI="},{"data":"Yw=="},{"data":""}"#).unwrap();
        assert_ne!(records.checksum(), other.checksum());
        assert_eq!(records.into_parts()[0].data, b"abc");
        let no = |records: &str| body(records).err().unwrap().0;
        assert!(no(r#"{"data":"YWI="},{"data":"!"}"#).contains("record 2: data is not"));
        assert!(no(r#"{"daten":""}"#).contains("data"));
        let large = "A".repeat(1_365_340);
        assert!(no(&format!(r#"{{"data":"{large}"}}"#)).contains("record 1: "));
        let many = vec![r#"{"data":""}"#; HTTP_FIREHOSE_RECORDS_MAX + 1].join(",");
        assert!(no(&many).contains("more than 10000"));
        assert!(read_body(br#"{"requestId":"x","timestamp":1,"records":[]}"#, "r").is_err());
        assert!(read_body(br#"{"requestId":"r","records":[]}"#, "r").is_err());
    }
}
