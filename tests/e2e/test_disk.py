"""A disk that is full, and a journal at its limit: the client is told, nothing is lost."""

import os
import subprocess

import pytest
from botocore.exceptions import ClientError

import harness

# Mounting needs root; so does the machine that runs all tests.
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tmpfs needs root")
CHUNK = 1_000_000


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=288m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(client, limit):
    """Puts numbered records until one is refused; how many were taken."""
    for number in range(limit):
        try:
            client.put_record(DeliveryStreamName="s", Record={"Data": record(number)})
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ServiceUnavailableException"
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] in {500, 503}
            return number
    raise AssertionError(f"{limit} MB were taken, and the disk is not full yet")


def record(number):
    return b"%08d" % number + os.urandom(8).hex().encode() * 6 + b"." * (CHUNK - 104)


def ids_in(objects):
    ids = []
    for answer in objects.values():
        body = answer["Body"]
        assert len(body) % CHUNK == 0
        ids += [int(body[at : at + 8]) for at in range(0, len(body), CHUNK)]
    return sorted(ids)


def run_until_full_then_deliver(d, s3_server, limit):
    client = d.firehose()
    taken = fill(client, limit)
    assert taken > 10
    # Full is a state, not an end: still alive, still answering, still refusing.
    with pytest.raises(ClientError):
        client.put_record(DeliveryStreamName="s", Record={"Data": record(taken)})
    assert d.get("/health/live")[0] == 200
    # It starts with a full disk, too.
    d.kill()
    d.start()
    s3_server.start()
    s3_server.client().create_bucket(Bucket="bucket")
    found = harness.delivered_to_s3(d, "s", s3_server, "bucket", taken * CHUNK)

    def accepted():
        try:
            client.put_record(DeliveryStreamName="s", Record={"Data": record(taken)})
            return True
        except ClientError:
            return False

    harness.wait_for(accepted, "puts are taken again once there is room")
    found = harness.delivered_to_s3(d, "s", s3_server, "bucket", (taken + 1) * CHUNK)
    assert ids_in(found) == list(range(taken + 1))
    assert d.terminate() == 0


@needs_root
def test_a_full_disk(small_disk, tmp_path):
    s3_server = harness.S3Server(tmp_path / "versitygw")
    streams = {
        "s": {
            "journal": {"max_size": "4GiB"},
            "destinations": [harness.bucket("bucket", s3_server)],
        }
    }
    d = harness.Daemon(small_disk / "standpipe", streams, aws=harness.outgoing()).start()
    try:
        run_until_full_then_deliver(d, s3_server, 320)
    except BaseException:
        print(d.log()[-6000:])
        raise
    finally:
        d.close()
        s3_server.stop()


def test_a_journal_at_its_limit(daemon, tmp_path):
    s3_server = harness.S3Server(tmp_path / "versitygw")
    streams = {
        "s": {
            "journal": {"max_size": "128MiB"},
            "destinations": [harness.bucket("bucket", s3_server)],
        }
    }
    d = daemon(streams, aws=harness.outgoing())
    try:
        run_until_full_then_deliver(d, s3_server, 200)
    finally:
        s3_server.stop()
