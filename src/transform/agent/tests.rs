//! The agent's processing options on lines as its documentation has them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::{
    record::{Notes, Position, Record},
    seams::{Transform, Verdict},
};

async fn verdicts(transform: &dyn Transform, lines: &[&[u8]]) -> Vec<Verdict> {
    let record = |(index, line): (usize, &&[u8])| Record {
        position: Position::new(0, index as u64),
        arrival_ms: 0,
        data: Bytes::copy_from_slice(line),
        notes: Notes::default(),
    };
    let records: Vec<_> = lines.iter().enumerate().map(record).collect();
    transform.apply(&records).await
}

/// What each line becomes; `DROP`, or the code of its failure.
async fn ends(transform: &dyn Transform, lines: &[&[u8]]) -> Vec<String> {
    let end = |verdict| match verdict {
        Verdict::Emit(piece) => String::from_utf8(piece.data.to_vec()).unwrap(),
        Verdict::Drop => "DROP".into(),
        Verdict::Fail(failure) => failure.cause.code,
        Verdict::Split(_) => panic!("nothing is taken apart"),
    };
    verdicts(transform, lines).await.into_iter().map(end).collect()
}

fn csv(value: Value) -> CsvToJson {
    CsvToJson::new(&serde_json::from_value(value).unwrap()).unwrap()
}

fn log(value: Value) -> Result<LogToJson, log_to_json::OptionsError> {
    LogToJson::new(&serde_json::from_value(value).unwrap())
}

#[tokio::test]
async fn several_lines_become_one() {
    let lines: [&[u8]; 5] = [b"  a \n\tb \r\n\n c\n", b"x", b"", b" \n ", b"\xff \n y"];
    let single = SingleLine::new(single_line::Options {});
    let verdicts = verdicts(&single, &lines).await;
    let expected: [&[u8]; 5] = [b"abc\n", b"x", b"", b"", b"\xffy"];
    for (verdict, expected) in verdicts.into_iter().zip(expected) {
        let Verdict::Emit(piece) = verdict else { panic!("{verdict:?}") };
        assert_eq!(piece.data, expected);
    }
}

#[tokio::test]
async fn columns_become_members() {
    let names = json!({"custom_field_names": ["f1", "f2", "f3"]});
    let lines: [&[u8]; 7] =
        [b"v1, v2\n", b"a,\"b,c\"", b",,x,y", b"a,b,,", b"", b",,", b"\xff,\x01\\"];
    assert_eq!(
        ends(&csv(names), &lines).await,
        [
            "{\"f1\":\"v1\",\"f2\":\" v2\",\"f3\":null}\n",
            r#"{"f1":"a","f2":"\"b","f3":"c\""}"#,
            r#"{"f1":"","f2":"","f3":"x"}"#,
            r#"{"f1":"a","f2":"b","f3":null}"#,
            r#"{"f1":"","f2":null,"f3":null}"#,
            r#"{"f1":"","f2":null,"f3":null}"#,
            "{\"f1\":\"\u{fffd}\",\"f2\":\"\\u0001\\\\\",\"f3\":null}",
        ]
    );
    let tabs = json!({"custom_field_names": ["a", "b", "a"], "delimiter": "\t|"});
    assert_eq!(ends(&csv(tabs), &[b"1\t|2\t|3"]).await, [r#"{"a":"3","b":"2"}"#]);
}

#[test]
fn columns_need_names_and_a_delimiter() {
    use csv_to_json::OptionsError::*;
    let many = vec!["x"; crate::limits::AGENT_FIELDS_MAX + 1];
    for (value, expected) in [
        (json!({"custom_field_names": []}), NoNames),
        (json!({"custom_field_names": many}), Names(many.len())),
        (json!({"custom_field_names": ["a"], "delimiter": ""}), NoDelimiter),
    ] {
        let options = serde_json::from_value(value).unwrap();
        assert_eq!(CsvToJson::new(&options).unwrap_err(), expected);
    }
}

#[tokio::test]
async fn logs_become_objects() {
    for (format, line, expected) in [
        (
            "commonapachelog",
            r#"64.242.88.10 - - [07/Mar/2004:16:10:02 -0800] "GET /mailman/listinfo/hsdivision HTTP/1.1" 200 6291"#,
            json!({
                "host": "64.242.88.10", "ident": null, "authuser": null,
                "datetime": "07/Mar/2004:16:10:02 -0800",
                "request": "GET /mailman/listinfo/hsdivision HTTP/1.1",
                "response": "200", "bytes": "6291",
            }),
        ),
        (
            "combinedapachelog",
            r#"host.example.org - frank [7/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 304 - "http://x/" "Mozilla/4.08 [en]" more"#,
            json!({
                "host": "host.example.org", "ident": null, "authuser": "frank",
                "datetime": "7/Oct/2000:13:55:36 -0700", "request": "GET /a HTTP/1.0",
                "response": "304", "bytes": null, "referer": "http://x/",
                "agent": "Mozilla/4.08 [en]",
            }),
        ),
        (
            "apacheerrorlog",
            "[Thu Jun 09 05:00:00.123456 2011] [core:error] [pid 35708:tid 4328636416] [client 72.15.99.187:80] File does not exist: /x",
            json!({
                "timestamp": "Thu Jun 09 05:00:00.123456 2011", "module": "core",
                "severity": "error", "processid": "35708", "threadid": "4328636416",
                "client": "72.15.99.187:80", "message": "File does not exist: /x",
            }),
        ),
        (
            "apacheerrorlog",
            "[Wednesday Jun 9 05:00:00 2011] [warn] [pid 1] [client ::1] -",
            Value::Null,
        ),
        (
            "syslog",
            "Mar 12 12:00:08 server2 rcd[308]: Loaded 12 packages",
            json!({
                "timestamp": "Mar 12 12:00:08", "hostname": "server2", "program": "rcd",
                "processid": "308", "message": "Loaded 12 packages",
            }),
        ),
        (
            "syslog",
            "Mar  2 12:00:08 <13.6> server-2 /usr/sbin/cron: -",
            json!({
                "timestamp": "Mar  2 12:00:08", "hostname": "server-2",
                "program": "/usr/sbin/cron", "processid": null, "message": "-",
            }),
        ),
        (
            "rfc3339syslog",
            "2026-03-12T12:00:08.5+01:00 server2 rcd: x",
            json!({
                "timestamp": "2026-03-12T12:00:08.5+01:00", "hostname": "server2",
                "program": "rcd", "processid": null, "message": "x",
            }),
        ),
        ("rfc3339syslog", "Mar 12 12:00:08 server2 rcd: x", Value::Null),
        ("syslog", "two\nlines", Value::Null),
    ] {
        let transform = log(json!({"log_format": format, "unmatched": "drop"})).unwrap();
        let line_feed = format!("{line}\n");
        let found = ends(&transform, &[line.as_bytes(), line_feed.as_bytes()]).await;
        if expected.is_null() {
            assert_eq!(found, ["DROP", "DROP"], "{line}");
        } else {
            // The order of the members is part of it.
            assert_eq!(found, [expected.to_string(), format!("{expected}\n")], "{line}");
        }
    }
}

#[tokio::test]
async fn own_patterns_and_names() {
    let own = json!({
        "log_format": "syslog", "match_pattern": "(\\d+)(?:-(\\w+))?", "custom_field_names": ["n", "w"],
    });
    let lines: [&[u8]; 3] = [b"12-x\n", b"12", b"12-x!"];
    let mut expected =
        vec!["{\"n\":\"12\",\"w\":\"x\"}\n".to_owned(), r#"{"n":"12","w":null}"#.to_owned()];
    for (unmatched, end) in [("fail", "LogToJson.NoMatch"), ("drop", "DROP"), ("keep", "12-x!")] {
        let mut own = own.clone();
        own["unmatched"] = unmatched.into();
        expected.push(end.to_owned());
        assert_eq!(ends(&log(own).unwrap(), &lines).await, expected);
        expected.pop();
    }
    let named = json!({"log_format": "syslog", "custom_field_names": ["a", "b", "c", "d", "e"]});
    let found = ends(&log(named).unwrap(), &[b"May 1 00:00:00 h p: m"]).await;
    assert_eq!(found, [r#"{"a":"May 1 00:00:00","b":"h","c":"p","d":null,"e":"m"}"#]);
}

#[test]
fn patterns_and_names_fit_together() {
    for (value, expected) in [
        (json!({"log_format": "syslog", "match_pattern": "x"}), "match_pattern needs"),
        (
            json!({"log_format": "syslog", "custom_field_names": ["a"]}),
            "custom_field_names has 1 names, but the pattern has 5 groups",
        ),
        (
            json!({"log_format": "syslog", "match_pattern": "(?=x)", "custom_field_names": []}),
            "match_pattern is no regular expression",
        ),
    ] {
        let found = log(value).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{found}");
    }
}
