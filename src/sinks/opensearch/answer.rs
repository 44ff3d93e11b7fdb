//! What a cluster's answer means, as a whole and item by item.
//!
//! | item | means |
//! |---|---|
//! | 2xx | delivered |
//! | 409, and the id is ours | delivered by an earlier attempt |
//! | 429, 5xx, 408; 403 with a block; 404 | sent again |
//! | 400 for a closed index or the limit of shards | sent again |
//! | 401, 403; 400 for an alias, a data stream or a name that takes no such documents | held |
//! | other | the document's fault: rejected, with the status as its code |
//!
//! Firehose writes the status that the cluster returned into the error output as the code; its
//! codes with names (`OS.`) are those of its logs (guide, "Data delivery errors").

use serde::{Deserialize, de::IgnoredAny};

use super::options::Flavor;
use crate::{
    fault::{Cause, Failure, Fault, output_type},
    limits,
    net::http::{Answer, SendError, TlsTrouble},
    seams::{Delivered, Left},
};

const PARSE: &str = "OS.AmazonOpenSearchServiceParseException";

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    items: Vec<Wrapped>,
}

/// An item in the name of its action.
#[derive(Deserialize)]
struct Wrapped {
    #[serde(rename = "create", alias = "index")]
    item: Item,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    #[serde(default)]
    error: Option<Trouble>,
}

/// An error as its type and reason, or as the one text of old versions.
#[derive(Deserialize)]
#[serde(untagged)]
enum Trouble {
    Told {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        reason: Option<String>,
    },
    Text(String),
    Other(IgnoredAny),
}

impl Trouble {
    /// In the cluster's words, but without the values that they quote.
    fn words(&self) -> String {
        let text = match self {
            Self::Told { kind, reason: Some(reason) } => format!("{kind}: {reason}"),
            Self::Told { kind, reason: None } => kind.clone(),
            Self::Text(text) => text.clone(),
            Self::Other(_) => String::new(),
        };
        const QUOTES: [&str; 2] =
            [" Preview of field's value:", " The prefix of the first immense term is:"];
        let end = QUOTES.iter().filter_map(|quote| text.find(quote)).min().unwrap_or(text.len());
        text[..end].chars().take(limits::MESSAGE_CHARS_MAX).collect()
    }
}

/// What became of the documents of a request.
pub(super) struct Verdict {
    pub delivered: Delivered,
    /// The collection takes no ids: they must be left out from now on.
    pub ids_refused: bool,
}

/// What is known of a request when its answer is read.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Which record of the shipment each document is.
    pub sent: &'a [u64],
    pub with_ids: bool,
    pub flavor: Flavor,
}

/// Reads the answer to a request that the cluster took up.
pub(super) fn judge(answer: &Answer, asked: Asked<'_>) -> Result<Verdict, Fault> {
    let body: Body = serde_json::from_slice(&answer.body)
        .map_err(|error| Fault::retry(PARSE, format!("the answer cannot be read: {error}")))?;
    if body.items.len() != asked.sent.len() {
        let (items, sent) = (body.items.len(), asked.sent.len());
        let message = format!("the answer has {items} entries for {sent} documents");
        return Err(Fault::retry("OS.ResponseEntryCountMismatch", message));
    }
    let mut rejected = Vec::new();
    let mut again = Vec::new();
    let mut worst: Option<Fault> = None;
    let mut ids_refused = false;
    for (Wrapped { item }, &index) in body.items.iter().zip(asked.sent) {
        let fault = match fate(item, asked) {
            Fate::Delivered => continue,
            Fate::Rejected(failure) => {
                rejected.push((index, failure));
                continue;
            }
            Fate::WithoutId(fault) => {
                ids_refused = true;
                fault
            }
            Fate::Left(fault) => fault,
        };
        again.push(index);
        if worst.as_ref().is_none_or(|worst| weight(&fault) > weight(worst)) {
            worst = Some(fault);
        }
    }
    let left = worst.map(|fault| Left { indexes: again, fault: Some(after(fault, answer)) });
    Ok(Verdict { delivered: Delivered { rejected, left }, ids_refused })
}

enum Fate {
    Delivered,
    Rejected(Failure),
    Left(Fault),
    WithoutId(Fault),
}

/// Which of several faults is told: what somebody must mend before what passes by itself.
fn weight(fault: &Fault) -> u8 {
    match fault {
        Fault::Halt { .. } => 2,
        Fault::Retry { cause, .. } if cause.code != CLUSTER => 1,
        _ => 0,
    }
}

const CLUSTER: &str = "OS.ClusterError";

fn fate(item: &Item, asked: Asked<'_>) -> Fate {
    let words = item.error.as_ref().map(Trouble::words).unwrap_or_default();
    match item.status {
        200..=299 => Fate::Delivered,
        409 if asked.with_ids => Fate::Delivered,
        400 if asked.with_ids
            && asked.flavor == Flavor::Serverless
            && words.starts_with("illegal_argument_exception: Document ID is not supported") =>
        {
            Fate::WithoutId(Fault::retry("OS.ValidationException", words))
        }
        400 if passes(&words) => Fate::Left(Fault::retry(CLUSTER, words)),
        400 => match setting(&words) {
            Some(code) => Fate::Left(Fault::halt(code, words)),
            None => Fate::Rejected(rejection(400, words)),
        },
        401 | 403 | 404 | 408 | 429 | 500..=599 => {
            Fate::Left(by_status(item.status, words, asked.flavor))
        }
        status => Fate::Rejected(rejection(status, words)),
    }
}

fn rejection(status: u16, words: String) -> Failure {
    Failure::new(output_type::OPENSEARCH_FAILED, &status.to_string(), words)
}

/// States of the cluster that it answers with 400, as if they were the document's fault. Here and
/// below the type and the start of the reason decide: what follows may quote names that the record
/// chose.
fn passes(words: &str) -> bool {
    words.starts_with("index_closed_exception:")
        || words.starts_with("validation_exception:") && words.contains("shards open")
}

/// Settings that no document fits, whatever it holds.
fn setting(words: &str) -> Option<&'static str> {
    const NO_WRITE_INDEX: &str =
        "illegal_argument_exception: no write index is defined for alias [";
    const DATA_STREAM: &str = "illegal_argument_exception: only write ops with an op_type of \
                               create are allowed in data streams";
    if words.starts_with(NO_WRITE_INDEX) {
        Some("OS.AliasWithMultipleIndicesNotAllowed")
    } else if words.starts_with(DATA_STREAM) || words.starts_with("invalid_index_name_exception:") {
        Some("OS.ValidationException")
    } else {
        None
    }
}

fn is_block(words: &str) -> bool {
    words.starts_with("cluster_block_exception:") || words.starts_with("ClusterBlockException[")
}

/// What a status means that says nothing of the documents themselves.
fn by_status(status: u16, words: String, flavor: Flavor) -> Fault {
    let elasticsearch = flavor == Flavor::Elasticsearch;
    let code = match status {
        401 | 403 if is_block(&words) => "OS.ClusterBlockException",
        401 | 403 => {
            let code = if elasticsearch { "ES.AccessDenied" } else { "OS.AccessDenied" };
            return Fault::halt(code, words);
        }
        404 if elasticsearch => "ES.ResourceNotFound",
        404 => "OS.ResourceNotFound",
        408 => "OS.RequestTimeout",
        500 | 503 => "OS.ServiceException",
        502 => "OS.BadGateway",
        504 => "OS.GatewayTimeout",
        _ => CLUSTER,
    };
    Fault::retry(code, words)
}

/// Whether the line before a document is refused for naming a type.
fn knows_no_types(words: &str) -> bool {
    words.starts_with("illegal_argument_exception: Action/metadata line [")
        && words.ends_with(" contains an unknown parameter [_type]")
}

/// What a request's refusal as a whole means.
pub(super) fn refusal(answer: &Answer, flavor: Flavor) -> Fault {
    let status = answer.status.as_u16();
    let words = words(answer);
    let fault = match status {
        413 => Fault::TooLarge { cause: Cause::new("413", words) },
        400 if words.starts_with("illegal_argument_exception: explicit index") => {
            Fault::halt("OS.ExplicitIndexInBulkNotAllowed", words)
        }
        400 if knows_no_types(&words) => Fault::halt("OS.UnsupportedVersion", words),
        // One document may be to blame, and only halves tell which.
        400 => Fault::TooLarge { cause: Cause::new("400", words) },
        status => by_status(status, words, flavor),
    };
    after(fault, answer)
}

/// With the wait that the answer asks for.
fn after(fault: Fault, answer: &Answer) -> Fault {
    match fault {
        Fault::Retry { cause, .. } => Fault::Retry { cause, after: answer.retry_after() },
        other => other,
    }
}

/// The error of a whole answer: the cluster's own, or that of what stands before it.
pub(super) fn words(answer: &Answer) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(default)]
        error: Option<Trouble>,
        #[serde(default, alias = "Message")]
        message: Option<String>,
    }
    let told = serde_json::from_slice(&answer.body).ok().and_then(|refusal: Refusal| {
        let error = refusal.error.as_ref().map(Trouble::words);
        error.filter(|words| !words.is_empty()).or(refusal.message)
    });
    let text = match told {
        Some(text) => text,
        // A page of HTML says nothing, a line of text may.
        None if answer.body.starts_with(b"<") => String::new(),
        None => String::from_utf8_lossy(&answer.body[..answer.body.len().min(2048)]).into_owned(),
    };
    let text: String = text.trim().chars().take(limits::MESSAGE_CHARS_MAX).collect();
    if text.is_empty() { format!("status {}", answer.status.as_u16()) } else { text }
}

/// What the lack of an answer means.
pub(super) fn unanswered(error: &SendError) -> Fault {
    let text = error.to_string();
    match error {
        SendError::Connect(_) => Fault::retry("OS.ConnectionFailed", text),
        SendError::Timeout(_) => Fault::retry("OS.RequestTimeout", text),
        // Somebody has to name the right authorities, or renew a certificate.
        SendError::Tls(TlsTrouble::Issuer | TlsTrouble::Certificate, _) => {
            Fault::halt("OS.ConnectionError", text)
        }
        SendError::Broken(_) => Fault::retry("OS.ConnectionReset", text),
        // Fewer documents have a shorter answer.
        SendError::TooLarge { .. } => Fault::TooLarge { cause: Cause::new(PARSE, text) },
        SendError::Credentials(_) => Fault::halt("OS.AccessDenied", text),
        SendError::Request(_) => Fault::halt("OS.ValidationException", text),
        #[allow(unreachable_patterns, reason = "other troubles of connecting")]
        _ => Fault::retry("OS.ConnectionError", text),
    }
}

/// What the answer to a document that cannot be stored says of the permission to store one.
pub(super) fn trial(body: &[u8], flavor: Flavor) -> Result<(), Fault> {
    let unread = || Fault::retry(PARSE, "the answer cannot be read");
    let body: Body = serde_json::from_slice(body).map_err(|_| unread())?;
    let Wrapped { item } = body.items.first().ok_or_else(unread)?;
    let words = item.error.as_ref().map(Trouble::words).unwrap_or_default();
    match item.status {
        400 => match setting(&words) {
            Some(code) => Err(Fault::halt(code, words)),
            None => Ok(()),
        },
        401 | 403 | 408 | 429 | 500..=599 => Err(by_status(item.status, words, flavor)),
        _ => Ok(()),
    }
}
