//! The binary from the outside, against a small stand-in for the daemon.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    net::SocketAddr,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
};

use base64_simd::STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

/// What the stand-in was told.
#[derive(Default)]
struct Seen {
    /// How often each record was offered, and how often accepted.
    offered: BTreeMap<Vec<u8>, usize>,
    accepted: BTreeMap<Vec<u8>, usize>,
    largest_call: usize,
    calls: usize,
    /// How often each SDK invocation id came.
    invocations: HashMap<String, usize>,
    requests: Vec<(String, Option<String>)>,
}

/// A stand-in for the daemon: records that begin with `flaky` fail once, with `never` always;
/// the stream `busy` answers its first call with ServiceUnavailableException.
struct Daemon {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _runtime: tokio::runtime::Runtime,
}

impl Daemon {
    fn start() -> Self {
        Self::telling(mpsc::channel().0)
    }

    /// Tells of every call.
    fn telling(told: mpsc::Sender<()>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = seen.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, told) = (shared.clone(), told.clone());
                tokio::spawn(async move {
                    let service =
                        service_fn(move |request| answer(request, seen.clone(), told.clone()));
                    let io = TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await;
                });
            }
        });
        Self { address, seen, _runtime: runtime }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = standpipe(arguments);
        command.arg("--endpoint").arg(format!("http://{}", self.address));
        command
    }
}

fn standpipe(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standpipe"));
    command.args(arguments).env_clear().env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Seen>>,
    told: mpsc::Sender<()>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (authorization, invocation) = (header("authorization"), header("amz-sdk-invocation-id"));
    let path = request.uri().path().to_owned();
    let line = format!("{} {path}", request.method());
    let body = request.into_body().collect().await?.to_bytes();
    let (status, value) = {
        let mut seen = seen.lock().unwrap();
        seen.requests.push((line, authorization));
        match path.as_str() {
            "/" => put(&mut seen, &body, invocation.expect("SDKs name their calls")),
            "/v1/reload" => (
                StatusCode::BAD_REQUEST,
                json!({"__type": "InvalidArgumentException", "message": "2 mistakes"}),
            ),
            _ => (StatusCode::OK, json!({"stream": "a", "destinations": [{"name": "s3"}]})),
        }
    };
    let _ = told.send(());
    let mut answer = Response::new(Full::new(serde_json::to_vec(&value).unwrap().into()));
    *answer.status_mut() = status;
    Ok(answer)
}

fn put(seen: &mut Seen, body: &[u8], invocation: String) -> (StatusCode, Value) {
    let call: Value = serde_json::from_slice(body).unwrap();
    let attempts = seen.invocations.entry(invocation).or_default();
    *attempts += 1;
    if call["DeliveryStreamName"] == "busy" && *attempts == 1 {
        let value = json!({"__type": "ServiceUnavailableException", "message": "full"});
        return (StatusCode::INTERNAL_SERVER_ERROR, value);
    }
    let records = call["Records"].as_array().unwrap();
    seen.calls += 1;
    seen.largest_call = seen.largest_call.max(records.len());
    let mut entries = Vec::new();
    for record in records {
        let data = STANDARD.decode_to_vec(record["Data"].as_str().unwrap()).unwrap();
        let offered = seen.offered.entry(data.clone()).or_default();
        *offered += 1;
        if data.starts_with(b"never") || (data.starts_with(b"flaky") && *offered == 1) {
            entries.push(json!({
                "ErrorCode": "ServiceUnavailableException", "ErrorMessage": "slow down"
            }));
        } else {
            *seen.accepted.entry(data).or_default() += 1;
            entries.push(json!({"RecordId": "1"}));
        }
    }
    let failed = entries.iter().filter(|entry| entry["ErrorCode"].is_string()).count();
    (StatusCode::OK, json!({"FailedPutCount": failed, "RequestResponses": entries}))
}

/// Runs a command with this on stdin.
fn run(mut command: Command, input: &[u8]) -> Output {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child: Child = child.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A command that stops early closes its end.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

#[track_caller]
fn ended(output: &Output, code: i32) -> (String, String) {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    (out, err)
}

#[test]
fn send_delivers_every_line_and_repeats_only_what_failed() {
    let daemon = Daemon::start();
    let lines: Vec<String> = (0..1201)
        .map(|n| if n % 100 == 7 { format!("flaky {n}\n") } else { format!("line {n}\n") })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines.txt");
    std::fs::write(&file, lines.concat()).unwrap();
    let command = daemon.command(&["send", "a", file.to_str().unwrap(), "--anonymous"]);
    let (out, _) = ended(&run(command, b""), 0);
    assert!(out.starts_with("1201 records accepted ("), "{out}");
    assert!(out.ends_with(", 12 sent again\n"), "{out}");
    let seen = daemon.seen.lock().unwrap();
    assert_eq!(seen.accepted.len(), lines.len());
    for line in &lines {
        let offered = if line.starts_with("flaky") { 2 } else { 1 };
        assert_eq!(seen.offered[line.as_bytes()], offered, "{line}");
        assert_eq!(seen.accepted[line.as_bytes()], 1, "{line}");
    }
    assert!(seen.largest_call <= 500 && seen.calls >= 3, "{} calls", seen.calls);
}

#[test]
fn bytes_come_as_they_are_and_newlines_go_if_told_to() {
    let daemon = Daemon::start();
    let command = daemon.command(&["send", "a", "--no-newline", "--anonymous"]);
    ended(&run(command, b"\xff\x00\xfe\r\nlast"), 0);
    let seen = daemon.seen.lock().unwrap();
    let records: Vec<&[u8]> = seen.accepted.keys().map(Vec::as_slice).collect();
    assert_eq!(records, [&b"last"[..], b"\xff\x00\xfe"]);
}

#[test]
fn a_throttled_call_is_repeated_as_the_same_call() {
    let daemon = Daemon::start();
    let command = daemon.command(&["send", "busy", "--anonymous"]);
    ended(&run(command, b"x\n"), 0);
    let seen = daemon.seen.lock().unwrap();
    assert_eq!(seen.invocations.values().collect::<Vec<_>>(), [&2]);
    assert_eq!(seen.accepted[&b"x\n"[..]], 1);
}

#[test]
fn a_record_that_is_never_accepted_fails_the_command_with_its_line() {
    let daemon = Daemon::start();
    let command = daemon.command(&["send", "a", "--max-retries", "1", "--anonymous"]);
    let (out, err) = ended(&run(command, b"1\n2\nnever\n4\n"), 1);
    assert!(out.starts_with("3 records accepted ("), "{out}");
    assert!(out.contains(", 1 not accepted"), "{out}");
    assert!(
        err.contains("line 3: ServiceUnavailableException: slow down (after 1 retries)"),
        "{err}"
    );
    assert_eq!(daemon.seen.lock().unwrap().offered[&b"never\n"[..]], 2);
}

#[test]
fn a_line_above_the_limit_is_named_or_left_out() {
    let daemon = Daemon::start();
    let mut input = b"short\n".to_vec();
    input.extend(std::iter::repeat_n(b'x', 2_000_000));
    input.extend(b"\nend\n");
    let command = daemon.command(&["send", "a", "--anonymous"]);
    let (out, err) = ended(&run(command, &input), 1);
    assert!(out.starts_with("1 record accepted"), "{out}");
    assert!(err.contains("line 2 is longer than a record may be (1024000 bytes)"), "{err}");

    let command = daemon.command(&["send", "a", "--skip-oversize", "--anonymous"]);
    let (out, _) = ended(&run(command, &input), 0);
    assert!(out.starts_with("2 records accepted"), "{out}");
    assert!(out.ends_with(", 1 too long and left out\n"), "{out}");
}

/// A live input is sent as it comes, and an interrupt ends it with a summary.
#[test]
fn an_interrupt_ends_sending_cleanly() {
    let (told, calls) = mpsc::channel();
    let daemon = Daemon::telling(told);
    let mut command = daemon.command(&["send", "a", "--anonymous"]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"live\n").unwrap();
    calls.recv().unwrap();
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, _) = ended(&output, 130);
    assert!(out.starts_with("1 record accepted"), "{out}");
    drop(stdin);
}

#[test]
fn where_nothing_listens_the_command_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for command in [&["send", "a"][..], &["trace", "x"], &["reload"], &["flush", "a"]] {
        let mut command = standpipe(command);
        command.args(["--endpoint", &endpoint, "--anonymous"]);
        let (_, err) = ended(&run(command, b"x\n"), 1);
        assert!(err.starts_with("error: cannot reach http://127.0.0.1:"), "{err}");
        assert!(err.contains("is the daemon running"), "{err}");
    }
}

#[test]
fn admin_calls_are_signed_unless_anonymous() {
    let daemon = Daemon::start();
    let mut command = daemon.command(&["trace", "a/b", "--region", "eu-west-1"]);
    command.env("AWS_ACCESS_KEY_ID", "AKIATEST").env("AWS_SECRET_ACCESS_KEY", "hunter2");
    let (out, _) = ended(&run(command, b""), 0);
    assert_eq!(out, "stream: a\ndestinations:\n  - name: s3\n");
    let command = daemon.command(&["flush", "clicks", "--anonymous"]);
    ended(&run(command, b""), 0);
    let command = daemon.command(&["trace", "x", "--json", "--anonymous"]);
    let (out, _) = ended(&run(command, b""), 0);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["stream"], "a");
    let command = daemon.command(&["reload", "--anonymous"]);
    let (_, err) = ended(&run(command, b""), 1);
    assert_eq!(
        err,
        "error: the daemon answered 400 Bad Request, InvalidArgumentException: 2 mistakes\n"
    );

    let seen = daemon.seen.lock().unwrap();
    let (line, authorization) = &seen.requests[0];
    assert_eq!(line, "GET /v1/trace/a%2Fb");
    let authorization = authorization.as_deref().unwrap();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIATEST/"), "{authorization}");
    assert!(authorization.contains("/eu-west-1/firehose/aws4_request"), "{authorization}");
    assert_eq!(seen.requests[1], ("POST /v1/streams/clicks/flush".to_owned(), None));
}

#[test]
fn validate_tells_every_mistake_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "data_dir: /x\napi: {anonymus: true}\nstreems: {}\n").unwrap();
    let (out, err) = ended(&run(standpipe(&["validate", path]), b""), 1);
    assert_eq!(out, "");
    assert_eq!(
        err.replace(path, "c.yaml"),
        "c.yaml:2:7: api.anonymus: unknown key \"anonymus\" — did you mean \"anonymous\"?\n\
         c.yaml:3:1: streems: unknown key \"streems\" — did you mean \"streams\"?\n\
         error: 2 mistakes in c.yaml\n"
    );
    // The daemon says the same and does not start.
    let (_, same) = ended(&run(standpipe(&["run", path]), b""), 1);
    assert_eq!(same, err);

    std::fs::write(&file, "data_dir: /x\napi: {anonymous: true}\n").unwrap();
    let (out, _) = ended(&run(standpipe(&["validate", path]), b""), 0);
    assert_eq!(out.replace(path, "c.yaml"), "c.yaml is valid: 0 streams, 0 destinations\n");
    ended(&run(standpipe(&["validate"]), b""), 2);
    let (schema, _) = ended(&run(standpipe(&["validate", "--schema"]), b""), 0);
    assert!(serde_json::from_str::<Value>(&schema).is_ok());
}

#[test]
fn version_and_completions() {
    let (out, _) = ended(&run(standpipe(&["--version"]), b""), 0);
    let commit = out.strip_prefix(concat!("standpipe ", env!("CARGO_PKG_VERSION"), " ("));
    assert!(commit.is_some_and(|commit| commit.len() > ")\n".len()), "{out}");
    for shell in ["bash", "zsh", "fish"] {
        let (script, _) = ended(&run(standpipe(&["completions", shell]), b""), 0);
        assert!(script.contains("standpipe") && script.contains("validate"), "{shell}");
    }
}
