"""Failed records put through again: through a stream, and straight to a destination."""

import base64
import collections
import json
import shutil
import signal
import time

import pytest

import firehose_endpoint
import harness
import http_deliveries
import opensearch_bulk
import outputs
import splunk_hec
from http_deliveries import KEY, failures, once
from replays import ARRIVED, Replays, interrupted, line, numbered, table, write

FIXTURES = harness.REPOSITORY / "tests/fixtures/replay"
# Where Firehose puts an object of each kind.
FOLDERS = {
    "http-endpoint-failed.gz": "http-endpoint-failed",
    "manifest": "manifests",
}
DAY = "2026/07/13/14"
# What the fixtures hold: (type, code) → records, and the first of them.
HELD = {
    ("processing-failed", "Lambda.FunctionError"): (1, '{"id":1}\\n'),
    ("processing-failed", "Lambda.MissingRecordId"): (1, "0x00fffe"),
    ("format-conversion-failed", "DataFormatConversion.MalformedData"): (1, '{"n":"oops"}'),
    ("format-conversion-failed", "DataFormatConversion.ParseError"): (1, ""),
    ("AmazonOpenSearchService-failed", "400"): (1, '{"a":1}'),
    ("AmazonOpenSearchService-failed", "OS.ValidationException"): (1, '{"a":2}'),
    ("splunk-failed", "Splunk.AckTimeout"): (1, "event one\\n"),
    ("splunk-failed", "Splunk.InvalidToken"): (1, "event two\\n"),
    # Plain, and once more packed.
    ("http-endpoint-failed", "HttpEndpoint.DestinationException"): (2, '{"k":"v"}'),
    ("http-endpoint-failed", "HttpEndpoint.RequestTimeout"): (2, '{"k":"w"}'),
    ("snowflake-failed", "Snowflake.ExtraColumns"): (1, '{"X":1}'),
    ("iceberg-failed", "Iceberg.NoSuchTable"): (1, '{"id":1}'),
    ("iceberg-failed", "S3.AccessDenied"): (1, '{"id":2}'),
    ("decompression-failed", "Decompression.InvalidData"): (1, "0x1f8b6e6f"),
    ("metadata-extraction-failed", "DynamicPartitioning.MetadataExtractionFailed"): (
        1,
        '{"a":null}',
    ),
    ("activePartitionExceeded", "DynamicPartitioning.ActivePartitionsLimitExceeded"): (
        1,
        '{"a":1}',
    ),
}
TYPES = ["http-endpoint-failed", "splunk-failed", "processing-failed"]


@pytest.fixture
def replay(tmp_path):
    return Replays(tmp_path)


@pytest.fixture
def errors(tmp_path):
    folder = tmp_path / "failed"
    folder.mkdir()
    return folder


@pytest.fixture
def collectors():
    made = []

    def make(token="a token", **options):
        made.append(splunk_hec.Hec(token, ack=True, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def search():
    double = opensearch_bulk.OpenSearchBulk()
    yield double
    double.close()
    assert double.mistakes == []


# ------------------------------------------------------------------------------ what there is


def lay_out(folder):
    """The fixtures as Firehose lays its objects out."""
    for fixture in FIXTURES.iterdir():
        path = folder / FOLDERS.get(fixture.name, fixture.name) / DAY / fixture.name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(fixture, path)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def held(text):
    rows, samples = table(text)
    return {key: (rows[key], sample) for key, (_, sample) in samples.items()}


def test_a_dry_run_shows_what_a_folder_holds(replay, errors):
    lay_out(errors)
    before = contents(errors)
    # What the manifest names is not below this folder.
    text = replay(errors, "--dry-run", expect=1)
    assert held(text) == HELD
    assert "18 records found" in text and "11 objects read to the end" in text
    assert "s3://data/2026/07/13/one: " in text and "s3://data/2026/07/13/two.gz: " in text
    assert contents(errors) == before
    assert not replay.state.exists(), "a dry run remembers something"


def test_a_dry_run_shows_what_a_bucket_holds(replay, s3_server, tmp_path):
    client = s3_server.client()
    for bucket in ["errors", "data"]:
        client.create_bucket(Bucket=bucket)
    folder = tmp_path / "local"
    lay_out(folder)
    before = {f"failed/{key}": path.read_bytes() for key, path in harness.files(folder).items()}
    # Not below the prefix.
    before["other/http-endpoint-failed/x"] = line(b"of somebody else")
    for key, body in before.items():
        client.put_object(Bucket="errors", Key=key, Body=body)
    client.put_object(Bucket="data", Key="2026/07/13/one", Body=b"1,2\n3,4\n")
    client.put_object(Bucket="data", Key="2026/07/13/two.gz", Body=b"5,6\n")
    server = ["--s3-endpoint", s3_server.url, "--s3-path-style"]
    text = replay("s3://errors/failed/", "--dry-run", *server)
    assert held(text) == {**HELD, ("redshift-failed", "-"): (3, "1,2\\n")}
    assert "21 records found" in text
    after = {key: answer["Body"] for key, answer in s3_server.objects("errors").items()}
    assert after == before


def test_a_dry_run_names_what_cannot_be_read(replay, errors):
    good = write(errors, "good", [b"one", b"two"])
    damaged = write(errors, "damaged", [b"three"])
    no_base64 = b'{"errorCode":"HttpEndpoint.X","rawData":"*"}\n'
    torn = line(b"torn")[:-20] + b"\n"
    damaged.write_bytes(no_base64 + damaged.read_bytes() + torn + line(b"four"))
    cut = write(errors, "cut.gz", numbered(1000))
    cut.write_bytes(cut.read_bytes()[:-100])
    (good.parent / "columns.parquet").write_bytes(b"PAR1 no more records PAR1")
    (good.parent / "picture").write_bytes(bytes(range(256)))
    text = replay(errors, "--dry-run", expect=1)
    folder = "http-endpoint-failed"
    for beginning in [
        f"{folder}/damaged:1: ",
        f"{folder}/damaged:3: ",
        f"{folder}/cut.gz: ",
        f"{folder}/columns.parquet: a Parquet file",
        f"{folder}/picture:1: ",
    ]:
        assert any(told.startswith(beginning) for told in text.splitlines()), (beginning, text)
    rows, _ = table(text)
    # All that can be read of what is damaged.
    assert 4 < rows[folder, "HttpEndpoint.DestinationException"] < 1004


def test_there_is_nothing_where_nothing_is(replay, errors):
    assert "0 records found" in replay(errors, "--dry-run")
    replay(errors / "away", "--dry-run", expect=1)
    # A place, and somebody to take the records, must be named.
    replay(errors, expect=2)


# ----------------------------------------------------------------------------- through a stream


@pytest.fixture
def streamed(daemon, endpoint, tmp_path):
    """A daemon whose stream goes to the endpoint at once."""
    buffering = {"size": "1MiB", "interval": "0s"}
    one = http_deliveries.to(endpoint.url, tmp_path / "bucket", buffering=buffering)
    return daemon(http_deliveries.stream(one))


def through(daemon, stream="s"):
    return ["--stream", stream, "--endpoint-url", daemon.url]


def arrived(daemon, endpoint, count):
    """All records that the endpoint has, once they are so many and nothing is under way."""
    http_deliveries.settled(daemon, count)
    return endpoint.records()


def test_all_records_arrive_once(replay, errors, streamed, endpoint):
    sent = numbered(5000)
    for number in range(10):
        packed = ".gz" if number % 2 else ""
        write(errors, f"{DAY}/{number}{packed}", sent[number::10], TYPES[number % 3])
    sent += [b"", bytes(range(256)), b"\x1f\x8b", b"x" * 1_000_000]
    write(errors, "odd", sent[5000:])
    text = replay(errors, *through(streamed))
    assert "5004 records delivered" in text and "11 objects read to the end" in text
    assert collections.Counter(arrived(streamed, endpoint, 5004)) == once(sent)
    # Given again it finds that all is done.
    text = replay(errors, *through(streamed))
    assert "0 records delivered" in text and "11 done before" in text
    write(errors, "new", [b"one more"])
    assert "1 record delivered" in replay(errors, *through(streamed))
    assert arrived(streamed, endpoint, 5005)[5004:] == [b"one more"]


def test_what_is_replayed_can_be_selected(replay, errors, streamed, endpoint):
    def add(raw, kind, hour, code=None):
        write(errors, raw.decode(), [raw], kind, code=code, arrived=ARRIVED + hour * 3_600_000)

    add(b"http 14", "http-endpoint-failed", 0)
    add(b"http 15", "http-endpoint-failed", 1, "HttpEndpoint.RequestTimeout")
    add(b"splunk 15", "splunk-failed", 1)
    add(b"splunk 16", "splunk-failed", 2, "Splunk.InvalidToken")
    add(b"lambda 16", "processing-failed", 2)
    add(b"lambda 17", "processing-failed", 3, "Lambda.MissingRecordId")
    add(b"other 40", "AmazonOpenSearchService-failed", 26)
    count = 0
    for arguments, expected in [
        (["--type", "splunk-failed"], ["splunk 15", "splunk 16"]),
        (
            ["--type", "splunk-failed", "--type", "processing-failed", "--code", "*.M*"],
            [],
        ),
        (["--code", "Lambda.*"], ["lambda 16", "lambda 17"]),
        (["--code", "Lambda.Missing"], []),
        (
            ["--code", "Lambda.MissingRecordId", "--code", "Splunk.*"],
            ["lambda 17", "splunk 15", "splunk 16"],
        ),
        (["--code", "400"], ["other 40"]),
        (["--type", "elasticsearch-failed"], ["other 40"]),
        (
            ["--from", "2026-07-13T15:00:00Z", "--until", "2026-07-13T17:05:12.345+01:00"],
            ["http 15", "splunk 15"],
        ),
        # The end does not belong to it.
        (["--until", "2026-07-13T15:05:12.345Z"], ["http 14"]),
        (["--from", "2026-07-14"], ["other 40"]),
        (["--from", "2026-07-13", "--until", "2026-07-14", "--code", "Splunk.I*"], ["splunk 16"]),
    ]:
        replay(errors, *through(streamed), *arguments)
        count += len(expected)
        new = arrived(streamed, endpoint, count)[count - len(expected) :]
        assert sorted(record.decode() for record in new) == expected, arguments
    for mistake in [
        ["--type", "no-such-type"],
        ["--from", "yesterday"],
        ["--from", "2026-07-14", "--until", "2026-07-13"],
    ]:
        process = replay.start(errors, *through(streamed), *mistake)
        _, err = process.communicate(timeout=60)
        assert process.returncode in (1, 2) and mistake[0] in err, err


def test_a_pace_is_kept(replay, errors, streamed, endpoint):
    write(errors, "one", numbered(300))
    begun = time.monotonic()
    replay(errors, *through(streamed), "--rate", 200)
    # The first 200 at once and the others a second later; never faster.
    assert time.monotonic() - begun >= 1
    assert len(arrived(streamed, endpoint, 300)) == 300


def test_objects_are_deleted_when_all_of_them_is_taken(replay, errors, streamed, endpoint):
    whole = write(errors, "whole.gz", numbered(700))
    mixed = write(errors, "mixed", [b"old"])
    later = line(b"new", arrived=ARRIVED + 86_400_000)
    mixed.write_bytes(mixed.read_bytes() + later)
    damaged = write(errors, "damaged", [b"last"])
    damaged.write_bytes(b"{}\n" + damaged.read_bytes())
    day = ["--until", "2026-07-14"]
    text = replay(errors, *through(streamed), "--delete", *day, expect=1)
    assert not whole.exists() and mixed.exists() and damaged.exists()
    assert "1 deleted" in text and "2 kept because not all of them was taken" in text
    expected = once([*numbered(700), b"old", b"last"])
    assert collections.Counter(arrived(streamed, endpoint, 702)) == expected


def test_objects_are_moved_within_a_bucket(replay, streamed, endpoint, s3_server):
    client = s3_server.client()
    client.create_bucket(Bucket="errors")
    bodies = {f"{DAY}/{n}": line(b"record %d" % n) for n in range(5)}
    for key, body in bodies.items():
        client.put_object(Bucket="errors", Key=f"failed/{key}", Body=body)
    server = ["--s3-endpoint", s3_server.url, "--s3-path-style"]
    arguments = [*through(streamed), *server, "--move-to"]
    replay("s3://errors/failed/", *arguments, "failed/done/", expect=1)
    assert endpoint.count() == 0, "it would be replayed again"
    text = replay("s3://errors/failed/", *arguments, "s3://errors/done/")
    assert "5 moved" in text
    found = {key: answer["Body"] for key, answer in s3_server.objects("errors").items()}
    assert found == {f"done/{key}": body for key, body in bodies.items()}
    records = arrived(streamed, endpoint, 5)
    assert collections.Counter(records) == once(b"record %d" % n for n in range(5))


def test_objects_are_moved_to_another_folder(replay, errors, streamed, endpoint, tmp_path):
    path = write(errors, f"{DAY}/one", [b"one"])
    content = path.read_bytes()
    # As the shell means it, not from the folder that is replayed.
    replay(errors, *through(streamed), "--move-to", "done")
    assert not path.exists()
    assert contents(tmp_path / "done") == {
        tmp_path / "done/http-endpoint-failed" / DAY / "one": content
    }
    assert arrived(streamed, endpoint, 1) == [b"one"]


def many_objects(errors, objects=20, records=500):
    """Records by the key of their object."""
    sent = numbered(objects * records)
    by_key = {}
    for number in range(objects):
        key = f"{number:02}.gz"
        by_key[f"http-endpoint-failed/{key}"] = sent[number * records : (number + 1) * records]
        write(errors, key, sent[number * records : (number + 1) * records])
    return sent, by_key


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_replay_goes_on_where_it_stopped(
    replay, errors, streamed, endpoint, number
):
    sent, by_key = many_objects(errors)
    process = replay.start(errors, *through(streamed), "--rate", 2000, "--delete")
    harness.wait_for(lambda: len(endpoint.records()) >= 2000, "some have come")
    interrupted(process, number)
    finished = replay.finished()
    assert 1 <= len(finished) < len(by_key)
    replay(errors, *through(streamed), "--delete")
    harness.wait_for(lambda: len(endpoint.times()) == len(sent), "all have come")
    http_deliveries.settled(streamed, len(endpoint.records()))
    times = endpoint.times()
    assert set(times) == set(sent)
    assert {times[record] for key in finished for record in by_key[key]} == {1}
    if number == signal.SIGINT:
        # Calls under way are let to their end, and remembered.
        assert times == once(sent)
    assert not contents(errors), "an object is left"


def test_records_that_keep_failing_do_not_circle_for_ever(replay, daemon, endpoint, errors):
    """The stream's error output is the very folder that is replayed."""
    settings = {"retry": {"duration": "0s"}, "buffering": {"size": "1MiB", "interval": "0s"}}
    one = http_deliveries.to(endpoint.url, errors, **settings)
    one["http_endpoint"]["backup"]["error_output_prefix"] = "!{firehose:error-output-type}/"
    d = daemon(http_deliveries.stream(one))
    endpoint.script({"times": 0, "status": 500})
    outputs.put(d, b"one", b"two")
    http_deliveries.settled(d, 2)
    sent = 2
    for _ in range(2):
        text = replay(errors, *through(d), "--max-replays", 2)
        assert "2 records delivered" in text, text
        sent += 2
        http_deliveries.settled(d, sent)
    before = endpoint.count()
    text = replay(errors, *through(d), "--max-replays", 2, expect=1)
    assert "0 records delivered" in text and "2 left because they keep coming back" in text
    assert endpoint.count() == before
    # Still not: the objects are done.
    replay(errors, *through(d), "--max-replays", 2)
    assert endpoint.count() == before
    assert len(harness.files(errors)) == 3


def test_a_daemon_that_is_not_there_is_told(replay, errors):
    write(errors, "one", [b"one"])
    text = replay(
        errors, "--stream", "s", "--endpoint-url", "http://127.0.0.1:9", "--delete", expect=1
    )
    assert "127.0.0.1:9" in text
    assert len(harness.files(errors)) == 1 and not replay.finished()


def test_a_stream_that_is_not_there_is_told(replay, errors, streamed):
    write(errors, "one", [b"one"])
    text = replay(errors, *through(streamed, "no-such-stream"), "--delete", expect=1)
    assert "no-such-stream" in text and "ResourceNotFoundException" in text
    assert len(harness.files(errors)) == 1 and not replay.finished()


# ------------------------------------------------------------------- straight to a destination


# What a function failed is as it arrived, and goes through the transforms.
RAW = [b'{"a":1}', b'{"a":2}']
# What a destination refused has been through them.
THROUGH = [b'{"a":3,"seen":true}', b'{"a":4,"seen":true}']
SEEN = [b'{"a":1,"seen":true}', b'{"a":2,"seen":true}', *THROUGH]
MAP = {"map": ". + {seen: true}"}


def configured(daemon, destination, transforms=(MAP,)):
    """A configuration with one destination, and nobody who runs it."""
    d = daemon({"s": {"destinations": [{**destination, "transforms": list(transforms)}]}}, False)
    d.write_config()
    return ["--config", d.config_path, "--destination", next(iter(destination))]


def both_kinds(errors, kind):
    write(errors, "one", RAW, "processing-failed")
    write(errors, "two", THROUGH, kind)


def test_straight_to_an_http_endpoint(replay, daemon, endpoint, errors, tmp_path):
    both_kinds(errors, "http-endpoint-failed")
    one = http_deliveries.to(endpoint.url, tmp_path / "bucket")
    text = replay(errors, *configured(daemon, one))
    assert "4 records delivered" in text
    assert sorted(endpoint.records()) == SEEN
    assert {request.details["source_arn"] for request in endpoint.seen()} == {
        "arn:aws:firehose:us-east-1:000000000000:deliverystream/s"
    }
    assert not (tmp_path / "standpipe-0/data").exists(), "a folder of the daemon is touched"


def splunk(url, folder, **options):
    return {
        "splunk": {
            "endpoint": url,
            "token": "a token",
            "plain_http": True,
            "acknowledgment_poll": "100ms",
            "retry": {"duration": "0s"},
            "backup": http_deliveries.backup(folder),
            **options,
        }
    }


def test_straight_to_splunk(replay, daemon, collectors, errors, tmp_path):
    collector = collectors()
    both_kinds(errors, "splunk-failed")
    replay(errors, *configured(daemon, splunk(collector.url, tmp_path / "bucket", gzip=False)))
    # Nothing was put behind what had no line break of its own.
    events = "".join(event["event"] for event in collector.events()).encode()
    assert sorted(events.replace(b"}{", b"}\n{").split(b"\n")) == SEEN


def test_straight_to_opensearch(replay, daemon, search, errors, tmp_path):
    both_kinds(errors, "AmazonOpenSearchService-failed")
    one = {
        "opensearch": {
            "endpoint": search.url,
            "index_name": "events",
            "plain_http": True,
            "backup": http_deliveries.backup(tmp_path / "bucket"),
        }
    }
    replay(errors, *configured(daemon, one))
    # The index of the day on which the records arrived.
    assert set(search.docs) == {"events-2026-07-13"}
    assert sorted(search.documents("events-2026-07-13")) == SEEN


def test_straight_to_a_bucket(replay, daemon, errors, tmp_path):
    both_kinds(errors, "http-endpoint-failed")
    prefix = "in/!{timestamp:yyyy-MM-dd}/"
    one = harness.local(tmp_path / "bucket", prefix=prefix, error_output_prefix=outputs.ERRORS)
    replay(errors, *configured(daemon, one, [MAP, {"append_delimiter": "\n"}]))
    found = outputs.local_contents(tmp_path / "bucket")
    assert all(key.startswith("in/2026-07-13/") for key in found), list(found)
    joined = b"".join(found.values()).replace(b"}{", b"}\n{")
    assert sorted(joined.split()) == SEEN


def test_what_fails_again_counts_all_attempts(replay, daemon, endpoint, errors, tmp_path):
    made = {b"one": 5, b"two": 5, b"three": 1, b"four": 12}
    for record, attempts in made.items():
        write(errors, record.decode(), [record], attempts=attempts)
    endpoint.script({"times": 0, "status": 500})
    bucket = tmp_path / "bucket"
    one = http_deliveries.to(endpoint.url, bucket, retry={"duration": "0s"})
    text = replay(errors, *configured(daemon, one, []), "--delete")
    assert "0 records delivered" in text and "4 failed again and stored as such" in text
    found = failures(bucket)
    assert {raw: found[raw]["attemptsMade"] for raw in found} == {
        record: attempts + 1 for record, attempts in made.items()
    }
    assert {found[raw]["arrivalTimestamp"] for raw in found} == {ARRIVED}
    # They are in the new objects, so the old ones may go.
    assert not contents(errors)


def test_one_destination_of_several_is_named(replay, daemon, endpoints, errors, tmp_path):
    write(errors, "one", [b"one"])
    made = {name: endpoints(access_key=KEY) for name in ["first", "second"]}
    destinations = [
        http_deliveries.to(one.url, tmp_path / name, name=name) for name, one in made.items()
    ]
    streams = {"a": {"destinations": destinations}, "b": {"destinations": destinations[:1]}}
    d = daemon(streams, False)
    d.write_config()
    config = ["--config", d.config_path]
    replay(errors, *config, "--destination", "second")
    assert (made["first"].count(), made["second"].records()) == (0, [b"one"])
    # Both streams have one of this name.
    text = replay(errors, *config, "--destination", "first", expect=1)
    assert "--stream" in text
    replay(errors, *config, "--destination", "first", "--stream", "b")
    assert made["first"].records() == [b"one"]
    text = replay(errors, *config, "--destination", "third", expect=1)
    assert "third" in text


def test_circles_straight_to_a_destination_end(replay, daemon, endpoint, errors):
    endpoint.script({"times": 0, "status": 500})
    one = http_deliveries.to(endpoint.url, errors, retry={"duration": "0s"})
    one["http_endpoint"]["backup"]["error_output_prefix"] = "!{firehose:error-output-type}/"
    arguments = [*configured(daemon, one, []), "--max-replays", 2]
    write(errors, "one", [b"one"], attempts=3)
    for sent in (1, 2):
        text = replay(errors, *arguments)
        assert "1 failed again" in text and endpoint.count() == sent
    text = replay(errors, *arguments, expect=1)
    assert "1 left because they keep coming back" in text and endpoint.count() == 2
    lines = [json.loads(path.read_bytes()) for path in harness.files(errors).values()]
    assert sorted(one["attemptsMade"] for one in lines) == [3, 4, 5]
    # Whoever wants no more than so many attempts in all says so.
    write(errors, "two", [b"two"], attempts=9)
    text = replay(errors, *arguments, "--max-attempts", 8, expect=1)
    assert "1 left because of their many attempts" in text and endpoint.count() == 2


# --------------------------------------------------------------- to what is no more than a URL


TOKEN = "an-access-key-that-is-nobodys-business"


def assert_hidden(token, text, folder):
    """A token stands neither in what was printed nor in any file."""
    assert token not in text
    for path in folder.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes(), path


def test_to_the_url_of_an_http_endpoint(replay, endpoints, errors, tmp_path):
    endpoint = endpoints(access_key=TOKEN, content_encoding="gzip")
    sent = numbered(1000)
    write(errors, "one", sent)
    text = replay(errors, "--to", endpoint.url, STANDPIPE_TOKEN=TOKEN)
    assert endpoint.times() == once(sent)
    assert_hidden(TOKEN, text, tmp_path)
    assert "0 records delivered" in replay(errors, "--to", endpoint.url, "--token", TOKEN)


def test_to_the_url_of_a_plain_endpoint(replay, endpoints, errors, tmp_path):
    endpoint = endpoints(body="ndjson", poison=b"poison")
    good = [b'{"n":%d}' % number for number in range(50)]
    write(errors, "one", [*good[:20], b'{"poison":1}', *good[20:]], attempts=4)
    kept = tmp_path / "kept"
    arguments = ["--to", endpoint.url, "--kind", "ndjson", "--failed-to", f"file:{kept}"]
    text = replay(errors, *arguments, STANDPIPE_TOKEN=TOKEN)
    assert endpoint.times() == once(good)
    authorizations = {request.headers.get("Authorization") for request in endpoint.seen()}
    assert authorizations == {f"Bearer {TOKEN}"}
    ((key, data),) = outputs.local_contents(kept).items()
    assert key.startswith("http-endpoint-failed/")
    (told,) = map(json.loads, data.splitlines())
    assert base64.b64decode(told["rawData"]) == b'{"poison":1}'
    assert told["attemptsMade"] > 4
    assert "50 records delivered" in text and "1 failed again" in text
    assert_hidden(TOKEN, text, tmp_path)


@pytest.mark.parametrize("kind", ["splunk", "splunk_event"])
def test_to_the_url_of_a_collector(replay, collectors, errors, tmp_path, kind):
    collector = collectors(TOKEN)
    if kind == "splunk":
        sent = [b"event %d\n" % number for number in range(100)]
        expected = [record.decode().rstrip() for record in sent]
    else:
        expected = [f"event {number}" for number in range(100)]
        sent = [json.dumps({"event": event}).encode() for event in expected]
        sent.append(b"no envelope")
    write(errors, "one", sent, "splunk-failed")
    text = replay(errors, "--to", collector.url, "--kind", kind, STANDPIPE_TOKEN=TOKEN)
    assert sorted(event["event"] for event in collector.events()) == sorted(expected)
    assert_hidden(TOKEN, text, tmp_path)
    # Where no other folder is named, what fails stands in this one.
    again = outputs.local_contents(tmp_path / "replay-failed") if kind != "splunk" else {}
    raws = [base64.b64decode(json.loads(told)["rawData"]) for told in again.values()]
    assert raws == sent[100:]
    replay(errors, "--to", collector.url + "/other", "--kind", kind, expect=1)


def test_to_the_url_of_a_cluster(replay, search, errors, tmp_path):
    search.reject = {b"refused": 400}
    sent = [b'{"n":%d}' % number for number in range(100)]
    write(errors, "one", [*sent, b'{"refused":1}'], "AmazonOpenSearchService-failed", attempts=2)
    arguments = ["--to", search.url, "--kind", "opensearch"]
    assert "--index" in replay(errors, *arguments, expect=1)
    text = replay(errors, *arguments, "--index", "events")
    assert "100 records delivered" in text and "1 failed again" in text
    assert sorted(search.documents("events")) == sorted(sent)
    ((key, data),) = outputs.local_contents(tmp_path / "replay-failed").items()
    assert key.startswith("AmazonOpenSearchService-failed/")
    assert json.loads(data)["attemptsMade"] == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_replay_to_a_url_goes_on(replay, endpoints, errors, number):
    endpoint = endpoints(access_key=KEY, content_encoding="gzip")
    sent, by_key = many_objects(errors)
    arguments = ["--to", endpoint.url, "--delete"]
    process = replay.start(errors, *arguments, "--rate", 2000, STANDPIPE_TOKEN=KEY)
    harness.wait_for(lambda: len(replay.finished()) >= 2, "some are done")
    interrupted(process, number)
    finished = replay.finished()
    assert 2 <= len(finished) < len(by_key)
    replay(errors, *arguments, STANDPIPE_TOKEN=KEY)
    times = endpoint.times()
    assert set(times) == set(sent), "something is lost"
    assert {times[record] for key in finished for record in by_key[key]} == {1}
    assert not contents(errors)


def test_an_endpoint_that_is_down_is_waited_for(replay, endpoints, errors):
    away = endpoints(access_key=KEY, content_encoding="gzip")
    away.close()
    write(errors, "one", numbered(10))
    process = replay.start(errors, "--to", away.url, STANDPIPE_TOKEN=KEY)
    back = endpoints(access_key=KEY, content_encoding="gzip", port=away.port)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "10 records delivered" in out
    assert back.times() == once(numbered(10))


def test_a_refused_token_is_told_while_it_is_waited_for(replay, endpoints, errors, tmp_path):
    endpoint = endpoints(access_key="another", content_encoding="gzip")
    write(errors, "one", [b"one"])
    process = replay.start(errors, "--to", endpoint.url, "--delete", STANDPIPE_TOKEN=TOKEN)
    harness.wait_for(lambda: endpoint.count() >= 2, "it is asked again")
    text = interrupted(process, signal.SIGINT)
    assert "401" in text, text
    assert "0 records delivered" in text
    assert_hidden(TOKEN, text, tmp_path)
    assert len(harness.files(errors)) == 1 and not replay.finished()


class Counting(firehose_endpoint.FirehoseEndpoint):
    """An endpoint that is fast: it looks at nothing but the records."""

    def check(self, request):
        request.unpack()
        body = json.loads(request.body)
        request.details["id"] = body["requestId"]
        request.details["records"] = [
            base64.b64decode(record["data"]) for record in body["records"]
        ]


def test_many_records_arrive(replay, errors):
    endpoint = Counting()
    try:
        objects, each = 40, 5000
        for number in range(objects):
            first = number * each
            content = b"".join(
                b'{"attemptsMade":5,"arrivalTimestamp":%d,'
                b'"errorCode":"HttpEndpoint.RequestTimeout","errorMessage":"m",'
                b'"attemptEndingTimestamp":%d,"rawData":"%s","subsequenceNumber":0}\n'
                % (ARRIVED, ARRIVED, base64.b64encode(b"record %09d" % record))
                for record in range(first, first + each)
            )
            path = errors / "http-endpoint-failed" / f"{number:03}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        text = replay(errors, "--to", endpoint.url, "--delete")
        assert "200000 records delivered" in text and "40 deleted" in text
        records = endpoint.records()
        assert len(records) == 200_000
        assert set(records) == {b"record %09d" % number for number in range(200_000)}
        assert endpoint.mistakes == []
    finally:
        endpoint.close()


# ------------------------------------------------------------------------------ the whole circle


def test_what_an_outage_put_aside_comes_back(replay, daemon, endpoints, tmp_path):
    away = endpoints(access_key=KEY)
    away.close()
    bucket = tmp_path / "bucket"
    one = http_deliveries.to(away.url, bucket, retry={"duration": "1s"})
    d = daemon(http_deliveries.stream({**one, "transforms": [{"append_delimiter": "|"}]}))
    sent = [b"one", b"", "日本\n".encode(), bytes(range(256)), b"x" * 900_000, *numbered(400)]
    outputs.put(d, *sent)
    assert http_deliveries.settled(d, len(sent))["failed"] == len(sent)
    aside = contents(bucket)
    assert aside
    back = endpoints(access_key=KEY, port=away.port)
    arguments = ["--config", d.config_path, "--destination", "http_endpoint", "--delete"]
    text = replay(bucket, *arguments)
    assert f"{len(sent)} records delivered" in text
    # Once with the delimiter, and not twice.
    assert back.times() == once(record + b"|" for record in sent)
    assert not contents(bucket)
    # The daemon goes on beside it.
    outputs.put(d, b"two")
    http_deliveries.settled(d, len(sent) + 1)
    assert back.records()[-1] == b"two|"
