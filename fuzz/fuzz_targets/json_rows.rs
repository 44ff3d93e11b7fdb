//! Any record becomes rows, all or none of its objects; a record that fails leaves the next alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe::encode::{
    rows::{Deserializer, HiveJson, OpenxJson, RowReader, Unknown},
    schema::TableSchema,
};

const COLUMNS: &str = "flag boolean, small tinyint, id bigint, ratio double, amount decimal(10,2), \
    name string, short varchar(3), day date, at timestamp, raw binary, tags array<string>, \
    counts map<string,int>, place struct<lat:double,lon:float>";

fuzz_target!(|data: &[u8]| {
    let Some((&choice, record)) = data.split_first() else { return };
    let schema = TableSchema::from_ddl(COLUMNS).expect("it is valid");
    let options = if choice % 2 == 0 {
        Deserializer::OpenxJson(OpenxJson {
            convert_dots_in_json_keys_to_underscores: choice % 4 == 0,
            ..OpenxJson::default()
        })
    } else {
        Deserializer::HiveJson(HiveJson::default())
    };
    let mut reader = RowReader::new(&schema, &options, Unknown::Rest).expect("it is valid");
    let before = reader.read(b"{\"id\":1}").expect("it is valid");
    let rows = match reader.read(record) {
        Ok(rows) => {
            assert!(rows > 0);
            rows
        }
        Err(failure) => {
            assert!(!failure.cause.message.is_empty());
            0
        }
    };
    let after = reader.read(b"{\"id\":2}").expect("it is valid");
    assert_eq!(reader.rows(), before + rows + after);
    assert_eq!(reader.take().num_rows(), before + rows + after);
});
