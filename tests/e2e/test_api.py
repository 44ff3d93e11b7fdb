"""The twelve operations through boto3, and the puts."""

import pytest
from botocore.exceptions import ClientError

import containers
import harness


@pytest.fixture
def served(daemon, s3_server):
    """A daemon without streams of its own, whose outgoing clients reach an S3 server."""
    s3_server.client().create_bucket(Bucket="bucket")
    aws = {"endpoint": s3_server.url, **harness.outgoing()}
    return daemon({}, aws=aws)


def extended(**options):
    return {"RoleARN": harness.ROLE, "BucketARN": "arn:aws:s3:::bucket", **options}


def create(client, name="made", **options):
    return client.create_delivery_stream(
        DeliveryStreamName=name,
        DeliveryStreamType="DirectPut",
        ExtendedS3DestinationConfiguration=extended(**options),
    )


def description(client, name="made"):
    return client.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]


def active(client, name="made"):
    harness.wait_for(
        lambda: description(client, name)["DeliveryStreamStatus"] == "ACTIVE", "ACTIVE"
    )


def code_of(error):
    return error.value.response["Error"]["Code"]


def test_create_describe_and_materialised_defaults(served):
    client = served.firehose()
    arn = "arn:aws:firehose:us-east-1:000000000000:deliverystream/made"
    assert create(client)["DeliveryStreamARN"] == arn
    active(client)
    found = description(client)
    assert found["DeliveryStreamARN"] == arn
    assert found["DeliveryStreamType"] == "DirectPut"
    assert found["VersionId"] == "1"
    assert found["HasMoreDestinations"] is False
    assert found["CreateTimestamp"]
    (destination,) = found["Destinations"]
    assert destination["DestinationId"] == "destinationId-000000000001"
    both = ("ExtendedS3DestinationDescription", "S3DestinationDescription")
    for shape in both:
        s3 = destination[shape]
        assert s3["RoleARN"] == harness.ROLE
        assert s3["BucketARN"] == "arn:aws:s3:::bucket"
        assert s3["BufferingHints"] == {"SizeInMBs": 5, "IntervalInSeconds": 300}
        assert s3["CompressionFormat"] == "UNCOMPRESSED"
        assert s3["EncryptionConfiguration"] == {"NoEncryptionConfig": "NoEncryption"}
        assert s3["CloudWatchLoggingOptions"] == {"Enabled": False}
    whole = destination[both[0]]
    assert whole["S3BackupMode"] == "Disabled"
    assert whole["DataFormatConversionConfiguration"] == {"Enabled": False}
    assert whole["ProcessingConfiguration"]["Enabled"] is False
    assert "S3BackupMode" not in destination[both[1]]


def test_the_older_shape_makes_the_same_stream(served):
    client = served.firehose()
    client.create_delivery_stream(
        DeliveryStreamName="old",
        S3DestinationConfiguration=extended(CompressionFormat="GZIP"),
    )
    active(client, "old")
    (destination,) = description(client, "old")["Destinations"]
    assert destination["S3DestinationDescription"]["CompressionFormat"] == "GZIP"
    assert destination["ExtendedS3DestinationDescription"]["CompressionFormat"] == "GZIP"


def test_list_is_alphabetical_and_paginated(served):
    client = served.firehose()
    for name in ["c", "a", "d", "b"]:
        create(client, name)
    first = client.list_delivery_streams(Limit=3)
    assert first["DeliveryStreamNames"] == ["a", "b", "c"]
    assert first["HasMoreDeliveryStreams"] is True
    rest = client.list_delivery_streams(Limit=3, ExclusiveStartDeliveryStreamName="c")
    assert rest["DeliveryStreamNames"] == ["d"]
    assert rest["HasMoreDeliveryStreams"] is False
    kinesis = client.list_delivery_streams(DeliveryStreamType="KinesisStreamAsSource")
    assert kinesis["DeliveryStreamNames"] == []


def test_records_reach_the_bucket_of_a_stream_made_by_the_api(served, s3_server):
    client = served.firehose()
    create(client, CompressionFormat="GZIP", Prefix="in/")
    active(client)
    answer = client.put_record(DeliveryStreamName="made", Record={"Data": b"one\n"})
    assert answer["RecordId"] and answer["Encrypted"] is False
    batch = client.put_record_batch(
        DeliveryStreamName="made", Records=[{"Data": b"two\n"}, {"Data": b""}, {"Data": b"\x00\xff"}]
    )
    assert batch["FailedPutCount"] == 0
    ids = [entry["RecordId"] for entry in batch["RequestResponses"]]
    assert len(set(ids)) == 3
    assert all(set(entry) == {"RecordId"} for entry in batch["RequestResponses"])
    read = containers.gzip_one_member
    found = harness.delivered_to_s3(served, "made", s3_server, "bucket", 10, read)
    assert b"".join(read(a["Body"]) for a in found.values()) == b"one\ntwo\n\x00\xff"
    assert all(key.startswith("in/2") for key in found)


def test_update_merges_and_counts_versions(served, s3_server):
    client = served.firehose()
    create(client, Prefix="a/", BufferingHints={"SizeInMBs": 1, "IntervalInSeconds": 60})
    active(client)
    client.update_destination(
        DeliveryStreamName="made",
        CurrentDeliveryStreamVersionId="1",
        DestinationId="destinationId-000000000001",
        ExtendedS3DestinationUpdate={"CompressionFormat": "GZIP"},
    )
    found = description(client)
    assert found["VersionId"] == "2"
    s3 = found["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert s3["CompressionFormat"] == "GZIP"
    assert s3["Prefix"] == "a/"
    assert s3["BufferingHints"] == {"SizeInMBs": 1, "IntervalInSeconds": 60}
    assert found["LastUpdateTimestamp"]

    client.put_record(DeliveryStreamName="made", Record={"Data": b"x"})
    read = containers.gzip_one_member
    (key,) = harness.delivered_to_s3(served, "made", s3_server, "bucket", 1, read)
    assert "/made-2-" in key

    with pytest.raises(ClientError) as stale:
        client.update_destination(
            DeliveryStreamName="made",
            CurrentDeliveryStreamVersionId="1",
            DestinationId="destinationId-000000000001",
            ExtendedS3DestinationUpdate={"Prefix": "b/"},
        )
    assert code_of(stale) == "ConcurrentModificationException"
    message = stale.value.response["Error"]["Message"]
    assert "current version id: 2 and specified version id: 1 do not match" in message


def test_tags(served):
    client = served.firehose()
    create(client)
    active(client)
    tags = [{"Key": k, "Value": v} for k, v in [("b", "2"), ("a", "1"), ("c", "")]]
    client.tag_delivery_stream(DeliveryStreamName="made", Tags=tags)
    client.tag_delivery_stream(DeliveryStreamName="made", Tags=[{"Key": "a", "Value": "new"}])
    client.untag_delivery_stream(DeliveryStreamName="made", TagKeys=["b", "unknown"])
    answer = client.list_tags_for_delivery_stream(DeliveryStreamName="made")
    assert {t["Key"]: t.get("Value", "") for t in answer["Tags"]} == {"a": "new", "c": ""}
    assert answer["HasMoreTags"] is False
    page = client.list_tags_for_delivery_stream(DeliveryStreamName="made", Limit=1)
    assert [t["Key"] for t in page["Tags"]] == ["a"] and page["HasMoreTags"] is True
    rest = client.list_tags_for_delivery_stream(
        DeliveryStreamName="made", ExclusiveStartTagKey="a"
    )
    assert [t["Key"] for t in rest["Tags"]] == ["c"]


def test_encryption_keeps_plain_bytes_off_the_disk(served, s3_server):
    client = served.firehose()
    create(client)
    active(client)

    def status():
        return description(client).get("DeliveryStreamEncryptionConfiguration", {}).get("Status")

    marker = b"find-me-on-the-disk-if-you-can"
    client.start_delivery_stream_encryption(
        DeliveryStreamName="made",
        DeliveryStreamEncryptionConfigurationInput={"KeyType": "AWS_OWNED_CMK"},
    )
    harness.wait_for(lambda: status() == "ENABLED", "ENABLED")
    answer = client.put_record(DeliveryStreamName="made", Record={"Data": marker})
    assert answer["Encrypted"] is True
    data = served.folder / "data"
    kept = [p.read_bytes() for p in data.rglob("*") if p.is_file()]
    assert kept and not any(marker in content for content in kept)

    # The key survives a crash, and so does the state.
    served.kill()
    served.start()
    assert status() == "ENABLED"
    client.stop_delivery_stream_encryption(DeliveryStreamName="made")
    harness.wait_for(lambda: status() == "DISABLED", "DISABLED")
    answer = client.put_record(DeliveryStreamName="made", Record={"Data": b"plain"})
    assert answer["Encrypted"] is False
    found = harness.delivered_to_s3(served, "made", s3_server, "bucket", len(marker) + 5)
    assert sorted(b"".join(a["Body"] for a in found.values())) == sorted(marker + b"plain")


def test_streams_made_by_the_api_survive_a_restart(served, s3_server):
    client = served.firehose()
    create(client, CompressionFormat="GZIP")
    active(client)
    client.tag_delivery_stream(DeliveryStreamName="made", Tags=[{"Key": "k", "Value": "v"}])
    client.put_record(DeliveryStreamName="made", Record={"Data": b"before"})
    before = description(client)
    served.kill()
    served.start()
    assert description(client) == before
    tags = client.list_tags_for_delivery_stream(DeliveryStreamName="made")["Tags"]
    assert tags == [{"Key": "k", "Value": "v"}]
    client.put_record(DeliveryStreamName="made", Record={"Data": b"after"})
    read = containers.gzip_one_member
    found = harness.delivered_to_s3(served, "made", s3_server, "bucket", 11, read)
    contents = sorted(read(a["Body"]) for a in found.values())
    assert contents in ([b"beforeafter"], [b"after", b"before"])


def test_changes_by_the_api_survive_a_kill(served):
    client = served.firehose()
    for name in ["stays", "goes"]:
        create(client, name)
    client.update_destination(
        DeliveryStreamName="stays",
        CurrentDeliveryStreamVersionId="1",
        DestinationId="destinationId-000000000001",
        ExtendedS3DestinationUpdate={"Prefix": "other/"},
    )
    client.delete_delivery_stream(DeliveryStreamName="goes")
    harness.wait_for(
        lambda: client.list_delivery_streams()["DeliveryStreamNames"] == ["stays"], "it is deleted"
    )
    before = description(client, "stays")
    served.kill()
    served.start()
    assert client.list_delivery_streams()["DeliveryStreamNames"] == ["stays"]
    assert description(client, "stays") == before
    assert before["VersionId"] == "2"


def test_delete(served):
    client = served.firehose()
    create(client)
    active(client)
    client.delete_delivery_stream(DeliveryStreamName="made")

    def gone():
        return "made" not in client.list_delivery_streams()["DeliveryStreamNames"]

    harness.wait_for(gone, "the stream is deleted")
    with pytest.raises(ClientError) as error:
        client.put_record(DeliveryStreamName="made", Record={"Data": b"x"})
    assert code_of(error) == "ResourceNotFoundException"
    create(client)
    active(client)


def test_streams_of_the_file_cannot_be_changed_by_the_api(daemon, tmp_path):
    d = daemon({"fixed": {"destinations": [harness.local(tmp_path / "bucket")]}})
    client = d.firehose()
    assert client.list_delivery_streams()["DeliveryStreamNames"] == ["fixed"]
    assert description(client, "fixed")["DeliveryStreamStatus"] == "ACTIVE"
    with pytest.raises(ClientError) as error:
        client.delete_delivery_stream(DeliveryStreamName="fixed")
    assert code_of(error) in {"InvalidArgumentException", "ResourceInUseException"}
    assert client.list_delivery_streams()["DeliveryStreamNames"] == ["fixed"]


@pytest.mark.parametrize(
    "options, code, text",
    [
        (
            {"BufferingHints": {"SizeInMBs": 129, "IntervalInSeconds": 901}},
            "ValidationException",
            "2 validation errors detected: ",
        ),
        (
            {"CompressionFormat": "gzip"},
            "ValidationException",
            "Member must satisfy enum value set: [ZIP, HADOOP_SNAPPY, Snappy, GZIP, UNCOMPRESSED]",
        ),
        (
            {"Prefix": "!{timestamp:yyyy}/"},
            "InvalidArgumentException",
            "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions",
        ),
    ],
)
def test_creation_is_validated_as_the_service_does(served, options, code, text):
    client = served.firehose()
    # What boto3 knows to be wrong must still reach the daemon.
    client.meta.config.parameter_validation = False
    with pytest.raises(ClientError) as error:
        create(client, **options)
    assert code_of(error) == code
    assert text in error.value.response["Error"]["Message"]
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert client.list_delivery_streams()["DeliveryStreamNames"] == []


def test_destinations_that_are_not_built_are_named(served):
    with pytest.raises(ClientError) as error:
        served.firehose().create_delivery_stream(
            DeliveryStreamName="x",
            RedshiftDestinationConfiguration={
                "RoleARN": extended()["RoleARN"],
                "ClusterJDBCURL": "jdbc:redshift://c.x.eu-west-1.redshift.amazonaws.com:5439/d",
                "CopyCommand": {"DataTableName": "t"},
                "Username": "u",
                "Password": "Secret1",
                "S3Configuration": extended(),
            },
        )
    assert code_of(error) == "InvalidArgumentException"
    assert "Splunk" in error.value.response["Error"]["Message"]


def test_a_name_can_be_taken_only_once(served):
    client = served.firehose()
    create(client)
    with pytest.raises(ClientError) as error:
        create(client)
    assert code_of(error) == "ResourceInUseException"


def test_answers_are_compact_and_carry_a_request_id(daemon, tmp_path):
    d = daemon({"s": {"destinations": [harness.local(tmp_path / "bucket")]}})
    body = b'{"DeliveryStreamName":"s","Records":[{"Data":"eA=="}]}'
    status, text = d.signed("POST", "/", body, headers_of("PutRecordBatch"))
    assert status == 200
    assert '"FailedPutCount":0' in text and " " not in text and "null" not in text
    answer = d.firehose().list_delivery_streams()
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]


def headers_of(operation):
    return {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"Firehose_20150804.{operation}",
    }
