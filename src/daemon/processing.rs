//! What happens to a destination's records between journal and sink: names to constructors of
//! transforms and formats.

use std::{path::PathBuf, sync::Arc};

use serde_json::{Value, json};

use crate::{
    config::{AwsOptions, DestinationSpec, TransformSpec},
    delivery::ErrorMembers,
    encode::{
        Compression, Format,
        columnar::{self, Columnar, GlueTable, SchemaSource},
        schema::{Catalog, GlueCatalog, cached_table},
    },
    env::Env,
    limits,
    net::{aws::Access, glue::CachedTable, http::UrlError},
    seams::{Observer, Transform},
    sinks::s3,
    transform::{
        Chain,
        agent::{CsvToJson, LogToJson, SingleLine},
        cloudwatch::CloudWatchLogs,
        deaggregation::Deaggregation,
        decompression::Decompression,
        event_time::{self, EventTime},
        jq,
        lambda::{self, Lambda},
        schema_registry::SchemaRegistry,
    },
    units::Span,
};

pub use crate::transform::lambda::StreamContext;

/// What a destination does with its records, complete: nothing of it is looked up elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Processing {
    transforms: Vec<TransformSpec>,
    event_time: Option<event_time::Options>,
    conversion: Option<columnar::Options>,
    /// The table of the Glue Data Catalog that gives the columns, is told of partitions, or both.
    table: Option<GlueTable>,
    /// Whether that table is told of new partitions.
    pub registers: bool,
    /// Partitions that may be open at a time.
    pub partitions_max: u32,
    /// As whom others are called who name no region or role of their own.
    access: Access,
    /// The role of the destination, whether it is assumed or not.
    role_arn: Option<String>,
}

impl Default for Processing {
    fn default() -> Self {
        let access = Access { region: String::new(), keys: None, role: None, sts_endpoint: None };
        Self {
            transforms: Vec::new(),
            event_time: None,
            conversion: None,
            table: None,
            registers: false,
            partitions_max: limits::PARTITIONS_DEFAULT,
            access,
            role_arn: None,
        }
    }
}

impl Processing {
    /// The settings of a destination over the `aws` section's. Where the destination's own role is
    /// not assumed (`sink` says so), no other is either.
    pub fn of(destination: &DestinationSpec, aws: &AwsOptions, sink: &s3::Options) -> Self {
        let bucket;
        let s3 = match (&destination.s3, destination.target().and_then(|t| t.backup())) {
            (Some(s3), _) => s3,
            (None, Some(backup)) => {
                bucket = backup.to_s3();
                &bucket
            }
            (None, None) => return Self::default(),
        };
        let ignores_roles = s3.role_arn.is_some() && sink.role_arn.is_none();
        let role = |role: Option<String>| role.filter(|_| !ignores_roles);
        let glue = |table: GlueTable| GlueTable {
            endpoint: table.endpoint.or_else(|| aws.glue_endpoint.clone()),
            role_arn: role(table.role_arn),
            ..table
        };
        let schema_table = match s3.conversion().map(|conversion| &conversion.schema) {
            Some(SchemaSource::Glue(table)) => Some(glue(table.clone())),
            _ => None,
        };
        let registered = s3.partition_table().map(|table| {
            let like = schema_table.clone();
            glue(GlueTable {
                database: table.database,
                table: table.table,
                catalog_id: table.catalog_id,
                region: table.region,
                version_id: like.as_ref().map_or("LATEST".into(), |t| t.version_id.clone()),
                refresh: like.map_or(Span(limits::GLUE_REFRESH_DEFAULT), |t| t.refresh),
                role_arn: table.role_arn,
                endpoint: table.endpoint,
            })
        });
        let transforms = destination.transforms.iter().map(|transform| match transform {
            TransformSpec::Lambda(options) => TransformSpec::Lambda(lambda::Options {
                endpoint: options.endpoint.clone().or_else(|| aws.lambda_endpoint.clone()),
                role_arn: role(options.role_arn.clone()),
                ..options.clone()
            }),
            TransformSpec::DecodeSchemaRegistry(options) => {
                let mut options = options.clone();
                if let Some(glue) = &mut options.glue {
                    glue.endpoint = glue.endpoint.take().or_else(|| aws.glue_endpoint.clone());
                    glue.role_arn = role(glue.role_arn.take());
                }
                TransformSpec::DecodeSchemaRegistry(options)
            }
            other => other.clone(),
        });
        Self {
            transforms: transforms.collect(),
            event_time: s3.event_time.as_ref().map(|spec| spec.options()),
            conversion: s3.conversion().map(|conversion| conversion.options()),
            registers: registered.is_some(),
            table: registered.or(schema_table),
            partitions_max: s3
                .partitioning()
                // Times alone make no surplus that anybody could mend by a quota.
                .map_or(limits::PARTITIONS_MAX, |dynamic| dynamic.max_active_partitions),
            access: s3::access(sink),
            role_arn: s3.role_arn.clone(),
        }
    }

    /// The same for records that have been through the transforms.
    pub fn without_transforms(&self) -> Self {
        Self { transforms: Vec::new(), ..self.clone() }
    }

    /// The transforms in their order, and behind them what finds out about a record's time.
    pub fn chain(
        &self,
        stream: StreamContext,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Chain, String> {
        let mut transforms: Vec<Arc<dyn Transform>> = Vec::new();
        for spec in &self.transforms {
            transforms.extend(self.transform(spec, &stream, observer.as_ref())?);
        }
        if let Some(options) = &self.event_time {
            transforms.push(Arc::new(EventTime::new(options).map_err(text)?));
        }
        Ok(Chain::new(transforms))
    }

    fn transform(
        &self,
        spec: &TransformSpec,
        stream: &StreamContext,
        observer: Option<&Arc<dyn Observer>>,
    ) -> Result<Option<Arc<dyn Transform>>, String> {
        Ok(Some(match spec {
            TransformSpec::Decompression(spec) => Arc::new(Decompression::new(&spec.options())),
            TransformSpec::CloudwatchLogProcessing(options) => {
                Arc::new(CloudWatchLogs::new(options))
            }
            TransformSpec::RecordDeaggregation(spec) => {
                Arc::new(Deaggregation::new(spec.sub_records().map_err(text)?))
            }
            TransformSpec::Lambda(options) => {
                let access = self.access.clone();
                let lambda = Lambda::new(options.clone(), stream.clone(), access);
                let lambda = lambda.map_err(text)?;
                Arc::new(match observer {
                    Some(observer) => lambda.observed(observer.clone()),
                    None => lambda,
                })
            }
            TransformSpec::MetadataExtraction(spec) => {
                Arc::new(jq::Extraction::new(spec.query()).map_err(text)?)
            }
            TransformSpec::Filter(filter) => Arc::new(jq::Filter::new(filter).map_err(text)?),
            TransformSpec::Map(filter) => Arc::new(jq::Map::new(filter).map_err(text)?),
            TransformSpec::DecodeSchemaRegistry(options) => {
                let registry = SchemaRegistry::new(options, self.access.clone()).map_err(text)?;
                Arc::new(match observer {
                    Some(observer) => registry.observed(observer.clone()),
                    None => registry,
                })
            }
            TransformSpec::SingleLine(options) => Arc::new(SingleLine::new(*options)),
            TransformSpec::CsvToJson(options) => Arc::new(CsvToJson::new(options).map_err(text)?),
            TransformSpec::LogToJson(options) => Arc::new(LogToJson::new(options).map_err(text)?),
            // How a batch puts its records together.
            TransformSpec::AppendDelimiter(_) => return Ok(None),
        }))
    }

    /// Tells these transforms from others: the same records may be taken apart otherwise by them.
    pub fn transforms_id(&self) -> u32 {
        crc32c::crc32c(format!("{:?}", self.transforms).as_bytes())
    }

    /// The table of the catalog, asked once for all who need it. Asks nobody yet.
    pub fn table(&self, env: &Env) -> Result<Option<Arc<CachedTable>>, UrlError> {
        let made = |table| cached_table(table, self.access.clone(), env.clock.clone());
        Ok(self.table.as_ref().map(made).transpose()?.map(Arc::new))
    }

    /// What objects are written as.
    pub fn format(
        &self,
        compression: Compression,
        table: Option<Arc<CachedTable>>,
        folder: PathBuf,
        env: &Env,
    ) -> Result<Arc<dyn Format>, String> {
        Ok(match self.columnar(table, folder, env)? {
            Some(columnar) => Arc::new(columnar),
            None => Arc::new(compression),
        })
    }

    /// What records are converted by; `None` if they are not. In `folder` inferred schemas are
    /// kept.
    pub fn columnar(
        &self,
        table: Option<Arc<CachedTable>>,
        folder: PathBuf,
        env: &Env,
    ) -> Result<Option<Columnar>, String> {
        let Some(conversion) = &self.conversion else { return Ok(None) };
        let own = match &conversion.schema {
            // Partitions may be registered with another table than the columns come from.
            SchemaSource::Glue(of) if !self.is_same_table(of) => Some(Arc::new(
                cached_table(of, self.access.clone(), env.clock.clone()).map_err(text)?,
            )),
            _ => table,
        };
        let catalog = own.map(|table| Arc::new(GlueCatalog::new(table)) as Arc<dyn Catalog>);
        let store = Some((folder, env.files.clone()));
        Columnar::new(conversion, catalog, store).map(Some).map_err(text)
    }

    fn is_same_table(&self, of: &GlueTable) -> bool {
        self.table.as_ref().is_some_and(|table| {
            (&table.database, &table.table, &table.region, &table.catalog_id)
                == (&of.database, &of.table, &of.region, &of.catalog_id)
        })
    }

    /// What the lines of the error output say of this destination.
    pub fn error_members(&self, stream: &StreamContext) -> ErrorMembers {
        let lambda = self.transforms.iter().find_map(|transform| match transform {
            TransformSpec::Lambda(options) => options.function.clone(),
            _ => None,
        });
        let table = match self.conversion.as_ref().map(|conversion| &conversion.schema) {
            Some(SchemaSource::Glue(table)) => Some(self.catalog_table(table, stream)),
            _ => None,
        };
        ErrorMembers { lambda_arn: lambda, catalog_table: table }
    }

    /// The `dataCatalogTable` of Firehose's lines.
    fn catalog_table(&self, table: &GlueTable, stream: &StreamContext) -> Value {
        let account = stream.arn.split(':').nth(4);
        let region = table.region.clone().unwrap_or_else(|| self.access.region.clone());
        json!({
            "catalogId": table.catalog_id.as_deref().or(account),
            "databaseName": table.database,
            "tableName": table.table,
            "region": region,
            "versionId": table.version_id,
            "roleArn": table.role_arn.as_ref().or(self.role_arn.as_ref()),
        })
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
