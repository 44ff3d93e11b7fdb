//! Places for attempts, first come, first served. Their number is fixed, or follows what the
//! destination bears, as TCP finds its window: one more after a round of successes, half as many
//! when there is trouble.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::limits::ATTEMPTS_AT_FIRST;

/// What an attempt told about the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did its work.
    Served,
    /// It had too much to do, or was not there.
    Strained,
    /// Nothing of either.
    Untold,
}

/// The places of one destination.
pub struct Places {
    most: usize,
    adaptive: bool,
    state: Mutex<State>,
}

struct State {
    limit: usize,
    taken: usize,
    /// Who waits, in the order of arrival. A place is handed over by sending it.
    waiting: VecDeque<oneshot::Sender<Place>>,
    /// Times that the limit was lowered.
    lowered: u64,
    /// Successes since the limit last changed, of attempts that took the last free place.
    served: usize,
}

impl Places {
    /// `most` places from the start; or, if they adapt, a few at first and `most` in the end.
    pub fn new(most: usize, adaptive: bool) -> Self {
        let most = most.max(1);
        let limit = if adaptive { most.min(ATTEMPTS_AT_FIRST) } else { most };
        let waiting = VecDeque::new();
        let state = State { limit, taken: 0, waiting, lowered: 0, served: 0 };
        Self { most, adaptive, state: Mutex::new(state) }
    }

    pub fn limit(&self) -> usize {
        self.state.lock().limit
    }

    /// Waits for a place. Dropping the future leaves the queue, and gives back a place that it was
    /// just given.
    pub async fn take(self: &Arc<Self>) -> Place {
        let handed = {
            let mut state = self.state.lock();
            // Those who went away while waiting would pile up before a destination that hangs.
            state.waiting.retain(|waiter| !waiter.is_closed());
            if state.taken < state.limit && state.waiting.is_empty() {
                return self.place(&mut state);
            }
            let (hand, handed) = oneshot::channel();
            state.waiting.push_back(hand);
            handed
        };
        handed.await.expect("a waiter stays in the queue until it is handed a place")
    }

    fn place(self: &Arc<Self>, state: &mut State) -> Place {
        state.taken += 1;
        let was_last = state.taken >= state.limit;
        Place {
            places: Some(self.clone()),
            lowered: state.lowered,
            was_last,
            outcome: Outcome::Untold,
        }
    }

    /// Takes back a place, learns from its outcome, and hands out what is free now.
    fn release(self: &Arc<Self>, place: &Place) {
        let mut state = self.state.lock();
        state.taken -= 1;
        if self.adaptive {
            state.learn(place, self.most);
        }
        while state.taken < state.limit
            && let Some(waiter) = state.waiting.pop_front()
        {
            let next = self.place(&mut state);
            if let Err(mut next) = waiter.send(next) {
                // It went away. Dropping the place as it is would come back here, under this lock.
                state.taken -= 1;
                next.places = None;
            }
        }
    }
}

impl State {
    fn learn(&mut self, place: &Place, most: usize) {
        // Attempts from before the limit was lowered tell of the old limit: a burst of failures
        // is one piece of news, and so are the last successes before it.
        let is_of_this_limit = place.lowered == self.lowered;
        match place.outcome {
            Outcome::Strained if is_of_this_limit => {
                self.limit = (self.limit / 2).max(1);
                self.lowered += 1;
                self.served = 0;
            }
            // Where there was room for more, a success does not say that more would do.
            Outcome::Served if is_of_this_limit && place.was_last => {
                self.served += 1;
                if self.served >= self.limit {
                    self.limit = (self.limit + 1).min(most);
                    self.served = 0;
                }
            }
            Outcome::Strained | Outcome::Served | Outcome::Untold => {}
        }
    }
}

/// A place for one attempt. Dropping it gives it back.
pub struct Place {
    /// `None` once there is nothing to give back.
    places: Option<Arc<Places>>,
    /// [`State::lowered`] when it was taken.
    lowered: u64,
    /// Whether it was the last free one.
    was_last: bool,
    outcome: Outcome,
}

impl Place {
    /// Gives it back with what was learned.
    pub fn leave(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(places) = self.places.take() {
            places.release(self);
        }
    }
}

#[cfg(test)]
mod tests;
