"""Each kind of source as one suite sees it: how records are written to it, and what its upstream
was told.

Records are numbered lines. Each has a key, and the records of one key are one behind the other
upstream: in a partition, under a partition key, in a file, or of one client.
"""

import http.client
import itertools
import uuid

from botocore.exceptions import ClientError

import harness
import kinesis_reads
import posts
import test_file_source
import test_kafka_source
import test_shipped

KEYS = 4
# A client's attempts at a call while the daemon is restarted.
ATTEMPTS = 12
PULLED = "standpipe_data_read_from_source"


def line(number, pad=0):
    return b"k%d-%06d" % (number % KEYS, number) + b"." * pad + b"\n"


def lines(first, count, pad=0):
    return [line(number, pad) for number in range(first, first + count)]


def by_key(some):
    """Key → its lines, in order."""
    found = {}
    for one in some:
        found.setdefault(int(one[1:2]), []).append(one)
    return found


class Pushed:
    """Clients send records, and what they were answered is all that they know."""

    pulls = False
    transforms = ()
    memory_size = "8MiB"

    def __init__(self, request, folder):
        pass

    def listens(self):
        """Whether clients are served, once the daemon is ready."""
        return True

    def write(self, daemon, some):
        """Sends these until they are acknowledged, as the same call."""
        raise NotImplementedError

    def offer(self, daemon, one):
        """Sends a record once; whether it was taken. A refusal must ask to try later."""
        raise NotImplementedError


class DirectPut(Pushed):
    name = "direct_put"
    client = None

    def source(self):
        return "direct_put"

    def write(self, daemon, some):
        # An SDK repeats a call under its invocation id. Its client is for one thread.
        self.client = self.client or daemon.firehose(config=harness.no_retries(ATTEMPTS))
        records = [{"Data": one} for one in some]
        answer = self.client.put_record_batch(DeliveryStreamName="s", Records=records)
        assert answer["FailedPutCount"] == 0, answer

    def offer(self, daemon, one):
        try:
            daemon.firehose().put_record(DeliveryStreamName="s", Record={"Data": one})
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ServiceUnavailableException", error
            return False
        return True


class Http(Pushed):
    name = "http"
    transforms = ({"append_delimiter": "\n"},)

    def __init__(self, request, folder):
        self.port = harness.free_port()
        self.url = f"http://127.0.0.1:{self.port}/s"

    def source(self):
        return posts.source(self.port, format="lines")

    def listens(self):
        return harness.listening(self.port)

    def write(self, daemon, some):
        key = {"Idempotency-Key": uuid.uuid4().hex}

        def taken():
            try:
                answer = posts.post(self.url, b"".join(some), key)
            except (OSError, http.client.HTTPException):
                return False
            assert answer.status in {200, 503}, answer
            return answer.status == 200

        harness.wait_for(taken, "the request is answered", pause=0.05)

    def offer(self, daemon, one):
        answer = posts.post(self.url, one)
        if answer.status != 200:
            assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0, answer
        return answer.status == 200


class Pulled:
    """The daemon reads what is upstream, and tells upstream how far it is safe."""

    pulls = True
    transforms = ()
    memory_size = "8MiB"

    def listens(self):
        return True

    def write(self, daemon, some):
        """Writes these upstream, whether the daemon runs or not."""
        raise NotImplementedError

    def told(self, daemon):
        """Of how many records upstream knows that they are safe."""
        raise NotImplementedError


class File(Pulled):
    """A file for each key; who deletes them asks `standpipe shipped`."""

    name = "file"

    def __init__(self, request, folder):
        self.folder = folder / "logs"

    def source(self):
        return test_file_source.stream(self.folder / "*.log")["source"]

    def write(self, daemon, some):
        for key, of_key in by_key(some).items():
            test_file_source.append(self.folder / f"{key}.log", b"".join(of_key).decode())

    def told(self, daemon):
        paths = sorted(self.folder.glob("*.log"))
        return sum(self.told_of(daemon, path) for path in paths)

    def told_of(self, daemon, path):
        _, told = test_shipped.shipped(daemon, path, "--json")
        (stream,) = test_shipped.json.loads(told)["streams"]
        return path.read_bytes()[: stream["bytes"]].count(b"\n")


class Kinesis(Pulled):
    """Two shards; a table of leases has the checkpoints."""

    name = "kinesis"
    numbers = itertools.count()

    def __init__(self, request, folder):
        self.server = request.getfixturevalue("kinesis")
        self.dynamo = request.getfixturevalue("dynamo")
        self.stream = f"pair-{next(self.numbers)}"
        self.table = f"standpipe-{self.stream}"
        self.server.create(self.stream, 2)

    def source(self):
        leases = {"table": self.table, "endpoint": self.dynamo.url}
        return kinesis_reads.source(self.server, self.stream, leases=leases)

    def write(self, daemon, some):
        self.server.put(self.stream, some, lambda index: f"key-{some[index][1:2].decode()}")

    def told(self, daemon):
        leases = self.dynamo.leases(self.table)
        return sum(
            int(number) <= int(leases[shard]["checkpoint"])
            for shard in leases
            if leases[shard]["checkpoint"].isdigit()
            for number in self.sequence_numbers(shard)
        )

    def sequence_numbers(self, shard):
        client = self.server.client()
        start = client.get_shard_iterator(
            StreamName=self.stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )
        answer = client.get_records(ShardIterator=start["ShardIterator"])
        return [record["SequenceNumber"] for record in answer["Records"]]


class Kafka(Pulled):
    """A partition for each key; the group's committed offsets."""

    name = "kafka"
    memory_size = "32MiB"

    def __init__(self, request, folder):
        self.topics = request.getfixturevalue("topics")
        self.topic = self.topics.create(KEYS)
        self.producer = self.topics.producer()

    def source(self):
        # Under its name a member that comes back has its partitions at once, and on a crowded
        # machine it keeps them.
        options = {"instance_id": "one", "session_timeout": "3m"}
        return test_kafka_source.source(self.topics, self.topic, **options)

    def write(self, daemon, some):
        for key, of_key in by_key(some).items():
            self.topics.write(self.topic, *of_key, partition=key, producer=self.producer)

    def told(self, daemon):
        return sum(self.topics.committed(self.topic, self.topic, KEYS).values())


SOURCES = [DirectPut, Http, File, Kinesis, Kafka]
