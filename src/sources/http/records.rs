//! The records of one request, in the parts in which they are put.

use crate::{
    limits::{BATCH_BYTES_MAX, HTTP_PART_RECORDS_MAX, HTTP_RECORDS_BYTES_MAX, RECORD_BYTES_MAX},
    record::Put,
};

/// More than a stream takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    #[error("{bytes} bytes are more than a record may have ({RECORD_BYTES_MAX})")]
    Record { bytes: usize },
    #[error("the records of a request have more than {HTTP_RECORDS_BYTES_MAX} bytes in all")]
    Request,
}

/// Records in parts of up to 4 MiB, as PutRecordBatch has them: what the smallest journal takes at
/// once. What fits into one part is stored whole or not at all; of more parts, the first may be
/// stored without the last. The same records always make the same parts.
#[derive(Debug, Default)]
pub struct Records {
    parts: Vec<Put>,
    count: u64,
    bytes: usize,
}

impl Records {
    /// Appends a record.
    pub fn push(&mut self, record: &[u8]) -> Result<(), TooLarge> {
        if record.len() > RECORD_BYTES_MAX {
            return Err(TooLarge::Record { bytes: record.len() });
        }
        // A small request may name large things that stand in each of its records.
        self.bytes += record.len() + size_of::<u32>();
        if self.bytes > HTTP_RECORDS_BYTES_MAX {
            return Err(TooLarge::Request);
        }
        self.part(record.len()).push(record);
        self.count += 1;
        Ok(())
    }

    /// The part that a record of so many bytes goes to.
    fn part(&mut self, bytes: usize) -> &mut Put {
        let has_room = self.parts.last().is_some_and(|part| {
            part.data.len() + bytes <= BATCH_BYTES_MAX && part.records() < HTTP_PART_RECORDS_MAX
        });
        if !has_room {
            self.parts.push(Put::default());
        }
        self.parts.last_mut().expect("there is one now")
    }

    pub fn len(&self) -> u64 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Tells these records from others.
    pub fn checksum(&self) -> u32 {
        self.parts.iter().fold(0, |checksum, part| {
            let lengths = part.lengths.iter().fold(checksum, |checksum, length| {
                crc32c::crc32c_append(checksum, &length.to_be_bytes())
            });
            crc32c::crc32c_append(lengths, &part.data)
        })
    }

    /// Bytes of all records, and 4 for each.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The length of each record.
    pub fn lengths(&self) -> Vec<u32> {
        self.parts.iter().flat_map(|part| part.lengths.iter().copied()).collect()
    }

    /// The parts in order; none without records.
    pub fn into_parts(self) -> Vec<Put> {
        self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_by_bytes_and_by_records() {
        let mut records = Records::default();
        assert!(records.is_empty());
        let large = vec![b'x'; RECORD_BYTES_MAX];
        for _ in 0..5 {
            records.push(&large).unwrap();
        }
        let large = records.push(&[0; RECORD_BYTES_MAX + 1]);
        assert_eq!(large, Err(TooLarge::Record { bytes: 1_024_001 }));
        for _ in 0..HTTP_PART_RECORDS_MAX {
            records.push(b"").unwrap();
        }
        assert_eq!(records.len(), 5 + HTTP_PART_RECORDS_MAX as u64);
        let parts: Vec<_> =
            records.into_parts().iter().map(|part| (part.records(), part.data.len())).collect();
        let in_second = HTTP_PART_RECORDS_MAX;
        assert_eq!(parts, [(4, 4_096_000), (in_second, 1_024_000), (1, 0)]);
    }
}
