//! JSON records to rows: the deserializers of Firehose, into Arrow arrays.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How records are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deserializer {
    /// The lenient reader (Firehose's OpenXJsonSerDe).
    OpenxJson(OpenxJson),
    /// The strict reader (Firehose's HiveJsonSerDe).
    HiveJson(HiveJson),
}

impl Default for Deserializer {
    fn default() -> Self {
        Self::OpenxJson(OpenxJson::default())
    }
}

/// Options of the lenient reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpenxJson {
    /// Lower-cases every key before it is looked up.
    pub case_insensitive: bool,
    /// Reads the key `a.b` as the column `a_b`.
    pub convert_dots_in_json_keys_to_underscores: bool,
    /// Column to JSON key, where they differ: `{ts: timestamp}`.
    pub column_to_json_key_mappings: BTreeMap<String, String>,
}

impl Default for OpenxJson {
    fn default() -> Self {
        Self {
            case_insensitive: true,
            convert_dots_in_json_keys_to_underscores: false,
            column_to_json_key_mappings: BTreeMap::new(),
        }
    }
}

/// Options of the strict reader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HiveJson {
    /// Patterns of Joda time, or `millis`, tried in order; `yyyy-MM-dd HH:mm:ss[.f]` if none is
    /// given.
    pub timestamp_formats: Vec<String>,
}
