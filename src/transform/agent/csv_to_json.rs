//! Makes a JSON object of a line of columns.
//!
//! Quotes mean nothing, and values are always text, as at the agent. A column that is missing is
//! null, and so are empty ones at the end of the line (what Java's `split` makes of it); columns
//! beyond the last name are left out.

use std::borrow::Cow;

use async_trait::async_trait;
use memchr::memmem::Finder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{super::arena::Arena, object::Names, without_newline};
use crate::{
    limits,
    record::{Piece, Record},
    seams::{Transform, Verdict},
};

/// Makes a JSON object of a line of columns (`CSVTOJSON` of the Kinesis Agent).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CsvToJson")]
pub struct Options {
    /// The names of the columns, in their order.
    pub custom_field_names: Vec<String>,
    /// What stands between columns, as it is: `","`, `"\t"`.
    #[serde(default = "comma")]
    pub delimiter: String,
}

fn comma() -> String {
    ",".into()
}

/// What is wrong with the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    #[error("custom_field_names is empty: name at least one column")]
    NoNames,
    #[error("custom_field_names has {0} names, more than {max}", max = limits::AGENT_FIELDS_MAX)]
    Names(usize),
    #[error("the delimiter is empty: leave it out for a comma")]
    NoDelimiter,
}

/// The step of the chain.
#[derive(Debug, Clone)]
pub struct CsvToJson {
    names: Names,
    places: Vec<usize>,
    delimiter: Finder<'static>,
}

impl CsvToJson {
    /// # Errors
    /// There are no names, too many, or the delimiter is empty.
    pub fn new(options: &Options) -> Result<Self, OptionsError> {
        match options.custom_field_names.len() {
            0 => return Err(OptionsError::NoNames),
            count if count > limits::AGENT_FIELDS_MAX => return Err(OptionsError::Names(count)),
            _ if options.delimiter.is_empty() => return Err(OptionsError::NoDelimiter),
            _ => {}
        }
        let (names, places) = Names::new(&options.custom_field_names);
        let delimiter = Finder::new(options.delimiter.as_bytes()).into_owned();
        Ok(Self { names, places, delimiter })
    }

    fn convert(&self, record: &[u8], out: &mut Vec<u8>) {
        let (line, newline) = without_newline(record);
        let mut line = line;
        while let Some(shorter) = line.strip_suffix(self.delimiter.needle()) {
            line = shorter;
        }
        let mut values: Vec<Option<Cow<str>>> = vec![None; self.names.count()];
        let mut columns = self.columns(line);
        for &place in &self.places {
            values[place] = columns.next().map(String::from_utf8_lossy);
        }
        self.names.object(&values, out);
        out.extend_from_slice(newline);
    }

    fn columns<'a>(&'a self, line: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let width = self.delimiter.needle().len();
        let mut start = 0;
        self.delimiter.find_iter(line).chain([line.len()]).map(move |end| {
            let column = &line[start..end];
            start = end + width;
            column
        })
    }
}

#[async_trait]
impl Transform for CsvToJson {
    fn name(&self) -> &'static str {
        "csv_to_json"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let mut arena = Arena::default();
        let mut object = Vec::new();
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            object.clear();
            self.convert(&record.data, &mut object);
            places.push(arena.store(&object));
        }
        let bytes = arena.finish();
        let verdict = |(place, record): (_, &Record)| {
            Verdict::Emit(Piece { data: bytes(place), notes: record.notes.clone() })
        };
        places.into_iter().zip(records).map(verdict).collect()
    }
}
