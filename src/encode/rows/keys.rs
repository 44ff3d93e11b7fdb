//! Which column a member belongs to.
//!
//! Records of one stream look alike. So each spelling of a key that was met remembers which
//! spelling followed it last time, and the usual record is read by comparing the expected bytes,
//! never by hashing. A key elsewhere is looked up by its raw bytes; only a spelling that was never
//! met is unescaped and folded. What is remembered is bounded.

use std::collections::{BTreeMap, HashMap};

use super::{
    input::{Input, Raw},
    problem::Read,
};
use crate::limits::{ROWS_KEY_BYTES_REMEMBERED, ROWS_UNKNOWN_NAMES};

/// How keys are compared with names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folding {
    pub case: bool,
    pub dots: bool,
}

/// The keys of one struct, or of the record itself.
#[derive(Debug)]
pub(super) struct Keys {
    folding: Folding,
    /// Folded key to field.
    columns: HashMap<Box<str>, usize>,
    spellings: Vec<Spelling>,
    by_raw: HashMap<Box<[u8]>, usize>,
    first: usize,
    spellings_max: usize,
    unknown: usize,
    /// Unknown members whose names were not remembered any more.
    beyond: u64,
}

#[derive(Debug)]
struct Spelling {
    /// The key's bytes as they stand in records, and the closing quote.
    raw: Box<[u8]>,
    /// Its first eight bytes as a number, and which bits of it count if there are fewer.
    head: u64,
    mask: u64,
    /// Its last eight bytes, if it has so many.
    tail: u64,
    escaped: bool,
    field: Option<usize>,
    /// The spelling that followed last time.
    next: usize,
    met: u64,
}

/// Where in the usual order a record is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(Option<usize>);

impl Place {
    pub const START: Self = Self(None);
}

impl Keys {
    /// The keys under which the fields stand, in the fields' order; `Err` is the second field of
    /// two that stand under one key.
    pub fn new<'n>(keys: impl Iterator<Item = &'n str>, folding: Folding) -> Result<Self, usize> {
        let mut this = Self {
            folding,
            columns: HashMap::new(),
            spellings: Vec::new(),
            by_raw: HashMap::new(),
            first: 0,
            spellings_max: 0,
            unknown: 0,
            beyond: 0,
        };
        for (field, key) in keys.enumerate() {
            let key = this.fold(key);
            if this.columns.insert(key.as_str().into(), field).is_some() {
                return Err(field);
            }
            // A name that needs escapes stands in no record as it is.
            if !key.bytes().any(|byte| byte == b'"' || byte == b'\\' || byte < b' ') {
                this.remember(key.as_bytes(), Some(field));
            }
        }
        let count = this.spellings.len();
        for (at, spelling) in this.spellings.iter_mut().enumerate() {
            spelling.next = if at + 1 < count { at + 1 } else { 0 };
        }
        // Room for a few spellings of every column besides the unknown names.
        this.spellings_max = 4 * count + ROWS_UNKNOWN_NAMES + 64;
        Ok(this)
    }

    fn fold(&self, key: &str) -> String {
        if self.folding.case { key.to_lowercase() } else { key.to_owned() }
    }

    /// Consumes a key (its opening quote is consumed already) and tells its field and raw form.
    #[inline]
    pub fn find<'a>(
        &mut self,
        input: &mut Input<'a>,
        place: &mut Place,
    ) -> Read<(Option<usize>, Raw<'a>)> {
        let guess = match place.0 {
            Some(before) => self.spellings[before].next,
            None => self.first,
        };
        if let Some(expected) = self.spellings.get(guess) {
            if let Some(raw) = expected.meets(input) {
                return Ok((self.met(guess, place), raw));
            }
            // A member may be absent now and then: the one behind it comes next.
            let behind = expected.next;
            if let Some(raw) = self.spellings[behind].meets(input) {
                return Ok((self.met(behind, place), raw));
            }
        }
        self.look_up(input, place)
    }

    #[inline]
    fn met(&mut self, spelling: usize, place: &mut Place) -> Option<usize> {
        *place = Place(Some(spelling));
        let spelling = &mut self.spellings[spelling];
        spelling.met += 1;
        spelling.field
    }

    fn look_up<'a>(
        &mut self,
        input: &mut Input<'a>,
        place: &mut Place,
    ) -> Read<(Option<usize>, Raw<'a>)> {
        let raw = input.string()?;
        if let Some(&spelling) = self.by_raw.get(raw.bytes) {
            self.follow(*place, spelling);
            return Ok((self.met(spelling, place), raw));
        }
        let field = self.column(raw);
        let remembered = self.spellings.len() < self.spellings_max
            && raw.bytes.len() <= ROWS_KEY_BYTES_REMEMBERED
            && (field.is_some() || self.unknown < ROWS_UNKNOWN_NAMES);
        if !remembered {
            self.beyond += u64::from(field.is_none());
            return Ok((field, raw));
        }
        self.unknown += usize::from(field.is_none());
        let spelling = self.remember(raw.bytes, field);
        self.follow(*place, spelling);
        Ok((self.met(spelling, place), raw))
    }

    fn follow(&mut self, place: Place, spelling: usize) {
        match place.0 {
            Some(before) => self.spellings[before].next = spelling,
            None => self.first = spelling,
        }
    }

    fn remember(&mut self, raw: &[u8], field: Option<usize>) -> usize {
        let spelling = self.spellings.len();
        self.spellings.push(Spelling::new(raw, field, self.first));
        self.by_raw.insert(raw.into(), spelling);
        spelling
    }

    /// The field of a key that was never met.
    fn column(&self, raw: Raw<'_>) -> Option<usize> {
        let name = self.fold(&plain(raw.bytes, raw.escaped));
        let found = self.columns.get(name.as_str());
        if found.is_none() && self.folding.dots && name.contains('.') {
            return self.columns.get(name.replace('.', "_").as_str()).copied();
        }
        found.copied()
    }

    /// Adds the names that are no column, and how often they were met.
    pub fn unknown_into(&self, path: &str, all: &mut BTreeMap<String, u64>) {
        let spellings = self.spellings.iter().filter(|s| s.field.is_none() && s.met > 0);
        for spelling in spellings {
            let raw = &spelling.raw[..spelling.raw.len() - 1];
            let name = format!("{path}{}", self.fold(&plain(raw, spelling.escaped)));
            if all.len() < ROWS_UNKNOWN_NAMES || all.contains_key(&name) {
                *all.entry(name).or_default() += spelling.met;
            }
        }
    }

    /// Members that are no column and whose names were too many or too long to be remembered.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }
}

impl Spelling {
    fn new(raw: &[u8], field: Option<usize>, next: usize) -> Self {
        let escaped = raw.contains(&b'\\');
        let raw: Box<[u8]> = [raw, b"\""].concat().into();
        let mut head = [0; 8];
        let count = raw.len().min(8);
        head[..count].copy_from_slice(&raw[..count]);
        let mask = u64::MAX >> (64 - 8 * count);
        let tail = raw.last_chunk().map_or(0, |tail| u64::from_le_bytes(*tail));
        Self { raw, head: u64::from_le_bytes(head), mask, tail, escaped, field, next, met: 0 }
    }

    /// Consumes the key if it is this one.
    #[inline]
    fn meets<'a>(&self, input: &mut Input<'a>) -> Option<Raw<'a>> {
        let length = self.raw.len();
        let bytes = input.bytes.get(input.at..)?;
        // Most keys are compared as one or two words, without a loop.
        let head = bytes.first_chunk().map(|head| u64::from_le_bytes(*head))?;
        if head & self.mask != self.head {
            return None;
        }
        let bytes = bytes.get(..length)?;
        if length > 8 {
            let tail = bytes.last_chunk().map(|tail| u64::from_le_bytes(*tail))?;
            if tail != self.tail || (length > 16 && *bytes != *self.raw) {
                return None;
            }
        }
        input.at += length;
        let bytes = &bytes[..length - 1];
        Some(Raw { bytes, escaped: self.escaped })
    }
}

fn plain(raw: &[u8], escaped: bool) -> String {
    let mut out = Vec::with_capacity(raw.len());
    Raw { bytes: raw, escaped }.append_to(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}
