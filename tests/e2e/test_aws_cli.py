"""The AWS CLI as it is installed, pointed at another URL."""

import json
import subprocess

import pytest

import harness


class Cli:
    def __init__(self, daemon):
        self.daemon = daemon

    def run(self, operation, **arguments):
        command = ["aws", "firehose", operation, "--endpoint-url", self.daemon.url]
        command += ["--output", "json"]
        for name, value in arguments.items():
            command += ["--" + name.replace("_", "-"), value]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            env=harness.aws_environment(self.daemon.url),
        )

    def __call__(self, operation, **arguments):
        done = self.run(operation, **arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def description(self, name):
        answer = self("describe-delivery-stream", delivery_stream_name=name)
        return answer["DeliveryStreamDescription"]


@pytest.fixture
def served(daemon, s3_server):
    s3_server.client().create_bucket(Bucket="my-logs")
    return daemon({}, aws={"endpoint": s3_server.url, **harness.outgoing()})


def test_the_life_of_a_stream(served, s3_server):
    aws = Cli(served)
    # The shorthand of the documentation.
    made = aws(
        "create-delivery-stream",
        delivery_stream_name="logs",
        extended_s3_destination_configuration=f"RoleARN={harness.ROLE},BucketARN=arn:aws:s3:::my-logs",
    )
    assert made["DeliveryStreamARN"].endswith(":deliverystream/logs")
    assert aws("list-delivery-streams")["DeliveryStreamNames"] == ["logs"]
    found = aws.description("logs")
    assert (found["DeliveryStreamStatus"], found["VersionId"]) == ("ACTIVE", "1")

    # Version 1 of the CLI takes blobs as they are.
    aws("put-record", delivery_stream_name="logs", record='{"Data":"from the cli\\n"}')
    records = '[{"Data":"one"},{"Data":"two"}]'
    answer = aws("put-record-batch", delivery_stream_name="logs", records=records)
    assert answer["FailedPutCount"] == 0
    assert all(entry["RecordId"] for entry in answer["RequestResponses"])
    found = harness.delivered_to_s3(served, "logs", s3_server, "my-logs", 19)
    assert b"".join(a["Body"] for a in found.values()) == b"from the cli\nonetwo"

    aws(
        "update-destination",
        delivery_stream_name="logs",
        current_delivery_stream_version_id="1",
        destination_id="destinationId-000000000001",
        extended_s3_destination_update="Prefix=second/,CompressionFormat=GZIP",
    )
    changed = aws.description("logs")
    assert changed["VersionId"] == "2"
    s3 = changed["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert (s3["Prefix"], s3["CompressionFormat"]) == ("second/", "GZIP")
    aws("put-record", delivery_stream_name="logs", record="Data=three")

    def second():
        served.flush("logs")
        return [key for key in s3_server.objects("my-logs") if key.startswith("second/")]

    assert harness.wait_for(second, "an object under the new prefix", pause=0.1)

    aws("tag-delivery-stream", delivery_stream_name="logs", tags="Key=team,Value=a")
    tags = aws("list-tags-for-delivery-stream", delivery_stream_name="logs")["Tags"]
    assert tags == [{"Key": "team", "Value": "a"}]
    aws("start-delivery-stream-encryption", delivery_stream_name="logs")
    encryption = aws.description("logs")["DeliveryStreamEncryptionConfiguration"]
    assert encryption["Status"] == "ENABLED"

    aws("delete-delivery-stream", delivery_stream_name="logs")
    gone = lambda: aws("list-delivery-streams")["DeliveryStreamNames"] == []  # noqa: E731
    harness.wait_for(gone, "the stream is deleted")
    done = aws.run("describe-delivery-stream", delivery_stream_name="logs")
    assert done.returncode != 0 and "ResourceNotFoundException" in done.stderr
    assert "Firehose logs under account 000000000000 not found." in done.stderr


def test_mistakes_are_told_as_the_service_tells_them(served):
    done = Cli(served).run(
        "create-delivery-stream",
        delivery_stream_name="bad name",
        extended_s3_destination_configuration="RoleARN=x,BucketARN=arn:aws:s3:::my-logs",
    )
    assert done.returncode != 0
    assert "ValidationException" in done.stderr and "2 validation errors detected" in done.stderr
