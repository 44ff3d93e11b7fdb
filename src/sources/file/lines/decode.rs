//! What a container runtime puts around a line: CRI (Kubernetes' container runtime interface), and
//! Docker's `json-file`.

use std::borrow::Cow;

use serde::Deserialize;

use super::resume::Stream;

/// A line taken out of its wrapping.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrapped<'a> {
    pub stream: Stream,
    /// The runtime took the line apart, and more of it follows in the same stream.
    pub goes_on: bool,
    pub text: Cow<'a, [u8]>,
    pub time: Stamp,
}

/// An RFC 3339 time as it stands in the file, kept in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    bytes: [u8; Self::LONGEST],
    length: u8,
}

impl Stamp {
    /// `2026-01-02T03:04:05.123456789+01:00`.
    const LONGEST: usize = 35;
    const SHORTEST: usize = "2026-01-02T03:04:05Z".len();

    /// Only what looks like a time, so that it can stand in JSON as it is.
    fn new(text: &[u8]) -> Option<Self> {
        let looks_so = (Self::SHORTEST..=Self::LONGEST).contains(&text.len())
            && text[4] == b'-'
            && text[10] == b'T'
            && text
                .iter()
                .all(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b':' | b'.' | b'T' | b'Z'));
        if !looks_so {
            return None;
        }
        let mut bytes = [0; Self::LONGEST];
        bytes[..text.len()].copy_from_slice(text);
        Some(Self { bytes, length: text.len() as u8 })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

fn stream(name: &[u8]) -> Option<Stream> {
    match name {
        b"stdout" => Some(Stream::Stdout),
        b"stderr" => Some(Stream::Stderr),
        _ => None,
    }
}

/// Splits at the first space; a line may end behind its tag.
fn word(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', line) {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, &[]),
    }
}

/// `TIME STREAM TAGS TEXT`. Tags are separated by colons; the first is `P` or `F`.
pub(super) fn cri(line: &[u8]) -> Option<Wrapped<'_>> {
    let (time, rest) = word(line);
    let time = Stamp::new(time)?;
    let (name, rest) = word(rest);
    let stream = stream(name)?;
    let (tags, text) = word(rest);
    let goes_on = match tags {
        [b'P'] | [b'P', b':', ..] => true,
        [b'F'] | [b'F', b':', ..] => false,
        _ => return None,
    };
    Some(Wrapped { stream, goes_on, text: Cow::Borrowed(text), time })
}

#[derive(Deserialize)]
struct DockerLine<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// `{"log": "text\n", "stream": "stdout", "time": …}`. Docker takes long lines apart: a text without
/// a newline goes on.
pub(super) fn docker_json(line: &[u8]) -> Option<Wrapped<'_>> {
    let line: DockerLine = serde_json::from_slice(line).ok()?;
    let time = Stamp::new(line.time.as_bytes())?;
    let stream = stream(line.stream.as_bytes())?;
    let mut text = match line.log {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    let goes_on = text.last() != Some(&b'\n');
    if !goes_on {
        let ends = if text.ends_with(b"\r\n") { 2 } else { 1 };
        match &mut text {
            Cow::Borrowed(text) => *text = &text[..text.len() - ends],
            Cow::Owned(text) => text.truncate(text.len() - ends),
        }
    }
    Some(Wrapped { stream, goes_on, text, time })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-01-02T03:04:05.123456789Z";

    fn told(wrapped: Option<Wrapped>) -> Option<(Stream, bool, String)> {
        let wrapped = wrapped?;
        assert!(wrapped.time.as_bytes().starts_with(b"2026-01-02T03:04:05"));
        let text = String::from_utf8(wrapped.text.into_owned()).unwrap();
        Some((wrapped.stream, wrapped.goes_on, text))
    }

    #[test]
    fn lines_of_a_runtime() {
        for (rest, expected) in [
            ("stdout F hello  world ", Some((Stream::Stdout, false, "hello  world ".into()))),
            ("stderr P half", Some((Stream::Stderr, true, "half".into()))),
            ("stdout F ", Some((Stream::Stdout, false, String::new()))),
            ("stdout F", Some((Stream::Stdout, false, String::new()))),
            ("stdout P:x text", Some((Stream::Stdout, true, "text".into()))),
            ("stdout X text", None),
            ("stdin F text", None),
            ("stdout", None),
            ("", None),
        ] {
            assert_eq!(told(cri(format!("{TIME} {rest}").as_bytes())), expected, "{rest}");
        }
        let offset = "2026-01-02T03:04:05.123456789+01:00 stdout F x";
        assert!(cri(offset.as_bytes()).is_some());
        for line in ["", "stdout F x", "2026-01-02 stdout F x", "Fri Jan 02 03:04:05 2026 F x"] {
            assert_eq!(cri(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn lines_of_docker() {
        for (log, expected) in [
            (r"hello\n", Some((Stream::Stderr, false, "hello".into()))),
            (r"\thello\r\n", Some((Stream::Stderr, false, "\thello".into()))),
            ("half", Some((Stream::Stderr, true, "half".into()))),
            (r"\n", Some((Stream::Stderr, false, String::new()))),
        ] {
            let line = format!(
                r#"{{"log":"{log}","stream":"stderr","attrs":{{"tag":"x"}},"time":"{TIME}"}}"#
            );
            assert_eq!(told(docker_json(line.as_bytes())), expected, "{log}");
        }
        for line in [
            "",
            "{}",
            "[1]",
            r#"{"log":"x\n","stream":"stdin","time":"2026-01-02T03:04:05Z"}"#,
            r#"{"log":"x\n","stream":"stdout","time":"now\"}"}"#,
            r#"{"log":7,"stream":"stdout","time":"2026-01-02T03:04:05Z"}"#,
        ] {
            assert_eq!(docker_json(line.as_bytes()), None, "{line}");
        }
    }
}
