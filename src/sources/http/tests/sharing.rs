//! Streams that share an address, addresses that are taken, and their ends.

use std::collections::HashSet;

use tokio::net::TcpListener;

use super::*;
use crate::net::tls_double::{Authority, Shown};

#[tokio::test]
async fn load_balancers_may_ask_for_health_without_its_body() {
    let daemon = Daemon::new();
    let stream = daemon.start("s", "{protocol: splunk_hec, token: secret}").await;
    let ask = async |method, path| send(stream.address, &request(method, path, &[], b"")).await;
    let health = "/services/collector/health";
    let (get, head) = (ask("GET", health).await, ask("HEAD", health).await);
    assert_eq!((get.status, head.status, head.body.as_str()), (200, 200, ""));
    assert!(!get.body.is_empty());
    for name in ["content-length", "content-type"] {
        assert_eq!(head.header(name), get.header(name), "{head:?}");
    }
    let put = ask("PUT", health).await;
    assert_eq!((put.status, put.header("allow")), (405, Some("GET, HEAD")));
    for path in ["/services/collector", "/elsewhere"] {
        let refused = ask("HEAD", path).await;
        assert!(refused.status >= 404 && refused.body.is_empty(), "{refused:?}");
    }
    stream.stop().await;
}

#[tokio::test]
async fn streams_share_an_address_by_path_and_by_token() {
    let daemon = Daemon::new();
    let first = daemon.start("first", "{token: a}").await;
    let second = daemon.start("second", "{token: b}").await;
    let third = daemon.start("third", "{token: c, path: /second}").await;
    assert_eq!(HashSet::from([first.address, second.address, third.address]).len(), 1);
    for (path, token, status) in [
        ("/first", "a", 200),
        ("/first", "b", 401),
        ("/second", "b", 200),
        ("/second", "c", 200),
        ("/second", "a", 401),
    ] {
        let token = format!("Bearer {token}");
        let reply = first.post(path, &[("Authorization", &token)], token.as_bytes()).await;
        assert_eq!(reply.status, status, "{path} {token}");
    }
    assert_eq!(first.journal.records(), ["Bearer a"]);
    assert_eq!(second.journal.records(), ["Bearer b"]);
    assert_eq!(third.journal.records(), ["Bearer c"]);

    let address = first.address;
    first.stop().await;
    let gone = request("POST", "/first", &[("Authorization", "Bearer a")], b"x");
    let reply = send(address, &gone).await;
    assert_eq!((reply.status, reply.header("Retry-After")), (503, Some("1")), "it may come back");
    let reply = second.post("/second", &[("Authorization", "Bearer b")], b"x").await;
    assert_eq!(reply.status, 200);
    second.stop().await;
    third.stop().await;
    assert!(TcpStream::connect(address).await.is_err(), "the last one closes the address");
}

#[tokio::test]
async fn collectors_of_many_streams_and_other_protocols_share_an_address() {
    let daemon = Daemon::new();
    let one = daemon.start("one", "{protocol: splunk_hec, token: a, output: event}").await;
    let two = daemon.start("two", "{protocol: splunk_hec, token: b, output: event}").await;
    let logs = daemon.start("logs", "{protocol: otlp, token: c}").await;
    let path = "/services/collector/event/";
    for (token, body) in [("a", r#"{"event":"1"}"#), ("b", r#"{"event":"2"}"#)] {
        let token = format!("Splunk {token}");
        let reply = one.post(path, &[("Authorization", &token)], body.as_bytes()).await;
        assert_eq!((reply.status, &reply.json()["code"]), (200, &0.into()), "{reply:?}");
    }
    let reply = one.post(path, &[("Authorization", "Splunk c")], b"{}").await;
    assert_eq!((reply.status, &reply.json()["code"]), (403, &4.into()), "{reply:?}");
    let health = request("GET", "/services/collector/health", &[], b"");
    assert_eq!(send(one.address, &health).await.status, 200);
    let json = ("Content-Type", "application/json");
    let body =
        br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#;
    let reply = logs.post("/v1/logs", &[("Authorization", "Bearer c"), json], body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(one.journal.records(), ["1"]);
    assert_eq!(two.journal.records(), ["2"]);
    assert_eq!(logs.journal.records().len(), 1);
    for stream in [one, two, logs] {
        stream.stop().await;
    }
}

/// What a stream that cannot have its place says.
async fn refused(daemon: &Daemon, yaml: &str) -> String {
    use crate::sources::http::{plain::Plain, putter::DirectPutter, routes::Route};
    let options = options(yaml);
    let env = Env::real();
    let throttle = Throttle::new(Limits::default(), Duration::ZERO);
    let direct = Arc::new(DirectPut::new(throttle, daemon.metrics.stream("late"), env));
    let metrics = daemon.metrics.source("late");
    let putter = Box::new(DirectPutter { direct, metrics: metrics.clone() });
    let plain = Arc::new(Plain::new(&options, "late").unwrap());
    let route = Route::new("late".into(), plain, putter, metrics);
    match daemon.listeners.join(options.listen, options.terms(), route) {
        Ok(joined) => {
            joined.leave().await;
            String::new()
        }
        Err(conflict) => conflict.to_string(),
    }
}

#[tokio::test]
async fn streams_that_cannot_be_told_apart_do_not_share() {
    let daemon = Daemon::new();
    let stream = daemon.start("early", "{token: [a, b]}").await;
    let error = refused(&daemon, "{path: /early, token: [b, c]}").await;
    assert!(error.contains("\"early\" takes /early"), "{error}");
    assert!(refused(&daemon, "{path: /early, anonymous: true}").await.contains("/early"));
    assert!(refused(&daemon, "{token: t, plain_http: true}").await.contains("must agree"));
    assert_eq!(refused(&daemon, "{path: /early, token: c}").await, "");
    assert_eq!(stream.post("/early", &[("Authorization", "Bearer a")], b"x").await.status, 200);
    stream.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_tried_again() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap();
    let daemon = Daemon::new();
    let mut wanted = options("{token: t}");
    wanted.listen = listen;
    let source = daemon.source("s", wanted, Limits::default()).unwrap();
    let (journal, stop) = (Journal::new(), CancellationToken::new());
    let run = tokio::spawn({
        let (journal, stop) = (journal.clone(), stop.clone());
        async move { source.run(journal, stop).await }
    });
    let failed = loop {
        if let Some(mut state) = daemon.listeners.state(listen) {
            let state = state.wait_for(|state| matches!(state, State::Failed(_))).await.unwrap();
            break format!("{:?}", *state);
        }
        tokio::task::yield_now().await;
    };
    assert!(failed.contains(&format!("cannot listen on {listen}")), "{failed}");
    assert!(daemon.metrics.render().contains("code=\"Http.Listen\""));
    drop(taken);
    assert_eq!(daemon.open(listen).await, listen);
    let request = request("POST", "/s", &[("Authorization", "Bearer t")], b"x");
    assert_eq!(send(listen, &request).await.status, 200);
    stop.cancel();
    run.await.unwrap();
    assert_eq!(journal.records(), ["x"]);
}

#[tokio::test]
async fn a_stream_ends_though_its_address_never_opened() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let daemon = Daemon::new();
    let mut wanted = options("{token: t}");
    wanted.listen = taken.local_addr().unwrap();
    let source = daemon.source("s", wanted.clone(), Limits::default()).unwrap();
    let stop = CancellationToken::new();
    let run = tokio::spawn({
        let stop = stop.clone();
        async move { source.run(Journal::new(), stop).await }
    });
    while daemon.listeners.state(wanted.listen).is_none() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    run.await.unwrap();
    assert!(daemon.listeners.state(wanted.listen).is_none());
}

#[tokio::test]
async fn tls_is_spoken_where_it_is_set() {
    let authority = Authority::new();
    let issued = authority.issue(Shown::Good);
    let (certificate, key) = (authority.file("tls.crt"), authority.file("tls.key"));
    std::fs::write(&certificate, issued.certificate).unwrap();
    std::fs::write(&key, issued.key).unwrap();
    let daemon = Daemon::new();
    let yaml = format!(
        "{{token: t, tls: {{certificate: {}, key: {{file: {}}}}}}}",
        certificate.display(),
        key.display()
    );
    let stream = daemon.start("s", &yaml).await;

    use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    let ca = std::fs::read(authority.file("ca.pem")).unwrap();
    roots.add(CertificateDer::from_pem_slice(&ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(stream.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let socket =
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    let request = request("POST", "/s", &[("Authorization", "Bearer t")], b"x");
    assert_eq!(exchange(socket, &request).await.status, 200);
    assert_eq!(stream.journal.records(), ["x"]);
    stream.stop().await;
}

#[tokio::test]
async fn a_token_file_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first").unwrap();
    let limits =
        ServerLimits { files_poll_interval: Duration::from_millis(5), ..ServerLimits::default() };
    let daemon = Daemon::with(limits);
    let stream = daemon.start("s", &format!("{{token: {{file: {}}}}}", file.display())).await;
    let status = async |token: &str| {
        let token = format!("Bearer {token}");
        stream.post("/s", &[("Authorization", &token)], b"x").await.status
    };
    assert_eq!(status("first").await, 200);
    std::fs::write(&file, "second one").unwrap();
    while status("second one").await != 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(status("first").await, 401);
    stream.stop().await;
}

#[test]
fn what_can_never_work_is_said_at_once() {
    let daemon = Daemon::new();
    let error =
        |yaml: &str| daemon.source("s", options(yaml), Limits::default()).err().unwrap_or_default();
    assert!(error("{}").contains("set `token` or `basic`"));
    assert!(error("{token: {file: /nowhere/at/all}}").contains("cannot read"));
    assert!(error("{token: ''}").contains("empty"));
    assert_eq!(error("{token: t}"), "");
}
