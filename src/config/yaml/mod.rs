//! The YAML file: every mistake at once, each with its line, column and path.
//!
//! The text becomes a tree that knows its places; the tree is held against the JSON Schema of the
//! types, `${NAME}` expanded on the way; what comes out deserializes; then follow the checks of
//! what a schema cannot say. The schema is the one that editors use, so both agree.

mod check;
mod defaults;
mod expand;
mod leaf;
mod problem;
mod shape;
mod tree;

#[cfg(test)]
mod kinds_tests;
#[cfg(test)]
mod logs_tests;
#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod search_tests;
#[cfg(test)]
mod sources_tests;
#[cfg(test)]
mod tests;

use std::path::Path;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::problem::Problem;
use self::{
    problem::Mark,
    shape::{Finding, Places, Walk},
};
use super::spec::{Config, Credential};
use crate::units::ByteSize;

/// Reads and checks a configuration file. `Err` holds every mistake, in the order of the file.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    parse(path, &text_of(path)?, &|name| std::env::var(name).ok())
}

/// Checks a configuration's text; `path` only stands in messages, `lookup` is the environment.
pub fn parse(
    path: &Path,
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Vec<Problem>> {
    let (mut config, mut found) = typed::<Config>(path, text, &schema(), lookup)?;
    defaults::complete(&mut config, &found.places);
    check::config(&config, &mut found);
    found.into_result(path, config)
}

/// Reads an `api.credentials_file`: a list like `api.credentials`.
pub fn load_credentials(path: &Path) -> Result<Vec<Credential>, Vec<Problem>> {
    let lookup = |name: &str| std::env::var(name).ok();
    let schema = schema_of::<Vec<Credential>>();
    let (keys, mut found) = typed::<Vec<Credential>>(path, &text_of(path)?, &schema, &lookup)?;
    check::credentials(&keys, "", &mut found);
    found.into_result(path, keys)
}

/// The JSON Schema of the configuration file, for editors.
pub fn schema() -> Value {
    let mut schema = schema_of::<Config>();
    tidy(&mut schema);
    schema["title"] = "Standpipe configuration".into();
    schema
}

fn schema_of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    close(&mut schema);
    schema
}

/// No mapping takes unknown keys, whether its type says so or not.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let is_schema = members.get("type").is_some_and(|kind| kind == "object");
            if is_schema && members.get("properties").is_some_and(Value::is_object) {
                members.entry("additionalProperties").or_insert(false.into());
            }
            members.values_mut().for_each(close);
        }
        Value::Array(members) => members.iter_mut().for_each(close),
        _ => {}
    }
}

/// Makes the schema pleasant for editors: sizes as people write them, sentences without line
/// breaks, and no defaults that only repeat those of the keys inside.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("default").is_some_and(|value| value.is_object() || value.is_null()) {
                members.remove("default");
            }
            if members.get("$ref").is_some_and(|name| name == "#/$defs/ByteSize")
                && let Some(bytes) = members.get("default").and_then(Value::as_u64)
            {
                members.insert("default".into(), ByteSize(bytes).to_string().into());
            }
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(members) => members.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn text_of(path: &Path) -> Result<String, Vec<Problem>> {
    std::fs::read_to_string(path).map_err(|error| {
        vec![Problem {
            file: path.to_owned(),
            line: 0,
            column: 0,
            path: String::new(),
            message: format!("cannot be read: {error}"),
            help: None,
        }]
    })
}

/// What was found so far, and where everything stands.
struct Found {
    places: Places,
    findings: Vec<Finding>,
    /// Mistakes in files that this one names.
    elsewhere: Vec<Problem>,
}

impl Found {
    pub fn elsewhere(&mut self, problems: Vec<Problem>) {
        self.elsewhere.extend(problems);
    }

    /// Adds a mistake, unless its place is known to be wrong already.
    pub fn add(&mut self, path: &str, message: impl Into<String>, help: Option<&str>) {
        if !self.places.is_broken(path) {
            self.findings.push(Finding {
                path: path.to_owned(),
                mark: self.places.mark(path),
                message: message.into(),
                help: help.map(str::to_owned),
            });
        }
    }

    fn into_result<T>(self, file: &Path, value: T) -> Result<T, Vec<Problem>> {
        let mut all = problems(file, self.findings);
        all.extend(self.elsewhere);
        if all.is_empty() { Ok(value) } else { Err(all) }
    }
}

fn problems(file: &Path, mut findings: Vec<Finding>) -> Vec<Problem> {
    findings.sort_by_key(|finding| finding.mark);
    let problem = |found: Finding| Problem {
        file: file.to_owned(),
        line: found.mark.line,
        column: found.mark.column,
        path: found.path,
        message: found.message,
        help: found.help,
    };
    findings.into_iter().map(problem).collect()
}

/// The value of a text with everything wrong left out, and what was wrong.
fn typed<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    schema: &Value,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(T, Found), Vec<Problem>> {
    let alone = |mark: Mark, message: String| {
        let line = text.lines().nth(mark.line.saturating_sub(1)).unwrap_or_default();
        let bare = line.contains(['{', '[']) && line.contains("${");
        let help = bare.then(|| "within { } and [ ], put \"${NAME}\" in quotes".to_owned());
        problems(file, vec![Finding { path: String::new(), mark, message, help }])
    };
    let root = tree::parse(text).map_err(|error| alone(error.mark, error.message))?;
    let mut walk = Walk::new(schema, lookup);
    let value = walk.document(&root);
    let Walk { places, findings, .. } = walk;
    match serde_json::from_value(value) {
        Ok(value) => Ok((value, Found { places, findings, elsewhere: Vec::new() })),
        // The schema should have seen it. Serde's own words could quote a secret.
        Err(_) if findings.is_empty() => {
            Err(alone(Mark::default(), "does not fit the types of the configuration".into()))
        }
        Err(_) => Err(problems(file, findings)),
    }
}
