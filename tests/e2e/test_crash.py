"""kill -9 at random moments, two hundred times: every record arrives, and once.

The clients here never give up: they repeat a call under its invocation id, as SDKs do, until it is
acknowledged, across restarts. So not only must nothing acknowledged be lost; nothing at all may be
missing or double.
"""

import base64
import collections
import concurrent.futures
import http.client
import json
import random
import threading
import time
import uuid

import containers
import harness

KILLS = 200
WRITERS = 4
RECORDS = 20


class Writer:
    """Puts batches of numbered records until told to stop."""

    def __init__(self, daemon, name):
        self.daemon = daemon
        self.name = name
        self.sent = []

    def run(self, stop):
        connection, number = None, 0
        while not stop.is_set():
            lines = [f"{self.name}-{number + i:07d}" for i in range(RECORDS)]
            number += RECORDS
            records = [{"Data": base64.b64encode(data).decode()} for data in self.records(lines)]
            body = json.dumps({"DeliveryStreamName": "s", "Records": records})
            headers = {
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": "Firehose_20150804.PutRecordBatch",
                "amz-sdk-invocation-id": str(uuid.uuid4()),
            }
            connection = self.until_acknowledged(connection, body, headers)
            self.sent += lines

    def records(self, lines):
        """What is put for these lines."""
        return [f"{line}\n".encode() for line in lines]

    def until_acknowledged(self, connection, body, headers):
        end = time.monotonic() + 120
        attempt = 0
        while True:
            attempt += 1
            headers["amz-sdk-request"] = f"attempt={attempt}; max=1000"
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(
                        "127.0.0.1", self.daemon.port, timeout=30
                    )
                connection.request("POST", "/", body, headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 200:
                    assert b'"FailedPutCount":0' in text, text
                    return connection
                assert answer.status >= 500, f"{answer.status} {text}"
            except (OSError, http.client.HTTPException):
                if connection:
                    connection.close()
                connection = None
            assert time.monotonic() < end, "not acknowledged in two minutes"
            time.sleep(0.005)


def interrupted(d, stops, kind=Writer):
    """Writes while the daemon is ended again and again by `stops`; the records that were sent."""
    stop = threading.Event()
    writers = [kind(d, f"w{n}") for n in range(WRITERS)]
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        futures = [pool.submit(writer.run, stop) for writer in writers]
        try:
            for end in stops:
                end()
                broken = next((future for future in futures if future.done()), None)
                if broken:
                    broken.result()
                d.start(wait=False)
            d.wait_ready()
        finally:
            stop.set()
        for future in futures:
            future.result()
    return collections.Counter(line for writer in writers for line in writer.sent)


def kills(d, count):
    """Kills at random moments: some while it starts, most in the middle of its work."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)

    def kill():
        if rng.random() < 0.15:
            span = 0.05
        else:
            d.wait_ready()
            span = 0.6
        moment = time.monotonic() + rng.uniform(0, span)
        harness.wait_for(lambda: time.monotonic() >= moment, "the moment", pause=0.001)
        assert d.process.poll() is None, f"it ended by itself\n{d.log()[-4000:]}"
        d.kill()

    return [kill] * count


def check(sent, contents):
    arrived = collections.Counter(b"".join(contents).decode().splitlines())
    assert arrived - sent == collections.Counter(), "duplicates"
    assert sent - arrived == collections.Counter(), "lost"


def contents_of(folder):
    return [containers.gzip_one_member(p.read_bytes()) for p in harness.files(folder).values()]


def bytes_of(sent):
    return sum(len(line) + 1 for line in sent)


SMALL = {"compression": "gzip", "buffering": {"size": "16KiB", "interval": "1s"}}


def test_two_hundred_kills(daemon, tmp_path):
    folder = tmp_path / "bucket"
    stream = {"destinations": [harness.local(folder, **SMALL)]}
    d = daemon({"s": stream}, api={"anonymous": True})
    sent = interrupted(d, kills(d, KILLS))
    assert len(sent) > KILLS * RECORDS, "hardly anything was sent between the kills"
    harness.delivered(d, "s", folder, bytes_of(sent), containers.gzip_one_member)
    assert d.terminate() == 0
    check(sent, contents_of(folder))


def test_kills_with_a_bucket_and_a_folder_and_an_encrypted_journal(daemon, s3_server, tmp_path):
    s3_server.client().create_bucket(Bucket="bucket")
    folder, backup = tmp_path / "bucket", tmp_path / "backup"
    # One delivers all the time, one seldom, one in between.
    slow = {"compression": "gzip", "buffering": {"size": "1MiB", "interval": "5s"}}
    source = {"bucket": backup.as_uri(), **slow}
    destinations = [
        harness.bucket("bucket", s3_server, **SMALL),
        {
            "name": "folder",
            **harness.local(folder, **slow, s3_backup_mode="enabled", s3_backup=source),
        },
    ]
    d = daemon(
        {"s": {"encrypted": True, "destinations": destinations}},
        api={"anonymous": True},
        aws=harness.outgoing(),
    )
    sent = interrupted(d, kills(d, 40))
    read = containers.gzip_one_member
    harness.delivered_to_s3(d, "s", s3_server, "bucket", bytes_of(sent), read)
    for place in (folder, backup):
        harness.delivered(d, "s", place, bytes_of(sent), read)
    assert d.terminate() == 0
    check(sent, [read(answer["Body"]) for answer in s3_server.objects("bucket").values()])
    check(sent, contents_of(folder))
    check(sent, contents_of(backup))


def test_restarts_under_load(daemon, tmp_path):
    folder = tmp_path / "bucket"
    stream = {"destinations": [harness.local(folder, **SMALL)]}
    d = daemon({"s": stream}, api={"anonymous": True})

    def terminate():
        d.wait_ready()
        incoming = lambda: d.metrics()["standpipe_incoming_records_total", {"stream": "s"}]  # noqa: E731
        harness.wait_for(lambda: incoming() > 1000, "it is under load")
        assert d.terminate() == 0

    sent = interrupted(d, [terminate] * 5)
    assert d.terminate() == 0
    # It was told to deliver what is open, and nobody writes any more.
    check(sent, contents_of(folder))
