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

KILLS = 12
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


def destination(server):
    options = {
        "prefix": "country=!{partitionKeyFromQuery:country}/",
        "error_output_prefix": outputs.ERRORS,
        "dynamic_partitioning": {},
        "format_conversion": {"schema": {"ddl": "id string, amount bigint"}},
        "buffering": {"size": "64KiB", "interval": "1s"},
    }
    return {
        **harness.bucket("bucket", server, **options),
        "transforms": [{"record_deaggregation": "json"}, {"metadata_extraction": "{country}"}],
    }


def arrived(server):
    """(id, where it is) of every row and of every failed record, with how often it is there."""
    found = collections.Counter()
    for key, answer in server.objects("bucket").items():
        if key.startswith("errors/"):
            output_type = key.split("/")[1]
            for line in answer["Body"].splitlines():
                raw = base64.b64decode(json.loads(line)["rawData"]).decode()
                found.update((one, output_type) for one in re.findall(r"w\d-\d{7}", raw))
            continue
        table = pyarrow.parquet.read_table(io.BytesIO(answer["Body"]), columns=["id", "amount"])
        for one, amount in zip(*table.to_pydict().values(), strict=True):
            assert amount == int(one[-7:])
            found[one, key.split("/")[0]] += 1
    return found


def test_kills_with_partitions_and_conversion(daemon, s3_server):
    s3_server.client().create_bucket(Bucket="bucket")
    d = daemon(
        {"s": {"destinations": [destination(s3_server)]}},
        api={"anonymous": True},
        aws=harness.outgoing(),
    )
    sent = test_crash.interrupted(d, test_crash.kills(d, KILLS), Orders)
    assert len(sent) > KILLS * test_crash.RECORDS, "hardly anything was sent between the kills"

    def settled():
        d.flush("s")
        return not d.metrics().ledger("s", "s3")[1]["backlog"]

    harness.wait_for(settled, "everything is settled", pause=0.2)
    assert d.terminate() == 0
    found = arrived(s3_server)
    expected = collections.Counter((one, fate(one)) for one in sent)
    assert found - expected == collections.Counter(), "duplicates"
    assert expected - found == collections.Counter(), "lost"
