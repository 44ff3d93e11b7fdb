"""A destination that is down while records keep coming in: what waits lies on the disk and not in
memory, nobody else waits, and all of it arrives once."""

import base64
import collections
import json
import pathlib
import re
import threading

import pytest
from botocore.exceptions import ClientError

import faulty_s3
import harness
import http_deliveries
import outputs
from http_deliveries import KEY, KIND, once

# The smallest journal there is.
JOURNAL = {"max_size": "128MiB"}
RECORD_BYTES = 8_000
RECORDS_OF_CALL = 125
# Of a debug build, which takes more.
RESIDENT_BYTES_MAX = 300 * 1_048_576


def memory(daemon, field):
    """`VmRSS` is what is resident, `VmHWM` the most that ever was."""
    text = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)[1]) * 1024


class Senders:
    """Several clients at once, each with numbered records of its own. What was refused is not
    among `accepted`."""

    def __init__(self, daemon, count=2):
        self.daemon = daemon
        self.accepted = []
        self.refused = []
        self.lock = threading.Lock()
        self.enough = threading.Event()
        self.threads = [
            threading.Thread(target=self.run, args=(number,), daemon=True)
            for number in range(count)
        ]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        client = self.daemon.firehose()
        call = 0
        while not self.enough.is_set():
            records = [
                b"%d-%06d-%03d " % (number, call, place) + b"x" * (RECORD_BYTES - 14) + b"\n"
                for place in range(RECORDS_OF_CALL)
            ]
            call += 1
            try:
                answer = client.put_record_batch(
                    DeliveryStreamName="s", Records=[{"Data": record} for record in records]
                )
            except ClientError as error:
                with self.lock:
                    self.refused.append(error.response["Error"]["Code"])
                continue
            with self.lock:
                for record, entry in zip(records, answer["RequestResponses"], strict=True):
                    if "RecordId" in entry:
                        self.accepted.append(record)
                    else:
                        self.refused.append(entry["ErrorCode"])

    def until(self, condition, what):
        harness.wait_for(condition, what)
        self.enough.set()
        for thread in self.threads:
            thread.join()
        return self.accepted


def megabytes(senders, count):
    return lambda: len(senders.accepted) * RECORD_BYTES >= count * 1_000_000


def problems(daemon):
    return json.loads(daemon.get("/health/ready")[1])["problems"]


def well(folder):
    buffering = {"size": "5MiB", "interval": "1s"}
    return {"name": "well", **harness.local(folder, buffering=buffering)}


def local_lines(folder):
    contents = outputs.local_contents(folder)
    return collections.Counter(b"".join(contents.values()).splitlines(keepends=True))


def has_all(folder, sent):
    """By itself: nobody flushes what is open."""
    size = sum(map(len, sent))

    def enough():
        return sum(path.stat().st_size for path in harness.files(folder).values()) >= size

    harness.wait_for(enough, f"{size} bytes are delivered", pause=0.1)
    assert local_lines(folder) == once(sent)


DOWN = {"away": None, "hangs": {"times": 0, "end": "hang", "take": False}}


@pytest.mark.parametrize("how", DOWN)
def test_an_outage_costs_disk_and_not_memory(daemon, endpoints, tmp_path, how):
    step = DOWN[how]
    endpoint = endpoints(access_key=KEY)
    endpoint.script(*([step] if step else []))
    if how == "away":
        endpoint.close()
    one = http_deliveries.to(
        endpoint.url, tmp_path / "bucket", name="down", timeout="2s", retry={"duration": "1h"}
    )
    destinations = [one, well(tmp_path / "well")]
    d = daemon({"s": {"journal": {"max_size": "1GiB"}, "destinations": destinations}})
    senders = Senders(d)
    sent = senders.until(megabytes(senders, 80), "80 MB are accepted")
    assert not senders.refused
    # Whoever is well has everything while the other has nothing.
    has_all(tmp_path / "well", sent)
    _, became = d.metrics().ledger("s", "down", KIND)
    assert not became["delivered"] and not became["failed"]
    told = harness.wait_for(lambda: problems(d), "the health page says something")
    assert len(told) == 1 and "down retrying" in told[0] and "safe" in told[0], told
    assert memory(d, "VmHWM") < RESIDENT_BYTES_MAX
    if how == "away":
        endpoint = endpoints(access_key=KEY, port=endpoint.port)
    endpoint.script()
    became = outputs.settled(d, "s", len(sent), "down", KIND)
    assert became["delivered"] == len(sent)
    assert endpoint.times() == once(sent)
    assert memory(d, "VmHWM") < RESIDENT_BYTES_MAX
    assert not problems(d)
    assert not outputs.local_contents(tmp_path / "bucket")


def test_a_journal_that_is_full_refuses_and_loses_nothing(daemon, endpoints, tmp_path):
    endpoint = endpoints(access_key=KEY)
    endpoint.script({"times": 0, "status": 503})
    one = http_deliveries.to(endpoint.url, tmp_path / "bucket", name="down")
    one["http_endpoint"]["retry"] = {"duration": "1h"}
    destinations = [one, well(tmp_path / "well")]
    d = daemon({"s": {"journal": JOURNAL, "destinations": destinations}}, shutdown_timeout="1s")
    senders = Senders(d)
    sent = senders.until(lambda: len(senders.refused) >= 10, "the journal is full")
    assert set(senders.refused) == {"ServiceUnavailableException"}
    assert sent
    # What the journal has is with the other one already.
    has_all(tmp_path / "well", sent)
    assert memory(d, "VmHWM") < RESIDENT_BYTES_MAX
    d.kill()
    d.start()
    assert memory(d, "VmHWM") < RESIDENT_BYTES_MAX
    endpoint.script()
    # There is room again, and nothing comes twice to one or the other.
    harness.wait_for(lambda: puts(d, b"one more\n"), "a record is taken again")
    sent.append(b"one more\n")
    became = outputs.settled(d, "s", len(sent), "down", KIND)
    assert endpoint.times() == once(sent)
    has_all(tmp_path / "well", sent)


def puts(daemon, record):
    try:
        daemon.firehose().put_record(DeliveryStreamName="s", Record={"Data": record})
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ServiceUnavailableException"
        return False
    return True


# ------------------------------------------------------------------- the backup fails as well


@pytest.fixture
def faulty():
    server = faulty_s3.FaultyS3()
    yield server
    server.close()


def error_lines(server):
    with server.lock:
        bodies = [body for key, body in server.objects.items() if "/errors/" in key]
    return b"".join(bodies)


def kept(server):
    """Raw data → how often it stands in an error line."""
    texts = map(json.loads, error_lines(server).splitlines())
    return collections.Counter(base64.b64decode(text["rawData"]) for text in texts)


def with_backup(endpoint, server, tmp_path):
    one = http_deliveries.to(endpoint.url, tmp_path, name="down", retry={"duration": "0s"})
    one["http_endpoint"]["backup"] = {
        "bucket": "bucket",
        "endpoint": server.url,
        "path_style": True,
        "error_output_prefix": outputs.ERRORS,
        "buffering": {"size": "5MiB", "interval": "1s"},
    }
    return one


def test_a_backup_that_fails_too_is_told_and_nothing_is_lost(daemon, endpoint, faulty, tmp_path):
    endpoint.script({"times": 0, "status": 500})
    faulty.mode = "forbidden"
    destinations = [with_backup(endpoint, faulty, tmp_path), well(tmp_path / "well")]
    streams = {"s": {"journal": {"max_size": "1GiB"}, "destinations": destinations}}
    d = daemon(streams, aws=harness.outgoing(), shutdown_timeout="1s")
    senders = Senders(d)
    sent = senders.until(megabytes(senders, 60), "60 MB are accepted")
    harness.wait_for(lambda: faulty.attempts >= 1, "the bucket is tried")
    has_all(tmp_path / "well", sent)

    def told():
        return [one for one in problems(d) if "down (error output) held: 403" in one]

    harness.wait_for(told, "the health page says that the error output fails")
    assert "ERROR" in d.log() and "AccessDenied" in d.log()
    assert memory(d, "VmHWM") < RESIDENT_BYTES_MAX
    assert not kept(faulty)
    d.kill()
    d.start()
    harness.wait_for(told, "it still says so")
    faulty.mode = "ok"

    def all_kept():
        d.flush("s")
        return error_lines(faulty).count(b"\n") >= len(sent)

    harness.wait_for(all_kept, "everything is in the bucket", pause=0.1)
    assert kept(faulty) == once(sent)
    assert not endpoint.records()
    assert memory(d, "VmHWM") < RESIDENT_BYTES_MAX
    harness.wait_for(lambda: not told(), "it is well again")
    # And what comes from now on goes its way.
    endpoint.script()

    def goes_there():
        assert puts(d, b"one more\n")
        d.flush("s")
        return endpoint.records()

    harness.wait_for(goes_there, "the endpoint takes something", pause=0.2)


def test_a_record_ends_in_one_place_when_both_fail_in_turns(daemon, endpoint, faulty, tmp_path):
    endpoint.script({"times": 0, "status": 500})
    faulty.mode = "slow_down"
    one = with_backup(endpoint, faulty, tmp_path)
    d = daemon(http_deliveries.stream(one), aws=harness.outgoing())
    senders = Senders(d)
    sent = senders.until(megabytes(senders, 20), "20 MB are accepted")
    harness.wait_for(lambda: faulty.attempts >= 2, "the bucket is tried")
    # The endpoint comes back first. What has failed is the bucket's; what comes now goes there,
    # once the endpoint is asked again.
    endpoint.script()

    def goes_there():
        sent.append(b"more %d\n" % len(sent))
        assert puts(d, sent[-1])
        d.flush("s")
        return endpoint.records()

    harness.wait_for(goes_there, "the endpoint takes something", pause=0.2)
    assert not kept(faulty)
    faulty.mode = "ok"
    outputs.settled(d, "s", len(sent), "down", KIND)
    assert endpoint.times() + kept(faulty) == once(sent)
