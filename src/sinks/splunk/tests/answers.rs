//! What each answer means.

use super::*;

const EVENTS: [&str; 4] =
    [r#"{"event":0}{"event":1}"#, r#"{"event":2}"#, r#"{"event":3}{"event":4}"#, r#"{"event":5}"#];

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Retry,
    Halt,
    Reject,
    TooLarge,
}

fn kind(fault: &Fault) -> Kind {
    match fault {
        Fault::Retry { .. } => Kind::Retry,
        Fault::Halt { .. } => Kind::Halt,
        Fault::Reject { .. } => Kind::Reject,
        Fault::TooLarge { .. } => Kind::TooLarge,
    }
}

#[tokio::test]
async fn every_code_is_classified() {
    use Kind::{Halt, Retry};
    for (status, code, expected, name) in [
        (403, 1, Halt, "Splunk.DisabledToken"),
        (401, 2, Halt, "Splunk.InvalidToken"),
        (401, 3, Halt, "Splunk.InvalidToken"),
        (403, 4, Halt, "Splunk.InvalidToken"),
        (400, 5, Retry, "Splunk.InvalidDataFormat"),
        (400, 6, Retry, "Splunk.InvalidDataFormat"),
        (400, 7, Halt, "Splunk.InvalidIndex"),
        (500, 8, Retry, "Splunk.ServerError"),
        (503, 9, Retry, "Splunk.IndexerBusy"),
        (400, 10, Halt, "Splunk.InvalidEndpoint"),
        (400, 11, Halt, "Splunk.InvalidEndpoint"),
        (400, 12, Retry, "Splunk.InvalidDataFormat"),
        (400, 13, Retry, "Splunk.InvalidDataFormat"),
        (400, 14, Halt, "Splunk.DisabledAck"),
        (400, 15, Retry, "Splunk.InvalidDataFormat"),
        (400, 16, Halt, "Splunk.InvalidToken"),
        (200, 17, Retry, "Splunk.ServerError"),
        (503, 18, Retry, "Splunk.IndexerBusy"),
        (503, 19, Retry, "Splunk.IndexerBusy"),
        (503, 20, Retry, "Splunk.IndexerBusy"),
        (400, 21, Halt, "Splunk.InvalidToken"),
        (400, 22, Halt, "Splunk.DisabledToken"),
        (503, 23, Retry, "Splunk.ServerError"),
        (429, 26, Retry, "Splunk.IndexerBusy"),
        (429, 27, Retry, "Splunk.IndexerBusy"),
        (400, 28, Halt, "Splunk.InvalidEndpoint"),
        (404, 404, Halt, "Splunk.URLNotFound"),
        (405, 404, Halt, "Splunk.URLNotFound"),
        (400, 99, Retry, "Splunk.ServerError"),
    ] {
        let fault = outcome(EndpointType::Raw, &["a"], coded(status, code)).await.unwrap_err();
        assert_eq!((kind(&fault), code_of(&fault)), (expected, name), "{code}: {fault}");
        let words = format!("words of {code} (HTTP {status}, code {code})");
        assert!(fault.cause().message.contains(&words), "{fault}");
    }
}

#[tokio::test]
async fn success_has_three_codes() {
    for code in [0, 24, 25] {
        let reply = Reply::new(200, format!(r#"{{"text":"ok","code":{code},"ackId":3}}"#));
        let delivered = outcome(EndpointType::Raw, &["a"], reply).await;
        assert_eq!(delivered, Ok(Delivered::default()), "{code}");
    }
}

#[tokio::test]
async fn answers_of_proxies_are_read_by_their_status() {
    use Kind::{Halt, Retry, TooLarge};
    for (status, body, expected, name) in [
        (200, "<html>", Retry, "Splunk.InvalidHecResponseCharacter"),
        (200, "{}", Retry, "Splunk.InvalidHecResponseCharacter"),
        (200, r#"{"code":"0"}"#, Retry, "Splunk.InvalidHecResponseCharacter"),
        (204, "", Retry, "Splunk.InvalidHecResponseCharacter"),
        (400, "<html>", Retry, "Splunk.InvalidHecResponseCharacter"),
        (301, "", Halt, "Splunk.InvalidEndpoint"),
        (401, "", Halt, "Splunk.InvalidToken"),
        (403, "<html>", Halt, "Splunk.InvalidToken"),
        (404, "", Halt, "Splunk.URLNotFound"),
        (405, "", Halt, "Splunk.URLNotFound"),
        (408, "", Retry, "Splunk.ConnectionTimeout"),
        (413, "", TooLarge, "Splunk.ServerError.ContentTooLarge"),
        (415, "", Halt, "Splunk.InvalidDataFormat"),
        (429, "", Retry, "Splunk.IndexerBusy"),
        (500, "<html>", Retry, "Splunk.ServerError"),
        (502, "", Retry, "Splunk.ServerError"),
        (503, "", Retry, "Splunk.IndexerBusy"),
        (504, "", Retry, "Splunk.ConnectionTimeout"),
    ] {
        let reply = Reply::new(status, body);
        let fault = outcome(EndpointType::Raw, &["a"], reply).await.unwrap_err();
        assert_eq!((kind(&fault), code_of(&fault)), (expected, name), "{status} {body}");
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_halved_whatever_its_code() {
    for code in [0, 9, 27, 99] {
        let fault = outcome(EndpointType::Raw, &["a"], coded(413, code)).await.unwrap_err();
        assert_eq!((kind(&fault), code_of(&fault)), (Kind::TooLarge, codes::CONTENT_TOO_LARGE));
    }
}

#[tokio::test]
async fn lost_and_overlong_answers_are_tried_again() {
    let fault = outcome(EndpointType::Raw, &["a"], Reply::cut()).await.unwrap_err();
    assert_eq!((kind(&fault), code_of(&fault)), (Kind::Retry, "Splunk.ConnectionClosed"));
    let long = Reply::new(200, vec![b' '; limits::SPLUNK_ANSWER_BYTES_MAX + 1]);
    let fault = outcome(EndpointType::Raw, &["a"], long).await.unwrap_err();
    assert_eq!(code_of(&fault), "Splunk.InvalidHecResponseCharacter");

    let hec = Hec::waiting(|_| std::future::pending()).await;
    let impatient = Options { timeout: Span(Duration::from_millis(20)), ..options(&hec) };
    let fault = sink(impatient).deliver(&shipment(&["a"])).await.unwrap_err();
    assert_eq!((kind(&fault), code_of(&fault)), (Kind::Retry, "Splunk.ConnectionTimeout"));

    let closed = Options { endpoint: "http://127.0.0.1:1".into(), ..options(&hec) };
    let fault = sink(closed).deliver(&shipment(&["a"])).await.unwrap_err();
    assert_eq!((kind(&fault), code_of(&fault)), (Kind::Retry, "Splunk.InvalidEndpoint"));
}

#[tokio::test]
async fn a_wait_that_splunk_asks_for_is_passed_on() {
    let reply = coded(503, 9).with("retry-after", "7");
    let fault = outcome(EndpointType::Raw, &["a"], reply).await.unwrap_err();
    let Fault::Retry { after, .. } = fault else { panic!("{fault}") };
    assert_eq!(after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn blank_raw_records_are_their_own_fault() {
    let fault = outcome(EndpointType::Raw, &["", " \n"], coded(400, 5)).await.unwrap_err();
    assert_eq!(kind(&fault), Kind::Reject);
}

#[tokio::test]
async fn an_object_at_fault_takes_its_record_with_it_and_no_other() {
    for code in [6, 12, 13, 15] {
        for (object, ack_id, holder, left) in [
            (0, None, 0, vec![1, 2, 3]),
            (1, Some(4), 0, vec![1, 2, 3]),
            (2, Some(4), 1, vec![2, 3]),
            (3, Some(4), 2, vec![3]),
            (4, Some(4), 2, vec![3]),
            (5, Some(4), 3, vec![]),
        ] {
            let reply = about(code, object, ack_id);
            let delivered = outcome(EndpointType::Event, &EVENTS, reply).await.unwrap();
            let [(index, failure)] = &delivered.rejected[..] else { panic!("{delivered:?}") };
            assert_eq!((*index, &*failure.cause.code), (holder, "Splunk.InvalidDataFormat"));
            let again = delivered.left.map(|left| {
                // What stands behind the fault was only not looked at.
                let is_sure = object < 2 || ack_id.is_some();
                assert_eq!(left.fault.is_none(), is_sure, "{left:?}");
                left.indexes
            });
            assert_eq!(again.unwrap_or_default(), left, "code {code} about {object}");
        }
    }
}

#[tokio::test]
async fn numbers_count_only_what_was_sent() {
    let records = ["text", EVENTS[0], "text", EVENTS[1], EVENTS[3]];
    let delivered = outcome(EndpointType::Event, &records, about(6, 2, Some(0))).await.unwrap();
    let rejected: Vec<_> = delivered.rejected.iter().map(|(index, _)| *index).collect();
    assert_eq!(rejected, [0, 2, 3]);
    assert_eq!(delivered.left.unwrap().indexes, [4]);
}

#[tokio::test]
async fn what_was_taken_before_the_fault_without_an_ack_id_is_sent_again() {
    let delivered = outcome(EndpointType::Event, &EVENTS, about(6, 2, None)).await.unwrap();
    assert_eq!(delivered.left.unwrap().indexes, [0, 2, 3]);

    let hec = Hec::start(|_| about(6, 2, None)).await;
    let unacknowledged = Options { acknowledgment: false, ..event_options(&hec) };
    let delivered = sink(unacknowledged).deliver(&shipment(&EVENTS)).await.unwrap();
    assert_eq!(delivered.left.unwrap().indexes, [2, 3]);
}

#[tokio::test]
async fn what_was_taken_before_the_fault_and_never_acknowledged_is_sent_again() {
    let hec = Hec::start(
        |call| {
            if call.is_poll() { acks(call, |_| false) } else { about(6, 2, Some(9)) }
        },
    )
    .await;
    let timeout = Span(Duration::from_millis(20));
    let sink = sink(Options { acknowledgment_timeout: timeout, ..event_options(&hec) });
    let delivered = sink.deliver(&shipment(&EVENTS)).await.unwrap();
    assert_eq!(delivered.rejected[0].0, 1);
    let left = delivered.left.unwrap();
    assert_eq!((left.indexes, code_of(&left.fault.unwrap())), (vec![0, 2, 3], "Splunk.AckTimeout"));
}

#[tokio::test]
async fn a_fault_that_is_not_located_is_looked_for_by_halves() {
    for reply in [coded(400, 6), about(6, 6, None), about(6, u64::MAX, None), coded(400, 7)] {
        let fault = outcome(EndpointType::Event, &EVENTS, reply).await.unwrap_err();
        assert_eq!(kind(&fault), Kind::TooLarge);
    }
}

#[tokio::test]
async fn a_wrong_index_is_the_fault_of_the_envelope_that_names_it() {
    let named = r#"{"event":1}{"event":2,"index":"none"}"#;
    let records = [EVENTS[1], named, EVENTS[3]];
    for object in [2, 3] {
        let reply = about(7, object, Some(1));
        let delivered = outcome(EndpointType::Event, &records, reply).await.unwrap();
        let [(1, failure)] = &delivered.rejected[..] else { panic!("{delivered:?}") };
        assert_eq!(failure.cause.code, "Splunk.InvalidIndex");
        assert_eq!(delivered.left.unwrap().indexes, [2]);
    }
    // Nobody names one: it is the token's.
    for object in [0, 1, 100] {
        let fault = outcome(EndpointType::Event, &records, about(7, object, None)).await;
        assert_eq!(kind(&fault.unwrap_err()), Kind::Halt);
    }
}

#[tokio::test]
async fn a_body_that_splunk_cloud_finds_too_large_is_halved() {
    let record = "x".repeat(limits::SPLUNK_CONTENT_BYTES / 2);
    for (endpoint_type, record) in [
        (EndpointType::Raw, record.clone()),
        (EndpointType::Event, format!(r#"{{"event":"{record}"}}"#)),
    ] {
        for gzip in [false, true] {
            let hec = Hec::start(|_| about(6, 0, None)).await;
            let sink = sink(Options { endpoint_type, gzip, ..options(&hec) });
            let fault = sink.deliver(&shipment(&[&record, &record])).await.unwrap_err();
            assert_eq!(
                (kind(&fault), code_of(&fault)),
                (Kind::TooLarge, "Splunk.ServerError.ContentTooLarge")
            );
        }
    }
}

#[tokio::test]
async fn the_trouble_of_connections_has_names_of_its_own() {
    use crate::net::http::{SendError, TlsTrouble};
    let tls = |trouble| SendError::Tls(trouble, "it is so".into());
    for (error, expected, name) in [
        (tls(TlsTrouble::Issuer), Kind::Halt, "Splunk.SSLUnverified"),
        (tls(TlsTrouble::Certificate), Kind::Halt, "Splunk.SSLUnverified"),
        (tls(TlsTrouble::Handshake), Kind::Retry, "Splunk.SSLHandshake"),
        (tls(TlsTrouble::Connection), Kind::Retry, "Splunk.SSLHandshake"),
        (SendError::Connect("operation timed out".into()), Kind::Retry, "Splunk.ConnectionTimeout"),
        (SendError::Connect("connection refused".into()), Kind::Retry, "Splunk.InvalidEndpoint"),
        (SendError::Request("builder error".into()), Kind::Halt, "Splunk.InvalidEndpoint"),
    ] {
        let fault = answer::transport(&error);
        assert_eq!((kind(&fault), code_of(&fault)), (expected, name), "{error}");
    }
}
