use tokio::net::TcpListener;

use super::*;
use crate::net::tls_double::{Authority, Shown};

async fn steps(url: &str, tls: &Tls) -> Vec<(&'static str, Result<String, Cause>)> {
    let trials = probe(&url.parse().unwrap(), tls).await;
    trials.into_iter().map(|trial| (trial.step, trial.result)).collect()
}

#[tokio::test]
async fn each_step_says_what_it_found_and_the_first_failure_ends_it() {
    let authority = Authority::new();
    let server = authority.serve(Shown::Good, false).await;
    let found = steps(&server.url, &authority.trusted()).await;
    let texts: Vec<_> = found.iter().map(|(step, text)| (*step, text.clone().unwrap())).collect();
    assert_eq!(
        texts.iter().map(|(step, _)| *step).collect::<Vec<_>>(),
        [NAME, CONNECTION, HANDSHAKE]
    );
    assert!(texts[0].1.contains("127.0.0.1"), "{texts:?}");
    assert!(texts[1].1.starts_with("to 127.0.0.1:"), "{texts:?}");
    assert_eq!(texts[2].1, "TLS 1.3, certificate good until 2049-12-31T00:00:00Z");

    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    let found = steps(&format!("http://{address}/secret"), &Tls::default()).await;
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].1, Ok(format!("to {address}")));
    drop(plain);
    let found = steps(&format!("https://{address}/secret"), &Tls::default()).await;
    let (step, Err(cause)) = found.last().unwrap() else { panic!("{found:?}") };
    assert_eq!((*step, cause.code.as_str()), (CONNECTION, "Standpipe.ConnectionFailed"));
    assert!(cause.message.contains("refused"), "{cause}");

    let found = steps("https://no-such-host.invalid/secret", &Tls::default()).await;
    let [(step, Err(cause))] = &found[..] else { panic!("{found:?}") };
    assert_eq!((*step, cause.code.as_str()), (NAME, "Standpipe.NameNotFound"));
    assert!(!cause.message.contains("secret"), "{cause}");
}

#[tokio::test]
async fn certificates_are_judged_in_clear_words() {
    let authority = Authority::new();
    for (shown, trusted, code, words) in [
        (
            Shown::Expired,
            true,
            "SSLHandshakeCertificatePathValidationFailure",
            "has expired: it was good until 2021-02-03T00:00:00Z",
        ),
        (
            Shown::NotYet,
            true,
            "SSLHandshakeCertificatePathValidationFailure",
            "is not valid yet: it will be from 2048-05-06T00:00:00Z on",
        ),
        (
            Shown::OtherName,
            true,
            "SSLHandshakeCertificatePathValidationFailure",
            "is not for localhost but for other.example",
        ),
        (
            Shown::Good,
            false,
            "SSLHandshakeCertificatePathFailure",
            "is not from an authority that is trusted here",
        ),
    ] {
        let server = authority.serve(shown, false).await;
        let tls = if trusted { authority.trusted() } else { Tls::default() };
        let found = steps(&server.url, &tls).await;
        let (step, Err(cause)) = found.last().unwrap() else { panic!("{found:?}") };
        assert_eq!((*step, cause.code.as_str()), (HANDSHAKE, code), "{shown:?}");
        assert_eq!(cause.message, format!("the server's certificate {words}"));
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_with() {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", plain.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (socket, _) = plain.accept().await.unwrap();
        socket.writable().await.unwrap();
        socket.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        // Held until the client has read and gone.
        let mut rest = vec![0; 4096];
        loop {
            socket.readable().await.unwrap();
            if !matches!(socket.try_read(&mut rest), Ok(1..)) {
                break;
            }
        }
    });
    let found = steps(&url, &Tls::default()).await;
    let (step, Err(cause)) = found.last().unwrap() else { panic!("{found:?}") };
    assert_eq!((*step, cause.code.as_str()), (HANDSHAKE, "SSLHandshakeFailure"));
    assert_eq!(cause.message, "the server does not speak TLS on this port");
    server.await.unwrap();
}
