//! Against the signer of the Rust SDK, and with every part of a signed request tampered with.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
        sign,
    },
    sign::v4,
};
use http::{HeaderValue, Request, Uri};
use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_602_588_153_000;
const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const MINUTE_MS: i64 = 60_000;

/// What is varied between the cases.
struct Case {
    secret: &'static str,
    token: Option<&'static str>,
    at_ms: i64,
    service: &'static str,
    region: &'static str,
    uri: &'static str,
    presigned_s: Option<u64>,
    declare_hash: bool,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            secret: SECRET,
            token: None,
            at_ms: NOW_MS,
            service: "firehose",
            region: "eu-west-3",
            uri: "http://localhost:4573/",
            presigned_s: None,
            declare_hash: false,
        }
    }
}

const BODY: &[u8] = br#"{"DeliveryStreamName":"a"}"#;

impl Case {
    fn signed(&self) -> Request<()> {
        let mut request = Request::post(self.uri)
            .header("host", "localhost:4573")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "Firehose_20150804.ListDeliveryStreams")
            .header("x-spaced", "  a   b  ")
            .body(())
            .unwrap();
        let identity =
            Credentials::new(ID, self.secret, self.token.map(str::to_owned), None, "test").into();
        let mut settings = SigningSettings::default();
        if let Some(seconds) = self.presigned_s {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(seconds));
        }
        if self.declare_hash {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(UNIX_EPOCH + Duration::from_millis(self.at_ms as u64))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let headers: Vec<_> =
            request.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        let uri = request.uri().to_string();
        let signable =
            SignableRequest::new("POST", uri, headers.into_iter(), SignableBody::Bytes(BODY))
                .unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}

fn key(token: Option<&str>, expires_ms: Option<i64>) -> Arc<Key> {
    Arc::new(Key::new(NewKey {
        secret: SECRET.into(),
        session_token: token.map(str::to_owned),
        expires_ms,
    }))
}

fn check_with(request: &Request<()>, body: &[u8], key: Arc<Key>) -> Result<String, SignatureError> {
    let head =
        Head { method: request.method().as_str(), uri: request.uri(), headers: request.headers() };
    let claim = Claim::read(head, "firehose", NOW_MS, |id| (id == ID).then_some(key))?;
    claim.verify(head, &sha256(body))?;
    Ok(claim.access_key_id)
}

fn check(request: &Request<()>) -> Result<String, SignatureError> {
    check_with(request, BODY, key(None, None))
}

fn message(request: &Request<()>) -> String {
    check(request).unwrap_err().to_string()
}

#[test]
fn what_the_sdk_signs_is_taken() {
    for uri in [
        "http://localhost:4573/",
        "http://localhost:4573/v1/streams/my-stream.a_b/flush",
        "http://localhost:4573/a%20b/c/../d?x=1&b=%2Fslash&b=a%20space&empty=&A=upper",
        "http://localhost:4573/?tilde=~&plus=%2B&umlaut=%C3%A4",
    ] {
        for presigned_s in [None, Some(300)] {
            for declare_hash in [false, true] {
                let case = Case { uri, presigned_s, declare_hash, ..Case::default() };
                assert_eq!(check(&case.signed()), Ok(ID.into()), "{uri} {presigned_s:?}");
            }
        }
    }
}

#[test]
fn the_derived_key_is_kept_and_gives_the_same_answer() {
    let key = key(None, None);
    for region in ["a", "b", "a", "c", "d", "e", "f", "g", "h", "i", "a"] {
        let request = Case { region, ..Case::default() }.signed();
        assert_eq!(check_with(&request, BODY, key.clone()), Ok(ID.into()));
        assert_eq!(
            check_with(&request, b"x", key.clone()),
            Err(SignatureError::mismatch()),
            "{region}"
        );
    }
}

#[test]
fn a_tampered_body_or_head_does_not_match() {
    let mismatch = Err(SignatureError::mismatch());
    for presigned_s in [None, Some(300)] {
        let signed = || Case { presigned_s, ..Case::default() }.signed();
        assert_eq!(check_with(&signed(), b"{}", key(None, None)), mismatch);
        for (name, value) in [
            ("x-amz-target", "Firehose_20150804.DeleteDeliveryStream"),
            ("content-type", "text/plain"),
            ("host", "localhost"),
            ("x-spaced", "ab"),
        ] {
            let mut request = signed();
            request.headers_mut().insert(name, HeaderValue::from_static(value));
            assert_eq!(check(&request), mismatch, "{name}");
            if name != "host" {
                request.headers_mut().remove(name);
                assert_eq!(check(&request), mismatch, "{name} removed");
            }
        }
        let mut request = signed();
        *request.method_mut() = http::Method::PUT;
        assert_eq!(check(&request), mismatch);
        let mut request = signed();
        let query = request.uri().query().map(|q| format!("{q}&more=1"));
        let uri = format!("http://localhost:4573/?{}", query.unwrap_or("more=1".into()));
        *request.uri_mut() = uri.parse().unwrap();
        assert_eq!(check(&request), mismatch);
        let mut request = signed();
        let uri = request.uri().to_string().replacen("4573/", "4573/x", 1);
        *request.uri_mut() = uri.parse().unwrap();
        assert_eq!(check(&request), mismatch);
    }
    let other = Case { secret: "another", ..Case::default() };
    assert_eq!(check(&other.signed()), mismatch);
}

#[test]
fn a_tampered_signature_does_not_match() {
    let request = Case::default().signed();
    let text = request.headers()["authorization"].to_str().unwrap().to_owned();
    let (start, signature) = text.split_once("Signature=").unwrap();
    for changed in [
        signature.replacen(&signature[..1], if &signature[..1] == "0" { "1" } else { "0" }, 1),
        signature[..62].to_owned(),
        format!("{signature}00"),
        "zz".repeat(32),
    ] {
        let mut request = Case::default().signed();
        let text = format!("{start}Signature={changed}");
        request.headers_mut().insert("authorization", HeaderValue::try_from(text).unwrap());
        assert_eq!(check(&request), Err(SignatureError::mismatch()), "{changed}");
    }
}

#[test]
fn the_clock_may_differ_by_fifteen_minutes() {
    for minutes in [-15, 15] {
        let case = Case { at_ms: NOW_MS + minutes * MINUTE_MS, ..Case::default() };
        assert_eq!(check(&case.signed()), Ok(ID.into()));
    }
    let old = Case { at_ms: NOW_MS - 15 * MINUTE_MS - 1000, ..Case::default() };
    assert_eq!(
        message(&old.signed()),
        "Signature expired: 20201013T110732Z is now earlier than 20201013T110733Z \
         (20201013T112233Z - 15 min.)"
    );
    for presigned_s in [None, Some(3600)] {
        let at_ms = NOW_MS + 15 * MINUTE_MS + 1000;
        let new = Case { at_ms, presigned_s, ..Case::default() };
        assert_eq!(
            message(&new.signed()),
            "Signature not yet current: 20201013T113734Z is still later than 20201013T113733Z \
             (20201013T112233Z + 15 min.)"
        );
    }
}

#[test]
fn a_presigned_request_lives_as_long_as_it_says() {
    let hour_ago = NOW_MS - 60 * MINUTE_MS;
    let fresh = Case { at_ms: hour_ago, presigned_s: Some(3600), ..Case::default() };
    assert_eq!(check(&fresh.signed()), Ok(ID.into()));
    let stale = Case { at_ms: hour_ago, presigned_s: Some(3599), ..Case::default() };
    assert_eq!(
        message(&stale.signed()),
        "Signature expired: 20201013T112232Z is now earlier than 20201013T112233Z"
    );
    let mut longer = stale.signed();
    let uri = longer.uri().to_string().replace("X-Amz-Expires=3599", "X-Amz-Expires=7200");
    *longer.uri_mut() = uri.parse().unwrap();
    assert_eq!(check(&longer), Err(SignatureError::mismatch()));
    let uri = longer.uri().to_string().replace("X-Amz-Expires=7200", "X-Amz-Expires=604801");
    *longer.uri_mut() = uri.parse().unwrap();
    assert!(message(&longer).contains("604800"));
}

#[test]
fn keys_tokens_and_scopes_are_checked() {
    let unknown = Err(SignatureError::Unrecognized);
    for presigned_s in [None, Some(60)] {
        let plain = || Case { presigned_s, ..Case::default() }.signed();
        let temporary = || Case { token: Some("t/o+k=n"), presigned_s, ..Case::default() }.signed();
        assert_eq!(check_with(&temporary(), BODY, key(Some("t/o+k=n"), None)), Ok(ID.into()));
        assert_eq!(check_with(&temporary(), BODY, key(Some("other"), None)), unknown);
        assert_eq!(check_with(&temporary(), BODY, key(None, None)), unknown);
        assert_eq!(check_with(&plain(), BODY, key(Some("t/o+k=n"), None)), unknown);
        let expired = check_with(&plain(), BODY, key(None, Some(NOW_MS)));
        assert_eq!(expired, Err(SignatureError::Expired));
        assert_eq!(check_with(&plain(), BODY, key(None, Some(NOW_MS + 1))), Ok(ID.into()));
    }
    let request = Case::default().signed();
    let head = Head { method: "POST", uri: request.uri(), headers: request.headers() };
    assert_eq!(
        Claim::read(head, "firehose", NOW_MS, |_| None).unwrap_err(),
        SignatureError::Unrecognized
    );
    let wrong = Case { service: "kinesis", ..Case::default() };
    assert_eq!(
        message(&wrong.signed()),
        "Credential should be scoped to correct service: 'firehose'."
    );
}

/// A signed request with its Authorization header rewritten.
fn with_authorization(change: impl Fn(String) -> String) -> Request<()> {
    let mut request = Case::default().signed();
    let text = change(request.headers()["authorization"].to_str().unwrap().to_owned());
    request.headers_mut().insert("authorization", HeaderValue::try_from(text).unwrap());
    request
}

#[test]
fn an_incomplete_signature_says_what_is_missing() {
    let mut bare = Case::default().signed();
    bare.headers_mut().remove("authorization");
    assert_eq!(check(&bare), Err(SignatureError::Missing));
    let mut undated = Case::default().signed();
    undated.headers_mut().remove("x-amz-date");
    assert!(message(&undated).contains("'X-Amz-Date' or a 'Date'"));
    let algorithm = with_authorization(|t| t.replace("AWS4-HMAC", "AWS4-ECDSA"));
    assert!(matches!(check(&algorithm), Err(SignatureError::Incomplete(_))));
    for part in ["Credential", "SignedHeaders", "Signature"] {
        let request = with_authorization(|t| t.replace(&format!("{part}="), "Other="));
        assert_eq!(
            check(&request),
            Err(incomplete_text(&format!("Authorization header requires '{part}' parameter.")))
        );
    }
    let short = with_authorization(|t| t.replace("/eu-west-3/firehose", ""));
    assert!(message(&short).contains("5 slash-delimited"));
    let other = with_authorization(|t| t.replace("aws4_request", "aws5_request"));
    assert!(message(&other).contains("terminator"));
    let day = with_authorization(|t| t.replace("/20201013/", "/20201012/"));
    assert!(message(&day).contains("'20201012' != '20201013'"));
    let mut presigned = Case { presigned_s: Some(60), ..Case::default() }.signed();
    let uri = presigned.uri().to_string().replace("X-Amz-Expires", "Y");
    *presigned.uri_mut() = uri.parse().unwrap();
    assert!(message(&presigned).contains("'X-Amz-Expires'"));
}

fn incomplete_text(text: &str) -> SignatureError {
    SignatureError::Incomplete(text.into())
}

#[test]
fn host_and_amz_headers_must_be_signed() {
    let no_host = with_authorization(|t| t.replace("host;", ""));
    assert!(message(&no_host).contains("'Host' or ':authority'"));
    let mut extra = Case::default().signed();
    extra.headers_mut().insert("x-amz-meta", HeaderValue::from_static("1"));
    assert_eq!(message(&extra), "'x-amz-meta' must be a 'SignedHeader' in the AWS Authorization.");
    // What a proxy adds, and what clients leave out, does no harm.
    for name in ["x-amzn-trace-id", "user-agent", "x-forwarded-for", "x-amz-cf-id"] {
        let mut request = Case::default().signed();
        request.headers_mut().insert(name, HeaderValue::from_static("1"));
        assert_eq!(check(&request), Ok(ID.into()), "{name}");
    }
}

#[test]
fn a_declared_body_hash_must_be_the_bodys() {
    for value in ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "00"] {
        let mut request = Case { declare_hash: true, ..Case::default() }.signed();
        request.headers_mut().insert("x-amz-content-sha256", HeaderValue::from_static(value));
        assert!(message(&request).contains("x-amz-content-sha256"), "{value}");
    }
}

#[test]
fn the_authority_of_http2_stands_for_the_host() {
    let mut request = Case::default().signed();
    request.headers_mut().remove("host");
    assert_eq!(check(&request), Ok(ID.into()));
    *request.uri_mut() = Uri::from_static("http://elsewhere/");
    assert_eq!(check(&request), Err(SignatureError::mismatch()));
}

proptest! {
    /// Whatever stands in the two places a stranger fills, it is refused without a panic.
    #[test]
    fn nonsense_is_refused(authorization in "\\PC{0,80}", query in "[ -~&&[^#\"<> `{}|\\\\^]]{0,80}") {
        let Ok(uri) = Uri::try_from(format!("http://localhost/?{query}")) else { return Ok(()) };
        let mut request = Request::post(uri).body(()).unwrap();
        if let Ok(value) = HeaderValue::from_str(&authorization) {
            request.headers_mut().insert("authorization", value);
        }
        prop_assert!(check(&request).is_err());
        let mut prefixed = Case::default().signed();
        let text = format!("AWS4-HMAC-SHA256 {authorization}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            prefixed.headers_mut().insert("authorization", value);
            prop_assert!(check(&prefixed).is_err());
        }
    }
}
