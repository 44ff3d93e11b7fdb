//! The open chunk of a leaf in PLAIN encoding and pages of the first version: what Firehose's
//! defaults ask for.
//!
//! Arrow's own column writers do the rest (dictionaries, the second version, Bloom filters). They
//! could do this too, at some 15 % more CPU with Snappy and three times the CPU with gzip: buffers
//! are kept here from page to page, and the codecs are faster ones.

use std::mem;

use arrow_array::ArrayRef;
use bytes::Bytes;
use parquet::{
    basic::{
        BoundaryOrder, Compression as Codec, Encoding, EncodingMask, PageType, Type as Physical,
    },
    column::{
        page::{CompressedPage, Page, PageWriter},
        writer::ColumnCloseResult,
    },
    errors::Result,
    file::{
        metadata::{
            ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
        },
        writer::{SerializedPageWriter, TrackedWrite},
    },
    schema::types::ColumnDescPtr,
};

use super::{
    TimestampUnit,
    bounds::{Bounds, nulls_alone},
    codec::PageCodec,
    levels::levels,
    pages::Pages,
    runs,
    schema::Step,
    values::Values,
};

/// Rows after which a page is closed even if it is small: parquet-mr's bound too
/// (parquet.page.row.count.limit). Larger ones make the page index useless.
const PAGE_ROWS: usize = 20_000;

/// More than a page's header takes: some ten small numbers.
const HEADER_BYTES: usize = 64;

/// What all leaves share while pages are closed.
pub(super) struct Press {
    pub codec: PageCodec,
    pub named: Codec,
    pub page_bytes: usize,
    /// Where a page is put together.
    page: Vec<u8>,
}

impl Press {
    pub fn new(codec: PageCodec, named: Codec, page_bytes: usize) -> Self {
        Self { codec, named, page_bytes, page: Vec::new() }
    }
}

pub(super) struct PlainColumn {
    column: ColumnDescPtr,
    unit: TimestampUnit,
    open: OpenPage,
    closed: Pages,
    totals: Totals,
    column_index: ColumnIndexBuilder,
    offset_index: OffsetIndexBuilder,
}

struct OpenPage {
    definition: Vec<u8>,
    repetition: Vec<u8>,
    values: Values,
    present: usize,
    rows: usize,
    bounds: Option<Bounds>,
}

impl OpenPage {
    /// Bytes in memory. Levels count like values: lists of nulls consist of nothing else.
    fn len_bytes(&self) -> usize {
        self.definition.len() + self.repetition.len() + self.values.len_bytes()
    }
}

#[derive(Default)]
struct Totals {
    rows: u64,
    levels: u64,
    nulls: u64,
    pages: i32,
    uncompressed_bytes: u64,
    compressed_bytes: u64,
    bounds: Option<Bounds>,
}

impl PlainColumn {
    pub fn new(column: ColumnDescPtr, unit: TimestampUnit) -> Self {
        let mut column_index = ColumnIndexBuilder::new(column.physical_type());
        if column.physical_type() == Physical::INT96 {
            column_index.to_invalid();
        }
        Self {
            unit,
            open: OpenPage {
                definition: Vec::new(),
                repetition: Vec::new(),
                values: Values::new(),
                present: 0,
                rows: 0,
                bounds: None,
            },
            closed: Pages::default(),
            totals: Totals::default(),
            column_index,
            offset_index: OffsetIndexBuilder::new(),
            column,
        }
    }

    /// Writes the leaf that `steps` lead to from a column's array.
    pub fn write(&mut self, array: &ArrayRef, steps: &[Step], press: &mut Press) -> Result<()> {
        let levels = levels(array, steps);
        let decimal_bytes = self.decimal_bytes();
        let open = &mut self.open;
        // Levels are at most three for each of the 64 storeys that a type may have.
        open.definition.extend(levels.definition.iter().map(|level| *level as u8));
        if let Some(repetition) = &levels.repetition {
            open.repetition.extend(repetition.iter().map(|level| *level as u8));
        }
        open.rows += array.len();
        open.present += levels.present.len();
        let bounds = open.values.append(&levels, self.unit, decimal_bytes);
        Bounds::merge(&mut open.bounds, bounds);
        if open.len_bytes() >= press.page_bytes || open.rows >= PAGE_ROWS {
            self.close_page(press)?;
        }
        Ok(())
    }

    /// Bytes of a decimal; of no meaning elsewhere.
    fn decimal_bytes(&self) -> usize {
        match self.column.physical_type() {
            Physical::FIXED_LEN_BYTE_ARRAY => self.column.type_length() as usize,
            _ => 0,
        }
    }

    /// Encoded bytes, those of the open page as they lie in memory.
    pub fn bytes(&self) -> usize {
        self.totals.compressed_bytes as usize + self.open.len_bytes()
    }

    fn close_page(&mut self, press: &mut Press) -> Result<()> {
        let open = &mut self.open;
        let (levels, nulls) = (open.definition.len(), open.definition.len() - open.present);
        let mut page = mem::take(&mut press.page);
        page.clear();
        runs::append(&open.repetition, self.column.max_rep_level(), &mut page);
        runs::append(&open.definition, self.column.max_def_level(), &mut page);
        open.values.drain_to(&mut page);
        let page = Bytes::from(page);
        let packed = press.codec.compress(&page)?;
        let offset = self.closed.len_bytes();
        let mut room = TrackedWrite::new(Vec::with_capacity(packed.len() + HEADER_BYTES));
        let data = Page::DataPage {
            buf: packed,
            num_values: levels as u32,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let data = CompressedPage::new(data, page.len());
        let written = SerializedPageWriter::new(&mut room).write_page(data)?;
        self.closed.push(room.into_inner()?.into());
        press.codec.keep();
        press.page = page.into();
        let size = written.compressed_size as i32;
        self.offset_index.append_offset_and_size(offset as i64, size);
        self.offset_index.append_row_count(open.rows as i64);
        let totals = &mut self.totals;
        totals.uncompressed_bytes += written.uncompressed_size as u64;
        totals.compressed_bytes += written.compressed_size as u64;
        totals.levels += levels as u64;
        totals.nulls += nulls as u64;
        totals.rows += open.rows as u64;
        totals.pages += 1;
        self.index_page(nulls);
        let open = &mut self.open;
        Bounds::merge(&mut self.totals.bounds, open.bounds.take());
        open.definition.clear();
        open.repetition.clear();
        (open.present, open.rows) = (0, 0);
        Ok(())
    }

    fn index_page(&mut self, nulls: usize) {
        if !self.column_index.valid() {
            return;
        }
        match &self.open.bounds {
            Some(bounds) => {
                let (least, most) = bounds.to_bytes(self.decimal_bytes());
                self.column_index.append(false, least, most, nulls as i64);
            }
            None if self.open.present == 0 => {
                self.column_index.append(true, Vec::new(), Vec::new(), nulls as i64);
            }
            // NaN alone: a page that cannot be found by its bounds takes the others' from them.
            None => self.column_index.to_invalid(),
        }
    }

    pub fn close(mut self, press: &mut Press) -> Result<(Pages, ColumnCloseResult)> {
        if !self.open.definition.is_empty() || self.open.rows > 0 {
            self.close_page(press)?;
        }
        let metadata = self.metadata(press.named)?;
        let column_index = if self.column_index.valid() {
            // Any order may be called unordered.
            self.column_index.set_boundary_order(BoundaryOrder::UNORDERED);
            Some(self.column_index.build()?)
        } else {
            None
        };
        let closed = ColumnCloseResult {
            bytes_written: self.totals.compressed_bytes,
            rows_written: self.totals.rows,
            metadata,
            bloom_filter: None,
            column_index,
            offset_index: Some(self.offset_index.build()),
        };
        Ok((self.closed, closed))
    }

    fn metadata(&mut self, named: Codec) -> Result<ColumnChunkMetaData> {
        let totals = &mut self.totals;
        let physical = self.column.physical_type();
        let pages = PageEncodingStats {
            page_type: PageType::DATA_PAGE,
            encoding: Encoding::PLAIN,
            count: totals.pages,
        };
        let encodings = [Encoding::PLAIN, Encoding::RLE];
        let mut builder = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(named)
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(vec![pages])
            .set_total_compressed_size(totals.compressed_bytes as i64)
            .set_total_uncompressed_size(totals.uncompressed_bytes as i64)
            .set_num_values(totals.levels as i64)
            .set_data_page_offset(0);
        if physical != Physical::INT96 {
            let length = match physical {
                Physical::FIXED_LEN_BYTE_ARRAY => self.column.type_length() as usize,
                _ => 0,
            };
            builder = builder.set_statistics(match totals.bounds.take() {
                Some(bounds) => bounds.statistics(totals.nulls, length),
                None => nulls_alone(physical, totals.nulls),
            });
        }
        builder.build()
    }
}
