//! What can be told from the text of a query: its keys, and whether it only follows paths.

use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Pattern, Term},
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
            // The key is what the variable holds.
            (Term::Var(_), Some(_)) => return None,
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

/// The fields of its input that a filter looks at, if its outputs depend on nothing else of an
/// object. In doubt `None`: then it must have all of it.
///
/// A part of the filter gets the input itself, or what other parts made of it; `fields` walks over
/// those that get the input.
pub(super) fn fields(term: &Term<&str>) -> Option<Vec<String>> {
    let mut found = Vec::new();
    collect(term, &mut found).map(|()| found)
}

fn collect(term: &Term<&str>, found: &mut Vec<String>) -> Option<()> {
    let mut all = |terms: &[&Term<&str>]| terms.iter().try_for_each(|term| collect(term, found));
    match term {
        Term::Num(_) | Term::Var(_) | Term::Break(_) | Term::Arr(None) => Some(()),
        Term::Str(_, parts) => parts.iter().try_for_each(|part| match part {
            StrPart::Term(inner) => collect(inner, found),
            StrPart::Str(_) | StrPart::Char(_) => Some(()),
        }),
        // The catching part gets the error.
        Term::Arr(Some(inner)) | Term::Neg(inner) | Term::Label(_, inner) => all(&[inner]),
        Term::TryCatch(inner, _) => all(&[inner]),
        Term::Obj(entries) => entries.iter().try_for_each(|entry| collect_entry(entry, found)),
        Term::BinOp(left, op, right) => match op {
            // The part behind a pipe gets what comes before it.
            BinaryOp::Pipe(None) => all(&[left]),
            BinaryOp::Pipe(Some(Pattern::Var(_)))
            | BinaryOp::Comma
            | BinaryOp::Alt
            | BinaryOp::Or
            | BinaryOp::And
            | BinaryOp::Math(_)
            | BinaryOp::Cmp(_) => all(&[left, right]),
            _ => None,
        },
        // The updating parts get the state.
        Term::Fold(_, over, Pattern::Var(_), args) => all(&[over, args.first()?]),
        Term::IfThenElse(branches, Some(otherwise)) => {
            branches.iter().try_for_each(|(test, then)| {
                collect(test, found)?;
                collect(then, found)
            })?;
            collect(otherwise, found)
        }
        Term::Call("true" | "false" | "null" | "empty", args) if args.is_empty() => Some(()),
        Term::Path(head, path::Path(parts)) => {
            let mut parts = parts.iter();
            match (&**head, parts.next()) {
                (Term::Id, Some((path::Part::Index(key), _))) => found.push(literal(key)?),
                (Term::Id, _) => return None,
                (head, first) => {
                    collect(head, found)?;
                    first.map_or(Some(()), |(part, _)| collect_part(part, found))?;
                }
            }
            parts.try_for_each(|(part, _)| collect_part(part, found))
        }
        _ => None,
    }
}

/// What stands in brackets gets the input, too.
fn collect_part(part: &path::Part<Term<&str>>, found: &mut Vec<String>) -> Option<()> {
    match part {
        path::Part::Index(index) => collect(index, found),
        path::Part::Range(from, to) => {
            from.iter().chain(to).try_for_each(|bound| collect(bound, found))
        }
    }
}

fn collect_entry(
    (key, value): &(Term<&str>, Option<Term<&str>>),
    found: &mut Vec<String>,
) -> Option<()> {
    match (key, value) {
        (key, Some(value)) => {
            collect(key, found)?;
            collect(value, found)
        }
        (Term::Var(_), None) => Some(()),
        (key, None) => {
            found.push(literal(key)?);
            Some(())
        }
    }
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
