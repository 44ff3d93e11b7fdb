//! Finds where JSON objects begin and end, without reading what is in them: by their quotes and
//! brackets, counted, so that no depth of nesting costs more than its bytes.

use std::ops::Range;

use super::super::json_scan::{is_space, plain_run};
use crate::limits;

/// The places of the objects in `data`. `None` if it is anything else than objects with white
/// space around, if the last of them is cut off, or if there are more than may be.
pub(super) fn objects(data: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at += data[at..].iter().take_while(|&&byte| is_space(byte)).count();
        if at == data.len() {
            return Some(found);
        }
        if data[at] != b'{' || found.len() == limits::SUB_RECORDS_MAX {
            return None;
        }
        let length = object_length(&data[at..])?;
        found.push(at..at + length);
        at += length;
    }
}

/// The length of the object that `data` begins with.
fn object_length(data: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    loop {
        match data.get(at)? {
            b'"' => at = string_end(data, at + 1)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return Some(at + 1),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

/// The index of the quote that ends the string whose characters begin at `at`.
fn string_end(data: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += plain_run(data.get(at..)?);
        match data.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            // A control character is an error of JSON, but none that hides where the string ends.
            _ => at += 1,
        }
    }
}
