//! Halving before a destination with limits.

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use proptest::prelude::*;
use tower::{ServiceBuilder, util::service_fn};

use super::*;
use crate::{
    fault::{Cause, Details, Failure, output_type},
    record::{Leaf, Ranges, Route},
    seams::{Left, RecordList},
};

/// A destination that takes so many bytes and records at a time. A record that begins with `R` is
/// refused by itself, a request with `B` is refused without a reason, one with `?` fails, one with
/// `!` is not wanted.
struct Limited {
    bytes: usize,
    records: u64,
    taken: Mutex<Vec<Bytes>>,
    requests: Mutex<Vec<(u64, String)>>,
}

impl Limited {
    fn new(bytes: usize, records: u64) -> Arc<Self> {
        let (taken, requests) = Default::default();
        Arc::new(Self { bytes, records, taken, requests })
    }

    fn service(
        self: &Arc<Self>,
    ) -> impl Service<
        Shipment,
        Response = Delivered,
        Error = Fault,
        Future = BoxFuture<'static, Result<Delivered, Fault>>,
    > + Clone {
        let sink = self.clone();
        let inner = service_fn(move |shipment: Shipment| {
            let sink = sink.clone();
            async move { sink.deliver(&shipment).await }.boxed()
        });
        ServiceBuilder::new().layer(HalvingLayer::new(self.clone())).service(inner)
    }

    fn request_sizes(&self) -> Vec<u64> {
        std::mem::take(&mut *self.requests.lock()).into_iter().map(|(size, _)| size).collect()
    }
}

fn too_large() -> Cause {
    Cause::new("X.TooLarge", "too large")
}

#[async_trait]
impl Sink for Limited {
    async fn deliver(&self, shipment: &Shipment) -> Result<Delivered, Fault> {
        self.requests.lock().push((shipment.records, shipment.key.clone()));
        if shipment.body.len() > self.bytes || shipment.records > self.records {
            return Err(Fault::TooLarge { cause: too_large() });
        }
        let has = |mark| shipment.iter().any(|record| record.first() == Some(&mark));
        if has(b'B') {
            return Err(Fault::TooLarge { cause: too_large() });
        }
        if has(b'!') {
            return Err(Fault::halt("X.Forbidden", "no"));
        }
        if has(b'?') {
            return Err(Fault::retry("X.Busy", "later"));
        }
        let mut delivered = Delivered::default();
        for (index, record) in (0..).zip(shipment.iter()) {
            match record.first() {
                Some(b'R') => {
                    let failure = Failure::new(output_type::SPLUNK_FAILED, "X.Bad", "bad");
                    delivered.rejected.push((index, failure));
                }
                Some(b'L') => {
                    let fault = Fault::retry("X.Later", "later");
                    let left =
                        delivered.left.get_or_insert(Left { indexes: vec![], fault: Some(fault) });
                    left.indexes.push(index);
                }
                _ => self.taken.lock().push(shipment.record(index)),
            }
        }
        Ok(delivered)
    }

    fn output_type(&self) -> &'static str {
        output_type::SPLUNK_FAILED
    }

    fn details(&self, shipment: &Shipment, index: u64) -> Details {
        vec![("record".into(), String::from_utf8_lossy(&shipment.record(index)).into())]
    }
}

fn shipment<T: AsRef<[u8]>>(records: &[T]) -> Shipment {
    let mut body = Vec::new();
    let mut list = RecordList::default();
    for (sequence, record) in (0..).zip(records) {
        body.extend_from_slice(record.as_ref());
        list.ends.push(body.len() as u32);
        list.leaves.push(Leaf::whole(sequence));
    }
    Shipment {
        key: "0f0e0d0c-0b0a-4908-8706-050403020100".into(),
        body: body.into(),
        content_type: "application/octet-stream",
        content_encoding: None,
        records: records.len() as u64,
        positions: Ranges::of(0, records.len() as u64),
        route: Route::Objects,
        list: Some(Arc::new(list)),
    }
}

/// The failure of a record that is alone and still too large.
fn alone(record: &str) -> Failure {
    Failure {
        output_type: output_type::SPLUNK_FAILED,
        cause: too_large(),
        attempts: 1,
        details: vec![("record".into(), record.into())],
    }
}

#[tokio::test]
async fn halves_are_sent_in_order_and_under_ids_of_their_own() {
    let sink = Limited::new(6, 100);
    let answer =
        sink.service().oneshot(shipment(&["aa", "bb", "cc", "dd", "ee", "ff", "gg"])).await;
    assert_eq!(answer, Ok(Delivered::default()));
    assert_eq!(sink.taken.lock().concat(), b"aabbccddeeffgg");
    let first = sink.requests.lock().clone();
    assert_eq!(sink.request_sizes(), [7, 4, 2, 2, 3]);
    let mut keys: Vec<_> = first.iter().map(|(_, key)| key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 5);
    // The same again is the same requests, so that a destination knows them again.
    let _ = sink.service().oneshot(shipment(&["aa", "bb", "cc", "dd", "ee", "ff", "gg"])).await;
    assert_eq!(*sink.requests.lock(), first);
}

#[tokio::test]
async fn a_record_that_is_too_large_alone_is_rejected() {
    let sink = Limited::new(3, 100);
    let answer = sink.service().oneshot(shipment(&["a", "bbbb", "c", "d"])).await.unwrap();
    assert_eq!(answer, Delivered { rejected: vec![(1, alone("bbbb"))], left: None });
    assert_eq!(sink.taken.lock().concat(), b"acd");
    let answer = sink.service().oneshot(shipment(&["bbbb"])).await.unwrap();
    assert_eq!(answer.rejected, [(0, alone("bbbb"))]);
}

#[tokio::test]
async fn answers_to_the_pieces_are_put_together() {
    let sink = Limited::new(100, 2);
    for (records, rejected, left, fault, taken) in [
        // Rejected and left ones have the indexes of the whole.
        (vec!["a", "R", "b", "L", "L", "c"], vec![1], vec![3, 4], Some("X.Later"), "abc"),
        // One piece fails, the others get through.
        (
            vec!["a", "b", "?", "c", "d", "e", "f", "g"],
            vec![],
            vec![2, 3],
            Some("X.Busy"),
            "abdefg",
        ),
        // Two in a row: the rest is not tried.
        (
            vec!["a", "b", "?", "c", "?", "e", "f", "g"],
            vec![],
            (2..8).collect(),
            Some("X.Busy"),
            "ab",
        ),
        // Nobody who is not wanted asks again.
        (
            vec!["a", "b", "!", "c", "d", "e", "f", "g"],
            vec![],
            (2..8).collect(),
            Some("X.Forbidden"),
            "ab",
        ),
        // A rejected one was settled, too.
        (vec!["R", "R", "?"], vec![0, 1], vec![2], Some("X.Busy"), ""),
    ] {
        let answer = sink.service().oneshot(shipment(&records)).await.unwrap();
        assert_eq!(answer.rejected.iter().map(|(index, _)| *index).collect::<Vec<_>>(), rejected);
        let left_over = answer.left.unwrap();
        assert_eq!(left_over.indexes, left, "{records:?}");
        assert_eq!(
            left_over.fault.as_ref().map(|fault| fault.cause().code.as_str()),
            fault,
            "{records:?}"
        );
        assert_eq!(std::mem::take(&mut *sink.taken.lock()).concat(), taken.as_bytes());
    }
}

#[tokio::test]
async fn when_nothing_is_settled_the_fault_is_the_wholes() {
    let sink = Limited::new(100, 2);
    for (records, code) in [
        (vec!["?", "a", "?", "b"], "X.Busy"),
        (vec!["!", "a", "b"], "X.Forbidden"),
        (vec!["?", "a", "!", "b"], "X.Forbidden"),
        (vec!["L", "L", "L"], "X.Later"),
    ] {
        let fault = sink.service().oneshot(shipment(&records)).await.unwrap_err();
        assert_eq!(fault.cause().code, code, "{records:?}");
    }
}

#[tokio::test]
async fn a_size_that_was_refused_is_not_sent_again() {
    let sink = Limited::new(400_000, 1000);
    let service = sink.service();
    let records = vec![vec![b'x'; 100_000]; 8];
    for expected in [vec![8, 4, 4], vec![4, 4], vec![4, 4]] {
        service.clone().oneshot(shipment(&records)).await.unwrap();
        assert_eq!(sink.request_sizes(), expected);
    }
    // Larger requests are tried again in the end.
    let mut refused = false;
    for _ in 0..1000 {
        service.clone().oneshot(shipment(&records)).await.unwrap();
        refused |= sink.request_sizes().contains(&8);
    }
    assert!(refused);
}

#[tokio::test]
async fn a_record_that_spoils_its_requests_does_not_make_them_small() {
    let sink = Limited::new(10_000_000, 1000);
    let service = sink.service();
    let healthy = vec![vec![b'x'; 100_000]; 8];
    let mut spoilt = healthy.clone();
    spoilt[7][0] = b'B';
    let answer = service.clone().oneshot(shipment(&spoilt)).await.unwrap();
    assert_eq!(answer.rejected.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [7]);
    assert_eq!(sink.request_sizes(), [8, 4, 4, 2, 2, 1, 1]);
    for expected in [vec![4, 4], vec![4, 4]] {
        service.clone().oneshot(shipment(&healthy)).await.unwrap();
        assert_eq!(sink.request_sizes(), expected, "half of what was refused, not an eighth");
    }
}

#[tokio::test]
async fn a_destination_that_refuses_everything_refuses_us() {
    let sink = Limited::new(10_000_000, 1000);
    let fault = sink.service().oneshot(shipment(&vec!["B"; 500])).await.unwrap_err();
    assert_eq!(fault, Fault::Halt { cause: too_large() });
    assert!(sink.request_sizes().len() < 30);

    let mut records = vec!["B"; 40];
    // Once something has passed it is the records.
    records.fill("B");
    records[0] = "a";
    let answer = sink.service().oneshot(shipment(&records)).await.unwrap();
    assert_eq!((answer.rejected.len(), answer.left), (39, None));
    // A few may be nothing but bad.
    let answer = sink.service().oneshot(shipment(&["B"; 7])).await.unwrap();
    assert_eq!((answer.rejected.len(), answer.left), (7, None));
}

#[tokio::test]
async fn large_records_that_are_refused_alone_are_too_large() {
    let sink = Limited::new(60_000, 1000);
    let records = vec![vec![b'x'; REFUSED_BYTES_MIN as usize]; 20];
    let answer = sink.service().oneshot(shipment(&records)).await.unwrap();
    assert_eq!((answer.rejected.len(), answer.left), (20, None));
}

#[tokio::test]
async fn records_before_a_refusal_of_everything_keep_their_fate() {
    // A large one is rejected for its size, the small ones behind it are held.
    let sink = Limited::new(10_000_000, 1000);
    let mut records = vec![b"B".to_vec(); 10];
    records[0] = vec![b'B'; REFUSED_BYTES_MIN as usize];
    let answer = sink.service().oneshot(shipment(&records)).await.unwrap();
    assert_eq!(answer.rejected.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0]);
    let left = answer.left.unwrap();
    assert_eq!(left.indexes, (1..10).collect::<Vec<_>>());
    assert_eq!(left.fault, Some(Fault::Halt { cause: too_large() }));
}

proptest! {
    #[test]
    fn every_record_ends_in_exactly_one_place(
        marks in proptest::collection::vec(
            prop_oneof![8 => Just('a'), 1 => Just('R'), 1 => Just('L'), 1 => Just('?')], 1..40),
        lengths in proptest::collection::vec(1_usize..12, 40),
        bytes in 6_usize..60,
        most in 1_u64..12,
    ) {
        let records: Vec<String> = marks
            .iter()
            .zip(&lengths)
            .map(|(mark, length)| std::iter::repeat_n(*mark, *length).collect())
            .collect();
        let sink = Limited::new(bytes, most);
        let answer =
            futures::executor::block_on(sink.service().oneshot(shipment(&records)));
        let delivered = match answer {
            Ok(delivered) => delivered,
            Err(fault) => {
                prop_assert!(is_failure(&Err(fault)));
                prop_assert!(sink.taken.lock().is_empty());
                return Ok(());
            }
        };
        let mut seen: Vec<u64> = delivered.rejected.iter().map(|(index, _)| *index).collect();
        prop_assert!(seen.is_sorted());
        let left = delivered.left.map(|left| left.indexes).unwrap_or_default();
        prop_assert!(left.is_sorted());
        seen.extend(left);
        seen.sort_unstable();
        let settled = (0..records.len() as u64).filter(|index| !seen.contains(index));
        let taken: Vec<_> =
            settled.map(|index| Bytes::from(records[index as usize].clone())).collect();
        prop_assert_eq!(&*sink.taken.lock(), &taken);
        seen.dedup();
        prop_assert_eq!(seen.len() + taken.len(), records.len());
        for (index, failure) in delivered.rejected {
            let record = &records[index as usize];
            let is_too_large = record.len() > bytes;
            prop_assert!(is_too_large || record.starts_with('R'));
            prop_assert_eq!(failure.cause.code == "X.TooLarge", is_too_large);
        }
    }
}
