//! Values in a request's query (`application/x-www-form-urlencoded`).

use http::request::Parts;
use percent_encoding::percent_decode;

/// The first value under this name, unless it is empty.
pub(super) fn value(head: &Parts, name: &str) -> Option<String> {
    let query = head.uri.query()?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let spaced = value.replace('+', " ");
    let value = percent_decode(spaced.as_bytes()).decode_utf8_lossy();
    (!value.is_empty()).then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        let (head, ()) = http::Request::get("/x?a=1&host=a%20b+c%2B&ab=&host=d&%ff=%ff&z=%FF%")
            .body(())
            .unwrap()
            .into_parts();
        let of = |name| value(&head, name);
        assert_eq!(of("host").as_deref(), Some("a b c+"));
        assert_eq!(of("a").as_deref(), Some("1"));
        assert_eq!(of("z").as_deref(), Some("\u{fffd}%"));
        assert_eq!((of("ab"), of("b"), of("")), (None, None, None));
    }
}
