//! JSON with comments, as the Kinesis Agent reads it (Jackson's `ALLOW_COMMENTS`).

/// Puts spaces in the place of `// …` and `/* … */` outside of strings, so that lines and columns in
/// messages stay true.
pub(super) fn without_comments(text: &str) -> String {
    let mut answer = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', '/']) {
        let (before, from) = rest.split_at(at);
        answer.push_str(before);
        let length = if from.starts_with('"') {
            let length = string(from);
            answer.push_str(&from[..length]);
            length
        } else {
            let length = comment(from);
            let blank = |c| if c == '\n' { '\n' } else { ' ' };
            answer.extend(from[..length].chars().map(blank));
            if length == 0 {
                answer.push('/');
            }
            length.max(1)
        };
        rest = &from[length..];
    }
    answer.push_str(rest);
    answer
}

/// Bytes of the string that the text begins with, quotes included.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// Bytes of the comment that the text begins with; none if it is only a slash.
fn comment(text: &str) -> usize {
    if text.starts_with("//") {
        text.find('\n').unwrap_or(text.len())
    } else if let Some(inside) = text.strip_prefix("/*") {
        inside.find("*/").map_or(text.len(), |end| end + 4)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::without_comments;

    #[test]
    fn comments_become_blank() {
        for (text, expected) in [
            (r#"{"a": "//b" // c"#, r#"{"a": "//b"     "#),
            ("1 /* é\n2 */ 3", "1     \n     3"),
            (r#""\"/*" /**/ x"#, r#""\"/*"      x"#),
            ("/* open", "       "),
            ("a / b /", "a / b /"),
            (r#""open // x"#, r#""open // x"#),
            ("", ""),
        ] {
            assert_eq!(without_comments(text), expected);
        }
    }
}
