//! Records as clients send them, and PutRecordBatch bodies made of them.
//!
//! How much of a record is new decides what gzip costs, so it is calibrated: see
//! `docs/benchmarks.md` before changing a member.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use fastrand::Rng;

/// Records in one PutRecordBatch: the most that the API takes.
pub const BATCH_RECORDS: usize = 500;

/// Added to every id in a record, so that all have twelve digits and are JSON numbers.
pub const ID_BASE: u64 = 100_000_000_000;

/// Who sends events.
const USERS: u64 = 200;

/// Why a request was allowed. ASCII, so that a record may be cut anywhere.
const SENTENCES: [&str; 4] = [
    "The request was allowed by an identity policy of the role and by the policy of the resource. ",
    "The request was allowed by an identity policy of the role within its permissions boundary. ",
    "The request came through a network endpoint whose policy allows the action on the resource. ",
    "The session was assumed from an account of the organization; its session policy allows it. ",
];

/// What kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A sensor reading of 116 bytes.
    Reading,
    /// An audit event of 1,536 bytes, as CloudTrail writes them.
    Event,
    /// The same from so many regions, for partitions: with 8 buckets and 200 addresses it makes
    /// 8 or 200 times as many pairs.
    Regional(u8),
}

impl Kind {
    pub const fn bytes(self) -> usize {
        match self {
            Self::Reading => 116,
            Self::Event | Self::Regional(_) => 1_536,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Reading => "116 B",
            Self::Event | Self::Regional(_) => "1.5 KB",
        }
    }

    /// A record with this id, ending in a newline, of exactly `bytes()`. No two are alike.
    pub fn record(self, id: u64, rng: &mut Rng) -> String {
        let mut text = match self {
            Self::Reading => reading(id, rng),
            Self::Event => event(id, "eu-central-1", rng),
            Self::Regional(regions) => {
                let region = format!("eu-{:02}-1", rng.u8(..regions));
                event(id, &region, rng)
            }
        };
        let sentence = SENTENCES[rng.usize(..SENTENCES.len())];
        // The last member takes up the slack, so that a record's size is known.
        let close = "\"}\n";
        let size = self.bytes() - close.len();
        assert!(text.len() <= size, "a record outgrew its size: {text}");
        while text.len() < size {
            // An event's message is one of a few sentences, cut where the record ends.
            text.push_str(match self {
                Self::Reading => "ok ",
                Self::Event | Self::Regional(_) => sentence,
            });
        }
        text.truncate(size);
        text.push_str(close);
        text
    }
}

fn reading(id: u64, rng: &mut Rng) -> String {
    format!(
        r#"{{"id":{},"sensor":"s-{:04}","ts":{},"temp":{}.{:02},"hum":{}.{},"hpa":{}.{},"mv":{},"n":""#,
        ID_BASE + id,
        rng.u16(..5_000),
        1_760_000_000_000 + id * 7 + rng.u64(..7),
        rng.u8(15..32),
        rng.u8(..100),
        rng.u8(30..70),
        rng.u8(..10),
        rng.u16(980..1_040),
        rng.u8(..10),
        rng.u16(2_800..4_200),
    )
}

/// Mostly structure, as audit events are: one of a few agents, actions and accounts, and what
/// follows from them. New in each are its ids, its time, the object and a size.
fn event(id: u64, region: &str, rng: &mut Rng) -> String {
    const ACTIONS: [(&str, &str); 6] = [
        ("s3", "GetObject"),
        ("s3", "PutObject"),
        ("s3", "HeadObject"),
        ("s3", "CopyObject"),
        ("s3", "DeleteObject"),
        ("s3", "GetObjectTagging"),
    ];
    const AGENTS: [&str; 4] = [
        "aws-cli/2.31.4 md/awscrt#0.27.6 ua/2.1 os/linux#6.8.0 md/arch#x86_64 lang/python#3.13.7",
        "aws-sdk-java/2.33.0 Linux/6.1 OpenJDK_64-Bit_Server_VM/21.0.8 Java/21.0.8 kotlin/1.9.25",
        "Boto3/1.40.21 md/Botocore#1.40.21 ua/2.1 os/linux#5.15 md/arch#aarch64 lang/python#3.12.3",
        "APN/1.0 HashiCorp/1.0 Terraform/1.13.1 terraform-provider-aws/6.11.0 aws-sdk-go-v2/1.38.3",
    ];
    // Whoever it is, his role, account, agent and keys are always the same.
    let user = rng.u64(..USERS);
    let (role, account) = (user % 8, 100_000_000_000 + user % 8 * 1_234_567);
    let key = 0xA5A5_5A5A_1234_5678_u64.wrapping_mul(user * 2 + 1);
    let agent = AGENTS[user as usize % AGENTS.len()];
    let (service, action) = ACTIONS[rng.usize(..ACTIONS.len())];
    let seconds = id / 40;
    let time = format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let mut text = format!(
        r#"{{"id":{},"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROA{key:016X}:session-{user}","arn":"arn:aws:sts::{account}:assumed-role/app-{role}/session-{user}","accountId":"{account}","accessKeyId":"ASIA{key:016X}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA{key:016X}","arn":"arn:aws:iam::{account}:role/app-{role}","accountId":"{account}","userName":"app-{role}"}},"attributes":{{"creationDate":"2026-03-18T00:00:00Z","mfaAuthenticated":"false"}}}}}},"#,
        ID_BASE + id,
    );
    write!(
        text,
        r#""eventTime":"2026-03-18T{time}Z","eventSource":"{service}.amazonaws.com","eventName":"{action}","awsRegion":"{region}","sourceIPAddress":"10.85.{role}.{user}","userAgent":"[{agent}]","requestParameters":{{"bucketName":"data-{role}","key":"year=2026/month=03/day=18/part-{:05}.parquet","Host":"s3.eu-central-1.amazonaws.com"}},"responseElements":null,"additionalEventData":{{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","AuthenticationMethod":"AuthHeader","bytesTransferredIn":0,"bytesTransferredOut":{}}},"requestID":"{:016X}","eventID":"{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}","readOnly":true,"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"{account}","eventCategory":"Data","note":""#,
        rng.u32(..100_000),
        rng.u32(..9_000_000),
        rng.u64(..),
        rng.u32(..),
        rng.u16(..),
        rng.u16(..0x1000),
        rng.u16(..0x1000),
        rng.u64(..1 << 48),
    )
    .expect("writing to a string cannot fail");
    text
}

/// A request body with the digest that its signature covers.
#[derive(Clone)]
pub struct Body {
    pub json: Bytes,
    pub sha256: String,
    /// Bytes and number of the records in it.
    pub record_bytes: u64,
    pub records: u64,
}

impl Body {
    pub fn new(json: String, record_bytes: u64, records: u64) -> Self {
        let sha256 = hex::encode(digest(&SHA256, json.as_bytes()));
        Self { json: Bytes::from(json), sha256, record_bytes, records }
    }
}

/// A PutRecordBatch to `stream` of the records `first_id ..`.
pub fn batch(stream: &str, kind: Kind, first_id: u64, records: usize, rng: &mut Rng) -> Body {
    let mut json = String::with_capacity(records * (kind.bytes() * 4 / 3 + 16) + 64);
    write!(json, r#"{{"DeliveryStreamName":"{stream}","Records":["#).expect("a string");
    for i in 0..records {
        let record = kind.record(first_id + i as u64, rng);
        json.push_str(if i == 0 { r#"{"Data":""# } else { r#",{"Data":""# });
        json.push_str(&base64_simd::STANDARD.encode_to_string(record));
        json.push_str("\"}");
    }
    json.push_str("]}");
    Body::new(json, (records * kind.bytes()) as u64, records as u64)
}

/// A PutRecord to `stream` of one record.
pub fn single(stream: &str, kind: Kind, id: u64, rng: &mut Rng) -> Body {
    let data = base64_simd::STANDARD.encode_to_string(kind.record(id, rng));
    let json = format!(r#"{{"DeliveryStreamName":"{stream}","Record":{{"Data":"{data}"}}}}"#);
    Body::new(json, kind.bytes() as u64, 1)
}

/// Digits of a stamp: any time in nanoseconds.
const STAMP_DIGITS: usize = 20;
const STAMP_OPEN: &str = r#"{"sent":""#;

/// A PutRecord to `stream` of a record that begins with a stamp.
pub fn stamped(stream: &str, kind: Kind, id: u64, stamp: u64, rng: &mut Rng) -> Body {
    let record = kind.record(id, rng);
    let record = format!("{STAMP_OPEN}{stamp:0STAMP_DIGITS$}\",{}", &record[1..]);
    let data = base64_simd::STANDARD.encode_to_string(&record);
    let json = format!(r#"{{"DeliveryStreamName":"{stream}","Record":{{"Data":"{data}"}}}}"#);
    Body::new(json, record.len() as u64, 1)
}

/// The stamp of such a record.
pub fn stamp_of(record: &[u8]) -> Result<u64> {
    let digits = record.get(STAMP_OPEN.len()..STAMP_OPEN.len() + STAMP_DIGITS);
    Ok(std::str::from_utf8(digits.context("no stamp")?)?.parse()?)
}

/// Distinct full batches, made once so that the client costs little while measuring.
pub fn batches(stream: &str, kind: Kind, count: usize) -> Vec<Body> {
    let mut rng = Rng::with_seed(7);
    (0..count)
        .map(|i| batch(stream, kind, (i * BATCH_RECORDS) as u64, BATCH_RECORDS, &mut rng))
        .collect()
}

/// The bare records of those batches, for the kernels.
pub fn plain(kind: Kind, bytes: usize) -> Vec<u8> {
    let mut rng = Rng::with_seed(7);
    (0..(bytes / kind.bytes()) as u64)
        .flat_map(|id| kind.record(id, &mut rng).into_bytes())
        .collect()
}
