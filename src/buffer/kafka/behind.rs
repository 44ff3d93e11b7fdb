//! Reads records of a partition that are no longer in memory.

use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};

use super::member::Context;
use crate::{
    buffer::frame,
    limits,
    net::kafka::Link,
    record::{Frame, Position},
};

/// A consumer outside of any group, made when it is needed and kept while it goes on.
pub(super) struct Behind {
    topic: String,
    partition: i32,
    link: Link,
    open: Mutex<Option<Open>>,
}

pub(super) struct Open {
    consumer: BaseConsumer<Context>,
    /// The offset that comes next.
    at: u64,
}

impl Behind {
    pub fn new(topic: &str, partition: i32, replica: &str, mut link: Link) -> Self {
        // librdkafka would fetch 64 MiB ahead.
        link.config
            .set("group.id", format!("standpipe-{replica}"))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("check.crcs", "true")
            .set("queued.min.messages", "1")
            .set("queued.max.messages.kbytes", limits::KAFKA_BEHIND_KIB.to_string())
            .set("fetch.message.max.bytes", limits::KAFKA_PARTITION_FETCH_BYTES.to_string())
            .set("fetch.queue.backoff.ms", limits::KAFKA_FETCH_BACKOFF.as_millis().to_string());
        Self { topic: topic.to_owned(), partition, link, open: Mutex::default() }
    }

    /// The consumer, if it is there and nobody reads: for whoever has caught up. To be dropped
    /// where one may wait.
    pub fn close(&self) -> Option<Open> {
        self.open.try_lock()?.take()
    }

    /// Records from an offset on, as far as they are kept. Blocking.
    pub fn read(&self, from: u64, before: u64, max_bytes: usize) -> Result<Vec<Frame>, String> {
        let mut kept = self.open.lock();
        // It is put back when all went well.
        let mut open = self.at(from, kept.take())?;
        let mut frames = Vec::new();
        let mut bytes = 0;
        while open.at < before && bytes < max_bytes {
            let message = match open.consumer.poll(limits::KAFKA_REQUEST_TIMEOUT) {
                Some(message) => message.map_err(text)?,
                None => return Err("the brokers do not answer".into()),
            };
            let offset = message.offset() as u64;
            if offset < from {
                // The topic ends before: it was made anew, or cut back.
                tracing::error!(
                    topic = self.topic,
                    partition = self.partition,
                    offset = from,
                    "records of a journal's topic are gone before they were delivered"
                );
                return Ok(frames);
            }
            open.at = offset + 1;
            let frame = frame_of(&message);
            bytes += frame::footprint_of(&frame);
            frames.push(frame);
        }
        *kept = Some(open);
        Ok(frames)
    }

    fn at(&self, from: u64, open: Option<Open>) -> Result<Open, String> {
        let consumer = match open {
            Some(open) if open.at == from => return Ok(open),
            Some(open) => open.consumer,
            None => Context::alone(&self.link)?,
        };
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, self.partition, Offset::Offset(from as i64))
            .and_then(|()| consumer.assign(&list))
            .map_err(text)?;
        Ok(Open { consumer, at: from })
    }
}

fn text(error: KafkaError) -> String {
    error.to_string()
}

fn frame_of(message: &impl Message) -> Frame {
    let payload = message.payload().unwrap_or_default();
    Frame {
        first: Position::new(0, message.offset() as u64),
        arrival_ms: message.timestamp().to_millis().unwrap_or_default(),
        lengths: vec![payload.len() as u32],
        data: Bytes::copy_from_slice(payload),
        provenance: None,
        unfit: false,
    }
}
