//! Hive's types as text: `array<struct<a:int,b:map<string,decimal(10,2)>>>`.

use std::{collections::HashSet, fmt, str::FromStr};

use super::{
    Column, HiveType,
    error::SchemaError,
    tokens::{Token, Tokens},
};
use crate::limits;

/// What Hive makes of a `decimal` that says no more.
const DECIMAL: HiveType = HiveType::Decimal { precision: 10, scale: 0 };
const DECIMAL_PRECISION_MAX: u32 = 38;
const CHAR_MAX: u32 = 255;
const VARCHAR_MAX: u32 = 65_535;

impl FromStr for HiveType {
    type Err = SchemaError;

    /// Reads one type. Names of types may have upper case, names of fields keep theirs.
    fn from_str(text: &str) -> Result<Self, SchemaError> {
        if text.len() > limits::SCHEMA_TYPE_BYTES_MAX {
            let max = limits::SCHEMA_TYPE_BYTES_MAX;
            return Err(SchemaError::TooLong { bytes: text.len(), max });
        }
        parse(text)
    }
}

/// Reads a type of any length.
pub(super) fn parse(text: &str) -> Result<HiveType, SchemaError> {
    let mut parser = Parser::new(text);
    let of = parser.hive_type(0)?;
    match parser.tokens.take()? {
        Token::End => Ok(of),
        _ => Err(parser.tokens.wrong("the end of the type")),
    }
}

/// Reads types and columns.
pub(super) struct Parser<'a> {
    pub(super) tokens: Tokens<'a>,
    fields: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { tokens: Tokens::new(text), fields: 0 }
    }

    /// A type inside of `depth` others.
    pub(super) fn hive_type(&mut self, depth: usize) -> Result<HiveType, SchemaError> {
        let Token::Word(word) = self.tokens.take()? else {
            return Err(self.tokens.wrong(A_TYPE));
        };
        let of = match word.to_ascii_lowercase().as_str() {
            "boolean" => HiveType::Boolean,
            "tinyint" => HiveType::Tinyint,
            "smallint" => HiveType::Smallint,
            "int" | "integer" => HiveType::Int,
            "bigint" => HiveType::Bigint,
            "float" => HiveType::Float,
            "double" => {
                self.tokens.takes_word("precision")?;
                HiveType::Double
            }
            "decimal" | "dec" | "numeric" => self.decimal()?,
            "string" => HiveType::String,
            "char" => HiveType::Char(self.length(CHAR_MAX, "a length from 1 to 255")?),
            "varchar" => HiveType::Varchar(self.length(VARCHAR_MAX, "a length from 1 to 65535")?),
            "binary" => HiveType::Binary,
            "date" => HiveType::Date,
            "timestamp" => self.timestamp()?,
            "array" => self.array(depth)?,
            "map" => self.map(depth)?,
            "struct" => self.structure(depth)?,
            other => return Err(self.unknown_type(other)),
        };
        Ok(of)
    }

    fn unknown_type(&self, name: &str) -> SchemaError {
        let instead = match name {
            "uniontype" => ": a struct with a field per alternative can hold the same",
            "set" => ": use array<…>",
            "void" => "",
            name if name.starts_with("interval") => ": use bigint or string",
            _ => return self.tokens.wrong(A_TYPE),
        };
        SchemaError::Unsupported {
            place: self.tokens.place_taken(),
            name: name.to_owned(),
            instead,
        }
    }

    fn timestamp(&mut self) -> Result<HiveType, SchemaError> {
        if !self.tokens.takes_word("with")? {
            return Ok(HiveType::Timestamp);
        }
        Err(SchemaError::Unsupported {
            place: self.tokens.place_taken(),
            name: "timestamp with time zone".to_owned(),
            instead: ": use timestamp, which is in UTC",
        })
    }

    fn decimal(&mut self) -> Result<HiveType, SchemaError> {
        if !self.tokens.takes_mark('(')? {
            return Ok(DECIMAL);
        }
        let precision = self.number(1, DECIMAL_PRECISION_MAX, "a precision from 1 to 38")?;
        let mut scale = 0;
        if self.tokens.takes_mark(',')? {
            scale = self.number(0, precision, "a scale from 0 to the precision")?;
        }
        self.tokens.mark(')', "a closing parenthesis")?;
        Ok(HiveType::Decimal { precision: precision as u8, scale: scale as u8 })
    }

    fn length(&mut self, max: u32, expected: &'static str) -> Result<u32, SchemaError> {
        self.tokens.mark('(', "a length in parentheses")?;
        let length = self.number(1, max, expected)?;
        self.tokens.mark(')', "a closing parenthesis")?;
        Ok(length)
    }

    fn number(&mut self, min: u32, max: u32, expected: &'static str) -> Result<u32, SchemaError> {
        let Token::Word(word) = self.tokens.take()? else {
            return Err(self.tokens.wrong(expected));
        };
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let number = word.parse().ok().filter(|number| is_number && (min..=max).contains(number));
        number.ok_or_else(|| self.tokens.wrong(expected))
    }

    fn array(&mut self, depth: usize) -> Result<HiveType, SchemaError> {
        self.open(depth)?;
        let of = self.hive_type(depth + 1)?;
        self.tokens.mark('>', "> after the type of the elements")?;
        Ok(HiveType::Array(Box::new(of)))
    }

    fn map(&mut self, depth: usize) -> Result<HiveType, SchemaError> {
        self.open(depth)?;
        let key = self.hive_type(depth + 1)?;
        if matches!(key, HiveType::Array(_) | HiveType::Map(..) | HiveType::Struct(_)) {
            return Err(self.tokens.wrong("a primitive type as the key, not one that ends here"));
        }
        self.tokens.mark(',', "a comma and the type of the values")?;
        let value = self.hive_type(depth + 1)?;
        self.tokens.mark('>', "> after the type of the values")?;
        Ok(HiveType::Map(Box::new(key), Box::new(value)))
    }

    fn structure(&mut self, depth: usize) -> Result<HiveType, SchemaError> {
        self.open(depth)?;
        let mut columns = Vec::new();
        let mut names = HashSet::new();
        loop {
            let name = self.field_name()?;
            if !names.insert(name.to_lowercase()) {
                return Err(self.tokens.wrong("a name that no other field of the struct has"));
            }
            self.tokens.mark(':', "a colon after the name of a field")?;
            columns.push(Column { name, of: self.hive_type(depth + 1)? });
            self.comment()?;
            if !self.tokens.takes_mark(',')? {
                break;
            }
        }
        self.tokens.mark('>', "a comma or > after a field")?;
        Ok(HiveType::Struct(columns))
    }

    fn open(&mut self, depth: usize) -> Result<(), SchemaError> {
        if depth >= limits::SCHEMA_DEPTH_MAX {
            let place = self.tokens.place_taken();
            return Err(SchemaError::TooDeep { place, max: limits::SCHEMA_DEPTH_MAX });
        }
        self.tokens.mark('<', "< and what the type is made of")
    }

    /// The name of a field: in back-quotes, or everything up to the colon, for Glue has names with
    /// spaces in them.
    fn field_name(&mut self) -> Result<String, SchemaError> {
        let name = self.name()?;
        let (start, mut end) = self.tokens.taken();
        if self.tokens.slice(start, end).starts_with('`') {
            return Ok(name);
        }
        while let Token::Word(_) = self.tokens.peek()? {
            self.tokens.take()?;
            end = self.tokens.taken().1;
        }
        Ok(self.tokens.slice(start, end).to_owned())
    }

    /// The name of a column, which is one word or in back-quotes.
    pub(super) fn name(&mut self) -> Result<String, SchemaError> {
        let name = match self.tokens.take()? {
            Token::Word(word) => word.to_owned(),
            Token::Quoted(name) if !name.is_empty() => name,
            _ => return Err(self.tokens.wrong("a name")),
        };
        self.fields += 1;
        if self.fields > limits::SCHEMA_FIELDS_MAX {
            let place = self.tokens.place_taken();
            return Err(SchemaError::TooManyFields { place, max: limits::SCHEMA_FIELDS_MAX });
        }
        Ok(name)
    }

    /// Steps over `comment '…'`, if it is there.
    pub(super) fn comment(&mut self) -> Result<(), SchemaError> {
        if self.tokens.takes_word("comment")? && self.tokens.take()? != Token::Text {
            return Err(self.tokens.wrong("the comment in quotation marks"));
        }
        Ok(())
    }
}

const A_TYPE: &str = "a type (boolean, tinyint, smallint, int, bigint, float, double, \
                      decimal(p,s), string, char(n), varchar(n), binary, date, timestamp, \
                      array<…>, map<…>, struct<…>)";

impl fmt::Display for HiveType {
    /// As Hive writes it; names that are no plain words stand in back-quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Boolean => "boolean",
            Self::Tinyint => "tinyint",
            Self::Smallint => "smallint",
            Self::Int => "int",
            Self::Bigint => "bigint",
            Self::Float => "float",
            Self::Double => "double",
            Self::String => "string",
            Self::Binary => "binary",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Decimal { precision, scale } => return write!(f, "decimal({precision},{scale})"),
            Self::Char(length) => return write!(f, "char({length})"),
            Self::Varchar(length) => return write!(f, "varchar({length})"),
            Self::Array(of) => return write!(f, "array<{of}>"),
            Self::Map(key, value) => return write!(f, "map<{key},{value}>"),
            Self::Struct(columns) => return write_struct(f, columns),
        };
        f.write_str(name)
    }
}

fn write_struct(f: &mut fmt::Formatter<'_>, columns: &[Column]) -> fmt::Result {
    f.write_str("struct<")?;
    for (at, Column { name, of }) in columns.iter().enumerate() {
        if at > 0 {
            f.write_str(",")?;
        }
        if name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            write!(f, "{name}:{of}")?;
        } else {
            write!(f, "`{}`:{of}", name.replace('`', "``"))?;
        }
    }
    f.write_str(">")
}
