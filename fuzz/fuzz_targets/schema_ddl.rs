//! Any text is a table or a mistake; types are written as they are read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe::encode::schema::{HiveType, TableSchema};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match TableSchema::from_ddl(text) {
        Err(mistake) => assert!(!mistake.to_string().is_empty()),
        Ok(schema) => {
            assert_eq!(schema.to_arrow().fields().len(), schema.columns.len());
            for column in schema.columns.iter().chain(&schema.partition_keys) {
                let again: HiveType = column.of.to_string().parse().expect("it was written by us");
                assert_eq!(again, column.of);
            }
        }
    }
});
