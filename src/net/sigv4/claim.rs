//! Who says he signed a request, and the proof.

use std::sync::Arc;

use http::{HeaderMap, Uri};
use subtle::ConstantTimeEq;

use super::{
    ALGORITHM, BodyHash, Key, SignatureError, TERMINATOR, canonical, sha256,
    time::{format_basic, parse_basic, parse_date_header},
};
use crate::limits::CLOCK_SKEW;

/// Longest life of a presigned request, in seconds (a week, as AWS).
const EXPIRES_S_MAX: i64 = 7 * 24 * 60 * 60;
/// The parameter of a presigned request that is not itself signed.
const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";
/// Headers a proxy adds after the client has signed: CloudFront's request id.
const ADDED_ON_THE_WAY: &[&str] = &["x-amz-cf-id"];

/// The head of a request.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    pub method: &'a str,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
}

impl Head<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    fn authority(&self) -> Option<&str> {
        self.uri.authority().map(|authority| authority.as_str())
    }
}

/// A signature that is complete, in time, in scope and by a known key; only its proof is missing.
#[derive(Debug)]
pub struct Claim {
    pub access_key_id: String,
    key: Arc<Key>,
    date: String,
    region: String,
    service: String,
    /// Basic ISO 8601, as it stands in the text that was signed.
    signed_at: String,
    signed_headers: String,
    signature: Vec<u8>,
    /// The query's parameters, decoded.
    parameters: Vec<(String, String)>,
}

/// The parts of a signature as texts, from the header or from the query.
struct Parts {
    credential: String,
    signed_headers: String,
    signature: String,
    signed_at_ms: i64,
    /// The same in basic ISO 8601.
    signed_at: String,
    token: Option<String>,
    /// Life in seconds from the signature's time; the allowed skew where it is not said.
    expires_s: Option<i64>,
}

impl Claim {
    /// Reads the signature of a request: complete, for `service`, in time at `now_ms`, by a key
    /// that `find` knows. The region may be any.
    pub fn read(
        head: Head<'_>,
        service: &str,
        now_ms: i64,
        find: impl FnOnce(&str) -> Option<Arc<Key>>,
    ) -> Result<Self, SignatureError> {
        let parameters = canonical::parameters(head.uri.query().unwrap_or_default())
            .ok_or_else(|| incomplete("The query string is not valid UTF-8."))?;
        let parts = match head.headers.get("authorization") {
            Some(_) => from_header(&head)?,
            None => from_query(&head, &parameters)?,
        };
        let [access_key_id, date, region, its_service] = scope(&parts.credential)?;
        check_scope(date, its_service, service, &parts.signed_at)?;
        check_time(&parts, now_ms)?;
        check_signed_headers(&head, &parts.signed_headers)?;
        let key = find(access_key_id).ok_or(SignatureError::Unrecognized)?;
        if !key.has_token(parts.token.as_deref()) {
            return Err(SignatureError::Unrecognized);
        }
        if key.expires_ms().is_some_and(|expires| now_ms >= expires) {
            return Err(SignatureError::Expired);
        }
        let signature = hex::decode(&parts.signature).map_err(|_| SignatureError::mismatch())?;
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: its_service.to_owned(),
            key,
            signed_at: parts.signed_at,
            signature,
            signed_headers: parts.signed_headers,
            parameters,
        })
    }

    /// Proves the signature over the same head and the body's hash.
    pub fn verify(&self, head: Head<'_>, body: &BodyHash) -> Result<(), SignatureError> {
        check_declared_hash(&head, body)?;
        let request = sha256(&self.canonical_request(&head, body));
        let text = format!(
            "{ALGORITHM}\n{}\n{}/{}/{}/{TERMINATOR}\n{}",
            self.signed_at,
            self.date,
            self.region,
            self.service,
            hex::encode(request)
        );
        let right = self.key.check(
            &self.date,
            &self.region,
            &self.service,
            text.as_bytes(),
            &self.signature,
        );
        if right { Ok(()) } else { Err(SignatureError::mismatch()) }
    }

    fn canonical_request(&self, head: &Head<'_>, body: &BodyHash) -> Vec<u8> {
        let mut text = Vec::with_capacity(1024);
        for part in [
            head.method,
            &canonical::path(head.uri.path()),
            &canonical::query(&self.parameters, SIGNATURE_PARAMETER),
        ] {
            text.extend_from_slice(part.as_bytes());
            text.push(b'\n');
        }
        for name in self.signed_headers.split(';') {
            canonical::header(&mut text, name, head.headers, head.authority());
        }
        text.push(b'\n');
        text.extend_from_slice(self.signed_headers.as_bytes());
        text.push(b'\n');
        text.extend_from_slice(hex::encode(body).as_bytes());
        text
    }
}

fn incomplete(message: impl Into<String>) -> SignatureError {
    SignatureError::Incomplete(message.into())
}

fn invalid(message: impl Into<String>) -> SignatureError {
    SignatureError::Invalid(message.into())
}

/// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`, and the date beside it.
fn from_header(head: &Head<'_>) -> Result<Parts, SignatureError> {
    if head.headers.get_all("authorization").iter().count() > 1 {
        return Err(incomplete("The request has more than one Authorization header."));
    }
    let text = head
        .header("authorization")
        .ok_or_else(|| incomplete("The Authorization header is not a text."))?;
    let (algorithm, rest) = text.split_once(' ').unwrap_or((text, ""));
    if algorithm != ALGORITHM {
        return Err(incomplete(format!(
            "Authorization header requires the algorithm '{ALGORITHM}'."
        )));
    }
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for part in rest.split(',') {
        let slot = match part.trim().split_once('=') {
            Some(("Credential", value)) => (&mut credential, value),
            Some(("SignedHeaders", value)) => (&mut signed_headers, value),
            Some(("Signature", value)) => (&mut signature, value),
            _ => continue,
        };
        *slot.0 = Some(slot.1.to_owned());
    }
    let mut missing = String::new();
    let parts = [
        ("Credential", &credential),
        ("Signature", &signature),
        ("SignedHeaders", &signed_headers),
    ];
    for (name, value) in parts {
        if value.as_ref().is_none_or(String::is_empty) {
            missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
        }
    }
    let date = match head.header("x-amz-date") {
        Some(text) => Some(parse_basic(text).map(|ms| (ms, text.to_owned()))),
        None => head.header("date").map(|text| {
            let ms = parse_date_header(text)?;
            Some((ms, format_basic(ms)))
        }),
    };
    if date.is_none() {
        missing.push_str(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
        );
    }
    match (credential, signed_headers, signature, date) {
        (Some(credential), Some(signed_headers), Some(signature), Some(date))
            if missing.is_empty() =>
        {
            let (signed_at_ms, signed_at) =
                date.ok_or_else(|| incomplete("Date must be in ISO-8601 'basic format'."))?;
            let token = head.header("x-amz-security-token").map(str::to_owned);
            Ok(Parts {
                credential,
                signed_headers,
                signature,
                signed_at_ms,
                signed_at,
                token,
                expires_s: None,
            })
        }
        _ => Err(incomplete(missing.trim_end())),
    }
}

/// The presigned form.
fn from_query(head: &Head<'_>, parameters: &[(String, String)]) -> Result<Parts, SignatureError> {
    let find = |name: &str| {
        parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).filter(|v| !v.is_empty())
    };
    let Some(algorithm) = find("X-Amz-Algorithm") else {
        return Err(SignatureError::Missing);
    };
    if algorithm != ALGORITHM {
        return Err(incomplete(format!("X-Amz-Algorithm must be '{ALGORITHM}'.")));
    }
    let need = |name: &str| {
        find(name).ok_or_else(|| {
            incomplete(format!("AWS query-string parameters must include '{name}'."))
        })
    };
    let expires_s: i64 = need("X-Amz-Expires")?
        .parse()
        .ok()
        .filter(|seconds| (0..=EXPIRES_S_MAX).contains(seconds))
        .ok_or_else(|| invalid("X-Amz-Expires must be between 0 and 604800 seconds."))?;
    let signed_at = need("X-Amz-Date")?;
    let signed_at_ms = parse_basic(&signed_at)
        .ok_or_else(|| incomplete("X-Amz-Date must be in ISO-8601 'basic format'."))?;
    Ok(Parts {
        credential: need("X-Amz-Credential")?,
        signed_headers: need("X-Amz-SignedHeaders")?,
        signature: need(SIGNATURE_PARAMETER)?,
        signed_at_ms,
        signed_at,
        token: find("X-Amz-Security-Token")
            .or_else(|| head.header("x-amz-security-token").map(str::to_owned)),
        expires_s: Some(expires_s),
    })
}

/// Access key, date, region and service of a credential.
fn scope(credential: &str) -> Result<[&str; 4], SignatureError> {
    let mut parts = credential.rsplitn(5, '/');
    let mut next = || parts.next().filter(|part| !part.is_empty());
    let (end, service, region, date, key) = (next(), next(), next(), next(), next());
    match (key, date, region, service, end) {
        (Some(key), Some(date), Some(region), Some(service), Some(TERMINATOR)) => {
            Ok([key, date, region, service])
        }
        (Some(_), _, _, _, Some(_)) => Err(invalid(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}'."
        ))),
        _ => Err(incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term.",
        )),
    }
}

fn check_scope(
    date: &str,
    its_service: &str,
    service: &str,
    signed_at: &str,
) -> Result<(), SignatureError> {
    if its_service != service {
        return Err(invalid(format!(
            "Credential should be scoped to correct service: '{service}'."
        )));
    }
    let day = signed_at.get(..8).unwrap_or_default();
    if date != day {
        return Err(invalid(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '{date}' != '{day}', from '{signed_at}'."
        )));
    }
    Ok(())
}

/// Not from the future, and not too old: both with the allowed difference of clocks, a presigned
/// request until it expires.
fn check_time(parts: &Parts, now_ms: i64) -> Result<(), SignatureError> {
    let skew_ms = CLOCK_SKEW.as_millis() as i64;
    let minutes = CLOCK_SKEW.as_secs() / 60;
    let signed_at = &parts.signed_at;
    // Texts are made for errors only.
    let now = || format_basic(now_ms);
    let latest_ms = now_ms + skew_ms;
    if parts.signed_at_ms > latest_ms {
        return Err(invalid(format!(
            "Signature not yet current: {signed_at} is still later than {} ({} + {minutes} min.)",
            format_basic(latest_ms),
            now()
        )));
    }
    match parts.expires_s {
        Some(expires_s) => {
            let end_ms = parts.signed_at_ms + expires_s * 1000;
            if now_ms > end_ms {
                return Err(invalid(format!(
                    "Signature expired: {} is now earlier than {}",
                    format_basic(end_ms),
                    now()
                )));
            }
        }
        None => {
            let earliest_ms = now_ms - skew_ms;
            if parts.signed_at_ms < earliest_ms {
                return Err(invalid(format!(
                    "Signature expired: {signed_at} is now earlier than {} ({} - {minutes} min.)",
                    format_basic(earliest_ms),
                    now()
                )));
            }
        }
    }
    Ok(())
}

/// `host` and every `x-amz-*` header that is there must be signed; so must `date` where it gives
/// the time.
fn check_signed_headers(head: &Head<'_>, signed_headers: &str) -> Result<(), SignatureError> {
    let is_signed = |name: &str| signed_headers.split(';').any(|signed| signed == name);
    if !is_signed("host") {
        return Err(invalid(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ));
    }
    let gives_time =
        head.headers.contains_key("authorization") && !head.headers.contains_key("x-amz-date");
    for name in head.headers.keys().map(http::HeaderName::as_str) {
        let counts = (name.starts_with("x-amz-") && !ADDED_ON_THE_WAY.contains(&name))
            || (gives_time && name == "date");
        if counts && !is_signed(name) {
            return Err(invalid(format!(
                "'{name}' must be a 'SignedHeader' in the AWS Authorization."
            )));
        }
    }
    Ok(())
}

/// A body hash that the request declares must be the body's. Unsigned and streamed payloads
/// exist at S3 only.
fn check_declared_hash(head: &Head<'_>, body: &BodyHash) -> Result<(), SignatureError> {
    let Some(declared) = head.headers.get("x-amz-content-sha256") else {
        return Ok(());
    };
    let same = hex::decode(declared.as_bytes())
        .is_ok_and(|declared| bool::from(declared.as_slice().ct_eq(body)));
    if same {
        return Ok(());
    }
    Err(invalid("The provided 'x-amz-content-sha256' header does not match what was computed."))
}
