//! What librdkafka tells a consumer. It tells it while it is polled, so nothing is done here:
//! what is told is noted, and the reader looks at it when its poll returns.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use rdkafka::{
    TopicPartitionList,
    client::{ClientContext, OAuthToken},
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::{RDKafkaErrorCode, RDKafkaRespErr},
};
use serde::Deserialize;

use crate::{limits, net::kafka::TokenFeed};

/// A topic's partition by name.
pub(super) type Name = (String, i32);

/// What was told.
#[derive(Debug)]
pub(super) enum Event {
    /// The group gives us these partitions.
    Assigned(Vec<Name>),
    /// The group takes these from us.
    Revoked(Vec<Name>),
    /// The group knows these offsets.
    Committed(Vec<(Name, i64)>),
    /// A commit failed; it is made again.
    NotCommitted {
        code: String,
    },
    /// Something is wrong.
    Trouble {
        code: RDKafkaErrorCode,
        reason: String,
    },
    Statistics(Statistics),
}

/// What is read of librdkafka's statistics (its STATISTICS.md).
#[derive(Debug, Default, Deserialize)]
pub(super) struct Statistics {
    #[serde(default)]
    pub brokers: HashMap<String, BrokerStatistics>,
    #[serde(default)]
    pub topics: HashMap<String, TopicStatistics>,
}

#[derive(Debug, Deserialize)]
pub(super) struct BrokerStatistics {
    #[serde(default)]
    pub state: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct TopicStatistics {
    #[serde(default)]
    pub partitions: HashMap<String, PartitionStatistics>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PartitionStatistics {
    /// The end of what may be read, transactions included; negative while it is not known.
    #[serde(default = "PartitionStatistics::unknown")]
    pub ls_offset: i64,
}

impl PartitionStatistics {
    fn unknown() -> i64 {
        -1
    }
}

impl Statistics {
    pub fn is_connected(&self) -> bool {
        self.brokers.values().any(|broker| broker.state == "UP")
    }

    /// Where a partition ends, if that is known.
    pub fn end(&self, topic: &str, partition: i32) -> Option<i64> {
        let topic = self.topics.get(topic)?;
        let end = topic.partitions.get(&partition.to_string())?.ls_offset;
        (end >= 0).then_some(end)
    }
}

/// The notes of one consumer.
pub(super) struct Events {
    queue: Mutex<Vec<Event>>,
    /// The consumer is being closed, and nobody looks at notes any more.
    closing: AtomicBool,
    tokens: Option<Arc<TokenFeed>>,
}

impl Events {
    pub fn new(tokens: Option<Arc<TokenFeed>>) -> Self {
        Self { queue: Mutex::default(), closing: AtomicBool::new(false), tokens }
    }

    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.queue.lock())
    }

    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    fn note(&self, event: Event) {
        if !self.closing.load(Ordering::SeqCst) {
            self.queue.lock().push(event);
        }
    }
}

/// The partitions of a list.
pub(super) fn names(list: &TopicPartitionList) -> Vec<Name> {
    list.elements().iter().map(|one| (one.topic().to_owned(), one.partition())).collect()
}

/// How a code of librdkafka stands in metrics.
pub(super) fn code_name(code: RDKafkaErrorCode) -> String {
    format!("Kafka.{code:?}")
}

impl ClientContext for Events {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(facility, message, "librdkafka");
            }
            // What matters of it comes as an error, too, once for each change.
            _ => tracing::debug!(facility, message, "librdkafka"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice(statistics) {
            Ok(statistics) => self.note(Event::Statistics(statistics)),
            Err(error) => tracing::debug!(%error, "librdkafka's statistics cannot be read"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let reason = reason.chars().take(limits::MESSAGE_CHARS_MAX).collect();
        self.note(Event::Trouble { code, reason });
    }

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let feed = self.tokens.as_ref().ok_or("no tokens are configured")?;
        let token = feed.get(limits::KAFKA_TOKEN_WAIT).map_err(|error| error.replace('\0', " "))?;
        Ok(OAuthToken {
            token: token.value,
            principal_name: token.principal,
            lifetime_ms: token.expires_ms,
        })
    }
}

impl ConsumerContext for Events {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let assigned = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::SeqCst) {
            // The farewell waits for an answer. What was read is accounted for already.
            let answered = if assigned {
                consumer.incremental_assign(&TopicPartitionList::new())
            } else {
                consumer.unassign()
            };
            if let Err(error) = answered {
                tracing::debug!(%error, "leaving the group: the assignment is gone already");
            }
        } else if assigned {
            self.note(Event::Assigned(names(list)));
        } else {
            self.note(Event::Revoked(names(list)));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let elements = offsets.elements();
        let result = result.and_then(|()| elements.iter().try_for_each(|one| one.error()));
        self.note(match result {
            Ok(()) => Event::Committed(
                elements
                    .iter()
                    .filter_map(|one| {
                        let name = (one.topic().to_owned(), one.partition());
                        Some((name, one.offset().to_raw()?))
                    })
                    .collect(),
            ),
            Err(error) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                Event::NotCommitted { code: code_name(code) }
            }
        });
    }
}
