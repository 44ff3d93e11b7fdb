//! The puts that wait for the writer: bounded by bytes, taken all at once.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::frame;
use crate::{
    limits::{self, GATHER_BYTES},
    record::Put,
    seams::{AppendError, Appended},
};

pub type Answer = oneshot::Sender<Result<Appended, AppendError>>;

/// A put on its way to the writer.
pub struct Request {
    pub put: Arc<Put>,
    pub frame_bytes: usize,
    pub encrypted: bool,
    pub answer: Answer,
    /// Its share of the queue, given back when the request is done.
    pub _room: OwnedSemaphorePermit,
}

pub struct Queue {
    inner: Mutex<Inner>,
    wake: Condvar,
    room: Arc<Semaphore>,
    most_bytes: usize,
}

struct Inner {
    waiting: VecDeque<Request>,
    bytes: usize,
    /// The writer sleeps until so many bytes wait; none wake it while it is at work.
    wake_at: usize,
    closed: bool,
}

impl Queue {
    pub fn new(most_bytes: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                waiting: VecDeque::new(),
                bytes: 0,
                wake_at: usize::MAX,
                closed: false,
            }),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(most_bytes)),
            most_bytes,
        }
    }

    /// Waits for room, then puts the request in line.
    pub async fn push(
        &self,
        put: Arc<Put>,
        encrypted: bool,
        answer: Answer,
    ) -> Result<(), AppendError> {
        let frame_bytes = frame::frame_bytes(&put, encrypted);
        let bytes = frame_bytes.min(self.most_bytes) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let room = room.map_err(|_| AppendError::Closed)?;
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(AppendError::Closed);
        }
        inner.waiting.push_back(Request { put, frame_bytes, encrypted, answer, _room: room });
        inner.bytes += frame_bytes;
        if inner.bytes >= inner.wake_at {
            inner.wake_at = usize::MAX;
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Lets requests gather for as long as `gather` says, then waits for one if there is none, and
    /// takes what is there, up to about `most_bytes`. False once the queue is closed and empty.
    pub fn take(&self, most_bytes: usize, gather: Duration, into: &mut Vec<Request>) -> bool {
        let mut inner = self.inner.lock();
        if !gather.is_zero() && inner.bytes < GATHER_BYTES && !inner.closed {
            inner.wake_at = GATHER_BYTES;
            self.wake.wait_for(&mut inner, gather);
        }
        while inner.waiting.is_empty() {
            if inner.closed {
                return false;
            }
            inner.wake_at = 1;
            self.wake.wait(&mut inner);
        }
        inner.wake_at = usize::MAX;
        let mut bytes = 0;
        while let Some(next) = inner.waiting.front()
            && (bytes == 0 || bytes + next.frame_bytes <= most_bytes)
        {
            bytes += next.frame_bytes;
            into.extend(inner.waiting.pop_front());
        }
        inner.bytes -= bytes;
        true
    }

    /// Takes no more requests. Those in line are still served.
    pub fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        self.room.close();
        self.wake.notify_one();
    }

    /// Drops what is in line: its callers learn that the writer has ended.
    pub fn clear(&self) {
        let waiting = {
            let mut inner = self.inner.lock();
            inner.bytes = 0;
            std::mem::take(&mut inner.waiting)
        };
        drop(waiting);
    }
}

/// How long puts gather after a group: not at all after a small one, so that the latency of a
/// single put stays what it is.
pub fn gather_time(group_bytes: u64, sync_took: Duration) -> Duration {
    if group_bytes < limits::GATHER_AFTER_BYTES {
        return Duration::ZERO;
    }
    sync_took.min(limits::GATHER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any test runs: only what is asserted may end the pause.
    const FOR_EVER: Duration = Duration::from_secs(100_000);

    async fn push(queue: &Queue, bytes: usize) {
        let mut put = Put::default();
        put.push(&vec![0; bytes]);
        queue.push(Arc::new(put), false, oneshot::channel().0).await.unwrap();
    }

    #[tokio::test]
    async fn puts_gather_until_there_are_enough() {
        let queue = Arc::new(Queue::new(8 * GATHER_BYTES));
        let taker = Arc::clone(&queue);
        let taken = std::thread::spawn(move || {
            let mut requests = Vec::new();
            assert!(taker.take(usize::MAX, FOR_EVER, &mut requests));
            requests.iter().map(|request| request.frame_bytes).sum::<usize>()
        });
        for _ in 0..12 {
            push(&queue, GATHER_BYTES / 10).await;
            tokio::task::yield_now().await;
        }
        assert!(taken.join().unwrap() >= GATHER_BYTES);
    }

    #[tokio::test]
    async fn without_a_pause_a_small_put_is_taken_at_once_and_a_closed_queue_does_not_wait() {
        let queue = Queue::new(8 * GATHER_BYTES);
        let mut requests = Vec::new();
        push(&queue, 1).await;
        assert!(queue.take(usize::MAX, Duration::ZERO, &mut requests));
        push(&queue, 1).await;
        queue.close();
        assert!(queue.take(usize::MAX, FOR_EVER, &mut requests));
        assert_eq!(requests.len(), 2);
        assert!(!queue.take(usize::MAX, FOR_EVER, &mut requests));
    }

    #[test]
    fn only_bulk_load_gathers_and_no_longer_than_a_sync_takes() {
        let ms = Duration::from_millis;
        assert_eq!(gather_time(limits::GATHER_AFTER_BYTES - 1, ms(100)), Duration::ZERO);
        assert_eq!(gather_time(limits::GATHER_AFTER_BYTES, ms(100)), limits::GATHER_MAX);
        let short = Duration::from_micros(300);
        assert_eq!(gather_time(limits::MIB, short), short);
    }
}
