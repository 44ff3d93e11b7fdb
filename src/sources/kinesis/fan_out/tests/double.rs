//! A server that stands for the service's side of enhanced fan-out, and is strict: it proves
//! signatures, takes no place that it has not named, and no call too soon.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use http_body_util::{BodyExt, StreamBody};
use hyper::{Request, Response, body::Frame, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};

use crate::{
    env::{Clock, SystemClock},
    net::{
        aws_double::{ACCESS_KEY, SECRET_KEY},
        sigv4::{Claim, Head, Key, NewKey, sha256},
    },
};

pub const CONSUMER_ARN: &str = "arn:aws:kinesis:eu-west-1:000000000000:stream/s/consumer/c:1";

/// Which HTTP it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    One,
    Two,
}

/// What a subscription does next. After the last step it ends as after five minutes.
#[derive(Debug, Clone)]
pub enum Step {
    /// An event with so many of the next records.
    Records(usize),
    /// An event without a record, from which it goes on all the same.
    Heartbeat,
    /// The last event of the shard.
    Children(&'static [&'static str]),
    Exception(&'static str),
    Error(&'static str),
    Bytes(Vec<u8>),
    /// The connection breaks.
    Cut,
    /// Nothing more, without an end.
    Silence,
}

/// A shard with records without end.
#[derive(Default)]
struct Shard {
    /// What subscriptions do; the last for good.
    subscriptions: VecDeque<Vec<Step>>,
    granted: Option<Instant>,
    /// Numbers from which a subscription may begin.
    named: HashSet<u64>,
}

#[derive(Default)]
struct State {
    shards: HashMap<String, Shard>,
    /// What DescribeStreamConsumer says; the last for good.
    statuses: VecDeque<&'static str>,
    /// What RegisterStreamConsumer says.
    registering: Option<&'static str>,
    asked: Vec<(String, Value)>,
    refused: Vec<String>,
    versions: HashSet<String>,
}

pub struct Double {
    pub url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

type Pieces = BoxStream<'static, Result<Frame<Bytes>, &'static str>>;
type Reply = Response<StreamBody<Pieces>>;

/// Sequence numbers are as long as real ones.
pub fn number(of: u64) -> String {
    format!("49590338271490256608559692538361571095{of:018}")
}

/// Records have the numbers 10, 20, 30 and so on.
pub fn data(of: u64) -> Bytes {
    format!("record {of}").into()
}

impl Double {
    /// `grant`: how long after a subscription another one is refused.
    pub async fn start(speaks: Speaks, grant: Duration) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let new = NewKey { secret: SECRET_KEY.into(), session_token: None, expires_ms: None };
        let key = Arc::new(Key::new(new));
        let serving = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (state, key) = (serving.clone(), key.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        answer(state.clone(), key.clone(), grant, request)
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let builder = match speaks {
                        Speaks::One => builder.http1_only(),
                        Speaks::Two => builder.http2_only(),
                    };
                    // What is cut on purpose ends with an error.
                    let _ = builder.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { url, state, task }
    }

    pub fn shard(&self, id: &str, subscriptions: Vec<Vec<Step>>) {
        let shard = Shard { subscriptions: subscriptions.into(), ..Shard::default() };
        self.state.lock().shards.insert(id.into(), shard);
    }

    pub fn consumer(&self, statuses: &[&'static str], registering: Option<&'static str>) {
        let mut state = self.state.lock();
        state.statuses = statuses.iter().copied().collect();
        state.registering = registering;
    }

    /// Makes a number one that may be begun at.
    pub fn name(&self, shard: &str, of: u64) {
        self.state.lock().shards.get_mut(shard).unwrap().named.insert(of);
    }

    pub fn asked(&self, action: &str) -> Vec<Value> {
        let state = self.state.lock();
        let asked = state.asked.iter().filter(|(name, _)| name == action);
        asked.map(|(_, question)| question.clone()).collect()
    }

    pub fn places(&self) -> Vec<Value> {
        let asked = self.asked("SubscribeToShard");
        asked.into_iter().map(|mut question| question["StartingPosition"].take()).collect()
    }

    pub fn refused(&self) -> Vec<String> {
        self.state.lock().refused.clone()
    }

    pub fn versions(&self) -> HashSet<String> {
        self.state.lock().versions.clone()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    key: Arc<Key>,
    grant: Duration,
    request: Request<Incoming>,
) -> Result<Reply, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut state = state.lock();
    state.versions.insert(format!("{:?}", head.version));
    let proof = Head { method: head.method.as_str(), uri: &head.uri, headers: &head.headers };
    let find = |id: &str| (id == ACCESS_KEY).then_some(key);
    let proven = Claim::read(proof, "kinesis", SystemClock::default().now_ms(), find)
        .and_then(|claim| claim.verify(proof, &sha256(&body)));
    let target = head.headers.get("x-amz-target").map(|value| value.to_str().unwrap().to_owned());
    let action = target.as_deref().and_then(|target| target.strip_prefix("Kinesis_20131202."));
    let question: Option<Value> = serde_json::from_slice(&body).ok();
    let kind = head.headers.get("content-type").map(|value| value.as_bytes().to_vec());
    let reply = match (proven, action, question) {
        (Err(error), ..) => Err((error.name(), error.to_string())),
        (_, Some(action), Some(question))
            if kind.as_deref() == Some(b"application/x-amz-json-1.1") =>
        {
            state.asked.push((action.to_owned(), question.clone()));
            match action {
                "SubscribeToShard" => subscribe(&mut state, &question, grant),
                "DescribeStreamConsumer" => describe(&mut state, &question),
                "RegisterStreamConsumer" => register(&mut state, &question),
                _ => Err(("UnknownOperationException", action.to_owned())),
            }
        }
        _ => Err(("SerializationException", format!("{target:?}"))),
    };
    Ok(reply.unwrap_or_else(|(name, message)| {
        state.refused.push(format!("{name}: {message}"));
        let body = json!({"__type": name, "message": message}).to_string();
        respond(400, "application/x-amz-json-1.1", once(body))
    }))
}

type Refusal = (&'static str, String);

fn describe(state: &mut State, question: &Value) -> Result<Reply, Refusal> {
    let by_name = question["ConsumerName"].is_string() && question["StreamARN"].is_string();
    if by_name == question["ConsumerARN"].is_string() {
        return Err(("InvalidArgumentException", question.to_string()));
    }
    let status = match state.statuses.len() {
        0 | 1 => state.statuses.front().copied(),
        _ => state.statuses.pop_front(),
    };
    match status {
        None | Some("gone") => Err(("ResourceNotFoundException", "no such consumer".into())),
        Some(status) => {
            let consumer = json!({"ConsumerARN": CONSUMER_ARN, "ConsumerStatus": status});
            let answer = json!({"ConsumerDescription": consumer}).to_string();
            Ok(respond(200, "application/x-amz-json-1.1", once(answer)))
        }
    }
}

fn register(state: &mut State, question: &Value) -> Result<Reply, Refusal> {
    if !question["ConsumerName"].is_string() || !question["StreamARN"].is_string() {
        return Err(("InvalidArgumentException", question.to_string()));
    }
    match state.registering {
        Some(name) => Err((name, "not now".into())),
        None => {
            let answer = json!({"Consumer": {"ConsumerARN": CONSUMER_ARN}}).to_string();
            Ok(respond(200, "application/x-amz-json-1.1", once(answer)))
        }
    }
}

fn subscribe(state: &mut State, question: &Value, grant: Duration) -> Result<Reply, Refusal> {
    if question["ConsumerARN"] != CONSUMER_ARN {
        return Err(("ResourceNotFoundException", "no such consumer".into()));
    }
    let id = question["ShardId"].as_str().unwrap_or_default();
    let Some(shard) = state.shards.get_mut(id) else {
        return Err(("ResourceNotFoundException", format!("no shard {id}")));
    };
    let behind = begins(shard, &question["StartingPosition"])
        .ok_or_else(|| ("InvalidArgumentException", question["StartingPosition"].to_string()))?;
    if shard.granted.is_some_and(|granted| granted.elapsed() < grant) {
        return Err(("ResourceInUseException", format!("{id} has a subscription")));
    }
    shard.granted = Some(Instant::now());
    Ok(respond(200, "application/vnd.amazon.eventstream", shard.pieces(behind)))
}

/// The number behind which a subscription begins.
fn begins(shard: &Shard, place: &Value) -> Option<u64> {
    let named = || {
        let number = place["SequenceNumber"].as_str()?;
        let of = number.strip_prefix("49590338271490256608559692538361571095")?.parse().ok()?;
        shard.named.contains(&of).then_some(of)
    };
    let members = place.as_object()?.len();
    match (place["Type"].as_str()?, members) {
        ("TRIM_HORIZON", 1) => Some(0),
        ("LATEST", 1) => Some(100),
        ("AT_TIMESTAMP", 2) => place["Timestamp"].as_f64().map(|_| 50),
        ("AFTER_SEQUENCE_NUMBER", 2) => named(),
        ("AT_SEQUENCE_NUMBER", 2) => named()?.checked_sub(1),
        _ => None,
    }
}

impl Shard {
    fn pieces(&mut self, mut behind: u64) -> Pieces {
        // Before all else comes the answer to the request itself.
        let hello = frame(&[(":message-type", "event"), (":event-type", "initial-response")], "{}");
        let mut pieces = vec![Ok(hello)];
        let steps = match self.subscriptions.len() {
            0 | 1 => self.subscriptions.front().cloned(),
            _ => self.subscriptions.pop_front(),
        };
        for step in steps.unwrap_or_default() {
            pieces.push(match step {
                Step::Records(count) => {
                    let first = behind / 10 + 1;
                    let records: Vec<_> =
                        (first..first + count as u64).map(|i| record(i * 10)).collect();
                    behind = (first + count as u64 - 1) * 10;
                    Ok(self.event(behind, records))
                }
                Step::Heartbeat => {
                    behind += 1;
                    Ok(self.event(behind, Vec::new()))
                }
                Step::Children(children) => {
                    let child = |id: &&str| {
                        json!({"ShardId": id, "ParentShards": ["shard"],
                        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"}})
                    };
                    let children: Vec<_> = children.iter().map(child).collect();
                    let told = json!({"Records": [], "MillisBehindLatest": 0,
                        "ContinuationSequenceNumber": null, "ChildShards": children});
                    Ok(event(&told))
                }
                Step::Exception(name) => {
                    let headers = [(":message-type", "exception"), (":exception-type", name)];
                    Ok(frame(&headers, r#"{"message":"so it is"}"#))
                }
                Step::Error(name) => {
                    let headers = [
                        (":message-type", "error"),
                        (":error-code", name),
                        (":error-message", "so it is"),
                    ];
                    Ok(frame(&headers, ""))
                }
                Step::Bytes(bytes) => Ok(bytes),
                Step::Cut => Err("cut on purpose"),
                Step::Silence => {
                    let pieces = stream::iter(pieces).map(|piece| piece.map(whole));
                    return pieces.chain(stream::pending()).boxed();
                }
            });
        }
        stream::iter(pieces).map(|piece| piece.map(whole)).boxed()
    }

    fn event(&mut self, behind: u64, records: Vec<Value>) -> Vec<u8> {
        self.named.insert(behind);
        event(&json!({"Records": records, "ContinuationSequenceNumber": number(behind),
            "MillisBehindLatest": 7}))
    }
}

fn record(of: u64) -> Value {
    json!({"SequenceNumber": number(of), "PartitionKey": format!("key {of}"),
        "Data": base64_simd::STANDARD.encode_to_string(data(of)),
        "ApproximateArrivalTimestamp": 1_495_072_949.453, "EncryptionType": "NONE"})
}

pub fn event(told: &Value) -> Vec<u8> {
    let headers = [
        (":message-type", "event"),
        (":event-type", "SubscribeToShardEvent"),
        (":content-type", "application/json"),
    ];
    frame(&headers, &told.to_string())
}

pub fn frame(headers: &[(&'static str, &'static str)], payload: &str) -> Vec<u8> {
    let mut message = Message::new(payload.to_owned());
    for &(name, value) in headers {
        message = message.add_header(Header::new(name, HeaderValue::String(value.into())));
    }
    let mut out = Vec::new();
    write_message_to(&message, &mut out).unwrap();
    out
}

fn whole(bytes: Vec<u8>) -> Frame<Bytes> {
    Frame::data(bytes.into())
}

fn once(body: String) -> Pieces {
    stream::iter([Ok(whole(body.into_bytes()))]).boxed()
}

fn respond(status: u16, kind: &str, pieces: Pieces) -> Reply {
    let body = StreamBody::new(pieces);
    Response::builder().status(status).header("content-type", kind).body(body).unwrap()
}
