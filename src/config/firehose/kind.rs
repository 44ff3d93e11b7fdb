//! What a stream's destination is, and the calls that every kind answers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    ApiError,
    destination::{self, Document, PLAIN_MEMBERS, in_order},
    destinations::{self, Secrets, Table},
};

/// The kind of a stream's destination, under the name that its members of the API begin with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DestinationKind {
    /// `S3…` and `ExtendedS3…`, which are one; the kind of streams that were stored without one.
    #[default]
    S3,
    HttpEndpoint,
    Splunk,
    Amazonopensearchservice,
    Elasticsearch,
    AmazonOpenSearchServerless,
}

impl DestinationKind {
    /// By what stands before `DestinationConfiguration` and `DestinationUpdate`. None for kinds
    /// that are not built.
    pub(super) fn from_prefix(prefix: &str) -> Option<Self> {
        Some(match prefix {
            "S3" | "ExtendedS3" => Self::S3,
            "HttpEndpoint" => Self::HttpEndpoint,
            "Splunk" => Self::Splunk,
            "Amazonopensearchservice" => Self::Amazonopensearchservice,
            "Elasticsearch" => Self::Elasticsearch,
            "AmazonOpenSearchServerless" => Self::AmazonOpenSearchServerless,
            _ => return None,
        })
    }

    /// As its members of the API begin.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::HttpEndpoint => "HttpEndpoint",
            Self::Splunk => "Splunk",
            Self::Amazonopensearchservice => "Amazonopensearchservice",
            Self::Elasticsearch => "Elasticsearch",
            Self::AmazonOpenSearchServerless => "AmazonOpenSearchServerless",
        }
    }

    /// The default, which is not written down.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub(super) fn is_s3(&self) -> bool {
        *self == Self::S3
    }

    /// What is special about it; S3 has rules of its own.
    pub(super) fn table(self) -> Option<&'static Table> {
        Some(match self {
            Self::S3 => return None,
            Self::HttpEndpoint => &destinations::HTTP_ENDPOINT,
            Self::Splunk => &destinations::SPLUNK,
            Self::Amazonopensearchservice => &destinations::OPENSEARCH,
            Self::Elasticsearch => &destinations::ELASTICSEARCH,
            Self::AmazonOpenSearchServerless => &destinations::SERVERLESS,
        })
    }

    /// The document and the secrets of a new stream.
    pub(super) fn create(self, configuration: &Value) -> Result<(Document, Secrets), ApiError> {
        match self.table() {
            None => Ok((destination::create(configuration)?, Secrets::new())),
            Some(table) => table.create(configuration),
        }
    }

    /// The document and the secrets with an update merged in.
    pub(super) fn update(
        self,
        document: &Document,
        secrets: &Secrets,
        update: &Value,
    ) -> Result<(Document, Secrets), ApiError> {
        match self.table() {
            None => Ok((destination::update(document, update)?, Secrets::new())),
            Some(table) => table.update(document, secrets, update),
        }
    }

    /// The members of `DestinationDescription` beside the id. S3 has two shapes, whichever of them
    /// made it.
    pub(super) fn describe(self, document: &Document) -> Map<String, Value> {
        let mut description = Map::new();
        let mut set = |kind: &str, document: Document| {
            description.insert(format!("{kind}DestinationDescription"), document.into());
        };
        if self == Self::S3 {
            set("S3", in_order(document, PLAIN_MEMBERS.iter()));
            set("ExtendedS3", document.clone());
        } else {
            set(self.as_str(), document.clone());
        }
        description
    }
}
