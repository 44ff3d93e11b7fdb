//! The closed pages of a chunk, which wait in memory until their row group is closed.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use parquet::{
    errors::Result,
    file::reader::{ChunkReader, Length},
};

/// Pages one by one, as they were closed: a buffer that grew over all of them would be copied
/// again and again.
#[derive(Default)]
pub(super) struct Pages {
    pages: Vec<Bytes>,
    length: u64,
}

impl Pages {
    pub fn push(&mut self, page: Bytes) {
        self.length += page.len() as u64;
        self.pages.push(page);
    }

    pub fn len_bytes(&self) -> u64 {
        self.length
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Pages {
    type T = Reader;

    fn get_read(&self, start: u64) -> Result<Reader> {
        let mut reader = Reader { pages: self.pages.clone().into_iter(), page: Bytes::new() };
        io::copy(&mut (&mut reader).take(start), &mut io::sink())?;
        Ok(reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads on from page to page.
pub(super) struct Reader {
    pages: std::vec::IntoIter<Bytes>,
    page: Bytes,
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.page.is_empty() {
            let Some(next) = self.pages.next() else { return Ok(0) };
            self.page = next;
        }
        let length = into.len().min(self.page.len());
        self.page.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_read_as_one() {
        let mut pages = Pages::default();
        for page in [&b"ab"[..], b"", b"cde"] {
            pages.push(Bytes::copy_from_slice(page));
        }
        let mut all = Vec::new();
        pages.get_read(1).unwrap().read_to_end(&mut all).unwrap();
        assert_eq!((all, pages.len()), (b"bcde".to_vec(), 5));
        assert_eq!(pages.get_bytes(1, 3).unwrap(), &b"bcd"[..]);
        assert!(pages.get_bytes(4, 2).is_err());
    }
}
