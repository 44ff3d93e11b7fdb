//! TLS and SASL as a user writes them.

use std::path::PathBuf;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::units::Secret;

/// How a cluster is spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Security {
    /// TLS to the brokers; plain text if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<KafkaTls>,
    /// Who we are; nobody in particular if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
}

/// TLS to brokers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaTls {
    /// File with the authorities that brokers' certificates are checked by; the system's if absent.
    pub ca: Option<PathBuf>,
    /// File with our certificate, for brokers that ask for one.
    pub certificate: Option<PathBuf>,
    /// Its private key: the PEM text, or `{file: path}`.
    pub key: Option<Secret>,
}

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "mechanism")]
#[schemars(transform = describe_mechanism)]
pub enum Sasl {
    /// User and password in clear text: over TLS.
    Plain {
        /// The user.
        username: String,
        /// Its password.
        password: Secret,
    },
    /// User and password, of which the broker learns nothing (SHA-256).
    ScramSha256 {
        /// The user.
        username: String,
        /// Its password.
        password: Secret,
    },
    /// User and password, of which the broker learns nothing (SHA-512).
    ScramSha512 {
        /// The user.
        username: String,
        /// Its password.
        password: Secret,
    },
    /// A token of an OpenID provider, by client credentials.
    Oauthbearer {
        /// URL that tokens are asked of.
        token_endpoint: String,
        /// The client.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
        /// The scope that is asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
    /// Amazon MSK with IAM.
    AwsMskIam {
        /// The cluster's region; that of its ARN or of the `aws` section if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
        /// Role to assume.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role_arn: Option<String>,
    },
}

/// The tag of the variants is no field that could say what it is.
fn describe_mechanism(schema: &mut Schema) {
    let variants = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    for variant in variants.into_iter().flatten() {
        if let Some(mechanism) = variant.pointer_mut("/properties/mechanism") {
            mechanism["description"] = "How we say who we are.".into();
        }
    }
}
