//! What a stream in AWS sends.

use super::*;

const HEADERS: [(&str, &str); 5] = [
    ("X-Amz-Firehose-Protocol-Version", "1.0"),
    ("X-Amz-Firehose-Request-Id", "ed4acda5-034f-9f42-bba1-f29aea6d7d8f"),
    ("X-Amz-Firehose-Source-Arn", "arn:aws:firehose:eu-west-1:123456789012:deliverystream/up"),
    ("X-Amz-Firehose-Access-Key", "key"),
    ("Content-Type", "application/json"),
];

fn body(timestamp: u64) -> Vec<u8> {
    format!(
        r#"{{"requestId":"{}","timestamp":{timestamp},"records":[{{"data":"YQ=="}},{{"data":"YmM="}}]}}"#,
        HEADERS[1].1
    )
    .into_bytes()
}

#[tokio::test]
async fn a_batch_is_stored_once_however_often_it_comes() {
    let daemon = Daemon::new();
    let stream = daemon.start("s", "{protocol: firehose, access_key: [old, key]}").await;
    let zipped: Vec<_> = HEADERS.into_iter().chain([("Content-Encoding", "gzip")]).collect();
    for (headers, body) in
        [(&HEADERS[..], body(1)), (&HEADERS[..], body(2)), (&zipped[..], gzip(&body(3)))]
    {
        let reply = stream.post("/s", headers, &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("Content-Type"), Some("application/json"));
        assert_eq!(reply.header("Content-Length"), Some(&*reply.body.len().to_string()));
        let json = reply.json();
        assert_eq!(json["requestId"], HEADERS[1].1);
        assert!(json["timestamp"].as_i64().unwrap() > 0);
        assert_eq!(json.as_object().unwrap().len(), 2, "nothing else is expected");
    }
    assert_eq!(stream.journal.records(), ["a", "bc"]);
    let mut other = HEADERS;
    other[1].1 = "another";
    let body = String::from_utf8(body(1)).unwrap().replace(HEADERS[1].1, "another");
    assert_eq!(stream.post("/s", &other, body.as_bytes()).await.status, 200);
    assert_eq!(stream.journal.records().len(), 4);
    stream.stop().await;
}

#[tokio::test]
async fn what_is_refused_says_why_and_is_never_given_up_at_once() {
    let daemon = Daemon::new();
    let yaml = "{protocol: firehose, access_key: key, max_body_size: 1KiB}";
    let stream = daemon.start("s", yaml).await;
    let good = body(1);
    let bomb = gzip(&vec![b' '; 1 << 18]);
    assert!(bomb.len() < 1024, "{}", bomb.len());
    let zipped: Vec<_> = HEADERS.into_iter().chain([("Content-Encoding", "gzip")]).collect();
    let with = |index: usize, value: &'static str| {
        let mut headers = HEADERS.to_vec();
        headers[index].1 = value;
        headers
    };
    for (headers, body, status, why) in [
        (with(3, "wrong"), &good[..], 401, "access key"),
        (with(3, ""), &good, 401, "access key"),
        (with(0, "1.1"), &good, 400, "must be 1.0"),
        (with(1, "other"), &good, 400, "requestId"),
        (with(4, "text/plain"), &good, 400, "application/json"),
        (HEADERS.to_vec(), b"{}", 400, "requestId"),
        (HEADERS.to_vec(), &[b' '; 1025], 400, "larger than 1024"),
        (zipped.clone(), &bomb, 400, "larger than 1024"),
        (zipped, &good, 400, "Content-Encoding"),
    ] {
        let reply = stream.post("/s", &headers, body).await;
        assert_eq!(reply.status, status, "{why}: {reply:?}");
        let json = reply.json();
        assert!(json["errorMessage"].as_str().unwrap().contains(why), "{why}: {json}");
        assert_eq!(json["requestId"], headers[1].1);
    }
    *stream.journal.room.lock() = 0;
    let reply = stream.post("/s", &HEADERS, &good).await;
    assert!(reply.status == 503 && reply.json()["errorMessage"].is_string(), "{reply:?}");
    assert!(stream.journal.records().is_empty());
    stream.stop().await;
}
