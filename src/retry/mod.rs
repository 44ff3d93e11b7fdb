//! The only retry loop. Retries inside the SDKs are off, so every attempt passes here; and the
//! breaker that lets few attempts through to a destination that is down.

mod breaker;

use std::{future::Future, time::Duration};

pub use breaker::Breaker;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::fault::Fault;

/// How often and how long to try.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The wait after the first failure; doubles with each further one.
    pub initial: Duration,
    /// The longest wait between two attempts.
    pub cap: Duration,
    /// Share of the wait that is drawn at random, both ways: 0.15 is ±15 %.
    pub jitter: f64,
    /// When to give up counted from the first failure; `None` is never.
    pub deadline: Option<Duration>,
    /// Whether the deadline also ends what is held: Firehose gives up whatever ails a destination.
    pub gives_up_held: bool,
}

impl Policy {
    /// Never give up, as deliveries from the journal to S3 do: the disk is the limit.
    pub fn forever(initial: Duration, cap: Duration) -> Self {
        Self { initial, cap, jitter: 0.15, deadline: None, gives_up_held: false }
    }

    /// The wait before attempt `failures + 1`, without jitter.
    fn backoff(&self, failures: u32) -> Duration {
        self.initial.saturating_mul(1u32 << failures.saturating_sub(1).min(20)).min(self.cap)
    }

    fn wait(&self, failures: u32, fault: &Fault) -> Duration {
        let spread = 1.0 + self.jitter * (fastrand::f64() * 2.0 - 1.0);
        let wait = self.backoff(failures).mul_f64(spread);
        match fault {
            Fault::Retry { after: Some(after), .. } => wait.max(*after),
            _ => wait,
        }
    }

    /// Whether the deadline counts for such a fault.
    fn ends(&self, fault: &Fault) -> bool {
        !matches!(fault, Fault::Halt { .. }) || self.gives_up_held
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

/// What an attempt has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<T> {
    Done(T),
    /// A part of it: the rest is to be tried at once, or, with a fault, after a wait. What follows
    /// is a new beginning: time and failures are counted from here.
    Partly(Option<Fault>),
}

/// Runs `attempt` until it succeeds, rejects, the deadline passes, or `stop` is cancelled.
///
/// Unless the policy says otherwise `Halt` is retried for ever at the capped pace whatever the
/// deadline: what ails a destination never rejects a record. `on_fault` hears of every failure
/// with the wait that follows.
pub async fn until_done<T, Attempt, Answer>(
    policy: &Policy,
    stop: &CancellationToken,
    on_fault: impl FnMut(&Fault, u32, Duration),
    mut attempt: Attempt,
) -> Result<T, Ended>
where
    Attempt: FnMut(u32) -> Answer,
    Answer: Future<Output = Result<T, Fault>>,
{
    let attempt = |count| {
        let answer = attempt(count);
        async move { answer.await.map(Step::Done) }
    };
    until_done_through(&Breaker::default(), policy, stop, on_fault, attempt).await
}

/// The same for one of several that go to the same destination: while it is down, few of their
/// attempts pass the breaker, and all go on as soon as one gets through.
pub async fn until_done_through<T, Attempt, Answer>(
    breaker: &Breaker,
    policy: &Policy,
    stop: &CancellationToken,
    mut on_fault: impl FnMut(&Fault, u32, Duration),
    mut attempt: Attempt,
) -> Result<T, Ended>
where
    Attempt: FnMut(u32) -> Answer,
    Answer: Future<Output = Result<Step<T>, Fault>>,
{
    let mut attempts = 0;
    let mut trouble = Trouble::default();
    loop {
        let leave = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Ended::Stopped),
            // A single attempt waits for nobody.
            () = std::future::ready(()), if policy.deadline == Some(Duration::ZERO) => {
                Some(breaker.pass())
            }
            leave = breaker.enter(trouble.until(policy)) => leave,
        };
        let leave = match (leave, trouble.fault.take()) {
            (Some(leave), fault) => {
                trouble.fault = fault;
                leave
            }
            // Whoever waits for leave past the deadline has had the attempts that the breaker
            // allows.
            (None, Some(fault)) => return Err(Ended::GaveUp { fault, attempts }),
            // One who has had none gets one: nothing is given up untried.
            (None, None) => {
                trouble.is_last = true;
                breaker.pass()
            }
        };
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Ended::Stopped),
            outcome = attempt(attempts + 1) => outcome,
        };
        attempts += 1;
        let recovered = breaker.recovered();
        let fault = match outcome {
            Ok(Step::Done(value)) => {
                leave.succeeded();
                return Ok(value);
            }
            Ok(Step::Partly(fault)) => {
                leave.succeeded();
                trouble = Trouble::default();
                let Some(fault) = fault else { continue };
                fault
            }
            Err(fault) => {
                if matches!(fault, Fault::Reject { .. } | Fault::TooLarge { .. }) {
                    // It is there, and knows what it does not want.
                    leave.succeeded();
                    return Err(Ended::GaveUp { fault, attempts });
                }
                leave.failed(policy.wait(trouble.failures + 1, &fault));
                fault
            }
        };
        let wait = trouble.add(&fault, policy);
        if trouble.is_over(policy) {
            return Err(Ended::GaveUp { fault, attempts });
        }
        on_fault(&fault, attempts, wait);
        let asked_to_wait = matches!(fault, Fault::Retry { after: Some(_), .. });
        let sleep = async {
            // Others that get through are a reason to go on sooner, not at once: it may be these
            // records that the destination does not bear.
            let least = wait.min(policy.initial);
            tokio::time::sleep(least).await;
            tokio::select! {
                biased;
                () = recovered, if !asked_to_wait => {}
                () = tokio::time::sleep(wait - least) => {}
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Ended::Stopped),
            () = sleep => {}
        }
    }
}

/// What went wrong since things last went well.
struct Trouble {
    failures: u32,
    fault: Option<Fault>,
    /// When the deadline began to run: with the first failure that it ends. For one that has had
    /// no attempt yet, when it began to wait.
    since: Instant,
    /// Whether time was up before the first attempt.
    is_last: bool,
}

impl Default for Trouble {
    fn default() -> Self {
        Self { failures: 0, fault: None, since: Instant::now(), is_last: false }
    }
}

impl Trouble {
    /// Until when leave is waited for.
    fn until(&self, policy: &Policy) -> Option<Instant> {
        let ends = self.fault.as_ref().is_none_or(|fault| policy.ends(fault));
        policy.deadline.filter(|_| ends).map(|limit| self.since + limit)
    }

    /// One more failure; answers with the wait that follows.
    fn add(&mut self, fault: &Fault, policy: &Policy) -> Duration {
        let ran = self.fault.as_ref().is_some_and(|before| policy.ends(before));
        if !ran {
            // Time that it was held does not count against it.
            self.since = Instant::now();
        }
        self.failures += 1;
        self.fault = Some(fault.clone());
        let wait = policy.wait(self.failures, fault);
        match policy.deadline.filter(|_| policy.ends(fault)) {
            // One more attempt when time is up, and not a long wait later.
            Some(limit) => {
                let left = limit.saturating_sub(self.since.elapsed());
                wait.min(left.max(Duration::from_millis(1)))
            }
            None => wait,
        }
    }

    fn is_over(&self, policy: &Policy) -> bool {
        let ends = self.fault.as_ref().is_some_and(|fault| policy.ends(fault));
        let late = policy.deadline.is_some_and(|limit| self.since.elapsed() >= limit);
        ends && (late || self.is_last)
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
            gives_up_held: false,
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
        let began = Instant::now();
        let ended: Result<(), _> = until_done(
            &policy(Some(10)),
            &CancellationToken::new(),
            |_, _, _| {},
            |_| async { Err(Fault::retry("X", "y")) },
        )
        .await;
        // At 0, 1, 3, 7 and, when time is up, 10 s.
        assert!(matches!(ended, Err(Ended::GaveUp { attempts: 5, .. })), "{ended:?}");
        assert_eq!(began.elapsed(), Duration::from_secs(10));

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

    /// Runs a script of outcomes; answers with how it ended, the attempts, and the time it took.
    async fn scripted(
        policy: &Policy,
        breaker: &Breaker,
        script: Vec<Result<Step<()>, Fault>>,
    ) -> (Result<(), Ended>, u32, Duration) {
        let script = RefCell::new(script.into_iter());
        let count = RefCell::new(0);
        let began = Instant::now();
        let never = CancellationToken::new();
        let ended = until_done_through(
            breaker,
            policy,
            &never,
            |_, _, _| {},
            |_| {
                *count.borrow_mut() += 1;
                let next = script.borrow_mut().next().unwrap_or(Ok(Step::Done(())));
                async move { next }
            },
        );
        let ended = ended.await;
        (ended, count.into_inner(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_it_was_held_does_not_count_against_it() {
        let mut script: Vec<_> = (0..50).map(|_| Err(Fault::halt("X", "denied"))).collect();
        script.insert(0, Err(Fault::retry("X", "busy")));
        script.push(Err(Fault::retry("X", "busy")));
        let (ended, attempts, took) =
            scripted(&policy(Some(10)), &Breaker::default(), script).await;
        assert_eq!((ended, attempts), (Ok(()), 53));
        assert!(took > Duration::from_secs(300), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn progress_is_a_new_beginning() {
        // Twenty rounds without trouble cost no time, whatever the deadline.
        let rounds = (0..20).map(|_| Ok(Step::Partly(None))).collect();
        let breaker = Breaker::default();
        let (ended, attempts, took) = scripted(&policy(Some(0)), &breaker, rounds).await;
        assert_eq!((ended, attempts, took), (Ok(()), 21, Duration::ZERO));
        // With trouble each waits the first wait, and none is a failure of the destination.
        let busy = || Fault::retry("X", "busy");
        let rounds = (0..20).map(|_| Ok(Step::Partly(Some(busy())))).collect();
        let (ended, attempts, took) = scripted(&policy(Some(10)), &breaker, rounds).await;
        assert_eq!((ended, attempts, took), (Ok(()), 21, Duration::from_secs(20)));
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn who_had_no_attempt_when_time_is_up_gets_one() {
        let breaker = Breaker::default();
        let hung = Fault::retry("X", "no answer");
        for _ in 0..crate::limits::BREAKER_FAILURES {
            breaker.enter(None).await.unwrap().failed(Duration::from_secs(1));
        }
        let _probe = breaker.enter(None).await.unwrap();
        let down = vec![Err(hung.clone())];
        let (ended, attempts, took) = scripted(&policy(Some(10)), &breaker, down).await;
        assert_eq!(ended, Err(Ended::GaveUp { fault: hung, attempts: 1 }));
        assert_eq!((attempts, took), (1, Duration::from_secs(10)));
        let (ended, attempts, took) = scripted(&policy(Some(10)), &breaker, vec![]).await;
        assert_eq!((ended, attempts, took), (Ok(()), 1, Duration::from_secs(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_attempt_is_made_even_at_a_destination_that_is_down() {
        let breaker = Breaker::default();
        let down = || Fault::retry("X", "down");
        for _ in 0..3 * crate::limits::BREAKER_FAILURES {
            let (ended, attempts, took) =
                scripted(&policy(Some(0)), &breaker, vec![Err(down())]).await;
            assert_eq!(ended, Err(Ended::GaveUp { fault: down(), attempts: 1 }));
            assert_eq!((attempts, took), (1, Duration::ZERO));
        }
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
