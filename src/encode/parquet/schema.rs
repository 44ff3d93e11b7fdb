//! The Parquet schema of a table, as Hive's writer (HiveSchemaConverter on parquet-mr) lays it
//! out, and where its leaves lie in Arrow's arrays.
//!
//! ```text
//! message hive_schema {
//!   optional group tags (LIST) { repeated group bag { optional binary array_element (UTF8); } }
//!   optional group attributes (MAP) {
//!     repeated group map (MAP_KEY_VALUE) { required binary key (UTF8); optional int64 value; }
//!   }
//! }
//! ```
//!
//! Everything is optional except the keys of maps. Hive's older releases, which Firehose's files
//! look like, call the inner group of a map `map`, newer ones `key_value`; readers go by position.

use std::{collections::HashSet, ops::Range, sync::Arc};

use arrow_schema::SchemaRef;
use parquet::{
    basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical},
    schema::types::{ColumnPath, Type, TypePtr},
};

use super::{TimestampUnit, WriteError};
use crate::{
    encode::schema::{Column, HiveType, TableSchema},
    limits::{PARQUET_DEPTH_MAX, PARQUET_LEAVES_MAX},
};

/// A table's columns in both worlds.
#[derive(Debug)]
pub(super) struct Layout {
    pub root: TypePtr,
    pub arrow: SchemaRef,
    /// Leaves in the order of the file: depth first.
    pub leaves: Vec<Leaf>,
    /// Which of them belong to each column.
    pub of_column: Vec<Range<usize>>,
}

/// A leaf: what becomes a column chunk.
#[derive(Debug)]
pub(super) struct Leaf {
    /// Where it lies in the file: `tags.bag.array_element`.
    pub path: ColumnPath,
    /// What a user calls it: `tags`, `address.city`, `attributes.value`.
    pub name: String,
    /// The table's column that it belongs to.
    pub column: usize,
    /// The way from that column's array to the leaf's.
    pub steps: Vec<Step>,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Timestamp,
    Other,
}

/// From an array to one of its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Field of a struct, by its number.
    Field(usize),
    /// Elements of a list.
    Element,
    /// Keys of a map, which are never null.
    Key,
    /// Values of a map.
    Value,
}

impl Layout {
    pub fn new(table: &TableSchema, unit: TimestampUnit) -> Result<Self, WriteError> {
        if table.columns.is_empty() {
            return Err(WriteError::NoColumns);
        }
        let mut walk = Walk { unit, leaves: Vec::new(), here: Place::default() };
        let fields = walk.columns(&table.columns, |walk, index| walk.here.column = index)?;
        let root = Type::group_type_builder("hive_schema").with_fields(fields).build()?;
        Ok(Self {
            root: Arc::new(root),
            arrow: Arc::new(table.to_arrow()),
            of_column: ranges(&walk.leaves),
            leaves: walk.leaves,
        })
    }
}

/// Leaves come column by column, and every column has one.
fn ranges(leaves: &[Leaf]) -> Vec<Range<usize>> {
    let mut next = 0;
    let range = |leaves: &[Leaf]| {
        let first = next;
        next += leaves.len();
        first..next
    };
    leaves.chunk_by(|one, other| one.column == other.column).map(range).collect()
}

/// Where the walk through the types is.
#[derive(Debug, Default)]
struct Place {
    column: usize,
    path: Vec<String>,
    name: Vec<String>,
    steps: Vec<Step>,
}

struct Walk {
    unit: TimestampUnit,
    leaves: Vec<Leaf>,
    here: Place,
}

impl Walk {
    /// The columns of the table or the fields of a struct; `enter` notes which one comes.
    fn columns(
        &mut self,
        columns: &[Column],
        enter: impl Fn(&mut Self, usize),
    ) -> Result<Vec<TypePtr>, WriteError> {
        let mut names = HashSet::new();
        let mut types = Vec::with_capacity(columns.len());
        for (index, column) in columns.iter().enumerate() {
            self.here.name.push(column.name.clone());
            if !names.insert(column.name.as_str()) {
                return Err(WriteError::DuplicateColumn { column: self.name() });
            }
            let steps = self.here.steps.len();
            enter(self, index);
            types.push(self.field(&column.name, &column.of, Repetition::OPTIONAL)?);
            self.here.steps.truncate(steps);
            self.here.name.pop();
        }
        Ok(types)
    }

    fn name(&self) -> String {
        self.here.name.join(".")
    }

    fn field(
        &mut self,
        name: &str,
        of: &HiveType,
        repetition: Repetition,
    ) -> Result<TypePtr, WriteError> {
        if self.here.steps.len() >= PARQUET_DEPTH_MAX {
            return Err(WriteError::TooDeep { column: self.name(), max: PARQUET_DEPTH_MAX });
        }
        self.here.path.push(name.to_owned());
        let field = match of {
            HiveType::Array(element) => self.list(name, element, repetition),
            HiveType::Map(key, value) => self.map(name, key, value, repetition),
            HiveType::Struct(columns) => self.group(name, columns, repetition),
            _ => self.leaf(name, of, repetition),
        }?;
        self.here.path.pop();
        Ok(Arc::new(field))
    }

    fn list(
        &mut self,
        name: &str,
        element: &HiveType,
        repetition: Repetition,
    ) -> Result<Type, WriteError> {
        self.here.path.push("bag".to_owned());
        let element = self.child(Step::Element, |walk| {
            walk.field("array_element", element, Repetition::OPTIONAL)
        })?;
        self.here.path.pop();
        let bag = Type::group_type_builder("bag")
            .with_repetition(Repetition::REPEATED)
            .with_fields(vec![element])
            .build()?;
        let list = Type::group_type_builder(name)
            .with_repetition(repetition)
            .with_logical_type(Some(LogicalType::List))
            .with_converted_type(ConvertedType::LIST)
            .with_fields(vec![Arc::new(bag)])
            .build()?;
        Ok(list)
    }

    fn map(
        &mut self,
        name: &str,
        key: &HiveType,
        value: &HiveType,
        repetition: Repetition,
    ) -> Result<Type, WriteError> {
        self.here.path.push("map".to_owned());
        let mut child = |step, name: &str, of, repetition| {
            self.here.name.push(name.to_owned());
            let field = self.child(step, |walk| walk.field(name, of, repetition));
            self.here.name.pop();
            field
        };
        let key = child(Step::Key, "key", key, Repetition::REQUIRED)?;
        let value = child(Step::Value, "value", value, Repetition::OPTIONAL)?;
        self.here.path.pop();
        let entries = Type::group_type_builder("map")
            .with_repetition(Repetition::REPEATED)
            .with_converted_type(ConvertedType::MAP_KEY_VALUE)
            .with_fields(vec![key, value])
            .build()?;
        let map = Type::group_type_builder(name)
            .with_repetition(repetition)
            .with_logical_type(Some(LogicalType::Map))
            .with_converted_type(ConvertedType::MAP)
            .with_fields(vec![Arc::new(entries)])
            .build()?;
        Ok(map)
    }

    fn group(
        &mut self,
        name: &str,
        columns: &[Column],
        repetition: Repetition,
    ) -> Result<Type, WriteError> {
        if columns.is_empty() {
            return Err(WriteError::EmptyStruct { column: self.name() });
        }
        let fields =
            self.columns(columns, |walk, index| walk.here.steps.push(Step::Field(index)))?;
        let group = Type::group_type_builder(name)
            .with_repetition(repetition)
            .with_fields(fields)
            .build()?;
        Ok(group)
    }

    fn child<T>(&mut self, step: Step, visit: impl FnOnce(&mut Self) -> T) -> T {
        self.here.steps.push(step);
        let result = visit(self);
        self.here.steps.pop();
        result
    }

    fn leaf(
        &mut self,
        name: &str,
        of: &HiveType,
        repetition: Repetition,
    ) -> Result<Type, WriteError> {
        if self.leaves.len() >= PARQUET_LEAVES_MAX {
            return Err(WriteError::TooManyColumns { max: PARQUET_LEAVES_MAX });
        }
        let (kind, primitive) = match of {
            HiveType::Boolean => (Kind::Boolean, Primitive::plain(Physical::BOOLEAN)),
            HiveType::Timestamp => (Kind::Timestamp, Primitive::timestamp(self.unit)),
            HiveType::Decimal { precision, scale } => {
                if !(1..=38).contains(precision) || scale > precision {
                    let (precision, scale) = (*precision, *scale);
                    return Err(WriteError::Decimal { column: self.name(), precision, scale });
                }
                (Kind::Other, Primitive::decimal(*precision, *scale))
            }
            other => (Kind::Other, Primitive::of(other)),
        };
        self.leaves.push(Leaf {
            path: ColumnPath::new(self.here.path.clone()),
            name: self.name(),
            column: self.here.column,
            steps: self.here.steps.clone(),
            kind,
        });
        Ok(primitive.build(name, repetition)?)
    }
}

/// Physical type and meaning of a leaf. The converted type, which old readers go by, follows from
/// the logical one.
struct Primitive {
    physical: Physical,
    logical: Option<LogicalType>,
    length: i32,
}

impl Primitive {
    fn plain(physical: Physical) -> Self {
        Self { physical, logical: None, length: 0 }
    }

    fn with(physical: Physical, logical: LogicalType) -> Self {
        Self { physical, logical: Some(logical), length: 0 }
    }

    fn of(of: &HiveType) -> Self {
        let integer = |bit_width| LogicalType::Integer { bit_width, is_signed: true };
        match of {
            HiveType::Tinyint => Self::with(Physical::INT32, integer(8)),
            HiveType::Smallint => Self::with(Physical::INT32, integer(16)),
            HiveType::Int => Self::plain(Physical::INT32),
            HiveType::Bigint => Self::plain(Physical::INT64),
            HiveType::Float => Self::plain(Physical::FLOAT),
            HiveType::Double => Self::plain(Physical::DOUBLE),
            HiveType::Date => Self::with(Physical::INT32, LogicalType::Date),
            HiveType::String | HiveType::Char(_) | HiveType::Varchar(_) => {
                Self::with(Physical::BYTE_ARRAY, LogicalType::String)
            }
            _ => Self::plain(Physical::BYTE_ARRAY),
        }
    }

    /// INT64 is marked as UTC: that is how Spark makes its `timestamp` of it (the other mark gives
    /// `timestamp_ntz`), just as of INT96, and Athena reads the same wall time either way. Readers
    /// that know converted types alone (TIMESTAMP_MILLIS, TIMESTAMP_MICROS) take UTC for granted.
    fn timestamp(unit: TimestampUnit) -> Self {
        let unit = match unit {
            TimestampUnit::Int96 => return Self::plain(Physical::INT96),
            TimestampUnit::Millis => TimeUnit::MILLIS,
            TimestampUnit::Micros => TimeUnit::MICROS,
            TimestampUnit::Nanos => TimeUnit::NANOS,
        };
        Self::with(Physical::INT64, LogicalType::Timestamp { is_adjusted_to_u_t_c: true, unit })
    }

    fn decimal(precision: u8, scale: u8) -> Self {
        let logical =
            LogicalType::Decimal { precision: i32::from(precision), scale: i32::from(scale) };
        Self {
            physical: Physical::FIXED_LEN_BYTE_ARRAY,
            logical: Some(logical),
            length: decimal_bytes(precision),
        }
    }

    fn build(self, name: &str, repetition: Repetition) -> parquet::errors::Result<Type> {
        let mut builder = Type::primitive_type_builder(name, self.physical)
            .with_repetition(repetition)
            .with_length(self.length);
        if let Some(LogicalType::Decimal { precision, scale }) = self.logical {
            builder = builder.with_precision(precision).with_scale(scale);
        }
        builder.with_logical_type(self.logical).build()
    }
}

/// Fewest bytes that hold every signed number of so many digits, as Hive counts them.
fn decimal_bytes(precision: u8) -> i32 {
    let largest = 10_i128.pow(u32::from(precision)) - 1;
    let bits = i128::BITS - largest.leading_zeros() + 1;
    bits.div_ceil(8) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_take_as_many_bytes_as_in_hive() {
        // ParquetHiveSerDe.PRECISION_TO_BYTE_COUNT counts the same way.
        let bytes: Vec<i32> = (1..=38).map(decimal_bytes).collect();
        assert_eq!(bytes[..10], [1, 1, 2, 2, 3, 3, 4, 4, 4, 5]);
        assert_eq!(bytes[17..20], [8, 9, 9]);
        assert_eq!(bytes[37], 16);
    }
}
