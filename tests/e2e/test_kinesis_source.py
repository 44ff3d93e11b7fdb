"""The Kinesis source: every record of every shard, through splits, merges and crashes."""

import base64
import datetime
import hashlib
import os
import random

import pytest
from aws_kinesis_agg.aggregator import RecordAggregator
from botocore.exceptions import ClientError

import harness
import kinesis_reads
import lambda_api
import outputs
from kinesis_reads import all_arrived, duplicates, numbered, once, put, stream, writing
from test_api import active, code_of, description, extended

JOURNALS = ["fsync", "memory"]
# kill -9 while reading; more by the environment.
KILLS = int(os.environ.get("STANDPIPE_KINESIS_KILLS", "4"))
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:transform:$LATEST"


@pytest.fixture
def started(daemon, kinesis, tmp_path):
    """Starts a daemon whose stream `s` reads the Kinesis stream `name` into `bucket`."""

    def start(name, journal="fsync", **options):
        one = stream(kinesis, name, tmp_path / "bucket", journal, **options)
        return daemon({"s": one}, aws=harness.outgoing())

    return start


@pytest.fixture
def bucket(tmp_path):
    return tmp_path / "bucket"


def ends(daemon, sent, folder):
    """Waits for all records, ends the daemon in order and answers what was delivered."""
    all_arrived(sent, folder)
    assert daemon.terminate() == 0, daemon.log()[-3000:]
    return kinesis_reads.lines(folder)


# ------------------------------------------------------------------------- splits and merges


@pytest.mark.parametrize("journal", JOURNALS)
def test_shards_split_and_merge_while_they_are_read(started, kinesis, bucket, journal):
    name = f"reshard-{journal}"
    kinesis.create(name, 2)
    d = started(name, journal)
    with writing(kinesis, name) as writer:
        for change in (kinesis.split, kinesis.merge, kinesis.split):
            writer.more()
            change(name)
        writer.more()
    assert len(kinesis.open_shards(name)) == 3
    found = ends(d, writer.sent, bucket)
    once(writer.sent, found)
    kinesis_reads.in_order(found)


@pytest.mark.parametrize("journal", JOURNALS)
@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_shards_split_and_merge_while_nobody_reads(started, kinesis, bucket, journal, end):
    name = f"asleep-{journal}-{end}"
    kinesis.create(name, 2)
    sent = numbered("w", 320)
    put(kinesis, name, sent)
    d = started(name, journal)
    all_arrived(sent, bucket)
    getattr(d, end)()
    # Children are split and merged in their turn, so there are generations to read.
    for change in (kinesis.split, kinesis.merge, kinesis.split):
        some = numbered("w", 320, len(sent))
        put(kinesis, name, some)
        sent += some
        change(name)
    some = numbered("w", 320, len(sent))
    put(kinesis, name, some)
    sent += some
    d.start()
    found = ends(d, sent, bucket)
    if (journal, end) == ("memory", "kill"):
        # Positions are kept every few seconds: what came since the last time is read again.
        assert duplicates(sent, found) <= 320
    else:
        once(sent, found)
        kinesis_reads.in_order(found)


# ---------------------------------------------------------------------------------- crashes


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_daemon_that_is_killed_while_it_reads(started, kinesis, bucket, journal):
    name = f"killed-{journal}"
    kinesis.create(name, 3)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    d = started(name, journal)
    with writing(kinesis, name) as writer:
        for kill in range(KILLS):
            kinesis_reads.reads(d, rng.randrange(1, 400))
            d.kill()
            if kill == KILLS // 2:
                kinesis.split(name, 1)
            d.start()
        writer.more()
    found = ends(d, writer.sent, bucket)
    again = duplicates(writer.sent, found)
    print(f"{len(writer.sent)} records, {again} delivered again")
    if journal == "fsync":
        once(writer.sent, found)
        kinesis_reads.in_order(found)


# ------------------------------------------------------------------------------------- stops


@pytest.mark.parametrize("journal", JOURNALS)
def test_after_a_stop_under_load_nothing_is_read_again(started, kinesis, bucket, journal):
    name = f"stopped-{journal}"
    kinesis.create(name, 3)
    d = started(name, journal)
    with writing(kinesis, name) as writer:
        for _ in range(3):
            kinesis_reads.reads(d, 100)
            assert d.terminate() == 0
            d.start()
        writer.more()
    once(writer.sent, ends(d, writer.sent, bucket))


def test_a_stop_without_the_destination_ends_and_all_is_read_again(daemon, kinesis, s3_server):
    s3_server.client().create_bucket(Bucket="bucket")
    s3_server.stop()
    kinesis.create("away", 2)
    sent = numbered("w", 200)
    put(kinesis, "away", sent)
    one = stream(kinesis, "away", "/unused", "memory")
    quick = {"size": "1MiB", "interval": "1s"}
    one["destinations"] = [harness.bucket("bucket", s3_server, buffering=quick)]
    d = daemon({"s": one}, aws=harness.outgoing(), shutdown_timeout="2s")
    kinesis_reads.reads(d, len(sent))
    assert d.terminate() == 0
    s3_server.start()
    d.start()
    size = sum(len(line) + 1 for line in sent)
    harness.delivered_to_s3(d, "s", s3_server, "bucket", size)
    assert d.terminate() == 0
    bodies = s3_server.objects("bucket").values()
    once(sent, b"".join(answer["Body"] for answer in bodies).splitlines())


# -------------------------------------------------------------------------------- beginnings


def test_latest_passes_over_what_was_there_and_nothing_after(started, kinesis, bucket):
    kinesis.create("latest", 2)
    put(kinesis, "latest", numbered("before", 100))
    d = started("latest", start="latest")
    probes = kinesis_reads.probe(d, kinesis, "latest")
    shard = shard_of(kinesis, "latest", "key-0")
    # The other shard has given no record yet: a restart must not pass over what comes meanwhile.
    d.kill()
    asleep = numbered("asleep", 100)
    put(kinesis, "latest", asleep)
    kinesis.split("latest", 1 - shard)
    more = numbered("more", 100)
    put(kinesis, "latest", more)
    d.start()
    found = ends(d, asleep + more, bucket)
    first = next(i for i, line in enumerate(probes) if line in found)
    once(probes[first:] + asleep + more, found)


def shard_of(server, name, key):
    """Which open shard has this partition key, from 0."""
    number = int(hashlib.md5(key.encode()).hexdigest(), 16)
    ends = [int(s["HashKeyRange"]["EndingHashKey"]) for s in server.open_shards(name)]
    return next(index for index, end in enumerate(ends) if number <= end)


def test_at_timestamp_begins_at_the_first_record_of_that_time(started, kinesis, bucket):
    kinesis.create("timed", 1)
    put(kinesis, "timed", numbered("before", 50))
    old = arrivals(kinesis, "timed")
    now = lambda: datetime.datetime.now(datetime.timezone.utc)  # noqa: E731
    later = datetime.timedelta(milliseconds=1500)
    harness.wait_for(lambda: now() > old[-1] + later, "the clock has moved")
    sent = numbered("after", 50)
    put(kinesis, "timed", sent)
    first = arrivals(kinesis, "timed")[len(old)]
    assert first > old[-1]
    text = first.astimezone(datetime.timezone.utc).isoformat(timespec="milliseconds")
    d = started("timed", start={"at_timestamp": text})
    # Children of a shard that was read are read from their first record.
    kinesis.split("timed")
    more = numbered("more", 50)
    put(kinesis, "timed", more)
    once(sent + more, ends(d, sent + more, bucket))


def arrivals(server, name):
    """When the records of a stream of one shard arrived."""
    client = server.client()
    shard = server.open_shards(name)[0]["ShardId"]
    start = client.get_shard_iterator(
        StreamName=name, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )
    answer = client.get_records(ShardIterator=start["ShardIterator"])
    return [record["ApproximateArrivalTimestamp"] for record in answer["Records"]]


# -------------------------------------------------------------------------------- aggregates


def aggregate(what, key=lambda number: f"key-{number}"):
    """One record of the Kinesis Producer Library: (partition key, explicit hash key, data)."""
    made = RecordAggregator()
    for number, line in enumerate(what):
        assert made.add_user_record(key(number), line + b"\n") is None, "it is full"
    return made.clear_and_get().get_contents()


def put_aggregate(server, name, what, key=lambda number: f"key-{number}"):
    partition_key, hash_key, data = aggregate(what, key)
    extra = {"ExplicitHashKey": hash_key} if hash_key else {}
    server.client().put_record(StreamName=name, PartitionKey=partition_key, Data=data, **extra)


@pytest.mark.parametrize("journal", JOURNALS)
def test_aggregates_are_taken_apart(started, kinesis, bucket, journal):
    name = f"kpl-{journal}"
    kinesis.create(name, 1)
    sent = []
    for number in range(5):
        some = numbered("kpl", 500, 500 * number)
        put_aggregate(kinesis, name, some)
        plain = numbered("plain", 10, 10 * number)
        put(kinesis, name, plain)
        sent += some + plain
    d = started(name, journal)
    kinesis_reads.reads(d, len(sent))
    more = numbered("kpl", 500, 2500)
    put_aggregate(kinesis, name, more)
    found = ends(d, sent + more, bucket)
    assert found == sent + more, "in their order, each once"


def test_what_only_looks_like_an_aggregate_is_a_record(started, kinesis, bucket):
    kinesis.create("no-kpl", 1)
    _, _, whole = aggregate(numbered("kpl", 3))
    broken = [whole[:-1] + bytes([whole[-1] ^ 1]), whole[:4], whole[:20], whole[:-16]]
    kinesis.put("no-kpl", broken, lambda _: "key")
    last = numbered("last", 1)
    put(kinesis, "no-kpl", last)
    d = started("no-kpl")
    kinesis_reads.reads(d, 5)
    assert d.terminate() == 0
    assert outputs.written(bucket) == b"".join(broken) + last[0] + b"\n"


def test_of_an_aggregate_in_the_wrong_shard_nothing_is_read_twice(started, kinesis, bucket):
    """After a split a producer's aggregate may hold records of both children; who wrote it sends
    those of the other again, so each child gives its own only."""
    kinesis.create("strays", 2)
    keys = [f"key-{number}" for number in range(64)]
    own = [key for key in keys if shard_of(kinesis, "strays", key) == 0]
    stray = next(key for key in keys if key not in own)
    first = numbered("first", len(own))
    put_aggregate(kinesis, "strays", first, lambda number: own[number])
    put_aggregate(kinesis, "strays", numbered("stray", 3), lambda number: [*own[:2], stray][number])
    last = numbered("last", 4)
    put(kinesis, "strays", last, lambda _: own[0])
    d = started("strays")
    kinesis_reads.reads(d, len(first + last))
    all_arrived(first + last, bucket)
    # As the Kinesis Client Library does: such an aggregate gives nothing at all.
    passed_over = d.metrics()["standpipe_source_skipped_records_total", {"stream": "s"}]
    assert passed_over == 3
    once(first + last, ends(d, first + last, bucket))


# --------------------------------------------------------------------------- enhanced fan-out


@pytest.mark.parametrize("journal", JOURNALS)
def test_enhanced_fan_out_reads_everything(started, kinesis, bucket, journal):
    """Without splits: `kinesis-local` never tells a subscriber that a shard is at its end."""
    name = f"fan-{journal}"
    kinesis.create(name, 2)
    d = started(name, journal, enhanced_fan_out={})
    with writing(kinesis, name) as writer:
        kinesis_reads.reads(d, 100)
        if journal == "fsync":
            d.kill()
        else:
            assert d.terminate() == 0
        writer.more()
        d.start()
        writer.more()
    summary = kinesis.client().describe_stream_summary(StreamName=name)
    arn = summary["StreamDescriptionSummary"]["StreamARN"]
    consumers = kinesis.client().list_stream_consumers(StreamARN=arn)["Consumers"]
    assert [consumer["ConsumerName"] for consumer in consumers] == ["standpipe-s"]
    found = ends(d, writer.sent, bucket)
    once(writer.sent, found)
    if journal == "fsync":
        kinesis_reads.in_order(found)


# --------------------------------------------------------------------------------- transforms


class KinesisLambda(lambda_api.LambdaApi):
    """Lambda's double for streams that read Kinesis."""

    event_members = ["invocationId", "deliveryStreamArn", "region", "sourceKinesisStreamArn"]
    event_members += ["records"]
    record_members = [*lambda_api.RECORD_MEMBERS, "kinesisRecordMetadata"]


def test_functions_are_told_where_a_record_comes_from(daemon, kinesis, bucket):
    kinesis.create("told", 2)
    client = kinesis.client()
    put_by = {}
    for line in numbered("plain", 20):
        key = f"key ☃ {line.decode()}"
        answer = client.put_record(StreamName="told", PartitionKey=key, Data=line + b"\n")
        put_by[line] = (answer["SequenceNumber"], 0, key, answer["ShardId"])
    kpl = numbered("kpl", 3)
    partition_key, _, data = aggregate(kpl, lambda _: "same")
    answer = client.put_record(StreamName="told", PartitionKey=partition_key, Data=data)
    for number, line in enumerate(kpl):
        put_by[line] = (answer["SequenceNumber"], number, "same", answer["ShardId"])
    api = KinesisLambda(FUNCTION, harness.ACCESS_KEY, harness.SECRET_KEY)
    try:
        function = {"lambda": {"function": FUNCTION, "buffer_interval": "0s"}}
        one = stream(None, "told", bucket, transforms=[function])
        aws = {"lambda_endpoint": api.url, "kinesis_endpoint": kinesis.url, **harness.outgoing()}
        d = daemon({"s": one}, aws=aws)
        once(list(put_by), ends(d, list(put_by), bucket))
    finally:
        api.close()
    assert api.mistakes == []
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/told"
    seen = {}
    for event in api.calls:
        assert event["sourceKinesisStreamArn"] == arn
        for record in event["records"]:
            metadata = record["kinesisRecordMetadata"]
            assert list(metadata) == ["sequenceNumber", "subsequenceNumber", "partitionKey"] + [
                "shardId",
                "approximateArrivalTimestamp",
            ]
            *told, arrival = metadata.values()
            assert arrival == record["approximateArrivalTimestamp"]
            seen[base64.b64decode(record["data"]).rstrip()] = tuple(told)
    assert seen == put_by


# ----------------------------------------------------------------------------------- the API


def test_a_stream_made_by_the_api_reads_kinesis(daemon, kinesis, s3_server):
    kinesis.create("api", 2)
    put(kinesis, "api", numbered("before", 20))
    old = max(arrivals(kinesis, "api"), default=None)
    now = lambda: datetime.datetime.now(datetime.timezone.utc)  # noqa: E731
    later = datetime.timedelta(milliseconds=1500)
    harness.wait_for(lambda: old is None or now() > old + later, "the clock has moved")
    s3_server.client().create_bucket(Bucket="bucket")
    aws = {"endpoint": s3_server.url, "kinesis_endpoint": kinesis.url, **harness.outgoing()}
    d = daemon({}, aws=aws)
    client = d.firehose()
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/api"
    source = {"KinesisStreamARN": arn, "RoleARN": harness.ROLE}
    client.create_delivery_stream(
        DeliveryStreamName="made",
        DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration=source,
        ExtendedS3DestinationConfiguration=extended(),
    )
    active(client)
    sent = numbered("sent", 100)
    put(kinesis, "api", sent)

    found = description(client)
    assert found["DeliveryStreamType"] == "KinesisStreamAsSource"
    described = found["Source"]["KinesisStreamSourceDescription"]
    begun = described.pop("DeliveryStartTimestamp")
    assert described == source
    assert begun >= found["CreateTimestamp"]

    for call in (
        lambda: client.put_record(DeliveryStreamName="made", Record={"Data": b"x"}),
        lambda: client.put_record_batch(DeliveryStreamName="made", Records=[{"Data": b"x"}]),
    ):
        with pytest.raises(ClientError) as error:
            call()
        assert code_of(error) == "InvalidArgumentException"
    listed = client.list_delivery_streams(DeliveryStreamType="KinesisStreamAsSource")
    assert listed["DeliveryStreamNames"] == ["made"]

    expected = b"".join(line + b"\n" for line in sent)
    bodies = harness.delivered_to_s3(d, "made", s3_server, "bucket", len(expected)).values()
    once(sent, b"".join(answer["Body"] for answer in bodies).splitlines())

    # It goes on after a restart.
    d.kill()
    more = numbered("more", 100)
    put(kinesis, "api", more)
    d.start()
    size = len(expected) + sum(len(line) + 1 for line in more)
    bodies = harness.delivered_to_s3(d, "made", s3_server, "bucket", size).values()
    once(sent + more, b"".join(answer["Body"] for answer in bodies).splitlines())
    client.delete_delivery_stream(DeliveryStreamName="made")


# -------------------------------------------------------------------------- metrics and trouble


def test_a_full_journal_holds_reading_and_the_metrics_tell(daemon, kinesis, s3_server):
    s3_server.client().create_bucket(Bucket="bucket")
    s3_server.stop()
    kinesis.create("behind", 1)
    big = [line + b"x" * 900_000 + b"\n" for line in numbered("big", 26)]
    for record in big:
        kinesis.put("behind", [record])
    one = stream(kinesis, "behind", "/unused")
    one["journal"] = {"durability": "memory", "max_size": "16MiB"}
    quick = {"size": "1MiB", "interval": "1s"}
    one["destinations"] = [harness.bucket("bucket", s3_server, buffering=quick)]
    d = daemon({"s": one}, aws=harness.outgoing())

    def sample(name):
        return d.metrics()[f"standpipe_{name}", {"stream": "s"}]

    waited = "data_read_from_source_backpressured_total"
    harness.wait_for(lambda: sample(waited) > 0, "reading waits for the journal")
    harness.wait_for(lambda: sample("kinesis_millis_behind_latest") > 0, "it is behind")
    assert sample("data_read_from_source_records_total") < len(big)
    s3_server.start()
    kinesis_reads.reads(d, len(big))
    harness.wait_for(lambda: sample("kinesis_millis_behind_latest") == 0, "it has caught up")
    assert sample("data_read_from_source_records_total") == len(big)
    assert sample("data_read_from_source_bytes_total") == sum(map(len, big))
    assert sample("source_parts") == 1
    bodies = harness.delivered_to_s3(d, "s", s3_server, "bucket", sum(map(len, big))).values()
    once(big, b"".join(answer["Body"] for answer in bodies).splitlines(keepends=True))


def test_a_stream_that_is_deleted_is_told_of_and_harms_nobody(daemon, kinesis, bucket, tmp_path):
    kinesis.create("doomed", 2)
    sent = numbered("w", 50)
    put(kinesis, "doomed", sent)
    other = {"destinations": [harness.local(tmp_path / "other")]}
    reading = stream(kinesis, "doomed", bucket)
    d = daemon({"s": reading, "other": other}, aws=harness.outgoing())
    all_arrived(sent, bucket)
    kinesis.client().delete_stream(StreamName="doomed", EnforceConsumerDeletion=True)

    def told():
        found = [line for line in d.log().splitlines() if "reading from kinesis failed" in line]
        return [line for line in found if "doomed" in line and "Kinesis.ResourceNotFound" in line]

    harness.wait_for(told, "the daemon tells of it")
    assert d.get("/health/ready")[0] == 200
    d.firehose().put_record(DeliveryStreamName="other", Record={"Data": b"alive\n"})
    harness.delivered(d, "other", tmp_path / "other", len(b"alive\n"))
    errors = {"stream": "s", "code": "Kinesis.ResourceNotFound"}
    assert d.metrics()["standpipe_source_errors_total", errors] > 0
    # Tries are few, and words fewer.
    assert len(told()) < 5
    assert d.terminate() == 0
    once(sent, kinesis_reads.lines(bucket))


def test_a_stream_that_is_not_there_yet_is_waited_for(started, kinesis, bucket):
    d = started("unborn")
    harness.wait_for(lambda: "Kinesis.ResourceNotFound" in d.log(), "the daemon tells of it")
    kinesis.create("unborn", 2)
    sent = numbered("w", 50)
    put(kinesis, "unborn", sent)
    once(sent, ends(d, sent, bucket))


def test_a_server_that_stops_answering_is_waited_for(started, kinesis, bucket):
    kinesis.create("outage", 2)
    d = started("outage")
    with writing(kinesis, "outage") as writer:
        kinesis_reads.reads(d, 100)
    sent = writer.sent
    kinesis.pause()
    d.kill()
    d.start()
    kinesis.resume()
    more = numbered("more", 100)
    put(kinesis, "outage", more)
    once(sent + more, ends(d, sent + more, bucket))
