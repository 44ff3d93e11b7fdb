//! Answers that go on for as long as the server has something to say.
//!
//! They do not share connections with requests that are answered at once. In HTTP/2 all answers of
//! a connection share its room for what nobody has read yet, and a server bounds how many are under
//! way: they are spread over numbered lanes, each a pool of its own with one connection to a
//! server.

use ::http::HeaderMap;
use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::{ClientBuilder, Request, Response};

use super::{Answer, SendError, Tls, Versions, ask, body, client_of, failure};
use crate::limits::{STREAM_CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION};

/// What came of a request whose answer goes on.
pub enum Streamed {
    /// The status is one of success.
    Open(Body),
    /// Any other; the answer is complete.
    Refused(Answer),
}

/// An answer's head, and what is still to come of it. Not reading holds the server back; dropping
/// it ends the answer.
pub struct Body {
    pub headers: HeaderMap,
    response: Response,
    _lane: Lane,
}

impl Body {
    /// The next bytes, of any number; `None` at the end. May be dropped while it waits, without a
    /// loss.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, SendError> {
        self.response.chunk().await.map_err(failure)
    }
}

pub(super) async fn open(
    tls: &Tls,
    request: Request,
    answer_limit: usize,
) -> Result<Streamed, SendError> {
    let lane = Lane::take();
    let again = (request.url().scheme() == "http").then(|| request.try_clone()).flatten();
    let mut asked = ask_by(tls, Versions::Streams { lane: lane.0 }, request).await;
    // A server that takes HTTP/2 alone hangs up on one that began with HTTP/1, or answers what is
    // no HTTP to it. Without TLS there is no other way to find out.
    if let (Err(SendError::Malformed(_) | SendError::Broken(_)), Some(request)) = (&asked, again)
        && let Ok(answer) = ask_by(tls, Versions::StreamsOfTwo { lane: lane.0 }, request).await
    {
        asked = Ok(answer);
    }
    let (mut answer, mut response) = asked?;
    if answer.status.is_success() {
        return Ok(Streamed::Open(Body { headers: answer.headers, response, _lane: lane }));
    }
    answer.body = body(&mut response, answer_limit).await?.into();
    Ok(Streamed::Refused(answer))
}

async fn ask_by(
    tls: &Tls,
    versions: Versions,
    request: Request,
) -> Result<(Answer, Response), SendError> {
    let client = client_of(tls, versions).map_err(|error| SendError::Request(error.to_string()))?;
    ask(&client, request).await
}

pub(super) fn windows(builder: ClientBuilder) -> ClientBuilder {
    builder
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(STREAM_CONNECTION_WINDOW_BYTES)
}

/// Answers under way in each lane.
static LANES: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// A place in a lane, until it is dropped.
struct Lane(usize);

impl Lane {
    /// A place in the first lane that has one.
    fn take() -> Self {
        let mut lanes = LANES.lock();
        let free = lanes.iter().position(|&taken| taken < STREAMS_PER_CONNECTION);
        let index = free.unwrap_or_else(|| {
            lanes.push(0);
            lanes.len() - 1
        });
        lanes[index] += 1;
        Self(index)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut lanes = LANES.lock();
        lanes[self.0] -= 1;
        while lanes.last() == Some(&0) {
            lanes.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_is_full_is_left_for_the_next() {
        // Other tests take places, too.
        let places: Vec<_> = (0..=STREAMS_PER_CONNECTION * 2).map(|_| Lane::take()).collect();
        let mut numbers: Vec<_> = places.iter().map(|lane| lane.0).collect();
        numbers.dedup();
        assert!(numbers.len() >= 3, "{numbers:?}");
        assert!(LANES.lock().iter().all(|&taken| taken <= STREAMS_PER_CONNECTION));
        let highest = places.iter().map(|lane| lane.0).max();
        drop(places);
        assert!(Some(Lane::take().0) < highest);
    }
}
