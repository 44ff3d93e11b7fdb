//! Plain bodies, and trials.

use super::*;

#[tokio::test]
async fn plain_bodies_are_taken_by_any_success() {
    let accepted = response("202 Accepted", "whatever");
    let endpoint = Endpoint::answering(vec![accepted; 4]).await;
    let of = |body| Options {
        body,
        access_key: Some(KeySource::Given(secret("k3y"))),
        headers: vec![("authorization".into(), secret("Bearer t0k3n"))],
        ..options(&endpoint.url)
    };
    for (body, content_type, expected) in [
        (BodyFormat::Ndjson, "application/x-ndjson", "{\"a\":1}\nno\n"),
        (BodyFormat::JsonArray, "application/json", "[{\"a\":1}]"),
        (BodyFormat::Raw, "application/octet-stream", "{\"a\":1}no"),
    ] {
        let sink = sink(of(body));
        let delivered = sink.deliver(&shipment(&["{\"a\":1}", "no"])).await.unwrap();
        let (head, sent) = endpoint.seen().pop().unwrap();
        let head = head.to_ascii_lowercase();
        assert_eq!(String::from_utf8(sent).unwrap(), expected);
        assert!(head.contains(&format!("content-type: {content_type}\r\n")), "{head}");
        assert!(head.contains("authorization: bearer t0k3n\r\n"), "{head}");
        assert!(head.contains(&format!("idempotency-key: {ID}\r\n")), "{head}");
        assert!(!head.contains("k3y\r\n") && !head.contains("x-amz-"), "{head}");
        if body == BodyFormat::JsonArray {
            let [(1, failure)] = &delivered.rejected[..] else { panic!("{delivered:?}") };
            assert_eq!(failure.cause.code, "Standpipe.RecordNotJson");
            assert_eq!(failure.details, sink.details(&shipment(&["{\"a\":1}", "no"]), 1));
        } else {
            assert_eq!(delivered, Delivered::default());
        }
    }
    // Nothing but records that cannot be in it: no request.
    let before = endpoint.seen().len();
    let delivered = sink(of(BodyFormat::JsonArray)).deliver(&shipment(&["no"])).await.unwrap();
    assert_eq!((delivered.rejected.len(), endpoint.seen().len()), (1, before));
}

#[tokio::test]
async fn of_a_plain_answer_only_the_status_counts() {
    for (answer, taken) in [
        ("HTTP/1.1 200 OK\r\nX: endless\r\n\r\n", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncut", true),
        ("HTTP/1.1 500 Oh\r\nX: endless\r\n\r\n", false),
        ("", false),
    ] {
        let endpoint = Endpoint::answering(vec![answer.to_owned()]).await;
        let timeout = Duration::from_millis(if answer.is_empty() { 200 } else { 60_000 });
        let options =
            Options { body: BodyFormat::Raw, timeout: Span(timeout), ..options(&endpoint.url) };
        let delivered = sink(options).deliver(&shipment(&["a"])).await;
        assert_eq!(delivered.is_ok(), taken, "{answer}: {delivered:?}");
    }
}

#[tokio::test]
async fn a_trial_tells_what_it_did() {
    let last = async |options: Options| {
        let mut trials = sink(options).check().await;
        (trials.len(), trials.pop().unwrap())
    };
    // Nobody can know the request's id beforehand: the rule that is broken is told. The first
    // connection is the probe's own.
    let (steps, trial) = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (probe, _) = listener.accept().await.unwrap();
            let (mut socket, _) = listener.accept().await.unwrap();
            let (head, body) = read(&mut socket).await;
            socket.write_all(taken().as_bytes()).await.unwrap();
            drop(probe);
            (head, body)
        });
        let found = last(options(&url)).await;
        let (head, body) = server.await.unwrap();
        assert!(head.starts_with("POST / "), "{head}");
        assert!(body.ends_with(br#""records":[{"data":""}]}"#));
        found
    };
    assert_eq!((steps, trial.step), (3, "delivery of an empty record"));
    let cause = trial.result.unwrap_err();
    assert!(cause.message.starts_with(&format!("the answer's requestId is {ID}, not ")), "{cause}");

    for (answer, taken) in
        [("405 No", true), ("404 No", true), ("401 No", false), ("502 No", false)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (probe, _) = listener.accept().await.unwrap();
            let (mut socket, _) = listener.accept().await.unwrap();
            let (head, _) = read(&mut socket).await;
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
            socket.write_all(answer.as_bytes()).await.unwrap();
            drop(probe);
            head
        });
        let (steps, trial) = last(Options { body: BodyFormat::Raw, ..options(&url) }).await;
        assert_eq!((steps, trial.result.is_ok()), (3, taken), "{trial:?}");
        assert!(server.await.unwrap().starts_with("HEAD / "));
    }

    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (steps, trial) = last(options(&format!("http://{gone}/"))).await;
    assert_eq!((steps, trial.step), (2, "connection"));
    let unread = Options { url: Secret::File { file: "/no/such/file".into() }, ..options("") };
    let (steps, trial) = last(unread).await;
    assert_eq!((steps, trial.step), (1, "configuration"));
    assert!(matches!(trial.result, Err(Cause { .. })));
}
