//! Brokers of an MSK cluster, by its ARN.

use ::http::Method;
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::Connectivity;
use crate::{
    limits,
    net::{aws::Access, signed::SignedClient},
};

/// Asks for the addresses that take IAM (GetBootstrapBrokers, MSK API reference).
pub(super) async fn brokers(
    access: &Access,
    endpoint: Option<String>,
    arn: &str,
    connectivity: Connectivity,
) -> Result<Vec<String>, String> {
    let region = arn.split(':').nth(3).filter(|region| !region.is_empty());
    let access = access.clone().redirected(region, None);
    let client =
        SignedClient::new(&access, "kafka", endpoint).map_err(|error| error.to_string())?;
    let path =
        format!("/v1/clusters/{}/bootstrap-brokers", utf8_percent_encode(arn, NON_ALPHANUMERIC));
    let (timeout, limit) = (limits::KAFKA_TOKEN_TIMEOUT, limits::MSK_ANSWER_BYTES_MAX);
    let answer = client
        .send(Method::GET, &path, &[], Bytes::new(), timeout, limit)
        .await
        .map_err(|error| format!("GetBootstrapBrokers of {arn}: {error}"))?;
    if !answer.status.is_success() {
        let text = String::from_utf8_lossy(&answer.body);
        return Err(format!("GetBootstrapBrokers of {arn}: {}: {text}", answer.status));
    }
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("GetBootstrapBrokers of {arn}: {error}"))?;
    let member = match connectivity {
        Connectivity::Private => "bootstrapBrokerStringSaslIam",
        Connectivity::Public => "bootstrapBrokerStringPublicSaslIam",
    };
    let brokers = body[member].as_str().unwrap_or_default();
    let brokers: Vec<String> =
        brokers.split(',').map(str::trim).filter(|b| !b.is_empty()).map(str::to_owned).collect();
    if brokers.is_empty() {
        return Err(format!(
            "{arn} has no {member}: turn IAM access control on for the cluster, or choose the \
             other connectivity"
        ));
    }
    Ok(brokers)
}
