//! A walk over JSON (RFC 8259) that hands out what stands there byte by byte.
//!
//! A tree would change what was sent: numbers beyond a double, half a surrogate pair, the order of
//! members and the white space between them. Here a value is a piece of the text. What is walked
//! over is checked; the text is UTF-8 by its type. Nothing recurses, so depth costs a byte per level.

use std::borrow::Cow;

/// The text is no JSON from this byte on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no JSON from byte {at} on")]
pub struct NoJson {
    pub at: usize,
}

/// A place in a text.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// What stands between the quotes of a string, escapes and all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted<'a>(&'a str);

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// How far it has come, in bytes.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The first byte of what comes next, white space passed over.
    pub fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let space = rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
        self.at += space.unwrap_or(rest.len());
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes over this byte if it comes next.
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Nothing may follow but white space.
    pub fn end(&mut self) -> Result<(), NoJson> {
        self.peek().map_or(Ok(()), |_| self.wrong())
    }

    /// Passes over `null` if it comes next.
    pub fn null(&mut self) -> Result<bool, NoJson> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.value().map(|_| true)
    }

    /// Walks an object: `each` gets the names and takes one value from the cursor each time.
    pub fn object<E: From<NoJson>>(
        &mut self,
        mut each: impl FnMut(Quoted<'a>, &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{')?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            each(name, self)?;
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// Walks an array: `each` takes one value from the cursor each time.
    pub fn array<E: From<NoJson>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'[')?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// A string.
    pub fn string(&mut self) -> Result<Quoted<'a>, NoJson> {
        self.expect(b'"')?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        loop {
            let rest = &bytes[self.at..];
            let plain = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
            self.at += plain.unwrap_or(rest.len());
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Quoted(&self.text[start..self.at - 1]));
                }
                Some(b'\\') => self.escape()?,
                _ => return self.wrong(),
            }
        }
    }

    /// Any value, as it stands there.
    pub fn value(&mut self) -> Result<&'a str, NoJson> {
        self.peek();
        let start = self.at;
        // What closes the objects and arrays that are open.
        let mut open: Vec<u8> = Vec::new();
        loop {
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    if !self.take(b'}') {
                        self.name()?;
                        open.push(b'}');
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    if !self.take(b']') {
                        open.push(b']');
                        continue;
                    }
                }
                Some(b'"') => drop(self.string()?),
                Some(b'-' | b'0'..=b'9') => self.number()?,
                _ => self.literal()?,
            }
            loop {
                let Some(&closing) = open.last() else { return Ok(&self.text[start..self.at]) };
                if self.take(closing) {
                    open.pop();
                    continue;
                }
                self.expect(b',')?;
                if closing == b'}' {
                    self.name()?;
                }
                break;
            }
        }
    }

    fn name(&mut self) -> Result<Quoted<'a>, NoJson> {
        let name = self.string()?;
        self.expect(b':')?;
        Ok(name)
    }

    fn escape(&mut self) -> Result<(), NoJson> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        let length = match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') if rest.get(1..5).is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) => 6,
            _ => return self.wrong(),
        };
        self.at += length;
        Ok(())
    }

    fn number(&mut self) -> Result<(), NoJson> {
        let bytes = self.text.as_bytes();
        let skip = |at: usize, set: &[u8]| bytes.get(at).is_some_and(|byte| set.contains(byte));
        self.at += usize::from(skip(self.at, b"-"));
        if skip(self.at, b"0") {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if skip(self.at, b".") {
            self.at += 1;
            self.digits()?;
        }
        if skip(self.at, b"eE") {
            self.at += 1;
            self.at += usize::from(skip(self.at, b"+-"));
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), NoJson> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return self.wrong();
        }
        self.at += count;
        Ok(())
    }

    fn literal(&mut self) -> Result<(), NoJson> {
        let rest = &self.text.as_bytes()[self.at..];
        let known = ["true", "false", "null"];
        let Some(literal) = known.iter().find(|literal| rest.starts_with(literal.as_bytes()))
        else {
            return self.wrong();
        };
        self.at += literal.len();
        Ok(())
    }

    fn expect(&mut self, byte: u8) -> Result<(), NoJson> {
        if self.take(byte) { Ok(()) } else { self.wrong() }
    }

    fn wrong<T>(&self) -> Result<T, NoJson> {
        Err(NoJson { at: self.at })
    }
}

impl<'a> Quoted<'a> {
    /// As it stands in the text.
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// What it says. Half a surrogate pair becomes U+FFFD, for UTF-8 has no word for it.
    pub fn text(self) -> Cow<'a, str> {
        if memchr::memchr(b'\\', self.0.as_bytes()).is_none() {
            return Cow::Borrowed(self.0);
        }
        let mut text = String::with_capacity(self.0.len());
        let mut rest = self.0;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            text.push_str(&rest[..at]);
            let (char, length) = unescape(&rest[at..]);
            text.push(char);
            rest = &rest[at + length..];
        }
        text.push_str(rest);
        Cow::Owned(text)
    }
}

/// What the escape at the start of a checked text stands for, and its length.
fn unescape(text: &str) -> (char, usize) {
    match text.as_bytes()[1] {
        b'b' => ('\u{8}', 2),
        b'f' => ('\u{c}', 2),
        b'n' => ('\n', 2),
        b'r' => ('\r', 2),
        b't' => ('\t', 2),
        b'u' => {
            let high = unit(text, 0).unwrap_or_default();
            // A half without the other stays alone; what follows it means itself.
            let pair = match unit(text, 6) {
                Some(low @ 0xdc00..0xe000) if (0xd800..0xdc00).contains(&high) => {
                    char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                }
                _ => None,
            };
            match pair {
                Some(pair) => (pair, 12),
                None => (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
            }
        }
        itself => (itself as char, 2),
    }
}

/// The UTF-16 unit whose escape stands at `at`.
fn unit(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn whole(text: &str) -> Result<&str, NoJson> {
        let mut cursor = Cursor::new(text);
        let value = cursor.value()?;
        cursor.end().map(|()| value)
    }

    #[test]
    fn what_is_no_json_is_found_where_it_ends_to_be() {
        for (text, at) in [
            ("", 0),
            ("[1,]", 3),
            ("{\"a\":1,}", 7),
            ("{\"a\" 1}", 5),
            ("[1}", 2),
            ("01", 1),
            ("-", 1),
            ("1.", 2),
            ("1e", 2),
            ("nul", 0),
            ("\"a\nb\"", 2),
            ("\"\\x\"", 1),
            ("\"\\u12g4\"", 1),
            ("\"abc", 4),
            ("\"\\", 1),
        ] {
            assert_eq!(whole(text), Err(NoJson { at }), "{text}");
        }
        let deep = "[".repeat(200_000);
        assert_eq!(whole(&deep), Err(NoJson { at: 200_000 }));
    }

    #[test]
    fn objects_and_arrays_are_walked() {
        let text = " {\"a\" : [1 , \"x\\n\" ], \"b\":{}, \"c\":null} tail";
        let mut cursor = Cursor::new(text);
        let mut seen = Vec::new();
        cursor
            .object::<NoJson>(|name, cursor| {
                seen.push(name.raw().to_owned());
                match name.raw() {
                    "a" => cursor.array(|cursor| {
                        seen.push(cursor.value()?.to_owned());
                        Ok(())
                    }),
                    "c" => cursor.null().map(|null| assert!(null)),
                    _ => cursor.value().map(drop),
                }
            })
            .unwrap();
        assert_eq!(seen, ["a", "1", "\"x\\n\"", "b", "c"]);
        assert_eq!(cursor.end(), Err(NoJson { at: text.len() - "tail".len() }));
    }

    #[test]
    fn strings_say_what_they_say() {
        for (text, expected) in [
            (r#""plain""#, "plain"),
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""\u0041\u00e9\u20ac""#, "Aé€"),
            (r#""a\ud83d\ude00b""#, "a😀b"),
            (r#""\ud83d!""#, "\u{fffd}!"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\u20ac""#, "\u{fffd}€"),
        ] {
            assert_eq!(Cursor::new(text).string().unwrap().text(), expected, "{text}");
        }
    }

    fn jsonish() -> impl Strategy<Value = String> {
        let token = prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"", "\\", "\\u00e9", "\\ud800", "1", "0", "-",
            ".", "e", "+", "true", "null", " ", "\n", "\u{1}", "é", "1e999", "\"k\":1",
        ]);
        prop::collection::vec(token, 0..14).prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #[test]
        fn it_takes_what_another_parser_takes(text in jsonish()) {
            let theirs = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(whole(&text).is_ok(), theirs, "{}", text);
        }

        #[test]
        fn strings_survive(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(Cursor::new(&json).string().unwrap().text(), text);
        }
    }
}
