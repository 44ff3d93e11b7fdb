//! Conversion to Parquet and ORC: options within their ranges, a schema that can be read, and
//! whether both fit.

use std::{fs::File, io::Read, path::Path};

use super::{not_empty, quoting, role, s3, size, span};
use crate::{
    config::{
        FormatConversion, S3Destination,
        lake::unreadable_times,
        yaml::{Found, problem::join},
    },
    encode::{
        Compression,
        columnar::{ColumnSpec, GlueTable, SchemaSource, Serializer, UnknownFields},
        orc, parquet,
        rows::{Deserializer, OptionsError, REST_COLUMN, RowReader, Unknown},
        schema::{Column, HiveType, TableSchema},
    },
    limits,
};

/// What Firehose says, in the words of the configuration file.
const UNCOMPRESSED: &str = "must be uncompressed when data format conversion is on; to compress within the files, \
     set format_conversion.output.parquet.compression or …orc.compression";

pub(super) fn destination(path: &str, s3: &S3Destination, found: &mut Found) {
    let Some(conversion) = &s3.format_conversion else { return };
    let at = join(path, "format_conversion");
    if conversion.enabled && s3.compression != Compression::Uncompressed {
        found.add(&join(path, "compression"), UNCOMPRESSED, None);
    }
    output(&join(&at, "output"), &conversion.output, found);
    let infers = matches!(conversion.schema, SchemaSource::Infer(_));
    if conversion.unknown_fields == UnknownFields::Evolve
        && !infers
        && !found.places.is_broken(&join(&at, "schema"))
    {
        let help = Some("set schema: {infer: {}}, or unknown_fields: rest_column");
        found.add(&join(&at, "unknown_fields"), "a given schema cannot evolve", help);
    }
    if let Deserializer::OpenxJson(openx) = &conversion.input
        && infers
        && !openx.case_insensitive
    {
        let message = "must be true when the schema is inferred: columns know no case";
        let place = join(&join(&join(&at, "input"), "openx_json"), "case_insensitive");
        found.add(&place, message, None);
    }
    match schema(&join(&at, "schema"), &conversion.schema, found) {
        Some(schema) => fits(&at, conversion, schema, found),
        None => {
            if let Some(error) = unreadable_times(&conversion.input) {
                let place = reader_place(&at, &conversion.input, &error);
                quoting(&place, error, "cannot be read", found);
            }
        }
    }
}

fn output(path: &str, output: &Serializer, found: &mut Found) {
    match output {
        Serializer::Parquet(options) => {
            let path = join(path, "parquet");
            let at = |key| join(&path, key);
            size(&at("block_size"), options.block_size, limits::MIB, limits::GIB, found);
            size(&at("page_size"), options.page_size, limits::KIB, limits::GIB, found);
            filters(&path, options, found);
        }
        Serializer::Orc(options) => {
            let path = join(path, "orc");
            let at = |key| join(&path, key);
            size(&at("stripe_size"), options.stripe_size, limits::MIB, limits::GIB, found);
            size(&at("block_size"), options.block_size, limits::MIB, limits::GIB, found);
            if options.row_index_stride < limits::ROW_INDEX_STRIDE_MIN {
                let message = format!("must be at least {}", limits::ROW_INDEX_STRIDE_MIN);
                found.add(&at("row_index_stride"), message, None);
            }
            share(&at("padding_tolerance"), options.padding_tolerance, found);
            share(&at("dictionary_key_threshold"), options.dictionary_key_threshold, found);
            let key = "bloom_filter_false_positive_probability";
            inside(&at(key), options.bloom_filter_false_positive_probability, found);
        }
    }
}

fn filters(path: &str, options: &parquet::Options, found: &mut Found) {
    let share = options.bloom_filter_false_positive_probability;
    let least = limits::PARQUET_BLOOM_FILTER_PROBABILITY_MIN;
    if !(least..1.0).contains(&share) {
        let message = format!("must be at least {least} and below 1, not {share}");
        found.add(&join(path, "bloom_filter_false_positive_probability"), message, None);
    }
    let (count, most) = (options.bloom_filter_columns.len(), limits::PARQUET_BLOOM_FILTERS_MAX);
    if count > most {
        let message = format!("must name at most {most} columns, not {count}");
        found.add(&join(path, "bloom_filter_columns"), message, None);
    }
}

fn share(path: &str, value: f64, found: &mut Found) {
    if !(0.0..=1.0).contains(&value) {
        found.add(path, format!("must be 0 to 1, not {value}"), None);
    }
}

fn inside(path: &str, value: f64, found: &mut Found) {
    if !(value > 0.0 && value < 1.0) {
        found.add(path, format!("must lie between 0 and 1, not {value}"), None);
    }
}

/// The columns, where the configuration alone tells them.
fn schema(path: &str, source: &SchemaSource, found: &mut Found) -> Option<TableSchema> {
    match source {
        SchemaSource::Glue(table) => {
            glue(&join(path, "glue"), table, found);
            None
        }
        SchemaSource::Ddl(text) => {
            let result = TableSchema::from_ddl(text);
            keep(&join(path, "ddl"), result, found)
        }
        SchemaSource::File(file) => {
            let path = join(path, "file");
            let text = match read(file) {
                Ok(text) => text,
                Err(error) => {
                    found.add(&path, format!("cannot be read: {error}"), None);
                    return None;
                }
            };
            keep(&path, TableSchema::from_ddl(&text), found)
        }
        SchemaSource::Columns(given) => columns(&join(path, "columns"), given, found),
        SchemaSource::Infer(infer) => {
            if !infer.columns.is_empty() {
                columns(&join(&join(path, "infer"), "columns"), &infer.columns, found);
            }
            None
        }
    }
}

/// One byte more than may be is enough to tell that a file is too long.
fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(limits::SCHEMA_DDL_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn keep<E: std::fmt::Display>(
    path: &str,
    result: Result<TableSchema, E>,
    found: &mut Found,
) -> Option<TableSchema> {
    result.map_err(|error| quoting(path, error, "holds no columns", found)).ok()
}

/// Each column by itself first, so that a mistake stands where it was made.
fn columns(path: &str, given: &[ColumnSpec], found: &mut Found) -> Option<TableSchema> {
    let mut all = true;
    for (index, column) in given.iter().enumerate() {
        let at = format!("{path}[{index}].type");
        if let Err(error) = column.of.parse::<HiveType>() {
            quoting(&at, error, "is no type", found);
            all = false;
        }
    }
    let pairs: Vec<_> = given.iter().map(|column| (&column.name, &column.of)).collect();
    all.then(|| keep(path, TableSchema::from_columns(&pairs), found)).flatten()
}

fn glue(path: &str, table: &GlueTable, found: &mut Found) {
    for (key, text) in [
        ("database", Some(&table.database)),
        ("table", Some(&table.table)),
        ("catalog_id", table.catalog_id.as_ref()),
        ("region", table.region.as_ref()),
    ] {
        not_empty(&join(path, key), text.map(String::as_str), found);
    }
    let version = &table.version_id;
    let at = join(path, "version_id");
    if version != "LATEST" && (version.is_empty() || !version.chars().all(|c| c.is_ascii_digit())) {
        let shown = found.places.shown(&at, version);
        let help = Some("write LATEST, or its number in quotes");
        found.add(&at, format!("{shown} is no version of a table"), help);
    }
    let at = join(path, "refresh");
    if table.refresh.0 < limits::GLUE_REFRESH_MIN {
        let least = crate::units::Span(limits::GLUE_REFRESH_MIN);
        found.add(&at, format!("must be at least {least}, not {}", table.refresh), None);
    }
    span(&at, table.refresh, limits::GLUE_REFRESH_MAX, found);
    role(&join(path, "role_arn"), table.role_arn.as_deref(), found);
    s3::endpoint(&join(path, "endpoint"), table.endpoint.as_deref(), found);
}

/// Whether reader and writer take the columns.
fn fits(path: &str, conversion: &FormatConversion, mut schema: TableSchema, found: &mut Found) {
    let unknown = match conversion.unknown_fields {
        UnknownFields::RestColumn => Unknown::Rest,
        UnknownFields::Drop | UnknownFields::Evolve => Unknown::Drop,
    };
    if let Err(error) = RowReader::new(&schema, &conversion.input, unknown) {
        let place = reader_place(path, &conversion.input, &error);
        quoting(&place, error, "does not fit the columns", found);
        return;
    }
    if unknown == Unknown::Rest {
        schema.columns.push(Column { name: REST_COLUMN.into(), of: HiveType::String });
    }
    let path = join(path, "output");
    match &conversion.output {
        Serializer::Parquet(options) => {
            let path = join(&path, "parquet");
            if let Err(error) = parquet::Writer::new(&schema, options) {
                use parquet::WriteError::{
                    BloomFilterOfBoolean, BloomFilterProbability, TooManyBloomFilters,
                    UnknownBloomFilterColumn,
                };
                let place = match &error {
                    // Told above.
                    BloomFilterProbability { .. } | TooManyBloomFilters { .. } => return,
                    UnknownBloomFilterColumn { .. } | BloomFilterOfBoolean { .. } => {
                        join(&path, "bloom_filter_columns")
                    }
                    _ => path,
                };
                quoting(&place, error, "does not fit the columns", found);
            }
        }
        Serializer::Orc(options) => {
            let path = join(&path, "orc");
            if let Err(error) = orc::Writer::new(&schema, options) {
                let place = match &error {
                    orc::WriteError::FalsePositives(_) => return,
                    orc::WriteError::UnknownBloomColumn(_) => join(&path, "bloom_filter_columns"),
                    _ => path,
                };
                quoting(&place, error, "does not fit the columns", found);
            }
        }
    }
}

fn reader_place(path: &str, input: &Deserializer, error: &OptionsError) -> String {
    let serde = match input {
        Deserializer::OpenxJson(_) => "openx_json",
        Deserializer::HiveJson(_) => "hive_json",
    };
    let input = join(&join(path, "input"), serde);
    match error {
        OptionsError::NoSuchColumn { .. } => join(&input, "column_to_json_key_mappings"),
        OptionsError::TimestampFormat { .. } => join(&input, "timestamp_formats"),
        OptionsError::RestColumn => join(path, "unknown_fields"),
        _ => join(path, "schema"),
    }
}
