//! A reader written from the specification, its examples, and random values.

use proptest::prelude::*;

use super::*;

/// Reads bytes, varints and packed bits.
pub(in super::super) struct Reader<'a> {
    data: &'a [u8],
    signed: bool,
}

impl<'a> Reader<'a> {
    pub(in super::super) fn new(data: &'a [u8], signed: bool) -> Self {
        Self { data, signed }
    }

    pub(in super::super) fn is_done(&self) -> bool {
        self.data.is_empty()
    }

    pub(in super::super) fn byte(&mut self) -> u8 {
        let (first, rest) = self.data.split_first().unwrap();
        self.data = rest;
        *first
    }

    fn varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0u128, 0);
        loop {
            let byte = self.byte();
            value |= u128::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return u64::try_from(value).unwrap();
            }
        }
    }

    fn meaning(&self, stored: u64) -> i64 {
        if self.signed { unzigzag(stored) } else { stored as i64 }
    }

    pub(in super::super) fn value(&mut self) -> i64 {
        let stored = self.varint();
        self.meaning(stored)
    }

    fn packed(&mut self, width: u32, count: usize) -> Vec<u64> {
        let bytes = (width as usize * count).div_ceil(8);
        let bit = |at: usize| self.data[at / 8] >> (7 - at % 8) & 1;
        let values = (0..count)
            .map(|at| {
                (0..width as usize)
                    .fold(0, |value, step| value << 1 | u64::from(bit(at * width as usize + step)))
            })
            .collect();
        self.data = &self.data[bytes..];
        values
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

const WIDTHS: [u32; 32] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 28,
    30, 32, 40, 48, 56, 64,
];

pub(in super::super::super) fn decode(data: &[u8], signed: bool) -> Vec<i64> {
    let (mut reader, mut values) = (Reader::new(data, signed), Vec::new());
    while !reader.is_done() {
        let first = reader.byte();
        let kind = first >> 6;
        if kind == 0 {
            let stored =
                (0..=first >> 3 & 7).fold(0, |value, _| value << 8 | u64::from(reader.byte()));
            values.extend(std::iter::repeat_n(reader.meaning(stored), usize::from(first & 7) + 3));
            continue;
        }
        let code = usize::from(first >> 1 & 31);
        let length = (usize::from(first & 1) << 8 | usize::from(reader.byte())) + 1;
        if kind == 1 {
            for stored in reader.packed(WIDTHS[code], length) {
                values.push(reader.meaning(stored));
            }
            continue;
        }
        assert_eq!(kind, 3);
        let base = reader.value();
        let delta = unzigzag(reader.varint());
        if code == 0 {
            values.extend((0..length as i64).map(|at| base.wrapping_add(at.wrapping_mul(delta))));
            continue;
        }
        let mut last = base + delta;
        values.extend([base, last]);
        for step in reader.packed(WIDTHS[code], length - 2) {
            last = if delta < 0 {
                last.wrapping_sub_unsigned(step)
            } else {
                last.wrapping_add_unsigned(step)
            };
            values.push(last);
        }
    }
    values
}

fn encode(values: &[i64], signed: bool) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(signed), Vec::new());
    values.iter().for_each(|value| encoder.push(*value, &mut out));
    encoder.flush(&mut out);
    out
}

#[test]
fn the_specification_s_examples() {
    assert_eq!(encode(&[10000; 5], false), [0x0a, 0x27, 0x10]);
    assert_eq!(
        encode(&[23713, 43806, 57005, 48879], false),
        [0x5e, 0x03, 0x5c, 0xa1, 0xab, 0x1e, 0xde, 0xad, 0xbe, 0xef]
    );
    // Deltas of 4 bits, where 3 do.
    let primes = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29];
    assert_eq!(decode(&[0xc6, 0x09, 0x02, 0x02, 0x22, 0x42, 0x42, 0x46], false), primes);
    assert_eq!(encode(&primes, false), [0xc4, 0x09, 0x02, 0x02, 0x4a, 0x28, 0xa6]);
    assert_eq!(decode(&encode(&primes, false), false), primes);
}

#[test]
fn every_width_is_said_and_read() {
    for width in 1..=64 {
        let top = u64::MAX >> (64 - width);
        let values = [top as i64, 0, top as i64 / 2, 1, top as i64];
        assert_eq!(decode(&encode(&values, false), false), values, "{width}");
        let signed: Vec<i64> = values.iter().map(|value| unzigzag(*value as u64)).collect();
        assert_eq!(decode(&encode(&signed, true), true), signed, "{width}");
        assert_eq!(WIDTHS[usize::from(width_code(fixed_width(width)))], fixed_width(width));
        assert!(fixed_width(width) >= width);
    }
}

#[test]
fn even_stretches_cost_next_to_nothing() {
    assert!(encode(&[0; 512], true).len() <= 4);
    assert!(encode(&(0..512).collect::<Vec<_>>(), true).len() <= 4);
    assert!(encode(&(0..512).rev().collect::<Vec<_>>(), true).len() <= 5);
    let mixed: Vec<i64> = [vec![7, 1 << 40, 3], vec![5; 200], vec![9, 1 << 40]].concat();
    let out = encode(&mixed, true);
    assert!(out.len() < 50, "{}", out.len());
    assert_eq!(decode(&out, true), mixed);
}

#[test]
fn deltas_that_overflow_are_written_directly() {
    for values in [
        vec![i64::MIN, i64::MAX, i64::MIN],
        vec![i64::MIN, 0, i64::MAX],
        vec![i64::MIN, -1, i64::MAX],
        vec![i64::MIN, i64::MIN + 1, i64::MAX],
        vec![i64::MAX; 600],
        vec![i64::MIN; 11],
    ] {
        assert_eq!(decode(&encode(&values, true), true), values);
    }
}

fn values() -> impl Strategy<Value = Vec<i64>> {
    let stretch = prop_oneof![
        (any::<i64>(), 1usize..40).prop_map(|(value, count)| vec![value; count]),
        (-1000i64..1000, -9i64..9, 1usize..600)
            .prop_map(|(base, step, count)| (0..count as i64).map(|at| base + at * step).collect()),
        prop::collection::vec(-5i64..5, 1..40),
        prop::collection::vec(any::<i64>(), 1..9),
        (any::<i32>(), prop::collection::vec(0i64..5000, 1..99)).prop_map(|(base, steps)| {
            steps
                .iter()
                .scan(i64::from(base), |at, step| Some(std::mem::replace(at, *at + step)))
                .collect()
        }),
    ];
    prop::collection::vec(stretch, 0..8).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read(values in values()) {
        prop_assert_eq!(decode(&encode(&values, true), true), values);
    }

    #[test]
    fn unsigned_too(values in values()) {
        let values: Vec<i64> = values.iter().map(|value| value & i64::MAX).collect();
        prop_assert_eq!(decode(&encode(&values, false), false), values);
    }
}
