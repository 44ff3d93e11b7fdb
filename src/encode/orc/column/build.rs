//! Columns and types from a table's schema.

use super::{
    Column, Position,
    text::{Length, Text},
    values::Values,
};
use crate::{
    encode::{
        orc::{
            FormatVersion, Options, WriteError,
            bloom::Bloom,
            proto::{self, TypeKind},
            rle::{Integers, Plain, bits, bytes},
            stats::{Of, Statistics},
            stream::Stream,
        },
        schema::{self, HiveType, TableSchema},
    },
    limits,
};

/// Hive's own bound of a `char`; each value takes that much.
const CHAR_MAX: u32 = 255;

/// The file's root column, which is a struct of the table's columns, and the types of all columns
/// in the order of their numbers.
pub(in super::super) fn build(
    schema: &TableSchema,
    options: &Options,
) -> Result<(Column, Vec<proto::Type>), WriteError> {
    let share = options.bloom_filter_false_positive_probability;
    let is_share = share > 0.0 && share < 1.0;
    if !options.bloom_filter_columns.is_empty() && !is_share {
        return Err(WriteError::FalsePositives(share));
    }
    let mut builder = Builder { options, types: Vec::new(), named: Vec::new() };
    let root = builder.structure(&schema.columns, "", false, 0)?;
    for name in &options.bloom_filter_columns {
        if !builder.named.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(WriteError::UnknownBloomColumn(name.clone()));
        }
    }
    Ok((root, builder.types))
}

impl Options {
    /// The same without Bloom filters that files of this schema cannot have.
    pub(in crate::encode) fn with_filters_of(&self, schema: &TableSchema) -> Self {
        let mut options = self.clone();
        let mut builder = Builder { options: self, types: Vec::new(), named: Vec::new() };
        // A schema that has no file at all, its writer tells.
        let is_file = builder.structure(&schema.columns, "", false, 0).is_ok();
        let named = if is_file { builder.named } else { Vec::new() };
        let is_known = |name: &String| named.iter().any(|known| known.eq_ignore_ascii_case(name));
        options.bloom_filter_columns.retain(is_known);
        options
    }
}

struct Builder<'a> {
    options: &'a Options,
    types: Vec<proto::Type>,
    /// Paths of the columns so far that a Bloom filter is asked for.
    named: Vec<String>,
}

impl Builder<'_> {
    /// A column and what is below it. `path` is its name with the names of those above it;
    /// `filtered` says whether one of those is to have Bloom filters.
    fn column(
        &mut self,
        of: &HiveType,
        path: &str,
        filtered: bool,
        depth: usize,
    ) -> Result<Column, WriteError> {
        if depth > limits::ORC_NESTING_MAX {
            return Err(WriteError::Nesting(limits::ORC_NESTING_MAX));
        }
        // Asked first: what is named is known, also inside of what is named.
        let filtered = self.is_filtered(path) || filtered;
        if let HiveType::Struct(columns) = of {
            return self.structure(columns, path, filtered, depth);
        }
        let id = self.add_type(of)?;
        let version = self.options.format_version;
        let values = match of {
            HiveType::Array(of) => {
                let children = vec![self.child(id, of, path, "_elem", filtered, depth)?];
                Values::List { lengths: integers(version, false), children }
            }
            HiveType::Map(key, value) => {
                let key = self.child(id, key, path, "_key", filtered, depth)?;
                let value = self.child(id, value, path, "_value", filtered, depth)?;
                Values::Map { lengths: integers(version, false), children: vec![key, value] }
            }
            _ => leaf(of, version, self.options.dictionary_key_threshold),
        };
        let has_filter =
            filtered && !matches!(of, HiveType::Array(_) | HiveType::Map(..) | HiveType::Boolean);
        // A char is added with its spaces and without.
        let per_value = if matches!(of, HiveType::Char(_)) { 2 } else { 1 };
        Ok(self.finish(id, values, statistics_of(of), has_filter.then_some(per_value)))
    }

    fn structure(
        &mut self,
        columns: &[schema::Column],
        path: &str,
        filtered: bool,
        depth: usize,
    ) -> Result<Column, WriteError> {
        let id = self.push_type(proto::Type {
            kind: Some(TypeKind::Struct.into()),
            field_names: columns.iter().map(|column| column.name.clone()).collect(),
            ..Default::default()
        });
        let mut children = Vec::with_capacity(columns.len());
        for column in columns {
            children.push(self.child(id, &column.of, path, &column.name, filtered, depth)?);
        }
        Ok(self.finish(id, Values::Struct(children), Of::Struct, None))
    }

    fn child(
        &mut self,
        parent: u32,
        of: &HiveType,
        path: &str,
        name: &str,
        filtered: bool,
        depth: usize,
    ) -> Result<Column, WriteError> {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let child = self.column(of, &path, filtered, depth + 1)?;
        self.types[parent as usize].subtypes.push(child.id);
        Ok(child)
    }

    fn is_filtered(&mut self, path: &str) -> bool {
        let names = &self.options.bloom_filter_columns;
        let is_named = names.iter().any(|name| name.eq_ignore_ascii_case(path));
        if is_named {
            self.named.push(path.to_owned());
        }
        is_named
    }

    fn add_type(&mut self, of: &HiveType) -> Result<u32, WriteError> {
        let mut stored = proto::Type { kind: Some(kind_of(of).into()), ..Default::default() };
        match of {
            HiveType::Decimal { precision, scale } => {
                stored.precision = Some((*precision).into());
                stored.scale = Some((*scale).into());
            }
            HiveType::Char(length) if *length > CHAR_MAX => {
                return Err(WriteError::CharLength(*length));
            }
            HiveType::Char(length) | HiveType::Varchar(length) => {
                stored.maximum_length = Some(*length);
            }
            _ => {}
        }
        Ok(self.push_type(stored))
    }

    fn push_type(&mut self, stored: proto::Type) -> u32 {
        self.types.push(stored);
        self.types.len() as u32 - 1
    }

    /// `filtered` is how often each value stands in the Bloom filter, if there is to be one.
    fn finish(&self, id: u32, values: Values, of: Of, filtered: Option<u32>) -> Column {
        let options = self.options;
        let statistics = Statistics::new(of);
        let filtered = filtered.filter(|_| options.row_index_stride > 0);
        Column {
            id,
            version: options.format_version,
            present: Stream::new(bits::Encoder::default()),
            has_null: false,
            values,
            groups: Vec::new(),
            start: Position::default(),
            of_group: statistics.clone(),
            of_stripe: statistics.clone(),
            of_file: statistics,
            bytes_on_disk: 0,
            bloom: filtered.map(|per_value| {
                let values = options.row_index_stride.saturating_mul(per_value);
                Bloom::new(values, options.bloom_filter_false_positive_probability)
            }),
        }
    }
}

fn integers(version: FormatVersion, signed: bool) -> Stream<Integers> {
    Stream::new(Integers::new(version, signed))
}

/// The streams of a type without children.
fn leaf(of: &HiveType, version: FormatVersion, threshold: f64) -> Values {
    let text = |length| Values::Text(Box::new(Text::new(version, length, threshold)));
    match of {
        HiveType::Boolean => Values::Boolean(Stream::new(bits::Encoder::default())),
        HiveType::Tinyint => Values::Tinyint(Stream::new(bytes::Encoder::default())),
        HiveType::Smallint => Values::Smallint(integers(version, true)),
        HiveType::Int => Values::Int(integers(version, true)),
        HiveType::Bigint => Values::Bigint(integers(version, true)),
        HiveType::Float => Values::Float(Stream::new(Plain)),
        HiveType::Double => Values::Double(Stream::new(Plain)),
        HiveType::Decimal { scale, .. } => Values::Decimal {
            unscaled: Stream::new(Plain),
            scales: integers(version, true),
            scale: *scale,
        },
        HiveType::String => text(Length::Any),
        HiveType::Char(length) => text(Length::Char(*length)),
        HiveType::Varchar(length) => text(Length::Varchar(*length)),
        HiveType::Binary => {
            Values::Binary { data: Stream::new(Plain), lengths: integers(version, false) }
        }
        HiveType::Date => Values::Date(integers(version, true)),
        HiveType::Timestamp => {
            Values::Timestamp { seconds: integers(version, true), nanos: integers(version, false) }
        }
        HiveType::Array(_) | HiveType::Map(..) | HiveType::Struct(_) => {
            unreachable!("types with children are built with them")
        }
    }
}

fn kind_of(of: &HiveType) -> TypeKind {
    match of {
        HiveType::Boolean => TypeKind::Boolean,
        HiveType::Tinyint => TypeKind::Byte,
        HiveType::Smallint => TypeKind::Short,
        HiveType::Int => TypeKind::Int,
        HiveType::Bigint => TypeKind::Long,
        HiveType::Float => TypeKind::Float,
        HiveType::Double => TypeKind::Double,
        HiveType::Decimal { .. } => TypeKind::Decimal,
        HiveType::String => TypeKind::String,
        HiveType::Char(_) => TypeKind::Char,
        HiveType::Varchar(_) => TypeKind::Varchar,
        HiveType::Binary => TypeKind::Binary,
        HiveType::Date => TypeKind::Date,
        HiveType::Timestamp => TypeKind::Timestamp,
        HiveType::Array(_) => TypeKind::List,
        HiveType::Map(..) => TypeKind::Map,
        HiveType::Struct(_) => TypeKind::Struct,
    }
}

fn statistics_of(of: &HiveType) -> Of {
    match of {
        HiveType::Boolean => Of::Boolean { set: 0 },
        HiveType::Tinyint | HiveType::Smallint | HiveType::Int | HiveType::Bigint => {
            Of::Integer { extent: None, sum: 0 }
        }
        HiveType::Float | HiveType::Double => Of::Real { extent: None, sum: 0.0 },
        HiveType::Decimal { scale, .. } => {
            Of::Decimal { scale: *scale, extent: None, sum: Some(0) }
        }
        HiveType::String | HiveType::Char(_) | HiveType::Varchar(_) => {
            Of::String { least: None, most: None, bytes: 0 }
        }
        HiveType::Binary => Of::Binary { bytes: 0 },
        HiveType::Date => Of::Date { extent: None },
        HiveType::Timestamp => Of::Timestamp { extent: None },
        HiveType::Array(_) | HiveType::Map(..) => Of::Collection { extent: None, children: 0 },
        HiveType::Struct(_) => Of::Struct,
    }
}
