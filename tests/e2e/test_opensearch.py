"""OpenSearch: what becomes of records in a real cluster, also while it, or the way to it, fails."""

import collections
import datetime
import json
import re
import urllib.error
import urllib.request

import pytest

import harness
import outputs
import receiver
import test_crash
from opensearch import REQUEST_BYTES_MAX
from search_deliveries import (
    INDEX,
    KIND,
    NAME,
    attempts,
    backup,
    failed,
    failures,
    numbered,
    numbers,
    once,
    settled,
    stream,
    to,
    tried,
)


class Between(receiver.Receiver):
    """Stands before a real cluster, hands on what it is sent, and may lose the answer."""

    def __init__(self, server):
        self.cluster = server
        super().__init__()

    def check(self, request):
        pass

    def answer(self, request):
        names = ("Content-Type", "Content-Encoding")
        headers = {name: request.headers[name] for name in names if request.headers[name]}
        onward = urllib.request.Request(
            self.cluster.url + request.path, request.wire, headers, method=request.method
        )
        try:
            with urllib.request.urlopen(onward, timeout=60) as answer:
                return receiver.Answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return receiver.Answer(error.code, error.read())


# ---------------------------------------------------------------------------- a real cluster


@pytest.mark.parametrize("gzip", [True, False])
def test_documents_arrive_as_they_are(daemon, opensearch, tmp_path, gzip):
    opensearch.create_index(INDEX, {"enabled": False})
    documents = [
        {"text": "Zürich 日本 \u2028 \x7f", "nested": {"a": [1, None, {"b": 1e300}]}, "": 1},
        {"large": "x" * 900_000},
        {"lines": "a\nb\r\n", "slash": "\\", "quote": '"'},
        {},
    ]
    sent = [json.dumps(one).encode() for one in documents]
    sent.append(json.dumps(documents[0], indent=4, ensure_ascii=False).encode())
    sent.append(b'\r\n{\r\n "crlf" :\t[\r\n\r\n1 ,\n2]\r\n}\n\n')
    d = daemon(stream(to(opensearch.url, tmp_path / "bucket", gzip=gzip)))
    outputs.put(d, *sent)
    assert settled(d, len(sent))["delivered"] == len(sent)
    hits = opensearch.search(INDEX)
    by_place = sorted(hits, key=lambda hit: int(hit["_id"].rsplit("-", 1)[1]))
    expected = [*documents, documents[0], {"crlf": [1, 2]}]
    assert [hit["_source"] for hit in by_place] == expected
    assert not outputs.local_contents(tmp_path / "bucket")


def test_records_that_are_no_objects_fail_alone(daemon, opensearch, tmp_path):
    unfit = [
        b"",
        b"text",
        b"[1]",
        b"1",
        b"null",
        b'"text"',
        b'{"n":1',
        b'{"n":1}}',
        b'{"n":1}{"n":2}',
        b'{"n":1}\n{"n":2}\n',
        b'{"create":{"_index":"other"}}\n{"n":1}',
        b'{"n":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"\x1f\x8b\x08\x00",
        b'{"n":' * 10_000,
    ]
    d = daemon(stream(to(opensearch.url, tmp_path / "bucket")))
    sent = numbered(0, 100)
    for place, record in enumerate(unfit):
        sent.insert(place * 7, record)
    outputs.put(d, *sent)
    became = settled(d, len(sent))
    assert (became["delivered"], became["failed"]) == (100, len(unfit))
    assert numbers(opensearch.documents(INDEX)) == once(0, 100)
    assert opensearch.indices() == [INDEX]
    found = failed(tmp_path / "bucket")
    assert set(found) == set(unfit)
    assert {line["errorCode"] for line in found.values()} == {"OS.MalformedData"}


def test_documents_that_do_not_fit_fail_alone(daemon, opensearch, tmp_path):
    mappings = {"dynamic": "strict", "properties": {"n": {"type": "long"}}}
    opensearch.create_index(INDEX, mappings)
    d = daemon(stream(to(opensearch.url, tmp_path / "bucket")))
    sent = numbered(0, 500)
    bad = {17: b'{"n":"very secret text"}', 371: b'{"n":371,"unknown":1}'}
    for place, document in bad.items():
        sent[place] = document
    outputs.put(d, *sent)
    became = settled(d, len(sent))
    assert (became["delivered"], became["failed"]) == (498, 2)
    assert numbers(opensearch.documents(INDEX)) == once(0, 500) - collections.Counter(list(bad))
    found = failed(tmp_path / "bucket")
    assert {raw: line["errorCode"] for raw, line in found.items()} == dict.fromkeys(
        bad.values(), "400"
    )
    told = {raw: line["errorMessage"] for raw, line in found.items()}
    assert told[bad[17]].startswith("mapper_parsing_exception: "), told
    assert "very secret" not in told[bad[17]] and "very secret" not in d.log()
    assert told[bad[371]].startswith("strict_dynamic_mapping_exception: "), told
    prefix = opensearch.search(INDEX)[0]["_id"].rsplit("-", 1)[0]
    for place, document in bad.items():
        line = found[document]
        assert line["esDocumentId"] == f"{prefix}-{place}", line
        assert (line["esIndexName"], line["esTypeName"]) == (INDEX, "")
        assert line["attemptsMade"] == 1


def test_a_cluster_that_is_stopped_killed_and_frozen_gets_everything_once(
    daemon, opensearch, tmp_path
):
    opensearch.create_index(INDEX)
    settings = {"timeout": "1s", "buffering": {"size": "1MiB", "interval": "0s"}}
    d = daemon(stream(to(opensearch.url, tmp_path / "bucket", **settings)))
    outputs.put(d, *numbered(0, 500))
    # In the middle of it.
    opensearch.kill()
    outputs.put(d, *numbered(500, 500))
    tried(d)
    opensearch.start()
    harness.wait_for(lambda: opensearch.count(INDEX) >= 1000, "it goes on")
    opensearch.pause()
    outputs.put(d, *numbered(1000, 500))
    before = attempts(d)
    harness.wait_for(lambda: attempts(d) > before, "an attempt takes too long")
    opensearch.resume()
    outputs.put(d, *numbered(1500, 500))
    assert settled(d, 2000)["delivered"] == 2000
    assert numbers(opensearch.documents(INDEX)) == once(0, 2000)
    assert not outputs.local_contents(tmp_path / "bucket")


def test_an_answer_that_was_lost_adds_no_documents(daemon, opensearch, clusters, tmp_path):
    between = clusters(Between, server=opensearch)
    opensearch.data_stream("events")
    destinations = [
        to(between.url, tmp_path / "index", name="index"),
        to(
            between.url,
            tmp_path / "events",
            name="events",
            index_name="events",
            index_rotation=None,
            data_stream=True,
        ),
    ]
    d = daemon(stream(*destinations))
    lost = [{"end": end} for end in ("drop", "cut", "drop", "cut")]
    between.script(*lost)
    sent = [b'{"n":%d,"@timestamp":"2026-11-21T00:00:00Z"}' % number for number in range(300)]
    outputs.put(d, *sent)
    for name in ("index", "events"):
        assert settled(d, len(sent), destination=name)["delivered"] == len(sent)
    for name in (INDEX, "events"):
        assert numbers(opensearch.documents(name)) == once(0, 300), name
    assert between.count() >= 6


def test_a_restart_before_the_answer_adds_no_documents(daemon, opensearch, clusters, tmp_path):
    between = clusters(Between, server=opensearch)
    between.script({"times": 0, "end": "hang"})
    d = daemon(stream(to(between.url, tmp_path / "bucket")))
    outputs.put(d, *numbered(0, 300))
    d.flush("s")
    harness.wait_for(lambda: opensearch.count(INDEX) >= 300, "the cluster has them")
    before = opensearch.search(INDEX)
    d.kill()
    between.script()
    d.start()
    assert settled(d, 300)["delivered"] == 300
    assert opensearch.search(INDEX) == before


def test_troubles_of_the_cluster_pass_when_they_are_mended(daemon, opensearch, tmp_path):
    """Each has a status that a document's own fault could have."""
    for name in ("blocked", "closed"):
        opensearch.create_index(name)
    opensearch.ask("PUT", "/blocked/_settings", {"index.blocks.write": True})
    opensearch.ask("POST", "/closed/_close")
    opensearch.cluster_settings(action__auto_create_index="false")
    names = ["blocked", "closed", "missing"]
    d = daemon(
        stream(*(to(opensearch.url, tmp_path / n, name=n, index_name=n) for n in names)),
        shutdown_timeout="200ms",
    )
    outputs.put(d, *numbered(0, 10))
    d.flush("s")

    def all_tried():
        metrics = d.metrics()
        name = f"standpipe_{KIND}_attempts_total"
        return all(metrics[name, {"stream": "s", "destination": n}] >= 2 for n in names)

    harness.wait_for(all_tried, "all are tried again")
    d.kill()
    d.start()
    opensearch.ask("PUT", "/blocked/_settings", {"index.blocks.write": False})
    opensearch.ask("POST", "/closed/_open")
    opensearch.create_index("missing")
    for name in names:
        assert settled(d, 10, destination=name)["delivered"] == 10
        assert numbers(opensearch.documents(name)) == once(0, 10), name
        assert not failed(tmp_path / name)


def test_what_no_document_fits_is_held_until_it_is_mended(daemon, opensearch, tmp_path):
    for name in ("one", "two"):
        opensearch.create_index(name)
        opensearch.ask("PUT", f"/{name}/_alias/alias")
    streams = {
        # More indexes than one behind the alias, and none to be written to.
        "alias": to(opensearch.url, tmp_path / "alias", index_name="alias"),
        # Types are gone.
        "type": to(opensearch.url, tmp_path / "type", type_name="log", kind="elasticsearch"),
    }
    d = daemon(
        {name: {"destinations": [one]} for name, one in streams.items()}, shutdown_timeout="200ms"
    )
    for name in streams:
        outputs.put(d, *numbered(0, 10), stream=name)
        d.flush(name)
        (kind,) = streams[name]
        labels = {"stream": name, "destination": kind}
        harness.wait_for(lambda at=labels: d.metrics()["standpipe_held", at] == 1, "it is held")
    log = d.log()
    assert "OS.AliasWithMultipleIndicesNotAllowed" in log and "OS.UnsupportedVersion" in log
    opensearch.ask("PUT", "/two/_alias/alias", {"is_write_index": True})
    assert settled(d, 10, "alias")["delivered"] == 10
    assert numbers(opensearch.documents("two")) == once(0, 10)
    assert opensearch.count("one") == 0
    assert not failed(tmp_path / "alias") and not failed(tmp_path / "type")


def test_requests_that_are_too_large_are_halved(daemon, opensearch, tmp_path):
    opensearch.create_index(INDEX, {"enabled": False})
    size = {"size": "12MiB", "interval": "900s"}
    d = daemon(stream(to(opensearch.url, tmp_path / "bucket", buffering=size, gzip=False)))
    filler = b"x" * 900_000
    sent = [b'{"n":%d,"filler":"%s"}' % (number, filler) for number in range(12)]
    assert sum(map(len, sent)) > 2 * REQUEST_BYTES_MAX
    # In several calls: one takes 4 MiB.
    for first in range(0, 12, 4):
        outputs.put(d, *sent[first : first + 4])
    assert settled(d, len(sent))["delivered"] == len(sent)
    assert numbers(opensearch.documents(INDEX)) == once(0, 12)
    assert not failed(tmp_path / "bucket")


def test_indexes_rotate_by_arrival(daemon, opensearch, tmp_path):
    forms = {
        "no_rotation": "",
        "one_hour": "-%Y-%m-%d-%H",
        "one_day": "-%Y-%m-%d",
        "one_week": "",
        "one_month": "-%Y-%m",
    }

    def one(rotation):
        options = {"index_name": rotation, "index_rotation": rotation}
        name = rotation.replace("_", "-")
        return to(opensearch.url, tmp_path / rotation, name=name, **options)

    d = daemon(stream(*map(one, forms)))

    def names():
        now = datetime.datetime.now(datetime.UTC)
        # A week has the name of its Saturday.
        saturday = now + datetime.timedelta(days=(5 - now.weekday()) % 7)
        week = f"one_week-{saturday.year}-w{(saturday.timetuple().tm_yday + 6) // 7:02}"
        found = {name: name + now.strftime(form) for name, form in forms.items()}
        return {**found, "one_week": week}

    before = names()
    outputs.put(d, *numbered(0, 10))
    after = names()
    for rotation in forms:
        settled(d, 10, destination=rotation.replace("_", "-"))
        found = opensearch.indices(f"{rotation}*")
        # The hour may have ended meanwhile.
        assert len(found) == 1 and found[0] in (before[rotation], after[rotation]), found
        assert opensearch.count(found[0]) == 10


def test_a_data_stream_takes_what_has_a_time(daemon, opensearch, tmp_path):
    opensearch.data_stream("events")
    options = {"index_name": "events", "index_rotation": None, "data_stream": True}
    d = daemon(stream(to(opensearch.url, tmp_path / "bucket", **options)))
    sent = [b'{"n":%d,"@timestamp":"2026-11-21T00:00:00Z"}' % number for number in range(100)]
    sent[50] = b'{"n":50}'
    outputs.put(d, *sent)
    became = settled(d, len(sent))
    assert (became["delivered"], became["failed"]) == (99, 1)
    assert numbers(opensearch.documents("events")) == once(0, 100) - collections.Counter([50])
    assert list(failed(tmp_path / "bucket")) == [sent[50]]


@pytest.mark.parametrize("data_stream", [True, False])
def test_without_ids_the_cluster_makes_them_up(daemon, opensearch, tmp_path, data_stream):
    mappings = {"properties": {"n": {"type": "long"}}}
    options = {"document_id": "no_document_id"}
    if data_stream:
        opensearch.data_stream(INDEX, mappings)
        options.update(index_rotation=None, data_stream=True)
    else:
        opensearch.create_index(INDEX, mappings)
    d = daemon(stream(to(opensearch.url, tmp_path / "bucket", **options)))
    sent = [b'{"n":%d,"@timestamp":"2026-11-21T00:00:00Z"}' % number for number in range(100)]
    sent[7] = b'{"n":"seven","@timestamp":"2026-11-21T00:00:00Z"}'
    outputs.put(d, *sent)
    became = settled(d, len(sent))
    assert (became["delivered"], became["failed"]) == (99, 1)
    hits = opensearch.search(INDEX)
    assert numbers(hit["_source"] for hit in hits) == once(0, 100) - collections.Counter([7])
    assert all(re.fullmatch(r"[\w-]{20}", hit["_id"]) for hit in hits)
    (line,) = failed(tmp_path / "bucket").values()
    assert (line["errorCode"], line["esDocumentId"]) == ("400", "")


def test_with_zero_buffering_records_come_by_themselves(daemon, opensearch, tmp_path):
    zero = {"size": "1MiB", "interval": "0s"}
    d = daemon(stream(to(opensearch.url, tmp_path / "bucket", buffering=zero)))
    client = d.firehose()
    for number in range(50):
        client.put_record(DeliveryStreamName="s", Record={"Data": b'{"n":%d}' % number})
    harness.wait_for(lambda: opensearch.count(INDEX) >= 50, "all is there, and nobody flushed")
    assert numbers(opensearch.documents(INDEX)) == once(0, 50)


def test_all_source_records_are_kept_where_that_is_wanted(daemon, opensearch, tmp_path):
    opensearch.create_index(INDEX, {"properties": {"n": {"type": "long"}}})
    one = to(opensearch.url, tmp_path / "bucket", s3_backup_mode="all")
    one[NAME]["backup"].update(prefix="source/", append_delimiter="\n")
    d = daemon(stream(one))
    sent = [*numbered(0, 10), b'{"n":"bad"}', b"no document"]
    outputs.put(d, *sent)
    assert settled(d, len(sent))["delivered"] == 10

    def kept():
        d.flush("s")
        contents = outputs.local_contents(tmp_path / "bucket")
        found = {key: data for key, data in contents.items() if key.startswith("source/")}
        return found if len(b"".join(found.values()).splitlines()) >= len(sent) else None

    found = harness.wait_for(kept, "the source is kept")
    assert sorted(b"".join(found.values()).splitlines()) == sorted(sent)
    contents = outputs.local_contents(tmp_path / "bucket")
    errors = {key: data for key, data in contents.items() if key not in found}
    assert set(failures(errors)) == set(sent[10:])


class Documents(test_crash.Writer):
    def records(self, lines):
        return [json.dumps({"line": line}).encode() for line in lines]


def test_kills_under_load_add_and_lose_no_documents(daemon, opensearch, tmp_path):
    mappings = {"properties": {"line": {"type": "keyword"}}}
    opensearch.create_index(INDEX, mappings, {"index.max_result_window": 1_000_000})
    buffering = {"size": "1MiB", "interval": "0s"}
    one = to(opensearch.url, tmp_path / "bucket", buffering=buffering)
    d = daemon(stream(one), api={"anonymous": True})
    sent = test_crash.interrupted(d, test_crash.kills(d, 15), Documents)
    print(f"{len(sent)} records")
    assert len(sent) > 2000, "hardly anything was sent between the kills"
    harness.wait_for(lambda: opensearch.count(INDEX) >= len(sent), "all is there")
    hits = opensearch.search(INDEX, size=1_000_000)
    arrived = collections.Counter(hit["_source"]["line"] for hit in hits)
    assert arrived - sent == collections.Counter(), "duplicates"
    assert sent - arrived == collections.Counter(), "lost"
    assert not outputs.local_contents(tmp_path / "bucket")
