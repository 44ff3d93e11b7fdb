//! Clock, randomness and filesystem: the only doors to the machine, so that tests can replace them.

mod clock;
mod files;
mod pool;
pub mod sim;

use std::sync::Arc;

pub use clock::{Clock, ManualClock, SystemClock};
pub use files::{File, Files, RealFiles};
pub use pool::CpuPool;

/// What a part needs of the machine. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    pub clock: Arc<dyn Clock>,
    pub files: Arc<dyn Files>,
}

impl Env {
    /// The real machine.
    pub fn real() -> Self {
        Self { clock: Arc::new(SystemClock::default()), files: Arc::new(RealFiles) }
    }
}
