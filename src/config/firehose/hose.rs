//! A delivery stream as the API knows it.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ApiError, DestinationKind, Operation,
    destination::Document,
    destinations::Secrets,
    encryption::{self, Encryption},
    operation::known_input,
    tags,
};

/// The id of a stream's one destination.
pub const DESTINATION_ID: &str = "destinationId-000000000001";

/// What is said of destinations that are not built.
const AVAILABLE: &str = "Available: ExtendedS3DestinationConfiguration, \
    S3DestinationConfiguration, HttpEndpointDestinationConfiguration, \
    SplunkDestinationConfiguration, AmazonopensearchserviceDestinationConfiguration, \
    ElasticsearchDestinationConfiguration, AmazonOpenSearchServerlessDestinationConfiguration.";

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
    KinesisStreamAsSource,
    #[serde(rename = "MSKAsSource")]
    MskAsSource,
}

impl StreamType {
    /// As in `DeliveryStreamType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DirectPut => "DirectPut",
            Self::KinesisStreamAsSource => "KinesisStreamAsSource",
            Self::MskAsSource => "MSKAsSource",
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

/// A delivery stream; what is persisted of a stream made by the API. Its `Debug` shows neither keys
/// nor what may hold one.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
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
    /// The members of KinesisStreamSourceConfiguration or MSKSourceConfiguration.
    #[serde(default, skip_serializing_if = "Document::is_empty")]
    pub source: Document,
    /// By key; a tag may have no value.
    #[serde(default)]
    pub tags: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub encryption: Encryption,
    /// When encryption was started or stopped in the last 24 hours, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encryption_calls_ms: Vec<i64>,
    /// What the destination is.
    #[serde(default, skip_serializing_if = "DestinationKind::is_s3")]
    pub kind: DestinationKind,
    /// The members of the kind's description (of S3: ExtendedS3DestinationDescription) with every
    /// default written out; empty when a stream of the configuration file has no destination.
    pub destination: Document,
    /// What the destination was given and its description never shows: `AccessKey`, `HECToken`.
    /// Of a stream of the configuration file nothing is kept here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: Secrets,
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
        let (stream_type, source) = source_of(&body)?;
        let encryption = match body.get("DeliveryStreamEncryptionConfigurationInput") {
            Some(input) => encryption::started(input)?,
            None => Encryption::default(),
        };
        let prefix = member.trim_end_matches("DestinationConfiguration");
        let kind = DestinationKind::from_prefix(prefix).ok_or_else(|| {
            ApiError::invalid_argument(format!("{member} is not available here. {AVAILABLE}"))
        })?;
        let (destination, secrets) = kind.create(configuration)?;
        Ok(Self {
            name: body["DeliveryStreamName"].as_str().unwrap_or_default().to_owned(),
            partition: ctx.partition.clone(),
            region: ctx.region.clone(),
            account_id: ctx.account_id.clone(),
            status: Status::Active,
            version_id: 1,
            created_ms: ctx.now_ms,
            updated_ms: None,
            stream_type,
            source,
            throughput_hint_mbs: body["DirectPutSourceConfiguration"]["ThroughputHintInMBs"]
                .as_i64(),
            tags: tags::from_list(&body["Tags"]),
            encryption,
            encryption_calls_ms: Vec::new(),
            kind,
            destination,
            secrets,
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
        self.check_kind(member.trim_end_matches("DestinationUpdate"))?;
        let (destination, secrets) = self.kind.update(&self.destination, &self.secrets, update)?;
        Ok(Self {
            destination,
            secrets,
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

    /// A destination stays what it is; `prefix` is of the update's name.
    fn check_kind(&self, prefix: &str) -> Result<(), ApiError> {
        let kind = DestinationKind::from_prefix(prefix);
        if kind == Some(self.kind) {
            return Ok(());
        }
        // Of the two kinds the one that is not S3 is named.
        let named = if kind == Some(DestinationKind::S3) { self.kind.as_str() } else { prefix };
        Err(ApiError::invalid_argument(format!(
            "Changing the destination type to or from {named} is not supported at this time."
        )))
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

impl fmt::Debug for Hose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// URLs and attributes may hold keys (the API's model calls them sensitive).
        const SENSITIVE: [&str; 2] = ["EndpointConfiguration", "RequestConfiguration"];
        let shown = |(member, value): (&String, &Value)| {
            let hidden = SENSITIVE.contains(&member.as_str());
            (member.clone(), if hidden { "***".into() } else { value.clone() })
        };
        let destination: Document = self.destination.iter().map(shown).collect();
        f.debug_struct("Hose")
            .field("arn", &self.arn())
            .field("status", &self.status)
            .field("version_id", &self.version_id)
            .field("created_ms", &self.created_ms)
            .field("updated_ms", &self.updated_ms)
            .field("tags", &self.tags)
            .field("encryption", &self.encryption)
            .field("kind", &self.kind)
            .field("destination", &destination)
            .field("secrets", &self.secrets)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
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

/// What feeds a stream, and how that is described. The rules of DeliveryStreamType and its
/// configurations.
fn source_of(body: &Value) -> Result<(StreamType, Document), ApiError> {
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
    let (stream_type, member) = match kind {
        "DirectPut" => return Ok((StreamType::DirectPut, Document::new())),
        "KinesisStreamAsSource" => {
            (StreamType::KinesisStreamAsSource, "KinesisStreamSourceConfiguration")
        }
        "MSKAsSource" => (StreamType::MskAsSource, "MSKSourceConfiguration"),
        _ => {
            return Err(ApiError::invalid_argument(format!(
                "DeliveryStreamType {kind} is not available here. Available: DirectPut, \
                 KinesisStreamAsSource, MSKAsSource."
            )));
        }
    };
    if !body["DeliveryStreamEncryptionConfigurationInput"].is_null() {
        return Err(ApiError::invalid_argument(
            "Server-side encryption is only applicable for DirectPut stream type",
        ));
    }
    let Value::Object(source) = &body[member] else {
        return Err(ApiError::invalid_argument(format!(
            "{member} is required for {kind} stream type"
        )));
    };
    Ok((stream_type, source.clone()))
}
