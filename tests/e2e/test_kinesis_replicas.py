"""Replicas that share the shards of a Kinesis stream by leases in DynamoDB.

Nothing may be lost, whatever happens to a replica. Some of it may be delivered again: one who
takes over reads on from the last position in the table, which a living replica writes every few
seconds (`KINESIS_CHECKPOINT_INTERVAL`). One who is ended in order writes it last of all, and one
who wakes up late puts nothing more.
"""

import contextlib
import os
import signal
import time

import pytest
from aws_kinesis_agg.aggregator import RecordAggregator

import harness
import kinesis_reads
from kinesis_reads import all_arrived, duplicates, lines, numbered, once, put, stream, writing

JOURNALS = ["fsync", "memory"]
FAILOVER_S = 3
# Rounds of the rolling restart; more by the environment.
ROUNDS = int(os.environ.get("STANDPIPE_KINESIS_ROUNDS", "1"))
# Others look for leases every two failover times, and what was not seen to stand still before is
# watched for one; the rest is for a crowded machine.
TAKEN_OVER_S = 60


@pytest.fixture
def replicas(daemon, kinesis, dynamo, tmp_path):
    """Makes replicas of a stream; each delivers into a folder of its own."""

    def make(name, count, journal="fsync", **options):
        return Replicas(daemon, kinesis, dynamo, tmp_path, name, count, journal, options)

    return make


class Replicas:
    def __init__(self, daemon, kinesis, dynamo, folder, name, count, journal, options):
        self.dynamo, self.table = dynamo, f"standpipe-{name}"
        self.folders = [folder / f"bucket-{number}" for number in range(count)]
        self.all = []
        for number, bucket in enumerate(self.folders):
            leases = {
                "table": self.table,
                "endpoint": dynamo.url,
                "failover": f"{FAILOVER_S}s",
                "worker_id": f"replica-{number}",
                **options,
            }
            one = stream(kinesis, name, bucket, journal, leases=leases)
            self.all.append(daemon({"s": one}, aws=harness.outgoing()))

    def owners(self):
        """Number of the replica → its shards; `None` has those that are free."""
        number = lambda owner: owner and int(owner.removeprefix("replica-"))  # noqa: E731
        return {number(key): found for key, found in self.dynamo.owners(self.table).items()}

    def parts(self, number):
        """How many shards this one reads."""
        return self.all[number].metrics()["standpipe_source_parts", {"stream": "s"}]

    def balanced(self, *shares):
        """Waits until the living replicas read so many shards each."""
        living = [n for n, one in enumerate(self.all) if one.process.poll() is None]

        def done():
            owners = self.owners()
            held = sorted(len(owners.get(number, ())) for number in living)
            return (
                set(owners) == set(living)
                and held == sorted(shares)
                and sorted(self.parts(number) for number in living) == sorted(shares)
            )

        harness.wait_for(done, f"shards are read {shares}", pause=0.1)

    def lines(self):
        return lines(*self.folders)

    def end(self, sent):
        """Waits for all records, ends all replicas in order, and answers what was delivered."""
        all_arrived(sent, *self.folders)
        for one in self.all:
            assert one.terminate() == 0
        return self.lines()


@contextlib.contextmanager
def frozen(daemon):
    """The process stands still; whoever asks it waits."""
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        daemon.process.send_signal(signal.SIGCONT)


def test_shards_are_shared_evenly_through_splits_and_merges(replicas, kinesis):
    kinesis.create("shared", 6)
    some = replicas("shared", 2)
    some.balanced(3, 3)
    with writing(kinesis, "shared") as writer:
        writer.more()
        kinesis.split("shared", 0)
        kinesis.split("shared", 4)
        writer.more()
        some.balanced(4, 4)
        kinesis.merge("shared", 0)
        kinesis.merge("shared", 3)
        writer.more()
        some.balanced(3, 3)
    found = some.end(writer.sent)
    print(f"{len(writer.sent)} records, {duplicates(writer.sent, found)} delivered again")


def test_a_third_replica_gets_its_share(replicas, kinesis):
    kinesis.create("three", 6)
    some = replicas("three", 3)
    some.balanced(2, 2, 2)
    with writing(kinesis, "three") as writer:
        writer.more()
    found = some.end(writer.sent)
    # Nobody lost a shard while there was something to read.
    once(writer.sent, found)
    for folder in some.folders:
        assert lines(folder), f"nothing in {folder}"


@pytest.mark.parametrize("journal", JOURNALS)
def test_others_take_over_from_one_that_is_killed(replicas, kinesis, journal):
    name = f"victim-{journal}"
    kinesis.create(name, 6)
    some = replicas(name, 3, journal)
    some.balanced(2, 2, 2)
    with writing(kinesis, name) as writer:
        writer.more(200)
        victim = some.all[0]
        victim.kill()
        killed = time.monotonic()
        before = set(writer.sent)
        some.balanced(3, 3)
        after = time.monotonic() - killed
        print(f"taken over after {after:.1f} s (failover {FAILOVER_S} s)")
        assert after < TAKEN_OVER_S
        writer.more()
    # What it had stored and not delivered yet is in its journal; of one in memory, others read
    # it again.
    if journal == "fsync":
        victim.start()
    else:
        all_arrived(writer.sent, *some.folders)
        victim.start()
    found = some.end(writer.sent)
    again = duplicates(writer.sent, found)
    print(f"{len(writer.sent)} records, {again} delivered again")
    # Positions were at most some seconds old, so what came long before was not read again.
    assert again < len(before) + len(writer.sent)


@pytest.mark.parametrize("journal", JOURNALS)
def test_of_one_that_is_stopped_the_others_read_nothing_again(replicas, kinesis, journal):
    name = f"leaver-{journal}"
    kinesis.create(name, 6)
    some = replicas(name, 3, journal)
    some.balanced(2, 2, 2)
    with writing(kinesis, name) as writer:
        writer.more()
        assert some.all[0].terminate() == 0
        some.balanced(3, 3)
        writer.more()
        assert some.all[1].terminate() == 0
        some.balanced(6)
        writer.more()
    once(writer.sent, some.end(writer.sent))


@pytest.mark.parametrize("journal", JOURNALS)
def test_one_that_was_frozen_past_its_lease_delivers_nothing_of_others(replicas, kinesis, journal):
    name = f"frozen-{journal}"
    kinesis.create(name, 4)
    some = replicas(name, 2, journal)
    some.balanced(2, 2)
    sleeper = some.all[0]
    with writing(kinesis, name) as writer:
        writer.more()
        begun = len(writer.sent)
        with frozen(sleeper):
            def taken():
                return set(some.owners()) == {1} and some.parts(1) == 4

            harness.wait_for(taken, "the other one reads all shards", pause=0.1)
            writer.more()
            writer.end.set()
            # Whatever was put while it slept, the other one delivers, and notes in the table: so
            # whoever takes a lease in order finds nothing of it left.
            asleep = [line for line in writer.sent[begun + 2 * kinesis_reads.KEYS:]]
            all_arrived(asleep, some.folders[1])
            last = last_numbers(kinesis, name)

            def noted():
                rows = some.dynamo.leases(some.table)
                found = {s: rows[s]["checkpoint"] for s in last}
                return all(found[s].isdigit() and int(found[s]) >= last[s] for s in last)

            harness.wait_for(noted, "positions are in the table", pause=0.1)
    some.balanced(2, 2)
    more = numbered("more", 160)
    put(kinesis, name, more)
    found = some.end(writer.sent + more)
    its_own = set(lines(some.folders[0]))
    assert not its_own & set(asleep), "it delivered what came while others had its shards"
    again = duplicates(writer.sent + more, found)
    print(f"{len(writer.sent)} records, {again} delivered again")
    once(asleep + more, [line for line in found if line in set(asleep + more)])


def last_numbers(server, name):
    """Shard → sequence number of its last record, of those that have any."""
    client = server.client()
    found = {}
    for shard in server.open_shards(name):
        iterator = client.get_shard_iterator(
            StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while True:
            answer = client.get_records(ShardIterator=iterator)
            iterator = answer["NextShardIterator"]
            for record in answer["Records"]:
                found[shard["ShardId"]] = int(record["SequenceNumber"])
            if answer["MillisBehindLatest"] == 0:
                break
    return found


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_rolling_restart_under_load_loses_nothing(replicas, kinesis, journal):
    name = f"rolling-{journal}"
    kinesis.create(name, 6)
    some = replicas(name, 3, journal)
    some.balanced(2, 2, 2)
    with writing(kinesis, name) as writer:
        for _ in range(ROUNDS):
            for one in some.all:
                assert one.terminate() == 0
                writer.more()
                one.start()
                some.balanced(2, 2, 2)
        writer.more()
    found = some.end(writer.sent)
    again = duplicates(writer.sent, found)
    print(f"{len(writer.sent)} records, {again} delivered again")


# --------------------------------------------------------------------------------- the table


def test_the_table_is_that_of_the_kinesis_client_library(replicas, kinesis):
    kinesis.create("table", 2)
    some = replicas("table", 1)
    sent = numbered("w", 64)
    put(kinesis, "table", sent)
    some.balanced(2)
    all_arrived(sent, *some.folders)
    kinesis.split("table", 0)
    more = numbered("more", 64)
    put(kinesis, "table", more)
    all_arrived(more, *some.folders)
    some.balanced(3)
    rows = some.dynamo.leases(some.table)
    parent = "shardId-000000000000"
    children = sorted(set(rows) - {parent, "shardId-000000000001"})
    assert len(children) == 2
    for shard, row in rows.items():
        expected = {"leaseKey", "leaseCounter", "checkpoint", "checkpointSubSequenceNumber"}
        expected |= {"ownerSwitchesSinceCheckpoint", "startingHashKey", "endingHashKey"}
        expected |= {"parentShardId"} if shard in children else set()
        # A shard at its end may name who read it last, and its children.
        owned = {"leaseOwner"} if shard != parent else set(row) & {"leaseOwner", "childShardIds"}
        assert set(row) == expected | owned, row
        for name in ("leaseCounter", "checkpointSubSequenceNumber", "ownerSwitchesSinceCheckpoint"):
            assert row[name] == int(row[name]) >= 0, row
        assert int(row["startingHashKey"]) < int(row["endingHashKey"])
    assert rows[parent]["checkpoint"] == "SHARD_END"
    for child in children:
        assert rows[child]["parentShardId"] == {parent}
        assert rows[child]["leaseOwner"] == "replica-0"

    # Left in order: free, and each position behind the last record.
    found = some.end(sent + more)
    once(sent + more, found)
    rows = some.dynamo.leases(some.table)
    for shard, number in last_numbers(kinesis, "table").items():
        assert int(rows[shard]["checkpoint"]) >= number
        assert "leaseOwner" not in rows[shard]

    description = some.dynamo.resource().Table(some.table)
    assert description.key_schema == [{"AttributeName": "leaseKey", "KeyType": "HASH"}]
    assert description.billing_mode_summary["BillingMode"] == "PAY_PER_REQUEST"


def kcl_row(shard, checkpoint, **more):
    """A lease as an application of the Kinesis Client Library 2.x leaves it when it is gone."""
    return {
        "leaseKey": shard["ShardId"],
        "leaseOwner": "app-host:6f1c0f5e-8a4c-4d2b-9f5b-4ff3a3d0a001",
        "leaseCounter": 4711,
        "checkpoint": checkpoint,
        "checkpointSubSequenceNumber": 0,
        "ownerSwitchesSinceCheckpoint": 2,
        "startingHashKey": shard["HashKeyRange"]["StartingHashKey"],
        "endingHashKey": shard["HashKeyRange"]["EndingHashKey"],
        **more,
    }


def put_to(server, name, shard, *data):
    """Puts records into this shard; answers their sequence numbers."""
    key = shard["HashKeyRange"]["StartingHashKey"]
    client = server.client()
    return [
        client.put_record(StreamName=name, PartitionKey="p", ExplicitHashKey=key, Data=one)
        ["SequenceNumber"]
        for one in data
    ]


def aggregate(what, shard):
    made = RecordAggregator()
    for line in what:
        made.add_user_record("p", line, shard["HashKeyRange"]["StartingHashKey"])
    return made.clear_and_get().get_contents()[2]


def test_the_table_of_an_application_is_gone_on_from(replicas, kinesis, dynamo):
    """In one shard two of an aggregate's five records are done, and in the other nothing yet."""
    kinesis.create("app", 2)
    first, second = kinesis.open_shards("app")
    whole = [line + b"\n" for line in numbered("agg", 5)]
    sent = [line + b"\n" for line in numbered("sent", 4)]
    put_to(kinesis, "app", first, b"done long ago\n")
    (number,) = put_to(kinesis, "app", first, aggregate(whole, first))
    put_to(kinesis, "app", first, *sent[:2])
    put_to(kinesis, "app", second, *sent[2:])
    rows = [
        kcl_row(first, number, checkpointSubSequenceNumber=1, throughputKBps=7),
        kcl_row(second, "TRIM_HORIZON", ownerSwitchesSinceCheckpoint=0),
    ]
    dynamo.create("standpipe-app", rows)
    expected = [line.rstrip() for line in whole[2:] + sent]
    once(expected, replicas("app", 2).end(expected))
    rows = dynamo.leases("standpipe-app")
    assert set(rows) == {first["ShardId"], second["ShardId"]}
    for row in rows.values():
        assert row["leaseCounter"] > 4711
        assert "leaseOwner" not in row
    assert rows[first["ShardId"]]["throughputKBps"] == 7, "what is unknown stays"


def test_the_table_of_a_newer_library_is_left_alone(daemon, kinesis, dynamo, tmp_path):
    kinesis.create("newer", 1)
    put(kinesis, "newer", numbered("w", 4))
    (shard,) = kinesis.open_shards("newer")
    ruler = {"leaseKey": "Migration3.0", "entityType": "TABLE_MIGRATION", "cv": "CLIENT_VERSION_3X"}
    dynamo.create("standpipe-newer", [kcl_row(shard, "TRIM_HORIZON"), ruler])
    leases = {"table": "standpipe-newer", "endpoint": dynamo.url, "failover": "1s"}
    one = stream(kinesis, "newer", tmp_path / "bucket", leases=leases)
    d = daemon({"s": one}, aws=harness.outgoing())
    harness.wait_for(lambda: "CLIENT_VERSION_3X" in d.log(), "the daemon tells of it")
    assert d.get("/health/ready")[0] == 200
    assert dynamo.leases("standpipe-newer")[shard["ShardId"]]["leaseCounter"] == 4711
    assert lines(tmp_path / "bucket") == []
