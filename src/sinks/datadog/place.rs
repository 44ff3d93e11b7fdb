//! Where the tags of a log stand, in JSON that is known to be sound.

/// Where further tags go: before the closing quote of the member's text. `None` if the object has
/// no such member, or no text in it. Of several the last counts, as it does for most readers.
pub fn end_of_text(object: &str, member: &str) -> Option<usize> {
    let bytes = object.as_bytes();
    let (mut depth, mut at, mut found) = (0_usize, 0, None);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let (start, end) = (at - 1, end_of_string(bytes, at));
                at = end;
                // A text before a colon is a name.
                let colon = past_space(bytes, end);
                if depth == 1 && bytes.get(colon) == Some(&b':') {
                    at = colon + 1;
                    if is_named(object.get(start..end), member) {
                        found = text_at(bytes, past_space(bytes, at));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether a text in quotes is this name, which needs no escapes itself.
fn is_named(quoted: Option<&str>, name: &str) -> bool {
    let Some(quoted) = quoted else { return false };
    if quoted.contains('\\') {
        return serde_json::from_str::<String>(quoted).is_ok_and(|text| text == name);
    }
    quoted.trim_matches('"') == name
}

/// The place behind the closing quote of a string whose inside begins at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => break,
            b'\\' => at += 1,
            _ => {}
        }
    }
    at
}

/// The closing quote of a text that begins at `at`, if it is one.
fn text_at(bytes: &[u8], at: usize) -> Option<usize> {
    let is_text = bytes.get(at) == Some(&b'"');
    is_text.then(|| end_of_string(bytes, at + 1) - 1)
}

fn past_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::end_of_text;

    #[test]
    fn the_text_of_a_member_of_the_object_itself_is_found() {
        for (marked, expected) in [
            (r#"{"t":"a|"}"#, true),
            (r#"{ "t" : "|" }"#, true),
            (r#"{"x":{"t":"no"},"y":["t",{"t":"no"}],"t":"a\"b|","z":"t"}"#, true),
            (r#"{"\u0074":"a|"}"#, true),
            (r#"{"t":"first","t":"second|"}"#, true),
            (r#"{"x":"t","y":"\\","t":"\\|"}"#, true),
            (r#"{"x":"\"t\":","t":"a|"}"#, true),
            (r#"{"t":["a"]}"#, false),
            (r#"{"t":null}"#, false),
            (r#"{"t":"text","t":7}"#, false),
            (r#"{"x":"t","\"t":"no"}"#, false),
            ("{}", false),
        ] {
            let place = marked.find('|');
            assert_eq!(place.is_some(), expected);
            assert_eq!(end_of_text(&marked.replace('|', ""), "t"), place, "{marked}");
        }
    }
}
