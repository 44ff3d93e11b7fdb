//! Amazon MSK with IAM: a token is a signed URL, made here without asking anybody but the source
//! of credentials (AWS, "aws-msk-iam-sasl-signer").

use async_trait::async_trait;

use super::tokens::{Token, Tokens};
use crate::{
    limits,
    net::{aws::Access, http, presigned::Presigner},
};

/// The service's name in signatures.
const SERVICE: &str = "kafka-cluster";

/// Makes tokens for the clusters of one region.
pub(super) struct MskIam {
    url: String,
    presigner: Presigner,
}

impl MskIam {
    pub fn new(access: Access) -> Result<Self, String> {
        let suffix = if access.region.starts_with("cn-") { ".cn" } else { "" };
        let host = format!("https://kafka.{}.amazonaws.com{suffix}/", access.region);
        http::parse_url(&host).map_err(|_| "sasl.region: this is no region of AWS".to_owned())?;
        let url = format!("{host}?Action=kafka-cluster%3AConnect");
        Ok(Self { url, presigner: Presigner::new(access, SERVICE) })
    }
}

#[async_trait]
impl Tokens for MskIam {
    async fn fetch(&self, now_ms: i64) -> Result<Token, String> {
        let signing = self.presigner.get(&self.url, limits::MSK_TOKEN_LIFE, now_ms);
        let signed = signing.await.map_err(|error| error.to_string())?;
        // Not signed: it is read in the broker's logs.
        let url = format!("{}&User-Agent=standpipe%2F{}", signed.url, env!("CARGO_PKG_VERSION"));
        let told_ms = now_ms + limits::MSK_TOKEN_TOLD.as_millis() as i64;
        Ok(Token {
            value: base64_simd::URL_SAFE_NO_PAD.encode_to_string(url.as_bytes()),
            principal: "standpipe".into(),
            made_ms: now_ms,
            expires_ms: signed.credentials_end_ms.map_or(told_ms, |end| end.min(told_ms)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aws_sigv4::sign::v4;

    use super::*;
    use crate::{
        net::{aws::StaticKeys, sigv4::sha256},
        units::Secret,
    };

    /// 2026-01-02T03:04:05Z.
    const NOW_MS: i64 = 1_767_323_045_000;

    fn access(region: &str, session: Option<&str>) -> Access {
        let keys = StaticKeys {
            access_key_id: Secret::Value("AKIDEXAMPLE".into()),
            secret_access_key: Secret::Value("hush".into()),
            session_token: session.map(|token| Secret::Value(token.into())),
        };
        Access { region: region.into(), keys: Some(keys), role: None, sts_endpoint: None }
    }

    async fn url(region: &str, session: Option<&str>) -> http::Url {
        let token = MskIam::new(access(region, session)).unwrap().fetch(NOW_MS).await.unwrap();
        assert_eq!(token.expires_ms - NOW_MS, 540_000);
        let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token.value).unwrap();
        String::from_utf8(bytes).unwrap().parse().unwrap()
    }

    /// The signature as it must be, by the steps of the documentation ("Create a signed AWS API
    /// request").
    fn signature(url: &http::Url, region: &str) -> String {
        let query = url.query().unwrap().split('&');
        let mut signed: Vec<_> = query
            .filter(|pair| {
                !pair.starts_with("X-Amz-Signature=") && !pair.starts_with("User-Agent=")
            })
            .collect();
        signed.sort_unstable();
        let host = url.host_str().unwrap();
        let canonical = format!(
            "GET\n/\n{}\nhost:{host}\n\nhost\n{}",
            signed.join("&"),
            hex::encode(sha256(b""))
        );
        let hash = hex::encode(sha256(canonical.as_bytes()));
        let text = format!(
            "AWS4-HMAC-SHA256\n20260102T030405Z\n20260102/{region}/kafka-cluster/aws4_request\n{hash}"
        );
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(NOW_MS as u64);
        let key = v4::generate_signing_key("hush", time, region, "kafka-cluster");
        v4::calculate_signature(key, text.as_bytes())
    }

    #[tokio::test]
    async fn a_token_is_a_signed_url_that_checks_out() {
        for (region, host, session) in [
            ("eu-west-1", "kafka.eu-west-1.amazonaws.com", None),
            ("eu-west-1", "kafka.eu-west-1.amazonaws.com", Some("token/with+signs=")),
            ("cn-north-1", "kafka.cn-north-1.amazonaws.com.cn", None),
        ] {
            let url = url(region, session).await;
            assert_eq!((url.scheme(), url.host_str(), url.path()), ("https", Some(host), "/"));
            let pairs: BTreeMap<String, String> =
                url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
            let get = |name: &str| pairs.get(name).map(String::as_str);
            assert_eq!(get("Action"), Some("kafka-cluster:Connect"));
            assert_eq!(get("X-Amz-Algorithm"), Some("AWS4-HMAC-SHA256"));
            let scope = format!("AKIDEXAMPLE/20260102/{region}/kafka-cluster/aws4_request");
            assert_eq!(get("X-Amz-Credential"), Some(scope.as_str()));
            assert_eq!(get("X-Amz-Date"), Some("20260102T030405Z"));
            assert_eq!(get("X-Amz-Expires"), Some("900"));
            assert_eq!(get("X-Amz-SignedHeaders"), Some("host"));
            assert_eq!(get("X-Amz-Security-Token"), session);
            assert!(get("User-Agent").unwrap().starts_with("standpipe/"));
            assert_eq!(pairs.len(), 8 + usize::from(session.is_some()), "{pairs:?}");
            assert_eq!(get("X-Amz-Signature"), Some(signature(&url, region).as_str()));
        }
    }

    #[tokio::test]
    async fn a_region_that_is_none_is_refused() {
        assert!(MskIam::new(access("eu west/1", None)).is_err());
    }
}
