"""Every source against every kind of journal: the same behaviour of each pair.

What one source or one journal does beyond it, and the longer torture, is in the tests of its own.
"""

import collections
import concurrent.futures
import threading
import uuid

import pytest

import harness
import outputs
from source_adapters import PULLED, SOURCES, by_key, line, lines
from test_http_source import problems

JOURNALS = ["fsync", "os", "memory", "kafka"]
PER_CALL = 20
SOON = {"buffering": {"size": "5MiB", "interval": "1s"}}
PAIRS = [
    pytest.param(source, journal, id=f"{source.name}-{journal}")
    for source in SOURCES
    for journal in JOURNALS
    if journal != "kafka" or not source.pulls
]
every_pair = pytest.mark.parametrize(("kind", "journal"), PAIRS)


def journal_section(request, journal):
    if journal != "kafka":
        return {"durability": journal}
    kafka = request.getfixturevalue("topics").kafka
    # One partition, so that there is one order.
    topic = {"topic": f"journal-{uuid.uuid4().hex[:12]}", "partitions": 1}
    return {"kafka": {"brokers": [kafka.brokers], "session_timeout": "6s", **topic}}


class Pair:
    """A source, a journal, and the daemon that has the two in its stream `s`."""

    def __init__(self, request, daemon, folder, kind, journal):
        self.source = kind(request, folder)
        self.is_durable = journal != "memory"
        self.journal = journal_section(request, journal)
        self.make = daemon
        self.daemon = None

    def configure(self, destination, **options):
        if self.source.transforms:
            destination["transforms"] = list(self.source.transforms)
        stream = {"source": self.source.source(), "journal": self.journal}
        streams = {"s": {**stream, "destinations": [destination]}}
        self.daemon = self.make(streams, start=False, aws=harness.outgoing(), **options)
        return self.daemon

    def run(self, destination, **options):
        self.configure(destination, **options)
        return self.start()

    def start(self):
        self.daemon.start()
        harness.wait_for(self.source.listens, "clients are served")
        return self.daemon

    def write(self, some):
        self.source.write(self.daemon, some)

    def pulled(self, what="records"):
        """Of a source that pulls, since the daemon's start."""
        return self.daemon.metrics()[f"{PULLED}_{what}_total", {"stream": "s"}]

    def wait_pulled(self, count):
        harness.wait_for(lambda: self.pulled() >= count, f"{count} records are read")

    def wait_told(self, count):
        told = lambda: self.source.told(self.daemon) == count  # noqa: E731
        harness.wait_for(told, f"upstream is told of {count} records", pause=0.1)


@pytest.fixture
def pair(request, daemon, tmp_path, kind, journal):
    return Pair(request, daemon, tmp_path, kind, journal)


@pytest.fixture
def bucket(tmp_path):
    return tmp_path / "bucket"


@pytest.fixture
def s3(s3_server):
    """A server that is away until it is started; its bucket, which is a folder here, is there."""
    s3_server.client().create_bucket(Bucket="bucket")
    s3_server.stop()
    s3_server.bucket = s3_server.root / "bucket"
    return s3_server


class Writing:
    """Writes a few records again and again as long as the block; `written` are those that are
    upstream, or acknowledged."""

    def __init__(self, pair):
        self.pair = pair
        self.written = []
        self.end = threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(1)

    def __enter__(self):
        self.running = self.pool.submit(self.run)
        return self

    def __exit__(self, *_):
        self.end.set()
        self.pool.shutdown()
        self.running.result()

    def run(self):
        while not self.end.is_set():
            some = lines(len(self.written), PER_CALL)
            self.pair.write(some)
            self.written += some
            self.end.wait(0.02)

    def more(self, count=5 * PER_CALL):
        until = len(self.written) + count
        harness.wait_for(
            lambda: self.running.done() or len(self.written) >= until, f"{count} more are written"
        )


def arrived(sent, folder):
    """Waits until nothing is missing; all lines, in the order of writing."""
    size, sent = sum(map(len, sent)), set(sent)

    def found():
        if sum(path.stat().st_size for path in harness.files(folder).values()) < size:
            return None
        some = outputs.written(folder).splitlines(keepends=True)
        return some if not sent - set(some) else None

    return harness.wait_for(found, f"{len(sent)} records are delivered", pause=0.1)


def delivered(pair, sent, folder):
    """What is there when everything has arrived and the daemon has ended."""
    arrived(sent, folder)
    assert pair.daemon.terminate() == 0
    return outputs.written(folder).splitlines(keepends=True)


def assert_once(sent, found):
    sent, found = collections.Counter(sent), collections.Counter(found)
    assert found - sent == collections.Counter(), "too much"
    assert sent - found == collections.Counter(), "lost"


# ------------------------------------------------------------------------------- one daemon


@every_pair
def test_what_is_written_arrives_whole_once_and_in_order(pair, bucket):
    pair.run(harness.local(bucket, **SOON))
    sent = []
    for count in (1, 99, 200):
        some = lines(len(sent), count)
        pair.write(some)
        sent += some
    found = delivered(pair, sent, bucket)
    assert_once(sent, found)
    assert by_key(found) == by_key(sent)


@every_pair
def test_a_stop_in_order_while_records_are_written(pair, bucket):
    d = pair.run(harness.local(bucket, **SOON))
    with Writing(pair) as writing:
        writing.more()
        assert d.terminate() == 0
        pair.start()
        writing.more()
    found = delivered(pair, writing.written, bucket)
    if pair.is_durable or pair.source.pulls:
        assert_once(writing.written, found)
        assert by_key(found) == by_key(writing.written)
    else:
        # A call whose answer was lost is not known again.
        assert set(found) == set(writing.written)


@every_pair
def test_a_kill_while_records_are_written(pair, bucket):
    d = pair.run(harness.local(bucket, **SOON))
    with Writing(pair) as writing:
        writing.more()
        d.kill()
        pair.start()
        before = len(writing.written)
        writing.more()
    if pair.is_durable or pair.source.pulls:
        before = 0
    # Of a journal in memory what clients were answered before is lost: only that it works again.
    found = delivered(pair, writing.written[before:], bucket)
    assert set(found) <= set(writing.written)
    if "kafka" in pair.journal:
        # A call that had no answer is not known again after a restart.
        assert len(found) - len(writing.written) in (0, PER_CALL)
    elif pair.is_durable:
        assert_once(writing.written, found)


# ------------------------------------------------------------------ a destination that is away


@every_pair
def test_a_destination_that_was_away_and_what_upstream_is_told(pair, s3):
    d = pair.run(harness.bucket("bucket", s3, **SOON), shutdown_timeout="1s")
    s3.start()
    sent = lines(0, 100)
    pair.write(sent)
    arrived(sent, s3.bucket)
    if pair.source.pulls:
        pair.wait_told(100)
    s3.stop()
    more = lines(100, 100)
    pair.write(more)
    if pair.source.pulls:
        pair.wait_pulled(200)
        if pair.is_durable:
            pair.wait_told(200)
        else:
            # Who leaves tells all that is safe.
            assert d.terminate() == 0
            pair.start()
            pair.wait_pulled(100)
            assert pair.source.told(d) == 100, "of what is nowhere but in memory"
    s3.start()
    arrived(sent + more, s3.bucket)
    if pair.source.pulls:
        pair.wait_told(200)
    assert_once(sent + more, delivered(pair, sent + more, s3.bucket))


# Records of a full journal.
PAD = 250_000
PER_FULL_CALL = 8


def full_of_pushed(pair):
    """Records are taken until a client is told to try later; how many were."""
    count = 0
    while pair.source.offer(pair.daemon, line(count, PAD)):
        count += 1
        assert count * PAD < 40_000_000, "the journal is never full"
    assert not pair.source.offer(pair.daemon, line(count, PAD))
    return count


def full_of_pulled(pair):
    """More is upstream than the journal holds, and waits there; how many records."""
    calls = 1_400_000 * int(pair.source.memory_size.removesuffix("MiB")) // PAD // PER_FULL_CALL
    count = calls * PER_FULL_CALL
    for first in range(0, count, PER_FULL_CALL):
        pair.write(lines(first, PER_FULL_CALL, PAD))
    harness.wait_for(lambda: pair.pulled("backpressured") > 0, "the journal is full")
    assert pair.pulled() < count
    return count


# The smallest journal on disk has 128 MiB: too much for each of the sources. What a full one does
# is in the tests of disks, of the HTTP source and of outages. The server of Kinesis takes minutes for
# as much as fills one in memory; that a shard waits is in the tests of its source.
@pytest.mark.parametrize("journal", ["memory"])
@pytest.mark.parametrize(
    "kind", [kind for kind in SOURCES if kind.name != "kinesis"], ids=lambda kind: kind.name
)
def test_a_full_journal_makes_the_source_wait_and_loses_nothing(pair, s3):
    pair.journal["max_size"] = pair.source.memory_size
    d = pair.run(harness.bucket("bucket", s3, **SOON))
    count = full_of_pulled(pair) if pair.source.pulls else full_of_pushed(pair)
    s3.start()
    if not pair.source.pulls:
        one_more = line(count, PAD)
        harness.wait_for(lambda: pair.source.offer(d, one_more), "there is room", pause=0.1)
        count += 1
    sent = lines(0, count, PAD)
    found = delivered(pair, sent, s3.bucket)
    assert_once(sent, found)


# ------------------------------------------------------------------------- what is not possible


@pytest.mark.parametrize("journal", ["kafka"])
@pytest.mark.parametrize(
    "kind", [kind for kind in SOURCES if kind.pulls], ids=lambda kind: kind.name
)
def test_a_source_that_pulls_cannot_have_a_journal_of_several_replicas(pair, bucket):
    text = problems(pair.configure(harness.local(bucket)))
    assert "streams.s.journal.kafka" in text, text
    assert "a source that pulls" in text and "use journal.kafka with direct_put or http" in text, text
