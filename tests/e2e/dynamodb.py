"""DynamoDB as `dynalite` makes it, and the lease table in it as a Kinesis client reads it."""

import pathlib
import subprocess

import boto3
import pytest

import harness

COMMAND = harness.CACHE / "bin/dynalite"


class Dynamo(harness.Process):
    """One process; its tables are gone when it stops."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = harness.free_port()
        self.log_path = self.folder / "dynalite.log"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        assert COMMAND.exists(), f"{COMMAND} is missing: run tests/servers/install.sh"
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                ["node", COMMAND, "--host", "127.0.0.1", "--port", str(self.port)]
                + ["--createTableMs", "50"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.wait_ready()

    def is_ready(self):
        return harness.listening(self.port)

    def ask_to_stop(self):
        # Nothing of it is kept.
        self.process.kill()

    def resource(self):
        return boto3.resource(
            "dynamodb",
            endpoint_url=self.url,
            region_name=harness.REGION,
            aws_access_key_id=harness.ACCESS_KEY,
            aws_secret_access_key=harness.SECRET_KEY,
        )

    def leases(self, table):
        """Shard → row; nothing while there is no table."""
        resource = self.resource()
        try:
            rows = resource.Table(table).scan(ConsistentRead=True)["Items"]
        except resource.meta.client.exceptions.ResourceNotFoundException:
            return {}
        return {row["leaseKey"]: row for row in rows}

    def owners(self, table):
        """Owner → shards that are not read to their end; `None` owns what is free."""
        found = {}
        for shard, row in self.leases(table).items():
            if row["checkpoint"] != "SHARD_END":
                found.setdefault(row.get("leaseOwner"), set()).add(shard)
        return found

    def create(self, table, rows):
        """Makes a table as the Kinesis Client Library 2.x does, with these leases in it."""
        made = self.resource().create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        made.wait_until_exists()
        for row in rows:
            made.put_item(Item=row)


@pytest.fixture(scope="session")
def dynamo(tmp_path_factory):
    """One for all tests: each has tables of its own."""
    server = Dynamo(tmp_path_factory.mktemp("dynamo"))
    try:
        yield server.start()
    finally:
        server.stop()
