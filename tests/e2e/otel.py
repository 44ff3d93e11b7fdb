"""An OpenTelemetry Collector that takes deliveries and writes down what arrived: a receiver of the
Firehose delivery protocol and one of Splunk's HTTP Event Collector, both written by others.

The first reads its records as CloudWatch Logs payloads (`payload` makes one), and the second
acknowledges what its exporter has taken.
"""

import gzip
import json
import pathlib
import subprocess

import harness

ACCESS_KEY = "an access key/with = signs"
TOKEN = "00000000-0000-0000-0000-0000000000aa"


def payload(messages, group="group", stream="stream"):
    """A record as CloudWatch Logs sends it."""
    events = [
        {"id": str(number), "timestamp": 1_700_000_000_000 + number, "message": message}
        for number, message in enumerate(messages)
    ]
    document = {
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": group,
        "logStream": stream,
        "subscriptionFilters": ["all"],
        "logEvents": events,
    }
    return gzip.compress(json.dumps(document).encode(), mtime=0)


class Collector:
    """One process; `firehose_url` and `hec_url` are where it is delivered to."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.firehose_port = harness.free_port()
        self.hec_port = harness.free_port()
        self.firehose_url = f"http://127.0.0.1:{self.firehose_port}/deliver"
        self.hec_url = f"http://127.0.0.1:{self.hec_port}"
        self.process = None

    def config(self):
        """Both pipelines, each into a file of its own."""
        file = lambda name: {  # noqa: E731
            "path": str(self.folder / f"{name}.json"),
            "flush_interval": "20ms",
        }
        return {
            "extensions": {"ack": {}},
            "receivers": {
                "awsfirehose": {
                    "endpoint": f"127.0.0.1:{self.firehose_port}",
                    "encoding": "cwlogs",
                    "access_key": ACCESS_KEY,
                },
                "splunk_hec": {
                    "endpoint": f"127.0.0.1:{self.hec_port}",
                    "access_token_passthrough": True,
                    "ack": {"extension": "ack"},
                },
            },
            "exporters": {"file/firehose": file("firehose"), "file/hec": file("hec")},
            "service": {
                "extensions": ["ack"],
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {
                    "logs/firehose": {
                        "receivers": ["awsfirehose"],
                        "exporters": ["file/firehose"],
                    },
                    "logs/hec": {"receivers": ["splunk_hec"], "exporters": ["file/hec"]},
                },
            },
        }

    def start(self):
        binary = harness.CACHE / "bin/collector"
        assert binary.exists(), f"{binary} is missing: run tests/servers/install.sh"
        config = self.folder / "collector.yaml"
        # JSON is YAML.
        config.write_text(json.dumps(self.config()))
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [binary, "--config", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

        def listens():
            text = self.log_path.read_text()
            assert self.process.poll() is None, f"the collector ended\n{text[-4000:]}"
            return harness.listening(self.firehose_port) and harness.listening(self.hec_port)

        harness.wait_for(listens, "the collector listens")
        return self

    @property
    def log_path(self):
        return self.folder / "collector.log"

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def logs(self, name):
        """What arrived at `firehose` or `hec`, in order: (body, attributes of its resource)."""
        path = self.folder / f"{name}.json"
        found = []
        # The last line may be half written.
        for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else []:
            for resource in json.loads(line)["resourceLogs"]:
                attributes = resource.get("resource", {}).get("attributes", [])
                of_resource = {one["key"]: value(one["value"]) for one in attributes}
                for scope in resource["scopeLogs"]:
                    found += [
                        (value(record["body"]), of_resource) for record in scope["logRecords"]
                    ]
        return found

    def bodies(self, name):
        return [body for body, _ in self.logs(name)]


def value(tagged):
    """A value of OTLP's JSON."""
    ((kind, content),) = tagged.items() if tagged else (("", None),)
    if kind == "kvlistValue":
        return {one["key"]: value(one["value"]) for one in content.get("values", [])}
    if kind == "arrayValue":
        return [value(one) for one in content.get("values", [])]
    return int(content) if kind == "intValue" else content
