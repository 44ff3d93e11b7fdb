//! A topic of Apache Kafka: a real broker beside the daemon, its records put there beforehand.

use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
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
use rustix::process::{Pid, Signal, kill_process};

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
    for compression in ["none", "zstd"] {
        let name = format!("kafka-{compression}");
        let (mut s3, mut setup) = bench.stage(&name).await?;
        let broker = Broker::start(&setup.folder.join("kafka"))?;
        broker.create(&name).await?;
        broker.fill(&name, compression, records)?;
        setup.source = format!(
            "{{kafka: {{brokers: ['{}'], topics: [{name}], start: earliest}}}}",
            broker.address
        );
        let pulled = pulled::all(&setup, &mut s3, records * KIND.bytes() as u64).await?;
        let name = match compression {
            "none" => "from Kafka".to_owned(),
            other => format!("from Kafka, produced with {other}"),
        };
        pulled.report(&name, 3.5).await?;
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
        let address = free_pair()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/kafka.py");
        let process = Command::new("python3")
            .arg(script)
            .arg(folder)
            .arg(address.port().to_string())
            .env("STANDPIPE_TEST_CACHE", s3::cache())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the broker")?;
        let mut broker = Self { address: address.to_string(), process };
        let output = broker.process.stdout.take().context("its output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.trim() == "ready", "the broker did not start: {line}");
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

/// An address that nobody listens on, nor on the next: the broker takes both. Not of the ports that
/// the kernel gives out, or a connection of somebody else's may have it by then.
fn free_pair() -> Result<SocketAddr> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let mut ports = (0..1_000).map(|_| fastrand::u16(20_000..30_000));
    let port = ports.find(|&port| is_free(port) && is_free(port + 1)).context("no free ports")?;
    Ok((Ipv4Addr::LOCALHOST, port).into())
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It ends its own process, too; there is nobody left to tell if that fails.
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let _ = self.process.wait();
    }
}
