//! The cookies by which a load balancer keeps a client at one indexer.
//!
//! Acknowledgements are known to the indexer alone that took the events, so whoever polls must
//! come to the same one. All cookies are of the one host that the sink speaks to: domain and path
//! are not looked at. What is malformed or too much is not kept (RFC 6265, section 6.1, lets a
//! client bound what it keeps).

use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, header::SET_COOKIE};
use parking_lot::Mutex;

use crate::{env::Clock, limits};

/// The cookies of one sink.
pub(super) struct Jar {
    clock: Arc<dyn Clock>,
    kept: Mutex<Vec<Cookie>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    /// Milliseconds since 1970; `None` is the end of the process.
    expires_ms: Option<i64>,
}

impl Jar {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    /// Keeps what an answer sets, and forgets what it deletes.
    pub fn take(&self, headers: &HeaderMap) {
        for header in headers.get_all(SET_COOKIE) {
            let text = header.to_str().ok();
            if let Some(cookie) = text.and_then(|text| parse(text, self.clock.now_ms())) {
                self.keep(cookie);
            }
        }
    }

    fn keep(&self, cookie: Cookie) {
        let now_ms = self.clock.now_ms();
        let mut kept = self.kept.lock();
        kept.retain(|other| other.name != cookie.name && other.lives(now_ms));
        let bytes: usize = kept.iter().map(Cookie::bytes).sum();
        let has_room = kept.len() < limits::SPLUNK_COOKIES_MAX
            && bytes + cookie.bytes() <= limits::SPLUNK_COOKIES_BYTES_MAX;
        if cookie.lives(now_ms) && has_room {
            kept.push(cookie);
        }
    }

    /// The header to send, if there are cookies.
    pub fn header(&self) -> Option<HeaderValue> {
        let now_ms = self.clock.now_ms();
        let kept = self.kept.lock();
        let pairs = kept.iter().filter(|cookie| cookie.lives(now_ms));
        let pairs: Vec<_> =
            pairs.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        if pairs.is_empty() {
            return None;
        }
        let mut header = HeaderValue::from_str(&pairs.join("; ")).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

impl Cookie {
    fn lives(&self, now_ms: i64) -> bool {
        self.expires_ms.is_none_or(|end| now_ms < end)
    }

    /// What it takes in the header.
    fn bytes(&self) -> usize {
        self.name.len() + self.value.len() + "=; ".len()
    }
}

/// `name=value; Max-Age=60; …`. `Max-Age` counts for more than `Expires`.
fn parse(text: &str, now_ms: i64) -> Option<Cookie> {
    let mut parts = text.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let fits = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    if name.is_empty() || !fits(name) || !fits(value) {
        return None;
    }
    let (mut max_age, mut expires) = (None, None);
    for part in parts {
        let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
        let (attribute, value) = (attribute.trim(), value.trim());
        if attribute.eq_ignore_ascii_case("max-age") {
            max_age = value.parse::<i64>().ok();
        } else if attribute.eq_ignore_ascii_case("expires") {
            expires = date_ms(value);
        }
    }
    let expires_ms = match max_age {
        Some(seconds) if seconds <= 0 => Some(i64::MIN),
        Some(seconds) => Some(now_ms.saturating_add(seconds.saturating_mul(1000))),
        None => expires,
    };
    Some(Cookie { name: name.to_owned(), value: value.to_owned(), expires_ms })
}

/// `Thu, 01 Jan 1970 00:00:00 GMT`, also with the dashes of old servers. A date that is none is
/// no date: the cookie is kept.
fn date_ms(text: &str) -> Option<i64> {
    let text = text.replace('-', " ").replace("GMT", "+0000");
    let moment = jiff::fmt::rfc2822::parse(&text).ok()?;
    Some(moment.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::env::ManualClock;

    fn jar() -> (Jar, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(1_763_000_000_000));
        (Jar::new(clock.clone()), clock)
    }

    fn take(jar: &Jar, cookies: &[&str]) {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie.parse().unwrap());
        }
        jar.take(&headers);
    }

    fn sent(jar: &Jar) -> String {
        jar.header().map_or(String::new(), |header| header.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_come_back_until_they_are_deleted() {
        let (jar, _) = jar();
        assert_eq!(sent(&jar), "");
        take(&jar, &["AWSALB=a1==; Path=/; Secure", "route=\"x\""]);
        assert_eq!(sent(&jar), "AWSALB=a1==; route=\"x\"");
        take(&jar, &["AWSALB=a2"]);
        assert_eq!(sent(&jar), "route=\"x\"; AWSALB=a2");
        take(&jar, &["route=; max-age=0"]);
        assert_eq!(sent(&jar), "AWSALB=a2");
        take(&jar, &["AWSALB=gone; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]);
        assert_eq!(sent(&jar), "");
    }

    #[test]
    fn cookies_live_as_long_as_they_may() {
        let (jar, clock) = jar();
        take(
            &jar,
            &[
                "short=1; Max-Age=60",
                "dated=1; Expires=Thu, 13-Nov-2025 02:15:00 GMT",
                "odd=1; Expires=some day",
                "both=1; Max-Age=600; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            ],
        );
        assert_eq!(sent(&jar), "short=1; dated=1; odd=1; both=1");
        clock.advance(Duration::from_secs(61));
        assert_eq!(sent(&jar), "dated=1; odd=1; both=1");
        clock.advance(Duration::from_secs(300));
        assert_eq!(sent(&jar), "odd=1; both=1");
        clock.advance(Duration::from_secs(300));
        assert_eq!(sent(&jar), "odd=1");
    }

    #[test]
    fn what_is_malformed_or_too_much_is_not_kept() {
        let (jar, _) = jar();
        take(
            &jar,
            &[
                "no equals sign",
                "=nameless",
                "a b=c",
                "a=b c",
                "; =",
                "huge=1; Max-Age=9223372036854775807",
            ],
        );
        assert_eq!(sent(&jar), "huge=1");
        take(&jar, &["huge=1; Max-Age=-1"]);
        take(&jar, &[&format!("long={}", "x".repeat(limits::SPLUNK_COOKIES_BYTES_MAX))]);
        assert_eq!(sent(&jar), "");
        for number in 0..1000 {
            take(&jar, &[&format!("c{number}=1")]);
        }
        assert_eq!(sent(&jar).split("; ").count(), limits::SPLUNK_COOKIES_MAX);
    }
}
