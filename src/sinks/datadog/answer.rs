//! What the answers of the intake mean (API reference, "Send logs").

use std::time::Duration;

use serde_json::Value;

use crate::{
    fault::{Cause, Fault},
    limits::{MESSAGE_CHARS_MAX, RETRY_AFTER_MAX},
    net::http::{Answer, SendError, TlsTrouble},
};

/// A success, or what the refusal means.
pub fn judged(answer: Answer) -> Result<Answer, Fault> {
    let status = answer.status.as_u16();
    let cause = |code: &str| Cause::new(code, text(&answer));
    Err(match status {
        200..=299 => return Ok(answer),
        // One log that it does not like spoils all of them: fewer at a time find it.
        400 => Fault::TooLarge { cause: cause("Datadog.InvalidPayload") },
        401 | 403 => Fault::Halt { cause: cause("Datadog.InvalidApiKey") },
        413 => Fault::TooLarge { cause: cause("Datadog.PayloadTooLarge") },
        408 => retry(cause("Datadog.RequestTimeout"), &answer),
        429 => retry(cause("Datadog.TooManyRequests"), &answer),
        500..=599 => retry(cause("Datadog.ServerError"), &answer),
        // Whatever answers there, it is no intake.
        _ => Fault::Halt { cause: cause("Datadog.InvalidEndpoint") },
    })
}

/// There was no answer.
pub fn failure(error: &SendError) -> Fault {
    let text = error.to_string();
    match error {
        SendError::Timeout(_) => Fault::retry("Datadog.RequestTimeout", text),
        // Somebody has to name the right authorities, or renew a certificate.
        SendError::Tls(TlsTrouble::Issuer | TlsTrouble::Certificate, _) => {
            Fault::halt("Datadog.ConnectionFailed", text)
        }
        SendError::Request(_) => Fault::halt("Datadog.InvalidRequest", text),
        _ => Fault::retry("Datadog.ConnectionFailed", text),
    }
}

fn retry(cause: Cause, answer: &Answer) -> Fault {
    let reset = answer.header("x-ratelimit-reset").and_then(|text| text.trim().parse().ok());
    let reset = reset.map(|seconds: u64| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    Fault::Retry { cause, after: answer.retry_after().max(reset) }
}

/// `{"errors": ["…"]}`, or `{"errors": [{"title": "…", "detail": "…"}]}`.
fn text(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let error = &body["errors"][0];
    let said = [error, &error["detail"], &error["title"]].into_iter().find_map(Value::as_str);
    let said: String = said.unwrap_or_default().chars().take(MESSAGE_CHARS_MAX).collect();
    let status = answer.status.as_u16();
    if said.is_empty() { format!("status {status}") } else { format!("status {status}: {said}") }
}
