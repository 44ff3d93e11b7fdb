//! The answers of DescribeDeliveryStream and ListDeliveryStreams.

use serde_json::{Value, json};

use super::{ApiError, Hose, Operation, StreamType, hose::DESTINATION_ID, operation::known_input};

/// Names in an answer of ListDeliveryStreams unless the request says otherwise (API reference).
const LIST_LIMIT_DEFAULT: usize = 10;

impl Hose {
    /// The answer of DescribeDeliveryStream with every destination.
    ///
    /// A stream of the configuration file with several destinations shows the first one only: the
    /// API knows no more than one.
    pub fn describe(&self) -> Value {
        let mut description = json!({
            "DeliveryStreamName": self.name,
            "DeliveryStreamARN": self.arn(),
            "DeliveryStreamStatus": self.status.as_str(),
            "DeliveryStreamEncryptionConfiguration": self.encryption.describe(),
            "DeliveryStreamType": self.stream_type.as_str(),
            "VersionId": self.version_id.to_string(),
            "CreateTimestamp": seconds(self.created_ms),
        });
        if let Some(updated_ms) = self.updated_ms {
            description["LastUpdateTimestamp"] = seconds(updated_ms);
        }
        if let Some(hint) = self.throughput_hint_mbs {
            description["Source"] =
                json!({"DirectPutSourceDescription": {"ThroughputHintInMBs": hint}});
        }
        let described = match self.stream_type {
            StreamType::DirectPut => None,
            StreamType::KinesisStreamAsSource => Some("KinesisStreamSourceDescription"),
            StreamType::MskAsSource => Some("MSKSourceDescription"),
        };
        if let Some(member) = described.filter(|_| !self.source.is_empty()) {
            let mut source = self.source.clone();
            source.insert("DeliveryStartTimestamp".into(), seconds(self.created_ms));
            description["Source"] = json!({member: source});
        }
        description["Destinations"] = self.destinations();
        description["HasMoreDestinations"] = json!(false);
        json!({"DeliveryStreamDescription": description})
    }

    /// The answer to a DescribeDeliveryStream request. There is never more than one destination,
    /// so `Limit` changes nothing and `ExclusiveStartDestinationId` leaves nothing over.
    ///
    /// # Errors
    /// What `check` answers.
    pub fn describe_for(&self, body: &Value) -> Result<Value, ApiError> {
        let body = known_input(Operation::DescribeDeliveryStream, body)?;
        let mut answer = self.describe();
        if body["ExclusiveStartDestinationId"].as_str().is_some_and(|id| id >= DESTINATION_ID) {
            answer["DeliveryStreamDescription"]["Destinations"] = json!([]);
        }
        Ok(answer)
    }

    fn destinations(&self) -> Value {
        if self.destination.is_empty() {
            return json!([]);
        }
        let mut description = self.kind.describe(&self.destination);
        description.shift_insert(0, "DestinationId".to_owned(), json!(DESTINATION_ID));
        json!([description])
    }
}

/// A time of the API: seconds since the epoch with a fraction.
fn seconds(ms: i64) -> Value {
    json!(ms as f64 / 1000.0)
}

/// The answer of ListDeliveryStreams over the streams' names, given in any order.
///
/// # Errors
/// What `check` answers.
pub fn list<'a>(
    streams: impl Iterator<Item = (&'a str, StreamType)>,
    body: &Value,
) -> Result<Value, ApiError> {
    let body = known_input(Operation::ListDeliveryStreams, body)?;
    let limit = body["Limit"].as_u64().map_or(LIST_LIMIT_DEFAULT, |limit| limit as usize);
    let after = body["ExclusiveStartDeliveryStreamName"].as_str().unwrap_or_default();
    let kind = body["DeliveryStreamType"].as_str();
    let mut names: Vec<&str> = streams
        .filter(|(name, of)| *name > after && kind.is_none_or(|kind| kind == of.as_str()))
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    let more = names.len() > limit;
    names.truncate(limit);
    Ok(json!({"DeliveryStreamNames": names, "HasMoreDeliveryStreams": more}))
}
