//! The request of a shipment.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

use super::entry::Additions;
use crate::{
    fault::{Cause, Failure, Fault, output_type},
    limits::{DATADOG_LOG_BYTES_MAX, DATADOG_LOGS_MAX, DATADOG_REQUEST_BYTES_MAX},
    net::{
        gzip,
        http::{Request, Url},
    },
    seams::Shipment,
};

const KEY_HEADER: HeaderName = HeaderName::from_static("dd-api-key");

/// What is to be sent, and what cannot be.
#[derive(Debug)]
pub struct Built {
    /// `None` if there is nothing left to be sent.
    pub body: Option<Bytes>,
    /// Logs that Datadog would cut off without a word.
    pub rejected: Vec<(u64, Failure)>,
}

/// The array of the shipment's logs. [`Fault::TooLarge`] if it is more than one request holds.
pub fn build(shipment: &Shipment, additions: &Additions, gzip: bool) -> Result<Built, Fault> {
    // An object is one log.
    let whole: [&[u8]; 1] = [&shipment.body];
    let (listed, whole) = match &shipment.list {
        Some(_) => (Some(shipment.iter()), &whole[..0]),
        None => (None, &whole[..]),
    };
    let records = listed.into_iter().flatten().chain(whole.iter().copied());
    if shipment.list.as_ref().is_some_and(|list| list.ends.len() as u64 > DATADOG_LOGS_MAX) {
        return Err(too_large(format!("more than {DATADOG_LOGS_MAX} logs")));
    }
    let mut array = Vec::with_capacity(shipment.body.len().min(DATADOG_REQUEST_BYTES_MAX) + 2);
    let mut rejected = Vec::new();
    array.push(b'[');
    for (index, record) in (0..).zip(records) {
        let before = array.len();
        if before > 1 {
            array.push(b',');
        }
        let start = array.len();
        additions.write(record, &mut array);
        let log_bytes = array.len() - start;
        if log_bytes > DATADOG_LOG_BYTES_MAX {
            array.truncate(before);
            rejected.push((index, log_too_large(log_bytes)));
        } else if array.len() >= DATADOG_REQUEST_BYTES_MAX {
            return Err(too_large(format!("more than {DATADOG_REQUEST_BYTES_MAX} bytes")));
        }
    }
    if array.len() == 1 {
        return Ok(Built { body: None, rejected });
    }
    array.push(b']');
    let body = if gzip { gzip::pack(&array) } else { array.into() };
    Ok(Built { body: Some(body), rejected })
}

fn too_large(what: String) -> Fault {
    Fault::TooLarge { cause: Cause::new("Datadog.PayloadTooLarge", what) }
}

fn log_too_large(log_bytes: usize) -> Failure {
    let text = format!(
        "the log has {log_bytes} bytes, and Datadog cuts off what is above {DATADOG_LOG_BYTES_MAX}"
    );
    Failure::new(output_type::HTTP_ENDPOINT_FAILED, "Datadog.LogTooLarge", text)
}

/// A request to the intake with this body.
pub fn post(intake: &Url, key: &str, body: Bytes, gzip: bool) -> Result<Request, Fault> {
    let mut request = with_key(Method::POST, intake, key)?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    *request.body_mut() = Some(body.into());
    Ok(request)
}

/// A request that shows the key.
pub fn with_key(method: Method, url: &Url, key: &str) -> Result<Request, Fault> {
    let wrong = |_| Fault::halt("Datadog.InvalidApiKey", "the key has what no header may have");
    let mut value = HeaderValue::from_str(key).map_err(wrong)?;
    value.set_sensitive(true);
    let mut request = Request::new(method, url.clone());
    request.headers_mut().insert(KEY_HEADER, value);
    Ok(request)
}
