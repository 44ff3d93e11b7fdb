//! Against a collector in this process that answers as a test's script says.

mod acknowledgement;
mod answers;
mod double;
mod requests;
mod trials;

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    net::{http::Tls, keys::KeySource},
    record::{Leaf, Ranges, Route},
    seams::RecordList,
    units::{Secret, Span},
};

use double::{Call, Hec, Reply};

const TOKEN: &str = "b0221cd8-c4b4-465a-9a3c-273e3a75aa29";

fn options(hec: &Hec) -> Options {
    Options {
        endpoint: hec.url.clone(),
        endpoint_type: EndpointType::Raw,
        token: KeySource::Given(Secret::Value(TOKEN.into())),
        acknowledgment_timeout: Span(Duration::from_secs(600)),
        acknowledgment_poll: Span(Duration::from_millis(1)),
        acknowledgment: true,
        gzip: false,
        metadata: Metadata::default(),
        tls: Tls::default(),
        timeout: Span(Duration::from_secs(60)),
    }
}

fn event_options(hec: &Hec) -> Options {
    Options { endpoint_type: EndpointType::Event, ..options(hec) }
}

fn sink(options: Options) -> SplunkSink {
    SplunkSink::connect(options, CpuPool::default()).unwrap()
}

/// Records that lie at 100 and behind it.
fn shipment(records: &[&str]) -> Shipment {
    let mut list = RecordList::default();
    let mut body = Vec::new();
    for (index, record) in records.iter().enumerate() {
        body.extend_from_slice(record.as_bytes());
        list.ends.push(body.len() as u32);
        list.leaves.push(Leaf { sequence: 100 + index as u64, index: 1, of: 2 });
    }
    Shipment {
        key: "c0ffee00-0000-4000-8000-000000000000".into(),
        body: body.into(),
        content_type: "application/octet-stream",
        content_encoding: None,
        records: records.len() as u64,
        positions: Ranges::default(),
        route: Route::Objects,
        list: Some(Arc::new(list)),
    }
}

/// An answer that takes the events under this id.
fn taken(ack_id: u64) -> Reply {
    Reply::new(200, format!(r#"{{"text":"Success","code":0,"ackId":{ack_id}}}"#))
}

/// An answer with a code.
fn coded(status: u16, code: i64) -> Reply {
    Reply::new(status, format!(r#"{{"text":"words of {code}","code":{code}}}"#))
}

/// An answer about one object.
fn about(code: i64, object: u64, ack_id: Option<u64>) -> Reply {
    let ack_id = ack_id.map_or(String::new(), |id| format!(r#","ackId":{id}"#));
    let text = format!(r#"{{"text":"t","code":{code},"invalid-event-number":{object}{ack_id}}}"#);
    Reply::new(400, text)
}

/// The answer to a poll that acknowledges all that `is_true` names.
fn acks(call: &Call, is_true: impl Fn(u64) -> bool) -> Reply {
    let acks: Vec<_> = call.acks().iter().map(|&id| format!(r#""{id}":{}"#, is_true(id))).collect();
    Reply::new(200, format!(r#"{{"acks":{{{}}}}}"#, acks.join(",")))
}

/// A collector that takes everything, under ids from 0, and acknowledges it at once.
async fn willing() -> Hec {
    let next = std::sync::atomic::AtomicU64::new(0);
    Hec::start(move |call| {
        if call.is_poll() {
            return acks(call, |_| true);
        }
        taken(next.fetch_add(1, Ordering::SeqCst))
    })
    .await
}

/// What one attempt with these records comes to when the events are answered so.
async fn outcome(
    endpoint_type: EndpointType,
    records: &[&str],
    reply: Reply,
) -> Result<Delivered, Fault> {
    let hec =
        Hec::start(move |call| if call.is_poll() { acks(call, |_| true) } else { reply.clone() })
            .await;
    sink(Options { endpoint_type, ..options(&hec) }).deliver(&shipment(records)).await
}

fn code_of(fault: &Fault) -> &str {
    &fault.cause().code
}
