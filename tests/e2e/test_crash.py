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
            records = [{"Data": base64.b64encode(f"{l}\n".encode()).decode()} for l in lines]
            body = json.dumps({"DeliveryStreamName": "s", "Records": records})
            headers = {
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": "Firehose_20150804.PutRecordBatch",
                "amz-sdk-invocation-id": str(uuid.uuid4()),
            }
            connection = self.until_acknowledged(connection, body, headers)
            self.sent += lines

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


def test_two_hundred_kills(daemon, tmp_path):
    folder = tmp_path / "bucket"
    destination = harness.local(
        folder, compression="gzip", buffering={"size": "16KiB", "interval": "1s"}
    )
    d = daemon({"s": {"destinations": [destination]}}, api={"anonymous": True})
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    stop = threading.Event()
    writers = [Writer(d, f"w{n}") for n in range(WRITERS)]
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        futures = [pool.submit(writer.run, stop) for writer in writers]
        try:
            for _ in range(KILLS):
                # Some die while they start, most in the middle of their work.
                starting = rng.random() < 0.15
                moment = time.monotonic() + rng.uniform(0, 0.05 if starting else 0.6)
                if not starting:
                    d.wait_ready()
                    moment = time.monotonic() + rng.uniform(0, 0.6)
                broken = next((f for f in futures if f.done()), None)
                if broken:
                    broken.result()
                harness.wait_for(lambda: time.monotonic() >= moment, "the moment", pause=0.001)
                assert d.process.poll() is None, f"it ended by itself\n{d.log()[-4000:]}"
                d.kill()
                d.start(wait=False)
            d.wait_ready()
        finally:
            stop.set()
        for future in futures:
            future.result()

    sent = collections.Counter(line for writer in writers for line in writer.sent)
    assert len(sent) > KILLS * RECORDS, "hardly anything was sent between the kills"
    size = sum(len(line) + 1 for line in sent)
    read = containers.gzip_one_member
    found = harness.delivered(d, "s", folder, size, read)
    assert d.terminate() == 0
    found = {key: read(path.read_bytes()) for key, path in harness.files(folder).items()}
    arrived = collections.Counter(b"".join(found.values()).decode().splitlines())
    assert arrived - sent == collections.Counter(), "duplicates"
    assert sent - arrived == collections.Counter(), "lost"
