//! The schemas that are known, and where others are asked for.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::OnceCell, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Options, OptionsError, codes, confluent::Confluent, framing::SchemaId, plan::Plan};
use crate::{
    fault::{Cause, Fault},
    limits,
    net::{aws::Access, glue::Glue},
    retry::{Ended, Policy, until_done},
    seams::Observer,
};

/// What records of a schema are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Avro,
    Json,
    /// Protocol Buffers, or something newer.
    Other,
}

/// A schema as a registry describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schema {
    pub(super) format: Format,
    pub(super) text: String,
    /// The schemas that it names, none before those that it names itself.
    pub(super) others: Vec<String>,
}

/// How records of a schema are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    Avro(Plan),
    Json,
    /// They cannot be.
    Unreadable(Cause),
}

/// A schema that was asked for.
struct Known {
    form: Arc<Form>,
    /// When it is asked for again: a schema never changes, but one that is missing may come.
    until: Option<Instant>,
}

/// A question that one asks for all who need its answer.
type Question = OnceCell<Arc<Form>>;

/// Asks, and remembers.
pub(super) struct Registry {
    confluent: Option<Confluent>,
    glue: Option<Glue>,
    pub(super) backoff: Policy,
    known: Mutex<HashMap<SchemaId, Known>>,
    /// Questions under way. Each lives as long as somebody waits for its answer.
    asking: Mutex<HashMap<SchemaId, Weak<Question>>>,
    observer: Option<Arc<dyn Observer>>,
}

impl Registry {
    /// Asks nobody.
    pub(super) fn new(options: &Options, access: Access) -> Result<Self, OptionsError> {
        options.validate()?;
        let confluent = options.confluent.as_ref();
        let confluent = confluent.map(|confluent| Confluent::new(confluent, options.timeout));
        let glue = options.glue.as_ref().map(|glue| {
            let access = access.redirected(glue.region.as_deref(), glue.role_arn.as_deref());
            Glue::new(&access, glue.endpoint.clone()).map_err(OptionsError::Endpoint)
        });
        let (initial, cap) = (limits::LAMBDA_BACKOFF_INITIAL, limits::LAMBDA_BACKOFF_MAX);
        Ok(Self {
            confluent: confluent.transpose()?,
            glue: glue.transpose()?,
            backoff: Policy::forever(initial, cap),
            known: Mutex::default(),
            asking: Mutex::default(),
            observer: None,
        })
    }

    pub(super) fn observed(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// How records of a schema are read. Whoever comes while it is asked for waits for that answer.
    pub(super) async fn form(&self, id: SchemaId) -> Arc<Form> {
        if let Some(form) = self.remembered(id) {
            return form;
        }
        let question = self.question(id);
        // If whoever asks is dropped, the next one who waits asks.
        let form = question.get_or_init(async || match self.remembered(id) {
            Some(form) => form,
            None => self.find(id).await,
        });
        form.await.clone()
    }

    fn question(&self, id: SchemaId) -> Arc<Question> {
        let mut asking = self.asking.lock();
        if let Some(question) = asking.get(&id).and_then(Weak::upgrade) {
            return question;
        }
        asking.retain(|_, question| question.strong_count() > 0);
        let question = Arc::new(Question::new());
        asking.insert(id, Arc::downgrade(&question));
        question
    }

    /// Asks until there is an answer: what ails a registry is no record's fault.
    async fn find(&self, id: SchemaId) -> Arc<Form> {
        let warn = |fault: &Fault, attempt: u32, wait: Duration| {
            let Cause { code, message } = fault.cause();
            if let Some(observer) = &self.observer {
                observer.attempt_failed(fault, attempt, wait);
            }
            let wait_ms = wait.as_millis() as u64;
            tracing::warn!(%code, %message, attempt, wait_ms, "a schema was not to be had");
        };
        // Dropping the future is what ends it.
        let never = CancellationToken::new();
        let asked = until_done(&self.backoff, &never, warn, |_| self.ask(id)).await;
        if let (Ok(_), Some(observer)) = (&asked, &self.observer) {
            observer.attempt_succeeded();
        }
        let schema = match asked {
            Ok(schema) => schema,
            Err(Ended::GaveUp { fault, .. }) => {
                let form = Form::Unreadable(fault.cause().clone());
                return self.remember(id, form, Some(limits::SCHEMA_MISSING_FOR));
            }
            Err(Ended::Stopped) => unreachable!("nobody cancels this token"),
        };
        let Some(schema) = schema else {
            let cause = codes::unknown_schema();
            return self.remember(id, Form::Unreadable(cause), Some(limits::SCHEMA_MISSING_FOR));
        };
        self.remember(id, form_of(&schema), None)
    }

    async fn ask(&self, id: SchemaId) -> Result<Option<Schema>, Fault> {
        match (id, &self.confluent, &self.glue) {
            // Ids are Java's integers: another one is of no registry's, and asking for it is answered
            // like a wrong path.
            (SchemaId::Confluent(id), Some(_), _) if i32::try_from(id).is_err() => Ok(None),
            (SchemaId::Confluent(id), Some(confluent), _) => confluent.schema(id).await,
            (SchemaId::Glue(version), _, Some(glue)) => {
                let found = glue.schema_version(&version.to_string()).await?;
                Ok(found.map(|found| Schema {
                    format: match found.data_format.as_str() {
                        "AVRO" => Format::Avro,
                        "JSON" => Format::Json,
                        _ => Format::Other,
                    },
                    text: found.schema_definition,
                    others: Vec::new(),
                }))
            }
            _ => Err(Fault::Reject { cause: codes::no_registry() }),
        }
    }

    fn remembered(&self, id: SchemaId) -> Option<Arc<Form>> {
        let known = self.known.lock();
        let known = known.get(&id)?;
        known.until.is_none_or(|until| Instant::now() < until).then(|| known.form.clone())
    }

    fn remember(&self, id: SchemaId, form: Form, keep: Option<Duration>) -> Arc<Form> {
        let form = Arc::new(form);
        let mut known = self.known.lock();
        if known.len() >= limits::SCHEMAS_KNOWN_MAX {
            // Ids that are not there are forgotten first: damaged records have any.
            known.retain(|_, known| known.until.is_none());
            if known.len() >= limits::SCHEMAS_KNOWN_MAX {
                known.clear();
            }
        }
        let until = keep.map(|keep| Instant::now() + keep);
        known.insert(id, Known { form: form.clone(), until });
        form
    }
}

fn form_of(schema: &Schema) -> Form {
    match schema.format {
        Format::Json => Form::Json,
        Format::Other => Form::Unreadable(codes::unsupported()),
        Format::Avro => match Plan::read(&schema.text, &schema.others) {
            Ok(plan) => Form::Avro(plan),
            Err(error) => Form::Unreadable(codes::unusable_schema(&error)),
        },
    }
}
