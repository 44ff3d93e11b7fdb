//! Receiving a body: bounded in size, in memory over all connections, and in time.

use std::{net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep, timeout},
};

use super::{
    limits::ServerLimits,
    memory::{Memory, Room, Share},
};
use crate::{
    limits::DRAIN_BYTES_MAX,
    net::sigv4::{BodyHash, BodyHasher},
};

/// How often the pace of a silent body is looked at, for it depends on who else waits.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// A body that has arrived. Its share of the memory is given back when this is dropped.
pub struct Received {
    pub bytes: Bytes,
    /// The hash that a signature covers, of a body said to be signed.
    pub hash: Option<BodyHash>,
    _memory: OwnedSemaphorePermit,
}

impl Received {
    /// Tells this body from another one of the same call: from the hash where there is one, for
    /// going over the bytes once more costs as much as the journal's own checksum.
    pub fn checksum(&self) -> u32 {
        match &self.hash {
            Some(hash) => u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]),
            None => crc32c::crc32c(&self.bytes),
        }
    }
}

/// Who sends a body, as far as is known before it is there.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    pub peer: &'a Arc<Share>,
    /// The key that is said to have signed; `None` where nothing is signed.
    pub access_key_id: Option<&'a str>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is larger than {max} bytes")]
    TooLarge { max: usize },
    #[error("the body came too slowly")]
    TooSlow,
    #[error("the body ended early")]
    Broken,
    /// There was no room in time; nothing of the body has been read.
    #[error("Slow down.")]
    Crowded,
}

/// Receives bodies into the memory that they share.
pub struct Bodies {
    memory: Memory,
    limits: ServerLimits,
}

impl Bodies {
    pub fn new(limits: ServerLimits) -> Self {
        Self { memory: Memory::new(limits.bodies_in_memory_bytes), limits }
    }

    pub fn limits(&self) -> &ServerLimits {
        &self.limits
    }

    /// The share of a peer, for its connection to keep.
    pub fn peer(&self, address: IpAddr) -> Arc<Share> {
        self.memory.peer(address)
    }

    /// Reads a body of at most `max` bytes. Memory is taken first: for the declared length, or
    /// for `max` where none is declared.
    pub async fn read<B>(
        &self,
        body: &mut B,
        sender: Sender<'_>,
        max: usize,
    ) -> Result<Received, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let declared = declared_length(body);
        if declared.is_some_and(|length| length > max as u64) {
            return Err(BodyError::TooLarge { max });
        }
        let declared = declared.map(|length| length as usize);
        let Sender { peer, access_key_id } = sender;
        let room = declared.unwrap_or(max);
        let room = self.memory.room(&self.limits, peer, access_key_id, room).await?;
        let mut hasher = access_key_id.map(|_| BodyHasher::default());
        let mut pieces = Pieces::expecting(declared);
        let mut pace = Pace::new(&self.limits, &room);
        while let Some(piece) = pace.next(body).await? {
            if pieces.len() + piece.len() > max {
                return Err(BodyError::TooLarge { max });
            }
            if let Some(hasher) = &mut hasher {
                hasher.update(&piece);
            }
            pieces.push(piece);
        }
        let bytes = pieces.finish();
        let hash = hasher.map(BodyHasher::finish);
        let memory = room.arrived(bytes.len());
        Ok(Received { bytes, hash, _memory: memory })
    }
}

/// How fast a body comes.
struct Pace<'a> {
    limits: &'a ServerLimits,
    room: &'a Room,
    started: Instant,
    received: usize,
    /// When the last piece came.
    heard: Instant,
    /// The next look. One timer for all pieces, made when one is first waited for.
    look: Option<Pin<Box<Sleep>>>,
}

impl<'a> Pace<'a> {
    fn new(limits: &'a ServerLimits, room: &'a Room) -> Self {
        let started = Instant::now();
        Self { limits, room, started, received: 0, heard: started, look: None }
    }

    /// The next piece, `None` at the end.
    async fn next<B>(&mut self, body: &mut B) -> Result<Option<Bytes>, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        loop {
            let interval = self.look_interval();
            let mut frame = body.frame();
            let frame = tokio::select! {
                biased;
                frame = &mut frame => Some(frame),
                () = elapsed(&mut self.look, interval) => None,
            };
            match frame {
                Some(None) => return Ok(None),
                Some(Some(Err(_))) => return Err(BodyError::Broken),
                // Trailers carry nothing for us.
                Some(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data() {
                        self.heard = Instant::now();
                        self.received += piece.len();
                        self.check(self.heard)?;
                        return Ok(Some(piece));
                    }
                }
                None => {
                    let now = Instant::now();
                    self.check(now)?;
                    if now.duration_since(self.heard) >= self.limits.header_timeout {
                        return Err(BodyError::TooSlow);
                    }
                    if let Some(look) = &mut self.look {
                        look.as_mut().reset(now + interval);
                    }
                }
            }
        }
    }

    fn look_interval(&self) -> Duration {
        let Self { limits, .. } = self;
        let grace = limits.body_grace.min(limits.body_grace_crowded);
        LOOK_INTERVAL.min(limits.header_timeout).min(grace)
    }

    fn check(&self, now: Instant) -> Result<(), BodyError> {
        let (grace, bytes_per_s) = if self.room.is_crowded() {
            (self.limits.body_grace_crowded, self.limits.body_bytes_per_s_crowded)
        } else {
            (self.limits.body_grace, self.limits.body_bytes_per_s)
        };
        let elapsed = now.duration_since(self.started);
        let is_slow = (self.received as f64) < elapsed.as_secs_f64() * bytes_per_s as f64;
        if elapsed > grace && is_slow {
            return Err(BodyError::TooSlow);
        }
        Ok(())
    }
}

/// Waits for the timer, which is made if there is none yet.
async fn elapsed(timer: &mut Option<Pin<Box<Sleep>>>, interval: Duration) {
    timer.get_or_insert_with(|| Box::pin(sleep(interval))).as_mut().await;
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

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
