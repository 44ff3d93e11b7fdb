//! OpenTelemetry logs over HTTP (OTLP/HTTP, POST /v1/logs), in Protocol Buffers or JSON.
//!
//! ```text
//! body ─ protobuf ─┬▶ fields, read where they stand ─▶ one JSON document per log record ─▶ put
//!      └ mapping  ─┘  (no tree in between)
//! ```
//!
//! Success is answered once all records are stored. A request that cannot be read is refused as a
//! whole, before anything is put; a record that is too large or too deep is rejected alone
//! (`partial_success`). Of a request of more than 4 MiB of documents the first may be stored when
//! the answer is "try again": exporters send all of it again.

mod answer;
mod mapping;
mod protobuf;
mod record;
#[cfg(test)]
mod tests;
mod text;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Response, StatusCode, header::WWW_AUTHENTICATE, request::Parts};
use tokio::sync::Semaphore;

use self::{
    answer::Encoding,
    record::{Batch, TooMuch},
};
use super::{
    Options,
    auth::Auth,
    protocol::{
        Admission, Caller, Incoming, Protocol, Putter, RETRY_AFTER_S, Refusal, compute, retry_after,
    },
};
use crate::limits;

const LOGS: &str = "/v1/logs";
/// Signals that an exporter may be told to send to the same place.
const OTHER_SIGNALS: [&str; 2] = ["/v1/metrics", "/v1/traces"];

/// The receiver of one stream.
pub struct Otlp {
    prefix: String,
    auth: Auth,
    max_body: usize,
    /// MiB of documents that may be under way.
    room: Arc<Semaphore>,
}

impl Otlp {
    /// # Errors
    /// A credential cannot be read.
    pub fn new(options: &Options) -> Result<Self, String> {
        let auth = Auth::load(options.tokens(), options.basic.as_ref(), options.anonymous)?;
        Ok(Self {
            prefix: options.prefix().to_owned(),
            auth,
            max_body: options.max_body(),
            room: Arc::new(Semaphore::new(limits::OTLP_UNDER_WAY_MIB)),
        })
    }
}

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Protobuf(protobuf::Refusal),
    #[error(transparent)]
    Json(mapping::Refusal),
}

impl Unread {
    fn status(&self) -> StatusCode {
        match self {
            Self::Protobuf(protobuf::Refusal::TooMuch(TooMuch(_)))
            | Self::Json(mapping::Refusal::TooMuch(TooMuch(_))) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

fn read(encoding: Encoding, body: &[u8]) -> Result<Batch, Unread> {
    let mut batch = Batch::new(limits::OTLP_DOCUMENTS_BYTES_MAX);
    match encoding {
        Encoding::Protobuf => protobuf::read(body, &mut batch).map_err(Unread::Protobuf)?,
        Encoding::Json => mapping::read(body, &mut batch).map_err(Unread::Json)?,
    }
    Ok(batch)
}

/// A failure in the request's own encoding, or in JSON if that is not known.
fn failure(head: &Parts, status: StatusCode, message: &str) -> Response<Bytes> {
    Encoding::of(head).unwrap_or(Encoding::Json).failure(status, message)
}

#[async_trait]
impl Protocol for Otlp {
    fn paths(&self) -> Vec<String> {
        let paths = [LOGS].into_iter().chain(OTHER_SIGNALS);
        paths.map(|path| format!("{}{path}", self.prefix)).collect()
    }

    fn keys(&self) -> Vec<Caller> {
        self.auth.digests()
    }

    fn reload(&self) -> Result<(), String> {
        self.auth.reload()
    }

    fn admits(&self, head: &Parts) -> Admission {
        match self.auth.admit(head) {
            Some(caller) => Admission::Yes(caller),
            None => {
                let message = "the Authorization header is missing, or its credential is wrong";
                let mut answer = failure(head, StatusCode::UNAUTHORIZED, message);
                answer.headers_mut().insert(WWW_AUTHENTICATE, self.auth.challenge());
                Admission::no(answer)
            }
        }
    }

    fn max_body(&self) -> usize {
        self.max_body
    }

    fn refuse(&self, head: &Parts, refusal: &Refusal) -> Response<Bytes> {
        let answer = failure(head, refusal.status(), &refusal.to_string());
        if refusal.is_passing() { retry_after(answer, RETRY_AFTER_S) } else { answer }
    }

    async fn answer(&self, request: Incoming, putter: &dyn Putter) -> Response<Bytes> {
        let Incoming { head, body, .. } = request;
        let path = head.uri.path().trim_end_matches('/');
        if OTHER_SIGNALS.iter().any(|signal| path.ends_with(signal)) {
            let message = "only logs are taken here: have the exporter send metrics and traces \
                           elsewhere";
            return failure(&head, StatusCode::NOT_FOUND, message);
        }
        let Some(encoding) = Encoding::of(&head) else {
            let message = "Content-Type must be application/x-protobuf or application/json";
            return failure(&head, StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
        };
        // As much as it may become at the most; what it does not is given back.
        let most = limits::OTLP_DOCUMENTS_BYTES_MAX / limits::MIB as usize;
        let room = self.room.clone().acquire_many_owned(most as u32).await;
        let mut room = room.expect("the semaphore is never closed");
        let batch = match compute(body.len(), move || read(encoding, &body)).await {
            Ok(batch) => batch,
            Err(why) => return encoding.failure(why.status(), &why.to_string()),
        };
        let taken = batch.records.bytes() / limits::MIB as usize + 1;
        drop(room.split(most.saturating_sub(taken)));
        if let Some((records, why)) = batch.rejected {
            tracing::warn!(records, %why, "log records were rejected");
        }
        if batch.records.is_empty() {
            return encoding.success(batch.rejected);
        }
        match putter.put(batch.records, None).await {
            Ok(_) => encoding.success(batch.rejected),
            Err(error) => {
                let answer = encoding.failure(error.status(), &error.to_string());
                retry_after(answer, error.retry_after_s())
            }
        }
    }
}
