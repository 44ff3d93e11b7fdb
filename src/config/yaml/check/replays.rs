//! Where failed records lie that are replayed by themselves: nobody else may write there what looks
//! the same, for it would be delivered to the wrong place and deleted.

use crate::{
    config::{
        BackupBucket, BackupMode, BackupScope, Config, Target,
        yaml::{Found, problem::join},
    },
    fault::output_type,
    sinks::{Bucket, parse_bucket},
};

/// What keys of a bucket begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// Endpoint and bucket; empty for the folders of this machine.
    bucket: (String, String),
    beginning: String,
}

impl Place {
    /// Absent where nothing can be told of the bucket: that is a mistake of its own.
    fn new(bucket: &str, endpoint: Option<&str>, beginning: &str) -> Option<Self> {
        Some(match parse_bucket(bucket).ok()? {
            Bucket::S3(name) => {
                let endpoint = endpoint.unwrap_or_default().trim_end_matches('/').to_owned();
                Self { bucket: (endpoint, name), beginning: beginning.to_owned() }
            }
            Bucket::Folder(root) => {
                let root = std::path::absolute(&root).unwrap_or(root);
                let root = root.display().to_string();
                let beginning = format!("{}/{beginning}", root.trim_end_matches('/'));
                Self { bucket: Default::default(), beginning }
            }
        })
    }

    fn overlaps(&self, other: &Self) -> bool {
        let (one, two) = (&self.beginning, &other.beginning);
        self.bucket == other.bucket
            && (one.starts_with(two.as_str()) || two.starts_with(one.as_str()))
    }
}

/// Something that is written below a place.
struct Written {
    /// Whose: a destination's path in the configuration.
    path: String,
    place: Place,
    /// The category of failed records that are a destination's own; absent for records that are
    /// no failures.
    failed: Option<&'static str>,
    /// What is looked through when they are replayed by themselves.
    replayed: Option<Place>,
}

/// The category of what a destination itself refuses.
fn output_type(target: Target) -> &'static str {
    match target {
        // What fails there are transforms.
        Target::S3(_) => output_type::PROCESSING_FAILED,
        Target::HttpEndpoint(_) | Target::Datadog(_) => output_type::HTTP_ENDPOINT_FAILED,
        Target::Splunk(_) => output_type::SPLUNK_FAILED,
        Target::OpenSearch(_) | Target::Elasticsearch(_) => output_type::OPENSEARCH_FAILED,
    }
}

/// What all keys of a prefix begin with.
pub(super) fn plain(prefix: &str) -> &str {
    prefix.split_once("!{").map_or(prefix, |(plain, _)| plain)
}

/// The same of records that are no failures. Absent where a time comes first, as it does without a
/// prefix: such keys begin with digits.
fn of_records(prefix: &str) -> Option<&str> {
    let is_time = prefix.is_empty() || prefix.starts_with("!{timestamp:");
    (!is_time).then(|| plain(prefix))
}

/// The same of failed records: without expressions the category and a time follow, and without a
/// prefix of their own they go below that of the others.
fn of_failures(backup: &BackupBucket, output_type: &str) -> String {
    let prefix = match backup.error_output_prefix.as_str() {
        "" => backup.prefix.as_str(),
        own => own,
    };
    if prefix.contains("!{") { plain(prefix).to_owned() } else { format!("{prefix}{output_type}/") }
}

/// Looks at all destinations that are replayed by themselves.
pub(super) fn places(config: &Config, found: &mut Found) {
    let written = written(config);
    for (index, own) in written.iter().enumerate() {
        let Some(replayed) = &own.replayed else { continue };
        let at = join(&join(&own.path, "replay"), "after_recovery");
        let is_taken = |(other, it): &(usize, &Written)| {
            *other != index
                && (it.failed.is_none() || it.failed == own.failed)
                && it.place.overlaps(replayed)
        };
        let Some((_, other)) = written.iter().enumerate().find(is_taken) else { continue };
        let what = if other.failed.is_some() { "failed records" } else { "records" };
        let message = format!("{what} of {} lie below the same prefix", other.path);
        let help = "give backup.error_output_prefix a beginning that is this destination's alone";
        found.add(&at, message, Some(help));
    }
}

fn written(config: &Config) -> Vec<Written> {
    let mut all = Vec::new();
    for (name, stream) in &config.streams {
        let list = join(&join("streams", name), "destinations");
        for (index, destination) in stream.destinations.iter().enumerate() {
            let Some(target) = destination.target() else { continue };
            let path = format!("{list}[{index}]");
            let endpoint = match (target, target.backup()) {
                (Target::S3(s3), _) => s3.endpoint.as_deref(),
                (_, Some(backup)) => backup.endpoint.as_deref(),
                (_, None) => None,
            };
            let endpoint = endpoint.or(config.aws.endpoint.as_deref());
            let mut add = |bucket: &str, beginning: Option<&str>| {
                let place = beginning.and_then(|it| Place::new(bucket, endpoint, it));
                let written =
                    |place| Written { path: path.clone(), place, failed: None, replayed: None };
                all.extend(place.map(written));
            };
            match (target, target.backup()) {
                (Target::S3(s3), _) => {
                    add(&s3.bucket, of_records(&s3.prefix));
                    if let (BackupMode::Enabled, Some(backup)) = (s3.s3_backup_mode, &s3.s3_backup)
                    {
                        add(&backup.bucket, of_records(&backup.prefix));
                    }
                }
                (_, Some(backup)) => {
                    if target.backup_scope() == Some(BackupScope::All) {
                        add(&backup.bucket, of_records(&backup.prefix));
                    }
                    let failed = output_type(target);
                    let place = |beginning: &str| Place::new(&backup.bucket, endpoint, beginning);
                    let Some(written) = place(&of_failures(backup, failed)) else { continue };
                    let looked_through = plain(&backup.error_output_prefix);
                    // What does not know where its failures are is refused for that.
                    let is_replayed = destination.replay.is_some_and(|it| it.after_recovery)
                        && looked_through.contains('/');
                    let replayed = is_replayed.then(|| place(looked_through)).flatten();
                    all.push(Written {
                        path: path.clone(),
                        place: written,
                        failed: Some(failed),
                        replayed,
                    });
                }
                (_, None) => {}
            }
        }
    }
    all
}
