"""Files that are followed: rotated in every way, cut, packed, deleted; and kill -9 in between."""

import collections
import contextlib
import gzip
import json
import os
import random
import threading
import time
import urllib.parse

import pytest
from botocore.exceptions import ClientError

import containers
import harness
import outputs

ROTATIONS = int(os.environ.get("STANDPIPE_TEST_ROTATIONS", "1000"))
LINES = 20
# Files that a rotation keeps under numbers; the oldest is deleted.
KEPT = 8
# The first line of every file: files that begin alike are different files.
BANNER = "the log begins"


def stream(include, *destinations, journal=None, **options):
    """A stream that follows files; its records end with a newline."""
    include = [str(pattern) for pattern in (include if isinstance(include, list) else [include])]
    source = {"file": {"include": include, "keep_newline": True, **options}}
    found = {"source": source, "destinations": list(destinations)}
    return {**found, "journal": journal} if journal else found


def metric(daemon, name, stream="s"):
    return daemon.metrics()[f"standpipe_{name}", {"stream": stream}]


def until_read(daemon, records, stream="s"):
    """Waits until so many records were stored since the last start."""
    name = "data_read_from_source_records_total"
    harness.wait_for(
        lambda: metric(daemon, name, stream) >= records, f"{records} records are read"
    )


def until_open(daemon, files, stream="s"):
    """Waits until so many files are open, and it is known where reading begins in them."""
    harness.wait_for(
        lambda: metric(daemon, "source_parts", stream) == files, f"{files} files are open"
    )


def lines(first, count, name="line"):
    return [f"{name} {number:06d}" for number in range(first, first + count)]


def text(some):
    return "".join(f"{line}\n" for line in some)


def append(path, some):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(some if isinstance(some, str) else text(some))


def aged(path, seconds=3600):
    """As if it had been written long ago."""
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def packed(path):
    """`gzip` of a file: another file with its time of change, and it is gone."""
    target = path.with_name(f"{path.name}.gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    stat = path.stat()
    os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    path.unlink()
    return target


def sentinel(folder):
    """A packed file that is read when all packed before it were looked at; its lines."""
    found = ["looked at everything"]
    append(folder / "app.log.sentinel", found)
    packed(folder / "app.log.sentinel")
    return found


def contents(folder):
    return outputs.written(folder).decode()


def arrived_exactly(daemon, folder, expected, stream="s"):
    """Delivers everything, stops the daemon, and compares: no line is missing or double."""
    harness.delivered(daemon, stream, folder, len(text(expected)))
    assert daemon.terminate() == 0
    arrived = collections.Counter(contents(folder).splitlines())
    expected = collections.Counter(expected)
    assert arrived - expected == collections.Counter(), "duplicates"
    assert expected - arrived == collections.Counter(), "lost"


class Rotator:
    """Writes a log, and rotates it as logrotate does: rename, then create.

    The last line before each rotation is begun in the file under its old name, and ended when it
    has its new one: whoever has a file open writes on for a moment."""

    def __init__(self, folder, rotations, may_delete=None, pack=False):
        self.log = folder / "app.log"
        self.rotations = rotations
        self.may_delete = may_delete
        self.pack = pack
        self.rotated = 0
        self.written = collections.Counter()
        self.stop = threading.Event()
        self.error = None
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def until(self, rotations):
        def so():
            assert self.error is None, self.error
            return self.rotated >= rotations

        harness.wait_for(so, f"rotation {rotations}", 120 + self.rotations / 10)

    def _run(self):
        try:
            file = self._created()
            while self.rotated < self.rotations and not self.stop.is_set():
                file = self._rotation(file)
                self.rotated += 1
                # Its pace, so that the kills fall between rotations.
                self.stop.wait(0.008)
            self._write(file, "the last one\n")
            file.close()
        except BaseException as error:  # noqa: BLE001, told to whoever waits
            self.error = error

    def _created(self):
        file = self.log.open("x")
        self._write(file, f"{BANNER}\n")
        return file

    def _write(self, file, some):
        file.write(some)
        file.flush()
        self.written.update(some.splitlines())

    def _rotation(self, file):
        self._write(file, text(lines(self.rotated * LINES, LINES)))
        last = f"begun {self.rotated:06d} and ended"
        file.write(last[:6])
        file.flush()
        self._rename()
        new = self._created()
        file.write(last[6:] + "\n")
        file.close()
        self.written[last] += 1
        if self.pack:
            packed(self._kept())
        return new

    def _kept(self):
        return self.log.with_name(f"app.log.{self.rotated:06d}")

    def _rename(self):
        if self.may_delete is None:
            self.log.rename(self._kept())
            return
        name = lambda number: self.log.with_name(f"app.log.{number}")  # noqa: E731
        if name(KEPT).exists():
            harness.wait_for(
                lambda: self.stop.is_set() or self.may_delete(name(KEPT)),
                "the oldest file is shipped",
                120,
            )
            name(KEPT).unlink()
        for number in range(KEPT - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                name(number).rename(name(number + 1))
        self.log.rename(name(1))


def shipped(daemon):
    """Asks a daemon that may be down whether a file may be deleted."""

    def ask(path):
        with contextlib.suppress(OSError):
            quoted = urllib.parse.quote(str(path), safe="")
            status, body = daemon.signed("GET", f"/v1/shipped/{quoted}")
            return status == 200 and json.loads(body)["shipped"]
        return False

    return ask


# Where old files are deleted the writer waits until they are shipped: that takes longer.
@pytest.mark.parametrize(
    ("old", "rotations"),
    [("kept", ROTATIONS), ("deleted", ROTATIONS // 5), ("packed", ROTATIONS // 5)],
)
def test_rotations_and_kills_lose_nothing_and_double_nothing(
    daemon, s3_server, tmp_path, old, rotations
):
    s3_server.client().create_bucket(Bucket="bucket")
    folder = tmp_path / "logs"
    folder.mkdir()
    small = {"compression": "gzip", "buffering": {"size": "64KiB", "interval": "1s"}}
    d = daemon(
        {
            "s": stream(
                folder / "app.log*",
                harness.bucket("bucket", s3_server, **small),
                rotate_wait="1s",
            )
        },
        aws=harness.outgoing(),
    )
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    # Spread over the rotations; some while it starts.
    moments = sorted(rng.sample(range(1, rotations), max(6, rotations // 150)))
    may_delete = shipped(d) if old == "deleted" else None
    with Rotator(folder, rotations, may_delete, old == "packed") as rotator:
        for moment in moments:
            rotator.until(moment)
            assert d.process.poll() is None, f"it ended by itself\n{d.log()[-4000:]}"
            d.kill()
            d.start(wait=rng.random() < 0.7)
        d.wait_ready()
        rotator.until(rotations)
    assert rotator.error is None
    written = rotator.written
    if old == "packed":
        written += collections.Counter(sentinel(folder))
    size = sum((len(line) + 1) * count for line, count in written.items())
    read = containers.gzip_one_member
    harness.delivered_to_s3(d, "s", s3_server, "bucket", size, read)
    assert metric(d, "file_lost_total") == 0
    assert d.terminate() == 0
    objects = s3_server.objects("bucket").values()
    arrived = b"".join(read(answer["Body"]) for answer in objects).decode().splitlines()
    arrived = collections.Counter(arrived)
    assert arrived - written == collections.Counter(), "duplicates"
    assert written - arrived == collections.Counter(), "lost"


@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
def test_copytruncate(daemon, tmp_path, pattern):
    log, folder = tmp_path / "logs/app.log", tmp_path / "bucket"
    append(log, lines(0, 200))
    d = daemon({"s": stream(tmp_path / "logs" / pattern, harness.local(folder))})
    read = 0
    for turn in range(3):
        # What was not read when it is truncated is lost, whoever reads.
        read += 200
        until_read(d, read)
        copy = log.with_name(f"app.log.{turn + 1}")
        copy.write_bytes(log.read_bytes())
        os.truncate(log, 0)
        append(log, lines(1000 * (turn + 1), 200))
    arrived_exactly(
        d, folder, [line for turn in range(4) for line in lines(1000 * turn, 200)]
    )


def test_what_is_packed_after_it_was_read_is_not_read_again(daemon, tmp_path):
    logs, folder = tmp_path / "logs", tmp_path / "bucket"
    append(logs / "app.log", lines(0, 100))
    d = daemon({"s": stream(logs / "app.log*", harness.local(folder), rotate_wait="500ms")})
    until_read(d, 100)
    (logs / "app.log").rename(logs / "app.log.1")
    append(logs / "app.log", lines(100, 50))
    until_read(d, 150)
    # Read in part when the daemon ends; rotated and packed while it is down.
    d.kill()
    append(logs / "app.log", lines(150, 50))
    (logs / "app.log").rename(logs / "app.log.2")
    append(logs / "app.log", lines(200, 50))
    aged(logs / "app.log.1")
    packed(logs / "app.log.1")
    aged(logs / "app.log.2", 1800)
    packed(logs / "app.log.2")
    # Never seen before.
    append(logs / "app.log.3", lines(300, 50))
    aged(logs / "app.log.3", 900)
    packed(logs / "app.log.3")
    d.start()
    until_read(d, 150)
    # And one that is packed while the daemon looks on.
    (logs / "app.log").rename(logs / "app.log.4")
    aged(logs / "app.log.4", 600)
    packed(logs / "app.log.4")
    append(logs / "app.log", lines(400, 50))
    expected = lines(0, 250) + lines(300, 50) + lines(400, 50)
    arrived_exactly(d, folder, expected + sentinel(logs))


def test_globs_and_what_is_excluded(daemon, tmp_path):
    logs, folder = tmp_path / "logs", tmp_path / "bucket"
    followed = ["a/app.log", "b/app.log", "deep/x/y/z.txt", "deep/top.txt", "one/file-3.out"]
    left = ["c/app.log", "a/app.bak", "deep/x/skip.tmp.txt", "deep/no/z.txt", "one/file-x.out"]
    left += ["deep/.hidden.txt"]
    for name in followed + left:
        append(logs / name, lines(0, 10, name))
    include = [logs / "{a,b}/app.*", logs / "deep/**/*.txt", logs / "one/file-[0-9].out"]
    exclude = ["*.tmp.txt", "*.bak", str(logs / "deep/no/*")]
    d = daemon({"s": stream(include, harness.local(folder), exclude=exclude)})
    until_read(d, 10 * len(followed))
    # A folder that comes later.
    append(logs / "deep/later/on/w.txt", lines(0, 10, "later"))
    expected = [line for name in [*followed, "later"] for line in lines(0, 10, name)]
    arrived_exactly(d, folder, expected)


def test_reading_begins_at_the_end_once(daemon, tmp_path):
    logs, folder = tmp_path / "logs", tmp_path / "bucket"
    append(logs / "old.log", lines(0, 100))
    d = daemon({"s": stream(logs / "*.log", harness.local(folder), start="end")})
    until_open(d, 1)
    append(logs / "old.log", lines(100, 10))
    append(logs / "new.log", lines(200, 10))
    until_read(d, 20)
    # The end is where reading began, not where it goes on.
    d.kill()
    append(logs / "old.log", lines(110, 10))
    append(logs / "newer.log", lines(300, 10))
    d.start()
    arrived_exactly(d, folder, lines(100, 20) + lines(200, 10) + lines(300, 10))


def test_lines_that_belong_together(daemon, tmp_path):
    log, folder = tmp_path / "logs/app.log", tmp_path / "bucket"
    first = "2026-01-01 first\n\tat a\n\n\tat b\n"
    second = "2026-01-02 second\n\tat c\n"
    third = "2026-01-03 third\n"
    append(log, first + second)
    multiline = {"start_pattern": r"^\d{4}-", "timeout": "1h"}
    transforms = {"transforms": [{"single_line": {}}]}
    destination = {**harness.local(folder), **transforms}
    d = daemon({"s": stream(log, destination, multiline=multiline)})
    # The second one may go on: it is not given out, and read again from its first line.
    until_read(d, 1)
    d.kill()
    append(log, "\tat d\n" + third)
    d.config["streams"]["s"]["source"]["file"]["multiline"]["timeout"] = "500ms"
    d.start()
    arrived_exactly(
        d, folder, ["2026-01-01 firstat aat b", "2026-01-02 secondat cat d", "2026-01-03 third"]
    )


def cri(second, kind, flag, some):
    return f"2026-03-01T10:00:{second:02d}.123456789Z {kind} {flag} {some}\n"


def test_containers_of_kubernetes(daemon, tmp_path):
    pods, folder = tmp_path / "pods", tmp_path / "bucket"
    log = pods / "shop_web-7d4b9c-x2x_0f1e2d3c-0000-4000-8000-123456789abc/nginx/0.log"
    # Lines that the runtime took apart, of two streams that are mixed.
    append(log, cri(1, "stdout", "P", "one, "))
    append(log, cri(2, "stderr", "P", "broken "))
    append(log, cri(3, "stdout", "F", "whole"))
    append(log, cri(4, "stdout", "F", 'with "quotes"'))
    options = {"format": "cri", "kubernetes": {}, "rotate_wait": "500ms"}
    d = daemon({"s": stream(pods / "*/*/*.log*", harness.local(folder), **options)})
    until_read(d, 2)
    # The other stream's half is still open.
    d.kill()
    append(log, cri(5, "stderr", "F", "pipe"))
    # As the kubelet rotates: the newest stays plain, older ones are packed.
    rotated = log.with_name("0.log.20260301-100006")
    log.rename(rotated)
    append(log, cri(6, "stdout", "F", "new"))
    d.start()
    until_read(d, 2)
    aged(rotated)
    packed(rotated)
    append(log, cri(7, "stdout", "F", ""))
    append(log, cri(8, "stdout", "F", "last"))
    until_read(d, 3)
    assert d.terminate() == 0
    found = [json.loads(line) for line in contents(folder).splitlines()]
    pod = {
        "namespace_name": "shop",
        "pod_name": "web-7d4b9c-x2x",
        "pod_id": "0f1e2d3c-0000-4000-8000-123456789abc",
        "container_name": "nginx",
    }
    assert all(record["kubernetes"] == pod for record in found)
    told = collections.Counter((record["stream"], record["log"]) for record in found)
    told.pop(("stdout", ""), None)
    assert told == collections.Counter(
        [
            ("stdout", "one, whole"),
            ("stdout", 'with "quotes"'),
            ("stderr", "broken pipe"),
            ("stdout", "new"),
            ("stdout", "last"),
        ]
    )
    last = next(record for record in found if record["log"] == "last")
    assert last["time"] == "2026-03-01T10:00:08.123456789Z"


def test_a_line_over_the_limit_is_cut_and_counted(daemon, tmp_path):
    log, folder = tmp_path / "logs/app.log", tmp_path / "bucket"
    append(log, ["before", "x" * 5000, "y" * 1000, "after"])
    d = daemon({"s": stream(log, harness.local(folder), max_line_size="1KiB")})
    until_read(d, 4)
    assert metric(d, "file_cut_lines_total") == 1
    assert d.terminate() == 0
    before, cut, whole, after = contents(folder).splitlines()
    assert (before, whole, after) == ("before", "y" * 1000, "after")
    assert set(cut) == {"x"} and 1023 <= len(cut) <= 1024


def in_memory(size="8MiB"):
    return {"durability": "memory", "max_size": size}


def test_a_deleted_file_is_held_until_it_is_read(daemon, tmp_path):
    server = harness.S3Server(tmp_path / "versitygw")
    log = tmp_path / "logs/app.log"
    written = [f"{line} {'x' * 1000}" for line in lines(0, 12_000)]
    append(log, written)
    destination = harness.bucket("bucket", server, compression="gzip")
    d = daemon(
        {"s": stream(log, destination, journal=in_memory(), rotate_wait="500ms")},
        aws=harness.outgoing(),
    )
    # The journal holds half of it, and nobody takes anything.
    name = "data_read_from_source_backpressured_total"
    harness.wait_for(lambda: metric(d, name) > 0, "the journal is full")
    assert metric(d, "data_read_from_source_records_total") < len(written)
    log.unlink()
    append(log, lines(20_000, 10))
    try:
        server.start().client().create_bucket(Bucket="bucket")
        written += lines(20_000, 10)
        read = containers.gzip_one_member
        harness.delivered_to_s3(d, "s", server, "bucket", len(text(written)), read)
        assert metric(d, "file_lost_total") == 0
        assert d.terminate() == 0
        objects = server.objects("bucket").values()
        arrived = b"".join(read(answer["Body"]) for answer in objects).decode().splitlines()
        assert collections.Counter(arrived) == collections.Counter(written)
    finally:
        server.stop()


def test_a_journal_in_memory_repeats_but_loses_nothing(daemon, tmp_path):
    server = harness.S3Server(tmp_path / "versitygw").start()
    log = tmp_path / "logs/app.log"
    append(log, lines(0, 100))
    d = daemon(
        {"s": stream(log, harness.bucket("bucket", server), journal=in_memory())},
        aws=harness.outgoing(),
    )

    def delivered(size):
        harness.delivered_to_s3(d, "s", server, "bucket", size)

    try:
        server.client().create_bucket(Bucket="bucket")
        delivered(len(text(lines(0, 100))))
        harness.wait_for(lambda: shipped(d)(log), "the position moved over what is delivered")
        server.stop()
        append(log, lines(100, 100))
        until_read(d, 200)
        assert not shipped(d)(log)
        # Twice, and the second time with a file that is rotated while it is down.
        d.kill()
        d.start()
        until_read(d, 100)
        assert not shipped(d)(log)
        d.kill()
        log.rename(log.with_name("app.log.1"))
        append(log, lines(200, 100))
        d.config["streams"]["s"]["source"]["file"]["include"] = [f"{log}*"]
        server.start()
        d.start()
        delivered(len(text(lines(0, 300))))
        harness.wait_for(lambda: shipped(d)(log), "the position moved over what is delivered")
        assert d.terminate() == 0
        arrived = collections.Counter(
            b"".join(a["Body"] for a in server.objects("bucket").values()).decode().splitlines()
        )
        assert set(arrived) == set(lines(0, 300)), "lost"
        # What was delivered before the position was stored may come again, and nothing else.
        double = sum(arrived.values()) - 300
        print(f"{double} lines were delivered twice")
        assert set(arrived - collections.Counter(lines(0, 300))) <= set(lines(0, 100))
        # In order, it stands behind everything: nothing comes again.
        d.start()
        append(log, ["+"])
        delivered(sum((len(line) + 1) * count for line, count in arrived.items()) + 2)
        assert d.terminate() == 0
        again = b"".join(a["Body"] for a in server.objects("bucket").values()).decode().splitlines()
        assert collections.Counter(again) == arrived + collections.Counter(["+"])
    finally:
        server.stop()


def test_a_journal_in_memory_repeats_nothing_after_a_stop(daemon, tmp_path):
    log, folder = tmp_path / "logs/app.log", tmp_path / "bucket"
    # Only the stop delivers: nothing else closes what is open.
    d = daemon({"s": stream(log, harness.local(folder), journal=in_memory())})
    for stop in range(3):
        append(log, lines(100 * stop, 100))
        until_read(d, 100)
        assert d.terminate() == 0
        assert contents(folder) == text(lines(0, 100 * (stop + 1)))
        d.start()
    append(log, lines(300, 100))
    arrived_exactly(d, folder, lines(0, 400))


def test_a_stop_without_the_destination_ends_and_all_is_read_again(daemon, tmp_path):
    server = harness.S3Server(tmp_path / "versitygw").start()
    log = tmp_path / "logs/app.log"
    append(log, lines(0, 100))
    try:
        server.client().create_bucket(Bucket="bucket")
        server.stop()
        d = daemon(
            {"s": stream(log, harness.bucket("bucket", server), journal=in_memory())},
            aws=harness.outgoing(),
            shutdown_timeout="2s",
        )
        until_read(d, 100)
        assert d.terminate() == 0
        server.start()
        d.start()
        harness.delivered_to_s3(d, "s", server, "bucket", len(text(lines(0, 100))))
        assert d.terminate() == 0
        bodies = server.objects("bucket").values()
        assert b"".join(a["Body"] for a in bodies).decode() == text(lines(0, 100))
    finally:
        server.stop()


def test_puts_are_refused(daemon, tmp_path):
    log = tmp_path / "logs/app.log"
    append(log, ["from the file"])
    folder = tmp_path / "bucket"
    d = daemon({"s": stream(log, harness.local(folder))})
    client = d.firehose()
    with pytest.raises(ClientError) as error:
        client.put_record(DeliveryStreamName="s", Record={"Data": b"x"})
    answer = error.value.response["Error"]
    assert answer["Code"] == "InvalidArgumentException", answer
    assert "its records come from its source" in answer["Message"]
    with pytest.raises(ClientError) as error:
        client.put_record_batch(DeliveryStreamName="s", Records=[{"Data": b"x"}])
    assert error.value.response["Error"]["Code"] == "InvalidArgumentException"
    arrived_exactly(d, folder, ["from the file"])
