//! What every source that pulls is given.

use std::path::PathBuf;

use crate::{
    env::Env,
    net::aws::Access,
    telemetry::{Metrics, SourceMetrics},
};

/// Whose source it is, and what it works with.
#[derive(Clone)]
pub struct Context {
    /// The stream's name.
    pub stream: String,
    /// A folder of the source's own in the data directory; made when it is first written to.
    pub folder: PathBuf,
    /// As whom AWS is asked: the `aws` section of the configuration, with the source's own region
    /// and role.
    pub access: Access,
    /// URL of a server that speaks the API of MSK; AWS if absent.
    pub msk_endpoint: Option<String>,
    pub metrics: SourceMetrics,
    pub env: Env,
}

impl Context {
    /// One to look options over with: nobody is asked, and nothing is written.
    pub fn for_check(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            folder: PathBuf::new(),
            access: Access {
                region: "us-east-1".into(),
                keys: None,
                role: None,
                sts_endpoint: None,
            },
            msk_endpoint: None,
            metrics: Metrics::new().source(stream),
            env: Env::real(),
        }
    }
}
