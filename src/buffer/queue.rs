//! The puts that wait for the writer: bounded by bytes, taken all at once.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::frame;
use crate::{
    record::Put,
    seams::{AppendError, Appended},
};

pub type Answer = oneshot::Sender<Result<Appended, AppendError>>;

/// A put on its way to the writer.
pub struct Request {
    pub put: Put,
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
    idle: bool,
    closed: bool,
}

impl Queue {
    pub fn new(most_bytes: usize) -> Self {
        Self {
            inner: Mutex::new(Inner { waiting: VecDeque::new(), idle: false, closed: false }),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(most_bytes)),
            most_bytes,
        }
    }

    /// Waits for room, then puts the request in line.
    pub async fn push(&self, put: Put, encrypted: bool, answer: Answer) -> Result<(), AppendError> {
        let frame_bytes = frame::frame_bytes(&put, encrypted);
        let bytes = frame_bytes.min(self.most_bytes) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let room = room.map_err(|_| AppendError::Closed)?;
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(AppendError::Closed);
        }
        inner.waiting.push_back(Request { put, frame_bytes, encrypted, answer, _room: room });
        if inner.idle {
            inner.idle = false;
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Waits for requests and takes what is there, up to about `most_bytes`. False once the queue
    /// is closed and empty.
    pub fn take(&self, most_bytes: usize, into: &mut Vec<Request>) -> bool {
        let mut inner = self.inner.lock();
        while inner.waiting.is_empty() {
            if inner.closed {
                return false;
            }
            inner.idle = true;
            self.wake.wait(&mut inner);
        }
        let mut bytes = 0;
        while let Some(next) = inner.waiting.front()
            && (bytes == 0 || bytes + next.frame_bytes <= most_bytes)
        {
            bytes += next.frame_bytes;
            into.extend(inner.waiting.pop_front());
        }
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
        let waiting = std::mem::take(&mut self.inner.lock().waiting);
        drop(waiting);
    }
}
