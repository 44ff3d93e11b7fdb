//! Which destinations may be replayed by themselves.

use std::path::Path;

use super::{kinds_tests::environment, parse};

const REPLAY: &str = "replay: {after_recovery: true}";

/// The mistakes of streams, each with destinations of which each is a few lines.
fn mistakes(streams: &[(&str, &[String])]) -> Vec<String> {
    let mut text = "data_dir: /x\napi: {anonymous: true}\nstreams:\n".to_owned();
    for (name, destinations) in streams {
        text += &format!("  {name}:\n    destinations:\n");
        for (index, destination) in destinations.iter().enumerate() {
            let lines = destination.trim().replace('\n', "\n        ");
            text += &format!("      - name: d{index}\n        {lines}\n");
        }
    }
    let found = parse(Path::new("c.yaml"), &text, &environment);
    let told = |problem: super::Problem| format!("{}: {}", problem.path, problem.message);
    found.err().unwrap_or_default().into_iter().map(told).collect()
}

fn http(bucket: &str, prefix: &str, more: &str) -> String {
    let backup = format!("{{bucket: \"{bucket}\", error_output_prefix: \"{prefix}\"{more}}}");
    format!("http_endpoint: {{url: \"https://h/p\", backup: {backup}}}\n")
}

fn splunk(bucket: &str, prefix: &str) -> String {
    let backup = format!("{{bucket: \"{bucket}\", error_output_prefix: \"{prefix}\"}}");
    format!("splunk: {{endpoint: \"https://h:8088\", token: t, backup: {backup}}}\n")
}

#[test]
fn nobody_else_writes_where_failed_records_are_replayed_from() {
    const TYPE: &str = "!{firehose:error-output-type}/";
    const FAILED: &str = "failed records";
    let replayed = http("b", &format!("errors/{TYPE}"), "") + REPLAY;
    let source = |prefix: &str| {
        http("c", "x/", "")
            .replace("backup: {", "s3_backup_mode: all, backup: {")
            .replace("bucket: \"c\"", &format!("bucket: b, prefix: \"{prefix}\""))
    };
    let s3 = |keys: &str| format!("s3: {{bucket: b, {keys}}}");
    let twin = "s3_backup_mode: enabled, s3_backup: {bucket: b, prefix: errors/all/}";
    for (other, expected) in [
        (http("b", "errors/", ""), Some(FAILED)),
        (http("b", &format!("errors/other/{TYPE}"), ""), Some(FAILED)),
        (http("b", &format!("err{TYPE}"), ""), Some(FAILED)),
        (http("b", &format!("other/{TYPE}"), ""), None),
        (http("b", "", ""), None),
        (http("c", "errors/", ""), None),
        (http("b", "errors/", ", endpoint: \"http://other:9000\""), None),
        (splunk("b", "errors/"), None),
        (source("errors/all/"), Some("records")),
        (source(""), None),
        (source("!{timestamp:yyyy}/"), None),
        (s3("prefix: \"errors/\""), Some("records")),
        (s3("prefix: \"data/\""), None),
        (s3(&format!("prefix: \"data/\", {twin}")), Some("records")),
    ] {
        // Of the same stream and of another.
        for (path, streams) in [
            ("streams.a.destinations[1]", vec![("a", vec![replayed.clone(), other.clone()])]),
            (
                "streams.z.destinations[0]",
                vec![("a", vec![replayed.clone()]), ("z", vec![other.clone()])],
            ),
        ] {
            let streams: Vec<(&str, &[String])> =
                streams.iter().map(|(name, list)| (*name, &list[..])).collect();
            let at = "streams.a.destinations[0].replay.after_recovery";
            let expected =
                expected.map(|it| format!("{at}: {it} of {path} lie below the same prefix"));
            assert_eq!(mistakes(&streams), Vec::from_iter(expected), "{other}");
        }
    }
}

#[test]
fn folders_are_compared_as_paths() {
    let replayed = http("file:///srv/x", "errors/", "") + REPLAY;
    for (other, fits) in [
        (http("file:///srv", "x/errors/", ""), false),
        (http("file:///srv/x/errors", "", ""), false),
        (http("file:///srv/y", "errors/", ""), true),
    ] {
        let found = mistakes(&[("a", &[replayed.clone(), other.clone()])]);
        assert_eq!(found.is_empty(), fits, "{other}: {found:?}");
    }
}

#[test]
fn a_destination_must_not_replay_its_own_source_records() {
    let own = http("b", "errors/", ", prefix: \"errors/source/\"") + REPLAY;
    assert!(mistakes(&[("a", std::slice::from_ref(&own))]).is_empty());
    let both = own.replace("backup: {", "s3_backup_mode: all, backup: {");
    let expected = "streams.a.destinations[0].replay.after_recovery: records of \
                    streams.a.destinations[0] lie below the same prefix";
    assert_eq!(mistakes(&[("a", &[both])]), [expected]);
}
