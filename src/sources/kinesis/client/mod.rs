//! The API of Kinesis Data Streams as far as a reader needs it. Protocol JSON 1.1 (API reference),
//! signed requests, no SDK crate. One attempt each: who asks waits and asks again.

mod answers;
mod classify;
#[cfg(test)]
pub(super) mod tests;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use self::answers::{DescribeAnswer, IteratorAnswer, ListAnswer};
use super::{Batch, ReadError, Shard};
use crate::{
    limits::{KINESIS_ANSWER_BYTES_MAX, KINESIS_PAGES_MAX, KINESIS_TIMEOUT},
    net::{aws::Access, http::UrlError, signed::SignedClient},
};

/// Which stream: its name, or its ARN, which names the account too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamName {
    Name(String),
    Arn(String),
}

impl StreamName {
    fn put_into(&self, question: &mut Map<String, Value>) {
        let (key, value) = match self {
            Self::Name(name) => ("StreamName", name),
            Self::Arn(arn) => ("StreamARN", arn),
        };
        question.insert(key.to_owned(), value.as_str().into());
    }
}

/// What DescribeStreamSummary tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamInfo {
    pub arn: Option<String>,
    /// `CREATING`, `ACTIVE`, `UPDATING`, `DELETING`.
    pub status: String,
    /// How long records are kept.
    pub retention_hours: Option<u32>,
}

/// Where an iterator begins. Sequence numbers are decimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IteratorStart {
    TrimHorizon,
    Latest,
    /// At the first record that arrived at or after this time, in milliseconds since the epoch.
    Timestamp(i64),
    At(String),
    After(String),
}

/// An answer of GetRecords: `next` is absent at the end of the shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub batch: Batch,
    pub next: Option<String>,
    /// Bytes of the records, partition keys left out.
    pub data_bytes: u64,
    /// Bytes of the answer as it came.
    pub answer_bytes: usize,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The iterator, or the place in a list, is too old: get a new one.
    #[error("expired: {0}")]
    Expired(String),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl AskError {
    /// Where nothing that was held can expire.
    pub(super) fn settled(self) -> ReadError {
        match self {
            Self::Read(error) => error,
            Self::Expired(message) => {
                ReadError::Trouble { code: "Kinesis.Expired".into(), message }
            }
        }
    }
}

/// What a stream is, and which shards it has.
#[async_trait]
pub(super) trait Listing: Send + Sync {
    async fn describe(&self) -> Result<StreamInfo, ReadError>;
    /// Every shard that still holds records, and every open one.
    async fn list_shards(&self) -> Result<Vec<Shard>, ReadError>;
}

/// One stream, as one identity.
pub struct Client {
    signed: SignedClient,
    stream: StreamName,
}

impl Client {
    /// `endpoint` is the URL of another server that speaks Kinesis' API. Asks nobody.
    pub fn new(
        access: &Access,
        endpoint: Option<String>,
        stream: StreamName,
    ) -> Result<Self, UrlError> {
        Ok(Self { signed: SignedClient::new(access, "kinesis", endpoint)?, stream })
    }

    async fn list_once(&self) -> Result<Vec<Shard>, AskError> {
        let mut shards = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..KINESIS_PAGES_MAX {
            let answer = match token.take() {
                // A token stands for the stream as well; naming both is refused.
                Some(token) => self.ask_plain("ListShards", &NextPage { next_token: &token }).await,
                None => self.ask("ListShards", Map::new()).await,
            };
            let page: ListAnswer = answers::parse(&answer?)?;
            token = page.next_token.filter(|token| !token.is_empty());
            for shard in page.shards {
                shards.push(shard.understood()?);
            }
            if token.is_none() {
                return Ok(shards);
            }
        }
        Err(answers::unreadable("the list of shards has no end").into())
    }

    pub(super) async fn iterator(
        &self,
        shard_id: &str,
        start: &IteratorStart,
    ) -> Result<String, ReadError> {
        let mut question = Map::new();
        question.insert("ShardId".into(), shard_id.into());
        let kind = match start {
            IteratorStart::TrimHorizon => "TRIM_HORIZON",
            IteratorStart::Latest => "LATEST",
            IteratorStart::Timestamp(at_ms) => {
                question.insert("Timestamp".into(), (*at_ms as f64 / 1000.0).into());
                "AT_TIMESTAMP"
            }
            IteratorStart::At(number) => {
                question.insert("StartingSequenceNumber".into(), number.as_str().into());
                "AT_SEQUENCE_NUMBER"
            }
            IteratorStart::After(number) => {
                question.insert("StartingSequenceNumber".into(), number.as_str().into());
                "AFTER_SEQUENCE_NUMBER"
            }
        };
        question.insert("ShardIteratorType".into(), kind.into());
        let answer = self.ask("GetShardIterator", question).await.map_err(AskError::settled)?;
        let answer: IteratorAnswer = answers::parse(&answer)?;
        answer.shard_iterator.ok_or_else(|| answers::unreadable("there is no iterator"))
    }

    pub(super) async fn records(&self, iterator: &str) -> Result<Read, AskError> {
        let question = match &self.stream {
            StreamName::Name(_) => GetRecords { shard_iterator: iterator, stream_arn: None },
            StreamName::Arn(arn) => GetRecords { shard_iterator: iterator, stream_arn: Some(arn) },
        };
        let answer = self.ask_plain("GetRecords", &question).await?;
        Ok(answers::records(&answer)?)
    }

    async fn ask(
        &self,
        action: &'static str,
        mut question: Map<String, Value>,
    ) -> Result<Bytes, AskError> {
        self.stream.put_into(&mut question);
        self.ask_plain(action, &question).await
    }

    async fn ask_plain(
        &self,
        action: &'static str,
        question: &impl Serialize,
    ) -> Result<Bytes, AskError> {
        let body = serde_json::to_vec(question).expect("texts and numbers serialize");
        let target = format!("Kinesis_20131202.{action}");
        let headers =
            [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let sent = self
            .signed
            .post("/", &headers, body.into(), KINESIS_TIMEOUT, KINESIS_ANSWER_BYTES_MAX)
            .await;
        match sent {
            Ok(answer) if answer.status.is_success() => Ok(answer.body),
            Ok(answer) => Err(classify::refusal(action, &answer)),
            Err(error) => Err(classify::failure(action, &error).into()),
        }
    }
}

#[async_trait]
impl Listing for Client {
    /// What the stream is. A role made for Firehose may ask DescribeStream alone, so that is asked
    /// where the summary is refused.
    async fn describe(&self) -> Result<StreamInfo, ReadError> {
        let summary = self.ask("DescribeStreamSummary", Map::new()).await;
        let answer = match summary {
            Err(AskError::Read(ReadError::Denied { .. })) => {
                let question = [("Limit".to_owned(), Value::from(1))].into_iter().collect();
                self.ask("DescribeStream", question).await
            }
            other => other,
        };
        let answer: DescribeAnswer = answers::parse(&answer.map_err(AskError::settled)?)?;
        answer.understood()
    }

    async fn list_shards(&self) -> Result<Vec<Shard>, ReadError> {
        loop {
            match self.list_once().await {
                // The list was begun anew; it does not expire twice for being slow, for the token
                // lives for minutes.
                Err(AskError::Expired(message)) => {
                    tracing::debug!(message, "the list of shards expired and is read anew");
                    tokio::time::sleep(crate::limits::KINESIS_BACKOFF).await;
                }
                other => return other.map_err(AskError::settled),
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NextPage<'a> {
    next_token: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecords<'a> {
    shard_iterator: &'a str,
    #[serde(rename = "StreamARN", skip_serializing_if = "Option::is_none")]
    stream_arn: Option<&'a str>,
}
