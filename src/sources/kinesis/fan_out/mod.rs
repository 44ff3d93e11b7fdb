//! Enhanced fan-out: the service sends what comes into a shard to a registered consumer, with
//! 2 MiB/s of its own, instead of being asked.
//!
//! ```text
//! consumer   DescribeStreamConsumer ─ there is none ─▶ RegisterStreamConsumer ─▶ until it is ACTIVE
//! shard      SubscribeToShard ─▶ events for up to 5 min ─▶ SubscribeToShard behind the last event
//! ```
//!
//! An event tells where to go on even if there is no record in it. Not reading a subscription holds
//! the service back.

mod event;
mod reader;
#[cfg(test)]
mod tests;
mod trouble;

use std::{sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::{Instant, sleep};

pub use self::reader::FanOutReader;
use super::{Checkpoint, ReadError, ReaderFactory, ShardReader, options};
use crate::{
    env::{Clock, Env},
    limits,
    net::{aws::Access, signed::SignedClient},
};

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// A consumer of a stream, ready to subscribe to its shards.
#[derive(Clone)]
pub struct FanOut {
    client: Arc<SignedClient>,
    consumer_arn: Arc<str>,
    clock: Arc<dyn Clock>,
    pace: Pace,
}

/// Waits that the service asks for, or that tell a subscription is dead.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Between two calls.
    call: Duration,
    /// From a subscription that was granted to the next call.
    grant: Duration,
    /// A subscription that says nothing for so long is dead.
    silence: Duration,
    /// Between two looks at a consumer.
    poll: Duration,
    /// For how long it is looked at.
    patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            call: limits::FAN_OUT_CALL_INTERVAL,
            grant: limits::FAN_OUT_GRANT_INTERVAL,
            silence: limits::FAN_OUT_SILENCE_MAX,
            poll: limits::FAN_OUT_CONSUMER_POLL,
            patience: limits::FAN_OUT_CONSUMER_WAIT,
        }
    }
}

impl ReaderFactory for FanOut {
    fn open(&self, shard_id: &str, from: &Checkpoint, timestamp_ms: i64) -> Box<dyn ShardReader> {
        Box::new(self.reader(shard_id.to_owned(), from.clone(), Some(timestamp_ms)))
    }
}

impl FanOut {
    /// Finds the consumer, registers it if it is not there, and waits until it is active.
    /// `endpoint` is the URL of a server that speaks Kinesis' API, AWS if absent. The consumer is
    /// called `default_name`, as far as names may be long, unless the options say otherwise.
    pub async fn register(
        access: &Access,
        endpoint: Option<String>,
        stream_arn: &str,
        options: &options::FanOut,
        default_name: &str,
        env: &Env,
    ) -> Result<Self, ReadError> {
        let client = SignedClient::new(access, "kinesis", endpoint)
            .map_err(|error| trouble::denied("InvalidEndpoint", &error))?;
        let clock = env.clock.clone();
        Self::register_by(client, clock, Pace::default(), stream_arn, options, default_name).await
    }

    async fn register_by(
        client: SignedClient,
        clock: Arc<dyn Clock>,
        pace: Pace,
        stream_arn: &str,
        options: &options::FanOut,
        default_name: &str,
    ) -> Result<Self, ReadError> {
        let consumer = match (&options.consumer_arn, &options.consumer) {
            (Some(arn), _) => Consumer::Arn(arn),
            (None, name) => {
                let name = name.as_deref().unwrap_or(default_name);
                let end = name.char_indices().nth(limits::FAN_OUT_CONSUMER_CHARS_MAX);
                Consumer::Name { stream_arn, name: &name[..end.map_or(name.len(), |(at, _)| at)] }
            }
        };
        let consumer_arn = active(&client, pace, &consumer).await?.into();
        Ok(Self { client: Arc::new(client), consumer_arn, clock, pace })
    }

    /// The consumer's ARN.
    pub fn consumer_arn(&self) -> &str {
        &self.consumer_arn
    }

    /// Reads a shard behind `from`; nothing is asked yet. `at_timestamp_ms` is what
    /// [`Checkpoint::AtTimestamp`] means, in milliseconds since the Unix epoch; without it that is
    /// [`Checkpoint::TrimHorizon`], which leaves nothing out.
    pub fn reader(
        &self,
        shard_id: String,
        from: Checkpoint,
        at_timestamp_ms: Option<i64>,
    ) -> FanOutReader {
        FanOutReader::new(self.clone(), shard_id, from, at_timestamp_ms)
    }
}

/// How a consumer is named.
enum Consumer<'a> {
    Arn(&'a str),
    Name { stream_arn: &'a str, name: &'a str },
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    consumer_description: Description,
}

#[derive(serde::Deserialize)]
struct Description {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: String,
    #[serde(rename = "ConsumerStatus")]
    status: String,
}

/// The ARN of the consumer, once it is active.
async fn active(
    client: &SignedClient,
    pace: Pace,
    consumer: &Consumer<'_>,
) -> Result<String, ReadError> {
    let until = Instant::now() + pace.patience;
    loop {
        let question = match consumer {
            Consumer::Arn(arn) => json!({"ConsumerARN": arn}),
            Consumer::Name { stream_arn, name } => {
                json!({"StreamARN": stream_arn, "ConsumerName": name})
            }
        };
        let state =
            match (ask::<Described>(client, "DescribeStreamConsumer", &question).await, consumer) {
                (Ok(Described { consumer_description: found }), _) if found.status == "ACTIVE" => {
                    return Ok(found.consumer_arn);
                }
                (Ok(described), _) => described.consumer_description.status,
                (Err(ReadError::Gone(_)), Consumer::Name { name, .. }) => {
                    register(client, &question).await?;
                    tracing::info!(consumer = %name, "registered a consumer for enhanced fan-out");
                    "CREATING".to_owned()
                }
                (Err(error), _) => return Err(error),
            };
        if Instant::now() >= until {
            let message = format!("the consumer is still {state} and not ACTIVE");
            return Err(ReadError::Trouble { code: "ConsumerNotActive".into(), message });
        }
        sleep(pace.poll).await;
    }
}

/// Registers the consumer. That somebody else has done so meanwhile is no failure.
async fn register(client: &SignedClient, question: &impl Serialize) -> Result<(), ReadError> {
    let asked = ask::<serde::de::IgnoredAny>(client, "RegisterStreamConsumer", question).await;
    match asked {
        Err(ReadError::Throttled(text)) if text.starts_with(trouble::IN_USE) => Ok(()),
        asked => asked.map(drop),
    }
}

async fn ask<T: DeserializeOwned>(
    client: &SignedClient,
    action: &str,
    question: &impl Serialize,
) -> Result<T, ReadError> {
    let body = serde_json::to_vec(question).expect("texts serialize");
    let target = target(action);
    let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", &*target)];
    let (timeout, limit) = (limits::FAN_OUT_TIMEOUT, limits::FAN_OUT_ANSWER_BYTES_MAX);
    let answer = client.post("/", &headers, body.into(), timeout, limit).await;
    let answer = answer.map_err(|error| trouble::of_sending(&error))?;
    if !answer.status.is_success() {
        return Err(trouble::of_refusal(&answer));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|_| trouble::unreadable(&format!("what came of {action} is no answer to it")))
}

fn target(action: &str) -> String {
    format!("Kinesis_20131202.{action}")
}
