"""`standpipe import kinesis-agent`: what the agent did to lines is what the daemon does to them."""

import json
import subprocess

import harness
from test_file_source import append, contents, until_open

COMMON = (
    '64.242.88.10 - - [07/Mar/2004:16:10:02 -0800] "GET /mailman/listinfo/hsdivision HTTP/1.1"'
    " 200 6291"
)
COMMON_FIELDS = ["host", "ident", "authuser", "datetime", "request", "response", "bytes"]
COMMON_VALUES = [
    "64.242.88.10",
    None,
    None,
    "07/Mar/2004:16:10:02 -0800",
    "GET /mailman/listinfo/hsdivision HTTP/1.1",
    "200",
    "6291",
]


def imported(*arguments, agent=None):
    """The finished process."""
    return subprocess.run(
        [harness.BINARY, "import", "kinesis-agent", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        input=agent,
    )


def validated(path):
    done = subprocess.run(
        [harness.BINARY, "validate", str(path)], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def with_listener(daemon, path):
    """The imported file, with a listener of the test behind it."""
    config = path.read_text()
    if "\napi:" not in config:
        config += f"\napi: {json.dumps(daemon.config['api'])}\n"
    daemon.write_config = lambda: daemon.config_path.write_text(config)
    return daemon


def flow(pattern, name, *options, **more):
    found = {"filePattern": str(pattern), "deliveryStream": name, **more}
    return {**found, "dataProcessingOptions": list(options)} if options else found


def agent_json(tmp_path, flows, **more):
    path = tmp_path / "agent.json"
    path.write_text(json.dumps({"flows": flows, **more}, indent=2))
    return path


def running(daemon, tmp_path, flows):
    """A daemon with what becomes of these flows, all with one folder as their bucket."""
    bucket, config = tmp_path / "bucket", tmp_path / "imported.yaml"
    bucket.mkdir()
    done = imported(
        agent_json(tmp_path, flows),
        *["--bucket", bucket.as_uri(), "--data-dir", tmp_path / "data", "--output", config],
    )
    assert done.returncode == 0, done.stderr
    d = with_listener(daemon({}, start=False), config).start()
    return d, bucket


def delivered(daemon, folder):
    assert daemon.terminate() == 0
    return contents(folder).splitlines()


def test_logs_become_objects(daemon, tmp_path):
    logs = tmp_path / "logs"
    own = ["f1", "f2", "f3", "f4", "f5", "f6", "f7"]
    common = {"optionName": "LOGTOJSON", "logFormat": "COMMONAPACHELOG"}
    flows = [
        flow(logs / "access.log*", "access", common),
        flow(logs / "own.log", "own", {**common, "customFieldNames": own}),
        flow(logs / "syslog", "system", {"optionName": "LOGTOJSON", "logFormat": "SYSLOG"}),
    ]
    # What is there when the agent is installed is not sent.
    for name in ["access.log", "own.log", "syslog"]:
        append(logs / name, ["old"])
    d, bucket = running(daemon, tmp_path, flows)
    for name in ["access", "own", "system"]:
        until_open(d, 1, name)
    append(logs / "access.log", [COMMON, "no line of this format"])
    append(logs / "own.log", [COMMON])
    append(logs / "syslog", ["Mar 12 12:00:08 server2 rcd[308]: Loaded 12 packages"])
    for name, records in [("access", 2), ("own", 1), ("system", 1)]:
        read = "standpipe_data_read_from_source_records_total"
        harness.wait_for(
            lambda: d.metrics()[read, {"stream": name}] == records, f"{name} is read"  # noqa: B023
        )
    assert d.terminate() == 0
    failed = {key: path for key, path in harness.files(bucket).items() if "failed" in key}
    assert len(failed) == 1, "the line that does not match is told of"
    found = [
        json.loads(line, object_pairs_hook=list)
        for key, path in harness.files(bucket).items()
        if key not in failed
        for line in path.read_text().splitlines()
    ]
    expected = [
        list(zip(COMMON_FIELDS, COMMON_VALUES, strict=True)),
        list(zip(own, COMMON_VALUES, strict=True)),
        [
            ("timestamp", "Mar 12 12:00:08"),
            ("hostname", "server2"),
            ("program", "rcd"),
            ("processid", "308"),
            ("message", "Loaded 12 packages"),
        ],
    ]
    # The order of the members is part of it.
    assert sorted(map(str, found)) == sorted(map(str, expected))


def test_columns_and_several_lines(daemon, tmp_path):
    logs = tmp_path / "logs"
    csv = {"optionName": "CSVTOJSON", "customFieldNames": ["f1", "f2"]}
    tabs = {**csv, "customFieldNames": ["a", "b", "c"], "delimiter": "\\t"}
    single = {"optionName": "SINGLELINE"}
    start = {"initialPosition": "START_OF_FILE"}
    flows = [
        flow(logs / "a.csv", "commas", csv, **start, skipHeaderLines=1),
        flow(logs / "a.tsv", "tabs", tabs, **start),
        flow(logs / "a.log", "lines", single, **start, multiLineStartPattern="\\[SEQUENCE="),
        flow(logs / "plain.log", "plain", **start),
    ]
    append(logs / "a.csv", ["the,header", "v1,v2", "one", "a,b,c"])
    append(logs / "a.tsv", ["1\t2\t3"])
    append(logs / "a.log", ["[SEQUENCE=1] one", "   two  ", "\tthree", "[SEQUENCE=2] next"])
    append(logs / "plain.log", ["  as it is  "])
    d, bucket = running(daemon, tmp_path, flows)
    for name, records in [("commas", 3), ("tabs", 1), ("lines", 2), ("plain", 1)]:
        read = "standpipe_data_read_from_source_records_total"
        harness.wait_for(
            lambda: d.metrics()[read, {"stream": name}] == records, f"{name} is read"  # noqa: B023
        )
    assert sorted(delivered(d, bucket)) == sorted(
        [
            '{"f1":"v1","f2":"v2"}',
            '{"f1":"one","f2":null}',
            '{"f1":"a","f2":"b"}',
            '{"a":"1","b":"2","c":"3"}',
            "[SEQUENCE=1] onetwothree",
            "[SEQUENCE=2] next",
            "  as it is  ",
        ]
    )


def test_the_documented_file_is_valid_as_it_is(tmp_path):
    # The file that the agent is installed with.
    agent = tmp_path / "agent.json"
    agent.write_text(
        """{
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
}"""
    )
    path = tmp_path / "imported.yaml"
    assert imported(agent, "--bucket", "my-logs", "--output", path).returncode == 0
    assert validated(path) == (0, f"{path} is valid: 2 streams, 2 destinations\n")


def test_without_a_bucket_there_is_a_place_to_fill_in(tmp_path):
    agent = agent_json(tmp_path, [flow("/tmp/app.log*", "yourdeliverystream")])
    done = imported("-", agent=agent.read_text())
    assert done.returncode == 0
    assert "bucket: '' # TO FILL IN" in done.stdout
    assert "no bucket was given" in done.stderr
    path = tmp_path / "imported.yaml"
    path.write_text(done.stdout)
    code, told = validated(path)
    assert code == 1
    assert "streams.yourdeliverystream.destinations[0].s3.bucket: must not be empty" in told, told


def test_what_cannot_be_carried_over_is_told(tmp_path):
    agent = agent_json(
        tmp_path,
        [
            flow("/tmp/app.log*", "s", {"optionName": "ADDMETADATA"}, maxBufferAgeMillis=5000),
            {"filePattern": "/tmp/other.log", "kinesisStream": "k"},
        ],
        **{"awsAccessKeyId": "AKIAKEY", "awsSecretAccessKey": "the secret"},
    )
    path = tmp_path / "imported.yaml"
    done = imported(agent, "--bucket", "my-logs", "--output", path)
    assert done.returncode == 0 and done.stdout == ""
    config = path.read_text()
    for some in ["ADDMETADATA", "maxBufferAgeMillis", "Kinesis data stream", "awsSecretAccessKey"]:
        assert some in done.stderr and some in config
    assert "the secret" not in config + done.stderr and "AKIAKEY" not in config + done.stderr
    # A configuration that somebody works on is not overwritten.
    again = imported(agent, "--bucket", "my-logs", "--output", path)
    assert again.returncode == 1 and "is there already" in again.stderr
    assert path.read_text() == config


def test_what_is_no_configuration_of_an_agent(tmp_path):
    for text, told in [
        ("{", "is no JSON"),
        ("{}", "holds no flows"),
        ('{"flows": [{"filePattern": "/a"}]}', "names no deliveryStream"),
        ('{"flows": [{"deliveryStream": "s"}]}', "flows[0] has no filePattern"),
    ]:
        done = imported("-", agent=text)
        assert (done.returncode, done.stdout) == (1, "") and told in done.stderr, done.stderr
    done = imported(tmp_path / "nowhere.json")
    assert done.returncode == 1 and "nowhere.json cannot be read" in done.stderr
