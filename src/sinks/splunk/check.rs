//! A trial of the destination that leaves no event behind.

use super::{
    SplunkSink,
    answer::{Hec, Verdict},
    codes,
};
use crate::{
    fault::{Cause, Fault},
    seams::Trial,
};

impl SplunkSink {
    /// Health, token and acknowledgement, until one fails. A collector that cannot be reached
    /// shows in the first.
    pub(super) async fn trials(&self) -> Vec<Trial> {
        let mut trials = self.collector.probe().await;
        if trials.iter().any(|trial| trial.result.is_err()) {
            return trials;
        }
        let mut go_on = |step, result: Result<String, Cause>| {
            let passed = result.is_ok();
            trials.push(Trial { step, result });
            passed
        };
        let health = self.collector.health().await;
        if !go_on("health", health.map_err(cause).and_then(|hec| healthy(&hec))) {
            return trials;
        }
        let acks = self.collector.try_acks().await.map_err(cause);
        let known = acks.as_ref().map_err(Clone::clone).and_then(authenticated);
        if go_on("authentication", known)
            && let Ok(hec) = acks
        {
            go_on("acknowledgement", self.acknowledges(&hec));
        }
        trials
    }

    fn acknowledges(&self, hec: &Hec) -> Result<String, Cause> {
        if hec.acks().is_some() {
            return Ok("indexer acknowledgement is enabled".into());
        }
        match hec.verdict() {
            Verdict::Fault(fault) if fault.cause().code == codes::DISABLED_ACK => {
                if self.acks.is_none() { Ok(hec.words()) } else { Err(cause(fault)) }
            }
            verdict => Err(refusal(verdict, hec)),
        }
    }

    /// Whether the token acknowledges by now: asked before events are sent again after it did
    /// not. Each attempt would leave them in Splunk once more.
    pub(super) async fn prove_acknowledgement(&self) -> Result<(), Fault> {
        let hec = self.collector.try_acks().await?;
        match hec.verdict() {
            Verdict::Token(Fault::Halt { cause })
            | Verdict::Fault(Fault::Halt { cause })
            | Verdict::Channel(cause) => Err(Fault::Halt { cause }),
            // Anything else shows again with the events themselves.
            _ => Ok(()),
        }
    }
}

fn healthy(hec: &Hec) -> Result<String, Cause> {
    let is_known = matches!(hec.code(), Some(0 | 17 | 24 | 25));
    if hec.status.is_success() && is_known {
        Ok(hec.words())
    } else {
        Err(refusal(hec.verdict(), hec))
    }
}

fn authenticated(hec: &Hec) -> Result<String, Cause> {
    match hec.verdict() {
        _ if hec.acks().is_some() => Ok("the token is known".into()),
        Verdict::Token(fault) => Err(cause(fault)),
        // The channel and the acknowledgement are looked at once the token is good.
        Verdict::Channel(_) => Ok("the token is known".into()),
        Verdict::Fault(fault) if fault.cause().code == codes::DISABLED_ACK => {
            Ok("the token is known".into())
        }
        verdict => Err(refusal(verdict, hec)),
    }
}

fn refusal(verdict: Verdict, hec: &Hec) -> Cause {
    match verdict {
        Verdict::Token(fault) | Verdict::Fault(fault) => cause(fault),
        Verdict::Channel(cause) | Verdict::Unfit { cause, .. } => cause,
        Verdict::Taken { .. } => Cause::new(codes::INVALID_HEC_RESPONSE, hec.words()),
    }
}

fn cause(fault: Fault) -> Cause {
    fault.cause().clone()
}
