//! Segment files: their names, their header, and the table of those a journal has.
//!
//! A segment is named by its first sequence in 16 hexadecimal digits (`00000000000003e8.seg`) and
//! starts with a header of 64 bytes, all numbers little endian:
//!
//! ```text
//! offset size
//!      0    8  magic "SPSEG" 0D 0A 1A
//!      8    4  format version, 1
//!     12    4  CRC-32C of bytes 0..12 and 16..64
//!     16   16  journal id
//!     32    8  first sequence
//!     40    8  time of creation, milliseconds since the Unix epoch
//!     48   16  zero
//! ```
//!
//! Frames follow without gaps (see `frame`). The file is as long as what was written; the space
//! up to the segment's size is reserved beyond its end.

use std::{collections::BTreeMap, sync::Arc};

use super::frame::Identity;

pub const HEADER_BYTES: u64 = 64;
pub const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"SPSEG\r\n\x1a";

pub fn name(first: u64) -> String {
    format!("{first:016x}.seg")
}

/// The first sequence in a segment's name; `None` for the name of anything else.
pub fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let canonical =
        digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    canonical.then(|| u64::from_str_radix(digits, 16).ok())?
}

pub fn encode_header(
    identity: Identity,
    first: u64,
    created_ms: i64,
) -> [u8; HEADER_BYTES as usize] {
    let mut out = [0; HEADER_BYTES as usize];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[16..32].copy_from_slice(&identity.id);
    out[32..40].copy_from_slice(&first.to_le_bytes());
    out[40..48].copy_from_slice(&created_ms.to_le_bytes());
    let checksum = checksum(&out);
    out[12..16].copy_from_slice(&checksum.to_le_bytes());
    out
}

fn checksum(header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..12]), &header[16..])
}

/// What the first bytes of a segment file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderState {
    Sound {
        id: [u8; 16],
        first: u64,
    },
    /// Too short, another magic, or a wrong checksum.
    Broken,
    /// Sound, but of a version that this program does not know.
    Newer(u32),
}

pub fn decode_header(bytes: &[u8]) -> HeaderState {
    let Some(bytes) = bytes.get(..HEADER_BYTES as usize) else {
        return HeaderState::Broken;
    };
    let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
    if bytes[..8] != MAGIC || u32_at(12) != checksum(bytes) {
        return HeaderState::Broken;
    }
    if u32_at(8) != VERSION {
        return HeaderState::Newer(u32_at(8));
    }
    let mut id = [0; 16];
    id.copy_from_slice(&bytes[16..32]);
    HeaderState::Sound { id, first: u64::from(u32_at(32)) | u64::from(u32_at(36)) << 32 }
}

/// A segment as the table knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub first: u64,
    /// The sequence after the last that it can hold: where the next one starts, or the tail.
    pub end: u64,
    /// Bytes of the file that may be read.
    pub len: u64,
}

/// Where a sequence is to be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    In(Segment),
    /// In no segment; the next one, or the tail, starts at this sequence.
    Gap(u64),
}

/// The segments of a journal in order. Those that every cursor has passed leave it, except the
/// last, which may be the one that is written, and the latest before it: the calls in them may
/// come again after a restart.
#[derive(Debug, Default)]
pub struct Table {
    segments: BTreeMap<u64, Segment>,
    total_bytes: u64,
    /// What every cursor has settled; `None` without cursors.
    released: Option<u64>,
    tail: u64,
}

impl Table {
    pub fn new(segments: Vec<Segment>, tail: u64) -> Self {
        let total_bytes = segments.iter().map(|segment| segment.len).sum();
        let segments = segments.into_iter().map(|segment| (segment.first, segment)).collect();
        Self { segments, total_bytes, released: None, tail }
    }

    /// A new last segment; the one before it can hold nothing from its first sequence on.
    pub fn push(&mut self, first: u64, len: u64) {
        if let Some(mut last) = self.segments.last_entry() {
            last.get_mut().end = first;
        }
        self.segments.insert(first, Segment { first, end: first, len });
        self.total_bytes += len;
    }

    /// The last segment has grown.
    pub fn grow(&mut self, end: u64, len: u64) {
        self.tail = end;
        if let Some(mut last) = self.segments.last_entry() {
            let last = last.get_mut();
            self.total_bytes += len - last.len;
            (last.end, last.len) = (end, len);
        }
    }

    /// Remembers what is settled, and takes out and answers the segments that nobody needs;
    /// `keep_bytes` of the latest stay.
    pub fn release(&mut self, before: Option<u64>, keep_bytes: u64) -> Vec<Segment> {
        self.release_but(1, before, keep_bytes)
    }

    /// The same with all that every cursor has passed, the last segment too, when it is not
    /// written.
    pub fn release_all(&mut self, before: Option<u64>) -> Vec<Segment> {
        self.release_but(0, before, 0)
    }

    fn release_but(&mut self, kept: usize, before: Option<u64>, keep_bytes: u64) -> Vec<Segment> {
        self.released = before;
        let Some(before) = before else { return Vec::new() };
        let mut gone = Vec::new();
        while self.segments.len() > kept
            && let Some(first) = self.segments.first_entry()
            && first.get().end <= before
            && self.total_bytes - first.get().len >= keep_bytes
        {
            let segment = first.remove();
            self.total_bytes -= segment.len;
            gone.push(segment);
        }
        gone
    }

    /// Bytes of the segments that some cursor still needs.
    pub fn used_bytes(&self) -> u64 {
        let Some(before) = self.released else { return self.total_bytes };
        let passed = self.segments.values().take_while(|segment| segment.end <= before);
        self.total_bytes - passed.map(|segment| segment.len).sum::<u64>()
    }

    /// True when every cursor has passed all that the last segment holds.
    pub fn last_is_released(&self) -> bool {
        let last = self.segments.last_key_value();
        last.is_some_and(|(_, last)| self.released.is_some_and(|before| last.end <= before))
    }

    /// The segments from that one on that begin before a sequence.
    pub fn between(&self, from: u64, before: u64) -> Vec<Segment> {
        self.segments.range(from..before.max(from)).map(|(_, segment)| *segment).collect()
    }

    /// True if a segment of this name is one of the journal's.
    pub fn has(&self, first: u64) -> bool {
        self.segments.contains_key(&first)
    }

    /// The oldest sequence that is kept.
    pub fn oldest(&self) -> u64 {
        self.segments.first_key_value().map_or(self.tail, |(&first, _)| first)
    }

    pub fn locate(&self, sequence: u64) -> Place {
        if let Some((_, segment)) = self.segments.range(..=sequence).next_back()
            && sequence < segment.end
        {
            return Place::In(*segment);
        }
        let next = self.segments.range(sequence..).next();
        Place::Gap(next.map_or(self.tail, |(&first, _)| first))
    }
}

/// Sizes that tests make small.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    pub segment_bytes: u64,
    pub group_commit_bytes: usize,
    pub append_queue_bytes: usize,
    pub calls_remembered: usize,
    pub calls_tail_bytes: u64,
    /// Delivered bytes that stay on disk, for the calls in them.
    pub keep_delivered_bytes: u64,
    pub disk_reserve_bytes: u64,
    /// Pages of delivered records are given back in pieces of this size.
    pub forget_bytes: u64,
    /// The first step in which disk space is reserved; each further one takes four times as much.
    pub reserve_first_bytes: u64,
}

impl Tuning {
    /// Up to where a segment that must hold `end` bytes is reserved ahead, and where at least.
    pub fn reserve_steps(&self, end: u64) -> [u64; 2] {
        let first = self.reserve_first_bytes.max(1);
        let mut ahead = first;
        while ahead < end {
            ahead = ahead.saturating_mul(4);
        }
        let bound = |to: u64| to.min(self.segment_bytes).max(end);
        [bound(ahead), bound(end.next_multiple_of(first))]
    }
}

impl Default for Tuning {
    fn default() -> Self {
        use crate::limits;
        Self {
            segment_bytes: limits::SEGMENT_BYTES,
            group_commit_bytes: limits::GROUP_COMMIT_BYTES,
            append_queue_bytes: limits::APPEND_QUEUE_BYTES,
            calls_remembered: limits::CALLS_REMEMBERED,
            calls_tail_bytes: limits::CALLS_TAIL_BYTES,
            keep_delivered_bytes: limits::CALLS_TAIL_BYTES,
            disk_reserve_bytes: limits::DISK_RESERVE_BYTES,
            forget_bytes: limits::FORGET_BYTES,
            reserve_first_bytes: limits::RESERVE_FIRST_BYTES,
        }
    }
}

/// A text that many callers share.
pub type Cause = Arc<str>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_canonical() {
        assert_eq!(name(1000), "00000000000003e8.seg");
        assert_eq!(parse_name(&name(u64::MAX)), Some(u64::MAX));
        for other in ["3e8.seg", "00000000000003E8.seg", "00000000000003e8.seg.tmp", "state"] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn headers_tell_what_they_are() {
        let identity = Identity::new([5; 16]);
        let mut bytes = encode_header(identity, 9, 1);
        assert_eq!(decode_header(&bytes), HeaderState::Sound { id: [5; 16], first: 9 });
        assert_eq!(decode_header(&bytes[..63]), HeaderState::Broken);
        bytes[8] = 2;
        assert_eq!(decode_header(&bytes), HeaderState::Broken);
        let checksum = checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(decode_header(&bytes), HeaderState::Newer(2));
    }

    #[test]
    fn the_table_finds_gaps_and_releases_whole_segments() {
        let segment = |first, end| Segment { first, end, len: 100 };
        let mut table = Table::new(vec![segment(10, 20), segment(30, 40)], 45);
        assert_eq!(table.locate(5), Place::Gap(10));
        assert_eq!(table.locate(19), Place::In(segment(10, 20)));
        assert_eq!(table.locate(20), Place::Gap(30));
        assert_eq!(table.locate(42), Place::Gap(45));
        table.push(45, 64);
        table.grow(50, 200);
        assert_eq!((table.used_bytes(), table.oldest()), (400, 10));
        assert!(table.release(Some(19), 0).is_empty());
        assert_eq!(table.release(Some(48), 0).len(), 2);
        assert_eq!((table.used_bytes(), table.oldest()), (200, 45));
        assert!(table.release(Some(50), 0).is_empty(), "the last segment stays");
        assert_eq!(table.used_bytes(), 0);
        table.grow(51, 210);
        assert_eq!(table.used_bytes(), 210);
        assert!(table.release_all(Some(50)).is_empty(), "it is still needed");
        assert_eq!(table.release_all(Some(51)).len(), 1);
        assert_eq!((table.used_bytes(), table.oldest(), table.has(45)), (0, 51, false));
    }

    #[test]
    fn space_is_reserved_in_steps() {
        use crate::limits::MIB;
        let tuning = Tuning::default();
        assert_eq!(tuning.reserve_steps(100), [MIB, MIB]);
        assert_eq!(tuning.reserve_steps(MIB), [MIB, MIB]);
        assert_eq!(tuning.reserve_steps(MIB + 1), [4 * MIB, 2 * MIB]);
        assert_eq!(tuning.reserve_steps(20 * MIB), [64 * MIB, 20 * MIB]);
        assert_eq!(tuning.reserve_steps(70 * MIB), [70 * MIB, 70 * MIB]);
        let small = Tuning { segment_bytes: 4096, ..tuning };
        assert_eq!(small.reserve_steps(100), [4096, 4096]);
    }
}
