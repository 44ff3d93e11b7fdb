//! Failed records put through again: out of the error objects of a bucket, past what damaged them,
//! to a stream or straight to a destination.
//!
//! It needs no daemon and no stream: a [`Store`] that Amazon's Firehose filled and a [`Deliverer`]
//! are enough. [`run`] goes through the objects, [`survey`] only looks.
//!
//! | what is found | what becomes of it |
//! |---|---|
//! | error records of every kind ([`Kind`]) | the record in `rawData` is handed on, with what its line says of it |
//! | a Redshift manifest | the objects that it names are read; their records are handed on |
//! | plain objects, if the plan says so | records by their delimiter |
//! | Parquet, ORC, Avro | named and left |
//! | what is damaged | named with its line and left; the rest of the object goes on |
//!
//! # Promises
//! - A record counts as done when the deliverer says so, and not before.
//! - An object is deleted or moved only when every record in it was taken: not if a filter, the
//!   deliverer or damage left one behind, and never one that a manifest names.
//! - A replay that is stopped, fails or is killed goes on where it was: no finished object is read
//!   again, and of an unfinished one only what was under way is handed on twice.
//! - Nothing goes in circles, see [`State`]. Objects written since the replay began are left for
//!   the next one, and a record that keeps coming back is handed on a few times at most.
//!   Destinations that store failures again add up the attempts in the line; a limit of those
//!   ([`Plan::attempts_max`]) holds even where the state is lost.
//! - Memory is bounded, whatever the objects hold.

mod batches;
mod deliverer;
mod filter;
mod kind;
mod line;
mod lines;
mod listing;
mod owner;
mod pace;
mod plan;
mod reading;
mod report;
mod run;
mod scan;
mod slots;
mod source;
mod state;
mod store;
mod summary;
mod unpack;
mod window;

pub use batches::BatchLimits;
pub use deliverer::{Advance, DeliverError, Deliverer, Observer, Outcome};
pub use filter::{CodePattern, Filter};
pub use kind::Kind;
pub use line::FailedLine;
pub use lines::{Damage, Form, Lines, Records, Step, Wanted};
pub use pace::Rate;
pub use plan::{Contents, Disposal, Plan, PlanError};
pub use report::{End, Objects, Report, Trouble};
pub use run::{run, survey};
pub use source::{Source, SourceError};
pub use state::{State, StateError, fingerprint};
pub use store::{Folder, Object, S3Bucket, Store, StoreError};
pub use summary::{Row, Sample, Summary};
pub use unpack::{UnpackError, unpack};

#[cfg(test)]
mod golden_tests;
