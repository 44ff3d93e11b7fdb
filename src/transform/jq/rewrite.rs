//! Puts this module's multiplication in the place of jaq's.
//!
//! `"x" * 3` repeats a string, so `.price * .quantity` lets a record that says
//! `{"price":"xxxx","quantity":1e12}` take all memory. jaq has no bound for that, so every `*` and
//! `*=` of a filter becomes a call of a native filter that has one. Its name cannot be written in
//! a filter.

use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Def, Pattern, Term},
    },
    ops::Math,
    path::{Part, Path},
};

/// The native filter that multiplies.
pub(super) const TIMES: &str = "!times";
const FACTOR: &str = "$!factor";

type T<'s> = Term<&'s str>;

pub(super) fn definition(def: Def<&str>) -> Def<&str> {
    Def { body: term(def.body), ..def }
}

pub(super) fn term(term: T<'_>) -> T<'_> {
    match term {
        Term::BinOp(left, op, right) => binary(self::term(*left), op, self::term(*right)),
        Term::Str(format, parts) => Term::Str(format, parts.into_iter().map(part).collect()),
        Term::Arr(inner) => Term::Arr(inner.map(|inner| boxed(*inner))),
        Term::Obj(entries) => {
            let entry = |(key, value): (_, Option<_>)| (self::term(key), value.map(self::term));
            Term::Obj(entries.into_iter().map(entry).collect())
        }
        Term::Neg(inner) => Term::Neg(boxed(*inner)),
        Term::Label(name, inner) => Term::Label(name, boxed(*inner)),
        Term::Fold(kind, over, names, args) => {
            Term::Fold(kind, boxed(*over), pattern(names), all(args))
        }
        Term::TryCatch(inner, caught) => {
            Term::TryCatch(boxed(*inner), caught.map(|caught| boxed(*caught)))
        }
        Term::IfThenElse(branches, otherwise) => {
            let branch = |(test, then)| (self::term(test), self::term(then));
            Term::IfThenElse(
                branches.into_iter().map(branch).collect(),
                otherwise.map(|otherwise| boxed(*otherwise)),
            )
        }
        Term::Def(defs, inner) => {
            Term::Def(defs.into_iter().map(definition).collect(), boxed(*inner))
        }
        Term::Call(name, args) => Term::Call(name, all(args)),
        Term::Path(head, path) => Term::Path(boxed(*head), self::path(path)),
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => term,
    }
}

fn binary<'s>(left: T<'s>, op: BinaryOp<&'s str>, right: T<'s>) -> T<'s> {
    match op {
        BinaryOp::Math(Math::Mul) => Term::Call(TIMES, vec![left, right]),
        // What `l *= r` stands for: `r as $f | l |= . * $f`.
        BinaryOp::UpdateMath(Math::Mul) => {
            let product = Term::Call(TIMES, vec![Term::Id, Term::Var(FACTOR)]);
            let update = Term::BinOp(Box::new(left), BinaryOp::Update, Box::new(product));
            let bind = BinaryOp::Pipe(Some(Pattern::Var(FACTOR)));
            Term::BinOp(Box::new(right), bind, Box::new(update))
        }
        BinaryOp::Pipe(Some(names)) => {
            Term::BinOp(Box::new(left), BinaryOp::Pipe(Some(pattern(names))), Box::new(right))
        }
        op => Term::BinOp(Box::new(left), op, Box::new(right)),
    }
}

fn boxed(inner: T<'_>) -> Box<T<'_>> {
    Box::new(term(inner))
}

fn all(terms: Vec<T<'_>>) -> Vec<T<'_>> {
    terms.into_iter().map(term).collect()
}

fn part<'s>(part: StrPart<&'s str, T<'s>>) -> StrPart<&'s str, T<'s>> {
    match part {
        StrPart::Term(inner) => StrPart::Term(term(inner)),
        part => part,
    }
}

fn path(path: Path<T<'_>>) -> Path<T<'_>> {
    let part = |part: Part<_>| match part {
        Part::Index(index) => Part::Index(term(index)),
        Part::Range(from, to) => Part::Range(from.map(term), to.map(term)),
    };
    Path(path.0.into_iter().map(|(step, opt)| (part(step), opt)).collect())
}

fn pattern(names: Pattern<&str>) -> Pattern<&str> {
    match names {
        Pattern::Var(name) => Pattern::Var(name),
        Pattern::Arr(parts) => Pattern::Arr(parts.into_iter().map(pattern).collect()),
        Pattern::Obj(entries) => {
            let entry = |(key, value)| (term(key), pattern(value));
            Pattern::Obj(entries.into_iter().map(entry).collect())
        }
    }
}
