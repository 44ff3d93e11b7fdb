//! Reads one shard by subscription after subscription.

use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    CONTENT_TYPE, FanOut,
    event::{self, Event},
    target, trouble,
};
use crate::{
    limits,
    net::signed::{Body, SendError, Streamed},
    sources::kinesis::{Batch, Checkpoint, ReadError, ShardReader},
};

const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// Reads a shard of a stream for a consumer.
pub struct FanOutReader {
    fan_out: FanOut,
    shard_id: String,
    place: Place,
    subscription: Option<Subscription>,
    /// The service refuses calls before.
    not_before: Instant,
}

/// Where the next subscription begins.
enum Place {
    TrimHorizon,
    Latest,
    /// In milliseconds since the Unix epoch.
    AtTimestamp(i64),
    /// At the record itself: something of it is left.
    At(String),
    After(String),
    End,
}

struct Subscription {
    body: Body,
    /// Bytes of events that are not complete.
    buffer: BytesMut,
    /// Since when the next bytes are waited for. Time in which nobody waited does not count.
    waiting_since: Option<Instant>,
}

impl FanOutReader {
    pub(super) fn new(
        fan_out: FanOut,
        shard_id: String,
        from: Checkpoint,
        at_timestamp_ms: Option<i64>,
    ) -> Self {
        let place = match from {
            Checkpoint::TrimHorizon => Place::TrimHorizon,
            Checkpoint::Latest => Place::Latest,
            Checkpoint::AtTimestamp => {
                at_timestamp_ms.map_or(Place::TrimHorizon, Place::AtTimestamp)
            }
            Checkpoint::Sequence { number, whole: true, .. } => Place::After(number),
            Checkpoint::Sequence { number, whole: false, .. } => Place::At(number),
            Checkpoint::ShardEnd => Place::End,
        };
        let not_before = Instant::now();
        Self { fan_out, shard_id, place, subscription: None, not_before }
    }

    /// Subscribes as soon as the service allows it.
    async fn subscribe(&mut self) -> Result<Subscription, ReadError> {
        sleep_until(self.not_before).await;
        self.not_before = Instant::now() + self.fan_out.pace.call;
        let question = json!({
            "ConsumerARN": &*self.fan_out.consumer_arn,
            "ShardId": self.shard_id,
            "StartingPosition": self.place.to_json(),
        });
        let target = target("SubscribeToShard");
        let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", &*target)];
        let (timeout, limit) = (limits::FAN_OUT_TIMEOUT, limits::FAN_OUT_ANSWER_BYTES_MAX);
        let body = question.to_string().into();
        let asked_ms = self.fan_out.clock.now_ms();
        let streamed = self.fan_out.client.stream("/", &headers, body, timeout, limit).await;
        let streamed = streamed.map_err(|error| {
            // Unless nobody was there, it may have been granted.
            if !matches!(error, SendError::Connect(_)) {
                self.not_before = Instant::now() + self.fan_out.pace.grant;
            }
            trouble::of_sending(&error)
        });
        let body = match streamed? {
            Streamed::Open(body) => body,
            Streamed::Refused(answer) => {
                let error = trouble::of_refusal(&answer);
                // Somebody has the subscription: we ourselves, before a restart.
                if matches!(&error, ReadError::Throttled(text) if text.starts_with(trouble::IN_USE))
                {
                    self.not_before = Instant::now() + self.fan_out.pace.grant;
                }
                return Err(error);
            }
        };
        self.not_before = Instant::now() + self.fan_out.pace.grant;
        let kind = body.headers.get("content-type").and_then(|value| value.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with(EVENT_STREAM)) {
            return Err(trouble::unreadable(&"what came of SubscribeToShard is no event stream"));
        }
        // Where `LATEST` was is known to this clock alone: should no event come before the
        // subscription ends, the next one begins at this time.
        if matches!(self.place, Place::Latest) {
            self.place = Place::AtTimestamp(asked_ms);
        }
        Ok(Subscription { body, buffer: BytesMut::new(), waiting_since: None })
    }
}

#[async_trait]
impl ShardReader for FanOutReader {
    async fn next(&mut self) -> Result<Batch, ReadError> {
        loop {
            if matches!(self.place, Place::End) {
                return Ok(Batch { ended: Some(Vec::new()), ..Batch::default() });
            }
            if self.subscription.is_none() {
                self.subscription = Some(self.subscribe().await?);
            }
            let Some(subscription) = &mut self.subscription else { continue };
            match subscription.next(self.fan_out.pace.silence).await {
                Ok(Some(batch)) => {
                    self.place.advance(&batch);
                    return Ok(batch);
                }
                Ok(None) => self.subscription = None,
                Err(error) => {
                    self.subscription = None;
                    return Err(error);
                }
            }
        }
    }
}

impl Subscription {
    /// The next event with something in it; none at the end.
    async fn next(&mut self, silence: Duration) -> Result<Option<Batch>, ReadError> {
        loop {
            let taken = event::take(&mut self.buffer);
            match taken.map_err(|error| trouble::unreadable(&error))? {
                Some(Event::Batch(batch)) => return Ok(Some(batch)),
                Some(Event::Error { name, message }) => {
                    return Err(trouble::of_name(&name, &message));
                }
                Some(Event::Other) => continue,
                None => {}
            }
            let since = *self.waiting_since.get_or_insert_with(Instant::now);
            let Ok(piece) = timeout_at(since + silence, self.body.piece()).await else {
                tracing::warn!("a subscription to a shard went silent and is made anew");
                return Ok(None);
            };
            self.waiting_since = None;
            match piece.map_err(|error| trouble::of_sending(&error))? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                // An event that was cut off comes again.
                None => return Ok(None),
            }
        }
    }
}

impl Place {
    fn to_json(&self) -> Value {
        match self {
            Self::TrimHorizon => json!({"Type": "TRIM_HORIZON"}),
            Self::Latest => json!({"Type": "LATEST"}),
            Self::AtTimestamp(ms) => {
                json!({"Type": "AT_TIMESTAMP", "Timestamp": *ms as f64 / 1000.0})
            }
            Self::At(number) => {
                json!({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": number})
            }
            Self::After(number) => {
                json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number})
            }
            Self::End => Value::Null,
        }
    }

    /// Behind what was given out.
    fn advance(&mut self, batch: &Batch) {
        let last = batch.records.last().map(|record| &record.sequence_number);
        if batch.ended.is_some() {
            *self = Self::End;
        } else if let Some(number) = batch.continuation.as_ref().or(last) {
            *self = Self::After(number.clone());
        }
    }
}
