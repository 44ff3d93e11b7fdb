//! The source: a reader while there is one, another one when there must be.

use std::{collections::BTreeMap, sync::Arc, thread, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use rdkafka::{ClientConfig, consumer::BaseConsumer, error::KafkaResult};
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    Options, Start, Tombstones,
    events::Events,
    lane::Road,
    msk,
    reader::{End, Farewell, Given, Known, Reader},
    start::{Asker, Initial},
};
use crate::{
    limits,
    net::kafka::{TokenFeed, Tokens, check_config, client_config, tokens},
    seams::{Inlet, Source},
    sources::{Checkpoints, Context},
};

/// What the options mean.
pub(super) struct Setup {
    options: Options,
    /// What our consumer is made of, by librdkafka's names.
    own: Vec<(&'static str, String)>,
    pub topics: Vec<String>,
    pub initial: Initial,
    pub session: Duration,
    pub max_record_bytes: u64,
    pub skips_tombstones: bool,
}

impl Setup {
    fn new(options: Options, stream: &str) -> Result<Self, String> {
        if options.topics.is_empty() || options.topics.iter().any(String::is_empty) {
            return Err("topics: name at least one topic".into());
        }
        let session = options.session_timeout.0;
        let range = limits::KAFKA_SESSION_TIMEOUT_MIN..=limits::KAFKA_SESSION_TIMEOUT_MAX;
        if !range.contains(&session) {
            return Err(
                "session_timeout: choose 1s to 30m (brokers take 6s to 30m by default)".into()
            );
        }
        if options.max_record_size.0 == 0 {
            return Err("max_record_size: no record is that small".into());
        }
        let setup = Self {
            own: own_settings(&options, stream),
            topics: options.topics.clone(),
            initial: initial(&options.start)?,
            session,
            max_record_bytes: options.max_record_size.0,
            skips_tombstones: options.tombstones == Tombstones::Skip,
            options,
        };
        let Options { brokers, cluster_arn, security, librdkafka, .. } = &setup.options;
        let unknown = ["of an MSK cluster".to_owned()];
        let brokers = match (brokers.is_empty(), cluster_arn) {
            (true, Some(_)) => &unknown[..],
            (false, Some(_)) => {
                return Err("give either brokers or cluster_arn, not both".into());
            }
            (_, None) => brokers,
        };
        if let Some(arn) = cluster_arn {
            msk::check(arn, &setup.options)?;
        }
        check_config(brokers, security, librdkafka, &setup.own)?;
        Ok(setup)
    }

    /// The consumer's configuration, with the secrets as they are now.
    pub fn config(&self, found: Option<&[String]>) -> Result<ClientConfig, String> {
        let Options { brokers, security, librdkafka, .. } = &self.options;
        client_config(found.unwrap_or(brokers), security, librdkafka, &self.own)
    }

    /// The brokers of an MSK cluster that is known by its ARN.
    async fn find_brokers(&self, context: &Context) -> Result<Option<Vec<String>>, String> {
        let Some(arn) = &self.options.cluster_arn else { return Ok(None) };
        let endpoint = context.msk_endpoint.clone();
        msk::brokers(&context.access, endpoint, arn, &self.options).await.map(Some)
    }
}

fn own_settings(options: &Options, stream: &str) -> Vec<(&'static str, String)> {
    let ms = |time: Duration| time.as_millis().to_string();
    let session = options.session_timeout.0;
    let group = options.group.clone().unwrap_or_else(|| format!("standpipe-{stream}"));
    let mut own = vec![
        ("group.id", group),
        ("session.timeout.ms", ms(session)),
        ("heartbeat.interval.ms", ms(limits::KAFKA_HEARTBEAT.min(session / 3))),
        ("partition.assignment.strategy", "cooperative-sticky".into()),
        ("enable.auto.commit", "false".into()),
        ("enable.auto.offset.store", "false".into()),
        ("auto.offset.reset", "error".into()),
        ("isolation.level", "read_committed".into()),
        ("enable.partition.eof", "false".into()),
        ("allow.auto.create.topics", "false".into()),
    ];
    if let Some(instance) = &options.instance_id {
        own.push(("group.instance.id", instance.clone()));
    }
    // What a user may know better.
    let defaults = [
        ("max.poll.interval.ms", ms(limits::KAFKA_POLL_INTERVAL_MAX.max(session))),
        ("check.crcs", "true".into()),
        ("queued.max.messages.kbytes", limits::KAFKA_QUEUED_KBYTES.to_string()),
        ("fetch.max.bytes", limits::KAFKA_FETCH_BYTES.to_string()),
        ("max.partition.fetch.bytes", limits::KAFKA_PARTITION_FETCH_BYTES.to_string()),
        ("fetch.queue.backoff.ms", ms(limits::KAFKA_FETCH_BACKOFF)),
        ("topic.metadata.refresh.interval.ms", ms(limits::KAFKA_METADATA_INTERVAL)),
        ("statistics.interval.ms", ms(limits::KAFKA_STATISTICS_INTERVAL)),
    ];
    own.extend(defaults.into_iter().filter(|(name, _)| !options.librdkafka.contains_key(*name)));
    own
}

fn initial(start: &Start) -> Result<Initial, String> {
    Ok(match start {
        Start::Latest => Initial::Latest,
        Start::Earliest => Initial::Earliest,
        Start::AtTimestamp(text) => {
            let time: Timestamp = text.parse().map_err(|_| {
                "start.at_timestamp: write a time as in 2026-01-31T12:00:00Z".to_owned()
            })?;
            Initial::At(time.as_millisecond())
        }
    })
}

/// Topics of a Kafka cluster, read as a member of a consumer group.
pub struct KafkaSource {
    setup: Arc<Setup>,
    tokens: Option<Arc<dyn Tokens>>,
    context: Context,
}

impl KafkaSource {
    /// Asks nobody; fails for what can never work.
    pub fn new(options: Options, mut context: Context) -> Result<Self, String> {
        if let Some(arn) = &options.cluster_arn {
            context.access = msk::access(context.access, arn, &options.security);
        }
        let tokens = tokens(&options.security, &context.access)?;
        let setup = Arc::new(Setup::new(options, &context.stream)?);
        Ok(Self { setup, tokens, context })
    }

    /// Asks the journal where the source stands, until it says so.
    async fn open(
        &self,
        inlet: &Arc<dyn Inlet>,
        stop: &CancellationToken,
    ) -> Option<Arc<Checkpoints>> {
        loop {
            let metrics = self.context.metrics.clone();
            match Checkpoints::open(inlet.clone(), metrics).await {
                Ok(checkpoints) => return Some(Arc::new(checkpoints)),
                Err(error) => {
                    tracing::error!(stream = self.context.stream, %error, "the journal cannot be asked");
                }
            }
            stop.run_until_cancelled(tokio::time::sleep(limits::KAFKA_RETRY_MAX)).await?;
        }
    }

    /// One consumer, from its making to its end. An error says why there was none.
    async fn session(
        &self,
        checkpoints: &Arc<Checkpoints>,
        known: &Known,
        stop: &CancellationToken,
    ) -> Result<End, String> {
        let found = tokio::select! {
            () = stop.cancelled() => return Ok(End::Stopped),
            found = self.setup.find_brokers(&self.context) => found?,
        };
        let config = self.setup.config(found.as_deref())?;
        let ended = CancellationToken::new();
        let feed = self
            .tokens
            .clone()
            .map(|tokens| TokenFeed::start(tokens, self.context.env.clock.clone(), ended.clone()));
        let metrics = self.context.metrics.clone();
        let farewell = Farewell::default();
        // Whatever becomes of this, the reader must not wait for ever.
        let _drained = farewell.drained.clone().drop_guard();
        let given = Given {
            setup: self.setup.clone(),
            config,
            found,
            road: Road::new(checkpoints.clone(), metrics.clone(), self.setup.session),
            metrics,
            clock: self.context.env.clock.clone(),
            known: known.clone(),
            runtime: Handle::current(),
            stop: stop.clone(),
            farewell: farewell.clone(),
        };
        let span = tracing::info_span!("kafka", stream = self.context.stream);
        let (ending, mut end) = oneshot::channel();
        let reading = thread::Builder::new().name("kafka-reader".into()).spawn(move || {
            let _entered = span.entered();
            let _ended = ended.drop_guard();
            // Nobody waits for a reader that took too long to stop.
            let _ = ending.send(read(given, feed));
        });
        reading.map_err(|error| error.to_string())?;
        let too_late = async {
            stop.cancelled().await;
            let patience = 2 * limits::KAFKA_STOP_WAIT;
            if tokio::time::timeout(patience, farewell.all_put.cancelled()).await.is_ok() {
                checkpoints.drain().await;
                farewell.drained.cancel();
                tokio::time::sleep(patience).await;
            }
        };
        tokio::select! {
            biased;
            end = &mut end => end.unwrap_or_else(|_| Err("the reader has panicked".into())),
            () = too_late => {
                tracing::warn!(stream = self.context.stream, "kafka is left without a farewell");
                Ok(End::Stopped)
            }
        }
    }

    fn unusable(&self, error: &str, wait: Duration) {
        let (stream, wait_ms) = (&self.context.stream, wait.as_millis() as u64);
        tracing::error!(stream, error, wait_ms, "no consumer of kafka; trying again");
        self.context.metrics.error("Kafka.Client");
    }
}

/// Makes a consumer and reads with it.
fn read(given: Given, feed: Option<Arc<TokenFeed>>) -> Result<End, String> {
    let consumer: KafkaResult<BaseConsumer<Events>> =
        given.config.create_with_context(Events::new(feed));
    let consumer = Arc::new(consumer.map_err(|error| error.to_string())?);
    let (asker, asking) =
        Asker::start(&consumer, given.setup.initial).map_err(|error| error.to_string())?;
    let reader = Reader::new(given, consumer.clone(), asker);
    let end = reader.run();
    // It ends with its last question, and lets go of the consumer: what is dropped here is closed
    // here.
    if asking.join().is_err() {
        tracing::error!("the thread that asks for offsets has panicked");
    }
    drop(consumer);
    Ok(end)
}

#[async_trait]
impl Source for KafkaSource {
    async fn run(&self, inlet: Arc<dyn Inlet>, stop: CancellationToken) {
        let Some(checkpoints) = self.open(&inlet, &stop).await else { return };
        let parse = |(key, text): (&String, &String)| Some((key.clone(), text.parse().ok()?));
        let known: BTreeMap<_, _> = checkpoints.known().iter().filter_map(parse).collect();
        let known: Known = Arc::new(known.into());
        let mut next_wait = limits::KAFKA_RETRY_MIN;
        loop {
            let wait = match self.session(&checkpoints, &known, &stop).await {
                Ok(End::Stopped) => return,
                Ok(End::Failed(error)) => {
                    tracing::error!(
                        stream = self.context.stream,
                        error,
                        "the journal takes nothing more: its partitions are left to others"
                    );
                    stop.cancelled().await;
                    return;
                }
                Ok(End::Again(wait)) => {
                    next_wait = limits::KAFKA_RETRY_MIN;
                    wait
                }
                Err(error) => {
                    let wait = next_wait;
                    next_wait = (2 * wait).min(limits::KAFKA_RETRY_MAX);
                    self.unusable(&error, wait);
                    wait
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }
}
