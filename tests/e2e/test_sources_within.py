"""The tests inside of the crate that need a server of Kafka, Kinesis or DynamoDB: `cargo test` leaves
them out, and this runs them with the servers that the other tests here use."""

import os
import subprocess

import harness


def test_they_pass(kafka_broker, certificates, kinesis, dynamo):
    kinesis.create("fan")
    servers = {
        "STANDPIPE_TEST_KAFKA": kafka_broker.brokers,
        "STANDPIPE_TEST_KAFKA_SASL": kafka_broker.sasl_brokers,
        "STANDPIPE_TEST_KAFKA_TLS": kafka_broker.tls_brokers,
        "STANDPIPE_TEST_CERTIFICATES": str(certificates),
        "STANDPIPE_TEST_KINESIS": kinesis.url,
        "STANDPIPE_TEST_DYNAMODB": dynamo.url,
    }
    run = subprocess.run(
        ["cargo", "test", "--locked", "--lib", "--", "--ignored"],
        cwd=harness.REPOSITORY,
        env={**os.environ, **servers},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
    )
    assert run.returncode == 0, run.stdout[-12_000:]
    assert "test result: ok." in run.stdout and " 0 passed" not in run.stdout
