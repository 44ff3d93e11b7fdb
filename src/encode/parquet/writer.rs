//! Arrow record batches to one Parquet file in memory.

use std::{mem, sync::Arc};

use arrow_array::{Array, RecordBatch, cast::AsArray};
use arrow_schema::{DataType, Schema};
use parquet::{
    arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    errors::ParquetError,
    file::writer::{SerializedFileWriter, SerializedRowGroupWriter},
    schema::types::ColumnDescPtr,
};

use super::{
    Options, WriterVersion,
    codec::{PageCodec, named},
    plain::{PlainColumn, Press},
    properties::{page_bytes, properties},
    schema::{Kind, Layout, Leaf},
    timestamps::TimestampColumn,
};
use crate::{
    encode::schema::TableSchema,
    limits::{PARQUET_BLOOM_FILTER_PROBABILITY_MIN as PROBABILITY_MIN, PARQUET_ROW_GROUPS_MAX},
};

/// Why a file cannot be written. `column` is named as a user names it: `address.city`.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("a Parquet file needs at least one column that is no partition key")]
    NoColumns,
    #[error("a Parquet file takes at most {max} columns, the fields of structs counted")]
    TooManyColumns { max: usize },
    #[error("the column {column} stands twice in the schema")]
    DuplicateColumn { column: String },
    #[error("the struct {column} has no fields, which Parquet cannot hold")]
    EmptyStruct { column: String },
    #[error("the type of {column} is nested more than {max} deep")]
    TooDeep { column: String, max: usize },
    #[error("{column} is no decimal: decimal({precision},{scale}); up to 38 digits go")]
    Decimal { column: String, precision: u8, scale: u8 },
    #[error("there is no column {column} for a Bloom filter; name a leaf, as in address.city")]
    UnknownBloomFilterColumn { column: String },
    #[error("{column} is a boolean, which Parquet has no Bloom filters for")]
    BloomFilterOfBoolean { column: String },
    #[error("at most {max} columns can have a Bloom filter")]
    TooManyBloomFilters { max: usize },
    #[error(
        "a Bloom filter's share of wrong hits is at least {PROBABILITY_MIN} and below 1, not \
         {probability}"
    )]
    BloomFilterProbability { probability: f64 },
    #[error("the rows have other columns than the file")]
    OtherSchema,
    #[error("the Parquet file cannot be written: {0}")]
    Parquet(#[from] ParquetError),
}

/// Rows go to the columns in parts of at most this share of a page, which is by how much a page
/// outgrows its size. Smaller parts cost CPU for every column.
const PARTS_OF_PAGE: usize = 4;

/// Writes one file. After an error it is of no more use.
pub struct Writer {
    layout: Layout,
    file: SerializedFileWriter<Vec<u8>>,
    columns: ArrowRowGroupWriterFactory,
    /// The chunks of the open row group, one a leaf; none before its first row.
    open: Vec<Chunk>,
    /// Encoded bytes in them.
    open_bytes: usize,
    options: Options,
    /// Whether all columns are plain pages of the first version.
    plain: bool,
    press: Press,
}

/// The open chunk of a leaf.
enum Chunk {
    Plain(Box<PlainColumn>),
    Arrow(Box<ArrowColumnWriter>),
    Timestamp(Box<TimestampColumn>),
}

impl Writer {
    pub fn new(schema: &TableSchema, options: &Options) -> Result<Self, WriteError> {
        let layout = Layout::new(schema, options.timestamp_unit)?;
        let properties = Arc::new(properties(options, &layout)?);
        let file = SerializedFileWriter::new(Vec::new(), Arc::clone(&layout.root), properties)?;
        let codec = PageCodec::new(options.compression)?;
        let press = Press::new(codec, named(options.compression)?, page_bytes(options));
        let columns = ArrowRowGroupWriterFactory::new(&file, Arc::clone(&layout.arrow));
        Ok(Self {
            layout,
            file,
            columns,
            open: Vec::new(),
            open_bytes: 0,
            options: options.clone(),
            plain: options.writer_version == WriterVersion::V1
                && !options.enable_dictionary_compression
                && options.bloom_filter_columns.is_empty(),
            press,
        })
    }

    /// Appends rows, whose schema is `TableSchema::to_arrow()`.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), WriteError> {
        if !same_types(&rows.schema_ref().fields, &self.layout.arrow) {
            return Err(WriteError::OtherSchema);
        }
        // A page is closed after the rows that overfill it: those with long values go in smaller
        // numbers, lest a page become many times its size.
        let mut parts = vec![rows.clone()];
        while let Some(part) = parts.pop() {
            let rows = part.num_rows();
            if rows > 1 && widest_bytes(part.columns()) > self.press.page_bytes / PARTS_OF_PAGE {
                parts.push(part.slice(rows / 2, rows - rows / 2));
                parts.push(part.slice(0, rows / 2));
            } else if rows > 0 {
                self.write_part(&part)?;
            }
        }
        Ok(())
    }

    fn write_part(&mut self, rows: &RecordBatch) -> Result<(), WriteError> {
        if self.open.is_empty() {
            self.open = self.open_row_group()?;
        }
        for (index, array) in rows.columns().iter().enumerate() {
            let of_column = self.layout.of_column[index].clone();
            let chunks = &mut self.open[of_column.clone()];
            let arrow = match chunks.iter().any(|chunk| matches!(chunk, Chunk::Arrow(_))) {
                true => compute_leaves(self.layout.arrow.field(index), array)?,
                false => Vec::new(),
            };
            let leaves = &self.layout.leaves[of_column];
            for (number, (chunk, leaf)) in chunks.iter_mut().zip(leaves).enumerate() {
                match chunk {
                    Chunk::Plain(column) => column.write(array, &leaf.steps, &mut self.press)?,
                    Chunk::Arrow(writer) => writer.write(&arrow[number])?,
                    Chunk::Timestamp(column) => column.write(array, &leaf.steps)?,
                }
            }
        }
        self.open_bytes = self.open.iter().map(Chunk::bytes).sum();
        let full = self.open_bytes as u64 >= self.options.block_size.0;
        // The last row group that a file can have takes all that still comes.
        if full && self.file.flushed_row_groups().len() + 1 < PARQUET_ROW_GROUPS_MAX {
            self.close_row_group()?;
        }
        Ok(())
    }

    fn open_row_group(&self) -> Result<Vec<Chunk>, WriteError> {
        let described = self.file.schema_descr().columns();
        let unit = self.options.timestamp_unit;
        if self.plain {
            let chunk = |column: &ColumnDescPtr| PlainColumn::new(Arc::clone(column), unit);
            return Ok(described
                .iter()
                .map(|column| Chunk::Plain(Box::new(chunk(column))))
                .collect());
        }
        let number = self.file.flushed_row_groups().len();
        let arrow = self.columns.create_column_writers(number)?;
        let chunks = arrow.into_iter().zip(described).zip(&self.layout.leaves);
        let chunk = |((writer, column), leaf): ((ArrowColumnWriter, &_), &Leaf)| match leaf.kind {
            Kind::Timestamp => {
                let properties = Arc::clone(self.file.properties());
                let column = TimestampColumn::new(Arc::clone(column), properties, unit);
                Chunk::Timestamp(Box::new(column))
            }
            _ => Chunk::Arrow(Box::new(writer)),
        };
        Ok(chunks.map(chunk).collect())
    }

    fn close_row_group(&mut self) -> Result<(), WriteError> {
        self.file.inner_mut().reserve(self.open_bytes);
        let mut group = self.file.next_row_group()?;
        for chunk in mem::take(&mut self.open) {
            chunk.append_to(&mut group, &mut self.press)?;
        }
        group.close()?;
        self.open_bytes = 0;
        Ok(())
    }

    /// Bytes of the file so far, encoded, those of open pages estimated. What `finish` gives is
    /// larger by the footer only.
    pub fn buffered_bytes(&self) -> usize {
        self.file.bytes_written() + self.open_bytes
    }

    /// The whole file. One without rows is valid too, and has no row group.
    pub fn finish(mut self) -> Result<Vec<u8>, WriteError> {
        if !self.open.is_empty() {
            self.close_row_group()?;
        }
        let mut file = self.file.into_inner()?;
        file.shrink_to_fit();
        Ok(file)
    }
}

impl Chunk {
    fn bytes(&self) -> usize {
        match self {
            Self::Plain(column) => column.bytes(),
            Self::Arrow(writer) => writer.get_estimated_total_bytes(),
            Self::Timestamp(writer) => writer.bytes(),
        }
    }

    fn append_to(
        self,
        group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
        press: &mut Press,
    ) -> Result<(), WriteError> {
        match self {
            Self::Arrow(writer) => writer.close()?.append_to_row_group(group)?,
            Self::Plain(column) => {
                let (pages, closed) = column.close(press)?;
                group.append_column(&pages, closed)?;
            }
            Self::Timestamp(column) => {
                let (pages, closed) = column.close()?;
                group.append_column(&pages, closed)?;
            }
        }
        Ok(())
    }
}

/// Names do not matter here, for columns go by position.
fn same_types(fields: &arrow_schema::Fields, expected: &Schema) -> bool {
    fields.len() == expected.fields.len()
        && fields.iter().zip(&expected.fields).all(|(field, expected)| {
            Arc::ptr_eq(field, expected) || field.data_type() == expected.data_type()
        })
}

/// Encoded bytes of the widest leaf of some arrays, roughly.
fn widest_bytes(arrays: &[arrow_array::ArrayRef]) -> usize {
    arrays.iter().map(|array| leaf_bytes(array)).max().unwrap_or(0)
}

fn leaf_bytes(array: &dyn Array) -> usize {
    let text = |offsets: &[i32]| span(offsets).1 + 4 * array.len();
    match array.data_type() {
        DataType::Utf8 => text(array.as_string::<i32>().value_offsets()),
        DataType::Binary => text(array.as_binary::<i32>().value_offsets()),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (first, length) = span(list.value_offsets());
            leaf_bytes(&list.values().slice(first, length))
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let (first, length) = span(map.value_offsets());
            widest_bytes(map.entries().slice(first, length).columns())
        }
        DataType::Struct(_) => widest_bytes(array.as_struct().columns()),
        // The widest of the others is a decimal of 38 digits.
        _ => 16 * array.len(),
    }
}

/// Where offsets begin and how far they reach.
fn span(offsets: &[i32]) -> (usize, usize) {
    let first = offsets.first().copied().unwrap_or(0) as usize;
    let last = offsets.last().copied().unwrap_or(0) as usize;
    (first, last.saturating_sub(first))
}
