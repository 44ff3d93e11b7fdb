//! From a request to its answer, in a fixed order: size, claim, body, signature, decoding, backend.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_TYPE, EXPECT},
    request::Parts,
};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::Value;
use uuid::Uuid;

use super::{
    answer,
    backend::Backend,
    credentials::Credentials,
    decode::{Decoded, PutKind, decode},
    route::{Call, Route, route},
};
use crate::{
    config::firehose::ApiError,
    env::Clock,
    net::{
        server::{
            Answer, Bodies, BodyError, Peer, Received, Sender, ServerLimits, Service, Share,
            declared_length, drain, is_foreign_page,
        },
        sigv4::{Claim, Head, SignatureError, sha256},
    },
    record::CallId,
};

/// The name that signatures are scoped to.
const SERVICE: &str = "firehose";
const JSON_1_1: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// What makes attempts of one call recognisable: the SDKs' header, and that of everyone else.
const CALL_HEADERS: [&str; 2] = ["amz-sdk-invocation-id", "idempotency-key"];

/// What all requests share.
pub struct Handler {
    pub backend: Arc<dyn Backend>,
    pub credentials: Arc<Credentials>,
    pub bodies: Bodies,
    pub clock: Arc<dyn Clock>,
    pub limits: ServerLimits,
    /// Whether requests need no signature.
    pub anonymous: bool,
}

/// An error answer, and whether the connection ends with it.
struct Refusal {
    error: ApiError,
    close: bool,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self { error, close: false }
    }
}

impl From<SignatureError> for Refusal {
    fn from(error: SignatureError) -> Self {
        ApiError::new(error.name(), 403, error.to_string()).into()
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let (kind, status) = match error {
            BodyError::TooLarge { .. } => ("RequestEntityTooLargeException", 413),
            BodyError::TooSlow => ("RequestTimeoutException", 408),
            BodyError::Broken => ("RequestAbortedException", 400),
            BodyError::Crowded => return ApiError::unavailable(error.to_string()).into(),
        };
        Self { error: ApiError::new(kind, status, error.to_string()), close: true }
    }
}

impl Service for Handler {
    fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    /// Every answer has a request id of its own.
    async fn handle(&self, request: Request<Incoming>, peer: &Peer) -> Answer {
        let mut answer = match route(request.method(), request.uri(), request.headers()) {
            Route::Live => self.live(),
            Route::Ready => self.ready(),
            Route::Metrics => self.metrics(),
            Route::Signed(call) => self.signed(call, request, &peer.share).await,
            Route::Unknown => {
                refuse(ApiError::new("UnknownOperationException", 404, "There is nothing here."))
            }
        };
        let mut digits = Uuid::encode_buffer();
        // Unique is enough: the system's own random numbers cost a call into the kernel.
        let random = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes());
        let id = random.into_uuid().hyphenated().encode_lower(&mut digits);
        if let Ok(id) = HeaderValue::from_str(id) {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        answer
    }
}

impl Handler {
    fn live(&self) -> Answer {
        let live = self.backend.live();
        health(live, &serde_json::json!({ "live": live }))
    }

    fn ready(&self) -> Answer {
        let (ready, details) = self.backend.health();
        health(ready, &details)
    }

    fn metrics(&self) -> Answer {
        let text = self.backend.metrics();
        let content_type = if text.ends_with("# EOF\n") { OPEN_METRICS } else { PROMETHEUS };
        respond(StatusCode::OK, content_type, text.into_bytes())
    }

    async fn signed(&self, call: Call, request: Request<Incoming>, peer: &Arc<Share>) -> Answer {
        let (head, body) = request.into_parts();
        let result = match self.admit(&call, &head, &body) {
            Ok((claim, max)) => match self.receive(&head, claim.as_ref(), peer, body, max).await {
                Ok(body) => self.received(call, &head, claim, body).await,
                Err(refusal) => Err(refusal),
            },
            Err(refusal) => {
                self.leave_unread(&head, body);
                Err(refusal)
            }
        };
        match result {
            Ok(json) => respond(StatusCode::OK, JSON_1_1, json),
            Err(Refusal { error, close }) => {
                let mut answer = refuse(error);
                // HTTP/2 has no such header; there the stream is reset.
                if close && head.version <= Version::HTTP_11 {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                answer
            }
        }
    }

    /// What can be said from the head alone: the size, and who says he signed it.
    fn admit(
        &self,
        call: &Call,
        head: &Parts,
        body: &Incoming,
    ) -> Result<(Option<Claim>, usize), Refusal> {
        let max = match call {
            Call::Put(_) => self.limits.put_body_bytes,
            _ => self.limits.control_body_bytes,
        };
        if declared_length(body).is_some_and(|length| length > max as u64) {
            let error: Refusal = BodyError::TooLarge { max }.into();
            return Err(error.error.into());
        }
        if self.anonymous {
            if is_foreign_page(head) {
                let message = "Requests from web pages must be signed.";
                return Err(ApiError::new("AccessDeniedException", 403, message).into());
            }
            return Ok((None, max));
        }
        let find = |id: &str| self.credentials.find(id);
        let claim = Claim::read(signed_head(head), SERVICE, self.clock.now_ms(), find)?;
        Ok((Some(claim), max))
    }

    /// The body, its signature proven.
    async fn receive(
        &self,
        head: &Parts,
        claim: Option<&Claim>,
        peer: &Arc<Share>,
        mut body: Incoming,
        max: usize,
    ) -> Result<Received, Refusal> {
        let access_key_id = claim.map(|claim| claim.access_key_id.as_str());
        let received = match self.bodies.read(&mut body, Sender { peer, access_key_id }, max).await
        {
            Ok(received) => received,
            Err(error) => {
                if error == BodyError::Crowded {
                    self.leave_unread(head, body);
                }
                return Err(error.into());
            }
        };
        if let Some(claim) = claim {
            let hash = received.hash.as_ref().ok_or(SignatureError::Missing)?;
            claim.verify(signed_head(head), hash)?;
        }
        Ok(received)
    }

    async fn received(
        &self,
        call: Call,
        head: &Parts,
        claim: Option<Claim>,
        body: Received,
    ) -> Result<Vec<u8>, Refusal> {
        let caller = claim.as_ref().map_or("", |claim| claim.access_key_id.as_str());
        let json = match call {
            Call::Put(kind) => return self.put(kind, head, caller, body).await,
            Call::UnknownOperation => {
                return Err(
                    ApiError::new("UnknownOperationException", 404, "Unknown operation").into()
                );
            }
            Call::Control(operation) => {
                let input = control_body(&body.bytes)?;
                self.to_the_end(|backend| async move { backend.control(operation, input).await })
                    .await?
            }
            Call::Flush(stream) => {
                self.to_the_end(|backend| async move { backend.flush(&stream).await }).await?
            }
            Call::Reload => {
                self.to_the_end(|backend| async move { backend.reload().await }).await?
            }
            Call::Shipped(path) => self.backend.shipped(&path).await?,
            Call::Trace(record_id) => self.backend.trace(&record_id).await?,
        };
        Ok(json.to_string().into_bytes())
    }

    async fn put(
        &self,
        kind: PutKind,
        head: &Parts,
        caller: &str,
        body: Received,
    ) -> Result<Vec<u8>, Refusal> {
        let Decoded { stream, mut put } = decode(kind, &body.bytes)?;
        put.arrival_ms = self.clock.now_ms();
        put.call = call_id(kind, &head.headers, caller, &stream, || body.checksum());
        let records = put.records();
        // `body` keeps its share of the memory until the records have left it, too.
        let answer = self.backend.put(&stream, put).await?;
        drop(body);
        match kind {
            PutKind::One => Ok(answer::one(&answer)?),
            PutKind::Batch => Ok(answer::batch(&answer, records)),
        }
    }

    /// Runs an operation to its end even if the client goes away: half a change is no change.
    async fn to_the_end<F, R>(&self, run: F) -> Result<Value, ApiError>
    where
        F: FnOnce(Arc<dyn Backend>) -> R,
        R: Future<Output = Result<Value, ApiError>> + Send + 'static,
    {
        match tokio::spawn(run(self.backend.clone())).await {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(%error, "operation failed");
                Err(ApiError::new("InternalFailure", 500, "The operation failed inside."))
            }
        }
    }

    /// A client may send all of its body before it looks for an answer. The rest is read and
    /// thrown away beside the answer, unless the client waits to be asked for it.
    fn leave_unread(&self, head: &Parts, body: Incoming) {
        if head.version <= Version::HTTP_11 && !head.headers.contains_key(EXPECT) {
            tokio::spawn(drain(body, self.limits.body_grace));
        }
    }
}

fn signed_head(head: &Parts) -> Head<'_> {
    Head { method: head.method.as_str(), uri: &head.uri, headers: &head.headers }
}

/// Recognises the attempts of one call: who, what, where to, and the id the client gave it. An
/// empty id is none: calls that have nothing in common would be taken for one.
fn call_id(
    kind: PutKind,
    headers: &HeaderMap,
    caller: &str,
    stream: &str,
    body_checksum: impl FnOnce() -> u32,
) -> Option<CallId> {
    let given = |name| headers.get(name).map(|id: &HeaderValue| id.as_bytes().trim_ascii());
    let id = CALL_HEADERS.into_iter().filter_map(given).find(|id| !id.is_empty())?;
    let operation = Call::put_name(kind);
    let mut text = Vec::with_capacity(160);
    for part in [caller.as_bytes(), stream.as_bytes(), operation.as_bytes(), id] {
        text.extend_from_slice(part);
        text.push(0);
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&sha256(&text)[..16]);
    Some(CallId { digest, body_checksum: body_checksum() })
}

/// The body of a control operation; none at all is an empty object.
fn control_body(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let unfit = |message: String| ApiError::new("SerializationException", 400, message);
    match serde_json::from_slice(bytes) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(unfit("the request body is not a JSON object".into())),
        Err(error) => Err(unfit(format!(
            "the request body is not JSON (line {}, column {})",
            error.line(),
            error.column()
        ))),
    }
}

fn health(good: bool, details: &Value) -> Answer {
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    respond(status, JSON, details.to_string().into_bytes())
}

fn refuse(error: ApiError) -> Answer {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = respond(status, JSON_1_1, answer::error(&error));
    answer.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(error.kind));
    answer
}

fn respond(status: StatusCode, content_type: HeaderValue, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(headers: &[(&'static str, &'static str)]) -> Option<CallId> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        call_id(PutKind::One, &map, "AKID", "s", || 7)
    }

    #[test]
    fn an_id_of_nothing_is_no_id() {
        let [sdk, other] = CALL_HEADERS;
        for name in CALL_HEADERS {
            assert_eq!(id_of(&[(name, "")]), None, "{name}");
            assert_eq!(id_of(&[(name, " \t ")]), None, "{name}");
            assert!(id_of(&[(name, "a")]).is_some(), "{name}");
        }
        assert_eq!(id_of(&[]), None);
        assert_eq!(id_of(&[(sdk, " "), (other, "a")]), id_of(&[(other, "a")]));
        assert_ne!(id_of(&[(sdk, "b"), (other, "a")]), id_of(&[(other, "a")]));
    }
}
