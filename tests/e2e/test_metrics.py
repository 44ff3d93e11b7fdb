"""The metrics: what came in is what went out, was lost to faults, or is still here; always."""

import pytest

import faulty_s3
import harness


@pytest.fixture
def faulty():
    server = faulty_s3.FaultyS3()
    yield server
    server.close()


def put(daemon, count):
    answer = daemon.firehose().put_record_batch(
        DeliveryStreamName="s", Records=[{"Data": b"0123456789"}] * count
    )
    assert answer["FailedPutCount"] == 0


def balance(daemon, destination, kind="delivery_to_s3"):
    """What became of the records, after checking that it is all of them."""
    came, became = daemon.metrics().ledger("s", destination, kind)
    assert came == sum(became.values()), became
    return became


def settles(daemon, destination, backlog, kind="delivery_to_s3"):
    def settled():
        return daemon.metrics().ledger("s", destination, kind)[1]["backlog"] == backlog

    harness.wait_for(settled, f"the backlog of {destination} is {backlog}")
    return balance(daemon, destination, kind)


def test_the_balance_holds_through_an_outage_and_restarts(daemon, faulty, tmp_path):
    faulty.mode = "forbidden"
    folder, backup = tmp_path / "bucket", tmp_path / "backup"
    quick = {"buffering": {"size": "5MiB", "interval": "1s"}}
    source = {"bucket": backup.as_uri(), "prefix": "source/", **quick}
    one = harness.bucket("bucket", faulty, **quick, s3_backup_mode="enabled", s3_backup=source)
    d = daemon(
        {"s": {"destinations": [one, {"name": "second", **harness.local(folder, **quick)}]}},
        aws=harness.outgoing(),
        shutdown_timeout="1s",
    )
    put(d, 100)
    # The first is held; neither its own backup nor the second destination wait for it.
    for destination, kind in [("second", "delivery_to_s3"), ("s3.backup", "backup_to_s3")]:
        became = settles(d, destination, 0, kind)
        assert became == {"delivered": 100, "failed": 0, "dropped": 0, "damaged": 0, "backlog": 0}
    assert settles(d, "s3", 100)["delivered"] == 0
    held = lambda: d.metrics()["standpipe_held", {"stream": "s", "destination": "s3"}]  # noqa: E731
    harness.wait_for(lambda: held() == 1, "it is held")

    for restart in (d.kill, d.terminate):
        restart()
        d.start()
        assert settles(d, "s3", 100)["delivered"] == 0
        for destination, kind in [("second", "delivery_to_s3"), ("s3.backup", "backup_to_s3")]:
            assert sum(balance(d, destination, kind).values()) == 0
    put(d, 11)
    assert settles(d, "second", 0)["delivered"] == 11

    faulty.mode = "ok"
    assert settles(d, "s3", 0)["delivered"] == 111
    harness.wait_for(lambda: held() == 0, "it is no longer held")
    metrics = d.metrics()
    labels = {"stream": "s", "destination": "s3"}
    assert metrics["standpipe_backlog_at_start_records", labels] == 100
    assert metrics["standpipe_delivery_to_s3_bytes_total", labels] == 1110
    assert metrics["standpipe_incoming_bytes_total", {"stream": "s"}] == 110
    assert sum(map(len, faulty.objects.values())) == 1110
    d.kill()
    d.start()
    assert settles(d, "s3", 0)["delivered"] == 0, "something is delivered again"
    assert sum(map(len, faulty.objects.values())) == 1110


def test_errors_are_counted_by_code(daemon, faulty):
    quick = {"buffering": {"size": "5MiB", "interval": "1s"}}
    d = daemon(
        {"s": {"destinations": [harness.bucket("bucket", faulty, **quick)]}},
        aws=harness.outgoing(),
    )
    faulty.mode = "slow_down"
    put(d, 1)
    both = {"stream": "s", "destination": "s3"}

    def counted():
        code = {**both, "code": "S3.SlowDown"}
        return d.metrics().samples.get(
            ("standpipe_delivery_errors_total", frozenset(code.items())), 0
        )

    harness.wait_for(counted, "the error is counted")
    assert d.metrics()["standpipe_held", both] == 0, "an overloaded server is no reason to hold"
    faulty.mode = "ok"
    settles(d, "s3", 0)


def test_why_objects_were_closed(daemon, tmp_path):
    folder = tmp_path / "bucket"
    options = {"buffering": {"size": "100KiB", "interval": "1s"}}
    d = daemon({"s": {"destinations": [harness.local(folder, **options)]}})
    client = d.firehose()

    def closed(reason):
        key = {"stream": "s", "destination": "s3", "reason": reason}
        name = "standpipe_objects_closed_total"
        return d.metrics().samples.get((name, frozenset(key.items())), 0)

    client.put_record(DeliveryStreamName="s", Record={"Data": b"r" * 120_000})
    harness.wait_for(lambda: closed("size") == 1, "closed by size")
    client.put_record(DeliveryStreamName="s", Record={"Data": b"r"})
    harness.wait_for(lambda: closed("interval") == 1, "closed by interval")
    settles(d, "s3", 0)
    both = {"stream": "s", "destination": "s3"}
    assert d.metrics()["standpipe_delivery_to_s3_object_count_total", both] == 2
    assert d.metrics()["standpipe_object_bytes_count", both] == 2
    assert d.metrics()["standpipe_object_bytes_sum", both] == 120_001


def test_the_page_is_what_the_documentation_says(daemon, tmp_path):
    d = daemon({"s": {"destinations": [harness.local(tmp_path / "bucket")]}})
    put(d, 3)
    harness.delivered(d, "s", tmp_path / "bucket", 30)
    text = d.get("/metrics")[1]
    assert text.endswith("# EOF\n")
    names = {name for name, _ in d.metrics().samples}
    for name in [
        "incoming_bytes_total",
        "incoming_records_total",
        "incoming_put_requests_total",
        "repeated_put_requests_total",
        "throttled_records_total",
        "delivery_to_s3_attempts_total",
        "delivery_to_s3_success_total",
        "delivery_to_s3_data_freshness_seconds",
        "partition_count",
        "open_bytes",
        "journal_used_bytes",
        "journal_max_bytes",
        "journal_fsyncs",
        "journal_fsync_seconds",
        "journal_failed",
        "resident_memory_bytes",
    ]:
        assert f"standpipe_{name}" in names, name
    assert d.metrics()["standpipe_resident_memory_bytes", {}] < 200e6


def test_records_that_come_during_the_start_are_counted_once(daemon, tmp_path):
    """The listener is open before the destinations have found out where they were."""
    d = daemon({"s": {"destinations": [harness.local(tmp_path / "bucket")]}}, start=False)
    for _ in range(8):
        d.start(wait=False)
        client = d.firehose(config=harness.no_retries(10))
        harness.wait_for(lambda: harness.listening(d.port), "it listens", pause=0)
        for _ in range(20):
            client.put_record(DeliveryStreamName="s", Record={"Data": b"x"})
        d.flush("s")
        settles(d, "s3", 0)
        d.kill()
