//! Makes commits durable behind the delivery: as many as come in meanwhile share one fsync.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinHandle};

use super::Shipments;
use crate::{record::Position, seams::Journal};

/// How soon a commit that failed (a full disk, say) is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The task that moves one cursor.
pub struct Committer {
    wanted: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Committer {
    pub fn start(
        journal: Arc<dyn Journal>,
        cursor: String,
        shipments: Arc<Mutex<Shipments>>,
    ) -> Self {
        let (wanted, mut changes) = watch::channel(0);
        let task = tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                // A disk that is full now may have room later: until then the newest value waits.
                loop {
                    let before = *changes.borrow_and_update();
                    if commit(journal.as_ref(), &cursor, before, &shipments).await {
                        break;
                    }
                    if changes.has_changed().is_err() {
                        return;
                    }
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        });
        Self { wanted, task }
    }

    /// Everything below `before` is settled.
    pub fn commit(&self, before: u64) {
        self.wanted.send_replace(before);
    }

    /// Waits until what was committed is durable (or the disk refused it once more).
    pub async fn finish(self) {
        drop(self.wanted);
        // The task ends with the channel; a panic in it was reported where it happened.
        let _ = self.task.await;
    }
}

/// Answers whether the cursor was moved. If not nothing is lost: it stands lower than it could,
/// and the ledger knows better.
async fn commit(
    journal: &dyn Journal,
    cursor: &str,
    before: u64,
    shipments: &Arc<Mutex<Shipments>>,
) -> bool {
    if let Err(error) = journal.commit(cursor, Position::new(0, before)).await {
        tracing::error!(cursor, %error, "cursor cannot be moved, trying again");
        return false;
    }
    let shipments = shipments.clone();
    let forgotten =
        tokio::task::spawn_blocking(move || shipments.lock().forget_below(before)).await;
    if let Ok(Err(error)) = forgotten {
        tracing::error!(cursor, %error, "ledger cannot be rewritten, it grows until it can");
    }
    true
}
