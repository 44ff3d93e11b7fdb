//! Elastic Cloud. An Elasticsearch of one's own does not speak the delivery protocol.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PresetError, Resolved, parts::url_of};
use crate::units::Secret;

const NAME: &str = "Elastic";

/// Elastic Cloud; its `url` is that of the deployment's Elasticsearch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Elastic {
    /// Common attribute `es_datastream_name`: where documents go; Elastic takes
    /// `logs-awsfirehose-default` or `metrics-aws.cloudwatch-default` if absent.
    pub data_stream: Option<String>,
    /// Common attribute `include_cw_extracted_fields`: whether fields that CloudWatch Logs
    /// extracted are kept.
    pub include_cw_extracted_fields: Option<bool>,
}

impl Elastic {
    pub(super) fn resolve(&self, url: Option<&Secret>) -> Result<Resolved, PresetError> {
        let include = self.include_cw_extracted_fields.map(|include| include.to_string());
        Ok(Resolved::new(NAME, url_of(url, NAME)?, 1)
            .with_attribute("es_datastream_name", self.data_stream.as_deref())
            .with_attribute("include_cw_extracted_fields", include.as_deref()))
    }
}
