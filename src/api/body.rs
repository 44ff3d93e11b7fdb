//! Receiving a body: bounded in size, in memory over all connections, and in time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::limits::ServerLimits;
use crate::{
    limits::DRAIN_BYTES_MAX,
    net::sigv4::{BodyHash, BodyHasher},
};

/// How often the pace of a silent body is looked at, for it depends on who else waits.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A body that has arrived. Its share of the memory is given back when this is dropped.
pub struct Received {
    pub bytes: Bytes,
    pub hash: BodyHash,
    /// CRC-32C.
    pub checksum: u32,
    _memory: OwnedSemaphorePermit,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is larger than {max} bytes")]
    TooLarge { max: usize },
    #[error("the body came too slowly")]
    TooSlow,
    #[error("the body ended early")]
    Broken,
}

/// The memory that all bodies share.
pub struct Bodies {
    memory: Arc<Semaphore>,
    /// Requests that wait for memory.
    waiting: AtomicUsize,
    limits: ServerLimits,
}

impl Bodies {
    pub fn new(limits: ServerLimits) -> Self {
        let memory = Arc::new(Semaphore::new(limits.bodies_in_memory_bytes));
        Self { memory, waiting: AtomicUsize::new(0), limits }
    }

    /// Reads a body of at most `max` bytes. Memory is taken first: for the declared length, or
    /// for `max` where none is declared.
    pub async fn read<B>(&self, mut body: B, max: usize) -> Result<Received, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let declared = declared_length(&body);
        if declared.is_some_and(|length| length > max as u64) {
            return Err(BodyError::TooLarge { max });
        }
        let declared = declared.map(|length| length as usize);
        let mut memory = self.take(declared.unwrap_or(max)).await;
        let mut hasher = BodyHasher::default();
        let mut checksum = 0;
        let mut pieces = Pieces::expecting(declared);
        let started = Instant::now();
        while let Some(piece) = self.next(&mut body, started, pieces.len()).await? {
            if pieces.len() + piece.len() > max {
                return Err(BodyError::TooLarge { max });
            }
            hasher.update(&piece);
            checksum = crc32c::crc32c_append(checksum, &piece);
            pieces.push(piece);
        }
        let bytes = pieces.finish();
        // Where no length was declared, most of the memory taken is not needed.
        drop(memory.split(memory.num_permits().saturating_sub(bytes.len())));
        Ok(Received { bytes, hash: hasher.finish(), checksum, _memory: memory })
    }

    async fn take(&self, bytes: usize) -> OwnedSemaphorePermit {
        let permits = bytes.min(self.limits.bodies_in_memory_bytes) as u32;
        if let Ok(memory) = self.memory.clone().try_acquire_many_owned(permits) {
            return memory;
        }
        let _waiting = Waiting::new(&self.waiting);
        let memory = self.memory.clone().acquire_many_owned(permits).await;
        memory.expect("the semaphore is never closed")
    }

    /// The next piece, `None` at the end.
    async fn next<B>(
        &self,
        body: &mut B,
        started: Instant,
        received: usize,
    ) -> Result<Option<Bytes>, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let asked = Instant::now();
        loop {
            let wait = LOOK_INTERVAL.min(self.limits.header_timeout).min(self.limits.body_grace);
            match timeout(wait, body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(BodyError::Broken),
                // Trailers carry nothing for us.
                Ok(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data() {
                        self.check_pace(started, received + piece.len())?;
                        return Ok(Some(piece));
                    }
                }
                Err(_) => {
                    self.check_pace(started, received)?;
                    if asked.elapsed() >= self.limits.header_timeout {
                        return Err(BodyError::TooSlow);
                    }
                }
            }
        }
    }

    fn check_pace(&self, started: Instant, received: usize) -> Result<(), BodyError> {
        let elapsed = started.elapsed();
        let is_crowded = self.waiting.load(Ordering::Relaxed) > 0;
        let pace = if is_crowded {
            self.limits.body_bytes_per_s_crowded
        } else {
            self.limits.body_bytes_per_s
        };
        let is_slow = (received as f64) < elapsed.as_secs_f64() * pace as f64;
        if elapsed > self.limits.body_grace && is_slow {
            return Err(BodyError::TooSlow);
        }
        Ok(())
    }
}

/// Counts a waiting request for as long as it waits, also if its client goes away meanwhile.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What has arrived: a body in one piece is never copied.
enum Pieces {
    Expecting(usize),
    One(Bytes),
    Many(BytesMut),
}

impl Pieces {
    fn expecting(declared: Option<usize>) -> Self {
        Self::Expecting(declared.unwrap_or_default())
    }

    fn len(&self) -> usize {
        match self {
            Self::Expecting(_) => 0,
            Self::One(piece) => piece.len(),
            Self::Many(all) => all.len(),
        }
    }

    fn push(&mut self, piece: Bytes) {
        match self {
            Self::Expecting(declared) if *declared <= piece.len() => *self = Self::One(piece),
            Self::Expecting(declared) => {
                let mut all = BytesMut::with_capacity(*declared);
                all.extend_from_slice(&piece);
                *self = Self::Many(all);
            }
            Self::One(first) => {
                let mut all = BytesMut::with_capacity(2 * (first.len() + piece.len()));
                all.extend_from_slice(first);
                all.extend_from_slice(&piece);
                *self = Self::Many(all);
            }
            Self::Many(all) => all.extend_from_slice(&piece),
        }
    }

    fn finish(self) -> Bytes {
        match self {
            Self::Expecting(_) => Bytes::new(),
            Self::One(piece) => piece,
            Self::Many(all) => all.freeze(),
        }
    }
}

/// The length that the head declares.
pub fn declared_length(body: &impl Body) -> Option<u64> {
    body.size_hint().exact()
}

/// Reads the rest of a refused body and throws it away, for a client that sends everything before
/// it looks at the answer. Bounded in bytes and in time; after that the connection is cut.
pub async fn drain<B>(mut body: B, time: Duration)
where
    B: Body<Data = Bytes> + Unpin,
{
    let all = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
            if bytes > DRAIN_BYTES_MAX {
                return;
            }
        }
    };
    // Both ends are the same: the body is dropped.
    let _ = timeout(time, all).await;
}
