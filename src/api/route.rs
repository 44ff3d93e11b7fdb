//! Which request is which: a method, a path and a target become one value.

use http::{HeaderMap, Method, Uri};

use super::decode::PutKind;
use crate::config::firehose::Operation;

/// What the service is called in `X-Amz-Target`.
const TARGET_PREFIX: &str = "Firehose_20150804.";

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Live,
    Ready,
    Metrics,
    /// Everything that must be signed.
    Signed(Call),
    Unknown,
}

/// What a signed request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Put(PutKind),
    Control(Operation),
    /// `POST /` for something that Firehose does not know.
    UnknownOperation,
    Flush(String),
    Trace(String),
    /// The path of a file.
    Shipped(String),
    Reload,
}

impl Call {
    /// The name in the digest that recognises a repeated call.
    pub fn put_name(kind: PutKind) -> &'static str {
        match kind {
            PutKind::One => "PutRecord",
            PutKind::Batch => "PutRecordBatch",
        }
    }
}

/// A segment of a path that holds a path.
fn decoded(segment: &str) -> Option<String> {
    if segment.is_empty() || segment.contains('/') {
        return None;
    }
    percent_encoding::percent_decode_str(segment).decode_utf8().ok().map(|path| path.into_owned())
}

pub fn route(method: &Method, uri: &Uri, headers: &HeaderMap) -> Route {
    let path = uri.path();
    if method == Method::GET || method == Method::HEAD {
        return match path {
            "/health/live" => Route::Live,
            "/health/ready" => Route::Ready,
            "/metrics" => Route::Metrics,
            _ => match path.strip_prefix("/v1/trace/") {
                Some(id) if is_segment(id) => Route::Signed(Call::Trace(id.to_owned())),
                _ => match path.strip_prefix("/v1/shipped/").and_then(decoded) {
                    Some(file) => Route::Signed(Call::Shipped(file)),
                    None => Route::Unknown,
                },
            },
        };
    }
    if method != Method::POST {
        return Route::Unknown;
    }
    match path {
        "/" => Route::Signed(target(headers)),
        "/v1/reload" => Route::Signed(Call::Reload),
        _ => {
            let name = path.strip_prefix("/v1/streams/").and_then(|p| p.strip_suffix("/flush"));
            match name {
                Some(name) if is_segment(name) => Route::Signed(Call::Flush(name.to_owned())),
                _ => Route::Unknown,
            }
        }
    }
}

/// Stream names and record ids need no percent-encoding, so none is undone.
fn is_segment(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
}

fn target(headers: &HeaderMap) -> Call {
    let name = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .and_then(|target| target.strip_prefix(TARGET_PREFIX));
    match name {
        Some("PutRecord") => Call::Put(PutKind::One),
        Some("PutRecordBatch") => Call::Put(PutKind::Batch),
        Some(name) => Operation::from_name(name).map_or(Call::UnknownOperation, Call::Control),
        None => Call::UnknownOperation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: Method, path: &str, target: &str) -> Route {
        let mut headers = HeaderMap::new();
        if !target.is_empty() {
            headers.insert("x-amz-target", target.parse().unwrap());
        }
        route(&method, &path.parse().unwrap(), &headers)
    }

    #[test]
    fn every_door_has_its_name() {
        use Call::*;
        let signed = Route::Signed;
        for (method, path, target, expected) in [
            (Method::GET, "/health/live", "", Route::Live),
            (Method::HEAD, "/health/ready?x=1", "", Route::Ready),
            (Method::GET, "/metrics", "", Route::Metrics),
            (Method::POST, "/metrics", "", Route::Unknown),
            (Method::GET, "/", "", Route::Unknown),
            (Method::POST, "/", "", signed(UnknownOperation)),
            (Method::POST, "/", "Kinesis_20131202.PutRecord", signed(UnknownOperation)),
            (Method::POST, "/", "Firehose_20150804.PutRecord", signed(Put(PutKind::One))),
            (
                Method::POST,
                "/?a=b",
                "Firehose_20150804.PutRecordBatch",
                signed(Put(PutKind::Batch)),
            ),
            (
                Method::POST,
                "/",
                "Firehose_20150804.TagDeliveryStream",
                signed(Control(Operation::TagDeliveryStream)),
            ),
            (Method::POST, "/v1/streams/a.b-c/flush", "", signed(Flush("a.b-c".into()))),
            (Method::POST, "/v1/streams//flush", "", Route::Unknown),
            (Method::POST, "/v1/streams/a/b/flush", "", Route::Unknown),
            (Method::POST, "/v1/streams/a%2Fb/flush", "", Route::Unknown),
            (Method::GET, "/v1/trace/00ff", "", signed(Trace("00ff".into()))),
            (Method::GET, "/v1/shipped/%2Fvar%2Fa%20b", "", signed(Shipped("/var/a b".into()))),
            (Method::GET, "/v1/shipped/%FF", "", Route::Unknown),
            (Method::POST, "/v1/reload", "", signed(Reload)),
            (Method::PUT, "/v1/reload", "", Route::Unknown),
        ] {
            assert_eq!(of(method.clone(), path, target), expected, "{method} {path} {target}");
        }
    }
}
