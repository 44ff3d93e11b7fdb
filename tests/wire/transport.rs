//! Connections: keep-alive, HTTP/2, TLS, and the orderly end.

use std::{fs, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use standpipe::{
    api::{ServeError, Server, ServerLimits},
    config::{ApiOptions, TlsOptions},
    env::SystemClock,
    units::Secret,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{Answer, SIGNER, batch, call, head_of, read, read_to_end},
    fake::{Fake, Running, options, start, start_with, until},
};

fn signed_put(server: &Running, stream: &str) -> Request<Bytes> {
    SIGNER.sign(call(server.address, "PutRecordBatch", batch(stream, &[b"x"])))
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let server = start().await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        let request = signed_put(&server, "s");
        let length = request.body().len();
        let mut bytes =
            format!("{}content-length: {length}\r\n\r\n", head_of(&request)).into_bytes();
        bytes.extend_from_slice(request.body());
        socket.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"]}") {
            assert_ne!(socket.read_buf(&mut answer).await.unwrap(), 0);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(server.fake.records().len(), 3);
}

#[tokio::test]
async fn http2_serves_requests_side_by_side() {
    let server = start().await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let gated = tokio::spawn(client.request(signed_put(&server, "gated").map(Full::new)));
    server.fake.entered.acquire().await.unwrap().forget();
    // Over the same connection, while the first waits. The host is in `:authority` only.
    let mut request = signed_put(&server, "s");
    request.headers_mut().remove("host");
    *request.version_mut() = http::Version::HTTP_2;
    let response = client.request(request.map(Full::new)).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert_eq!(read(response).await.status, 200);
    server.fake.gate.add_permits(1);
    assert_eq!(read(gated.await.unwrap().unwrap()).await.status, 200);
    let large = vec![7; 1_000_000];
    let body = batch("s", &[&large, &large, &large, &large]);
    let request = SIGNER.sign(call(server.address, "PutRecordBatch", body));
    assert_eq!(read(client.request(request.map(Full::new)).await.unwrap()).await.status, 200);
    assert_eq!(server.fake.records().len(), 6);
}

#[tokio::test]
async fn http2_is_held_to_the_same_limits() {
    let limits = ServerLimits { put_body_bytes: 1000, ..ServerLimits::default() };
    let server = start_with(options(), limits).await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let send = async |request: Request<Bytes>| {
        read(client.request(request.map(Full::new)).await.unwrap()).await
    };
    let over = SIGNER.sign(call(server.address, "PutRecordBatch", batch("s", &[&[0; 1000]])));
    assert_eq!(send(over).await.outcome(), (413, "RequestEntityTooLargeException".into()));
    let unsigned = call(server.address, "PutRecordBatch", batch("s", &[b"x"]));
    assert_eq!(send(unsigned).await.outcome(), (403, "MissingAuthenticationTokenException".into()));
    assert_eq!(send(signed_put(&server, "s")).await.status, 200);
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way_and_nothing_else() {
    let server = start().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let request = signed_put(&server, "gated");
    let put = tokio::spawn(crate::client::send(request));
    server.fake.entered.acquire().await.unwrap().forget();
    server.stop.cancel();
    assert_eq!(read_to_end(&mut idle).await, "");
    until("the port is closed", async || TcpStream::connect(server.address).await.is_err()).await;
    assert!(!server.task.is_finished());
    server.fake.gate.add_permits(1);
    assert_eq!(put.await.unwrap().status, 200);
    server.task.await.unwrap();
    assert_eq!(server.fake.records().len(), 1);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let limits = ServerLimits { connections: 1, ..ServerLimits::default() };
    let server = start_with(options(), limits).await;
    let first = tokio::spawn(crate::client::send(signed_put(&server, "gated")));
    server.fake.entered.acquire().await.unwrap().forget();
    let second = tokio::spawn(crate::client::send(signed_put(&server, "s")));
    server.fake.gate.add_permits(1);
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(second.await.unwrap().status, 200);
    let streams: Vec<_> = server.fake.puts.lock().iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(streams, ["gated", "s"]);
}

#[tokio::test]
async fn open_listeners_are_refused() {
    for (anonymous, plain_http, text) in [
        (true, true, Some("`anonymous: true` is allowed on a loopback address only")),
        (false, false, Some("plain_http: true")),
        (false, true, None),
    ] {
        let options = ApiOptions { anonymous, plain_http, ..options() };
        let backend = Arc::new(Fake::default());
        let clock = Arc::new(SystemClock::default());
        let server = Server::new(&options, ServerLimits::default(), clock, backend).unwrap();
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        let result = server.run(listener, stop).await;
        match text {
            Some(text) => assert!(result.unwrap_err().to_string().contains(text)),
            None => assert!(result.is_ok()),
        }
    }
}

/// A certificate for localhost and its key, both PEM.
fn write_certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
}

fn tls_options(folder: &Path) -> ApiOptions {
    let key = Secret::File { file: folder.join("tls.key") };
    ApiOptions { tls: Some(TlsOptions { certificate: folder.join("tls.crt"), key }), ..options() }
}

async fn connect(
    server: &Running,
    trusted: &CertificateDer<'static>,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let socket = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

async fn put_over_http1(server: &Running, stream: TlsStream<TcpStream>) -> Answer {
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    read(sender.send_request(signed_put(server, "s").map(Full::new)).await.unwrap()).await
}

async fn put_over_http2(server: &Running, stream: TlsStream<TcpStream>) -> Answer {
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    read(sender.send_request(signed_put(server, "s").map(Full::new)).await.unwrap()).await
}

#[tokio::test]
async fn tls_serves_both_protocols_and_follows_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let first = write_certificate(folder.path());
    let limits =
        ServerLimits { files_poll_interval: Duration::from_millis(10), ..ServerLimits::default() };
    let server = start_with(tls_options(folder.path()), limits).await;
    let stream = connect(&server, &first, b"http/1.1").await.unwrap();
    assert_eq!(put_over_http1(&server, stream).await.status, 200);
    let stream = connect(&server, &first, b"h2").await.unwrap();
    assert_eq!(put_over_http2(&server, stream).await.status, 200);

    let second = write_certificate(folder.path());
    until("the new certificate", async || connect(&server, &second, b"h2").await.is_ok()).await;
    assert!(connect(&server, &first, b"h2").await.is_err());
}

#[tokio::test]
async fn a_broken_certificate_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = write_certificate(folder.path());
    let options = tls_options(folder.path());
    let certificates =
        standpipe::api::tls::Certificates::load(options.tls.as_ref().unwrap()).unwrap();
    let key = fs::read(folder.path().join("tls.key")).unwrap();
    // Nothing, nonsense, and the key of another certificate.
    for (certificate, other_key) in
        [(&b""[..], &key[..]), (b"-----BEGIN", &key), (first.as_ref(), b"no key")]
    {
        fs::write(folder.path().join("tls.crt"), certificate).unwrap();
        fs::write(folder.path().join("tls.key"), other_key).unwrap();
        assert!(certificates.reload().is_err());
    }
    write_certificate(folder.path());
    fs::write(folder.path().join("tls.key"), &key).unwrap();
    assert!(certificates.reload().is_err());
    write_certificate(folder.path());
    certificates.reload().unwrap();
    fs::remove_file(folder.path().join("tls.key")).unwrap();
    let clock = Arc::new(SystemClock::default());
    let server = Server::new(&options, ServerLimits::default(), clock, Arc::new(Fake::default()));
    assert!(matches!(server.err(), Some(ServeError::Tls(_))));
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let limits =
        ServerLimits { handshake_timeout: Duration::from_millis(50), ..ServerLimits::default() };
    let server = start_with(tls_options(folder.path()), limits).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(read_to_end(&mut silent).await, "");
}
