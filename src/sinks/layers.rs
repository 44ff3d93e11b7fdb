//! What stands before every sink: a limit on attempts at a time, and a time limit for each.

use std::{sync::Arc, time::Duration};

use tower::{
    BoxError, ServiceBuilder, ServiceExt, timeout::error::Elapsed, util::BoxCloneSyncService,
};

use crate::{
    fault::Fault,
    limits,
    seams::{Delivered, Shipment, Sink},
};

/// The settings of the layers.
#[derive(Debug, Clone)]
pub struct Options {
    /// One attempt, whole object. An attempt that takes longer is dropped and tried again.
    pub timeout: Duration,
    /// Attempts at a time; more wait for their turn, and the time limit does not run meanwhile.
    pub concurrency: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { timeout: limits::S3_ATTEMPT_TIMEOUT, concurrency: limits::SHIPMENTS_IN_FLIGHT }
    }
}

/// A sink behind its layers. Clones share the limits.
#[derive(Clone)]
pub struct Attempts {
    service: BoxCloneSyncService<Shipment, Delivered, Fault>,
}

impl Attempts {
    pub fn new(sink: Arc<dyn Sink>, options: Options) -> Self {
        let timeout = options.timeout;
        let service = ServiceBuilder::new()
            .map_err(move |error| fault(error, timeout))
            .concurrency_limit(options.concurrency)
            .timeout(timeout)
            .service_fn(move |shipment: Shipment| {
                let sink = sink.clone();
                async move { sink.deliver(&shipment).await }
            });
        Self { service: BoxCloneSyncService::new(service) }
    }

    /// One attempt, as [`Sink::deliver`]; dropping the future ends it.
    pub async fn deliver(&self, shipment: Shipment) -> Result<Delivered, Fault> {
        self.service.clone().oneshot(shipment).await
    }
}

/// The layers box every error; what comes out is the sink's own fault or the time limit.
fn fault(error: BoxError, timeout: Duration) -> Fault {
    match error.downcast::<Fault>() {
        Ok(fault) => *fault,
        Err(other) if other.is::<Elapsed>() => Fault::retry(
            "S3.RequestTimeout",
            format!("no answer within {} ms", timeout.as_millis()),
        ),
        Err(other) => Fault::retry("S3.InternalError", other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use bytes::Bytes;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::record::Ranges;

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
                _ => Ok(Delivered::default()),
            }
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
            is_error: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_without_an_answer_is_tried_again() {
        let options = Options { timeout: Duration::from_secs(3), concurrency: 1 };
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
        let options = Options { timeout: Duration::from_secs(10), concurrency: 2 };
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
}
