//! Strings: a dictionary as long as few of them differ, else the strings one by one.

use std::{borrow::Cow, ops::Range};

use arrow_array::StringArray;

use super::{dictionary::Dictionary, values::Finished};
use crate::encode::orc::{
    FormatVersion, WriteError,
    bloom::Bloom,
    proto::StreamKind,
    rle::{Integers, Plain},
    stats::{Of, note_string},
    stream::{Codec, Stream},
};

/// Values after which it is first asked whether the dictionary is worth it.
const FIRST_CHECK: usize = 10_000;

/// What becomes of strings before they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Any,
    /// At most so many characters.
    Varchar(u32),
    /// Just so many characters, filled up with spaces.
    Char(u32),
}

pub(super) struct Text {
    version: FormatVersion,
    length: Length,
    /// Distinct strings per value up to which there is a dictionary.
    threshold: f64,
    state: State,
}

enum State {
    Dictionary(Numbered),
    Direct(Direct),
}

#[derive(Default)]
struct Numbered {
    dictionary: Dictionary,
    /// Of each value, the number of its string.
    numbers: Vec<u32>,
    /// How many values came before each row group.
    starts: Vec<usize>,
    is_checked: bool,
}

struct Direct {
    data: Stream<Plain>,
    lengths: Stream<Integers>,
    /// Where each row group begins.
    positions: Vec<Vec<u64>>,
}

impl Text {
    pub(super) fn new(version: FormatVersion, length: Length, threshold: f64) -> Self {
        Self { version, length, threshold, state: State::new(version, threshold) }
    }

    pub(super) fn write(
        &mut self,
        array: &StringArray,
        valid: &[Range<usize>],
        of: &mut Of,
        mut bloom: Option<&mut Bloom>,
    ) {
        let Of::String { least, most, bytes } = of else { return };
        for at in valid.iter().cloned().flatten() {
            let whole = array.value(at);
            let stored = self.length.apply(whole);
            // Some look for a char with its spaces, some without.
            let bare = match self.length {
                Length::Char(_) => stored.trim_end_matches(' '),
                _ => &stored,
            };
            note_string(least, most, bare, &stored);
            *bytes += stored.len() as u64;
            if let Some(bloom) = &mut bloom {
                bloom.add_bytes(stored.as_bytes());
                if bare.len() < stored.len() {
                    bloom.add_bytes(bare.as_bytes());
                }
            }
            self.state.push(stored.as_bytes());
        }
    }

    pub(super) fn spill(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        if let State::Dictionary(numbered) = &mut self.state
            && !numbered.is_checked
            && numbered.numbers.len() >= FIRST_CHECK
        {
            numbered.is_checked = true;
            self.choose(codec)?;
        }
        self.state.spill(codec)
    }

    /// A row group begins.
    pub(super) fn mark(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        match &mut self.state {
            State::Dictionary(numbered) => numbered.starts.push(numbered.numbers.len()),
            State::Direct(direct) => direct.mark(codec)?,
        }
        Ok(())
    }

    /// Gives the dictionary up if it is not worth it. Readers of Hive 0.11 know nothing else.
    fn choose(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        if let State::Dictionary(numbered) = &self.state
            && self.version != FormatVersion::V0_11
            && numbered.dictionary.len() as f64 > self.threshold * numbered.numbers.len() as f64
        {
            self.state = State::Direct(numbered.to_direct(self.version, codec)?);
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, codec: &mut Codec) -> Result<Finished, WriteError> {
        self.choose(codec)?;
        match std::mem::replace(&mut self.state, State::new(self.version, self.threshold)) {
            State::Dictionary(numbered) => numbered.finish(self.version, codec),
            State::Direct(direct) => direct.finish(codec),
        }
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        match &self.state {
            State::Dictionary(numbered) => {
                numbered.dictionary.buffered_bytes() + numbered.numbers.len() * size_of::<u32>()
            }
            State::Direct(direct) => direct.data.buffered_bytes() + direct.lengths.buffered_bytes(),
        }
    }
}

impl Length {
    fn apply(self, text: &str) -> Cow<'_, str> {
        let (Self::Varchar(characters) | Self::Char(characters)) = self else {
            return Cow::Borrowed(text);
        };
        let mut left = characters as usize;
        let mut ends = text.char_indices();
        let end = loop {
            match ends.next() {
                Some((at, _)) if left == 0 => break at,
                Some(_) => left -= 1,
                None => break text.len(),
            }
        };
        let cut = &text[..end];
        match self {
            Self::Char(_) if left > 0 => Cow::Owned(format!("{cut}{:left$}", "")),
            _ => Cow::Borrowed(cut),
        }
    }
}

impl State {
    /// Of a stripe that begins.
    fn new(version: FormatVersion, threshold: f64) -> Self {
        if threshold <= 0.0 && version != FormatVersion::V0_11 {
            return Self::Direct(Direct::new(version));
        }
        Self::Dictionary(Numbered::default())
    }

    fn push(&mut self, string: &[u8]) {
        match self {
            Self::Dictionary(numbered) => {
                let number = numbered.dictionary.number(string);
                numbered.numbers.push(number);
            }
            Self::Direct(direct) => direct.push(string),
        }
    }

    fn spill(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        match self {
            Self::Dictionary(_) => Ok(()),
            Self::Direct(direct) => direct.spill(codec),
        }
    }
}

impl Numbered {
    /// The same values one by one.
    fn to_direct(&self, version: FormatVersion, codec: &mut Codec) -> Result<Direct, WriteError> {
        let mut direct = Direct::new(version);
        let ends = self.starts.iter().skip(1).copied().chain([self.numbers.len()]);
        for (start, end) in self.starts.iter().zip(ends) {
            direct.mark(codec)?;
            for number in &self.numbers[*start..end] {
                direct.push(self.dictionary.get(*number));
            }
            direct.spill(codec)?;
        }
        Ok(direct)
    }

    fn finish(self, version: FormatVersion, codec: &mut Codec) -> Result<Finished, WriteError> {
        let sorted = self.dictionary.sorted();
        let mut strings = Stream::new(Plain);
        let mut lengths = Stream::new(Integers::new(version, false));
        let mut ranks = vec![0; sorted.len()];
        for (rank, number) in (0i64..).zip(&sorted) {
            let string = self.dictionary.get(*number);
            strings.buffer().extend_from_slice(string);
            lengths.push(string.len() as i64);
            ranks[*number as usize] = rank;
        }
        let mut data = Stream::new(Integers::new(version, false));
        let mut positions = Vec::with_capacity(self.starts.len());
        let ends = self.starts.iter().skip(1).copied().chain([self.numbers.len()]);
        for (start, end) in self.starts.iter().zip(ends) {
            let mut position = Vec::new();
            data.mark(codec, &mut position)?;
            positions.push(position);
            for number in &self.numbers[*start..end] {
                data.push(ranks[*number as usize]);
            }
        }
        Ok(Finished {
            streams: vec![
                (StreamKind::Data, data.finish(codec)?),
                (StreamKind::Length, lengths.finish(codec)?),
                (StreamKind::DictionaryData, strings.finish(codec)?),
            ],
            // `number` has seen to it that it fits.
            dictionary_size: Some(sorted.len() as u32),
            positions: Some(positions),
        })
    }
}

impl Direct {
    fn new(version: FormatVersion) -> Self {
        Self {
            data: Stream::new(Plain),
            lengths: Stream::new(Integers::new(version, false)),
            positions: Vec::new(),
        }
    }

    fn push(&mut self, string: &[u8]) {
        self.data.buffer().extend_from_slice(string);
        self.lengths.push(string.len() as i64);
    }

    fn mark(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        let mut position = Vec::new();
        self.data.mark(codec, &mut position)?;
        self.lengths.mark(codec, &mut position)?;
        self.positions.push(position);
        Ok(())
    }

    fn spill(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        self.data.spill(codec)?;
        self.lengths.spill(codec)
    }

    fn finish(mut self, codec: &mut Codec) -> Result<Finished, WriteError> {
        Ok(Finished {
            streams: vec![
                (StreamKind::Data, self.data.finish(codec)?),
                (StreamKind::Length, self.lengths.finish(codec)?),
            ],
            dictionary_size: None,
            positions: Some(self.positions),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_not_bytes() {
        for (length, text, stored) in [
            (Length::Any, "äöü ", "äöü "),
            (Length::Varchar(2), "äöü", "äö"),
            (Length::Varchar(3), "äöü", "äöü"),
            (Length::Varchar(4), "äöü", "äöü"),
            (Length::Char(2), "äöü", "äö"),
            (Length::Char(5), "äöü", "äöü  "),
            (Length::Char(1), "", " "),
        ] {
            assert_eq!(length.apply(text), stored, "{length:?}");
        }
    }
}
