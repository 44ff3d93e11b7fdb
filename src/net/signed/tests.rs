//! Against a server that proves signatures.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::{
    net::{
        aws::StaticKeys,
        aws_double::{ACCESS_KEY, AwsDouble, Reply, SECRET_KEY},
        http::TlsTrouble,
    },
    units::Secret,
};

const MINUTE: Duration = Duration::from_secs(60);

fn access(secret: &str) -> Access {
    Access {
        region: "eu-west-1".into(),
        keys: Some(StaticKeys {
            access_key_id: Secret::Value(ACCESS_KEY.into()),
            secret_access_key: Secret::Value(secret.into()),
            session_token: None,
        }),
        role: None,
        sts_endpoint: None,
    }
}

fn client(url: &str) -> SignedClient {
    SignedClient::new(&access(SECRET_KEY), "glue", Some(url.to_owned())).unwrap()
}

#[tokio::test]
async fn requests_are_signed_whole_and_answers_come_as_they_are() {
    let double = AwsDouble::start(Some("glue"), |call| {
        Reply::new(418, call.body.clone()).with("x-own", "yes").with("retry-after", "7")
    })
    .await;
    for base in [double.url.clone(), format!("{}/", double.url), format!("{}/a/b", double.url)] {
        let client = client(&base);
        let headers = [("x-amz-target", "AWSGlue.GetTable"), ("content-type", "application/json")];
        let body = Bytes::from_static(b"hello");
        let path = "/x%3Ay/z";
        let answer = client.post(path, &headers, body, MINUTE, 5).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (418, &b"hello"[..]));
        assert_eq!(answer.header("x-own"), Some("yes"));
        assert_eq!(answer.retry_after(), Some(Duration::from_secs(7)));
    }
    assert_eq!(double.refused(), Vec::<String>::new());
    let paths: Vec<_> = double.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(paths, ["/x%3Ay/z", "/x%3Ay/z", "/a/b/x%3Ay/z"]);
    assert!(double.calls()[0].header("user-agent").starts_with("standpipe/"));

    let wrong = SignedClient::new(&access("guessed"), "glue", Some(double.url.clone())).unwrap();
    let answer = wrong.post("/", &[], Bytes::new(), MINUTE, 1000).await.unwrap();
    assert_eq!(answer.status.as_u16(), 403);
    assert_eq!(error_type(&answer).as_deref(), Some("InvalidSignatureException"));
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_bound_and_no_further() {
    let double = AwsDouble::start(Some("glue"), |_| Reply::new(200, vec![b'x'; 1001])).await;
    let post = async |limit| client(&double.url).post("/", &[], Bytes::new(), MINUTE, limit).await;
    assert_eq!(post(1001).await.unwrap().body.len(), 1001);
    assert_eq!(post(1000).await.unwrap_err(), SendError::TooLarge { limit_bytes: 1000 });
}

#[tokio::test]
async fn what_failed_is_told_apart() {
    let refusing = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let post = async |url: &str, timeout| {
        let sent = client(url).post("/", &[], Bytes::new(), timeout, 1000).await;
        sent.unwrap_err()
    };
    let error = post(&format!("http://{refusing}"), MINUTE).await;
    assert!(matches!(error, SendError::Connect(_)), "{error:?}");
    let error = post("http://no-such-host.invalid", MINUTE).await;
    assert!(matches!(error, SendError::Connect(_)), "{error:?}");

    let cutting = AwsDouble::start(Some("glue"), |_| Reply::cut()).await;
    let error = post(&cutting.url, MINUTE).await;
    assert!(matches!(error, SendError::Broken(_)), "{error:?}");
    assert!(!error.to_string().contains("127.0.0.1"), "{error}");

    let silent = AwsDouble::waiting(Some("glue"), |_| std::future::pending()).await;
    let short = Duration::from_millis(50);
    assert_eq!(post(&silent.url, short).await, SendError::Timeout(short));

    let folder = tempfile::tempdir().unwrap();
    let keys = StaticKeys {
        secret_access_key: Secret::File { file: folder.path().join("gone") },
        ..access("").keys.unwrap()
    };
    let access = Access { keys: Some(keys), ..access("") };
    let client = SignedClient::new(&access, "glue", Some(cutting.url.clone())).unwrap();
    let error = client.post("/", &[], Bytes::new(), MINUTE, 1000).await.unwrap_err();
    assert!(matches!(error, SendError::Credentials(_)), "{error:?}");
    let header = [("x-amz-target", "a\nb")];
    let error =
        super::SignedClient::new(&self::access(SECRET_KEY), "glue", Some(cutting.url.clone()))
            .unwrap()
            .post("/", &header, Bytes::new(), MINUTE, 1000)
            .await
            .unwrap_err();
    assert!(matches!(error, SendError::Request(_)), "{error:?}");
}

#[test]
fn endpoints_follow_the_region_and_are_checked() {
    for (region, expected) in [
        ("eu-west-1", "https://lambda.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "https://lambda.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "https://lambda.cn-north-1.amazonaws.com.cn"),
    ] {
        assert_eq!(default_endpoint("lambda", region), expected);
    }
    for endpoint in ["", "localhost:9001", "ftp://a", "http://", "http://a?b=c", "http://a#b"] {
        let made = SignedClient::new(&access(""), "lambda", Some(endpoint.into()));
        assert_eq!(made.err(), Some(UrlError), "{endpoint}");
    }
}

#[test]
fn error_names_are_found_wherever_they_stand() {
    let answer = |header: Option<&str>, body: &'static str| {
        let mut headers = ::http::HeaderMap::new();
        if let Some(name) = header {
            headers.insert("x-amzn-errortype", name.parse().unwrap());
        }
        Answer { status: ::http::StatusCode::BAD_REQUEST, reason: None, headers, body: body.into() }
    };
    for (header, body, expected) in [
        (Some("ServiceException:http://x/"), "", Some("ServiceException")),
        (
            None,
            r#"{"__type":"com.amazonaws.glue#EntityNotFoundException"}"#,
            Some("EntityNotFoundException"),
        ),
        (None, r#"{"code":"Throttling"}"#, Some("Throttling")),
        (None, r#"{"__type":7}"#, None),
        (None, "<html>", None),
        (Some(":"), "", None),
    ] {
        assert_eq!(error_type(&answer(header, body)).as_deref(), expected);
    }
    assert!(is_about_credentials("ExpiredTokenException"));
    assert!(!is_about_credentials("AccessDeniedException"));
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_spoken_to() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(
        rustls::crypto::aws_lc_rs::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![made.cert.der().clone()], key)
    .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(socket).await.is_ok()
    });
    let client = client(&format!("https://localhost:{port}"));
    let error = client.post("/", &[], Bytes::new(), MINUTE, 1000).await.unwrap_err();
    let SendError::Tls(TlsTrouble::Issuer, text) = &error else { panic!("{error:?}") };
    assert!(text.contains("certificate"), "{text}");
    assert!(!server.await.unwrap(), "the handshake was refused");
}
