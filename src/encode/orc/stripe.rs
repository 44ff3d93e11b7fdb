//! A stripe as it stands in the file: index, data, footer.

use prost::Message;

use super::{
    WriteError,
    proto::{self, StreamKind},
    stream::Codec,
};

/// The zone that timestamps are written in.
const WRITER_TIMEZONE: &str = "UTC";

/// The parts of a stripe, which columns hand in one after the other.
#[derive(Default)]
pub(super) struct Stripe {
    pub(super) has_index: bool,
    index: Streams,
    data: Streams,
    encodings: Vec<proto::ColumnEncoding>,
    statistics: Vec<proto::ColumnStatistics>,
}

#[derive(Default)]
struct Streams {
    directory: Vec<proto::Stream>,
    bytes: Vec<Vec<u8>>,
}

/// A stripe ready to be written.
pub(super) struct Finished {
    pub(super) index_bytes: usize,
    pub(super) data_bytes: usize,
    pub(super) footer_bytes: usize,
    pieces: Vec<Vec<u8>>,
    pub(super) statistics: proto::StripeStatistics,
}

impl Streams {
    fn add(&mut self, column: u32, kind: StreamKind, bytes: Vec<u8>) {
        self.directory.push(proto::Stream {
            kind: Some(kind.into()),
            column: Some(column),
            length: Some(bytes.len() as u64),
        });
        self.bytes.push(bytes);
    }

    fn bytes(&self) -> usize {
        self.bytes.iter().map(Vec::len).sum()
    }
}

impl Stripe {
    pub(super) fn new(has_index: bool) -> Self {
        Self { has_index, ..Self::default() }
    }

    pub(super) fn add_index(&mut self, column: u32, kind: StreamKind, bytes: Vec<u8>) {
        self.index.add(column, kind, bytes);
    }

    pub(super) fn add_data(&mut self, column: u32, kind: StreamKind, bytes: Vec<u8>) {
        self.data.add(column, kind, bytes);
    }

    pub(super) fn add_encoding(&mut self, encoding: proto::ColumnEncoding) {
        self.encodings.push(encoding);
    }

    pub(super) fn add_statistics(&mut self, statistics: proto::ColumnStatistics) {
        self.statistics.push(statistics);
    }

    pub(super) fn finish(self, codec: &mut Codec) -> Result<Finished, WriteError> {
        let (index_bytes, data_bytes) = (self.index.bytes(), self.data.bytes());
        let footer = proto::StripeFooter {
            streams: [self.index.directory, self.data.directory].concat(),
            columns: self.encodings,
            writer_timezone: Some(WRITER_TIMEZONE.to_owned()),
        };
        let footer = codec.whole(footer.encode_to_vec())?;
        let footer_bytes = footer.len();
        let mut pieces = self.index.bytes;
        pieces.extend(self.data.bytes);
        pieces.push(footer);
        let statistics = proto::StripeStatistics { col_stats: self.statistics };
        Ok(Finished { index_bytes, data_bytes, footer_bytes, pieces, statistics })
    }
}

impl Finished {
    pub(super) fn bytes(&self) -> usize {
        self.index_bytes + self.data_bytes + self.footer_bytes
    }

    /// Appends the stripe to the file.
    pub(super) fn write(
        self,
        rows: u64,
        out: &mut Vec<u8>,
    ) -> (proto::StripeInformation, proto::StripeStatistics) {
        let information = proto::StripeInformation {
            offset: Some(out.len() as u64),
            index_length: Some(self.index_bytes as u64),
            data_length: Some(self.data_bytes as u64),
            footer_length: Some(self.footer_bytes as u64),
            number_of_rows: Some(rows),
        };
        out.reserve(self.bytes());
        for piece in self.pieces {
            out.extend_from_slice(&piece);
        }
        (information, self.statistics)
    }
}

/// Where stripes end, and what is filled up between them.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Bytes of a stripe, and of a block of the filesystem.
    pub(super) stripe_bytes: u64,
    pub(super) block_bytes: u64,
    /// Share of a stripe that may be filled up; none if nothing is.
    pub(super) tolerance: Option<f64>,
}

impl Layout {
    /// Bytes to fill up before a stripe of so many bytes at `at`, which would else lie in two
    /// blocks. What it may not fill up, it leaves: the stripe then does lie in two.
    pub(super) fn padding(&self, at: u64, bytes: u64) -> u64 {
        let Some((left, tolerance)) = self.left(at).zip(self.tolerance) else { return 0 };
        let allowed = self.stripe_bytes as f64 * tolerance;
        let is_across = bytes > left && bytes <= self.block_bytes;
        if is_across && left as f64 <= allowed { left } else { 0 }
    }

    /// Bytes that the next stripe should have: what is left of the block, if that is less than a
    /// stripe and more than may be filled up.
    pub(super) fn next_stripe_bytes(&self, at: u64) -> u64 {
        let Some((left, tolerance)) = self.left(at).zip(self.tolerance) else {
            return self.stripe_bytes;
        };
        let allowed = self.stripe_bytes as f64 * tolerance;
        if left < self.stripe_bytes && left as f64 > allowed {
            // The estimate may be a little low; what is then left over is filled up.
            return (left as f64 * (1.0 - tolerance)) as u64;
        }
        self.stripe_bytes
    }

    /// Bytes up to the end of the block.
    fn left(&self, at: u64) -> Option<u64> {
        at.checked_rem(self.block_bytes).map(|used| self.block_bytes - used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_filled_up_within_the_tolerance() {
        let layout = Layout { stripe_bytes: 100, block_bytes: 1000, tolerance: Some(0.1) };
        assert_eq!(layout.padding(990, 50), 10);
        assert_eq!(layout.padding(990, 10), 0, "it fits");
        assert_eq!(layout.padding(980, 50), 0, "more than a tenth of a stripe");
        assert_eq!(layout.padding(990, 1001), 0, "it fits nowhere");
        assert_eq!(layout.padding(2000, 50), 0);
        assert_eq!(layout.next_stripe_bytes(0), 100);
        assert_eq!(layout.next_stripe_bytes(950), 45);
        assert_eq!(layout.next_stripe_bytes(995), 100);
        for off in [
            Layout { tolerance: None, ..layout.clone() },
            Layout { block_bytes: 0, ..layout.clone() },
        ] {
            assert_eq!((off.padding(990, 50), off.next_stripe_bytes(950)), (0, 100));
        }
    }
}
