//! Bounds: one byte over each, and clients that take their time.

use std::{net::SocketAddr, time::Duration};

use standpipe::{
    api::ServerLimits,
    limits::{BATCH_BYTES_MAX, BODY_BYTES_MAX, CONTROL_BODY_BYTES_MAX, RECORD_BYTES_MAX},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    client::{SIGNER, ask, batch, call, head_of, raw, read_to_end, send},
    fake::{options, start, start_with, until},
};

#[tokio::test]
async fn records_and_batches_are_bounded_to_the_byte() {
    let server = start().await;
    let put =
        async |records: &[&[u8]]| ask(server.address, "PutRecordBatch", batch("s", records)).await;
    let full = vec![9; RECORD_BYTES_MAX];
    let rest = vec![9; BATCH_BYTES_MAX - 4 * RECORD_BYTES_MAX];
    assert_eq!(put(&[&full, &full, &full, &full, &rest]).await.status, 200);
    let over = [rest.as_slice(), b"1"].concat();
    let answer = put(&[&full, &full, &full, &full, &over]).await;
    assert_eq!(answer.outcome(), (400, "InvalidArgumentException".into()));
    let answer = put(&[&[full.as_slice(), b"1"].concat()]).await;
    assert_eq!(answer.outcome(), (400, "ValidationException".into()));
    assert_eq!(put(&[b"" as &[u8]; 500]).await.status, 200);
    assert_eq!(put(&[b"" as &[u8]; 501]).await.outcome(), (400, "ValidationException".into()));
    let answer = ask(server.address, "PutRecordBatch", "{\"Records\":").await;
    assert_eq!(answer.outcome(), (400, "SerializationException".into()));
    assert_eq!(server.fake.records().len(), 505);
}

/// A body of exactly the limit is read; one byte more is refused before it is read.
#[tokio::test]
async fn bodies_are_bounded_to_the_byte() {
    let server = start().await;
    for (operation, max) in
        [("PutRecord", BODY_BYTES_MAX), ("ListDeliveryStreams", CONTROL_BODY_BYTES_MAX)]
    {
        let padded = |length: usize| {
            let body = r#"{"DeliveryStreamName":"s","Record":{"Data":"eA=="}}"#;
            format!("{body}{}", " ".repeat(length - body.len()))
        };
        assert_eq!(ask(server.address, operation, padded(max)).await.status, 200);
        let answer = ask(server.address, operation, padded(max + 1)).await;
        assert_eq!(answer.outcome(), (413, "RequestEntityTooLargeException".into()));
        let request = call(server.address, operation, "");
        let head = format!(
            "{}content-length: {}\r\nexpect: 100-continue\r\n\r\n",
            head_of(&request),
            max + 1
        );
        let answer = raw(server.address, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
}

/// Many a client sends all of its body before it looks for an answer, and goes on afterwards.
#[tokio::test]
async fn a_refused_body_may_be_sent_to_its_end() {
    const LENGTH: usize = 40_000_000;
    let server = start().await;
    let request = call(server.address, "PutRecord", "");
    let head = format!("{}content-length: {LENGTH}\r\n\r\n", head_of(&request));
    let last = SIGNER.sign(call(server.address, "ListDeliveryStreams", ""));
    let last = format!("{}content-length: 0\r\nconnection: close\r\n\r\n", head_of(&last));
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&vec![b' '; LENGTH]).await.unwrap();
    socket.write_all(last.as_bytes()).await.unwrap();
    let answers = read_to_end(&mut socket).await;
    assert!(answers.starts_with("HTTP/1.1 413"), "{answers}");
    assert!(answers.contains("HTTP/1.1 200"), "{answers}");
}

#[tokio::test]
async fn a_chunked_body_is_bounded_as_it_comes() {
    let server = start().await;
    let request = SIGNER.sign(call(server.address, "ListDeliveryStreams", "{}"));
    let head = format!("{}transfer-encoding: chunked\r\n", head_of(&request));
    let answer = raw(
        server.address,
        format!("{head}connection: close\r\n\r\n1\r\n{{\r\n1\r\n}}\r\n0\r\n\r\n").as_bytes(),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..=CONTROL_BODY_BYTES_MAX / 0x10000 {
        // The server may close while the last pieces are written.
        if socket.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let answer = read_to_end(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("connection: close"), "{answer}");
}

fn hasty() -> ServerLimits {
    ServerLimits {
        header_timeout: Duration::from_millis(300),
        body_grace: Duration::from_millis(100),
        ..ServerLimits::default()
    }
}

#[tokio::test]
async fn half_open_clients_are_cut_off() {
    let server = start_with(options(), hasty()).await;
    assert_eq!(raw(server.address, b"").await, "");
    assert_eq!(raw(server.address, b"POST / HTTP/1.1\r\nhost: x\r\n").await, "");
    // Half of HTTP/2's first line, too.
    assert_eq!(raw(server.address, b"PRI * HTTP/2.0\r\n").await, "");
}

#[tokio::test]
async fn a_body_that_stops_is_cut_off() {
    let server = start_with(options(), hasty()).await;
    let request = SIGNER.sign(call(server.address, "ListDeliveryStreams", "{}"));
    let half = format!("{}content-length: 2\r\n\r\n{{", head_of(&request));
    let answer = raw(server.address, half.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("RequestTimeoutException"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

/// Pieces come often enough, but in sum too slowly.
#[tokio::test]
async fn a_body_that_trickles_is_cut_off() {
    let limits = ServerLimits { body_bytes_per_s: 1_000_000, ..hasty() };
    let server = start_with(options(), limits).await;
    let request = SIGNER.sign(call(server.address, "ListDeliveryStreams", "{}"));
    let head = format!("{}content-length: 100000\r\n\r\n", head_of(&request));
    let (mut reader, mut writer) = TcpStream::connect(server.address).await.unwrap().into_split();
    writer.write_all(head.as_bytes()).await.unwrap();
    let trickle = tokio::spawn(async move {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let answer = read_to_end(&mut reader).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    trickle.await.unwrap();
}

/// Begins a request of 1,000 bytes and keeps them back, once the server has room for them.
async fn slow_client(address: SocketAddr) -> TcpStream {
    let request = SIGNER.sign(call(address, "ListDeliveryStreams", "{}"));
    let head = format!("{}content-length: 1000\r\nexpect: 100-continue\r\n\r\n", head_of(&request));
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body once it has taken the memory for it.
    let mut asked = [0; 25];
    tokio::io::AsyncReadExt::read_exact(&mut slow, &mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    slow
}

/// One slow client holds all memory: it is tolerated while it is alone, and cut when others wait.
#[tokio::test]
async fn a_slow_body_does_not_hold_the_memory_that_others_wait_for() {
    let limits = ServerLimits {
        bodies_in_memory_bytes: 1000,
        body_bytes_per_s: 0,
        body_grace_crowded: Duration::from_millis(100),
        header_timeout: Duration::from_secs(3600),
        ..ServerLimits::default()
    };
    let server = start_with(options(), limits).await;
    let mut slow = slow_client(server.address).await;
    let answer = ask(server.address, "PutRecordBatch", batch("s", &[b"x"])).await;
    assert_eq!(answer.status, 200);
    assert!(read_to_end(&mut slow).await.starts_with("HTTP/1.1 408"));
}

/// Where no memory comes free in time, the client is asked to come again, on the same connection.
#[tokio::test]
async fn waiting_for_memory_has_an_end() {
    let limits = ServerLimits {
        bodies_in_memory_bytes: 1000,
        body_wait: Duration::from_millis(50),
        body_bytes_per_s_crowded: 0,
        header_timeout: Duration::from_secs(3600),
        ..ServerLimits::default()
    };
    let server = start_with(options(), limits).await;
    let slow = slow_client(server.address).await;
    let body = batch("s", &[b"x"]);
    let answer = ask(server.address, "PutRecordBatch", body.clone()).await;
    assert_eq!(answer.outcome(), (500, "ServiceUnavailableException".into()));
    assert!(answer.body.contains("\"Slow down.\""), "{}", answer.body);
    assert!(!answer.headers.contains_key("connection"));
    drop(slow);
    until("the memory of the client that went away", async || {
        ask(server.address, "PutRecordBatch", body.clone()).await.status == 200
    })
    .await;
}

/// Empty ids would make one call of all that bring one.
#[tokio::test]
async fn an_empty_invocation_id_is_none() {
    let server = start().await;
    for id in ["", "  ", "1"] {
        let mut request = call(server.address, "PutRecordBatch", batch("s", &[b"x"]));
        request.headers_mut().insert("amz-sdk-invocation-id", id.parse().unwrap());
        assert_eq!(send(SIGNER.sign(request)).await.status, 200);
    }
    let calls: Vec<_> = server.fake.puts.lock().iter().map(|(_, put)| put.call.is_some()).collect();
    assert_eq!(calls, [false, false, true]);
}
