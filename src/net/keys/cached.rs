//! A managed key that is used often and asked for seldom.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::manager::Manager;
use crate::{
    env::Clock,
    fault::Fault,
    limits::{SECRET_AGE_MAX, SECRET_ASK_INTERVAL},
};

/// A key, and how long what is known of it holds.
pub struct CachedKey {
    manager: Manager,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    /// Held by whoever is asking, so that one asks for all.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    key: Option<String>,
    /// When `key` was looked up, on the clock's own scale.
    read_at: Duration,
    /// Whether a destination refused `key` since then.
    is_refused: bool,
    /// The last question.
    asked: Option<Asked>,
    /// Whether questions fail while a key is known, and somebody was told.
    is_stale: bool,
}

/// A question, and what came of it.
struct Asked {
    at: Duration,
    fault: Option<Fault>,
}

/// What is to be done for a key.
enum Next {
    /// It is good, or there is nothing better to be had as yet.
    Use(Result<String, Fault>),
    /// A new one is needed, and the known one (if any) still does meanwhile.
    Ask { meanwhile: Option<String> },
}

impl CachedKey {
    pub fn new(manager: Manager, clock: Arc<dyn Clock>) -> Self {
        Self { manager, clock, known: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// The key. When it cannot be looked up again the known one still counts; without one a fault
    /// is the answer, for some seconds the same.
    pub async fn get(&self) -> Result<String, Fault> {
        let meanwhile = match self.next() {
            Next::Use(answer) => return answer,
            Next::Ask { meanwhile } => meanwhile,
        };
        let turn = match (self.asking.try_lock(), meanwhile) {
            (Ok(turn), _) => turn,
            (Err(_), Some(key)) => return Ok(key),
            (Err(_), None) => self.asking.lock().await,
        };
        // Whoever had the turn before may have found it.
        if let Next::Use(answer) = self.next() {
            return answer;
        }
        let answer = self.manager.ask().await;
        let answer = self.take(answer);
        drop(turn);
        answer
    }

    /// A destination refused this key.
    pub fn refused(&self, key: &str) {
        let mut known = self.known.lock();
        if known.key.as_deref() == Some(key) {
            known.is_refused = true;
        }
    }

    fn next(&self) -> Next {
        let now = self.clock.monotonic();
        let known = self.known.lock();
        let was_just_asked = known
            .asked
            .as_ref()
            .is_some_and(|asked| now.saturating_sub(asked.at) < SECRET_ASK_INTERVAL);
        let is_good = !known.is_refused && now.saturating_sub(known.read_at) < SECRET_AGE_MAX;
        match (&known.key, &known.asked) {
            (Some(key), _) if is_good || was_just_asked => Next::Use(Ok(key.clone())),
            (Some(key), _) => {
                // One that was refused would only be refused again.
                Next::Ask { meanwhile: (!known.is_refused).then(|| key.clone()) }
            }
            (None, Some(Asked { fault: Some(fault), .. })) if was_just_asked => {
                Next::Use(Err(fault.clone()))
            }
            (None, _) => Next::Ask { meanwhile: None },
        }
    }

    fn take(&self, answer: Result<String, Fault>) -> Result<String, Fault> {
        let now = self.clock.monotonic();
        let mut known = self.known.lock();
        known.asked = Some(Asked { at: now, fault: answer.as_ref().err().cloned() });
        match (answer, known.key.clone()) {
            (Ok(key), _) => {
                (known.read_at, known.is_refused, known.is_stale) = (now, false, false);
                known.key = Some(key.clone());
                Ok(key)
            }
            (Err(fault), Some(old)) => {
                if !std::mem::replace(&mut known.is_stale, true) {
                    let secret = self.manager.secret();
                    tracing::warn!(%secret, error = %fault, "key not looked up again");
                }
                Ok(old)
            }
            (Err(fault), None) => Err(fault),
        }
    }
}
