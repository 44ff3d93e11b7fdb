//! Splunk's HTTP event collector, as its clients see it.
//!
//! ```text
//! /services/collector[/event[/1.0]]   envelopes ─┐
//! /services/collector/raw[/1.0]       lines     ─┴▶ records ─▶ put ─▶ {"text":"Success","code":0}
//! /services/collector/ack[/1.0]       which ids are true
//! /services/collector/health[/1.0]    always
//! ```
//!
//! Success is answered once all events are stored, so acknowledgement adds nothing to it: it is
//! there for clients that insist. As at Splunk, a bad event is named by its number, and what
//! stands before it is taken. Of a request of more than 4 MiB of events the first may be stored
//! when the answer is "Server is busy": clients send all of it again.

mod acks;
mod codes;
mod events;
mod options;
mod query;
#[cfg(test)]
mod tests;

pub use options::HecOutput;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use self::{
    acks::Acks,
    codes::Code,
    events::{Bad, Metadata, Parsed, Why},
};
use super::{
    Options,
    auth::{self, Keys},
    protocol::{
        self, Admission, Caller, Incoming, NotStored, Protocol, Putter, RETRY_AFTER_S, Refusal,
        compute, header, retry_after,
    },
};
use crate::limits;

const ROOT: &str = "/services/collector";

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Event,
    Raw,
    Ack,
    Health,
}

/// What stands behind [`ROOT`].
const ENDPOINTS: [(&str, Endpoint); 9] = [
    ("", Endpoint::Event),
    ("/event", Endpoint::Event),
    ("/event/1.0", Endpoint::Event),
    ("/raw", Endpoint::Raw),
    ("/raw/1.0", Endpoint::Raw),
    ("/ack", Endpoint::Ack),
    ("/ack/1.0", Endpoint::Ack),
    ("/health", Endpoint::Health),
    ("/health/1.0", Endpoint::Health),
];

/// The collector of one stream.
pub struct Hec {
    prefix: String,
    /// `None`: whoever comes.
    tokens: Option<Keys>,
    output: HecOutput,
    acks: Option<Acks>,
    max_body: usize,
}

impl Hec {
    /// # Errors
    /// A token cannot be read.
    pub fn new(options: &Options) -> Result<Self, String> {
        let load = || Keys::load(options.tokens());
        Ok(Self {
            prefix: options.prefix().to_owned(),
            tokens: (!options.anonymous).then(load).transpose()?,
            output: options.output.unwrap_or_default(),
            acks: options.ack.then(Acks::default),
            max_body: options.max_body(),
        })
    }

    fn endpoint(&self, path: &str) -> Option<Endpoint> {
        let rest = path.trim_end_matches('/').strip_prefix(&self.prefix)?.strip_prefix(ROOT)?;
        ENDPOINTS.into_iter().find(|(path, _)| *path == rest).map(|(_, endpoint)| endpoint)
    }

    /// Who a request is from: `Splunk <token>`, or the token as the password of any name.
    fn caller(&self, head: &Parts) -> Result<Caller, Code> {
        let Some(tokens) = &self.tokens else { return Ok(Caller::default()) };
        if header(head, "authorization").is_none() {
            return Err(Code::TokenRequired);
        }
        let basic = auth::basic(head);
        let password = basic.as_deref().and_then(|basic| {
            let colon = memchr::memchr(b':', basic)?;
            Some(&basic[colon + 1..])
        });
        let token = auth::authorization(head, "Splunk").or(password);
        match token {
            None | Some([]) => Err(Code::InvalidAuthorization),
            Some(token) => tokens.find(token).ok_or(Code::InvalidToken),
        }
    }

    /// The acknowledgements with the channel that the request names; `None` without them.
    fn channel(&self, head: &Parts) -> Result<Option<(&Acks, Uuid)>, Code> {
        let Some(acks) = &self.acks else { return Ok(None) };
        let named = header(head, "x-splunk-request-channel").map(|name| name.into_owned());
        let named = named.or_else(|| query::value(head, "channel")).ok_or(Code::ChannelMissing)?;
        let channel = Uuid::try_parse(&named).map_err(|_| Code::InvalidChannel)?;
        Ok(Some((acks, channel)))
    }

    async fn take(
        &self,
        endpoint: Endpoint,
        request: Incoming,
        putter: &dyn Putter,
    ) -> Result<Response<Bytes>, Code> {
        let Incoming { head, body, caller, .. } = request;
        let channel = self.channel(&head)?;
        let output = self.output;
        let is_event = endpoint == Endpoint::Event;
        let metadata = Metadata::of(&head);
        let Parsed { records, bad } = compute(body.len(), move || {
            if is_event {
                events::envelopes(&body, output)
            } else {
                events::lines(&body, output, &metadata)
            }
        })
        .await;
        if records.is_empty() {
            return match bad {
                Some(bad) => Ok(refusal(bad, None)),
                None => Err(Code::NoData),
            };
        }
        if let Err(error) = putter.put(records, None).await {
            return Ok(not_stored(&error));
        }
        let ack_id = channel.map(|(acks, channel)| acks.give(caller, channel));
        Ok(match bad {
            Some(bad) => refusal(bad, ack_id),
            None => Code::Success.with(&ack(ack_id)),
        })
    }

    fn acknowledged(&self, request: &Incoming) -> Result<Response<Bytes>, Code> {
        let (acks, channel) = self.channel(&request.head)?.ok_or(Code::AckDisabled)?;
        let question: Question =
            serde_json::from_slice(&request.body).map_err(|_| Code::InvalidDataFormat)?;
        let mut ids = question.acks;
        if ids.len() > limits::HEC_ACKS_ASKED_MAX {
            return Err(Code::InvalidDataFormat);
        }
        ids.sort_unstable();
        ids.dedup();
        let states = acks.take(request.caller, channel, &ids);
        let states: Vec<String> =
            ids.iter().zip(states).map(|(id, state)| format!("\"{id}\":{state}")).collect();
        let mut answer = protocol::json(StatusCode::OK, &Value::Null);
        *answer.body_mut() = format!("{{\"acks\":{{{}}}}}", states.join(",")).into();
        Ok(answer)
    }
}

/// The body of a question for acknowledgements.
#[derive(Deserialize)]
struct Question {
    acks: Vec<u64>,
}

fn ack(id: Option<u64>) -> Vec<(&'static str, Value)> {
    id.map(|id| ("ackId", id.into())).into_iter().collect()
}

/// The answer to a request of which a part cannot be taken.
fn refusal(Bad { why, number }: Bad, ack_id: Option<u64>) -> Response<Bytes> {
    tracing::warn!(number, ?why, "an event was refused, and those of its request behind it");
    let mut members = vec![("invalid-event-number", number.into())];
    members.extend(ack(ack_id));
    match why {
        Why::Code(code) => code.with(&members),
        Why::TooLarge(error) => {
            members.push(("text", format!("Invalid data format: {error}").into()));
            Code::InvalidDataFormat.with(&members)
        }
    }
}

fn not_stored(error: &NotStored) -> Response<Bytes> {
    let code = match error.why {
        protocol::Why::Throttled | protocol::Why::Full => Code::Busy,
        // Whether it is stored is not known.
        protocol::Why::Failed(_) => Code::InternalError,
        protocol::Why::Stopping => Code::ShuttingDown,
    };
    retry_after(code.answer(), error.retry_after_s())
}

#[async_trait]
impl Protocol for Hec {
    fn paths(&self) -> Vec<String> {
        ENDPOINTS.iter().map(|(path, _)| format!("{}{ROOT}{path}", self.prefix)).collect()
    }

    fn methods(&self, path: &str) -> &'static [Method] {
        const GET: &[Method] = &[Method::GET, Method::HEAD];
        const POST: &[Method] = &[Method::POST];
        if self.endpoint(path) == Some(Endpoint::Health) { GET } else { POST }
    }

    fn keys(&self) -> Vec<Caller> {
        self.tokens.iter().flat_map(Keys::digests).collect()
    }

    fn reload(&self) -> Result<(), String> {
        self.tokens.as_ref().map_or(Ok(()), Keys::reload)
    }

    fn admits(&self, head: &Parts) -> Admission {
        // Load balancers ask for health without a token.
        if self.endpoint(head.uri.path()) == Some(Endpoint::Health) {
            return Admission::Yes(Caller::default());
        }
        match self.caller(head) {
            Ok(caller) => Admission::Yes(caller),
            Err(code) => Admission::no(code.answer()),
        }
    }

    fn max_body(&self) -> usize {
        self.max_body
    }

    fn refuse(&self, _head: &Parts, refusal: &Refusal) -> Response<Bytes> {
        let answer = match refusal {
            Refusal::Crowded => Code::Busy.answer(),
            Refusal::Stopping => Code::ShuttingDown.answer(),
            Refusal::Broken | Refusal::Unpack(_) => Code::InvalidDataFormat.answer(),
            Refusal::TooLarge { .. } | Refusal::TooSlow | Refusal::Encoding(_) => {
                codes::plain(refusal.status(), &refusal.to_string())
            }
        };
        if refusal.is_passing() { retry_after(answer, RETRY_AFTER_S) } else { answer }
    }

    async fn answer(&self, request: Incoming, putter: &dyn Putter) -> Response<Bytes> {
        let answer = match self.endpoint(request.head.uri.path()) {
            Some(Endpoint::Health) => Ok(Code::Healthy.answer()),
            Some(Endpoint::Ack) => self.acknowledged(&request),
            Some(endpoint) => self.take(endpoint, request, putter).await,
            None => Ok(codes::plain(StatusCode::NOT_FOUND, "The requested URL was not found.")),
        };
        answer.unwrap_or_else(Code::answer)
    }
}
