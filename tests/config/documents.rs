//! The schema, the examples and the documentation agree with the types.

use std::path::Path;

use proptest::prelude::*;
use standpipe::config;

#[test]
fn the_committed_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.schema.json");
    let current = serde_json::to_string_pretty(&config::schema()).unwrap() + "\n";
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "write it anew: standpipe validate --schema > docs/config.schema.json"
    );
}

/// Every pattern of the schema is a regular expression, and every key has a description.
#[test]
fn the_schema_helps_editors() {
    fn visit(schema: &serde_json::Value, path: &str) {
        if let Some(pattern) = schema["pattern"].as_str() {
            assert!(regex::Regex::new(pattern).is_ok(), "{path}: {pattern}");
        }
        if let Some(properties) = schema["properties"].as_object() {
            for (key, property) in properties {
                let described = property["description"].is_string();
                let tag = schema["required"].as_array().is_some_and(|r| r.len() == 1)
                    && properties.len() == 1;
                assert!(described || tag, "{path}.{key} has no description");
            }
        }
        match schema {
            serde_json::Value::Object(members) => {
                members.iter().for_each(|(key, member)| visit(member, &format!("{path}/{key}")));
            }
            serde_json::Value::Array(members) => {
                members.iter().for_each(|member| visit(member, path));
            }
            _ => {}
        }
    }
    visit(&config::schema(), "");
}

/// Every example is valid, once its variables are set and the files it names are there.
#[test]
fn every_example_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["standpipe.example".to_owned()]).unwrap();
    for (name, content) in [
        ("tls.crt", cert.pem()),
        ("tls.key", signing_key.serialize_pem()),
        ("journal.key", "0123456789abcdef".repeat(4) + "\n"),
        ("credentials.yaml", "- {access_key_id: a, secret_access_key: b}\n".to_owned()),
        ("collector.key", "key\n".to_owned()),
        ("webhook.token", "Bearer token\n".to_owned()),
        ("hec.token", "token\n".to_owned()),
        ("search.password", "password\n".to_owned()),
        ("datadog.key", "key\n".to_owned()),
        ("new-relic.key", "key\n".to_owned()),
        ("dynatrace.token", "token\n".to_owned()),
        ("sumo-logic.token", "token\n".to_owned()),
        ("elastic.key", "key\n".to_owned()),
        ("another.key", "key\n".to_owned()),
        ("kafka.password", "password\n".to_owned()),
        ("http.token", "token\n".to_owned()),
        ("http-old.token", "old\n".to_owned()),
    ] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let variables = |name: &str| {
        let known = ["STANDPIPE_SECRET", "S3_ACCESS_KEY", "S3_SECRET_KEY"];
        known.contains(&name).then(|| "value".to_owned())
    };
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/config");
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("/etc/standpipe", &folder.path().display().to_string());
        let config = config::parse(&path, &text, &variables)
            .unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert!(!config.streams.is_empty(), "{}", path.display());
        seen.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    seen.sort();
    assert_eq!(
        seen,
        [
            "cloudwatch-logs.yaml",
            "datadog.yaml",
            "file-sidecar.yaml",
            "http-endpoint.yaml",
            "http.yaml",
            "kafka.yaml",
            "kinesis.yaml",
            "kubernetes-node.yaml",
            "minimal.yaml",
            "opensearch.yaml",
            "partitioned-parquet.yaml",
            "partners.yaml",
            "replicas-kafka.yaml",
            "s3-compatible.yaml",
            "s3.yaml",
            "several-destinations.yaml",
            "splunk.yaml",
            "tls.yaml",
            "transforms.yaml",
        ]
    );
}

/// Every key of the schema stands in the documentation, and no example uses one that does not.
#[test]
fn every_key_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let schema = config::schema();
    let mut objects = vec![&schema];
    objects.extend(schema["$defs"].as_object().unwrap().values());
    let mut missing = Vec::new();
    for object in objects {
        for key in object["properties"].as_object().into_iter().flat_map(|p| p.keys()) {
            if !text.contains(&format!("`{key}`")) && !text.contains(&format!(".{key}`")) {
                missing.push(key.clone());
            }
        }
        for choice in object["oneOf"].as_array().into_iter().flatten() {
            let words = choice["enum"].as_array().into_iter().flatten();
            for word in words.chain([&choice["const"]]).filter_map(|word| word.as_str()) {
                if !text.contains(&format!("`{word}`")) {
                    missing.push(word.to_owned());
                }
            }
        }
    }
    assert!(missing.is_empty(), "docs/configuration.md does not tell of {missing:?}");
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/config").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// What may stand where something else should.
const JUNK: &[&str] = &[
    "",
    "~",
    "0",
    "-1",
    "1e9",
    "5MiB",
    "true",
    "yes",
    "text",
    "\"\"",
    "[]",
    "[1, a]",
    "{}",
    "{a: b}",
    "{file: /none}",
    "*none",
    "!tag x",
    "${NONE}",
    "${A",
    "\"",
    "  - x",
    "'\\n'",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is wrong with a file: it is said with a place, and never by the types, which
    /// know none.
    #[test]
    fn every_damage_has_a_place(
        name in prop::sample::select(vec![
            "several-destinations.yaml",
            "tls.yaml",
            "s3.yaml",
            "transforms.yaml",
            "partitioned-parquet.yaml",
            "cloudwatch-logs.yaml",
            "http-endpoint.yaml",
            "splunk.yaml",
            "opensearch.yaml",
            "datadog.yaml",
            "partners.yaml",
            "kinesis.yaml",
            "kafka.yaml",
            "file-sidecar.yaml",
            "kubernetes-node.yaml",
            "http.yaml",
            "replicas-kafka.yaml",
        ]),
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8,
            prop::sample::select(JUNK)), 1..4),
    ) {
        let text = example(name);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (at, how, junk) in damages {
            let at = at.index(lines.len());
            match how {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[at].clone()),
                2 => lines[at] = lines[at].replacen(char::is_alphabetic, "", 1),
                _ => if let Some((key, _)) = lines[at].split_once(": ") {
                    lines[at] = format!("{key}: {junk}");
                },
            }
        }
        let text = lines.join("\n");
        let variables = |name: &str| (name == "STANDPIPE_SECRET").then(|| "value".to_owned());
        for problem in config::parse(Path::new("c.yaml"), &text, &variables).err().unwrap_or_default() {
            let elsewhere = problem.file != Path::new("c.yaml");
            prop_assert!(problem.line > 0 || elsewhere, "{}\n{}", problem, text);
            prop_assert!(!problem.message.contains("does not fit the types"), "{}\n{}", problem, text);
        }
    }
}
