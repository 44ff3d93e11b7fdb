//! Prefixes are taken or refused with their mistakes; what is taken makes keys at any time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe::{
    limits,
    partition::{KeyNaming, KeyOptions, ObjectName},
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.split('\n');
    let mut next = || parts.next().unwrap_or_default().to_owned();
    let options = KeyOptions {
        prefix: next(),
        error_output_prefix: next(),
        custom_time_zone: Some(next()),
        file_extension: Some(next()),
        ..KeyOptions::default()
    };
    let naming = match KeyNaming::parse(&options) {
        Ok(naming) => naming,
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            assert!(mistakes.iter().all(|mistake| !mistake.to_string().is_empty()));
            return;
        }
    };
    for oldest_arrival_ms in [0, 1_783_951_512_345, i64::MIN, i64::MAX] {
        let name = ObjectName {
            stream: "stream",
            version_id: 1,
            oldest_arrival_ms,
            extension: ".gz",
            uuid: uuid::Uuid::nil(),
        };
        for key in [naming.object_key(&name), naming.error_key(&name, "processing-failed")] {
            if let Ok(key) = key {
                assert!(key.len() <= limits::S3_KEY_BYTES_MAX && key.contains("stream-1-"));
            }
        }
    }
});
