//! Plain bodies: what is stored of them, and what is not.

use super::*;
use crate::limits::{BATCH_BYTES_MAX, RECORD_BYTES_MAX};

const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

#[tokio::test]
async fn every_format_and_encoding_is_stored_as_it_came() {
    let daemon = Daemon::new();
    let stream = daemon.start("s", "{token: secret}").await;
    let lines = b"{\"a\": 1}\n\n{\"b\":2}\r\n";
    let zstd = zstd::encode_all(&lines[..], 3).unwrap();
    let mut expected: Vec<&str> = Vec::new();
    for (headers, body, records) in [
        (vec![NDJSON], lines.to_vec(), &["{\"a\": 1}", "{\"b\":2}"][..]),
        (vec![NDJSON, ("Content-Encoding", "gzip")], gzip(lines), &["{\"a\": 1}", "{\"b\":2}"]),
        (vec![NDJSON, ("Content-Encoding", "ZSTD")], zstd, &["{\"a\": 1}", "{\"b\":2}"]),
        (
            vec![("Content-Type", "application/json")],
            b"[1, {\"c\": []}]".to_vec(),
            &["1", "{\"c\": []}"],
        ),
        (vec![("Content-Type", "application/json")], b"{\"d\":4}\n".to_vec(), &["{\"d\":4}"]),
        (vec![("Content-Type", "text/plain")], b"one\ntwo".to_vec(), &["one", "two"]),
        (vec![], b"whole\nbody\n".to_vec(), &["whole\nbody\n"]),
        (vec![], b"".to_vec(), &[]),
    ] {
        let headers: Vec<_> = headers.into_iter().chain([TOKEN]).collect();
        let reply = stream.post("/s", &headers, &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json(), serde_json::json!({"accepted": records.len(), "repeated": false}));
        expected.extend(records);
        assert_eq!(stream.journal.records(), expected, "{headers:?}");
    }
    let arrival = stream.journal.kept.puts()[0].arrival_ms;
    assert!(arrival > 0, "{arrival}");
    stream.stop().await;
}

#[tokio::test]
async fn a_set_format_beats_the_content_type() {
    let daemon = Daemon::new();
    let stream = daemon.start("s", "{token: secret, format: lines, path: /in/x}").await;
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(stream.post("/in/x", &[TOKEN, form], b"a\nb").await.status, 200);
    assert_eq!(stream.journal.records(), ["a", "b"]);
    stream.stop().await;
}

#[tokio::test]
async fn strangers_and_strange_requests_are_turned_away() {
    let daemon = Daemon::new();
    let yaml = "{token: [old, secret], basic: {username: u, password: p}, max_body_size: 1KiB}";
    let stream = daemon.start("s", yaml).await;
    let basic = format!("Basic {}", base64_simd::STANDARD.encode_to_string("u:p"));
    for good in ["Bearer old", "bearer secret", &basic] {
        assert_eq!(stream.post("/s", &[("Authorization", good)], b"x").await.status, 200, "{good}");
    }
    let stored = stream.journal.records().len();
    for bad in ["Bearer nobody", "Bearer ", "secret", "Basic dTpx", "Basic !"] {
        let reply = stream.post("/s", &[("Authorization", bad)], b"x").await;
        assert_eq!(reply.status, 401, "{bad}");
        let challenge = reply.header("WWW-Authenticate").unwrap();
        assert!(challenge.contains("Bearer ") && challenge.contains("Basic "), "{challenge}");
    }
    assert_eq!(stream.post("/s", &[], b"x").await.status, 401);
    for path in ["/", "//s", "/S", "/s/x", "/%73"] {
        assert_eq!(stream.post(path, &[TOKEN], b"x").await.status, 404, "{path}");
    }
    let reply = send(stream.address, &request("GET", "/s", &[TOKEN], b"")).await;
    assert_eq!((reply.status, reply.header("Allow")), (405, Some("POST")));
    for encoding in ["br", "gzip, zstd", "deflate"] {
        let headers = [TOKEN, ("Content-Encoding", encoding)];
        assert_eq!(stream.post("/s", &headers, b"x").await.status, 415, "{encoding}");
    }
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let reply = stream.post("/s", &[TOKEN, form], b"{}").await;
    assert!(reply.status == 415 && reply.body.contains("--data-binary"), "{reply:?}");
    assert_eq!(stream.post("/s", &[TOKEN], &[b'x'; 1025]).await.status, 413);
    assert_eq!(stream.journal.records().len(), stored);
    let metrics = daemon.metrics.render();
    assert!(metrics.contains("code=\"Http.401\"") && metrics.contains("code=\"Http.415\""));
    assert!(!metrics.contains("code=\"Http.200\""));
    stream.stop().await;
}

#[tokio::test]
async fn one_bad_line_stores_nothing_of_its_request() {
    let daemon = Daemon::new();
    let stream = daemon.start("s", "{token: secret}").await;
    let reply = stream.post("/s", &[TOKEN, NDJSON], b"{}\n{\"a\":}\n{}").await;
    assert_eq!(reply.status, 400);
    let error = reply.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("line 2, column 6") && error.contains("nothing"), "{error}");
    let mut body = b"{}\n\"".to_vec();
    body.extend(vec![b'x'; RECORD_BYTES_MAX]);
    body.push(b'"');
    let reply = stream.post("/s", &[TOKEN, NDJSON], &body).await;
    assert!(reply.status == 413 && reply.body.contains("line 2: "), "{reply:?}");
    assert!(stream.journal.records().is_empty());
    stream.stop().await;
}

#[tokio::test]
async fn the_same_call_is_stored_once() {
    let daemon = Daemon::new();
    let stream = daemon.start("s", "{token: [secret, other]}").await;
    let key = ("Idempotency-Key", "k1");
    let repeated = async |headers: &[(&str, &str)], body: &[u8]| {
        let reply = stream.post("/s", headers, body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json()["accepted"], 1);
        reply.json()["repeated"].as_bool().unwrap()
    };
    assert!(!repeated(&[TOKEN, key], b"x").await);
    assert!(repeated(&[TOKEN, key], b"x").await);
    assert!(!repeated(&[TOKEN, key], b"y").await, "another body");
    assert!(!repeated(&[TOKEN, ("Idempotency-Key", "k2")], b"x").await, "another key");
    assert!(!repeated(&[("Authorization", "Bearer other"), key], b"x").await, "somebody else");
    assert!(!repeated(&[TOKEN], b"x").await && !repeated(&[TOKEN], b"x").await, "no key");
    assert_eq!(stream.journal.records(), ["x", "y", "x", "x", "x", "x"]);
    for bad in ["", &"k".repeat(257)] {
        let reply = stream.post("/s", &[TOKEN, ("Idempotency-Key", bad)], b"x").await;
        assert_eq!(reply.status, 400, "{bad:?}");
    }
    stream.stop().await;
}

#[tokio::test]
async fn a_large_body_is_put_in_parts_and_goes_on_where_it_stopped() {
    let daemon = Daemon::new();
    let stream = daemon.start("s", "{token: secret}").await;
    let line = "x".repeat(999_999);
    let body = format!("{line}\n").repeat(9);
    let headers = [TOKEN, ("Content-Type", "text/plain"), ("Idempotency-Key", "k")];
    *stream.journal.room.lock() = 2;
    let reply = stream.post("/s", &headers, body.as_bytes()).await;
    assert_eq!((reply.status, &reply.json()["accepted"]), (503, &8.into()), "{}", reply.head);
    assert!(reply.header("Retry-After").is_some());
    *stream.journal.room.lock() = 9;
    let reply = stream.post("/s", &headers, body.as_bytes()).await;
    assert_eq!(reply.json(), serde_json::json!({"accepted": 9, "repeated": false}));
    let reply = stream.post("/s", &headers, body.as_bytes()).await;
    assert_eq!(reply.json(), serde_json::json!({"accepted": 9, "repeated": true}));
    assert_eq!(stream.journal.records().len(), 9);
    assert!(stream.journal.kept.puts().iter().all(|put| put.data.len() <= BATCH_BYTES_MAX));
    stream.stop().await;
}

#[tokio::test]
async fn a_full_journal_and_a_limit_ask_for_patience_and_store_nothing() {
    let daemon = Daemon::new();
    let limits = Limits { records_per_second: Some(2), ..Limits::default() };
    let stream = daemon.start_with("s", options("{token: secret}"), limits).await;
    *stream.journal.room.lock() = 0;
    let reply = stream.post("/s", &[TOKEN], b"x").await;
    assert_eq!((reply.status, reply.header("Retry-After")), (503, Some("10")), "{reply:?}");
    *stream.journal.room.lock() = 9;
    let three = [TOKEN, ("Content-Type", "text/plain")];
    let reply = stream.post("/s", &three, b"1\n2\n3\n4\n5\n6\n7\n8").await;
    // One of two a second has been taken; whether the second is over is not for us to say.
    if reply.status == 429 {
        assert_eq!(reply.header("Retry-After"), Some("1"));
        assert!(stream.journal.records().is_empty(), "not the first ones either");
    } else {
        let reply = stream.post("/s", &three, b"1\n2\n3").await;
        assert_eq!(reply.status, 429, "six records are owed");
        assert_eq!(stream.journal.records().len(), 8);
    }
    stream.stop().await;
}

#[tokio::test]
async fn web_pages_do_not_post_where_nobody_is_asked_who_he_is() {
    let daemon = Daemon::new();
    let stream = daemon.start("s", "{anonymous: true}").await;
    assert_eq!(stream.post("/s", &[], b"x").await.status, 200);
    assert_eq!(stream.post("/s", &[("Origin", "http://localhost")], b"x").await.status, 200);
    let reply = stream.post("/s", &[("Origin", "https://evil.example")], b"x").await;
    assert_eq!(reply.status, 403);
    assert_eq!(stream.journal.records().len(), 2);
    stream.stop().await;
}
