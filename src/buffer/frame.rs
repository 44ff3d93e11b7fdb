//! The persisted form of a put: one frame. Version 1; all numbers little endian.
//!
//! ```text
//! offset size
//!      0    8  magic F5 'S' 'P' 'F' 0D 0A 1A 01: where a reader finds its way again after damage
//!      8    4  header checksum: CRC-32C of the journal id (16 bytes) and of bytes 12..72
//!     12    4  body checksum: CRC-32C of the body as it stands in the file
//!     16    4  length of the body in bytes
//!     20    4  number of records, at least 1
//!     24    8  sequence of the first record
//!     32    8  arrival, milliseconds since the Unix epoch (signed)
//!     40    2  flags: 1 encrypted, 2 the call below is set, 4 with provenance, 8 unfit records
//!     42    2  zero
//!     44    4  how many records of the same group commit stand before this frame
//!     48   16  digest of the call
//!     64    4  CRC-32C of the call's body
//!     68    4  zero
//!     72       body
//!
//! plain body:      record lengths (4 bytes each), then all record bytes
//!                  with provenance: its length (4) and its bytes (see `record::Provenance`) first
//! encrypted body:  key id (4), nonce (12), AES-256-GCM of the plain body, tag (16);
//!                  associated data: the journal id and bytes 20..72 of the header
//! ```
//!
//! The header checksum covers the length and the body checksum, so together they cover all. It is
//! salted with the journal id, which no client knows: bytes inside a record cannot pass for a
//! frame when a reader looks for the next one behind damage. The header alone tells where the next
//! frame starts, so that headers can be walked without reading the bodies.

use bytes::Bytes;
use prost::Message;

use super::crypto::{CryptoError, Keyring};
use crate::{
    limits,
    record::{CallId, Frame, FrameProvenance, Position, Put},
};

pub const HEADER_BYTES: usize = 72;
pub const MAGIC: [u8; 8] = [0xF5, b'S', b'P', b'F', 0x0D, 0x0A, 0x1A, 0x01];
/// Where the part of the header starts that is authenticated with an encrypted body.
const AUTHENTICATED: usize = 20;
const FLAG_ENCRYPTED: u16 = 1;
const FLAG_CALL: u16 = 2;
const FLAG_PROVENANCE: u16 = 4;
const FLAG_UNFIT: u16 = 8;

/// Which journal a frame belongs to: part of every checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub id: [u8; 16],
    salt: u32,
}

impl Identity {
    pub fn new(id: [u8; 16]) -> Self {
        Self { id, salt: crc32c::crc32c(&id) }
    }
}

/// What stands before the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub body_checksum: u32,
    pub body_bytes: u32,
    pub records: u32,
    pub first: u64,
    pub arrival_ms: i64,
    pub encrypted: bool,
    pub group_back: u32,
    pub call: Option<CallId>,
    /// The body begins with the provenance of its records.
    pub provenance: bool,
    /// The records cannot be delivered.
    pub unfit: bool,
}

impl Header {
    /// The sequence after the last record.
    pub fn end(&self) -> u64 {
        self.first + u64::from(self.records)
    }

    /// Bytes of the whole frame.
    pub fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.body_bytes)
    }

    pub fn encode(&self, identity: Identity) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let mut flags = 0;
        out[..8].copy_from_slice(&MAGIC);
        out[12..16].copy_from_slice(&self.body_checksum.to_le_bytes());
        out[16..20].copy_from_slice(&self.body_bytes.to_le_bytes());
        out[20..24].copy_from_slice(&self.records.to_le_bytes());
        out[24..32].copy_from_slice(&self.first.to_le_bytes());
        out[32..40].copy_from_slice(&self.arrival_ms.to_le_bytes());
        out[44..48].copy_from_slice(&self.group_back.to_le_bytes());
        if let Some(call) = &self.call {
            flags |= FLAG_CALL;
            out[48..64].copy_from_slice(&call.digest);
            out[64..68].copy_from_slice(&call.body_checksum.to_le_bytes());
        }
        for (is_set, flag) in [
            (self.encrypted, FLAG_ENCRYPTED),
            (self.provenance, FLAG_PROVENANCE),
            (self.unfit, FLAG_UNFIT),
        ] {
            flags |= if is_set { flag } else { 0 };
        }
        out[40..42].copy_from_slice(&flags.to_le_bytes());
        let checksum = crc32c::crc32c_append(identity.salt, &out[12..]);
        out[8..12].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads a header; `None` if these bytes are none of this journal's.
    pub fn decode(bytes: &[u8], identity: Identity) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        if bytes[..8] != MAGIC
            || u32_at(bytes, 8) != crc32c::crc32c_append(identity.salt, &bytes[12..])
        {
            return None;
        }
        let flags = u16::from_le_bytes([bytes[40], bytes[41]]);
        let call = (flags & FLAG_CALL != 0).then(|| {
            let mut digest = [0; 16];
            digest.copy_from_slice(&bytes[48..64]);
            CallId { digest, body_checksum: u32_at(bytes, 64) }
        });
        let header = Self {
            body_checksum: u32_at(bytes, 12),
            body_bytes: u32_at(bytes, 16),
            records: u32_at(bytes, 20),
            first: u64_at(bytes, 24),
            arrival_ms: u64_at(bytes, 32) as i64,
            encrypted: flags & FLAG_ENCRYPTED != 0,
            group_back: u32_at(bytes, 44),
            call,
            provenance: flags & FLAG_PROVENANCE != 0,
            unfit: flags & FLAG_UNFIT != 0,
        };
        let sane = header.records > 0
            && flags & !(FLAG_CALL | FLAG_ENCRYPTED | FLAG_PROVENANCE | FLAG_UNFIT) == 0
            && header.frame_bytes() <= limits::FRAME_BYTES_MAX as u64
            && header.first.checked_add(u64::from(header.records)).is_some();
        sane.then_some(header)
    }

    /// True if these are the bytes that were written.
    pub fn verify(&self, body: &[u8]) -> bool {
        body.len() == self.body_bytes as usize && crc32c::crc32c(body) == self.body_checksum
    }

    fn associated(&self, identity: Identity) -> [u8; 16 + HEADER_BYTES - AUTHENTICATED] {
        let mut out = [0; 16 + HEADER_BYTES - AUTHENTICATED];
        out[..16].copy_from_slice(&identity.id);
        out[16..].copy_from_slice(&self.encode(identity)[AUTHENTICATED..]);
        out
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Bytes of the frame that a put becomes.
pub fn frame_bytes(put: &Put, encrypted: bool) -> usize {
    let overhead = if encrypted { super::crypto::OVERHEAD_BYTES } else { 0 };
    footprint(put.lengths.len(), put.data.len()) + provenance_bytes(put) + overhead
}

/// Bytes that the provenance of a put takes in its frame.
fn provenance_bytes(put: &Put) -> usize {
    put.provenance.as_ref().map_or(0, |provenance| 4 + provenance.encoded_len())
}

fn push_provenance(put: &Put, out: &mut Vec<u8>) {
    let Some(provenance) = &put.provenance else { return };
    out.extend_from_slice(&(provenance.encoded_len() as u32).to_le_bytes());
    provenance.encode_raw(out);
}

/// Appends to `scratch` what stands before the put's bytes in a plain frame: the header and the
/// record lengths. The bytes themselves are not copied: they follow in the same write.
pub fn encode_plain(
    put: &Put,
    first: u64,
    group_back: u32,
    identity: Identity,
    scratch: &mut Vec<u8>,
) {
    let start = scratch.len();
    scratch.resize(start + HEADER_BYTES, 0);
    push_provenance(put, scratch);
    push_lengths(&put.lengths, scratch);
    let checksum = crc32c::crc32c(&scratch[start + HEADER_BYTES..]);
    let mut header = header_of(put, first, group_back);
    header.body_checksum = crc32c::crc32c_append(checksum, &put.data);
    let before_data = scratch.len() - start - HEADER_BYTES;
    header.body_bytes = (before_data + put.data.len()) as u32;
    scratch[start..start + HEADER_BYTES].copy_from_slice(&header.encode(identity));
}

/// The whole frame of a put, its body encrypted with the current key.
pub fn encode_encrypted(
    put: &Put,
    first: u64,
    group_back: u32,
    identity: Identity,
    keys: &Keyring,
) -> Result<Vec<u8>, CryptoError> {
    let mut header = header_of(put, first, group_back);
    header.encrypted = true;
    let mut out = Vec::with_capacity(frame_bytes(put, true));
    out.resize(HEADER_BYTES, 0);
    keys.seal(&header.associated(identity), &mut out, |plain| {
        push_provenance(put, plain);
        push_lengths(&put.lengths, plain);
        plain.extend_from_slice(&put.data);
    })?;
    header.body_checksum = crc32c::crc32c(&out[HEADER_BYTES..]);
    header.body_bytes = (out.len() - HEADER_BYTES) as u32;
    out[..HEADER_BYTES].copy_from_slice(&header.encode(identity));
    Ok(out)
}

fn push_lengths(lengths: &[u32], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + lengths.len() * 4, 0);
    for (place, length) in out[start..].chunks_exact_mut(4).zip(lengths) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

fn header_of(put: &Put, first: u64, group_back: u32) -> Header {
    Header {
        body_checksum: 0,
        body_bytes: 0,
        records: put.lengths.len() as u32,
        first,
        arrival_ms: put.arrival_ms,
        encrypted: false,
        group_back,
        call: put.call,
        provenance: put.provenance.is_some(),
        unfit: put.provenance.as_ref().is_some_and(|provenance| provenance.unfit.is_some()),
    }
}

/// Why a verified body gives no records.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The checksums hold but the lengths do not add up.
    #[error("the record lengths do not add up to the frame")]
    Lengths,
}

/// Takes a verified body apart. A plain one is shared, not copied.
pub fn decode_body(
    header: &Header,
    body: Bytes,
    identity: Identity,
    keys: Option<&Keyring>,
) -> Result<Frame, BodyError> {
    let plain = if header.encrypted {
        // The associated data are the fields before the body was sealed: checksum and length of
        // the body are not among them.
        Keyring::open(keys, &header.associated(identity), &body)?.into()
    } else {
        body
    };
    let mut plain: Bytes = plain;
    let provenance = match header.provenance {
        true => Some(split_provenance(&mut plain).ok_or(BodyError::Lengths)?),
        false => None,
    };
    let table = header.records as usize * 4;
    if plain.len() < table {
        return Err(BodyError::Lengths);
    }
    let lengths: Vec<u32> =
        plain[..table].chunks_exact(4).map(|length| u32_at(length, 0)).collect();
    let total: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
    if total != (plain.len() - table) as u64 {
        return Err(BodyError::Lengths);
    }
    Ok(Frame {
        first: Position::new(0, header.first),
        arrival_ms: header.arrival_ms,
        lengths,
        data: plain.slice(table..),
        provenance: provenance.map(FrameProvenance::encoded),
        unfit: header.unfit,
    })
}

/// Takes the provenance from the beginning of a body.
fn split_provenance(plain: &mut Bytes) -> Option<Bytes> {
    let length = plain.get(..4).map(|length| u32_at(length, 0) as usize)?;
    if plain.len() - 4 < length {
        return None;
    }
    let provenance = plain.slice(4..4 + length);
    *plain = plain.slice(4 + length..);
    Some(provenance)
}

/// The footprint of a frame with all that belongs to it.
pub fn footprint_of(frame: &Frame) -> usize {
    let provenance = frame.provenance.as_ref().map_or(0, |of| 4 + of.encoded_bytes());
    footprint(frame.lengths.len(), frame.data.len()) + provenance
}

/// Bytes that a frame stands for when memory or space is counted: header, record lengths, data. A
/// frame of empty records has its price too.
pub fn footprint(records: usize, data_bytes: usize) -> usize {
    HEADER_BYTES + records * 4 + data_bytes
}

/// The part of a frame within `from..before`; `None` if it is empty.
pub fn cut(frame: Frame, from: u64, before: u64) -> Option<Frame> {
    let first = frame.first.sequence;
    let end = frame.end().sequence;
    if from <= first && end <= before {
        return Some(frame);
    }
    let (from, before) = (from.max(first), before.min(end));
    if from >= before {
        return None;
    }
    let (skip, take) = ((from - first) as usize, (before - from) as usize);
    let bytes = |lengths: &[u32]| lengths.iter().map(|&length| length as usize).sum::<usize>();
    let start = bytes(&frame.lengths[..skip]);
    let lengths = frame.lengths[skip..skip + take].to_vec();
    let data = frame.data.slice(start..start + bytes(&lengths));
    let provenance = frame.provenance.map(|provenance| provenance.from_record(skip));
    Some(Frame { first: frame.first.plus(skip as u64), lengths, data, provenance, ..frame })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put() -> Put {
        let mut put = Put {
            arrival_ms: -7,
            call: Some(CallId { digest: [9; 16], body_checksum: 77 }),
            ..Put::default()
        };
        for record in [&b"ab"[..], b"", b"cde"] {
            put.push(record);
        }
        put
    }

    #[test]
    fn plain_frames_come_back_and_cut() {
        let identity = Identity::new([3; 16]);
        let put = put();
        let mut bytes = Vec::new();
        encode_plain(&put, 10, 4, identity, &mut bytes);
        bytes.extend_from_slice(&put.data);
        assert_eq!(bytes.len(), frame_bytes(&put, false));
        let header = Header::decode(&bytes, identity).unwrap();
        assert_eq!((header.first, header.end(), header.group_back), (10, 13, 4));
        assert_eq!(header.call, put.call);
        let body = Bytes::from(bytes).slice(HEADER_BYTES..);
        assert!(header.verify(&body));
        let frame = decode_body(&header, body, identity, None).unwrap();
        assert_eq!((frame.arrival_ms, &frame.lengths), (-7, &put.lengths));
        let part = cut(frame.clone(), 11, 13).unwrap();
        assert_eq!(part.iter().collect::<Vec<_>>(), vec![(11, &b""[..]), (12, &b"cde"[..])]);
        assert_eq!(cut(frame.clone(), 5, 11).unwrap().data, &b"ab"[..]);
        assert_eq!(cut(frame, 13, 20), None);
    }

    #[test]
    fn a_frame_of_another_journal_or_with_any_flipped_header_bit_is_none() {
        let identity = Identity::new([3; 16]);
        let mut bytes = Vec::new();
        encode_plain(&put(), 10, 0, identity, &mut bytes);
        assert_eq!(Header::decode(&bytes, Identity::new([4; 16])), None);
        for bit in 0..HEADER_BYTES * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&bytes, identity), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(Header::decode(&bytes, identity).is_some());
    }
}
