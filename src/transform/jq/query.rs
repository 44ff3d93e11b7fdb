//! What can be told from the text of a query: its keys, and whether it only follows paths.

use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Term},
    },
    path,
};

use super::scan::Step;

/// The entries of an object construction, in their order.
pub(super) struct Construction {
    pub(super) keys: Vec<String>,
    /// The path of each value, if all of them are plain paths and nothing comes before the object.
    pub(super) paths: Option<Vec<Vec<Step>>>,
}

/// The object that a query ends in; `None` if that is not known before a record is there.
pub(super) fn construction(term: &Term<&str>) -> Option<Construction> {
    match term {
        Term::Obj(entries) => object(entries),
        Term::Def(_, body) => construction(body).map(without_paths),
        Term::BinOp(_, BinaryOp::Pipe(_), last) => construction(last).map(without_paths),
        _ => None,
    }
}

fn without_paths(construction: Construction) -> Construction {
    Construction { paths: None, ..construction }
}

fn object(entries: &[(Term<&str>, Option<Term<&str>>)]) -> Option<Construction> {
    let mut keys: Vec<String> = Vec::new();
    let mut paths = Some(Vec::new());
    for (key, value) in entries {
        let name = match key {
            Term::Var(name) => name.trim_start_matches('$').to_owned(),
            key => literal(key)?,
        };
        let path = match (key, value) {
            (_, Some(value)) => plain_path(value),
            (Term::Var(_), None) => None,
            (_, None) => Some(vec![Step::Key(name.clone())]),
        };
        if keys.contains(&name) {
            paths = None;
            continue;
        }
        keys.push(name);
        paths = paths.zip(path).map(|(mut paths, path)| {
            paths.push(path);
            paths
        });
    }
    Some(Construction { keys, paths })
}

/// The steps of `.a.b`, `.a["b c"]`, `."x"`, `.list[0]`, each with or without `?`.
pub(super) fn plain_path(term: &Term<&str>) -> Option<Vec<Step>> {
    match term {
        Term::Path(head, path::Path(parts)) => {
            let mut steps = match **head {
                Term::Id => Vec::new(),
                ref head => plain_path(head)?,
            };
            for (part, _) in parts {
                steps.push(step(part)?);
            }
            Some(steps)
        }
        Term::TryCatch(inner, None) => plain_path(inner),
        _ => None,
    }
}

fn step(part: &path::Part<Term<&str>>) -> Option<Step> {
    match part {
        path::Part::Index(Term::Num(number)) => number.parse().ok().map(Step::Index),
        path::Part::Index(key) => literal(key).map(Step::Key),
        path::Part::Range(..) => None,
    }
}

/// A string without interpolation.
fn literal(term: &Term<&str>) -> Option<String> {
    let Term::Str(None, parts) = term else { return None };
    let mut text = String::new();
    for part in parts {
        match part {
            StrPart::Str(part) => text.push_str(part),
            StrPart::Char(char) => text.push(*char),
            StrPart::Term(_) => return None,
        }
    }
    Some(text)
}

/// True for what can never be an object.
pub(super) fn is_no_object(term: &Term<&str>) -> bool {
    match term {
        Term::Num(_) | Term::Str(..) | Term::Arr(_) | Term::Neg(_) => true,
        Term::Def(_, body) => is_no_object(body),
        Term::BinOp(_, BinaryOp::Pipe(_), last) => is_no_object(last),
        Term::BinOp(_, BinaryOp::Cmp(_) | BinaryOp::And | BinaryOp::Or, _) => true,
        Term::BinOp(first, BinaryOp::Comma, second) => is_no_object(first) || is_no_object(second),
        _ => false,
    }
}
