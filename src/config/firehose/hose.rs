//! A delivery stream as the API knows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ApiError, Operation,
    destination::{self, Document},
    encryption::{self, Encryption},
    operation::known_input,
    tags,
};

/// The id of a stream's one destination.
pub const DESTINATION_ID: &str = "destinationId-000000000001";

/// What is said of destinations that are not built.
const AVAILABLE: &str =
    "Available: S3, by ExtendedS3DestinationConfiguration or S3DestinationConfiguration.";

/// Where and when a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoseContext {
    /// 12 digits.
    pub account_id: String,
    pub region: String,
    /// Partition of ARNs, `aws`.
    pub partition: String,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
}

/// Status of a stream. There is nothing to set up that takes time, so a new one is active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    #[default]
    Active,
    /// Being deleted: its journal is still there.
    Deleting,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Deleting => "DELETING",
        }
    }
}

/// What feeds a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamType {
    #[default]
    DirectPut,
}

impl StreamType {
    /// As in `DeliveryStreamType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DirectPut => "DirectPut",
        }
    }
}

/// Who made a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// CreateDeliveryStream.
    #[default]
    Api,
    /// The configuration file; such a stream cannot be changed through the API.
    File,
}

/// A delivery stream; what is persisted of a stream made by the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hose {
    pub name: String,
    pub partition: String,
    pub region: String,
    pub account_id: String,
    #[serde(default)]
    pub status: Status,
    /// Counts up with each UpdateDestination, from 1.
    pub version_id: u64,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
    /// Milliseconds since the epoch of the last change, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_ms: Option<i64>,
    #[serde(default)]
    pub stream_type: StreamType,
    /// DirectPutSourceConfiguration.ThroughputHintInMBs; for information only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput_hint_mbs: Option<i64>,
    /// By key; a tag may have no value.
    #[serde(default)]
    pub tags: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub encryption: Encryption,
    /// When encryption was started or stopped in the last 24 hours, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encryption_calls_ms: Vec<i64>,
    /// The members of ExtendedS3DestinationDescription with every default written out; empty when
    /// a stream of the configuration file has no destination that the API can describe.
    pub destination: Document,
    #[serde(default)]
    pub origin: Origin,
}

impl Hose {
    /// A new stream from a CreateDeliveryStream request. Whether the name is taken and the quota
    /// left is for the caller to say.
    ///
    /// # Errors
    /// What `check` answers, and InvalidArgumentException.
    pub fn create(body: &Value, ctx: &HoseContext) -> Result<Self, ApiError> {
        let body = known_input(Operation::CreateDeliveryStream, body)?;
        let (member, configuration) = only_one(&body, "DestinationConfiguration")?;
        check_source(&body)?;
        let encryption = match body.get("DeliveryStreamEncryptionConfigurationInput") {
            Some(input) => encryption::started(input)?,
            None => Encryption::default(),
        };
        if !is_s3(member, "DestinationConfiguration") {
            return Err(ApiError::invalid_argument(format!(
                "{member} is not available here. {AVAILABLE}"
            )));
        }
        Ok(Self {
            name: body["DeliveryStreamName"].as_str().unwrap_or_default().to_owned(),
            partition: ctx.partition.clone(),
            region: ctx.region.clone(),
            account_id: ctx.account_id.clone(),
            status: Status::Active,
            version_id: 1,
            created_ms: ctx.now_ms,
            updated_ms: None,
            stream_type: StreamType::DirectPut,
            throughput_hint_mbs: body["DirectPutSourceConfiguration"]["ThroughputHintInMBs"]
                .as_i64(),
            tags: tags::from_list(&body["Tags"]),
            encryption,
            encryption_calls_ms: Vec::new(),
            destination: destination::create(configuration)?,
            origin: Origin::Api,
        })
    }

    /// The stream after an UpdateDestination request; this one stays as it is.
    ///
    /// # Errors
    /// What `check` answers, ConcurrentModificationException for another version, and
    /// InvalidArgumentException.
    pub fn update(&self, body: &Value, ctx: &HoseContext) -> Result<Self, ApiError> {
        let body = known_input(Operation::UpdateDestination, body)?;
        self.check_changeable()?;
        let (member, update) = only_one(&body, "DestinationUpdate")?;
        let id = body["DestinationId"].as_str().unwrap_or_default();
        if id != DESTINATION_ID {
            return Err(ApiError::invalid_argument(format!("Destination Id {id} not found")));
        }
        let (current, given) = (self.version_id, body["CurrentDeliveryStreamVersionId"].as_str());
        let given = given.unwrap_or_default();
        if given != current.to_string() {
            let message = format!(
                "Cannot update firehose: {} since the current version id: {current} and \
                 specified version id: {given} do not match",
                self.name
            );
            return Err(ApiError::new("ConcurrentModificationException", 400, message));
        }
        if !is_s3(member, "DestinationUpdate") {
            let kind = member.trim_end_matches("DestinationUpdate");
            return Err(ApiError::invalid_argument(format!(
                "Changing the destination type to or from {kind} is not supported at this time."
            )));
        }
        Ok(Self {
            destination: destination::update(&self.destination, update)?,
            version_id: current + 1,
            updated_ms: Some(ctx.now_ms),
            ..self.clone()
        })
    }

    /// Whether DeleteDeliveryStream may delete it.
    ///
    /// # Errors
    /// InvalidArgumentException for a stream of the configuration file.
    pub fn check_deletable(&self) -> Result<(), ApiError> {
        self.check_changeable()
    }

    /// `arn:aws:firehose:us-east-1:000000000000:deliverystream/name`.
    pub fn arn(&self) -> String {
        let Self { name, partition, region, account_id, .. } = self;
        format!("arn:{partition}:firehose:{region}:{account_id}:deliverystream/{name}")
    }

    /// Whether records are kept encrypted: the `Encrypted` of put answers.
    pub fn is_encrypted(&self) -> bool {
        self.encryption.status.is_on()
    }

    pub(super) fn check_changeable(&self) -> Result<(), ApiError> {
        match self.origin {
            Origin::Api => Ok(()),
            Origin::File => Err(ApiError::invalid_argument(format!(
                "Firehose {} is defined in the configuration file and cannot be changed through \
                 the API.",
                self.name
            ))),
        }
    }
}

/// The one member of the request whose name ends like this.
fn only_one<'a>(body: &'a Value, ending: &str) -> Result<(&'a str, &'a Value), ApiError> {
    let members = body.as_object().into_iter().flatten();
    let mut found = members.filter(|(member, _)| member.ends_with(ending));
    match (found.next(), found.next()) {
        (Some((member, value)), None) => Ok((member, value)),
        _ => Err(ApiError::invalid_argument(
            "Exactly one destination configuration is supported for a Firehose",
        )),
    }
}

fn is_s3(member: &str, ending: &str) -> bool {
    matches!(member.strip_suffix(ending), Some("S3" | "ExtendedS3"))
}

/// The rules of DeliveryStreamType and its configurations.
fn check_source(body: &Value) -> Result<(), ApiError> {
    let kind = body["DeliveryStreamType"].as_str().unwrap_or("DirectPut");
    for (member, printed, of) in [
        ("DirectPutSourceConfiguration", "DirectPutSourceConfiguration", "DirectPut"),
        ("KinesisStreamSourceConfiguration", "KinesisSourceStreamConfig", "KinesisStreamAsSource"),
        ("MSKSourceConfiguration", "MSKSourceConfiguration", "MSKAsSource"),
        ("DatabaseSourceConfiguration", "DatabaseSourceConfiguration", "DatabaseAsSource"),
    ] {
        if !body[member].is_null() && kind != of {
            return Err(ApiError::invalid_argument(format!(
                "{printed} is only applicable for {of} stream type"
            )));
        }
    }
    if kind != "DirectPut" {
        return Err(ApiError::invalid_argument(format!(
            "DeliveryStreamType {kind} is not available here. Available: DirectPut."
        )));
    }
    Ok(())
}
