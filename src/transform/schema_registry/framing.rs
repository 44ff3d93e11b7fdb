//! How serializers say which schema a record was written with.
//!
//! ```text
//! Confluent   00 │ id (4, big endian) │ payload
//! AWS Glue    03 │ 00 plain, 05 zlib │ UUID of the schema version (16) │ payload
//! ```

use std::io::Read;

use flate2::read::ZlibDecoder;
use std::borrow::Cow;
use uuid::Uuid;

use crate::limits;

/// Which schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SchemaId {
    Confluent(u32),
    Glue(Uuid),
}

/// A record, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Framed<'a> {
    pub(super) id: SchemaId,
    is_packed: bool,
    payload: &'a [u8],
}

/// The payload does not unpack, or to more than a record may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload is no zlib stream of up to {} bytes", limits::SCHEMA_DOCUMENT_BYTES_MAX)]
pub(super) struct NotUnpacked;

impl<'a> Framed<'a> {
    /// What stands before the payload; `None` if it is neither's.
    pub(super) fn of(record: &'a [u8]) -> Option<Self> {
        match record {
            [0, a, b, c, d, payload @ ..] => {
                let id = SchemaId::Confluent(u32::from_be_bytes([*a, *b, *c, *d]));
                Some(Self { id, is_packed: false, payload })
            }
            [3, packing @ (0 | 5), rest @ ..] => {
                let (version, payload) = rest.split_first_chunk()?;
                let id = SchemaId::Glue(Uuid::from_bytes(*version));
                Some(Self { id, is_packed: *packing == 5, payload })
            }
            _ => None,
        }
    }

    pub(super) fn payload(&self) -> Result<Cow<'a, [u8]>, NotUnpacked> {
        if !self.is_packed {
            return Ok(Cow::Borrowed(self.payload));
        }
        let max = limits::SCHEMA_DOCUMENT_BYTES_MAX;
        let mut payload = Vec::new();
        let mut unpack = ZlibDecoder::new(self.payload).take(max as u64 + 1);
        match unpack.read_to_end(&mut payload) {
            Ok(_) if payload.len() <= max => Ok(Cow::Owned(payload)),
            _ => Err(NotUnpacked),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn both_headers_are_recognised() {
        let id = SchemaId::Confluent(258);
        let framed = Framed::of(b"\0\0\0\x01\x02abc").unwrap();
        assert_eq!((framed.id, framed.payload().unwrap().as_ref()), (id, &b"abc"[..]));
        assert!(Framed::of(b"\0\0\0\0\0").unwrap().payload().unwrap().is_empty());
        let version = Uuid::from_u128(7);
        let plain = [&[3, 0], &version.as_bytes()[..], b"abc"].concat();
        let framed = Framed::of(&plain).unwrap();
        assert_eq!(framed.id, SchemaId::Glue(version));
        assert_eq!(framed.payload().unwrap().as_ref(), b"abc");
        for record in [&b""[..], b"\0\0\0\0", b"{}", &plain[..17], b"\x03\x01", &[3; 40]] {
            assert_eq!(Framed::of(record), None, "{record:?}");
        }
    }

    #[test]
    fn packed_payloads_are_bounded() {
        let pack = |size: usize| {
            let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            zlib.write_all(&vec![b'x'; size]).unwrap();
            [&[3, 5][..], &[0; 16], &zlib.finish().unwrap()].concat()
        };
        let max = limits::SCHEMA_DOCUMENT_BYTES_MAX;
        assert_eq!(Framed::of(&pack(max)).unwrap().payload().unwrap().len(), max);
        assert_eq!(Framed::of(&pack(max + 1)).unwrap().payload(), Err(NotUnpacked));
        let whole = pack(1000);
        for damaged in [&whole[..whole.len() - 4], &[&[3, 5][..], &[0; 16], b"plain"].concat()] {
            assert_eq!(Framed::of(damaged).unwrap().payload(), Err(NotUnpacked));
        }
    }
}
