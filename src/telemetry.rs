//! Name, unit and labels of every metric. The names are those of Firehose's CloudWatch metrics in
//! snake_case (developer guide, "Monitoring with CloudWatch metrics") behind `standpipe_`.
//!
//! For every destination, at rest: incoming records + backlog at start = delivered + failed +
//! dropped + damaged + backlog.

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::AtomicU64},
};

use parking_lot::Mutex;
pub use prometheus_client::metrics::counter::Counter;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

type FloatGauge = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabels {
    stream: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DestinationLabels {
    stream: String,
    destination: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    stream: String,
    destination: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceCodeLabels {
    stream: String,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    stream: String,
    destination: String,
    code: String,
}

/// Upper bounds of the object size histogram, in bytes.
const OBJECT_BYTES_BUCKETS: [f64; 8] = [1e3, 1e4, 1e5, 1e6, 4e6, 1.6e7, 6.4e7, 2.56e8];

/// The counters of one stream, resolved once: counting costs an atomic add.
#[derive(Clone)]
pub struct StreamMetrics {
    pub incoming_bytes: Counter,
    pub incoming_records: Counter,
    pub incoming_put_requests: Counter,
    pub repeated_put_requests: Counter,
    pub throttled_records: Counter,
    pub journal_used_bytes: Gauge,
    pub journal_max_bytes: Gauge,
    pub journal_syncs: Gauge,
    pub journal_sync_seconds: FloatGauge,
    pub journal_failed: Gauge,
}

/// The counters of one source that pulls, or of one that others post to.
#[derive(Clone)]
pub struct SourceMetrics {
    /// Records stored in the journal.
    pub read_records: Counter,
    pub read_bytes: Counter,
    /// Times that a full journal was waited for.
    pub backpressured: Counter,
    /// Times that upstream told us to slow down.
    pub throttled: Counter,
    /// Shards, partitions or files that are read right now.
    pub parts: Gauge,
    /// Kinesis: how far behind the tip the slowest shard is.
    pub millis_behind_latest: Gauge,
    /// Kafka: records that are there and not read, over all partitions.
    pub offset_lag: Gauge,
    /// Files: bytes that are there and not read.
    pub bytes_behind: Gauge,
    /// Records that went to the error output as they came.
    pub failed_validation_records: Counter,
    pub failed_validation_bytes: Counter,
    /// Records passed over by a rule: Kafka tombstones.
    pub skipped_records: Counter,
    /// Files: lines that were cut at the limit.
    pub cut_lines: Counter,
    /// Files that were gone before they were read to their end.
    pub lost_files: Counter,
    errors: Family<SourceCodeLabels, Counter>,
    stream: String,
}

impl SourceMetrics {
    /// One more failure with this code.
    pub fn error(&self, code: &str) {
        let labels = SourceCodeLabels { stream: self.stream.clone(), code: code.to_owned() };
        self.errors.get_or_create(&labels).inc();
    }
}

/// The counters of one destination.
#[derive(Clone)]
pub struct DestinationMetrics {
    pub bytes: Counter,
    pub records: Counter,
    pub object_count: Counter,
    pub attempts: Counter,
    pub success: Counter,
    pub data_freshness_seconds: FloatGauge,
    pub failed_records: Counter,
    pub dropped_records: Counter,
    pub damaged_records: Counter,
    pub backlog_records: Gauge,
    pub backlog_at_start_records: Gauge,
    pub open_batches: Gauge,
    pub partition_count_exceeded: Gauge,
    pub open_bytes: Gauge,
    pub held: Gauge,
    object_bytes: Histogram,
    closed: Family<ReasonLabels, Counter>,
    errors: Family<CodeLabels, Counter>,
    labels: DestinationLabels,
}

impl DestinationMetrics {
    /// One more object of this size, closed for this reason.
    pub fn object(&self, size_bytes: u64, reason: &str) {
        self.object_count.inc();
        self.object_bytes.observe(size_bytes as f64);
        self.closed
            .get_or_create(&ReasonLabels {
                stream: self.labels.stream.clone(),
                destination: self.labels.destination.clone(),
                reason: reason.to_owned(),
            })
            .inc();
    }

    /// One more failed attempt with this code.
    pub fn error(&self, code: &str) {
        self.errors
            .get_or_create(&CodeLabels {
                stream: self.labels.stream.clone(),
                destination: self.labels.destination.clone(),
                code: code.to_owned(),
            })
            .inc();
    }
}

/// What a family of delivery metrics is called after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryKind {
    DeliveryToS3,
    BackupToS3,
    DeliveryToHttpEndpoint,
    DeliveryToSplunk,
    DeliveryToAmazonOpenSearchService,
    DeliveryToAmazonOpenSearchServerless,
    /// Datadog's logs intake (beyond Firehose).
    DeliveryToDatadog,
}

impl DeliveryKind {
    const ALL: [Self; 7] = [
        Self::DeliveryToS3,
        Self::BackupToS3,
        Self::DeliveryToHttpEndpoint,
        Self::DeliveryToSplunk,
        Self::DeliveryToAmazonOpenSearchService,
        Self::DeliveryToAmazonOpenSearchServerless,
        Self::DeliveryToDatadog,
    ];

    fn family(self) -> &'static str {
        match self {
            Self::DeliveryToS3 => "delivery_to_s3",
            Self::BackupToS3 => "backup_to_s3",
            Self::DeliveryToHttpEndpoint => "delivery_to_http_endpoint",
            Self::DeliveryToSplunk => "delivery_to_splunk",
            Self::DeliveryToAmazonOpenSearchService => "delivery_to_amazon_open_search_service",
            Self::DeliveryToAmazonOpenSearchServerless => {
                "delivery_to_amazon_open_search_serverless"
            }
            Self::DeliveryToDatadog => "delivery_to_datadog",
        }
    }
}

#[derive(Default)]
struct DeliveryFamilies {
    bytes: Family<DestinationLabels, Counter>,
    records: Family<DestinationLabels, Counter>,
    object_count: Family<DestinationLabels, Counter>,
    attempts: Family<DestinationLabels, Counter>,
    success: Family<DestinationLabels, Counter>,
    data_freshness: Family<DestinationLabels, FloatGauge>,
}

impl DeliveryFamilies {
    fn registered(registry: &mut Registry, name: &str) -> Self {
        let families = Self::default();
        registry.register(
            format!("{name}_bytes"),
            "Bytes of records delivered, before compression",
            families.bytes.clone(),
        );
        registry.register(format!("{name}_records"), "Records delivered", families.records.clone());
        registry.register(
            format!("{name}_object_count"),
            "Objects written, or batches sent",
            families.object_count.clone(),
        );
        registry.register(
            format!("{name}_attempts"),
            "Attempts to deliver an object or a batch",
            families.attempts.clone(),
        );
        registry.register(
            format!("{name}_success"),
            "Attempts that succeeded",
            families.success.clone(),
        );
        registry.register_with_unit(
            format!("{name}_data_freshness"),
            "Age of the oldest record that is not settled",
            Unit::Seconds,
            families.data_freshness.clone(),
        );
        families
    }
}

/// All metrics of the daemon.
pub struct Metrics {
    registry: Mutex<Registry>,
    incoming_bytes: Family<StreamLabels, Counter>,
    incoming_records: Family<StreamLabels, Counter>,
    incoming_put_requests: Family<StreamLabels, Counter>,
    repeated_put_requests: Family<StreamLabels, Counter>,
    throttled_records: Family<StreamLabels, Counter>,
    journal_used_bytes: Family<StreamLabels, Gauge>,
    journal_max_bytes: Family<StreamLabels, Gauge>,
    journal_syncs: Family<StreamLabels, Gauge>,
    journal_sync_seconds: Family<StreamLabels, FloatGauge>,
    journal_failed: Family<StreamLabels, Gauge>,
    delivery: [DeliveryFamilies; DeliveryKind::ALL.len()],
    failed_records: Family<DestinationLabels, Counter>,
    dropped_records: Family<DestinationLabels, Counter>,
    damaged_records: Family<DestinationLabels, Counter>,
    backlog_records: Family<DestinationLabels, Gauge>,
    backlog_at_start_records: Family<DestinationLabels, Gauge>,
    partition_count: Family<DestinationLabels, Gauge>,
    partition_count_exceeded: Family<DestinationLabels, Gauge>,
    open_bytes: Family<DestinationLabels, Gauge>,
    held: Family<DestinationLabels, Gauge>,
    object_bytes: Family<DestinationLabels, Histogram, fn() -> Histogram>,
    closed: Family<ReasonLabels, Counter>,
    errors: Family<CodeLabels, Counter>,
    source_read_records: Family<StreamLabels, Counter>,
    source_read_bytes: Family<StreamLabels, Counter>,
    source_backpressured: Family<StreamLabels, Counter>,
    source_throttled: Family<StreamLabels, Counter>,
    source_parts: Family<StreamLabels, Gauge>,
    source_millis_behind_latest: Family<StreamLabels, Gauge>,
    source_offset_lag: Family<StreamLabels, Gauge>,
    source_bytes_behind: Family<StreamLabels, Gauge>,
    source_failed_validation_records: Family<StreamLabels, Counter>,
    source_failed_validation_bytes: Family<StreamLabels, Counter>,
    source_skipped_records: Family<StreamLabels, Counter>,
    source_cut_lines: Family<StreamLabels, Counter>,
    source_lost_files: Family<StreamLabels, Counter>,
    source_errors: Family<SourceCodeLabels, Counter>,
    resident_bytes: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut root = Registry::default();
        let registry = root.sub_registry_with_prefix("standpipe");
        let delivery =
            DeliveryKind::ALL.map(|kind| DeliveryFamilies::registered(registry, kind.family()));
        macro_rules! family {
            ($name:literal, $help:literal) => {{
                let family = Family::default();
                registry.register($name, $help, family.clone());
                family
            }};
        }
        let object_bytes = Family::new_with_constructor(
            (|| Histogram::new(OBJECT_BYTES_BUCKETS)) as fn() -> Histogram,
        );
        registry.register("object_bytes", "Sizes of objects as stored", object_bytes.clone());
        let resident_bytes = Gauge::default();
        registry.register(
            "resident_memory_bytes",
            "Memory of the process that is in RAM",
            resident_bytes.clone(),
        );
        Self {
            delivery,
            incoming_bytes: family!("incoming_bytes", "Bytes of records accepted"),
            incoming_records: family!("incoming_records", "Records accepted"),
            incoming_put_requests: family!("incoming_put_requests", "Put calls accepted"),
            repeated_put_requests: family!(
                "repeated_put_requests",
                "Put calls that were repetitions of a stored one and not stored again"
            ),
            throttled_records: family!(
                "throttled_records",
                "Records refused by the stream's limits or a full journal"
            ),
            journal_used_bytes: family!(
                "journal_used_bytes",
                "Bytes that undelivered records take in the journal"
            ),
            journal_max_bytes: family!("journal_max_bytes", "Limit of the journal"),
            journal_syncs: family!("journal_fsyncs", "Fsyncs of the journal since the start"),
            journal_sync_seconds: family!(
                "journal_fsync_seconds",
                "Time spent in fsyncs of the journal since the start"
            ),
            journal_failed: family!(
                "journal_failed",
                "1 once the journal has met a write or fsync error and takes nothing more"
            ),
            failed_records: family!("failed_records", "Records written to the error output"),
            dropped_records: family!("dropped_records", "Records dropped by a transform"),
            damaged_records: family!(
                "damaged_records",
                "Records whose journal bytes were found damaged"
            ),
            backlog_records: family!("backlog_records", "Records accepted and not settled"),
            backlog_at_start_records: family!(
                "backlog_at_start_records",
                "Records not settled when the daemon started"
            ),
            partition_count: family!("partition_count", "Open batches"),
            partition_count_exceeded: family!(
                "partition_count_exceeded",
                "1 while records are refused because too many partitions are open"
            ),
            open_bytes: family!("open_bytes", "Bytes in open batches"),
            held: family!("held", "1 while the destination is held by a fault of its own"),
            closed: family!(
                "objects_closed",
                "Objects by why their batch was closed: size, interval, budget, flush, drain, recovery"
            ),
            errors: family!("delivery_errors", "Failed delivery attempts by error code"),
            source_read_records: family!(
                "data_read_from_source_records",
                "Records read from the source and stored"
            ),
            source_read_bytes: family!(
                "data_read_from_source_bytes",
                "Bytes of records read from the source and stored"
            ),
            source_backpressured: family!(
                "data_read_from_source_backpressured",
                "Times that the source waited for a full journal"
            ),
            source_throttled: family!(
                "source_throttled",
                "Times that the source was told to slow down"
            ),
            source_parts: family!(
                "source_parts",
                "Shards, partitions or files that are read right now"
            ),
            source_millis_behind_latest: family!(
                "kinesis_millis_behind_latest",
                "How far the slowest shard is behind, in milliseconds"
            ),
            source_offset_lag: family!(
                "kafka_offset_lag",
                "Records in Kafka that are not read yet"
            ),
            source_bytes_behind: family!(
                "file_bytes_behind",
                "Bytes in files that are not read yet"
            ),
            source_failed_validation_records: family!(
                "failed_validation_records",
                "Records of the source that cannot be delivered as they came"
            ),
            source_failed_validation_bytes: family!(
                "failed_validation_bytes",
                "Bytes of records that cannot be delivered as they came"
            ),
            source_skipped_records: family!(
                "source_skipped_records",
                "Records of the source that a rule passes over"
            ),
            source_cut_lines: family!(
                "file_cut_lines",
                "Lines of files that were cut at the limit"
            ),
            source_lost_files: family!(
                "file_lost",
                "Files that were gone before they were read to their end"
            ),
            source_errors: family!("source_errors", "Failures of the source by error code"),
            object_bytes,
            resident_bytes,
            registry: Mutex::new(root),
        }
    }

    pub fn stream(&self, stream: &str) -> StreamMetrics {
        let labels = StreamLabels { stream: stream.to_owned() };
        StreamMetrics {
            incoming_bytes: self.incoming_bytes.get_or_create_owned(&labels),
            incoming_records: self.incoming_records.get_or_create_owned(&labels),
            incoming_put_requests: self.incoming_put_requests.get_or_create_owned(&labels),
            repeated_put_requests: self.repeated_put_requests.get_or_create_owned(&labels),
            throttled_records: self.throttled_records.get_or_create_owned(&labels),
            journal_used_bytes: self.journal_used_bytes.get_or_create_owned(&labels),
            journal_max_bytes: self.journal_max_bytes.get_or_create_owned(&labels),
            journal_syncs: self.journal_syncs.get_or_create_owned(&labels),
            journal_sync_seconds: self.journal_sync_seconds.get_or_create_owned(&labels),
            journal_failed: self.journal_failed.get_or_create_owned(&labels),
        }
    }

    pub fn source(&self, stream: &str) -> SourceMetrics {
        let labels = StreamLabels { stream: stream.to_owned() };
        SourceMetrics {
            read_records: self.source_read_records.get_or_create_owned(&labels),
            read_bytes: self.source_read_bytes.get_or_create_owned(&labels),
            backpressured: self.source_backpressured.get_or_create_owned(&labels),
            throttled: self.source_throttled.get_or_create_owned(&labels),
            parts: self.source_parts.get_or_create_owned(&labels),
            millis_behind_latest: self.source_millis_behind_latest.get_or_create_owned(&labels),
            offset_lag: self.source_offset_lag.get_or_create_owned(&labels),
            bytes_behind: self.source_bytes_behind.get_or_create_owned(&labels),
            failed_validation_records: self
                .source_failed_validation_records
                .get_or_create_owned(&labels),
            failed_validation_bytes: self
                .source_failed_validation_bytes
                .get_or_create_owned(&labels),
            skipped_records: self.source_skipped_records.get_or_create_owned(&labels),
            cut_lines: self.source_cut_lines.get_or_create_owned(&labels),
            lost_files: self.source_lost_files.get_or_create_owned(&labels),
            errors: self.source_errors.clone(),
            stream: labels.stream,
        }
    }

    pub fn destination(
        &self,
        kind: DeliveryKind,
        stream: &str,
        destination: &str,
    ) -> DestinationMetrics {
        let labels =
            DestinationLabels { stream: stream.to_owned(), destination: destination.to_owned() };
        // `ALL` holds the kinds in the order of their numbers; a test holds it to that.
        let family = &self.delivery[kind as usize];
        DestinationMetrics {
            bytes: family.bytes.get_or_create_owned(&labels),
            records: family.records.get_or_create_owned(&labels),
            object_count: family.object_count.get_or_create_owned(&labels),
            attempts: family.attempts.get_or_create_owned(&labels),
            success: family.success.get_or_create_owned(&labels),
            data_freshness_seconds: family.data_freshness.get_or_create_owned(&labels),
            failed_records: self.failed_records.get_or_create_owned(&labels),
            dropped_records: self.dropped_records.get_or_create_owned(&labels),
            damaged_records: self.damaged_records.get_or_create_owned(&labels),
            backlog_records: self.backlog_records.get_or_create_owned(&labels),
            backlog_at_start_records: self.backlog_at_start_records.get_or_create_owned(&labels),
            open_batches: self.partition_count.get_or_create_owned(&labels),
            partition_count_exceeded: self.partition_count_exceeded.get_or_create_owned(&labels),
            open_bytes: self.open_bytes.get_or_create_owned(&labels),
            held: self.held.get_or_create_owned(&labels),
            object_bytes: self.object_bytes.get_or_create_owned(&labels),
            closed: self.closed.clone(),
            errors: self.errors.clone(),
            labels,
        }
    }

    /// The exposition for Prometheus, in the OpenMetrics text format.
    pub fn render(&self) -> String {
        self.resident_bytes.set(resident_bytes() as i64);
        let mut text = String::new();
        if encode(&mut text, &self.registry.lock()).is_err() {
            // Writing to a String cannot fail; a broken metric must not hide the others.
            let _ = writeln!(text, "# EOF");
        }
        text
    }
}

/// The process's memory in RAM (`/proc/self/statm`), 0 where it cannot be read.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Shared by everyone who counts.
pub type SharedMetrics = Arc<Metrics>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_family() {
        let metrics = Metrics::new();
        for (at, kind) in DeliveryKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
            metrics.destination(kind, "s", "d").records.inc();
            let line = format!("standpipe_{}_records_total{{", kind.family());
            assert!(metrics.render().contains(&line), "{line}");
        }
    }

    #[test]
    fn the_exposition_names_streams_and_destinations() {
        let metrics = Metrics::new();
        metrics.stream("clicks").incoming_records.inc_by(3);
        let destination = metrics.destination(DeliveryKind::DeliveryToS3, "clicks", "s3");
        destination.object(5_000, "size");
        destination.error("S3.SlowDown");
        let text = metrics.render();
        for line in [
            r#"standpipe_incoming_records_total{stream="clicks"} 3"#,
            r#"standpipe_delivery_to_s3_object_count_total{stream="clicks",destination="s3"} 1"#,
            r#"standpipe_objects_closed_total{stream="clicks",destination="s3",reason="size"} 1"#,
            r#"code="S3.SlowDown"} 1"#,
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
