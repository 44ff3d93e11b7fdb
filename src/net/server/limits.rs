//! The listener's bounds in one place, so that a test can tighten one.

use std::time::Duration;

use crate::limits;

/// Bounds of the listener. The default is what `crate::limits` says; see there for the reasons.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Largest body of a request that brings records.
    pub put_body_bytes: usize,
    /// Largest body of any other request.
    pub control_body_bytes: usize,
    pub bodies_in_memory_bytes: usize,
    /// Time for a request's head, and the pause allowed inside a body.
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    pub handshake_timeout: Duration,
    pub linger: Duration,
    pub body_grace: Duration,
    /// The grace while others wait for memory.
    pub body_grace_crowded: Duration,
    pub body_wait: Duration,
    pub body_bytes_per_s: u64,
    pub body_bytes_per_s_crowded: u64,
    pub connections: usize,
    pub files_poll_interval: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            put_body_bytes: limits::BODY_BYTES_MAX,
            control_body_bytes: limits::CONTROL_BODY_BYTES_MAX,
            bodies_in_memory_bytes: limits::BODIES_IN_MEMORY_BYTES,
            header_timeout: limits::HEADER_TIMEOUT,
            idle_timeout: limits::IDLE_TIMEOUT,
            handshake_timeout: limits::HANDSHAKE_TIMEOUT,
            linger: limits::LINGER,
            body_grace: limits::BODY_GRACE,
            body_grace_crowded: limits::BODY_GRACE_CROWDED,
            body_wait: limits::BODY_WAIT_MAX,
            body_bytes_per_s: limits::BODY_BYTES_PER_S_MIN,
            body_bytes_per_s_crowded: limits::BODY_BYTES_PER_S_CROWDED,
            connections: limits::CONNECTIONS_MAX,
            files_poll_interval: limits::FILES_POLL_INTERVAL,
        }
    }
}
