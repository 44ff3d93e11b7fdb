//! Parts of URLs, checked: a setting must not lead requests to another host.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::PresetError;
use crate::{net::http::parse_url, units::Secret};

/// What stands in a path segment as it is: unreserved characters (RFC 3986), and `=`, with which
/// tokens in base64 end.
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'=');

/// The user's own URL, or else the partner's.
pub fn url_or(
    given: Option<&Secret>,
    partners: impl FnOnce() -> Result<String, PresetError>,
) -> Result<Secret, PresetError> {
    match given {
        Some(url) => Ok(url.clone()),
        None => Ok(Secret::Value(partners()?)),
    }
}

/// The user's own URL, without which there is none.
pub fn url_of(given: Option<&Secret>, partner: &'static str) -> Result<Secret, PresetError> {
    given.cloned().ok_or(PresetError::UrlNeeded { partner })
}

/// Labels of a host name.
pub fn host<'a>(field: &'static str, text: &'a str) -> Result<&'a str, PresetError> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.split('.').all(is_label) {
        Ok(text)
    } else {
        Err(PresetError::Host { field, text: text.into() })
    }
}

/// A segment of a path, or the value of a parameter.
pub fn segment(field: &'static str, text: &str) -> Result<String, PresetError> {
    match text {
        "" => Err(PresetError::Empty { field }),
        // These would be taken for steps through folders.
        "." | ".." => Err(PresetError::Url { field }),
        _ => Ok(utf8_percent_encode(text, SEGMENT).to_string()),
    }
}

/// A URL without the slash at its end.
pub fn base<'a>(field: &'static str, text: &'a str) -> Result<&'a str, PresetError> {
    match parse_url(text) {
        Ok(url) if url.query().is_none() => Ok(text.trim_end_matches('/')),
        _ => Err(PresetError::Url { field }),
    }
}
