//! Levels as runs (parquet-format "Run Length Encoding / Bit-Packing Hybrid").

/// From here on a run is shorter as one value and a count than packed into bits.
const RUN_MIN: usize = 8;

/// Appends levels in the hybrid of runs and packed bits, behind its length in 4 bytes, as pages of
/// the first version have it. Nothing is appended where the largest level is 0.
pub(super) fn append(levels: &[u8], largest: i16, page: &mut Vec<u8>) {
    if largest == 0 {
        return;
    }
    let width = i16::BITS - largest.leading_zeros();
    let start = page.len();
    page.extend_from_slice(&[0; 4]);
    hybrid(levels, width, page);
    let length = (page.len() - start - 4) as u32;
    page[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn hybrid(levels: &[u8], width: u32, out: &mut Vec<u8>) {
    let mut packed = 0;
    let mut at = 0;
    while at < levels.len() {
        let value = levels[at];
        let run = levels[at..].iter().take_while(|level| **level == value).count();
        // Packed values come in groups of 8, so a run first fills up the group before it.
        let fill = (at - packed).next_multiple_of(8) - (at - packed);
        if run >= fill + RUN_MIN {
            pack(&levels[packed..at + fill], width, out);
            varint(((run - fill) as u64) << 1, out);
            out.push(value);
            packed = at + run;
        }
        at += run;
    }
    pack(&levels[packed..], width, out);
}

/// Bits of each value behind those of the one before; the last group is filled with zeros.
fn pack(levels: &[u8], width: u32, out: &mut Vec<u8>) {
    if levels.is_empty() {
        return;
    }
    varint((levels.len().div_ceil(8) as u64) << 1 | 1, out);
    for group in levels.chunks(8) {
        let bits = group.iter().rev().fold(0_u64, |bits, level| bits << width | u64::from(*level));
        out.extend_from_slice(&bits.to_le_bytes()[..width as usize]);
    }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(levels: &[u8], width: u32) -> Vec<u8> {
        let mut out = Vec::new();
        hybrid(levels, width, &mut out);
        out
    }

    #[test]
    fn runs_and_packed_groups_are_as_the_format_has_them() {
        // The example of parquet-format: 0 to 7 in three bits.
        assert_eq!(encoded(&[0, 1, 2, 3, 4, 5, 6, 7], 3), [3, 0x88, 0xc6, 0xfa]);
        assert_eq!(encoded(&[1; 100], 1), [200, 1, 1]);
        assert_eq!(encoded(&[1, 0, 1], 1), [3, 0b101]);
        // Five values and three of the run make a group, the other ten are a run.
        let mut levels = vec![1, 0, 1, 0, 1];
        levels.extend([0; 13]);
        assert_eq!(encoded(&levels, 1), [3, 0b1_0101, 20, 0]);
        assert_eq!(encoded(&[], 1), [0_u8; 0]);
    }

    #[test]
    fn the_length_stands_before_and_a_level_of_zero_takes_nothing() {
        let mut page = vec![9];
        append(&[0; 8], 0, &mut page);
        append(&[2; 8], 2, &mut page);
        assert_eq!(page, [9, 2, 0, 0, 0, 16, 2]);
    }
}
