//! A stream's transforms, partitions and conversion tried out on records, without a journal and
//! without a destination: how a query is tried before it is trusted.

use std::path::Path;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    build::{self, Outlet},
    processing::StreamContext,
};
use crate::{
    config::Config,
    delivery::Naming,
    encode::columnar::Columnar,
    env::Env,
    fault::Failure,
    partition::ObjectName,
    record::{Notes, Piece, Position, Record, Route},
    transform::{Chain, End},
};

/// The way of one destination's records, up to where they would leave.
pub struct Preview {
    stream: String,
    chain: Chain,
    naming: Naming,
    columnar: Option<Columnar>,
    env: Env,
}

/// What became of a record, or of a piece that it was taken apart into.
#[derive(Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Fate {
    Emit {
        /// What the object's key begins with.
        prefix: String,
        /// Keys of partitions, and whatever else transforms found out.
        #[serde(skip_serializing_if = "Map::is_empty")]
        notes: Map<String, Value>,
        #[serde(flatten)]
        content: Content,
    },
    Drop,
    Fail {
        /// What the error object's key begins with.
        prefix: String,
        code: String,
        message: String,
        #[serde(flatten)]
        content: Content,
    },
}

/// What stands in the object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The record as text.
    Data(String),
    /// The record in base64, for it is no text.
    DataBase64(String),
    /// The rows of the columnar file.
    Rows(Vec<Value>),
}

impl Content {
    fn of(data: &Bytes) -> Self {
        match std::str::from_utf8(data) {
            Ok(text) => Self::Data(text.to_owned()),
            Err(_) => Self::DataBase64(base64_simd::STANDARD.encode_to_string(data)),
        }
    }
}

/// Why a stream cannot be tried out.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    #[error("there is no stream {stream} in the configuration; it has: {known}")]
    NoStream { stream: String, known: String },
    #[error("stream {stream} has no destination {destination}; it has: {known}")]
    NoDestination { stream: String, destination: String, known: String },
    #[error("stream {stream}: {reason}")]
    Stream { stream: String, reason: String },
}

impl Preview {
    /// The way of `destination`, the first one's if none is named. In `scratch` an inferred schema
    /// is kept meanwhile. Contacts nobody yet.
    pub fn open(
        config: &Config,
        stream: &str,
        destination: Option<&str>,
        scratch: &Path,
    ) -> Result<Self, PreviewError> {
        let spec = config.streams.get(stream).ok_or_else(|| PreviewError::NoStream {
            stream: stream.to_owned(),
            known: config.streams.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
        let names = spec.destination_names();
        let name = destination.map_or_else(|| names.first().cloned(), |name| Some(name.to_owned()));
        let failed = |reason| PreviewError::Stream { stream: stream.to_owned(), reason };
        let outlets = build::outlets(spec, &config.aws, true).map_err(failed)?;
        let outlet = outlets.iter().find(|outlet| Some(&outlet.name) == name.as_ref());
        let outlet = outlet.ok_or_else(|| PreviewError::NoDestination {
            stream: stream.to_owned(),
            destination: name.clone().unwrap_or_default(),
            known: names.join(", "),
        })?;
        Self::of(config, stream, outlet, scratch).map_err(failed)
    }

    fn of(config: &Config, stream: &str, outlet: &Outlet, scratch: &Path) -> Result<Self, String> {
        let env = Env::real();
        let (region, account) = (&config.api.region, &config.api.account_id);
        let arn = format!("arn:aws:firehose:{region}:{account}:deliverystream/{stream}");
        let context = StreamContext { arn, region: region.clone() };
        let table = outlet.processing.table(&env).map_err(|error| error.to_string())?;
        Ok(Self {
            stream: stream.to_owned(),
            chain: outlet.processing.chain(context, None)?,
            naming: build::naming(outlet)?,
            columnar: outlet.processing.columnar(table, scratch.to_owned(), &env)?,
            env,
        })
    }

    /// Every fate of every record, in their order. `first` is the number of the first record.
    pub async fn run(
        &self,
        first: u64,
        records: Vec<Bytes>,
    ) -> Result<Vec<Vec<Fate>>, PreviewError> {
        let failed = |reason| PreviewError::Stream { stream: self.stream.clone(), reason };
        let arrival_ms = self.env.clock.now_ms();
        let record = |(index, data): (u64, Bytes)| Record {
            position: Position::new(0, first + index),
            arrival_ms,
            data,
            notes: Notes::default(),
        };
        let records = (0..).zip(records).map(record).collect();
        let ends = self.chain.apply(records).await.map_err(|error| failed(error.to_string()))?;
        let mut rows = self.rows(&ends, arrival_ms).await.map_err(failed)?.into_iter();
        let mut all = Vec::new();
        for ends in ends {
            let mut fates = Vec::new();
            for end in ends {
                fates.push(self.fate(end, arrival_ms, &mut rows).map_err(failed)?);
            }
            all.push(fates);
        }
        Ok(all)
    }

    /// The rows of every record that is converted, in their order.
    async fn rows(&self, ends: &[Vec<End>], arrival_ms: i64) -> Result<Vec<Rows>, String> {
        let Some(columnar) = &self.columnar else { return Ok(Vec::new()) };
        let emitted = ends.iter().flatten().filter_map(|end| match end {
            End::Emit { piece, .. } if self.naming.route(&piece.notes, arrival_ms).is_ok() => {
                Some(piece.data.clone())
            }
            _ => None,
        });
        let emitted: Vec<Bytes> = emitted.collect();
        if emitted.is_empty() {
            return Ok(Vec::new());
        }
        columnar.show(&emitted).await.map_err(|fault| fault.to_string())
    }

    fn fate(
        &self,
        end: End,
        arrival_ms: i64,
        rows: &mut impl Iterator<Item = Rows>,
    ) -> Result<Fate, String> {
        let (piece, raw) = match end {
            End::Drop => return Ok(Fate::Drop),
            End::Fail { failure, raw } => return self.failed(failure, &raw, arrival_ms),
            End::Emit { piece, raw } => (piece, raw),
        };
        let route = match self.naming.route(&piece.notes, arrival_ms) {
            Ok(route) => route,
            Err(failure) => return self.failed(failure, &raw, arrival_ms),
        };
        let content = match (&self.columnar, rows.next()) {
            (Some(_), Some(Ok(rows))) => Content::Rows(rows),
            (Some(_), Some(Err(failure))) => return self.failed(failure, &raw, arrival_ms),
            _ => Content::of(&piece.data),
        };
        let prefix = self.prefix(&route, arrival_ms)?;
        Ok(Fate::Emit { prefix, notes: notes(&piece), content })
    }

    fn failed(&self, failure: Failure, raw: &Bytes, arrival_ms: i64) -> Result<Fate, String> {
        let route = Route::Errors(failure.output_type.into());
        Ok(Fate::Fail {
            prefix: self.prefix(&route, arrival_ms)?,
            code: failure.cause.code,
            message: failure.cause.message,
            content: Content::of(raw),
        })
    }

    /// The key of an object of this route, up to its name.
    fn prefix(&self, route: &Route, arrival_ms: i64) -> Result<String, String> {
        let name = ObjectName {
            stream: &self.stream,
            version_id: 1,
            oldest_arrival_ms: arrival_ms,
            extension: "",
            uuid: uuid::Uuid::nil(),
        };
        let mut key = self.naming.key(&name, route).map_err(|error| error.to_string())?;
        let name = key.rfind(&format!("{}-1-", self.stream)).unwrap_or(key.len());
        key.truncate(name);
        Ok(key)
    }
}

type Rows = Result<Vec<Value>, Failure>;

/// What transforms found out about a record.
fn notes(piece: &Piece) -> Map<String, Value> {
    let mut notes = Map::new();
    let Some(findings) = piece.notes.get() else { return notes };
    for (name, keys) in [
        ("partition_keys_from_query", &findings.from_query),
        ("partition_keys_from_lambda", &findings.from_lambda),
    ] {
        if !keys.is_empty() {
            let keys = keys.iter().map(|(key, value)| (key.to_string(), value.clone().into()));
            notes.insert(name.to_owned(), Value::Object(keys.collect()));
        }
    }
    if let Some(event_ms) = findings.event_ms {
        let instant = jiff::Timestamp::from_millisecond(event_ms).map(|at| at.to_string());
        notes.insert("event_time".to_owned(), instant.unwrap_or_default().into());
    }
    if let Some(table) = &findings.table {
        notes.insert("table".to_owned(), serde_json::to_value(table).unwrap_or_default());
    }
    notes
}
