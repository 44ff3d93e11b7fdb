//! Clients that are slow, leave, or lie, and ends in the middle of something.

use super::*;

const TOKEN: (&str, &str) = ("Authorization", "Bearer t");

#[tokio::test]
async fn bombs_are_not_unpacked() {
    let daemon = Daemon::new();
    let stream = daemon.start("s", "{token: t, max_body_size: 1MiB}").await;
    let bomb = vec![0; 200 << 20];
    let zstd = zstd::encode_all(&bomb[..], 3).unwrap();
    for (encoding, packed) in [("gzip", gzip(&bomb)), ("zstd", zstd)] {
        assert!(packed.len() < 1 << 20, "{}", packed.len());
        let reply = stream.post("/s", &[TOKEN, ("Content-Encoding", encoding)], &packed).await;
        assert!(reply.status == 413 && reply.body.contains("max_body_size"), "{reply:?}");
    }
    let reply = stream.post("/s", &[TOKEN, ("Content-Encoding", "gzip")], b"no gzip").await;
    assert!(reply.status == 400 && reply.body.contains("Content-Encoding"), "{reply:?}");
    assert!(stream.journal.records().is_empty());
    assert_eq!(stream.post("/s", &[TOKEN], b"x").await.status, 200);
    stream.stop().await;
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_too() {
    let daemon = Daemon::new();
    let stream = daemon.start("s", "{token: t, max_body_size: 1KiB}").await;
    let head = "POST /s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Authorization: Bearer t\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("200\r\n{}\r\n", "x".repeat(0x200));
    let good = format!("{head}{}0\r\n\r\n", chunk.repeat(2));
    assert_eq!(send(stream.address, good.as_bytes()).await.status, 200);
    let large = format!("{head}{}0\r\n\r\n", chunk.repeat(3));
    let reply = send(stream.address, large.as_bytes()).await;
    assert_eq!((reply.status, reply.header("Connection")), (413, Some("close")));
    assert_eq!(stream.journal.records(), ["x".repeat(0x400)]);
    stream.stop().await;
}

#[tokio::test]
async fn slow_bodies_and_half_requests_store_nothing() {
    let daemon = Daemon::with(hasty());
    let stream = daemon.start("s", "{token: t}").await;
    let whole = request("POST", "/s", &[TOKEN], b"some body");
    let half = &whole[..whole.len() - 3];
    let reply = send(stream.address, half).await;
    assert_eq!((reply.status, reply.header("Connection")), (408, Some("close")), "{reply:?}");
    let mut socket = TcpStream::connect(stream.address).await.unwrap();
    socket.write_all(half).await.unwrap();
    drop(socket);
    let mut socket = TcpStream::connect(stream.address).await.unwrap();
    socket.write_all(b"POST /s HT").await.unwrap();
    assert_eq!(socket.read_to_end(&mut Vec::new()).await.unwrap(), 0, "cut, without an answer");
    assert_eq!(send(stream.address, &whole).await.status, 200);
    stream.stop().await
}

#[tokio::test]
async fn whoever_leaves_has_stored_it_all_the_same() {
    let daemon = Daemon::new();
    let stream = daemon.start("s", "{token: t}").await;
    stream.journal.gate.forget_permits(usize::MAX);
    let mut came = stream.journal.came.subscribe();
    let mut socket = TcpStream::connect(stream.address).await.unwrap();
    socket.write_all(&request("POST", "/s", &[TOKEN], b"x")).await.unwrap();
    came.wait_for(|came| *came == 1).await.unwrap();
    drop(socket);
    stream.journal.gate.add_permits(1);
    stream.journal.kept.wait_for(1).await;
    assert_eq!(stream.journal.records(), ["x"]);
    stream.stop().await;
}

#[tokio::test]
async fn the_end_waits_for_puts_and_not_for_bodies() {
    let daemon = Daemon::new();
    let stream = daemon.start("s", "{token: t}").await;
    stream.journal.gate.forget_permits(usize::MAX);
    let mut came = stream.journal.came.subscribe();
    let address = stream.address;
    let under_way =
        tokio::spawn(async move { send(address, &request("POST", "/s", &[TOKEN], b"x")).await });
    came.wait_for(|came| *came == 1).await.unwrap();
    // The server has the head of this one when it asks for the body.
    let mut socket = TcpStream::connect(address).await.unwrap();
    let waiting = request("POST", "/s", &[TOKEN, ("Expect", "100-continue")], b"y");
    socket.write_all(&waiting[..waiting.len() - 1]).await.unwrap();
    let mut go_on = [0; 25];
    socket.read_exact(&mut go_on).await.unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"));

    let (journal, ending) = (stream.journal.clone(), tokio::spawn(stream.stop()));
    let mut rest = String::new();
    socket.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 503") && rest.contains("being stopped"), "{rest}");
    assert!(!ending.is_finished() && !under_way.is_finished());
    journal.gate.add_permits(1);
    assert_eq!(under_way.await.unwrap().status, 200);
    ending.await.unwrap();
    assert_eq!(journal.records(), ["x"]);
}
