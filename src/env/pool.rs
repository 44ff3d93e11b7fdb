//! The CPU pool: encoding and compression run here, never on the tasks that serve sockets.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// As many jobs at a time as there are processors; more wait.
#[derive(Clone)]
pub struct CpuPool {
    slots: Arc<Semaphore>,
}

impl Default for CpuPool {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self { slots: Arc::new(Semaphore::new(processors)) }
    }
}

impl CpuPool {
    /// Runs a job on a thread of its own kind. A panic inside goes on in the caller.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let slot = self.slots.clone().acquire_owned().await.expect("the pool is never closed");
        let job = tokio::task::spawn_blocking(move || {
            let result = job();
            drop(slot);
            result
        });
        match job.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
