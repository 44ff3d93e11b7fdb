//! What the collector answered, and what each of its codes means for the delivery.
//!
//! The codes count for more than the statuses: several of them share 400, 403 and 503. Proxies
//! answer with a status alone, so that is read where there is no code.

use std::{collections::HashMap, time::Duration};

use ::http::StatusCode;
use serde::Deserialize;

use super::codes;
use crate::{
    fault::{Cause, Fault},
    limits,
    net::http::{Answer, SendError, TlsTrouble},
};

/// An answer of the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hec {
    pub status: StatusCode,
    pub reply: Option<Reply>,
    after: Option<Duration>,
}

/// `{"text":"Success","code":0,"ackId":7}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Reply {
    pub text: Option<String>,
    pub code: Option<i64>,
    #[serde(rename = "ackId")]
    pub ack_id: Option<u64>,
    /// The object that it is about, from 0.
    #[serde(rename = "invalid-event-number")]
    pub invalid_event: Option<u64>,
    /// Of a poll: whether each id is acknowledged.
    pub acks: Option<HashMap<String, bool>>,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The events are taken; with a token that acknowledges, under this id.
    Taken { ack_id: Option<u64> },
    /// An object is at fault. Those before it are taken, under this id; none from it on is.
    Unfit { kind: UnfitKind, object: Option<u64>, ack_id: Option<u64>, cause: Cause },
    /// The token is refused.
    Token(Fault),
    /// The request's channel is missing or wrong.
    Channel(Cause),
    /// Everything else.
    Fault(Fault),
}

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnfitKind {
    /// Code 5: there is none.
    NoData,
    /// Codes 6, 12, 13 and 15.
    Format,
    /// Code 7. The number is that of the object after it.
    Index,
}

impl Hec {
    pub fn read(answer: &Answer) -> Self {
        let reply = serde_json::from_slice(&answer.body).ok();
        Self { status: answer.status, reply, after: answer.retry_after() }
    }

    /// The acknowledgements, if this is the answer to a good poll.
    pub fn acks(&self) -> Option<&HashMap<String, bool>> {
        let reply = self.reply.as_ref().filter(|_| self.status == StatusCode::OK)?;
        reply.acks.as_ref()
    }

    /// Splunk's own words: `Invalid token (HTTP 403, code 4)`.
    pub fn words(&self) -> String {
        let status = self.status.as_u16();
        let Some(reply) = &self.reply else { return format!("HTTP {status}, and no JSON") };
        let text = reply.text.as_deref().unwrap_or("no text");
        let text: String = text.chars().take(limits::MESSAGE_CHARS_MAX).collect();
        match reply.code {
            Some(code) => format!("{text} (HTTP {status}, code {code})"),
            None => format!("{text} (HTTP {status})"),
        }
    }

    pub fn code(&self) -> Option<i64> {
        self.reply.as_ref()?.code
    }

    pub fn verdict(&self) -> Verdict {
        if let StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED = self.status {
            return Verdict::Fault(self.halt(
                codes::URL_NOT_FOUND,
                "there is no HTTP Event Collector: the endpoint is the base URL, https://host:8088",
            ));
        }
        match (self.status, self.code()) {
            // Whoever says so, and whatever else.
            (StatusCode::PAYLOAD_TOO_LARGE, _) => self.by_status(),
            (StatusCode::OK, Some(0 | 24 | 25)) => Verdict::Taken { ack_id: self.ack_id() },
            (_, Some(code)) if (1..=28).contains(&code) => self.by_code(code),
            _ => self.by_status(),
        }
    }

    fn by_code(&self, code: i64) -> Verdict {
        match code {
            1 | 22 => Verdict::Token(self.halt(codes::DISABLED_TOKEN, "enable it in Splunk")),
            2 | 3 | 4 | 16 | 21 => Verdict::Token(self.halt(
                codes::INVALID_TOKEN,
                "the token must be that of an HTTP Event Collector input, as Splunk shows it",
            )),
            5 => self.unfit(UnfitKind::NoData, codes::INVALID_DATA_FORMAT),
            6 | 12 | 13 | 15 => self.unfit(UnfitKind::Format, codes::INVALID_DATA_FORMAT),
            7 => self.unfit(UnfitKind::Index, codes::INVALID_INDEX),
            10 | 11 | 28 => Verdict::Channel(Cause::new(
                codes::INVALID_ENDPOINT,
                format!("{}: a proxy must pass X-Splunk-Request-Channel on", self.words()),
            )),
            14 => Verdict::Fault(self.halt(codes::DISABLED_ACK, ENABLE_ACKNOWLEDGEMENT)),
            9 | 18 | 19 | 20 | 26 | 27 => Verdict::Fault(self.retry(codes::INDEXER_BUSY)),
            // 8, 23, and what belongs to no post.
            _ => Verdict::Fault(self.retry(codes::SERVER_ERROR)),
        }
    }

    /// An answer without a code that is known: of a proxy, or of no collector at all.
    fn by_status(&self) -> Verdict {
        let fault = match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Verdict::Token(
                    self.halt(codes::INVALID_TOKEN, "who answered is not Splunk"),
                );
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                Fault::TooLarge { cause: Cause::new(codes::CONTENT_TOO_LARGE, self.words()) }
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                self.halt(codes::INVALID_DATA_FORMAT, "it may take no gzip: switch that off")
            }
            StatusCode::REQUEST_TIMEOUT => self.retry(codes::CONNECTION_TIMEOUT),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                self.retry(codes::INDEXER_BUSY)
            }
            StatusCode::GATEWAY_TIMEOUT => self.retry(codes::CONNECTION_TIMEOUT),
            status if status.is_redirection() => {
                self.halt(codes::INVALID_ENDPOINT, "redirects are not followed: name the collector")
            }
            status if status.is_server_error() || self.reply.is_some() && !status.is_success() => {
                self.retry(codes::SERVER_ERROR)
            }
            _ => self.retry(codes::INVALID_HEC_RESPONSE),
        };
        Verdict::Fault(fault)
    }

    fn unfit(&self, kind: UnfitKind, code: &str) -> Verdict {
        let object = self.reply.as_ref().and_then(|reply| reply.invalid_event);
        let cause = Cause::new(code, self.words());
        Verdict::Unfit { kind, object, ack_id: self.ack_id(), cause }
    }

    fn ack_id(&self) -> Option<u64> {
        self.reply.as_ref()?.ack_id
    }

    fn halt(&self, code: &str, hint: &str) -> Fault {
        Fault::halt(code, format!("{}: {hint}", self.words()))
    }

    fn retry(&self, code: &str) -> Fault {
        Fault::Retry { cause: Cause::new(code, self.words()), after: self.after }
    }
}

/// What to do about a token that acknowledges nothing.
pub(super) const ENABLE_ACKNOWLEDGEMENT: &str =
    "enable indexer acknowledgement for the token, or set acknowledgment: false";

/// What a request without an answer means.
pub(super) fn transport(error: &SendError) -> Fault {
    let text = error.to_string();
    match error {
        SendError::Timeout(_) => Fault::retry(codes::CONNECTION_TIMEOUT, text),
        SendError::Broken(_) => Fault::retry(codes::CONNECTION_CLOSED, text),
        SendError::TooLarge { .. } | SendError::Malformed(_) => {
            Fault::retry(codes::INVALID_HEC_RESPONSE, text)
        }
        SendError::Request(_) => Fault::halt(codes::INVALID_ENDPOINT, text),
        // Somebody has to name the right authorities, or renew a certificate.
        SendError::Tls(TlsTrouble::Issuer | TlsTrouble::Certificate, _) => {
            Fault::halt(codes::SSL_UNVERIFIED, text)
        }
        SendError::Tls(..) => Fault::retry(codes::SSL_HANDSHAKE, text),
        SendError::Connect(_) if text.contains("timed out") || text.contains("deadline") => {
            Fault::retry(codes::CONNECTION_TIMEOUT, text)
        }
        SendError::Connect(_) | SendError::Credentials(_) => {
            Fault::retry(codes::INVALID_ENDPOINT, text)
        }
    }
}
