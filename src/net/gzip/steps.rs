//! gzip of base64: a search for repetitions in steps of four bytes.
//!
//! What is alike in two records is alike in their base64 only where it begins at the same place of
//! a group of three bytes, and then whole groups of four characters are alike. So a search that
//! looks at every fourth place finds what there is to find, with a quarter of the work of a search
//! at every place. What stands between the groups should keep the step, as `"},{"data":"` with its
//! twelve bytes does; any other bytes come out again as they were, too, only less well compressed.
//!
//! Measured on one core, CPU seconds per GB of records in batches of 5 MiB, making the base64
//! (0.2) included, and what is left of the records' size:
//!
//! | | audit events of 1.5 KB | readings of 116 B |
//! |---|---|---|
//! | libdeflate, level 1 | 2.9 s, 14 % | 3.5 s, 24 % |
//! | zlib-rs, level 1 | 2.8 s, 22 % | 3.6 s, 33 % |
//! | this | 1.6 s, 16 % | 2.8 s, 29 % |
//! | libdeflate, level 0 | 0.4 s, 134 % | 0.3 s, 145 % |

use super::deflate::{Output, Sequence};

/// Bytes of a step: a group of base64.
const STEP: usize = 4;
/// How far back DEFLATE reaches (RFC 1951, 3.2.5).
const WINDOW_BYTES: usize = 32 * 1024;
/// Entries of the table of where a hash was seen last. Its 32 KiB stay in the nearest cache.
const TABLE_BITS: u32 = 14;
/// Of what repeats every other group is entered into the table: to enter each costs a fifth more
/// time and leaves half a percent less.
const ENTER_STEP: usize = 2 * STEP;
/// Searches without success after which steps become longer by one: what does not repeat is soon
/// walked through.
const PATIENCE: usize = 64;
/// Bytes of a block, which has codes of its own. They cost some hundred bytes; codes for a longer
/// one fit its parts less well.
const BLOCK_BYTES: usize = 256 * 1024;

/// Compresses `text`, in which groups of four begin at `start`, to DEFLATE behind `head`.
pub(super) fn deflate(head: &[u8], text: &[u8], start: usize) -> Vec<u8> {
    let mut search = Search::new(text, start.min(text.len()));
    let mut out = Output::new(head);
    let mut block = 0;
    while search.look() {
        if search.at - block >= BLOCK_BYTES {
            let end = search.at.min(text.len());
            out.block(&text[block..end], search.sequences_until(end), false);
            search.sequences.clear();
            block = end;
        }
    }
    out.block(&text[block..], search.sequences_until(text.len()), true);
    out.finish()
}

struct Search<'a> {
    text: &'a [u8],
    start: usize,
    at: usize,
    /// Where the bytes begin that are in no sequence yet.
    anchor: usize,
    misses: usize,
    /// The group, modulo 2^16, at which a hash was seen last. What it says is always proven: it
    /// may be of another hash, or long gone.
    seen: Box<[u16; 1 << TABLE_BITS]>,
    sequences: Vec<Sequence>,
}

impl<'a> Search<'a> {
    fn new(text: &'a [u8], start: usize) -> Self {
        let seen = Box::new([0; 1 << TABLE_BITS]);
        Self { text, start, at: start, anchor: 0, misses: 0, seen, sequences: Vec::new() }
    }

    /// Looks at one place, and goes on to the next. False at the end.
    #[inline]
    fn look(&mut self) -> bool {
        let Some(here) = load(self.text, self.at) else { return false };
        let distance = self.enter(here, self.at);
        let offset = self.at - self.start;
        let near = (1..=WINDOW_BYTES).contains(&distance) && distance <= offset;
        if near && load(self.text, self.at - distance) == Some(here) {
            self.repeat(distance);
        } else {
            self.misses += 1;
            self.at += STEP * (1 + self.misses / PATIENCE);
        }
        true
    }

    /// Notes that these bytes stand here, and answers how far back they (or others of the same
    /// hash) stood last.
    #[inline]
    fn enter(&mut self, bytes: u64, at: usize) -> usize {
        let group = ((at - self.start) / STEP) as u16;
        let before = std::mem::replace(&mut self.seen[hash(bytes)], group);
        usize::from(group.wrapping_sub(before)) * STEP
    }

    /// Takes what repeats from `distance` before.
    fn repeat(&mut self, distance: usize) {
        let length = self.repeated(distance);
        self.sequences.push(Sequence { literals: self.at - self.anchor, length, distance });
        let end = self.at + length;
        for at in (self.at + STEP..end).step_by(ENTER_STEP) {
            let Some(here) = load(self.text, at) else { break };
            self.enter(here, at);
        }
        (self.at, self.anchor, self.misses) = (end, end, 0);
    }

    /// How many bytes repeat: whole steps, and no more than a block.
    fn repeated(&self, distance: usize) -> usize {
        let before = self.text[self.at - distance..].as_chunks::<8>().0;
        let now = self.text[self.at..].as_chunks::<8>().0;
        let mut length = 0;
        for (before, now) in before.iter().zip(now).take(BLOCK_BYTES / 8) {
            let differs = u64::from_le_bytes(*before) ^ u64::from_le_bytes(*now);
            if differs != 0 {
                return length + differs.trailing_zeros() as usize / 8 / STEP * STEP;
            }
            length += 8;
        }
        length
    }

    /// The sequences, and behind them what is in none.
    fn sequences_until(&mut self, end: usize) -> &[Sequence] {
        let literals = end - self.anchor;
        self.sequences.push(Sequence { literals, length: 0, distance: 0 });
        self.anchor = end;
        &self.sequences
    }
}

#[inline]
fn load(text: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*text.get(at..)?.first_chunk()?))
}

/// The upper bits of a product with an odd number without pattern (Fibonacci hashing).
#[inline]
fn hash(bytes: u64) -> usize {
    (bytes.wrapping_mul(0x9e37_79b1_85eb_ca87) >> (64 - TABLE_BITS)) as usize
}
