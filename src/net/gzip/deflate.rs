//! DEFLATE (RFC 1951): blocks with codes of their own, of sequences that somebody has found.

use super::huffman::{Code, codes};

/// Bytes as they are, then a repetition of what stood `distance` before them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequence {
    literals: u32,
    /// At least 3; 0 for none.
    length: u32,
    distance: u32,
}

impl Sequence {
    /// Of no more than a block, so the numbers fit.
    #[inline]
    pub fn new(literals: usize, length: usize, distance: usize) -> Self {
        Self { literals: literals as u32, length: length as u32, distance: distance as u32 }
    }

    fn bytes(self) -> usize {
        (self.literals + self.length) as usize
    }
}

/// Shortest and longest repetition that there is a symbol for.
const REPEAT_BYTES_MIN: usize = 3;
const REPEAT_BYTES_MAX: usize = 258;
/// Literals, the end of a block, and lengths.
const SYMBOLS: usize = 286;
const END_OF_BLOCK: usize = 256;
const DISTANCES: usize = 30;
/// Symbols that code lengths are written in, and their order in a header.
const LENGTHS: usize = 19;
const LENGTHS_ORDER: [usize; LENGTHS] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// Longest code. DEFLATE has 15; of 14 bits four literals fit into a word beside the seven bits
/// that may be left of the last.
const CODE_BITS_MAX: u32 = 14;
/// Most bytes of a block's header: every length in a code of 7 bits with 7 more.
const HEADER_BYTES_MAX: usize = (SYMBOLS + DISTANCES) * 14 / 8 + 32;

/// A symbol, and bits that go behind it.
struct Symbol {
    symbol: usize,
    more: u64,
    more_bits: u32,
}

/// The symbol of a length from 3 to 258 (RFC 1951, 3.2.5).
#[inline]
fn of_length(length: usize) -> Symbol {
    let value = length - REPEAT_BYTES_MIN;
    if value < 8 {
        return Symbol { symbol: 257 + value, more: 0, more_bits: 0 };
    }
    if length == REPEAT_BYTES_MAX {
        return Symbol { symbol: 285, more: 0, more_bits: 0 };
    }
    let more_bits = value.ilog2() - 2;
    let symbol = 257 + 4 * more_bits as usize + (value >> more_bits);
    Symbol { symbol, more: (value & ((1 << more_bits) - 1)) as u64, more_bits }
}

/// The symbol of a distance from 1 to 32,768 (same place).
#[inline]
fn of_distance(distance: usize) -> Symbol {
    let value = distance - 1;
    if value < 4 {
        return Symbol { symbol: value, more: 0, more_bits: 0 };
    }
    let more_bits = value.ilog2() - 1;
    let symbol = 2 * more_bits as usize + (value >> more_bits);
    Symbol { symbol, more: (value & ((1 << more_bits) - 1)) as u64, more_bits }
}

/// How much of a repetition goes into one symbol, so that what is left has one, too.
#[inline]
fn piece(left: usize) -> usize {
    if left <= REPEAT_BYTES_MAX { left } else { REPEAT_BYTES_MAX.min(left - REPEAT_BYTES_MIN) }
}

/// Four bytes of the text at a place in it, with zeros behind its end.
#[inline]
fn four(text: &[u8], at: usize) -> [u8; 4] {
    match text[at..].first_chunk() {
        Some(four) => *four,
        None => std::array::from_fn(|index| text.get(at + index).copied().unwrap_or(0)),
    }
}

/// How often each symbol occurs in a block, and how many bits go behind them in all.
struct Counts {
    symbols: [u32; SYMBOLS],
    distances: [u32; DISTANCES],
    more_bits: usize,
}

impl Counts {
    fn of(text: &[u8], sequences: &[Sequence]) -> Self {
        let mut counts = Self { symbols: [0; SYMBOLS], distances: [0; DISTANCES], more_bits: 0 };
        // Four counters for each byte, so that equal ones in a row do not wait for each other.
        let mut lanes = [[0_u32; 256]; 4];
        let mut at = 0;
        for sequence in sequences {
            let literals = sequence.literals as usize;
            // Runs are short and none is like the next: a branch for each byte would be guessed
            // wrong more often than it saves anything.
            for done in (0..literals).step_by(4) {
                let bytes = four(text, at + done);
                for (index, (lane, byte)) in lanes.iter_mut().zip(bytes).enumerate() {
                    lane[usize::from(byte)] += u32::from(done + index < literals);
                }
            }
            at += sequence.bytes();
            counts.add_repetition(sequence);
        }
        for (byte, count) in counts.symbols[..256].iter_mut().enumerate() {
            *count = lanes.iter().map(|lane| lane[byte]).sum();
        }
        counts.symbols[END_OF_BLOCK] = 1;
        counts
    }

    fn add_repetition(&mut self, sequence: &Sequence) {
        let mut left = sequence.length as usize;
        while left > 0 {
            let piece = piece(left);
            let (length, distance) = (of_length(piece), of_distance(sequence.distance as usize));
            self.symbols[length.symbol] += 1;
            self.distances[distance.symbol] += 1;
            self.more_bits += (length.more_bits + distance.more_bits) as usize;
            left -= piece;
        }
    }

    /// Bytes that the block takes in these codes, without its header.
    fn bytes(&self, symbols: &[Code], distances: &[Code]) -> usize {
        let counts = self.symbols.iter().chain(&self.distances);
        let codes = symbols.iter().chain(distances);
        let bits: usize =
            counts.zip(codes).map(|(&count, code)| count as usize * code.length as usize).sum();
        (bits + self.more_bits) / 8 + 1
    }
}

/// What is written so far, and the bits that do not fill a byte yet.
pub(super) struct Output {
    bytes: Vec<u8>,
    /// Where the next byte goes; behind it there is room to write a whole word at once.
    at: usize,
    bits: u64,
    count: u32,
}

impl Output {
    pub fn new(head: &[u8]) -> Self {
        Self { bytes: head.to_vec(), at: head.len(), bits: 0, count: 0 }
    }

    /// Adds bits; no more than 64 may wait for [`Self::flush`].
    #[inline(always)]
    fn put(&mut self, bits: u64, count: u32) {
        self.bits |= bits << self.count;
        self.count += count;
    }

    #[inline(always)]
    fn put_code(&mut self, code: Code) {
        self.put(u64::from(code.bits), code.length);
    }

    /// Writes whole bytes, which leaves up to seven bits. No more than 63 may be waiting.
    #[inline(always)]
    fn flush(&mut self) {
        let room = self.bytes[self.at..].first_chunk_mut().expect("a block makes room for itself");
        *room = self.bits.to_le_bytes();
        let whole = self.count / 8;
        self.at += whole as usize;
        self.bits >>= whole * 8;
        self.count &= 7;
    }

    /// Writes a block of this text, which the sequences cover.
    pub fn block(&mut self, text: &[u8], sequences: &[Sequence], is_last: bool) {
        let counts = Counts::of(text, sequences);
        let symbols = codes(&counts.symbols, CODE_BITS_MAX);
        let distances = codes(&counts.distances, CODE_BITS_MAX);
        let size = HEADER_BYTES_MAX + counts.bytes(&symbols, &distances) + size_of::<u64>();
        self.bytes.resize(self.at + size, 0);
        self.put(u64::from(is_last), 1);
        self.header(&symbols, &distances);
        let lengths = std::array::from_fn(|length| match length {
            0..REPEAT_BYTES_MIN => Code::default(),
            _ => with_more(&symbols, of_length(length)),
        });
        let mut at = 0;
        for sequence in sequences {
            self.literals(text, at, sequence.literals as usize, &symbols);
            self.repetition(sequence, &lengths, &distances);
            at += sequence.bytes();
        }
        self.put_code(symbols[END_OF_BLOCK]);
        self.flush();
    }

    #[inline]
    fn literals(&mut self, text: &[u8], at: usize, count: usize, symbols: &[Code; SYMBOLS]) {
        for done in (0..count).step_by(4) {
            for (index, byte) in four(text, at + done).into_iter().enumerate() {
                let Code { bits, length } = symbols[usize::from(byte)];
                let taken = u32::from(done + index < count);
                self.put_code(Code { bits: bits * taken, length: length * taken });
            }
            self.flush();
        }
    }

    #[inline]
    fn repetition(
        &mut self,
        sequence: &Sequence,
        lengths: &[Code; REPEAT_BYTES_MAX + 1],
        distances: &[Code; DISTANCES],
    ) {
        if sequence.length == 0 {
            return;
        }
        let distance = with_more(distances, of_distance(sequence.distance as usize));
        let mut left = sequence.length as usize;
        while left > 0 {
            let piece = piece(left);
            // At most 14 + 5 + 14 + 13 bits.
            self.put_code(lengths[piece]);
            self.put_code(distance);
            self.flush();
            left -= piece;
        }
    }

    /// The codes of a block (RFC 1951, 3.2.7).
    fn header(&mut self, symbols: &[Code; SYMBOLS], distances: &[Code; DISTANCES]) {
        let runs = runs(symbols.iter().chain(distances).map(|code| code.length as usize));
        let mut counts = [0; LENGTHS];
        for run in &runs {
            counts[run.symbol] += 1;
        }
        let codes = codes(&counts, 7);
        const DYNAMIC: u64 = 2;
        self.put(DYNAMIC, 2);
        self.put(SYMBOLS as u64 - 257, 5);
        self.put(DISTANCES as u64 - 1, 5);
        self.put(LENGTHS as u64 - 4, 4);
        for symbol in LENGTHS_ORDER {
            self.flush();
            self.put(u64::from(codes[symbol].length), 3);
        }
        for run in runs {
            self.flush();
            self.put_code(codes[run.symbol]);
            self.put(run.more, run.more_bits);
        }
        self.flush();
    }

    /// All bytes; the last is filled up.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.at);
        if self.count > 0 {
            self.bytes.push(self.bits as u8);
        }
        self.bytes
    }
}

/// A symbol's code with the bits behind it.
#[inline]
fn with_more(codes: &[Code], symbol: Symbol) -> Code {
    let Code { bits, length } = codes[symbol.symbol];
    Code { bits: bits | (symbol.more as u32) << length, length: length + symbol.more_bits }
}

/// Code lengths as a header writes them: with repetitions, and runs of zeros.
fn runs(lengths: impl Iterator<Item = usize>) -> Vec<Symbol> {
    let lengths: Vec<_> = lengths.collect();
    let mut runs = Vec::new();
    for run in lengths.chunk_by(|a, b| a == b) {
        let (length, mut left) = (run[0], run.len());
        while left > 0 {
            let (taken, symbol) = match (length, left) {
                (0, 11..) => (left.min(138), Symbol { symbol: 18, more: 11, more_bits: 7 }),
                (0, 3..) => (left, Symbol { symbol: 17, more: 3, more_bits: 3 }),
                // Repeats the length before, so one has to stand there.
                (1.., 3..) if left < run.len() => {
                    (left.min(6), Symbol { symbol: 16, more: 3, more_bits: 2 })
                }
                _ => (1, Symbol { symbol: length, more: 1, more_bits: 0 }),
            };
            // What stands behind is how many more than the fewest.
            runs.push(Symbol { more: taken as u64 - symbol.more, ..symbol });
            left -= taken;
        }
    }
    runs
}
