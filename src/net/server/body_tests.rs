//! Bodies that come, that come slowly, and that never come.

use std::{convert::Infallible, net::Ipv4Addr};

use futures::stream;
use http_body_util::{Full, StreamBody};
use hyper::body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::*;

/// A body that declares a length of which nothing ever comes.
struct Silent(u64);

impl Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

const BODY_BYTES: usize = 1000;

/// Memory for eight bodies: four of a key, two of a peer.
fn bodies(change: impl FnOnce(&mut ServerLimits)) -> Arc<Bodies> {
    let mut limits = ServerLimits {
        bodies_in_memory_bytes: 8 * BODY_BYTES,
        body_bytes_per_s: 0,
        header_timeout: Duration::from_secs(3600),
        ..ServerLimits::default()
    };
    change(&mut limits);
    Arc::new(Bodies::new(limits))
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

async fn read<B>(bodies: &Bodies, peer: u8, key: &str, mut body: B) -> Result<Received, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let peer = bodies.peer(address(peer));
    let sender = Sender { peer: &peer, access_key_id: Some(key) };
    bodies.read(&mut body, sender, BODY_BYTES).await
}

fn whole() -> Full<Bytes> {
    Full::new(Bytes::from(vec![7; BODY_BYTES]))
}

/// Begins a body of which nothing comes. It has taken its room, or waits for it, on return.
async fn silent(
    bodies: &Arc<Bodies>,
    peer: u8,
    key: &'static str,
) -> JoinHandle<Option<BodyError>> {
    let bodies = bodies.clone();
    let task =
        tokio::spawn(
            async move { read(&bodies, peer, key, Silent(BODY_BYTES as u64)).await.err() },
        );
    tokio::task::yield_now().await;
    task
}

#[tokio::test(start_paused = true)]
async fn one_stranger_leaves_room_for_the_owner_of_the_key() {
    let bodies = bodies(|_| {});
    for _ in 0..9 {
        silent(&bodies, 1, "A").await;
    }
    let start = Instant::now();
    assert!(read(&bodies, 2, "A", whole()).await.is_ok());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn strangers_with_one_key_leave_room_for_other_keys() {
    let bodies = bodies(|_| {});
    for peer in 1..=9 {
        silent(&bodies, peer, "A").await;
    }
    let start = Instant::now();
    assert!(read(&bodies, 10, "B", whole()).await.is_ok());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// A share is for what is on its way. What is there holds memory only.
#[tokio::test(start_paused = true)]
async fn what_has_arrived_does_not_count_against_a_share() {
    let bodies = bodies(|_| {});
    let mut arrived = Vec::new();
    for _ in 0..8 {
        arrived.push(read(&bodies, 1, "A", whole()).await.unwrap());
    }
    assert_eq!(read(&bodies, 1, "A", whole()).await.err(), Some(BodyError::Crowded));
    arrived.pop();
    assert!(read(&bodies, 1, "A", whole()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn silence_is_borne_until_others_wait() {
    let bodies = bodies(|_| {});
    let first = silent(&bodies, 1, "A").await;
    let second = silent(&bodies, 1, "A").await;
    let elsewhere = silent(&bodies, 2, "B").await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(!first.is_finished() && !second.is_finished());
    let start = Instant::now();
    assert!(read(&bodies, 1, "A", whole()).await.is_ok());
    assert!(start.elapsed() <= LOOK_INTERVAL, "{:?}", start.elapsed());
    assert_eq!(first.await.unwrap(), Some(BodyError::TooSlow));
    // Who shares nothing with them is not their affair.
    assert!(!elsewhere.is_finished());
}

#[tokio::test(start_paused = true)]
async fn the_grace_is_short_while_others_wait() {
    let bodies = bodies(|_| {});
    silent(&bodies, 1, "A").await;
    silent(&bodies, 1, "A").await;
    let start = Instant::now();
    assert!(read(&bodies, 1, "A", whole()).await.is_ok());
    let limit = crate::limits::BODY_GRACE_CROWDED + LOOK_INTERVAL;
    assert!(start.elapsed() <= limit, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_forever() {
    let bodies = bodies(|limits| limits.body_bytes_per_s_crowded = 0);
    silent(&bodies, 1, "A").await;
    silent(&bodies, 1, "A").await;
    let start = Instant::now();
    let answer = read(&bodies, 1, "A", whole()).await;
    assert_eq!(answer.err(), Some(BodyError::Crowded));
    assert_eq!(start.elapsed().as_secs(), crate::limits::BODY_WAIT_MAX.as_secs());
}

#[tokio::test]
async fn pieces_make_a_body_whose_hash_is_made_where_it_counts() {
    let bodies = bodies(|_| {});
    let pieces = || {
        let piece = |text: &'static str| Ok::<_, Infallible>(Frame::data(Bytes::from(text)));
        StreamBody::new(stream::iter([piece("a"), piece(""), piece("bc"), piece("d")]))
    };
    let received = read(&bodies, 1, "A", pieces()).await.unwrap();
    assert_eq!(&received.bytes[..], b"abcd");
    assert_eq!(received.hash, Some(crate::net::sigv4::sha256(b"abcd")));
    let peer = bodies.peer(address(1));
    let unsigned = Sender { peer: &peer, access_key_id: None };
    let received = bodies.read(&mut pieces(), unsigned, BODY_BYTES).await.unwrap();
    assert_eq!((&received.bytes[..], received.hash), (&b"abcd"[..], None));
    let over = bodies.read(&mut pieces(), unsigned, 3).await;
    assert_eq!(over.err(), Some(BodyError::TooLarge { max: 3 }));
}
