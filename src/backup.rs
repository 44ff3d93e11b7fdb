//! The stored form of a failed record: one line of JSON in an object under the error prefix.
//!
//! Fields and their order are those of Firehose's own error objects (captured lines and the
//! guide's examples); they differ by kind of failure:
//!
//! | kind | fields |
//! |---|---|
//! | processing, partitioning, decompression | rawData, errorCode, errorMessage, attemptsMade, arrivalTimestamp, attemptEndingTimestamp, then the extra ones (`lambdaARN`) |
//! | format conversion | attemptsMade, arrivalTimestamp, lastErrorCode, lastErrorMessage, attemptEndingTimestamp, rawData, then the extra ones |
//! | OpenSearch | attemptsMade, arrivalTimestamp, errorCode, errorMessage, attemptEndingTimestamp, the extra ones (`esDocumentId`, ...), rawData |
//! | all others | attemptsMade, arrivalTimestamp, errorCode, errorMessage, attemptEndingTimestamp, rawData, then the extra ones (`EventId`, ...) |
//!
//! The lines of partitioning and decompression were not captured; they take the form of the
//! processing step that they are.

use crate::fault::{Cause, output_type::*};

/// A record that was given up, and why.
#[derive(Debug, Clone, Copy)]
pub struct FailedRecord<'a> {
    /// One of [`crate::fault::output_type`]; decides about the order of the fields.
    pub output_type: &'a str,
    /// The record: as it arrived where processing failed, as it was sent where a destination
    /// refused it.
    pub raw: &'a [u8],
    pub cause: &'a Cause,
    pub attempts: u32,
    /// When the record arrived, in milliseconds since 1970.
    pub arrival_ms: i64,
    /// When the last attempt ended, in milliseconds since 1970.
    pub ended_ms: i64,
    /// Fields of the kind of failure, in their order.
    pub extra: &'a [(&'a str, Extra<'a>)],
}

/// The value of an extra field.
#[derive(Debug, Clone, Copy)]
pub enum Extra<'a> {
    Text(&'a str),
    Number(u64),
    /// A block of its own, as `dataCatalogTable` is.
    Json(&'a serde_json::Value),
}

/// Appends the record as one line: compact JSON and a line feed.
pub fn write_line(out: &mut Vec<u8>, record: &FailedRecord<'_>) {
    let Cause { code, message } = record.cause;
    let mut line = Line { out, first: true };
    line.out.push(b'{');
    match record.output_type {
        PROCESSING_FAILED
        | DECOMPRESSION_FAILED
        | METADATA_EXTRACTION_FAILED
        | ACTIVE_PARTITION_EXCEEDED => {
            line.raw_data(record.raw);
            line.text("errorCode", code);
            line.text("errorMessage", message);
            line.number("attemptsMade", record.attempts);
            line.number("arrivalTimestamp", record.arrival_ms);
            line.number("attemptEndingTimestamp", record.ended_ms);
            line.extra(record.extra);
        }
        FORMAT_CONVERSION_FAILED => {
            line.attempt(record, ["lastErrorCode", "lastErrorMessage"]);
            line.raw_data(record.raw);
            line.extra(record.extra);
        }
        OPENSEARCH_FAILED | ELASTICSEARCH_FAILED => {
            line.attempt(record, ["errorCode", "errorMessage"]);
            line.extra(record.extra);
            line.raw_data(record.raw);
        }
        _ => {
            line.attempt(record, ["errorCode", "errorMessage"]);
            line.raw_data(record.raw);
            line.extra(record.extra);
        }
    }
    line.out.extend_from_slice(b"}\n");
}

struct Line<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Line<'_> {
    fn attempt(&mut self, record: &FailedRecord<'_>, [code, message]: [&str; 2]) {
        self.number("attemptsMade", record.attempts);
        self.number("arrivalTimestamp", record.arrival_ms);
        self.text(code, &record.cause.code);
        self.text(message, &record.cause.message);
        self.number("attemptEndingTimestamp", record.ended_ms);
    }

    fn extra(&mut self, fields: &[(&str, Extra<'_>)]) {
        for (name, value) in fields {
            match value {
                Extra::Text(text) => self.text(name, text),
                Extra::Number(number) => self.number(name, *number),
                Extra::Json(value) => {
                    self.name(name);
                    self.json(value);
                }
            }
        }
    }

    /// Base64 goes straight into the line: it needs no escapes.
    fn raw_data(&mut self, raw: &[u8]) {
        self.name("rawData");
        self.out.push(b'"');
        base64_simd::STANDARD.encode_append(raw, self.out);
        self.out.push(b'"');
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.json(&text);
    }

    fn number(&mut self, name: &str, number: impl Into<i128>) {
        self.name(name);
        self.out.extend_from_slice(number.into().to_string().as_bytes());
    }

    fn name(&mut self, name: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.json(&name);
        self.out.push(b':');
    }

    fn json(&mut self, value: &impl serde::Serialize) {
        serde_json::to_writer(&mut *self.out, value).expect("texts and JSON values serialize");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(output_type: &str, extra: &[(&str, Extra<'_>)]) -> String {
        let cause = Cause::new("Some.Code", "it \"failed\"\nbadly");
        let mut out = Vec::new();
        write_line(
            &mut out,
            &FailedRecord {
                output_type,
                raw: b"\x00\xffhello",
                cause: &cause,
                attempts: 4,
                arrival_ms: 1_783_951_512_345,
                ended_ms: 1_783_951_600_000,
                extra,
            },
        );
        String::from_utf8(out).unwrap()
    }

    const ATTEMPT: &str = r#""attemptsMade":4,"arrivalTimestamp":1783951512345,"errorCode":"Some.Code","errorMessage":"it \"failed\"\nbadly","attemptEndingTimestamp":1783951600000"#;

    #[test]
    fn a_processing_failure_begins_with_the_record() {
        let extra = [("lambdaARN", Extra::Text("arn:aws:lambda:us-east-1:1:function:f"))];
        let fields = r#"{"rawData":"AP9oZWxsbw==","errorCode":"Some.Code","errorMessage":"it \"failed\"\nbadly","attemptsMade":4,"arrivalTimestamp":1783951512345,"attemptEndingTimestamp":1783951600000"#;
        assert_eq!(
            line(PROCESSING_FAILED, &extra),
            format!("{fields},\"lambdaARN\":\"arn:aws:lambda:us-east-1:1:function:f\"}}\n")
        );
        for kind in [METADATA_EXTRACTION_FAILED, ACTIVE_PARTITION_EXCEEDED, DECOMPRESSION_FAILED] {
            assert_eq!(line(kind, &[]), format!("{fields}}}\n"), "{kind}");
        }
    }

    #[test]
    fn a_destination_failure_ends_with_the_record_and_what_is_its_own() {
        for kind in [SPLUNK_FAILED, HTTP_ENDPOINT_FAILED, SNOWFLAKE_FAILED, ICEBERG_FAILED] {
            assert_eq!(
                line(kind, &[("subsequenceNumber", Extra::Number(7))]),
                format!("{{{ATTEMPT},\"rawData\":\"AP9oZWxsbw==\",\"subsequenceNumber\":7}}\n")
            );
        }
    }

    #[test]
    fn opensearch_puts_the_document_before_the_record() {
        for kind in [OPENSEARCH_FAILED, ELASTICSEARCH_FAILED] {
            assert_eq!(
                line(
                    kind,
                    &[("esDocumentId", Extra::Text("1")), ("esIndexName", Extra::Text("i"))]
                ),
                format!(
                    "{{{ATTEMPT},\"esDocumentId\":\"1\",\"esIndexName\":\"i\",\
                     \"rawData\":\"AP9oZWxsbw==\"}}\n"
                )
            );
        }
    }

    #[test]
    fn a_conversion_failure_speaks_of_the_last_error() {
        let table = serde_json::json!({"databaseName": "d", "tableName": "t"});
        let attempt = ATTEMPT
            .replace("errorCode", "lastErrorCode")
            .replace("errorMessage", "lastErrorMessage");
        assert_eq!(
            line(FORMAT_CONVERSION_FAILED, &[("dataCatalogTable", Extra::Json(&table))]),
            format!(
                "{{{attempt},\"rawData\":\"AP9oZWxsbw==\",\
                 \"dataCatalogTable\":{{\"databaseName\":\"d\",\"tableName\":\"t\"}}}}\n"
            )
        );
    }

    #[test]
    fn lines_are_appended_and_every_kind_is_one_line_of_json() {
        for kind in ALL {
            let line = line(kind, &[]);
            assert_eq!(line.matches('\n').count(), 1, "{kind}");
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value.as_object().unwrap().len(), 6, "{kind}");
            assert_eq!(value["rawData"], "AP9oZWxsbw==");
        }
        let mut out = b"before\n".to_vec();
        let cause = Cause::new("c", "m");
        let record = FailedRecord {
            output_type: SPLUNK_FAILED,
            raw: b"",
            cause: &cause,
            attempts: 0,
            arrival_ms: 0,
            ended_ms: -1,
            extra: &[],
        };
        write_line(&mut out, &record);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "before\n{\"attemptsMade\":0,\"arrivalTimestamp\":0,\"errorCode\":\"c\",\
             \"errorMessage\":\"m\",\"attemptEndingTimestamp\":-1,\"rawData\":\"\"}\n"
        );
    }
}
