//! A jq filter, compiled once and run on many records.

use std::{
    ops::Range,
    panic::{self, AssertUnwindSafe},
};

use bytes::Bytes;
use jaq_core::{
    Compiler, Ctx, Exn, Filter, Vars,
    compile::Undefined,
    load::{
        Arena, File, Lexer, Loader, Parser,
        lex::Token,
        parse::{Def, Term},
    },
};
use jaq_json::Val;

use super::{
    JqError, document,
    guard::{self, Budget, Data, Exhausted, Guarded, Room},
    natives,
    query::{self, Construction},
    rewrite, source,
};
use crate::{limits, record::Record};

/// The name of the user's filter among the definitions.
const MAIN: &str = "standpipe_main";

/// A compiled filter.
pub struct Program {
    filter: Filter<Guarded>,
    /// What it reads of an object, if not all.
    fields: Option<Vec<String>>,
    /// Whether it asks where the record comes from.
    wants_source: bool,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

/// Why a filter gave no result for a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// The record is not exactly one JSON document.
    NotJson,
    /// What jq says, or what bound was reached.
    Jq(String),
}

/// The outputs of a filter for one record, pulled one by one.
pub(super) type Outputs<'a> = dyn Iterator<Item = Result<Val, String>> + 'a;

/// Compiles a filter of the jq language. It can read its input and nothing else.
pub fn compile(text: &str) -> Result<Program, JqError> {
    inspect(text).map(|(program, _)| program)
}

/// What there is to know of a filter before it runs.
pub(super) struct Shape {
    pub(super) construction: Option<Construction>,
    pub(super) is_no_object: bool,
}

/// Compiles, and looks at what the filter constructs.
pub(super) fn inspect(text: &str) -> Result<(Program, Shape), JqError> {
    within_bounds(text)?;
    // Parsing and compiling recurse as deeply as the text is nested.
    guard::with_room(|_| {
        let attempt = panic::catch_unwind(AssertUnwindSafe(|| {
            let tokens = lex(text)?;
            let term = parse(text, &tokens)?;
            let shape = Shape {
                construction: query::construction(&term),
                is_no_object: query::is_no_object(&term),
            };
            let fields = query::fields(&term);
            let wants_source = source::is_named(text);
            Ok((Program { filter: link(text, term)?, fields, wants_source }, shape))
        }));
        attempt.unwrap_or_else(|_| Err(at(text, 0..0, "the filter cannot be compiled".to_owned())))
    })
}

/// A path that the fast search can follow, as `.a.b[0]`.
pub(in crate::transform) fn path_of(text: &str) -> Result<Option<Vec<super::scan::Step>>, JqError> {
    within_bounds(text)?;
    guard::with_room(|_| {
        let tokens = lex(text)?;
        Ok(query::plain_path(&parse(text, &tokens)?).filter(|steps| !steps.is_empty()))
    })
}

fn within_bounds(text: &str) -> Result<(), JqError> {
    if text.len() > limits::JQ_TEXT_BYTES_MAX {
        return Err(JqError::Long { bytes: text.len() });
    }
    Ok(())
}

fn lex(text: &str) -> Result<Vec<Token<&str>>, JqError> {
    Lexer::new(text).lex().map_err(|errors| {
        let (expected, found) = errors.into_iter().next().expect("an error says where it is");
        let problem = format!("expected {}", expected.as_str());
        at(text, jaq_core::load::span(text, found), problem)
    })
}

fn parse<'s>(text: &'s str, tokens: &[Token<&'s str>]) -> Result<Term<&'s str>, JqError> {
    Parser::new(tokens).parse(|parser| parser.term()).map_err(|errors| {
        let (expected, found) = errors.into_iter().next().expect("an error says where it is");
        let expected = match expected.as_str() {
            "nothing" => "the end of the filter or an operator",
            expected => expected,
        };
        let found = Token::opt_as_str(found, text);
        let problem = match found.chars().next() {
            None => format!("expected {expected}, found the end"),
            Some(_) => format!("expected {expected}, found {}", excerpt(found)),
        };
        at(text, jaq_core::load::span(text, found), problem)
    })
}

/// Binds the filter to the definitions and functions that it calls.
fn link<'s>(text: &'s str, term: Term<&'s str>) -> Result<Filter<Guarded>, JqError> {
    let main = Def { name: MAIN, args: Vec::new(), body: rewrite::term(term) };
    let arena = Arena::default();
    let file = File { code: MAIN, path: () };
    let modules = Loader::new(natives::definitions().chain([main])).load(&arena, file);
    let modules = modules.map_err(|_| at(text, 0..0, "the filter cannot be loaded".to_owned()))?;
    let compiler = Compiler::default().with_funs(natives::functions());
    let globals = source::is_named(text).then_some(source::NAME);
    compiler.with_global_vars(globals).compile(modules).map_err(|errors| {
        let first = errors.into_iter().flat_map(|(_, errors)| errors).next();
        let (name, kind) = first.expect("an error says where it is");
        let what = match kind {
            Undefined::Filter(0) => format!("there is no filter {name}"),
            Undefined::Filter(1) => format!("there is no filter {name} with 1 argument"),
            Undefined::Filter(args) => format!("there is no filter {name} with {args} arguments"),
            kind => format!("there is no {} {name}", kind.as_str()),
        };
        let inside = text.as_bytes().as_ptr_range().contains(&name.as_ptr());
        at(text, if inside { jaq_core::load::span(text, name) } else { 0..0 }, what)
    })
}

fn at(text: &str, place: Range<usize>, problem: String) -> JqError {
    let offset = place.start.min(text.len());
    let before = &text.as_bytes()[..offset];
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    JqError::Text { problem, offset, line, column }
}

/// The beginning of what was found, for a message.
fn excerpt(found: &str) -> String {
    const CHARS: usize = 20;
    let short: String = found.chars().take(CHARS).collect();
    if short.len() < found.len() { format!("{short}...") } else { short }
}

impl Program {
    /// Runs the filter on a record; `take` pulls as many outputs as it wants.
    pub(super) fn run<T>(
        &self,
        record: &Record,
        room: Room,
        take: impl FnOnce(&mut Outputs<'_>) -> Result<T, String>,
    ) -> Result<T, Failed> {
        let attempt = panic::catch_unwind(AssertUnwindSafe(|| {
            let input = document::read(&record.data, self.fields.as_deref());
            let input = input.ok_or(Failed::NotJson)?;
            let source = self.wants_source.then(|| source::json(&record.notes));
            let source_bytes = source.as_ref().map_or(0, Bytes::len);
            let source = source.map(|json| {
                document::read(&json, None).expect("it is JSON of our own, two levels deep")
            });
            let budget = Budget::new(record.data.len() + source_bytes, room);
            let data = Data { lut: &self.filter.lut, budget: &budget };
            let context = Ctx::<Guarded>::new(data, Vars::new(source));
            let outputs = self.filter.id.run((context, input));
            take(&mut outputs.map(|output| output.map_err(message))).map_err(Failed::Jq)
        }));
        attempt.unwrap_or_else(|panic| {
            Err(Failed::Jq(match panic.downcast_ref::<Exhausted>() {
                Some(bound) => bound.to_string(),
                None => "the filter met an error of jaq's own".to_owned(),
            }))
        })
    }
}

/// What jq says of an error, cut to a length that a log line and an error record can bear.
fn message(exception: Exn<'_, Val>) -> String {
    let text = match exception.get_err() {
        Ok(error) => match error.into_val() {
            Val::TStr(text) => String::from_utf8_lossy(&text).into_owned(),
            value => value.to_string(),
        },
        Err(other) => match other.get_halt() {
            Ok(_) => "the filter called halt".to_owned(),
            Err(_) => "the filter broke out of nothing".to_owned(),
        },
    };
    match text.char_indices().nth(limits::MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
