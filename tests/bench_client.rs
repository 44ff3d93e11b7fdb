//! The load generator of the end-to-end benchmark does what real clients do: its signatures are
//! those of the AWS SDK, its bodies hold the records they claim.

#[path = "../benches/e2e/data.rs"]
mod data;
#[path = "../benches/e2e/sign.rs"]
mod sign;

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign as sdk_sign},
    sign::v4,
};

#[test]
fn signatures_are_those_of_the_sdk() {
    let now_ms = 1_760_000_123_000;
    let body = data::single("bench", data::Kind::Reading, 1, &mut fastrand::Rng::with_seed(1));
    let headers = [
        ("amz-sdk-invocation-id", "2d9a6a4c-8f0b-4f0e-9d69-0d6b4a1c9a01"),
        ("content-type", "application/x-amz-json-1.1"),
        ("host", "127.0.0.1:4573"),
        ("x-amz-date", "20251009T085523Z"),
        ("x-amz-target", "Firehose_20150804.PutRecord"),
    ];
    assert_eq!(sign::amz_date(now_ms), "20251009T085523Z");
    let own = sign::Signer::new("AKIAEXAMPLE", "secret", "eu-west-1", "firehose").authorization(
        "POST",
        "/",
        &headers,
        &body.sha256,
        &sign::amz_date(now_ms),
    );

    let identity = Credentials::new("AKIAEXAMPLE", "secret", None, None, "test").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name("firehose")
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(now_ms as u64))
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let request = SignableRequest::new(
        "POST",
        "http://127.0.0.1:4573/",
        headers.into_iter().filter(|(name, _)| *name != "x-amz-date"),
        SignableBody::Bytes(&body.json),
    )
    .unwrap();
    let (instructions, _) = sdk_sign(request, &parameters).unwrap().into_parts();
    let sdk = instructions.headers().find(|(name, _)| *name == "authorization").unwrap().1;
    assert_eq!(own, sdk);
}

#[test]
fn a_batch_holds_its_records() {
    for kind in [data::Kind::Reading, data::Kind::Event, data::Kind::Regional(10)] {
        let batches = data::batches("bench", kind, 2);
        let plain = data::plain(kind, 2 * data::BATCH_RECORDS * kind.bytes());
        let mut decoded = Vec::new();
        for body in &batches {
            let json: serde_json::Value = serde_json::from_slice(&body.json).unwrap();
            let records = json["Records"].as_array().unwrap();
            assert_eq!(records.len() as u64, body.records);
            for record in records {
                let data = record["Data"].as_str().unwrap();
                let bytes = base64_simd::STANDARD.decode_to_vec(data).unwrap();
                let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                assert!(value["id"].as_str().is_none(), "{} ids are numbers", kind.name());
                decoded.extend(bytes);
            }
        }
        assert_eq!(decoded.len() as u64, batches.iter().map(|b| b.record_bytes).sum::<u64>());
        assert!(decoded == plain, "the kernels see other records than the daemon");
    }
}

#[test]
fn a_stamp_comes_back_from_the_record_it_was_put_into() {
    let mut rng = fastrand::Rng::with_seed(1);
    let stamp = 1_760_000_123_000_000_000;
    let body = data::stamped("bench", data::Kind::Reading, 1, stamp, &mut rng);
    let call: serde_json::Value = serde_json::from_slice(&body.json).unwrap();
    let text = call["Record"]["Data"].as_str().unwrap();
    let record = base64_simd::STANDARD.decode_to_vec(text).unwrap();
    assert!(serde_json::from_slice::<serde_json::Value>(&record).unwrap().is_object());
    assert_eq!(data::stamp_of(&record).unwrap(), stamp);
    assert!(data::stamp_of(b"{}").is_err());
}
