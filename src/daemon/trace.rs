//! Where a record is now: in the journal, in an object, in an error object.

use serde::Serialize;

use super::{Daemon, Stream};
use crate::{
    delivery::history::{self, Arrived},
    record::{Position, RecordId, Route},
};

/// What is known of one record.
#[derive(Debug, Serialize)]
pub struct Trace {
    pub record_id: String,
    pub stream: String,
    /// Its place in the stream's journal.
    pub sequence: u64,
    pub destinations: Vec<DestinationTrace>,
}

#[derive(Debug, Serialize)]
pub struct DestinationTrace {
    pub destination: String,
    #[serde(flatten)]
    pub place: Place,
}

/// Where one destination has the record.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "place")]
pub enum Place {
    /// Accepted, not delivered: kept in the journal.
    Journal,
    /// In this object.
    Object { key: String, at_ms: i64 },
    /// In the error output, for this reason.
    ErrorObject { key: String, at_ms: i64, code: String, message: String },
    /// Settled: dropped by a transform, or so long ago that the history has forgotten it.
    Settled,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    #[error(
        "{0:?} is no record id of this daemon: 28 hexadecimal digits as PutRecord answers them"
    )]
    Malformed(String),
    #[error(
        "no stream here gave out record id {0}: it belongs to another daemon or a deleted stream"
    )]
    UnknownStream(String),
    #[error("record id {0} was not given out yet")]
    NotYet(String),
}

impl Daemon {
    /// Looks a record id up. Reads the history files of its stream.
    pub async fn trace(&self, text: &str) -> Result<Trace, TraceError> {
        let id = RecordId::parse(text).ok_or_else(|| TraceError::Malformed(text.to_owned()))?;
        let stream = self.streams().values().find(|stream| stream.tag == id.journal).cloned();
        let stream = stream.ok_or_else(|| TraceError::UnknownStream(text.to_owned()))?;
        if !stream.is_shared() && id.position >= *stream.journal.tail().borrow() {
            return Err(TraceError::NotYet(text.to_owned()));
        }
        let mut destinations = Vec::new();
        for (name, status) in stream.statuses() {
            let place = place(&stream, &name, id.position, status.get().committed).await;
            destinations.push(DestinationTrace { destination: name, place });
        }
        Ok(Trace {
            record_id: text.to_owned(),
            stream: stream.name.clone(),
            sequence: id.position.sequence,
            destinations,
        })
    }
}

async fn place(stream: &Stream, outlet: &str, position: Position, committed: u64) -> Place {
    let path = stream.history_folder(outlet, position.lane).join("history");
    let sequence = position.sequence;
    let found = tokio::task::spawn_blocking(move || history::find(&path, sequence)).await;
    let newest = match found {
        Ok(Ok(mut found)) => found.pop(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "history cannot be read");
            None
        }
        Err(_) => None,
    };
    match newest {
        Some(arrived) => of_arrived(arrived, sequence),
        None if sequence < committed => Place::Settled,
        None => Place::Journal,
    }
}

fn of_arrived(arrived: Arrived, sequence: u64) -> Place {
    let Arrived { key, at_ms, route, reasons, .. } = arrived;
    if route == Route::Objects {
        return Place::Object { key, at_ms };
    }
    let reason = reasons.into_iter().find(|(of, _, _)| *of == sequence);
    let (_, code, message) = reason.unwrap_or_default();
    Place::ErrorObject { key, at_ms, code, message }
}
