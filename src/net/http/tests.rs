use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use super::*;
use crate::net::tls_double::{Authority, Shown};

const MINUTE: Duration = Duration::from_secs(60);

fn get(url: &str) -> Request {
    Request::new(::http::Method::GET, url.parse().unwrap())
}

async fn ask_with(tls: &Tls, url: &str) -> Result<Answer, SendError> {
    let client = client_with(tls).unwrap();
    send_by(&client, get(&format!("{url}/?key=s3cr3t")), MINUTE, 1000).await
}

/// A server that takes one request and answers with these bytes; then it hangs up.
async fn answering(bytes: &'static [u8]) -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        socket.write_all(bytes).await.unwrap();
        head
    });
    (url, task)
}

#[tokio::test]
async fn own_authorities_are_trusted_instead_of_the_machines() {
    let authority = Authority::new();
    let server = authority.serve(Shown::Good, false).await;
    let answer = ask_with(&authority.trusted(), &server.url).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"secure"[..]));
    let stranger = Authority::new();
    let error = ask_with(&stranger.trusted(), &server.url).await.unwrap_err();
    assert!(matches!(error, SendError::Tls(TlsTrouble::Issuer, _)), "{error:?}");
    let error = ask_with(&Tls::default(), &server.url).await.unwrap_err();
    assert!(matches!(error, SendError::Tls(TlsTrouble::Issuer, _)), "{error:?}");
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
    for shown in [Shown::Expired, Shown::NotYet, Shown::OtherName] {
        let server = authority.serve(shown, false).await;
        let error = ask_with(&authority.trusted(), &server.url).await.unwrap_err();
        assert!(matches!(error, SendError::Tls(TlsTrouble::Certificate, _)), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_our_certificate_gets_it() {
    let authority = Authority::new();
    let server = authority.serve(Shown::Good, true).await;
    assert_eq!(ask_with(&authority.member(), &server.url).await.unwrap().status, 200);
    let error = ask_with(&authority.trusted(), &server.url).await.unwrap_err();
    let SendError::Tls(TlsTrouble::Handshake, text) = &error else { panic!("{error:?}") };
    assert!(text.contains("CertificateRequired"), "{text}");
    // A certificate of somebody whom the server does not trust.
    let stranger = Authority::new();
    let tls = Tls { ca_file: authority.trusted().ca_file, ..stranger.member() };
    let error = ask_with(&tls, &server.url).await.unwrap_err();
    assert!(matches!(error, SendError::Tls(TlsTrouble::Handshake, _)), "{error:?}");
}

#[tokio::test]
async fn rotated_certificates_are_taken_and_unusable_ones_are_not() {
    let authority = Authority::new();
    let server = authority.serve(Shown::Good, false).await;
    let file = authority.file("rotating.pem");
    let tls = Tls { ca_file: Some(file.clone()), ..Tls::default() };
    assert!(client_with(&tls).is_err(), "the file is not there yet");

    std::fs::copy(Authority::new().file("ca.pem"), &file).unwrap();
    let error = ask_with(&tls, &server.url).await.unwrap_err();
    assert!(matches!(error, SendError::Tls(TlsTrouble::Issuer, _)), "{error:?}");

    // Other sizes: two writes may fall into one tick of the file system's clock.
    let good = std::fs::read_to_string(authority.file("ca.pem")).unwrap();
    std::fs::write(&file, format!("{good}\n\n")).unwrap();
    assert_eq!(ask_with(&tls, &server.url).await.unwrap().status, 200);

    std::fs::write(&file, "half a certifica").unwrap();
    assert_eq!(ask_with(&tls, &server.url).await.unwrap().status, 200);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(ask_with(&tls, &server.url).await.unwrap().status, 200);
}

#[tokio::test]
async fn clients_are_bounded() {
    let mut clients = Clients::default();
    let name = |number: usize| Name {
        runtime: Handle::current().id(),
        versions: Versions::Any,
        tls: Tls { ca_file: Some(number.to_string().into()), ..Tls::default() },
    };
    let kept = || Kept { client: client(), stamp: Stamp::new() };
    for number in 0..limits::HTTP_CLIENTS {
        clients.keep(name(number), kept());
    }
    // One that is there already takes no further place.
    clients.keep(name(0), kept());
    assert_eq!(clients.0.len(), limits::HTTP_CLIENTS);
    clients.keep(name(limits::HTTP_CLIENTS), kept());
    assert_eq!(clients.0.len(), 1);
}

#[tokio::test]
async fn what_is_no_answer_is_told_apart() {
    let (url, _server) = answering(b"SSH-2.0-OpenSSH_9.6\r\n").await;
    let error = ask_with(&Tls::default(), &url).await.unwrap_err();
    assert!(matches!(error, SendError::Malformed(_)), "{error:?}");
    let (url, _server) = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let error = ask_with(&Tls::default(), &url).await.unwrap_err();
    assert!(matches!(error, SendError::Broken(_)), "{error:?}");
    let (url, _server) = answering(b"").await;
    let error = ask_with(&Tls::default(), &url).await.unwrap_err();
    assert!(matches!(error, SendError::Broken(_)), "{error:?}");
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
}

#[tokio::test]
async fn of_a_status_alone_the_rest_may_be_missing_or_endless() {
    let request = |url: &str| get(url);
    let client = client();
    let (url, _server) = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let answer = send_for_status(&client, request(&url), MINUTE, 100).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"half"[..]));
    let (url, _server) = answering(b"HTTP/1.1 503 x\r\n\r\n0123456789").await;
    let answer = send_for_status(&client, request(&url), MINUTE, 4).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (503, &b"0123"[..]));
    assert_eq!(answer.reason.as_deref(), Some("x"));
}

#[tokio::test]
async fn names_of_headers_are_written_as_people_do_where_http_1_is_asked_for() {
    for (versions, name) in [(Versions::One, "X-Amz-Own: "), (Versions::Any, "x-amz-own: ")] {
        let (url, server) = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let mut request = get(&url);
        request.headers_mut().insert("x-amz-own", "1".parse().unwrap());
        let client = client_of(&Tls::default(), versions).unwrap();
        let answer = send_by(&client, request, MINUTE, 10).await.unwrap();
        assert_eq!(answer.reason, None);
        let head = String::from_utf8(server.await.unwrap()).unwrap();
        assert!(head.contains(name), "{head}");
    }
}

#[test]
fn waits_are_read_in_seconds_and_as_dates() {
    let answer = |headers: &[(&'static str, &str)]| {
        let headers = headers
            .iter()
            .map(|(name, value)| (::http::HeaderName::from_static(name), value.parse().unwrap()));
        Answer {
            status: StatusCode::SERVICE_UNAVAILABLE,
            reason: None,
            headers: headers.collect(),
            body: Bytes::new(),
        }
    };
    let date = ("date", "Sun, 06 Nov 1994 08:49:00 GMT");
    for (after, seconds) in [
        ("7", Some(7)),
        (" 0 ", Some(0)),
        ("99999999999", Some(limits::RETRY_AFTER_MAX.as_secs())),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(37)),
        ("Sun Nov  6 08:49:37 1994", Some(37)),
        ("Sun, 06 Nov 1994 08:48:00 GMT", Some(0)),
        ("Sat, 06 Nov 2094 08:48:00 GMT", Some(limits::RETRY_AFTER_MAX.as_secs())),
        ("Sun, 36 Nov 1994 08:49:37 GMT", None),
        ("-3", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ] {
        let wait = answer(&[date, ("retry-after", after)]).retry_after();
        assert_eq!(wait, seconds.map(Duration::from_secs), "{after}");
    }
    // Without a date of the server the own clock counts: 1994 is over, 2094 is far.
    let past = answer(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]).retry_after();
    assert_eq!(past, Some(Duration::ZERO));
    let far = answer(&[("retry-after", "Sat, 06 Nov 2094 08:49:37 GMT")]).retry_after();
    assert_eq!(far, Some(limits::RETRY_AFTER_MAX));
    assert_eq!(answer(&[]).retry_after(), None);
}
