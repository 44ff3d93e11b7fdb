//! Tokens of an OpenID provider by client credentials (RFC 6749, 4.4).

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::tokens::{Token, Tokens};
use crate::{
    limits,
    net::http::{self, Request, Url},
    units::Secret,
};

/// What `application/x-www-form-urlencoded` leaves as it is.
const FORM: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// How long a token is used whose provider does not say (`expires_in` is only recommended).
const LIFE_DEFAULT_S: u64 = 300;
/// No token is used for longer: what is taken back at the provider should show some day.
const LIFE_MAX_S: u64 = 24 * 60 * 60;

/// An OpenID provider, and who we are there.
pub(super) struct Oidc {
    endpoint: Url,
    client_id: String,
    client_secret: Secret,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<f64>,
}

impl Oidc {
    pub fn new(
        endpoint: &str,
        client_id: &str,
        client_secret: Secret,
        scope: Option<String>,
    ) -> Result<Self, String> {
        let endpoint =
            http::parse_url(endpoint).map_err(|error| format!("sasl.token_endpoint: {error}"))?;
        Ok(Self { endpoint, client_id: client_id.to_owned(), client_secret, scope })
    }

    fn request(&self) -> Result<Request, String> {
        let secret =
            self.client_secret.reveal().map_err(|error| format!("sasl.client_secret: {error}"))?;
        let form = |text: &str| utf8_percent_encode(text, &FORM).to_string();
        let mut body = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &self.scope {
            body.push_str("&scope=");
            body.push_str(&form(scope));
        }
        // RFC 6749, 2.3.1.
        let who = format!("{}:{}", form(&self.client_id), form(&secret));
        let who = format!("Basic {}", base64_simd::STANDARD.encode_to_string(who.as_bytes()));
        let mut who: ::http::HeaderValue = who.parse().expect("Base64 is text");
        who.set_sensitive(true);
        let mut request = Request::new(::http::Method::POST, self.endpoint.clone());
        let headers = request.headers_mut();
        headers.insert("authorization", who);
        let value = |text| ::http::HeaderValue::from_static(text);
        headers.insert("content-type", value("application/x-www-form-urlencoded"));
        headers.insert("accept", value("application/json"));
        *request.body_mut() = Some(body.into());
        Ok(request)
    }
}

#[async_trait]
impl Tokens for Oidc {
    async fn fetch(&self, now_ms: i64) -> Result<Token, String> {
        let request = self.request()?;
        let (timeout, limit) = (limits::KAFKA_TOKEN_TIMEOUT, limits::KAFKA_TOKEN_BYTES_MAX);
        let answer =
            http::send(request, timeout, limit).await.map_err(|error| error.to_string())?;
        if !answer.status.is_success() {
            return Err(format!("the provider answers {}", answer.status));
        }
        // The error is not shown: it may quote the token.
        let answer: Answer = serde_json::from_slice(&answer.body)
            .map_err(|_| "the provider's answer holds no access_token".to_owned())?;
        let life_s = answer.expires_in.map_or(LIFE_DEFAULT_S, |life| life as u64).min(LIFE_MAX_S);
        Ok(Token {
            value: answer.access_token,
            principal: self.client_id.clone(),
            made_ms: now_ms,
            expires_ms: now_ms + (life_s * 1000) as i64,
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request; hands back what was asked.
    async fn provider(listener: TcpListener, status: &str, body: &str) -> String {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"scope=a%20b") {
            let mut piece = [0; 1024];
            let read = socket.read(&mut piece).await.unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&asked));
            asked.extend_from_slice(&piece[..read]);
        }
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(asked).unwrap()
    }

    async fn ask(status: &str, body: &str) -> (String, Result<Token, String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let secret = Secret::Value("p:w".into());
        let oidc = Oidc::new(&url, "me", secret, Some("a b".into())).unwrap();
        tokio::join!(provider(listener, status, body), oidc.fetch(1_000))
    }

    #[tokio::test]
    async fn a_token_is_asked_for_by_client_credentials() {
        let (asked, token) = ask("200 OK", r#"{"access_token":"abc","expires_in":60}"#).await;
        let token = token.unwrap_or_else(|error| panic!("{error}"));
        assert!(asked.starts_with("POST /token "), "{asked}");
        // me:p%3Aw
        assert!(asked.contains("authorization: Basic bWU6cCUzQXc=\r\n"), "{asked}");
        assert!(asked.ends_with("\r\n\r\ngrant_type=client_credentials&scope=a%20b"), "{asked}");
        let Token { value, principal, made_ms, expires_ms } = token;
        assert_eq!((&*value, &*principal, made_ms, expires_ms), ("abc", "me", 1_000, 61_000));
    }

    #[tokio::test]
    async fn what_is_no_token_is_said_without_quoting_it() {
        let (_, token) = ask("401 Unauthorized", "{}").await;
        assert_eq!(token.err().unwrap(), "the provider answers 401 Unauthorized");
        let (_, token) = ask("200 OK", r#"{"token":"hush"}"#).await;
        assert!(!token.err().unwrap().contains("hush"));
        assert!(Oidc::new("ftp://x", "me", Secret::Value("s".into()), None).is_err());
    }
}
