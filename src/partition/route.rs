//! Which partition a record goes to.
//!
//! A route names a partition by what the prefix takes from its records: the values of the dynamic
//! expressions in the order of the prefix, each as it stands in the key and followed by U+001F.
//! Partition keys and what is of the source are dynamic, and with event times the timestamps, too. The route of records that
//! come late begins with U+001E. Neither character can be in a value.
//!
//! ```text
//! logs/!{timestamp:yyyy-MM-dd}/!{partitionKeyFromQuery:country}/
//!      2026-07-13␟             de␟
//! ```

use std::{cell::RefCell, sync::Arc};

use parking_lot::Mutex;

use super::{
    KeyNaming, Late, ObjectName, Place, PrefixError,
    java_time::Zone,
    source::SourceKey,
    template::{Part, Template, Unevaluated},
    value,
};
use crate::{
    fault::{Failure, output_type::METADATA_EXTRACTION_FAILED},
    limits,
    record::{Notes, Route},
};

/// Ends each value in a route.
const END: char = '\u{1f}';
/// Begins the route of late records.
const LATE: char = '\u{1e}';
/// Firehose's words for a key that is missing, null or empty.
const NULL_OR_EMPTY: &str = "partitionKeys values must not be null or empty";
/// From here on all zones differ from UTC by whole minutes and change on whole minutes, so that
/// the timestamps of one minute print alike: 1 January 1973.
const WHOLE_MINUTES_FROM_MS: i64 = 94_694_400_000;
const MINUTE_MS: i64 = 60_000;
/// Minutes whose timestamps are remembered. Records of a batch come from few of them as a rule.
const MINUTES_REMEMBERED: i64 = 64;

/// A minute since 1970, and the values of all timestamps in it.
type Minute = (i64, Arc<str>);

/// What a destination's prefix takes from records.
#[derive(Debug, Clone)]
pub(super) struct Routing {
    /// Timestamps are those of the records, and not of their arrival.
    pub(super) event_time: bool,
    pub(super) late: Option<Late>,
    pub(super) fixed: Fixed,
    /// Longest name between slashes that the destination takes.
    pub(super) name_bytes_max: Option<usize>,
    /// Whether the timestamps of a minute print alike.
    by_minute: bool,
    minutes: Arc<Mutex<Vec<Option<Minute>>>>,
}

/// Lengths with values that are as short as can be, for the longest name of a stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fixed {
    key_bytes: usize,
    /// The longest name between slashes, the object's included.
    name_bytes: usize,
}

impl Fixed {
    pub(super) fn at_least(&mut self, key: &str) {
        self.key_bytes = self.key_bytes.max(key.len());
        let name_bytes = key.split('/').map(str::len).max().unwrap_or(0);
        self.name_bytes = self.name_bytes.max(name_bytes);
    }
}

impl Routing {
    pub(super) fn new(event_time: bool, late: Option<Late>, prefix: &Template) -> Self {
        Self {
            event_time,
            late,
            fixed: Fixed::default(),
            name_bytes_max: None,
            by_minute: prefix.times().all(|pattern| pattern.is_by_minute()),
            minutes: Arc::new(Mutex::new(vec![None; MINUTES_REMEMBERED as usize])),
        }
    }

    /// The values of all timestamps of a prefix, each with its end.
    fn times(&self, prefix: &Template, zone: &Zone, ms: i64) -> Result<Arc<str>, Failure> {
        if !self.by_minute || ms < WHOLE_MINUTES_FROM_MS {
            return print(prefix, zone, ms);
        }
        let minute = ms / MINUTE_MS;
        let slot = (minute % MINUTES_REMEMBERED) as usize;
        if let Some((remembered, times)) = &self.minutes.lock()[slot]
            && *remembered == minute
        {
            return Ok(times.clone());
        }
        let times = print(prefix, zone, ms)?;
        self.minutes.lock()[slot] = Some((minute, times.clone()));
        Ok(times)
    }
}

fn print(prefix: &Template, zone: &Zone, ms: i64) -> Result<Arc<str>, Failure> {
    let moment = zone.at(ms).ok_or_else(|| fail("the record's time lies outside the calendar"))?;
    let mut times = String::new();
    for pattern in prefix.times() {
        pattern.print(&moment, &mut times).map_err(|error| fail(error.to_string()))?;
        times.push(END);
    }
    Ok(times.into())
}

thread_local! {
    /// Where values are put together before their length is known.
    static SCRATCH: RefCell<String> = const { RefCell::new(String::new()) };
}

impl KeyNaming {
    /// Whether records of one batch may go to different prefixes.
    pub fn is_partitioned(&self) -> bool {
        let by_time = self.routing.event_time && self.prefix.times().next().is_some();
        self.prefix.has_keys() || by_time || self.routing.late.is_some()
    }

    /// The keys of `partitionKeyFromQuery` that the prefix takes, in its order.
    pub fn query_keys(&self) -> Vec<&str> {
        let parts = self.prefix.parts().iter();
        let keys = parts.filter_map(|part| match part {
            Part::Query(key) => Some(key.as_str()),
            _ => None,
        });
        keys.collect()
    }

    /// The keys of `partitionKeyFromLambda` that the prefix takes, in its order.
    pub fn lambda_keys(&self) -> Vec<&str> {
        let parts = self.prefix.parts().iter();
        let keys = parts.filter_map(|part| match part {
            Part::Lambda(key) => Some(key.as_str()),
            _ => None,
        });
        keys.collect()
    }

    /// What the prefix takes from where records come from, in its order.
    pub(super) fn source_keys(&self) -> impl Iterator<Item = &SourceKey> {
        self.prefix.parts().iter().filter_map(|part| match part {
            Part::Source(key) => Some(key),
            _ => None,
        })
    }

    /// The partition of a record by its notes; `Route::Objects` where the prefix takes nothing
    /// from it. Fails for a record that lacks a key, or whose key would be too long: that is the
    /// record's own fault.
    pub fn route(&self, notes: &Notes, arrival_ms: i64) -> Result<Route, Failure> {
        if !self.is_partitioned() {
            return Ok(Route::Objects);
        }
        SCRATCH.with_borrow_mut(|values| {
            values.clear();
            self.push_values(notes, arrival_ms, values)?;
            let Fixed { key_bytes, name_bytes } = self.routing.fixed;
            let name_bytes_max = self.routing.name_bytes_max.unwrap_or(usize::MAX);
            // As a rule the sums settle it: they are more than the lengths can be.
            if values.len() + key_bytes > limits::PREFIX_CHARS_MAX
                || values.len() + name_bytes > name_bytes_max
            {
                self.check_length(values, arrival_ms)?;
            }
            Ok(if values.is_empty() {
                Route::Objects
            } else {
                Route::Partition(values.as_str().into())
            })
        })
    }

    /// The routes of a record at this time, as an ordinary one and as a late one.
    pub(super) fn trial_routes(
        &self,
        notes: &Notes,
        arrival_ms: i64,
    ) -> Result<Vec<Route>, PrefixError> {
        let place = Place::Prefix;
        let moment = self.zone.at(arrival_ms).ok_or(PrefixError::Arrival(arrival_ms))?;
        for pattern in self.prefix.times() {
            let printed = pattern.print(&moment, &mut String::new());
            printed.map_err(|source| PrefixError::Pad { place, source })?;
        }
        let mut values = String::new();
        self.push_values(notes, arrival_ms, &mut values).map_err(|_| PrefixError::Route)?;
        let mut routes = vec![match values.as_str() {
            "" => Route::Objects,
            values => Route::Partition(values.into()),
        }];
        if self.routing.late.is_some() {
            routes.push(Route::Partition(format!("{LATE}{values}").into()));
        }
        Ok(routes)
    }

    fn push_values(
        &self,
        notes: &Notes,
        arrival_ms: i64,
        values: &mut String,
    ) -> Result<(), Failure> {
        let findings = notes.get();
        let event_ms = findings.and_then(|findings| findings.event_ms).unwrap_or(arrival_ms);
        let routing = &self.routing;
        if routing.late.as_ref().is_some_and(|late| late.is_late(event_ms, arrival_ms)) {
            values.push(LATE);
        }
        let times = match routing.event_time {
            true => Some(routing.times(&self.prefix, &self.zone, event_ms)?),
            false => None,
        };
        let mut times = times.iter().flat_map(|times| times.split_inclusive(END));
        for part in self.prefix.parts() {
            let (keys, name) = match part {
                Part::Query(name) => (findings.map(|findings| &findings.from_query), name),
                Part::Lambda(name) => (findings.map(|findings| &findings.from_lambda), name),
                Part::Time(_) => {
                    values.push_str(times.next().unwrap_or_default());
                    continue;
                }
                Part::Source(key) => {
                    let text = key.value(notes).map_err(|why| fail(why.to_string()))?;
                    value::push(&text, values);
                    values.push(END);
                    continue;
                }
                Part::Literal(_) | Part::Random | Part::ErrorType => continue,
            };
            let found = keys.and_then(|keys| keys.iter().find(|(key, _)| **key == **name));
            match found {
                Some((_, text)) if !text.is_empty() => value::push(text, values),
                _ => return Err(fail(NULL_OR_EMPTY)),
            }
            values.push(END);
        }
        Ok(())
    }

    /// Makes the key as it would be, with the longest name of a stream.
    fn check_length(&self, values: &str, arrival_ms: i64) -> Result<(), Failure> {
        let stream = "x".repeat(limits::STREAM_NAME_CHARS_MAX);
        let name = ObjectName {
            stream: &stream,
            version_id: u64::from(u32::MAX),
            oldest_arrival_ms: arrival_ms,
            extension: ".parquet",
            uuid: uuid::Uuid::nil(),
        };
        let key = self.partition_key(&name, values).map_err(|error| match error {
            PrefixError::Evaluated { chars, .. } => fail(format!(
                "the prefix of the record's partition has {chars} characters, more than {}",
                limits::PREFIX_CHARS_MAX
            )),
            PrefixError::Key { bytes, .. } => fail(format!(
                "the record's partition makes object keys of up to {bytes} bytes, more than {}",
                limits::S3_KEY_BYTES_MAX
            )),
            other => fail(other.to_string()),
        })?;
        let name_bytes_max = self.routing.name_bytes_max.unwrap_or(usize::MAX);
        match key.split('/').map(str::len).max() {
            Some(bytes) if bytes > name_bytes_max => Err(fail(format!(
                "the record's partition has a folder whose name is {bytes} bytes long, more than \
                 {name_bytes_max}"
            ))),
            _ => Ok(()),
        }
    }
}

fn fail(message: impl Into<String>) -> Failure {
    Failure::new(
        METADATA_EXTRACTION_FAILED,
        "DynamicPartitioning.MetadataExtractionFailed",
        message,
    )
}

impl Late {
    fn is_late(&self, event_ms: i64, arrival_ms: i64) -> bool {
        let behind_ms = i128::from(arrival_ms) - i128::from(event_ms);
        behind_ms > 0 && behind_ms.unsigned_abs() > self.after.as_millis()
    }
}

/// The values of a route, taken one by one as the prefix is evaluated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    rest: &'a str,
    late: bool,
    times: bool,
}

impl<'a> Values<'a> {
    /// For what has no route: error objects.
    pub(super) const NONE: Values<'static> = Values { rest: "", late: false, times: false };

    pub(super) fn new(route: &'a str, times: bool) -> Self {
        let rest = route.strip_prefix(LATE);
        Self { rest: rest.unwrap_or(route), late: rest.is_some(), times }
    }

    pub(super) fn is_late(self) -> bool {
        self.late
    }

    /// Whether the timestamps are among them.
    pub(super) fn hold_times(self) -> bool {
        self.times
    }

    pub(super) fn next(&mut self) -> Result<&'a str, Unevaluated> {
        let (value, rest) = self.rest.split_once(END).ok_or(Unevaluated::Values)?;
        self.rest = rest;
        Ok(value)
    }

    pub(super) fn end(self) -> Result<(), Unevaluated> {
        if self.rest.is_empty() { Ok(()) } else { Err(Unevaluated::Values) }
    }
}
