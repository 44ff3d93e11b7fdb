//! A prefix with expressions, parsed and evaluated.

use super::{
    PrefixError,
    error::Place,
    java_time::{Moment, PadTooNarrow, Pattern},
    route::Values,
    source::SourceKey,
};

/// Characters of `!{firehose:random-string}` (Firehose guide).
const RANDOM_CHARS: usize = 11;

/// The literal parts and the expressions of a prefix, in order.
#[derive(Debug, Clone)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
pub(super) enum Part {
    Literal(String),
    Time(Pattern),
    Random,
    ErrorType,
    /// A value of the namespace `partitionKeyFromQuery`.
    Query(String),
    /// A value of the namespace `partitionKeyFromLambda`.
    Lambda(String),
    /// A value of the namespace `source`.
    Source(SourceKey),
}

/// Why a prefix did not come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unevaluated {
    Pad(PadTooNarrow),
    /// The route holds other values than the prefix takes.
    Values,
}

impl From<PadTooNarrow> for Unevaluated {
    fn from(source: PadTooNarrow) -> Self {
        Self::Pad(source)
    }
}

impl Template {
    /// Expressions begin with `!{` and end with the next `}`; all other text is literal.
    pub(super) fn parse(
        text: &str,
        place: Place,
        dynamic_partitioning: bool,
    ) -> Result<Self, Vec<PrefixError>> {
        let mut template = Self::of_literal("");
        let mut mistakes = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("!{") {
            template.literal(&rest[..start]);
            let Some(length) = rest[start..].find('}') else {
                mistakes.push(PrefixError::Unterminated { place, rest: rest[start..].to_owned() });
                return Err(mistakes);
            };
            match expression(&rest[start + 2..start + length], place, dynamic_partitioning) {
                Ok(part) => template.parts.push(part),
                Err(mistake) => mistakes.push(mistake),
            }
            rest = &rest[start + length + 1..];
        }
        template.literal(rest);
        if mistakes.is_empty() { Ok(template) } else { Err(mistakes) }
    }

    pub(super) fn of_literal(text: &str) -> Self {
        let mut template = Self { parts: Vec::new() };
        template.literal(text);
        template
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn literal(&mut self, text: &str) {
        if !text.is_empty() {
            self.parts.push(Part::Literal(text.to_owned()));
        }
    }

    pub(super) fn push(&mut self, part: Part) {
        self.parts.push(part);
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(super) fn has_expressions(&self) -> bool {
        self.parts.iter().any(|part| !matches!(part, Part::Literal(_)))
    }

    pub(super) fn has_error_type(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::ErrorType))
    }

    /// Whether it takes anything from partition keys.
    pub(super) fn has_keys(&self) -> bool {
        let is_key =
            |part: &Part| matches!(part, Part::Query(_) | Part::Lambda(_) | Part::Source(_));
        self.parts.iter().any(is_key)
    }

    pub(super) fn times(&self) -> impl Iterator<Item = &Pattern> {
        self.parts.iter().filter_map(|part| match part {
            Part::Time(pattern) => Some(pattern),
            _ => None,
        })
    }

    /// Appends the text for an object of this moment and route; all timestamps that the route does
    /// not hold share the moment.
    pub(super) fn evaluate(
        &self,
        moment: &Moment<'_>,
        output_type: &str,
        mut values: Values<'_>,
        text: &mut String,
    ) -> Result<(), Unevaluated> {
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Time(_) if values.hold_times() => text.push_str(values.next()?),
                Part::Time(pattern) => pattern.print(moment, text)?,
                Part::Random => {
                    text.extend(std::iter::repeat_with(fastrand::alphanumeric).take(RANDOM_CHARS));
                }
                Part::ErrorType => text.push_str(output_type),
                Part::Query(_) | Part::Lambda(_) | Part::Source(_) => text.push_str(values.next()?),
            }
        }
        values.end()
    }
}

/// What stands between `!{` and `}`.
fn expression(text: &str, place: Place, dynamic_partitioning: bool) -> Result<Part, PrefixError> {
    if text.contains("!{") {
        return Err(PrefixError::Nested { place, expression: text.to_owned() });
    }
    let Some((namespace, value)) = text.split_once(':').filter(|(_, value)| !value.is_empty())
    else {
        return Err(PrefixError::Form { place, expression: text.to_owned() });
    };
    match (namespace, value) {
        ("timestamp", pattern) => Pattern::parse(pattern).map(Part::Time).map_err(|source| {
            PrefixError::Timestamp { place, pattern: pattern.to_owned(), source }
        }),
        ("firehose", "random-string") => Ok(Part::Random),
        ("firehose", "error-output-type") if place == Place::ErrorOutputPrefix => {
            Ok(Part::ErrorType)
        }
        ("firehose", "error-output-type") => Err(PrefixError::ErrorTypeInPrefix),
        ("firehose", value) => Err(PrefixError::UnknownValue { place, value: value.to_owned() }),
        ("partitionKeyFromQuery" | "partitionKeyFromLambda" | "source", _)
            if place == Place::ErrorOutputPrefix =>
        {
            Err(PrefixError::PartitionKeyOfError(namespace.to_owned()))
        }
        ("partitionKeyFromQuery" | "partitionKeyFromLambda" | "source", _)
            if !dynamic_partitioning =>
        {
            Err(PrefixError::DynamicPartitioning)
        }
        ("partitionKeyFromQuery", key) => Ok(Part::Query(key.to_owned())),
        ("partitionKeyFromLambda", key) => Ok(Part::Lambda(key.to_owned())),
        ("source", name) => SourceKey::parse(name)
            .map(Part::Source)
            .ok_or_else(|| PrefixError::UnknownSource(name.to_owned())),
        (namespace, _) => {
            Err(PrefixError::UnknownNamespace { place, namespace: namespace.to_owned() })
        }
    }
}
