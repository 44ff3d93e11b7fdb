//! The agent's `dataProcessingOptions` as transforms.

use serde_json::{Map, Value};

use crate::{
    config::TransformSpec,
    transform::agent::{
        csv_to_json,
        log_to_json::{self, LogFormat, Unmatched},
        single_line,
    },
};

/// A transform for each option. What cannot be said is remarked; `place` is where the options stand.
pub(super) fn transforms(
    options: &[Value],
    place: &str,
    notes: &mut Vec<String>,
) -> Vec<TransformSpec> {
    let mut specs = Vec::new();
    for (index, option) in options.iter().enumerate() {
        let place = format!("{place}.dataProcessingOptions[{index}]");
        let none = Map::new();
        let option = option.as_object().unwrap_or(&none);
        match text(option, "optionName") {
            Some("SINGLELINE") => {
                specs.push(TransformSpec::SingleLine(single_line::Options::default()));
            }
            Some("CSVTOJSON") => {
                specs.push(TransformSpec::CsvToJson(csv_to_json(option, &place, notes)));
            }
            Some("LOGTOJSON") => {
                let options = log_to_json(option, &place, notes);
                specs.extend(options.map(TransformSpec::LogToJson));
            }
            Some(other) => notes.push(format!("{place}: {other} has no transform: left out")),
            None => notes.push(format!("{place}: names no optionName: left out")),
        }
        if text(option, "jsonFormat").is_some_and(|format| format != "COMPACT") {
            notes.push(format!("{place}.jsonFormat: JSON is always written on one line"));
        }
    }
    specs
}

fn csv_to_json(
    option: &Map<String, Value>,
    place: &str,
    notes: &mut Vec<String>,
) -> csv_to_json::Options {
    let custom_field_names = names(option).unwrap_or_default();
    if custom_field_names.is_empty() {
        notes.push(format!("{place}: customFieldNames is missing: name the columns"));
    }
    let pattern = text(option, "delimiter").unwrap_or(",");
    let delimiter = literal(pattern).unwrap_or_else(|| {
        notes.push(format!(
            "{place}.delimiter: a regular expression for the agent, plain text in csv_to_json: put \
             the delimiter itself there"
        ));
        pattern.to_owned()
    });
    csv_to_json::Options { custom_field_names, delimiter }
}

fn log_to_json(
    option: &Map<String, Value>,
    place: &str,
    notes: &mut Vec<String>,
) -> Option<log_to_json::Options> {
    let log_format = match text(option, "logFormat") {
        Some("COMMONAPACHELOG") => LogFormat::CommonApacheLog,
        Some("COMBINEDAPACHELOG") => LogFormat::CombinedApacheLog,
        Some("APACHEERRORLOG") => LogFormat::ApacheErrorLog,
        Some("SYSLOG") => LogFormat::Syslog,
        Some("RFC3339SYSLOG") => LogFormat::Rfc3339Syslog,
        _ => {
            notes.push(format!("{place}.logFormat: is no known format: left out"));
            return None;
        }
    };
    let match_pattern = text(option, "matchPattern").map(str::to_owned);
    notes.push(format!(
        "{place}: the agent forgets lines that do not match; here they go to the error output \
         (unmatched: drop forgets them, too)"
    ));
    let options = log_to_json::Options {
        log_format,
        match_pattern,
        custom_field_names: names(option),
        unmatched: Unmatched::Fail,
    };
    if let Err(error) = log_to_json::LogToJson::new(&options) {
        notes.push(format!("{place}: {error}"));
    }
    Some(options)
}

fn text<'a>(option: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    option.get(key)?.as_str()
}

fn names(option: &Map<String, Value>) -> Option<Vec<String>> {
    let names = option.get("customFieldNames")?.as_array()?;
    Some(names.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect())
}

/// What a pattern of Java matches, if that is one text. A single character means itself unless it
/// is special, as everywhere.
pub(super) fn literal(pattern: &str) -> Option<String> {
    let mut answer = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => answer.push(match characters.next()? {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                'f' => '\u{c}',
                letter if letter.is_alphanumeric() => return None,
                other => other,
            }),
            '.' | '$' | '|' | '(' | ')' | '[' | '{' | '^' | '?' | '*' | '+' => return None,
            plain => answer.push(plain),
        }
    }
    Some(answer).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn patterns_that_are_plain() {
        for (pattern, expected) in [
            (",", Some(",")),
            ("\t", Some("\t")),
            (r"\t", Some("\t")),
            (r"\|\|", Some("||")),
            ("; ", Some("; ")),
            (r"\\", Some(r"\")),
            ("|", None),
            (r"\s+", None),
            (r"\s", None),
            ("[,;]", None),
            ("\\", None),
            ("", None),
        ] {
            assert_eq!(literal(pattern).as_deref(), expected, "{pattern}");
        }
    }
}
