//! Where an object goes: S3 keys, exactly as Firehose makes them.
//!
//! ```text
//! 2026/07/13/14/ mystream-1-2026-07-13-14-05-12-3f0c8d2e-....gz
//! └─ prefix ───┘ └ stream ┘ │ └ oldest arrival ┘ └ uuid v4 ┘└ extension
//!                        version
//! ```
//!
//! Source: Firehose guide, "Custom prefixes for Amazon S3 objects" and "Configure Amazon S3 object
//! name format", and probes of the service where the two leave something open:
//!
//! | given | key begins with |
//! |---|---|
//! | Prefix without expressions | `<Prefix>yyyy/MM/dd/HH/`, no slash between |
//! | Prefix with expressions | what it evaluates to, nothing appended |
//! | no ErrorOutputPrefix (only if Prefix has no expressions) | `<Prefix><type>/yyyy/MM/dd/HH/` |
//! | ErrorOutputPrefix with expressions | what it evaluates to, nothing appended |
//! | ErrorOutputPrefix without expressions | `<ErrorOutputPrefix><type>/yyyy/MM/dd/HH/` |
//!
//! A prefix with dynamic expressions makes a partition of each of its values (`route`), be they of
//! the record's contents or of where it comes from (`source`, beyond Firehose); what values may do
//! to keys is told in `value`.
//!
//! The last row is documented nowhere: it treats a literal error prefix as a literal prefix is
//! treated when it stands in for it, so that failures of different types never share a folder.

mod error;
mod index;
pub mod java_time;
mod route;
mod source;
mod template;
mod value;

#[cfg(test)]
mod routes_tests;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod tests;

pub use error::{Place, PrefixError, Setting};
pub use index::{IndexNames, IndexNaming, IndexRotation};
pub use value::hive_values;

use std::time::Duration;

use bytes::Bytes;

use self::{
    java_time::{Pattern, Zone},
    route::{Fixed, Routing, Values},
    source::SourceKey,
    template::{Part, Template, Unevaluated},
};
use crate::{
    limits,
    record::{self, Header, Notes, Origin, Provenance, RecordOrigin, Route},
};

/// What the service appends where it appends a time by itself.
const DEFAULT_TIME: &str = "yyyy/MM/dd/HH/";
/// The time in an object's name.
const NAME_TIME: &str = "yyyy-MM-dd-HH-mm-ss";
/// Longest output type; stands for all of them when a prefix is tried out.
const LONGEST_OUTPUT_TYPE: &str = "AmazonOpenSearchService-failed";
/// Noon of 1 January 2026, where trying out a prefix begins.
const TRIAL_START_MS: i64 = 1_767_268_800_000;
/// A day and an hour: in a year of such steps every month, weekday and hour comes up.
const TRIAL_STEP_MS: i64 = 25 * 3_600_000;
const TRIALS: i64 = 365;

/// What a destination says of its keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyOptions {
    pub prefix: String,
    /// Empty means omitted.
    pub error_output_prefix: String,
    /// Replaces the extension of the compression; empty means not set.
    pub file_extension: Option<String>,
    /// IANA name; UTC if absent or empty. Counts for the prefixes and for the object's name.
    pub custom_time_zone: Option<String>,
    /// Whether the prefix may take partition keys from records or from where they come from. If so
    /// it must.
    pub dynamic_partitioning: bool,
    /// Whether the timestamps of the prefix are those that the records tell of, where they do.
    pub event_time: bool,
    /// What becomes of records that come long after their time; needs `event_time`.
    pub late: Option<Late>,
    /// Longest name between slashes that the destination takes, in bytes; S3 takes any. Records
    /// whose partition would have a longer one fail.
    pub name_bytes_max: Option<usize>,
}

/// Where late records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// Records that arrive later than this after their time are late.
    pub after: Duration,
    /// Put before the prefix for late records: literal text, as `late/`.
    pub prefix: String,
}

/// How the keys of one destination are made: parsed, checked and tried out.
#[derive(Debug, Clone)]
pub struct KeyNaming {
    prefix: Template,
    error_prefix: Template,
    file_extension: Option<String>,
    zone: Zone,
    name_time: Pattern,
    routing: Routing,
}

/// What distinguishes one object.
#[derive(Debug, Clone, Copy)]
pub struct ObjectName<'a> {
    pub stream: &'a str,
    /// The version of the stream's configuration, from 1.
    pub version_id: u64,
    /// Arrival of the oldest record in the object, in milliseconds since 1970. All timestamps in
    /// the key are of this instant.
    pub oldest_arrival_ms: i64,
    /// What the compression or format appends (`.gz`), empty for none.
    pub extension: &'a str,
    pub uuid: uuid::Uuid,
}

impl KeyNaming {
    /// Checks everything that can be checked before the first object, and returns every mistake.
    pub fn parse(options: &KeyOptions) -> Result<Self, Vec<PrefixError>> {
        let mut mistakes = Vec::new();
        let mut keep = |result: Result<Template, Vec<PrefixError>>| {
            result.map_err(|mut found| mistakes.append(&mut found)).ok()
        };
        let dynamic = options.dynamic_partitioning;
        let prefix = keep(template(&options.prefix, Place::Prefix, dynamic));
        let error_prefix =
            keep(template(&options.error_output_prefix, Place::ErrorOutputPrefix, dynamic));
        if let Some(error_prefix) = &error_prefix
            && error_prefix.has_expressions()
            && !error_prefix.has_error_type()
        {
            mistakes.push(PrefixError::ErrorTypeMissing);
        }
        if options.error_output_prefix.is_empty() && options.prefix.contains("!{") {
            mistakes.push(PrefixError::ErrorPrefixMissing);
        }
        if dynamic && prefix.as_ref().is_some_and(|prefix| !prefix.has_keys()) {
            mistakes.push(PrefixError::KeysMissing);
        }
        mistakes.extend(routing_mistakes(options));
        let zone = zone(options).map_err(|mistake| mistakes.push(mistake)).ok();
        let file_extension =
            file_extension(options).map_err(|mistake| mistakes.push(mistake)).ok().flatten();
        let (Some(prefix), Some(error_prefix), Some(zone), true) =
            (prefix, error_prefix, zone, mistakes.is_empty())
        else {
            return Err(mistakes);
        };

        let prefix = complete_prefix(prefix);
        let mut naming = Self {
            error_prefix: complete_error_prefix(error_prefix, &options.prefix),
            routing: Routing::new(options.event_time, options.late.clone(), &prefix),
            prefix,
            file_extension,
            zone,
            name_time: own_pattern(NAME_TIME),
        };
        naming.routing.fixed = naming.try_out()?;
        naming.routing.name_bytes_max = options.name_bytes_max;
        Ok(naming)
    }

    /// The key of an object of this route.
    pub fn key(&self, name: &ObjectName<'_>, route: &Route) -> Result<String, PrefixError> {
        match route {
            Route::Objects => self.object_key(name),
            Route::Partition(values) => self.partition_key(name, values),
            Route::Errors(output_type) => self.error_key(name, output_type),
        }
    }

    /// The key of an object of delivered records that come from no partition. All timestamps are
    /// of the oldest arrival.
    pub fn object_key(&self, name: &ObjectName<'_>) -> Result<String, PrefixError> {
        self.evaluate(Place::Prefix, name, "", Values::NONE)
    }

    /// The key of an object of a partition.
    fn partition_key(&self, name: &ObjectName<'_>, values: &str) -> Result<String, PrefixError> {
        let values = Values::new(values, self.routing.event_time);
        self.evaluate(Place::Prefix, name, "", values)
    }

    /// The key of an object of failed records; such objects have no extension.
    /// `output_type` is the value of `!{firehose:error-output-type}`.
    pub fn error_key(
        &self,
        name: &ObjectName<'_>,
        output_type: &str,
    ) -> Result<String, PrefixError> {
        self.evaluate(Place::ErrorOutputPrefix, name, output_type, Values::NONE)
    }

    fn evaluate(
        &self,
        place: Place,
        name: &ObjectName<'_>,
        output_type: &str,
        values: Values<'_>,
    ) -> Result<String, PrefixError> {
        let (template, extension) = match place {
            Place::Prefix => {
                (&self.prefix, self.file_extension.as_deref().unwrap_or(name.extension))
            }
            Place::ErrorOutputPrefix => (&self.error_prefix, ""),
        };
        let arrival_ms = name.oldest_arrival_ms;
        let moment = self.zone.at(arrival_ms).ok_or(PrefixError::Arrival(arrival_ms))?;
        let pad = |source| PrefixError::Pad { place, source };
        let mut key = String::new();
        if values.is_late() {
            key.push_str(&self.routing.late.as_ref().ok_or(PrefixError::Route)?.prefix);
        }
        template.evaluate(&moment, output_type, values, &mut key).map_err(|error| match error {
            Unevaluated::Pad(source) => pad(source),
            Unevaluated::Values => PrefixError::Route,
        })?;
        let chars = key.chars().count();
        if chars > limits::PREFIX_CHARS_MAX {
            return Err(PrefixError::Evaluated { place, chars });
        }
        key.push_str(&format!("{}-{}-", name.stream, name.version_id));
        self.name_time.print(&moment, &mut key).map_err(pad)?;
        key.push_str(&format!("-{}{extension}", name.uuid.hyphenated()));
        if key.len() > limits::S3_KEY_BYTES_MAX {
            return Err(PrefixError::Key { place, bytes: key.len() });
        }
        Ok(key)
    }

    /// Makes keys for every day of a year, with the longest stream name, so that a prefix that
    /// can come out too long is found at configuration and not when records wait for a key.
    fn try_out(&self) -> Result<Fixed, Vec<PrefixError>> {
        let stream = "x".repeat(limits::STREAM_NAME_CHARS_MAX);
        let notes = self.trial_notes();
        let mut fixed = Fixed::default();
        for trial in 0..TRIALS {
            let name = ObjectName {
                stream: &stream,
                version_id: u64::from(u32::MAX),
                oldest_arrival_ms: TRIAL_START_MS + trial * TRIAL_STEP_MS,
                extension: ".parquet",
                uuid: uuid::Uuid::nil(),
            };
            let mut keys = vec![self.error_key(&name, LONGEST_OUTPUT_TYPE)];
            match self.trial_routes(&notes, name.oldest_arrival_ms) {
                Ok(routes) => keys.extend(routes.iter().map(|route| self.key(&name, route))),
                Err(mistake) => keys.push(Err(mistake)),
            }
            let mistakes: Vec<PrefixError> =
                keys.iter().filter_map(|key| key.as_ref().err().cloned()).collect();
            if !mistakes.is_empty() {
                return Err(mistakes);
            }
            keys.iter().skip(1).flatten().for_each(|key| fixed.at_least(key));
        }
        Ok(fixed)
    }

    /// What a record with the shortest keys would have to say.
    fn trial_notes(&self) -> Notes {
        let short = |key: &str| (key.into(), "x".to_owned());
        let mut notes = Notes::of(self.trial_origin());
        let findings = notes.edit();
        findings.from_query = self.query_keys().into_iter().map(short).collect();
        findings.from_lambda = self.lambda_keys().into_iter().map(short).collect();
        notes
    }

    /// A place with all that a prefix may take, as short as can be.
    fn trial_origin(&self) -> Origin {
        let short = || Some("x".to_owned());
        let bytes = || Some(Bytes::from_static(b"x"));
        let headers = self.source_keys().filter_map(|key| match key {
            SourceKey::Header(name) => Some(Header { name: name.clone(), value: bytes() }),
            _ => None,
        });
        let record = RecordOrigin {
            partition_key: short(),
            key: bytes(),
            headers: headers.collect(),
            ..RecordOrigin::default()
        };
        let place = record::Place {
            stream_arn: short(),
            shard_id: short(),
            topic: short(),
            partition: Some(0),
            path: short(),
        };
        let provenance =
            Provenance { place: Some(place), records: vec![record], ..Provenance::default() };
        Origin::new(provenance, 0)
    }
}

/// What is wrong with event times and late records, and with characters that mean something in
/// routes.
fn routing_mistakes(options: &KeyOptions) -> Vec<PrefixError> {
    let mut mistakes = Vec::new();
    let routed = options.dynamic_partitioning || options.event_time;
    if routed && options.prefix.chars().any(char::is_control) {
        mistakes.push(PrefixError::Control);
    }
    let Some(late) = &options.late else { return mistakes };
    if !options.event_time {
        mistakes.push(PrefixError::LateWithoutEventTime);
    }
    let literal = !late.prefix.is_empty() && !late.prefix.contains("!{");
    if !literal || late.prefix.chars().any(char::is_control) {
        mistakes.push(PrefixError::LatePrefix(late.prefix.clone()));
    }
    mistakes
}

fn template(
    text: &str,
    place: Place,
    dynamic_partitioning: bool,
) -> Result<Template, Vec<PrefixError>> {
    let chars = text.chars().count();
    if chars > limits::PREFIX_CONFIGURED_CHARS_MAX {
        return Err(vec![PrefixError::Configured { place, chars }]);
    }
    Template::parse(text, place, dynamic_partitioning)
}

fn complete_prefix(mut prefix: Template) -> Template {
    if !prefix.has_expressions() {
        prefix.push(Part::Time(own_pattern(DEFAULT_TIME)));
    }
    prefix
}

/// See the table at the head of this file.
fn complete_error_prefix(error_prefix: Template, prefix: &str) -> Template {
    if error_prefix.has_expressions() {
        return error_prefix;
    }
    let mut complete =
        if error_prefix.is_empty() { Template::of_literal(prefix) } else { error_prefix };
    complete.push(Part::ErrorType);
    complete.literal("/");
    complete.push(Part::Time(own_pattern(DEFAULT_TIME)));
    complete
}

fn own_pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect("a pattern of our own, covered by tests")
}

fn zone(options: &KeyOptions) -> Result<Zone, PrefixError> {
    match options.custom_time_zone.as_deref() {
        None | Some("") => Ok(Zone::utc()),
        Some(id) => Ok(Zone::parse(id)?),
    }
}

/// `^$|\.[0-9a-z!\-_.*'()]+`, at most 128 characters (API reference).
fn file_extension(options: &KeyOptions) -> Result<Option<String>, PrefixError> {
    let Some(extension) = options.file_extension.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let allowed = |char: char| {
        char.is_ascii_lowercase() || char.is_ascii_digit() || "!-_.*'()".contains(char)
    };
    let well_formed = extension.strip_prefix('.').is_some_and(|rest| !rest.is_empty());
    if !well_formed
        || !extension.chars().all(allowed)
        || extension.len() > limits::FILE_EXTENSION_CHARS_MAX
    {
        return Err(PrefixError::FileExtension(extension.to_owned()));
    }
    Ok(Some(extension.to_owned()))
}
