//! Byte sizes (`5MiB`), durations (`300s`) and secrets as they stand in a configuration.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A number of bytes: `5MiB`, `64 KiB`, `1GB` (decimal), or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A length of time: `300s`, `5m`, `250ms`, `2h`, `1d`, or a plain number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("{0:?} is no size: write a number with B, KiB, MiB, GiB, kB, MB or GB, as in 5MiB")]
    Size(String),
    #[error("{0:?} is no duration: write a number with ms, s, m, h or d, as in 300s")]
    Span(String),
}

/// Splits `12.5 MiB` into its number and its unit.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    Some((number, text[end..].trim()))
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::Size(text.to_owned());
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let factor: f64 = match unit {
            "" | "B" => 1.0,
            "kB" | "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "TB" => 1e12,
            "KiB" | "K" => 1024.0,
            "MiB" | "M" => 1_048_576.0,
            "GiB" | "G" => 1_073_741_824.0,
            "TiB" | "T" => 1_099_511_627_776.0,
            _ => return Err(wrong()),
        };
        let bytes = number * factor;
        if bytes.fract() != 0.0 || bytes > 9e15 {
            return Err(wrong());
        }
        Ok(Self(bytes as u64))
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::Span(text.to_owned());
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let seconds = match unit {
            "ms" => 1e-3,
            "" | "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(wrong()),
        };
        Duration::try_from_secs_f64(number * seconds).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in
            [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
        {
            if self.0 >= unit {
                return if self.0.is_multiple_of(unit) {
                    write!(f, "{}{name}", self.0 / unit)
                } else {
                    write!(f, "{:.1}{name}", self.0 as f64 / unit as f64)
                };
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        if !ms.is_multiple_of(1000) {
            return write!(f, "{ms}ms");
        }
        write!(f, "{}s", ms / 1000)
    }
}

/// A number or a text from YAML.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Whole(u64),
    Fraction(f64),
    Text(String),
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Whole(bytes) => Ok(Self(bytes)),
            Scalar::Fraction(number) => Err(D::Error::custom(UnitError::Size(number.to_string()))),
            Scalar::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Scalar::deserialize(deserializer)? {
            Scalar::Whole(seconds) => return Ok(Self(Duration::from_secs(seconds))),
            Scalar::Fraction(seconds) => seconds.to_string(),
            Scalar::Text(text) => text,
        };
        text.parse().map_err(D::Error::custom)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Exact: a rounded text would not survive a round trip.
        serializer.serialize_u64(self.0)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A size: 5MiB, 64KiB, 1GiB, 1GB (decimal) or a number of bytes.",
            "format": "byte-size",
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^\s*[0-9.]+\s*([kKMGT]?B|[KMGT]i?B?)?\s*$"}
            ]
        })
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration: 300s, 5m, 250ms, 2h, 1d or a number of seconds.",
            "format": "duration-text",
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": r"^\s*[0-9.]+\s*(ms|s|m|min|h|d)?\s*$"}
            ]
        })
    }
}

/// A secret: a text (best from `${ENV}`), or `{file: path}`, read again whenever it is needed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Secret {
    Value(String),
    File {
        /// Path of a file that holds the secret; white space at its end is cut.
        file: PathBuf,
    },
}

impl Secret {
    /// The secret itself. Never log the answer.
    pub fn reveal(&self) -> std::io::Result<String> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::File { file } => Ok(std::fs::read_to_string(file)?.trim_end().to_owned()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Secret(***)"),
            Self::File { file } => write!(f, "Secret(file {})", file.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_and_print() {
        for (text, bytes) in [
            ("5MiB", 5 << 20),
            ("64 KiB", 64 << 10),
            ("1.5GiB", 3 << 29),
            ("1GB", 1_000_000_000),
            ("77", 77),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "MiB", "5 parsecs", "1.0001KiB", "-5MiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        assert_eq!(ByteSize(5 << 20).to_string(), "5MiB");
        assert_eq!(ByteSize(4_402_341_478).to_string(), "4.1GiB");
    }

    #[test]
    fn spans_parse_and_print() {
        for (text, ms) in
            [("300s", 300_000), ("5m", 300_000), ("250ms", 250), ("0", 0), ("1.5h", 5_400_000)]
        {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(ms))), "{text}");
        }
        assert!("5 weeks".parse::<Span>().is_err());
        assert_eq!(Span(Duration::from_secs(300)).to_string(), "300s");
    }

    #[test]
    fn a_secret_never_prints_itself() {
        let secret: Secret = serde_json::from_str(r#""hunter2""#).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert_eq!(secret.reveal().unwrap(), "hunter2");
    }
}
