//! What an object is packed in, told by its first bytes: names and Content-Encoding lie.
//!
//! | container | first bytes |
//! |---|---|
//! | gzip | `1f 8b` |
//! | ZIP | `PK 03 04`; its first entry, as Firehose writes no other |
//! | snappy-java | `82 SNAPPY 00` |
//! | Snappy's own frames | `ff 06 00 00 sNaPpY` |
//! | Hadoop's Snappy | none; a length, a smaller one, and a block that begins with its length |
//! | Zstandard | `28 b5 2f fd` |
//!
//! All are unpacked as they are read. What unpacks to columns is named, not read: no records are in
//! it any more.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use snap::raw::{Decoder as BlockDecoder, decompress_len, max_compress_len};

use crate::limits;

/// Bytes that are looked at; Hadoop's needs thirteen.
const HEAD_BYTES: usize = 32;
const READ_BYTES: usize = 64 * 1024;
/// Window of a Zstandard frame, as a power of two: 32 MiB. Encoders use 8 MiB unless told
/// otherwise.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// Why an object cannot be unpacked at all.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("{0} file: it holds columns, and no records any more")]
    Columnar(&'static str),
    #[error("the ZIP archive is of a kind that is not read ({0})")]
    Zip(&'static str),
    #[error(transparent)]
    Read(#[from] io::Error),
}

/// The bytes of an object as they were before they were packed.
pub type Unpacked = Box<dyn Read + Send>;

/// Looks at the first bytes, and unpacks from there on.
pub fn unpack(source: impl Read + Send + 'static) -> Result<Unpacked, UnpackError> {
    let (unpacked, packed) = layer(source)?;
    // A stream that was told to gzip what was gzip already.
    let unpacked = if packed { layer(unpacked)?.0 } else { unpacked };
    Ok(Box::new(Limited { inner: unpacked, left: limits::REPLAY_UNPACKED_BYTES_MAX }))
}

fn layer(mut source: impl Read + Send + 'static) -> Result<(Unpacked, bool), UnpackError> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    source.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    for (magic, name) in [(&b"PAR1"[..], "a Parquet"), (b"ORC", "an ORC"), (b"Obj\x01", "an Avro")]
    {
        if head.starts_with(magic) {
            return Err(UnpackError::Columnar(name));
        }
    }
    let container = Container::of(&head);
    let source = BufReader::with_capacity(READ_BYTES, Cursor::new(head).chain(source));
    let unpacked: Unpacked = match container {
        Container::Plain => return Ok((Box::new(source), false)),
        Container::Gzip => Box::new(MultiGzDecoder::new(source)),
        Container::Zip => zip_entry(source)?,
        Container::Xerial => Box::new(Blocks::xerial(source)?),
        Container::Hadoop => Box::new(Blocks::hadoop(source)),
        Container::Frames => Box::new(snap::read::FrameDecoder::new(source)),
        Container::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    };
    Ok((unpacked, true))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Plain,
    Gzip,
    Zip,
    Xerial,
    Hadoop,
    Frames,
    Zstd,
}

impl Container {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'P', b'K', 3, 4, ..] => Self::Zip,
            [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, ..] => Self::Xerial,
            [0xff, 6, 0, 0, b's', b'N', b'a', b'P', b'p', b'Y', ..] => Self::Frames,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ if is_hadoop(head) => Self::Hadoop,
            _ => Self::Plain,
        }
    }
}

/// Two lengths and the one that Snappy itself puts first, and all three agree.
fn is_hadoop(head: &[u8]) -> bool {
    let (Some(raw), Some(packed)) = (number(head, 0), number(head, 4)) else { return false };
    if !(1..=limits::REPLAY_BLOCK_BYTES_MAX).contains(&raw)
        || !(1..=max_compress_len(raw)).contains(&packed)
    {
        return false;
    }
    // A raw block may be split into several packed ones.
    decompress_len(&head[8..]).is_ok_and(|length| (1..=raw).contains(&length))
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes) as usize)
}

/// The first entry of an archive, without its directory: java.util.zip writes sizes behind the
/// data, but deflate knows its own end.
fn zip_entry(mut source: impl BufRead + Send + 'static) -> Result<Unpacked, UnpackError> {
    let mut header = [0; 30];
    source.read_exact(&mut header)?;
    let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (flags, method) = (short(6), short(8));
    if flags & 1 == 1 {
        return Err(UnpackError::Zip("it is encrypted"));
    }
    let behind = u64::from(short(26)) + u64::from(short(28));
    if io::copy(&mut source.by_ref().take(behind), &mut io::sink())? < behind {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    match method {
        8 => Ok(Box::new(DeflateDecoder::new(source))),
        0 if flags & 8 == 0 => {
            let size = u32::from_le_bytes([header[18], header[19], header[20], header[21]]);
            if size == u32::MAX {
                return Err(UnpackError::Zip("stored in ZIP64"));
            }
            Ok(Box::new(source.take(u64::from(size))))
        }
        _ => Err(UnpackError::Zip("its method is not deflate")),
    }
}

/// Both containers of snappy-java; see `encode::snappy` for their layout.
struct Blocks<R> {
    source: R,
    /// Whether the raw length of several blocks stands before them.
    raw_lengths: bool,
    /// What is missing of the raw length that was read last.
    raw_left: usize,
    packed: Vec<u8>,
    block: Vec<u8>,
    at: usize,
}

impl<R: Read> Blocks<R> {
    fn hadoop(source: R) -> Self {
        Self {
            source,
            raw_lengths: true,
            raw_left: 0,
            packed: Vec::new(),
            block: Vec::new(),
            at: 0,
        }
    }

    fn xerial(mut source: R) -> io::Result<Self> {
        // Magic and two versions.
        source.read_exact(&mut [0; 16])?;
        Ok(Self { raw_lengths: false, ..Self::hadoop(source) })
    }

    /// Whether there was another block.
    fn next_block(&mut self) -> io::Result<bool> {
        if self.raw_lengths && self.raw_left == 0 {
            match self.length()? {
                Some(raw) => self.raw_left = raw,
                None => return Ok(false),
            }
        }
        let Some(length) = self.length()? else {
            return match self.raw_left {
                0 => Ok(false),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        };
        if length > max_compress_len(limits::REPLAY_BLOCK_BYTES_MAX) {
            return Err(invalid("a Snappy block is too large"));
        }
        self.packed.clear();
        let read = self.source.by_ref().take(length as u64).read_to_end(&mut self.packed)?;
        if read < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let raw = decompress_len(&self.packed).map_err(invalid)?;
        if raw > limits::REPLAY_BLOCK_BYTES_MAX {
            return Err(invalid("a Snappy block is too large"));
        }
        self.block.resize(raw, 0);
        BlockDecoder::new().decompress(&self.packed, &mut self.block).map_err(invalid)?;
        self.at = 0;
        if self.raw_lengths {
            let left = self.raw_left.checked_sub(raw);
            self.raw_left = left.ok_or_else(|| invalid("a Snappy block is longer than it said"))?;
            if raw == 0 {
                return Err(invalid("an empty Snappy block"));
            }
        }
        Ok(true)
    }

    /// A length, or nothing at the end.
    fn length(&mut self) -> io::Result<Option<usize>> {
        let mut bytes = Vec::with_capacity(4);
        self.source.by_ref().take(4).read_to_end(&mut bytes)?;
        match bytes[..] {
            [] => Ok(None),
            [a, b, c, d] => Ok(Some(u32::from_be_bytes([a, b, c, d]) as usize)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl<R: Read> Read for Blocks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let read = (&self.block[self.at..]).read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Ends what unpacks without end.
struct Limited {
    inner: Unpacked,
    left: u64,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| invalid("it unpacks to more than any object may"))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::{
        encode::{Compression, encoder},
        seams::RawBatch,
    };

    fn unpacked(packed: &[u8]) -> Result<Vec<u8>, UnpackError> {
        let mut bytes = Vec::new();
        unpack(Cursor::new(packed.to_vec()))?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn packed(compression: Compression, data: &[u8]) -> Vec<u8> {
        encoder(compression).encode(RawBatch::of(data.to_vec(), 1)).unwrap().body.to_vec()
    }

    const ALL: [Compression; 6] = [
        Compression::Uncompressed,
        Compression::Gzip,
        Compression::Zip,
        Compression::Snappy,
        Compression::HadoopSnappy,
        Compression::Zstd,
    ];

    #[test]
    fn what_the_encoders_pack_is_unpacked() {
        let long: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        for data in [&b"{\"rawData\":\"\"}\n"[..], b"{", b"x", &long] {
            for compression in ALL {
                let bytes = packed(compression, data);
                assert!(unpacked(&bytes).unwrap() == data, "{compression:?} {}", data.len());
                let twice = packed(compression, &packed(Compression::Gzip, data));
                assert!(unpacked(&twice).unwrap() == data, "gzip in {compression:?}");
            }
        }
        assert!(unpacked(b"").unwrap().is_empty());
    }

    #[test]
    fn containers_of_others_are_unpacked() {
        let mut members = packed(Compression::Gzip, b"one\n");
        members.extend(packed(Compression::Gzip, b"two\n"));
        assert_eq!(unpacked(&members).unwrap(), b"one\ntwo\n");

        let mut frames = snap::write::FrameEncoder::new(Vec::new());
        frames.write_all(b"framed").unwrap();
        assert_eq!(unpacked(&frames.into_inner().unwrap()).unwrap(), b"framed");

        // As java.util.zip streams it: sizes behind the data (flag 8).
        let mut deflated =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        deflated.write_all(b"zipped").unwrap();
        let mut zip = b"PK\x03\x04\x14\0\x08\x08\x08\0".to_vec();
        zip.resize(26, 0);
        zip.extend([2, 0, 0, 0]);
        zip.extend(b"id");
        zip.extend(deflated.finish().unwrap());
        zip.extend(b"PK\x07\x08 and so on");
        assert_eq!(unpacked(&zip).unwrap(), b"zipped");

        for (magic, name) in [(&b"PAR1xxxx"[..], "Parquet"), (b"ORC\0", "ORC")] {
            let Err(error) = unpacked(magic) else { panic!("{name} was read") };
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn snappy_java_itself_is_understood() {
        let text = unpacked(include_bytes!("../../tests/fixtures/snappy_java.snappy")).unwrap();
        assert!(text.starts_with(b"{\"id\":0,\"level"));
        let hadoop = include_bytes!("../../tests/fixtures/snappy_java_hadoop.snappy");
        assert_eq!(unpacked(hadoop).unwrap(), text);
    }

    #[test]
    fn torn_objects_are_errors_and_no_short_objects() {
        let data: Vec<u8> = (0..100_000u32).flat_map(|n| (n ^ 0x5a5a).to_le_bytes()).collect();
        for compression in ALL.into_iter().skip(1) {
            let bytes = packed(compression, &data);
            for cut in [bytes.len() / 3, bytes.len() / 2] {
                let read = unpacked(&bytes[..cut]);
                assert!(read.is_err(), "{compression:?} cut at {cut}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn noise_is_read_or_refused(noise in proptest::collection::vec(proptest::num::u8::ANY, 0..200), kind in 0usize..6) {
            let mut bytes = packed(ALL[kind], b"some data to begin with");
            bytes.truncate(40);
            bytes.extend(noise);
            let _ = unpacked(&bytes);
        }
    }
}
