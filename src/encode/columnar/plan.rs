//! One schema, and all that reading and writing with it takes; and a batch read and written.

use std::{
    collections::{BTreeMap, HashSet},
    io,
};

use super::{
    Serializer,
    file::{self, File, FileError},
};
use crate::{
    encode::{
        rows::{Deserializer, OptionsError, REST_COLUMN, RowReader, Unknown},
        schema::{Column, HiveType, TableSchema},
    },
    fault::Failure,
    limits,
    seams::{Chunk, RawBatch},
};

/// Records between two questions for the memory that the rows take.
const RECORDS_PER_LOOK: usize = 256;

/// Bytes that a value takes in the rows, about: those of a number. Texts are counted by the bytes
/// of their records.
const VALUE_BYTES: usize = 8;

/// Why a schema does not go with the options.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("input: {0}")]
    Input(#[from] OptionsError),
    #[error("output: {0}")]
    Output(#[from] FileError),
}

/// A schema with the options that it is read and written with.
pub(super) struct Plan {
    pub(super) schema: TableSchema,
    /// That of the files, which may have one column more.
    file_schema: TableSchema,
    input: Deserializer,
    output: Serializer,
    unknown: Unknown,
}

/// A batch that was read and written.
pub(super) struct Pass {
    /// Empty if no record fit.
    pub(super) body: Vec<u8>,
    pub(super) unfit: Vec<(u64, Failure)>,
    pub(super) unknown: BTreeMap<String, u64>,
    pub(super) unknown_values: u64,
    pub(super) rounded_values: u64,
}

impl Plan {
    /// Errors: the options ask for something that the schema does not have, or the other way
    /// round.
    pub(super) fn new(
        schema: TableSchema,
        input: &Deserializer,
        output: &Serializer,
        unknown: Unknown,
    ) -> Result<Self, PlanError> {
        let mut file_schema = schema.clone();
        if unknown == Unknown::Rest {
            let rest = Column { name: REST_COLUMN.to_owned(), of: HiveType::String };
            file_schema.columns.push(rest);
        }
        let (input, output) = (input.clone(), output.clone());
        RowReader::new(&schema, &input, unknown)?;
        File::new(&file_schema, &output)?;
        Ok(Self { schema, file_schema, input, output, unknown })
    }

    /// The same for a schema that is still to grow: what the options say of columns that are not
    /// there yet is left out.
    pub(super) fn growing(
        schema: TableSchema,
        input: &Deserializer,
        output: &Serializer,
        unknown: Unknown,
    ) -> Result<Self, PlanError> {
        let input = with_mappings_of(input, &schema);
        let output = file::with_filters_of(output, &schema);
        Self::new(schema, &input, &output, unknown)
    }

    /// Reads all records and writes those that fit. `stops` is asked now and then; if it says so,
    /// the answer is `None`.
    pub(super) fn run(
        &self,
        batch: &RawBatch,
        mut stops: impl FnMut(&RowReader, &[(u64, Failure)]) -> bool,
    ) -> io::Result<Option<Pass>> {
        let reader = RowReader::new(&self.schema, &self.input, self.unknown);
        let mut run = Run {
            plan: self,
            reader: reader.map_err(io::Error::other)?,
            file: None,
            read_bytes: 0,
            unfit: Vec::new(),
        };
        let mut is_stopped = false;
        each_record(batch, |index, record| {
            if run.read(index, record) {
                is_stopped = stops(&run.reader, &run.unfit);
                if !is_stopped {
                    run.write()?;
                }
            }
            Ok(!is_stopped)
        })?;
        if is_stopped || stops(&run.reader, &run.unfit) {
            return Ok(None);
        }
        run.finish().map(Some)
    }

    /// A reader of records by this schema.
    pub(super) fn reader(&self) -> Result<RowReader, OptionsError> {
        RowReader::new(&self.schema, &self.input, self.unknown)
    }

    /// A record by record answer to what fits no file at all.
    pub(super) fn refuse(&self, batch: &RawBatch, failure: &Failure) -> io::Result<Pass> {
        let mut reader =
            RowReader::new(&self.schema, &self.input, self.unknown).map_err(io::Error::other)?;
        let mut unfit = Vec::new();
        each_record(batch, |index, record| {
            let read = reader.read(record);
            reader.take();
            unfit.push((index, read.err().unwrap_or_else(|| failure.clone())));
            Ok(true)
        })?;
        Ok(Pass {
            body: Vec::new(),
            unfit,
            unknown: BTreeMap::new(),
            unknown_values: 0,
            rounded_values: 0,
        })
    }
}

/// A pass under way.
struct Run<'a> {
    plan: &'a Plan,
    reader: RowReader,
    /// None before the first row.
    file: Option<File>,
    /// Bytes of the records whose rows wait in the reader.
    read_bytes: usize,
    unfit: Vec<(u64, Failure)>,
}

impl Run<'_> {
    /// Reads a record; true if rows should be written.
    fn read(&mut self, index: u64, record: &[u8]) -> bool {
        match self.reader.read(record) {
            Ok(_) => self.read_bytes += record.len(),
            Err(failure) => self.unfit.push((index, failure)),
        }
        let is_time_to_look = (index as usize).is_multiple_of(RECORDS_PER_LOOK)
            || record.len() > limits::COLUMNAR_BYTES / RECORDS_PER_LOOK;
        self.reader.rows() >= limits::COLUMNAR_ROWS
            || self.read_bytes >= limits::COLUMNAR_BYTES
            || self.reader.values() >= limits::COLUMNAR_BYTES / VALUE_BYTES
            || (is_time_to_look && self.reader.bytes() >= limits::COLUMNAR_BYTES)
    }

    fn write(&mut self) -> io::Result<()> {
        self.read_bytes = 0;
        if self.reader.rows() == 0 {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(
                File::new(&self.plan.file_schema, &self.plan.output).map_err(io::Error::other)?,
            ),
        };
        file.write(&self.reader.take()).map_err(io::Error::other)
    }

    fn finish(mut self) -> io::Result<Pass> {
        self.write()?;
        let body = match self.file {
            Some(file) => file.finish().map_err(io::Error::other)?,
            None => Vec::new(),
        };
        Ok(Pass {
            body,
            unfit: self.unfit,
            unknown: self.reader.unknown(),
            unknown_values: self.reader.unknown_values(),
            rounded_values: self.reader.rounded_values(),
        })
    }
}

/// Hands out the records of a batch, chunk by chunk, until there are no more or nobody wants them.
/// What was put aside is read each time anew.
pub(super) fn each_record(
    batch: &RawBatch,
    mut take: impl FnMut(u64, &[u8]) -> io::Result<bool>,
) -> io::Result<()> {
    let mut index = 0;
    let mut take_chunk = |chunk: &Chunk| {
        let mut start = 0;
        for end in &chunk.ends {
            let end = *end as usize;
            let record = chunk.data.get(start..end).ok_or_else(misplaced_ends)?;
            start = end;
            if !take(index, record)? {
                return Ok(false);
            }
            index += 1;
        }
        if start == chunk.data.len() { Ok(true) } else { Err(misplaced_ends()) }
    };
    for aside in &batch.aside {
        if !take_chunk(&aside.load()?)? {
            return Ok(());
        }
    }
    for sealed in &batch.sealed {
        if !take_chunk(sealed)? {
            return Ok(());
        }
    }
    take_chunk(&batch.tail).map(drop)
}

fn misplaced_ends() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the ends of records do not go with their bytes")
}

/// The same without mappings of columns that are not in the schema.
fn with_mappings_of(input: &Deserializer, schema: &TableSchema) -> Deserializer {
    let mut input = input.clone();
    if let Deserializer::OpenxJson(options) = &mut input {
        let is_folded = options.case_insensitive;
        let fold = |name: &str| if is_folded { name.to_lowercase() } else { name.to_owned() };
        let mut names = HashSet::new();
        for Column { name, of } in &schema.columns {
            names.insert(fold(name));
            names_inside(of, &mut |name| {
                names.insert(fold(name));
            });
        }
        options.column_to_json_key_mappings.retain(|column, _| names.contains(&fold(column)));
    }
    input
}

fn names_inside(of: &HiveType, found: &mut impl FnMut(&str)) {
    match of {
        HiveType::Array(of) | HiveType::Map(_, of) => names_inside(of, found),
        HiveType::Struct(columns) => {
            for Column { name, of } in columns {
                found(name);
                names_inside(of, found);
            }
        }
        _ => {}
    }
}
