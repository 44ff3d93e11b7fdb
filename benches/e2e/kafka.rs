//! A topic of Apache Kafka: a real broker beside the daemon, its records put there beforehand.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, Producer as _},
    types::RDKafkaErrorCode,
};

use crate::{Bench, data::Kind, pulled, s3};

const KIND: Kind = Kind::Event;
const PARTITIONS: u64 = 4;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);

pub async fn run(bench: &Bench) -> Result<()> {
    if !s3::cache().join("kafka").is_dir() {
        println!("| records from Kafka | needs the broker of tests/servers/install.sh | |");
        return Ok(());
    }
    let records = bench.args.source_mb * 1_000_000 / KIND.bytes() as u64;
    for (compression, durability) in [("none", "fsync"), ("zstd", "fsync"), ("none", "memory")] {
        let name = format!("kafka-{compression}-{durability}");
        let (mut s3, mut setup) = bench.stage(&name).await?;
        let broker = Broker::start(&setup.folder.join("kafka"))?;
        broker.create(&name).await?;
        broker.fill(&name, compression, records)?;
        if durability == "memory" {
            setup.journal = "durability: memory, max_size: 64MiB".to_owned();
        }
        setup.source = format!(
            "{{kafka: {{brokers: ['{}'], topics: [{name}], start: earliest}}}}",
            broker.address
        );
        let pulled = pulled::all(&setup, &mut s3, records * KIND.bytes() as u64).await?;
        let name = match (compression, durability) {
            ("none", "fsync") => "from Kafka",
            (_, "fsync") => "from Kafka, produced with zstd",
            _ => "from Kafka, journal in memory",
        };
        pulled.report(name, 3.5).await?;
        drop(broker);
        std::fs::remove_dir_all(setup.folder.join("kafka"))?;
    }
    Ok(())
}

/// One broker, as the end-to-end tests start it.
struct Broker {
    address: String,
    process: Child,
}

impl Broker {
    fn start(folder: &Path) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/kafka.py");
        let mut process = Command::new(s3::cache().join("e2e-venv/bin/python"))
            .arg(script)
            .arg(folder)
            .env("STANDPIPE_TEST_CACHE", s3::cache())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the broker, which `./test` installs")?;
        let output = process.stdout.take().context("its output")?;
        let mut broker = Self { address: String::new(), process };
        BufReader::new(output).read_line(&mut broker.address)?;
        broker.address.truncate(broker.address.trim_end().len());
        ensure!(!broker.address.is_empty(), "the broker did not start");
        Ok(broker)
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }

    async fn create(&self, topic: &str) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.config().create()?;
        let new = NewTopic::new(topic, PARTITIONS as i32, TopicReplication::Fixed(1));
        let made = admin.create_topics([&new], &AdminOptions::new()).await?;
        for one in made {
            one.map_err(|(name, code)| anyhow::anyhow!("{name}: {code}"))?;
        }
        Ok(())
    }

    /// Produces so many records with keys, in turn to each partition.
    fn fill(&self, topic: &str, compression: &str, records: u64) -> Result<()> {
        let mut config = self.config();
        config.set("compression.type", compression).set("linger.ms", "20");
        let producer: BaseProducer = config.create()?;
        let mut rng = fastrand::Rng::with_seed(7);
        for id in 0..records {
            let (key, payload) = (format!("key-{id:08}"), KIND.record(id, &mut rng));
            let mut record = BaseRecord::to(topic)
                .key(&key)
                .payload(&payload)
                .partition((id % PARTITIONS) as i32);
            let begun = Instant::now();
            while let Err((error, again)) = producer.send(record) {
                let KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) = error else {
                    bail!("a record is not taken: {error}");
                };
                ensure!(begun.elapsed() < FLUSH_TIMEOUT, "the broker takes nothing");
                producer.poll(Duration::from_millis(20));
                record = again;
            }
        }
        producer.flush(FLUSH_TIMEOUT)?;
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // There is nobody left to tell if that fails.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
