//! The list of transforms: each by itself, and what must stand once or in order.

use super::{delimiter_bytes, not_empty, quoting, role, s3, size, span};
use crate::{
    config::{
        DestinationSpec, SubRecordsError, TransformSpec,
        yaml::{Found, problem::join},
    },
    limits,
    net::aws::Access,
    transform::{
        agent::{CsvToJson, LogToJson, csv_to_json, log_to_json},
        jq,
        lambda::{LambdaError, Options},
        schema_registry::SchemaRegistry,
    },
    units::Span,
};

/// Those of which a destination has one at the most.
const ONCE: [&str; 3] = ["append_delimiter", "lambda", "metadata_extraction"];

pub(super) fn list(path: &str, destination: &DestinationSpec, found: &mut Found) {
    let specs = &destination.transforms;
    for (index, spec) in specs.iter().enumerate() {
        let at = place(path, index, spec);
        let key = spec.key();
        if ONCE.contains(&key) && specs[..index].iter().any(|before| before.key() == key) {
            found.add(&at, "stands twice: one per destination", None);
        }
        if key == "cloudwatch_log_processing"
            && specs[index..].iter().any(|behind| behind.key() == "decompression")
        {
            let help = Some("put decompression first");
            found.add(&at, "reads records before they are unpacked", help);
        }
        transform(&at, spec, found);
    }
}

/// Where a transform stands.
pub(super) fn place(path: &str, index: usize, spec: &TransformSpec) -> String {
    format!("{path}.transforms[{index}].{}", spec.key())
}

fn transform(at: &str, spec: &TransformSpec, found: &mut Found) {
    match spec {
        TransformSpec::Decompression(_)
        | TransformSpec::CloudwatchLogProcessing(_)
        | TransformSpec::SingleLine(_) => {}
        TransformSpec::RecordDeaggregation(spec) => {
            if let Err(error) = spec.sub_records() {
                let help = match error {
                    SubRecordsError::Missing => Some("set delimiter, or delimiter_base64"),
                    _ => None,
                };
                found.add(at, error.to_string(), help);
            }
        }
        TransformSpec::Lambda(options) => lambda(at, options, found),
        TransformSpec::DecodeSchemaRegistry(options) => {
            let access =
                Access { region: "us-east-1".into(), keys: None, role: None, sts_endpoint: None };
            if let Err(error) = SchemaRegistry::new(options, access) {
                found.add(at, error.to_string(), None);
            }
        }
        TransformSpec::MetadataExtraction(spec) => {
            let long = join(at, "query");
            let at = if found.places.is_set(&long) { &long } else { at };
            if let Err(error) = jq::Extraction::new(spec.query()) {
                quoting(at, error, "is no jq query that gives an object", found);
            }
        }
        TransformSpec::Filter(text) => {
            if let Err(error) = jq::Filter::new(text) {
                quoting(at, error, "is no jq filter", found);
            }
        }
        TransformSpec::Map(text) => {
            if let Err(error) = jq::Map::new(text) {
                quoting(at, error, "is no jq filter", found);
            }
        }
        TransformSpec::CsvToJson(options) => csv_to_json(at, options, found),
        TransformSpec::LogToJson(options) => log_to_json(at, options, found),
        TransformSpec::AppendDelimiter(spec) => delimiter_bytes(at, &spec.bytes().0, found),
    }
}

fn csv_to_json(at: &str, options: &csv_to_json::Options, found: &mut Found) {
    if let Err(error) = CsvToJson::new(options) {
        found.add(at, error.to_string(), None);
    }
}

fn log_to_json(at: &str, options: &log_to_json::Options, found: &mut Found) {
    match LogToJson::new(options) {
        Ok(_) => {}
        Err(log_to_json::OptionsError::Pattern(error)) => {
            let message = format!("is no regular expression: {error}");
            quoting(&join(at, "match_pattern"), message, "is no regular expression", found);
        }
        Err(error) => found.add(at, error.to_string(), None),
    }
}

fn lambda(at: &str, options: &Options, found: &mut Found) {
    if let Err(error) = options.validate() {
        lambda_error(at, &error, options, found);
    }
    let most = limits::LAMBDA_REQUEST_BYTES_MAX as u64;
    size(&join(at, "buffer_size"), options.buffer_size, 1, most, found);
    span(&join(at, "buffer_interval"), options.buffer_interval, limits::LAMBDA_INTERVAL_MAX, found);
    span(&join(at, "timeout"), options.timeout, limits::LAMBDA_TIMEOUT_MAX, found);
    role(&join(at, "role_arn"), options.role_arn.as_deref(), found);
    s3::endpoint(&join(at, "endpoint"), options.endpoint.as_deref(), found);
    not_empty(&join(at, "region"), options.region.as_deref(), found);
}

/// Where an error of the options belongs. `endpoint` and `buffer_size` are looked at elsewhere.
fn lambda_error(at: &str, error: &LambdaError, options: &Options, found: &mut Found) {
    let example = "write it like arn:aws:lambda:eu-west-1:123456789012:function:name";
    match error {
        LambdaError::Target => {
            found.add(at, "calls a function by function or by url: name one of them", None);
        }
        LambdaError::Function(function) => {
            let at = join(at, "function");
            let shown = found.places.shown(&at, function);
            found.add(&at, format!("{shown} is no function"), Some(example));
        }
        LambdaError::Url(_) => {
            let help = Some("write it like https://functions.example.org/change");
            // A URL may hold a password or a key.
            found.add(&join(at, "url"), "is no URL of a server", help);
        }
        LambdaError::Concurrency(_) => {
            let message = format!(
                "must be 1 to {}, not {}",
                limits::LAMBDA_CONCURRENCY_MAX,
                options.concurrency
            );
            found.add(&join(at, "concurrency"), message, None);
        }
        LambdaError::Nothing("timeout") => {
            let message = format!("must be more than {}", Span(std::time::Duration::ZERO));
            found.add(&join(at, "timeout"), message, None);
        }
        LambdaError::Endpoint(_) | LambdaError::Nothing(_) => {}
    }
}
