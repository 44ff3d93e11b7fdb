//! Records straight to a destination, without a stream or a daemon.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use async_trait::async_trait;
use clap::{Args, ValueEnum};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::output,
    config::{self, Config},
    daemon::Direct,
    env::{Clock, SystemClock},
    limits,
    replay::{self, DeliverError, Deliverer, FailedLine, Outcome},
};

/// The stream that stands for a destination that is given by its URL.
const STREAM: &str = "replay";

/// Calls under way at a time: each waits until its records have come to their end.
pub const IN_FLIGHT: usize = 128;

/// Which destination takes the records.
#[derive(Debug, Args)]
#[command(next_help_heading = "Straight to a destination")]
pub struct DestinationOptions {
    /// A configuration with the destination. No daemon is asked, and none is started.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Name of the destination in that configuration, of the stream named by `--stream`.
    #[arg(long, value_name = "NAME", requires = "config")]
    destination: Option<String>,

    /// A destination that no configuration knows.
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "stream"])]
    to: Option<String>,

    /// What speaks there.
    #[arg(long, value_enum, default_value_t = DestinationKind::HttpEndpoint, requires = "to")]
    kind: DestinationKind,

    /// Its access key or token.
    #[arg(long, value_name = "TOKEN", env = "STANDPIPE_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Index of an OpenSearch destination.
    #[arg(long, value_name = "NAME", requires = "to")]
    index: Option<String>,

    /// Bucket or folder for what fails once more.
    #[arg(long, value_name = "URL", default_value = "file:replay-failed")]
    failed_to: String,
}

/// What a destination speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum DestinationKind {
    /// The delivery protocol of Amazon Data Firehose.
    HttpEndpoint,
    /// The raw endpoint of Splunk's HTTP Event Collector.
    Splunk,
    /// The event endpoint of Splunk's HTTP Event Collector.
    SplunkEvent,
    /// `_bulk` of OpenSearch or Elasticsearch.
    Opensearch,
    /// Lines of JSON to any URL.
    Ndjson,
}

impl DestinationOptions {
    /// Whether a destination is meant, and not a stream.
    pub fn is_given(&self) -> bool {
        self.destination.is_some() || self.to.is_some()
    }

    /// The destination, with everything that tells it from others. What counts as done for one must
    /// not count for another: its objects would be deleted.
    pub fn purpose(&self, stream: Option<&str>) -> anyhow::Result<String> {
        if let Some(to) = &self.to {
            // A key may stand in all parts of a URL but the host, so the rest goes in as a digest.
            let host = to.split('/').nth(2).unwrap_or_default();
            let host = host.rsplit('@').next().unwrap_or_default();
            let host = host.split(['?', '#']).next().unwrap_or_default();
            let all =
                format!("{to}\0{:?}\0{}", self.kind, self.index.as_deref().unwrap_or_default());
            return Ok(format!("{host} ({})", replay::fingerprint(&all)));
        }
        let (path, name) = (self.config.as_ref(), self.destination.as_ref());
        let (path, name) = path.zip(name).context("--destination needs --config")?;
        let stream = match stream {
            Some(stream) => stream.to_owned(),
            None => self.stream_of(&output::load_config(path)?, None)?,
        };
        let path = std::fs::canonicalize(path)
            .with_context(|| format!("{} cannot be found", path.display()))?;
        Ok(format!("{name:?} of {stream:?} in {path:?}"))
    }

    /// Makes the destination ready. Asks nobody yet.
    pub async fn connect(
        &self,
        stream: Option<&str>,
        stop: CancellationToken,
    ) -> anyhow::Result<DirectDeliverer> {
        let (config, stream, destination) = match (&self.config, &self.to) {
            (Some(path), _) => {
                let config = output::load_config(path)?;
                let stream = self.stream_of(&config, stream)?;
                (config, stream, self.destination.clone().unwrap_or_default())
            }
            (None, Some(to)) => (self.by_url(to)?, STREAM.to_owned(), STREAM.to_owned()),
            (None, None) => bail!("--destination needs --config"),
        };
        let scratch = tempfile::tempdir().context("no folder for what is under way")?;
        let direct = Direct::open(&config, &stream, &destination, scratch.path()).await?;
        Ok(DirectDeliverer { direct, stop, _scratch: scratch })
    }

    /// The stream of the destination: the one that is named, or the only one that has it.
    fn stream_of(&self, config: &Config, stream: Option<&str>) -> anyhow::Result<String> {
        if let Some(stream) = stream {
            return Ok(stream.to_owned());
        }
        let wanted = self.destination.as_deref().unwrap_or_default();
        let have = config.streams.iter();
        let mut have =
            have.filter(|(_, spec)| spec.destination_names().iter().any(|n| n == wanted));
        match (have.next(), have.next()) {
            (Some((name, _)), None) => Ok(name.clone()),
            (None, _) => bail!("no stream of the configuration has a destination {wanted:?}"),
            (Some(_), Some(_)) => {
                bail!("several streams have a destination {wanted:?}: name one with --stream")
            }
        }
    }

    /// A configuration with this one destination.
    fn by_url(&self, to: &str) -> anyhow::Result<Config> {
        let plain = to.starts_with("http://");
        let token = self.token.clone();
        let needs_token = || token.clone().context("--token or STANDPIPE_TOKEN is needed");
        let backup = json!({
            "bucket": bucket(&self.failed_to)?,
            "error_output_prefix": "!{firehose:error-output-type}/",
        });
        let (key, mut members) = match self.kind {
            DestinationKind::HttpEndpoint => (
                "http_endpoint",
                json!({"url": to, "access_key": token, "content_encoding": "gzip"}),
            ),
            DestinationKind::Ndjson => {
                let bearer = token.map(|token| format!("Bearer {token}"));
                let headers = bearer.map(|bearer| json!({"Authorization": bearer}));
                ("http_endpoint", json!({"url": to, "body": "ndjson", "headers": headers}))
            }
            DestinationKind::Splunk | DestinationKind::SplunkEvent => {
                let is_event = self.kind == DestinationKind::SplunkEvent;
                let endpoint_type = if is_event { "event" } else { "raw" };
                let token = needs_token()?;
                ("splunk", json!({"endpoint": to, "token": token, "endpoint_type": endpoint_type}))
            }
            DestinationKind::Opensearch => {
                let index = self.index.as_deref().context("--index is needed")?;
                let rotation = "no_rotation";
                let index =
                    json!({"endpoint": to, "index_name": index, "index_rotation": rotation});
                ("opensearch", index)
            }
        };
        let members_of = members.as_object_mut().context("they are an object")?;
        members_of.retain(|_, value| !value.is_null());
        members_of.insert("plain_http".into(), plain.into());
        members_of.insert("backup".into(), backup);
        let destination = json!({"name": STREAM, key: members});
        let config = json!({
            "data_dir": std::env::temp_dir(),
            "api": {"anonymous": true},
            "streams": {STREAM: {"destinations": [destination]}},
        });
        // JSON is YAML. Nothing in it stands for a variable.
        let text = config.to_string().replace("${", "$${");
        config::parse(Path::new("--to"), &text, &|_| None).map_err(|problems| {
            let problems: Vec<String> =
                problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
            anyhow::anyhow!("{}", problems.join("; "))
        })
    }
}

/// A bucket as a configuration names it: `s3://name` and `file:relative` are taken, too.
fn bucket(url: &str) -> anyhow::Result<String> {
    if let Some(name) = url.strip_prefix("s3://") {
        return Ok(name.trim_end_matches('/').to_owned());
    }
    let Some(path) = url.strip_prefix("file:") else { return Ok(url.to_owned()) };
    let path = path.strip_prefix("//").unwrap_or(path);
    Ok(format!("file://{}", std::path::absolute(path)?.display()))
}

/// Puts records to a destination.
pub struct DirectDeliverer {
    direct: Direct,
    stop: CancellationToken,
    _scratch: tempfile::TempDir,
}

#[async_trait]
impl Deliverer for DirectDeliverer {
    async fn deliver(&self, lines: Vec<FailedLine>) -> Result<Vec<Outcome>, DeliverError> {
        let now_ms = SystemClock::default().now_ms();
        let put = self.direct.deliver(lines, now_ms);
        // What is under way is mostly taken already: what is not settled is sent once more.
        let stopped = async {
            self.stop.cancelled().await;
            tokio::time::sleep(limits::REPLAY_STOP_PATIENCE).await;
        };
        tokio::select! {
            biased;
            outcomes = put => outcomes.map_err(|error| DeliverError::Failed(error.to_string())),
            () = stopped => Err(DeliverError::Stopped),
        }
    }

    fn trouble(&self) -> Option<String> {
        self.direct.trouble()
    }
}
