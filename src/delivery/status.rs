//! What a destination is doing right now, for health, metrics and traces.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::Serialize;

use crate::{fault::Fault, units::ByteSize};

/// Whether a destination takes what is sent to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    #[default]
    Delivering,
    /// Passing trouble; retrying.
    Retrying { code: String, message: String, since_ms: i64 },
    /// Not usable as configured; everything is kept until it is mended.
    Held { code: String, message: String, since_ms: i64 },
}

/// A snapshot of a destination's progress.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    #[serde(flatten)]
    pub state: State,
    /// Records accepted and not settled.
    pub backlog_records: u64,
    /// Arrival of the oldest record that is not settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_arrival_ms: Option<i64>,
    /// Everything below is settled.
    pub committed: u64,
}

impl Progress {
    /// Age of the oldest record that is not settled.
    pub fn oldest_age_ms(&self, now_ms: i64) -> Option<u64> {
        Some(now_ms.saturating_sub(self.oldest_arrival_ms?).max(0) as u64)
    }
}

/// Shared between the task of a destination and those who look at it; outlives the task.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<Progress>>);

impl Status {
    pub fn get(&self) -> Progress {
        self.0.lock().clone()
    }

    pub fn set_progress(&self, backlog: u64, oldest_arrival_ms: Option<i64>, committed: u64) {
        let progress = &mut *self.0.lock();
        progress.backlog_records = backlog;
        progress.oldest_arrival_ms = oldest_arrival_ms;
        progress.committed = committed;
    }

    /// An attempt failed. Answers true when that is news: a change of state or of its code.
    pub fn failed(&self, fault: &Fault, now_ms: i64) -> bool {
        let cause = fault.cause();
        let progress = &mut *self.0.lock();
        let (held_before, code_before, since_before) = match &progress.state {
            State::Delivering => (false, None, None),
            State::Retrying { code, since_ms, .. } => (false, Some(code.clone()), Some(*since_ms)),
            State::Held { code, since_ms, .. } => (true, Some(code.clone()), Some(*since_ms)),
        };
        let held = matches!(fault, Fault::Halt { .. });
        let since_ms = since_before.filter(|_| held == held_before).unwrap_or(now_ms);
        let (code, message) = (cause.code.clone(), cause.message.clone());
        let news = held != held_before || code_before.as_deref() != Some(cause.code.as_str());
        progress.state = if held {
            State::Held { code, message, since_ms }
        } else {
            State::Retrying { code, message, since_ms }
        };
        news
    }

    /// The delivery itself is in trouble, apart from the destination.
    pub fn broken(&self, message: String, now_ms: i64) {
        self.failed(&Fault::halt("Standpipe.DeliveryFailed", message), now_ms);
    }

    /// An attempt succeeded. Answers true when it had not gone well before.
    pub fn succeeded(&self) -> bool {
        std::mem::take(&mut self.0.lock().state) != State::Delivering
    }
}

/// `3 h`, `41 min`, `12 s`: how long, for people.
pub fn roughly(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// The one sentence about a destination that is in trouble:
/// `s3 held: 403 on PutObject; 4.1GiB safe, oldest 3 h, room for 41 h`.
pub fn sentence(
    destination: &str,
    progress: &Progress,
    safe_bytes: u64,
    now_ms: i64,
    room: Option<Duration>,
) -> Option<String> {
    let (word, message) = match &progress.state {
        State::Delivering => return None,
        State::Retrying { message, .. } => ("retrying", message),
        State::Held { message, .. } => ("held", message),
    };
    let mut text = format!("{destination} {word}: {message}; {} safe", ByteSize(safe_bytes));
    if let Some(age_ms) = progress.oldest_age_ms(now_ms) {
        let age = Duration::from_millis(age_ms);
        text.push_str(&format!(", oldest {}", roughly(age)));
    }
    match room {
        Some(room) => text.push_str(&format!(", room for {}", roughly(room))),
        None => text.push_str(", nothing is coming in"),
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_destination_says_so_in_one_sentence() {
        let status = Status::default();
        assert!(status.failed(&Fault::halt("S3.AccessDenied", "403 on PutObject"), 1_000));
        assert!(!status.failed(&Fault::halt("S3.AccessDenied", "403 on PutObject"), 2_000));
        status.set_progress(7, Some(0), 3);
        let hours = |n: u64| Duration::from_secs(n * 3600);
        let now_ms = hours(3).as_millis() as i64;
        let text = sentence("s3", &status.get(), 4_402_341_478, now_ms, Some(hours(41)));
        assert_eq!(
            text.as_deref(),
            Some("s3 held: 403 on PutObject; 4.1GiB safe, oldest 3 h, room for 41 h")
        );
        assert!(status.succeeded());
        assert!(!status.succeeded());
        assert_eq!(sentence("s3", &status.get(), 0, now_ms, None), None);
    }

    #[test]
    fn a_state_remembers_since_when() {
        let status = Status::default();
        status.failed(&Fault::retry("S3.SlowDown", "busy"), 1);
        status.failed(&Fault::retry("S3.InternalError", "oops"), 5);
        assert!(matches!(status.get().state, State::Retrying { since_ms: 1, .. }));
        status.failed(&Fault::halt("S3.NoSuchBucket", "404"), 9);
        assert!(matches!(status.get().state, State::Held { since_ms: 9, .. }));
    }
}
