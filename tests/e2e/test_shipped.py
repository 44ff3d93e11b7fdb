"""`standpipe shipped FILE`: whether a followed file may be deleted."""

import gzip
import json
import os
import subprocess
import threading

import pytest

import harness
from test_file_source import append, in_memory, lines, stream, text, until_read


def shipped(daemon, path, *flags, env=None, cwd=None):
    """Exit code, and what was said."""
    done = subprocess.run(
        [harness.BINARY, "shipped", str(path), *flags],
        capture_output=True,
        text=True,
        timeout=90,
        env={**harness.aws_environment(daemon.url), **(env or {})},
        cwd=cwd,
    )
    assert "panicked" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def whole(daemon, path, names=("s",)):
    """What is said of a file that is through."""
    size = path.stat().st_size
    return 0, "".join(f"{path}: shipped by {name} ({size} bytes)\n" for name in names)


def test_a_file_is_shipped_once_it_is_stored(daemon, tmp_path):
    log, folder = tmp_path / "logs/app.log", tmp_path / "bucket"
    append(log, lines(0, 100))
    # What is in the journal is safe, wherever the destination is.
    d = daemon({"s": stream(f"{log}*", harness.local(folder))})
    assert shipped(d, log, "--wait", "60s") == whole(d, log)
    assert not harness.files(folder)
    code, told = shipped(d, log, "--json")
    size = log.stat().st_size
    entry = {"stream": "s", "bytes": size, "size": size, "shipped": True}
    assert code == 0 and json.loads(told)["streams"] == [entry]
    assert json.loads(told)["shipped"] is True
    # A path of the shell's folder.
    assert shipped(d, "logs/app.log", cwd=tmp_path) == whole(d, log)

    # A line without its end may still become longer.
    append(log, "the last")
    told = f"{log}: {size} of {size + 8} bytes shipped by s\n"
    assert shipped(d, log) == (1, told)
    append(log, " line\n")
    assert shipped(d, log, "--wait", "60s") == whole(d, log)

    # Under another name it is the same file, and what has its name now is another.
    old = log.with_name("app.log.1")
    log.rename(old)
    assert shipped(d, old) == whole(d, old)
    append(log, "new")
    assert shipped(d, log) == (1, f"{log}: 0 of 3 bytes shipped by s\n")
    # And after a restart.
    d.kill()
    d.start()
    assert shipped(d, old, "--wait", "60s") == whole(d, old)
    assert shipped(d, log)[0] == 1


def test_names_with_anything_in_them(daemon, tmp_path):
    d = daemon({"s": stream(tmp_path / "logs/**", harness.local(tmp_path / "bucket"))})
    for name in ["a b.log", "100%.log", "ä+?&#.log", "%2e%2e.log", "d/e/f.log"]:
        log = tmp_path / "logs" / name
        append(log, lines(0, 10))
        assert shipped(d, log, "--wait", "60s") == whole(d, log), name


def test_an_empty_file_and_a_packed_one(daemon, tmp_path):
    logs = tmp_path / "logs"
    d = daemon({"s": stream(logs / "*", harness.local(tmp_path / "bucket"))})
    logs.mkdir()
    (logs / "empty.log").touch()
    assert shipped(d, logs / "empty.log", "--wait", "60s") == whole(d, logs / "empty.log")
    old = logs / "old.log.gz"
    old.write_bytes(gzip.compress(text(lines(0, 100)).encode()))
    os.utime(old, (1_700_000_000, 1_700_000_000))
    assert shipped(d, old, "--wait", "60s") == whole(d, old)


def test_with_a_journal_in_memory_it_must_be_delivered(daemon, tmp_path):
    server = harness.S3Server(tmp_path / "versitygw")
    log, folder = tmp_path / "logs/app.log", tmp_path / "bucket"
    append(log, lines(0, 100))
    size = log.stat().st_size
    destinations = [
        {"name": "folder", **harness.local(folder)},
        {"name": "bucket", **harness.bucket("bucket", server)},
    ]
    d = daemon(
        {"s": stream(log, *destinations, journal=in_memory())}, aws=harness.outgoing()
    )
    until_read(d, 100)
    not_yet = (1, f"{log}: 0 of {size} bytes shipped by s\n")
    assert shipped(d, log) == not_yet
    # One of two destinations is not enough.
    harness.delivered(d, "s", folder, size)
    assert shipped(d, log, "--wait", "1s") == not_yet
    try:
        server.start().client().create_bucket(Bucket="bucket")
        found = []
        waiting = threading.Thread(target=lambda: found.append(shipped(d, log, "--wait", "80s")))
        waiting.start()
        harness.delivered_to_s3(d, "s", server, "bucket", size)
        waiting.join()
        assert found == [whole(d, log)]
        assert shipped(d, log) == whole(d, log)
    finally:
        server.stop()


def test_every_stream_that_follows_it_must_be_through(daemon, tmp_path):
    server = harness.S3Server(tmp_path / "versitygw")
    log = tmp_path / "logs/app.log"
    append(log, lines(0, 100))
    size = log.stat().st_size
    streams = {
        "one": stream(log, harness.local(tmp_path / "bucket")),
        "two": stream(log, harness.bucket("bucket", server), journal=in_memory()),
        "other": stream(tmp_path / "elsewhere/*", harness.local(tmp_path / "other")),
    }
    d = daemon(streams, aws=harness.outgoing())
    for name in ["one", "two"]:
        until_read(d, 100, name)
    told = f"{log}: shipped by one ({size} bytes)\n{log}: 0 of {size} bytes shipped by two\n"
    assert shipped(d, log) == (1, told)


def test_what_cannot_be_told_is_an_error(daemon, tmp_path):
    log = tmp_path / "logs/app.log"
    append(log, lines(0, 10))
    append(tmp_path / "other.log", lines(0, 10, "other"))
    d = daemon({"s": stream(log, harness.local(tmp_path / "bucket"))})
    assert shipped(d, log, "--wait", "60s")[0] == 0

    def refused(path, *needed, flags=(), env=None):
        code, told = shipped(d, path, *flags, env=env)
        assert code == 1 and told.startswith("error: "), told
        for some in needed:
            assert some in told, told

    refused(tmp_path / "other.log", f"no stream follows {tmp_path / 'other.log'}", "include")
    refused(tmp_path / "nowhere.log", f"{tmp_path / 'nowhere.log'} cannot be read by the daemon")
    refused(log.parent, str(log.parent))
    # Signed as every other command.
    refused(log, flags=["--anonymous"])
    refused(log, env={"AWS_SECRET_ACCESS_KEY": "wrong"})
    refused(log, flags=["--endpoint-url", f"http://127.0.0.1:{harness.free_port()}"])
    # An error is not waited over.
    refused(tmp_path / "nowhere.log", "cannot be read", flags=["--wait", "1h"])


@pytest.mark.parametrize("flags", [[], ["--anonymous"]])
def test_a_daemon_that_takes_unsigned_requests(daemon, tmp_path, flags):
    log = tmp_path / "logs/app.log"
    append(log, lines(0, 10))
    d = daemon({"s": stream(log, harness.local(tmp_path / "bucket"))}, api={"anonymous": True})
    assert shipped(d, log, "--wait", "60s", *flags) == whole(d, log)
