//! `protocol: records`: bodies of lines, JSON documents, or anything.
//!
//! A request of up to 4 MiB of records is stored whole or not at all. A larger one is put in
//! several parts: when one of them is refused, the answer says how many records are stored, and the
//! same request with the same `Idempotency-Key` stores the rest, once. Without that header its
//! repetition stores the first ones again.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::WWW_AUTHENTICATE, request::Parts};
use serde_json::json;

use super::{
    auth::Auth,
    formats::{self, Unfit},
    options::{Format, Options},
    protocol::{
        Admission, Call, Caller, Incoming, NotStored, Protocol, Putter, compute, header, json,
        problem, retry_after,
    },
};
use crate::limits::HTTP_KEY_BYTES_MAX;

const KEY: &str = "idempotency-key";

/// An answer that is no success.
type Refused = Box<Response<Bytes>>;

/// Plain bodies for one stream.
pub struct Plain {
    stream: String,
    path: String,
    format: Format,
    auth: Auth,
    max_body: usize,
}

impl Plain {
    pub fn new(options: &Options, stream: &str) -> Result<Self, String> {
        Ok(Self {
            stream: stream.to_owned(),
            path: options.path_of(stream),
            format: options.format,
            auth: Auth::load(options.tokens(), options.basic.as_ref(), options.anonymous)?,
            max_body: options.max_body(),
        })
    }

    /// The format of a body, or why it has none.
    fn format(&self, head: &Parts) -> Result<Format, Refused> {
        match self.format {
            Format::Auto => formats::by_content_type(header(head, "content-type").as_deref())
                .map_err(|message| problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into()),
            format => Ok(format),
        }
    }

    fn call(&self, request: &Incoming) -> Result<Option<Call>, Refused> {
        let Some(key) = request.head.headers.get(KEY).map(HeaderValue::as_bytes) else {
            return Ok(None);
        };
        let key = key.trim_ascii();
        if key.is_empty() || key.len() > HTTP_KEY_BYTES_MAX {
            let message = format!("the Idempotency-Key must have 1 to {HTTP_KEY_BYTES_MAX} bytes");
            return Err(problem(StatusCode::BAD_REQUEST, &message).into());
        }
        let parts = [&b"records"[..], self.stream.as_bytes(), &request.caller, key];
        Ok(Some(Call::of(&parts, &request.body)))
    }

    async fn stored(
        &self,
        request: Incoming,
        putter: &dyn Putter,
    ) -> Result<Response<Bytes>, Refused> {
        let format = self.format(&request.head)?;
        let call = self.call(&request)?;
        let body = request.body;
        let records = compute(body.len(), move || formats::read(format, &body));
        let records = records.await.map_err(|unfit| refused(&unfit))?;
        let stored = putter.put(records, call).await.map_err(|error| not_stored(&error))?;
        let answer = json!({ "accepted": stored.records, "repeated": stored.repeated });
        Ok(json(StatusCode::OK, &answer))
    }
}

fn refused(unfit: &Unfit) -> Refused {
    let status = match unfit {
        Unfit::Json(_) => StatusCode::BAD_REQUEST,
        Unfit::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
    };
    problem(status, &format!("{unfit}; nothing of the body is stored")).into()
}

fn not_stored(error: &NotStored) -> Refused {
    let answer = json!({ "error": error.to_string(), "accepted": error.stored });
    retry_after(json(error.status(), &answer), error.retry_after_s()).into()
}

#[async_trait]
impl Protocol for Plain {
    fn paths(&self) -> Vec<String> {
        vec![self.path.clone()]
    }

    fn keys(&self) -> Vec<Caller> {
        self.auth.digests()
    }

    fn reload(&self) -> Result<(), String> {
        self.auth.reload()
    }

    fn admits(&self, head: &Parts) -> Admission {
        let Some(caller) = self.auth.admit(head) else {
            let message = "a credential of this stream is needed";
            let mut answer = problem(StatusCode::UNAUTHORIZED, message);
            answer.headers_mut().insert(WWW_AUTHENTICATE, self.auth.challenge());
            return Admission::no(answer);
        };
        Admission::Yes(caller)
    }

    fn max_body(&self) -> usize {
        self.max_body
    }

    async fn answer(&self, request: Incoming, putter: &dyn Putter) -> Response<Bytes> {
        self.stored(request, putter).await.unwrap_or_else(|refusal| *refusal)
    }
}
