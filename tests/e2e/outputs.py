"""What a stream with transforms left behind: its objects, and the lines of its error output."""

import base64
import json
import time

import harness

ERRORS = "errors/!{firehose:error-output-type}/"
# The members of a line of the error output, in Firehose's order (captured for Lambda).
MEMBERS = [
    "rawData",
    "errorCode",
    "errorMessage",
    "attemptsMade",
    "arrivalTimestamp",
    "attemptEndingTimestamp",
]


def settled(daemon, stream, count, destination="s3", kind="delivery_to_s3"):
    """Flushes until all of `count` records have come to their ends; how many to which."""

    def done():
        daemon.flush(stream)
        came, became = daemon.metrics().ledger(stream, destination, kind)
        return became if came == count and not became["backlog"] else None

    became = harness.wait_for(done, f"{count} records are settled", pause=0.05)
    assert sum(became.values()) == count, became
    return became


def put(daemon, *records, stream="s"):
    """Any number of records, in as few calls as the limits allow."""
    client = daemon.firehose()
    for first in range(0, len(records), 500):
        batch = [{"Data": record} for record in records[first : first + 500]]
        answer = client.put_record_batch(DeliveryStreamName=stream, Records=batch)
        assert answer["FailedPutCount"] == 0, answer


def local_contents(folder):
    return {key: path.read_bytes() for key, path in harness.files(folder).items()}


def objects(contents):
    """Key → bytes of what is no error output."""
    return {key: data for key, data in contents.items() if not key.startswith("errors/")}


def content(contents):
    """All objects, in the order of their keys."""
    found = objects(contents)
    return b"".join(found[key] for key in sorted(found))


def written(folder):
    """All objects of a local bucket, in the order in which they were written: of two of the same
    second the keys do not tell it."""
    paths = objects(harness.files(folder)).values()
    return b"".join(path.read_bytes() for path in sorted(paths, key=lambda at: at.stat().st_mtime_ns))


def failures(contents, extra=()):
    """(output type, raw data, line) of every failed record, each line's form checked."""
    found = []
    now = time.time() * 1000
    for key, data in contents.items():
        if not key.startswith("errors/"):
            continue
        assert data.endswith(b"\n"), key
        assert not key.endswith((".gz", ".parquet", ".zip", ".zst", ".snappy")), key
        for text in data.splitlines():
            line = json.loads(text)
            assert list(line) == [*MEMBERS, *extra], list(line)
            assert line["errorCode"] and line["errorMessage"], line
            assert isinstance(line["attemptsMade"], int), line
            arrived, ended = line["arrivalTimestamp"], line["attemptEndingTimestamp"]
            assert now - 3_600_000 < arrived <= ended <= now + 1_000, line
            raw = base64.b64decode(line["rawData"], validate=True)
            found.append((key.split("/")[1], raw, line))
    return found
