use std::time::Duration;

use ::http::{HeaderName, StatusCode};

use super::*;

const ID: &str = "ed4acda5-034f-9f42-bba1-f29aea6d7d8f";

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
    let headers =
        headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        reason: None,
        headers: headers.collect(),
        body: body.to_owned().into(),
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn good() -> String {
    format!(r#"{{"requestId":"{ID}","timestamp":1578090903599}}"#)
}

/// The rule that an answer of 200 breaks.
fn broken(headers: &[(&'static str, &str)], body: &str) -> Option<String> {
    match judge(&answer(200, headers, body), ID, &[]) {
        Ok(()) => None,
        Err(Fault::Retry { cause, after: None }) => {
            assert_eq!(cause.code, INVALID);
            Some(cause.message)
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn every_rule_for_a_body_is_checked_and_told() {
    let with = |rest: &str| format!(r#"{{"requestId":"{ID}","timestamp":1{rest}}}"#);
    let long = "x".repeat(8193);
    for (body, told) in [
        (good(), None),
        (with(""), None),
        (with(r#","errorMessage":null"#), None),
        (with(r#","errorMessage":"fine, thank you""#), None),
        (with(&format!(r#","errorMessage":"{}""#, &long[1..])), None),
        (format!(r#"{{"timestamp":1.5e12,"requestId":"{ID}"}}"#), None),
        (
            r#"{"requestId":"other","timestamp":1}"#.into(),
            Some(format!("the answer's requestId is other, not {ID}")),
        ),
        (r#"{"timestamp":1}"#.into(), Some("the answer has no requestId".into())),
        (
            r#"{"requestId":7,"timestamp":1}"#.into(),
            Some("the answer's requestId is no text".into()),
        ),
        (format!(r#"{{"requestId":"{ID}"}}"#), Some("the answer has no timestamp".into())),
        (
            format!(r#"{{"requestId":"{ID}","timestamp":"1"}}"#),
            Some("the answer's timestamp is no number".into()),
        ),
        (with(r#","more":{"a":[1]}"#), Some("the answer has unexpected fields: more".into())),
        (
            with(r#","timestamp":2"#),
            Some("the answer has unexpected fields: timestamp twice".into()),
        ),
        (with(r#","errorMessage":[]"#), Some("the answer's errorMessage is no text".into())),
        (
            with(&format!(r#","errorMessage":"{long}""#)),
            Some("the answer's errorMessage has more than 8192 characters".into()),
        ),
    ] {
        assert_eq!(broken(&[JSON], &body), told, "{body}");
    }
    let deep = "[".repeat(500_000);
    for body in ["", "OK", "[]", "null", r#"{"requestId""#, &(good() + "x"), &deep] {
        let told = broken(&[JSON], body).expect("it is no answer of the protocol");
        assert!(told.starts_with("the answer's body is not the JSON of the protocol: "), "{told}");
    }
}

#[test]
fn every_rule_for_headers_is_checked_and_told() {
    for (headers, told) in [
        (vec![("content-type", "Application/JSON; charset=utf-8")], None),
        (
            vec![("content-type", "text/json")],
            Some("the answer's Content-Type is text/json, not application/json"),
        ),
        (
            vec![("content-type", "application/json+x")],
            Some("the answer's Content-Type is application/json+x, not application/json"),
        ),
        (vec![], Some("the answer has no Content-Type: application/json is needed")),
        (
            vec![JSON, ("content-encoding", "gzip")],
            Some("the answer has a Content-Encoding, which is not allowed"),
        ),
    ] {
        assert_eq!(broken(&headers, &good()).as_deref(), told, "{headers:?}");
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let code = |answer: &Answer| match judge(answer, ID, &[]) {
        Ok(()) => String::new(),
        Err(Fault::Retry { cause, .. }) => cause.code,
        Err(other) => panic!("{other:?}"),
    };
    let mut with_reason = answer(200, &[JSON], &good());
    with_reason.reason = Some("é".repeat(64));
    assert_eq!(code(&with_reason), "");
    with_reason.reason = Some("e".repeat(65));
    assert_eq!(code(&with_reason), "HttpEndpoint.ResponseReasonPhraseExceededLimit");

    let head = "content-type: application/json\r\n".len();
    let filled = |bytes: usize| good() + &" ".repeat(bytes - good().len());
    assert_eq!(code(&answer(200, &[JSON], &filled(1_048_576 - head))), "");
    let larger = answer(200, &[JSON], &filled(1_048_576 - head + 1));
    assert_eq!(code(&larger), "HttpEndpoint.ResponseTooLarge");
}

#[test]
fn every_class_of_status_has_its_meaning() {
    let said = r#"{"requestId":"x","timestamp":1,"errorMessage":"Dead\n\u0007 on  arrival"}"#;
    for status in 100..=599 {
        let fault = judge(&answer(status, &[("retry-after", "9")], said), ID, &[]);
        let message = format!("status {status}: Dead on arrival");
        let refused = Cause::new("HttpEndpoint.DestinationException", message);
        let after = Some(Duration::from_secs(9));
        let expected = match status {
            413 => Fault::TooLarge { cause: refused },
            401 | 403 => Fault::Halt { cause: refused },
            400.. => Fault::Retry { cause: refused, after },
            200 => {
                let text = "the answer has no Content-Type: application/json is needed";
                Fault::Retry { cause: Cause::new(INVALID, text), after }
            }
            _ => {
                let text = format!("the answer's status is {status}: only 200 is success");
                Fault::Retry { cause: Cause::new("HttpEndpoint.InvalidStatusCode", text), after }
            }
        };
        assert_eq!(fault, Err(expected));
    }
}

#[test]
fn what_others_say_is_bounded_and_without_secrets() {
    let said = |body: &str, secrets: &[&str]| {
        let secrets: Vec<_> = secrets.iter().map(|text| (*text).to_owned()).collect();
        let fault = judge(&answer(500, &[], body), ID, &secrets).unwrap_err();
        fault.cause().message.clone()
    };
    assert_eq!(said("", &[]), "status 500");
    assert_eq!(said("<h1>Oops</h1>\r\n\0", &[]), "status 500: <h1>Oops</h1>");
    assert_eq!(said("key hunter22 is bad", &["hunter22", "bad", ""]), "status 500: key *** is bad");
    let long = said(&"x".repeat(100_000), &[]);
    assert_eq!(long.len(), "status 500: ".len() + limits::MESSAGE_CHARS_MAX);
    // Where it breaks the protocol it is quoted as it stands.
    assert_eq!(said(r#"{"error":"no"}"#, &[]), r#"status 500: {"error":"no"}"#);
}

#[test]
fn statuses_of_plain_bodies_have_their_meaning() {
    use crate::sinks::http_endpoint::status;

    for number in 100..=599 {
        let answer = answer(number, &[("retry-after", "9")], "so it is");
        let judged = status::judge(&answer, &[]);
        let class = match &judged {
            Ok(()) => "taken",
            Err(Fault::Retry { after, .. }) => {
                assert_eq!(*after, Some(Duration::from_secs(9)));
                "again"
            }
            Err(Fault::TooLarge { .. }) => "halves",
            Err(Fault::Halt { .. }) => "held",
            Err(Fault::Reject { .. }) => "rejected",
        };
        let expected = match number {
            200..=299 => "taken",
            400 | 413 | 422 => "halves",
            408 | 409 | 423 | 425 | 429 | 100..=199 | 500..=599 => "again",
            _ => "held",
        };
        assert_eq!(class, expected, "{number}");
        if let Err(fault) = judged {
            assert_eq!(fault.cause().message, format!("status {number}: so it is"));
        }
    }
}
