"""OpenSearch and Elasticsearch: trials, and streams made by the API."""

import base64
import collections
import json
import subprocess

import pytest
from botocore.exceptions import ClientError

import harness
import outputs
from certificates import with_tls
from search_deliveries import (
    BASIC,
    INDEX,
    NAME,
    PASSWORD,
    backup,
    numbered,
    numbers,
    of_double,
    once,
    settled,
    to,
)

# ------------------------------------------------------------------------------------- trials


def check(daemon, *arguments):
    """Exit code and trials of `standpipe check --json`."""
    done = subprocess.run(
        [harness.BINARY, "check", daemon.config_path, "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=daemon.folder,
    )
    assert done.returncode in (0, 1), done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_trial_tells_what_is_wrong(daemon, opensearch, clusters, tmp_path):
    opensearch.create_index("there")
    opensearch.create_index("blocked", settings={"index.blocks.write": True})
    opensearch.data_stream("events")
    (tmp_path / "bucket").mkdir()
    locked = clusters(auth=("writer", "another"))
    signed = clusters(auth="es")

    def one(name, url=opensearch.url, **options):
        return to(url, tmp_path / "bucket", name=name, **options)

    away = f"http://127.0.0.1:{harness.free_port()}"
    well = [
        one("there", index_name="there"),
        one("new", index_name="new"),
        one("events", index_name="events", index_rotation=None, data_stream=True),
        one("signed", signed.url, auth="aws"),
    ]
    wrong = [
        one("blocked", index_name="blocked"),
        one("type", index_name="there", type_name="log"),
        one("away", away),
        one("password", locked.url, auth=BASIC),
        one("signature", signed.url, auth="aws", serverless=True, index_rotation=None),
        one("folder", backup=backup(tmp_path / "no/bucket")),
    ]
    d = daemon(
        {"well": {"destinations": well}, "wrong": {"destinations": wrong}},
        aws=harness.outgoing(),
        start=False,
    )
    d.write_config()
    code, trials = check(d, "well")
    assert code == 0 and all(trial["ok"] for trial in trials), trials
    names = {trial["destination"] for trial in trials}
    assert names == {name for each in well for name in (each["name"], f"{each['name']}.backup")}
    code, trials = check(d)
    assert code == 1
    found = {trial["destination"]: trial["code"] for trial in trials if not trial["ok"]}
    assert found == {
        "blocked": "OS.ClusterBlockException",
        "type": "OS.UnsupportedVersion",
        "away": "Standpipe.ConnectionFailed",
        "password": "OS.AccessDenied",
        "signature": "OS.AccessDenied",
        "folder.backup": "File.NoSuchFolder",
    }
    # A trial leaves nothing behind.
    assert opensearch.indices() == ["blocked", "there"]
    assert opensearch.count("_all") == 0
    assert not any(signed.docs.values())
    assert not outputs.local_contents(tmp_path / "bucket")


# ------------------------------------------------------------------------------------ the API

CLUSTER = "https://search.example:9200"
API = {
    "Amazonopensearchservice": "ClusterEndpoint",
    "Elasticsearch": "ClusterEndpoint",
    "AmazonOpenSearchServerless": "CollectionEndpoint",
}


def create(client, kind, **options):
    s3 = {"RoleARN": harness.ROLE, "BucketARN": "arn:aws:s3:::bucket"}
    configuration = {
        "RoleARN": harness.ROLE,
        API[kind]: CLUSTER,
        "IndexName": INDEX,
        "S3Configuration": s3,
        **options,
    }
    configuration = {name: value for name, value in configuration.items() if value is not None}
    name = {f"{kind}DestinationConfiguration": configuration}
    return client.create_delivery_stream(DeliveryStreamName=kind, **name)


def described(client, kind):
    def active():
        answer = client.describe_delivery_stream(DeliveryStreamName=kind)
        found = answer["DeliveryStreamDescription"]
        return found if found["DeliveryStreamStatus"] == "ACTIVE" else None

    found = harness.wait_for(active, "ACTIVE")
    (destination,) = found["Destinations"]
    return found["VersionId"], destination[f"{kind}DestinationDescription"]


@pytest.mark.parametrize("kind", API)
def test_a_stream_is_made_described_and_updated_by_the_api(daemon, kind):
    d = daemon({})
    client = d.firehose()
    create(client, kind)
    version, found = described(client, kind)
    assert (version, found[API[kind]], found["IndexName"]) == ("1", CLUSTER, INDEX)
    assert found["BufferingHints"] == {"SizeInMBs": 5, "IntervalInSeconds": 300}
    assert found["RetryOptions"] == {"DurationInSeconds": 300}
    assert found["S3BackupMode"] == "FailedDocumentsOnly"
    assert found["S3DestinationDescription"]["BucketARN"] == "arn:aws:s3:::bucket"
    assert found["CloudWatchLoggingOptions"] == {"Enabled": False}
    rotates = kind != "AmazonOpenSearchServerless"
    assert found.get("IndexRotationPeriod") == ("OneDay" if rotates else None)
    ids_of = {"DefaultDocumentIdFormat": "FIREHOSE_DEFAULT"}
    assert found.get("DocumentIdOptions") == (ids_of if rotates else None)
    update = {
        "IndexName": "other",
        "RetryOptions": {"DurationInSeconds": 0},
        "S3Update": {"Prefix": "all/"},
    }
    if rotates:
        update["DocumentIdOptions"] = {"DefaultDocumentIdFormat": "NO_DOCUMENT_ID"}
    client.update_destination(
        DeliveryStreamName=kind,
        CurrentDeliveryStreamVersionId=version,
        DestinationId="destinationId-000000000001",
        **{f"{kind}DestinationUpdate": update},
    )
    d.kill()
    d.start()
    version, changed = described(client, kind)
    expected = {**found, **update}
    expected.pop("S3Update")
    expected["S3DestinationDescription"] = {**found["S3DestinationDescription"], "Prefix": "all/"}
    assert (version, changed) == ("2", expected)


@pytest.mark.parametrize("kind", ["Amazonopensearchservice", "Elasticsearch"])
def test_a_stream_made_by_the_api_delivers(daemon, clusters, certificates, s3_server, kind):
    s3_server.client().create_bucket(Bucket="bucket")
    cluster = clusters(**with_tls(certificates, "server"))
    cluster.reject = {b'{"n":7}': 400}
    aws = {"endpoint": s3_server.url, **harness.outgoing()}
    d = daemon({}, aws=aws, env={"SSL_CERT_FILE": str(certificates / "ca.crt")})
    client = d.firehose()
    options = {"ClusterEndpoint": cluster.url, "IndexRotationPeriod": "NoRotation"}
    create(client, kind, **options)
    described(client, kind)
    outputs.put(d, *numbered(0, 10), stream=kind)
    destination = NAME if kind.startswith("Amazon") else "elasticsearch"
    became = settled(d, 10, kind, destination)
    assert (became["delivered"], became["failed"]) == (9, 1)
    assert numbers(of_double(cluster)) == once(0, 10) - collections.Counter([7])
    contents = {key: answer["Body"] for key, answer in s3_server.objects("bucket").items()}
    ((key, data),) = contents.items()
    line = json.loads(data)
    assert base64.b64decode(line["rawData"]) == b'{"n":7}' and line["errorCode"] == "400", line
    assert key.startswith("AmazonOpenSearchService-failed/2"), key


REFUSED = {
    "no-tls": ("Amazonopensearchservice", {"ClusterEndpoint": "http://search.example"}),
    "no-endpoint": ("Elasticsearch", {"ClusterEndpoint": None}),
    "two-endpoints": (
        "Elasticsearch",
        {"DomainARN": "arn:aws:es:us-east-1:000000000000:domain/search"},
    ),
    "no-collection": ("AmazonOpenSearchServerless", {"CollectionEndpoint": None}),
    "type": ("Amazonopensearchservice", {"TypeName": "log"}),
    "index": ("Amazonopensearchservice", {"IndexName": "Idx"}),
    "retry": ("Elasticsearch", {"RetryOptions": {"DurationInSeconds": 7201}}),
    "buffer": ("AmazonOpenSearchServerless", {"BufferingHints": {"SizeInMBs": 101}}),
}


def test_what_firehose_refuses_is_refused(daemon):
    client = daemon({}).firehose(config=unchecked())
    for name, (kind, options) in REFUSED.items():
        with pytest.raises(ClientError) as error:
            create(client, kind, **options)
        code = error.value.response["Error"]["Code"]
        assert code in ("InvalidArgumentException", "ValidationException"), name
    assert client.list_delivery_streams()["DeliveryStreamNames"] == []


def unchecked():
    """A client that sends what is not valid."""
    config = harness.no_retries()
    return config.merge(type(config)(parameter_validation=False))
