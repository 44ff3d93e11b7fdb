//! Empty columns for a table's schema.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Deserializer, OptionsError,
    columns::{Data, Fields, Node, Text},
    keys::{Folding, Keys},
    validity::Validity,
};
use crate::{
    encode::schema::{Column, HiveType},
    limits::ROWS_TYPE_DEPTH_MAX,
};

/// Builds columns, and notes which mappings found one.
pub(super) struct Plan<'o> {
    mappings: &'o BTreeMap<String, String>,
    used: BTreeSet<&'o str>,
    folding: Folding,
}

const NO_MAPPINGS: &BTreeMap<String, String> = &BTreeMap::new();

impl<'o> Plan<'o> {
    pub fn new(options: &'o Deserializer) -> Self {
        let (mappings, folding) = match options {
            Deserializer::OpenxJson(options) => (
                &options.column_to_json_key_mappings,
                Folding {
                    case: options.case_insensitive,
                    dots: options.convert_dots_in_json_keys_to_underscores,
                },
            ),
            Deserializer::HiveJson(_) => (NO_MAPPINGS, Folding { case: true, dots: false }),
        };
        Self { mappings, used: BTreeSet::new(), folding }
    }

    /// The columns of a table. Every mapping must have found a column.
    pub fn table(mut self, columns: &[Column]) -> Result<Fields, OptionsError> {
        let fields = self.fields(columns, "", 1)?;
        match self.mappings.keys().find(|column| !self.used.contains(column.as_str())) {
            Some(column) => Err(OptionsError::NoSuchColumn { column: column.clone() }),
            None => Ok(fields),
        }
    }

    fn fields(
        &mut self,
        columns: &[Column],
        path: &str,
        depth: usize,
    ) -> Result<Fields, OptionsError> {
        let keys: Vec<&str> = columns.iter().map(|column| self.key(&column.name)).collect();
        let keys = Keys::new(keys.into_iter(), self.folding).map_err(|second| {
            OptionsError::SameKey { column: format!("{path}{}", columns[second].name) }
        })?;
        let nodes = columns
            .iter()
            .map(|column| self.node(&column.of, &format!("{path}{}", column.name), depth))
            .collect::<Result<_, _>>()?;
        let names = columns.iter().map(|column| column.name.as_str().into()).collect();
        Ok(Fields { nodes, names, keys })
    }

    /// The key under which a column's values stand. OpenX maps names at every depth.
    fn key<'c>(&mut self, column: &'c str) -> &'c str
    where
        'o: 'c,
    {
        let folding = self.folding.case;
        let mapping = self.mappings.iter().find(|(name, _)| {
            *name == column || (folding && name.to_lowercase() == column.to_lowercase())
        });
        let Some((name, key)) = mapping else { return column };
        self.used.insert(name);
        key
    }

    fn node(&mut self, of: &HiveType, path: &str, depth: usize) -> Result<Node, OptionsError> {
        if depth > ROWS_TYPE_DEPTH_MAX {
            return Err(OptionsError::TooDeep { column: path.to_owned() });
        }
        let data = match of {
            HiveType::Boolean => Data::Boolean(Vec::new()),
            HiveType::Tinyint => Data::Tinyint(Vec::new()),
            HiveType::Smallint => Data::Smallint(Vec::new()),
            HiveType::Int => Data::Int(Vec::new()),
            HiveType::Bigint => Data::Bigint(Vec::new()),
            HiveType::Float => Data::Float(Vec::new()),
            HiveType::Double => Data::Double(Vec::new()),
            &HiveType::Decimal { precision, scale } => {
                if precision == 0 || precision > 38 || scale > precision {
                    return Err(OptionsError::Decimal { column: path.to_owned() });
                }
                Data::Decimal { values: Vec::new(), precision, scale }
            }
            HiveType::String => Data::Text(Text::new(None)),
            &HiveType::Char(chars) | &HiveType::Varchar(chars) => {
                Data::Text(Text::new(Some(chars as usize)))
            }
            HiveType::Binary => Data::Binary(Text::new(None)),
            HiveType::Date => Data::Date(Vec::new()),
            HiveType::Timestamp => Data::Timestamp(Vec::new()),
            HiveType::Array(element) => {
                let element = Box::new(self.node(element, path, depth + 1)?);
                Data::List { offsets: vec![0], element }
            }
            HiveType::Map(key, value) => {
                if let HiveType::Array(_) | HiveType::Map(..) | HiveType::Struct(_) = **key {
                    return Err(OptionsError::MapKey { column: path.to_owned() });
                }
                let key = Box::new(self.node(key, path, depth + 1)?);
                let value = Box::new(self.node(value, path, depth + 1)?);
                Data::Map { offsets: vec![0], key, value }
            }
            HiveType::Struct(columns) => {
                Data::Struct(Box::new(self.fields(columns, &format!("{path}."), depth + 1)?))
            }
        };
        let width = match &data {
            Data::Struct(fields) => 1 + fields.nodes.iter().map(|node| node.width).sum::<usize>(),
            _ => 1,
        };
        Ok(Node { of: name(of).into(), validity: Validity::default(), data, width })
    }
}

/// A column of text for what is no column.
pub(super) fn rest() -> Node {
    let data = Data::Text(Text::new(None));
    Node { of: "string".into(), validity: Validity::default(), data, width: 1 }
}

/// Hive's name of a type.
fn name(of: &HiveType) -> String {
    match of {
        HiveType::Boolean => "boolean".into(),
        HiveType::Tinyint => "tinyint".into(),
        HiveType::Smallint => "smallint".into(),
        HiveType::Int => "int".into(),
        HiveType::Bigint => "bigint".into(),
        HiveType::Float => "float".into(),
        HiveType::Double => "double".into(),
        HiveType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        HiveType::String => "string".into(),
        HiveType::Char(chars) => format!("char({chars})"),
        HiveType::Varchar(chars) => format!("varchar({chars})"),
        HiveType::Binary => "binary".into(),
        HiveType::Date => "date".into(),
        HiveType::Timestamp => "timestamp".into(),
        // Only what tells it apart: whole types of structs would drown the message.
        HiveType::Array(of) => format!("array<{}>", shallow(of)),
        HiveType::Map(key, value) => format!("map<{},{}>", name(key), shallow(value)),
        HiveType::Struct(_) => "struct".into(),
    }
}

/// The same without what lies inside.
fn shallow(of: &HiveType) -> String {
    match of {
        HiveType::Array(_) => "array".into(),
        HiveType::Map(..) => "map".into(),
        other => name(other),
    }
}
