"""kill -9 while records are taken apart, parted and converted: every piece arrives, and once.

A record holds several orders, which end in different partitions, in the error output for want of a
key, or there because they fit no column. All of them are found again by their ids, in Parquet files
read by pyarrow and in the lines of failed records.
"""

import base64
import collections
import io
import json
import re

import pyarrow.parquet

import harness
import outputs
import test_crash

KILLS = 14
COUNTRIES = ["de", "fr", "jp", "us", "br"]


class Orders(test_crash.Writer):
    """Puts orders, four in a record."""

    def records(self, lines):
        orders = [self.order(line) for line in lines]
        return [b"".join(orders[i : i + 4]) for i in range(0, len(orders), 4)]

    def order(self, line):
        number = int(line[-7:])
        order = {"id": line, "country": COUNTRIES[number % len(COUNTRIES)], "amount": number}
        if number % 41 == 0:
            del order["country"]
        if number % 43 == 0:
            order["amount"] = "much"
        return json.dumps(order).encode() + b"\n"


def fate(line):
    number = int(line[-7:])
    if number % 41 == 0:
        return "metadata-extraction-failed"
    if number % 43 == 0:
        return "format-conversion-failed"
    return f"country={COUNTRIES[number % len(COUNTRIES)]}"


OPTIONS = {
    "prefix": "country=!{partitionKeyFromQuery:country}/",
    "error_output_prefix": outputs.ERRORS,
    "format_conversion": {"schema": {"ddl": "id string, amount bigint"}},
}


def arrived(contents):
    """(id, where it is) of every row and of every failed record, with how often it is there."""
    found = collections.Counter()
    for key, body in contents.items():
        if key.startswith("errors/"):
            output_type = key.split("/")[1]
            for line in body.splitlines():
                raw = base64.b64decode(json.loads(line)["rawData"]).decode()
                found.update((one, output_type) for one in re.findall(r"w\d-\d{7}", raw))
            continue
        table = pyarrow.parquet.read_table(io.BytesIO(body), columns=["id", "amount"])
        for one, amount in zip(*table.to_pydict().values(), strict=True):
            assert amount == int(one[-7:])
            found[one, key.split("/")[0]] += 1
    return found


def sent_through_kills(d):
    """Runs writers and kills, then waits until all is settled; what was sent."""
    sent = test_crash.interrupted(d, test_crash.kills(d, KILLS), Orders)
    assert len(sent) > KILLS * test_crash.RECORDS, "hardly anything was sent between the kills"

    def settled():
        d.flush("s")
        return not d.metrics().ledger("s", "s3")[1]["backlog"]

    harness.wait_for(settled, "everything is settled", pause=0.2)
    assert d.terminate() == 0
    return sent


def check(sent, found):
    assert found - sent == collections.Counter(), "duplicates"
    assert sent - found == collections.Counter(), "lost"


def through(destination):
    transforms = [{"record_deaggregation": "json"}, {"metadata_extraction": "{country}"}]
    return {"s": {"destinations": [{**destination, "transforms": transforms}]}}


def test_kills_with_partitions_and_conversion(daemon, s3_server):
    s3_server.client().create_bucket(Bucket="bucket")
    buffering = {"size": "64KiB", "interval": "1s"}
    destination = harness.bucket(
        "bucket", s3_server, **OPTIONS, buffering=buffering, dynamic_partitioning={}
    )
    d = daemon(through(destination), api={"anonymous": True}, aws=harness.outgoing())
    sent = sent_through_kills(d)
    objects = s3_server.objects("bucket").items()
    found = arrived({key: answer["Body"] for key, answer in objects})
    check(collections.Counter((one, fate(one)) for one in sent), found)


def test_kills_with_more_partitions_than_may_be_open(daemon, tmp_path):
    """Which order is surplus hangs on the moment: others after a crash, and still only once."""
    folder = tmp_path / "bucket"
    destination = harness.local(
        folder,
        **OPTIONS,
        buffering={"size": "16KiB", "interval": "1s"},
        dynamic_partitioning={"max_active_partitions": 3},
    )
    d = daemon(through(destination), api={"anonymous": True})
    sent = sent_through_kills(d)
    found = arrived(outputs.local_contents(folder))
    check(sent, collections.Counter(one for one, _ in found.elements()))
    # What was not surplus is where it belongs.
    assert all(place in (fate(one), "activePartitionExceeded") for one, place in found)
