//! `${NAME}` and `${NAME:-default}` from the environment; `$${` is a plain `${`.

/// What came of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    pub text: String,
    /// The first variable that took part; a text with one is never shown in a message.
    pub variable: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExpandError {
    #[error("environment variable {0} is not set")]
    Unset(String),
    #[error("`${{` without a `}}`")]
    Open,
    #[error("`${{{0}}}` names no environment variable")]
    Name(String),
}

impl ExpandError {
    pub fn help(&self) -> String {
        match self {
            Self::Unset(name) => format!("set it, or give a default: ${{{name}:-default}}"),
            Self::Open | Self::Name(_) => {
                "write ${NAME}, ${NAME:-default}, or $${ for a plain ${".into()
            }
        }
    }
}

/// Expands every variable in a text. An unset one without a default is an error, one for each.
pub(super) fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Expanded, Vec<ExpandError>> {
    let mut answer = Expanded { text: String::with_capacity(text.len()), variable: None };
    let mut errors = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        let after = &after["${".len()..];
        if let Some(before) = before.strip_suffix('$') {
            answer.text += before;
            answer.text += "${";
            rest = after;
            continue;
        }
        answer.text += before;
        let Some(end) = after.find('}') else {
            errors.push(ExpandError::Open);
            break;
        };
        match resolve(&after[..end], lookup) {
            Ok((name, value)) => {
                answer.text += &value;
                answer.variable.get_or_insert(name);
            }
            Err(error) => errors.push(error),
        }
        rest = &after[end + 1..];
    }
    answer.text += rest;
    if errors.is_empty() { Ok(answer) } else { Err(errors) }
}

/// The name and the value of `NAME` or `NAME:-default`. As in a shell, the default also stands
/// in for an empty value.
fn resolve(
    inside: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(String, String), ExpandError> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let valid = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !valid {
        return Err(ExpandError::Name(name.to_owned()));
    }
    let value = match (lookup(name), default) {
        (Some(value), Some(default)) if value.is_empty() => default.to_owned(),
        (Some(value), _) => value,
        (None, Some(default)) => default.to_owned(),
        (None, None) => return Err(ExpandError::Unset(name.to_owned())),
    };
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("db".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_defaults_and_escapes() {
        for (text, expected) in [
            ("plain $5 !{timestamp:yyyy}", "plain $5 !{timestamp:yyyy}"),
            ("${HOST}", "db"),
            ("http://${HOST}:${PORT:-9000}/", "http://db:9000/"),
            ("${EMPTY}|${EMPTY:-x}|${NONE:-}", "|x|"),
            ("$${HOST} and ${HOST}", "${HOST} and db"),
        ] {
            assert_eq!(expand(text, &lookup).unwrap().text, expected, "{text}");
        }
        assert_eq!(expand("a", &lookup).unwrap().variable, None);
        assert_eq!(expand("${HOST}", &lookup).unwrap().variable.as_deref(), Some("HOST"));
    }

    #[test]
    fn every_unset_variable_is_named() {
        let errors = expand("${ONE} ${HOST} ${TWO} ${", &lookup).unwrap_err();
        let unset = |name: &str| ExpandError::Unset(name.into());
        assert_eq!(errors, [unset("ONE"), unset("TWO"), ExpandError::Open]);
        assert_eq!(expand("${A-B}", &lookup), Err(vec![ExpandError::Name("A-B".into())]));
        assert!(expand("${1A}", &lookup).is_err());
    }
}
