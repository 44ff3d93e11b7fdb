//! Options in librdkafka's words: what every client of a cluster is made of.

use std::{collections::BTreeMap, path::Path};

use rdkafka::ClientConfig;

use super::{KafkaTls, Sasl, Security};
use crate::units::Secret;

/// Settings that a user cannot make by their names in librdkafka, and what to say instead.
const RESERVED: [(&str, &str); 26] = [
    ("bootstrap.servers", "brokers"),
    ("metadata.broker.list", "brokers"),
    ("group.id", "group"),
    ("group.instance.id", "instance_id"),
    ("session.timeout.ms", "session_timeout"),
    ("auto.offset.reset", "start"),
    ("security.protocol", "tls and sasl"),
    ("sasl.mechanism", "sasl.mechanism"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.username", "sasl.username"),
    ("sasl.password", "sasl.password"),
    ("ssl.ca.location", "tls.ca"),
    ("ssl.ca.pem", "tls.ca"),
    ("ssl.certificate.location", "tls.certificate"),
    ("ssl.certificate.pem", "tls.certificate"),
    ("ssl.key.location", "tls.key"),
    ("ssl.key.pem", "tls.key"),
    ("ssl.key.password", "tls.key"),
    ("enable.auto.commit", ""),
    ("auto.commit.enable", ""),
    ("auto.commit.interval.ms", ""),
    ("enable.auto.offset.store", ""),
    ("group.protocol", ""),
    // Loads code into the process.
    ("plugin.library.paths", ""),
    ("log.queue", ""),
    ("enable.sasl.oauthbearer.unsecure.jwt", ""),
];

/// What stands in for a secret where a configuration is only looked over.
const ANY_SECRET: &str = "-";

/// The configuration of a client of this cluster.
///
/// `own` is what this kind of client needs to be as it is (names and values of librdkafka); `extra`
/// are the user's further settings, which may change neither that nor what the options say. Reads
/// secrets; an unreadable one may be there the next time.
pub fn client_config(
    brokers: &[String],
    security: &Security,
    extra: &BTreeMap<String, String>,
    own: &[(&str, String)],
) -> Result<ClientConfig, String> {
    build(brokers, security, extra, own, &|secret| secret.reveal().map_err(|e| e.to_string()))
}

/// Whether such a client can be made at all, whatever its secrets are.
pub fn check_config(
    brokers: &[String],
    security: &Security,
    extra: &BTreeMap<String, String>,
    own: &[(&str, String)],
) -> Result<(), String> {
    if brokers.is_empty() || brokers.iter().any(|broker| broker.trim().is_empty()) {
        return Err("brokers: name at least one broker, as host:port".into());
    }
    let config = build(brokers, security, extra, own, &|_| Ok(ANY_SECRET.into()))?;
    config.create_native_config().map(|_| ()).map_err(|error| match error {
        // The value may be a secret.
        rdkafka::error::KafkaError::ClientConfig(_, text, name, _) => {
            format!("librdkafka: {name}: {text}")
        }
        other => format!("librdkafka: {other}"),
    })
}

type Reveal<'a> = &'a dyn Fn(&Secret) -> Result<String, String>;

fn build(
    brokers: &[String],
    security: &Security,
    extra: &BTreeMap<String, String>,
    own: &[(&str, String)],
    reveal: Reveal<'_>,
) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers.join(","));
    config.set("client.id", "standpipe");
    // Brokers end idle connections; that is no trouble.
    config.set("log.connection.close", "false");
    for (name, value) in extra {
        refuse_reserved(name, own)?;
        config.set(name, value);
    }
    for (name, value) in own {
        config.set(*name, value);
    }
    secure(&mut config, security, reveal)?;
    Ok(config)
}

fn refuse_reserved(name: &str, own: &[(&str, String)]) -> Result<(), String> {
    if let Some((_, instead)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
        return Err(if instead.is_empty() {
            format!("librdkafka: {name} is not for you to set: leave it out")
        } else {
            format!("librdkafka: {name} is set by the option {instead}: use that")
        });
    }
    if name.starts_with("test.") || own.iter().any(|(own, _)| *own == name) {
        return Err(format!("librdkafka: {name} is not for you to set: leave it out"));
    }
    Ok(())
}

fn secure(
    config: &mut ClientConfig,
    security: &Security,
    reveal: Reveal<'_>,
) -> Result<(), String> {
    let Security { tls, sasl } = security;
    // MSK takes signatures over TLS only.
    let encrypted = tls.is_some() || matches!(sasl, Some(Sasl::AwsMskIam { .. }));
    let protocol = match (encrypted, sasl.is_some()) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = tls {
        set_tls(config, tls, reveal)?;
    }
    match sasl {
        None => {}
        Some(Sasl::Plain { username, password }) => {
            set_password(config, "PLAIN", username, password, reveal)?;
        }
        Some(Sasl::ScramSha256 { username, password }) => {
            set_password(config, "SCRAM-SHA-256", username, password, reveal)?;
        }
        Some(Sasl::ScramSha512 { username, password }) => {
            set_password(config, "SCRAM-SHA-512", username, password, reveal)?;
        }
        Some(Sasl::Oauthbearer { .. } | Sasl::AwsMskIam { .. }) => {
            config.set("sasl.mechanisms", "OAUTHBEARER");
        }
    }
    Ok(())
}

fn set_password(
    config: &mut ClientConfig,
    mechanism: &str,
    username: &str,
    password: &Secret,
    reveal: Reveal<'_>,
) -> Result<(), String> {
    let password = reveal(password).map_err(|error| format!("sasl.password: {error}"))?;
    config.set("sasl.mechanisms", mechanism);
    config.set("sasl.username", username).set("sasl.password", password);
    Ok(())
}

fn set_tls(config: &mut ClientConfig, tls: &KafkaTls, reveal: Reveal<'_>) -> Result<(), String> {
    let text = |option: &str, path: &Path| {
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| format!("tls.{option}: the path is no UTF-8"))
    };
    if let Some(ca) = &tls.ca {
        config.set("ssl.ca.location", text("ca", ca)?);
    }
    match (&tls.certificate, &tls.key) {
        (None, None) => {}
        (Some(certificate), Some(key)) => {
            let key = reveal(key).map_err(|error| format!("tls.key: {error}"))?;
            config.set("ssl.certificate.location", text("certificate", certificate)?);
            config.set("ssl.key.pem", key);
        }
        (Some(_), None) => return Err("tls.certificate: give its private key as tls.key".into()),
        (None, Some(_)) => return Err("tls.key: give its certificate as tls.certificate".into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Security {
        Security {
            tls: None,
            sasl: Some(Sasl::Plain {
                username: "u".into(),
                password: Secret::Value("hush".into()),
            }),
        }
    }

    fn brokers() -> Vec<String> {
        vec!["a:1".into(), "b:2".into()]
    }

    fn extra(name: &str, value: &str) -> BTreeMap<String, String> {
        [(name.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn security_is_spelled_as_librdkafka_does() {
        let none = BTreeMap::new();
        let made = |security: &Security| client_config(&brokers(), security, &none, &[]).unwrap();
        let config = made(&plain());
        assert_eq!(config.get("bootstrap.servers"), Some("a:1,b:2"));
        assert_eq!(config.get("security.protocol"), Some("sasl_plaintext"));
        assert_eq!(config.get("sasl.password"), Some("hush"));
        let config = made(&Security { tls: Some(KafkaTls::default()), sasl: None });
        assert_eq!(config.get("security.protocol"), Some("ssl"));
        let sasl = Some(Sasl::AwsMskIam { region: None, role_arn: None });
        let config = made(&Security { tls: None, sasl });
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.get("sasl.mechanisms"), Some("OAUTHBEARER"));
    }

    #[test]
    fn what_is_needed_cannot_be_overridden() {
        let own = [("isolation.level", "read_committed".to_owned())];
        let refused = |name: &str, value: &str| {
            check_config(&brokers(), &Security::default(), &extra(name, value), &own).unwrap_err()
        };
        assert!(refused("isolation.level", "read_uncommitted").contains("isolation.level"));
        assert!(refused("group.id", "x").contains("the option group"));
        assert!(refused("enable.auto.commit", "true").contains("leave it out"));
        assert!(refused("test.mock.num.brokers", "1").contains("leave it out"));
        assert!(refused("no.such.setting", "1").contains("no.such.setting"));
        assert!(!refused("socket.timeout.ms", "soon").is_empty());
        let fine = extra("client.rack", "eu-1a");
        check_config(&brokers(), &Security::default(), &fine, &own).unwrap();
    }

    #[test]
    fn a_configuration_is_looked_over_without_its_secrets() {
        let missing = Secret::File { file: "/no/such/file".into() };
        let sasl = Some(Sasl::ScramSha512 { username: "u".into(), password: missing });
        let security = Security { tls: Some(KafkaTls::default()), sasl };
        let none = BTreeMap::new();
        check_config(&brokers(), &security, &none, &[]).unwrap();
        let error = client_config(&brokers(), &security, &none, &[]).unwrap_err();
        assert!(error.starts_with("sasl.password: "), "{error}");
        let tls = KafkaTls { certificate: Some("c.pem".into()), ..KafkaTls::default() };
        let security = Security { tls: Some(tls), sasl: None };
        let error = check_config(&brokers(), &security, &none, &[]).unwrap_err();
        assert!(error.contains("tls.key"), "{error}");
        check_config(&[], &Security::default(), &none, &[]).unwrap_err();
    }
}
