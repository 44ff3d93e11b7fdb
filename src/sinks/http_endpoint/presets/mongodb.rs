//! MongoDB Cloud: a webhook of App Services, or an API gateway before Atlas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PresetError, Resolved, parts::url_of};
use crate::{sinks::http_endpoint::ContentEncoding, units::Secret};

const NAME: &str = "MongoDB Cloud";

/// MongoDB Cloud; its `url` is the webhook's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MongoDb {}

impl MongoDb {
    pub(super) fn resolve(&self, url: Option<&Secret>) -> Result<Resolved, PresetError> {
        // The function behind it is the user's own; not every one unpacks.
        let content_encoding = ContentEncoding::None;
        Ok(Resolved { content_encoding, ..Resolved::new(NAME, url_of(url, NAME)?, 5) })
    }
}
