//! The file: magic, stripes, metadata, footer, postscript.

use std::{io, ops::Range};

use arrow_array::{RecordBatch, StructArray};
use arrow_schema::SchemaRef;
use prost::Message;

use super::{
    FormatVersion, Options,
    column::{self, Column},
    proto::{self, CalendarKind},
    stream::{CHUNK_BYTES, Codec},
    stripe::{Layout, Stripe},
};
use crate::encode::schema::TableSchema;

const MAGIC: &str = "ORC";
/// Rows that are written at once; stripes end between them.
const SLICE_ROWS: usize = 1024;
/// No registered writer. Readers treat the files of those as the newest version's.
const WRITER: u32 = u32::MAX;
/// ORC-203, the eighth of the fixes of writers: long strings in statistics are cut to bounds. With
/// it come those before it, that of timestamps in UTC among them.
const WRITER_VERSION: u32 = 8;

/// Writes rows to an ORC file in memory.
pub struct Writer {
    schema: SchemaRef,
    types: Vec<proto::Type>,
    root: Column,
    codec: Codec,
    layout: Layout,
    stride: Option<usize>,
    version: FormatVersion,
    out: Vec<u8>,
    stripes: Vec<proto::StripeInformation>,
    statistics: Vec<proto::StripeStatistics>,
    /// Bytes at which the open stripe ends.
    stripe_bytes: u64,
    stripe_rows: u64,
    group_rows: usize,
}

/// Why rows are not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("the rows have {found} columns instead of {expected}")]
    Columns { found: usize, expected: usize },
    #[error("column {column} has the Arrow type {found} instead of {expected}")]
    Type { column: String, found: String, expected: String },
    #[error("bloom_filter_columns names {0:?}, which is no column")]
    UnknownBloomColumn(String),
    #[error("bloom_filter_false_positive_probability is {0}, which is not between 0 and 1")]
    FalsePositives(f64),
    #[error("the columns are nested more than {0} deep")]
    Nesting(usize),
    #[error("char({0}) is longer than 255")]
    CharLength(u32),
    #[error("a chunk was not compressed")]
    Compress(#[from] io::Error),
}

impl Writer {
    /// A file of the table's columns.
    ///
    /// Errors: the options or the schema ask for what ORC does not have.
    pub fn new(schema: &TableSchema, options: &Options) -> Result<Self, WriteError> {
        let (root, types) = column::build(schema, options)?;
        let layout = Layout {
            stripe_bytes: options.stripe_size.0,
            block_bytes: options.block_size.0,
            tolerance: options.enable_padding.then_some(options.padding_tolerance),
        };
        let mut writer = Self {
            schema: schema.to_arrow().into(),
            types,
            root,
            codec: Codec::new(options.compression)?,
            stripe_bytes: layout.next_stripe_bytes(MAGIC.len() as u64),
            layout,
            stride: usize::try_from(options.row_index_stride).ok().filter(|stride| *stride > 0),
            version: options.format_version,
            out: MAGIC.into(),
            stripes: Vec::new(),
            statistics: Vec::new(),
            stripe_rows: 0,
            group_rows: 0,
        };
        writer.root.begin_stripe(&mut writer.codec)?;
        Ok(writer)
    }

    /// Adds rows of the Arrow schema that the table's schema comes to.
    ///
    /// Errors: other columns, of which nothing is then written; or the compressor, after which the
    /// file is of no use.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), WriteError> {
        self.check(rows)?;
        let array = StructArray::from(rows.clone());
        let mut at = 0;
        while at < rows.num_rows() {
            let until_group = self.stride.map_or(SLICE_ROWS, |stride| stride - self.group_rows);
            let end = rows.num_rows().min(at + until_group.min(SLICE_ROWS));
            self.write_slice(&array, at..end)?;
            at = end;
        }
        Ok(())
    }

    fn check(&self, rows: &RecordBatch) -> Result<(), WriteError> {
        let (expected, found) = (self.schema.fields(), rows.columns());
        if expected.len() != found.len() {
            return Err(WriteError::Columns { found: found.len(), expected: expected.len() });
        }
        for (field, array) in expected.iter().zip(found) {
            if !field.data_type().equals_datatype(array.data_type()) {
                return Err(WriteError::Type {
                    column: field.name().clone(),
                    found: array.data_type().to_string(),
                    expected: field.data_type().to_string(),
                });
            }
        }
        Ok(())
    }

    fn write_slice(&mut self, array: &StructArray, rows: Range<usize>) -> Result<(), WriteError> {
        self.stripe_rows += rows.len() as u64;
        self.group_rows += rows.len();
        self.root.write(array, &[rows]);
        self.root.spill(&mut self.codec)?;
        if Some(self.group_rows) == self.stride {
            self.root.end_group(&mut self.codec)?;
            self.group_rows = 0;
        }
        if self.root.buffered_bytes() as u64 >= self.stripe_bytes {
            self.end_stripe()?;
            self.root.begin_stripe(&mut self.codec)?;
        }
        Ok(())
    }

    fn end_stripe(&mut self) -> Result<(), WriteError> {
        let mut stripe = Stripe::new(self.stride.is_some());
        self.root.end_stripe(self.group_rows > 0, &mut self.codec, &mut stripe)?;
        let stripe = stripe.finish(&mut self.codec)?;
        let padding = self.layout.padding(self.out.len() as u64, stripe.bytes() as u64);
        // At most the share of a stripe that the options allow, and less than a block.
        self.out.resize(self.out.len() + padding as usize, 0);
        let (information, statistics) = stripe.write(self.stripe_rows, &mut self.out);
        self.stripes.push(information);
        self.statistics.push(statistics);
        self.stripe_rows = 0;
        self.group_rows = 0;
        self.stripe_bytes = self.layout.next_stripe_bytes(self.out.len() as u64);
        Ok(())
    }

    /// Bytes held: the stripes so far, and the open one as far as it is encoded.
    pub fn buffered_bytes(&self) -> usize {
        self.out.len() + self.root.buffered_bytes()
    }

    /// The whole file.
    pub fn finish(mut self) -> Result<Vec<u8>, WriteError> {
        if self.stripe_rows > 0 {
            self.end_stripe()?;
        }
        let content_length = self.out.len() as u64;
        let metadata = proto::Metadata { stripe_stats: std::mem::take(&mut self.statistics) };
        let metadata = self.codec.whole(metadata.encode_to_vec())?;
        let footer = self.footer(content_length).encode_to_vec();
        let footer = self.codec.whole(footer)?;
        let postscript = self.postscript(metadata.len(), footer.len()).encode_to_vec();
        let length = u8::try_from(postscript.len())
            .expect("seven small fields come to far less than 256 bytes");
        self.out.extend([metadata, footer, postscript].concat());
        self.out.push(length);
        Ok(self.out)
    }

    fn footer(&mut self, content_length: u64) -> proto::Footer {
        let mut statistics = Vec::with_capacity(self.types.len());
        self.root.file_statistics(&mut statistics);
        let rows = self.stripes.iter().filter_map(|stripe| stripe.number_of_rows).sum();
        proto::Footer {
            header_length: Some(MAGIC.len() as u64),
            content_length: Some(content_length),
            stripes: std::mem::take(&mut self.stripes),
            types: std::mem::take(&mut self.types),
            number_of_rows: Some(rows),
            statistics,
            row_index_stride: Some(self.stride.unwrap_or(0) as u32),
            writer: Some(WRITER),
            calendar: Some(CalendarKind::ProlepticGregorian.into()),
            software_version: Some(concat!("standpipe ", env!("CARGO_PKG_VERSION")).to_owned()),
        }
    }

    fn postscript(&self, metadata: usize, footer: usize) -> proto::PostScript {
        proto::PostScript {
            footer_length: Some(footer as u64),
            compression: Some(self.codec.kind().into()),
            compression_block_size: Some(CHUNK_BYTES as u64),
            version: match self.version {
                FormatVersion::V0_11 => vec![0, 11],
                FormatVersion::V0_12 => vec![0, 12],
            },
            metadata_length: Some(metadata as u64),
            writer_version: Some(WRITER_VERSION),
            magic: Some(MAGIC.to_owned()),
        }
    }
}
