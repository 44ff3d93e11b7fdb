//! What the health page and the metrics say of the running daemon.

use serde::Serialize;

use super::{Daemon, Stream};
use crate::delivery::{Progress, sentence};

/// The health of the whole daemon.
#[derive(Debug, Serialize)]
pub struct Health {
    /// True when puts are taken by every stream.
    pub ready: bool,
    pub streams: Vec<StreamHealth>,
    /// One sentence for each thing that is wrong.
    pub problems: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct StreamHealth {
    pub name: String,
    pub journal: JournalHealth,
    pub destinations: Vec<DestinationHealth>,
}

#[derive(Debug, Serialize)]
pub struct JournalHealth {
    pub used_bytes: u64,
    pub max_bytes: u64,
    /// How long the room lasts at the present rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_s: Option<u64>,
    /// Why the journal takes nothing more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct DestinationHealth {
    pub name: String,
    #[serde(flatten)]
    pub progress: Progress,
    /// Age of the oldest record that is not settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_age_s: Option<u64>,
}

impl Daemon {
    pub fn health(&self) -> Health {
        let streams = self.streams();
        let mut health =
            Health { ready: !self.is_stopping(), streams: Vec::new(), problems: Vec::new() };
        for stream in streams.values() {
            let (of_stream, problems) = stream_health(stream, self.shared().env.clock.now_ms());
            health.ready &= of_stream.journal.failed.is_none();
            health.problems.extend(problems);
            health.streams.push(of_stream);
        }
        if self.is_stopping() {
            health.problems.push("stopping".into());
        }
        health
    }

    /// The metrics, with what is only known when it is asked for brought up to date.
    pub fn render_metrics(&self) -> String {
        let now_ms = self.shared().env.clock.now_ms();
        for stream in self.streams().values() {
            let stats = stream.journal.stats();
            let metrics = &stream.metrics;
            metrics.journal_used_bytes.set(stats.used_bytes as i64);
            metrics.journal_max_bytes.set(stats.max_bytes as i64);
            metrics.journal_syncs.set(stats.syncs as i64);
            metrics.journal_sync_seconds.set(stats.sync_micros as f64 / 1e6);
            metrics.journal_failed.set(stats.failed.is_some().into());
            stream.render_freshness(now_ms);
        }
        self.shared().metrics.render()
    }
}

fn stream_health(stream: &Stream, now_ms: i64) -> (StreamHealth, Vec<String>) {
    let stats = stream.journal.stats();
    let room = stream.room();
    let mut problems = Vec::new();
    if let Some(cause) = &stats.failed {
        problems.push(format!(
            "{}: the journal has failed and takes nothing more until the daemon is restarted: {cause}",
            stream.name
        ));
    }
    let mut destinations = Vec::new();
    for (name, status) in stream.statuses() {
        let progress = status.get();
        if let Some(text) = sentence(&name, &progress, stats.used_bytes, now_ms, room) {
            problems.push(format!("{}: {text}", stream.name));
        }
        let oldest_age_s = progress.oldest_age_ms(now_ms).map(|age| age / 1000);
        destinations.push(DestinationHealth { name, progress, oldest_age_s });
    }
    let journal = JournalHealth {
        used_bytes: stats.used_bytes,
        max_bytes: stats.max_bytes,
        room_s: room.map(|room| room.as_secs()),
        failed: stats.failed.map(|cause| cause.to_string()),
    };
    (StreamHealth { name: stream.name.clone(), journal, destinations }, problems)
}
