//! What the Kinesis Agent does to lines before it sends them (`dataProcessingOptions`; developer
//! guide, "Pre-process data with Agents"), as transforms: the same bytes come out.
//!
//! | transform | of the agent | fails as |
//! |---|---|---|
//! | `single_line` | SINGLELINE | never |
//! | `csv_to_json` | CSVTOJSON | never: columns that are missing are null |
//! | `log_to_json` | LOGTOJSON | `processing-failed`, where the agent forgets the line |
//!
//! They take text: bytes that are no UTF-8 become U+FFFD. A newline at the end of a record stays
//! there, and none is added.

pub mod csv_to_json;
pub mod log_to_json;
mod object;
pub mod single_line;

pub use csv_to_json::CsvToJson;
pub use log_to_json::LogToJson;
pub use single_line::SingleLine;

/// A record without the newline at its end, and that newline.
fn without_newline(record: &[u8]) -> (&[u8], &'static [u8]) {
    match record.strip_suffix(b"\n") {
        Some(line) => (line, b"\n"),
        None => (record, b""),
    }
}

#[cfg(test)]
mod tests;
