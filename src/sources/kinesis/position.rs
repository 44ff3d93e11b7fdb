//! Which of two places in a shard is the later one.

use std::cmp::Ordering;

use super::Checkpoint;

/// The later of two checkpoints of one shard. Of two that tell only where reading begins, the first.
pub(super) fn later(first: Checkpoint, second: Checkpoint) -> Checkpoint {
    if compare(&second, &first) == Ordering::Greater { second } else { first }
}

/// Sequence numbers are compared as numbers: by length, then as texts.
fn compare(a: &Checkpoint, b: &Checkpoint) -> Ordering {
    match (a, b) {
        (
            Checkpoint::Sequence { number: a, sub_sequence: sub_a, whole: whole_a },
            Checkpoint::Sequence { number: b, sub_sequence: sub_b, whole: whole_b },
        ) => {
            let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            let numbers = a.len().cmp(&b.len()).then_with(|| a.cmp(b));
            numbers.then_with(|| whole_a.cmp(whole_b)).then_with(|| {
                // Behind the whole record is behind every part of it.
                if *whole_a { Ordering::Equal } else { sub_a.cmp(sub_b) }
            })
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(checkpoint: &Checkpoint) -> u8 {
    match checkpoint {
        Checkpoint::TrimHorizon | Checkpoint::Latest | Checkpoint::AtTimestamp => 0,
        Checkpoint::Sequence { .. } => 1,
        Checkpoint::ShardEnd => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers_and_parts_before_the_whole() {
        let order =
            ["LATEST", "9", "10:0", "10:3", "10:20", "10", "0011", "99", "100", "SHARD_END"];
        let order = order.map(|text| Checkpoint::parse(text).unwrap());
        for (i, a) in order.iter().enumerate() {
            for (j, b) in order.iter().enumerate() {
                let expected = if i >= j { a } else { b };
                assert_eq!(&later(a.clone(), b.clone()), expected, "{a} {b}");
            }
        }
        let both = [Checkpoint::TrimHorizon, Checkpoint::Latest];
        assert_eq!(later(both[0].clone(), both[1].clone()), both[0], "the first of two beginnings");
    }
}
