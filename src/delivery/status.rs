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

/// What trouble is with: the destination, or the bucket of what it does not take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Part {
    #[default]
    Destination,
    Backup,
}

impl Part {
    /// The name of this part of a destination, for logs and people.
    pub fn of(self, destination: &str) -> String {
        match self {
            Self::Destination => destination.to_owned(),
            Self::Backup => format!("{destination} (error output)"),
        }
    }
}

/// A snapshot of a destination's progress.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    #[serde(flatten)]
    pub state: State,
    /// The same of the bucket for what the destination does not take, where it has one.
    #[serde(skip_serializing_if = "State::is_well")]
    pub error_output: State,
    /// Records accepted and not settled.
    pub backlog_records: u64,
    /// Arrival of the oldest record that is not settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_arrival_ms: Option<i64>,
    /// Everything below is settled.
    pub committed: u64,
}

impl State {
    fn is_well(&self) -> bool {
        *self == Self::Delivering
    }
}

impl Progress {
    /// Whether nothing goes on until somebody mends something.
    pub fn is_held(&self) -> bool {
        [&self.state, &self.error_output].iter().any(|state| matches!(state, State::Held { .. }))
    }

    fn part(&mut self, part: Part) -> &mut State {
        match part {
            Part::Destination => &mut self.state,
            Part::Backup => &mut self.error_output,
        }
    }

    /// The worse of the two, and what it is of: an error output that does not go on halts
    /// everything.
    fn worst(&self) -> (Part, &State) {
        let in_trouble = |state: &State| match state {
            State::Delivering => 0,
            State::Retrying { .. } => 1,
            State::Held { .. } => 2,
        };
        match in_trouble(&self.error_output) > in_trouble(&self.state) {
            true => (Part::Backup, &self.error_output),
            false => (Part::Destination, &self.state),
        }
    }

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
    pub fn failed(&self, part: Part, fault: &Fault, now_ms: i64) -> bool {
        let cause = fault.cause();
        let progress = &mut *self.0.lock();
        let state = progress.part(part);
        let (held_before, code_before, since_before) = match &state {
            State::Delivering => (false, None, None),
            State::Retrying { code, since_ms, .. } => (false, Some(code.clone()), Some(*since_ms)),
            State::Held { code, since_ms, .. } => (true, Some(code.clone()), Some(*since_ms)),
        };
        let held = matches!(fault, Fault::Halt { .. });
        let since_ms = since_before.filter(|_| held == held_before).unwrap_or(now_ms);
        let (code, message) = (cause.code.clone(), cause.message.clone());
        let news = held != held_before || code_before.as_deref() != Some(cause.code.as_str());
        *state = if held {
            State::Held { code, message, since_ms }
        } else {
            State::Retrying { code, message, since_ms }
        };
        news
    }

    /// The delivery itself is in trouble, apart from the destination.
    pub fn broken(&self, message: String, now_ms: i64) {
        let fault = Fault::halt("Standpipe.DeliveryFailed", message);
        self.failed(Part::Destination, &fault, now_ms);
    }

    /// An attempt succeeded. Answers true when it had not gone well before.
    pub fn succeeded(&self, part: Part) -> bool {
        std::mem::take(self.0.lock().part(part)) != State::Delivering
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
    let (part, state) = progress.worst();
    let (word, message) = match state {
        State::Delivering => return None,
        State::Retrying { message, .. } => ("retrying", message),
        State::Held { message, .. } => ("held", message),
    };
    let destination = part.of(destination);
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
        assert!(status.failed(
            Part::Destination,
            &Fault::halt("S3.AccessDenied", "403 on PutObject"),
            1_000
        ));
        assert!(!status.failed(
            Part::Destination,
            &Fault::halt("S3.AccessDenied", "403 on PutObject"),
            2_000
        ));
        status.set_progress(7, Some(0), 3);
        let hours = |n: u64| Duration::from_secs(n * 3600);
        let now_ms = hours(3).as_millis() as i64;
        let text = sentence("s3", &status.get(), 4_402_341_478, now_ms, Some(hours(41)));
        assert_eq!(
            text.as_deref(),
            Some("s3 held: 403 on PutObject; 4.1GiB safe, oldest 3 h, room for 41 h")
        );
        assert!(status.succeeded(Part::Destination));
        assert!(!status.succeeded(Part::Destination));
        assert_eq!(sentence("s3", &status.get(), 0, now_ms, None), None);
    }

    #[test]
    fn an_error_output_in_trouble_is_told_apart_and_outlives_successes_of_the_destination() {
        let status = Status::default();
        assert!(status.failed(Part::Backup, &Fault::halt("S3.NoSuchBucket", "404"), 0));
        assert!(!status.succeeded(Part::Destination));
        assert!(status.get().is_held());
        let text = sentence("splunk", &status.get(), 0, 0, None);
        assert_eq!(
            text.as_deref(),
            Some("splunk (error output) held: 404; 0B safe, nothing is coming in")
        );
        assert!(status.succeeded(Part::Backup));
        assert!(!status.get().is_held());
    }

    #[test]
    fn a_state_remembers_since_when() {
        let status = Status::default();
        status.failed(Part::Destination, &Fault::retry("S3.SlowDown", "busy"), 1);
        status.failed(Part::Destination, &Fault::retry("S3.InternalError", "oops"), 5);
        assert!(matches!(status.get().state, State::Retrying { since_ms: 1, .. }));
        status.failed(Part::Destination, &Fault::halt("S3.NoSuchBucket", "404"), 9);
        assert!(matches!(status.get().state, State::Held { since_ms: 9, .. }));
    }
}
