//! The only retry loop. Retries inside the SDKs are off, so every attempt passes here.

use std::{future::Future, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::fault::Fault;

/// How often and how long to try.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The wait after the first failure; doubles with each further one.
    pub initial: Duration,
    /// The longest wait between two attempts.
    pub cap: Duration,
    /// Share of the wait that is drawn at random, both ways: 0.15 is ±15 %.
    pub jitter: f64,
    /// When to give up counted from the first failure; `None` is never.
    pub deadline: Option<Duration>,
}

impl Policy {
    /// Never give up, as deliveries from the journal to S3 do: the disk is the limit.
    pub fn forever(initial: Duration, cap: Duration) -> Self {
        Self { initial, cap, jitter: 0.15, deadline: None }
    }

    /// The wait before attempt `failures + 1`, without jitter.
    fn backoff(&self, failures: u32) -> Duration {
        self.initial.saturating_mul(1u32 << failures.saturating_sub(1).min(20)).min(self.cap)
    }
}

/// How a retried operation ended without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The records are unfit, or the deadline has passed: the last fault, and how many attempts.
    GaveUp { fault: Fault, attempts: u32 },
    /// `stop` was cancelled; nothing is known to be delivered.
    Stopped,
}

/// Runs `attempt` until it succeeds, rejects, the deadline passes, or `stop` is cancelled.
///
/// `Halt` is retried for ever at the capped pace whatever the deadline: what ails a destination
/// never rejects a record. `on_fault` hears of every failure with the wait that follows.
pub async fn until_done<T, Attempt, Answer>(
    policy: &Policy,
    stop: &CancellationToken,
    mut on_fault: impl FnMut(&Fault, u32, Duration),
    mut attempt: Attempt,
) -> Result<T, Ended>
where
    Attempt: FnMut(u32) -> Answer,
    Answer: Future<Output = Result<T, Fault>>,
{
    let mut failures = 0;
    let mut first_failure = None;
    loop {
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Ended::Stopped),
            outcome = attempt(failures + 1) => outcome,
        };
        let fault = match outcome {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        failures += 1;
        let since = first_failure.get_or_insert_with(tokio::time::Instant::now).elapsed();
        let spread = 1.0 + policy.jitter * (fastrand::f64() * 2.0 - 1.0);
        let wait = match &fault {
            Fault::Reject { .. } => return Err(Ended::GaveUp { fault, attempts: failures }),
            Fault::Retry { .. } if policy.deadline.is_some_and(|limit| since >= limit) => {
                return Err(Ended::GaveUp { fault, attempts: failures });
            }
            Fault::Retry { after, .. } => {
                policy.backoff(failures).mul_f64(spread).max(after.unwrap_or_default())
            }
            Fault::Halt { .. } => policy.backoff(failures).mul_f64(spread),
        };
        on_fault(&fault, failures, wait);
        tokio::select! {
            () = stop.cancelled() => return Err(Ended::Stopped),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn policy(deadline: Option<u64>) -> Policy {
        Policy {
            initial: Duration::from_secs(1),
            cap: Duration::from_secs(8),
            jitter: 0.0,
            deadline: deadline.map(Duration::from_secs),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_the_cap_and_honour_the_servers_hint() {
        let waits = RefCell::new(Vec::new());
        let hint = Duration::from_secs(30);
        let result = until_done(
            &policy(None),
            &CancellationToken::new(),
            |_, _, wait| waits.borrow_mut().push(wait.as_secs()),
            |attempt| async move {
                let after = (attempt == 6).then_some(hint);
                if attempt < 7 {
                    Err(Fault::Retry { cause: crate::fault::Cause::new("X", "y"), after })
                } else {
                    Ok(attempt)
                }
            },
        )
        .await;
        assert_eq!(result, Ok(7));
        assert_eq!(*waits.borrow(), vec![1, 2, 4, 8, 8, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_retries_but_never_a_halt() {
        let ended: Result<(), _> = until_done(
            &policy(Some(10)),
            &CancellationToken::new(),
            |_, _, _| {},
            |_| async { Err(Fault::retry("X", "y")) },
        )
        .await;
        assert!(matches!(ended, Err(Ended::GaveUp { attempts: 5, .. })), "{ended:?}");

        let halted =
            until_done(
                &policy(Some(10)),
                &CancellationToken::new(),
                |_, _, _| {},
                |attempt| async move {
                    if attempt < 50 { Err(Fault::halt("X", "y")) } else { Ok(attempt) }
                },
            )
            .await;
        assert_eq!(halted, Ok(50));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejection_is_final_and_a_stop_ends_the_wait() {
        let cause = crate::fault::Cause::new("X", "unfit");
        let rejected: Result<(), _> = until_done(
            &policy(None),
            &CancellationToken::new(),
            |_, _, _| {},
            |_| async { Err(Fault::Reject { cause: cause.clone() }) },
        )
        .await;
        assert!(matches!(rejected, Err(Ended::GaveUp { attempts: 1, .. })));

        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let stopped: Result<(), _> = until_done(
            &policy(None),
            &stop,
            |_, _, _| stopping.cancel(),
            |_| async { Err(Fault::retry("X", "y")) },
        )
        .await;
        assert_eq!(stopped, Err(Ended::Stopped));
    }
}
