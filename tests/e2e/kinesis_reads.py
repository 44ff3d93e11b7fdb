"""Streams that read Kinesis into local folders, writers that never rest, and what arrived."""

import collections
import concurrent.futures
import contextlib
import threading
import time

import harness

# Partition keys of a writer: enough that every shard has some.
KEYS = 16


def source(server, name, **options):
    """Reads the Kinesis stream `name` from its beginning."""
    found = {"stream": name, "start": "trim_horizon", "poll_interval": "200ms", **options}
    if server:
        found["endpoint"] = server.url
    return {"kinesis": found}


def stream(server, name, folder, journal="fsync", transforms=None, **options):
    """A stream `s` that reads the Kinesis stream `name` from its beginning."""
    destination = harness.local(folder, buffering={"size": "5MiB", "interval": "1s"})
    if transforms:
        destination["transforms"] = transforms
    return {
        "source": source(server, name, **options),
        "journal": {"durability": journal},
        "destinations": [destination],
    }


def lines(*folders):
    """Every line that was delivered, in the order of the objects' names."""
    found = []
    for folder in folders:
        contents = harness.files(folder)
        found += [line for key in sorted(contents) for line in read(contents[key]).splitlines()]
    return found


def read(path):
    # An object may be replaced by itself while it is looked at, after a crash.
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return b""


def all_arrived(sent, *folders, timeout=60):
    """Waits until every line of `sent` was delivered at least once."""
    missing = set(sent)

    def arrived():
        missing.difference_update(lines(*folders))
        return not missing

    what = f"all of {len(sent)} records are delivered"
    try:
        harness.wait_for(arrived, what, timeout, 0.1)
    except AssertionError:
        raise AssertionError(f"{what}; {len(missing)} are not: {sorted(missing)[:8]}") from None


def numbered(name, count, start=0):
    return [f"{name}-{number:06d}".encode() for number in range(start, start + count)]


def put(server, name, what, key=lambda number: f"key-{number % KEYS}"):
    """Puts lines without their ends."""
    server.put(name, [line + b"\n" for line in what], key)


def once(sent, found):
    """Each line was delivered once, and nothing else."""
    sent, found = collections.Counter(sent), collections.Counter(found)
    assert found - sent == {}, f"too much: {sorted((found - sent).items())[:8]}"
    assert sent - found == {}, f"missing: {sorted((sent - found).items())[:8]}"


def duplicates(sent, found):
    """How many lines were delivered again; each must have been delivered, and nothing else."""
    assert set(found) - set(sent) == set(), sorted(set(found) - set(sent))[:8]
    assert set(sent) - set(found) == set(), sorted(set(sent) - set(found))[:8]
    return len(found) - len(sent)


class Writer:
    """Puts a few records of every key again and again, until it is told to stop."""

    def __init__(self, server, name, pause=0.02, word="w"):
        self.server = server
        self.name = name
        self.pause = pause
        self.word = word
        self.sent = []
        self.end = threading.Event()

    def run(self):
        number = 0
        while not self.end.is_set():
            # The keys turn with the numbers, so each key's numbers are in their order.
            some = numbered(self.word, 2 * KEYS, number)
            first = number
            put(self.server, self.name, some, lambda index: key_of(first + index))
            number += len(some)
            self.sent += some
            self.end.wait(self.pause)

    def more(self, count=96):
        """Waits until so many more were put."""
        until = len(self.sent) + count
        harness.wait_for(lambda: len(self.sent) >= until, f"{count} more records are put")


def key_of(number):
    return f"key-{number % KEYS}"


@contextlib.contextmanager
def writing(server, name, **options):
    """A writer that runs as long as the block."""
    writer = Writer(server, name, **options)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(writer.run)
        try:
            yield writer
        finally:
            writer.end.set()
        running.result()


def in_order(found):
    """Of each key the numbers rise: children were read behind their parents."""
    last = {}
    for line in found:
        number = int(line.rsplit(b"-", 1)[1])
        key = key_of(number)
        assert last.get(key, -1) < number, f"{number} of {key} came behind {last[key]}"
        last[key] = number


def reads(daemon, count=1, name="s"):
    """Waits until the daemon has read so many records since it was started."""
    sample = ("standpipe_data_read_from_source_records_total", {"stream": name})
    harness.wait_for(lambda: daemon.metrics()[sample] >= count, f"{count} records are read")


def probe(daemon, server, name, key="key-0"):
    """Puts records until one was read: then reading goes on. Answers those that were put."""
    end = time.monotonic() + 60
    sent = []
    sample = ("standpipe_data_read_from_source_records_total", {"stream": "s"})
    before = daemon.metrics()[sample]
    while daemon.metrics()[sample] == before:
        assert time.monotonic() < end, "no record is read"
        some = numbered("probe", 1, len(sent))
        put(server, name, some, lambda _: key)
        sent += some
    return sent
