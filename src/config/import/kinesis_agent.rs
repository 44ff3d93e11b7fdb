//! The Kinesis Agent's `agent.json` (developer guide, "Specify the agent configuration settings").
//!
//! A flow becomes a stream with a `file` source. Flows that send to the same stream and differ in
//! nothing but their files become one. Where the agent's Firehose stream delivers stands in AWS,
//! not in the file: a bucket must be given.

use serde_json::{Map, Value, json};

use super::{agent_options, comments::without_comments};
use crate::limits;

/// What the file does not say.
#[derive(Debug, Clone)]
pub struct AgentImport {
    /// Where the objects go; a place to fill in if absent, which the check refuses until then.
    pub bucket: Option<String>,
    /// Folder for journals.
    pub data_dir: String,
}

/// A configuration, and what could not be carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// YAML. The remarks stand in it as comments, too.
    pub text: String,
    /// One sentence each. They name keys of the agent's file, never the values of secrets.
    pub notes: Vec<String>,
}

/// Why there is nothing to import.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    #[error("is no JSON: {0}")]
    Json(String),
    #[error("holds no flows: is it the configuration of a Kinesis Agent?")]
    NoFlows,
    #[error("flows[{index}] has no {key}")]
    Missing { index: usize, key: &'static str },
    #[error("flows[{index}] names no deliveryStream and no kinesisStream")]
    NoStream { index: usize },
}

/// Settings of the agent's own work: there is nothing like them here, and nobody misses them.
const TUNING: [&str; 12] = [
    "maxBufferSizeBytes",
    "maxBufferSizeRecords",
    "maxBufferAgeMillis",
    "retryInitialBackoffMillis",
    "retryMaxBackoffMillis",
    "publishQueueCapacity",
    "waitOnFullPublishQueueMillis",
    "waitOnEmptyPublishQueueMillis",
    "waitOnFullRetryQueueMillis",
    "minTimeBetweenFilePollsMillis",
    "maxTimeBetweenFileTrackerRefreshMillis",
    "log.emitInternalMetrics",
];
/// Keys of a flow that are carried over.
const CARRIED: [&str; 7] = [
    "filePattern",
    "deliveryStream",
    "kinesisStream",
    "initialPosition",
    "multiLineStartPattern",
    "skipHeaderLines",
    "dataProcessingOptions",
];
/// What the comment behind an empty bucket says.
const FILL_IN: &str = "# TO FILL IN: the bucket that the agent's Firehose stream delivers to";

/// Makes a configuration of the text of an `agent.json`.
///
/// # Errors
/// The text is no JSON, or its flows do not say what they read and where they send.
pub fn kinesis_agent(text: &str, import: &AgentImport) -> Result<Imported, AgentError> {
    let root: Value = serde_json::from_str(&without_comments(text))
        .map_err(|error| AgentError::Json(error.to_string()))?;
    let root = root.as_object().ok_or(AgentError::NoFlows)?;
    let flows = root.get("flows").and_then(Value::as_array).filter(|flows| !flows.is_empty());
    let flows = flows.ok_or(AgentError::NoFlows)?;
    let mut notes = Vec::new();
    let mut streams = Map::new();
    for (index, flow) in flows.iter().enumerate() {
        let none = Map::new();
        let flow = flow.as_object().unwrap_or(&none);
        let (name, files, stream) = stream(index, flow, import, &mut notes)?;
        add(&mut streams, &name, files, stream, &mut notes);
    }
    globals(root, &mut notes);
    let mut config = json!({
        "data_dir": import.data_dir,
        "aws": {"region": region(root)},
        "streams": streams,
    });
    escape(&mut config);
    Ok(Imported { text: written(&config, &notes), notes })
}

/// The stream of a flow without its files, its name, and its files.
fn stream(
    index: usize,
    flow: &Map<String, Value>,
    import: &AgentImport,
    notes: &mut Vec<String>,
) -> Result<(String, String, Value), AgentError> {
    let place = format!("flows[{index}]");
    let files =
        text(flow, "filePattern").ok_or(AgentError::Missing { index, key: "filePattern" })?;
    let name = match (text(flow, "deliveryStream"), text(flow, "kinesisStream")) {
        (Some(name), _) => name,
        (None, Some(name)) => {
            notes.push(format!(
                "{place}: sends to a Kinesis data stream; here the lines go to a bucket"
            ));
            name
        }
        (None, None) => return Err(AgentError::NoStream { index }),
    };
    let options = flow.get("dataProcessingOptions").and_then(Value::as_array);
    let options = options.map(Vec::as_slice).unwrap_or_default();
    let transforms = agent_options::transforms(options, &place, notes);
    let mut destination = json!({"s3": {"bucket": import.bucket.as_deref().unwrap_or_default()}});
    if !transforms.is_empty() {
        destination["transforms"] = json!(transforms);
    }
    let from_start = text(flow, "initialPosition") == Some("START_OF_FILE");
    let mut source = lines(flow, &place, notes);
    source.shift_insert(0, "include".into(), json!([]));
    source.shift_insert(1, "start".into(), if from_start { "beginning" } else { "end" }.into());
    if from_start {
        notes.push(format!(
            "{place}: files that the agent has read already are read again: it keeps its positions \
             to itself"
        ));
    }
    leftovers(flow, &place, notes);
    let stream = json!({"source": {"file": source}, "destinations": [destination]});
    Ok((sound(name), files.to_owned(), stream))
}

/// How lines become records. The agent's end with their newline.
fn lines(flow: &Map<String, Value>, place: &str, notes: &mut Vec<String>) -> Map<String, Value> {
    let mut lines = Map::new();
    lines.insert("keep_newline".into(), true.into());
    if let Some(pattern) = text(flow, "multiLineStartPattern").filter(|text| !text.is_empty()) {
        // The agent looks at the beginning of a line only.
        let anchored = pattern.starts_with('^') && !pattern.contains('|');
        let pattern = if anchored { pattern.to_owned() } else { format!("^(?:{pattern})") };
        if let Err(error) = regex::Regex::new(&pattern) {
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default().trim();
            notes.push(format!("{place}.multiLineStartPattern: must be rewritten: {why}"));
        }
        lines.insert("multiline".into(), json!({"start_pattern": pattern}));
    }
    if let Some(count) = number(flow, "skipHeaderLines").filter(|count| *count > 0) {
        lines.insert("skip_header_lines".into(), count.into());
    }
    lines
}

/// Remarks on the keys of a flow that nothing becomes of.
fn leftovers(flow: &Map<String, Value>, place: &str, notes: &mut Vec<String>) {
    let mut tuning = Vec::new();
    for (key, value) in flow {
        match key.as_str() {
            key if CARRIED.contains(&key) => {}
            key if TUNING.contains(&key) => tuning.push(key),
            "truncatedRecordTerminator" if value.as_str() == Some("\n") => {}
            "truncatedRecordTerminator" => notes.push(format!(
                "{place}.truncatedRecordTerminator: a line that is cut ends with a newline"
            )),
            "partitionKeyOption" => notes.push(format!(
                "{place}.partitionKeyOption: a bucket has no partition keys: left out"
            )),
            "aggregatedRecordSizeBytes" => notes.push(format!(
                "{place}.aggregatedRecordSizeBytes: every line is a record of its own"
            )),
            "fileFooterPattern" => notes
                .push(format!("{place}.fileFooterPattern: files are read to their end: left out")),
            other => notes.push(format!("{place}.{other}: is not known: left out")),
        }
    }
    if !tuning.is_empty() {
        notes.push(format!(
            "{place}: {} tune the agent itself: left out; how often objects are written says \
             buffering of the destination",
            tuning.join(", ")
        ));
    }
}

/// Adds a stream; one that is there already gets more files if it is the same otherwise.
fn add(
    streams: &mut Map<String, Value>,
    name: &str,
    files: String,
    mut stream: Value,
    notes: &mut Vec<String>,
) {
    let files = Value::from(files);
    for number in 1.. {
        let name = match number {
            1 => name.to_owned(),
            // A name of full length gives up its end.
            _ => format!("{:.1$}-{number}", name, limits::NAME_CHARS_MAX - 12),
        };
        let Some(known) = streams.get_mut(&name) else {
            if number > 1 {
                notes.push(format!(
                    "stream {name}: flows to one stream that differ became streams of their own; \
                     give their destinations prefixes, if their objects should not mix"
                ));
            }
            stream["source"]["file"]["include"] = json!([files]);
            streams.insert(name, stream);
            return;
        };
        let include = known["source"]["file"]["include"].take();
        let is_same = *known == with_include(&stream, Value::Null);
        known["source"]["file"]["include"] = include;
        if is_same {
            if let Some(include) = known["source"]["file"]["include"].as_array_mut()
                && !include.contains(&files)
            {
                include.push(files);
            }
            return;
        }
    }
}

fn with_include(stream: &Value, include: Value) -> Value {
    let mut stream = stream.clone();
    stream["source"]["file"]["include"] = include;
    stream
}

/// Remarks on the keys outside of the flows.
fn globals(root: &Map<String, Value>, notes: &mut Vec<String>) {
    for key in root.keys() {
        let note = match key.as_str() {
            "flows" | "kinesis.endpoint" | "firehose.endpoint" => continue,
            "awsAccessKeyId" | "awsSecretAccessKey" => {
                "keys are not copied: set them in the environment, or under aws.credentials"
            }
            "assumeRoleARN" | "assumeRoleExternalId" => {
                "the role was for sending; set role_arn at the destination, if the bucket needs one"
            }
            "cloudwatch.emitMetrics" | "cloudwatch.endpoint" => {
                "metrics are served to Prometheus, under /metrics"
            }
            "checkpointFile" => "the agent's positions are not carried over",
            _ => "has no counterpart: left out",
        };
        notes.push(format!("{key}: {note}"));
    }
}

/// The region of the agent's endpoint; what it sends to without one is in us-east-1.
fn region(root: &Map<String, Value>) -> &str {
    let endpoint = text(root, "firehose.endpoint").filter(|endpoint| !endpoint.is_empty());
    let endpoint = endpoint.or_else(|| text(root, "kinesis.endpoint")).unwrap_or_default();
    let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
    let mut labels = host.split('.');
    match (labels.next(), labels.next(), labels.next()) {
        (Some("firehose" | "kinesis"), Some(region), Some("amazonaws")) => region,
        _ => "us-east-1",
    }
}

/// A name that a stream may have.
fn sound(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let name = name.chars().take(limits::NAME_CHARS_MAX);
    let name: String = name.map(|c| if allowed(c) { c } else { '-' }).collect();
    if matches!(name.as_str(), "" | "." | ".." | "_") { "stream".into() } else { name }
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    map.get(key)?.as_str()
}

/// A number, which the agent also takes as text.
fn number(map: &Map<String, Value>, key: &str) -> Option<u32> {
    let value = map.get(key)?;
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    Some(u32::try_from(number).unwrap_or(u32::MAX))
}

/// What looks like a variable of the environment is plain text in the agent's file.
fn escape(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("${") => *text = text.replace("${", "$${"),
        Value::Array(list) => list.iter_mut().for_each(escape),
        Value::Object(map) => map.values_mut().for_each(escape),
        _ => {}
    }
}

fn written(config: &Value, notes: &[String]) -> String {
    let mut text = "# Imported from the configuration of a Kinesis Agent.\n".to_owned();
    if !notes.is_empty() {
        text += "#\n# Not carried over, or not as it was:\n";
    }
    for note in notes {
        // A key of the file may hold anything, line breaks included.
        let note: String = note.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        text += &format!("# - {note}\n");
    }
    let yaml = serde_yaml::to_string(config).expect("JSON can be written as YAML");
    let empty = "bucket: ''\n";
    text + "\n" + &yaml.replace(empty, &format!("bucket: '' {FILL_IN}\n"))
}

#[cfg(test)]
#[path = "kinesis_agent_tests.rs"]
mod tests;
