"""What lies in the bucket: bytes, names and headers, read back by other readers."""

import datetime
import os
import re

import pytest

import containers
import harness

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
STAMP = r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d"


def records():
    """Text, nothing, all byte values, noise, and one of the largest size."""
    return [
        b'{"id":1}\n',
        b"",
        bytes(range(256)),
        os.urandom(100_000),
        b"a" * 1_024_000,
        "Grüße\n".encode(),
    ]


@pytest.mark.parametrize("compression", containers.ALL)
def test_bytes_survive_every_container(daemon, tmp_path, compression):
    read, extension, _ = containers.ALL[compression]
    folder = tmp_path / "bucket"
    d = daemon({"s": {"destinations": [harness.local(folder, compression=compression)]}})
    sent = records()
    for record in sent:
        d.firehose().put_record(DeliveryStreamName="s", Record={"Data": record})
    found = harness.delivered(d, "s", folder, len(b"".join(sent)), read)
    # A flush may have cut between two records; which object came first, keys do not say.
    assert _joins(list(found.values()), b"".join(sent)), "the bytes differ"
    assert all(key.endswith(extension) for key in found)


def _joins(pieces, whole):
    """Whether the pieces, in some order, make up the whole."""
    if not pieces:
        return whole == b""
    for i, piece in enumerate(pieces):
        if whole.startswith(piece) and _joins(pieces[:i] + pieces[i + 1 :], whole[len(piece) :]):
            return True
    return False


@pytest.mark.parametrize("compression", containers.ALL)
def test_headers_of_objects_in_s3(daemon, s3_server, compression):
    read, extension, encoding = containers.ALL[compression]
    s3_server.client().create_bucket(Bucket="bucket")
    d = daemon(
        {"s": {"destinations": [harness.bucket("bucket", s3_server, compression=compression)]}},
        aws=harness.outgoing(),
    )
    d.firehose().put_record(DeliveryStreamName="s", Record={"Data": b"hello\n"})
    found = harness.delivered_to_s3(d, "s", s3_server, "bucket", 6, read)
    ((key, answer),) = found.items()
    assert read(answer["Body"]) == b"hello\n"
    assert answer["ContentType"] == "application/octet-stream"
    assert answer.get("ContentEncoding") == encoding
    assert key.endswith(extension)


def test_content_encoding_can_be_left_out(daemon, s3_server):
    s3_server.client().create_bucket(Bucket="bucket")
    destination = harness.bucket("bucket", s3_server, compression="gzip", content_encoding=False)
    d = daemon({"s": {"destinations": [destination]}}, aws=harness.outgoing())
    d.firehose().put_record(DeliveryStreamName="s", Record={"Data": b"hello"})
    found = harness.delivered_to_s3(d, "s", s3_server, "bucket", 5, containers.gzip_one_member)
    assert [answer.get("ContentEncoding") for answer in found.values()] == [None]


def test_a_large_object_goes_up_in_parts(daemon, s3_server):
    s3_server.client().create_bucket(Bucket="bucket")
    destination = harness.bucket(
        "bucket",
        s3_server,
        multipart_threshold="6MiB",
        buffering={"size": "64MiB", "interval": "900s"},
    )
    d = daemon({"s": {"destinations": [destination]}}, aws=harness.outgoing())
    sent = [os.urandom(1_000_000) for _ in range(20)]
    client = d.firehose()
    for record in sent:
        client.put_record(DeliveryStreamName="s", Record={"Data": record})
    found = harness.delivered_to_s3(d, "s", s3_server, "bucket", 20_000_000)
    ((_, answer),) = found.items()
    assert answer["Body"] == b"".join(sent)
    assert re.search(r"-\d+\"?$", answer["ETag"]), f"not a multipart object: {answer['ETag']}"


def keys_of(daemon, tmp_path, **options):
    """The key of one record's object, and the times between which it was sent."""
    folder = tmp_path / "bucket"
    d = daemon({"my.stream": {"destinations": [harness.local(folder, **options)]}})
    before = datetime.datetime.now(datetime.timezone.utc)
    d.firehose().put_record(DeliveryStreamName="my.stream", Record={"Data": b"x"})
    after = datetime.datetime.now(datetime.timezone.utc)
    ((key, content),) = harness.delivered(d, "my.stream", folder, 1).items()
    assert content == b"x"
    return key, before, after


def between(before, after, pattern, zone=datetime.timezone.utc):
    """The time of arrival in a pattern: one of two where a boundary was crossed."""
    return {moment.astimezone(zone).strftime(pattern) for moment in (before, after)}


def test_default_key(daemon, tmp_path):
    key, before, after = keys_of(daemon, tmp_path)
    assert re.fullmatch(rf"\d{{4}}/\d\d/\d\d/\d\d/my\.stream-1-{STAMP}-{UUID}", key), key
    assert key[:13] in between(before, after, "%Y/%m/%d/%H")
    stamp = re.search(STAMP, key)[0]
    assert min(between(before, after, "%Y-%m-%d-%H-%M-%S")) <= stamp
    assert stamp <= max(between(before, after, "%Y-%m-%d-%H-%M-%S"))


def test_literal_prefix_gets_the_hour_without_a_slash(daemon, tmp_path):
    key, before, after = keys_of(daemon, tmp_path, prefix="legacy")
    assert key[: len("legacy2026/01/02/03")] in between(before, after, "legacy%Y/%m/%d/%H")


def test_timestamp_expressions_and_literals(daemon, tmp_path):
    key, before, after = keys_of(
        daemon,
        tmp_path,
        prefix="a/year=!{timestamp:yyyy}/!{timestamp:'day='dd}/{year}/",
        error_output_prefix="errors/!{firehose:error-output-type}/",
    )
    assert key.rsplit("/", 1)[0] in between(before, after, "a/year=%Y/day=%d/{year}")


def test_random_string_and_extension(daemon, tmp_path):
    key, _, _ = keys_of(
        daemon,
        tmp_path,
        prefix="!{firehose:random-string}/!{firehose:random-string}/",
        error_output_prefix="errors/!{firehose:error-output-type}/",
        file_extension=".json.gz",
        compression="uncompressed",
    )
    first, second, name = key.split("/")
    assert re.fullmatch("[0-9A-Za-z]{11}", first) and re.fullmatch("[0-9A-Za-z]{11}", second)
    assert first != second
    assert re.fullmatch(rf"my\.stream-1-{STAMP}-{UUID}\.json\.gz", name), name


def test_custom_time_zone(daemon, tmp_path):
    zone = datetime.timezone(datetime.timedelta(hours=14))
    key, before, after = keys_of(daemon, tmp_path, custom_time_zone="Pacific/Kiritimati")
    assert key[:13] in between(before, after, "%Y/%m/%d/%H", zone)
    stamp = re.search(STAMP, key)[0]
    assert stamp[:13] in between(before, after, "%Y-%m-%d-%H", zone)


def test_size_closes_an_object(daemon, tmp_path):
    folder = tmp_path / "bucket"
    destination = harness.local(folder, buffering={"size": "1MiB", "interval": "900s"})
    d = daemon({"s": {"destinations": [destination]}})
    client = d.firehose()
    for _ in range(24):
        client.put_record(DeliveryStreamName="s", Record={"Data": b"r" * 100_000})
    # No flush: only the size can have closed them.
    harness.wait_for(lambda: len(harness.files(folder)) >= 2, "two objects by size")
    assert all(path.stat().st_size >= 900_000 for path in harness.files(folder).values())


@pytest.mark.parametrize("interval", ["0s", "1s"])
def test_interval_closes_an_object(daemon, tmp_path, interval):
    folder = tmp_path / "bucket"
    destination = harness.local(folder, buffering={"size": "128MiB", "interval": interval})
    d = daemon({"s": {"destinations": [destination]}})
    d.firehose().put_record(DeliveryStreamName="s", Record={"Data": b"x"})
    harness.wait_for(lambda: len(harness.files(folder)) == 1, "an object by interval")


@pytest.mark.parametrize("spelling", ["\n", "\\n", "\\\\n"])
def test_append_delimiter(daemon, tmp_path, spelling):
    folder = tmp_path / "bucket"
    destination = {**harness.local(folder), "transforms": [{"append_delimiter": spelling}]}
    d = daemon({"s": {"destinations": [destination]}})
    d.firehose().put_record_batch(
        DeliveryStreamName="s", Records=[{"Data": b'{"a":1}'}, {"Data": b'{"a":2}\n'}]
    )
    found = harness.delivered(d, "s", folder, 17)
    assert b"".join(found.values()) == b'{"a":1}\n{"a":2}\n\n'


def test_append_delimiter_if_missing(daemon, tmp_path):
    folder = tmp_path / "bucket"
    transform = {"append_delimiter": {"delimiter": "\n", "if_missing": True}}
    d = daemon({"s": {"destinations": [{**harness.local(folder), "transforms": [transform]}]}})
    d.firehose().put_record_batch(
        DeliveryStreamName="s", Records=[{"Data": b'{"a":1}'}, {"Data": b'{"a":2}\n'}]
    )
    found = harness.delivered(d, "s", folder, 16)
    assert b"".join(found.values()) == b'{"a":1}\n{"a":2}\n'


def test_source_backup_holds_the_untouched_records(daemon, tmp_path):
    main, backup = tmp_path / "main", tmp_path / "backup"
    destination = harness.local(
        main,
        prefix="main/",
        s3_backup_mode="enabled",
        s3_backup={
            "bucket": backup.resolve().as_uri(),
            "prefix": "source/",
            "compression": "gzip",
            "buffering": {"size": "5MiB", "interval": "900s"},
        },
    )
    destination["transforms"] = [{"append_delimiter": "\n"}]
    d = daemon({"s": {"destinations": [destination]}})
    d.firehose().put_record_batch(
        DeliveryStreamName="s", Records=[{"Data": b"one"}, {"Data": b"two"}]
    )
    found = harness.delivered(d, "s", main, 8)
    assert b"".join(found.values()) == b"one\ntwo\n"
    kept = harness.delivered(d, "s", backup, 6, containers.gzip_one_member)
    assert b"".join(kept.values()) == b"onetwo"
    assert all(key.startswith("source/") and key.endswith(".gz") for key in kept)
    assert all(key.startswith("main/") for key in found)


def test_two_destinations_each_get_everything(daemon, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    destinations = [harness.local(one), {"name": "second", **harness.local(two, compression="gzip")}]
    d = daemon({"s": {"destinations": destinations}})
    d.firehose().put_record(DeliveryStreamName="s", Record={"Data": b"both"})
    assert list(harness.delivered(d, "s", one, 4).values()) == [b"both"]
    found = harness.delivered(d, "s", two, 4, containers.gzip_one_member)
    assert list(found.values()) == [b"both"]
