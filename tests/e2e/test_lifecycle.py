"""Starting, stopping, reloading, flushing; what the commands and the pages say."""

import signal
import subprocess

import pytest
from botocore.exceptions import ClientError

import harness


def aws_environment(daemon):
    return harness.aws_environment(daemon.url)


def put(daemon, data, stream="s"):
    return daemon.firehose().put_record(DeliveryStreamName=stream, Record={"Data": data})


def test_sigterm_delivers_what_is_open_and_ends_with_zero(daemon, tmp_path):
    folder = tmp_path / "bucket"
    d = daemon({"s": {"destinations": [harness.local(folder)]}})
    put(d, b"still open")
    assert d.terminate() == 0
    assert [p.read_bytes() for p in harness.files(folder).values()] == [b"still open"]
    # And the next start has nothing to deliver again.
    d.start()
    put(d, b"+")
    harness.delivered(d, "s", folder, 11)
    contents = sorted(p.read_bytes() for p in harness.files(folder).values())
    assert contents == [b"+", b"still open"]


def test_sigterm_with_a_dead_destination_keeps_the_records(daemon, tmp_path):
    server = harness.S3Server(tmp_path / "versitygw")
    d = daemon(
        {"s": {"destinations": [harness.bucket("bucket", server)]}},
        aws=harness.outgoing(),
        shutdown_timeout="2s",
    )
    put(d, b"kept")
    assert d.terminate(30) == 0
    server.start()
    try:
        server.client().create_bucket(Bucket="bucket")
        d.start()
        found = harness.delivered_to_s3(d, "s", server, "bucket", 4)
        assert [a["Body"] for a in found.values()] == [b"kept"]
    finally:
        server.stop()


def reload_by_signal(daemon):
    daemon.process.send_signal(signal.SIGHUP)


def reload_by_command(daemon):
    daemon.command("reload", env=aws_environment(daemon))


@pytest.mark.parametrize("reload", [reload_by_signal, reload_by_command])
def test_reload_adds_changes_and_removes_streams(daemon, tmp_path, reload):
    folders = {name: tmp_path / name for name in ["stays", "goes", "comes", "changed"]}
    stream = lambda name: {"destinations": [harness.local(folders[name])]}  # noqa: E731
    d = daemon({"stays": stream("stays"), "goes": stream("goes")})
    client = d.firehose()
    put(d, b"before", "stays")
    process = d.process.pid

    names = lambda: client.list_delivery_streams()["DeliveryStreamNames"]  # noqa: E731
    d.config["streams"] = {"stays": stream("stays"), "comes": stream("comes")}
    d.write_config()
    reload(d)
    harness.wait_for(lambda: names() == ["comes", "stays"], "the new streams")
    put(d, b"new", "comes")
    put(d, b"after", "stays")
    with pytest.raises(ClientError) as error:
        put(d, b"x", "goes")
    assert error.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert list(harness.delivered(d, "comes", folders["comes"], 3).values()) == [b"new"]
    # The batch that was open before is still the same batch.
    assert list(harness.delivered(d, "stays", folders["stays"], 11).values()) == [b"beforeafter"]
    assert d.process.pid == process and d.process.poll() is None

    prefixed = {"destinations": [harness.local(folders["comes"], prefix="other/")]}
    d.config["streams"]["comes"] = prefixed
    d.write_config()
    reload(d)

    def changed():
        put(d, b"x", "comes")
        d.flush("comes")
        return any(key.startswith("other/") for key in harness.files(folders["comes"]))

    harness.wait_for(changed, "the new prefix is used", pause=0.2)


def test_a_broken_file_changes_nothing_on_reload(daemon, tmp_path):
    d = daemon({"s": {"destinations": [harness.local(tmp_path / "bucket")]}})
    d.config["streams"]["s"]["destinatons"] = []
    d.write_config()
    reload_by_signal(d)
    harness.wait_for(lambda: "destinatons" in d.log(), "the mistake is logged")
    assert put(d, b"x")["RecordId"]


def test_validate_tells_every_mistake_at_once(daemon, tmp_path):
    d = daemon({"s": {"destinations": [harness.local(tmp_path / "b")]}}, start=False)
    d.write_config()
    d.command("validate", str(d.config_path))
    d.config["streams"]["s"]["destinations"][0]["s3"]["compresion"] = "gzip"
    d.config["api"]["lisen"] = "127.0.0.1:1"
    d.write_config()
    done = subprocess.run(
        [harness.BINARY, "validate", d.config_path], capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    told = done.stdout + done.stderr
    assert "compresion" in told and "compression" in told
    assert "lisen" in told and "listen" in told


def test_flush_closes_what_is_open(daemon, tmp_path):
    folder = tmp_path / "bucket"
    d = daemon({"s": {"destinations": [harness.local(folder)]}})
    put(d, b"x")
    assert not harness.files(folder)
    d.flush("s")
    harness.wait_for(lambda: len(harness.files(folder)) == 1, "the object")
    status, _ = d.signed("POST", "/v1/streams/unknown/flush")
    assert status in {400, 404}
    status, _ = d.raw("POST", "/v1/streams/s/flush")
    assert status in {400, 401, 403}, "an unsigned flush"


def test_flush_by_command(daemon, tmp_path):
    folder = tmp_path / "bucket"
    d = daemon({"s": {"destinations": [harness.local(folder)]}})
    put(d, b"x")
    d.command("flush", "s", env=aws_environment(d))
    harness.wait_for(lambda: len(harness.files(folder)) == 1, "the object")


def test_trace_follows_a_record_into_its_object(daemon, tmp_path):
    folder = tmp_path / "bucket"
    d = daemon({"s": {"destinations": [harness.local(folder)]}})
    record_id = put(d, b"follow me")["RecordId"]
    trace = lambda: d.command("trace", record_id, env=aws_environment(d))  # noqa: E731
    assert "journal" in trace() or "buffer" in trace() or "open" in trace()
    (key,) = harness.delivered(d, "s", folder, 9)
    harness.wait_for(lambda: key in trace(), "the trace names the object")
    d.kill()
    d.start()
    assert key in trace(), "it is forgotten after a restart"


def test_pages(daemon, tmp_path):
    d = daemon({"s": {"destinations": [harness.local(tmp_path / "bucket")]}})
    assert d.get("/health/live")[0] == 200
    assert d.get("/health/ready")[0] == 200
    put(d, b"12345")
    status, text = d.get("/metrics")
    assert status == 200 and text.endswith("# EOF\n") or "# TYPE" in text

    def counted():
        lines = [line for line in d.get("/metrics")[1].splitlines() if "incoming_bytes" in line]
        return any(
            'stream="s"' in line and float(line.split()[-1]) == 5
            for line in lines
            if not line.startswith("#")
        )

    harness.wait_for(counted, "the bytes are counted")
    assert d.get("/nothing")[0] in {403, 404}


def test_send(daemon, tmp_path):
    folder = tmp_path / "bucket"
    d = daemon({"s": {"destinations": [harness.local(folder)]}})
    source = tmp_path / "records.ndjson"
    lines = "".join(f'{{"n":{n}}}\n' for n in range(1234))
    source.write_text(lines)
    d.command("send", "s", str(source), env=aws_environment(d))
    found = harness.delivered(d, "s", folder, len(lines))
    arrived = sorted(b"".join(found.values()).decode().splitlines())
    assert arrived == sorted(lines.splitlines())


def test_send_from_stdin(daemon, tmp_path):
    folder = tmp_path / "bucket"
    d = daemon({"s": {"destinations": [harness.local(folder)]}})
    lines = "".join(f"line {n}\n" for n in range(777))
    for arguments in [["send", "s"], ["send", "s", "-", "--endpoint-url", d.url]]:
        d.command(*arguments, input=lines, env=aws_environment(d))
    found = harness.delivered(d, "s", folder, 2 * len(lines))
    arrived = sorted(b"".join(found.values()).decode().splitlines())
    assert arrived == sorted(2 * lines.splitlines())


def test_send_to_a_stream_that_is_not_there_says_so(daemon, tmp_path):
    d = daemon({"s": {"destinations": [harness.local(tmp_path / "bucket")]}})
    done = subprocess.run(
        [harness.BINARY, "send", "unknown"],
        input="x\n",
        capture_output=True,
        text=True,
        timeout=60,
        env=aws_environment(d),
    )
    assert done.returncode == 1
    assert "unknown" in done.stderr and "not found" in done.stderr, done.stderr
