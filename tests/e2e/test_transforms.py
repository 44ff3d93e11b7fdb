"""Records on their way through transforms: subscriptions of CloudWatch Logs, records that hold
several, jq; and a stream made by the API that has all of it at once."""

import base64
import collections
import gzip
import json
import os
import zlib

import pytest

import harness
import lambda_api
import outputs
from lambda_api import data_of, each, ok

ARN = "arn:aws:lambda:us-east-1:123456789012:function:transform"
START_MS = 1_510_109_208_016


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def subscription(*messages, **head):
    """What a subscription filter sends, before compression."""
    return compact(
        {
            "messageType": "DATA_MESSAGE",
            "owner": "123456789012",
            "logGroup": "/app/group",
            "logStream": "stream-1",
            "subscriptionFilters": ["all"],
            "logEvents": [
                {"id": f"{n:056d}", "timestamp": START_MS + n, "message": message}
                for n, message in enumerate(messages)
            ],
            **head,
        }
    )


CONTROL = compact(
    {
        "messageType": "CONTROL_MESSAGE",
        "owner": "CloudwatchLogs",
        "logGroup": "",
        "logStream": "",
        "subscriptionFilters": [],
        "logEvents": [
            {
                "id": "",
                "timestamp": START_MS,
                "message": "CWL CONTROL MESSAGE: Checking health of destination Firehose.",
            }
        ],
    }
)

# Messages that a careless reader would take apart or change.
MESSAGES = ["plain", 'a "quoted" \\ one', "tab\tand\nnewline", "Grüße 日本 \U0001f600", "", "\u0001"]
ONE = subscription(*MESSAGES)
TWO = subscription("two", logGroup="/other")
NONE = subscription()
MANY = subscription(*(f"event {n}: {n * 7919}" for n in range(10_000)))


def packed(data):
    return gzip.compress(data, 6, mtime=0)


def bad_records():
    """Records that do not unpack, with the code that tells why."""
    whole = packed(ONE)
    damaged = bytearray(whole)
    damaged[-6] ^= 0xFF
    return {
        whole[:-5]: "Decompression.Failed",
        whole[: len(whole) // 2]: "Decompression.Failed",
        bytes(damaged): "Decompression.Failed",
        ONE: "Decompression.Failed",
        b"": "Decompression.Failed",
        os.urandom(100): "Decompression.Failed",
        # 200 MiB of nothing, in 200 KiB.
        packed(bytes(200 * 1024 * 1024)): "Decompression.SizeLimitExceeded",
    }


def bad_documents():
    """Records that unpack, and are nothing that a subscription sends."""
    return {
        packed(data): "CloudWatchLogProcessing.Failed"
        for data in (b"", b"plain text", b'{"a":1}', b"[]", ONE[:-10], ONE + b"and more")
    }


def started(daemon, folder, *transforms, **options):
    destination = harness.local(folder, error_output_prefix=outputs.ERRORS, **options)
    destination["transforms"] = list(transforms)
    return daemon({"s": {"destinations": [destination]}}, aws=harness.outgoing())


def failed(folder):
    """(output type, code) of every failed record by its bytes; each one stands there once."""
    found = {}
    for output_type, raw, line in outputs.failures(outputs.local_contents(folder)):
        assert raw not in found, "a record failed twice"
        found[raw] = (output_type, line["errorCode"])
    return found


def objects_of(daemon, folder, *records):
    """Puts records one behind the other and answers the objects' bytes, and what became of all."""
    outputs.put(daemon, *records)
    became = outputs.settled(daemon, "s", len(records))
    return outputs.written(folder), became


def test_unpacked_subscriptions_are_delivered_as_they_are(daemon, tmp_path):
    folder = tmp_path / "bucket"
    d = started(
        daemon, folder, {"decompression": "gzip"}, {"cloudwatch_log_processing": {}}
    )
    bad = {**bad_records(), **bad_documents()}
    good = [ONE, CONTROL, NONE, MANY, TWO]
    # Neighbours of what fails.
    records = [packed(good[0]), *bad, *map(packed, good[1:])]
    content, became = objects_of(d, folder, *records)
    assert content == b"".join(good)
    assert (became["delivered"], became["failed"]) == (len(good), len(bad))
    assert failed(folder) == {raw: ("decompression-failed", code) for raw, code in bad.items()}


def test_extraction_leaves_the_messages(daemon, tmp_path):
    folder = tmp_path / "bucket"
    d = started(
        daemon,
        folder,
        {"decompression": "gzip"},
        {"cloudwatch_log_processing": {"data_message_extraction": True}},
    )
    bad = {**bad_records(), **bad_documents()}
    # Two gzip members in one record are two documents.
    both = packed(TWO) + packed(TWO)
    records = [packed(ONE), packed(CONTROL), *bad, packed(NONE), packed(MANY), both]
    content, became = objects_of(d, folder, *records)
    messages = [*MESSAGES, *(f"event {n}: {n * 7919}" for n in range(10_000)), "two", "two"]
    assert content == "".join(f"{message}\n" for message in messages).encode()
    assert (became["delivered"], became["dropped"]) == (3, 2), became
    assert failed(folder) == {raw: ("decompression-failed", code) for raw, code in bad.items()}


def test_events_with_their_metadata(daemon, tmp_path):
    folder = tmp_path / "bucket"
    members = ["id", "timestamp", "log_group", "log_stream", "owner", "subscription_filters"]
    d = started(
        daemon,
        folder,
        {"decompression": "gzip"},
        {"cloudwatch_log_processing": {"metadata": members}},
    )
    content, became = objects_of(d, folder, packed(ONE), packed(CONTROL), packed(TWO))
    assert became["dropped"] == 1
    assert content.endswith(b"\n")
    of_one = {
        "logGroup": "/app/group",
        "logStream": "stream-1",
        "owner": "123456789012",
        "subscriptionFilters": ["all"],
    }
    expected = [
        {"id": f"{n:056d}", "timestamp": START_MS + n, "message": message, **of_one}
        for n, message in enumerate(MESSAGES)
    ]
    expected.append(
        {"id": f"{0:056d}", "timestamp": START_MS, "message": "two", **of_one, "logGroup": "/other"}
    )
    # A line each, whatever is in a message.
    assert [json.loads(line) for line in content.split(b"\n")[:-1]] == expected


@pytest.mark.parametrize("spec", ["zlib", {"compression_format": "zlib"}])
def test_other_formats_unpack_too(daemon, tmp_path, spec):
    folder = tmp_path / "bucket"
    d = started(daemon, folder, {"decompression": spec})
    content, _ = objects_of(d, folder, zlib.compress(ONE), packed(ONE))
    assert content == ONE
    assert failed(folder) == {packed(ONE): ("decompression-failed", "Decompression.Failed")}


def test_objects_in_one_record_are_taken_apart(daemon, tmp_path):
    folder = tmp_path / "bucket"
    d = started(
        daemon, folder, {"record_deaggregation": "json"}, {"append_delimiter": "\n"}
    )
    objects = [b'{"a":1}', b'{"b":"}{"}', b'{"c":"\\"}{"}', '{"d":"Grüße"}'.encode(), b"{}"]
    whole = [b"[1,2]", b'{"a":1}{"b":', b"plain", b"1 2", b'{"a":1},{"b":2}']
    over = b'{"n":1}' * 501
    exactly = b'{"n":1}' * 500
    records = [b"".join(objects), b"\n".join(objects), b" \r\n".join(objects) + b"\n\n"]
    content, _ = objects_of(d, folder, *records, *whole, over, exactly)
    expected = [*objects * 3, *whole, over, *[b'{"n":1}'] * 500]
    assert content == b"".join(piece + b"\n" for piece in expected)


@pytest.mark.parametrize(
    "how", [{"delimiter": "||"}, {"delimiter_base64": base64.b64encode(b"||").decode()}]
)
def test_delimited_records_are_taken_apart(daemon, tmp_path, how):
    folder = tmp_path / "bucket"
    d = started(
        daemon,
        folder,
        {"record_deaggregation": {"sub_record_type": "delimited", **how}},
        {"append_delimiter": "\n"},
    )
    over, exactly = b"||".join([b"x"] * 501), b"||".join([b"x"] * 500) + b"||"
    content, _ = objects_of(d, folder, b"a||b||||c|d||", b"\xff\x00||\xfe", b"e", over, exactly)
    expected = [b"a", b"b", b"c|d", b"\xff\x00", b"\xfe", b"e", over, *[b"x"] * 500]
    assert content == b"".join(piece + b"\n" for piece in expected)


def test_filter_and_map(daemon, tmp_path):
    folder = tmp_path / "bucket"
    d = started(
        daemon,
        folder,
        {"filter": '.level != "debug"'},
        {"map": "{at: .time, message} , (.more[]? | {more: .})"},
        {"append_delimiter": "\n"},
    )
    records = [
        b'{"level":"info","time":1,"message":"a","secret":"x"}',
        b'{"level":"debug","time":2}',
        b"no json",
        b'{"level":"warn","time":1.5,"message":"\\u00fc","more":[1,[2]]}',
        b'["a list has no level"]',
    ]
    content, became = objects_of(d, folder, *records)
    assert [json.loads(line) for line in content.splitlines()] == [
        {"at": 1, "message": "a"},
        {"at": 1.5, "message": "ü"},
        {"more": 1},
        {"more": [2]},
    ]
    assert became["dropped"] == 1
    assert failed(folder) == {
        records[2]: ("processing-failed", "Standpipe.FilterFailed"),
        records[4]: ("processing-failed", "Standpipe.FilterFailed"),
    }


def test_the_error_output_gets_the_record_as_it_arrived(daemon, tmp_path):
    """What fails late is told with the bytes that were put, not with what became of them."""
    folder = tmp_path / "bucket"
    d = started(
        daemon,
        folder,
        {"decompression": "gzip"},
        {"cloudwatch_log_processing": {"data_message_extraction": True}},
        {"filter": ".ok"},
    )
    good, bad = packed(subscription('{"ok":true}')), packed(subscription("no json"))
    content, _ = objects_of(d, folder, good, bad)
    assert content == b'{"ok":true}\n'
    assert failed(folder) == {bad: ("processing-failed", "Standpipe.FilterFailed")}


# ------------------------------------------------------------------ everything, made by the API


def processor(kind, **parameters):
    return {
        "Type": kind,
        "Parameters": [
            {"ParameterName": name, "ParameterValue": value} for name, value in parameters.items()
        ],
    }


def all_processors(query):
    return {
        "Enabled": True,
        "Processors": [
            processor("Decompression", CompressionFormat="GZIP"),
            processor("CloudWatchLogProcessing", DataMessageExtraction="true"),
            processor("RecordDeAggregation", SubRecordType="JSON"),
            processor(
                "Lambda",
                LambdaArn=ARN,
                NumberOfRetries="1",
                RoleArn=harness.ROLE,
                BufferSizeInMBs="1",
                BufferIntervalInSeconds="60",
            ),
            processor(
                "MetadataExtraction", MetadataExtractionQuery=query, JsonParsingEngine="JQ-1.6"
            ),
            processor("AppendDelimiterToRecord", Delimiter="\\n"),
        ],
    }


@pytest.fixture
def function():
    double = lambda_api.LambdaApi(ARN, harness.ACCESS_KEY, harness.SECRET_KEY)
    yield double
    double.close()
    assert double.mistakes == []


def test_all_processors_at_once(daemon, s3_server, function):
    def enriched(record):
        order = json.loads(data_of(record))
        return ok(record, compact({**order, "seen": True}), partitionKeys={"zone": order["zone"]})

    function.answer = each(enriched)
    s3_server.client().create_bucket(Bucket="bucket")
    aws = {"endpoint": s3_server.url, "lambda_endpoint": function.url, **harness.outgoing()}
    d = daemon({}, aws=aws)
    client = d.firehose()
    prefix = "app=!{partitionKeyFromQuery:app}/zone=!{partitionKeyFromLambda:zone}/"
    wanted = {
        "RoleARN": harness.ROLE,
        "BucketARN": "arn:aws:s3:::bucket",
        "Prefix": prefix,
        "ErrorOutputPrefix": outputs.ERRORS,
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 60},
        "DynamicPartitioningConfiguration": {
            "Enabled": True,
            "RetryOptions": {"DurationInSeconds": 300},
        },
        "ProcessingConfiguration": all_processors("{app: .app}"),
    }
    client.create_delivery_stream(
        DeliveryStreamName="made", ExtendedS3DestinationConfiguration=wanted
    )

    def described():
        answer = client.describe_delivery_stream(DeliveryStreamName="made")
        found = answer["DeliveryStreamDescription"]
        assert found["DeliveryStreamStatus"] == "ACTIVE"
        return found, found["Destinations"][0]["ExtendedS3DestinationDescription"]

    _, found = described()
    assert {name: found[name] for name in wanted} == wanted

    def order(n):
        return {"n": n, "app": f"app{n % 3}", "kind": f"kind{n % 2}", "zone": "abc"[n % 3]}

    def sent(numbers):
        """Two orders in each message, five messages in each record; and what goes wrong."""
        orders = [compact(order(n)).decode() for n in numbers]
        messages = ["".join(orders[i : i + 2]) for i in range(0, len(orders), 2)]
        return [packed(subscription(*messages[i : i + 5])) for i in range(0, len(messages), 5)]

    records = sent(range(100))
    keyless = packed(subscription(compact({"n": -1, "zone": "a"}).decode()))
    outputs.put(d, *records, packed(CONTROL), keyless, ONE, stream="made")
    became = outputs.settled(d, "made", len(records) + 3)
    assert (became["dropped"], became["failed"]) == (1, 2)

    def contents():
        return {key: answer["Body"] for key, answer in s3_server.objects("bucket").items()}

    def arrived(first):
        """Folder → numbers, of objects of one version of the stream."""
        folders = collections.defaultdict(list)
        for key, data in outputs.objects(contents()).items():
            if f"/made-{first}-" not in key:
                continue
            assert data.endswith(b"\n"), key
            for line in data.splitlines():
                got = json.loads(line)
                assert got == {**order(got["n"]), "seen": True}
                folders[key.rsplit("/", 1)[0]].append(got["n"])
        return {folder: sorted(numbers) for folder, numbers in folders.items()}

    of_app = {n: list(range(n, 100, 3)) for n in range(3)}
    assert arrived(1) == {f"app=app{n}/zone={'abc'[n]}": of_app[n] for n in range(3)}
    errors = {
        raw: (output_type, line["errorCode"])
        for output_type, raw, line in outputs.failures(contents())
    }
    assert errors == {
        keyless: ("metadata-extraction-failed", "DynamicPartitioning.MetadataExtractionFailed"),
        ONE: ("decompression-failed", "Decompression.Failed"),
    }

    # The same key by another path.
    client.update_destination(
        DeliveryStreamName="made",
        CurrentDeliveryStreamVersionId="1",
        DestinationId="destinationId-000000000001",
        ExtendedS3DestinationUpdate={"ProcessingConfiguration": all_processors("{app: .kind}")},
    )
    whole, found = described()
    assert whole["VersionId"] == "2"
    assert found["ProcessingConfiguration"] == all_processors("{app: .kind}")
    again = sent(range(100, 160))
    outputs.put(d, *again, stream="made")
    outputs.settled(d, "made", len(records) + 3 + len(again))
    expected = collections.defaultdict(list)
    for n in range(100, 160):
        expected[f"app=kind{n % 2}/zone={'abc'[n % 3]}"].append(n)
    assert arrived(2) == expected
