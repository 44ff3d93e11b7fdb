//! Acknowledgements: asked for together, told once, lost, late, of another counter.

use std::sync::atomic::AtomicU64;

use futures::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::*;

/// Takes events under ids from 0 and acknowledges as told.
async fn counting(answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Hec {
    let next = AtomicU64::new(0);
    Hec::start(move |call| {
        if call.is_poll() { answer(call) } else { taken(next.fetch_add(1, Ordering::SeqCst)) }
    })
    .await
}

#[tokio::test]
async fn only_an_acknowledged_shipment_is_delivered() {
    let asked = AtomicU64::new(0);
    let hec = counting(move |call| {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        acks(call, |_| number == 3)
    })
    .await;
    let sink = sink(options(&hec));
    assert_eq!(sink.deliver(&shipment(&["a"])).await, Ok(Delivered::default()));
    assert_eq!(hec.posts().len(), 1);
    assert_eq!(hec.polls().len(), 4);
}

#[tokio::test]
async fn a_truth_that_is_told_once_reaches_each_who_waits_for_it() {
    let told = Mutex::new(std::collections::HashSet::new());
    let polls = AtomicU64::new(0);
    let hec = counting(move |call| {
        // Some with each poll, none of them a second time.
        let poll = polls.fetch_add(1, Ordering::SeqCst);
        acks(call, |id| id % 5 <= poll && told.lock().insert(id))
    })
    .await;
    let sink = sink(options(&hec));
    let shipment = shipment(&["a"]);
    let all = join_all((0..40).map(|_| sink.deliver(&shipment))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

#[tokio::test]
async fn ids_are_asked_for_in_groups() {
    let all = limits::SPLUNK_ACKS_PER_POLL * 2 + 7;
    let hec = counting(|call| acks(call, |_| true)).await;
    let collector = Arc::new(Collector::new(&options(&hec)).unwrap());
    let acks = Acks::new(collector, Duration::from_millis(1), Duration::from_secs(600));
    let mark = acks.mark();
    // All of them wait before the task first runs: nothing here gives way to it.
    let outcomes = join_all((0..all as u64).map(|id| acks.wait(id, mark))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let groups: Vec<_> = hec.polls().iter().map(Call::acks).collect();
    let sizes: Vec<_> = groups.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1000, 1000, 7]);
    let ids: Vec<_> = groups.concat();
    assert!(ids.is_sorted() && ids.len() == all);
}

#[tokio::test]
async fn nothing_is_asked_while_nobody_waits() {
    let hec = willing().await;
    let sink = sink(options(&hec));
    for round in 1..=3 {
        sink.deliver(&shipment(&["a"])).await.unwrap();
        assert_eq!(hec.polls().len(), round, "one poll for each, and none between");
    }
}

#[tokio::test]
async fn an_acknowledgement_that_never_comes_is_a_timeout() {
    let hec = counting(|call| acks(call, |_| false)).await;
    let timeout = Span(Duration::from_millis(20));
    let sink = sink(Options { acknowledgment_timeout: timeout, ..options(&hec) });
    let fault = sink.deliver(&shipment(&["a"])).await.unwrap_err();
    assert!(matches!(fault, Fault::Retry { .. }));
    assert_eq!(code_of(&fault), "Splunk.AckTimeout");
    assert_eq!(fault.cause().message, "no acknowledgement within 0.02 s");
}

#[tokio::test]
async fn trouble_with_a_poll_is_no_answer() {
    let polls = AtomicU64::new(0);
    let hec = counting(move |call| match polls.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::cut(),
        1 => coded(503, 9),
        2 => Reply::new(502, "<html>"),
        3 => Reply::new(200, "{}"),
        4 => Reply::new(200, r#"{"acks":{}}"#),
        5 => Reply::new(200, r#"{"acks":{"0":"true"}}"#),
        _ => acks(call, |_| true),
    })
    .await;
    assert_eq!(sink(options(&hec)).deliver(&shipment(&["a"])).await, Ok(Delivered::default()));
    assert_eq!((hec.posts().len(), hec.polls().len()), (1, 7));
}

#[tokio::test]
async fn the_last_trouble_stands_in_the_timeout() {
    let hec = counting(|_| coded(503, 19)).await;
    let sink = sink(options(&hec));
    let acks = sink.acks.as_ref().unwrap();
    assert_eq!(acks.late().cause().message, "no acknowledgement within 600 s");
    // The second poll proves that the answer to the first was read.
    tokio::select! {
        outcome = acks.wait(0, acks.mark()) => panic!("{outcome:?}"),
        () = hec.until(|calls| calls.len() >= 2) => {}
    }
    let message = acks.late().cause().message.clone();
    assert!(message.contains("Splunk.IndexerBusy: words of 19"), "{message}");
}

#[tokio::test]
async fn refused_polls_hold_the_destination() {
    for (status, code, name) in [
        (403, 1, "Splunk.DisabledToken"),
        (403, 4, "Splunk.InvalidToken"),
        (400, 14, "Splunk.DisabledAck"),
        (400, 10, "Splunk.ProxyWithoutStickySessions"),
        (400, 11, "Splunk.ProxyWithoutStickySessions"),
        (404, 404, "Splunk.URLNotFound"),
    ] {
        let hec = counting(move |_| coded(status, code)).await;
        let fault = sink(options(&hec)).deliver(&shipment(&["a"])).await.unwrap_err();
        assert!(matches!(fault, Fault::Halt { .. }), "{fault}");
        assert_eq!(code_of(&fault), name);
    }
}

#[tokio::test]
async fn events_taken_without_an_id_hold_the_destination_and_are_not_sent_in_vain() {
    let enabled = Arc::new(AtomicBool::new(false));
    let is_enabled = enabled.clone();
    let hec = Hec::start(move |call| match (call.is_poll(), is_enabled.load(Ordering::SeqCst)) {
        (true, false) => coded(400, 14),
        (false, false) => coded(200, 0),
        (true, true) => acks(call, |_| true),
        (false, true) => taken(0),
    })
    .await;
    let sink = sink(options(&hec));
    let fault = sink.deliver(&shipment(&["a"])).await.unwrap_err();
    assert!(matches!(fault, Fault::Halt { .. }));
    assert_eq!(code_of(&fault), "Splunk.AcknowledgementsDisabled");
    assert!(fault.cause().message.contains("enable indexer acknowledgement"), "{fault}");
    for _ in 0..3 {
        let fault = sink.deliver(&shipment(&["a"])).await.unwrap_err();
        assert!(matches!(fault, Fault::Halt { .. }));
    }
    assert_eq!(hec.posts().len(), 1);
    let channels: std::collections::HashSet<_> =
        hec.calls().iter().map(|call| call.header("x-splunk-request-channel").to_owned()).collect();
    assert_eq!(channels.len(), 4, "the question uses up nobody's acknowledgement");

    enabled.store(true, Ordering::SeqCst);
    assert_eq!(sink.deliver(&shipment(&["a"])).await, Ok(Delivered::default()));
}

#[tokio::test]
async fn while_polls_are_refused_no_more_copies_are_made() {
    for (refusal, code) in [
        (Reply::new(404, ""), "Splunk.URLNotFound"),
        (coded(403, 4), "Splunk.InvalidToken"),
        (Reply::new(302, ""), "Splunk.InvalidEndpoint"),
    ] {
        let is_mended = Arc::new(AtomicBool::new(false));
        let mended = is_mended.clone();
        let hec = counting(move |call| match mended.load(Ordering::SeqCst) {
            true => acks(call, |_| true),
            false => refusal.clone(),
        })
        .await;
        let sink = sink(options(&hec));
        for _ in 0..3 {
            let fault = sink.deliver(&shipment(&["a"])).await.unwrap_err();
            assert!(matches!(fault, Fault::Halt { .. }), "{fault:?}");
            assert_eq!((code_of(&fault), hec.posts().len()), (code, 1));
        }
        is_mended.store(true, Ordering::SeqCst);
        assert_eq!(sink.deliver(&shipment(&["a"])).await, Ok(Delivered::default()));
        assert_eq!(hec.posts().len(), 2);
    }
}

#[tokio::test]
async fn without_acknowledgement_the_answer_is_enough() {
    let hec = counting(|call| panic!("{call:?}")).await;
    let sink = sink(Options { acknowledgment: false, ..options(&hec) });
    assert_eq!(sink.deliver(&shipment(&["a"])).await, Ok(Delivered::default()));
    assert!(hec.polls().is_empty());
}

#[tokio::test]
async fn a_delivery_that_was_called_off_is_asked_for_no_more() {
    let hec = counting(|call| acks(call, |id| id == 1 && call.acks() == [1])).await;
    let sink = sink(options(&hec));
    let shipment = shipment(&["a"]);
    {
        let called_off = sink.deliver(&shipment);
        let polled = hec.until(|calls| calls.iter().any(Call::is_poll));
        tokio::select! {
            outcome = called_off => panic!("{outcome:?}"),
            () = polled => {}
        }
    }
    // Acknowledged once nobody asks for the first any more.
    assert_eq!(sink.deliver(&shipment).await, Ok(Delivered::default()));
    assert_eq!(hec.polls().last().unwrap().acks(), [1]);
}

#[tokio::test]
async fn a_poll_under_way_outlives_the_delivery_that_was_first_to_wait() {
    let gate = Arc::new(Semaphore::new(0));
    let (opened, next) = (gate.clone(), AtomicU64::new(0));
    let told = Arc::new(Mutex::new(std::collections::HashSet::new()));
    let hec = Hec::waiting(move |call| {
        let (gate, told) = (opened.clone(), told.clone());
        let id = if call.is_poll() { 0 } else { next.fetch_add(1, Ordering::SeqCst) };
        async move {
            if !call.is_poll() {
                return taken(id);
            }
            let _slot = gate.acquire().await.unwrap();
            acks(&call, |id| told.lock().insert(id))
        }
    })
    .await;
    // Both wait before the first poll is sent.
    let slow = Options { acknowledgment_poll: Span(Duration::from_millis(50)), ..options(&hec) };
    let sink = sink(slow);
    let shipment = shipment(&["a"]);
    let mut first = Box::pin(sink.deliver(&shipment));
    let both_polled = hec.until(|calls| calls.iter().any(|c| c.is_poll() && !c.acks().is_empty()));
    let second = sink.deliver(&shipment);
    tokio::pin!(second);
    tokio::select! {
        outcome = &mut first => panic!("{outcome:?}"),
        outcome = &mut second => panic!("{outcome:?}"),
        () = both_polled => {}
    }
    drop(first);
    gate.add_permits(1);
    assert_eq!(second.await, Ok(Delivered::default()));
}

#[tokio::test]
async fn polling_ends_with_the_sink() {
    let hec = counting(|call| acks(call, |_| false)).await;
    let sink = sink(options(&hec));
    let state = {
        let shipment = shipment(&["a"]);
        let waiting = sink.deliver(&shipment);
        tokio::select! {
            outcome = waiting => panic!("{outcome:?}"),
            () = hec.until(|calls| calls.iter().any(Call::is_poll)) => {}
        }
        Arc::downgrade(&sink.collector)
    };
    drop(sink);
    // The task holds the collector: it goes when the task has been stopped.
    while state.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn ids_that_begin_anew_give_up_what_was_waited_for() {
    // 7 is never acknowledged; then the counter starts again.
    let ids = Mutex::new(vec![8, 0, 7]);
    let hec = Hec::start(move |call| {
        if call.is_poll() {
            return acks(call, |id| id != 7);
        }
        taken(ids.lock().pop().unwrap())
    })
    .await;
    let sink = sink(options(&hec));
    let shipment = shipment(&["a"]);
    let first = sink.deliver(&shipment);
    let second = async {
        hec.until(|calls| calls.iter().any(Call::is_poll)).await;
        sink.deliver(&shipment).await
    };
    let (first, second) = tokio::join!(first, second);
    let fault = first.unwrap_err();
    assert!(matches!(fault, Fault::Retry { .. }));
    assert_eq!(code_of(&fault), "Splunk.ProxyWithoutStickySessions");
    assert_eq!(second, Ok(Delivered::default()));
    // What comes after in the new counter is nothing special.
    assert_eq!(sink.deliver(&shipment).await, Ok(Delivered::default()));
}

#[tokio::test]
async fn ids_of_requests_under_way_together_may_come_in_any_order() {
    let hec = counting(|call| acks(call, |_| true)).await;
    let collector = Arc::new(Collector::new(&options(&hec)).unwrap());
    let acks = Acks::new(collector, Duration::from_millis(1), Duration::from_secs(600));
    let mark = acks.mark();
    let outcomes = tokio::join!(acks.wait(2, mark), acks.wait(0, mark), acks.wait(1, mark));
    assert_eq!(outcomes, (Ok(()), Ok(()), Ok(())));
}

#[tokio::test]
async fn the_same_id_twice_gives_up_the_first() {
    let hec = counting(|call| acks(call, |_| true)).await;
    let collector = Arc::new(Collector::new(&options(&hec)).unwrap());
    let acks = Acks::new(collector, Duration::from_millis(1), Duration::from_secs(600));
    let mark = acks.mark();
    let (first, second) = tokio::join!(acks.wait(3, mark), acks.wait(3, mark));
    assert_eq!(code_of(&first.unwrap_err()), "Splunk.ProxyWithoutStickySessions");
    assert_eq!(second, Ok(()));
}
