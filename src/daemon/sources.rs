//! Sources by what the configuration says of them.

use std::sync::Arc;

use super::{Shared, identity::Identity};
use crate::{
    config::{MskCluster, SourceSpec},
    net::kafka::{Sasl, Security},
    seams::Source,
    sources::{
        Context, DirectPut, file::FileSource, http::HttpSource, kafka::KafkaSource,
        kinesis::KinesisSource,
    },
};

/// Whether a source pulls its records: then nobody may put any.
pub(super) fn pulls(spec: &SourceSpec) -> bool {
    match spec {
        SourceSpec::DirectPut | SourceSpec::Http(_) => false,
        SourceSpec::Kinesis(_) | SourceSpec::Kafka(_) | SourceSpec::File(_) => true,
    }
}

/// The key of a source in the configuration.
pub(super) fn kind(spec: &SourceSpec) -> &'static str {
    match spec {
        SourceSpec::DirectPut => "direct_put",
        SourceSpec::Kinesis(_) => "kinesis",
        SourceSpec::Kafka(_) => "kafka",
        SourceSpec::File(_) => "file",
        SourceSpec::Http(_) => "http",
    }
}

/// A stream's source: as the trait, and as what it is where only that will do.
pub(super) struct Made {
    pub source: Arc<dyn Source>,
    pub file: Option<Arc<FileSource>>,
}

/// Makes a stream's source. Asks nobody yet.
pub(super) fn make(
    spec: &SourceSpec,
    stream: &str,
    direct: Arc<DirectPut>,
    shared: &Shared,
    from_file: bool,
) -> Result<Made, String> {
    let aws = shared.aws.load();
    let identity = Identity { aws: &aws, from_file };
    let context = |region: Option<&str>, role_arn: Option<&str>| Context {
        stream: stream.to_owned(),
        folder: shared.store.folder(stream).join("source"),
        access: identity.access(region, role_arn),
        msk_endpoint: aws.msk_endpoint.clone(),
        metrics: shared.metrics.source(stream),
        env: shared.env.clone(),
    };
    let source: Arc<dyn Source> = match spec {
        SourceSpec::DirectPut => direct,
        SourceSpec::Kafka(options) => {
            let mut options = (**options).clone();
            // A cluster that stands for one of MSK.
            let stand_in = options.cluster_arn.as_ref().and_then(|arn| aws.msk_clusters.get(arn));
            if let Some(MskCluster { brokers, tls, sasl }) = stand_in.cloned() {
                options.brokers = brokers;
                options.cluster_arn = None;
                options.security = Security { tls, sasl };
            }
            if let Some(Sasl::AwsMskIam { role_arn, .. }) = &mut options.security.sasl
                && !identity.assumes()
            {
                *role_arn = None;
            }
            Arc::new(KafkaSource::new(options, context(None, None))?)
        }
        SourceSpec::Kinesis(options) => {
            let mut options = (**options).clone();
            options.endpoint = options.endpoint.or_else(|| aws.kinesis_endpoint.clone());
            if let Some(leases) = &mut options.leases {
                leases.endpoint = leases.endpoint.take().or_else(|| aws.dynamodb_endpoint.clone());
            }
            let mut context = context(options.region.as_deref(), options.role_arn.as_deref());
            if let Some(role) = &mut context.access.role {
                role.external_id = options.external_id.clone();
            }
            Arc::new(KinesisSource::new(options, context)?)
        }
        SourceSpec::File(options) => {
            let file = Arc::new(FileSource::new((**options).clone(), context(None, None))?);
            return Ok(Made { source: file.clone(), file: Some(file) });
        }
        SourceSpec::Http(options) => Arc::new(HttpSource::new(
            (**options).clone(),
            stream.to_owned(),
            direct,
            shared.listeners.clone(),
            shared.env.clone(),
            shared.metrics.source(stream),
        )?),
    };
    Ok(Made { source, file: None })
}
