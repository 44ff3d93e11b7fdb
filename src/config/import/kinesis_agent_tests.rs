//! Configurations of agents as the documentation has them, and what becomes of them.

use std::path::Path;

use super::*;
use crate::{config, sources::file::lines};

fn import(bucket: Option<&str>) -> AgentImport {
    AgentImport { bucket: bucket.map(str::to_owned), data_dir: "/var/lib/standpipe".into() }
}

fn imported(agent: &Value) -> Imported {
    kinesis_agent(&agent.to_string(), &import(Some("my-logs"))).unwrap()
}

/// The configuration as the daemon reads it.
fn read(text: &str) -> Value {
    let value: Value = serde_yaml::from_str(text).unwrap();
    for stream in value["streams"].as_object().unwrap().values() {
        let mut file = stream["source"]["file"].clone();
        // What is said of the files themselves, and of their lines.
        let files = file.as_object_mut().unwrap();
        let start = files.remove("start").unwrap();
        assert!(files.remove("include").is_some() && (start == "end" || start == "beginning"));
        let lines: lines::Options = serde_json::from_value(file).unwrap();
        assert_eq!(lines.problems(), []);
    }
    value
}

/// Held against the daemon's own check.
fn check(text: &str) -> Result<(), Vec<String>> {
    let found = config::parse(Path::new("x.yaml"), text, &|_| None);
    found.map(|_| ()).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// The file that the agent is installed with.
const INSTALLED: &str = r#"{
  "cloudwatch.emitMetrics": true,
  "kinesis.endpoint": "",
  "firehose.endpoint": "",

  "flows": [
    {
      "filePattern": "/tmp/app.log*", // the application
      "kinesisStream": "yourkinesisstream",
      "partitionKeyOption": "RANDOM"
    },
    {
      "filePattern": "/tmp/app.log*",
      "deliveryStream": "yourdeliverystream"
    }
  ]
}"#;

#[test]
fn the_installed_file() {
    let found = kinesis_agent(INSTALLED, &import(Some("my-logs"))).unwrap();
    assert_eq!(check(&found.text), Ok(()));
    let stream = json!({
        "source": {"file": {
            "include": ["/tmp/app.log*"], "start": "end", "keep_newline": true,
        }},
        "destinations": [{"s3": {"bucket": "my-logs"}}],
    });
    assert_eq!(
        read(&found.text),
        json!({
            "data_dir": "/var/lib/standpipe",
            "aws": {"region": "us-east-1"},
            "streams": {"yourkinesisstream": stream, "yourdeliverystream": stream},
        })
    );
    assert_eq!(
        found.notes,
        [
            "flows[0]: sends to a Kinesis data stream; here the lines go to a bucket",
            "flows[0].partitionKeyOption: a bucket has no partition keys: left out",
            "cloudwatch.emitMetrics: metrics are served to Prometheus, under /metrics",
        ]
    );
    for note in &found.notes {
        assert!(found.text.contains(&format!("\n# - {note}\n")));
    }
}

#[test]
fn a_bucket_must_be_filled_in() {
    let found = kinesis_agent(INSTALLED, &import(None)).unwrap();
    assert_eq!(found.text.matches(FILL_IN).count(), 2);
    let problems = check(&found.text).unwrap_err();
    assert!(
        problems.len() == 2 && problems[0].contains("s3.bucket: must not be empty"),
        "{problems:?}"
    );
}

#[test]
fn every_setting_of_a_flow() {
    let found = imported(&json!({
        "firehose.endpoint": "https://firehose.eu-central-1.amazonaws.com",
        "awsAccessKeyId": "AKIASECRET",
        "awsSecretAccessKey": "very secret",
        "checkpointFile": "/var/run/x",
        "flows": [{
            "filePattern": "/var/log/${app}.log",
            "deliveryStream": "my stream",
            "initialPosition": "START_OF_FILE",
            "maxBufferAgeMillis": "5000",
            "maxBufferSizeBytes": 1,
            "multiLineStartPattern": "\\[",
            "skipHeaderLines": "2",
            "truncatedRecordTerminator": "\n",
            "fileFooterPattern": "^END",
            "mystery": "very secret",
            "dataProcessingOptions": [
                {"optionName": "SINGLELINE"},
                {"optionName": "CSVTOJSON", "customFieldNames": ["a", "b"], "delimiter": "\\t"},
            ],
        }],
    }));
    assert_eq!(check(&found.text), Ok(()));
    let config = read(&found.text);
    assert_eq!(config["aws"]["region"], "eu-central-1");
    assert_eq!(
        config["streams"],
        json!({"my-stream": {
            "source": {"file": {
                "include": ["/var/log/$${app}.log"],
                "start": "beginning",
                "keep_newline": true,
                "multiline": {"start_pattern": "^(?:\\[)"},
                "skip_header_lines": 2,
            }},
            "destinations": [{
                "s3": {"bucket": "my-logs"},
                "transforms": [
                    {"single_line": {}},
                    {"csv_to_json": {"custom_field_names": ["a", "b"], "delimiter": "\t"}},
                ],
            }],
        }})
    );
    let noted = |text: &str| found.notes.iter().any(|note| note.starts_with(text));
    for text in [
        "flows[0]: files that the agent has read already",
        "flows[0].fileFooterPattern: ",
        "flows[0].mystery: is not known",
        "flows[0]: maxBufferAgeMillis, maxBufferSizeBytes tune",
        "awsAccessKeyId: keys are not copied",
        "checkpointFile: ",
    ] {
        assert!(noted(text), "{text}: {:?}", found.notes);
    }
    assert!(!found.text.contains("very secret") && !found.text.contains("AKIASECRET"));
}

#[test]
fn logs_become_objects() {
    let option = |value: Value| {
        let mut option = json!({"optionName": "LOGTOJSON", "logFormat": "COMMONAPACHELOG"});
        option.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        imported(&json!({"flows": [{
            "filePattern": "/tmp/app.log*", "deliveryStream": "s", "dataProcessingOptions": [option],
        }]}))
    };
    let transform = |found: &Imported| {
        read(&found.text)["streams"]["s"]["destinations"][0]["transforms"][0]["log_to_json"].clone()
    };
    let named = json!(["f1", "f2", "f3", "f4", "f5", "f6", "f7"]);
    let found = option(json!({"customFieldNames": named}));
    assert_eq!(check(&found.text), Ok(()));
    let expected =
        json!({"log_format": "commonapachelog", "custom_field_names": named, "unmatched": "fail"});
    assert_eq!(transform(&found), expected);

    // Look-behind is Java's alone.
    let found = option(json!({"matchPattern": "^(?<!x)(\\d)", "customFieldNames": ["n"]}));
    let note = "flows[0].dataProcessingOptions[0]: match_pattern is no regular expression";
    assert!(found.notes.iter().any(|found| found.starts_with(note)), "{:?}", found.notes);
    assert!(check(&found.text).unwrap_err()[0].contains("match_pattern"));

    for (value, note) in [
        (json!({"logFormat": "OTHER"}), "flows[0].dataProcessingOptions[0].logFormat: is no"),
        (json!({"optionName": "ADDMETADATA"}), "flows[0].dataProcessingOptions[0]: ADDMETADATA"),
        (json!({"optionName": 7}), "flows[0].dataProcessingOptions[0]: names no"),
        (json!({"jsonFormat": "PRETTYPRINT"}), "flows[0].dataProcessingOptions[0].jsonFormat"),
        (
            json!({"optionName": "CSVTOJSON", "delimiter": "\\s+"}),
            "flows[0].dataProcessingOptions[0].delimiter: a regular",
        ),
    ] {
        let found = option(value);
        assert!(found.notes.iter().any(|found| found.starts_with(note)), "{:?}", found.notes);
    }
}

#[test]
fn flows_to_one_stream() {
    let flow = |files: &str| json!({"filePattern": files, "deliveryStream": "s"});
    let mut other = flow("/c");
    other["skipHeaderLines"] = 1.into();
    let found = imported(&json!({"flows": [flow("/a"), other, flow("/b"), flow("/a")]}));
    let streams = read(&found.text)["streams"].clone();
    assert_eq!(streams["s"]["source"]["file"]["include"], json!(["/a", "/b"]));
    assert_eq!(streams["s-2"]["source"]["file"]["include"], json!(["/c"]));
    assert!(found.notes[0].starts_with("stream s-2: "), "{:?}", found.notes);

    let long = "x".repeat(70);
    let mut other = json!({"filePattern": "/c", "deliveryStream": long});
    let first = other.clone();
    other["skipHeaderLines"] = 1.into();
    assert_eq!(check(&imported(&json!({"flows": [first, other]})).text), Ok(()));
}

#[test]
fn what_is_no_agent_configuration() {
    let error = |text: &str| kinesis_agent(text, &import(None)).unwrap_err();
    assert!(matches!(error("{"), AgentError::Json(_)));
    for text in ["[]", "{}", r#"{"flows": []}"#, r#"{"flows": 7}"#] {
        assert_eq!(error(text), AgentError::NoFlows);
    }
    let missing = AgentError::Missing { index: 0, key: "filePattern" };
    assert_eq!(error(r#"{"flows": [7]}"#), missing);
    assert_eq!(error(r#"{"flows": [{"filePattern": "/a"}]}"#), AgentError::NoStream { index: 0 });
}
