//! Signature Version 4 for the load generator: cheap, because the client shares the machine with
//! what it measures. The key is derived once a day, bodies come with their digest.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt::Write as _;

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};

/// A key pair for one region and service.
pub struct Signer {
    access_key_id: String,
    secret: String,
    region: String,
    service: &'static str,
    /// The signing key of the day (`20260102`) it was derived for.
    derived: parking_lot::Mutex<Option<(String, hmac::Key)>>,
}

impl Signer {
    pub fn new(access_key_id: &str, secret: &str, region: &str, service: &'static str) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret: secret.into(),
            region: region.into(),
            service,
            derived: parking_lot::Mutex::new(None),
        }
    }

    /// The `Authorization` header. `headers` are all that is signed: lower case, sorted, with
    /// `host` and `x-amz-date`; `body_sha256` is hexadecimal.
    pub fn authorization(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body_sha256: &str,
        amz_date: &str,
    ) -> String {
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let mut canonical = format!("{method}\n{path}\n\n");
        for (name, value) in headers {
            writeln!(canonical, "{name}:{value}").expect("a string");
        }
        write!(canonical, "\n{names}\n{body_sha256}").expect("a string");

        let day = &amz_date[..8];
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{}",
            hex::encode(digest(&SHA256, canonical.as_bytes()))
        );
        let signature = hex::encode(hmac::sign(&self.key(day), to_sign.as_bytes()));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key_id
        )
    }

    fn key(&self, day: &str) -> hmac::Key {
        let mut derived = self.derived.lock();
        if let Some((of, key)) = derived.as_ref()
            && of == day
        {
            return key.clone();
        }
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", self.secret).as_bytes());
        for part in [day, &self.region, self.service, "aws4_request"] {
            let tag = hmac::sign(&key, part.as_bytes());
            key = hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref());
        }
        *derived = Some((day.to_owned(), key.clone()));
        key
    }
}

/// `20260102T030405Z` of a moment in milliseconds since the Unix epoch.
pub fn amz_date(now_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(now_ms)
        .expect("the clock stands within the calendar")
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string()
}
