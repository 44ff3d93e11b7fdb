//! Against a server whose answers are scripted.

use std::{io::Read, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    fault::{Cause, Failure},
    net::{
        aws::{Access, StaticKeys},
        aws_double::{ACCESS_KEY, AwsDouble, Reply, SECRET_KEY},
        http::Tls,
        tls_double::{Authority, Shown},
    },
    record::{Leaf, Ranges},
    seams::{Left, RecordList},
    units::{Secret, Span},
};

pub(super) fn options(endpoint: &str) -> Options {
    Options {
        endpoint: endpoint.into(),
        flavor: Flavor::OpenSearch,
        index: "idx".into(),
        auth: Auth::None,
        type_name: None,
        document_id: DocumentId::FirehoseDefault,
        data_stream: false,
        gzip: false,
        tls: Tls::default(),
        timeout: Span(Duration::from_secs(60)),
        id_prefix: "s1".into(),
    }
}

fn access() -> Access {
    Access {
        region: "eu-west-1".into(),
        keys: Some(StaticKeys {
            access_key_id: Secret::Value(ACCESS_KEY.into()),
            secret_access_key: Secret::Value(SECRET_KEY.into()),
            session_token: None,
        }),
        role: None,
        sts_endpoint: None,
    }
}

fn sink(options: Options) -> OpenSearchSink {
    OpenSearchSink::connect(options, CpuPool::default()).unwrap()
}

/// Records with sequence numbers from 10 on, for the index `idx-1`.
fn shipment(records: &[&str]) -> Shipment {
    let mut body = String::new();
    let mut list = RecordList::default();
    for (record, sequence) in records.iter().zip(10..) {
        body.push_str(record);
        list.ends.push(body.len() as u32);
        list.leaves.push(Leaf::whole(sequence));
    }
    Shipment {
        key: "k".into(),
        body: body.into(),
        content_type: "application/json",
        content_encoding: None,
        records: records.len() as u64,
        positions: Ranges::default(),
        route: Route::Partition("idx-1".into()),
        list: Some(Arc::new(list)),
    }
}

/// An answer with these items, each a status and an error's type and reason.
fn items(items: &[(u16, &str, &str)]) -> Reply {
    let item = |&(status, kind, reason): &(u16, &str, &str)| match kind {
        "" => json!({"create": {"status": status}}),
        _ => json!({"create": {"status": status, "error": {"type": kind, "reason": reason}}}),
    };
    let items: Vec<Value> = items.iter().map(item).collect();
    Reply::json(json!({"errors": true, "items": items}))
}

async fn answered(reply: Reply, records: usize) -> Result<Delivered, Fault> {
    let double = AwsDouble::start(None, move |_| reply.clone()).await;
    sink(options(&double.url)).deliver(&shipment(&vec!["{}"; records])).await
}

fn left(index: u64, fault: Fault) -> Delivered {
    let left = Left { indexes: vec![index], fault: Some(fault) };
    Delivered { rejected: Vec::new(), left: Some(left) }
}

#[tokio::test]
async fn documents_go_under_ids_of_their_own() {
    let double = AwsDouble::start(None, |_| items(&[(201, "", ""), (409, "exists", "")])).await;
    let delivered = sink(options(&double.url)).deliver(&shipment(&["{}", "{\"a\":1}\n"])).await;
    assert_eq!(delivered, Ok(Delivered::default()));
    let call = &double.calls()[0];
    assert_eq!((&*call.path, call.header("content-type")), ("/_bulk", "application/x-ndjson"));
    assert_eq!(call.header("authorization"), "");
    assert_eq!(
        call.body,
        "{\"create\":{\"_index\":\"idx-1\",\"_id\":\"s1-10\"}}\n{}\n\
         {\"create\":{\"_index\":\"idx-1\",\"_id\":\"s1-11\"}}\n{\"a\":1}\n"
    );
}

#[tokio::test]
async fn records_that_are_no_documents_stay_behind_alone() {
    let double =
        AwsDouble::start(None, |_| items(&[(400, "mapper_parsing_exception", "no")])).await;
    let sink = sink(options(&double.url));
    let delivered = sink.deliver(&shipment(&["no", "{}", "[]"])).await.unwrap();
    let codes: Vec<_> =
        delivered.rejected.iter().map(|(at, failure)| (*at, &*failure.cause.code)).collect();
    assert_eq!(codes, [(0, "OS.MalformedData"), (1, "400"), (2, "OS.MalformedData")]);
    // With nothing to send nobody is asked.
    let delivered = sink.deliver(&shipment(&["no"])).await.unwrap();
    assert_eq!((delivered.rejected.len(), double.calls().len()), (1, 1));
}

#[tokio::test]
async fn every_item_has_its_own_fate() {
    let block = "cluster_block_exception";
    let retry = |code: &str, message: &str| Fault::retry(code, message);
    let halt = |code: &str, message: &str| Fault::halt(code, message);
    for (status, kind, reason, fault) in [
        (429, "rejected_execution_exception", "full", retry("OS.ClusterError", "")),
        (403, block, "read-only", retry("OS.ClusterBlockException", "")),
        (404, "index_not_found_exception", "none", retry("OS.ResourceNotFound", "")),
        (500, "x", "y", retry("OS.ServiceException", "")),
        (502, "x", "y", retry("OS.BadGateway", "")),
        (503, "unavailable_shards_exception", "y", retry("OS.ServiceException", "")),
        (504, "x", "y", retry("OS.GatewayTimeout", "")),
        (408, "x", "y", retry("OS.RequestTimeout", "")),
        (400, "index_closed_exception", "closed", retry("OS.ClusterError", "")),
        (
            400,
            "validation_exception",
            "has [9]/[9] maximum shards open;",
            retry("OS.ClusterError", ""),
        ),
        (403, "security_exception", "no permissions", halt("OS.AccessDenied", "")),
        (
            400,
            "illegal_argument_exception",
            "no write index is defined for alias [a]",
            halt("OS.AliasWithMultipleIndicesNotAllowed", ""),
        ),
        (400, "invalid_index_name_exception", "A", halt("OS.ValidationException", "")),
    ] {
        let reply = items(&[(201, "", ""), (status, kind, reason), (409, "x", "")]);
        let message = format!("{kind}: {reason}");
        let expected = match fault {
            Fault::Halt { cause } => Fault::halt(cause.code, message),
            fault => Fault::retry(fault.cause().code.clone(), message),
        };
        assert_eq!(answered(reply, 3).await, Ok(left(1, expected)), "{status} {kind}");
    }
    for (status, kind) in [(400, "mapper_parsing_exception"), (413, "x"), (405, "y")] {
        let delivered = answered(items(&[(201, "", ""), (status, kind, "r")]), 2).await.unwrap();
        let message = format!("{kind}: r");
        let failure = Failure::new("AmazonOpenSearchService-failed", &status.to_string(), message);
        assert_eq!(delivered, Delivered { rejected: vec![(1, failure)], left: None });
    }
}

#[tokio::test]
async fn names_that_a_record_chose_decide_nothing() {
    for name in [
        "no write index is defined for alias [a]",
        "only write ops with an op_type of create are allowed in data streams",
        "Document ID is not supported",
        "9 maximum shards open",
        "cluster_block_exception",
        "index_closed_exception: closed",
        "illegal_argument_exception: Document ID is not supported",
    ] {
        for flavor in [Flavor::OpenSearch, Flavor::Serverless] {
            for kind in ["mapper_parsing_exception", "illegal_argument_exception"] {
                let reason = format!("failed to parse field [{name}]");
                let reply = items(&[(400, kind, &reason)]);
                let double = AwsDouble::start(None, move |_| reply.clone()).await;
                let sink = sink(Options { flavor, ..options(&double.url) });
                let delivered = sink.deliver(&shipment(&["{}"])).await.unwrap();
                assert_eq!(delivered.rejected[0].1.cause.code, "400", "{kind}: {reason}");
                assert_eq!((delivered.left, sink.with_ids()), (None, true));
            }
        }
    }
    // Only collections refuse ids.
    let reason = "Document ID is not supported in create/index operation request";
    let delivered = answered(items(&[(400, "illegal_argument_exception", reason)]), 1).await;
    assert_eq!(delivered.unwrap().rejected.len(), 1);
    let refused = items(&[(403, "security_exception", "no index [cluster_block_exception]")]);
    let left = answered(refused, 1).await.unwrap().left.unwrap();
    assert_eq!(left.fault.unwrap().cause().code, "OS.AccessDenied");
}

#[tokio::test]
async fn the_gravest_trouble_is_told_and_values_are_not() {
    let reply = items(&[
        (429, "busy", "1"),
        (503, "down", "2"),
        (429, "busy", "3"),
        (400, "mapper_parsing_exception", "failed [a]. Preview of field's value: 'secret'"),
        (403, "security_exception", "no"),
        (503, "down", "4"),
        (
            400,
            "illegal_argument_exception",
            "immense term in field=\"a\". The prefix of the first immense term is: '[115]...'",
        ),
    ])
    .with("retry-after", "9");
    let delivered = answered(reply.clone(), 7).await.unwrap();
    let words = &delivered.rejected[1].1.cause.message;
    assert_eq!(words, "illegal_argument_exception: immense term in field=\"a\".");
    assert_eq!(delivered.rejected[0].1.cause.message, "mapper_parsing_exception: failed [a].");
    let fault = Fault::halt("OS.AccessDenied", "security_exception: no");
    assert_eq!(delivered.left, Some(Left { indexes: vec![0, 1, 2, 4, 5], fault: Some(fault) }));

    let reply = items(&[(429, "busy", "1"), (503, "down", "2")]).with("retry-after", "9");
    let cause = Cause::new("OS.ServiceException", "down: 2");
    let fault = Fault::Retry { cause, after: Some(Duration::from_secs(9)) };
    let delivered = answered(reply, 2).await.unwrap();
    assert_eq!(delivered.left, Some(Left { indexes: vec![0, 1], fault: Some(fault) }));

    // Elasticsearch 1 tells errors as text.
    let old = json!({"items": [{"create": {"status": 429, "error": "Rejected[it]"}}]});
    let delivered = answered(Reply::json(old), 1).await;
    assert_eq!(delivered, Ok(left(0, Fault::retry("OS.ClusterError", "Rejected[it]"))));
}

#[tokio::test]
async fn answers_that_cannot_be_read_are_asked_for_again() {
    for (reply, code) in [
        (items(&[(201, "", "")]), "OS.ResponseEntryCountMismatch"),
        (Reply::json(json!({})), "OS.ResponseEntryCountMismatch"),
        (items(&[(201, "", ""); 3]), "OS.ResponseEntryCountMismatch"),
        (Reply::new(200, "<html>"), "OS.AmazonOpenSearchServiceParseException"),
        (Reply::new(200, "{\"items\":[{}, {}]}"), "OS.AmazonOpenSearchServiceParseException"),
        (Reply::new(200, "[".repeat(1000)), "OS.AmazonOpenSearchServiceParseException"),
        (Reply::cut(), "OS.ConnectionReset"),
    ] {
        let fault = answered(reply, 2).await.unwrap_err();
        assert!(matches!(fault, Fault::Retry { .. }), "{fault:?}");
        assert_eq!(fault.cause().code, code);
    }
    let long = "x".repeat(answer_limit(2) + 1);
    assert!(matches!(answered(Reply::new(200, long), 2).await, Err(Fault::TooLarge { .. })));
}

#[tokio::test]
async fn whole_requests_are_refused_in_the_clusters_words() {
    let refused = async |flavor, status: u16, kind: &str, reason: &str| {
        let body = json!({"error": {"type": kind, "reason": reason}, "status": status});
        let reply = Reply::new(status, body.to_string()).with("retry-after", "4");
        let double = AwsDouble::start(None, move |_| reply.clone()).await;
        let options = Options { flavor, ..options(&double.url) };
        sink(options).deliver(&shipment(&["{}"])).await.unwrap_err()
    };
    let wait = Some(Duration::from_secs(4));
    for (status, kind, code) in [
        (404, "index_not_found_exception", "OS.ResourceNotFound"),
        (408, "x", "OS.RequestTimeout"),
        (429, "x", "OS.ClusterError"),
        (500, "x", "OS.ServiceException"),
        (502, "x", "OS.BadGateway"),
        (503, "x", "OS.ServiceException"),
        (504, "x", "OS.GatewayTimeout"),
        (403, "cluster_block_exception", "OS.ClusterBlockException"),
    ] {
        let cause = Cause::new(code, format!("{kind}: so"));
        let fault = refused(Flavor::OpenSearch, status, kind, "so").await;
        assert_eq!(fault, Fault::Retry { cause, after: wait }, "{status}");
    }
    for (flavor, status, reason, code) in [
        (Flavor::OpenSearch, 401, "who?", "OS.AccessDenied"),
        (Flavor::Serverless, 403, "no", "OS.AccessDenied"),
        (Flavor::Elasticsearch, 403, "no", "ES.AccessDenied"),
        (Flavor::OpenSearch, 400, "explicit index in bulk is not allowed", EXPLICIT),
        (
            Flavor::OpenSearch,
            400,
            "Action/metadata line [1] contains an unknown parameter [_type]",
            "OS.UnsupportedVersion",
        ),
    ] {
        let kind = "illegal_argument_exception";
        let fault = refused(flavor, status, kind, reason).await;
        assert_eq!(fault, Fault::halt(code, format!("{kind}: {reason}")));
    }
    for status in [413, 400] {
        let cause = Cause::new(status.to_string(), "x: much");
        let fault = refused(Flavor::OpenSearch, status, "x", "much").await;
        assert_eq!(fault, Fault::TooLarge { cause });
    }
}

const EXPLICIT: &str = "OS.ExplicitIndexInBulkNotAllowed";

#[tokio::test]
async fn other_servers_words_are_found_too() {
    for (body, expected) in [
        (r#"{"message":"User: anonymous is not authorized"}"#, "User: anonymous is not authorized"),
        (r#"{"Message":"No"}"#, "No"),
        (r#"{"error":"Unauthorized"}"#, "Unauthorized"),
        ("plain words\n", "plain words"),
        ("<html><body>", "status 403"),
        ("", "status 403"),
        ("[]", "[]"),
    ] {
        let fault = answered(Reply::new(403, body), 1).await.unwrap_err();
        assert_eq!(fault, Fault::halt("OS.AccessDenied", expected));
    }
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sink = sink(options(&format!("http://{gone}")));
    let fault = sink.deliver(&shipment(&["{}"])).await.unwrap_err();
    assert!(matches!(fault, Fault::Retry { .. }), "{fault:?}");
    assert_eq!(fault.cause().code, "OS.ConnectionFailed");
}

#[tokio::test]
async fn a_collection_that_takes_no_ids_gets_none_from_then_on() {
    let double = AwsDouble::start(None, |call| {
        let reason = "Document ID is not supported in create/index operation request";
        if call.number == 0 {
            items(&[(400, "illegal_argument_exception", reason); 2])
        } else {
            Reply::json(json!({"items": [{"index": {"status": 201}}, {"index": {"status": 201}}]}))
        }
    })
    .await;
    let sink = sink(Options { flavor: Flavor::Serverless, ..options(&double.url) });
    let shipment = shipment(&["{}", "{}"]);
    let id = |sink: &OpenSearchSink| sink.details(&shipment, 1)[0].clone();
    assert_eq!(id(&sink), ("osDocumentId".into(), json!("s1-11")));
    let first = sink.deliver(&shipment).await.unwrap();
    let left = first.left.unwrap();
    assert_eq!((first.rejected, left.indexes), (Vec::new(), vec![0, 1]));
    assert!(matches!(left.fault, Some(Fault::Retry { .. })));
    assert_eq!(sink.deliver(&shipment).await, Ok(Delivered::default()));
    let line = "{\"index\":{\"_index\":\"idx-1\"}}\n{}\n";
    assert_eq!(double.calls()[1].body, line.repeat(2));
    assert_eq!(id(&sink), ("osDocumentId".into(), json!("")));
}

#[tokio::test]
async fn without_ids_a_conflict_is_no_delivery() {
    let double = AwsDouble::start(None, |_| items(&[(409, "conflict", "so")])).await;
    let document_id = DocumentId::NoDocumentId;
    let sink = sink(Options { document_id, ..options(&double.url) });
    let delivered = sink.deliver(&shipment(&["{}"])).await.unwrap();
    assert_eq!(delivered.rejected[0].1.cause, Cause::new("409", "conflict: so"));
}

#[tokio::test]
async fn passwords_are_read_for_every_request() {
    let double = AwsDouble::start(None, |_| items(&[(201, "", "")])).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let auth = Auth::Basic {
        username: "Aladdin".into(),
        password: Secret::File { file: file.path().into() },
    };
    let sink = sink(Options { auth, ..options(&double.url) });
    for (password, expected) in
        [("open sesame\n", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), ("x", "Basic QWxhZGRpbjp4")]
    {
        std::fs::write(file.path(), password).unwrap();
        sink.deliver(&shipment(&["{}"])).await.unwrap();
        assert_eq!(double.calls().last().unwrap().header("authorization"), expected);
    }
    drop(file);
    let fault = sink.deliver(&shipment(&["{}"])).await.unwrap_err();
    assert!(matches!(&fault, Fault::Halt { cause } if cause.code == "Standpipe.KeyNotRead"));
}

#[tokio::test]
async fn requests_are_signed_for_domains_and_for_collections() {
    for (service, flavor) in [("es", Flavor::OpenSearch), ("aoss", Flavor::Serverless)] {
        let double = AwsDouble::start(Some(service), |_| items(&[(201, "", "")])).await;
        for gzip in [false, true] {
            let auth = Auth::Aws(access());
            let sink = sink(Options { flavor, auth, gzip, ..options(&double.url) });
            let delivered = sink.deliver(&shipment(&["{}"])).await;
            assert_eq!((delivered, double.refused()), (Ok(Delivered::default()), vec![]));
            let call = double.calls().pop().unwrap();
            let hash = hex::encode(crate::net::sigv4::sha256(&call.body));
            let told = if service == "aoss" { &*hash } else { "" };
            assert_eq!(call.header("x-amz-content-sha256"), told);
            let signed = call.header("authorization").contains("x-amz-content-sha256");
            assert_eq!(signed, service == "aoss");
            let mut body = String::new();
            if gzip {
                assert_eq!(call.header("content-encoding"), "gzip");
                let mut reader = flate2::read::GzDecoder::new(&call.body[..]);
                reader.read_to_string(&mut body).unwrap();
            } else {
                body = String::from_utf8(call.body.to_vec()).unwrap();
            }
            assert!(body.ends_with("}}\n{}\n"), "{body}");
        }
    }
}

#[tokio::test]
async fn own_authorities_count_for_signed_requests_too_and_may_change() {
    let authority = Authority::new();
    let server = authority.serve(Shown::Good, false).await;
    for auth in [Auth::None, Auth::Aws(access())] {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tls = Tls { ca_file: Some(file.path().into()), ..Tls::default() };
        let options = Options { auth, tls, ..options(&server.url) };
        let connect = || OpenSearchSink::connect(options.clone(), CpuPool::default());
        assert!(matches!(connect(), Err(ConnectError::Tls(_))));
        std::fs::copy(Authority::new().file("ca.pem"), file.path()).unwrap();
        let sink = connect().unwrap();
        let fault = sink.deliver(&shipment(&["{}"])).await.unwrap_err();
        assert!(matches!(fault, Fault::Halt { .. }), "not trusted: {fault:?}");
        // Another size: two writes may fall into one tick of the file system's clock.
        let good = std::fs::read_to_string(authority.file("ca.pem")).unwrap();
        std::fs::write(file.path(), format!("{good}\n\n")).unwrap();
        let fault = sink.deliver(&shipment(&["{}"])).await.unwrap_err();
        assert_eq!(fault.cause().code, PARSED_NOT, "the server is no cluster: {fault:?}");
    }
}

const PARSED_NOT: &str = "OS.AmazonOpenSearchServiceParseException";

#[tokio::test]
async fn failed_documents_tell_where_they_were_to_go() {
    let mut options = options("http://localhost:1");
    options.type_name = Some("t".into());
    let sink = sink(options);
    let mut shipment = shipment(&["{}"]);
    let told = |shipment: &Shipment, index| -> Vec<String> {
        let details = sink.details(shipment, index);
        details.iter().map(|(name, value)| format!("{name}={value}")).collect()
    };
    let expected = ["esDocumentId=\"s1-10\"", "esIndexName=\"idx-1\"", "esTypeName=\"t\""];
    assert_eq!(told(&shipment, 0), expected);
    shipment.route = Route::Objects;
    let expected = ["esDocumentId=\"\"", "esIndexName=\"idx\"", "esTypeName=\"t\""];
    assert_eq!(told(&shipment, 1), expected);
    assert_eq!(sink.output_type(), "AmazonOpenSearchService-failed");
}

/// The steps of a trial behind those of the way there.
fn own(trials: Vec<Trial>) -> Vec<Trial> {
    let is_way = |trial: &Trial| matches!(trial.step, "name resolution" | "connection");
    trials.into_iter().filter(|trial| !is_way(trial)).collect()
}

#[tokio::test]
async fn a_trial_tells_the_version_and_whether_writing_is_allowed() {
    let trial = async |reply: Reply| {
        let double = AwsDouble::start(None, move |call| match (&*call.path, call.number) {
            ("/_bulk", _) => reply.clone(),
            ("/", 0) => Reply::json(json!({"version": {"number": "8.1.0"}})),
            ("/idx", _) => Reply::new(404, ""),
            other => panic!("{other:?}"),
        })
        .await;
        let trials = own(sink(options(&double.url)).check().await);
        assert_eq!(trials[0].result, Ok("elasticsearch 8.1.0".into()));
        let body = double.calls().pop().unwrap().body;
        assert!(body.ends_with(b"\"require_alias\":true}}\n[]\n"), "{body:?}");
        assert_eq!((trials.len(), trials[1].step), (2, "write"));
        trials[1].result.clone()
    };
    assert!(trial(items(&[(404, "index_not_found_exception", "")])).await.is_ok());
    let unknown = json!({"error": {"type": "x", "reason": "unknown parameter [require_alias]"}});
    assert!(trial(Reply::new(400, unknown.to_string())).await.is_ok());
    let error = trial(items(&[(403, "security_exception", "no")])).await.unwrap_err();
    assert_eq!(error, Cause::new("OS.AccessDenied", "security_exception: no"));
    let error = trial(Reply::new(500, "")).await.unwrap_err();
    assert_eq!(error, Cause::new("OS.ServiceException", "status 500"));
}

#[tokio::test]
async fn a_trial_ends_at_the_first_step_that_fails() {
    let double = AwsDouble::start(None, |_| Reply::new(401, "Unauthorized")).await;
    let trials = own(sink(options(&double.url)).check().await);
    let [Trial { step: "authentication", result: Err(cause) }] = &trials[..] else {
        panic!("{trials:?}")
    };
    assert_eq!(*cause, Cause::new("OS.AccessDenied", "Unauthorized"));
    // A collection is asked nothing but whether it takes documents.
    let double = AwsDouble::start(None, |call| match &*call.path {
        "/_bulk" => items(&[(400, "mapper_parsing_exception", "no object")]),
        _ => Reply::new(200, ""),
    })
    .await;
    let sink = sink(Options { flavor: Flavor::Serverless, ..options(&double.url) });
    let trials = own(sink.check().await);
    let [Trial { step: "write", result: Ok(_) }] = &trials[..] else { panic!("{trials:?}") };
    let line = "{\"create\":{\"_index\":\"idx\",\"_id\":\"standpipe-check\"}}\n[]\n";
    assert_eq!(double.calls().last().unwrap().body, line);
}

#[tokio::test]
async fn endpoints_that_are_none_are_told_at_once() {
    for endpoint in ["", "localhost:9200", "ftp://h", "http://h?a=b"] {
        for auth in [Auth::None, Auth::Aws(access())] {
            let options = Options { auth, ..options(endpoint) };
            let made = OpenSearchSink::connect(options, CpuPool::default());
            assert!(matches!(made, Err(ConnectError::Endpoint(_))), "{endpoint}");
        }
    }
}
