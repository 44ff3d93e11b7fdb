//! Reading values into columns.

use std::collections::HashMap;

use super::{
    coerce::{self, Scalar},
    columns::{Data, Fields, Node},
    input::{Input, Raw},
    joda::Format,
    keys::Place,
    problem::{Problem, Read, shortened},
    walk::write_key,
};

/// Maps up to this size are searched for repeated keys pair by pair.
const PAIRWISE_MAX: usize = 16;

/// The rules of a reader, and what it needs while it reads.
#[derive(Debug)]
pub(super) struct Context {
    /// The strict reader.
    pub strict: bool,
    /// Keys that become values are lower-cased.
    pub fold: bool,
    /// Timestamp formats of the strict reader.
    pub formats: Vec<Format>,
    /// For strings with escapes.
    pub scratch: Vec<u8>,
    /// How many more values the record may unfold into.
    pub budget: usize,
    /// Members that are no column and have a value: not null, `[]` or `{}`.
    pub unknown_values: u64,
    /// Numbers that a column of doubles changed.
    pub rounded_values: u64,
}

impl Context {
    #[inline]
    pub fn spend(&mut self, values: usize) -> Read {
        match self.budget.checked_sub(values) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(Problem::exactly("The record unfolds into too many values".into())),
        }
    }
}

impl Node {
    /// Reads the next value as one of this column.
    #[inline]
    pub fn read(&mut self, input: &mut Input<'_>, cx: &mut Context) -> Read {
        let token = input.token()?;
        if token == b'n' {
            input.word("null")?;
            self.push_null();
            return Ok(());
        }
        let len = self.validity.len();
        let read = match &mut self.data {
            Data::Struct(fields) => read_struct(fields, len, token, input, cx),
            Data::List { offsets, element } => read_list(offsets, element, token, input, cx),
            Data::Map { offsets, key, value } => read_map(offsets, [key, value], token, input, cx),
            leaf => read_leaf(leaf, token, input, cx),
        };
        read.map_err(|problem| problem.of(&self.of))?;
        self.validity.push(true);
        Ok(())
    }
}

#[inline]
fn read_leaf(data: &mut Data, token: u8, input: &mut Input<'_>, cx: &mut Context) -> Read {
    let start = input.at;
    let scalar = match token {
        b'"' => {
            input.at += 1;
            let raw = input.string()?;
            if let Data::Text(text) | Data::Binary(text) = data {
                raw.append_to(&mut text.bytes);
                text.close();
                return Ok(());
            }
            Scalar::Text(plain(raw, &mut cx.scratch))
        }
        b'-' | b'0'..=b'9' => Scalar::Number(input.number()?),
        b'{' | b'[' => return read_nested_as_leaf(data, token, input, cx),
        b't' => input.word("true").map(|()| Scalar::Boolean(true))?,
        b'f' => input.word("false").map(|()| Scalar::Boolean(false))?,
        _ => return Err(input.malformed("Expected a value")),
    };
    let is_rounded = matches!(data, Data::Double(_)) && coerce::is_changed_as_double(scalar);
    push(data, scalar, cx.strict, &cx.formats)
        .map_err(|what| Problem::misfit(what, &input.bytes[start..input.at]))?;
    cx.rounded_values += u64::from(is_rounded);
    Ok(())
}

/// What a string means; in `scratch` if it has escapes.
#[inline]
fn plain<'s>(raw: Raw<'s>, scratch: &'s mut Vec<u8>) -> &'s [u8] {
    if !raw.escaped {
        return raw.bytes;
    }
    scratch.clear();
    raw.append_to(scratch);
    scratch
}

/// Appends a value that is no object and no array.
#[inline]
fn push(
    data: &mut Data,
    scalar: Scalar<'_>,
    strict: bool,
    formats: &[Format],
) -> Result<(), String> {
    match data {
        Data::Boolean(values) => values.push(coerce::boolean(scalar)?),
        Data::Tinyint(values) => {
            values.push(coerce::whole(scalar, &coerce::TINYINT, strict)? as i8);
        }
        Data::Smallint(values) => {
            values.push(coerce::whole(scalar, &coerce::SMALLINT, strict)? as i16);
        }
        Data::Int(values) => values.push(coerce::whole(scalar, &coerce::INT, strict)? as i32),
        Data::Bigint(values) => values.push(coerce::whole(scalar, &coerce::BIGINT, strict)?),
        Data::Float(values) => values.push(coerce::float(scalar, strict)?),
        Data::Double(values) => values.push(coerce::double(scalar, strict)?),
        Data::Decimal { values, precision, scale } => {
            values.push(coerce::decimal(scalar, *precision, *scale)?);
        }
        Data::Text(text) | Data::Binary(text) => text.push(scalar.bytes()),
        Data::Date(values) => values.push(coerce::date(scalar)?),
        Data::Timestamp(values) if strict => {
            values.push(coerce::timestamp_strict(scalar, formats)?);
        }
        Data::Timestamp(values) => values.push(coerce::timestamp(scalar)?),
        Data::List { .. } | Data::Map { .. } | Data::Struct(_) => {
            unreachable!("containers are read by functions of their own")
        }
    }
    Ok(())
}

/// An object or array where a column holds none.
fn read_nested_as_leaf(data: &mut Data, token: u8, input: &mut Input<'_>, cx: &Context) -> Read {
    if let (Data::Text(text) | Data::Binary(text), false) = (&mut *data, cx.strict) {
        input.compact(cx.fold, &mut text.bytes)?;
        text.close();
        return Ok(());
    }
    let kind = if token == b'{' { "START_OBJECT" } else { "START_ARRAY" };
    let what = match data {
        _ if !cx.strict => format!("{kind} where a single value is expected"),
        Data::Tinyint(_)
        | Data::Smallint(_)
        | Data::Int(_)
        | Data::Bigint(_)
        | Data::Float(_)
        | Data::Double(_) => coerce::not_numeric(kind),
        _ => "One or more fields have incorrect format. Exception when validating field (root)"
            .into(),
    };
    Err(skip_as(what, input))
}

/// Consumes a value that does not fit; what is wrong with it, or with its JSON.
#[cold]
fn skip_as(what: String, input: &mut Input<'_>) -> Box<Problem> {
    let start = input.at;
    match input.skip() {
        Ok(()) => Problem::misfit(what, &input.bytes[start..input.at]),
        Err(malformed) => malformed,
    }
}

fn read_list(
    offsets: &mut Vec<i32>,
    element: &mut Node,
    token: u8,
    input: &mut Input<'_>,
    cx: &mut Context,
) -> Read {
    if token == b'[' {
        input.open()?;
        let mut more = !input.empty(b']')?;
        while more {
            cx.spend(element.width)?;
            element.read(input, cx).map_err(|problem| problem.within("[]"))?;
            more = input.another(b']')?;
        }
    } else if cx.strict {
        return Err(skip_as("java.io.IOException: Start of Array expected".into(), input));
    } else {
        // The lenient reader takes a single value for a list of one.
        cx.spend(element.width)?;
        element.read(input, cx).map_err(|problem| problem.within("[]"))?;
    }
    offsets.push(element.len() as i32);
    Ok(())
}

fn read_map(
    offsets: &mut Vec<i32>,
    [key, value]: [&mut Node; 2],
    token: u8,
    input: &mut Input<'_>,
    cx: &mut Context,
) -> Read {
    if token != b'{' {
        let what = if cx.strict {
            "java.io.IOException: Start of Object expected"
        } else {
            "A map needs an object"
        };
        return Err(skip_as(what.into(), input));
    }
    let start = key.len();
    input.open()?;
    let mut more = !input.empty(b'}')?;
    while more {
        cx.spend(1 + value.width)?;
        input.quote()?;
        let raw = input.string()?;
        push_key(key, raw, cx).map_err(|problem| problem.of(&key.of).within("{}"))?;
        input.colon()?;
        value.read(input, cx).map_err(|problem| problem.within("{}"))?;
        more = input.another(b'}')?;
    }
    if let Some(keep) = repeated(&key.data, start, key.len()) {
        key.retain(start, &keep);
        value.retain(start, &keep);
    }
    offsets.push(key.len() as i32);
    Ok(())
}

fn push_key(key: &mut Node, raw: Raw<'_>, cx: &mut Context) -> Read {
    if let Data::Text(text) = &mut key.data {
        let start = text.bytes.len();
        raw.append_to(&mut text.bytes);
        if cx.fold {
            fold(&mut text.bytes, start);
        }
        text.close();
    } else {
        cx.scratch.clear();
        raw.append_to(&mut cx.scratch);
        // Keys are strings, so even the strict reader takes numbers from them.
        let Context { strict, scratch, formats, .. } = cx;
        let strict = *strict && matches!(key.data, Data::Timestamp(_));
        push(&mut key.data, Scalar::Text(scratch), strict, formats)
            .map_err(|what| Problem::misfit(what, raw.bytes))?;
    }
    key.validity.push(true);
    Ok(())
}

/// Lower-cases a text from `start` on.
fn fold(text: &mut Vec<u8>, start: usize) {
    let tail = &mut text[start..];
    if tail.is_ascii() {
        tail.make_ascii_lowercase();
        return;
    }
    let lower = String::from_utf8_lossy(tail).to_lowercase();
    text.truncate(start);
    text.extend_from_slice(lower.as_bytes());
}

/// A key, to be compared.
#[derive(PartialEq, Eq, Hash)]
enum KeyRef<'k> {
    Bytes(&'k [u8]),
    Bits(i128),
}

fn key_at(keys: &Data, at: usize) -> KeyRef<'_> {
    KeyRef::Bits(match keys {
        Data::Text(text) | Data::Binary(text) => return KeyRef::Bytes(text.value(at)),
        Data::Boolean(values) => i128::from(values[at]),
        Data::Tinyint(values) => i128::from(values[at]),
        Data::Smallint(values) => i128::from(values[at]),
        Data::Int(values) | Data::Date(values) => i128::from(values[at]),
        Data::Bigint(values) | Data::Timestamp(values) => i128::from(values[at]),
        Data::Float(values) => i128::from(values[at].to_bits()),
        Data::Double(values) => i128::from(values[at].to_bits()),
        Data::Decimal { values, .. } => values[at],
        Data::List { .. } | Data::Map { .. } | Data::Struct(_) => {
            unreachable!("no schema with such keys is taken")
        }
    })
}

/// Which entries stay if a key stands more than once (the last one does); `None` if none does.
fn repeated(keys: &Data, start: usize, end: usize) -> Option<Vec<bool>> {
    if end - start <= PAIRWISE_MAX {
        let pairs = (start..end).flat_map(|one| (one + 1..end).map(move |other| (one, other)));
        if !pairs.into_iter().any(|(one, other)| key_at(keys, one) == key_at(keys, other)) {
            return None;
        }
    }
    let last: HashMap<_, _> = (start..end).map(|at| (key_at(keys, at), at)).collect();
    if last.len() == end - start {
        return None;
    }
    Some((start..end).map(|at| last[&key_at(keys, at)] == at).collect())
}

fn read_struct(
    fields: &mut Fields,
    len: usize,
    token: u8,
    input: &mut Input<'_>,
    cx: &mut Context,
) -> Read {
    match token {
        b'{' => fields.read_members(len, input, cx, None),
        _ if cx.strict => {
            Err(skip_as("java.io.IOException: Start of Object expected".into(), input))
        }
        b'[' => fields.read_elements(input, cx),
        _ => Err(scalar_for_struct(token, input, cx)),
    }
}

/// The lenient reader's words for a single value where a struct is expected.
#[cold]
fn scalar_for_struct(token: u8, input: &mut Input<'_>, cx: &mut Context) -> Box<Problem> {
    let scalar = match token {
        b'"' => {
            input.at += 1;
            input.string().map(|raw| Scalar::Text(plain(raw, &mut cx.scratch)))
        }
        b't' => input.word("true").map(|()| Scalar::Boolean(true)),
        b'f' => input.word("false").map(|()| Scalar::Boolean(false)),
        b'-' | b'0'..=b'9' => input.number().map(Scalar::Number),
        _ => Err(input.malformed("Expected a value")),
    };
    match scalar {
        Ok(scalar) => Problem::exactly(format!(
            "Data is not JSONObject  but {} with value {}",
            scalar.java_class(),
            shortened(scalar.bytes())
        )),
        Err(malformed) => malformed,
    }
}

/// Whether more comes than null or something empty. (Empty with a space in it passes for a value.)
#[inline]
fn has_value(input: &mut Input<'_>) -> Read<bool> {
    Ok(match input.token()? {
        b'n' => false,
        b'[' | b'{' => !matches!(input.bytes.get(input.at + 1), Some(b']' | b'}')),
        _ => true,
    })
}

impl Fields {
    /// Reads an object. Fields it does not have become null, members that are no field go to
    /// `rest` or nowhere; of a member that stands twice, the last one counts. `len` is the length
    /// of the fields' columns.
    #[inline]
    pub fn read_members(
        &mut self,
        len: usize,
        input: &mut Input<'_>,
        cx: &mut Context,
        mut rest: Option<&mut Vec<u8>>,
    ) -> Read {
        input.open()?;
        let mut place = Place::START;
        let mut missing = self.nodes.len();
        let mut more = !input.empty(b'}')?;
        while more {
            input.quote()?;
            let (field, key) = self.keys.find(input, &mut place)?;
            input.colon()?;
            match (field, &mut rest) {
                (Some(field), _) => {
                    let node = &mut self.nodes[field];
                    if node.len() == len {
                        missing -= 1;
                    } else {
                        cx.spend(node.width)?;
                        node.truncate(len);
                    }
                    node.read(input, cx).map_err(|problem| problem.within(&self.names[field]))?;
                }
                (None, Some(rest)) => {
                    rest.push(if rest.is_empty() { b'{' } else { b',' });
                    write_key(key, cx.fold, rest);
                    rest.push(b':');
                    input.compact(cx.fold, rest)?;
                }
                (None, None) => {
                    cx.unknown_values += u64::from(has_value(input)?);
                    input.skip()?;
                }
            }
            more = input.another(b'}')?;
        }
        if missing > 0 {
            self.nodes.iter_mut().filter(|node| node.len() == len).for_each(Node::push_null);
        }
        Ok(())
    }

    /// Reads an array as a struct: its elements are the fields in their order.
    fn read_elements(&mut self, input: &mut Input<'_>, cx: &mut Context) -> Read {
        input.open()?;
        let mut nodes = self.nodes.iter_mut().zip(&self.names);
        let mut more = !input.empty(b']')?;
        while more {
            match nodes.next() {
                Some((node, name)) => {
                    node.read(input, cx).map_err(|problem| problem.within(name))?;
                }
                None => input.skip()?,
            }
            more = input.another(b']')?;
        }
        nodes.for_each(|(node, _)| node.push_null());
        Ok(())
    }
}
