//! What goes over the wire.

use std::io::Read;

use super::*;

#[tokio::test]
async fn raw_records_end_their_lines_and_the_metadata_stands_in_the_query() {
    let hec = willing().await;
    let metadata = Metadata {
        index: Some("main".into()),
        source: Some("a b&c".into()),
        sourcetype: Some("t".into()),
        host: Some("h".into()),
    };
    let sink = sink(Options { metadata, endpoint: format!("{}/hec/", hec.url), ..options(&hec) });
    for (records, body) in [
        (["one", "two\n", "", "three\r\n", "\u{e9}"].as_slice(), "one\ntwo\nthree\r\n\u{e9}\n"),
        (&["one\n", "two\n"], "one\ntwo\n"),
    ] {
        assert_eq!(sink.deliver(&shipment(records)).await, Ok(Delivered::default()));
        let posts = hec.posts();
        let post = posts.last().unwrap();
        assert_eq!(post.text(), body);
        let channel = post.header("x-splunk-request-channel").to_owned();
        assert_eq!(uuid::Uuid::parse_str(&channel).unwrap().get_version_num(), 4);
        let query = format!("channel={channel}&index=main&source=a+b%26c&sourcetype=t&host=h");
        let expected = format!("/hec/services/collector/raw?{query}");
        assert_eq!((post.method.as_str(), post.uri.to_string()), ("POST", expected));
        assert_eq!(post.header("authorization"), format!("Splunk {TOKEN}"));
        assert_eq!(post.header("content-length"), body.len().to_string());
        assert!(!post.headers.contains_key("content-encoding"));
    }
    let first = &hec.calls()[0];
    for call in hec.calls() {
        let name = "x-splunk-request-channel";
        assert_eq!(call.header(name), first.header(name), "one channel for all");
        assert_eq!(call.header("authorization"), first.header("authorization"));
    }
    assert!(hec.polls().iter().all(|poll| poll.uri.path() == "/hec/services/collector/ack"));
}

#[tokio::test]
async fn envelopes_go_as_they_are_and_unfit_records_stay_behind() {
    let hec = willing().await;
    let sink = sink(event_options(&hec));
    let sound = [r#"{"event":1}{"event":2}"#, "{\"event\":3}\n"];
    assert_eq!(sink.deliver(&shipment(&sound)).await, Ok(Delivered::default()));
    assert_eq!(hec.posts()[0].text(), sound.concat());
    assert_eq!(hec.posts()[0].uri.to_string(), "/services/collector/event");

    let mixed = ["text", sound[0], r#"{"event":" "}"#, sound[1], r#"{"event":1,"no":2}"#];
    let delivered = sink.deliver(&shipment(&mixed)).await.unwrap();
    assert_eq!(hec.posts()[1].text(), sound.concat());
    assert_eq!(delivered.left, None);
    let indexes: Vec<_> = delivered.rejected.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, [0, 2, 4]);
    for (_, failure) in delivered.rejected {
        assert_eq!(failure.cause.code, "Splunk.InvalidDataFormat");
        assert_eq!(failure.output_type, "splunk-failed");
    }

    let delivered = sink.deliver(&shipment(&["", "text"])).await.unwrap();
    assert_eq!(delivered.rejected.len(), 2);
    assert_eq!(hec.posts().len(), 2, "there was nothing to send");
}

#[tokio::test]
async fn bodies_go_under_gzip_when_told_so() {
    let hec = willing().await;
    for (endpoint_type, record) in
        [(EndpointType::Raw, "line\n"), (EndpointType::Event, r#"{"event":"line"}"#)]
    {
        let sink = sink(Options { endpoint_type, gzip: true, ..options(&hec) });
        sink.deliver(&shipment(&[record, record])).await.unwrap();
        let posts = hec.posts();
        let post = posts.last().unwrap();
        assert_eq!(post.header("content-encoding"), "gzip");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*post.body).read_to_string(&mut text).unwrap();
        assert_eq!(text, record.repeat(2));
    }
}

#[tokio::test]
async fn cookies_are_sent_on_every_later_request() {
    let hec = Hec::start(|call| {
        if call.is_poll() {
            return acks(call, |_| true).with("set-cookie", "route=; Max-Age=0");
        }
        taken(0).with("set-cookie", "AWSALB=a; Path=/").with("set-cookie", "route=7; HttpOnly")
    })
    .await;
    let sink = sink(options(&hec));
    sink.deliver(&shipment(&["a"])).await.unwrap();
    sink.deliver(&shipment(&["b"])).await.unwrap_or_default();
    let cookies: Vec<_> = hec.calls().iter().map(|call| call.header("cookie").to_owned()).collect();
    assert_eq!(cookies[..3], ["", "AWSALB=a; route=7", "AWSALB=a"]);
}

#[tokio::test]
async fn nothing_is_sent_of_an_empty_shipment() {
    let hec = willing().await;
    assert_eq!(sink(options(&hec)).deliver(&shipment(&[])).await, Ok(Delivered::default()));
    assert!(hec.calls().is_empty());
}

#[tokio::test]
async fn a_body_without_a_list_is_one_record() {
    let hec = willing().await;
    let whole = Shipment { list: None, records: 2, ..shipment(&[r#"{"event":1}"#, "text"]) };
    assert_eq!(sink(options(&hec)).deliver(&whole).await, Ok(Delivered::default()));
    let fault = sink(event_options(&hec)).deliver(&whole).await.unwrap_err();
    assert!(matches!(fault, Fault::Reject { .. }), "{fault}");
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_halts() {
    let hec = willing().await;
    let token = KeySource::Given(Secret::Value("a\nb".into()));
    let fault = sink(Options { token, ..options(&hec) }).deliver(&shipment(&["a"])).await;
    let fault = fault.unwrap_err();
    assert!(matches!(fault, Fault::Halt { .. }), "{fault}");
    assert_eq!(code_of(&fault), "Splunk.InvalidToken");
    assert!(hec.calls().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_is_none_is_refused() {
    let hec = willing().await;
    for endpoint in ["", "splunk:8088", "ftp://splunk", "https://"] {
        let options = Options { endpoint: endpoint.into(), ..options(&hec) };
        let error = SplunkSink::connect(options, CpuPool::default()).err();
        assert!(matches!(error, Some(ConnectError::Endpoint(_))), "{endpoint}");
    }
}

#[tokio::test]
async fn a_record_is_named_as_firehose_names_it() {
    let hec = willing().await;
    let sink = sink(options(&hec));
    let details = sink.details(&shipment(&["a", "b"]), 1);
    let id = format!("{}101.1", "0".repeat(53));
    assert_eq!(details, [("EventId".to_owned(), serde_json::Value::from(id))]);
    assert_eq!(sink.details(&shipment(&["a"]), 5), []);
    assert_eq!(sink.output_type(), "splunk-failed");
}
