//! What the OpenSearch sink needs to know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    net::{aws::Access, http::Tls},
    units::{Secret, Span},
};

/// Where and how documents are sent. Every default is already resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// URL of the cluster, domain or collection.
    pub endpoint: String,
    pub flavor: Flavor,
    /// The index or data stream that a trial asks about, and that takes records without a route:
    /// where names rotate, the name as of now.
    pub index: String,
    pub auth: Auth,
    /// Only for versions before 7.
    pub type_name: Option<String>,
    pub document_id: DocumentId,
    /// Whether the index is a data stream: documents are created, never replaced.
    pub data_stream: bool,
    /// Whether requests go under gzip.
    pub gzip: bool,
    pub tls: Tls,
    /// One request, to the end of its answer.
    pub timeout: Span,
    /// Tells this stream's documents from others': the first part of their ids.
    pub id_prefix: String,
}

/// What the destination is, as far as it makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    OpenSearch,
    Elasticsearch,
    Serverless,
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    None,
    Basic {
        username: String,
        password: Secret,
    },
    /// Signature Version 4, of service `es` or, for a collection, `aoss`.
    Aws(Access),
}

/// The ids of documents (`DocumentIdOptions`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentId {
    /// An id of our own, the same at every attempt: a repetition adds no document.
    #[default]
    FirehoseDefault,
    /// None: the cluster makes them up, and a repetition may add a document.
    NoDocumentId,
}
