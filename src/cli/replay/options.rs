//! What a user can say about a replay.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use crate::{
    cli::{admin::Connection, replay::direct::DestinationOptions, send::positive},
    limits,
    replay::{CodePattern, Contents, Disposal, Filter, Kind, Rate, Source},
    sinks::s3::{Checksums, Encryption, Options},
    units::{ByteSize, Span},
};

/// Put failed records through again.
///
/// Reads error objects of every kind, those that Amazon Data Firehose left in a bucket as well as
/// Standpipe's own, Redshift manifests included, recovers the records and sends them to a stream, or
/// straight to a destination: of a configuration (`--destination`) or any other (`--to`). There they
/// go past the transforms that they have been through.
/// Objects may be packed in any way that Firehose packs them. What cannot be read is named and
/// left out. A replay that was interrupted goes on where it stopped when the same command is
/// given again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    standpipe replay s3://my-errors/http-endpoint-failed/ --dry-run\n  \
    standpipe replay s3://my-errors/splunk-failed/2026/07/ --stream logs --rate 2000\n  \
    standpipe replay s3://my-errors/ --stream logs --type processing-failed --code 'Lambda.*' \\\n      \
    --from 2026-07-13T14:00:00Z --until 2026-07-13T16:00:00Z\n  \
    standpipe replay file:///srv/errors --stream logs --move-to /srv/replayed\n  \
    standpipe replay s3://my-backup/source/ --raw --stream logs\n  \
    standpipe replay s3://my-errors/splunk-failed/ --config my.yaml --destination splunk\n  \
    standpipe replay s3://my-errors/splunk-failed/ --kind splunk \\\n      \
    --to https://splunk.example:8088 --token $HEC_TOKEN\n\n\
    Exit codes: 0 all wanted records were taken, 1 not all (or objects could not be read), \
    2 wrong usage, 130 interrupted.")]
pub struct Arguments {
    /// Where the objects are: `s3://bucket/prefix`, `file:///some/folder` or one file.
    #[arg(value_name = "URL")]
    pub source: String,

    /// Name of the stream that the records go to, or whose destination they go to.
    #[arg(long, value_name = "NAME",
          required_unless_present_any = ["dry_run", "destination", "to"])]
    pub stream: Option<String>,

    /// Only show what there is: counts and a sample by kind and code. Nothing is sent or changed.
    #[arg(long)]
    pub dry_run: bool,

    /// The objects hold records one behind the other, as a backup of source records does.
    #[arg(long)]
    pub raw: bool,

    /// What ends a record in raw objects and in those that a Redshift manifest names; empty: an
    /// object is one record.
    #[arg(long, value_name = "TEXT", default_value = "\n", hide_default_value = true)]
    pub delimiter: String,

    /// Cut the delimiter off, for a stream that appends one by itself.
    #[arg(long)]
    pub trim_delimiter: bool,

    /// Records a second, at most.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub rate: Option<f64>,

    /// Bytes of records a second, at most.
    #[arg(long, value_name = "SIZE")]
    pub rate_bytes: Option<ByteSize>,

    /// Delete objects all of whose records were taken.
    #[arg(long, conflicts_with = "move_to")]
    pub delete: bool,

    /// Move them: to another prefix of the bucket, or to another folder.
    #[arg(long, value_name = "PREFIX")]
    pub move_to: Option<String>,

    /// The file that remembers what is done. It belongs to this source, stream and selection;
    /// without it one is kept under XDG_STATE_HOME or ~/.local/state.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// A record that keeps coming back is sent so often at most.
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=255))]
    pub max_replays: u32,

    /// Leave records with more delivery attempts than this where they are.
    #[arg(long, value_name = "N")]
    pub max_attempts: Option<u32>,

    /// How often a call, and the entries of it that failed, are sent again.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub max_retries: u32,

    #[command(flatten)]
    pub destination: DestinationOptions,

    #[command(flatten)]
    pub filter: FilterOptions,

    #[command(flatten)]
    pub s3: S3Options,

    #[command(flatten)]
    pub connection: Connection,
}

/// Which records are wanted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub struct FilterOptions {
    /// Arrived at this time or later: `2026-07-13T14:00:00Z`, `2026-07-13` (UTC) or `2h` ago.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,

    /// Arrived before this time; not so long ago, for what is done would be another thing each
    /// time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// Of this kind, as Firehose names it: `processing-failed`, `splunk-failed`, ... Repeatable.
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    kinds: Vec<Kind>,

    /// With this code, or one that begins so: `Splunk.AckTimeout`, `HttpEndpoint.*`. Repeatable.
    #[arg(long = "code", value_name = "CODE")]
    codes: Vec<String>,
}

/// How the bucket is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Bucket")]
pub struct S3Options {
    /// URL of an S3-compatible server; Amazon's own if absent.
    #[arg(long, value_name = "URL")]
    s3_endpoint: Option<String>,

    /// Region of the bucket.
    #[arg(long, value_name = "REGION", default_value = "us-east-1", env = "AWS_REGION")]
    s3_region: String,

    /// The bucket stands in the path, not in the host.
    #[arg(long)]
    s3_path_style: bool,

    /// A role to assume for the bucket.
    #[arg(long, value_name = "ARN")]
    s3_role_arn: Option<String>,
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::parse(text).ok_or_else(|| {
        let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.output_type()).collect();
        format!("must be one of {}", names.join(", "))
    })
}

impl S3Options {
    /// Credentials are found as the AWS SDKs do.
    pub fn options(&self) -> Options {
        Options {
            bucket: String::new(),
            region: self.s3_region.clone(),
            endpoint: self.s3_endpoint.clone(),
            path_style: self.s3_path_style,
            credentials: None,
            role_arn: self.s3_role_arn.clone(),
            external_id: None,
            sts_endpoint: None,
            encryption: Encryption::None,
            checksums: Checksums::default(),
            multipart_threshold: ByteSize(limits::MULTIPART_BYTES_DEFAULT),
            check_prefix: String::new(),
        }
    }
}

impl FilterOptions {
    pub fn build(&self, now_ms: i64) -> anyhow::Result<Filter> {
        let from = self.from.as_deref().map(|text| {
            moment(text).or_else(|| ago(text, now_ms)).with_context(|| {
                format!("--from {text:?} is no time: write 2026-07-13T14:00:00Z, 2026-07-13 or 2h")
            })
        });
        // A record that is too new this time may be wanted the next, and its object would be
        // remembered as done.
        let until = self.until.as_deref().map(|text| {
            moment(text).with_context(|| {
                format!("--until {text:?} is no time: write 2026-07-13T14:00:00Z or 2026-07-13")
            })
        });
        let filter = Filter {
            from_ms: from.transpose()?,
            until_ms: until.transpose()?,
            kinds: self.kinds.clone(),
            codes: self.codes.iter().map(|code| CodePattern::parse(code)).collect(),
        };
        if let (Some(from), Some(until)) = (filter.from_ms, filter.until_ms)
            && from >= until
        {
            bail!("--from is not before --until");
        }
        Ok(filter)
    }
}

/// A moment, or the beginning of a day in UTC; in milliseconds since 1970.
fn moment(text: &str) -> Option<i64> {
    let day = |text: &str| {
        let day: jiff::civil::Date = text.parse().ok()?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    let moment = text.parse().ok().or_else(|| day(text))?;
    Some(jiff::Timestamp::as_millisecond(moment))
}

/// So long before now.
fn ago(text: &str, now_ms: i64) -> Option<i64> {
    let Span(ago) = text.parse().ok()?;
    Some(now_ms.saturating_sub(i64::try_from(ago.as_millis()).ok()?))
}

impl Arguments {
    pub fn contents(&self) -> Contents {
        if self.raw { Contents::Raw } else { Contents::Errors }
    }

    pub fn rate(&self) -> Rate {
        Rate {
            records_per_s: self.rate,
            bytes_per_s: self.rate_bytes.map(|bytes| (bytes.0 as f64).max(1.0)),
        }
    }

    pub fn disposal(&self, source: &Source) -> anyhow::Result<Disposal> {
        let Some(to) = &self.move_to else {
            return Ok(if self.delete { Disposal::Delete } else { Disposal::Keep });
        };
        let mut to = match (source, to.split_once(':')) {
            (Source::S3 { bucket, .. }, Some(("s3", _))) => match Source::parse(to)? {
                Source::S3 { bucket: other, prefix } if other == *bucket => prefix,
                _ => bail!("--move-to stays within the bucket"),
            },
            (Source::S3 { .. }, Some(("file", _))) => bail!("--move-to stays within the bucket"),
            (Source::Folder(_), Some(("file", _))) => match Source::parse(to)? {
                Source::Folder(path) => path.display().to_string(),
                Source::S3 { .. } => bail!("--move-to stays on this machine"),
            },
            (Source::Folder(_), Some(("s3", _))) => bail!("--move-to stays on this machine"),
            _ => to.clone(),
        };
        if let Source::Folder(_) = source {
            // As the shell means it, not from the folder that is replayed.
            to = std::path::absolute(&to)?.display().to_string();
        }
        if !to.ends_with('/') {
            to.push('/');
        }
        Ok(Disposal::MoveTo(to))
    }

    /// Everything that decides which records go where.
    pub fn purpose(&self, source: &Source) -> anyhow::Result<String> {
        let FilterOptions { from, until, kinds, codes } = &self.filter;
        let kinds: Vec<_> = kinds.iter().map(|kind| kind.output_type()).collect();
        let stream = self.stream.as_deref();
        let mut purpose = match (self.destination.is_given(), stream) {
            (true, _) => format!("{source} to {}", self.destination.purpose(stream)?),
            (false, stream) => {
                let stream = stream.unwrap_or_default();
                format!("{source} to stream {stream} at {}", self.connection.endpoint)
            }
        };
        for (name, value) in [
            ("from", from.clone().unwrap_or_default()),
            ("until", until.clone().unwrap_or_default()),
            ("type", kinds.join(" ")),
            ("code", codes.join(" ")),
            ("s3", self.s3.s3_endpoint.clone().unwrap_or_default()),
        ] {
            if !value.is_empty() {
                purpose += &format!(", {name} {value}");
            }
        }
        if self.raw {
            purpose += ", raw";
        }
        Ok(purpose)
    }
}

/// Where state files are kept that nobody named.
pub fn state_folder() -> anyhow::Result<PathBuf> {
    let base = match std::env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => {
            let home = std::env::var_os("HOME").context("there is no HOME; use --state FILE")?;
            PathBuf::from(home).join(".local/state")
        }
    };
    Ok(base.join("standpipe"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(words: &str) -> Arguments {
        let words = words.split(' ').filter(|word| !word.is_empty());
        Command::try_parse_from(["replay"].into_iter().chain(words)).unwrap().arguments
    }

    #[test]
    fn times_are_moments_days_or_so_long_ago() {
        for (text, expected) in [
            ("1970-01-01T00:00:01Z", 1_000),
            ("1970-01-01T02:00:00+02:00", 0),
            ("1970-01-02", 86_400_000),
            ("2h", 10_000_000 - 7_200_000),
        ] {
            let arguments = parse(&format!("file:x --dry-run --from {text}"));
            assert_eq!(arguments.filter.build(10_000_000).unwrap().from_ms, Some(expected));
        }
        for wrong in ["--from yesterday", "--until 2h", "--from 1970-01-02 --until 1970-01-02"] {
            let arguments = parse(&format!("file:x --dry-run {wrong}"));
            assert!(arguments.filter.build(0).is_err(), "{wrong}");
        }
    }

    #[test]
    fn objects_stay_within_their_store() {
        let disposal = |url: &str, words: &str| {
            let arguments = parse(&format!("{url} --dry-run {words}"));
            arguments.disposal(&Source::parse(url).unwrap())
        };
        let to = |place: &str| Disposal::MoveTo(place.to_owned());
        for (url, words, expected) in [
            ("s3://b/e/", "", Disposal::Keep),
            ("s3://b/e/", "--delete", Disposal::Delete),
            ("s3://b/e/", "--move-to done", to("done/")),
            ("s3://b/e/", "--move-to s3://b/done/", to("done/")),
            ("file:e", "--move-to /srv/done", to("/srv/done/")),
            ("file:e", "--move-to file:///srv/done", to("/srv/done/")),
        ] {
            assert_eq!(disposal(url, words).unwrap(), expected, "{url} {words}");
        }
        for (url, place) in
            [("s3://b/e/", "s3://c/"), ("s3://b/e/", "file:x"), ("file:e", "s3://b/")]
        {
            assert!(disposal(url, &format!("--move-to {place}")).is_err(), "{url} {place}");
        }
    }

    #[test]
    fn a_purpose_tells_what_is_replayed_to_where() {
        let purpose = |words: &str| {
            let arguments = parse(words);
            arguments.purpose(&Source::parse(&arguments.source).unwrap()).unwrap()
        };
        let plain = purpose("s3://b/e/ --stream s");
        assert_eq!(plain, "s3://b/e/ to stream s at http://127.0.0.1:4573/");
        for other in [
            "s3://b/f/ --stream s",
            "s3://b/e/ --stream t",
            "s3://b/e/ --stream s --raw",
            "s3://b/e/ --stream s --type splunk-failed",
            "s3://b/e/ --stream s --code A.*",
            "s3://b/e/ --stream s --from 2h",
            "s3://b/e/ --stream s --endpoint-url http://other:1",
            "s3://b/e/ --stream s --s3-endpoint http://other:1",
        ] {
            assert_ne!(purpose(other), plain, "{other}");
        }
        // How fast, and what becomes of the objects, may change from one run to the next.
        assert_eq!(purpose("s3://b/e/ --stream s --rate 5 --delete"), plain);
    }

    #[test]
    fn a_destination_is_told_from_all_others() {
        let purpose = |words: &str| {
            let arguments = parse(words);
            arguments.purpose(&Source::parse(&arguments.source).unwrap()).unwrap()
        };
        let of_url = [
            "--to https://key:k@h/hidden?key=1",
            "--to https://key:k@h/hidden?key=2",
            "--to https://key:k@h/other?key=1",
            "--to http://key:k@h/hidden?key=1",
            "--to https://key:k@h/hidden?key=1 --kind ndjson",
            "--to https://key:k@h/hidden?key=1 --kind opensearch --index a",
            "--to https://key:k@h/hidden?key=1 --kind opensearch --index b",
        ];
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let text = "data_dir: /x\napi: {anonymous: true}\nstreams:\n  a: {destinations: \
                        [{s3: {bucket: b}}]}\n  b: {destinations: [{name: one, s3: {bucket: b}}]}\n";
            std::fs::write(folder.path().join(name), text).unwrap();
            format!("--config {}/{name}", folder.path().display())
        };
        let (one, two) = (write("one.yaml"), write("two.yaml"));
        let of_config = [
            format!("{one} --destination one"),
            format!("{two} --destination one"),
            format!("{one} --destination s3"),
            format!("{one} --destination s3 --stream b"),
        ];
        let words = of_url.iter().map(|it| (*it).to_owned()).chain(of_config);
        let told: Vec<String> = words.map(|it| purpose(&format!("s3://b/e/ {it}"))).collect();
        let mut unlike = told.clone();
        unlike.sort();
        unlike.dedup();
        assert_eq!(unlike.len(), told.len(), "{told:#?}");
        assert!(told.iter().all(|it| !it.contains("hidden") && !it.contains("key")), "{told:#?}");
        // However it is named: the stream is the only one that has the destination.
        let same =
            format!("s3://b/e/ --destination one --stream b {}", one.replace("/one", "/./one"));
        assert_eq!(purpose(&same), told[7]);
    }
}
