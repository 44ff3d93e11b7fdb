//! A stream in memory, its readers, and a coordinator: what the source is held against.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::super::{
    Batch, Checkpoint, CheckpointError, Coordinator, Held, ReadError, ReaderFactory, Shard,
    ShardReader, StoredRecord, StreamInfo, client::Listing,
};

/// Records that one read gives at the most.
const PER_READ: usize = 2;
/// How long a reader that is caught up waits.
const IDLE: Duration = Duration::from_secs(1);

/// A stream: shards with records, numbered through over all shards.
#[derive(Default)]
pub struct World {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shards: BTreeMap<String, WorldShard>,
    next_number: u64,
    /// Where readers were opened.
    opened: Vec<(String, String)>,
    /// Errors that the next reads give.
    errors: Vec<ReadError>,
    stream_is_gone: bool,
}

struct WorldShard {
    shard: Shard,
    records: Vec<StoredRecord>,
    children: Vec<String>,
}

impl World {
    pub fn with(shards: &[&str]) -> Arc<Self> {
        let world = Arc::new(Self::default());
        world.state.lock().next_number = 100;
        for id in shards {
            world.add(id, &[]);
        }
        world
    }

    fn add(&self, id: &str, parents: &[&str]) {
        let shard = Shard {
            id: id.to_owned(),
            parents: parents.iter().map(|&parent| parent.to_owned()).collect(),
            hash_range: (0, u128::MAX),
            closed: false,
        };
        let shard = WorldShard { shard, records: Vec::new(), children: Vec::new() };
        self.state.lock().shards.insert(id.to_owned(), shard);
    }

    /// A producer's record.
    pub fn put(&self, shard: &str, data: &str) {
        let mut state = self.state.lock();
        state.next_number += 1;
        let record = StoredRecord {
            sequence_number: state.next_number.to_string(),
            partition_key: "p".into(),
            arrival_ms: 1000 + state.next_number as i64,
            data: Bytes::copy_from_slice(data.as_bytes()),
        };
        state.shards.get_mut(shard).unwrap().records.push(record);
    }

    /// Closes shards; `children` follow them.
    pub fn reshard(&self, parents: &[&str], children: &[&str]) {
        for child in children {
            self.add(child, parents);
        }
        let mut state = self.state.lock();
        for parent in parents {
            let parent = state.shards.get_mut(*parent).unwrap();
            parent.shard.closed = true;
            parent.children = children.iter().map(|&child| child.to_owned()).collect();
        }
    }

    /// Retention has deleted it.
    pub fn remove(&self, shard: &str) {
        self.state.lock().shards.remove(shard);
    }

    pub fn fail_next(&self, errors: impl IntoIterator<Item = ReadError>) {
        self.state.lock().errors.extend(errors);
    }

    pub fn set_stream_gone(&self, gone: bool) {
        self.state.lock().stream_is_gone = gone;
    }

    /// Where readers were opened, by shard.
    pub fn opened(&self) -> Vec<(String, String)> {
        self.state.lock().opened.clone()
    }
}

#[async_trait]
impl Listing for World {
    async fn describe(&self) -> Result<StreamInfo, ReadError> {
        let arn = Some("arn:aws:kinesis:eu-west-1:1:stream/s".to_owned());
        Ok(StreamInfo { arn, status: "ACTIVE".into(), retention_hours: Some(24) })
    }

    async fn list_shards(&self) -> Result<Vec<Shard>, ReadError> {
        let state = self.state.lock();
        if state.stream_is_gone {
            return Err(ReadError::Gone("ListShards: no such stream".into()));
        }
        Ok(state.shards.values().map(|shard| shard.shard.clone()).collect())
    }
}

/// Readers of a world.
pub struct WorldReaders(pub Arc<World>);

impl ReaderFactory for WorldReaders {
    fn open(&self, shard_id: &str, from: &Checkpoint, timestamp_ms: i64) -> Box<dyn ShardReader> {
        let mut state = self.0.state.lock();
        let text = match from {
            Checkpoint::AtTimestamp => format!("{from} {timestamp_ms}"),
            _ => from.to_string(),
        };
        state.opened.push((shard_id.to_owned(), text));
        let records = state.shards.get(shard_id).map(|shard| &shard.records[..]);
        let records = records.unwrap_or_default();
        let behind = |number: &str| number.parse::<u64>().unwrap();
        let before = |record: &StoredRecord| match from {
            Checkpoint::TrimHorizon => false,
            Checkpoint::Latest | Checkpoint::ShardEnd => true,
            Checkpoint::AtTimestamp => record.arrival_ms < timestamp_ms,
            Checkpoint::Sequence { number, whole, .. } => {
                let (record, at) = (behind(&record.sequence_number), behind(number));
                record < at || (*whole && record == at)
            }
        };
        let at = records.iter().take_while(|record| before(record)).count();
        Box::new(WorldReader { world: self.0.clone(), shard: shard_id.to_owned(), at })
    }
}

struct WorldReader {
    world: Arc<World>,
    shard: String,
    at: usize,
}

impl WorldReader {
    fn read(&mut self) -> Result<Option<Batch>, ReadError> {
        let mut state = self.world.state.lock();
        if !state.errors.is_empty() {
            return Err(state.errors.remove(0));
        }
        if state.stream_is_gone {
            return Err(ReadError::Gone("GetRecords: no such stream".into()));
        }
        let Some(shard) = state.shards.get(&self.shard) else {
            return Err(ReadError::Gone("GetShardIterator: no such shard".into()));
        };
        let end = shard.records.len().min(self.at + PER_READ);
        let records = shard.records[self.at..end].to_vec();
        self.at = end;
        let is_last = shard.shard.closed && end == shard.records.len();
        let ended = is_last.then(|| {
            let parents = vec![self.shard.clone()];
            shard.children.iter().map(|child| (child.clone(), parents.clone())).collect()
        });
        let millis_behind_latest = 1000 * (shard.records.len() - end) as i64;
        let idle = records.is_empty() && ended.is_none();
        let batch = Batch { records, continuation: None, millis_behind_latest, ended };
        Ok((!idle).then_some(batch))
    }
}

#[async_trait]
impl ShardReader for WorldReader {
    async fn next(&mut self) -> Result<Batch, ReadError> {
        match self.read()? {
            Some(batch) => Ok(batch),
            None => {
                tokio::time::sleep(IDLE).await;
                Ok(Batch::default())
            }
        }
    }
}

/// Holds what it is told to, parents before children. Its leases outlive a run of the source.
pub struct TestCoordinator {
    leases: Mutex<BTreeMap<String, Lease>>,
    held: watch::Sender<Arc<BTreeMap<String, Held>>>,
    told: Mutex<Vec<(String, String)>>,
    followed: Mutex<BTreeMap<String, Vec<String>>>,
    pub runs_ended: watch::Sender<usize>,
}

#[derive(Clone)]
struct Lease {
    checkpoint: Checkpoint,
    parents: Vec<String>,
    since_ms: Option<i64>,
    holding: u64,
    is_ours: bool,
}

impl TestCoordinator {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            leases: Mutex::default(),
            held: watch::Sender::default(),
            told: Mutex::default(),
            followed: Mutex::default(),
            runs_ended: watch::Sender::default(),
        })
    }

    fn show(&self, leases: &BTreeMap<String, Lease>) {
        let over = |id: &String| {
            leases.get(id).is_none_or(|lease| lease.checkpoint == Checkpoint::ShardEnd)
        };
        let held = leases
            .iter()
            .filter(|(id, lease)| lease.is_ours && !over(id) && lease.parents.iter().all(over));
        let held = held.map(|(id, lease)| {
            let Lease { checkpoint, parents, since_ms, holding, .. } = lease.clone();
            let (shard_id, is_new) = (id.clone(), true);
            (id.clone(), Held { shard_id, checkpoint, parents, since_ms, is_new, holding })
        });
        self.held.send_replace(Arc::new(held.collect()));
    }

    /// Another replica takes the lease, and leaves it with this checkpoint.
    pub fn lose(&self, shard: &str, checkpoint: Option<&str>) {
        let mut leases = self.leases.lock();
        let lease = leases.get_mut(shard).unwrap();
        lease.is_ours = false;
        lease.holding += 1;
        if let Some(checkpoint) = checkpoint {
            lease.checkpoint = Checkpoint::parse(checkpoint).unwrap();
        }
        self.show(&leases);
    }

    /// Another replica takes the lease, and the watch does not tell yet.
    pub fn lose_silently(&self, shard: &str) {
        let mut leases = self.leases.lock();
        let lease = leases.get_mut(shard).unwrap();
        lease.is_ours = false;
        lease.holding += 1;
    }

    /// The row tells since when it is there.
    pub fn note_since(&self, shard: &str, since_ms: i64) {
        self.leases.lock().get_mut(shard).unwrap().since_ms = Some(since_ms);
    }

    /// The lease comes back.
    pub fn take(&self, shard: &str) {
        let mut leases = self.leases.lock();
        let lease = leases.get_mut(shard).unwrap();
        lease.is_ours = true;
        lease.holding += 1;
        self.show(&leases);
    }

    pub fn checkpoint_of(&self, shard: &str) -> Option<String> {
        self.leases.lock().get(shard).map(|lease| lease.checkpoint.to_string())
    }

    /// What follows a shard, as it was told before the shard's end.
    pub fn followed(&self, shard: &str) -> Option<Vec<String>> {
        self.followed.lock().get(shard).cloned()
    }

    /// What it was told, in order.
    pub fn told(&self) -> Vec<(String, String)> {
        self.told.lock().clone()
    }
}

#[async_trait]
impl Coordinator for TestCoordinator {
    async fn sync(&self, shards: &[Shard], initial: &Checkpoint) -> Result<(), CheckpointError> {
        let mut leases = self.leases.lock();
        let by_id: BTreeMap<_, _> = shards.iter().map(|shard| (&shard.id, shard)).collect();
        fn descends(
            shard: &Shard,
            by_id: &BTreeMap<&String, &Shard>,
            known: &BTreeMap<String, Lease>,
        ) -> bool {
            shard.parents.iter().any(|parent| {
                known.contains_key(parent)
                    || by_id.get(parent).is_some_and(|parent| descends(parent, by_id, known))
            })
        }
        let known = leases.clone();
        for shard in shards.iter().filter(|shard| !known.contains_key(&shard.id)) {
            let checkpoint = match descends(shard, &by_id, &known) {
                true => Checkpoint::TrimHorizon,
                // What was closed before the beginning holds nothing of what comes in from now on.
                false if shard.closed && *initial == Checkpoint::Latest => continue,
                false => initial.clone(),
            };
            let parents = shard.parents.clone();
            let lease = Lease { checkpoint, parents, since_ms: None, holding: 1, is_ours: true };
            leases.insert(shard.id.clone(), lease);
        }
        self.show(&leases);
        Ok(())
    }

    fn held(&self) -> watch::Receiver<Arc<BTreeMap<String, Held>>> {
        self.held.subscribe()
    }

    fn followed_by(&self, held: &Held, children: &[String]) {
        assert_ne!(self.checkpoint_of(&held.shard_id).as_deref(), Some("SHARD_END"), "too late");
        self.followed.lock().insert(held.shard_id.clone(), children.to_vec());
    }

    async fn checkpoint(&self, held: &Held, to: &Checkpoint) -> Result<(), CheckpointError> {
        let mut leases = self.leases.lock();
        let lease = leases.get_mut(&held.shard_id).unwrap();
        if !lease.is_ours || lease.holding != held.holding {
            return Err(CheckpointError::Lost);
        }
        lease.checkpoint = to.clone();
        self.told.lock().push((held.shard_id.clone(), to.to_string()));
        self.show(&leases);
        Ok(())
    }

    async fn run(&self, stop: CancellationToken) {
        stop.cancelled().await;
        self.runs_ended.send_modify(|runs| *runs += 1);
    }
}
