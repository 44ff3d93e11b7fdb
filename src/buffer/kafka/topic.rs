//! The topic of a journal: found, made, and looked at, whether it can be one.

use rdkafka::{
    admin::{
        AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
    },
    config::FromClientConfigAndContext,
    error::RDKafkaErrorCode,
    producer::Producer,
};

use super::{
    KafkaOptions,
    producers::{Context, Made},
};
use crate::{limits, net::kafka::Link};

/// What the brokers say of a topic.
pub(super) struct Found {
    /// None if it is not there.
    pub partitions: usize,
    /// Of the partition that has the fewest.
    pub copies: Option<usize>,
    /// Brokers of the cluster.
    pub brokers: usize,
}

/// Asks how many partitions there are.
pub(super) async fn find(producer: &Made, topic: &str) -> Result<Found, String> {
    let (producer, topic) = (producer.clone(), topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        // Of all topics: brokers make a topic that is asked for by its name.
        let metadata = producer.client().fetch_metadata(None, limits::KAFKA_REQUEST_TIMEOUT);
        let metadata = metadata.map_err(|error| format!("the brokers do not answer: {error}"))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let partitions = found.filter(|found| found.error().is_none());
        let copies = partitions.and_then(|found| {
            found.partitions().iter().map(|partition| partition.replicas().len()).min()
        });
        Ok(Found {
            partitions: partitions.map_or(0, |found| found.partitions().len()),
            copies,
            brokers: metadata.brokers().len(),
        })
    });
    asked.await.map_err(|error| error.to_string())?
}

fn admin(link: &Link) -> Result<AdminClient<Context>, String> {
    AdminClient::from_config_and_context(&link.config, Context(link.clone()))
        .map_err(|error| error.to_string())
}

/// Copies of each partition of a topic that is made; -1 leaves it to the brokers.
fn copies(wanted: Option<i32>, brokers: usize) -> i32 {
    wanted.unwrap_or(if brokers >= 3 { 3 } else { -1 })
}

/// Makes the topic.
pub(super) async fn make(
    options: &KafkaOptions,
    link: &Link,
    brokers: usize,
) -> Result<(), String> {
    let copies = copies(options.replication_factor, brokers);
    let mut topic =
        NewTopic::new(&options.topic, options.partitions, TopicReplication::Fixed(copies))
            .set("max.message.bytes", "2097152");
    if copies >= 3 {
        topic = topic.set("min.insync.replicas", "2");
    }
    let wait = AdminOptions::new().operation_timeout(Some(limits::KAFKA_REQUEST_TIMEOUT));
    let made = admin(link)?.create_topics([&topic], &wait).await;
    match made.map_err(|error| error.to_string())?.into_iter().next() {
        // Another replica was quicker.
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | Some(Ok(_)) | None => Ok(()),
        Some(Err((topic, error))) => Err(format!("the topic {topic:?} cannot be made: {error}")),
    }
}

/// Looks at the topic's settings. Fails where records would be refused for ever.
pub(super) async fn check(topic: &str, copies: Option<usize>, link: &Link) -> Result<(), String> {
    let settings = match settings(topic, link).await {
        Ok(settings) => settings,
        Err(error) => {
            tracing::warn!(
                topic,
                error,
                "the settings of a journal's topic are not told; it should take messages of \
                 2097152 bytes (max.message.bytes) and have min.insync.replicas=2"
            );
            Settings::default()
        }
    };
    if let Some(warning) = judge(topic, copies, &settings)? {
        tracing::warn!(topic, "{warning}");
    }
    Ok(())
}

#[derive(Default)]
struct Settings {
    message_bytes: Option<u64>,
    min_insync: Option<u64>,
}

async fn settings(topic: &str, link: &Link) -> Result<Settings, String> {
    let wait = AdminOptions::new().request_timeout(Some(limits::KAFKA_REQUEST_TIMEOUT));
    let told = admin(link)?.describe_configs([&ResourceSpecifier::Topic(topic)], &wait).await;
    let told = told.map_err(|error| error.to_string())?.into_iter().next();
    let told = told.ok_or("no answer")?.map_err(|error| error.to_string())?;
    let number = |told: &ConfigResource, name| told.get(name)?.value.as_ref()?.parse().ok();
    Ok(Settings {
        message_bytes: number(&told, "max.message.bytes"),
        min_insync: number(&told, "min.insync.replicas"),
    })
}

/// What is to be said of a topic.
fn judge(
    topic: &str,
    copies: Option<usize>,
    settings: &Settings,
) -> Result<Option<&'static str>, String> {
    let least = limits::KAFKA_JOURNAL_MESSAGE_BYTES;
    if let Some(most) = settings.message_bytes.filter(|&most| most < least) {
        return Err(format!(
            "the topic {topic:?} takes messages of {most} bytes at the most, and a record may need \
             {least}: set its max.message.bytes to 2097152"
        ));
    }
    Ok(match (copies, settings.min_insync) {
        (Some(1), _) => Some(
            "the topic of a journal has one copy: a broker that is lost takes acknowledged records \
             with it",
        ),
        (Some(2..), Some(..2)) => Some(
            "the topic of a journal acknowledges records that one broker alone has \
             (min.insync.replicas=1): a broker that is lost may take acknowledged records with it; \
             set min.insync.replicas to 2, with three copies or more",
        ),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_would_refuse_records_is_refused_and_one_that_may_lose_some_is_warned_of() {
        let judged = |copies, message_bytes, min_insync| {
            judge("t", Some(copies), &Settings { message_bytes, min_insync })
        };
        let refused = judged(3, Some(1_000_000), Some(2)).unwrap_err();
        assert!(refused.contains("max.message.bytes") && refused.contains("1000000"), "{refused}");
        // The brokers' default.
        assert_eq!(judged(3, Some(1_048_588), Some(2)), Ok(None));
        assert_eq!(judged(3, None, None), Ok(None));
        assert!(judged(3, None, Some(1)).unwrap().unwrap().contains("min.insync.replicas"));
        assert!(judged(2, None, Some(1)).unwrap().unwrap().contains("min.insync.replicas"));
        assert!(judged(1, None, Some(1)).unwrap().unwrap().contains("one copy"));
    }

    #[test]
    fn three_brokers_keep_three_copies_unless_something_else_is_wanted() {
        assert_eq!([copies(None, 3), copies(None, 7), copies(None, 2)], [3, 3, -1]);
        assert_eq!([copies(Some(2), 5), copies(Some(1), 1)], [2, 1]);
    }
}
