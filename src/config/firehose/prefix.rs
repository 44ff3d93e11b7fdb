//! The rules of `!{namespace:value}` expressions in Prefix and ErrorOutputPrefix
//! (developer guide, "Custom Prefixes for Amazon S3 Objects").

use serde_json::{Map, Value};

use super::ApiError;

/// The service's words, its spelling included.
const LEAD: &str = "Ths supplied prefix(es) do not satisfy the following constraint:";

/// One expression of a prefix.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expression<'a> {
    pub namespace: &'a str,
    pub value: &'a str,
}

impl Expression<'_> {
    /// Whether a partition key is meant.
    pub fn is_partition_key(&self) -> bool {
        matches!(self.namespace, "partitionKeyFromQuery" | "partitionKeyFromLambda")
    }

    fn is_error_type(&self) -> bool {
        self.namespace == "firehose" && self.value == "error-output-type"
    }
}

/// All expressions of a prefix.
pub(super) fn expressions(prefix: &str) -> Result<Vec<Expression<'_>>, ApiError> {
    let mut found = Vec::new();
    let mut rest = prefix;
    while let Some(start) = rest.find("!{") {
        let inside = &rest[start + 2..];
        let end = inside.find('}').ok_or_else(|| refuse("an expression must end with }"))?;
        let text = &inside[..end];
        let (namespace, value) = text.split_once(':').ok_or_else(|| {
            refuse(&format!("the expression !{{{text}}} must be of the form !{{namespace:value}}"))
        })?;
        let expression = Expression { namespace, value };
        check_namespace(&expression)?;
        found.push(expression);
        rest = &inside[end + 1..];
    }
    Ok(found)
}

fn check_namespace(expression: &Expression<'_>) -> Result<(), ApiError> {
    let Expression { namespace, value } = expression;
    match (*namespace, *value) {
        ("timestamp", pattern) => check_pattern(pattern),
        ("firehose", "random-string" | "error-output-type") => Ok(()),
        ("firehose", _) => Err(refuse(&format!(
            "firehose:{value} is unknown; known are firehose:random-string and \
             firehose:error-output-type"
        ))),
        ("partitionKeyFromQuery" | "partitionKeyFromLambda", "") => {
            Err(refuse(&format!("the namespace {namespace} needs the name of a key")))
        }
        ("partitionKeyFromQuery" | "partitionKeyFromLambda", _) => Ok(()),
        _ => Err(refuse(&format!(
            "the namespace {namespace} is unknown; known are timestamp, firehose, \
             partitionKeyFromQuery and partitionKeyFromLambda"
        ))),
    }
}

/// A pattern of Java's `DateTimeFormatter`: letters have a meaning or are quoted.
fn check_pattern(pattern: &str) -> Result<(), ApiError> {
    const LETTERS: &str = "GuyDMLdQqYwWEecFaBhKkHmsSAnNVvzOXxZp";
    let wrong = |why: &str| refuse(&format!("timestamp:{pattern} {why}"));
    if pattern.is_empty() {
        return Err(wrong("needs a pattern, such as yyyy/MM/dd"));
    }
    let mut quoted = false;
    for letter in pattern.chars() {
        match letter {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '{' | '#' => return Err(wrong("has a reserved character outside of quotes")),
            letter if letter.is_ascii_alphabetic() && !LETTERS.contains(letter) => {
                return Err(wrong(&format!("has the unknown letter {letter}")));
            }
            _ => {}
        }
    }
    if quoted { Err(wrong("has an open quote")) } else { Ok(()) }
}

/// Checks the two prefixes of one S3 document.
pub(super) fn check(document: &Map<String, Value>, partitioned: bool) -> Result<(), ApiError> {
    let of = |member| document.get(member).and_then(Value::as_str).unwrap_or_default();
    let prefix = expressions(of("Prefix"))?;
    let errors = expressions(of("ErrorOutputPrefix"))?;
    if !partitioned && prefix.iter().chain(&errors).any(Expression::is_partition_key) {
        return Err(ApiError::invalid_argument(
            "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic \
             Partitioning is enabled.",
        ));
    }
    if prefix.iter().any(Expression::is_error_type) {
        return Err(refuse("Prefix cannot contain firehose:error-output-type"));
    }
    if errors.iter().any(Expression::is_partition_key) {
        return Err(refuse("ErrorOutputPrefix cannot contain Dynamic Partitioning namespaces"));
    }
    if !prefix.is_empty() && of("ErrorOutputPrefix").is_empty() {
        return Err(refuse(
            "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions",
        ));
    }
    if !errors.is_empty() && !errors.iter().any(Expression::is_error_type) {
        return Err(refuse(
            "ErrorOutputPrefix must contain !{firehose:error-output-type} when it contains \
             expressions",
        ));
    }
    Ok(())
}

fn refuse(constraint: &str) -> ApiError {
    ApiError::invalid_argument(format!("{LEAD} {constraint}"))
}
