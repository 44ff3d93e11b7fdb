//! Which failed records are wanted.

use super::{kind::Kind, line::Head};

/// Codes, of which any may match: `HttpEndpoint.DestinationException`, or all that begin with
/// something, as `Splunk.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodePattern {
    text: String,
    prefix: bool,
}

impl CodePattern {
    pub fn parse(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self { text: prefix.to_owned(), prefix: true },
            None => Self { text: text.to_owned(), prefix: false },
        }
    }

    pub fn matches(&self, code: &str) -> bool {
        if self.prefix { code.starts_with(&self.text) } else { code == self.text }
    }
}

/// What a record must be like. What is empty admits everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Arrived at this time or later, in milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Arrived before this time.
    pub until_ms: Option<i64>,
    pub kinds: Vec<Kind>,
    pub codes: Vec<CodePattern>,
}

impl Filter {
    /// The time is that of arrival; where a line has none, that of its last attempt. A line with
    /// neither does not pass a filter by time.
    pub(super) fn admits(&self, head: &Head<'_>, kind: Kind) -> bool {
        self.admits_time(head.arrival_ms.or(head.ended_ms))
            && self.admits_kind(kind)
            && (self.codes.is_empty() || self.codes.iter().any(|code| code.matches(&head.code)))
    }

    /// The same for a record that has no code.
    pub(super) fn admits_plain(&self, kind: Kind, time_ms: Option<i64>) -> bool {
        self.admits_time(time_ms) && self.admits_kind(kind) && self.codes.is_empty()
    }

    fn admits_kind(&self, kind: Kind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    fn admits_time(&self, time_ms: Option<i64>) -> bool {
        let Some(time) = time_ms else {
            return self.from_ms.is_none() && self.until_ms.is_none();
        };
        self.from_ms.is_none_or(|from| time >= from)
            && self.until_ms.is_none_or(|until| time < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(code: &str, arrival_ms: Option<i64>, ended_ms: Option<i64>) -> Head<'_> {
        Head { code: code.into(), arrival_ms, ended_ms, ..Head::default() }
    }

    #[test]
    fn an_empty_filter_admits_all() {
        let filter = Filter::default();
        assert!(filter.admits(&head("", None, None), Kind::Unknown));
        assert!(filter.admits_plain(Kind::Source, None));
    }

    #[test]
    fn time_is_from_inclusive_until_exclusive() {
        let filter = Filter { from_ms: Some(10), until_ms: Some(20), ..Filter::default() };
        for (arrival, ended, expected) in [
            (Some(9), Some(15), false),
            (Some(10), None, true),
            (Some(19), None, true),
            (Some(20), Some(15), false),
            (None, Some(15), true),
            (None, None, false),
        ] {
            let head = head("", arrival, ended);
            assert_eq!(filter.admits(&head, Kind::Splunk), expected, "{arrival:?} {ended:?}");
        }
    }

    #[test]
    fn kinds_and_codes_are_alternatives_of_their_own() {
        let filter = Filter {
            kinds: vec![Kind::Splunk, Kind::HttpEndpoint],
            codes: vec![CodePattern::parse("Splunk.Ack*"), CodePattern::parse("400")],
            ..Filter::default()
        };
        for (code, kind, expected) in [
            ("Splunk.AckTimeout", Kind::Splunk, true),
            ("400", Kind::HttpEndpoint, true),
            ("4001", Kind::HttpEndpoint, false),
            ("Splunk.AckTimeout", Kind::Iceberg, false),
            ("Splunk.InvalidToken", Kind::Splunk, false),
        ] {
            assert_eq!(filter.admits(&head(code, None, None), kind), expected, "{code} {kind:?}");
        }
        assert!(!filter.admits_plain(Kind::Splunk, None), "what has no code has not this one");
    }
}
