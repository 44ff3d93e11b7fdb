//! Walks a request along its shape and gathers what is wrong with it.

use serde_json::{Map, Value};

use super::{Member, Shape, UNBOUNDED};
use crate::{config::firehose::ApiError, limits};

/// `Value at 'path' failed to satisfy constraint: rule`.
pub fn violation(path: &str, rule: &str) -> String {
    format!("Value at '{path}' failed to satisfy constraint: {rule}")
}

/// The one answer for all violations, if there are any.
pub fn answer(violations: &[String]) -> Result<(), ApiError> {
    let errors = match violations.len() {
        0 => return Ok(()),
        1 => "1 validation error".to_owned(),
        many => format!("{many} validation errors"),
    };
    Err(ApiError::validation(format!("{errors} detected: {}", violations.join("; "))))
}

/// Adds to `violations` what is wrong with `value`; a wrong JSON type ends the walk.
pub fn walk(
    shape: Shape,
    value: &Value,
    path: &str,
    violations: &mut Vec<String>,
) -> Result<(), ApiError> {
    match shape {
        Shape::Structure(members) => walk_structure(members, value, path, violations),
        Shape::List { min, max, of } => walk_list((min, max), *of, value, path, violations),
        Shape::Map { key, value: of } => walk_map(*key, *of, value, path, violations),
        scalar => {
            violations.extend(broken(scalar, value)?.iter().map(|rule| violation(path, rule)));
            Ok(())
        }
    }
}

fn walk_structure(
    members: &[Member],
    value: &Value,
    path: &str,
    violations: &mut Vec<String>,
) -> Result<(), ApiError> {
    let Value::Object(object) = value else {
        return Err(mistyped(value, "structure"));
    };
    for member in members {
        let below = join(path, member.name);
        match object.get(member.name) {
            None | Some(Value::Null) if member.required => {
                violations.push(violation(&below, "Member must not be null"));
            }
            None | Some(Value::Null) => {}
            Some(value) => walk(member.shape, value, &below, violations)?,
        }
    }
    Ok(())
}

fn walk_list(
    bounds: (i64, i64),
    of: Shape,
    value: &Value,
    path: &str,
    violations: &mut Vec<String>,
) -> Result<(), ApiError> {
    let Value::Array(elements) = value else {
        return Err(mistyped(value, "list"));
    };
    let rules = length_rules(elements.len(), bounds.0, bounds.1);
    violations.extend(rules.iter().map(|rule| violation(path, rule)));
    let mut broken_elements = false;
    for (i, element) in elements.iter().enumerate() {
        if violations.len() >= limits::VIOLATIONS_MAX {
            break;
        }
        let below = format!("{path}.{}.member", i + 1);
        if element.is_null() {
            violations.push(violation(&below, "Member must not be null"));
        } else if matches!(of, Shape::Structure(_)) {
            walk(of, element, &below, violations)?;
        } else {
            broken_elements |= !broken(of, element)?.is_empty();
        }
    }
    if broken_elements {
        // The service names the list, and all rules of its elements, once.
        let rules = format!("Member must satisfy constraint: [{}]", all_rules(of).join(", "));
        violations.push(violation(path, &rules));
    }
    Ok(())
}

fn walk_map(
    key: Shape,
    of: Shape,
    value: &Value,
    path: &str,
    violations: &mut Vec<String>,
) -> Result<(), ApiError> {
    let Value::Object(object) = value else {
        return Err(mistyped(value, "map"));
    };
    let (mut broken_keys, mut broken_values) = (false, false);
    for (name, value) in object {
        broken_keys |= !broken(key, &Value::String(name.clone()))?.is_empty();
        broken_values |= !value.is_null() && !broken(of, value)?.is_empty();
    }
    for (is_broken, aspect, shape) in
        [(broken_keys, "Map keys", key), (broken_values, "Map value", of)]
    {
        if is_broken {
            let rules = all_rules(shape).join(", ");
            violations
                .push(violation(path, &format!("{aspect} must satisfy constraint: [{rules}]")));
        }
    }
    Ok(())
}

/// The rules that a scalar breaks.
fn broken(shape: Shape, value: &Value) -> Result<Vec<String>, ApiError> {
    match (shape, value) {
        (Shape::Text { min, max, pattern }, Value::String(text)) => {
            let mut rules = length_rules(text.encode_utf16().count(), min, max);
            if let Some(pattern) = pattern
                && !pattern.matches(text)
            {
                rules.push(pattern_rule(pattern.printed()));
            }
            Ok(rules)
        }
        (Shape::Enum(values), Value::String(text)) => {
            let known = values.contains(&text.as_str());
            Ok(if known { Vec::new() } else { vec![enum_rule(values)] })
        }
        (Shape::Blob, Value::String(text)) => {
            Ok(length_rules(decoded_bytes(text), 0, limits::RECORD_BYTES_MAX as i64))
        }
        (Shape::Integer { min, max }, Value::Number(_)) => match whole(value) {
            Some(number) => Ok(range_rules(number as f64, min, max)),
            None => Err(serialization("NUMBER_VALUE can not be converted to an Integer")),
        },
        (Shape::Fraction, Value::Number(number)) => {
            Ok(range_rules(number.as_f64().unwrap_or(f64::MAX), 0, 1))
        }
        (Shape::Timestamp, Value::Number(_)) | (Shape::Boolean, Value::Bool(_)) => Ok(Vec::new()),
        (Shape::Text { .. } | Shape::Enum(_), _) => Err(mistyped(value, "a String")),
        (Shape::Blob, _) => Err(mistyped(value, "a Blob")),
        (Shape::Integer { .. }, _) => Err(mistyped(value, "an Integer")),
        (Shape::Fraction, _) => Err(mistyped(value, "a Double")),
        (Shape::Timestamp, _) => Err(mistyped(value, "a Timestamp")),
        (Shape::Boolean, _) => Err(mistyped(value, "a Boolean")),
        (Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. }, _) => {
            Err(mistyped(value, "structure"))
        }
    }
}

/// All rules of a scalar, as the service prints them for maps and lists.
fn all_rules(shape: Shape) -> Vec<String> {
    match shape {
        Shape::Text { min, max, pattern } => {
            let mut rules = vec![
                format!("Member must have length less than or equal to {max}"),
                format!("Member must have length greater than or equal to {min}"),
            ];
            rules.extend(pattern.map(|pattern| pattern_rule(pattern.printed())));
            rules
        }
        Shape::Enum(values) => vec![enum_rule(values)],
        _ => Vec::new(),
    }
}

fn length_rules(length: usize, min: i64, max: i64) -> Vec<String> {
    let length = i64::try_from(length).unwrap_or(UNBOUNDED);
    bound_rules("length", length < min, length > max, min, max)
}

fn range_rules(value: f64, min: i64, max: i64) -> Vec<String> {
    bound_rules("value", value < min as f64, value > max as f64, min, max)
}

fn bound_rules(what: &str, low: bool, high: bool, min: i64, max: i64) -> Vec<String> {
    match (low, high) {
        (true, _) => vec![format!("Member must have {what} greater than or equal to {min}")],
        (_, true) => vec![format!("Member must have {what} less than or equal to {max}")],
        _ => Vec::new(),
    }
}

fn pattern_rule(printed: &str) -> String {
    format!("Member must satisfy regular expression pattern: {printed}")
}

fn enum_rule(values: &[&str]) -> String {
    format!("Member must satisfy enum value set: [{}]", values.join(", "))
}

/// Bytes that base64 text stands for, from its length alone.
fn decoded_bytes(text: &str) -> usize {
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    (text.len() - padding) * 3 / 4
}

/// A whole number; `5.0` is one.
fn whole(value: &Value) -> Option<i64> {
    let whole_float = || value.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15);
    value.as_i64().or_else(|| whole_float().map(|f| f as i64))
}

/// The path of a member: names begin with a lower-case letter.
fn join(path: &str, name: &str) -> String {
    let mut below = String::with_capacity(path.len() + 1 + name.len());
    if !path.is_empty() {
        below.push_str(path);
        below.push('.');
    }
    let mut letters = name.chars();
    below.extend(letters.next().map(|first| first.to_ascii_lowercase()));
    below.push_str(letters.as_str());
    below
}

fn serialization(message: impl Into<String>) -> ApiError {
    ApiError::new("SerializationException", 400, message)
}

/// A value of the wrong JSON type, in the words of the service's parser.
fn mistyped(value: &Value, wanted: &str) -> ApiError {
    let found = match value {
        Value::Object(_) => {
            return serialization("Start of structure or map found where not expected.");
        }
        Value::Array(_) => return serialization("Start of list found where not expected"),
        Value::Null => "NULL_VALUE",
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::String(_) => "STRING_VALUE",
    };
    match wanted {
        "structure" | "map" => serialization("Expected structure or map, or null"),
        "list" => serialization("Expected list or null"),
        _ => serialization(format!("{found} can not be converted to {wanted}")),
    }
}

/// What of `value` the shape knows: no unknown members, no nulls, whole numbers as integers,
/// members in the order of the table. The value must have passed the walk.
pub fn known(shape: Shape, value: &Value) -> Value {
    match (shape, value) {
        (Shape::Structure(members), Value::Object(object)) => {
            let mut kept = Map::new();
            for member in members {
                if let Some(value) = object.get(member.name).filter(|value| !value.is_null()) {
                    kept.insert(member.name.to_owned(), known(member.shape, value));
                }
            }
            Value::Object(kept)
        }
        (Shape::List { of, .. }, Value::Array(elements)) => {
            elements.iter().map(|element| known(*of, element)).collect()
        }
        (Shape::Map { .. }, Value::Object(object)) => {
            let kept = object.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        (Shape::Integer { .. }, _) => whole(value).map_or_else(|| value.clone(), Value::from),
        _ => value.clone(),
    }
}
