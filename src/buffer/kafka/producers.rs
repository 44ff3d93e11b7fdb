//! The producer of a journal's topic: another one when it has failed for good.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rdkafka::{
    ClientContext,
    client::OAuthToken,
    config::FromClientConfigAndContext,
    error::KafkaResult,
    producer::{FutureProducer, Producer},
};
use tokio_util::sync::CancellationToken;

use super::topic;
use crate::{limits, net::kafka::Link};

/// The context of the producer: gives tokens.
#[derive(Clone)]
pub(super) struct Context(pub Link);

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.0.token()
    }
}

pub(super) type Made = FutureProducer<Context>;

fn make(link: &Link) -> KafkaResult<Made> {
    FutureProducer::from_config_and_context(&link.config, Context(link.clone()))
}

/// The producer as it is now.
pub(super) struct Producers {
    topic: String,
    link: Link,
    now: ArcSwap<Made>,
    is_mending: AtomicBool,
    /// Why nothing can be produced until there is another one.
    failed: Mutex<Option<Arc<str>>>,
    stop: CancellationToken,
}

impl Producers {
    pub fn new(topic: &str, link: Link) -> KafkaResult<Arc<Self>> {
        let now = ArcSwap::from_pointee(make(&link)?);
        Ok(Arc::new(Self {
            topic: topic.to_owned(),
            link,
            now,
            is_mending: AtomicBool::new(false),
            failed: Mutex::default(),
            stop: CancellationToken::new(),
        }))
    }

    pub fn now(&self) -> Made {
        Made::clone(&self.now.load())
    }

    pub fn failed(&self) -> Option<Arc<str>> {
        self.failed.lock().clone()
    }

    /// Something was not produced: if the producer will never produce again, another one is made.
    /// An idempotent producer ends so when its order of records is in doubt.
    pub fn heed(self: &Arc<Self>) {
        let Some((code, reason)) = self.now.load().client().fatal_error() else { return };
        if self.is_mending.swap(true, Ordering::SeqCst) {
            return;
        }
        tracing::error!(topic = self.topic, ?code, reason, "a journal's producer has failed");
        *self.failed.lock() = Some(format!("the producer has failed: {reason}").into());
        tokio::spawn(self.clone().mend());
    }

    /// Makes another producer, and uses it once it has reached the brokers.
    async fn mend(self: Arc<Self>) {
        loop {
            match self.other().await {
                Ok(other) => {
                    let failed = self.now.swap(Arc::new(other));
                    *self.failed.lock() = None;
                    self.is_mending.store(false, Ordering::SeqCst);
                    tracing::info!(topic = self.topic, "a journal has another producer");
                    // Its end waits for its thread.
                    tokio::task::spawn_blocking(move || drop(failed));
                    return;
                }
                Err(error) => {
                    tracing::warn!(topic = self.topic, error, "there is no other producer yet");
                }
            }
            let wait = tokio::time::sleep(limits::KAFKA_MEND_INTERVAL);
            if self.stop.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }

    async fn other(&self) -> Result<Made, String> {
        let other = make(&self.link).map_err(|error| error.to_string())?;
        match topic::find(&other, &self.topic).await?.partitions {
            0 => Err("the topic is not there".into()),
            _ => Ok(other),
        }
    }

    /// Waits for confirmations. What is not confirmed by then was not acknowledged either.
    pub async fn close(&self) {
        self.stop.cancel();
        let producer = self.now();
        let _ = tokio::task::spawn_blocking(move || producer.flush(limits::KAFKA_REQUEST_TIMEOUT))
            .await;
    }
}
