//! What was read of a shard, cut into puts: aggregates are taken apart, and what a checkpoint in the
//! middle of one covers is passed over.

use super::{Checkpoint, StoredRecord, UserRecord, kpl};
use crate::{
    limits::KINESIS_PUT_BYTES,
    record::{Place, Provenance, Put, RecordOrigin, Step},
};

/// Bytes that a record's origin takes beside its texts.
const ORIGIN_BYTES: usize = 32;

/// A put without its step, and where the shard stands once it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub put: Put,
    pub position: Checkpoint,
}

/// Cuts what one reader of one shard gives.
pub(super) struct Cutter {
    key: String,
    place: Place,
    hash_range: (u128, u128),
    /// Behind this place of this record: what is before was stored already.
    passed: Option<(String, u64)>,
    open: Open,
    /// Records that were dropped since, for their aggregate does not belong to the shard.
    pub outside: u64,
}

/// The put that grows.
#[derive(Default)]
struct Open {
    put: Put,
    origins: Vec<RecordOrigin>,
    /// Data, and what the origins take.
    bytes: usize,
    /// Where the shard stands behind what was taken so far.
    position: Option<Checkpoint>,
}

impl Cutter {
    /// `key` is what the journal keeps the shard's position by.
    pub fn new(key: String, place: Place, hash_range: (u128, u128), from: &Checkpoint) -> Self {
        let passed = match from {
            Checkpoint::Sequence { number, sub_sequence, whole: false } => {
                Some((number.clone(), *sub_sequence))
            }
            _ => None,
        };
        Self { key, place, hash_range, passed, open: Open::default(), outside: 0 }
    }

    /// Takes one record; answers with the puts that became full. The rest stays open until
    /// [`finish`](Self::finish).
    pub fn add(&mut self, stored: StoredRecord, now_ms: i64) -> Vec<Cut> {
        let parts = kpl::take_apart(&stored, self.hash_range);
        self.outside += parts.outside;
        self.add_users(stored, parts.records, now_ms)
    }

    fn add_users(
        &mut self,
        stored: StoredRecord,
        records: Vec<UserRecord>,
        now_ms: i64,
    ) -> Vec<Cut> {
        let mut cuts = Vec::new();
        let StoredRecord { sequence_number, arrival_ms, .. } = stored;
        let passed = self.passed.take().filter(|(number, _)| *number == sequence_number);
        let count = records.len();
        for (i, record) in records.into_iter().enumerate() {
            let place = record.sub_sequence;
            // The library's checkpoint of a record that is no aggregate is its place 0.
            if let Some((_, passed)) = &passed
                && place.is_none_or(|place| place <= *passed)
            {
                continue;
            }
            let texts = record.partition_key.len() + sequence_number.len();
            let bytes = record.data.len() + texts + ORIGIN_BYTES;
            if self.open.bytes + bytes > KINESIS_PUT_BYTES {
                cuts.extend(self.finish(now_ms));
            }
            self.open.bytes += bytes;
            self.open.put.push(&record.data);
            self.open.origins.push(RecordOrigin {
                sequence_number: Some(sequence_number.clone()),
                sub_sequence_number: place,
                partition_key: Some(record.partition_key),
                timestamp_ms: Some(arrival_ms),
                ..RecordOrigin::default()
            });
            self.open.position = Some(Checkpoint::Sequence {
                number: sequence_number.clone(),
                sub_sequence: place.unwrap_or(0),
                whole: i + 1 == count,
            });
        }
        cuts
    }

    /// What is open, if there is any.
    pub fn finish(&mut self, now_ms: i64) -> Option<Cut> {
        let Open { mut put, origins, position, .. } = std::mem::take(&mut self.open);
        let position = position?;
        put.arrival_ms = now_ms;
        put.provenance = Some(Box::new(Provenance {
            steps: vec![Step::to(self.key.clone(), position.to_string())],
            place: Some(self.place.clone()),
            records: origins,
            unfit: None,
        }));
        Some(Cut { put, position })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn stored(number: &str, bytes: usize) -> StoredRecord {
        StoredRecord {
            sequence_number: number.into(),
            partition_key: "p".into(),
            arrival_ms: 5,
            data: Bytes::from(vec![b'x'; bytes]),
        }
    }

    fn cutter(from: &str) -> Cutter {
        let place = Place { shard_id: Some("shard-0".into()), ..Place::default() };
        Cutter::new("s/0".into(), place, (0, u128::MAX), &Checkpoint::parse(from).unwrap())
    }

    #[test]
    fn puts_are_bounded_and_say_where_the_shard_stands() {
        let mut cutter = cutter("TRIM_HORIZON");
        let mut cuts = Vec::new();
        for number in 1..=5 {
            cuts.extend(cutter.add(stored(&number.to_string(), KINESIS_PUT_BYTES / 2 - 100), 7));
        }
        cuts.extend(cutter.add(stored("6", 3 * KINESIS_PUT_BYTES), 7));
        cuts.extend(cutter.finish(7));
        assert!(cutter.finish(7).is_none());
        let seen: Vec<_> =
            cuts.iter().map(|cut| (cut.put.records(), cut.position.to_string())).collect();
        let expected = [(2, "2"), (2, "4"), (1, "5"), (1, "6")];
        assert_eq!(seen, expected.map(|(records, at)| (records, at.to_owned())));
        let put = &cuts[0].put;
        let provenance = put.provenance.as_deref().unwrap();
        assert_eq!(put.arrival_ms, 7);
        assert_eq!(provenance.steps, [Step::to("s/0", "2")]);
        assert_eq!(provenance.place.as_ref().unwrap().shard_id.as_deref(), Some("shard-0"));
        let expected = RecordOrigin {
            sequence_number: Some("2".into()),
            partition_key: Some("p".into()),
            timestamp_ms: Some(5),
            ..RecordOrigin::default()
        };
        assert_eq!(provenance.records[1], expected);
    }

    fn aggregate(count: u64, bytes: usize) -> Vec<UserRecord> {
        let user = |sub_sequence| UserRecord {
            data: Bytes::from(vec![b'y'; bytes]),
            partition_key: format!("p{sub_sequence}"),
            sub_sequence: Some(sub_sequence),
        };
        (0..count).map(user).collect()
    }

    #[test]
    fn an_aggregate_is_cut_in_its_middle_and_gone_on_with_behind_the_cut() {
        let bytes = KINESIS_PUT_BYTES / 2 - 100;
        let mut first = cutter("TRIM_HORIZON");
        let cuts = first.add_users(stored("8", 0), aggregate(5, bytes), 7);
        let rest = first.finish(7).unwrap();
        let at: Vec<_> = cuts.iter().map(|cut| cut.position.to_string()).collect();
        assert_eq!(at, ["8:1", "8:3"]);
        assert_eq!(rest.position.to_string(), "8", "nothing of it is left");

        // Stopped behind the first cut.
        let mut second = cutter(&at[0]);
        let mut cuts = second.add_users(stored("8", 0), aggregate(5, bytes), 7);
        cuts.extend(second.add_users(stored("9", 0), aggregate(2, 1), 7));
        cuts.extend(second.finish(7));
        let origins = cuts.iter().flat_map(|cut| &cut.put.provenance.as_ref().unwrap().records);
        let seen: Vec<_> = origins
            .map(|o| (o.sequence_number.clone().unwrap(), o.sub_sequence_number.unwrap()))
            .collect();
        let expected = [("8", 2), ("8", 3), ("8", 4), ("9", 0), ("9", 1)];
        assert_eq!(seen, expected.map(|(number, sub)| (number.to_owned(), sub)));
        assert_eq!(cuts.last().unwrap().position.to_string(), "9");
    }

    #[test]
    fn an_aggregate_that_is_wholly_passed_leaves_no_put() {
        let mut cutter = cutter("8:4");
        assert!(cutter.add_users(stored("8", 0), aggregate(5, 1), 7).is_empty());
        assert!(cutter.finish(7).is_none());
        // Only the record of the checkpoint is passed over.
        cutter.add_users(stored("8", 0), aggregate(5, 1), 7);
        assert_eq!(cutter.finish(7).unwrap().put.records(), 5);
    }

    #[test]
    fn a_plain_record_that_the_library_has_checkpointed_is_passed_over() {
        let mut cutter = cutter("1:0");
        assert!(cutter.add(stored("1", 1), 7).is_empty());
        assert!(cutter.finish(7).is_none());
        assert!(cutter.add(stored("2", 1), 7).is_empty());
        assert_eq!(cutter.finish(7).unwrap().position.to_string(), "2");
    }
}
