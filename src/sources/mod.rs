//! Where records come from.

mod direct_put;
mod throttle;

pub use direct_put::{Accepted, DirectPut, PutError};
pub use throttle::{Limits, Throttle};
