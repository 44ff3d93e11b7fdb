//! Where records go, and what their shipments are called: objects in a bucket by their keys, or
//! requests to a destination by their ids.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    fault::Failure,
    partition::{IndexNaming, KeyNaming, ObjectName, PrefixError},
    record::{Notes, Route},
};

/// How shipments are named.
pub enum Naming {
    /// Objects, and what fails in objects beside them.
    Objects(KeyNaming),
    /// Requests. What fails goes into objects of a bucket of its own.
    Requests {
        /// The index that records belong to, where the destination has such.
        index: Option<CurrentIndex>,
        errors: KeyNaming,
    },
}

/// An index whose name changes with the time of arrival. Remembers the last one: there are
/// thousands of records of one hour.
pub struct CurrentIndex {
    naming: IndexNaming,
    last: Mutex<(i64, Arc<str>)>,
}

impl CurrentIndex {
    pub fn new(naming: IndexNaming) -> Self {
        let last = (0, naming.index(0).into());
        Self { naming, last: Mutex::new(last) }
    }

    fn of(&self, arrival_ms: i64) -> Arc<str> {
        const HOUR_MS: i64 = 3_600_000;
        let hour = arrival_ms.div_euclid(HOUR_MS);
        let mut last = self.last.lock();
        if last.0 != hour {
            *last = (hour, self.naming.index(arrival_ms).into());
        }
        last.1.clone()
    }
}

impl Naming {
    /// Whether the values of a record decide about where it goes.
    pub fn is_partitioned(&self) -> bool {
        match self {
            Self::Objects(naming) => naming.is_partitioned(),
            Self::Requests { .. } => false,
        }
    }

    /// Where a record goes by what was found out about it and when it arrived.
    pub fn route(&self, notes: &Notes, arrival_ms: i64) -> Result<Route, Failure> {
        match self {
            Self::Objects(naming) => naming.route(notes, arrival_ms),
            Self::Requests { .. } => Ok(self.plain_route(arrival_ms)),
        }
    }

    /// Where a record goes by its arrival alone.
    pub fn plain_route(&self, arrival_ms: i64) -> Route {
        match self {
            Self::Requests { index: Some(index), .. } => Route::Partition(index.of(arrival_ms)),
            Self::Objects(_) | Self::Requests { .. } => Route::Objects,
        }
    }

    /// The key of an object, or the id of a request.
    pub fn key(&self, name: &ObjectName<'_>, route: &Route) -> Result<String, PrefixError> {
        match (self, route) {
            (Self::Objects(naming), _) => naming.key(name, route),
            (Self::Requests { errors, .. }, Route::Errors(_)) => errors.key(name, route),
            (Self::Requests { .. }, _) => Ok(name.uuid.to_string()),
        }
    }
}
