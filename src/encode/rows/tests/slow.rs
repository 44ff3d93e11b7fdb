//! The lenient reader once more, over parsed JSON and as plainly as possible, and records for it.

use jiff::{Timestamp, civil};
use serde_json::{Map, Value, json};

use super::{column, show, structure, table};
use crate::encode::schema::{Column, HiveType, TableSchema};

/// A random table, and random records that fit it.
pub struct Maker(pub fastrand::Rng);

impl Maker {
    pub fn table(&mut self) -> TableSchema {
        let columns = self.columns(6);
        TableSchema { columns, ..table(&[]) }
    }

    fn columns(&mut self, max: usize) -> Vec<Column> {
        let count = self.0.usize(0..=max);
        (0..count).map(|at| column(&format!("col_{at}"), self.of(3))).collect()
    }

    fn of(&mut self, depth: usize) -> HiveType {
        match self.0.u32(0..if depth == 0 { 14 } else { 20 }) {
            0 => HiveType::Boolean,
            1 => HiveType::Tinyint,
            2 => HiveType::Smallint,
            3 => HiveType::Int,
            4 => HiveType::Bigint,
            5 => HiveType::Float,
            6 => HiveType::Double,
            7 => {
                let scale = self.0.u8(0..9);
                HiveType::Decimal { precision: scale + 14 + self.0.u8(0..9), scale }
            }
            8 => HiveType::Char(self.0.u32(1..6)),
            9 => HiveType::Binary,
            10 => HiveType::Date,
            11 => HiveType::Timestamp,
            12 | 13 => HiveType::String,
            14 | 15 => HiveType::Array(Box::new(self.of(depth - 1))),
            16 | 17 => HiveType::Map(Box::new(HiveType::String), Box::new(self.of(depth - 1))),
            _ => HiveType::Struct(self.columns(3)),
        }
    }

    /// A record of one or more objects.
    pub fn record(&mut self, schema: &TableSchema) -> String {
        let objects: Vec<_> =
            (0..self.0.usize(1..4)).map(|_| self.object(&schema.columns)).collect();
        objects.join(self.choose(&["", "\n", " \r\n\t"]))
    }

    fn choose<'c>(&mut self, of: &[&'c str]) -> &'c str {
        of[self.0.usize(..of.len())]
    }

    fn space(&mut self) -> &'static str {
        if self.0.u8(..) < 200 { "" } else { self.choose(&[" ", "\n  ", "\t"]) }
    }

    fn joined(&mut self, parts: Vec<String>, brackets: [&str; 2]) -> String {
        let mut text = brackets[0].to_owned() + self.space();
        for (at, part) in parts.into_iter().enumerate() {
            if at > 0 {
                text = text + "," + self.space();
            }
            text = text + &part + self.space();
        }
        text + brackets[1]
    }

    fn member(&mut self, key: &str, value: &str) -> String {
        let key = match self.0.u8(0..12) {
            0 => key.to_uppercase(),
            1 => key.replacen('c', "\\u0063", 1),
            _ => key.to_owned(),
        };
        format!("\"{key}\"{}:{}{value}", self.space(), self.space())
    }

    fn object(&mut self, columns: &[Column]) -> String {
        let mut parts = Vec::new();
        for column in columns {
            if self.0.u8(0..8) > 0 {
                let value = self.json(&column.of);
                parts.push(self.member(&column.name, &value));
            }
        }
        if self.0.u8(0..4) == 0 {
            self.0.shuffle(&mut parts);
        }
        if self.0.u8(0..4) == 0 {
            let value = self.anything(3);
            let at = self.0.usize(0..=parts.len());
            parts.insert(at, self.member("unknown", &value));
        }
        self.joined(parts, ["{", "}"])
    }

    /// Any JSON, spelled as serde_json spells it but for white space.
    fn anything(&mut self, depth: usize) -> String {
        match self.0.u8(0..if depth == 0 { 5 } else { 7 }) {
            0 => "null".into(),
            1 => self.0.bool().to_string(),
            2 => self.0.i64(..).to_string(),
            3 => (f64::from(self.0.i32(..)) / 8.0 + 0.125).to_string(),
            4 => self.string(),
            5 => {
                let parts = (0..self.0.usize(0..4)).map(|_| self.anything(depth - 1)).collect();
                self.joined(parts, ["[", "]"])
            }
            _ => {
                let parts = (0..self.0.usize(0..4))
                    .map(|at| {
                        let value = self.anything(depth - 1);
                        format!("\"K{at}\":{value}")
                    })
                    .collect();
                self.joined(parts, ["{", "}"])
            }
        }
    }

    fn string(&mut self) -> String {
        let alphabet: Vec<char> = "abcXYZ \"\\/\n\té😀0189".chars().collect();
        let length = if self.0.u8(0..8) == 0 { 40 } else { 9 };
        let text: String =
            (0..self.0.usize(0..length)).map(|_| self.0.choice(&alphabet).unwrap()).collect();
        json!(text).to_string()
    }

    /// A value for a column: what it is, or what the lenient reader makes it of.
    fn json(&mut self, of: &HiveType) -> String {
        if self.0.u8(0..12) == 0 {
            return "null".into();
        }
        let quoted = self.0.u8(0..4) == 0;
        let text = match of {
            HiveType::Boolean => self.choose(&["true", "false"]).into(),
            HiveType::Tinyint => self.0.i8(..).to_string(),
            HiveType::Smallint => self.0.i16(..).to_string(),
            HiveType::Int => self.0.i32(..).to_string(),
            HiveType::Bigint => self.0.i64(..).to_string(),
            HiveType::Float => (f32::from(self.0.i16(..)) / 8.0).to_string(),
            HiveType::Double => format!("{:e}", f64::from(self.0.i32(..)) / 8.0),
            HiveType::Decimal { .. } => {
                format!("{}.{:05}", self.0.i32(-999_999_999..999_999_999), self.0.u32(0..100_000))
            }
            HiveType::String | HiveType::Char(_) | HiveType::Binary => return self.anything(2),
            HiveType::Varchar(_) => return self.string(),
            HiveType::Date => {
                format!("{}-{}-{:02}", self.0.u32(1000..3000), self.0.u8(1..13), self.0.u8(1..29))
            }
            HiveType::Timestamp => return self.time(),
            HiveType::Array(of) => {
                match &**of {
                    HiveType::Int | HiveType::Boolean if quoted => return self.json(of),
                    HiveType::Struct(columns) if quoted => return self.object(columns),
                    _ => {}
                }
                let parts = (0..self.0.usize(0..5)).map(|_| self.json(of)).collect();
                return self.joined(parts, ["[", "]"]);
            }
            HiveType::Map(_, of) => {
                let parts = (0..self.0.usize(0..22))
                    .map(|at| {
                        let value = self.json(of);
                        let key = format!("{}{}", self.choose(&["K", "k"]), at % 20);
                        format!("\"{}{key}\":{value}", "é".repeat(at / 20))
                    })
                    .collect();
                return self.joined(parts, ["{", "}"]);
            }
            HiveType::Struct(columns) => {
                if quoted {
                    let count = self.0.usize(0..columns.len() + 2);
                    let parts = (0..count)
                        .map(|at| columns.get(at).map_or("1".into(), |c| self.json(&c.of)))
                        .collect();
                    return self.joined(parts, ["[", "]"]);
                }
                return self.object(columns);
            }
        };
        let quoted = quoted || matches!(of, HiveType::Date);
        if quoted { format!("\"{text}\"") } else { text }
    }

    fn time(&mut self) -> String {
        let seconds = self.0.i64(-4_000_000_000..4_000_000_000);
        let time = Timestamp::new(seconds, self.0.i32(0..1_000_000_000)).unwrap();
        match self.0.u8(0..6) {
            0 => seconds.to_string(),
            1 => format!("\"{seconds}\""),
            2 => (seconds.abs() * 1000 + 1_000_000_000_000).to_string(),
            3 => time.strftime("\"%Y-%m-%d %H:%M:%S\"").to_string(),
            4 => time.strftime("\"%Y-%-m-%-d %-H:%-M:%-S.%6f\"").to_string(),
            _ => time.strftime("\"%Y-%m-%dT%H:%M:%S.%3fZ\"").to_string(),
        }
    }
}

/// The rows that a record becomes.
pub fn rows(schema: &TableSchema, record: &str) -> Vec<Value> {
    let objects = serde_json::Deserializer::from_str(record).into_iter::<Value>();
    let of = HiveType::Struct(schema.columns.clone());
    objects.map(|object| interpret(&of, &object.unwrap())).collect()
}

fn interpret(of: &HiveType, json: &Value) -> Value {
    if json.is_null() {
        return Value::Null;
    }
    let text = json.as_str().map_or_else(|| folded(json).to_string(), str::to_owned);
    match of {
        HiveType::Boolean => json!(text == "true"),
        HiveType::Tinyint | HiveType::Smallint | HiveType::Int | HiveType::Bigint => {
            json!(text.parse::<i64>().unwrap())
        }
        HiveType::Float | HiveType::Double => show::float(text.parse().unwrap()),
        HiveType::Decimal { scale, .. } => json!(rounded(&text, usize::from(*scale))),
        HiveType::String => json!(text),
        HiveType::Char(max) | HiveType::Varchar(max) => {
            json!(text.chars().take(*max as usize).collect::<String>())
        }
        HiveType::Binary => json!(hex::encode(text)),
        HiveType::Date => {
            let parts: Vec<i16> = text.split('-').map(|part| part.parse().unwrap()).collect();
            let date = civil::date(parts[0], parts[1] as i8, parts[2] as i8);
            let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).unwrap();
            json!(zoned.timestamp().as_second().div_euclid(86_400))
        }
        HiveType::Timestamp => json!(nanos(&text)),
        HiveType::Array(of) => match json {
            Value::Array(elements) => {
                elements.iter().map(|element| interpret(of, element)).collect()
            }
            single => json!([interpret(of, single)]),
        },
        HiveType::Map(_, of) => {
            let members = json.as_object().unwrap().iter();
            let members = members.map(|(key, value)| (key.to_lowercase(), interpret(of, value)));
            Value::Object(members.collect())
        }
        HiveType::Struct(columns) => {
            let field = |(at, column): (usize, &Column)| {
                let member = match json {
                    Value::Array(elements) => elements.get(at),
                    other => {
                        let mut members = other.as_object().unwrap().iter().rev();
                        members.find(|(key, _)| key.to_lowercase() == column.name).map(|(_, v)| v)
                    }
                };
                (column.name.clone(), member.map_or(Value::Null, |v| interpret(&column.of, v)))
            };
            Value::Object(columns.iter().enumerate().map(field).collect())
        }
    }
}

/// With all keys in lower case.
fn folded(json: &Value) -> Value {
    match json {
        Value::Array(elements) => elements.iter().map(folded).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| (key.to_lowercase(), folded(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn rounded(text: &str, scale: usize) -> String {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |text| ("-", text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = format!("{fraction:0<12}");
    let mut digits: i128 = format!("{whole}{}", &fraction[..scale]).parse().unwrap();
    digits += i128::from(fraction.as_bytes()[scale] >= b'5');
    let sign = if digits == 0 { "" } else { sign };
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn nanos(text: &str) -> i64 {
    if let Ok(number) = text.parse::<i64>() {
        let unit = if number.abs() < 1_000_000_000_000 { 1_000_000_000 } else { 1_000_000 };
        return number * unit;
    }
    let form = if text.contains('T') { "%Y-%m-%dT%H:%M:%S%.fZ" } else { "%Y-%m-%d %H:%M:%S%.f" };
    let time = civil::DateTime::strptime(form, text).unwrap();
    time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_nanosecond() as i64
}

#[test]
fn it_knows_what_it_is_told() {
    let schema = table(&[("a", structure(&[("x", HiveType::Decimal { precision: 9, scale: 2 })]))]);
    assert_eq!(
        rows(&schema, r#"{"A":{"X":-1.005}}{"a":["-0.001"]}"#),
        [json!({"a": {"x": "-1.01"}}), json!({"a": {"x": "0.00"}})]
    );
}
