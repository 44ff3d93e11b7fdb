"""Every example configuration is run, with its addresses, folders and servers put in place."""

import base64
import datetime
import gzip
import http.server
import io
import json
import os
import subprocess
import threading
import urllib.request

import confluent_kafka
import confluent_kafka.admin
import pyarrow.parquet
import pytest
import zstandard

import datadog_intake
import harness
import kafka
import opensearch_bulk
import splunk_hec
from certificates import with_tls

EXAMPLES = harness.REPOSITORY / "examples/config"


# Found by the default chain of the AWS SDKs.
KEYS = {"AWS_ACCESS_KEY_ID": harness.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": harness.SECRET_KEY}
# Puts a free port where a file leaves the listener at its default.
LISTEN = {"api:\n": "api:\n  listen: 127.0.0.1:PORT\n"}
DATA = "/var/lib/standpipe"


class Example(harness.Daemon):
    """The daemon with one of the example files; each change must find what it changes."""

    def __init__(self, folder, name, changes, env=None):
        super().__init__(folder, {}, env={"STANDPIPE_SECRET": harness.SECRET_KEY, **(env or {})})
        self.text = (EXAMPLES / name).read_text()
        for old, new in changes.items():
            assert old in self.text, f"{name} does not hold {old!r}"
            self.text = self.text.replace(old, new.replace("PORT", str(self.port)))
        self.text = self.text.replace(DATA, str(self.folder / "data"))

    def write_config(self):
        self.config_path.write_text(self.text)

    def firehose(self, **options):
        return super().firehose(**{"aws_access_key_id": "AKIAEXAMPLE", **options})

    def put(self, stream, *records, **options):
        answer = self.firehose(**options).put_record_batch(
            DeliveryStreamName=stream, Records=[{"Data": record} for record in records]
        )
        assert answer["FailedPutCount"] == 0


@pytest.fixture
def example(tmp_path, request):
    made = []

    def make(name, changes, wait=True, **options):
        made.append(Example(tmp_path / "standpipe", name, changes, **options))
        return made[-1].start(wait)

    yield make
    for one in made:
        one.close()
        if getattr(request.node, "failed", False):
            print(one.log()[-6000:])


@pytest.fixture
def moto(tmp_path):
    """S3, KMS and STS in one server."""
    port = harness.free_port()
    with (tmp_path / "moto.log").open("ab") as log:
        process = subprocess.Popen(
            [harness.CACHE / "venv/bin/moto_server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
        )
    harness.wait_for(lambda: harness.listening(port), "moto listens")
    server = harness.S3Server(tmp_path / "moto")
    server.port = port
    yield server
    process.kill()
    process.wait()


def delivered(daemon, found, count):
    """Terminates the daemon, which delivers all that is open, and answers `count` objects."""
    assert daemon.terminate() == 0
    objects = found()
    assert len(objects) == count, sorted(objects)
    return objects


def test_minimal(example, tmp_path):
    folder = tmp_path / "bucket"
    d = example("minimal.yaml", {"/tmp/standpipe-bucket": str(folder), **LISTEN})
    # As its comment says.
    d.command("send", "clicks", "--anonymous", "--endpoint-url", d.url, input="hello\n")
    (content,) = delivered(d, lambda: harness.files(folder), 1).values()
    assert content.read_bytes() == b"hello\n"
    assert (d.folder / "standpipe-data").is_dir()


def test_s3(example, s3_server):
    s3_server.client().create_bucket(Bucket="my-logs")
    d = example(
        "s3.yaml",
        {
            "127.0.0.1:4573": "127.0.0.1:PORT",
            "  region: us-east-1                     # of": f"  endpoint: {s3_server.url}\n"
            "  region: us-east-1                     # of",
        },
        env=KEYS,
    )
    d.put("clickstream", b'{"a":1}', b'{"a":2}\n')
    found = delivered(d, lambda: s3_server.objects("my-logs"), 1)
    ((key, answer),) = found.items()
    assert key.startswith("clicks/dt=2") and key.endswith(".gz")
    assert gzip.decompress(answer["Body"]) == b'{"a":1}\n{"a":2}\n'


def test_s3_compatible(example, s3_server):
    s3_server.client().create_bucket(Bucket="logs")
    d = example(
        "s3-compatible.yaml",
        LISTEN,
        env={
            "S3_ENDPOINT": s3_server.url,
            "S3_ACCESS_KEY": harness.ACCESS_KEY,
            "S3_SECRET_KEY": harness.SECRET_KEY,
        },
    )
    d.put("logs", b"one\n", b"two\n")
    ((key, answer),) = delivered(d, lambda: s3_server.objects("logs"), 1).items()
    assert key.endswith(".zst")
    assert zstandard.ZstdDecompressor().decompressobj().decompress(answer["Body"]) == b"one\ntwo\n"


def test_several_destinations(example, s3_server, tmp_path):
    for bucket in ["my-lake", "my-raw"]:
        s3_server.client().create_bucket(Bucket=bucket)
    archive = tmp_path / "archive"
    d = example(
        "several-destinations.yaml",
        {
            **LISTEN,
            "  region: eu-central-1\n": f"  region: us-east-1\n  endpoint: {s3_server.url}\n",
            "/srv/archive": str(archive),
        },
        env=KEYS,
    )
    d.put("orders", b"one", b"two")
    ((key, answer),) = delivered(d, lambda: s3_server.objects("my-lake"), 1).items()
    assert key.startswith("orders/dt=2") and key.endswith(".json.gz")
    assert answer.get("ContentEncoding") is None
    assert gzip.decompress(answer["Body"]) == b"one\ntwo\n"
    ((key, answer),) = s3_server.objects("my-raw").items()
    assert key.startswith("orders/2") and gzip.decompress(answer["Body"]) == b"one\ntwo\n"
    ((key, path),) = harness.files(archive).items()
    assert key.startswith("orders/2") and key.endswith(".zst")
    content = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    assert content == b"onetwo"


def test_tls(example, moto, tmp_path):
    client = moto.client()
    client.create_bucket(Bucket="my-audit")
    secrets = tmp_path / "etc"
    secrets.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        + ["-keyout", secrets / "tls.key", "-out", secrets / "tls.crt"],
        check=True,
        capture_output=True,
    )
    (secrets / "journal.key").write_text("ab" * 32 + "\n")
    keys = secrets / "credentials.yaml"
    keys.write_text(f"- {{access_key_id: AKIAAGENT1, secret_access_key: '{harness.SECRET_KEY}'}}\n")
    keys.chmod(0o600)
    d = example(
        "tls.yaml",
        {
            "/etc/standpipe": str(secrets),
            "0.0.0.0:4573": "127.0.0.1:PORT",
            "aws:\n": f"aws:\n  endpoint: {moto.url}\n  sts_endpoint: {moto.url}\n",
        },
        # The page of readiness is asked over plain HTTP, which this listener does not speak.
        wait=False,
        env=KEYS,
    )
    harness.wait_for(lambda: harness.listening(d.port), "the daemon listens")
    options = {
        "endpoint_url": f"https://localhost:{d.port}",
        "verify": str(secrets / "tls.crt"),
        "aws_access_key_id": "AKIAAGENT1",
        "region_name": "eu-central-1",
    }
    d.put("audit", b"find-me-if-you-can\n", **options)
    kept = [path.read_bytes() for path in (d.folder / "data").rglob("*") if path.is_file()]
    assert kept and not any(b"find-me" in content for content in kept)
    found = d.firehose(**options).describe_delivery_stream(DeliveryStreamName="audit")
    arn = found["DeliveryStreamDescription"]["DeliveryStreamARN"]
    assert arn == "arn:aws:firehose:eu-central-1:123456789012:deliverystream/audit"
    ((key, answer),) = delivered(d, lambda: moto.objects("my-audit"), 1).items()
    assert key.startswith("audit/2")
    assert gzip.decompress(answer["Body"]) == b"find-me-if-you-can\n"
    assert answer["ServerSideEncryption"] == "aws:kms"
    assert answer["SSEKMSKeyId"].endswith(":key/1234abcd")


def lines(found, beginning):
    """Key → lines of the packed objects whose keys begin so."""
    return {
        key: gzip.decompress(answer["Body"]).splitlines()
        for key, answer in found.items()
        if key.startswith(beginning)
    }


def in_bucket(server):
    """Where an example leaves the bucket's server to AWS."""
    return {"aws:\n": f"aws:\n  endpoint: {server.url}\n"}


def test_cloudwatch_logs(example, s3_server):
    s3_server.client().create_bucket(Bucket="my-logs")
    d = example("cloudwatch-logs.yaml", {**LISTEN, **in_bucket(s3_server)}, env=KEYS)

    def document(group, *events, kind="DATA_MESSAGE"):
        members = {
            "messageType": kind,
            "owner": "123456789012",
            "logGroup": group,
            "logStream": "stream",
            "subscriptionFilters": ["all"],
            "logEvents": [
                {"id": f"{time}", "timestamp": time, "message": text} for time, text in events
            ],
        }
        return gzip.compress(json.dumps(members).encode())

    first = int(datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc).timestamp() * 1000)
    d.put(
        "cloudwatch-logs",
        document("app", (first, "one"), (first + 1, "two"), (first + 86_400_000, "three")),
        document("db", (first, "four\nfive")),
        document("CWL", (first, "CWL CONTROL MESSAGE"), kind="CONTROL_MESSAGE"),
        b"not packed",
    )
    found = delivered(d, lambda: s3_server.objects("my-logs"), 4)
    messages = {
        key.rsplit("/", 1)[0]: [json.loads(line)["message"] for line in content]
        for key, content in lines(found, "logs/").items()
    }
    assert messages == {
        "logs/group=app/dt=2026-01-02": ["one", "two"],
        "logs/group=app/dt=2026-01-03": ["three"],
        "logs/group=db/dt=2026-01-02": ["four\nfive"],
    }
    (error,) = (key for key in found if key.startswith("errors/"))
    assert error.startswith("errors/decompression-failed/")


def test_partitioned_parquet(example, s3_server):
    s3_server.client().create_bucket(Bucket="my-lake")
    d = example("partitioned-parquet.yaml", {**LISTEN, **in_bucket(s3_server)}, env=KEYS)
    now = datetime.datetime.now(datetime.timezone.utc)
    orders = [
        {"order_id": "1", "customer": "acme", "total": 9.5, "ordered_at": now.isoformat()},
        {"order_id": 2, "customer": "acme", "total": "7", "ordered_at": "2020-01-02T03:04:05Z"},
        {"order_id": 3, "customer": "zoo", "gift": True, "ordered_at": now.timestamp()},
    ]
    d.put("orders", *(json.dumps(order).encode() for order in orders), b"{}")
    found = delivered(d, lambda: s3_server.objects("my-lake"), 4)
    rows = {}
    for key, answer in found.items():
        if key.endswith(".parquet"):
            file = pyarrow.parquet.ParquetFile(io.BytesIO(answer["Body"]))
            assert file.metadata.row_group(0).column(0).compression == "ZSTD"
            (row,) = file.read().to_pylist()
            rows[key.rsplit("/", 1)[0]] = (row["order_id"], str(row["total"]))
    today = f"dt={now:%Y-%m-%d}"
    assert rows == {
        f"orders/customer=acme/{today}": (1, "9.50"),
        "late/orders/customer=acme/dt=2020-01-02": (2, "7.00"),
        f"orders/customer=zoo/{today}": (3, "None"),
    }
    (error,) = (key for key in found if key.startswith("orders-errors/"))
    assert error.startswith("orders-errors/metadata-extraction-failed/")


class Enriching(http.server.BaseHTTPRequestHandler):
    """A function of Firehose's contract by HTTP: adds nothing but an exclamation mark."""

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        records = [
            {"recordId": r["recordId"], "result": "Ok", "data": enriched(r["data"])}
            for r in event["records"]
        ]
        body = json.dumps({"records": records}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def enriched(data):
    return base64.b64encode(base64.b64decode(data) + b"!").decode()


@pytest.fixture
def function():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Enriching)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/enrich"
    server.shutdown()
    server.server_close()


def test_transforms(example, s3_server, function):
    s3_server.client().create_bucket(Bucket="my-events")
    changes = {**LISTEN, **in_bucket(s3_server), "http://127.0.0.1:9001/enrich": function}
    d = example("transforms.yaml", changes, env=KEYS)
    event = {"time": 1, "level": "info", "message": "m", "secret": "s"}
    noise = {**event, "level": "debug"}
    both = json.dumps(event).encode() + json.dumps(noise).encode()
    d.put("events", both, json.dumps({**event, "host": "h"}).encode())
    found = delivered(d, lambda: s3_server.objects("my-events"), 2)
    (content,) = lines(found, "events/dt=2").values()
    shown = {"at": 1, "level": "info", "message": "m"}
    assert [json.loads(line) for line in content] == [
        {**shown, "host": "unknown"},
        {**shown, "host": "h"},
    ]
    (answer,) = (answer for key, answer in found.items() if key.startswith("enriched/dt=2"))
    assert answer["Body"].startswith(both + b"!\n") and answer["Body"].endswith(b"}!\n")


# ---------------------------------------------------------------- destinations over HTTP


KEY = "a key from a file"


@pytest.fixture
def etc(tmp_path, certificates):
    """The folder of keys; every file that an example names holds the same one."""
    folder = tmp_path / "etc"
    folder.mkdir()
    named = "collector.key webhook.token hec.token search.password datadog.key new-relic.key"
    named += " dynatrace.token sumo-logic.token elastic.key another.key"
    named += " http.token http-old.token"
    for name in named.split():
        (folder / name).write_text(KEY + "\n")
    (folder / "tls.crt").write_bytes((certificates / "ca.crt").read_bytes())
    return folder


@pytest.fixture
def over_http(example, certificates, etc, s3_server):
    """Runs an example whose destinations are reached with TLS, as its URLs say; the authority of
    the doubles takes the place of the machine's. Its buckets are there."""

    def make(name, changes):
        for bucket in ["my-errors", "my-splunk-backup"]:
            s3_server.client().create_bucket(Bucket=bucket)
        changes = {**LISTEN, **in_bucket(s3_server), "/etc/standpipe": str(etc), **changes}
        env = {**KEYS, "SSL_CERT_FILE": str(certificates / "ca.crt")}
        return example(name, changes, env=env)

    return make


@pytest.fixture
def tls(certificates):
    return with_tls(certificates, "server")


def error_lines(server, bucket="my-errors"):
    """Beginning of the key → raw data of the error lines below it."""
    found = {}
    for key, answer in server.objects(bucket).items():
        folder = "/".join(key.split("/")[:2])
        lines = answer["Body"].split(b"\n")[:-1]
        raws = [base64.b64decode(json.loads(line)["rawData"]) for line in lines]
        found.setdefault(folder, []).extend(raws)
    return found


def test_http_endpoint(over_http, endpoints, tls, s3_server):
    collector = endpoints(
        access_key=KEY,
        attributes={"environment": "production"},
        content_encoding="gzip",
        **tls,
    )
    webhook = endpoints(body="ndjson", poison=b"bad", **tls)
    d = over_http(
        "http-endpoint.yaml",
        {
            "https://collector.example/firehose": collector.url,
            "https://hooks.example/ingest?source=standpipe": webhook.url,
        },
    )
    sent = [b'{"a":1}', b'{"a":"bad"}', b'{"a":3}']
    d.put("clicks", *sent)
    assert d.terminate() == 0
    assert collector.records() == sent
    assert sorted(webhook.records()) == [sent[0], sent[2]]
    assert {request.headers.get("Authorization") for request in webhook.seen()} == {KEY}
    assert error_lines(s3_server) == {"webhook/http-endpoint-failed": [sent[1]]}


def test_splunk(over_http, tls, s3_server):
    hec = splunk_hec.Hec(KEY, ack=True, **tls)
    try:
        d = over_http("splunk.yaml", {"https://splunk.example:8088": hec.url})
        d.put("logs", b"one", b"two\n")
        assert d.terminate() == 0
        meta = {"index": "main", "sourcetype": "_json"}
        assert hec.events() == [{"event": event, **meta} for event in ("one", "two")]
    finally:
        hec.close()
    # As they came, but for the line break that is asked for.
    ((key, answer),) = s3_server.objects("my-splunk-backup").items()
    assert key.startswith("source/2") and key.endswith(".gz")
    assert gzip.decompress(answer["Body"]) == b"one\ntwo\n\n"


def test_opensearch(over_http, tls, s3_server):
    cluster = opensearch_bulk.OpenSearchBulk(auth=("standpipe", KEY), **tls)
    collection = opensearch_bulk.OpenSearchBulk(auth="aoss", **tls)
    try:
        d = over_http(
            "opensearch.yaml",
            {
                "https://search.example:9200": cluster.url,
                # At Amazon's hosts requests are signed without being told to.
                "https://abcdefghij0123456789.us-east-1.aoss.amazonaws.com": f"{collection.url}\n"
                "          auth: aws",
            },
        )
        sent = [b'{"level":"info","n":%d}' % number for number in range(3)]
        debug = b'{"level":"debug"}'
        begun = datetime.datetime.now(datetime.timezone.utc)
        d.put("events", *sent, debug)
        days = {f"events-{day:%Y-%m-%d}" for day in (begun, datetime.datetime.now(begun.tzinfo))}
        assert d.terminate() == 0
        (index,) = cluster.docs
        assert index in days
        assert cluster.documents(index) == sent
        assert set(collection.docs) == {"events"}
        assert collection.documents("events") == [*sent, debug]
        assert cluster.mistakes == collection.mistakes == []
    finally:
        cluster.close()
        collection.close()
    assert error_lines(s3_server) == {}


def test_datadog(over_http, tls, s3_server):
    intake = datadog_intake.DatadogIntake(KEY, **tls)
    try:
        d = over_http("datadog.yaml", {"site: datadoghq.eu": f"endpoint: {intake.url}/api/v2/logs"})
        d.put("logs", b'{"message":"one"}{"message":"two","ddtags":"team:own","service":"own"}')
        assert d.terminate() == 0
        assert intake.mistakes == []
        (one, two) = intake.logs
    finally:
        intake.close()
    assert one == {
        "message": "one",
        "service": "shop",
        "ddsource": "standpipe",
        "ddtags": "env:prod,team:shop",
    }
    assert (two["message"], two["service"], two["ddsource"]) == ("two", "own", "standpipe")
    assert set(two["ddtags"].split(",")) == {"team:own", "env:prod", "team:shop"}
    assert error_lines(s3_server) == {}


# Partner → line of the file behind which its URL goes, and what its requests carry.
PARTNERS = {
    "datadog": ("preset: {datadog: {site: datadoghq.eu}}", {"env": "prod"}),
    "new-relic": ("preset: {new_relic: {region: eu}}", {}),
    "dynatrace": (
        "preset: {dynatrace: {region: eu, environment_url: https://abc12345.live.dynatrace.com}}",
        {"dt-url": "https://abc12345.live.dynatrace.com"},
    ),
    "sumo-logic": ("preset:\n            sumo_logic:", {}),
    "elastic": (
        "preset: {elastic: {data_stream: logs-standpipe-default}}",
        {"es_datastream_name": "logs-standpipe-default"},
    ),
}


def test_partners(over_http, endpoints, tls, s3_server):
    made, changes = {}, {}
    for name, (preset, attributes) in PARTNERS.items():
        key = None if name == "sumo-logic" else KEY
        options = {"access_key": key, "attributes": attributes, "content_encoding": "gzip"}
        made[name] = endpoints(**options, **tls)
        url = f"url: {made[name].url}\n          "
        changes[preset] = url + preset
    # The one whose URL must be given has one.
    changes[PARTNERS["elastic"][0]] = PARTNERS["elastic"][0]
    own = "https://my-deployment.es.eu-central-1.aws.elastic.example"
    changes[own] = made["elastic"].url
    made["another"] = endpoints(access_key=KEY, content_encoding="gzip", attributes={}, **tls)
    changes["https://aws-logs.example/aws-logs/api/v1/push"] = made["another"].url
    made["another"].script({"status": 413})
    d = over_http("partners.yaml", changes)
    d.put("logs", b'{"message":"one"}')
    assert d.terminate() == 0
    assert {name: one.records() for name, one in made.items()} == {
        name: [] if name == "another" else [b'{"message":"one"}'] for name in made
    }
    # A folder of the one bucket for each of them.
    found = error_lines(s3_server)
    assert found == {"another/http-endpoint-failed": [b'{"message":"one"}']}


def test_partners_as_they_stand(tmp_path, etc):
    """Where the presets lead is their own business; all of it is sound."""
    text = (EXAMPLES / "partners.yaml").read_text()
    file = tmp_path / "partners.yaml"
    file.write_text(text.replace("/etc/standpipe", str(etc)).replace(DATA, str(tmp_path / "data")))
    environment = {**os.environ, "STANDPIPE_SECRET": harness.SECRET_KEY}
    done = subprocess.run(
        [harness.BINARY, "validate", file],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr


# ---------------------------------------------------------------------------------- sources


def read_from_source(d, stream, records):
    """Waits until so many records of a source are in the journal."""
    read = 'standpipe_data_read_from_source_records_total{stream="%s"}' % stream
    harness.wait_for(lambda: f"{read} {records}\n" in d.get("/metrics")[1], f"{stream} has read")


def test_kinesis(example, s3_server, kinesis):
    s3_server.client().create_bucket(Bucket="my-lake")
    kinesis.create("clicks", shards=2)
    kinesis.put("clicks", [b'{"n":%d}' % n for n in range(6)])
    aws = f"aws:\n  endpoint: {s3_server.url}\n  kinesis_endpoint: {kinesis.url}\n"
    d = example("kinesis.yaml", {**LISTEN, "aws:\n": aws}, env=KEYS)
    read_from_source(d, "clicks", 6)
    assert d.terminate() == 0
    found = lines(s3_server.objects("my-lake"), "clicks/dt=2")
    events = [json.loads(line) for content in found.values() for line in content]
    assert sorted((event["n"], event["partition_key"]) for event in events) == [
        (n, f"key-{n}") for n in range(6)
    ]


def produce(broker, topic, *records):
    """Makes a topic of one partition that holds these records."""
    client = {"bootstrap.servers": broker.brokers}
    admin = confluent_kafka.admin.AdminClient(client)
    admin.create_topics([confluent_kafka.admin.NewTopic(topic, 1, 1)])[topic].result(60)
    producer = confluent_kafka.Producer({**client, "message.timeout.ms": 60_000})
    for record in records:
        producer.produce(topic, record)
    assert producer.flush(60) == 0


BROKERS = "kafka-1.example:9093, kafka-2.example:9093"
IN_PLAIN_TEXT = {"tls: {ca: /etc/standpipe/tls.crt}": "tls:"}


def test_kafka(example, s3_server, kafka_broker, etc):
    s3_server.client().create_bucket(Bucket="my-lake")
    (etc / "kafka.password").write_text(kafka.SCRAM[1] + "\n")
    produce(kafka_broker, "orders", b'{"order":1}', b'{"order":2}')
    produce(kafka_broker, "payments-eu", b'{"payment":1}')
    changes = {
        **LISTEN,
        **in_bucket(s3_server),
        **IN_PLAIN_TEXT,
        BROKERS: kafka_broker.sasl_brokers,
        "username: standpipe": f"username: {kafka.SCRAM[0]}",
        "/etc/standpipe": str(etc),
    }
    d = example("kafka.yaml", changes, env=KEYS)
    read_from_source(d, "orders", 3)
    found = delivered(d, lambda: s3_server.objects("my-lake"), 2)
    by_topic = {key.split("/")[1]: value for key, value in lines(found, "kafka/").items()}
    assert {topic: sorted(content) for topic, content in by_topic.items()} == {
        "orders": [b'{"order":1}', b'{"order":2}'],
        "payments-eu": [b'{"payment":1}'],
    }


def test_replicas_kafka(example, s3_server, kafka_broker):
    s3_server.client().create_bucket(Bucket="my-logs")
    changes = {
        **in_bucket(s3_server),
        **IN_PLAIN_TEXT,
        "0.0.0.0:4573": "127.0.0.1:PORT",
        "kafka-1.example:9093, kafka-2.example:9093, kafka-3.example:9093": kafka_broker.brokers,
        # The broker is alone.
        "replication_factor: 3": "replication_factor: 1",
        # What is open when a replica stops is left to the others.
        "interval: 60s": "interval: 1s",
    }
    d = example("replicas-kafka.yaml", changes, env=KEYS)
    sent = [b"one\n", b"two\n"]
    d.put("clicks", *sent)

    def arrived():
        found = lines(s3_server.objects("my-logs"), "clicks/dt=2")
        return sorted(line + b"\n" for content in found.values() for line in content)

    harness.wait_for(lambda: arrived() == sent, "both are delivered")
    assert d.terminate() == 0
    assert arrived() == sent


def test_file_sidecar(example, s3_server, tmp_path):
    s3_server.client().create_bucket(Bucket="my-logs")
    folder = tmp_path / "app"
    folder.mkdir()
    one, two = b"2026-01-02 one\n  at a\n  at b", b"2026-01-02 two"
    log = folder / "app.log"
    log.write_bytes(one + b"\n" + two + b"\n")
    (folder / "app.log.tmp").write_bytes(b"2026-01-02 left out\n")
    d = example(
        "file-sidecar.yaml",
        {**LISTEN, **in_bucket(s3_server), "/var/log/app/": f"{folder}/"},
        env=KEYS,
    )
    keys = {**os.environ, **KEYS, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE"}
    # As its comment says.
    d.command("shipped", "--wait", "60s", log, "--endpoint-url", d.url, env=keys)
    found = delivered(d, lambda: s3_server.objects("my-logs"), 1)
    ((key, answer),) = found.items()
    assert key.startswith("app/dt=2") and key.endswith(".zst")
    content = zstandard.ZstdDecompressor().decompressobj().decompress(answer["Body"])
    assert content == one + b"\n" + two + b"\n"


def test_kubernetes_node(example, s3_server, tmp_path):
    s3_server.client().create_bucket(Bucket="my-logs")
    pods = tmp_path / "pods"
    for pod, text in [("shop_web-0_1234-abcd", "hello"), ("kube-system_dns_1234-ef", "left out")]:
        folder = pods / pod / "main"
        folder.mkdir(parents=True)
        time = "2026-01-02T03:04:05.000000006Z"
        (folder / "0.log").write_text(f"{time} stdout P {text} \n{time} stdout F again\n")
    d = example(
        "kubernetes-node.yaml",
        {**LISTEN, **in_bucket(s3_server), "/var/log/pods/": f"{pods}/"},
        env=KEYS,
    )
    read_from_source(d, "containers", 1)
    ((key, answer),) = delivered(d, lambda: s3_server.objects("my-logs"), 1).items()
    assert key.startswith("k8s/shop/dt=2")
    event = json.loads(gzip.decompress(answer["Body"]))
    assert (event["log"], event["stream"]) == ("hello again", "stdout")
    named = event["kubernetes"]
    assert (named["pod_name"], named["container_name"]) == ("web-0", "main")


def test_http(example, s3_server, etc):
    s3_server.client().create_bucket(Bucket="my-events")
    port = harness.free_port()
    tls = "tls: &tls {certificate: /etc/standpipe/tls.crt, key: {file: /etc/standpipe/tls.key}}"
    d = example(
        "http.yaml",
        {
            **LISTEN,
            **in_bucket(s3_server),
            "0.0.0.0:4574": f"127.0.0.1:{port}",
            # Certificates of sources have tests of their own.
            tls: "plain_http: false",
            "tls: *tls": "plain_http: false",
            "/etc/standpipe": str(etc),
        },
        env=KEYS,
    )

    def post(path, body, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{port}{path}"
        request = urllib.request.Request(url, body, named, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200
            return json.loads(answer.read())

    harness.wait_for(lambda: harness.listening(port), "the address is listened on")
    bearer = {"Authorization": f"Bearer {KEY}"}
    answer = post("/events", b'{"n":1}\n{"n":2}\n', Content_Type="application/x-ndjson", **bearer)
    assert answer["accepted"] == 2
    data = base64.b64encode(b"from afar").decode()
    body = {"requestId": "a-b", "timestamp": 1, "records": [{"data": data}]}
    answer = post(
        "/from-firehose",
        json.dumps(body).encode(),
        Content_Type="application/json",
        X_Amz_Firehose_Protocol_Version="1.0",
        X_Amz_Firehose_Request_Id="a-b",
        X_Amz_Firehose_Access_Key=KEY,
    )
    assert answer["requestId"] == "a-b"
    answer = post("/services/collector", b'{"event":"log"}', Authorization=f"Splunk {KEY}")
    assert answer["code"] == 0
    record = {"body": {"stringValue": "line"}}
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    post("/v1/logs", json.dumps(logs).encode(), Content_Type="application/json", **bearer)
    found = delivered(d, lambda: s3_server.objects("my-events"), 4)
    assert {key.split("/")[0]: answer["Body"] for key, answer in found.items()} == {
        "events": b'{"n":1}\n{"n":2}\n',
        "from-firehose": b"from afar",
        "splunk": b"log\n",
        "otel": b'{"body":"line"}\n',
    }


def test_every_example_is_run():
    tested = {name.removeprefix("test_").replace("_", "-") for name in globals()}
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} <= tested
