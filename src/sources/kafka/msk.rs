//! Brokers of an MSK cluster, by its ARN.

use ::http::{Method, StatusCode};
use bytes::Bytes;
use percent_encoding::utf8_percent_encode;
use serde_json::Value;

use super::{Connectivity, Options};
use crate::{
    limits,
    net::{
        aws::Access,
        http::Answer,
        kafka::{Sasl, Security},
        signed::{SignedClient, error_type, is_about_credentials},
        sigv4::RESERVED,
    },
};

/// What can never work of a cluster that is known by this ARN.
pub(super) fn check(arn: &str, options: &Options) -> Result<(), String> {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let is_cluster = matches!(fields[..], ["arn", _, "kafka", region, _, resource]
        if !region.is_empty() && resource.starts_with("cluster/"));
    if !is_cluster {
        return Err("cluster_arn: this is no ARN of an MSK cluster; write \
                    arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/ID"
            .into());
    }
    listeners(options).map(|_| ())
}

/// As whom a cluster is spoken to: in the region of its ARN, and as the role that tokens are made
/// by.
pub(super) fn access(access: Access, arn: &str, security: &Security) -> Access {
    let region = arn.split(':').nth(3).filter(|region| !region.is_empty());
    let role_arn = match &security.sasl {
        Some(Sasl::AwsMskIam { role_arn, .. }) => role_arn.as_deref(),
        _ => None,
    };
    access.redirected(region, role_arn)
}

/// Asks for the addresses that fit the options (GetBootstrapBrokers, MSK API reference).
pub(super) async fn brokers(
    access: &Access,
    endpoint: Option<String>,
    arn: &str,
    options: &Options,
) -> Result<Vec<String>, String> {
    let (member, what) = listeners(options)?;
    let trouble = |error: &dyn std::fmt::Display| format!("GetBootstrapBrokers of {arn}: {error}");
    let client = SignedClient::new(access, "kafka", endpoint).map_err(|error| trouble(&error))?;
    let path = format!("/v1/clusters/{}/bootstrap-brokers", utf8_percent_encode(arn, RESERVED));
    let (timeout, limit) = (limits::KAFKA_TOKEN_TIMEOUT, limits::MSK_ANSWER_BYTES_MAX);
    let sent = client.send(Method::GET, &path, &[], Bytes::new(), timeout, limit).await;
    let answer = sent.map_err(|error| trouble(&error))?;
    if !answer.status.is_success() {
        return Err(trouble(&refusal(&answer)));
    }
    let body: Value = serde_json::from_slice(&answer.body).map_err(|error| trouble(&error))?;
    let brokers = body[member].as_str().unwrap_or_default();
    let brokers: Vec<String> =
        brokers.split(',').map(str::trim).filter(|b| !b.is_empty()).map(str::to_owned).collect();
    if brokers.is_empty() {
        return Err(format!(
            "{arn} has no {member}: turn {what} on for the cluster, or choose the other \
             connectivity"
        ));
    }
    Ok(brokers)
}

/// The member of the answer that names the addresses for these options, and what has to be turned
/// on for it to be there.
fn listeners(options: &Options) -> Result<(&'static str, &'static str), String> {
    let Security { tls, sasl } = &options.security;
    let is_public = options.connectivity == Connectivity::Public;
    let (private, public, what) = match sasl {
        Some(Sasl::AwsMskIam { .. }) => (
            "bootstrapBrokerStringSaslIam",
            "bootstrapBrokerStringPublicSaslIam",
            "IAM access control",
        ),
        Some(Sasl::ScramSha512 { .. }) => (
            "bootstrapBrokerStringSaslScram",
            "bootstrapBrokerStringPublicSaslScram",
            "SASL/SCRAM authentication",
        ),
        None if tls.is_some() => {
            ("bootstrapBrokerStringTls", "bootstrapBrokerStringPublicTls", "TLS")
        }
        None if !is_public => ("bootstrapBrokerString", "", "plain text"),
        _ => {
            return Err("sasl: clusters of MSK take aws_msk_iam, scram_sha512, or no sasl with \
                        tls; plain text within their network alone"
                .into());
        }
    };
    Ok((if is_public { public } else { private }, what))
}

/// What MSK said, and what helps.
fn refusal(answer: &Answer) -> String {
    let name = error_type(answer).unwrap_or_default();
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = ["message", "Message"].iter().find_map(|key| body.get(key)?.as_str());
    let said: String = said.unwrap_or_default().chars().take(limits::MESSAGE_CHARS_MAX).collect();
    let help = match answer.status {
        _ if is_about_credentials(&name) => "; look at the credentials of the `aws` section",
        StatusCode::UNAUTHORIZED => "; look at the credentials of the `aws` section",
        StatusCode::FORBIDDEN => "; allow kafka:GetBootstrapBrokers on the cluster",
        StatusCode::NOT_FOUND => "; look at cluster_arn: its account has no such cluster there",
        _ => "",
    };
    format!("{name} (status {}): {said}{help}", answer.status.as_u16())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:kafka:eu-west-1:123456789012:cluster/events/0b0b-1";

    fn options(more: Value) -> Options {
        let mut all = json!({"cluster_arn": ARN, "topics": ["t"]});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn every_way_to_a_cluster_has_its_addresses() {
        let login = |mechanism: &str| json!({"sasl": {"mechanism": mechanism, "username": "u", "password": "p"}});
        for (security, private, public) in [
            (json!({"sasl": {"mechanism": "aws_msk_iam"}}), Some("SaslIam"), Some("PublicSaslIam")),
            (login("scram_sha512"), Some("SaslScram"), Some("PublicSaslScram")),
            (json!({"tls": {}}), Some("Tls"), Some("PublicTls")),
            (json!({}), Some(""), None),
            (login("scram_sha256"), None, None),
            (login("plain"), None, None),
        ] {
            for (connectivity, expected) in [("private", private), ("public", public)] {
                let mut options = options(security.clone());
                options.connectivity = serde_json::from_value(json!(connectivity)).unwrap();
                let found = listeners(&options).ok().map(|(member, _)| member.to_owned());
                assert_eq!(found, expected.map(|name| format!("bootstrapBrokerString{name}")));
                assert_eq!(check(ARN, &options).is_ok(), expected.is_some());
            }
        }
        for arn in ["", "events", "arn:aws:kafka::1:cluster/a/b", "arn:aws:sns:eu-west-1:1:t"] {
            let error = check(arn, &options(json!({}))).unwrap_err();
            assert!(error.starts_with("cluster_arn: "), "{error}");
        }
    }

    #[test]
    fn a_cluster_is_asked_where_it_is_and_as_the_role_of_its_tokens() {
        let own = Access { region: "us-east-1".into(), keys: None, role: None, sts_endpoint: None };
        let sasl = json!({"sasl": {"mechanism": "aws_msk_iam", "role_arn": "arn:role"}});
        let asked = access(own.clone(), ARN, &options(sasl).security);
        assert_eq!(asked.region, "eu-west-1");
        assert_eq!(asked.role.map(|role| role.arn).as_deref(), Some("arn:role"));
        let asked = access(own, ARN, &Security::default());
        assert_eq!((&*asked.region, asked.role), ("eu-west-1", None));
    }
}
