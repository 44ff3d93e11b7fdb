//! The filters that a program can call: jaq's, but for those that reach out of the record.
//!
//! | filter | here |
//! |---|---|
//! | `env`, `$ENV`, `input`, `inputs`, `import`, `include` | unknown: a filter reads its record, `$source` and nothing else |
//! | `now` | unknown: a record that is read again after a crash must be taken apart the same way |
//! | `debug`, `stderr` | pass their input on and print nothing: records do not belong into logs |
//! | `range` | counts its steps |
//! | `fromjson` | takes one JSON document, as deep as a record may be |
//! | `*` on strings | bounded in size |
//!
//! `IN`, `INDEX`, `leaf_paths`, `@csv` and `@tsv`, which jq has and jaq's libraries lack, are
//! defined here.

use std::cmp::Ordering;

use bytes::Bytes;
use jaq_core::{
    Bind, Cv, Error, Exn, Native, ValX, ValXs,
    load::parse::Def,
    native::{bome, run, v},
};
use jaq_json::{Num, Val};

use super::{document, guard::Guarded, rewrite};
use crate::limits;

type Fun = (&'static str, Box<[Bind]>, Native<Guarded>);

/// jaq's filters that are left out or done here.
const REPLACED: [&str; 6] = ["env", "now", "debug_empty", "stderr_empty", "range", "fromjson"];

const DEFINITIONS: &str = r#"
def IN(s): any(s == .; .);
def IN(src; s): any(src == s; .);
def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] = $row);
def INDEX(f): INDEX(.[]; f);
def leaf_paths: paths(scalars);
def @csv: [.[] | if type == "string" then "\"" + (split("\"") | join("\"\"")) + "\""
  elif . == null then "" else tostring end] | join(",");
def @tsv: [.[] | if type == "string" then (split("\\") | join("\\\\") | split("\t") | join("\\t")
  | split("\n") | join("\\n") | split("\r") | join("\\r"))
  elif . == null then "" else tostring end] | join("\t");
"#;

/// Definitions in the language of jq.
pub(super) fn definitions<'s>() -> impl Iterator<Item = Def<&'s str>> {
    let own = jaq_core::load::parse(DEFINITIONS, |parser| parser.defs());
    let own = own.expect("definitions of our own, covered by tests");
    let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).chain(own);
    all.map(|def| -> Def<&'s str> { rewrite::definition(def) })
}

/// Filters in Rust.
pub(super) fn functions() -> impl Iterator<Item = Fun> {
    let jaqs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let own: [Fun; 5] = [
        run(("debug_empty", v(0), |_| Box::new(std::iter::empty()))),
        run(("stderr_empty", v(0), |_| Box::new(std::iter::empty()))),
        run(("range", v(3), |cv| range(cv))),
        run(("fromjson", v(0), |cv| bome(from_json(cv.1)))),
        run((rewrite::TIMES, v(2), |mut cv| {
            let (right, left) = (cv.0.pop_var(), cv.0.pop_var());
            bome(times(left, right))
        })),
    ];
    jaqs.filter(|(name, ..)| !REPLACED.contains(name)).chain(own)
}

/// `range($from; $to; $by)`: without its own count of steps, a range that is collected would never
/// come back.
fn range<'a>(mut cv: Cv<'a, Guarded>) -> ValXs<'a, Val> {
    let (by, to, from) = (cv.0.pop_var(), cv.0.pop_var(), cv.0.pop_var());
    let budget = cv.0.data().budget;
    let direction = by.cmp(&Val::from(0usize));
    let mut next: Option<ValX<'a, Val>> = Some(Ok(from));
    Box::new(std::iter::from_fn(move || {
        budget.step();
        let value = match next.take()? {
            Ok(value) => value,
            error => return Some(error),
        };
        let goes_on = match direction {
            Ordering::Greater => value < to,
            Ordering::Less => value > to,
            Ordering::Equal => value != to,
        };
        if !goes_on {
            return None;
        }
        next = Some((value.clone() + by.clone()).map_err(Exn::from));
        Some(Ok(value))
    }))
}

fn from_json(value: Val) -> Result<Val, Error<Val>> {
    match &value {
        Val::TStr(text) => document::read(text, None)
            .ok_or_else(|| Error::str("fromjson: the string is not one JSON document")),
        _ => Err(Error::typ(value, "string")),
    }
}

/// Multiplication; a string that would come out too long is an error.
fn times(left: Val, right: Val) -> Result<Val, Error<Val>> {
    let bytes = |text: &Bytes, times: &Num| {
        let times = times.as_isize().map_or(u64::MAX, |times| times.max(0) as u64);
        (text.len() as u64).saturating_mul(times)
    };
    let size = match (&left, &right) {
        (Val::TStr(text) | Val::BStr(text), Val::Num(times))
        | (Val::Num(times), Val::TStr(text) | Val::BStr(text))
            if matches!(times, Num::Int(_) | Num::BigInt(_)) =>
        {
            bytes(text, times)
        }
        _ => 0,
    };
    if size > limits::JQ_OUTPUT_BYTES_MAX as u64 {
        return Err(Error::str("the repeated string would be too long"));
    }
    left * right
}
