//! A trial of the destination that leaves nothing behind.
//!
//! Whether documents may be written is only told to who writes one. So one is sent that cannot be
//! stored: to an index that exists a document that is no object (400 if it may be written to, 403
//! if not). Into an index that does not exist yet even that would make one; there the request
//! demands an alias of that name (`require_alias`, from Elasticsearch 7.10 and OpenSearch 1.0),
//! which is answered with 404. Then the permission for that very index shows with its first
//! document only.

use bytes::Bytes;
use http::Method;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;

use super::{NDJSON, OpenSearchSink, answer, options::Flavor};
use crate::{
    fault::{Cause, Fault},
    limits,
    net::{http::Answer, sigv4::RESERVED},
    seams::Trial,
};

/// The id of the document that is never stored.
const ID: &str = "standpipe-check";

impl OpenSearchSink {
    /// Authentication and the permission to write, in this order, until one fails.
    pub(super) async fn trials(&self) -> Vec<Trial> {
        let mut trials = self.way.probe().await;
        if trials.iter().any(|trial| trial.result.is_err()) {
            return trials;
        }
        // A collection has no such page, and of a signature it says no more than a write does.
        if self.options.flavor != Flavor::Serverless && !self.way.is_signed() {
            let result = self.greet().await;
            let failed = result.is_err();
            trials.push(Trial { step: "authentication", result });
            if failed {
                return trials;
            }
        }
        trials.push(Trial { step: "write", result: self.try_write().await });
        trials
    }

    /// Asks the cluster who it is.
    async fn greet(&self) -> Result<String, Cause> {
        let answer = self.ask(Method::GET, "/", Bytes::new()).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(version(&answer)),
            // Known, but without that permission; writing takes another.
            403 => Ok("accepted; the version is not shown to this user".into()),
            _ => Err(answer::refusal(&answer, self.options.flavor).cause().clone()),
        }
    }

    async fn try_write(&self) -> Result<String, Cause> {
        let index = &self.options.index;
        let path = format!("/{}", utf8_percent_encode(index, RESERVED));
        let exists = self.ask(Method::HEAD, &path, Bytes::new()).await?.status.is_success();
        let mut action = serde_json::json!({"create": {"_index": index, "_id": ID}});
        if let Some(name) = &self.options.type_name {
            action["create"]["_type"] = name.as_str().into();
        }
        if !exists {
            action["create"]["require_alias"] = true.into();
        }
        let body = Bytes::from(format!("{action}\n[]\n"));
        let answer = self.ask(Method::POST, "/_bulk", body).await?;
        if !answer.status.is_success() {
            let fault = answer::refusal(&answer, self.options.flavor);
            return if fault.cause().message.contains("require_alias") {
                Ok("this version cannot be asked without leaving an index behind".into())
            } else {
                Err(fault.cause().clone())
            };
        }
        match answer::trial(&answer.body, self.options.flavor) {
            Ok(_) if exists => Ok(format!("{index:?} may be written to")),
            Ok(_) => Ok(format!("{index:?} does not exist yet; bulk requests are allowed")),
            Err(fault) => Err(fault.cause().clone()),
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Cause> {
        let headers = if method == Method::POST { &[NDJSON][..] } else { &[] };
        let limit = limits::BULK_ANSWER_BYTES_BASE;
        let sent = self.way.send(method, path, headers, body, limit).await;
        sent.map_err(|fault: Fault| fault.cause().clone())
    }
}

/// `opensearch 2.19.6`
fn version(answer: &Answer) -> String {
    #[derive(Deserialize)]
    struct Greeting {
        version: Version,
    }
    #[derive(Deserialize)]
    struct Version {
        #[serde(default)]
        distribution: Option<String>,
        #[serde(default)]
        number: String,
    }
    let greeting: Result<Greeting, _> = serde_json::from_slice(&answer.body);
    greeting.map_or_else(
        |_| "accepted".into(),
        |Greeting { version }| {
            let name = version.distribution.as_deref().unwrap_or("elasticsearch");
            format!("{name} {}", version.number)
        },
    )
}
