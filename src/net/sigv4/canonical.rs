//! The canonical request: the same bytes on both sides, whatever a proxy or library rearranged.

use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986: what is encoded in the paths of requests that
/// are signed. Whoever encodes more has another signature than a server that decodes first.
pub const RESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path with dot segments and empty segments resolved, and each segment encoded once more
/// than it came over the wire (all services but S3).
pub(super) fn path(raw: &str) -> String {
    if raw.is_empty() || raw == "/" {
        return "/".into();
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut path = String::with_capacity(raw.len() + 8);
    for segment in &segments {
        path.push('/');
        path.extend(utf8_percent_encode(segment, RESERVED));
    }
    // A path that names a folder keeps its last slash.
    if path.is_empty() || raw.ends_with('/') || raw.ends_with("/.") || raw.ends_with("/..") {
        path.push('/');
    }
    path
}

/// The parameters of a query, decoded. `+` is a plus sign: RFC 3986, not HTML forms.
pub(super) fn parameters(query: &str) -> Option<Vec<(String, String)>> {
    let decode = |text: &str| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

/// The query sorted by encoded name, then encoded value, without the parameter `skipped`.
pub(super) fn query(parameters: &[(String, String)], skipped: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let mut pairs: Vec<_> = parameters
        .iter()
        .filter(|(name, _)| name != skipped)
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Appends `name:value\n`, the values of a repeated header joined by commas, white space at the
/// ends cut and inside collapsed. `host` falls back to the authority (HTTP/2 has no `Host`).
pub(super) fn header(text: &mut Vec<u8>, name: &str, headers: &HeaderMap, authority: Option<&str>) {
    text.extend_from_slice(name.as_bytes());
    text.push(b':');
    let mut values = headers.get_all(name).iter().peekable();
    if name == "host" && values.peek().is_none() {
        text.extend_from_slice(authority.unwrap_or_default().as_bytes());
    }
    for (i, value) in values.enumerate() {
        if i > 0 {
            text.push(b',');
        }
        collapse(text, value);
    }
    text.push(b'\n');
}

fn collapse(text: &mut Vec<u8>, value: &HeaderValue) {
    let words = value.as_bytes().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    for (i, word) in words.enumerate() {
        if i > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_and_encoded_again() {
        for (raw, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/a/../..", "/"),
            ("/a//b/./c/", "/a/b/c/"),
            ("/a/b/..", "/a/"),
            ("/a%20b", "/a%2520b"),
            ("/a:b*c", "/a%3Ab%2Ac"),
            ("/v1/streams/a-b_c.d~/flush", "/v1/streams/a-b_c.d~/flush"),
        ] {
            assert_eq!(path(raw), canonical, "{raw}");
        }
    }

    #[test]
    fn queries_are_sorted_by_their_encoded_form() {
        let parameters = parameters("b=2&a=&c&a=%2F&A=x+y&Sig=1&a=b%20c").unwrap();
        assert_eq!(query(&parameters, "Sig"), "A=x%2By&a=&a=%2F&a=b%20c&b=2&c=");
        assert_eq!(super::parameters("a=%FF"), None);
    }

    #[test]
    fn header_values_are_collapsed_and_joined() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("  one   two\t three "));
        headers.append("x-a", HeaderValue::from_static("four"));
        let mut text = Vec::new();
        header(&mut text, "x-a", &headers, None);
        header(&mut text, "host", &headers, Some("h:1"));
        assert_eq!(text, b"x-a:one two three,four\nhost:h:1\n");
    }
}
