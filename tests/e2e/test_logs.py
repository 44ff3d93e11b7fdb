"""Logs: what a machine can read, and nothing secret in them."""

import json

import pytest

import faulty_s3
import harness


@pytest.fixture
def faulty():
    server = faulty_s3.FaultyS3()
    yield server
    server.close()


def once(pairs):
    """An object of JSON whose keys are all different."""
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys), f"a key is there twice: {keys}"
    return dict(pairs)


def test_json_lines(daemon, faulty):
    quick = {"buffering": {"size": "5MiB", "interval": "1s"}}
    d = daemon(
        {"s": {"destinations": [harness.bucket("bucket", faulty, **quick)]}},
        aws=harness.outgoing(),
        flags=["--log-format", "json", "--log-level", "debug"],
    )
    record = b"nobody-may-read-this"
    for mode in ["slow_down", "forbidden"]:
        faulty.mode, attempts = mode, faulty.attempts
        d.firehose().put_record(DeliveryStreamName="s", Record={"Data": record})
        harness.wait_for(lambda: faulty.attempts >= attempts + 2, f"attempts while {mode}")
    faulty.mode = "ok"
    harness.wait_for(lambda: faulty.objects, "it goes on")
    assert d.terminate() == 0
    lines = [json.loads(line, object_pairs_hook=once) for line in d.log().splitlines()]
    assert lines
    for line in lines:
        assert {"timestamp", "level", "target"} <= set(line), line
    warned = [line for line in lines if line["level"] in {"WARN", "ERROR"}]
    assert any("S3.SlowDown" in json.dumps(line) for line in warned)
    assert any("S3.AccessDenied" in json.dumps(line) for line in warned)


def test_nothing_secret_is_logged(daemon, faulty):
    quick = {"buffering": {"size": "5MiB", "interval": "0s"}}
    aws = harness.outgoing()
    aws["credentials"]["secret_access_key"] = "the/secret/of/the/destination"
    d = daemon(
        {"s": {"destinations": [harness.bucket("bucket", faulty, **quick)]}},
        aws=aws,
        flags=["--log-level", "trace"],
    )
    d.firehose().put_record(DeliveryStreamName="s", Record={"Data": b"nobody-may-read-this"})
    harness.wait_for(lambda: faulty.objects, "it is delivered")
    assert d.terminate() == 0
    log = d.log()
    assert "standpipe" in log
    for secret in [harness.SECRET_KEY, "the/secret/of/the/destination", "nobody-may-read-this"]:
        assert secret not in log, secret
