//! A trial of the bucket: a tiny object is written where objects of the destination may stand,
//! under the same encryption, and removed again.
//!
//! Deliveries never delete, so a missing permission to do so is a remark and not a failure.

use std::fmt::Write;

use bytes::Bytes;
use tokio::time::timeout;

use super::{Encryption, S3Sink, classify};
use crate::{
    fault::{Cause, Fault},
    limits,
    record::{Ranges, Route},
    seams::{Shipment, Trial},
};

/// Behind the beginning of the prefix: whose object it is, should it stay.
const FOLDER: &str = ".standpipe-check/";

impl S3Sink {
    /// Writes and removes; stops at the first that fails.
    pub(super) async fn try_out(&self) -> Vec<Trial> {
        let key = format!("{}{FOLDER}{}", self.check_prefix, uuid::Uuid::new_v4());
        let written = self.try_to_write(&key).await;
        let stops = written.is_err();
        let mut trials = vec![Trial { step: "write", result: written }];
        if !stops {
            trials.push(Trial { step: "remove", result: Ok(self.try_to_remove(&key).await) });
        }
        trials
    }

    async fn try_to_write(&self, key: &str) -> Result<String, Cause> {
        let shipment = Shipment {
            key: key.to_owned(),
            body: Bytes::from_static(b"written by standpipe check\n"),
            content_type: "text/plain",
            content_encoding: None,
            records: 0,
            positions: Ranges::default(),
            route: Route::Objects,
            list: None,
        };
        match timeout(limits::CHECK_TIMEOUT, self.put(&shipment)).await {
            Ok(Ok(())) => Ok(format!("s3://{}/{key}", self.bucket)),
            Ok(Err(fault)) => Err(self.explained(fault, key)),
            Err(_) => Err(self.explained(silence("PutObject"), key)),
        }
    }

    /// What became of the object.
    async fn try_to_remove(&self, key: &str) -> String {
        let request = self.client.delete_object().bucket(&self.bucket).key(key);
        let fault = match timeout(limits::CHECK_TIMEOUT, request.send()).await {
            Ok(Ok(_)) => return "nothing is left behind".into(),
            Ok(Err(error)) => classify::fault("DeleteObject", &error),
            Err(_) => silence("DeleteObject"),
        };
        format!("the object stays, which deliveries do not mind: {fault}")
    }

    /// The cause, with what a person may look at.
    fn explained(&self, fault: Fault, key: &str) -> Cause {
        let mut cause = fault.cause().clone();
        if let Some(advice) = self.advice(&cause.code, key) {
            // Writing to a string cannot fail.
            let _ = write!(cause.message, "; {advice}");
        }
        cause
    }

    fn advice(&self, code: &str, key: &str) -> Option<String> {
        let (bucket, place) = (&self.bucket, self.place());
        let code = code.strip_prefix("S3.").unwrap_or(code);
        Some(match code {
            "AccessDenied" | "AllAccessDisabled" => {
                let mut needs = format!("needed: s3:PutObject on {}", self.resource(key));
                if let Encryption::SseKms(id) = &self.encryption {
                    // Writing to a string cannot fail.
                    let _ = write!(needs, ", and kms:GenerateDataKey and kms:Decrypt on {id}");
                }
                needs
            }
            "NoSuchBucket" => format!("no bucket {bucket:?} at {place}"),
            "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed" => {
                format!("the region of this destination is {}", self.region)
            }
            "InvalidAccessKeyId" => "the access key id is not known there".into(),
            "SignatureDoesNotMatch" => "the secret does not belong to the access key id".into(),
            "ExpiredToken" | "InvalidToken" => "the session token is no longer good".into(),
            "CredentialsNotFound" => {
                "set aws.credentials, the environment or a profile, or run with a role".into()
            }
            "ConnectionFailed" | "RequestTimeout" => format!("asked: {place}"),
            "NotImplemented" | "XAmzContentSHA256Mismatch" | "InvalidRequest" => {
                "a server that is not Amazon's may want `checksums: when_required`".into()
            }
            _ if code.starts_with("KMS.") => {
                "needed: kms:GenerateDataKey and kms:Decrypt on the key, in the bucket's region"
                    .into()
            }
            _ => return None,
        })
    }

    /// Where requests go, for people.
    fn place(&self) -> String {
        self.endpoint.clone().unwrap_or_else(|| format!("S3 in region {}", self.region))
    }

    /// What a policy must name for the keys of this destination.
    fn resource(&self, key: &str) -> String {
        let folder = key.find(FOLDER).map_or("", |at| &key[..at]);
        match self.bucket.strip_prefix("arn:") {
            Some(_) => format!("{}/object/{folder}*", self.bucket),
            None => format!("arn:aws:s3:::{}/{folder}*", self.bucket),
        }
    }
}

fn silence(operation: &str) -> Fault {
    let seconds = limits::CHECK_TIMEOUT.as_secs();
    Fault::retry("S3.RequestTimeout", format!("{operation}: no answer within {seconds} s"))
}
