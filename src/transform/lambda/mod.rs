//! Hands records to a function and takes back what it made of them: Firehose's Lambda processor,
//! by Lambda's Invoke API or by a plain URL that takes the same event.
//!
//! ```text
//! records ─cut to buffer_size and 6 MiB─▶ event ─▶ function ─▶ answer ─▶ a verdict for each record
//!                                           ▲  │
//!                          backoff, retries └──┤ too large: halves
//!                                              └ given up: every record of the call fails
//! ```
//!
//! A function that fails is tried again `number_of_retries` times, then its records go to the
//! error output; so does a record that the answer says nothing good of, without another try. What
//! keeps every call from being made holds the records instead ([`OnUnavailable`]). An event or an
//! answer that is too large is halved before any record is blamed, and so is a batch of which one
//! record may be to blame.

mod answer;
#[cfg(test)]
mod blame_tests;
mod codes;
mod event;
mod options;
#[cfg(test)]
mod tests;
mod trouble;

pub use options::{LambdaError, OnUnavailable, Options};

use std::{
    iter,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use ::http::header::CONTENT_TYPE;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{
    event::{Envelope, Id, ids},
    trouble::{Trouble, Way, Whose},
};
use crate::{
    fault::{Cause, Failure, Fault, output_type::PROCESSING_FAILED},
    limits,
    net::{
        aws::Access,
        http::{self, Url},
        signed::SignedClient,
    },
    record::Record,
    retry::{Ended, Policy, until_done},
    seams::{Observer, Remote, Transform, Verdict},
};

/// The stream as a function's event names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamContext {
    pub arn: String,
    pub region: String,
}

/// One function.
pub struct Lambda {
    target: Target,
    envelope: Envelope,
    buffer_bytes: u64,
    buffer_interval: Duration,
    concurrency: usize,
    timeout: Duration,
    retries: u32,
    on_unavailable: OnUnavailable,
    backoff: Policy,
    /// One permit per call under way, all calls of `apply` together.
    calls: Semaphore,
    observer: Option<Arc<dyn Observer>>,
}

/// Where events go.
enum Target {
    Api { client: Box<SignedClient>, path: String, role: bool },
    Url(Url),
}

/// How a call ended that was not given up.
enum Outcome {
    Answer(Bytes),
    TooLarge(Cause),
}

/// Why a call was given up.
struct GivenUp {
    cause: Cause,
    attempts: u32,
    /// Whether fewer records at a time may pass.
    divisible: bool,
}

impl Lambda {
    /// Makes the transform; calls nobody. `access` is the destination's: the function's region and
    /// role replace its own.
    pub fn new(
        options: Options,
        stream: StreamContext,
        access: Access,
    ) -> Result<Self, LambdaError> {
        options.validate()?;
        let concurrency = options.concurrency as usize;
        Ok(Self {
            target: Target::new(&options, access)?,
            envelope: Envelope::new(&stream),
            buffer_bytes: options.buffer_size.0,
            buffer_interval: options.buffer_interval.0,
            concurrency,
            timeout: options.timeout.0,
            retries: options.number_of_retries,
            on_unavailable: options.on_unavailable,
            backoff: Policy::forever(limits::LAMBDA_BACKOFF_INITIAL, limits::LAMBDA_BACKOFF_MAX),
            calls: Semaphore::new(concurrency),
            observer: None,
        })
    }

    /// The same, and `observer` hears of every attempt.
    pub fn observed(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// The verdicts of one call's records; several calls if it turns out to be too large.
    async fn process(&self, records: &[Record], ids: &[Id]) -> Vec<Verdict> {
        let mut verdicts = Vec::with_capacity(records.len());
        // What is still to be called, the next on top.
        let mut open: Vec<_> = iter::once(0..records.len()).collect();
        while let Some(range) = open.pop() {
            let (some, their_ids) = (&records[range.clone()], &ids[range.clone()]);
            if let [record] = some
                && !self.envelope.fits(record)
            {
                verdicts.push(fail(codes::REQUEST_TOO_LARGE.cause(), 0));
                continue;
            }
            match self.call(some, their_ids).await {
                Ok(Outcome::Answer(answer)) => {
                    verdicts.extend(answer::verdicts(&answer, some, their_ids));
                }
                Ok(Outcome::TooLarge(cause)) if some.len() == 1 => verdicts.push(fail(cause, 1)),
                Ok(Outcome::TooLarge(_)) => open.extend(halves(range)),
                Err(GivenUp { divisible: true, .. }) if some.len() > 1 => {
                    open.extend(halves(range));
                }
                Err(GivenUp { cause, attempts, .. }) => {
                    verdicts.extend(some.iter().map(|_| fail(cause.clone(), attempts)));
                }
            }
        }
        verdicts
    }

    /// One call with its retries.
    async fn call(&self, records: &[Record], ids: &[Id]) -> Result<Outcome, GivenUp> {
        // The id stays over the retries, so that a function can tell them from new calls.
        let invocation_id = Uuid::new_v4().to_string();
        let event = self.envelope.event(&invocation_id, records, ids);
        // Failures that count: those that hold the records do not.
        let failures = AtomicU32::new(0);
        let divisible = AtomicBool::new(false);
        let warn = |fault: &Fault, attempt: u32, wait: Duration| {
            let Cause { code, message } = fault.cause();
            let wait_ms = wait.as_millis() as u64;
            if let Some(observer) = &self.observer {
                observer.attempt_failed(fault, attempt, wait);
            }
            tracing::warn!(%code, %message, attempt, wait_ms, "a call of a function failed");
        };
        // Dropping the future is what ends a call.
        let never = CancellationToken::new();
        let ended = until_done(&self.backoff, &never, warn, |_| async {
            match self.attempt(event.clone()).await {
                Ok(answer) => Ok(Outcome::Answer(answer)),
                Err(Trouble::TooLarge(cause)) => Ok(Outcome::TooLarge(cause)),
                Err(Trouble::Failed { cause, whose, again, after }) => {
                    divisible.store(self.is_divisible(whose), Ordering::Relaxed);
                    Err(self.fault(cause, whose, again, after, &failures))
                }
            }
        })
        .await;
        if let (Ok(_), Some(observer)) = (&ended, &self.observer) {
            observer.attempt_succeeded();
        }
        match ended {
            Ok(outcome) => Ok(outcome),
            Err(Ended::GaveUp { fault, attempts }) => {
                let Cause { code, message } = fault.cause();
                let records = records.len();
                let divisible = divisible.into_inner();
                if divisible && records > 1 {
                    tracing::warn!(%code, %message, attempts, records, "halving a function's batch");
                } else {
                    tracing::warn!(%code, %message, attempts, records, "records of a function failed");
                }
                Err(GivenUp { cause: fault.cause().clone(), attempts, divisible })
            }
            Err(Ended::Stopped) => unreachable!("nobody cancels this token"),
        }
    }

    /// Whether a batch that meets this trouble to the end is halved. Where records do not wait for
    /// anything, they do not wait for the one to blame to be found either.
    fn is_divisible(&self, whose: Whose) -> bool {
        whose == Whose::OneRecords && self.on_unavailable == OnUnavailable::Hold
    }

    /// What comes after a failed attempt.
    fn fault(
        &self,
        cause: Cause,
        whose: Whose,
        again: bool,
        after: Option<Duration>,
        failures: &AtomicU32,
    ) -> Fault {
        if whose == Whose::Nobodys && self.on_unavailable == OnUnavailable::Hold {
            return if again { Fault::Retry { cause, after } } else { Fault::Halt { cause } };
        }
        let count = failures.fetch_add(1, Ordering::Relaxed) + 1;
        if again && count <= self.retries {
            Fault::Retry { cause, after }
        } else {
            Fault::Reject { cause }
        }
    }

    /// One attempt. The answer of a function that worked.
    async fn attempt(&self, event: Bytes) -> Result<Bytes, Trouble> {
        let _permit = self.calls.acquire().await.expect("the semaphore is never closed");
        let way = self.target.way();
        let answer = self.target.post(event, self.timeout).await;
        let answer = answer.map_err(|error| trouble::of_sending(&error, way))?;
        match trouble::of_answer(&answer, way) {
            None => Ok(answer.body),
            Some(trouble) => Err(trouble),
        }
    }
}

#[async_trait]
impl Transform for Lambda {
    fn name(&self) -> &'static str {
        "lambda"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let ids = ids(records);
        let calls = self.envelope.cut(records, self.buffer_bytes);
        let process = |range: Range<usize>| self.process(&records[range.clone()], &ids[range]);
        let verdicts: Vec<Vec<Verdict>> =
            stream::iter(calls).map(process).buffered(self.concurrency).collect().await;
        verdicts.into_iter().flatten().collect()
    }

    fn remote(&self) -> Option<Remote> {
        Some(Remote {
            gather_bytes: self.buffer_bytes,
            gather_for: self.buffer_interval,
            concurrency: self.concurrency,
        })
    }
}

fn fail(cause: Cause, attempts: u32) -> Verdict {
    Verdict::Fail(Failure { attempts, cause, ..Failure::new(PROCESSING_FAILED, "", "") })
}

/// The second half and the first: the first is to be taken next.
fn halves(range: Range<usize>) -> [Range<usize>; 2] {
    let middle = range.start + range.len() / 2;
    [middle..range.end, range.start..middle]
}

impl Target {
    fn new(options: &Options, access: Access) -> Result<Self, LambdaError> {
        if let Some(url) = &options.url {
            return http::parse_url(url).map(Self::Url).map_err(LambdaError::Url);
        }
        let name = options.function.as_deref().ok_or(LambdaError::Target)?;
        let function = options::parse_function(name)?;
        let region = options.region.as_deref().or(function.region.as_deref());
        let access = access.redirected(region, options.role_arn.as_deref());
        // The characters that AWS SDKs leave as they are in a path.
        const PLAIN: &AsciiSet =
            &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
        let name = utf8_percent_encode(&function.name, PLAIN);
        let client = SignedClient::new(&access, "lambda", options.endpoint.clone());
        Ok(Self::Api {
            client: Box::new(client.map_err(LambdaError::Endpoint)?),
            path: format!("/2015-03-31/functions/{name}/invocations"),
            role: access.role.is_some(),
        })
    }

    fn way(&self) -> Way {
        match self {
            Self::Api { role, .. } => Way::Api { role: *role },
            Self::Url(_) => Way::Url,
        }
    }

    async fn post(&self, event: Bytes, timeout: Duration) -> Result<http::Answer, http::SendError> {
        let limit = limits::LAMBDA_ANSWER_BYTES_MAX;
        match self {
            Self::Api { client, path, .. } => {
                let headers = [
                    ("content-type", "application/json"),
                    ("x-amz-invocation-type", "RequestResponse"),
                    ("x-amz-log-type", "None"),
                ];
                client.post(path, &headers, event, timeout, limit).await
            }
            Self::Url(url) => {
                // Made by the client, which turns a name and password in the URL into a header.
                let request = http::client()
                    .post(url.clone())
                    .header(CONTENT_TYPE, "application/json")
                    .body(event)
                    .build()
                    .map_err(|error| http::SendError::Request(error.without_url().to_string()))?;
                http::send(request, timeout, limit).await
            }
        }
    }
}
