//! What a destination says, with every default filled in: the same questions to every kind.

use std::time::Duration;

use super::{
    BackupBucket, BackupScope, DestinationSpec, HttpEndpointDestination, OnDenied,
    OpenSearchDestination, RetryOptions, SearchAuth, SplunkDestination, Target,
};
use crate::{
    batch::Buffering,
    config::DatadogDestination,
    limits,
    net::http::{Tls, parse_url},
    partition::IndexRotation,
    sinks::http_endpoint::presets::Resolved,
};

impl DestinationSpec {
    /// Everything it says to be. A valid one says one thing.
    pub fn targets(&self) -> impl Iterator<Item = Target<'_>> {
        let s3 = self.s3.as_ref().map(Target::S3);
        let http = self.http_endpoint.as_ref().map(Target::HttpEndpoint);
        let splunk = self.splunk.as_ref().map(Target::Splunk);
        let opensearch = self.opensearch.as_ref().map(Target::OpenSearch);
        let elasticsearch = self.elasticsearch.as_ref().map(Target::Elasticsearch);
        let datadog = self.datadog.as_ref().map(Target::Datadog);
        [s3, http, splunk, opensearch, elasticsearch, datadog].into_iter().flatten()
    }
}

impl<'a> Target<'a> {
    /// The keys of all kinds.
    pub const KINDS: [&'static str; 6] =
        ["s3", "http_endpoint", "splunk", "opensearch", "elasticsearch", "datadog"];

    /// When a batch is closed.
    pub fn buffering(&self) -> Buffering {
        match self {
            Self::S3(s3) => s3.buffering,
            Self::HttpEndpoint(http) => http.buffering(),
            Self::Splunk(splunk) => splunk.buffering,
            Self::OpenSearch(search) | Self::Elasticsearch(search) => search.buffering,
            Self::Datadog(datadog) => datadog.buffering,
        }
    }

    /// What `buffering` is where nothing is said, a preset's demands included.
    pub fn default_buffering(&self) -> Buffering {
        match self {
            Self::S3(_) | Self::OpenSearch(_) | Self::Elasticsearch(_) => Buffering::default(),
            Self::HttpEndpoint(http) => http.default_buffering(),
            Self::Splunk(_) => SplunkDestination::default_buffering(),
            Self::Datadog(_) => DatadogDestination::default_buffering(),
        }
    }

    /// The largest size of a batch that the kind takes, in bytes before compression.
    pub fn batch_bytes_max(&self) -> u64 {
        match self {
            Self::S3(_) => limits::BUFFER_BYTES_MAX,
            Self::HttpEndpoint(_) => limits::HTTP_BUFFER_BYTES_MAX,
            Self::Splunk(_) => limits::SPLUNK_BUFFER_BYTES_MAX,
            Self::OpenSearch(_) | Self::Elasticsearch(_) => limits::SEARCH_BUFFER_BYTES_MAX,
            Self::Datadog(_) => limits::DATADOG_BUFFER_BYTES_MAX,
        }
    }

    /// What the file says of retries.
    pub fn retry(&self) -> Option<RetryOptions> {
        match self {
            Self::S3(_) => None,
            Self::HttpEndpoint(http) => http.retry,
            Self::Splunk(splunk) => splunk.retry,
            Self::OpenSearch(search) | Self::Elasticsearch(search) => search.retry,
            Self::Datadog(datadog) => datadog.retry,
        }
    }

    /// How long trouble is retried before the records go to the backup. `None` is until it passes:
    /// S3 is where the backup would be.
    pub fn retry_duration(&self) -> Option<Duration> {
        let default = match self {
            Self::S3(_) => return None,
            Self::Splunk(_) => limits::SPLUNK_RETRY_DURATION_DEFAULT,
            Self::HttpEndpoint(http) => {
                http.partner().map_or(limits::RETRY_DURATION_DEFAULT, |partner| partner.retry.0)
            }
            Self::OpenSearch(_) | Self::Elasticsearch(_) | Self::Datadog(_) => {
                limits::RETRY_DURATION_DEFAULT
            }
        };
        let given = self.retry().and_then(|retry| retry.duration);
        Some(given.map_or(default, |span| span.0))
    }

    /// What happens while the destination refuses us; S3 holds.
    pub fn on_denied(&self) -> OnDenied {
        self.retry().map(|retry| retry.on_denied).unwrap_or_default()
    }

    /// Where failed records go; S3 keeps them in its own bucket.
    pub fn backup(&self) -> Option<&'a BackupBucket> {
        match self {
            Self::S3(_) => None,
            Self::HttpEndpoint(http) => Some(&http.backup),
            Self::Splunk(splunk) => Some(&splunk.backup),
            Self::OpenSearch(search) | Self::Elasticsearch(search) => Some(&search.backup),
            Self::Datadog(datadog) => Some(&datadog.backup),
        }
    }

    /// Which records [`Self::backup`] is for; `None` at S3, whose `s3_backup` is another thing.
    pub fn backup_scope(&self) -> Option<BackupScope> {
        match self {
            Self::S3(_) => None,
            Self::HttpEndpoint(http) => Some(http.s3_backup_mode),
            Self::Splunk(splunk) => Some(splunk.s3_backup_mode),
            Self::OpenSearch(search) | Self::Elasticsearch(search) => Some(search.s3_backup_mode),
            Self::Datadog(datadog) => Some(datadog.s3_backup_mode),
        }
    }

    /// Certificates of its own; `None` at S3.
    pub fn tls(&self) -> Option<&'a Tls> {
        match self {
            Self::S3(_) => None,
            Self::HttpEndpoint(http) => Some(&http.tls),
            Self::Splunk(splunk) => Some(&splunk.tls),
            Self::OpenSearch(search) | Self::Elasticsearch(search) => Some(&search.tls),
            Self::Datadog(datadog) => Some(&datadog.tls),
        }
    }

    /// The time for one request; `None` at S3, which has its own.
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::S3(_) => None,
            Self::HttpEndpoint(http) => Some(http.timeout.0),
            Self::Splunk(splunk) => Some(splunk.timeout.0),
            Self::OpenSearch(search) | Self::Elasticsearch(search) => Some(search.timeout.0),
            Self::Datadog(datadog) => Some(datadog.timeout.0),
        }
    }
}

impl HttpEndpointDestination {
    /// When a request is sent.
    pub fn buffering(&self) -> Buffering {
        self.buffering.unwrap_or_else(|| self.default_buffering())
    }

    /// The same where the file says nothing: what suits the partner.
    pub fn default_buffering(&self) -> Buffering {
        self.partner().map_or_else(Buffering::default, |partner| Buffering {
            size: partner.buffering_size,
            interval: partner.buffering_interval,
            ..Buffering::default()
        })
    }

    /// What the preset knows, if there is one and it is valid.
    pub fn partner(&self) -> Option<Resolved> {
        self.preset.as_ref()?.resolve(self.url.as_ref()).ok()
    }
}

impl OpenSearchDestination {
    /// How often a new index begins: never with a collection or a data stream, else each day
    /// unless told otherwise (API reference, IndexRotationPeriod).
    pub fn rotation(&self) -> IndexRotation {
        match self.index_rotation {
            Some(rotation) => rotation,
            None if self.serverless || self.data_stream => IndexRotation::NoRotation,
            None => IndexRotation::default(),
        }
    }

    /// Who asks. Collections and Amazon's domains want signed requests unless told otherwise.
    pub fn who(&self) -> SearchAuth {
        match &self.auth {
            Some(auth) => auth.clone(),
            None if self.serverless || self.is_amazons() => SearchAuth::Aws,
            None => SearchAuth::None,
        }
    }

    /// Whether the host is that of a domain or a collection of Amazon's; a cluster of one's own may
    /// stand there too (`ec2-….compute.amazonaws.com`).
    fn is_amazons(&self) -> bool {
        let Some(url) = parse_url(&self.endpoint).ok() else { return false };
        let host = url.host_str().unwrap_or_default();
        let named = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".amazonaws.com");
        let is_service = |name: &str| name.ends_with(".es") || name.ends_with(".aoss");
        // Domains that answer by IPv6 too: `search-….aos.eu-west-1.on.aws`.
        let is_dual = host.strip_suffix(".on.aws").is_some_and(|name| name.contains(".aos."));
        named.is_some_and(is_service) || is_dual
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(kind: &str, mut settings: Value) -> DestinationSpec {
        if kind != "s3" {
            settings["backup"] = json!({"bucket": "b"});
        }
        serde_json::from_value(json!({ kind: settings })).unwrap()
    }

    fn smallest() -> [DestinationSpec; 6] {
        let search = json!({"endpoint": "https://h", "index_name": "i"});
        [
            read("s3", json!({"bucket": "b"})),
            read("http_endpoint", json!({"url": "https://h"})),
            read("splunk", json!({"endpoint": "https://h"})),
            read("opensearch", search.clone()),
            read("elasticsearch", search),
            read("datadog", json!({})),
        ]
    }

    #[test]
    fn every_kind_has_firehoses_defaults() {
        let rows: Vec<_> = smallest()
            .iter()
            .map(|spec| {
                let target = spec.target().unwrap();
                assert_eq!(target.buffering(), target.default_buffering(), "{}", target.kind());
                let Buffering { size, interval, .. } = target.buffering();
                assert!(size.0 <= target.batch_bytes_max());
                assert_eq!(target.on_denied(), OnDenied::Hold);
                let retry = target.retry_duration().map(|duration| duration.as_secs());
                let timeout = target.timeout().map(|timeout| timeout.as_secs());
                (target.kind(), size.0 >> 20, interval.0.as_secs(), retry, timeout)
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("s3", 5, 300, None, None),
                ("http_endpoint", 5, 300, Some(300), Some(180)),
                ("splunk", 5, 60, Some(3600), Some(60)),
                ("opensearch", 5, 300, Some(300), Some(60)),
                ("elasticsearch", 5, 300, Some(300), Some(60)),
                ("datadog", 4, 60, Some(300), Some(60)),
            ]
        );
        let kinds: Vec<_> = rows.iter().map(|row| row.0).collect();
        assert_eq!(kinds, Target::KINDS);
    }

    #[test]
    fn everything_but_s3_has_a_backup() {
        for spec in smallest() {
            let target = spec.target().unwrap();
            let is_s3 = target.kind() == "s3";
            assert_eq!(target.backup().is_none(), is_s3);
            assert_eq!(target.backup_scope().is_none(), is_s3);
            assert_eq!(target.tls().is_none(), is_s3);
            assert_eq!(spec.targets().count(), 1);
        }
        let spec = read(
            "splunk",
            json!({"endpoint": "https://h", "s3_backup_mode": "all",
                   "retry": {"duration": "90s", "on_denied": "backup"}}),
        );
        let target = spec.target().unwrap();
        assert_eq!(target.backup_scope(), Some(BackupScope::All));
        assert_eq!(target.backup().unwrap().bucket, "b");
        assert_eq!(target.on_denied(), OnDenied::Backup);
        assert_eq!(target.retry_duration(), Some(Duration::from_secs(90)));
    }

    #[test]
    fn only_amazons_services_are_amazons() {
        for (host, expected) in [
            ("search-d-abc.eu-west-1.es.amazonaws.com", true),
            ("search-d-abc.cn-north-1.es.amazonaws.com.cn:443", true),
            ("abc.us-east-1.aoss.amazonaws.com/", true),
            ("search-d-abc.aos.eu-west-1.on.aws", true),
            ("ec2-1-2-3-4.compute.amazonaws.com:9200", false),
            ("es.amazonaws.com.example", false),
            ("example/?x.es.amazonaws.com", false),
        ] {
            let settings = json!({"endpoint": format!("https://{host}"), "index_name": "i"});
            let spec = read("opensearch", settings).opensearch.unwrap();
            assert_eq!(spec.who() == SearchAuth::Aws, expected, "{host}");
        }
    }

    #[test]
    fn who_asks_follows_from_where() {
        let search = |settings: Value| {
            let mut all = json!({"endpoint": "https://search-d.eu-west-1.es.amazonaws.com",
                                 "index_name": "i"});
            all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
            read("opensearch", all).opensearch.unwrap()
        };
        for (settings, auth, rotation) in [
            (json!({}), SearchAuth::Aws, IndexRotation::OneDay),
            (json!({"auth": "none"}), SearchAuth::None, IndexRotation::OneDay),
            (json!({"endpoint": "https://h:9200"}), SearchAuth::None, IndexRotation::OneDay),
            (
                json!({"endpoint": "https://h", "serverless": true}),
                SearchAuth::Aws,
                IndexRotation::NoRotation,
            ),
            (json!({"data_stream": true}), SearchAuth::Aws, IndexRotation::NoRotation),
            (json!({"index_rotation": "one_month"}), SearchAuth::Aws, IndexRotation::OneMonth),
        ] {
            let found = search(settings.clone());
            assert_eq!((found.who(), found.rotation()), (auth, rotation), "{settings}");
        }
    }
}
