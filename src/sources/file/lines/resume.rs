//! Where reading goes on after a restart, so that every record is given out once.

use std::{fmt, str::FromStr};

/// The streams of a file that are put together apart from each other. All of a plain file is
/// `Other`, and so are lines that do not keep to their format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
    Other,
}

impl Stream {
    pub(super) const ALL: [Self; 3] = [Self::Stdout, Self::Stderr, Self::Other];

    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Stdout => Some("stdout"),
            Self::Stderr => Some("stderr"),
            Self::Other => None,
        }
    }
}

/// How far each stream of a file has been given out.
///
/// ```text
/// file      O1P  E1F  O1F  E2P  O2F          O, E: stdout and stderr; P: goes on; F: complete
///           |    |    |    |    |
/// behind E1 ^stdout: O1 is pending
///                     ^stderr                 reading goes on at O1P and passes over E1F
/// ```
///
/// In text the offset where reading goes on, followed, where the streams differ, by how far each is
/// ahead of it: `4096`, `4096+0+118+118`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resume {
    /// Lines of the stream that begin before its offset have been given out.
    pub(super) from: [u64; 3],
}

impl Resume {
    /// Everything before this offset has been given out, nothing behind it.
    pub fn at(offset: u64) -> Self {
        Self { from: [offset; 3] }
    }

    /// Where reading goes on: the first byte of what is pending.
    pub fn offset(&self) -> u64 {
        let [stdout, stderr, other] = self.from;
        stdout.min(stderr).min(other)
    }
}

impl fmt::Display for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = self.offset();
        write!(f, "{offset}")?;
        if self.from != [offset; 3] {
            for from in self.from {
                write!(f, "+{}", from - offset)?;
            }
        }
        Ok(())
    }
}

/// The text is no place to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no place in a file: an offset, or an offset and how far each of three streams is ahead"
)]
pub struct NoResume;

impl FromStr for Resume {
    type Err = NoResume;

    fn from_str(text: &str) -> Result<Self, NoResume> {
        let mut numbers = text.split('+').map(|digits| match digits.as_bytes() {
            [b'0'..=b'9', ..] => digits.parse::<u64>().map_err(|_| NoResume),
            _ => Err(NoResume),
        });
        let mut next = || numbers.next().transpose();
        let offset = next()?.ok_or(NoResume)?;
        let mut resume = Self::at(offset);
        let Some(first) = next()? else { return Ok(resume) };
        let ahead = [first, next()?.ok_or(NoResume)?, next()?.ok_or(NoResume)?];
        if next()?.is_some() {
            return Err(NoResume);
        }
        for (from, ahead) in resume.from.iter_mut().zip(ahead) {
            *from = from.checked_add(ahead).ok_or(NoResume)?;
        }
        Ok(resume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_their_text() {
        for (from, text) in [
            ([0, 0, 0], "0"),
            ([u64::MAX; 3], "18446744073709551615"),
            ([4096, 4214, 4214], "4096+0+118+118"),
            ([9, 7, 8], "7+2+0+1"),
        ] {
            let resume = Resume { from };
            assert_eq!(resume.to_string(), text);
            assert_eq!(text.parse(), Ok(resume));
        }
        for text in ["", "x", "-1", "1+", "1+2", "1+2+3", "1+0+0+0+0", "+1", "18446744073709551616"]
        {
            assert_eq!(text.parse::<Resume>(), Err(NoResume), "{text}");
        }
        assert_eq!("18446744073709551615+1+0+0".parse::<Resume>(), Err(NoResume));
    }
}
