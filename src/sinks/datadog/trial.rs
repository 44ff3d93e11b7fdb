//! A trial of the key, and of the intake where there is nothing to try the key at.

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::{DatadogSink, request};
use crate::{fault::Fault, net::http::Url, seams::Trial};

impl DatadogSink {
    /// Stops at the first step that fails. Leaves nothing behind.
    pub(super) async fn try_out(&self) -> Vec<Trial> {
        let key = match self.key.get().await {
            Ok(key) => key,
            Err(fault) => return vec![failed("key", &fault)],
        };
        let mut trials = vec![Trial { step: "key", result: Ok("the key can be read".into()) }];
        trials.push(match &self.validation {
            Some(validation) => trial("authentication", self.try_key(validation, &key).await),
            None => trial("write", self.try_intake(&key).await),
        });
        trials
    }

    /// Datadog says whether a key is valid.
    async fn try_key(&self, validation: &Url, key: &str) -> Result<String, Fault> {
        let request = request::with_key(Method::GET, validation, key)?;
        let answer = self.exchange(request, key).await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if body["valid"] == Value::Bool(false) {
            return Err(Fault::halt("Datadog.InvalidApiKey", "Datadog does not know the key"));
        }
        Ok("Datadog knows the key".into())
    }

    /// An array without logs: whether it is taken or found empty, the intake has let us in.
    async fn try_intake(&self, key: &str) -> Result<String, Fault> {
        let request = request::post(&self.intake, key, Bytes::from_static(b"[]"), false)?;
        match self.exchange(request, key).await {
            Ok(_) => Ok("a request without logs was taken".into()),
            Err(Fault::TooLarge { .. }) => Ok("a request without logs was read".into()),
            Err(fault) => Err(fault),
        }
    }
}

fn trial(step: &'static str, result: Result<String, Fault>) -> Trial {
    match result {
        Ok(found) => Trial { step, result: Ok(found) },
        Err(fault) => failed(step, &fault),
    }
}

fn failed(step: &'static str, fault: &Fault) -> Trial {
    Trial { step, result: Err(fault.cause().clone()) }
}
