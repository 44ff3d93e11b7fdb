//! Requests that a page in somebody's browser makes.

use http::{
    HeaderValue,
    header::{HOST, ORIGIN},
    request::Parts,
};

/// Whether a page that is not of this machine makes the request: a browser must not be talked into
/// calling a listener that asks for no credential. Pages announce where they come from.
pub fn is_foreign_page(head: &Parts) -> bool {
    let Some(origin) = head.headers.get(ORIGIN) else { return false };
    let origin = origin.to_str().unwrap_or_default();
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    let is_local = ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| {
        host.strip_prefix(local).is_some_and(|port| port.is_empty() || port.starts_with(':'))
    });
    let own = head.headers.get(HOST).map(HeaderValue::as_bytes);
    !(is_local && own.is_some_and(|own| own == host.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_this_machine_and_this_listener_is_at_home() {
        let of = |origin: Option<&str>, host: &str| {
            let mut request = http::Request::builder().header(HOST, host);
            if let Some(origin) = origin {
                request = request.header(ORIGIN, origin);
            }
            is_foreign_page(&request.body(()).unwrap().into_parts().0)
        };
        assert!(!of(None, "anything"));
        assert!(!of(Some("http://localhost:4574"), "localhost:4574"));
        assert!(!of(Some("http://[::1]:4574"), "[::1]:4574"));
        for origin in ["null", "http://localhost:80", "http://evil.example", ""] {
            assert!(of(Some(origin), "localhost:4574"), "{origin}");
        }
        assert!(of(Some("http://localhost.evil.example"), "localhost.evil.example"));
        assert!(
            of(Some("http://evil.example:4574"), "evil.example:4574"),
            "a name made to be ours"
        );
    }
}
