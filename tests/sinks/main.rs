//! Sinks against what they will meet: real servers, a disk, and a server that misbehaves on cue.

mod check;
mod conformance;
mod double;
mod real;
mod scripted;
#[path = "../common/servers.rs"]
mod servers;

use bytes::Bytes;
use standpipe::{
    limits,
    record::{Ranges, Route},
    seams::Shipment,
    sinks::s3::{Checksums, CredentialSource, Encryption, Options},
    units::{ByteSize, Secret},
};

/// Options for a bucket `logs` at this endpoint, with the servers' keys.
fn options(endpoint: &str) -> Options {
    Options {
        bucket: "logs".into(),
        region: "us-east-1".into(),
        endpoint: Some(endpoint.into()),
        path_style: true,
        credentials: Some(CredentialSource {
            access_key_id: Secret::Value(servers::ACCESS_KEY.into()),
            secret_access_key: Secret::Value(servers::SECRET_KEY.into()),
            session_token: None,
        }),
        role_arn: None,
        external_id: None,
        sts_endpoint: None,
        encryption: Encryption::None,
        checksums: Checksums::WhenSupported,
        multipart_threshold: ByteSize(limits::MULTIPART_BYTES_DEFAULT),
        check_prefix: String::new(),
    }
}

fn shipment(key: &str, body: impl Into<Bytes>) -> Shipment {
    Shipment {
        key: key.into(),
        body: body.into(),
        content_type: "application/octet-stream",
        content_encoding: None,
        records: 1,
        positions: Ranges::of(0, 1),
        route: Route::Objects,
        list: None,
    }
}

/// Bytes without a pattern that a wrong order of parts would leave intact.
fn noise(len: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(len as u64);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes.into()
}
