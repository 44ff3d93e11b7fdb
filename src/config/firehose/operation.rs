//! The twelve operations and the constraints of their inputs.

use serde_json::Value;

use super::{
    ApiError,
    constraints::{self, Member, Pattern, Shape, operations},
};

/// An operation of `Firehose_20150804`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    CreateDeliveryStream,
    DeleteDeliveryStream,
    DescribeDeliveryStream,
    ListDeliveryStreams,
    ListTagsForDeliveryStream,
    PutRecord,
    PutRecordBatch,
    StartDeliveryStreamEncryption,
    StopDeliveryStreamEncryption,
    TagDeliveryStream,
    UntagDeliveryStream,
    UpdateDestination,
}

impl Operation {
    pub const ALL: [Self; 12] = [
        Self::CreateDeliveryStream,
        Self::DeleteDeliveryStream,
        Self::DescribeDeliveryStream,
        Self::ListDeliveryStreams,
        Self::ListTagsForDeliveryStream,
        Self::PutRecord,
        Self::PutRecordBatch,
        Self::StartDeliveryStreamEncryption,
        Self::StopDeliveryStreamEncryption,
        Self::TagDeliveryStream,
        Self::UntagDeliveryStream,
        Self::UpdateDestination,
    ];

    /// As it stands behind the dot of `X-Amz-Target`.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateDeliveryStream => "CreateDeliveryStream",
            Self::DeleteDeliveryStream => "DeleteDeliveryStream",
            Self::DescribeDeliveryStream => "DescribeDeliveryStream",
            Self::ListDeliveryStreams => "ListDeliveryStreams",
            Self::ListTagsForDeliveryStream => "ListTagsForDeliveryStream",
            Self::PutRecord => "PutRecord",
            Self::PutRecordBatch => "PutRecordBatch",
            Self::StartDeliveryStreamEncryption => "StartDeliveryStreamEncryption",
            Self::StopDeliveryStreamEncryption => "StopDeliveryStreamEncryption",
            Self::TagDeliveryStream => "TagDeliveryStream",
            Self::UntagDeliveryStream => "UntagDeliveryStream",
            Self::UpdateDestination => "UpdateDestination",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// The members of its input.
    pub(super) fn input(self) -> &'static [Member] {
        match self {
            Self::CreateDeliveryStream => operations::CREATE_DELIVERY_STREAM,
            Self::DeleteDeliveryStream => operations::DELETE_DELIVERY_STREAM,
            Self::DescribeDeliveryStream => operations::DESCRIBE_DELIVERY_STREAM,
            Self::ListDeliveryStreams => operations::LIST_DELIVERY_STREAMS,
            Self::ListTagsForDeliveryStream => operations::LIST_TAGS_FOR_DELIVERY_STREAM,
            Self::PutRecord => operations::PUT_RECORD,
            Self::PutRecordBatch => operations::PUT_RECORD_BATCH,
            Self::StartDeliveryStreamEncryption => operations::START_DELIVERY_STREAM_ENCRYPTION,
            Self::StopDeliveryStreamEncryption => operations::STOP_DELIVERY_STREAM_ENCRYPTION,
            Self::TagDeliveryStream => operations::TAG_DELIVERY_STREAM,
            Self::UntagDeliveryStream => operations::UNTAG_DELIVERY_STREAM,
            Self::UpdateDestination => operations::UPDATE_DESTINATION,
        }
    }
}

/// Holds a request against the constraints of the API's model, before any meaning is looked at.
///
/// # Errors
/// SerializationException for a wrong JSON type, ValidationException for all violations together,
/// InvalidParameterValueException for a malformed role in a SchemaConfiguration (the service looks
/// at it before the modelled rules).
pub fn check(operation: Operation, body: &Value) -> Result<(), ApiError> {
    let mut violations = Vec::new();
    constraints::walk(Shape::Structure(operation.input()), body, "", &mut violations)?;
    for member in ["ExtendedS3DestinationConfiguration", "ExtendedS3DestinationUpdate"] {
        let schema = &body[member]["DataFormatConversionConfiguration"]["SchemaConfiguration"];
        if let Some(role) = schema["RoleARN"].as_str()
            && !role.is_empty()
            && !Pattern::RoleArn.matches(role)
        {
            let kind = "InvalidParameterValueException";
            return Err(ApiError::new(kind, 400, "Invalid role ARN."));
        }
    }
    constraints::answer(&violations)
}

/// Checks the whole request against the model's constraints and gives the stream's name.
/// Every operation but ListDeliveryStreams has one.
pub fn parse_name(operation: Operation, body: &Value) -> Result<&str, ApiError> {
    check(operation, body)?;
    Ok(body["DeliveryStreamName"].as_str().unwrap_or_default())
}

/// A request that passed `check`, without unknown members and nulls.
pub(super) fn known_input(operation: Operation, body: &Value) -> Result<Value, ApiError> {
    check(operation, body)?;
    Ok(constraints::known(Shape::Structure(operation.input()), body))
}
