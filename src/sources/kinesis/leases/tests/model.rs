//! Random troubles: whatever happens, no lease is held by two at a time, what was checkpointed is
//! never taken back, and once the troubles are over everything is read again.

use super::*;
use crate::sources::kinesis::CheckpointError;

const NAMES: [&str; 3] = ["a", "b", "c"];
const SHARDS: usize = 7;

struct World {
    seed: u64,
    server: Server,
    clock: Arc<dyn Clock>,
    random: fastrand::Rng,
    workers: BTreeMap<&'static str, Worker>,
    /// Those that are giving back what they hold. A name is one process's at a time.
    stopping: BTreeMap<&'static str, JoinHandle<()>>,
    /// The furthest checkpoint that was kept, by shard.
    kept: BTreeMap<String, u64>,
    next: u64,
    starts: u64,
}

impl World {
    fn start(&mut self, name: &'static str) {
        self.starts += 1;
        let seed = self.random.u64(..);
        let max = if self.random.u8(0..4) == 0 { 4 } else { usize::MAX };
        let worker = Worker::start(&self.server, name, max, self.clock.clone(), seed);
        let coordinator = worker.coordinator.clone();
        // In bad weather it may take some attempts.
        tokio::spawn(async move {
            while coordinator.sync(&shards(SHARDS), &Checkpoint::TrimHorizon).await.is_err() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        self.workers.insert(name, worker);
    }

    fn act(&mut self) {
        let name = NAMES[self.random.usize(..NAMES.len())];
        if self.stopping.get(name).is_some_and(|stopping| !stopping.is_finished()) {
            return;
        }
        let Some(worker) = self.workers.get(name) else { return self.start(name) };
        match self.random.u8(0..40) {
            0 => self.workers.remove(name).expect("it is there").kill(),
            // Whoever is frozen does not hear of it.
            1 if !worker.is_frozen.load(Ordering::SeqCst) => {
                let worker = self.workers.remove(name).expect("it is there");
                self.stopping.insert(name, tokio::spawn(worker.stop()));
            }
            2 | 3 => worker.is_frozen.store(true, Ordering::SeqCst),
            4..=9 => worker.is_frozen.store(false, Ordering::SeqCst),
            10 | 11 => worker.weather.lock().cut = true,
            12..=17 => *worker.weather.lock() = Weather::default(),
            18..=20 => {
                let weather = Weather {
                    loss: self.random.f64() * 0.5,
                    late_ms: self.random.u64(0..20_000),
                    ..Weather::default()
                };
                *worker.weather.lock() = weather;
            }
            _ => {}
        }
    }

    /// No lease is held by two.
    fn look(&self) {
        let mut holders: BTreeMap<String, &str> = BTreeMap::new();
        for (name, worker) in &self.workers {
            for id in worker.ids() {
                if let Some(other) = holders.insert(id.clone(), name) {
                    panic!("seed {}: {id} is held by {other} and {name}", self.seed);
                }
            }
        }
    }

    /// A source that holds a lease reads on and keeps how far it is.
    async fn read(&mut self) {
        let name = NAMES[self.random.usize(..NAMES.len())];
        let Some(worker) = self.workers.get(name) else { return };
        if worker.is_frozen.load(Ordering::SeqCst) {
            return;
        }
        let held: Vec<_> = worker.held().into_values().collect();
        let Some(held) = self.random.choice(held) else { return };
        let begin = match &held.checkpoint {
            Checkpoint::Sequence { number, .. } => number.parse().unwrap(),
            _ => 0,
        };
        // A holding begins where some checkpoint was kept, or one whose answer was lost.
        self.next += 1;
        assert!(begin < self.next);
        let kept = worker.coordinator.checkpoint(&held, &at(self.next)).await;
        if kept == Ok(()) {
            let before = self.kept.insert(held.shard_id.clone(), self.next);
            assert!(before.is_none_or(|before| before < self.next));
        } else if kept == Err(CheckpointError::Lost) {
            assert!(!worker.coordinator.holds(&held));
        }
    }

    /// No checkpoint was taken back.
    fn check_rows(&self) {
        for (id, kept) in &self.kept {
            let row = self.server.checkpoint(id).expect("leases of listed shards stay");
            let Checkpoint::Sequence { number, .. } = row else { panic!("{id} is at {row}") };
            assert!(number.parse::<u64>().unwrap() >= *kept, "{id} went back");
        }
    }
}

async fn run(seed: u64) {
    let mut world = World {
        seed,
        server: Server::default(),
        clock: Arc::new(TokioClock::default()),
        random: fastrand::Rng::with_seed(seed),
        workers: BTreeMap::new(),
        stopping: BTreeMap::new(),
        kept: BTreeMap::new(),
        next: 0,
        starts: 0,
    };
    for step in 0..6_000 {
        if step % 20 == 0 {
            world.act();
        }
        if world.random.u8(0..10) == 0 {
            world.read().await;
        }
        world.look();
        sleep(Duration::from_millis(world.random.u64(1..100))).await;
    }
    world.check_rows();
    assert!(world.starts > 3 && world.kept.len() == SHARDS, "seed {seed} does something");

    // Fair weather.
    for name in NAMES {
        if let Some(worker) = world.workers.remove(name) {
            worker.kill();
        }
    }
    for stopping in std::mem::take(&mut world.stopping).into_values() {
        stopping.await.unwrap();
    }
    for name in NAMES {
        world.start(name);
    }
    until("everything is read", || {
        world.look();
        world.workers.values().map(|worker| worker.held().len()).sum::<usize>() == SHARDS
    })
    .await;
    world.check_rows();
}

#[tokio::test(start_paused = true)]
async fn no_lease_is_held_by_two_whatever_happens() {
    for seed in 0..12 {
        run(seed).await;
    }
}
