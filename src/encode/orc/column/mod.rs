//! Columns: values of one type, without those whose parent is null.

mod build;
mod dictionary;
mod leaves;
mod text;
mod values;

use std::ops::Range;

use arrow_array::Array;
pub(super) use build::build;
use prost::Message;
use values::Values;

use super::{
    FormatVersion, WriteError,
    bloom::Bloom,
    proto::{self, EncodingKind, StreamKind},
    rle::bits,
    stats::Statistics,
    stream::{Codec, Stream},
    stripe::Stripe,
};

/// A column with all below it.
pub(super) struct Column {
    /// Its number, in pre-order.
    id: u32,
    version: FormatVersion,
    present: Stream<bits::Encoder>,
    /// Whether `present` says anything; it is left out if not.
    has_null: bool,
    values: Values,
    /// Row groups that have ended, and where the open one began.
    groups: Vec<Group>,
    start: Position,
    of_group: Statistics,
    of_stripe: Statistics,
    of_file: Statistics,
    /// Bytes of its streams in all stripes.
    bytes_on_disk: u64,
    bloom: Option<Bloom>,
}

/// Where a row group begins.
#[derive(Debug, Clone, Default)]
struct Position {
    present: Vec<u64>,
    values: Vec<u64>,
}

struct Group {
    start: Position,
    statistics: proto::ColumnStatistics,
}

impl Column {
    /// Adds the values at `ranges` of the array, whose type is that of the column.
    pub(super) fn write(&mut self, array: &dyn Array, ranges: &[Range<usize>]) {
        let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) else {
            return self.write_valid(array, ranges);
        };
        let mut valid: Vec<Range<usize>> = Vec::new();
        for range in ranges {
            let mut at = range.start;
            for (from, to) in nulls.slice(range.start, range.len()).valid_slices() {
                let stretch = range.start + from..range.start + to;
                self.add_nulls(stretch.start - at);
                self.present.repeat(true, stretch.len());
                at = stretch.end;
                valid.push(stretch);
            }
            self.add_nulls(range.end - at);
        }
        self.write_values(array, &valid);
    }

    fn write_valid(&mut self, array: &dyn Array, ranges: &[Range<usize>]) {
        self.present.repeat(true, ranges.iter().map(ExactSizeIterator::len).sum());
        self.write_values(array, ranges);
    }

    fn add_nulls(&mut self, count: usize) {
        if count > 0 {
            self.present.repeat(false, count);
            self.has_null = true;
            self.of_group.has_null = true;
        }
    }

    fn write_values(&mut self, array: &dyn Array, valid: &[Range<usize>]) {
        self.of_group.values += valid.iter().map(|range| range.len() as u64).sum::<u64>();
        self.values.write(array, valid, &mut self.of_group.of, self.bloom.as_mut());
    }

    /// Compresses what fills chunks.
    pub(super) fn spill(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        self.present.spill(codec)?;
        self.values.spill(codec)?;
        self.values.children().try_for_each(|child| child.spill(codec))
    }

    /// Notes where the first row group of a stripe begins.
    pub(super) fn begin_stripe(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        self.mark(codec)?;
        self.values.children().try_for_each(|child| child.begin_stripe(codec))
    }

    fn mark(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        let mut start = Position::default();
        self.present.mark(codec, &mut start.present)?;
        self.values.mark(codec, &mut start.values)?;
        self.start = start;
        Ok(())
    }

    /// Ends the row group; the next begins here.
    pub(super) fn end_group(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        self.close_group();
        self.mark(codec)?;
        self.values.children().try_for_each(|child| child.end_group(codec))
    }

    fn close_group(&mut self) {
        let statistics = self.of_group.to_proto(None);
        self.of_stripe.absorb(&mut self.of_group);
        self.groups.push(Group { start: std::mem::take(&mut self.start), statistics });
        if let Some(bloom) = &mut self.bloom {
            bloom.end_group();
        }
    }

    /// Ends the stripe: all streams of the column and those below it. `is_open` says whether rows
    /// were written since the last row group ended.
    pub(super) fn end_stripe(
        &mut self,
        is_open: bool,
        codec: &mut Codec,
        stripe: &mut Stripe,
    ) -> Result<(), WriteError> {
        if is_open {
            self.close_group();
        }
        let mut bytes = 0;
        let present = self.present.finish(codec)?;
        if self.has_null {
            bytes += present.len();
            stripe.add_data(self.id, StreamKind::Present, present);
        }
        let finished = self.values.finish(codec)?;
        for (kind, stream) in finished.streams {
            bytes += stream.len();
            stripe.add_data(self.id, kind, stream);
        }
        stripe.add_encoding(self.encoding(finished.dictionary_size));
        stripe.add_statistics(self.of_stripe.to_proto(Some(bytes as u64)));
        self.of_file.absorb(&mut self.of_stripe);
        self.bytes_on_disk += bytes as u64;
        self.index(finished.positions, codec, stripe)?;
        self.has_null = false;
        self.values.children().try_for_each(|child| child.end_stripe(is_open, codec, stripe))
    }

    fn encoding(&self, dictionary_size: Option<u32>) -> proto::ColumnEncoding {
        let is_v2 = self.version == FormatVersion::V0_12 && self.values.has_integers();
        let kind = match (dictionary_size.is_some(), is_v2) {
            (false, false) => EncodingKind::Direct,
            (true, false) => EncodingKind::Dictionary,
            (false, true) => EncodingKind::DirectV2,
            (true, true) => EncodingKind::DictionaryV2,
        };
        proto::ColumnEncoding {
            kind: Some(kind.into()),
            dictionary_size,
            bloom_encoding: self.bloom.is_some().then_some(1),
        }
    }

    /// The entries of the row groups. Without a stream of nulls they have no position in it.
    fn index(
        &mut self,
        late: Option<Vec<Vec<u64>>>,
        codec: &mut Codec,
        stripe: &mut Stripe,
    ) -> Result<(), WriteError> {
        let groups = std::mem::take(&mut self.groups);
        let bloom = self.bloom.as_mut().map(Bloom::take);
        if !stripe.has_index {
            return Ok(());
        }
        let mut late = late.map(Vec::into_iter);
        let entry = |group: Group| {
            let mut positions = if self.has_null { group.start.present } else { Vec::new() };
            match late.as_mut().and_then(Iterator::next) {
                Some(values) => positions.extend(values),
                None => positions.extend(group.start.values),
            }
            proto::RowIndexEntry { positions, statistics: Some(group.statistics) }
        };
        let index = proto::RowIndex { entry: groups.into_iter().map(entry).collect() };
        stripe.add_index(self.id, StreamKind::RowIndex, codec.whole(index.encode_to_vec())?);
        if let Some(bloom) = bloom {
            let bloom = codec.whole(bloom.encode_to_vec())?;
            stripe.add_index(self.id, StreamKind::BloomFilterUtf8, bloom);
        }
        Ok(())
    }

    /// The file's statistics of this column and those below it, in pre-order.
    pub(super) fn file_statistics(&mut self, into: &mut Vec<proto::ColumnStatistics>) {
        into.push(self.of_file.to_proto(Some(self.bytes_on_disk)));
        self.values.children().for_each(|child| child.file_statistics(into));
    }

    /// Bytes that the stripe holds so far.
    pub(super) fn buffered_bytes(&self) -> usize {
        let children = self.values.children_ref();
        self.present.buffered_bytes()
            + self.values.buffered_bytes()
            + self.bloom.as_ref().map_or(0, Bloom::buffered_bytes)
            + children.iter().map(Self::buffered_bytes).sum::<usize>()
    }
}
