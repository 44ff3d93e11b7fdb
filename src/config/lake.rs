//! What a user says of partitions by content, times of events, and columnar files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::s3::S3Destination;
use crate::{
    encode::{
        columnar::{self, SchemaSource, Serializer, UnknownFields},
        rows::{Deserializer, OptionsError, RowReader, Unknown},
        schema::{Column, HiveType, TableSchema},
    },
    limits, partition,
    transform::event_time,
    units::Span,
};

/// A batch for every value of the partition keys in the prefix (Firehose's
/// DynamicPartitioningConfiguration).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DynamicPartitioning {
    /// Whether records are partitioned by keys.
    pub enabled: bool,
    /// Partitions with an open batch at a time, 1 to 100,000. Records of surplus ones go to the
    /// error output.
    pub max_active_partitions: u32,
    /// Firehose's RetryOptions, 0 to 7,200 s. The API shows it; here a delivery is tried again
    /// until it succeeds.
    pub retry_duration: Span,
}

impl Default for DynamicPartitioning {
    fn default() -> Self {
        Self {
            enabled: true,
            max_active_partitions: limits::PARTITIONS_DEFAULT,
            retry_duration: Span(limits::PARTITION_RETRY_DEFAULT),
        }
    }
}

/// Where the time of a record stands: a jq path, or that and more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EventTimeSpec {
    /// jq path of the time: `.ts`.
    Path(String),
    Detailed(event_time::Options),
}

impl EventTimeSpec {
    /// The options of the transform.
    pub fn options(&self) -> event_time::Options {
        match self {
            Self::Path(path) => event_time::Options {
                path: path.clone(),
                format: "auto".into(),
                zone: None,
                missing: event_time::Missing::default(),
            },
            Self::Detailed(options) => options.clone(),
        }
    }
}

/// Records whose time lies far behind their arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Late {
    /// How far the time may lie behind the arrival.
    pub after: Span,
    /// What stands before the `prefix` of those records.
    pub prefix: String,
}

impl Late {
    /// The same for the names of objects.
    pub fn options(&self) -> partition::Late {
        partition::Late { after: self.after.0, prefix: self.prefix.clone() }
    }
}

/// Firehose's DataFormatConversionConfiguration, and more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FormatConversion {
    /// Whether records are converted; `false` keeps the settings without using them.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How records are read.
    #[serde(default)]
    pub input: Deserializer,
    /// What files are written.
    #[serde(default)]
    pub output: Serializer,
    /// Where the columns come from.
    pub schema: SchemaSource,
    /// What becomes of members of a record that are no column.
    #[serde(default)]
    pub unknown_fields: UnknownFields,
}

fn yes() -> bool {
    true
}

impl FormatConversion {
    /// The options of the encoder.
    pub fn options(&self) -> columnar::Options {
        columnar::Options {
            input: self.input.clone(),
            output: self.output.clone(),
            schema: self.schema.clone(),
            unknown_fields: self.unknown_fields,
        }
    }
}

/// What is wrong with a reader's patterns of times, whatever the columns are.
pub(super) fn unreadable_times(input: &Deserializer) -> Option<OptionsError> {
    let time = Column { name: "time".to_owned(), of: HiveType::Timestamp };
    let schema = TableSchema { columns: vec![time], partition_keys: Vec::new() };
    let result = RowReader::new(&schema, input, Unknown::Drop);
    result.err().filter(|error| matches!(error, OptionsError::TimestampFormat { .. }))
}

/// Which table is told of new partitions: `glue` is the one that `format_conversion.schema` names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AddPartitions {
    Of(Catalog),
    Named {
        /// A table of the Glue Data Catalog.
        glue: PartitionTable,
    },
}

/// A catalog of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Catalog {
    /// The table of the Glue Data Catalog in `format_conversion.schema.glue`.
    Glue,
}

/// A table of the Glue Data Catalog whose partitions are registered. What is absent is taken from
/// `format_conversion.schema.glue` where that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PartitionTable {
    /// Its database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Account of the catalog; that of the credentials if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog_id: Option<String>,
    /// Region of the catalog; the destination's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Role to assume; the destination's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// URL of a server that speaks Glue's API; AWS if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// A table of the Glue Data Catalog, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredTable {
    pub database: String,
    pub table: String,
    pub catalog_id: Option<String>,
    pub region: Option<String>,
    pub role_arn: Option<String>,
    pub endpoint: Option<String>,
}

impl S3Destination {
    /// Dynamic partitioning, where it is on.
    pub fn partitioning(&self) -> Option<&DynamicPartitioning> {
        self.dynamic_partitioning.as_ref().filter(|partitioning| partitioning.enabled)
    }

    /// Format conversion, where it is on.
    pub fn conversion(&self) -> Option<&FormatConversion> {
        self.format_conversion.as_ref().filter(|conversion| conversion.enabled)
    }

    /// The table that is told of new partitions. `None` where nothing is said of one, or where its
    /// database or name are said nowhere.
    pub fn partition_table(&self) -> Option<RegisteredTable> {
        let own = match self.add_partitions.as_ref()? {
            AddPartitions::Of(Catalog::Glue) => PartitionTable::default(),
            AddPartitions::Named { glue } => glue.clone(),
        };
        let conversion = self.format_conversion.as_ref();
        let schema = match conversion.map(|conversion| &conversion.schema) {
            Some(SchemaSource::Glue(table)) => PartitionTable {
                database: Some(table.database.clone()),
                table: Some(table.table.clone()),
                catalog_id: table.catalog_id.clone(),
                region: table.region.clone(),
                role_arn: table.role_arn.clone(),
                endpoint: table.endpoint.clone(),
            },
            _ => PartitionTable::default(),
        };
        Some(RegisteredTable {
            database: own.database.or(schema.database)?,
            table: own.table.or(schema.table)?,
            catalog_id: own.catalog_id.or(schema.catalog_id),
            region: own.region.or(schema.region),
            role_arn: own.role_arn.or(schema.role_arn),
            endpoint: own.endpoint.or(schema.endpoint),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn destination(members: Value) -> S3Destination {
        let mut all = json!({"bucket": "b"});
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn blocks_that_are_off_are_kept_and_not_used() {
        let s3 = destination(json!({
            "dynamic_partitioning": {"enabled": false},
            "format_conversion": {"enabled": false, "schema": {"infer": {}}},
        }));
        assert!(s3.dynamic_partitioning.is_some() && s3.format_conversion.is_some());
        assert_eq!((s3.partitioning(), s3.conversion()), (None, None));
        let s3 = destination(json!({
            "dynamic_partitioning": {},
            "format_conversion": {"schema": {"ddl": "id int"}},
        }));
        assert_eq!(s3.partitioning(), Some(&DynamicPartitioning::default()));
        assert_eq!(s3.conversion().unwrap().options().schema, SchemaSource::Ddl("id int".into()));
    }

    #[test]
    fn a_path_alone_is_an_event_time() {
        let of = |value| destination(json!({"event_time": value})).event_time.unwrap().options();
        assert_eq!(of(json!(".ts")), of(json!({"path": ".ts"})));
        assert_eq!(of(json!({"path": ".ts", "format": "unix"})).format, "unix");
    }

    #[test]
    fn partitions_are_added_to_the_table_of_the_schema_unless_another_is_named() {
        let glue = json!({"glue": {
            "database": "d", "table": "t", "region": "eu-west-1", "catalog_id": "1",
        }});
        let table = |schema: Value, add: Value| {
            let conversion = json!({"schema": schema});
            destination(json!({"format_conversion": conversion, "add_partitions": add}))
                .partition_table()
        };
        let found = table(glue.clone(), json!("glue")).unwrap();
        assert_eq!((found.database.as_str(), found.table.as_str()), ("d", "t"));
        assert_eq!(found.region.as_deref(), Some("eu-west-1"));
        let found = table(glue, json!({"glue": {"table": "u", "region": "eu-west-2"}})).unwrap();
        assert_eq!((found.database.as_str(), found.table.as_str()), ("d", "u"));
        assert_eq!(found.region.as_deref(), Some("eu-west-2"));
        assert_eq!(found.catalog_id.as_deref(), Some("1"));
        assert_eq!(table(json!({"infer": {}}), json!("glue")), None);
        assert_eq!(destination(json!({})).partition_table(), None);
    }
}
