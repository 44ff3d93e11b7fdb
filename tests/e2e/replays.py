"""Error objects to be replayed, and the command that does it."""

import base64
import gzip
import json
import re
import signal
import subprocess

import harness

# When the records arrived, unless a test says otherwise: 2026-07-13T14:05:12.345Z.
ARRIVED = 1_783_951_512_345

# Type → its code, and the members behind those that all have.
KINDS = {
    "http-endpoint-failed": (
        "HttpEndpoint.DestinationException",
        {"subsequenceNumber": 0, "dataId": "0" * 56 + ".0"},
    ),
    "splunk-failed": ("Splunk.AckTimeout", {"EventId": "0" * 56 + ".0"}),
    "AmazonOpenSearchService-failed": (
        "400",
        {"esDocumentId": "0" * 56 + ".0", "esIndexName": "old", "esTypeName": ""},
    ),
    "processing-failed": (
        "Lambda.FunctionError",
        {"lambdaARN": "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST"},
    ),
}


def line(raw, kind="http-endpoint-failed", *, code=None, attempts=1, arrived=ARRIVED):
    """A line of an error object."""
    usual, members = KINDS[kind]
    document = {
        "attemptsMade": attempts,
        "arrivalTimestamp": arrived,
        "errorCode": code or usual,
        "errorMessage": "as it is made up",
        "attemptEndingTimestamp": arrived + 1000,
        "rawData": base64.b64encode(raw).decode(),
        **members,
    }
    return json.dumps(document).encode() + b"\n"


def write(folder, key, records, kind="http-endpoint-failed", **options):
    """An error object of these records, packed where its name says so."""
    content = b"".join(line(record, kind, **options) for record in records)
    path = folder / kind / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 1) if key.endswith(".gz") else content)
    return path


def numbered(count):
    return [b'{"n":%06d}' % number for number in range(1, count + 1)]


class Replays:
    """The command, with a memory in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.state = folder / "state"
        self.environment = harness.aws_environment(
            "http://127.0.0.1:9", XDG_STATE_HOME=str(self.state)
        )
        self.environment.pop("STANDPIPE_TOKEN", None)

    def start(self, source, *arguments, **environment):
        """The process, which is under way."""
        url = source if str(source).startswith("s3:") else f"file:{source}"
        return subprocess.Popen(
            [harness.BINARY, "replay", url, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**self.environment, **environment},
        )

    def __call__(self, source, *arguments, expect=0, timeout=60, **environment):
        """What a replay prints. `expect` is its exit code."""
        process = self.start(source, *arguments, **environment)
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            process.kill()
        assert process.returncode == expect, f"{process.returncode}\n{out}\n{err}"
        return out + err

    def finished(self):
        """Keys of the objects that the memory calls done."""
        found = set()
        for path in self.state.rglob("*.jsonl"):
            for text in path.read_text().splitlines():
                told = json.loads(text)
                if "finished" in told:
                    found.add(told["key"])
        return found


def interrupted(process, number):
    """Ends a replay that is under way; its exit code and what it printed."""
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    expected = 130 if number == signal.SIGINT else -number
    assert process.returncode == expected, f"{process.returncode}\n{out}\n{err}"
    return out + err


def table(text):
    """(type, code) → records of what `--dry-run` printed, and the samples below it."""
    head, *rest = text.split("\n\n")
    lines = head.splitlines()
    assert lines[0].split() == ["TYPE", "CODE", "RECORDS", "BYTES"], text
    rows = {}
    for row in lines[1:]:
        kind, code, records, size = row.split()
        assert re.fullmatch(r"\d+(\.\d+)?[KM]?i?B", size), row
        rows[kind, code] = int(records)
    samples = {}
    told = rest[0].split("\n")
    for first in range(0, len(told), 3):
        kind, *code = told[first].split(":")[0].split()
        samples[kind, *code or "-"] = (told[first + 1].strip(), told[first + 2][2:])
    return rows, samples
