//! The streams of each type, and what goes into them.

use std::ops::Range;

use arrow_array::{
    Array,
    cast::AsArray,
    types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type},
};

use super::{
    super::proto::StreamKind,
    Column,
    leaves::{binaries, booleans, children_of, dates, decimals, integers, reals, timestamps},
    text::Text,
};
use crate::encode::orc::{
    WriteError,
    bloom::Bloom,
    rle::{Integers, Plain, bits, bytes},
    stats::Of,
    stream::{Codec, Stream},
};

pub(super) enum Values {
    Boolean(Stream<bits::Encoder>),
    Tinyint(Stream<bytes::Encoder>),
    Smallint(Stream<Integers>),
    Int(Stream<Integers>),
    Bigint(Stream<Integers>),
    Float(Stream<Plain>),
    Double(Stream<Plain>),
    Decimal { unscaled: Stream<Plain>, scales: Stream<Integers>, scale: u8 },
    Text(Box<Text>),
    Binary { data: Stream<Plain>, lengths: Stream<Integers> },
    Date(Stream<Integers>),
    Timestamp { seconds: Stream<Integers>, nanos: Stream<Integers> },
    List { lengths: Stream<Integers>, children: Vec<Column> },
    Map { lengths: Stream<Integers>, children: Vec<Column> },
    Struct(Vec<Column>),
}

/// What a column's values come to at the end of a stripe.
#[derive(Default)]
pub(super) struct Finished {
    pub(super) streams: Vec<(StreamKind, Vec<u8>)>,
    pub(super) dictionary_size: Option<u32>,
    /// Where the row groups begin, if that is known only now.
    pub(super) positions: Option<Vec<Vec<u64>>>,
}

impl Values {
    /// Adds values, none of which is null.
    pub(super) fn write(
        &mut self,
        array: &dyn Array,
        valid: &[Range<usize>],
        of: &mut Of,
        bloom: Option<&mut Bloom>,
    ) {
        match self {
            Self::Boolean(stream) => booleans(array, valid, stream, of),
            Self::Tinyint(stream) => {
                let push = |value| stream.push(value as i8);
                integers::<Int8Type>(array, valid, push, of, bloom);
            }
            Self::Smallint(stream) => {
                integers::<Int16Type>(array, valid, |value| stream.push(value), of, bloom);
            }
            Self::Int(stream) => {
                integers::<Int32Type>(array, valid, |value| stream.push(value), of, bloom);
            }
            Self::Bigint(stream) => {
                integers::<Int64Type>(array, valid, |value| stream.push(value), of, bloom);
            }
            Self::Float(stream) => {
                let out = stream.buffer();
                let push = |value: f32| out.extend_from_slice(&value.to_le_bytes());
                reals::<Float32Type>(array, valid, push, of, bloom);
            }
            Self::Double(stream) => {
                let out = stream.buffer();
                let push = |value: f64| out.extend_from_slice(&value.to_le_bytes());
                reals::<Float64Type>(array, valid, push, of, bloom);
            }
            Self::Decimal { unscaled, scales, scale } => {
                for range in valid {
                    scales.repeat((*scale).into(), range.len());
                }
                decimals(array, valid, unscaled.buffer(), of, bloom);
            }
            Self::Text(text) => text.write(array.as_string(), valid, of, bloom),
            Self::Binary { data, lengths } => binaries(array, valid, data, lengths, of, bloom),
            Self::Date(stream) => dates(array, valid, stream, of, bloom),
            Self::Timestamp { seconds, nanos } => {
                timestamps(array, valid, (seconds, nanos), of, bloom);
            }
            Self::List { lengths, children } => {
                let list = array.as_list::<i32>();
                let below = children_of(list.value_offsets(), valid, lengths, of);
                children[0].write(list.values(), &below);
            }
            Self::Map { lengths, children } => {
                let map = array.as_map();
                let below = children_of(map.value_offsets(), valid, lengths, of);
                children[0].write(map.keys(), &below);
                children[1].write(map.values(), &below);
            }
            Self::Struct(children) => {
                let columns = array.as_struct().columns();
                for (child, column) in children.iter_mut().zip(columns) {
                    child.write(column, valid);
                }
            }
        }
    }

    pub(super) fn children_ref(&self) -> &[Column] {
        match self {
            Self::List { children, .. } | Self::Map { children, .. } | Self::Struct(children) => {
                children
            }
            _ => &[],
        }
    }

    pub(super) fn children(&mut self) -> impl Iterator<Item = &mut Column> {
        match self {
            Self::List { children, .. } | Self::Map { children, .. } | Self::Struct(children) => {
                children.iter_mut()
            }
            _ => [].iter_mut(),
        }
    }

    /// Whether the encoding tells the version of the run lengths.
    pub(super) fn has_integers(&self) -> bool {
        !matches!(
            self,
            Self::Boolean(_)
                | Self::Tinyint(_)
                | Self::Float(_)
                | Self::Double(_)
                | Self::Struct(_)
        )
    }

    pub(super) fn spill(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        match self {
            Self::Boolean(stream) => stream.spill(codec),
            Self::Tinyint(stream) => stream.spill(codec),
            Self::Smallint(stream)
            | Self::Int(stream)
            | Self::Bigint(stream)
            | Self::Date(stream) => stream.spill(codec),
            Self::Float(stream) | Self::Double(stream) => stream.spill(codec),
            Self::Decimal { unscaled: data, scales: integers, .. }
            | Self::Binary { data, lengths: integers } => {
                data.spill(codec)?;
                integers.spill(codec)
            }
            Self::Text(text) => text.spill(codec),
            Self::Timestamp { seconds, nanos } => {
                seconds.spill(codec)?;
                nanos.spill(codec)
            }
            Self::List { lengths, .. } | Self::Map { lengths, .. } => lengths.spill(codec),
            Self::Struct(_) => Ok(()),
        }
    }

    /// Ends runs and adds the position that the next value will have.
    pub(super) fn mark(
        &mut self,
        codec: &mut Codec,
        positions: &mut Vec<u64>,
    ) -> Result<(), WriteError> {
        match self {
            Self::Boolean(stream) => stream.mark(codec, positions),
            Self::Tinyint(stream) => stream.mark(codec, positions),
            Self::Smallint(stream)
            | Self::Int(stream)
            | Self::Bigint(stream)
            | Self::Date(stream) => stream.mark(codec, positions),
            Self::Float(stream) | Self::Double(stream) => stream.mark(codec, positions),
            Self::Decimal { unscaled: data, scales: integers, .. }
            | Self::Binary { data, lengths: integers } => {
                data.mark(codec, positions)?;
                integers.mark(codec, positions)
            }
            Self::Text(text) => text.mark(codec),
            Self::Timestamp { seconds, nanos } => {
                seconds.mark(codec, positions)?;
                nanos.mark(codec, positions)
            }
            Self::List { lengths, .. } | Self::Map { lengths, .. } => {
                lengths.mark(codec, positions)
            }
            Self::Struct(_) => Ok(()),
        }
    }

    /// Ends the streams.
    pub(super) fn finish(&mut self, codec: &mut Codec) -> Result<Finished, WriteError> {
        let streams = match self {
            Self::Boolean(stream) => vec![(StreamKind::Data, stream.finish(codec)?)],
            Self::Tinyint(stream) => vec![(StreamKind::Data, stream.finish(codec)?)],
            Self::Smallint(stream)
            | Self::Int(stream)
            | Self::Bigint(stream)
            | Self::Date(stream) => vec![(StreamKind::Data, stream.finish(codec)?)],
            Self::Float(stream) | Self::Double(stream) => {
                vec![(StreamKind::Data, stream.finish(codec)?)]
            }
            Self::Decimal { unscaled, scales, .. } => vec![
                (StreamKind::Data, unscaled.finish(codec)?),
                (StreamKind::Secondary, scales.finish(codec)?),
            ],
            Self::Binary { data, lengths } => vec![
                (StreamKind::Data, data.finish(codec)?),
                (StreamKind::Length, lengths.finish(codec)?),
            ],
            Self::Text(text) => return text.finish(codec),
            Self::Timestamp { seconds, nanos } => vec![
                (StreamKind::Data, seconds.finish(codec)?),
                (StreamKind::Secondary, nanos.finish(codec)?),
            ],
            Self::List { lengths, .. } | Self::Map { lengths, .. } => {
                vec![(StreamKind::Length, lengths.finish(codec)?)]
            }
            Self::Struct(_) => Vec::new(),
        };
        Ok(Finished { streams, ..Finished::default() })
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        match self {
            Self::Boolean(stream) => stream.buffered_bytes(),
            Self::Tinyint(stream) => stream.buffered_bytes(),
            Self::Smallint(stream)
            | Self::Int(stream)
            | Self::Bigint(stream)
            | Self::Date(stream) => stream.buffered_bytes(),
            Self::Float(stream) | Self::Double(stream) => stream.buffered_bytes(),
            Self::Decimal { unscaled: data, scales: integers, .. }
            | Self::Binary { data, lengths: integers } => {
                data.buffered_bytes() + integers.buffered_bytes()
            }
            Self::Text(text) => text.buffered_bytes(),
            Self::Timestamp { seconds, nanos } => seconds.buffered_bytes() + nanos.buffered_bytes(),
            Self::List { lengths, .. } | Self::Map { lengths, .. } => lengths.buffered_bytes(),
            Self::Struct(_) => 0,
        }
    }
}
