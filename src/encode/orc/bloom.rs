//! Bloom filters of row groups: `BLOOM_FILTER_UTF8` of the ORC v1 specification.

use super::proto;

/// Bits of the largest filter: 8 MiB. One column has as many filters as a stripe has row groups.
const BITS_MAX: f64 = 67_108_864.0;
const SEED: u64 = 104_729;
/// `Double.doubleToLongBits` of whatever is a NaN.
const NAN_BITS: i64 = 0x7ff8_0000_0000_0000;

/// The filters of a column: that of the open row group, and those before it in the stripe.
#[derive(Debug)]
pub(super) struct Bloom {
    bits: Vec<u64>,
    hashes: u32,
    done: Vec<proto::BloomFilter>,
}

impl Bloom {
    /// For so many values, of which a share of those that are not there is taken to be (between 0
    /// and 1, exclusive).
    pub(super) fn new(values: u32, false_positives: f64) -> Self {
        let values = f64::from(values.max(1));
        let ln_2 = std::f64::consts::LN_2;
        let bits = (-values * false_positives.ln() / (ln_2 * ln_2)).min(BITS_MAX);
        let words = bits as usize / 64 + 1;
        let hashes = ((words * 64) as f64 / values * ln_2).round().clamp(1.0, 64.0) as u32;
        Self { bits: vec![0; words], hashes, done: Vec::new() }
    }

    pub(super) fn add_bytes(&mut self, bytes: &[u8]) {
        self.add_hash(hash_bytes(bytes));
    }

    pub(super) fn add_integer(&mut self, value: i64) {
        self.add_hash(hash_integer(value));
    }

    /// Both zeros if it is one of them: they are equal to those who look for them.
    pub(super) fn add_real(&mut self, value: f64) {
        if value == 0.0 {
            self.add_integer(0.0f64.to_bits() as i64);
            self.add_integer((-0.0f64).to_bits() as i64);
        } else {
            self.add_integer(if value.is_nan() { NAN_BITS } else { value.to_bits() as i64 });
        }
    }

    fn add_hash(&mut self, hash: u64) {
        let count = self.bits.len() * 64;
        let (first, second) = (hash as i32, (hash >> 32) as i32);
        for step in 1..=self.hashes as i32 {
            let combined = first.wrapping_add(step.wrapping_mul(second));
            let bit = (if combined < 0 { !combined } else { combined }) as usize % count;
            self.bits[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// Ends the row group.
    pub(super) fn end_group(&mut self) {
        let bitset = self.bits.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.bits.fill(0);
        self.done.push(proto::BloomFilter {
            num_hash_functions: Some(self.hashes),
            utf8bitset: Some(bitset),
        });
    }

    /// The filters of the stripe, which ends.
    pub(super) fn take(&mut self) -> proto::BloomFilterIndex {
        proto::BloomFilterIndex { bloom_filter: std::mem::take(&mut self.done) }
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        self.done.len() * self.bits.len() * 8
    }
}

/// Thomas Wang's mix of 64 bits.
fn hash_integer(key: i64) -> u64 {
    let mut key = (!key).wrapping_add(key << 21);
    key ^= key >> 24;
    key = key.wrapping_mul(265);
    key ^= key >> 14;
    key = key.wrapping_mul(21);
    key ^= key >> 28;
    key.wrapping_add(key << 31) as u64
}

/// Murmur3 with 64 bits, as ORC has it: the first half of the variant of 128.
fn hash_bytes(bytes: &[u8]) -> u64 {
    let mix = |word: u64| {
        word.wrapping_mul(0x87c3_7b91_1142_53d5).rotate_left(31).wrapping_mul(0x4cf5_ad43_2745_937f)
    };
    let (words, tail) = bytes.as_chunks::<8>();
    let mut hash = SEED;
    for word in words {
        hash = (hash ^ mix(u64::from_le_bytes(*word))).rotate_left(27);
        hash = hash.wrapping_mul(5).wrapping_add(0x52dc_e729);
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    // Mixing 0 gives 0: no tail changes nothing.
    hash ^= mix(u64::from_le_bytes(last));
    hash ^= bytes.len() as u64;
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(bloom: &Bloom, hash: u64) -> bool {
        let mut with = Bloom { bits: bloom.bits.clone(), hashes: bloom.hashes, done: Vec::new() };
        with.add_hash(hash);
        with.bits == bloom.bits
    }

    #[test]
    fn what_was_added_is_found_and_little_else() {
        let mut bloom = Bloom::new(10_000, 0.05);
        (0..10_000).for_each(|value| bloom.add_integer(value));
        assert!((0..10_000).all(|value| has(&bloom, hash_integer(value))));
        let wrong = (10_000..110_000).filter(|value| has(&bloom, hash_integer(*value))).count();
        assert!((3_000..7_000).contains(&wrong), "{wrong} of 100000");
        let mut bloom = Bloom::new(1000, 0.01);
        (0..1000).for_each(|value| bloom.add_bytes(format!("key {value}").as_bytes()));
        assert!((0..1000).all(|value| has(&bloom, hash_bytes(format!("key {value}").as_bytes()))));
        let wrong = (1000..101_000)
            .filter(|value| has(&bloom, hash_bytes(format!("key {value}").as_bytes())))
            .count();
        assert!(wrong < 1500, "{wrong} of 100000");
    }

    #[test]
    fn sizes_are_bounded() {
        let bloom = Bloom::new(u32::MAX, f64::MIN_POSITIVE);
        assert_eq!(bloom.bits.len(), 1 + (8 << 20) / 8);
        assert_eq!(bloom.hashes, 1);
        let bloom = Bloom::new(0, 0.999_999);
        assert_eq!((bloom.bits.len(), bloom.hashes), (1, 44));
    }

    #[test]
    fn groups_have_filters_of_their_own() {
        let mut bloom = Bloom::new(100, 0.05);
        bloom.add_real(f64::NAN);
        bloom.add_real(-0.0);
        assert!(has(&bloom, hash_integer(NAN_BITS)) && has(&bloom, hash_integer(0)));
        bloom.end_group();
        bloom.end_group();
        let index = bloom.take();
        let ones = |at: usize| {
            let bits = index.bloom_filter[at].utf8bitset.as_ref().unwrap();
            bits.iter().map(|byte| byte.count_ones()).sum::<u32>()
        };
        assert!(ones(0) > 0);
        assert_eq!(ones(1), 0);
        assert!(bloom.take().bloom_filter.is_empty());
    }
}
