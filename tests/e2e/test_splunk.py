"""Splunk: what the collector is sent, what becomes of what it answers and acknowledges, and what
while it doesn't. The collector is strict: what the real one refuses or loses, it does too."""

import base64
import collections
import contextlib
import json
import re
import subprocess

import boto3
import botocore.config
import botocore.exceptions
import pytest

import harness
import otel
import outputs
import splunk_hec
from certificates import with_tls
from test_examples import moto  # noqa: F401, a fixture

KIND = "delivery_to_splunk"
NAME = "splunk"
# None of these may ever be read anywhere but in the header of a request.
TOKEN = "5b1a7e00-1111-4222-8333-t0ken0hush00"
OTHER_TOKEN = "5b1a7e00-1111-4222-8333-0ther0hush00"
# The members of a line of this destination's error output, in Firehose's order.
MEMBERS = [
    "attemptsMade",
    "arrivalTimestamp",
    "errorCode",
    "errorMessage",
    "attemptEndingTimestamp",
    "rawData",
    "EventId",
]
LABELS = {"stream": "s", "destination": NAME}


@pytest.fixture
def collectors(tmp_path):
    """Makes collectors, whose tokens acknowledge; in the end none may have found a mistake, and
    no token may have been written down."""
    with contextlib.ExitStack() as all_of_them:
        made = []

        def make(token=TOKEN, ack=True, **options):
            one = splunk_hec.Hec(token, ack=ack, **options)
            all_of_them.callback(one.close)
            made.append(one)
            return one

        yield make
    assert [mistake for one in made for mistake in one.mistakes()] == []
    for log in tmp_path.rglob("standpipe.log"):
        assert_no_token(log.read_text())


def assert_no_token(text):
    for token in (TOKEN, OTHER_TOKEN):
        assert token not in text
        # Nor in the form of a record of the error output.
        assert base64.b64encode(token.encode()).decode()[:-4] not in text


@pytest.fixture
def hec(collectors):
    return collectors()


def to(url, folder, *, name=None, **options):
    """A destination whose requests go when they are told to, or at 1 MiB."""
    settings = {
        "endpoint": url,
        "plain_http": url.startswith("http:"),
        "token": TOKEN,
        "acknowledgment_timeout": "60s",
        "acknowledgment_poll": "100ms",
        "buffering": {"size": "1MiB", "interval": "900s"},
        "retry": {"duration": "60s"},
        "backup": backup(folder),
        **options,
    }
    settings = {member: value for member, value in settings.items() if value is not None}
    return {**({"name": name} if name else {}), "splunk": settings}


def backup(folder):
    return {
        "bucket": folder.resolve().as_uri(),
        "error_output_prefix": outputs.ERRORS,
        "buffering": {"size": "5MiB", "interval": "900s"},
    }


def stream(*destinations):
    return {"s": {"destinations": list(destinations)}}


def settled(daemon, count, name="s"):
    return outputs.settled(daemon, name, count, NAME, KIND)


def failures(folder):
    """Raw data → line of every failed record."""
    found = {}
    for key, data in outputs.local_contents(folder).items():
        assert key.startswith("errors/splunk-failed/"), key
        for text in data.splitlines():
            line = json.loads(text)
            assert list(line) == MEMBERS, list(line)
            assert re.fullmatch(r"\d{56}\.\d+", line["EventId"]), line
            assert line["arrivalTimestamp"] <= line["attemptEndingTimestamp"], line
            raw = base64.b64decode(line["rawData"], validate=True)
            assert raw not in found, "a record failed twice"
            found[raw] = line
    return found


def codes(folder):
    """Raw data → (code, attempts) of every failed record."""
    return {
        raw: (line["errorCode"], line["attemptsMade"]) for raw, line in failures(folder).items()
    }


def lines(first, count):
    return [b"line-%06d\n" % number for number in range(first, first + count)]


def envelope(event, **members):
    return json.dumps({"event": event, **members}).encode()


def indexed(hec):
    """How often each event is indexed."""
    return collections.Counter(event["event"] for event in hec.events())


def header(request, name):
    """A header of a request; `None` if it was not sent."""
    found = [value for key, value in request["headers"].items() if key.lower() == name.lower()]
    return found[0] if found else None


def once(records):
    """Each line once."""
    return collections.Counter({record.decode().rstrip("\n"): 1 for record in records})


def held(daemon, code, name="s", destination=NAME):
    """Waits until a destination is held for this reason; the sentence for people."""

    def is_held():
        health = json.loads(daemon.get("/health/ready")[1])
        (one,) = [one for one in health["streams"] if one["name"] == name]
        (one,) = [one for one in one["destinations"] if one["name"] == destination]
        is_that = one["state"] == "held" and one["code"] == code
        return is_that and [text for text in health["problems"] if text.startswith(f"{name}: ")]

    (problem,) = harness.wait_for(is_held, f"{name} is held for {code}")
    assert f"{destination} held: " in problem
    return problem


# ------------------------------------------------------------------------- all is well


@pytest.mark.parametrize("gzip", [True, False])
@pytest.mark.parametrize("kind", ["raw", "event"])
def test_records_are_indexed(daemon, hec, tmp_path, kind, gzip):
    d = daemon(stream(to(hec.url, tmp_path / "bucket", endpoint_type=kind, gzip=gzip)))
    values = ["one", "日本 ü", "x" * 900_000, "tail"]
    if kind == "raw":
        # With and without an end of line; an empty record is no event.
        sent = [b"one", "日本 ü\n".encode(), b"", b"x" * 900_000 + b"\n", b"tail"]
    else:
        # Back to back, two in one record, and all members there are.
        members = {"time": 1.5, "host": "h", "source": "s", "sourcetype": "t", "index": "main"}
        sent = [
            envelope("one", **members, fields={"a": "b", "c": ["d"]}),
            envelope("日本 ü") + b"\n" + envelope("x" * 900_000),
            envelope("tail"),
        ]
    outputs.put(d, *sent)
    became = settled(d, len(sent))
    assert became["delivered"] == len(sent)
    assert [event["event"] for event in hec.events()] == values
    assert not outputs.local_contents(tmp_path / "bucket")
    posts = [r for r in hec.requests() if f"/{kind}" in r["path"]]
    assert {header(r, "Content-Encoding") for r in posts} == {"gzip" if gzip else None}
    assert (sum(r["bytes"] for r in posts) > 900_000) == (not gzip)


def test_one_channel_for_posts_and_polls(daemon, hec, tmp_path):
    """And for each destination one of its own."""
    here, there = (to(hec.url, tmp_path / name, name=name) for name in ("here", "there"))
    d = daemon(stream(here, there))
    for number in range(3):
        outputs.put(d, b"%d" % number)
        for name in ("here", "there"):
            outputs.settled(d, "s", number + 1, name, KIND)
    asked = {"raw": set(), "ack": set()}
    for request in hec.requests():
        kind = "raw" if "/raw" in request["path"] else "ack"
        asked[kind].add(header(request, "X-Splunk-Request-Channel"))
    assert len(asked["raw"]) == 2 and asked["raw"] == asked["ack"]


def test_metadata_goes_in_the_query(daemon, collectors, tmp_path):
    hec = collectors(indexes=["main", "a&b"])
    metadata = {"index": "a&b", "source": "/var/log/ü x", "sourcetype": "a=b", "host": "h#1"}
    d = daemon(stream(to(hec.url, tmp_path / "bucket", metadata=metadata)))
    outputs.put(d, b"one\n", b"two\n")
    settled(d, 2)
    assert hec.events() == [{"event": "one", **metadata}, {"event": "two", **metadata}]


def test_zero_buffering_waits_for_nothing(daemon, hec, tmp_path):
    one = to(hec.url, tmp_path / "bucket", buffering={"size": "1MiB", "interval": "0s"})
    d = daemon(stream(one))
    for number in range(3):
        outputs.put(d, b"%d" % number)
        # Nobody flushes.
        harness.wait_for(lambda n=number: len(hec.events()) > n, "it is there")
    assert [event["event"] for event in hec.events()] == ["0", "1", "2"]


def test_many_records_are_each_indexed_once(daemon, hec, tmp_path):
    d = daemon(stream(to(hec.url, tmp_path / "bucket")))
    hec.control(mode="delay", seconds=0.2)
    sent = lines(0, 20_000)
    outputs.put(d, *sent)
    assert settled(d, len(sent))["delivered"] == len(sent)
    assert indexed(hec) == once(sent)


@pytest.mark.parametrize("gzip", [True, False])
@pytest.mark.parametrize("kind", ["raw", "event"])
def test_a_collector_by_others_takes_and_acknowledges(daemon, collector, tmp_path, kind, gzip):
    name = f"delivered {kind} {gzip}"
    metadata = {"source": name, "sourcetype": "type", "host": "a host", "index": "main"}
    one = to(
        collector.hec_url,
        tmp_path / "bucket",
        token=otel.TOKEN,
        endpoint_type=kind,
        gzip=gzip,
        metadata=metadata if kind == "raw" else None,
        acknowledgment_timeout="10s",
    )
    d = daemon(stream(one))
    messages = [f"{name} {number}" for number in range(1000)]
    if kind == "raw":
        outputs.put(d, *[text.encode() for text in messages])
    else:
        outputs.put(d, *[envelope(text, **metadata) for text in messages])
    assert settled(d, len(messages))["delivered"] == len(messages)

    def arrived():
        found = collector.logs("hec")
        return [one for one in found if one[1].get("com.splunk.source") == name]

    harness.wait_for(lambda: len(arrived()) >= len(messages), "all is written down")
    assert [body for body, _ in arrived()] == messages
    (resource,) = {json.dumps(resource) for _, resource in arrived()}
    assert json.loads(resource) == {
        "com.splunk.hec.access_token": otel.TOKEN,
        "com.splunk.source": name,
        "com.splunk.sourcetype": "type",
        "com.splunk.index": "main",
        "host.name": "a host",
    }


# ---------------------------------------------------------------------- trouble that passes


def test_a_collector_that_was_away_gets_everything(daemon, collectors, tmp_path):
    away = collectors()
    d = daemon(stream(to(away.url, tmp_path / "bucket")))
    away.close()
    first, second = lines(0, 100), lines(100, 100)
    outputs.put(d, *first)
    d.flush("s")
    attempts = lambda: d.metrics()[f"standpipe_{KIND}_attempts_total", LABELS]  # noqa: E731
    harness.wait_for(lambda: attempts() >= 1, "it is tried")
    outputs.put(d, *second)
    back = collectors(port=away.port)
    assert settled(d, 200)["delivered"] == 200
    assert indexed(back) == once(first + second)
    assert not outputs.local_contents(tmp_path / "bucket")


def test_a_flapping_collector_gets_everything(daemon, hec, tmp_path):
    d = daemon(stream(to(hec.url, tmp_path / "bucket")))
    well = {"take": True}
    flaps = [{"code": 9}, well, {"end": "drop"}, well, {"code": 26}, well, {"status": 502}]
    hec.control(answers=[{"to": "raw", **flap} for flap in flaps])
    sent = lines(0, 400)
    for first in range(0, 400, 100):
        outputs.put(d, *sent[first : first + 100])
        d.flush("s")
    assert settled(d, len(sent))["delivered"] == len(sent)
    assert indexed(hec) == once(sent)


def test_a_collector_that_asks_for_patience_gets_it(daemon, hec, tmp_path):
    d = daemon(stream(to(hec.url, tmp_path / "bucket")))
    hec.control(answers=[{"to": "raw", "code": 9, "headers": {"Retry-After": "2"}}])
    outputs.put(d, b"one\n")
    assert settled(d, 1)["delivered"] == 1
    first, second = [r["at"] for r in hec.requests() if "/raw" in r["path"]]
    assert second - first >= 2


def test_a_slow_collector_is_waited_for(daemon, hec, tmp_path):
    d = daemon(stream(to(hec.url, tmp_path / "bucket")))
    hec.control(answers=[{"to": kind, "delay": 1, "take": True} for kind in ("raw", "ack")])
    outputs.put(d, b"one\n")
    settled(d, 1)
    assert hec.count("raw") == 1 and indexed(hec) == {"one": 1}


def test_events_that_are_near_the_capacity_are_taken(daemon, hec, tmp_path):
    d = daemon(stream(to(hec.url, tmp_path / "bucket")))
    hec.control(answers=[{"to": "raw", "code": code, "take": True} for code in (24, 25)])
    for number in range(2):
        outputs.put(d, b"%d\n" % number)
        settled(d, number + 1)
    assert hec.count("raw") == 2


def test_a_dead_collector_does_not_hold_back_another(daemon, collectors, tmp_path):
    dead, well = collectors(), collectors()
    dead.control(answers=[{"times": 0, "end": "hang"}])
    destinations = [
        to(dead.url, tmp_path / "dead", name="dead"),
        to(well.url, tmp_path / "well", name="well"),
    ]
    d = daemon(stream(*destinations), shutdown_timeout="200ms")
    sent = lines(0, 100)
    outputs.put(d, *sent)
    became = outputs.settled(d, "s", len(sent), "well", KIND)
    assert became["delivered"] == len(sent)
    assert indexed(well) == once(sent)


# ------------------------------------------------------------------------- acknowledgements


def test_a_late_acknowledgement_is_waited_for(daemon, hec, tmp_path):
    d = daemon(stream(to(hec.url, tmp_path / "bucket")))
    hec.control(mode="withhold")
    sent = lines(0, 100)
    outputs.put(d, *sent)
    d.flush("s")
    harness.wait_for(lambda: hec.count("ack") >= 5, "it is asked for")
    came, became = d.metrics().ledger("s", NAME, KIND)
    assert became["delivered"] == 0 and became["backlog"] == 100
    hec.control(mode="ok")
    assert settled(d, len(sent))["delivered"] == len(sent)
    assert hec.count("raw") == 1 and indexed(hec) == once(sent)


def test_an_acknowledgement_that_does_not_come_in_time_leads_to_sending_again(
    daemon, hec, tmp_path
):
    d = daemon(stream(to(hec.url, tmp_path / "bucket", acknowledgment_timeout="1s")))
    hec.control(mode="withhold")
    sent = lines(0, 100)
    outputs.put(d, *sent)
    d.flush("s")
    harness.wait_for(lambda: hec.count("raw") >= 2, "it is sent again")
    assert "retrying" in d.get("/health/ready")[1]
    hec.control(mode="ok")
    assert settled(d, len(sent))["delivered"] == len(sent)
    assert set(indexed(hec)) == set(once(sent))
    assert not failures(tmp_path / "bucket")


def test_a_lost_acknowledgement_leads_to_sending_again(daemon, hec, tmp_path):
    """`true` is said once: into a connection that broke, it is never said again."""
    d = daemon(stream(to(hec.url, tmp_path / "bucket", acknowledgment_timeout="1s")))
    hec.control(mode="lose")
    sent = lines(0, 100)
    outputs.put(d, *sent)
    d.flush("s")
    harness.wait_for(lambda: hec.count("ack") >= 1, "it is asked for")
    hec.control(mode="ok")
    assert settled(d, len(sent))["delivered"] == len(sent)
    assert set(indexed(hec).values()) == {hec.count("raw")} == {2}


def test_polls_that_go_wrong_lose_nothing(daemon, hec, tmp_path):
    d = daemon(stream(to(hec.url, tmp_path / "bucket")))
    faults = [{"code": 9}, {"end": "drop"}, {"end": "cut"}, {"status": 502, "body": "<html>"}]
    faults += [{"body": {"acks": {}}}, {"status": 429, "body": ""}, {"body": "[]"}]
    hec.control(answers=[{"to": "ack", **fault} for fault in faults])
    outputs.put(d, b"one\n")
    assert settled(d, 1)["delivered"] == 1
    assert hec.count("ack") == len(faults) + 1 and hec.count("raw") == 1


def test_a_success_whose_answer_is_lost_is_sent_again(daemon, hec, tmp_path):
    d = daemon(stream(to(hec.url, tmp_path / "bucket")))
    hec.control(answers=[{"to": "raw", "take": True, "end": "drop"}])
    sent = lines(0, 50)
    outputs.put(d, *sent)
    assert settled(d, len(sent))["delivered"] == len(sent)
    # Splunk cannot tell that they come a second time.
    assert set(indexed(hec).values()) == {2}
    assert set(indexed(hec)) == set(once(sent))


def test_a_restart_of_splunk_forgets_ids_and_nothing_else(daemon, hec, tmp_path):
    """Ids begin anew: what is acknowledged under them then are other events."""
    d = daemon(stream(to(hec.url, tmp_path / "bucket")))
    hec.control(mode="withhold")
    first, second = lines(0, 10), lines(10, 10)
    outputs.put(d, *first)
    d.flush("s")
    harness.wait_for(lambda: hec.count("ack") >= 1, "it is asked for")
    hec.control(restart=True)
    outputs.put(d, *second)
    d.flush("s")
    # Not after a minute: the ids of the second tell that those of the first are worth nothing.
    harness.wait_for(lambda: indexed(hec)["line-000000"] >= 2, "the first are sent again")
    hec.control(mode="ok")
    assert settled(d, 20)["delivered"] == 20
    assert set(indexed(hec)) == set(once(first + second))
    assert indexed(hec)["line-000000"] == 2


def test_sticky_sessions(daemon, collectors, tmp_path):
    """A load balancer knows by a cookie which indexer to ask for acknowledgements."""
    hec = collectors(sticky=True)
    d = daemon(stream(to(hec.url, tmp_path / "bucket")))
    for number in range(2):
        outputs.put(d, b"%d\n" % number)
        settled(d, number + 1)
    assert indexed(hec) == {"0": 1, "1": 1}
    cookies = [header(request, "Cookie") for request in hec.requests()]
    assert cookies[0] is None and set(cookies[1:]) == {f"hec={hec.collector.instance}"}
    # Another indexer takes over.
    hec.control(restart=True)
    outputs.put(d, b"2\n")
    assert settled(d, 3)["delivered"] == 3


def test_without_acknowledgement_where_that_is_wanted(daemon, collectors, tmp_path):
    hec = collectors(ack=False)
    d = daemon(stream(to(hec.url, tmp_path / "bucket", acknowledgment=False)))
    sent = lines(0, 100)
    outputs.put(d, *sent)
    assert settled(d, len(sent))["delivered"] == len(sent)
    assert hec.count("ack") == 0 and indexed(hec) == once(sent)


def test_a_token_that_does_not_acknowledge_holds(daemon, collectors, tmp_path):
    hec = collectors(ack=False)
    d = daemon(stream(to(hec.url, tmp_path / "bucket")))
    sent = lines(0, 10)
    outputs.put(d, *sent)
    d.flush("s")
    problem = held(d, "Splunk.AcknowledgementsDisabled")
    assert "enable indexer acknowledgement" in problem
    # Asked again without leaving the events there once more.
    harness.wait_for(lambda: hec.count("ack") >= 1, "the token is looked at again")
    assert hec.count("raw") == 1
    hec.control(ack=True)
    assert settled(d, len(sent))["delivered"] == len(sent)
    assert not failures(tmp_path / "bucket")
    assert set(indexed(hec).values()) == {2}


# --------------------------------------------------------------------------------- restarts


@pytest.mark.parametrize("end", ["kill", "terminate"])
@pytest.mark.parametrize("trouble", ["busy", "withheld"])
def test_a_restart_amid_retries_loses_nothing(daemon, hec, tmp_path, trouble, end):
    if trouble == "busy":
        hec.control(script=[{"to": "raw", "times": 0, "code": 9}])
    else:
        hec.control(mode="withhold")
    d = daemon(stream(to(hec.url, tmp_path / "bucket")), shutdown_timeout="200ms")
    sent = lines(0, 200)
    for first in (0, 100):
        outputs.put(d, *sent[first : first + 100])
        d.flush("s")
    harness.wait_for(lambda: hec.count("raw") >= 2, "it is tried")
    if end == "kill":
        d.kill()
    else:
        assert d.terminate() == 0
    before = hec.count("raw")
    d.start()
    harness.wait_for(lambda: hec.count("raw") > before, "it is tried again")
    hec.control(script=[], mode="ok")
    times = lambda: d.metrics().ledger("s", NAME, KIND)[1]  # noqa: E731
    harness.wait_for(lambda: times()["delivered"] == 200, "all is delivered")
    if trouble == "busy":
        assert indexed(hec) == once(sent)
    else:
        assert set(indexed(hec)) == set(once(sent))
    assert not failures(tmp_path / "bucket")


# ----------------------------------------------------------------- what does not pass in time

BUSY, SERVER, FORMAT = "Splunk.IndexerBusy", "Splunk.ServerError", "Splunk.InvalidDataFormat"
NO_HEC, SLOW = "Splunk.InvalidHecResponseCharacter", "Splunk.ConnectionTimeout"
CLOSED = "Splunk.ConnectionClosed"
# Trouble that may pass by itself.
FAULTS = {
    "code-5": ({"code": 5}, FORMAT),
    "code-6": ({"code": 6}, FORMAT),
    "code-8": ({"code": 8}, SERVER),
    "code-9": ({"code": 9}, BUSY),
    "code-18": ({"code": 18}, BUSY),
    "code-19": ({"code": 19}, BUSY),
    "code-20": ({"code": 20}, BUSY),
    "code-23": ({"code": 23}, SERVER),
    "code-26": ({"code": 26}, BUSY),
    "code-27": ({"code": 27}, BUSY),
    "code-77": ({"code": 77, "status": 200}, NO_HEC),
    "patience": ({"code": 9, "headers": {"Retry-After": "3600"}}, BUSY),
    "status-201": ({"status": 201, "code": 0}, NO_HEC),
    "status-204": ({"status": 204, "body": ""}, NO_HEC),
    "status-400": ({"status": 400, "body": {"text": "what?"}}, SERVER),
    "status-408": ({"status": 408, "body": ""}, SLOW),
    "status-418": ({"status": 418, "body": "<html>"}, NO_HEC),
    "status-429": ({"status": 429, "body": ""}, BUSY),
    "status-500": ({"status": 500, "body": "<html>"}, SERVER),
    "status-502": ({"status": 502, "body": "<html>"}, SERVER),
    "status-503": ({"status": 503, "body": "<html>"}, BUSY),
    "status-504": ({"status": 504, "body": "<html>"}, SLOW),
    "text": ({"status": 200, "body": "OK"}, NO_HEC),
    "empty": ({"status": 200, "body": ""}, NO_HEC),
    "no-code": ({"status": 200, "body": {"text": "Success"}}, NO_HEC),
    "dropped": ({"end": "drop"}, CLOSED),
    "cut": ({"end": "cut", "code": 0}, CLOSED),
    "hangs": ({"end": "hang"}, SLOW),
    "dribbles": ({"end": "dribble"}, SLOW),
    "floods": ({"end": "flood"}, NO_HEC),
}
# Trouble that waits for somebody.
REFUSALS = {
    "code-1": ({"code": 1}, "Splunk.DisabledToken"),
    "code-2": ({"code": 2}, "Splunk.InvalidToken"),
    "code-3": ({"code": 3}, "Splunk.InvalidToken"),
    "code-4": ({"code": 4}, "Splunk.InvalidToken"),
    "code-7": ({"code": 7}, "Splunk.InvalidIndex"),
    "code-10": ({"code": 10}, "Splunk.InvalidEndpoint"),
    "code-11": ({"code": 11}, "Splunk.InvalidEndpoint"),
    "code-14": ({"code": 14}, "Splunk.DisabledAck"),
    "code-16": ({"code": 16}, "Splunk.InvalidToken"),
    "code-21": ({"code": 21}, "Splunk.InvalidToken"),
    "code-22": ({"code": 22}, "Splunk.DisabledToken"),
    "code-28": ({"code": 28}, "Splunk.InvalidEndpoint"),
    "no-ack-id": ({"code": 0}, "Splunk.AcknowledgementsDisabled"),
    "status-302": ({"status": 302, "headers": {"Location": "/_events"}}, "Splunk.InvalidEndpoint"),
    "status-401": ({"status": 401, "body": "<html>"}, "Splunk.InvalidToken"),
    "status-403": ({"status": 403, "body": "<html>"}, "Splunk.InvalidToken"),
    "status-404": ({"status": 404, "body": "<html>"}, "Splunk.URLNotFound"),
    "status-405": ({"status": 405, "body": "<html>"}, "Splunk.URLNotFound"),
    "status-415": ({"status": 415, "body": "<html>"}, "Splunk.InvalidDataFormat"),
}


def faulty(collectors, tmp_path, faults, **options):
    """A stream and a collector for each fault, so that none waits for another."""
    streams, made = {}, {}
    for name, (answer, _) in faults.items():
        made[name] = collectors()
        made[name].control(script=[{"to": "raw", "times": 0, **answer}])
        streams[name] = {"destinations": [to(made[name].url, tmp_path / name, **options)]}
    return streams, made


def test_what_is_no_success_fails_when_the_time_is_over(daemon, collectors, tmp_path):
    """A duration of 0 is one attempt."""
    faults = {**FAULTS, **REFUSALS}
    retry = {"duration": "0s", "on_denied": "backup"}
    streams, made = faulty(collectors, tmp_path, faults, retry=retry, timeout="2s")
    d = daemon(streams)
    for name in streams:
        outputs.put(d, b"one\n", b"two", stream=name)
        d.flush(name)
    seen = {}
    for name in streams:
        assert settled(d, 2, name)["failed"] == 2, name
        # As it was sent by whoever put it.
        seen[name] = codes(tmp_path / name)
    expected = {
        name: {b"one\n": (code, 1), b"two": (code, 1)} for name, (_, code) in faults.items()
    }
    assert seen == expected
    assert {name: one.count("raw") for name, one in made.items()} == dict.fromkeys(faults, 1)


def test_what_waits_for_somebody_holds_and_loses_nothing(daemon, collectors, tmp_path):
    streams, made = faulty(collectors, tmp_path, REFUSALS, retry={"duration": "0s"})
    d = daemon(streams, shutdown_timeout="200ms")
    for name in streams:
        outputs.put(d, b"one\n", stream=name)
        d.flush(name)
    for name, (_, code) in REFUSALS.items():
        held(d, code, name)
        labels = {"stream": name, "destination": NAME}
        assert d.metrics()["standpipe_held", labels] == 1
        made[name].control(script=[])
    for name in streams:
        assert settled(d, 1, name)["delivered"] == 1
        assert indexed(made[name]) == {"one": 1}
        assert not outputs.local_contents(tmp_path / name)


def test_a_collector_that_is_down_fails_its_records_in_the_end(daemon, collectors, tmp_path):
    away = collectors()
    away.close()
    d = daemon(stream(to(away.url, tmp_path / "bucket", retry={"duration": "2s"})))
    sent = lines(0, 10)
    outputs.put(d, *sent)
    assert settled(d, len(sent))["failed"] == len(sent)
    found = codes(tmp_path / "bucket")
    assert set(found) == set(sent)
    assert {code for code, _ in found.values()} == {"Splunk.InvalidEndpoint"}
    assert all(attempts >= 2 for _, attempts in found.values()), found


def test_what_is_not_acknowledged_fails_in_the_end(daemon, hec, tmp_path):
    options = {"acknowledgment_timeout": "1s", "retry": {"duration": "0s"}}
    d = daemon(stream(to(hec.url, tmp_path / "bucket", **options)))
    hec.control(mode="withhold")
    outputs.put(d, b"one\n")
    assert settled(d, 1)["failed"] == 1
    assert codes(tmp_path / "bucket") == {b"one\n": ("Splunk.AckTimeout", 1)}


def test_what_splunk_said_stands_in_the_error_output(daemon, hec, tmp_path):
    d = daemon(stream(to(hec.url, tmp_path / "bucket", retry={"duration": "0s"})))
    hec.control(answers=[{"code": 8, "text": "the disk of indexer 7 is full"}])
    outputs.put(d, b"one\n")
    settled(d, 1)
    (line,) = failures(tmp_path / "bucket").values()
    assert "500" in line["errorMessage"] and "the disk of indexer 7 is full" in line["errorMessage"]


# ---------------------------------------------------------------------------------- the token


def test_a_wrong_token_holds_until_its_file_is_mended(daemon, hec, tmp_path):
    file = tmp_path / "token"
    file.write_text(OTHER_TOKEN + "\n")
    options = {"retry": {"duration": "0s"}, "token": {"file": str(file)}}
    d = daemon(stream(to(hec.url, tmp_path / "bucket", **options)))
    sent = lines(0, 100)
    outputs.put(d, *sent[:50])
    d.flush("s")
    held(d, "Splunk.InvalidToken")
    outputs.put(d, *sent[50:])
    file.write_text(TOKEN + "\n")
    assert settled(d, len(sent))["delivered"] == len(sent)
    assert indexed(hec) == once(sent)
    assert not failures(tmp_path / "bucket")


def test_a_token_that_was_disabled_holds_until_it_is_enabled(daemon, hec, tmp_path):
    d = daemon(stream(to(hec.url, tmp_path / "bucket", retry={"duration": "0s"})))
    hec.control(token={TOKEN: "disabled"})
    outputs.put(d, b"one\n")
    d.flush("s")
    held(d, "Splunk.DisabledToken")
    hec.control(token={TOKEN: "enabled"})
    assert settled(d, 1)["delivered"] == 1


def test_a_token_that_is_disabled_while_an_acknowledgement_is_waited_for(daemon, hec, tmp_path):
    d = daemon(stream(to(hec.url, tmp_path / "bucket", retry={"duration": "0s"})))
    hec.control(mode="withhold")
    outputs.put(d, b"one\n")
    d.flush("s")
    harness.wait_for(lambda: hec.count("ack") >= 1, "it is asked for")
    hec.control(token={TOKEN: "disabled"})
    held(d, "Splunk.DisabledToken")
    hec.control(token={TOKEN: "enabled"}, mode="ok")
    assert settled(d, 1)["delivered"] == 1
    assert not failures(tmp_path / "bucket")


def test_a_wrong_token_fails_the_records_where_that_is_wanted(daemon, hec, tmp_path):
    retry = {"duration": "0s", "on_denied": "backup"}
    d = daemon(stream(to(hec.url, tmp_path / "bucket", retry=retry, token=OTHER_TOKEN)))
    outputs.put(d, b"one\n")
    settled(d, 1)
    assert codes(tmp_path / "bucket") == {b"one\n": ("Splunk.InvalidToken", 1)}


def test_a_token_file_that_is_missing_holds(daemon, hec, tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    options = {"retry": {"duration": "0s"}, "token": {"file": str(file)}}
    d = daemon(stream(to(hec.url, tmp_path / "bucket", **options)))
    file.unlink()
    outputs.put(d, b"one\n")
    d.flush("s")
    held(d, "Standpipe.KeyNotRead")
    file.write_text(TOKEN)
    assert settled(d, 1)["delivered"] == 1


def test_a_token_of_secrets_manager_is_asked_for_again_when_it_is_refused(
    daemon, hec, moto, tmp_path
):
    secrets = boto3.client(
        "secretsmanager",
        endpoint_url=moto.url,
        region_name=harness.REGION,
        aws_access_key_id=harness.ACCESS_KEY,
        aws_secret_access_key=harness.SECRET_KEY,
    )
    secret = lambda token: json.dumps({"hec_token": token})  # noqa: E731
    arn = secrets.create_secret(Name="splunk", SecretString=secret(TOKEN))["ARN"]
    managed = {"secret_arn": arn, "endpoint": moto.url}
    one = to(hec.url, tmp_path / "bucket", token=None, secrets_manager=managed)
    d = daemon(stream(one), aws=harness.outgoing())
    outputs.put(d, b"one\n")
    assert settled(d, 1)["delivered"] == 1
    # Rotated: the old one is refused, and the new one is found.
    hec.control(token={TOKEN: None, OTHER_TOKEN: "enabled"})
    secrets.put_secret_value(SecretId=arn, SecretString=secret(OTHER_TOKEN))
    outputs.put(d, b"two\n")
    assert settled(d, 2)["delivered"] == 2
    assert indexed(hec) == {"one": 1, "two": 1}


def test_a_token_is_written_nowhere(daemon, hec, tmp_path):
    """Not in the log at its finest, in the pages, in what the API tells or in failed records."""
    one = to(hec.url, tmp_path / "bucket", retry={"duration": "0s"})
    refused = to(hec.url, tmp_path / "held", token=OTHER_TOKEN)
    streams = {"s": {"destinations": [one]}, "held": {"destinations": [refused]}}
    d = daemon(streams, flags=("--log-level", "trace"))
    outputs.put(d, b"one\n", stream="held")
    d.flush("held")
    held(d, "Splunk.InvalidToken", "held")
    hec.control(answers=[{"to": "raw", "code": 8}])
    outputs.put(d, b"one\n")
    assert settled(d, 1)["failed"] == 1
    outputs.put(d, b"two\n")
    assert settled(d, 2)["delivered"] == 1
    told = [path.read_text() for path in harness.files(tmp_path / "bucket").values()]
    told += [d.get(page)[1] for page in ("/health/ready", "/health/live", "/metrics", "/")]
    for name in streams:
        answer = d.firehose().describe_delivery_stream(DeliveryStreamName=name)
        told.append(json.dumps(answer, default=str))
    told += [d.command("validate", str(d.config_path)), d.log()]
    assert "two" not in told[-1], "nor is what was delivered in the log"
    for text in told:
        assert_no_token(text)


# ------------------------------------------------------------------- too large, and poisonous


def test_requests_that_are_too_large_are_halved(daemon, collectors, tmp_path):
    """Splunk Cloud says of what is too large for it that its first event is invalid."""
    hec = collectors(content_bytes_max=5 * 1024 * 1024)
    size = {"size": "5MiB", "interval": "900s"}
    d = daemon(stream(to(hec.url, tmp_path / "bucket", buffering=size)))
    # With an end of line each they are more than that.
    sent = [b"%06d" % number + b"x" * 94 for number in range(54_000)]
    outputs.put(d, *sent)
    assert settled(d, len(sent))["delivered"] == len(sent)
    assert indexed(hec) == once(sent)
    assert 6 in {request["code"] for request in hec.requests()}


def test_a_record_that_is_too_large_alone_fails_alone(daemon, hec, tmp_path):
    d = daemon(stream(to(hec.url, tmp_path / "bucket")))
    hec.control(script=[{"to": "raw", "status": 413, "body": ""}] * 3)
    # The whole, its first half, and of that the first.
    sent = lines(0, 4)
    outputs.put(d, *sent)
    became = settled(d, 4)
    assert (became["delivered"], became["failed"]) == (3, 1)
    found = codes(tmp_path / "bucket")
    assert found == {sent[0]: ("Splunk.ServerError.ContentTooLarge", 1)}
    assert indexed(hec) == once(sent[1:])


# What the collector refuses, and what it would lose without a word.
UNFIT = {
    "fields": envelope("x", fields={"a": {"b": 1}}),
    "time": envelope("x", time="soon"),
    "index": envelope("x", index="elsewhere"),
    "no-event": b'{"fields":{"a":"b"}}',
    "blank": b'{"event":""}',
    "unknown-key": envelope("x", level=3),
    "no-json": b"plain text",
    "no-object": b"[1]",
    "second": envelope("sound") + envelope("x", fields={"a": {"b": 1}}),
}


def test_one_bad_envelope_among_many_fails_alone(daemon, collectors, tmp_path):
    streams, made = {}, {}
    for name in UNFIT:
        made[name] = collectors()
        one = to(made[name].url, tmp_path / name, endpoint_type="event")
        streams[name] = {"destinations": [one]}
    d = daemon(streams)
    for name, unfit in UNFIT.items():
        sent = [envelope(f"event {number}") for number in range(500)]
        sent[371] = unfit
        outputs.put(d, *sent, stream=name)
        d.flush(name)
    for name, unfit in UNFIT.items():
        became = settled(d, 500, name)
        assert (became["delivered"], became["failed"]) == (499, 1), name
        code = "Splunk.InvalidIndex" if name == "index" else FORMAT
        assert codes(tmp_path / name) == {unfit: (code, 1)}, name
        seen = indexed(made[name])
        # The part of the bad record that was sound.
        seen.pop("sound", None)
        assert seen == {f"event {number}": 1 for number in range(500) if number != 371}, name
        assert made[name].count("event") <= 2, name


def test_events_before_a_bad_one_are_not_settled_without_acknowledgement(daemon, hec, tmp_path):
    options = {"endpoint_type": "event", "acknowledgment_timeout": "1s"}
    d = daemon(stream(to(hec.url, tmp_path / "bucket", **options)))
    hec.control(mode="withhold")
    outputs.put(d, envelope("before"), UNFIT["fields"], envelope("after"))
    d.flush("s")
    harness.wait_for(lambda: hec.count("event") >= 2, "it is sent again")
    hec.control(mode="ok")
    became = settled(d, 3)
    assert (became["delivered"], became["failed"]) == (2, 1)
    assert set(indexed(hec)) == {"before", "after"}
    assert set(codes(tmp_path / "bucket")) == {UNFIT["fields"]}


# -------------------------------------------------------------------------------- the backup


def test_all_source_records_are_kept_where_that_is_wanted(daemon, hec, tmp_path):
    one = to(hec.url, tmp_path / "bucket", s3_backup_mode="all", retry={"duration": "0s"})
    one["splunk"]["backup"]["prefix"] = "source/"
    d = daemon(stream({**one, "transforms": [{"append_delimiter": "!\n"}]}))
    hec.control(answers=[{"to": "raw", "code": 8}])
    outputs.put(d, b"one", b"two")
    assert settled(d, 2)["failed"] == 2

    def kept():
        d.flush("s")
        contents = outputs.local_contents(tmp_path / "bucket")
        return {key: data for key, data in contents.items() if key.startswith("source/")}

    harness.wait_for(lambda: len(b"".join(kept().values())) >= 6, "the source is kept")
    outputs.put(d, b"three")
    settled(d, 3)
    harness.wait_for(lambda: len(b"".join(kept().values())) >= 11, "all of the source is kept")
    found = kept()
    # As they came: the delimiter is the destination's.
    assert sorted(found.values()) == [b"onetwo", b"three"]
    assert indexed(hec) == {"three!": 1}
    errors = [key for key in outputs.local_contents(tmp_path / "bucket") if key not in found]
    assert errors and all(key.startswith("errors/splunk-failed/") for key in errors)


def test_a_backup_that_fails_too_halts_and_loses_nothing(daemon, hec, s3_server, tmp_path):
    """The bucket is not there: the journal keeps what Splunk does not take."""
    one = to(hec.url, tmp_path / "bucket", retry={"duration": "0s"})
    one["splunk"]["backup"] = {
        **backup(tmp_path),
        "bucket": "errors",
        "endpoint": s3_server.url,
        "path_style": True,
    }
    d = daemon(stream(one), aws=harness.outgoing(), shutdown_timeout="200ms")
    hec.control(script=[{"to": "raw", "times": 0, "code": 8}])
    outputs.put(d, b"one\n", b"two\n")

    def halted():
        d.flush("s")
        health = json.loads(d.get("/health/ready")[1])
        return next((text for text in health["problems"] if "held" in text), None)

    problem = harness.wait_for(halted, "the error output is held", pause=0.1)
    assert "splunk (error output) held: " in problem and "bucket does not exist" in problem
    came, became = d.metrics().ledger("s", NAME, KIND)
    assert (came, became["backlog"], became["failed"]) == (2, 2, 0)
    assert d.metrics()["standpipe_held", LABELS] == 1
    # What Splunk takes meanwhile is delivered.
    hec.control(script=[])
    outputs.put(d, b"three\n")
    harness.wait_for(lambda: d.flush("s") or indexed(hec)["three"], "the next is delivered")
    # And a restart keeps what neither takes.
    d.kill()
    hec.control(script=[{"to": "raw", "times": 0, "code": 8}])
    d.start()
    harness.wait_for(halted, "the error output is held again", pause=0.1)
    s3_server.client().create_bucket(Bucket="errors")

    def kept():
        d.flush("s")
        text = b"".join(answer["Body"] for answer in s3_server.objects("errors").values())
        return [base64.b64decode(json.loads(line)["rawData"]) for line in text.splitlines()]

    harness.wait_for(lambda: {b"one\n", b"two\n"} <= set(kept()), "they are kept", pause=0.2)
    # Splunk counts as ill until it takes something.
    hec.control(script=[])
    outputs.put(d, b"four\n")
    harness.wait_for(lambda: d.flush("s") or indexed(hec)["four"], "the last is delivered")
    harness.wait_for(lambda: not json.loads(d.get("/health/ready")[1])["problems"], "all is well")
    assert d.metrics().ledger("s", NAME, KIND)[1]["backlog"] == 0


# --------------------------------------------------------------------------------------- TLS


def test_a_certificate_of_an_authority_of_our_own(
    daemon, collectors, certificates, tmp_path
):
    hec = collectors(**with_tls(certificates, "server"))
    d = daemon(stream(to(hec.url, tmp_path / "b", tls={"ca_file": str(certificates / "ca.crt")})))
    sent = lines(0, 100)
    outputs.put(d, *sent)
    settled(d, len(sent))
    assert indexed(hec) == once(sent)


def test_a_collector_without_tls_is_told(daemon, hec, tmp_path):
    options = {"retry": {"duration": "0s"}, "plain_http": False}
    url = hec.url.replace("http:", "https:")
    d = daemon(stream(to(url, tmp_path / "bucket", **options)))
    outputs.put(d, b"one\n")
    assert settled(d, 1)["failed"] == 1
    assert codes(tmp_path / "bucket") == {b"one\n": ("Splunk.SSLHandshake", 1)}
    assert hec.requests() == []


# ------------------------------------------------------------------------------------- trials


def check(daemon, *arguments):
    """Exit code and trials of `standpipe check --json`."""
    done = subprocess.run(
        [harness.BINARY, "check", daemon.config_path, "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=daemon.folder,
    )
    assert done.returncode in (0, 1), done.stderr
    assert_no_token(done.stdout + done.stderr)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_trial_tells_what_is_wrong(
    daemon, collectors, collector, certificates, tmp_path
):
    hec, silent, ill = collectors(), collectors(ack=False), collectors()
    stranger = collectors(**with_tls(certificates, "stranger"))
    disabled = collectors()
    disabled.control(token={TOKEN: "disabled"})
    ill.control(health=18)
    away = f"http://127.0.0.1:{harness.free_port()}"
    # The only one that is asked for a path that it does not have.
    elsewhere = splunk_hec.Hec(TOKEN, ack=True)
    bucket = tmp_path / "bucket"
    tls = {"ca_file": str(certificates / "ca.crt")}
    wrong = {
        "token": (to(hec.url, bucket, token=OTHER_TOKEN), "Splunk.InvalidToken"),
        "disabled": (to(disabled.url, bucket), "Splunk.DisabledToken"),
        "silent": (to(silent.url, bucket), "Splunk.DisabledAck"),
        "ill": (to(ill.url, bucket), "Splunk.IndexerBusy"),
        "path": (to(f"{elsewhere.url}/nowhere", bucket), "Splunk.URLNotFound"),
        "stranger": (to(stranger.url, bucket, tls=tls), "SSLHandshakeCertificatePathFailure"),
        "away": (to(away, bucket), "Standpipe.ConnectionFailed"),
        "name": (to("http://nowhere.invalid", bucket), "Standpipe.NameNotFound"),
        "folder.backup": (to(hec.url, tmp_path / "no/bucket"), "File.NoSuchFolder"),
    }
    well = [
        to(hec.url, bucket, name="well"),
        to(hec.url, bucket, name="event", endpoint_type="event"),
        to(silent.url, bucket, name="word", acknowledgment=False),
        to(collector.hec_url, bucket, name="others", token=otel.TOKEN),
    ]
    named = [{**one, "name": name.split(".")[0]} for name, (one, _) in wrong.items()]
    d = daemon({"well": {"destinations": well}, "wrong": {"destinations": named}}, start=False)
    d.write_config()
    code, trials = check(d, "well")
    assert code == 0 and all(trial["ok"] for trial in trials), trials
    code, trials = check(d)
    elsewhere.close()
    assert code == 1
    found = {t["destination"]: t["code"] for t in trials if not t["ok"]}
    assert found == {name: code for name, (_, code) in wrong.items()}
    # A trial leaves no event behind, and no object.
    assert hec.events() == [] and hec.count("raw") == hec.count("event") == 0
    assert not outputs.local_contents(bucket)


# --------------------------------------------------------------------------------- by the API


def by_api(url, **more):
    bucket = {"BucketARN": "arn:aws:s3:::errors", "RoleARN": harness.ROLE}
    return {
        "HECEndpoint": url,
        "HECEndpointType": "Raw",
        "HECToken": TOKEN,
        "HECAcknowledgmentTimeoutInSeconds": 300,
        "RetryOptions": {"DurationInSeconds": 60},
        "BufferingHints": {"IntervalInSeconds": 0, "SizeInMBs": 1},
        "S3Configuration": {**bucket, "ErrorOutputPrefix": outputs.ERRORS},
        **more,
    }


def described(client, name="api"):
    answer = client.describe_delivery_stream(DeliveryStreamName=name)
    return answer["DeliveryStreamDescription"]


def test_a_stream_by_the_api(
    daemon, collectors, certificates, s3_server, tmp_path
):
    hec = collectors(**with_tls(certificates, "server"))
    s3_server.client().create_bucket(Bucket="errors")
    aws = {**harness.outgoing(), "endpoint": s3_server.url}
    # Streams of the API know the authorities of the machine.
    d = daemon({}, aws=aws, env={"SSL_CERT_FILE": str(certificates / "ca.crt")})
    client = d.firehose()
    client.create_delivery_stream(
        DeliveryStreamName="api", SplunkDestinationConfiguration=by_api(hec.url)
    )
    is_active = lambda: described(client)["DeliveryStreamStatus"] == "ACTIVE"  # noqa: E731
    harness.wait_for(is_active, "it is active")
    told = described(client)
    (destination,) = told["Destinations"]
    splunk = destination["SplunkDestinationDescription"]
    assert "HECToken" not in splunk
    assert_no_token(json.dumps(told, default=str))
    expected = by_api(hec.url)
    for member in expected.keys() - {"HECToken", "S3Configuration"}:
        assert splunk[member] == expected[member], member
    assert splunk["S3BackupMode"] == "FailedEventsOnly"
    assert splunk["S3DestinationDescription"]["BucketARN"] == "arn:aws:s3:::errors"
    outputs.put(d, b"one\n", stream="api")
    assert settled(d, 1, "api")["delivered"] == 1
    # To another endpoint of the same collector, with the same token.
    update = {"HECEndpointType": "Event", "RetryOptions": {"DurationInSeconds": 0}}
    client.update_destination(
        DeliveryStreamName="api",
        CurrentDeliveryStreamVersionId=told["VersionId"],
        DestinationId=destination["DestinationId"],
        SplunkDestinationUpdate=update,
    )
    told = described(client)
    splunk = told["Destinations"][0]["SplunkDestinationDescription"]
    assert {member: splunk[member] for member in update} == update
    outputs.put(d, envelope("two"), stream="api")
    assert settled(d, 2, "api")["delivered"] == 2
    hec.control(script=[{"to": "event", "code": 8}])
    outputs.put(d, envelope("three"), stream="api")

    def kept():
        d.flush("api")
        return b"".join(answer["Body"] for answer in s3_server.objects("errors").values())

    line = json.loads(harness.wait_for(kept, "it is kept", pause=0.1))
    assert (line["errorCode"], line["attemptsMade"]) == (SERVER, 1)
    assert base64.b64decode(line["rawData"]) == envelope("three")
    # It is all there after a restart, the token too.
    d.kill()
    d.start()
    outputs.put(d, envelope("four"), stream="api")
    harness.wait_for(lambda: indexed(hec)["four"], "it is delivered")
    assert indexed(hec) == {"one": 1, "two": 1, "four": 1}


REFUSED_BY_THE_API = [
    {"HECEndpoint": "http://127.0.0.1:8088"},
    {"HECEndpoint": "127.0.0.1"},
    {"HECEndpointType": "Row"},
    {"HECToken": None},
    {"HECAcknowledgmentTimeoutInSeconds": 179},
    {"HECAcknowledgmentTimeoutInSeconds": 601},
    {"RetryOptions": {"DurationInSeconds": 7201}},
    {"BufferingHints": {"IntervalInSeconds": 61, "SizeInMBs": 1}},
    {"BufferingHints": {"IntervalInSeconds": 0, "SizeInMBs": 6}},
    {"S3BackupMode": "AllData"},
    {"S3Configuration": None},
]


def test_the_api_refuses_what_the_service_refuses(daemon):
    # What botocore itself would refuse has to reach the daemon.
    unchecked = botocore.config.Config(parameter_validation=False)
    client = daemon({}).firehose(config=harness.no_retries().merge(unchecked))
    for wrong in REFUSED_BY_THE_API:
        configuration = {**by_api("https://127.0.0.1:8088"), **wrong}
        given = {name: value for name, value in configuration.items() if value is not None}
        with pytest.raises(botocore.exceptions.ClientError) as error:
            client.create_delivery_stream(
                DeliveryStreamName="api", SplunkDestinationConfiguration=given
            )
        code = error.value.response["Error"]["Code"]
        assert code in {"ValidationException", "InvalidArgumentException"}, wrong
        assert_no_token(str(error.value))
    assert client.list_delivery_streams()["DeliveryStreamNames"] == []
