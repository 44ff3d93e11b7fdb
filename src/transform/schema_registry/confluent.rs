//! Confluent's API of a schema registry (reference, "Schemas" and "Subjects").

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    OptionsError, codes,
    options::ConfluentOptions,
    registry::{Format, Schema},
};
use crate::{
    fault::{Cause, Fault},
    limits,
    net::http::{self, Answer, SendError, Url},
    units::{Secret, Span},
};

/// A registry.
pub(super) struct Confluent {
    /// Without a slash at the end.
    base: String,
    login: Option<(String, Secret)>,
    timeout: Span,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    schema: String,
    /// Absent for Avro.
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    subject: String,
    version: i64,
}

impl Confluent {
    pub(super) fn new(options: &ConfluentOptions, timeout: Span) -> Result<Self, OptionsError> {
        let url = http::parse_url(&options.url).map_err(OptionsError::Url)?;
        let login = options.username.clone().zip(options.password.clone());
        Ok(Self { base: url.as_str().trim_end_matches('/').to_owned(), login, timeout })
    }

    /// The schema of an id; `None` if there is none.
    pub(super) async fn schema(&self, id: u32) -> Result<Option<Schema>, Fault> {
        let Some(main) = self.ask::<Described>(&format!("/schemas/ids/{id}")).await? else {
            return Ok(None);
        };
        let format = match main.schema_type.as_deref() {
            None | Some("AVRO") => Format::Avro,
            Some("JSON") => Format::Json,
            Some(_) => Format::Other,
        };
        let others = match format {
            Format::Avro => self.referenced(main.references).await?,
            _ => Vec::new(),
        };
        Ok(Some(Schema { format, text: main.schema, others }))
    }

    /// The schemas that a schema names, none before those that it names itself.
    async fn referenced(&self, references: Vec<Reference>) -> Result<Vec<String>, Fault> {
        /// A schema to be asked for, or one whose references have all been taken.
        enum Step {
            Ask(Reference),
            Take(String),
        }
        let mut open: Vec<Step> = references.into_iter().rev().map(Step::Ask).collect();
        let (mut asked, mut schemas) = (Vec::new(), Vec::new());
        while let Some(step) = open.pop() {
            let Reference { subject, version } = match step {
                Step::Take(schema) => {
                    schemas.push(schema);
                    continue;
                }
                Step::Ask(reference) => reference,
            };
            if asked.contains(&(subject.clone(), version)) {
                continue;
            }
            if asked.len() >= limits::SCHEMA_REFERENCES_MAX {
                let text = "a schema has too many references";
                return Err(unreadable(text));
            }
            let name = utf8_percent_encode(&subject, NON_ALPHANUMERIC);
            let path = format!("/subjects/{name}/versions/{version}");
            asked.push((subject, version));
            let Some(described) = self.ask::<Described>(&path).await? else {
                return Err(unreadable(
                    "the registry does not have a schema that another one names",
                ));
            };
            open.push(Step::Take(described.schema));
            open.extend(described.references.into_iter().rev().map(Step::Ask));
        }
        Ok(schemas)
    }

    /// What the registry says of a path; `None` if it knows nothing of it.
    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Fault> {
        let url: Url = format!("{}{path}", self.base)
            .parse()
            .map_err(|_| Fault::halt(codes::REGISTRY_REFUSED, "the URL cannot be made"))?;
        let mut request = http::client()
            .get(url)
            .header("accept", "application/vnd.schemaregistry.v1+json, application/json");
        if let Some((username, password)) = &self.login {
            let password = password.reveal().map_err(|error| {
                Fault::halt(codes::REGISTRY_DENIED, format!("cannot read {password:?}: {error}"))
            })?;
            request = request.basic_auth(username, Some(password));
        }
        let request = request.build().map_err(|error| {
            Fault::halt(codes::REGISTRY_REFUSED, error.without_url().to_string())
        })?;
        let limit = limits::SCHEMA_ANSWER_BYTES_MAX;
        match http::send(request, self.timeout.0, limit).await {
            Ok(answer) => read(&answer),
            Err(error) => Err(unreached(&error)),
        }
    }
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<Option<T>, Fault> {
    #[derive(Default, Deserialize)]
    struct Error {
        #[serde(default)]
        error_code: u32,
    }
    let status = answer.status.as_u16();
    if answer.status.is_success() {
        return serde_json::from_slice(&answer.body).map(Some).map_err(|error| {
            let text = format!("the registry's answer cannot be read: {error}");
            Fault::retry(codes::REGISTRY_UNAVAILABLE, text)
        });
    }
    let Error { error_code } = serde_json::from_slice(&answer.body).unwrap_or_default();
    // Subject, version and schema not found. A 404 without such a code is another server's, or
    // another path's.
    if matches!(error_code, 40401..=40403) {
        return Ok(None);
    }
    let text = format!("the registry answered with status {status}");
    match status {
        401 | 403 => Err(Fault::halt(codes::REGISTRY_DENIED, text)),
        408 | 429 | 500.. => {
            let cause = Cause::new(codes::REGISTRY_UNAVAILABLE, text);
            Err(Fault::Retry { cause, after: answer.retry_after() })
        }
        _ => Err(Fault::halt(codes::REGISTRY_REFUSED, text)),
    }
}

/// A schema that can never be read: the fault of what was written with it.
fn unreadable(text: impl Into<String>) -> Fault {
    Fault::Reject { cause: Cause::new(codes::REGISTRY_REFUSED, text) }
}

fn unreached(error: &SendError) -> Fault {
    let text = format!("schema registry: {error}");
    match error {
        SendError::TooLarge { .. } => unreadable(text),
        SendError::Request(_) | SendError::Credentials(_) => {
            Fault::halt(codes::REGISTRY_REFUSED, text)
        }
        _ => Fault::retry(codes::REGISTRY_UNAVAILABLE, text),
    }
}
