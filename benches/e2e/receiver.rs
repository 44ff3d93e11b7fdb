//! Destinations over HTTP that take everything and cost as little as they can: they share the
//! machine with what is measured. How many records came is told by the sizes of the requests, so
//! that only `_bulk`, whose answer has an item for each document, must be unpacked.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;

use crate::server::free_address;

/// What is spoken, and how large each record is.
#[derive(Debug, Clone, Copy)]
pub enum Protocol {
    /// The delivery protocol of Amazon Data Firehose, under gzip.
    Firehose { record_bytes: usize },
    /// The same, not compressed, of records that begin with a stamp: when each came is noted.
    Stamped,
    /// Raw records to Splunk's HTTP Event Collector, under gzip, and their acknowledgement.
    Hec { record_bytes: usize },
    /// `_bulk` of OpenSearch, under gzip.
    Bulk,
}

pub struct Receiver {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

struct Seen {
    protocol: Protocol,
    records: AtomicU64,
    requests: AtomicU64,
    /// Stamps, and when they came.
    arrivals: Mutex<Vec<(u64, Instant)>>,
}

impl Receiver {
    /// Serves on a thread of its own until the process ends.
    pub fn start(protocol: Protocol) -> Result<Self> {
        Self::start_at(free_address()?, protocol)
    }

    pub fn start_at(address: SocketAddr, protocol: Protocol) -> Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let seen = Arc::new(Seen {
            protocol,
            records: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            arrivals: Mutex::default(),
        });
        let of_thread = seen.clone();
        std::thread::spawn(move || runtime.block_on(serve(listener, of_thread)));
        Ok(Self { address, seen })
    }

    /// Records taken so far.
    pub fn records(&self) -> u64 {
        self.seen.records.load(Ordering::Relaxed)
    }

    /// Requests that brought them.
    pub fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// The stamps that came, and when the request that brought them was there as a whole.
    pub fn arrivals(&self) -> Vec<(u64, Instant)> {
        self.seen.arrivals.lock().clone()
    }
}

async fn serve(listener: std::net::TcpListener, seen: Arc<Seen>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a bound listener");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        // A pause before a short answer would count as the destination's.
        let _ = stream.set_nodelay(true);
        let seen = seen.clone();
        let service = service_fn(move |request| {
            let seen = seen.clone();
            async move {
                let answer = answer(&seen, request).await;
                if let Err(error) = &answer {
                    eprintln!("the receiver refuses a request: {error:#}");
                }
                answer
            }
        });
        // A connection that breaks off is the client's affair.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(seen: &Seen, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    if head.uri.path() == "/services/collector/ack" {
        return Ok(json(acknowledged(&body.collect().await?.to_bytes())?));
    }
    let (records, text) = match seen.protocol {
        Protocol::Firehose { record_bytes } => {
            let records = plain_bytes(body).await? / element_bytes(record_bytes);
            (records, firehose(&head)?)
        }
        Protocol::Stamped => {
            let body = body.collect().await?.to_bytes();
            (stamped(seen, &body, Instant::now())?, firehose(&head)?)
        }
        Protocol::Hec { record_bytes } => {
            let bytes = plain_bytes(body).await?;
            ensure!(bytes.is_multiple_of(record_bytes as u64), "{bytes} bytes are no records");
            let id = seen.requests.load(Ordering::Relaxed);
            let text = format!(r#"{{"text":"Success","code":0,"ackId":{id}}}"#);
            (bytes / record_bytes as u64, text)
        }
        Protocol::Bulk => {
            let documents = documents(&body.collect().await?.to_bytes())?;
            let items = vec![r#"{"create":{"status":201}}"#; documents as usize].join(",");
            (documents, format!(r#"{{"errors":false,"items":[{items}]}}"#))
        }
    };
    seen.records.fetch_add(records, Ordering::Relaxed);
    seen.requests.fetch_add(1, Ordering::Relaxed);
    Ok(json(text))
}

fn json(text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    response.headers_mut().insert(CONTENT_TYPE, "application/json".parse().expect("it is one"));
    response
}

/// The answer of the delivery protocol.
fn firehose(head: &http::request::Parts) -> Result<String> {
    let id = head.headers.get("x-amz-firehose-request-id").context("no request id")?.to_str()?;
    Ok(format!(r#"{{"requestId":"{id}","timestamp":1760000000000}}"#))
}

/// Bytes of a record in the delivery protocol: `{"data":"…"},`. What stands around all of them is
/// less than one, for any record larger than 60 bytes.
fn element_bytes(record_bytes: usize) -> u64 {
    (record_bytes.div_ceil(3) * 4 + r#"{"data":""},"#.len()) as u64
}

/// Reads a body to its end: what its gzip trailer says that it holds.
async fn plain_bytes(mut body: Incoming) -> Result<u64> {
    let mut last = [0; 4];
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let kept = data.len().min(4);
        last.rotate_left(kept);
        last[4 - kept..].copy_from_slice(&data[data.len() - kept..]);
    }
    // ISIZE, RFC 1952 section 2.3.1: the input's length modulo 2^32.
    Ok(u64::from(u32::from_le_bytes(last)))
}

/// How many documents a bulk request has: half of its lines.
fn documents(packed: &[u8]) -> Result<u64> {
    let size = packed.last_chunk().context("no gzip member")?;
    let mut plain = vec![0; u32::from_le_bytes(*size) as usize];
    libdeflater::Decompressor::new().gzip_decompress(packed, &mut plain)?;
    Ok(memchr::memchr_iter(b'\n', &plain).count() as u64 / 2)
}

/// `{"acks":[1,2]}`: all of them are.
fn acknowledged(question: &[u8]) -> Result<String> {
    let question: serde_json::Value = serde_json::from_slice(question)?;
    let ids = question["acks"].as_array().context("no acks")?;
    let acks: Vec<_> = ids.iter().map(|id| format!(r#""{id}":true"#)).collect();
    Ok(format!(r#"{{"acks":{{{}}}}}"#, acks.join(",")))
}

/// Notes the stamps of a request.
fn stamped(seen: &Seen, body: &[u8], now: Instant) -> Result<u64> {
    const DATA: &[u8] = br#""data":""#;
    let mut records = 0;
    let mut arrivals = seen.arrivals.lock();
    for start in memchr::memmem::find_iter(body, DATA) {
        let text = &body[start + DATA.len()..];
        let end = memchr::memchr(b'"', text).context("a record without an end")?;
        let record = base64_simd::STANDARD.decode_to_vec(&text[..end])?;
        arrivals.push((crate::data::stamp_of(&record)?, now));
        records += 1;
    }
    Ok(records)
}
