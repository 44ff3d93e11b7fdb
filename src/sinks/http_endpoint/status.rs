//! What the status of an answer to a plain body means. The answer's body is only quoted.
//!
//! | status | meaning |
//! |---|---|
//! | 2xx | taken |
//! | 400, 413, 422 | too much, or a record among them is no good: halves are sent until the culprit is alone, and goes to the error output |
//! | 408, 409, 423, 425, 429, 5xx, 1xx | passes: the same again |
//! | every other | the URL, the method or the credentials are wrong: held until somebody mends it, for no record is to blame |

use super::answer::with_status;
use crate::{
    fault::{Cause, Fault},
    net::http::Answer,
};

pub(super) fn judge(answer: &Answer, secrets: &[String]) -> Result<(), Fault> {
    let status = answer.status.as_u16();
    let code = if matches!(status, 400..=599) {
        "HttpEndpoint.DestinationException"
    } else {
        "HttpEndpoint.InvalidStatusCode"
    };
    let said = String::from_utf8_lossy(&answer.body);
    let cause = || Cause::new(code, with_status(answer, &said, secrets));
    match status {
        200..=299 => Ok(()),
        400 | 413 | 422 => Err(Fault::TooLarge { cause: cause() }),
        ..=199 | 408 | 409 | 423 | 425 | 429 | 500.. => {
            Err(Fault::Retry { cause: cause(), after: answer.retry_after() })
        }
        _ => Err(Fault::Halt { cause: cause() }),
    }
}
