//! A putter for the tests of protocols: keeps what is put, or refuses it as it is told.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Response, request};
use parking_lot::Mutex;

use super::{
    protocol::{Admission, Call, Incoming, NotStored, Protocol, Putter, Stored, Why},
    records::Records,
};

#[derive(Default)]
pub struct PutterDouble {
    /// The records of each put, in order.
    pub puts: Mutex<Vec<Vec<Vec<u8>>>>,
    /// What every put is answered.
    pub refusal: Mutex<Option<Why>>,
}

impl PutterDouble {
    /// The records of all puts, as text.
    pub fn texts(&self) -> Vec<String> {
        let puts = self.puts.lock();
        puts.iter().flatten().map(|record| String::from_utf8_lossy(record).into_owned()).collect()
    }
}

#[async_trait]
impl Putter for PutterDouble {
    async fn put(&self, records: Records, _call: Option<Call>) -> Result<Stored, NotStored> {
        if let Some(why) = self.refusal.lock().clone() {
            return Err(NotStored { why, stored: 0 });
        }
        let count = records.len();
        let mut put = Vec::new();
        for part in records.into_parts() {
            let mut rest = &part.data[..];
            for &length in &part.lengths {
                let (record, after) = rest.split_at(length as usize);
                put.push(record.to_vec());
                rest = after;
            }
        }
        self.puts.lock().push(put);
        Ok(Stored { records: count, repeated: false, first: None })
    }
}

/// Sends a request as the listener would: to be admitted first.
pub async fn send(
    protocol: &dyn Protocol,
    putter: &PutterDouble,
    request: request::Builder,
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let (head, ()) = request.body(()).expect("the double stores all it is given").into_parts();
    let path = head.uri.path();
    assert!(protocol.paths().iter().any(|known| known == path), "{path}");
    assert!(protocol.methods(path).contains(&head.method), "{} {path}", head.method);
    match protocol.admits(&head) {
        Admission::No(answer) => *answer,
        Admission::Yes(caller) => {
            let peer = SocketAddr::from(([127, 0, 0, 1], 1));
            let body = body.into();
            protocol.answer(Incoming { head, body, caller, peer }, putter).await
        }
    }
}
