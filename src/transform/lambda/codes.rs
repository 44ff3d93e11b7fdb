//! The codes of failed records, with Firehose's texts (guide, "Monitoring with CloudWatch Logs",
//! and captured error records).

use crate::{
    fault::{Cause, Failure, output_type::PROCESSING_FAILED},
    seams::Verdict,
};

/// A code, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    code: &'static str,
    message: &'static str,
}

impl Code {
    pub(super) fn cause(self) -> Cause {
        Cause::new(self.code, self.message)
    }

    /// With what a server or the network said, for whoever reads the logs.
    pub(super) fn because(self, detail: &str) -> Cause {
        if detail.is_empty() {
            return self.cause();
        }
        Cause::new(self.code, format!("{} ({detail})", self.message))
    }

    /// The end of a record whose answer was wrong: asking again would not mend it.
    pub(super) fn fails(self) -> Verdict {
        Verdict::Fail(Failure { cause: self.cause(), ..Failure::new(PROCESSING_FAILED, "", "") })
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal: $message:literal;)+) => {
        $($(#[$doc])* pub(super) const $name: Code =
            Code { code: concat!("Lambda.", $code), message: $message };)+
    };
}

codes! {
    // What is wrong with an answer.
    MISSING_RECORD_ID = "MissingRecordId": "One or more record Ids were not returned. Ensure that \
        the Lambda function returns all received record Ids.";
    DUPLICATED_RECORD_ID = "DuplicatedRecordId": "Multiple records were returned with the same \
        record Id. Ensure that the Lambda function returns a unique record Id for each record.";
    PROCESSING_FAILED_STATUS = "ProcessingFailedStatus": "ProcessingFailed status set for record";
    NO_DATA = "InvalidReturnFormat": "The returned record has no data.";
    BAD_METADATA = "InvalidReturnFormat": "The returned record's metadata is not of the required \
        form: partitionKeys and otfMetadata are objects whose values are strings.";
    UNKNOWN_RESULT = "JsonProcessingException": "There was an error parsing returned records from \
        the Lambda function. Ensure that the returned records follow the status model that is \
        required by Amazon Data Firehose.";
    NOT_BASE64 = "JsonMappingException": "There was an error parsing returned records from the \
        Lambda function. Ensure that data field is base-64 encoded.";

    // What is wrong with the function.
    FUNCTION_ERROR = "FunctionError": "The Lambda function was successfully invoked but it \
        returned an error result.";
    FUNCTION_KMS_DENIED = "FunctionError": "Lambda was unable to decrypt the environment variables \
        because KMS access was denied. Check the function's KMS key settings as well as the key \
        policy.";
    FUNCTION_TIMED_OUT = "FunctionTimedOut": "The Lambda function invocation timed out. Increase \
        the Timeout setting in the Lambda function.";
    FUNCTION_REQUEST_TIMED_OUT = "FunctionRequestTimedOut": "The request did not complete before \
        the request timeout.";
    RESPONSE_TOO_LARGE = "FunctionError": "The Lambda function's answer exceeds the maximum \
        allowed payload size.";
    REQUEST_TOO_LARGE = "InvocationFailure": "The record exceeds the maximum payload size of a \
        Lambda function.";

    // What keeps it from being called.
    ASSUME_ROLE_ACCESS_DENIED = "AssumeRoleAccessDenied": "Access was denied. Ensure that the \
        trust policy for the provided IAM role allows the role to be assumed.";
    INVOKE_ACCESS_DENIED = "InvokeAccessDenied": "Access was denied. Ensure that the access policy \
        allows access to the Lambda function.";
    INVALID_SECURITY_TOKEN = "InvalidSecurityToken": "Cannot invoke Lambda function due to invalid \
        security token.";
    RESOURCE_NOT_FOUND = "ResourceNotFound": "The specified Lambda function does not exist. Use a \
        different function that does exist.";
    INVOKE_LIMIT_EXCEEDED = "InvokeLimitExceeded": "The Lambda concurrent execution limit is \
        exceeded. Increase the concurrent execution limit.";
    INVALID_SUBNET_ID = "InvalidSubnetIDException": "The specified subnet ID in the Lambda \
        function VPC configuration is invalid. Ensure that the subnet ID is valid.";
    INVALID_SECURITY_GROUP_ID = "InvalidSecurityGroupIDException": "The specified security group \
        ID in the Lambda function VPC configuration is invalid. Ensure that the security group ID \
        is valid.";
    SUBNET_IP_LIMIT = "SubnetIPAddressLimitReachedException": "AWS Lambda was not able to set up \
        the VPC access for the Lambda function because one or more configured subnets have no \
        available IP addresses. Increase the IP address limit.";
    ENI_LIMIT = "ENILimitReachedException": "AWS Lambda was not able to create an Elastic Network \
        Interface (ENI) in the VPC, specified as part of the Lambda function configuration, \
        because the limit for network interfaces has been reached. Increase the network interface \
        limit.";
    INVALID_ZIP_FILE = "InvalidZipFileException": "Check your Lambda function configuration \
        settings and the Lambda code zip file.";
    INTERNAL_SERVER_ERROR = "InternalServerError": "The AWS Lambda service answered \
        InternalServerError.";
    SERVICE_UNAVAILABLE = "ServiceUnavailable": "The AWS Lambda service answered \
        ServiceUnavailableException.";
    TARGET_SERVER_FAILED = "TargetServerFailedToRespond": "Target server failed to respond.";
    INVOCATION_FAILURE = "InvocationFailure": "The Lambda function could not be invoked.";
}
