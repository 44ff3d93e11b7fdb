"""A Kafka topic as the source: what was written to it is delivered, whoever is restarted."""

import collections
import datetime
import json
import random
import signal
import time

import pytest
from botocore.exceptions import ClientError

import faulty_s3
import harness
import kafka
import outputs
from topics import Producing

JOURNALS = ["fsync", "memory"]
KILLS = 5


def source(topics, topic, **options):
    """The group is named as the topic is."""
    return {
        "kafka": {
            "brokers": [topics.kafka.brokers],
            "topics": [topic],
            "group": topic,
            "start": "earliest",
            "session_timeout": "6s",
            "librdkafka": {"topic.metadata.refresh.interval.ms": "500"},
            **options,
        }
    }


def stream(source, destination, journal="fsync"):
    return {
        "s": {"source": source, "journal": {"durability": journal}, "destinations": [destination]}
    }


def small(folder, **options):
    return harness.local(folder, **{"buffering": {"size": "1MiB", "interval": "1s"}, **options})


def lines(*folders):
    """Every line that was delivered, with how often it is there."""
    found = collections.Counter()
    for folder in folders:
        for path in harness.files(folder).values():
            found.update(path.read_bytes().splitlines())
    return found


def read(daemon):
    return daemon.metrics()["standpipe_data_read_from_source_records_total", {"stream": "s"}]


def parts(daemon):
    return daemon.metrics()["standpipe_source_parts", {"stream": "s"}]


def wait_parts(daemon, count):
    harness.wait_for(lambda: parts(daemon) == count, f"{count} partitions are read", pause=0.1)


def arrived(sent, *folders):
    """Waits until nothing is missing; what is there more than once."""
    harness.wait_for(
        lambda: not sent - lines(*folders), "everything is delivered", timeout=120, pause=0.2
    )
    found = lines(*folders)
    assert set(found) == set(sent), "something was delivered that nobody wrote"
    return (found - sent).total()


def all_told(topics, topic):
    """Waits until the group knows of all that is in a topic of four partitions."""
    ends = topics.ends(topic, 4)
    harness.wait_for(
        lambda: topics.committed(topic, topic, 4) == ends, "the group is told of all", pause=0.2
    )


# ------------------------------------------------------------------------------- one daemon


@pytest.mark.parametrize("journal", JOURNALS)
def test_kills_while_records_are_written(daemon, topics, tmp_path, journal):
    topic, folder = topics.create(), tmp_path / "bucket"
    # Under its name the member that comes back has its partitions at once.
    d = daemon(stream(source(topics, topic, instance_id="one"), small(folder), journal))
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    with Producing(topics, topic) as producing:
        for _ in range(KILLS):
            harness.wait_for(lambda: read(d) > 0, "it reads")
            moment = time.monotonic() + rng.uniform(0, 2.5)
            harness.wait_for(lambda: time.monotonic() >= moment, "the moment", pause=0.001)
            d.kill()
            d.start()
    doubles = arrived(producing.sent, folder)
    all_told(topics, topic)
    assert d.terminate() == 0
    print(f"{producing.sent.total()} records, {doubles} twice")
    if journal == "fsync":
        # The place in the topic stands in the journal beside the records.
        assert lines(folder) == producing.sent
    else:
        # What was delivered and not yet told to the group, some seconds of it, is read again.
        assert doubles < producing.sent.total() * KILLS


@pytest.mark.parametrize("journal", JOURNALS)
def test_the_broker_is_restarted_and_the_topic_grows(daemon, topics, tmp_path, journal):
    topic, folder = topics.create(2), tmp_path / "bucket"
    # A session that ends while the broker is away gives the partitions to somebody else.
    options = {"session_timeout": "3m"}
    d = daemon(stream(source(topics, topic, **options), small(folder), journal))
    with Producing(topics, topic) as producing:
        wait_parts(d, 2)
        producing.wait_more(1000)
        topics.kafka.stop()
        topics.kafka.start()
        producing.wait_more(1000)
        topics.grow(topic, 4)
        # There before anybody reads them.
        late = [b"late-%d" % number for number in range(20)]
        topics.write(topic, *(line + b"\n" for line in late[:10]), partition=2)
        topics.write(topic, *(line + b"\n" for line in late[10:]), partition=3)
        wait_parts(d, 4)
        producing.wait_more(1000)
    sent = producing.sent + collections.Counter(late)
    assert arrived(sent, folder) == 0
    all_told(topics, topic)
    assert d.terminate() == 0
    assert lines(folder) == sent


def test_a_broker_that_is_killed_and_one_that_hangs_are_waited_for(daemon, topics, tmp_path):
    topic, folder = topics.create(), tmp_path / "bucket"
    d = daemon(stream(source(topics, topic), small(folder)))
    with Producing(topics, topic) as producing:
        wait_parts(d, 4)
        topics.kafka.kill()
        topics.kafka.start()
        producing.wait_more(1000)
        topics.kafka.pause()
        # The member gives its partitions up by itself when its session is over.
        harness.wait_for(lambda: parts(d) == 0, "the partitions are lost", pause=0.1)
        topics.kafka.resume()
        wait_parts(d, 4)
        producing.wait_more(1000)
    # Where it stood is known to its own journal.
    assert arrived(producing.sent, folder) == 0
    assert d.terminate() == 0


@pytest.mark.parametrize("journal", JOURNALS)
def test_the_group_is_told_of_no_more_than_is_safe(daemon, topics, tmp_path, journal):
    topic, server = topics.create(2), faulty_s3.FaultyS3()
    server.mode = "forbidden"
    bucket = harness.bucket("bucket", server, buffering={"size": "1MiB", "interval": "1s"})
    d = daemon(
        stream(source(topics, topic), bucket, journal),
        aws=harness.outgoing(),
        shutdown_timeout="2s",
    )
    try:
        sent = [b"record-%04d" % number for number in range(200)]
        topics.write(topic, *(line + b"\n" for line in sent[:120]), partition=0)
        topics.write(topic, *(line + b"\n" for line in sent[120:]), partition=1)
        harness.wait_for(lambda: read(d) == 200, "everything is read")
        harness.wait_for(lambda: server.attempts > 0, "the destination is tried")
        assert d.terminate() == 0
        committed = topics.committed(topic, topic, 2)
        if journal == "fsync":
            assert committed == {0: 120, 1: 80}, "what is stored"
        else:
            assert not any(committed.values()), "nothing is delivered"
        server.mode = "ok"
        d.start()

        def delivered():
            with server.lock:
                contents = b"".join(server.objects.values())
            return collections.Counter(contents.splitlines())

        harness.wait_for(lambda: not set(sent) - set(delivered()), "everything is delivered")
        told = {0: 120, 1: 80}
        harness.wait_for(lambda: topics.committed(topic, topic, 2) == told, "the commit", pause=0.1)
        assert d.terminate() == 0
        assert delivered() == collections.Counter(sent)
    finally:
        server.close()


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_stop_under_load_commits_no_more_than_is_safe(daemon, topics, tmp_path, journal):
    topic, folder = topics.create(), tmp_path / "bucket"
    d = daemon(stream(source(topics, topic), small(folder), journal))
    with Producing(topics, topic) as producing:
        harness.wait_for(lambda: read(d) > 1000, "it is under load")
        assert d.terminate() == 0
        committed = topics.committed(topic, topic, 4)
    by_partition = collections.Counter(int(line.split(b"-")[1]) for line in lines(folder))
    # With fsync the group is told of what is stored, be it delivered yet or not; with memory of
    # what is delivered, and that is everything that was open.
    for number in range(4):
        behind, delivered = committed.get(number, 0), by_partition[number]
        assert behind >= delivered if journal == "fsync" else behind == delivered
    d.start()
    assert arrived(producing.sent, folder) == 0
    assert d.terminate() == 0
    assert lines(folder) == producing.sent


def test_a_second_signal_ends_a_stop_that_waits_for_the_destination(daemon, topics):
    topic, server = topics.create(1), faulty_s3.FaultyS3()
    server.mode = "forbidden"
    bucket = harness.bucket("bucket", server, buffering={"size": "1MiB", "interval": "1s"})
    d = daemon(
        stream(source(topics, topic), bucket, "memory"),
        aws=harness.outgoing(),
        shutdown_timeout="1h",
    )
    try:
        sent = [b"record-%04d" % number for number in range(100)]
        topics.write(topic, *(line + b"\n" for line in sent))
        harness.wait_for(lambda: read(d) == 100, "everything is read")
        d.process.send_signal(signal.SIGTERM)
        harness.wait_for(lambda: "stopping: no more records" in d.log(), "it is stopping")
        assert d.terminate() == 0
        assert not topics.committed(topic, topic, 1), "nothing is delivered"
        server.mode = "ok"
        d.start()
        told = {0: 100}
        harness.wait_for(lambda: topics.committed(topic, topic, 1) == told, "the commit", pause=0.1)
        assert d.terminate() == 0
        contents = b"".join(server.objects.values())
        assert collections.Counter(contents.splitlines()) == collections.Counter(sent)
    finally:
        server.close()


# ------------------------------------------------------------------------------- two daemons


@pytest.fixture
def pair(daemon, topics, tmp_path):
    """Makes two members of a group, each with a folder; their topic, too."""

    def make(journal, **options):
        topic, folders = topics.create(), [tmp_path / "first", tmp_path / "second"]
        members = [
            daemon(stream(source(topics, topic, **options), small(folder), journal))
            for folder in folders
        ]
        for member in members:
            wait_parts(member, 2)
        return topic, members, folders

    return make


@pytest.mark.parametrize("journal", JOURNALS)
def test_partitions_move_when_a_member_dies_and_when_it_comes_back(pair, topics, journal):
    topic, (first, second), folders = pair(journal)
    with Producing(topics, topic) as producing:
        producing.wait_more(2000)
        first.kill()
        wait_parts(second, 4)
        producing.wait_more(2000)
        first.start()
        wait_parts(first, 2)
        wait_parts(second, 2)
        producing.wait_more(2000)
    doubles = arrived(producing.sent, *folders)
    all_told(topics, topic)
    assert first.terminate() == 0 and second.terminate() == 0
    # The group is told every two seconds how far a member is. What the first one had read since
    # then the second one reads, too; with fsync the first one has it in its journal and delivers
    # it when it comes back, with memory it may have delivered it before it died.
    print(f"{producing.sent.total()} records, {doubles} twice")
    assert doubles < producing.sent.total() / 2


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_rolling_restart_under_load(pair, topics, journal):
    topic, members, folders = pair(journal)
    with Producing(topics, topic) as producing:
        for one, other in [members, members[::-1]]:
            producing.wait_more(2000)
            assert one.terminate() == 0
            wait_parts(other, 4)
            producing.wait_more(2000)
            one.start()
            wait_parts(one, 2)
            wait_parts(other, 2)
    doubles = arrived(producing.sent, *folders)
    all_told(topics, topic)
    for one in members:
        assert one.terminate() == 0
    print(f"{producing.sent.total()} records, {doubles} twice")
    # A member that leaves in order tells the group of all that it has stored; with a journal in
    # memory it delivers that before.
    assert doubles == 0


def test_one_that_comes_while_another_delivers_its_last_reads_none_of_it(daemon, topics, tmp_path):
    topic, folder, server = topics.create(2), tmp_path / "bucket", faulty_s3.FaultyS3()
    server.mode = "forbidden"
    bucket = harness.bucket("bucket", server, buffering={"size": "1MiB", "interval": "1s"})
    first = daemon(
        stream(source(topics, topic), bucket, "memory"),
        aws=harness.outgoing(),
        shutdown_timeout="10m",
    )

    def write(name):
        sent = [b"%s-%04d" % (name, number) for number in range(100)]
        for partition in range(2):
            some = [line + b"\n" for line in sent[partition::2]]
            topics.write(topic, *some, partition=partition)
        return collections.Counter(sent)

    try:
        early = write(b"early")
        harness.wait_for(lambda: read(first) == 100, "everything is read")
        first.process.send_signal(signal.SIGTERM)
        harness.wait_for(lambda: "stopping: no more records" in first.log(), "it is stopping")
        late = write(b"late")
        second = daemon(stream(source(topics, topic), small(folder), "memory"))
        harness.wait_for(lambda: topics.members(topic) == 2, "both are members", pause=0.1)
        server.mode = "ok"
        assert first.process.wait(120) == 0
        # Not one of the first one's, which would be more than what came late.
        assert arrived(late, folder) == 0
        assert second.terminate() == 0
        assert collections.Counter(b"".join(server.objects.values()).splitlines()) == early
    finally:
        server.close()


def test_a_member_that_stood_still_past_its_session(pair, topics):
    topic, (first, second), folders = pair("fsync")
    with Producing(topics, topic) as producing:
        producing.wait_more(2000)
        first.process.send_signal(signal.SIGSTOP)
        try:
            wait_parts(second, 4)
            producing.wait_more(2000)
        finally:
            first.process.send_signal(signal.SIGCONT)
        wait_parts(second, 2)
        wait_parts(first, 2)
        producing.wait_more(1000)
    doubles = arrived(producing.sent, *folders)
    assert first.terminate() == 0 and second.terminate() == 0
    print(f"{producing.sent.total()} records, {doubles} twice")
    assert doubles < producing.sent.total() / 2


# ----------------------------------------------------------------------------------- records


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_record_that_is_too_large_is_whole_in_the_error_output(daemon, topics, tmp_path, journal):
    topic, folder = topics.create(1, max_message_bytes=10_000_000), tmp_path / "bucket"
    given = source(topics, topic, max_record_size="4KiB")
    d = daemon(stream(given, small(folder, error_output_prefix=outputs.ERRORS), journal))
    large = [bytes(range(256)) * 17, b"z" * 4097, random.randbytes(2_000_000)]
    fits = [b"before\n", b"y" * 4095 + b"\n", b"between\n", b"behind\n"]
    topics.write(topic, *fits[:2], large[0], large[1], fits[2], large[2], fits[3])
    harness.wait_for(
        lambda: len(outputs.failures(outputs.local_contents(folder))) == 3, "the error output"
    )
    contents = outputs.local_contents(folder)
    harness.wait_for(lambda: topics.committed(topic, topic, 1) == {0: 7}, "the commit", pause=0.1)
    assert d.terminate() == 0
    contents = outputs.local_contents(folder)
    assert outputs.content(contents) == b"".join(fits)
    failures = outputs.failures(contents)
    assert sorted(raw for _, raw, _ in failures) == sorted(large)
    for output_type, raw, line in failures:
        assert output_type == "processing-failed"
        assert line["errorCode"] == "Kafka.RecordTooLarge"
        assert str(len(raw)) in line["errorMessage"] and "4096" in line["errorMessage"], line


@pytest.mark.parametrize("tombstones", ["skip", "deliver"])
def test_tombstones(daemon, topics, tmp_path, tombstones):
    topic, folder = topics.create(1), tmp_path / "bucket"
    destination = small(folder)
    destination["transforms"] = [{"append_delimiter": "|"}]
    d = daemon(stream(source(topics, topic, tombstones=tombstones), destination))
    topics.write(topic, b"one", None, b"", b"two", None, key=b"k")
    harness.wait_for(lambda: topics.committed(topic, topic, 1) == {0: 5}, "the commit", pause=0.1)
    skipped = d.metrics()["standpipe_source_skipped_records_total", {"stream": "s"}]
    assert d.terminate() == 0
    content = outputs.written(folder)
    if tombstones == "skip":
        assert (content, skipped) == (b"one||two|", 2)
    else:
        assert (content, skipped) == (b"one|||two||", 0)


def test_queries_and_prefixes_know_where_a_record_comes_from(daemon, topics, tmp_path):
    topic, folder = topics.create(2), tmp_path / "bucket"
    destination = small(
        folder,
        prefix="!{source:topic}/!{source:partition}/!{source:key}/!{source:header.tenant}/",
        error_output_prefix=outputs.ERRORS,
        dynamic_partitioning={},
    )
    destination["transforms"] = [
        {"map": ". + {source: $source}"},
        {"append_delimiter": "\n"},
    ]
    d = daemon(stream(source(topics, topic, tombstones="deliver"), destination))
    headers = [("tenant", b"old"), ("tenant", b"acme"), ("n", b"\xff")]
    topics.write(
        topic, b'{"a":1}', b'{"a":2}', partition=1, key=b"k1", headers=headers, timestamp=1234567
    )
    topics.write(topic, b'{"a":3}', partition=0, key=b"k2")
    topics.write(topic, b'{"a":4}', partition=0, headers=headers)
    harness.wait_for(lambda: topics.committed(topic, topic, 2) == {0: 2, 1: 2}, "the commit")
    assert d.terminate() == 0
    contents = outputs.local_contents(folder)
    found = outputs.objects(contents)
    assert {key.rsplit("/", 1)[0] for key in found} == {f"{topic}/1/k1/acme"}
    records = [json.loads(line) for line in outputs.content(contents).splitlines()]
    assert [record["a"] for record in records] == [1, 2]
    for offset, record in enumerate(records):
        told = record["source"]
        assert (told["topic"], told["partition"], told["offset"]) == (topic, 1, offset)
        assert told["key"] == "k1"
        assert told["headers"] == {"tenant": "acme", "n": "\ufffd"}, told
    missing = sorted((json.loads(raw)["a"], kind) for kind, raw, _ in outputs.failures(contents))
    assert [number for number, _ in missing] == [3, 4]
    messages = " ".join(line["errorMessage"] for _, _, line in outputs.failures(contents))
    assert "!{source:header.tenant}" in messages and "!{source:key}" in messages


# --------------------------------------------------------------------------- the API, settings


def test_nobody_may_put_to_it(daemon, topics, tmp_path):
    topic, folder = topics.create(1), tmp_path / "bucket"
    d = daemon(stream(source(topics, topic), small(folder)))
    client, record = d.firehose(), {"Data": b"put\n"}
    for put in [
        lambda: client.put_record(DeliveryStreamName="s", Record=record),
        lambda: client.put_record_batch(DeliveryStreamName="s", Records=[record]),
    ]:
        with pytest.raises(ClientError) as error:
            put()
        assert error.value.response["Error"]["Code"] == "InvalidArgumentException"
    topics.write(topic, b"written\n")
    assert arrived(collections.Counter([b"written"]), folder) == 0


ARN = "arn:aws:kafka:us-east-1:000000000000:cluster/events/0f0e0d0c-0b0a-4908-8706-050403020100-2"


def test_a_stream_made_by_the_api(daemon, topics, s3_server):
    s3_server.client().create_bucket(Bucket="bucket")
    topic, early, late = topics.create(1), b"early\n", b"late\n"
    topics.write(topic, early)
    clusters = {ARN: {"brokers": [topics.kafka.brokers]}}
    d = daemon({}, aws={"endpoint": s3_server.url, **harness.outgoing(), "msk_clusters": clusters})
    client = d.firehose()
    authentication = {"RoleARN": harness.ROLE, "Connectivity": "PRIVATE"}
    from_the_start = datetime.datetime.fromtimestamp(0, datetime.UTC)
    given = {
        "MSKClusterARN": ARN,
        "TopicName": topic,
        "AuthenticationConfiguration": authentication,
    }

    def create(name, **options):
        client.create_delivery_stream(
            DeliveryStreamName=name,
            DeliveryStreamType="MSKAsSource",
            MSKSourceConfiguration={**given, **options},
            ExtendedS3DestinationConfiguration={
                "RoleARN": harness.ROLE,
                "BucketARN": "arn:aws:s3:::bucket",
                "Prefix": f"{name}/",
                "BufferingHints": {"IntervalInSeconds": 0, "SizeInMBs": 1},
            },
        )

    def described(name):
        answer = client.describe_delivery_stream(DeliveryStreamName=name)
        return answer["DeliveryStreamDescription"]

    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=2)
    create("all", ReadFromTimestamp=from_the_start)
    create("new")
    for name in ["all", "new"]:
        harness.wait_for(lambda: described(name)["DeliveryStreamStatus"] == "ACTIVE", "ACTIVE")
    topics.write(topic, late)

    def delivered(name):
        found = s3_server.objects("bucket").items()
        return sorted(answer["Body"] for key, answer in found if key.startswith(f"{name}/"))

    harness.wait_for(lambda: b"".join(delivered("new")) == late, "what is new", pause=0.2)
    harness.wait_for(lambda: b"".join(delivered("all")) == early + late, "all", pause=0.2)
    for name, read_from in [("all", from_the_start), ("new", None)]:
        description = described(name)
        assert description["DeliveryStreamType"] == "MSKAsSource"
        told = description["Source"]["MSKSourceDescription"]
        started = told.pop("DeliveryStartTimestamp")
        assert before < started < datetime.datetime.now(datetime.UTC)
        assert told == {**given, **({"ReadFromTimestamp": read_from} if read_from else {})}
    listed = client.list_delivery_streams(DeliveryStreamType="MSKAsSource")
    assert listed["DeliveryStreamNames"] == ["all", "new"]
    with pytest.raises(ClientError) as error:
        client.put_record(DeliveryStreamName="all", Record={"Data": b"put"})
    assert error.value.response["Error"]["Code"] == "InvalidArgumentException"
    # It is there after a restart, and goes on where it was.
    assert d.terminate() == 0
    d.start()
    topics.write(topic, b"later\n")
    harness.wait_for(
        lambda: b"".join(delivered("all")) == early + late + b"later\n", "all of it", pause=0.2
    )
    client.delete_delivery_stream(DeliveryStreamName="all")
    harness.wait_for(
        lambda: client.list_delivery_streams()["DeliveryStreamNames"] == ["new"], "it is gone"
    )


def errors(daemon):
    """Codes of the source's failures that were counted."""
    found = set()
    for (name, labels), value in daemon.metrics().samples.items():
        if name == "standpipe_source_errors_total" and value:
            found.add(dict(labels)["code"])
    return found


def test_no_broker_is_said_and_waited_for(daemon, topics, tmp_path):
    topic, folder = topics.create(1), tmp_path / "bucket"
    topics.write(topic, b"there before\n")
    topics.kafka.stop()
    d = daemon(stream(source(topics, topic), small(folder)))
    harness.wait_for(lambda: errors(d), "the failure is counted", pause=0.1)
    harness.wait_for(lambda: "trouble with kafka" in d.log(), "the failure is said", pause=0.1)
    topics.kafka.start()
    assert arrived(collections.Counter([b"there before"]), folder) == 0
    harness.wait_for(lambda: "kafka is reached again" in d.log(), "the end is said", pause=0.1)
    assert d.terminate() == 0


def test_a_wrong_password_is_said_and_the_right_one_is_found(daemon, topics, tmp_path):
    topic, folder, secret = topics.create(1), tmp_path / "bucket", tmp_path / "password"
    topics.write(topic, b"there before\n")
    secret.write_text("not the password")
    username, password = kafka.SCRAM
    given = source(
        topics,
        topic,
        brokers=[topics.kafka.sasl_brokers],
        sasl={
            "mechanism": "scram_sha512",
            "username": username,
            "password": {"file": str(secret)},
        },
    )
    d = daemon(stream(given, small(folder)))
    harness.wait_for(lambda: "Kafka.Authentication" in errors(d), "it is refused", pause=0.1)
    harness.wait_for(lambda: "trouble with kafka" in d.log(), "the failure is said", pause=0.1)
    assert "not the password" not in d.log() and not lines(folder)
    secret.write_text(password)
    # No restart and no reload: by itself.
    assert arrived(collections.Counter([b"there before"]), folder) == 0
    assert d.terminate() == 0
    assert password not in d.log()
