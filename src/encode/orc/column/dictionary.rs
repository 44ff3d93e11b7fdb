//! The distinct strings of a column in a stripe.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
};

/// Numbers strings in the order in which they come.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    seed: RandomState,
    /// Hash to the string that last had it. The hashes are seeded: nobody can make them collide.
    last: HashMap<u64, u32, BuildHasherDefault<Same>>,
    strings: Vec<Place>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Place {
    start: usize,
    end: usize,
    /// The string before it that has the same hash.
    before: Option<u32>,
}

/// Takes what is a hash already.
#[derive(Debug, Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Dictionary {
    pub(super) fn len(&self) -> usize {
        self.strings.len()
    }

    pub(super) fn get(&self, number: u32) -> &[u8] {
        let place = &self.strings[number as usize];
        &self.bytes[place.start..place.end]
    }

    /// The string's number.
    pub(super) fn number(&mut self, string: &[u8]) -> u32 {
        let next = u32::try_from(self.strings.len())
            .expect("a stripe ends long before it has 2^32 distinct strings");
        let entry = self.last.entry(self.seed.hash_one(string));
        let mut before = match &entry {
            Entry::Occupied(last) => Some(*last.get()),
            Entry::Vacant(_) => None,
        };
        let last = before;
        while let Some(number) = before {
            let place = &self.strings[number as usize];
            if &self.bytes[place.start..place.end] == string {
                return number;
            }
            before = place.before;
        }
        entry.insert_entry(next);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(string);
        self.strings.push(Place { start, end: self.bytes.len(), before: last });
        next
    }

    /// The numbers in the order of their strings' bytes.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..).take(self.len()).collect();
        numbers.sort_unstable_by(|a, b| self.get(*a).cmp(self.get(*b)));
        numbers
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        self.bytes.len() + self.strings.len() * size_of::<Place>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_have_one_number() {
        let mut dictionary = Dictionary::default();
        let numbers: Vec<u32> =
            ["b", "", "a", "b", "", "ab"].map(|text| dictionary.number(text.as_bytes())).into();
        assert_eq!(numbers, [0, 1, 2, 0, 1, 3]);
        let sorted: Vec<&[u8]> =
            dictionary.sorted().into_iter().map(|number| dictionary.get(number)).collect();
        assert_eq!(sorted, [&b""[..], b"a", b"ab", b"b"]);
    }
}
