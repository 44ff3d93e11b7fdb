"""Destinations that are down, slow, locked or gone: nothing is lost, and it goes on by itself."""

import collections

import pytest

import faulty_s3
import harness


@pytest.fixture
def faulty():
    server = faulty_s3.FaultyS3()
    yield server
    server.close()


def lines(server):
    """Every line in every object, with how often it is there."""
    with server.lock:
        contents = list(server.objects.values())
    return collections.Counter(b"".join(contents).splitlines())


def stream_to(server, **options):
    options = {"buffering": {"size": "5MiB", "interval": "1s"}, **options}
    return {"s": {"destinations": [harness.bucket("bucket", server, **options)]}}


def put_lines(daemon, first, count):
    records = [{"Data": b"line-%06d\n" % n} for n in range(first, first + count)]
    answer = daemon.firehose().put_record_batch(DeliveryStreamName="s", Records=records)
    assert answer["FailedPutCount"] == 0


def expected(count):
    return collections.Counter(b"line-%06d" % n for n in range(count))


@pytest.mark.parametrize("mode", ["slow_down", "forbidden", "no_bucket", "cut", "silent"])
def test_a_failing_destination_holds_and_recovers(daemon, faulty, mode):
    d = daemon(stream_to(faulty), aws=harness.outgoing())
    faulty.mode = mode
    put_lines(d, 0, 100)
    harness.wait_for(lambda: faulty.attempts >= 2, "a second attempt")
    put_lines(d, 100, 100)
    if mode != "silent":
        assert not lines(faulty)
    faulty.mode = "ok"
    harness.wait_for(lambda: lines(faulty) >= expected(200), "everything is delivered")
    assert d.terminate() == 0
    # An answer that was lost must not make a second object: the key is the same.
    assert lines(faulty) == expected(200)
    assert not any("error" in key for key in faulty.objects)


def test_a_cut_in_the_middle_of_a_part_leaves_one_whole_object(daemon, faulty):
    options = {
        "multipart_threshold": "6MiB",
        "buffering": {"size": "16MiB", "interval": "900s"},
    }
    d = daemon(stream_to(faulty, **options), aws=harness.outgoing())
    faulty.mode = "cut"
    sent = [bytes([65 + n]) * 1_000_000 for n in range(18)]
    client = d.firehose()
    for record in sent:
        client.put_record(DeliveryStreamName="s", Record={"Data": record})
    harness.wait_for(lambda: faulty.attempts >= 2, "a part is tried")
    faulty.mode = "ok"
    d.flush("s")
    size = sum(map(len, sent))
    harness.wait_for(lambda: sum(map(len, faulty.objects.values())) >= size, "all delivered")
    whole = b"".join(faulty.objects[key] for key in sorted(faulty.objects))
    assert sorted(whole) == sorted(b"".join(sent)) and len(whole) == size
    assert not faulty.uploads, "an upload was neither completed nor aborted"


def test_a_server_that_was_away_gets_everything_once(daemon, s3_server):
    s3_server.client().create_bucket(Bucket="bucket")
    d = daemon(stream_to(s3_server), aws=harness.outgoing())
    put_lines(d, 0, 50)
    harness.delivered_to_s3(d, "s", s3_server, "bucket", 50 * 12)
    s3_server.stop()
    for batch in range(1, 5):
        put_lines(d, 50 * batch, 50)
    # It ends and starts while the server is away, too.
    d.kill()
    d.start()
    s3_server.start()
    found = harness.delivered_to_s3(d, "s", s3_server, "bucket", 250 * 12)
    content = b"".join(answer["Body"] for answer in found.values())
    assert collections.Counter(content.splitlines()) == expected(250)


def test_a_missing_bucket_is_said_and_goes_on_when_it_is_made(daemon, s3_server):
    d = daemon(stream_to(s3_server), aws=harness.outgoing())
    put_lines(d, 0, 10)

    def said():
        text = d.get("/health/ready")[1]
        return text if "held" in text else None

    text = harness.wait_for(said, "the health page says that the destination is held")
    assert "404" in text and "PutObject" in text, text
    assert "held" in d.log()
    put_lines(d, 10, 10)
    s3_server.client().create_bucket(Bucket="bucket")
    # No flush, no reload: by itself.
    harness.wait_for(
        lambda: sum(len(a["Body"]) for a in s3_server.objects("bucket").values()) == 20 * 12,
        "it goes on by itself",
        timeout=90,
        pause=0.5,
    )
    harness.wait_for(lambda: "held" not in d.get("/health/ready")[1], "it is no longer held")


def test_one_dead_destination_does_not_hold_back_the_other(daemon, faulty, tmp_path):
    faulty.mode = "forbidden"
    folder = tmp_path / "bucket"
    destinations = [
        harness.bucket("bucket", faulty, buffering={"size": "5MiB", "interval": "1s"}),
        {"name": "second", **harness.local(folder, buffering={"size": "5MiB", "interval": "1s"})},
    ]
    d = daemon({"s": {"destinations": destinations}}, aws=harness.outgoing())
    put_lines(d, 0, 10)
    harness.wait_for(lambda: faulty.attempts >= 1, "the first is tried")
    harness.wait_for(
        lambda: sum(p.stat().st_size for p in harness.files(folder).values()) == 120,
        "the second gets everything",
    )
    faulty.mode = "ok"
    harness.wait_for(lambda: lines(faulty) == expected(10), "and then the first")
