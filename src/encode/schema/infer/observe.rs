//! Looking at records: every value of a JSON object is noted by its kind. What JSON is, the readers'
//! own parser says: what they take is observed, and nothing else.

use super::{
    names::Names,
    seen::{Fields, Kinds, Members, Room, Seen},
};
use crate::{
    encode::rows::{
        input::{Input, Number, Raw},
        is_exact_as_double,
        problem::Read,
    },
    limits,
};

/// What some records have in them.
#[derive(Debug, Clone)]
pub struct Observed {
    pub(super) columns: Fields,
    pub(super) records: u64,
    room: Room,
}

impl Default for Observed {
    fn default() -> Self {
        let room = Room(limits::SCHEMA_FIELDS_MAX);
        Self { columns: Fields::default(), records: 0, room }
    }
}

impl Observed {
    /// Adds what other records have in them.
    pub fn merge(&mut self, other: Self) {
        let mut members = Members::Columns(std::mem::take(&mut self.columns));
        members.union(Members::Columns(other.columns), &mut self.room);
        self.put_back(members);
        self.records += other.records;
    }

    fn put_back(&mut self, members: Members) {
        if let Members::Columns(columns) = members {
            self.columns = columns;
        }
    }

    /// Adds a record: one object or several, with nothing but space around them.
    pub(super) fn look_at(&mut self, record: &[u8], names: &Names, is_lenient: bool) -> bool {
        let Ok(text) = simdutf8::basic::from_utf8(record) else { return false };
        // Looked through first, so that half a record leaves no trace.
        if !is_objects(text).unwrap_or(false) {
            return false;
        }
        self.records += 1;
        let mut members = Members::Columns(std::mem::take(&mut self.columns));
        let mut look = Look {
            names,
            is_lenient,
            record: self.records,
            room: &mut self.room,
            scratch: Vec::new(),
        };
        let mut input = Input::new(text);
        let mut is_well = true;
        while is_well && input.more() {
            is_well = look.object(&mut members, None, &mut input).is_ok();
        }
        self.put_back(members);
        is_well
    }
}

/// Whether a record is one object or several, by the grammar of the readers.
fn is_objects(text: &str) -> Read<bool> {
    let mut input = Input::new(text);
    let mut objects = 0;
    while input.more() {
        if input.token()? != b'{' {
            return Ok(false);
        }
        input.skip()?;
        objects += 1;
    }
    Ok(objects > 0)
}

/// A look at one record.
struct Look<'a> {
    names: &'a Names,
    is_lenient: bool,
    /// Number of the record, from 1.
    record: u64,
    room: &'a mut Room,
    /// For strings with escapes.
    scratch: Vec<u8>,
}

impl Look<'_> {
    /// Notes the members of an object. `depth` is how many types stand around them; `None` for a
    /// record, which is no type.
    fn object(
        &mut self,
        members: &mut Members,
        depth: Option<usize>,
        input: &mut Input<'_>,
    ) -> Read {
        input.open()?;
        let mut more = !input.empty(b'}')?;
        while more {
            input.quote()?;
            let key = input.string()?;
            input.colon()?;
            match self.place(members, depth.is_none(), key) {
                Some(seen) => {
                    seen.is_in(self.record);
                    self.value(seen, depth.unwrap_or(0), input)?;
                }
                None => input.skip()?,
            }
            more = input.another(b'}')?;
        }
        Ok(())
    }

    /// The place of a member, if there is one for it.
    fn place<'m>(
        &mut self,
        members: &'m mut Members,
        is_column: bool,
        key: Raw<'_>,
    ) -> Option<&'m mut Seen> {
        // Halves of surrogate pairs become what the readers take them for.
        let key = String::from_utf8_lossy(plain(key, &mut self.scratch));
        // Most keys have been met, and are found without a name of their own being made.
        if self.names.is_plain(&key) && members.known(&key).is_some() {
            return members.known(&key);
        }
        let name = if is_column { self.names.column(&key) } else { self.names.field(&key) };
        members.place(name?, self.room)
    }

    /// Notes a value inside of `depth` types.
    fn value(&mut self, seen: &mut Seen, depth: usize, input: &mut Input<'_>) -> Read {
        match input.token()? {
            b'{' | b'[' if depth >= limits::SCHEMA_DEPTH_MAX => input.skip(),
            b'{' => {
                seen.kinds.add(Kinds::OBJECT);
                let members = seen
                    .members
                    .get_or_insert_with(|| Box::new(Members::Fields(Fields::default())));
                self.object(members, Some(depth + 1), input)
            }
            b'[' => {
                seen.kinds.add(Kinds::ARRAY);
                self.elements(seen.element.get_or_insert_default(), depth + 1, input)
            }
            b'"' => {
                input.at += 1;
                let text = input.string()?;
                seen.kinds.add(self.kind_of_string(text));
                Ok(())
            }
            b'n' => input.word("null"),
            b't' => self.boolean(seen, "true", input),
            b'f' => self.boolean(seen, "false", input),
            b'-' | b'0'..=b'9' => {
                seen.kinds.add(kind_of_number(input.number()?));
                Ok(())
            }
            _ => Err(input.malformed("Expected a value")),
        }
    }

    fn elements(&mut self, element: &mut Seen, depth: usize, input: &mut Input<'_>) -> Read {
        input.open()?;
        let mut more = !input.empty(b']')?;
        while more {
            self.value(element, depth, input)?;
            more = input.another(b']')?;
        }
        Ok(())
    }

    fn boolean(&self, seen: &mut Seen, word: &'static str, input: &mut Input<'_>) -> Read {
        seen.kinds.add(Kinds::BOOL);
        input.word(word)
    }

    fn kind_of_string(&mut self, text: Raw<'_>) -> Kinds {
        if !self.is_lenient || text.bytes.len() > TEXT_BYTES_SEEN {
            return Kinds::TEXT;
        }
        kind_of_text(plain(text, &mut self.scratch))
    }
}

/// What a string means; in `scratch` if it has escapes.
fn plain<'s>(raw: Raw<'s>, scratch: &'s mut Vec<u8>) -> &'s [u8] {
    if !raw.escaped {
        return raw.bytes;
    }
    scratch.clear();
    raw.append_to(scratch);
    scratch
}

fn kind_of_number(number: Number<'_>) -> Kinds {
    if number.float {
        return if number.is_beyond_double() { Kinds::HUGE } else { Kinds::DOUBLE };
    }
    match number.text.parse() {
        Ok(value) if is_exact_as_double(value) => Kinds::INT,
        Ok(_) => Kinds::WIDE,
        Err(_) => Kinds::HUGE,
    }
}

/// Digits that surely fit 64 bits.
const DIGITS_SURE: usize = 18;
/// A text of so many bytes is none of a number or boolean, even if all of it is escaped.
const TEXT_BYTES_SEEN: usize = 6 * (DIGITS_SURE + 2);

/// What a text could be read as. Narrower than any reader, so that none of them disagrees.
fn kind_of_text(text: &[u8]) -> Kinds {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    if is_digits(digits) && digits.len() <= DIGITS_SURE {
        let value = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        let is_exact = value.is_some_and(is_exact_as_double);
        return if is_exact { Kinds::TEXT_INT } else { Kinds::TEXT_WIDE };
    }
    if let Some(point) = memchr::memchr(b'.', digits)
        && is_digits(&digits[..point])
        && is_digits(&digits[point + 1..])
        && digits.len() <= DIGITS_SURE
    {
        return Kinds::TEXT_DOUBLE;
    }
    if text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"false") {
        return Kinds::TEXT_BOOL;
    }
    Kinds::TEXT
}
