//! What keeps a filter within bounds: steps, depth of the stack, and room to run in.
//!
//! jaq cannot be told to stop, but it asks the data of a run for its lookup table at every term
//! that it evaluates. That is where steps are counted and the stack is measured, and where a run
//! that is over its bound is unwound. Nothing of it outlives the run.

use std::{cell::Cell, panic};

use jaq_core::{DataT, Lut, data::HasLut};
use jaq_json::Val;

use crate::limits;

/// What jaq runs on: its values, and a table with a budget.
pub(super) struct Guarded;

impl DataT for Guarded {
    type V<'a> = Val;
    type Data<'a> = Data<'a>;
}

/// The table of a program with the budget of one run.
#[derive(Clone, Copy)]
pub(super) struct Data<'a> {
    pub(super) lut: &'a Lut<Guarded>,
    pub(super) budget: &'a Budget,
}

impl<'a> HasLut<'a, Guarded> for Data<'a> {
    fn lut(&self) -> &'a Lut<Guarded> {
        self.budget.step();
        self.lut
    }
}

/// Why a run was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Exhausted {
    #[error("the filter takes too many steps for a record of this size")]
    Steps,
    #[error("the filter recurses too deeply")]
    Stack,
}

/// What one run may use.
pub(super) struct Budget {
    steps: Cell<u64>,
    /// Where the stack was when the run began.
    base: usize,
    stack_bytes: usize,
}

impl Budget {
    pub(super) fn new(record_bytes: usize, room: Room) -> Self {
        let steps = limits::JQ_STEPS_BASE + limits::JQ_STEPS_PER_BYTE * record_bytes as u64;
        Self { steps: Cell::new(steps), base: here(), stack_bytes: room.stack_bytes }
    }

    /// Counts a step; unwinds at the last. `resume_unwind` calls no panic hook.
    pub(super) fn step(&self) {
        let Some(left) = self.steps.get().checked_sub(1) else {
            panic::resume_unwind(Box::new(Exhausted::Steps));
        };
        self.steps.set(left);
        if here().abs_diff(self.base) > self.stack_bytes {
            panic::resume_unwind(Box::new(Exhausted::Stack));
        }
    }
}

/// An address on the stack, as near to its end as makes no difference.
#[inline(never)]
fn here() -> usize {
    let local = 0u8;
    std::ptr::from_ref(std::hint::black_box(&local)).addr()
}

/// How much of the stack the evaluation of terms may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    stack_bytes: usize,
}

/// The stacks that are tried one after the other, and how much of each evaluating may use: where
/// the address space for the first is not to be had, a small one often is.
const STACKS: [(usize, usize); 2] = [
    (limits::JQ_STACK_BYTES, limits::JQ_STACK_OF_TERMS_BYTES),
    (limits::JQ_STACK_BYTES / 16, limits::JQ_STACK_OF_TERMS_BYTES / 16),
];
/// What evaluating may use of a stack that belongs to somebody else.
const BORROWED_STACK_BYTES: usize = limits::JQ_STACK_OF_TERMS_BYTES / 32;

/// Runs the work on a stack of [`limits::JQ_STACK_BYTES`], and waits for it. Memory is taken only
/// for what is used of it. Beyond what evaluating terms may use, it is for what recurses without
/// evaluating any: letting go of, comparing and printing nested values. Where there is no such
/// stack to be had, the work runs on a smaller one, and without any thread here, with less.
pub(super) fn with_room<T: Send>(work: impl FnOnce(Room) -> T + Send) -> T {
    on_first_of(&STACKS, work)
}

fn on_first_of<T: Send>(stacks: &[(usize, usize)], work: impl FnOnce(Room) -> T + Send) -> T {
    let work = std::sync::Mutex::new(Some(work));
    let run = &|stack_bytes: usize| {
        let room = Room { stack_bytes };
        let work = work.lock().expect("nothing runs under the lock").take();
        work.expect("it is run once")(room)
    };
    std::thread::scope(|scope| {
        for &(bytes, of_terms) in stacks {
            let builder = std::thread::Builder::new().name("jq".to_owned()).stack_size(bytes);
            if let Ok(thread) = builder.spawn_scoped(scope, move || run(of_terms)) {
                return thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
            }
        }
        run(BORROWED_STACK_BYTES)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than there are addresses.
    const TOO_LARGE: (usize, usize) = (1 << 60, 1);

    #[test]
    fn without_a_large_stack_a_small_one_serves_and_then_the_callers() {
        let place = |room: Room| (room.stack_bytes, std::thread::current().id());
        let here = std::thread::current().id();
        let (bytes, thread) = on_first_of(&[TOO_LARGE, STACKS[1]], place);
        assert_eq!(bytes, 1 << 20);
        assert_ne!(thread, here);
        assert_eq!(on_first_of(&[TOO_LARGE, TOO_LARGE], place), (BORROWED_STACK_BYTES, here));
    }
}
