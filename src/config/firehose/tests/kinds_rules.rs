//! The rules of destinations other than S3.

use serde_json::{Value, json};

use super::{
    LAMBDA, ROLE,
    create::LEAD,
    invalid,
    kinds::{KINDS, SECRET, create_kind, shown},
};

#[track_caller]
fn refused(kind: &str, more: Value) -> String {
    invalid(create_kind(kind, more))
}

#[test]
fn an_empty_type_is_none() {
    for kind in ["Elasticsearch", "Amazonopensearchservice"] {
        let hose = create_kind(kind, json!({"TypeName": ""})).unwrap();
        assert!(shown(&hose).get("TypeName").is_none());
    }
    assert!(
        refused("Amazonopensearchservice", json!({"TypeName": "event"}))
            .starts_with("TypeName must be empty for OpenSearch.")
    );
}

#[test]
fn exactly_one_address_of_a_domain() {
    let domain = "arn:aws:es:us-east-1:123456789012:domain/logs";
    let one = "Exactly one of DomainARN and ClusterEndpoint must be specified.";
    for kind in ["Elasticsearch", "Amazonopensearchservice"] {
        assert_eq!(refused(kind, json!({"DomainARN": domain})), one);
        assert_eq!(refused(kind, json!({"ClusterEndpoint": null})), one);
        assert_eq!(
            refused(kind, json!({"ClusterEndpoint": null, "DomainARN": domain})),
            "DomainARN is not available here: the domain's endpoint is not looked up. Specify \
             ClusterEndpoint instead."
        );
    }
    assert_eq!(
        refused("AmazonOpenSearchServerless", json!({"CollectionEndpoint": null})),
        "CollectionEndpoint must be specified."
    );
}

#[test]
fn names_of_indexes() {
    for name in ["Logs", "_logs", "-logs", "+logs", ".", "..", "a b", "a/b", "a,b", "a#b", "a:b"] {
        for kind in &KINDS[2..] {
            let message = refused(kind, json!({"IndexName": name}));
            assert!(message.starts_with(&format!("IndexName {name} is not valid")), "{message}");
        }
    }
    for name in ["logs-1", ".hidden", "ü"] {
        create_kind("Elasticsearch", json!({"IndexName": name})).unwrap();
    }
}

#[test]
fn urls_of_servers() {
    let secret = "hunter2";
    let cases = [
        ("https:server", "must begin with https://."),
        ("https://", "is not a valid URL."),
        ("https:// x", "is not a valid URL."),
        ("https://h/#hunter2", "is not a valid URL."),
        ("https://hunter2@h", "must not contain a user name or password."),
        ("https://u:hunter2@h", "must not contain a user name or password."),
        ("https://h/?t=hunter2", "must not contain a query."),
    ];
    let of = |kind: &str, url: &str| match kind {
        "HttpEndpoint" => {
            ("EndpointConfiguration.Url", json!({"EndpointConfiguration": {"Url": url}}))
        }
        "Splunk" => ("HECEndpoint", json!({"HECEndpoint": url})),
        "AmazonOpenSearchServerless" => ("CollectionEndpoint", json!({"CollectionEndpoint": url})),
        _ => ("ClusterEndpoint", json!({"ClusterEndpoint": url})),
    };
    for kind in KINDS {
        for (url, why) in cases {
            let (member, more) = of(kind, url);
            let result = create_kind(kind, more);
            match kind {
                "HttpEndpoint" if url.contains('?') => {
                    assert_eq!(shown(&result.unwrap())["EndpointConfiguration"]["Url"], url);
                }
                // The model's own pattern.
                "HttpEndpoint" if url == "https:server" => {
                    assert_eq!(result.expect_err("a pattern").kind, "ValidationException");
                }
                _ => {
                    let message = invalid(result);
                    assert_eq!(message, format!("{member} {why}"), "{kind} {url}");
                    assert!(!message.contains(secret));
                }
            }
        }
    }
    let plain = json!({"HECEndpoint": "http://splunk.example:8088"});
    assert_eq!(refused("Splunk", plain), "HECEndpoint must begin with https://.");
}

#[test]
fn hints_of_http_come_together() {
    let message = "BufferingHints.SizeInMBs and BufferingHints.IntervalInSeconds must be specified \
                   together.";
    for hints in [json!({"SizeInMBs": 1}), json!({"IntervalInSeconds": 1})] {
        assert_eq!(refused("HttpEndpoint", json!({"BufferingHints": hints})), message);
        for kind in &KINDS[1..] {
            create_kind(kind, json!({"BufferingHints": hints})).unwrap();
        }
    }
}

#[test]
fn buckets_and_logs_have_the_rules_of_s3() {
    for kind in KINDS {
        let mut backup = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::errors"});
        backup["BufferingHints"] = json!({"SizeInMBs": 1});
        let message = refused(kind, json!({"S3Configuration": backup}));
        assert!(message.starts_with("BufferingHints.SizeInMBs and "), "{message}");
        backup["BufferingHints"] = json!({});
        backup["Prefix"] = json!("!{timestamp:yyyy}/");
        let message = refused(kind, json!({"S3Configuration": backup}));
        assert!(message.starts_with(LEAD), "{message}");
        let logging = json!({"Enabled": true});
        let message = refused(kind, json!({"CloudWatchLoggingOptions": logging}));
        assert!(message.starts_with("LogGroupName and LogStreamName must be "), "{message}");
    }
}

#[test]
fn keys_are_given_or_managed() {
    let managed = |more: Value| {
        let mut managed = json!({"Enabled": true});
        managed.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"SecretsManagerConfiguration": managed})
    };
    let arn = "SecretARN must be specified when SecretsManagerConfiguration is enabled.";
    assert_eq!(refused("HttpEndpoint", managed(json!({}))), arn);
    assert_eq!(refused("Splunk", managed(json!({"RoleARN": ROLE}))), arn);
    assert_eq!(
        refused("Splunk", managed(json!({"SecretARN": SECRET}))),
        "RoleARN must be specified in SecretsManagerConfiguration for Splunk destination."
    );
    create_kind("HttpEndpoint", managed(json!({"SecretARN": SECRET}))).unwrap();
    for none in [Value::Null, json!("")] {
        for off in [json!(null), json!({"Enabled": false, "SecretARN": SECRET, "RoleARN": ROLE})] {
            assert_eq!(
                refused("Splunk", json!({"HECToken": none, "SecretsManagerConfiguration": off})),
                "HECToken must be specified when SecretsManagerConfiguration is not enabled."
            );
        }
        let mut both = managed(json!({"SecretARN": SECRET, "RoleARN": ROLE}));
        both["HECToken"] = none;
        create_kind("Splunk", both).unwrap();
    }
    let message = refused("Splunk", json!({"HECToken": "hünter2"}));
    assert_eq!(message, "HECToken must consist of printable ASCII characters.");
    let endpoint = json!({"Url": "https://h", "AccessKey": "hünter2"});
    let message = refused("HttpEndpoint", json!({"EndpointConfiguration": endpoint}));
    assert_eq!(message, "AccessKey must consist of printable ASCII characters.");
}

#[test]
fn attributes_have_one_value() {
    let attribute = |name: &str| json!({"AttributeName": name, "AttributeValue": "v"});
    let request = |names: [&str; 2]| json!({"RequestConfiguration": {"CommonAttributes": names.map(attribute)}});
    assert_eq!(
        refused("HttpEndpoint", request(["a", "a"])),
        "Duplicate AttributeName passed to CommonAttributes."
    );
    create_kind("HttpEndpoint", request(["a", "A"])).unwrap();
}

fn processing(processors: &[(&str, &[(&str, &str)])]) -> Value {
    let pair =
        |(name, value): &(&str, &str)| json!({"ParameterName": name, "ParameterValue": value});
    let processor = |(kind, parameters): &(&str, &[(&str, &str)])| json!({"Type": kind, "Parameters": parameters.iter().map(pair).collect::<Vec<_>>()});
    let processors: Vec<_> = processors.iter().map(processor).collect();
    json!({"ProcessingConfiguration": {"Enabled": true, "Processors": processors}})
}

#[test]
fn processors_that_fit() {
    let gzip: (&str, &[_]) = ("Decompression", &[("CompressionFormat", "GZIP")]);
    let extraction: (&str, &[_]) =
        ("CloudWatchLogProcessing", &[("DataMessageExtraction", "true")]);
    let partitioned = |kind: &str| {
        format!(
            "class com.amazonaws.services.firehose.internal.model.{kind}Processor can only be \
             present when Dynamic Partitioning is enabled."
        )
    };
    for kind in KINDS {
        let query: &[_] = &[("MetadataExtractionQuery", "{a: .b}")];
        assert_eq!(
            refused(kind, processing(&[("MetadataExtraction", query)])),
            partitioned("MetadataExtraction")
        );
        assert_eq!(
            refused(kind, processing(&[("RecordDeAggregation", &[("SubRecordType", "JSON")])])),
            partitioned("RecordDeAggregation")
        );
        create_kind(kind, processing(&[("AppendDelimiterToRecord", &[])])).unwrap();
        let both = create_kind(kind, processing(&[gzip, extraction]));
        let alone = create_kind(kind, processing(&[gzip]));
        match kind {
            "HttpEndpoint" => drop((both.unwrap(), alone.unwrap())),
            "Splunk" => {
                both.unwrap();
                assert_eq!(
                    invalid(alone),
                    "Message extraction must be enabled when decompression is enabled for Splunk \
                     destination."
                );
            }
            _ => {
                for result in [both, alone] {
                    assert_eq!(
                        invalid(result),
                        "The processor Decompression is not supported for this destination type."
                    );
                }
            }
        }
    }
}

#[test]
fn functions_are_completed() {
    for kind in KINDS {
        let more = processing(&[("Lambda", &[("LambdaArn", LAMBDA)])]);
        let processing = shown(&create_kind(kind, more).unwrap())["ProcessingConfiguration"].take();
        let size = if kind == "Splunk" { "0.25" } else { "1" };
        let expected = [
            ("LambdaArn", LAMBDA),
            ("NumberOfRetries", "3"),
            // Without a role of the destination it is the bucket's.
            ("RoleArn", ROLE),
            ("BufferSizeInMBs", size),
            ("BufferIntervalInSeconds", "60"),
        ];
        let pair = |(name, value)| json!({"ParameterName": name, "ParameterValue": value});
        let expected: Vec<_> = expected.into_iter().map(pair).collect();
        assert_eq!(processing["Processors"][0]["Parameters"], json!(expected), "{kind}");
    }
}
