//! MetadataExtraction: takes the values of `partitionKeyFromQuery` from JSON records.

use std::{borrow::Cow, sync::Arc};

use async_trait::async_trait;
use jaq_json::Val;

use super::{
    JqError, Program, document,
    guard::{self, Room},
    number,
    program::{self, Failed, Outputs},
    scan::{Found, Search},
};
use crate::{
    fault::{Failure, output_type::METADATA_EXTRACTION_FAILED},
    limits,
    record::{Notes, Piece, Record},
    seams::{Transform, Verdict},
};

/// The code of Firehose's error records.
const CODE: &str = "DynamicPartitioning.MetadataExtractionFailed";
/// Firehose's words, seen in error records.
const NOT_JSON: &str = "Non JSON record provided";
const NULL_OR_EMPTY: &str = "partitionKeys values must not be null or empty";

/// Takes keys from JSON records by a query that gives one object.
///
/// Strings are taken as they are, numbers and booleans as jq prints them. Objects and lists become
/// compact JSON: Firehose says nothing of them, and `tostring` in the query would do the same.
#[derive(Debug)]
pub struct Extraction {
    program: Program,
    keys: Option<Vec<String>>,
    fast: Option<Fast>,
}

/// A query that only follows paths.
#[derive(Debug)]
struct Fast {
    names: Vec<Arc<str>>,
    search: Search,
}

type Keys = Vec<(Arc<str>, String)>;

impl Extraction {
    pub fn new(query: &str) -> Result<Self, JqError> {
        let (program, shape) = program::inspect(query)?;
        if shape.is_no_object {
            return Err(JqError::NoObject);
        }
        let Some(construction) = shape.construction else {
            return Ok(Self { program, keys: None, fast: None });
        };
        let keys = construction.keys.len();
        if !(1..=limits::EXTRACTION_KEYS_MAX).contains(&keys) {
            return Err(JqError::Keys { keys });
        }
        let search = construction.paths.and_then(|paths| Search::new(&paths));
        let names = || construction.keys.iter().map(|key| key.as_str().into()).collect();
        let fast = search.map(|search| Fast { names: names(), search });
        Ok(Self { program, fast, keys: Some(construction.keys) })
    }

    /// The keys that the query gives, where its text tells them.
    pub fn keys(&self) -> Option<Vec<String>> {
        self.keys.clone()
    }

    /// By jaq; every record of `open` has no verdict yet.
    fn run(&self, records: &[Record], open: &[usize], room: Room) -> Vec<Result<Keys, Failure>> {
        let keys = |&index: &usize| {
            self.program.run(&records[index], room, object).map_err(|failed| {
                Failure::new(
                    METADATA_EXTRACTION_FAILED,
                    CODE,
                    match failed {
                        Failed::NotJson => NOT_JSON.to_owned(),
                        Failed::Jq(message) => message,
                    },
                )
            })
        };
        open.iter().map(keys).collect()
    }
}

#[async_trait]
impl Transform for Extraction {
    fn name(&self) -> &'static str {
        "metadata_extraction"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let mut found = Vec::new();
        let mut open = Vec::new();
        let mut verdicts = Vec::with_capacity(records.len());
        for (index, record) in records.iter().enumerate() {
            let keys = self.fast.as_ref().and_then(|fast| fast.keys(&record.data, &mut found));
            if keys.is_none() {
                open.push(index);
            }
            verdicts.push(emit(record, keys.unwrap_or_default()));
        }
        if open.is_empty() {
            return verdicts;
        }
        let results = guard::with_room(|room| self.run(records, &open, room));
        for (index, result) in open.into_iter().zip(results) {
            verdicts[index] = match result {
                Ok(keys) => emit(&records[index], keys),
                Err(failure) => Verdict::Fail(failure),
            };
        }
        verdicts
    }
}

impl Fast {
    /// The keys, if every path leads to a text, a number or a boolean. `found` is scratch space.
    fn keys<'a>(&self, record: &'a [u8], found: &mut Vec<Option<Found<'a>>>) -> Option<Keys> {
        if !self.search.run(record, found) {
            return None;
        }
        let mut keys = Vec::with_capacity(self.names.len());
        for (name, found) in self.names.iter().zip(found) {
            keys.push((name.clone(), plain(found.as_ref()?)?.into_owned()));
        }
        Some(keys)
    }
}

/// A value that needs no jq to become a key.
fn plain<'a>(found: &Found<'a>) -> Option<Cow<'a, str>> {
    match found {
        Found::String(quoted) => quoted.text().filter(|text| !text.is_empty()),
        Found::Word(b"true") => Some(Cow::Borrowed("true")),
        Found::Word(b"false") => Some(Cow::Borrowed("false")),
        Found::Word(word) => number::canonical(word),
        Found::Nested => None,
    }
}

fn emit(record: &Record, keys: Keys) -> Verdict {
    let mut notes: Notes = record.notes.clone();
    if !keys.is_empty() {
        let from_query = &mut notes.edit().from_query;
        if from_query.is_empty() {
            *from_query = keys;
        } else {
            from_query.extend(keys);
        }
    }
    Verdict::Emit(Piece { data: record.data.clone(), notes })
}

/// The one object that a query must give.
fn object(outputs: &mut Outputs<'_>) -> Result<Keys, String> {
    let first = outputs.next().ok_or("the query gave no object")??;
    match outputs.next() {
        None => {}
        Some(Err(message)) => return Err(message),
        Some(Ok(_)) => return Err("the query gave more than one object".to_owned()),
    }
    let Val::Obj(entries) = first else {
        return Err("the query gave something else than an object".to_owned());
    };
    if entries.len() > limits::EXTRACTION_KEYS_MAX {
        return Err(JqError::Keys { keys: entries.len() }.to_string());
    }
    let key = |(name, value): (&Val, &Val)| {
        let Val::TStr(name) = name else { return Err("Object keys must be strings".to_owned()) };
        Ok((String::from_utf8_lossy(name).as_ref().into(), text(value)?))
    };
    entries.iter().map(key).collect()
}

fn text(value: &Val) -> Result<String, String> {
    match value {
        Val::TStr(text) if !text.is_empty() => Ok(String::from_utf8_lossy(text).into_owned()),
        Val::Null | Val::TStr(_) => Err(NULL_OR_EMPTY.to_owned()),
        Val::Num(num) => Ok(document::num_text(num)),
        other => {
            let mut json = Vec::new();
            document::write(other, &mut json).map_err(|error| error.to_string())?;
            Ok(String::from_utf8_lossy(&json).into_owned())
        }
    }
}
