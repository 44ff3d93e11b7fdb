//! Groups records into calls of PutRecordBatch: pure.

use super::lines::Line;

/// The records of one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub lines: Vec<Line>,
    /// Bytes of all records, before base64.
    pub size_bytes: usize,
}

/// Closes a batch when the next record would break a limit.
#[derive(Debug)]
pub struct Splitter {
    records_max: usize,
    bytes_max: usize,
    open: Batch,
}

impl Splitter {
    /// A record larger than `bytes_max` goes alone.
    pub fn new(records_max: usize, bytes_max: usize) -> Self {
        Self { records_max, bytes_max, open: Batch::default() }
    }

    /// Adds a record; answers with the batch before it, if this record did not fit into it.
    pub fn push(&mut self, line: Line) -> Option<Batch> {
        let size = line.data.len();
        let fits = self.open.lines.len() < self.records_max
            && self.open.size_bytes + size <= self.bytes_max;
        let closed = if fits { None } else { self.finish() };
        self.open.size_bytes += size;
        self.open.lines.push(line);
        closed
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> Option<Batch> {
        let batch = std::mem::take(&mut self.open);
        (!batch.lines.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Batches of lines with these sizes, as (number of the first, records, bytes).
    fn split(sizes: &[usize], records_max: usize, bytes_max: usize) -> Vec<(u64, usize, usize)> {
        let mut splitter = Splitter::new(records_max, bytes_max);
        let mut batches = Vec::new();
        for (number, size) in (1..).zip(sizes) {
            batches.extend(splitter.push(Line { number, data: vec![b'x'; *size] }));
        }
        batches.extend(splitter.finish());
        assert_eq!(splitter.finish(), None);
        batches.iter().map(|b| (b.lines[0].number, b.lines.len(), b.size_bytes)).collect()
    }

    #[test]
    fn batches_close_by_number_and_by_size() {
        assert_eq!(split(&[], 3, 10), []);
        assert_eq!(split(&[1, 1, 1, 1], 3, 10), [(1, 3, 3), (4, 1, 1)]);
        assert_eq!(split(&[5, 5, 1], 3, 10), [(1, 2, 10), (3, 1, 1)]);
        assert_eq!(split(&[5, 6, 4], 3, 10), [(1, 1, 5), (2, 2, 10)]);
        assert_eq!(split(&[50, 1, 50], 3, 10), [(1, 1, 50), (2, 1, 1), (3, 1, 50)]);
        assert_eq!(split(&[0, 0, 0], 1, 10), [(1, 1, 0), (2, 1, 0), (3, 1, 0)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_limit_broken(
            sizes in prop::collection::vec(0usize..40, 0..200),
            records_max in 1usize..20,
            bytes_max in 40usize..200,
        ) {
            let batches = split(&sizes, records_max, bytes_max);
            let mut next = 1;
            for (first, records, bytes) in &batches {
                prop_assert_eq!(*first, next);
                prop_assert!(*records <= records_max && *bytes <= bytes_max);
                next += *records as u64;
            }
            prop_assert_eq!(next as usize, sizes.len() + 1);
            prop_assert_eq!(batches.iter().map(|b| b.2).sum::<usize>(), sizes.iter().sum::<usize>());
            // Two neighbours never fit into one.
            for pair in batches.windows(2) {
                let joined = (pair[0].1 + 1, pair[0].2 + sizes[pair[1].0 as usize - 1]);
                prop_assert!(joined.0 > records_max || joined.1 > bytes_max);
            }
        }
    }
}
