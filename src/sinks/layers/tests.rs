//! The layers together, in front of a sink that answers when it is told to.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    fault::{Cause, output_type},
    record::{Ranges, Route},
};

/// Answers once it is given leave, and counts who is inside.
struct Gate {
    leave: Semaphore,
    inside: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Sink for Gate {
    async fn deliver(&self, shipment: &Shipment) -> Result<Delivered, Fault> {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        let leave = self.leave.acquire().await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
        leave.expect("never closed").forget();
        match shipment.key.as_str() {
            "forbidden" => Err(Fault::halt("S3.AccessDenied", "no")),
            "busy" => Err(Fault::retry("S3.SlowDown", "later")),
            "large" => Err(Fault::TooLarge { cause: Cause::new("S3.EntityTooLarge", "no") }),
            _ => Ok(Delivered::default()),
        }
    }

    fn output_type(&self) -> &'static str {
        output_type::SPLUNK_FAILED
    }

    fn details(&self, shipment: &Shipment, index: u64) -> Details {
        vec![("EventId".into(), format!("{}.{index}", shipment.key).into())]
    }

    async fn check(&self) -> Vec<Trial> {
        vec![Trial { step: "write", result: Ok("written".into()) }]
    }
}

fn gate(leaves: usize) -> Arc<Gate> {
    Arc::new(Gate {
        leave: Semaphore::new(leaves),
        inside: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    })
}

fn shipment(key: &str) -> Shipment {
    Shipment {
        key: key.into(),
        body: Bytes::from_static(b"x"),
        content_type: "application/octet-stream",
        content_encoding: None,
        records: 1,
        positions: Ranges::of(0, 1),
        route: Route::Objects,
        list: None,
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_answer_is_tried_again() {
    let options = Options { timeout: Duration::from_secs(3), concurrency: 1, ..Options::default() };
    let sink = gate(0);
    let attempts = Attempts::new(sink.clone(), options);
    let expected = Err(Fault::retry("S3.RequestTimeout", "no answer within 3000 ms"));
    assert_eq!(attempts.deliver(shipment("a")).await, expected);
    // The place of the attempt that was given up is free again.
    sink.leave.add_permits(1);
    assert_eq!(attempts.deliver(shipment("a")).await, Ok(Delivered::default()));
}

#[tokio::test]
async fn faults_pass_unchanged() {
    let attempts = Attempts::new(gate(1), Options::default());
    let expected = Err(Fault::halt("S3.AccessDenied", "no"));
    assert_eq!(attempts.deliver(shipment("forbidden")).await, expected);
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_at_a_time_than_allowed_and_waiting_costs_no_time() {
    let sink = gate(0);
    let options =
        Options { timeout: Duration::from_secs(10), concurrency: 2, ..Options::default() };
    let attempts = Attempts::new(sink.clone(), options);
    let running: Vec<_> = (0..6)
        .map(|_| {
            let attempts = attempts.clone();
            tokio::spawn(async move { attempts.deliver(shipment("a")).await })
        })
        .collect();
    // Two leaves every nine seconds: the last pair waits 18 s for its turn, not 10.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        sink.leave.add_permits(2);
    }
    for task in running {
        assert_eq!(task.await.unwrap(), Ok(Delivered::default()));
    }
    assert_eq!(sink.most.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_has_the_destinations_code_and_lowers_an_adaptive_limit() {
    let options = Options {
        timeout: Duration::from_secs(3),
        concurrency: 8,
        adaptive: true,
        timeout_code: "HttpEndpoint.RequestTimeout",
    };
    let sink = gate(0);
    let attempts = Attempts::new(sink.clone(), options);
    assert_eq!(attempts.limit(), 4);
    let expected = Fault::retry("HttpEndpoint.RequestTimeout", "no answer within 3000 ms");
    let both = tokio::join!(attempts.deliver(shipment("a")), attempts.deliver(shipment("b")));
    assert_eq!(both, (Err(expected.clone()), Err(expected)));
    assert_eq!(attempts.limit(), 2, "both of one time");

    sink.leave.add_permits(100);
    attempts.deliver(shipment("busy")).await.unwrap_err();
    assert_eq!(attempts.limit(), 1);
    for key in ["a", "forbidden", "large"] {
        let _ = attempts.deliver(shipment(key)).await;
    }
    assert_eq!(attempts.limit(), 2, "one success at the limit, and two that say nothing");
}

#[tokio::test]
async fn an_object_is_not_halved() {
    let attempts = Attempts::new(gate(1), Options::default());
    let cause = Cause::new("S3.EntityTooLarge", "no");
    assert_eq!(attempts.deliver(shipment("large")).await, Err(Fault::TooLarge { cause }));
}

#[tokio::test]
async fn what_the_sink_says_of_itself_passes() {
    let attempts = Attempts::new(gate(0), Options::default());
    assert_eq!(attempts.output_type(), output_type::SPLUNK_FAILED);
    let details = vec![("EventId".to_owned(), "a.7".into())];
    assert_eq!(attempts.details(&shipment("a"), 7), details);
    assert_eq!(attempts.check().await[0].result, Ok("written".into()));
}
