//! The columns while they are filled: plain vectors, which can be cut back when a record turns out
//! to be unfit (Arrow's builders cannot), and become Arrow arrays without being copied.

use super::{keys::Keys, validity::Validity};

/// A column, or a part of one. All of its parts always agree in length, except while a value is
/// being read.
#[derive(Debug)]
pub(super) struct Node {
    /// Hive's name of the type, for messages.
    pub of: Box<str>,
    pub validity: Validity,
    pub data: Data,
    /// Values that one row takes at least, parts of structs included.
    pub width: usize,
}

#[derive(Debug)]
pub(super) enum Data {
    Boolean(Vec<bool>),
    Tinyint(Vec<i8>),
    Smallint(Vec<i16>),
    Int(Vec<i32>),
    Bigint(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Decimal {
        values: Vec<i128>,
        precision: u8,
        scale: u8,
    },
    Text(Text),
    /// Hive's JSON readers take the bytes of the text.
    Binary(Text),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    List {
        offsets: Vec<i32>,
        element: Box<Node>,
    },
    Map {
        offsets: Vec<i32>,
        key: Box<Node>,
        value: Box<Node>,
    },
    Struct(Box<Fields>),
}

/// Bytes of variable length.
#[derive(Debug)]
pub(super) struct Text {
    pub bytes: Vec<u8>,
    pub offsets: Vec<i32>,
    /// Of `char(n)` and `varchar(n)`.
    pub chars_max: Option<usize>,
}

/// The fields of a struct, or the columns of the table.
#[derive(Debug)]
pub(super) struct Fields {
    pub nodes: Vec<Node>,
    pub names: Vec<Box<str>>,
    pub keys: Keys,
}

/// The same for every vector of fixed width.
macro_rules! fixed {
    ($data:expr, $values:ident => $fixed:expr, $($rest:tt)*) => {
        match $data {
            Data::Boolean($values) => $fixed,
            Data::Tinyint($values) => $fixed,
            Data::Smallint($values) => $fixed,
            Data::Int($values) | Data::Date($values) => $fixed,
            Data::Bigint($values) | Data::Timestamp($values) => $fixed,
            Data::Float($values) => $fixed,
            Data::Double($values) => $fixed,
            Data::Decimal { values: $values, .. } => $fixed,
            $($rest)*
        }
    };
}

impl Node {
    #[inline]
    pub fn len(&self) -> usize {
        self.validity.len()
    }

    /// Appends a null.
    pub fn push_null(&mut self) {
        self.validity.push(false);
        fixed!(&mut self.data, values => values.push(Default::default()),
            Data::Text(text) | Data::Binary(text) => text.close(),
            Data::List { offsets, .. } | Data::Map { offsets, .. } => repeat_last(offsets),
            Data::Struct(fields) => fields.nodes.iter_mut().for_each(Node::push_null),
        );
    }

    /// Cuts back to `len` values, a half-written one included.
    pub fn truncate(&mut self, len: usize) {
        self.validity.truncate(len);
        fixed!(&mut self.data, values => values.truncate(len),
            Data::Text(text) | Data::Binary(text) => text.truncate(len),
            Data::List { offsets, element } => {
                offsets.truncate(len + 1);
                element.truncate(last(offsets));
            }
            Data::Map { offsets, key, value } => {
                offsets.truncate(len + 1);
                key.truncate(last(offsets));
                value.truncate(last(offsets));
            }
            Data::Struct(fields) => fields.nodes.iter_mut().for_each(|node| node.truncate(len)),
        );
    }

    /// Of the values from `from` on, leaves those that `keep` says.
    pub fn retain(&mut self, from: usize, keep: &[bool]) {
        self.validity.retain(from, keep);
        fixed!(&mut self.data, values => retain_tail(values, from, keep),
            Data::Text(text) | Data::Binary(text) => {
                let kept = retain_offsets(&mut text.offsets, from, keep);
                let start = text.offsets[from] as usize;
                retain_tail(&mut text.bytes, start, &kept);
            }
            Data::List { offsets, element } => {
                let kept = retain_offsets(offsets, from, keep);
                element.retain(offsets[from] as usize, &kept);
            }
            Data::Map { offsets, key, value } => {
                let kept = retain_offsets(offsets, from, keep);
                key.retain(offsets[from] as usize, &kept);
                value.retain(offsets[from] as usize, &kept);
            }
            Data::Struct(fields) => {
                fields.nodes.iter_mut().for_each(|node| node.retain(from, keep));
            }
        );
    }

    /// Columns that it consists of.
    pub fn nodes(&self) -> usize {
        1 + match &self.data {
            Data::List { element, .. } => element.nodes(),
            Data::Map { key, value, .. } => key.nodes() + value.nodes(),
            Data::Struct(fields) => fields.nodes.iter().map(Node::nodes).sum(),
            _ => 0,
        }
    }

    /// Bytes that the values take.
    pub fn bytes(&self) -> usize {
        let own = fixed!(&self.data, values => size_of_val(values.as_slice()),
            Data::Text(text) | Data::Binary(text) => {
                text.bytes.len() + size_of_val(text.offsets.as_slice())
            }
            Data::List { offsets, element } => size_of_val(offsets.as_slice()) + element.bytes(),
            Data::Map { offsets, key, value } => {
                size_of_val(offsets.as_slice()) + key.bytes() + value.bytes()
            }
            Data::Struct(fields) => fields.nodes.iter().map(Node::bytes).sum(),
        );
        own + self.validity.bytes()
    }
}

impl Text {
    pub fn new(chars_max: Option<usize>) -> Self {
        Self { bytes: Vec::new(), offsets: vec![0], chars_max }
    }

    /// Ends the value whose bytes were appended.
    #[inline]
    pub fn close(&mut self) {
        if let Some(chars_max) = self.chars_max {
            let start = last(&self.offsets);
            let end = start + prefix(&self.bytes[start..], chars_max);
            self.bytes.truncate(end);
        }
        self.offsets.push(self.bytes.len() as i32);
    }

    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.close();
    }

    pub fn value(&self, at: usize) -> &[u8] {
        &self.bytes[self.offsets[at] as usize..self.offsets[at + 1] as usize]
    }

    fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.bytes.truncate(last(&self.offsets));
    }
}

/// Length of the first `chars_max` characters of a text.
fn prefix(text: &[u8], chars_max: usize) -> usize {
    if text.len() <= chars_max {
        return text.len();
    }
    let starts = text.iter().enumerate().filter(|&(_, byte)| byte & 0xC0 != 0x80);
    starts.map(|(at, _)| at).nth(chars_max).unwrap_or(text.len())
}

/// The end of the last value. Offsets always begin with a zero.
#[inline]
pub(super) fn last(offsets: &[i32]) -> usize {
    offsets.last().map_or(0, |&offset| offset as usize)
}

fn repeat_last(offsets: &mut Vec<i32>) {
    offsets.push(last(offsets) as i32);
}

fn retain_tail<T: Copy>(values: &mut Vec<T>, from: usize, keep: &[bool]) {
    let mut to = from;
    for (at, &keep) in keep.iter().enumerate() {
        if keep {
            values[to] = values[from + at];
            to += 1;
        }
    }
    values.truncate(to);
}

/// The same for lists: answers which of their elements, from the first list's on, are left.
fn retain_offsets(offsets: &mut Vec<i32>, from: usize, keep: &[bool]) -> Vec<bool> {
    let start = offsets[from];
    let mut kept = vec![false; last(offsets) - start as usize];
    let (mut to, mut end, mut old_end) = (from, start, start);
    for (at, &keep) in keep.iter().enumerate() {
        let (old_start, next) = (old_end, offsets[from + at + 1]);
        old_end = next;
        if keep {
            kept[(old_start - start) as usize..(next - start) as usize].fill(true);
            end += next - old_start;
            to += 1;
            offsets[to] = end;
        }
    }
    offsets.truncate(to + 1);
    kept
}
