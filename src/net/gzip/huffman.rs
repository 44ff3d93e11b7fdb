//! Huffman codes of bounded length in the canonical form of DEFLATE.

/// A symbol's code: its bits, the first to be written lowest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Code {
    pub bits: u32,
    /// How many bits; 0 for a symbol that does not occur.
    pub length: u32,
}

/// Codes of at most `bits_max` bits for symbols of these counts. At least two symbols get one:
/// there are readers that take no code for a single symbol.
pub(super) fn codes<const N: usize>(counts: &[u32; N], bits_max: u32) -> [Code; N] {
    let mut counts = *counts;
    let used = counts.iter().filter(|count| **count > 0).count();
    for count in counts.iter_mut().filter(|count| **count == 0).take(2_usize.saturating_sub(used)) {
        *count = 1;
    }
    let mut lengths = lengths(&counts);
    // Rare: codes become that long only where counts grow like Fibonacci numbers. Flattened counts
    // make shorter ones, and as good as the best.
    while lengths.iter().any(|length| *length > bits_max) {
        for count in counts.iter_mut().filter(|count| **count > 0) {
            *count = *count / 2 + 1;
        }
        lengths = self::lengths(&counts);
    }
    canonical(lengths)
}

/// The codes for these lengths (RFC 1951, 3.2.2).
fn canonical<const N: usize>(lengths: [u32; N]) -> [Code; N] {
    let mut codes = lengths.map(|length| Code { bits: 0, length });
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let mut next = 0_u32;
    for length in 1..=longest {
        next <<= 1;
        for code in codes.iter_mut().filter(|code| code.length == length) {
            code.bits = next.reverse_bits() >> (u32::BITS - length);
            next += 1;
        }
    }
    codes
}

/// How deep each symbol lies in a Huffman tree. At least two counts are not 0.
fn lengths<const N: usize>(counts: &[u32; N]) -> [u32; N] {
    let mut leaves: Vec<(u32, usize)> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(symbol, count)| (*count, symbol))
        .collect();
    leaves.sort_unstable();
    // First the leaves, then the nodes above them, which come into being in ascending order: the
    // two lightest without a parent are at the head of the one or the other.
    let mut weights: Vec<u64> = leaves.iter().map(|(count, _)| u64::from(*count)).collect();
    let nodes = 2 * leaves.len() - 1;
    let mut parents = vec![0; nodes];
    let (mut leaf, mut inner) = (0, leaves.len());
    while weights.len() < nodes {
        let mut weight = 0;
        for _ in 0..2 {
            let is_leaf = leaf < leaves.len()
                && weights.get(inner).is_none_or(|inner| weights[leaf] <= *inner);
            let node = if is_leaf { &mut leaf } else { &mut inner };
            weight += weights[*node];
            parents[*node] = weights.len();
            *node += 1;
        }
        weights.push(weight);
    }
    let mut depths = vec![0; nodes];
    for node in (0..nodes - 1).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    let mut lengths = [0; N];
    for (depth, (_, symbol)) in depths.iter().zip(&leaves) {
        lengths[*symbol] = *depth;
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_symbols_get_short_codes() {
        let codes = codes(&[5, 0, 1, 9, 2], 14);
        assert_eq!(codes.map(|code| code.length), [2, 0, 3, 1, 3]);
        assert_eq!(codes.map(|code| code.bits), [0b01, 0, 0b011, 0b0, 0b111]);
    }

    #[test]
    fn there_are_always_two_codes() {
        assert_eq!(codes(&[0, 0, 7], 14).map(|code| code.length), [1, 0, 1]);
        assert_eq!(codes(&[0, 0, 0], 14).map(|code| code.length), [1, 1, 0]);
    }

    proptest::proptest! {
        #[test]
        fn codes_fill_their_space_and_stay_in_bounds(
            counts in proptest::array::uniform19(0_u32..1000),
            steep: bool,
        ) {
            // Fibonacci numbers make the longest codes.
            let mut pair = (1, 1);
            let fibonacci = counts.map(|_| {
                pair = (pair.1, pair.0 + pair.1);
                pair.0
            });
            let codes = codes(if steep { &fibonacci } else { &counts }, 7);
            let used = codes.iter().filter(|code| code.length > 0);
            let space: f64 = used.map(|code| 0.5_f64.powi(code.length as i32)).sum();
            proptest::prop_assert_eq!(space, 1.0);
            proptest::prop_assert!(codes.iter().all(|code| code.length <= 7));
        }
    }
}
