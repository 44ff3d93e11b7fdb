use proptest::prelude::*;

use super::*;

/// Of AWS's own aggregation library for Python (`aws-kinesis-agg` 1.2.3): `one` and `00 ff " two"`
/// with the key `a`, between them nothing with the key `b`.
const THREE: &str = "f3899ac20a01610a01621a0708001a036f6e651a0408011a001a0a08001a0600ff2074776f\
                     47af2fd8c289c6ef0737e8658ee61dfc";
/// `low` and `high`, both with the key `a`, and with the least and the greatest explicit hash key.
const HASHED: &str = "f3899ac20a0161120130122733343032383233363639323039333834363334363333373436\
                      30373433313736383231313435351a09080010001a036c6f771a0a080010011a0468696768\
                      6d9662c3b53203c2d82df90ad41a1748";
/// MD5 of `a` and of `b`, as numbers.
const HASH_OF_A: u128 = 16_955_237_001_963_240_173_058_271_559_858_726_497;
const HASH_OF_B: u128 = 195_289_424_170_611_159_128_911_017_612_795_795_343;

fn stored(data: impl Into<Bytes>) -> StoredRecord {
    StoredRecord {
        sequence_number: "49590338271490256608559692538361571095921575989136588898".into(),
        partition_key: "of the whole".into(),
        arrival_ms: 1_495_072_949_453,
        data: data.into(),
    }
}

fn golden(hex: &str) -> StoredRecord {
    stored(hex::decode(hex).unwrap())
}

/// An aggregate of this message.
fn aggregate(message: &[u8]) -> StoredRecord {
    stored([MAGIC, message, &Md5::digest(message)].concat())
}

fn user(data: &[u8], key: &str, sub_sequence: u64) -> UserRecord {
    UserRecord {
        data: Bytes::copy_from_slice(data),
        partition_key: key.into(),
        sub_sequence: Some(sub_sequence),
    }
}

fn stays_whole(record: &StoredRecord, range: (u128, u128)) -> bool {
    take_apart(record, range) == Parts { records: vec![whole(record)], outside: 0 }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

/// A field that has a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [vec![number << 3 | 2], varint(content.len() as u64), content.to_vec()].concat()
}

fn member(key: u64, hash_key: Option<u64>, data: &[u8]) -> Vec<u8> {
    let mut out = [vec![8], varint(key)].concat();
    if let Some(index) = hash_key {
        out.extend([vec![16], varint(index)].concat());
    }
    out.extend(field(3, data));
    field(3, &out)
}

#[test]
fn aggregates_of_the_producers_library_come_apart_without_a_copy() {
    let record = golden(THREE);
    let taken = take_apart(&record, EVERY_HASH).records;
    assert_eq!(taken, [user(b"one", "a", 0), user(b"", "b", 1), user(b"\x00\xff two", "a", 2)]);
    let of_the_record = record.data.as_ptr_range();
    assert!(of_the_record.contains(&taken[0].data.as_ptr()));
    let taken = take_apart(&golden(HASHED), EVERY_HASH).records;
    assert_eq!(taken, [user(b"low", "a", 0), user(b"high", "a", 1)]);
}

#[test]
fn a_record_outside_of_the_shard_takes_the_whole_aggregate_with_it() {
    let dropped = |outside| Parts { records: Vec::new(), outside };
    let whole_range = take_apart(&golden(THREE), (HASH_OF_A, HASH_OF_B));
    assert_eq!((whole_range.records.len(), whole_range.outside), (3, 0));
    for range in [
        (HASH_OF_A + 1, HASH_OF_B),
        (HASH_OF_A, HASH_OF_B - 1),
        (0, HASH_OF_A),
        (HASH_OF_B, u128::MAX),
    ] {
        assert_eq!(take_apart(&golden(THREE), range), dropped(3), "{range:?}");
    }
    // The explicit hash key counts, not the partition key's.
    assert_eq!(take_apart(&golden(HASHED), (0, u128::MAX - 1)), dropped(2));
    assert_eq!(take_apart(&golden(HASHED), (1, u128::MAX)), dropped(2));
    let beyond = "340282366920938463463374607431768211456";
    let message = [field(1, b"a"), field(2, beyond.as_bytes()), member(0, Some(0), b"x")].concat();
    assert_eq!(take_apart(&aggregate(&message), (0, u128::MAX - 1)), dropped(1));
}

#[test]
fn what_is_no_aggregate_stays_as_it_is() {
    let good = hex::decode(THREE).unwrap();
    for i in 0..good.len() {
        let mut bent = good.clone();
        bent[i] ^= 1;
        assert!(stays_whole(&stored(bent), EVERY_HASH), "bit of byte {i}");
        assert!(stays_whole(&stored(good[..i].to_vec()), EVERY_HASH), "{i} bytes");
    }
    // The magic and the digest of nothing.
    assert!(stays_whole(&aggregate(b""), EVERY_HASH));
    for message in [
        // A field with the number 0, a group, a length beyond the end, a varint without an end.
        &[0x02, 0x00][..],
        &[0x0b, 0x0c],
        &[0x0a, 0x05, b'a'],
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x80; 11],
        // A record without data, one without a key.
        &[field(1, b"a"), field(3, &[8, 0])].concat(),
        &[field(1, b"a"), field(3, &field(3, b"x"))].concat(),
    ] {
        assert!(stays_whole(&aggregate(message), EVERY_HASH), "{message:02x?}");
    }
}

#[test]
fn keys_that_are_not_there_keep_the_aggregate_in_one_piece() {
    let keys = [field(1, b"a"), field(2, b"5"), field(2, b"x"), field(2, b"")].concat();
    let one = (0, u128::MAX - 1);
    for (records, whole) in [
        (member(0, None, b"x"), false),
        (member(0, Some(0), b"x"), false),
        ([member(0, None, b"x"), member(1, None, b"y")].concat(), true),
        (member(u64::MAX, None, b"x"), true),
        (member(0, Some(3), b"x"), true),
        (member(0, Some(1), b"x"), true),
        (member(0, Some(2), b"x"), true),
    ] {
        let record = aggregate(&[keys.clone(), records].concat());
        assert_eq!(stays_whole(&record, one), whole, "{:02x?}", &record.data[..]);
    }
}

#[test]
fn order_tags_unknown_fields_and_emptiness_do_not_matter() {
    let mut tagged = member(0, None, b"x");
    let tag = field(4, &[field(1, b"k"), field(2, b"v")].concat());
    tagged.extend_from_slice(&tag);
    tagged[1] += tag.len() as u8;
    // Records before the keys; a fixed32, a fixed64 and a number that nobody knows.
    let unknown = [&[0x7d, 1, 2, 3, 4][..], &[0x79, 1, 2, 3, 4, 5, 6, 7, 8], &[0x78, 7]].concat();
    let message = [tagged, unknown, field(1, "schl\u{fc}ssel".as_bytes())].concat();
    let expected = [user(b"x", "schl\u{fc}ssel", 0)];
    assert_eq!(take_apart(&aggregate(&message), EVERY_HASH).records, expected);
    // An aggregate of nothing is nothing.
    assert_eq!(take_apart(&aggregate(&field(1, b"a")), EVERY_HASH), Parts::default());
}

#[test]
fn a_small_aggregate_cannot_grow_without_bound() {
    let key = vec![b'k'; 1 << 20];
    let times = limits::KPL_UNPACKED_BYTES_MAX / key.len();
    let of = |count| {
        let message = [field(1, &key), member(0, None, b"").repeat(count)].concat();
        stays_whole(&aggregate(&message), EVERY_HASH)
    };
    assert!(!of(times - 1));
    assert!(of(times + 1));
}

fn messages() -> impl Strategy<Value = Vec<u8>> {
    let key = prop_oneof![Just(b"a".to_vec()), "[0-9]{1,40}".prop_map(String::into_bytes)];
    let part = prop_oneof![
        (1..3_u8, key).prop_map(|(number, key)| field(number, &key)),
        (0..4_u64, prop::option::of(0..4_u64), prop::collection::vec(any::<u8>(), 0..9))
            .prop_map(|(key, hash_key, data)| member(key, hash_key, &data)),
        prop::collection::vec(any::<u8>(), 0..4),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(|content| field(3, &content)),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn hostile_messages_are_taken_apart_or_left(
        message in messages(),
        ends in any::<(u128, u128)>(),
    ) {
        let record = aggregate(&message);
        let range = (ends.0.min(ends.1), ends.0.max(ends.1));
        let parts = take_apart(&record, range);
        prop_assert!(parts.outside == 0 || parts.records.is_empty());
        let is_whole = parts.records.iter().any(|record| record.sub_sequence.is_none());
        prop_assert!(!is_whole || stays_whole(&record, range));
        let held: usize = parts.records.iter().map(|record| record.data.len()).sum();
        prop_assert!(held <= record.data.len());
    }

    #[test]
    fn any_bytes_are_records(data in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(stays_whole(&stored(data), EVERY_HASH));
    }
}
