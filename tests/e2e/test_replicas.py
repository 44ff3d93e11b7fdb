"""A Kafka topic as the journal of several replicas: what any of them has acknowledged is delivered,
and once, whichever of them dies, stands still or comes back.

A call that was not acknowledged may have been stored all the same, and another replica would not
know it again: the clients here put every line in one attempt only, so that a line is there once
if it was acknowledged, and once at the most if not.
"""

import collections
import signal
import subprocess
import threading
import time

import botocore.config
import pytest
from botocore.exceptions import BotoCoreError, ClientError

import harness

PARTITIONS = 4
SESSION_S = 6
# Within what delivery must go on after a replica has died; what it takes is printed.
GOES_ON_S = 90


class Putting:
    """One client for each replica, which put numbered lines until they are left."""

    PER_CALL = 20

    def __init__(self, replicas, stream):
        self.replicas = replicas
        self.stream = stream
        self.acknowledged = collections.Counter()
        self.uncertain = set()
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.broken = []
        self.threads = [
            threading.Thread(target=self.run, args=(index,)) for index in range(len(replicas))
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.broken, self.broken

    def run(self, index):
        # One attempt; a replica that stands still is not waited for long.
        config = botocore.config.Config(
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=20,
        )
        client = self.replicas[index].firehose(config=config)
        number = 0
        try:
            while not self.stop.is_set():
                self.put(client, [f"c{index}-{number + i:07d}" for i in range(self.PER_CALL)])
                number += self.PER_CALL
                self.stop.wait(0.01)
        except Exception as error:
            self.broken.append(error)

    def put(self, client, lines):
        records = [{"Data": f"{line}\n".encode()} for line in lines]
        try:
            answer = client.put_record_batch(DeliveryStreamName=self.stream, Records=records)
            refused = [one.get("ErrorCode") for one in answer["RequestResponses"]]
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500, error
            refused = [True] * len(lines)
        except BotoCoreError:
            refused = [True] * len(lines)
        with self.lock:
            for line, is_refused in zip(lines, refused, strict=True):
                if is_refused:
                    self.uncertain.add(line)
                else:
                    self.acknowledged[line] += 1

    def count(self, index):
        """What was acknowledged by one of them."""
        with self.lock:
            return sum(line.startswith(f"c{index}-") for line in self.acknowledged)

    def wait_more(self, count, *of):
        """Until so many more are acknowledged by each of these, or of all."""
        for index in of or range(len(self.replicas)):
            goal = self.count(index) + count
            harness.wait_for(
                lambda: self.broken or self.count(index) >= goal,
                f"{count} more are acknowledged by {index}",
                120,
                0.1,
            )


def replicas_of(daemon, topics, destination, count, **options):
    """Daemons with a new topic as the journal, and the name of their stream."""
    name = f"journal-{time.monotonic_ns()}"
    journal = {
        "brokers": [topics.kafka.brokers],
        "topic": name,
        "partitions": PARTITIONS,
        "session_timeout": f"{SESSION_S}s",
    }
    spec = {"journal": {"kafka": journal}, "destinations": [destination]}
    return name, [daemon({name: spec}, **options) for _ in range(count)]


def small(folder, **options):
    return harness.local(folder, **{"buffering": {"size": "1MiB", "interval": "1s"}, **options})


def lines(folder):
    found = collections.Counter()
    for path in harness.files(folder).values():
        found.update(path.read_text().splitlines())
    return found


def check_once(putting, found):
    lost = [line for line in putting.acknowledged if not found[line]]
    assert not lost, f"{len(lost)} acknowledged records are lost: {lost[:5]}"
    double = [line for line, count in found.items() if count > 1]
    assert not double, f"{len(double)} records are there twice: {double[:5]}"
    assert not set(found) - set(putting.acknowledged) - putting.uncertain
    print(f"{len(putting.acknowledged)} acknowledged, {len(putting.uncertain)} uncertain")


def arrived(putting, found):
    """Waits until all that was acknowledged is there."""
    harness.wait_for(
        lambda: not putting.acknowledged.keys() - found().keys(),
        "all that was acknowledged is delivered",
        120,
        0.2,
    )


def end(replicas):
    for replica in replicas:
        assert replica.terminate() == 0


def take_over(name, by, found, since):
    """Puts to every partition by one replica, and waits until all of it is delivered."""
    client = by.firehose()
    marks = {f"mark-{time.monotonic_ns()}" for _ in range(3 * PARTITIONS)}
    for mark in marks:
        # One call is one partition, in turn.
        client.put_record(DeliveryStreamName=name, Record={"Data": f"{mark}\n".encode()})
    harness.wait_for(lambda: marks <= found().keys(), "delivery goes on", GOES_ON_S, 0.1)
    print(f"delivery went on {time.monotonic() - since:.1f} s after it had stopped")
    return marks


@pytest.mark.parametrize("count", [2, 3])
def test_one_is_killed_and_comes_back(daemon, topics, tmp_path, count):
    folder = tmp_path / "bucket"
    name, replicas = replicas_of(daemon, topics, small(folder), count)
    with Putting(replicas, name) as putting:
        putting.wait_more(500)
        replicas[0].kill()
        since = time.monotonic()
        marks = take_over(name, replicas[1], lambda: lines(folder), since)
        putting.uncertain |= marks
        putting.wait_more(200, *range(1, count))
        replicas[0].start()
        putting.wait_more(500)
        replicas[1].kill()
        replicas[1].start()
        putting.wait_more(500)
    arrived(putting, lambda: lines(folder))
    end(replicas)
    check_once(putting, lines(folder))


@pytest.mark.parametrize("count", [2, 3])
def test_one_stands_still_past_its_session_and_wakes(daemon, topics, tmp_path, count):
    folder = tmp_path / "bucket"
    name, replicas = replicas_of(daemon, topics, small(folder), count)
    with Putting(replicas, name) as putting:
        putting.wait_more(500)
        replicas[0].process.send_signal(signal.SIGSTOP)
        try:
            # Others have its partitions, and deliver what it had open.
            since = time.monotonic()
            putting.uncertain |= take_over(name, replicas[1], lambda: lines(folder), since)
            putting.wait_more(200, *range(1, count))
        finally:
            replicas[0].process.send_signal(signal.SIGCONT)
        # It is a member again, and takes puts.
        putting.wait_more(500)
    arrived(putting, lambda: lines(folder))
    end(replicas)
    check_once(putting, lines(folder))


@pytest.mark.parametrize("count", [2, 3])
def test_a_rolling_restart_under_load(daemon, topics, tmp_path, count):
    folder = tmp_path / "bucket"
    name, replicas = replicas_of(daemon, topics, small(folder), count)
    with Putting(replicas, name) as putting:
        for replica in replicas:
            putting.wait_more(300)
            assert replica.terminate() == 0
            replica.start()
        putting.wait_more(300)
    arrived(putting, lambda: lines(folder))
    end(replicas)
    check_once(putting, lines(folder))


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_the_broker_is_restarted(daemon, topics, s3_server, how):
    s3_server.client().create_bucket(Bucket="bucket")
    buffering = {"size": "1MiB", "interval": "1s"}
    bucket = harness.bucket("bucket", s3_server, buffering=buffering)
    name, replicas = replicas_of(daemon, topics, bucket, 2, aws=harness.outgoing())

    def found():
        contents = [answer["Body"] for answer in s3_server.objects("bucket").values()]
        return collections.Counter(b"".join(contents).decode().splitlines())

    with Putting(replicas, name) as putting:
        putting.wait_more(500)
        getattr(topics.kafka, how)()
        topics.kafka.start()
        putting.wait_more(500)
    arrived(putting, found)
    end(replicas)
    check_once(putting, found())


def test_with_a_transform_nothing_is_lost(daemon, topics, tmp_path):
    folder = tmp_path / "bucket"
    destination = small(folder)
    destination["transforms"] = [{"map": "."}, {"append_delimiter": "\n"}]
    name, replicas = replicas_of(daemon, topics, destination, 2)

    class Numbers(Putting):
        def put(self, client, lines):
            super().put(client, [f'"{line}"' for line in lines])

        def count(self, index):
            with self.lock:
                return sum(line.startswith(f'"c{index}-') for line in self.acknowledged)

    with Numbers(replicas, name) as putting:
        putting.wait_more(500)
        for replica in replicas:
            replica.kill()
            replica.start()
            putting.wait_more(500)
    arrived(putting, lambda: lines(folder))
    end(replicas)
    found = lines(folder)
    assert not putting.acknowledged.keys() - found.keys()
    # The query need not answer the same a second time, and what a shipment held is kept by the
    # replica that has died: another one makes its own of it.
    doubles = sum(count - 1 for count in found.values())
    print(f"{len(putting.acknowledged)} acknowledged, {doubles} twice")
    assert doubles < len(found)


def test_every_replica_acknowledges_while_no_other_is_there(daemon, topics, tmp_path):
    folder = tmp_path / "bucket"
    name, replicas = replicas_of(daemon, topics, small(folder), 2)
    with Putting(replicas, name) as putting:
        putting.wait_more(200)
    replicas[0].kill()
    replicas[1].kill()
    # Whoever comes first has everything.
    replicas[1].start()
    arrived(putting, lambda: lines(folder))
    end(replicas[1:])
    check_once(putting, lines(folder))


@pytest.mark.parametrize(
    "source",
    [
        {"kafka": {"brokers": ["127.0.0.1:9"], "topics": ["t"]}},
        {"kinesis": {"stream_arn": "arn:aws:kinesis:us-east-1:000000000000:stream/s"}},
        {"file": {"include": ["/var/log/*.log"]}},
    ],
    ids=lambda source: next(iter(source)),
)
def test_a_source_that_pulls_is_refused(daemon, tmp_path, source):
    stream = {
        "source": source,
        "journal": {"kafka": {"brokers": ["127.0.0.1:9"], "topic": "t"}},
        "destinations": [harness.local(tmp_path / "bucket")],
    }
    d = daemon({"s": stream}, start=False)
    d.write_config()
    command = [harness.BINARY, "validate", str(d.config_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done
    told = done.stdout + done.stderr
    assert "streams.s.journal.kafka" in told, told
    assert "a source that pulls its records keeps its positions in a local journal" in told, told
