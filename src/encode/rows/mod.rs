//! JSON records to rows: the deserializers of Firehose, into Arrow arrays.
//!
//! A record is read once, from its bytes straight into the columns' buffers. A record that does
//! not fit leaves no trace: the columns are cut back to where they were.
//!
//! | | OpenX (lenient) | Hive (strict) |
//! |---|---|---|
//! | keys | lower-cased if `case_insensitive`, also those of maps and of JSON kept as text | names in any case, map keys as they are |
//! | whole numbers | numbers, strings of digits (also `0x1f`); no fractions | numbers, fractions cut off |
//! | float, double | numbers, strings as `Double.parseDouble` | numbers |
//! | decimal | numbers, strings; half up to the scale, too many digits fail | the same |
//! | boolean | true, false, and those strings in any case | the same |
//! | text | strings; numbers as they are written; booleans; compact JSON of the rest | strings, numbers, booleans |
//! | `char(n)`, `varchar(n)` | the same, cut to n characters | the same |
//! | binary | the UTF-8 bytes of text (no base64) | the same |
//! | date | `yyyy-[M]M-[d]d` | the same |
//! | timestamp | `yyyy-MM-dd'T'HH:mm:ss[.S]'Z'`, `yyyy-[M]M-[d]d [H]H:[m]m:[s]s[.S]`, seconds or (from 10^12 on) milliseconds since 1970, seconds with a fraction | the formats given, then the second form |
//! | list | an array; any other value is a list of one | an array |
//! | struct | an object; an array by position | an object |
//! | map | an object | an object |
//! | null, absent | null | null |
//!
//! Where the service is silent or worse, we decide:
//! - Of keys that stand twice in an object (after folding), the last one counts; every value must
//!   fit nevertheless. JSON that is kept as text keeps both.
//! - Timestamps that 64 bits of nanoseconds do not hold fail; the service wraps them silently.
//! - Impossible dates and times (February 30, 25:00) fail; Java rolls them over.
//! - Halves of surrogate pairs in `\u` escapes become U+FFFD.
//! - Binary columns hold the text's bytes, as Hive's HCatalog reader does.
//!
//! Sources: Firehose guide, "Choose the JSON deserializer"; probes of the service; the sources of
//! the two readers (OpenX Hive-JSON-Serde, Hive's HCatalog JsonSerDe).

mod arrow;
mod coerce;
mod columns;
pub(in crate::encode) mod input;
mod joda;
mod keys;
mod plan;
pub(in crate::encode) mod problem;
mod read;
pub mod show;
#[cfg(test)]
mod tests;
mod time;
mod validity;
mod walk;

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(in crate::encode) use self::coerce::is_exact_as_double;
use self::{
    columns::{Data, Fields, Node},
    input::Input,
    joda::Format,
    plan::Plan,
    problem::{Problem, Read},
    read::Context,
};
use super::schema::TableSchema;
use crate::{
    fault::{Failure, output_type::FORMAT_CONVERSION_FAILED},
    limits,
};

/// The column for members that are no column, with [`Unknown::Rest`].
pub const REST_COLUMN: &str = "_rest";

/// What becomes of members of a record that are no column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unknown {
    /// They are left out.
    #[default]
    Drop,
    /// Those of the record itself are kept, as a JSON object, in the column [`REST_COLUMN`]; null
    /// if there are none. (Members of structs that are no field are left out.)
    Rest,
}

/// Why no reader can be made of a schema and options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    #[error("column_to_json_key_mappings: there is no column `{column}`")]
    NoSuchColumn { column: String },
    #[error("column `{column}` stands under the same JSON key as another one")]
    SameKey { column: String },
    #[error("column `{column}` is nested more than {} levels deep", limits::ROWS_TYPE_DEPTH_MAX)]
    TooDeep { column: String },
    #[error("column `{column}`: a decimal has 1 to 38 digits, and a scale of no more than them")]
    Decimal { column: String },
    #[error("column `{column}`: the keys of a map cannot be arrays, maps or structs")]
    MapKey { column: String },
    #[error("the column `{REST_COLUMN}` is in the table already")]
    RestColumn,
    #[error("timestamp_formats: `{format}`: {reason}")]
    TimestampFormat { format: String, reason: String },
}

/// Reads records into the columns of a table.
#[derive(Debug)]
pub struct RowReader {
    schema: SchemaRef,
    columns: Fields,
    rest: Option<Node>,
    rest_text: Vec<u8>,
    cx: Context,
    /// Values of a row.
    width: usize,
    rows: usize,
    /// Values that a record may unfold into, however short it is.
    values_min: usize,
    /// Values that the rows have unfolded into.
    values: usize,
    /// Bytes of the records that the rows were read from.
    read_bytes: usize,
}

impl RowReader {
    /// A reader for the columns of a table (its partition keys are none of them).
    pub fn new(
        schema: &TableSchema,
        options: &Deserializer,
        unknown: Unknown,
    ) -> Result<Self, OptionsError> {
        let columns = Plan::new(options).table(&schema.columns)?;
        let mut arrow = schema.to_arrow();
        let rest = match unknown {
            Unknown::Drop => None,
            Unknown::Rest => {
                if schema.columns.iter().any(|column| column.name == REST_COLUMN) {
                    return Err(OptionsError::RestColumn);
                }
                arrow = with_rest(&arrow);
                Some(plan::rest())
            }
        };
        let nodes = columns.nodes.iter().map(Node::nodes).sum::<usize>();
        let width = columns.nodes.iter().map(|node| node.width).sum::<usize>() + 1;
        Ok(Self {
            schema: Arc::new(arrow),
            columns,
            rest,
            rest_text: Vec::new(),
            cx: context(options)?,
            width,
            values_min: nodes
                .saturating_mul(limits::ROWS_VALUES_PER_NODE)
                .clamp(limits::ROWS_VALUES_MIN, limits::ROWS_VALUES_MIN_MAX),
            values: 0,
            rows: 0,
            read_bytes: 0,
        })
    }

    /// Reads the objects of a record as rows, and answers how many there were. They may follow
    /// each other directly or with white space between them.
    ///
    /// # Errors
    /// The record is not UTF-8, not JSON, holds no object or something else than objects at its
    /// top level (`DataFormatConversion.ParseError`), or a value that its column cannot hold
    /// (`DataFormatConversion.MalformedData`). Then none of its objects became a row. A reader from
    /// which [`limits::ROWS_INPUT_BYTES_MAX`] were not taken takes no more.
    pub fn read(&mut self, record: &[u8]) -> Result<usize, Failure> {
        let Some(read_bytes) = self
            .read_bytes
            .checked_add(record.len())
            .filter(|&bytes| bytes <= limits::ROWS_INPUT_BYTES_MAX)
        else {
            return Err(Failure::new(
                FORMAT_CONVERSION_FAILED,
                "DataFormatConversion.ConversionFailureException",
                "More rows are waiting to be written than fit into a batch",
            ));
        };
        let before = self.rows;
        match self.read_rows(record) {
            Ok(()) => {
                self.read_bytes = read_bytes;
                Ok(self.rows - before)
            }
            Err(problem) => {
                self.truncate(before);
                Err(problem.into_failure())
            }
        }
    }

    fn read_rows(&mut self, record: &[u8]) -> Read {
        let text = simdutf8::basic::from_utf8(record).map_err(|_| not_utf8(record))?;
        let mut input = Input::new(text);
        if !input.more() {
            return Err(Problem::malformed(record.len(), "The record is empty: unexpected end"));
        }
        let values = record.len().saturating_mul(limits::ROWS_VALUES_PER_BYTE);
        let budget = values.max(self.values_min);
        self.cx.budget = budget;
        while input.more() {
            self.read_row(&mut input)?;
            self.rows += 1;
        }
        self.values += budget - self.cx.budget;
        Ok(())
    }

    fn read_row(&mut self, input: &mut Input<'_>) -> Read {
        if input.token()? != b'{' {
            return Err(input.malformed("Expected an object"));
        }
        self.cx.spend(self.width)?;
        let Some(rest) = &mut self.rest else {
            return self.columns.read_members(self.rows, input, &mut self.cx, None);
        };
        let text = &mut self.rest_text;
        text.clear();
        self.columns.read_members(self.rows, input, &mut self.cx, Some(text))?;
        if text.is_empty() {
            rest.push_null();
        } else if let Data::Text(column) = &mut rest.data {
            text.push(b'}');
            column.push(text);
            rest.validity.push(true);
        }
        Ok(())
    }

    /// Cuts all columns back to so many rows.
    fn truncate(&mut self, rows: usize) {
        self.columns.nodes.iter_mut().chain(&mut self.rest).for_each(|node| node.truncate(rows));
        self.rows = rows;
    }

    /// Rows that are collected.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values that the collected rows have unfolded into: nulls, and the parts of nested ones, too.
    /// Known at any time, unlike their bytes.
    pub fn values(&self) -> usize {
        self.values
    }

    /// Bytes that the collected rows take in memory. It asks every column, so ask it once in a
    /// while rather than after every record.
    pub fn bytes(&self) -> usize {
        self.columns.nodes.iter().chain(&self.rest).map(Node::bytes).sum()
    }

    /// The schema of what [`Self::take`] answers.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows collected so far, of [`TableSchema::to_arrow`]'s schema and, with
    /// [`Unknown::Rest`], the column [`REST_COLUMN`] behind it.
    pub fn take(&mut self) -> RecordBatch {
        let rows = std::mem::take(&mut self.rows);
        (self.read_bytes, self.values) = (0, 0);
        arrow::batch(&self.schema, self.columns.nodes.iter_mut().chain(&mut self.rest), rows)
    }

    /// Names of members that are no column, and how often they were met since the reader was made,
    /// failed records included. Those of structs come with their path: `user.shoe_size`,
    /// `items[].colour`, `labels{}.x`. At most [`limits::ROWS_UNKNOWN_NAMES`].
    pub fn unknown(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        unknown_of(&self.columns, "", &mut all);
        all
    }

    /// How often members that are no column had a value (not null, `[]` or `{}`), and with
    /// [`Unknown::Rest`] those of structs only.
    pub fn unknown_values(&self) -> u64 {
        self.cx.unknown_values
    }

    /// How many integers a column of doubles rounded, and how many numbers it took for infinite.
    pub fn rounded_values(&self) -> u64 {
        self.cx.rounded_values
    }

    /// How many members that are no column are not counted by [`Self::unknown`], for there were
    /// too many names, or too long ones.
    pub fn unknown_beyond(&self) -> u64 {
        beyond_of(&self.columns)
    }
}

fn context(options: &Deserializer) -> Result<Context, OptionsError> {
    let (strict, fold, formats) = match options {
        Deserializer::OpenxJson(options) => (false, options.case_insensitive, &[][..]),
        Deserializer::HiveJson(options) => (true, false, &options.timestamp_formats[..]),
    };
    let formats = formats
        .iter()
        .map(|format| {
            Format::new(format)
                .map_err(|reason| OptionsError::TimestampFormat { format: format.clone(), reason })
        })
        .collect::<Result<_, _>>()?;
    Ok(Context {
        strict,
        fold,
        formats,
        scratch: Vec::new(),
        budget: 0,
        unknown_values: 0,
        rounded_values: 0,
    })
}

fn with_rest(schema: &Schema) -> Schema {
    let rest = Arc::new(Field::new(REST_COLUMN, DataType::Utf8, true));
    Schema::new(schema.fields().iter().cloned().chain([rest]).collect::<Vec<_>>())
}

#[cold]
fn not_utf8(record: &[u8]) -> Box<Problem> {
    let at = std::str::from_utf8(record).err().map_or(0, |error| error.valid_up_to());
    Problem::malformed(at, "Invalid UTF-8")
}

fn unknown_of(fields: &Fields, path: &str, all: &mut BTreeMap<String, u64>) {
    fields.keys.unknown_into(path, all);
    for (node, name) in fields.nodes.iter().zip(&fields.names) {
        unknown_in(node, &format!("{path}{name}"), all);
    }
}

fn unknown_in(node: &Node, path: &str, all: &mut BTreeMap<String, u64>) {
    match &node.data {
        Data::Struct(fields) => unknown_of(fields, &format!("{path}."), all),
        Data::List { element, .. } => unknown_in(element, &format!("{path}[]"), all),
        Data::Map { value, .. } => unknown_in(value, &format!("{path}{{}}"), all),
        _ => {}
    }
}

fn beyond_of(fields: &Fields) -> u64 {
    fields.keys.beyond() + fields.nodes.iter().map(beyond_in).sum::<u64>()
}

fn beyond_in(node: &Node) -> u64 {
    match &node.data {
        Data::Struct(fields) => beyond_of(fields),
        Data::List { element, .. } => beyond_in(element),
        Data::Map { value, .. } => beyond_in(value),
        _ => 0,
    }
}

/// How records are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deserializer {
    /// The lenient reader (Firehose's OpenXJsonSerDe).
    OpenxJson(OpenxJson),
    /// The strict reader (Firehose's HiveJsonSerDe).
    HiveJson(HiveJson),
}

impl Default for Deserializer {
    fn default() -> Self {
        Self::OpenxJson(OpenxJson::default())
    }
}

/// Options of the lenient reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpenxJson {
    /// Lower-cases every key before it is looked up.
    pub case_insensitive: bool,
    /// Reads the key `a.b` as the column `a_b`.
    pub convert_dots_in_json_keys_to_underscores: bool,
    /// Column to JSON key, where they differ: `{ts: timestamp}`.
    pub column_to_json_key_mappings: BTreeMap<String, String>,
}

impl Default for OpenxJson {
    fn default() -> Self {
        Self {
            case_insensitive: true,
            convert_dots_in_json_keys_to_underscores: false,
            column_to_json_key_mappings: BTreeMap::new(),
        }
    }
}

/// Options of the strict reader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HiveJson {
    /// Patterns of Joda time, or `millis`, tried in order; `yyyy-MM-dd HH:mm:ss[.f]` if none is
    /// given.
    pub timestamp_formats: Vec<String>,
}
