//! Finds where a JSON object ends, in bytes of which more may come.
//!
//! Only as much grammar as it takes to notice early that a line was torn: an object begins where a
//! value may stand, a text holds no line break, brackets match. All else is the parser's business.

use memchr::memchr3;

/// What became of the search for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The object has so many bytes.
    End(usize),
    /// The bytes end before the object does.
    Incomplete,
    /// This cannot become an object, whatever follows.
    Broken,
}

/// Containers inside of each other. Error records have two; more would let every line of a hostile
/// object be searched to its end, and the parser, which passes over members by calling itself for
/// each level, run out of stack.
const DEPTH_MAX: u32 = 32;

/// Searches from a `{` on.
pub fn object(bytes: &[u8]) -> Found {
    debug_assert_eq!(bytes.first(), Some(&b'{'));
    // One bit a level: whether it is an object.
    let mut objects = 0u64;
    let mut depth = 0u32;
    let mut before = b':';
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'"' => match text(&bytes[at..]) {
                Found::End(length) => at += length,
                other => return other,
            },
            b'{' | b'[' => {
                let inside_object = depth > 0 && objects & 1 == 1;
                let fits = before == b':' || (!inside_object && matches!(before, b'[' | b','));
                if !fits || depth == DEPTH_MAX {
                    return Found::Broken;
                }
                objects = objects << 1 | u64::from(byte == b'{');
                depth += 1;
            }
            b'}' | b']' => {
                if (objects & 1 == 1) != (byte == b'}') {
                    return Found::Broken;
                }
                objects >>= 1;
                depth -= 1;
                if depth == 0 {
                    return Found::End(at);
                }
            }
            _ => {}
        }
        before = byte;
    }
    Found::Incomplete
}

/// Searches from behind the opening quote for the place behind the closing one.
fn text(bytes: &[u8]) -> Found {
    let mut at = 0;
    while let Some(found) = memchr3(b'"', b'\\', b'\n', &bytes[at..]) {
        at += found;
        match bytes[at] {
            b'"' => return Found::End(at + 1),
            b'\n' => return Found::Broken,
            _ => at += 2,
        }
        if at > bytes.len() {
            break;
        }
    }
    Found::Incomplete
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn objects_end_at_their_brace() {
        for (text, expected) in [
            (r#"{}{}"#, Found::End(2)),
            (r#"{"a":"}\"{","b":{"c":[1,{},{}]}} x"#, Found::End(32)),
            ("{\n  \"a\": [\n 1 ]\n}\n", Found::End(17)),
            (r#"{"a":"\\"}"#, Found::End(10)),
            (r#"{"a":"b"#, Found::Incomplete),
            (r#"{"a":"b\"#, Found::Incomplete),
            (r#"{"a":1"#, Found::Incomplete),
            ("{\"a\":\"b\n\"}", Found::Broken),
            ("{\"a\":1,\n{\"b\":2}", Found::Broken),
            ("{{", Found::Broken),
            ("{]", Found::Broken),
            (r#"{"a":[}"#, Found::Broken),
            (r#"{"a" {"#, Found::Broken),
        ] {
            assert_eq!(object(text.as_bytes()), expected, "{text}");
        }
        let deep = |levels: usize| "{\"a\":".repeat(levels) + "1" + &"}".repeat(levels);
        assert_eq!(object(deep(32).as_bytes()), Found::End(32 * 6 + 1));
        assert_eq!(object(deep(33).as_bytes()), Found::Broken);
    }

    proptest! {
        #[test]
        fn every_object_ends_where_its_text_ends(
            value in prop::collection::btree_map(".{0,8}", ".{0,40}", 0..5),
            pretty: bool,
            behind in "[ -~]{0,20}",
        ) {
            let json = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                serde_json::to_string(&value).unwrap()
            };
            let all = format!("{json}{behind}");
            prop_assert_eq!(object(all.as_bytes()), Found::End(json.len()));
            for cut in 1..json.len() {
                prop_assert_eq!(object(&json.as_bytes()[..cut]), Found::Incomplete);
            }
        }
    }
}
