use super::*;

fn record(data: &[u8], attempts: u32) -> DirectRecord<'_> {
    DirectRecord { data, arrival_ms: 1, attempts, transformed: false }
}

#[test]
fn a_put_is_of_one_count_and_never_more_than_a_journal_takes() {
    let large = vec![0; limits::FRAME_BYTES_MAX / 2];
    let records = [
        record(b"a", 1),
        record(b"b", 1),
        record(b"c", 2),
        record(&large, 2),
        record(&large, 2),
        record(b"d", 2),
    ];
    let places: Vec<usize> = (0..records.len()).collect();
    assert_eq!(puts(&records, &places), [vec![0, 1], vec![2, 3], vec![4, 5]]);
    assert_eq!(puts(&records, &[1, 3, 5]), [vec![1], vec![3, 5]]);
    assert!(puts(&records, &[]).is_empty());
}

#[test]
fn a_record_that_no_put_takes_is_refused_by_itself() {
    let data = vec![0; limits::FRAME_BYTES_MAX];
    let code = |size: usize| too_large(&record(&data[..size], 1)).map(|cause| cause.code);
    assert_eq!(code(1), None);
    assert_eq!(code(limits::FRAME_BYTES_MAX - 1024), None);
    assert_eq!(code(limits::FRAME_BYTES_MAX).as_deref(), Some("Replay.RecordTooLarge"));
}
