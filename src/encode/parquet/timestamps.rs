//! Columns of timestamps: INT96 is none of Arrow's types, and the others have another unit there.

use std::sync::Arc;

use arrow_array::{ArrayRef, cast::AsArray, types::TimestampNanosecondType};
use bytes::Bytes;
use parking_lot::Mutex;
use parquet::{
    column::{
        page::{CompressedPage, PageWriteSpec, PageWriter},
        writer::{ColumnCloseResult, ColumnWriter, get_column_writer},
    },
    data_type::Int96,
    errors::Result,
    file::{
        properties::WriterPropertiesPtr,
        writer::{SerializedPageWriter, TrackedWrite},
    },
    schema::types::ColumnDescPtr,
};

use super::{
    TimestampUnit,
    levels::{Levels, levels},
    schema::Step,
};

/// The Julian day on which the Unix epoch began at midnight.
const JULIAN_DAY_OF_EPOCH: i64 = 2_440_588;
const NANOS_OF_DAY: i64 = 86_400_000_000_000;

type Pages = Arc<Mutex<TrackedWrite<Vec<u8>>>>;

/// The open chunk of one column of timestamps.
pub(super) struct TimestampColumn {
    writer: ColumnWriter<'static>,
    unit: TimestampUnit,
    pages: Pages,
    /// Bytes of values since the last page was closed, and what had been written then.
    open_bytes: usize,
    written_bytes: usize,
}

impl TimestampColumn {
    pub fn new(
        column: ColumnDescPtr,
        properties: WriterPropertiesPtr,
        unit: TimestampUnit,
    ) -> Self {
        let pages = Pages::new(Mutex::new(TrackedWrite::new(Vec::new())));
        let store = Box::new(PagesInMemory(Arc::clone(&pages)));
        let writer = get_column_writer(column, properties, store);
        Self { writer, unit, pages, open_bytes: 0, written_bytes: 0 }
    }

    /// Writes the leaf that `steps` lead to.
    pub fn write(&mut self, column: &ArrayRef, steps: &[Step]) -> Result<()> {
        let levels = levels(column, steps);
        let nanos = present_nanos(&levels);
        let (definition, repetition) = (Some(&levels.definition[..]), levels.repetition.as_deref());
        let width = match &mut self.writer {
            ColumnWriter::Int96ColumnWriter(writer) => {
                let values: Vec<Int96> = nanos.map(int96).collect();
                writer.write_batch(&values, definition, repetition)? * 12
            }
            ColumnWriter::Int64ColumnWriter(writer) => {
                let divisor = divisor(self.unit);
                let values: Vec<i64> = nanos.map(|nanos| nanos.div_euclid(divisor)).collect();
                writer.write_batch(&values, definition, repetition)? * 8
            }
            _ => unreachable!("the schema has no other type for timestamps"),
        };
        self.count(width);
        Ok(())
    }

    fn count(&mut self, bytes: usize) {
        let written = self.pages.lock().bytes_written();
        if written > self.written_bytes {
            self.open_bytes = 0;
            self.written_bytes = written;
        }
        self.open_bytes += bytes;
    }

    /// Encoded bytes, those of the open page estimated.
    pub fn bytes(&self) -> usize {
        self.written_bytes + self.open_bytes
    }

    pub fn close(self) -> Result<(Bytes, ColumnCloseResult)> {
        let closed = self.writer.close()?;
        let pages = Arc::into_inner(self.pages).expect("the writer that shared it is closed");
        Ok((pages.into_inner().into_inner()?.into(), closed))
    }
}

fn present_nanos(levels: &Levels) -> impl Iterator<Item = i64> {
    let values = levels.values.as_primitive::<TimestampNanosecondType>().values();
    levels.present.iter().map(|&at| values[at as usize])
}

/// Nanoseconds of the day, then the Julian day: what Hive and Impala call a timestamp.
pub(super) fn int96(nanos: i64) -> Int96 {
    let of_day = nanos.rem_euclid(NANOS_OF_DAY) as u64;
    let day = nanos.div_euclid(NANOS_OF_DAY) + JULIAN_DAY_OF_EPOCH;
    let mut value = Int96::new();
    value.set_data(of_day as u32, (of_day >> 32) as u32, day as u32);
    value
}

/// Nanoseconds in a unit. What does not come out even goes to the earlier instant, before 1970 too.
pub(super) fn divisor(unit: TimestampUnit) -> i64 {
    match unit {
        TimestampUnit::Millis => 1_000_000,
        TimestampUnit::Micros => 1_000,
        TimestampUnit::Nanos | TimestampUnit::Int96 => 1,
    }
}

/// Pages wait in memory until their row group is closed.
struct PagesInMemory(Pages);

impl PageWriter for PagesInMemory {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        SerializedPageWriter::new(&mut *self.0.lock()).write_page(page)
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn int96_counts_from_the_julian_day() {
        for (nanos, of_day, day) in [
            (0, 0_u64, 2_440_588),
            (-1, 86_399_999_999_999, 2_440_587),
            (i64::MAX, 85_636_854_775_807, 2_547_339),
            (i64::MIN, 763_145_224_192, 2_333_836),
        ] {
            let value = int96(nanos);
            let data = value.data();
            assert_eq!(u64::from(data[0]) | u64::from(data[1]) << 32, of_day, "{nanos}");
            assert_eq!(data[2], day, "{nanos}");
        }
    }
}
