//! OpenSearch, Elasticsearch and OpenSearch Serverless.

use serde_json::json;

use super::{
    common::{self, Common, to_backup, to_retry, to_scope},
    endpoints::shown_url,
    optional, text, to_buffering,
};
use crate::{
    config::{
        OpenSearchDestination, TransformSpec,
        firehose::{DestinationKind, destination::Document},
    },
    partition::IndexRotation,
    sinks::opensearch::DocumentId,
};

/// The periods of `IndexRotationPeriod`.
const PERIODS: [(&str, IndexRotation); 5] = [
    ("NoRotation", IndexRotation::NoRotation),
    ("OneHour", IndexRotation::OneHour),
    ("OneDay", IndexRotation::OneDay),
    ("OneWeek", IndexRotation::OneWeek),
    ("OneMonth", IndexRotation::OneMonth),
];

/// Who is asking follows from the endpoint: requests to Amazon's hosts are signed.
pub(super) fn to_search(kind: DestinationKind, document: &Document) -> OpenSearchDestination {
    let serverless = kind == DestinationKind::AmazonOpenSearchServerless;
    let endpoint = if serverless { "CollectionEndpoint" } else { "ClusterEndpoint" };
    let period = text(document, "IndexRotationPeriod");
    let format = document.get("DocumentIdOptions").map(|ids| &ids["DefaultDocumentIdFormat"]);
    OpenSearchDestination {
        index_rotation: PERIODS.iter().find(|(name, _)| *name == period).map(|(_, period)| *period),
        document_id: match format.and_then(|format| format.as_str()) {
            Some("NO_DOCUMENT_ID") => DocumentId::NoDocumentId,
            _ => DocumentId::FirehoseDefault,
        },
        type_name: optional(document, "TypeName"),
        serverless,
        role_arn: optional(document, "RoleARN"),
        buffering: to_buffering(document),
        retry: to_retry(document),
        backup: to_backup(document),
        s3_backup_mode: to_scope(document),
        ..common::minimal(json!({
            "endpoint": text(document, endpoint), "index_name": text(document, "IndexName"),
        }))
    }
}

/// `kind` is of the key in the configuration file, which does not tell collections apart.
pub(super) fn from_search(
    kind: DestinationKind,
    search: &OpenSearchDestination,
    transforms: &[TransformSpec],
) -> (DestinationKind, Document) {
    let (kind, endpoint) = if search.serverless {
        (DestinationKind::AmazonOpenSearchServerless, "CollectionEndpoint")
    } else {
        (kind, "ClusterEndpoint")
    };
    let rotation = match search.index_rotation {
        Some(rotation) => rotation,
        None if search.data_stream => IndexRotation::NoRotation,
        None => IndexRotation::default(),
    };
    let period = PERIODS.iter().find(|(_, period)| *period == rotation).map(|(name, _)| *name);
    let format = match search.document_id {
        DocumentId::FirehoseDefault => "FIREHOSE_DEFAULT",
        DocumentId::NoDocumentId => "NO_DOCUMENT_ID",
    };
    let own = [
        ("RoleARN", search.role_arn.clone().map(Into::into)),
        (endpoint, shown_url(&search.endpoint).map(Into::into)),
        ("IndexName", Some(json!(search.index_name))),
        ("TypeName", search.type_name.clone().map(Into::into)),
        ("IndexRotationPeriod", period.map(Into::into)),
        ("DocumentIdOptions", Some(json!({"DefaultDocumentIdFormat": format}))),
    ];
    let own = own.into_iter().filter_map(|(member, value)| Some((member.to_owned(), value?)));
    let document = common::from(
        &Common {
            buffering: Some(search.buffering),
            retry: search.retry,
            role_arn: search.role_arn.as_deref(),
            ..Common::of(kind, &search.backup, search.s3_backup_mode, transforms)
        },
        own.collect(),
    );
    (kind, document)
}
