use super::*;
use crate::{
    env::{Files, ManualClock, sim::SimFiles},
    replay::kind::Kind,
};

struct World {
    files: Arc<SimFiles>,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        let files = Arc::new(SimFiles::new(7));
        files.create_dir_all(Path::new("/s")).unwrap();
        Self { files, clock: Arc::new(ManualClock::at(1_000_000_000)) }
    }

    fn open(&self, purpose: &str) -> Result<State, StateError> {
        let env = Env { clock: self.clock.clone(), files: self.files.clone() };
        State::open(&env, Path::new("/s/state"), purpose)
    }

    /// A run that begins an hour later.
    fn next_run(&self) -> State {
        self.clock.advance(Duration::from_secs(3600));
        self.open("p").unwrap()
    }
}

fn id(byte: u8) -> Digest {
    [byte; 16]
}

fn line(ended_ms: Option<i64>) -> FailedLine {
    FailedLine {
        kind: Kind::Splunk,
        raw: "x".into(),
        code: "c".into(),
        message: "m".into(),
        attempts: 1,
        arrival_ms: None,
        ended_ms,
        details: Vec::new(),
        ordinal: 0,
        line: 1,
    }
}

fn finished(byte: u8, whole: bool) -> Changes {
    Changes { finished: vec![(id(byte), format!("k{byte}"), whole)], ..Changes::default() }
}

fn partly(byte: u8, records: u64, left: u64) -> Changes {
    Changes { partly: vec![(id(byte), Progress { records, left })], ..Changes::default() }
}

#[test]
fn what_was_settled_is_known_to_the_next_run() {
    let world = World::new();
    let mut state = world.open("p").unwrap();
    state.commit(&partly(1, 10, 1)).unwrap();
    state.commit(&partly(2, 20, 0)).unwrap();
    state.commit(&finished(1, false)).unwrap();
    state.commit(&finished(3, true)).unwrap();
    drop(state);
    for _ in 0..3 {
        let state = world.next_run();
        assert_eq!(state.finished(&id(1)), Some(false));
        assert_eq!(state.finished(&id(3)), Some(true));
        assert_eq!(state.finished(&id(2)), None);
        assert_eq!(state.progress(&id(2)), Progress { records: 20, left: 0 });
        assert_eq!(state.progress(&id(1)), Progress::default());
    }
}

#[test]
fn objects_that_are_gone_are_forgotten() {
    let world = World::new();
    let mut state = world.open("p").unwrap();
    state.commit(&finished(1, true)).unwrap();
    state.commit(&finished(2, true)).unwrap();
    state.forget(&id(1)).unwrap();
    state.commit(&finished(3, true)).unwrap();
    assert_eq!(state.finished(&id(1)), None);
    drop(state);
    let state = world.next_run();
    let known = [1, 2, 3].map(|byte| state.finished(&id(byte)));
    assert_eq!(known, [None, Some(true), Some(true)]);
    let text = String::from_utf8(world.files.read(Path::new("/s/state")).unwrap()).unwrap();
    assert!(!text.contains("k1") && text.contains("k2") && !text.contains("gone"), "{text}");
}

#[test]
fn a_file_of_something_else_is_left_alone() {
    let world = World::new();
    drop(world.open("p").unwrap());
    assert!(matches!(world.open("q"), Err(StateError::Purpose { found, .. }) if found == "p"));
    world.files.replace(Path::new("/s/state"), b"some notes\n").unwrap();
    assert!(matches!(world.open("p"), Err(StateError::Foreign { .. })));
    assert_eq!(world.files.read(Path::new("/s/state")).unwrap(), b"some notes\n");
}

#[test]
fn a_crash_leaves_finished_objects_finished() {
    for seed in 0..50 {
        let world = World { files: Arc::new(SimFiles::new(seed)), ..World::new() };
        world.files.create_dir_all(Path::new("/s")).unwrap();
        world.files.sync_dir(Path::new("/")).unwrap();
        let mut state = world.open("p").unwrap();
        state.commit(&finished(1, true)).unwrap();
        state.commit(&partly(2, 5, 0)).unwrap();
        state.commit(&partly(2, 9, 0)).unwrap();
        drop(state);
        world.files.crash();
        let mut state = world.open("p").unwrap();
        assert_eq!(state.finished(&id(1)), Some(true), "seed {seed}");
        // Not synced: any earlier state may be left.
        assert!([0, 5, 9].contains(&state.progress(&id(2)).records), "seed {seed}");
        state.commit(&finished(2, true)).unwrap();
        drop(state);
        world.files.crash();
        assert_eq!(world.open("p").unwrap().finished(&id(2)), Some(true), "seed {seed}");
    }
}

#[test]
fn a_torn_line_is_cut_off_and_written_behind() {
    let world = World::new();
    let mut state = world.open("p").unwrap();
    state.commit(&finished(1, true)).unwrap();
    drop(state);
    let path = Path::new("/s/state");
    let mut text = world.files.read(path).unwrap();
    text.extend_from_slice(b"{\"finished\":\"0202");
    world.files.replace(path, &text).unwrap();
    let mut state = world.open("p").unwrap();
    assert_eq!(state.finished(&id(1)), Some(true));
    state.commit(&finished(3, true)).unwrap();
    drop(state);
    let state = world.open("p").unwrap();
    assert_eq!((state.finished(&id(1)), state.finished(&id(3))), (Some(true), Some(true)));
}

/// Hands a record on and writes it down.
fn hand_on(state: &mut State, record: Digest, line: &FailedLine) {
    let records = state.count(record, line).into_iter().collect();
    state.commit(&Changes { records, ..Changes::default() }).unwrap();
}

#[test]
fn a_record_that_comes_back_is_counted_across_runs() {
    let world = World::new();
    let record = digest_of(b"x\n");
    assert_eq!(record, digest_of(b"x"), "streams add line breaks");
    let mut state = world.open("p").unwrap();
    for round in 0..5 {
        // It failed half an hour after the run before this one.
        let line = line(Some(world.clock.now_ms() - 1_800_000));
        assert_eq!(state.returns(&record, &line), round);
        hand_on(&mut state, record, &line);
        drop(state);
        state = world.next_run();
    }
}

#[test]
fn the_same_record_written_twice_has_not_come_back() {
    let world = World::new();
    let record = digest_of(b"heartbeat");
    // All of them failed long before the first run.
    let line = line(Some(world.clock.now_ms() - 86_400_000));
    let mut state = world.open("p").unwrap();
    for _ in 0..4 {
        for _ in 0..3 {
            assert_eq!(state.returns(&record, &line), 0);
            hand_on(&mut state, record, &line);
        }
        drop(state);
        state = world.next_run();
    }
}

#[test]
fn within_a_run_nothing_comes_back() {
    let world = World::new();
    let record = digest_of(b"x");
    let mut state = world.open("p").unwrap();
    let now = line(Some(world.clock.now_ms() + 10));
    hand_on(&mut state, record, &now);
    assert_eq!(state.returns(&record, &now), 0);
    drop(state);
    // Without any time it is taken for one that has.
    assert_eq!(world.next_run().returns(&record, &line(None)), 1);
}

#[test]
fn old_replays_are_forgotten() {
    let world = World::new();
    let record = digest_of(b"x");
    let mut state = world.open("p").unwrap();
    hand_on(&mut state, record, &line(None));
    drop(state);
    world.clock.advance(limits::REPLAY_REMEMBERED_FOR);
    assert_eq!(world.next_run().returns(&record, &line(None)), 0);
}

#[test]
fn an_object_is_known_by_all_that_it_is() {
    let object = Object {
        bucket: "b".into(),
        key: "k".into(),
        size_bytes: 1,
        modified_ms: 2,
        etag: "e".into(),
    };
    let others = [
        Object { bucket: "c".into(), ..object.clone() },
        Object { key: "l".into(), ..object.clone() },
        Object { size_bytes: 2, ..object.clone() },
        Object { modified_ms: 3, ..object.clone() },
        Object { etag: "f".into(), ..object.clone() },
    ];
    assert_eq!(id_of(&object, false), id_of(&object.clone(), false));
    assert_ne!(id_of(&object, false), id_of(&object, true));
    for other in others {
        assert_ne!(id_of(&object, false), id_of(&other, false), "{other:?}");
    }
}
