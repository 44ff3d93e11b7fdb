"""HTTP endpoints made and changed by the API, and delivered to with TLS as it demands."""

import base64
import json
import stat

import botocore.config
import pytest
from botocore.exceptions import ClientError

import harness
from http_deliveries import REFUSED, lines, once
from test_api import active, code_of, description
from test_aws_cli import Cli
from certificates import with_tls

KEY = "a-key-that-is-never-described"
OTHER_KEY = "another-key-that-is-never-described"
# A value of a common attribute is as sensitive as a key, and described.
ATTRIBUTE = {"AttributeName": "city", "AttributeValue": "Zürich"}
ID = "destinationId-000000000001"
BUCKET = {"RoleARN": harness.ROLE, "BucketARN": "arn:aws:s3:::bucket"}


@pytest.fixture
def tls(certificates):
    return with_tls(certificates, "server")


@pytest.fixture
def served(daemon, s3_server, certificates):
    """A daemon without streams of its own, which trusts the authority of the tests."""
    s3_server.client().create_bucket(Bucket="bucket")
    env = {"SSL_CERT_FILE": str(certificates / "ca.crt")}
    aws = {"endpoint": s3_server.url, **harness.outgoing()}
    d = daemon({}, aws=aws, env=env, shutdown_timeout="2s")
    yield d
    for key in (KEY, OTHER_KEY):
        assert key not in d.log() + d.metrics().text + d.get("/health")[1]


@pytest.fixture
def made(served, endpoints, tls):
    """Makes a stream to an endpoint of its own."""

    def make(name="made", endpoint=None, attributes=None, encoding=None, **options):
        one = endpoint or endpoints(
            access_key=KEY, attributes=attributes or {}, content_encoding=encoding, **tls
        )
        configuration = {
            "EndpointConfiguration": {"Url": one.url, "Name": "Ours", "AccessKey": KEY},
            "S3Configuration": BUCKET,
            **options,
        }
        client = served.firehose()
        client.create_delivery_stream(
            DeliveryStreamName=name, HttpEndpointDestinationConfiguration=configuration
        )
        active(client, name)
        return one

    return make


def destination(daemon, name="made"):
    (one,) = description(daemon.firehose(), name)["Destinations"]
    assert set(one) == {"DestinationId", "HttpEndpointDestinationDescription"}
    return one["HttpEndpointDestinationDescription"]


def update(daemon, version, name="made", **change):
    daemon.firehose().update_destination(
        DeliveryStreamName=name,
        CurrentDeliveryStreamVersionId=str(version),
        DestinationId=ID,
        HttpEndpointDestinationUpdate=change,
    )


def put(daemon, *records, name="made"):
    answer = daemon.firehose().put_record_batch(
        DeliveryStreamName=name, Records=[{"Data": record} for record in records]
    )
    assert answer["FailedPutCount"] == 0


def taken(daemon, endpoint, count, name="made"):
    """The records of an endpoint, once they are so many."""

    def enough():
        daemon.flush(name)
        return len(endpoint.records()) >= count

    harness.wait_for(enough, f"{count} records have come", pause=0.1)
    return endpoint.records()


def in_bucket(daemon, server, beginning, name="made"):
    """The objects whose keys begin so, once there are some."""

    def found():
        daemon.flush(name)
        objects = server.objects("bucket")
        return {key: one["Body"] for key, one in objects.items() if key.startswith(beginning)}

    return harness.wait_for(found, f"something stands under {beginning}", pause=0.1)


# ------------------------------------------------------------------------------ the description


def test_defaults_are_described_and_the_key_is_not(served, made, s3_server):
    endpoint = made()
    found = description(served.firehose())
    assert (found["VersionId"], found["DeliveryStreamType"]) == ("1", "DirectPut")
    assert found["HasMoreDestinations"] is False
    one = destination(served)
    assert one["EndpointConfiguration"] == {"Url": endpoint.url, "Name": "Ours"}
    assert one["BufferingHints"] == {"SizeInMBs": 5, "IntervalInSeconds": 300}
    assert one["RequestConfiguration"] == {"ContentEncoding": "NONE", "CommonAttributes": []}
    assert one["RetryOptions"] == {"DurationInSeconds": 300}
    assert one["S3BackupMode"] == "FailedDataOnly"
    assert one["ProcessingConfiguration"]["Enabled"] is False
    assert one["CloudWatchLoggingOptions"] == {"Enabled": False}
    assert one["SecretsManagerConfiguration"] == {"Enabled": False}
    bucket = one["S3DestinationDescription"]
    assert bucket["BucketARN"] == BUCKET["BucketARN"] and bucket["RoleARN"] == harness.ROLE
    assert bucket["BufferingHints"] == {"SizeInMBs": 5, "IntervalInSeconds": 300}
    assert bucket["CompressionFormat"] == "UNCOMPRESSED"
    assert bucket["EncryptionConfiguration"] == {"NoEncryptionConfig": "NoEncryption"}
    assert KEY not in json.dumps(found, default=str)


def test_what_is_given_is_described_and_sent(served, made, endpoints, tls):
    request = {"ContentEncoding": "GZIP", "CommonAttributes": [ATTRIBUTE]}
    hints = {"SizeInMBs": 1, "IntervalInSeconds": 0}
    endpoint = made(
        attributes={"city": "Zürich"},
        encoding="gzip",
        RequestConfiguration=request,
        BufferingHints=hints,
        RetryOptions={"DurationInSeconds": 7200},
        ProcessingConfiguration={
            "Enabled": True,
            "Processors": [{"Type": "AppendDelimiterToRecord"}],
        },
    )
    one = destination(served)
    assert (one["RequestConfiguration"], one["BufferingHints"]) == (request, hints)
    assert one["RetryOptions"] == {"DurationInSeconds": 7200}
    sent = lines(0, 300)
    put(served, *[record.rstrip() for record in sent])
    # Nobody flushes: an interval of 0 s is at once.
    harness.wait_for(lambda: len(endpoint.records()) >= 300, "all has come")
    assert endpoint.times() == once(sent)
    arns = {request.details["source_arn"] for request in endpoint.seen()}
    assert arns == {"arn:aws:firehose:us-east-1:000000000000:deliverystream/made"}
    assert endpoint.handshake_failures == []


def test_a_stream_without_a_key_sends_none(served, endpoints, tls):
    endpoint = endpoints(**tls)
    client = served.firehose()
    client.create_delivery_stream(
        DeliveryStreamName="made",
        HttpEndpointDestinationConfiguration={
            "EndpointConfiguration": {"Url": endpoint.url},
            "S3Configuration": BUCKET,
        },
    )
    active(client)
    assert destination(served)["EndpointConfiguration"] == {"Url": endpoint.url}
    put(served, b"one")
    assert taken(served, endpoint, 1) == [b"one"]


# ---------------------------------------------------------------------------------- an update


def test_an_update_keeps_the_key(served, made, endpoints, tls):
    first = made()
    second = endpoints(access_key=KEY, content_encoding="gzip", **tls)
    put(served, b"one")
    assert taken(served, first, 1) == [b"one"]
    before = destination(served)
    update(
        served,
        1,
        EndpointConfiguration={"Url": second.url},
        RequestConfiguration={"ContentEncoding": "GZIP"},
    )
    after = destination(served)
    assert after["EndpointConfiguration"] == {"Url": second.url, "Name": "Ours"}
    changed = ("EndpointConfiguration", "RequestConfiguration")
    assert {name: value for name, value in after.items() if name not in changed} == {
        name: value for name, value in before.items() if name not in changed
    }
    put(served, b"two")
    assert taken(served, second, 1) == [b"two"]
    assert first.records() == [b"one"]


def test_another_key_takes_the_place_of_the_first(served, made, endpoints, tls):
    first = made()
    second = endpoints(access_key=OTHER_KEY, **tls)
    nobody = endpoints(**tls)
    put(served, b"one")
    taken(served, first, 1)
    update(served, 1, EndpointConfiguration={"Url": second.url, "AccessKey": OTHER_KEY})
    put(served, b"two")
    assert taken(served, second, 1) == [b"two"]
    # An empty one is none.
    update(served, 2, EndpointConfiguration={"Url": nobody.url, "AccessKey": ""})
    put(served, b"three")
    assert taken(served, nobody, 1) == [b"three"]
    assert description(served.firehose())["VersionId"] == "3"
    stored = [path for path in served.folder.rglob("*") if path.is_file()]
    assert not [path for path in stored if KEY.encode() in path.read_bytes()], "an old key is kept"


def test_a_stale_update_is_refused(served, made):
    made()
    update(served, 1, S3Update={"Prefix": "source/"})
    with pytest.raises(ClientError) as stale:
        update(served, 1, EndpointConfiguration={"Url": "https://elsewhere.example/"})
    assert code_of(stale) == "ConcurrentModificationException"
    one = destination(served)
    assert one["EndpointConfiguration"]["Url"].startswith("https://127.0.0.1:")
    assert one["S3DestinationDescription"]["Prefix"] == "source/"


def test_records_that_wait_follow_an_update(served, made, endpoints, tls):
    """What the old endpoint does not take goes to the new one."""
    first = made()
    first.script({"times": 0, "status": 500})
    sent = lines(0, 100)
    put(served, *sent)
    served.flush("made")
    harness.wait_for(lambda: first.count() >= 1, "it is tried")
    second = endpoints(access_key=KEY, **tls)
    update(served, 1, EndpointConfiguration={"Url": second.url})
    taken(served, second, 100)
    assert second.times() == once(sent)
    assert not first.records()


# --------------------------------------------------------------------------- the backup bucket


def test_what_fails_stands_in_the_bucket(served, made, s3_server):
    endpoint = made(
        RetryOptions={"DurationInSeconds": 0},
        S3Configuration={**BUCKET, "ErrorOutputPrefix": "bad/!{firehose:error-output-type}/"},
    )
    endpoint.script({"status": 500})
    put(served, b"one")
    ((key, body),) = in_bucket(served, s3_server, "bad/http-endpoint-failed/").items()
    (line,) = map(json.loads, body.splitlines())
    assert base64.b64decode(line["rawData"]) == b"one"
    assert (line["errorCode"], line["attemptsMade"]) == (REFUSED, 1)
    assert "/made-1-" in f"/{key}"


def test_all_data_is_kept_from_an_update_on(served, made, s3_server):
    endpoint = made(S3Configuration={**BUCKET, "Prefix": "all/"})
    put(served, b"one")
    taken(served, endpoint, 1)
    update(served, 1, S3BackupMode="AllData", S3Update={"CompressionFormat": "GZIP"})
    bucket = destination(served)["S3DestinationDescription"]
    assert (bucket["Prefix"], bucket["CompressionFormat"]) == ("all/", "GZIP")
    put(served, b"two")
    taken(served, endpoint, 2)
    (key,) = in_bucket(served, s3_server, "all/")
    assert key.endswith(".gz")
    with pytest.raises(ClientError) as refused:
        update(served, 2, S3BackupMode="FailedDataOnly")
    assert code_of(refused) == "InvalidArgumentException"
    assert destination(served)["S3BackupMode"] == "AllData"


# ------------------------------------------------------------------------------------ restarts


@pytest.mark.parametrize("crash", [True, False])
def test_a_restart_keeps_everything(served, made, crash):
    endpoint = made(
        attributes={"city": "Zürich"},
        RequestConfiguration={"ContentEncoding": "NONE", "CommonAttributes": [ATTRIBUTE]},
        S3BackupMode="AllData",
    )
    update(served, 1, BufferingHints={"SizeInMBs": 2, "IntervalInSeconds": 60})
    before = description(served.firehose())
    endpoint.script({"times": 0, "status": 503})
    put(served, b"one")
    served.flush("made")
    harness.wait_for(lambda: endpoint.count() >= 1, "it is tried")
    served.kill() if crash else served.terminate()
    endpoint.script()
    served.start()
    assert description(served.firehose()) == before
    put(served, b"two")
    assert sorted(taken(served, endpoint, 2)) == [b"one", b"two"]


def test_what_holds_a_key_is_for_nobody_else(served, made):
    made()
    data = served.folder / "data"
    holding = [p for p in data.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]
    assert holding, "the key is not stored"
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in holding}
    assert set(modes.values()) == {0o600}, modes
    update(served, 1, EndpointConfiguration={"Url": "https://elsewhere.example/"})
    served.kill()
    served.start()
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in holding if path.exists()}
    assert modes and set(modes.values()) == {0o600}, modes
    served.firehose().delete_delivery_stream(DeliveryStreamName="made")

    def gone():
        return not [p for p in data.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]

    harness.wait_for(gone, "the key is gone with its stream")


# ------------------------------------------------------------------------------------ mistakes


MISTAKES = {
    "ValidationException": [
        {"EndpointConfiguration": {"Url": "http://plain.example/"}},
        {"EndpointConfiguration": {"Url": "https://e.example/" + "x" * 1000}},
        {"EndpointConfiguration": {"Url": "https://e.example/", "AccessKey": "k" * 4097}},
        {"EndpointConfiguration": {"Url": "https://e.example/", "Name": "  "}},
        {"RetryOptions": {"DurationInSeconds": 7201}},
        {"BufferingHints": {"SizeInMBs": 65, "IntervalInSeconds": 60}},
        {"S3BackupMode": "AllEvents"},
        {"RequestConfiguration": {"CommonAttributes": [ATTRIBUTE] * 51}},
        {"RequestConfiguration": {"ContentEncoding": "gzip"}},
    ],
    "InvalidArgumentException": [
        {"EndpointConfiguration": {"Url": "https://user:word@e.example/"}},
        {"BufferingHints": {"SizeInMBs": 1}},
        {"RequestConfiguration": {"CommonAttributes": [ATTRIBUTE] * 2}},
        {"SecretsManagerConfiguration": {"Enabled": True}},
        {"EndpointConfiguration": {"Url": "https://e.example/", "AccessKey": "sécret"}},
    ],
}


def test_mistakes_are_refused_and_tell_no_key(served):
    # Other clients check less than this one does.
    config = botocore.config.Config(parameter_validation=False, retries={"total_max_attempts": 1})
    client = served.firehose(config=config)
    good = {
        "EndpointConfiguration": {"Url": "https://e.example/?key=hush", "AccessKey": KEY},
        "S3Configuration": BUCKET,
    }
    for code, mistakes in MISTAKES.items():
        for mistake in mistakes:
            with pytest.raises(ClientError) as refused:
                client.create_delivery_stream(
                    DeliveryStreamName="made",
                    HttpEndpointDestinationConfiguration={**good, **mistake},
                )
            assert code_of(refused) == code, (mistake, refused.value)
            message = str(refused.value)
            for secret in (KEY, "k" * 4097, "hush", "user:word", "sécret", "Zürich"):
                assert secret not in message, mistake
    for missing in good:
        rest = {name: value for name, value in good.items() if name != missing}
        with pytest.raises(ClientError) as refused:
            client.create_delivery_stream(
                DeliveryStreamName="made", HttpEndpointDestinationConfiguration=rest
            )
        assert code_of(refused) == "ValidationException"
        assert "Member must not be null" in str(refused.value)
    assert client.list_delivery_streams()["DeliveryStreamNames"] == []


def test_a_stream_has_one_destination_of_one_kind(served, made):
    client = served.firehose()
    configuration = {
        "EndpointConfiguration": {"Url": "https://e.example/"},
        "S3Configuration": BUCKET,
    }
    with pytest.raises(ClientError) as refused:
        client.create_delivery_stream(
            DeliveryStreamName="two",
            HttpEndpointDestinationConfiguration=configuration,
            ExtendedS3DestinationConfiguration=BUCKET,
        )
    assert code_of(refused) == "InvalidArgumentException"
    made()
    with pytest.raises(ClientError) as refused:
        client.update_destination(
            DeliveryStreamName="made",
            CurrentDeliveryStreamVersionId="1",
            DestinationId=ID,
            SplunkDestinationUpdate={"HECToken": "t"},
        )
    assert code_of(refused) == "InvalidArgumentException"
    assert description(client)["VersionId"] == "1"


# -------------------------------------------------------------------------------------- the CLI


def test_the_life_of_a_stream_in_the_cli(served, endpoints, tls):
    endpoint = endpoints(access_key=KEY, **tls)
    aws = Cli(served)
    aws(
        "create-delivery-stream",
        delivery_stream_name="logs",
        http_endpoint_destination_configuration=f"EndpointConfiguration={{Url={endpoint.url},"
        f"Name=Ours,AccessKey={KEY}}},S3Configuration={{RoleARN={harness.ROLE},"
        "BucketARN=arn:aws:s3:::bucket}",
    )
    one = aws.description("logs")["Destinations"][0]["HttpEndpointDestinationDescription"]
    assert one["EndpointConfiguration"] == {"Url": endpoint.url, "Name": "Ours"}
    assert KEY not in json.dumps(aws.description("logs"))
    aws("put-record", delivery_stream_name="logs", record="Data=one")
    assert taken(served, endpoint, 1, "logs") == [b"one"]
    aws(
        "update-destination",
        delivery_stream_name="logs",
        current_delivery_stream_version_id="1",
        destination_id=ID,
        http_endpoint_destination_update="RetryOptions={DurationInSeconds=60},"
        "S3BackupMode=AllData,S3Update={Prefix=all/}",
    )
    found = aws.description("logs")
    assert found["VersionId"] == "2"
    one = found["Destinations"][0]["HttpEndpointDestinationDescription"]
    assert one["RetryOptions"] == {"DurationInSeconds": 60}
    assert one["S3BackupMode"] == "AllData"
    assert one["S3DestinationDescription"]["Prefix"] == "all/"
    aws("put-record", delivery_stream_name="logs", record="Data=two")
    assert taken(served, endpoint, 2, "logs") == [b"one", b"two"]
    done = aws.run(
        "create-delivery-stream",
        delivery_stream_name="plain",
        http_endpoint_destination_configuration="EndpointConfiguration={Url=http://e.example/},"
        f"S3Configuration={{RoleARN={harness.ROLE},BucketARN=arn:aws:s3:::bucket}}",
    )
    assert done.returncode != 0 and "ValidationException" in done.stderr
