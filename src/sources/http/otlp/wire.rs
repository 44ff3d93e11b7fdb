//! The wire form of Protocol Buffers, field by field, as slices of what came: nothing is taken
//! into memory for what a message claims to hold.

/// The bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the Protocol Buffers message is malformed")]
pub(super) struct Malformed;

/// A field's value as the wire tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// The fields of a message, in the order in which they stand there.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 || number > 0x1fff_ffff {
            return Err(Malformed);
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(*self.chunk()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(u32::from_le_bytes(*self.chunk()?)),
            // Groups, which no version of OTLP has had.
            _ => return Err(Malformed),
        };
        Ok((number, value))
    }

    fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(chunk)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return if index == 9 && byte > 1 { Err(Malformed) } else { Ok(value) };
            }
        }
        Err(Malformed)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    pub(super) fn varint(self) -> Result<u64, Malformed> {
        if let Self::Varint(value) = self { Ok(value) } else { Err(Malformed) }
    }

    pub(super) fn fixed64(self) -> Result<u64, Malformed> {
        if let Self::Fixed64(value) = self { Ok(value) } else { Err(Malformed) }
    }

    pub(super) fn fixed32(self) -> Result<u32, Malformed> {
        if let Self::Fixed32(value) = self { Ok(value) } else { Err(Malformed) }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], Malformed> {
        if let Self::Bytes(value) = self { Ok(value) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_wire_type_is_read_and_groups_are_not() {
        let message = [
            0x08, 0x96, 0x01, // 1: varint 150
            0x11, 1, 0, 0, 0, 0, 0, 0, 0, // 2: fixed64
            0x1a, 2, b'h', b'i', // 3: bytes
            0x25, 2, 0, 0, 0, // 4: fixed32
        ];
        let fields: Result<Vec<_>, _> = Fields::of(&message).collect();
        assert_eq!(
            fields,
            Ok(vec![
                (1, Value::Varint(150)),
                (2, Value::Fixed64(1)),
                (3, Value::Bytes(b"hi")),
                (4, Value::Fixed32(2)),
            ])
        );
        for broken in [
            &[0x0b][..],                                                      // a group
            &[0x00, 1],                                                       // field 0
            &[0x08],                                                          // no value
            &[0x1a, 5, 1], // shorter than it says
            &[0x11, 1, 2], // half a number
            &[0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], // a length of 2^64-1
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], // 65 bits
        ] {
            assert_eq!(Fields::of(broken).last(), Some(Err(Malformed)), "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn varints_are_read_as_they_are_written(value in any::<u64>()) {
            let mut message = vec![0x08];
            prost::encoding::encode_varint(value, &mut message);
            prop_assert_eq!(Fields::of(&message).next(), Some(Ok((1, Value::Varint(value)))));
        }
    }
}
