//! Places against a model that is simple enough to be believed.

use std::{
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
};

use futures::task::{ArcWake, waker};
use proptest::prelude::*;

use super::*;

type Taking = Pin<Box<dyn Future<Output = Place> + Send>>;

fn taking(places: &Arc<Places>) -> Taking {
    let places = places.clone();
    Box::pin(async move { places.take().await })
}

fn poll(taking: &mut Taking) -> Option<Place> {
    match taking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(place) => Some(place),
        Poll::Pending => None,
    }
}

/// What happens to the places. Numbers pick among those there are.
#[derive(Debug, Clone)]
enum Step {
    Arrive,
    /// Who waits goes away, whether or not a place was handed over meanwhile.
    GoAway(usize),
    Leave(usize, Outcome),
    /// An attempt is dropped.
    Vanish(usize),
    /// Everybody who was handed a place learns of it.
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Served),
        1 => Just(Outcome::Strained),
        1 => Just(Outcome::Untold),
    ];
    prop_oneof![
        5 => Just(Step::Arrive),
        1 => any::<usize>().prop_map(Step::GoAway),
        4 => (any::<usize>(), outcome).prop_map(|(n, outcome)| Step::Leave(n, outcome)),
        1 => any::<usize>().prop_map(Step::Vanish),
        2 => Just(Step::Look),
    ]
}

/// The model: who has a place and who waits, by number of arrival.
struct Model {
    most: usize,
    limit: usize,
    lowered: u64,
    served: usize,
    /// Number, times lowered at the start, whether the last free place was taken.
    placed: Vec<(usize, u64, bool)>,
    waiting: Vec<usize>,
}

impl Model {
    fn fill(&mut self) {
        while self.placed.len() < self.limit && !self.waiting.is_empty() {
            let number = self.waiting.remove(0);
            let was_last = self.placed.len() + 1 == self.limit;
            self.placed.push((number, self.lowered, was_last));
        }
    }

    fn arrive(&mut self, number: usize) {
        self.waiting.push(number);
        self.fill();
    }

    fn end(&mut self, number: usize, outcome: Outcome) {
        if let Some(at) = self.placed.iter().position(|placed| placed.0 == number) {
            let (_, lowered, was_last) = self.placed.remove(at);
            if outcome == Outcome::Strained && lowered == self.lowered {
                (self.limit, self.lowered, self.served) =
                    ((self.limit / 2).max(1), self.lowered + 1, 0);
            }
            if outcome == Outcome::Served && lowered == self.lowered && was_last {
                self.served += 1;
                if self.served == self.limit {
                    (self.limit, self.served) = ((self.limit + 1).min(self.most), 0);
                }
            }
        }
        self.waiting.retain(|&waiting| waiting != number);
        self.fill();
    }
}

/// The real places, with who is where.
struct World {
    places: Arc<Places>,
    inside: Vec<(usize, Place)>,
    outside: Vec<(usize, Taking)>,
}

impl World {
    fn look(&mut self) {
        for (number, mut taking) in std::mem::take(&mut self.outside) {
            match poll(&mut taking) {
                Some(place) => self.inside.push((number, place)),
                None => self.outside.push((number, taking)),
            }
        }
    }
}

fn play(most: usize, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let places = Arc::new(Places::new(most, true));
    let mut world = World { places: places.clone(), inside: vec![], outside: vec![] };
    let limit = most.min(ATTEMPTS_AT_FIRST);
    let mut model = Model { most, limit, lowered: 0, served: 0, placed: vec![], waiting: vec![] };
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Arrive => {
                model.arrive(number);
                let mut taking = taking(&world.places);
                match poll(&mut taking) {
                    Some(place) => world.inside.push((number, place)),
                    None => world.outside.push((number, taking)),
                }
            }
            Step::GoAway(pick) if !world.outside.is_empty() => {
                let (number, taking) = world.outside.remove(pick % world.outside.len());
                model.end(number, Outcome::Untold);
                drop(taking);
            }
            Step::Leave(pick, outcome) if !world.inside.is_empty() => {
                let (number, place) = world.inside.remove(pick % world.inside.len());
                model.end(number, outcome);
                place.leave(outcome);
            }
            Step::Vanish(pick) if !world.inside.is_empty() => {
                let (number, place) = world.inside.remove(pick % world.inside.len());
                model.end(number, Outcome::Untold);
                drop(place);
            }
            Step::Look => {
                world.look();
                let mut inside: Vec<_> = world.inside.iter().map(|(number, _)| *number).collect();
                let mut placed: Vec<_> = model.placed.iter().map(|placed| placed.0).collect();
                inside.sort_unstable();
                placed.sort_unstable();
                prop_assert_eq!(inside, placed);
                let outside: Vec<_> = world.outside.iter().map(|(number, _)| *number).collect();
                prop_assert_eq!(&outside, &model.waiting);
            }
            Step::GoAway(_) | Step::Leave(..) | Step::Vanish(_) => {}
        }
        prop_assert_eq!(places.limit(), model.limit);
        prop_assert_eq!(places.state.lock().taken, model.placed.len());
        prop_assert!((1..=most).contains(&model.limit));
    }
    world.inside.clear();
    world.look();
    world.inside.clear();
    drop(world);
    prop_assert_eq!(places.state.lock().taken, 0);
    Ok(())
}

proptest! {
    #[test]
    fn places_do_as_the_model_does(
        most in 1_usize..12,
        steps in proptest::collection::vec(step(), 0..300),
    ) {
        play(most, steps)?;
    }
}

/// Keeps the destination busy with as many attempts as there is room for, each with this outcome.
fn round(places: &Arc<Places>, outcome: Outcome) {
    let mut inside = Vec::new();
    while let Some(place) = poll(&mut taking(places)) {
        inside.push(place);
    }
    for place in inside {
        place.leave(outcome);
    }
}

#[test]
fn a_burst_of_failures_is_one_piece_of_news() {
    let places = Arc::new(Places::new(64, true));
    let mut limits = vec![places.limit()];
    for outcome in [Outcome::Strained, Outcome::Strained, Outcome::Strained] {
        round(&places, outcome);
        limits.push(places.limit());
    }
    assert_eq!(limits, [4, 2, 1, 1]);
}

#[test]
fn the_limit_grows_to_the_most_and_only_under_pressure() {
    let places = Arc::new(Places::new(6, true));
    for _ in 0..100 {
        // One at a time says nothing of how many more there might be.
        poll(&mut taking(&places)).unwrap().leave(Outcome::Served);
    }
    assert_eq!(places.limit(), 4);
    let mut rounds = 0;
    while places.limit() < 6 {
        round(&places, Outcome::Served);
        rounds += 1;
        assert!(rounds < 100);
    }
    for _ in 0..100 {
        round(&places, Outcome::Served);
    }
    assert_eq!(places.limit(), 6);
}

#[test]
fn a_fixed_number_of_places_learns_nothing() {
    let places = Arc::new(Places::new(3, false));
    for outcome in [Outcome::Strained, Outcome::Served, Outcome::Untold] {
        for _ in 0..10 {
            round(&places, outcome);
        }
        assert_eq!(places.limit(), 3);
    }
    assert_eq!(Places::new(0, false).limit(), 1, "none at all would wait for ever");
}

struct Counted(AtomicUsize);

impl ArcWake for Counted {
    fn wake_by_ref(woken: &Arc<Self>) {
        woken.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn who_waits_is_woken_and_in_order() {
    let places = Arc::new(Places::new(1, false));
    let first = poll(&mut taking(&places)).unwrap();
    let woken: Vec<_> = (0..3).map(|_| Arc::new(Counted(AtomicUsize::new(0)))).collect();
    let mut waiting: Vec<_> = (0..3).map(|_| taking(&places)).collect();
    for (taking, counted) in waiting.iter_mut().zip(&woken) {
        let waker = waker(counted.clone());
        assert!(taking.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    let wakes = || woken.iter().map(|counted| counted.0.load(Ordering::SeqCst)).collect::<Vec<_>>();
    first.leave(Outcome::Served);
    assert_eq!(wakes(), [1, 0, 0]);
    // It was handed the place, and goes away before it knows.
    drop(waiting.remove(0));
    assert_eq!(wakes(), [1, 1, 0]);
    poll(&mut waiting[0]).unwrap().leave(Outcome::Served);
    assert_eq!(wakes(), [1, 1, 1]);
}
