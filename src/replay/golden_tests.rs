//! Lines as Amazon Data Firehose leaves them, and as this program writes them.

use std::io::Cursor;

use proptest::prelude::*;
use serde_json::json;

use super::{FailedLine, Form, Kind, Lines, Step, Wanted, unpack};
use crate::{
    backup::{Extra, FailedRecord, write_line},
    encode::{Compression, encoder},
    fault::{Cause, output_type},
    seams::RawBatch,
};

const ARRIVAL_MS: i64 = 1_783_951_512_345;
const ENDED_MS: i64 = 1_783_951_600_000;

macro_rules! fixture {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../tests/fixtures/replay/", $name)).as_slice())
    };
}

fn read(packed: &[u8], kind: Option<Kind>) -> Vec<FailedLine> {
    let wanted = Wanted { kind, ..Wanted::default() };
    let mut lines = Lines::new(unpack(Cursor::new(packed.to_vec())).unwrap(), Form::Errors, wanted);
    let mut found = Vec::new();
    while let Some(step) = lines.step().unwrap() {
        let Step::Line(line) = step else { panic!("{step:?}") };
        found.push(line);
    }
    found
}

/// An object, what its lines are, and of each line its record, code, attempts and own members.
type Golden = (
    (&'static str, &'static [u8]),
    Kind,
    Vec<(&'static [u8], &'static str, u32, Vec<&'static str>)>,
);

fn golden() -> Vec<Golden> {
    let table = vec!["sequenceNumber", "subSequenceNumber", "dataCatalogTable"];
    vec![
        (
            fixture!("processing-failed"),
            Kind::Processing,
            vec![
                (b"{\"id\":1}\n", "Lambda.FunctionError", 4, vec!["lambdaARN"]),
                (b"\x00\xff\xfe", "Lambda.MissingRecordId", 1, vec!["lambdaArn"]),
            ],
        ),
        (
            fixture!("format-conversion-failed"),
            Kind::FormatConversion,
            vec![
                (b"{\"n\":\"oops\"}", "DataFormatConversion.MalformedData", 1, table.clone()),
                (b"", "DataFormatConversion.ParseError", 1, table),
            ],
        ),
        (
            fixture!("AmazonOpenSearchService_failed"),
            Kind::OpenSearch,
            vec![
                (b"{\"a\":1}", "400", 8, vec!["esDocumentId", "esIndexName", "esTypeName"]),
                (b"{\"a\":2}", "OS.ValidationException", 1, vec!["osDocumentId", "osIndexName"]),
            ],
        ),
        (
            fixture!("splunk-failed"),
            Kind::Splunk,
            vec![
                (b"event one\n", "Splunk.AckTimeout", 0, vec!["EventId"]),
                (b"event two\n", "Splunk.InvalidToken", 12, vec!["EventId"]),
            ],
        ),
        (
            fixture!("http-endpoint-failed"),
            Kind::HttpEndpoint,
            vec![
                (
                    b"{\"k\":\"v\"}",
                    "HttpEndpoint.DestinationException",
                    5,
                    vec!["subsequenceNumber", "dataId"],
                ),
                (
                    b"{\"k\":\"w\"}",
                    "HttpEndpoint.RequestTimeout",
                    5,
                    vec!["subsequenceNumber", "dataId"],
                ),
            ],
        ),
        (
            fixture!("snowflake-failed"),
            Kind::Snowflake,
            vec![(b"{\"X\":1}", "Snowflake.ExtraColumns", 1, vec![])],
        ),
        (
            fixture!("iceberg-failed"),
            Kind::Iceberg,
            vec![
                (b"{\"id\":1}", "Iceberg.NoSuchTable", 1, vec![]),
                (b"{\"id\":2}", "S3.AccessDenied", 1, vec!["EventId", "SubsequenceNumber"]),
            ],
        ),
        (
            fixture!("decompression-failed"),
            Kind::Decompression,
            vec![(b"\x1f\x8bno", "Decompression.InvalidData", 1, vec![])],
        ),
        (
            fixture!("metadata-extraction-failed"),
            Kind::Partitioning,
            vec![(b"{\"a\":null}", "DynamicPartitioning.MetadataExtractionFailed", 1, vec![])],
        ),
        (
            fixture!("activePartitionExceeded"),
            Kind::PartitionsExceeded,
            vec![(b"{\"a\":1}", "DynamicPartitioning.ActivePartitionsLimitExceeded", 1, vec![])],
        ),
    ]
}

#[test]
fn every_kind_of_error_object_is_read() {
    for ((name, bytes), kind, expected) in golden() {
        let by_key = Kind::of_key(&format!("errors/{name}/2026/07/13/14/object"));
        assert_eq!(by_key, Some(kind), "{name}");
        let lines = read(bytes, by_key);
        assert_eq!(lines.len(), expected.len(), "{name}");
        for (line, (raw, code, attempts, details)) in lines.iter().zip(expected) {
            assert_eq!(line.raw, raw, "{name}");
            assert_eq!((line.kind, &*line.code, line.attempts), (kind, code, attempts), "{name}");
            assert_eq!(line.arrival_ms, Some(ARRIVAL_MS), "{name}");
            assert_eq!(line.ended_ms, Some(ENDED_MS), "{name}");
            assert!(!line.message.is_empty(), "{name}");
            let names: Vec<&str> = line.details.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, details, "{name}");
        }
    }
}

#[test]
fn most_lines_tell_their_kind_without_a_key() {
    for ((name, bytes), kind, _) in golden() {
        let found: Vec<Kind> = read(bytes, None).iter().map(|line| line.kind).collect();
        match name {
            // An error of S3 with the member of another kind: only its key tells.
            "iceberg-failed" => assert_eq!(found, [kind, Kind::Splunk]),
            _ => assert!(found.iter().all(|found| *found == kind), "{name}: {found:?}"),
        }
    }
}

#[test]
fn packed_objects_are_the_same_objects() {
    let (_, plain) = fixture!("http-endpoint-failed");
    let (_, gzip) = fixture!("http-endpoint-failed.gz");
    let lines = read(plain, None);
    assert_eq!(read(gzip, None), lines);
    for compression in [
        Compression::Gzip,
        Compression::Zip,
        Compression::Snappy,
        Compression::HadoopSnappy,
        Compression::Zstd,
    ] {
        let packed = encoder(compression).encode(RawBatch::of(plain.to_vec(), 2)).unwrap().body;
        assert_eq!(read(&packed, None), lines, "{compression:?}");
    }
}

#[test]
fn a_manifest_names_the_objects_of_its_copy() {
    let (_, bytes) = fixture!("manifest");
    let mut lines = Lines::new(Cursor::new(bytes), Form::Errors, Wanted::default());
    let urls = ["s3://data/2026/07/13/one", "s3://data/2026/07/13/two.gz"];
    assert_eq!(lines.step().unwrap(), Some(Step::Manifest(urls.map(str::to_owned).to_vec())));
    assert_eq!(lines.step().unwrap(), None);
}

proptest! {
    /// What this program writes it reads, whatever the kind, the code and the bytes.
    #[test]
    fn what_is_written_is_read(
        output_type in prop::sample::select(output_type::ALL.to_vec()),
        raws in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..8),
        code in "[ -~]{0,12}|\\PC{0,5}",
        message in "\\PC{0,40}|[\\x00-\\x7f]{0,40}",
        attempts: u32,
        arrival_ms in 0i64..=4_102_444_800_000,
        lag_ms in 0i64..100_000,
        event in "\\PC{0,10}",
        number: u32,
    ) {
        let cause = Cause::new(code.clone(), message.clone());
        let block = json!({"databaseName": event, "n": [number, null]});
        let extra = [
            ("some", Extra::Text(&event)),
            ("number", Extra::Number(u64::from(number))),
            ("block", Extra::Json(&block)),
        ];
        let mut text = Vec::new();
        for raw in &raws {
            write_line(&mut text, &FailedRecord {
                output_type,
                raw,
                cause: &cause,
                attempts,
                arrival_ms,
                ended_ms: arrival_ms + lag_ms,
                extra: &extra,
            });
        }
        let kind = Kind::parse(output_type);
        let lines = read(&text, kind);
        prop_assert_eq!(lines.len(), raws.len());
        for ((number_of, line), raw) in (0..).zip(&lines).zip(&raws) {
            let expected = FailedLine {
                // Codes and members of other kinds do not occur here.
                kind: kind.unwrap(),
                raw: raw.clone().into(),
                code: code.as_str().into(),
                message: message.as_str().into(),
                attempts,
                arrival_ms: Some(arrival_ms),
                ended_ms: Some(arrival_ms + lag_ms),
                details: vec![
                    ("some".to_owned(), json!(event)),
                    ("number".to_owned(), json!(number)),
                    ("block".to_owned(), block.clone()),
                ],
                ordinal: number_of,
                line: number_of + 1,
            };
            prop_assert_eq!(line, &expected);
        }
    }
}
