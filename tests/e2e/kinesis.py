"""Kinesis Data Streams as `kinesis-local` makes it: shards that split, merge and end as the
service's do, and SubscribeToShard. It throttles nobody and keeps everything in memory."""

import os
import pathlib
import subprocess

import boto3
import pytest

import harness

FOLDER = harness.CACHE / "node/node_modules/kinesis-local"
# Most records of one PutRecords (API reference).
PUT_RECORDS_MAX = 500


class Kinesis(harness.Process):
    """One process; its streams are gone when it stops."""

    def __init__(self, folder, **settings):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.tls_port = harness.free_port(), harness.free_port()
        self.settings = settings

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_path(self):
        return self.folder / "kinesis.log"

    def start(self):
        assert FOLDER.exists(), f"{FOLDER} is missing: run tests/servers/install.sh"
        settings = {
            "KINESIS_MOCK_PLAIN_PORT": self.port,
            "KINESIS_MOCK_TLS_PORT": self.tls_port,
            "AWS_REGION": harness.REGION,
            "LOG_LEVEL": "ERROR",
            # Over all streams of all tests; the service's own default is 50.
            "SHARD_LIMIT": 1000,
            # How long a stream takes to be made, split or merged: no test waits for it.
            "CREATE_STREAM_DURATION": "50ms",
            "SPLIT_SHARD_DURATION": "50ms",
            "MERGE_SHARDS_DURATION": "50ms",
            **self.settings,
        }
        environment = {**os.environ, **{key: str(value) for key, value in settings.items()}}
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                ["node", "main.js"],
                # Its certificate is looked for here.
                cwd=FOLDER,
                env=environment,
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

    def client(self):
        return boto3.client(
            "kinesis",
            endpoint_url=self.url,
            region_name=harness.REGION,
            aws_access_key_id=harness.ACCESS_KEY,
            aws_secret_access_key=harness.SECRET_KEY,
        )

    # -------------------------------------------------------------------------------- streams

    def create(self, stream, shards=1):
        self.client().create_stream(StreamName=stream, ShardCount=shards)
        self.wait_active(stream)

    def wait_active(self, stream):
        client = self.client()

        def active():
            summary = client.describe_stream_summary(StreamName=stream)
            return summary["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE"

        harness.wait_for(active, f"{stream} is active")

    def put(self, stream, records, key=lambda number: f"key-{number}"):
        """Puts records (bytes) in order; `key` makes each one's partition key of its index."""
        client = self.client()
        for start in range(0, len(records), PUT_RECORDS_MAX):
            some = [
                {"Data": data, "PartitionKey": key(start + number)}
                for number, data in enumerate(records[start:start + PUT_RECORDS_MAX])
            ]
            answer = client.put_records(StreamName=stream, Records=some)
            assert answer["FailedRecordCount"] == 0, answer

    def open_shards(self, stream):
        """Shards that take records, by their range of hash keys."""
        shards = self.client().list_shards(StreamName=stream)["Shards"]
        open_ones = [s for s in shards if "EndingSequenceNumber" not in s["SequenceNumberRange"]]
        return sorted(open_ones, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))

    def split(self, stream, index=0):
        """Splits an open shard in the middle."""
        shard = self.open_shards(stream)[index]
        low, high = (int(shard["HashKeyRange"][f"{end}HashKey"]) for end in ("Starting", "Ending"))
        self.client().split_shard(
            StreamName=stream,
            ShardToSplit=shard["ShardId"],
            NewStartingHashKey=str((low + high) // 2),
        )
        self.wait_active(stream)

    def merge(self, stream, index=0):
        """Merges an open shard with the next one."""
        shards = self.open_shards(stream)
        self.client().merge_shards(
            StreamName=stream,
            ShardToMerge=shards[index]["ShardId"],
            AdjacentShardToMerge=shards[index + 1]["ShardId"],
        )
        self.wait_active(stream)


@pytest.fixture(scope="session")
def kinesis_server(tmp_path_factory):
    """One for all tests: each makes streams of its own names."""
    server = Kinesis(tmp_path_factory.mktemp("kinesis"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def kinesis(kinesis_server):
    """The shared server, running."""
    yield kinesis_server
    kinesis_server.resume()
