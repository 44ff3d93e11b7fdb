"""HTTP endpoints: what they are sent, and how trouble passes. Every endpoint is strict: what
Firehose would not send is a mistake."""

import json
import subprocess

import pytest

import harness
import otel
import outputs
from http_deliveries import (
    KEY,
    KIND,
    NAME,
    REFUSED,
    codes,
    failures,
    lines,
    once,
    settled,
    stream,
    to,
)

# ------------------------------------------------------------------------- all is well


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_records_arrive_as_they_are(daemon, endpoints, tmp_path, encoding):
    attributes = {"environment": "test", "city": "Zürich", "empty": "", "日本": "x\ty"}
    endpoint = endpoints(access_key=KEY, attributes=attributes, content_encoding=encoding)
    one = to(
        endpoint.url,
        tmp_path / "bucket",
        common_attributes=attributes,
        content_encoding=encoding or "none",
    )
    d = daemon(stream(one))
    sent = [b"one", b"", bytes(range(256)), "日本\n".encode(), b"x" * 1_000_000, b'{"a":1}']
    outputs.put(d, *sent)
    became = settled(d, len(sent))
    assert became["delivered"] == len(sent)
    assert endpoint.records() == sent
    assert {r.details["source_arn"] for r in endpoint.seen()} == {
        "arn:aws:firehose:us-east-1:000000000000:deliverystream/s"
    }
    assert not outputs.local_contents(tmp_path / "bucket")


def test_many_records_keep_to_the_limits_of_a_request(daemon, endpoint, tmp_path):
    """The endpoint takes at most 10,000 records in a request, however small they are."""
    size = {"size": "4MiB", "interval": "900s"}
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket", buffering=size)))
    sent = lines(0, 25_000)
    outputs.put(d, *sent)
    settled(d, len(sent))
    assert endpoint.times() == once(sent)


def test_a_collector_by_others_takes_the_deliveries(daemon, collector, tmp_path):
    one = to(
        collector.firehose_url,
        tmp_path / "bucket",
        access_key=otel.ACCESS_KEY,
        content_encoding="gzip",
        common_attributes={"delivered_by": "standpipe"},
    )
    d = daemon(stream(one))
    messages = [f"message {number}" for number in range(1000)]
    outputs.put(d, *[otel.payload([one], "delivered") for one in messages])
    settled(d, len(messages))

    def arrived():
        found = collector.logs("firehose")
        return [one for one in found if one[1]["aws.cloudwatch.log_group_name"] == "delivered"]

    harness.wait_for(lambda: len(arrived()) >= len(messages), "all is written down")
    assert [body for body, _ in arrived()] == messages
    assert {resource["delivered_by"] for _, resource in arrived()} == {"standpipe"}


@pytest.mark.parametrize("body", ["ndjson", "json_array", "raw"])
def test_plain_bodies(daemon, endpoints, tmp_path, body):
    endpoint = endpoints(body=body)
    endpoint.script({"times": 0, "status": 204, "body": None})
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket", body=body, access_key=None)))
    values = [{"n": number, "text": "ü\n"} for number in range(100)]
    sent = [json.dumps(value).encode() for value in values]
    outputs.put(d, *sent)
    settled(d, len(sent))
    expected = {"ndjson": sent, "json_array": values, "raw": [b"".join(sent)]}
    assert endpoint.records() == expected[body]


# ---------------------------------------------------------------------- trouble that passes


def test_an_endpoint_that_was_away_gets_everything_in_order(daemon, endpoints, tmp_path):
    endpoint = endpoints(access_key=KEY)
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket")))
    endpoint.close()
    first, second = lines(0, 100), lines(100, 100)
    outputs.put(d, *first)
    d.flush("s")
    labels = {"stream": "s", "destination": NAME}
    attempts = lambda: d.metrics()[f"standpipe_{KIND}_attempts_total", labels]  # noqa: E731
    harness.wait_for(lambda: attempts() >= 1, "it is tried")
    outputs.put(d, *second)
    back = endpoints(access_key=KEY, port=endpoint.port)
    assert settled(d, 200)["delivered"] == 200
    assert back.times() == once(first + second)
    assert not outputs.local_contents(tmp_path / "bucket")


def test_trouble_is_retried_with_the_same_request(daemon, endpoint, tmp_path):
    """The same id with other records is a mistake to the endpoint."""
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket")))
    endpoint.script({"status": 503, "message": "busy"}, {"status": 404})
    sent = lines(0, 500)
    outputs.put(d, *sent)
    assert settled(d, len(sent))["delivered"] == len(sent)
    first, second, third = endpoint.seen()
    assert len({request.details["id"] for request in (first, second, third)}) == 1
    # The wait doubles, whatever the dice say.
    assert second.at - first.at >= 0.8 and third.at - second.at >= 1.6
    assert endpoint.times() == once(sent)


def test_a_flapping_endpoint_gets_everything(daemon, endpoint, tmp_path):
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket")))
    flaps = [{"status": 500}, {}, {"end": "drop", "take": False}, {}, {"status": 429}, {}, {}]
    endpoint.script(*flaps)
    sent = lines(0, 400)
    for first in range(0, 400, 100):
        outputs.put(d, *sent[first : first + 100])
        d.flush("s")
    assert settled(d, len(sent))["delivered"] == len(sent)
    assert endpoint.times() == once(sent)


def test_a_lost_answer_leads_to_the_same_request_again(daemon, endpoint, tmp_path):
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket")))
    endpoint.script({"end": "drop", "take": True})
    sent = lines(0, 50)
    outputs.put(d, *sent)
    assert settled(d, len(sent))["delivered"] == len(sent)
    # Whoever knows request ids takes it once.
    assert [len(endpoint.taken), len(set(endpoint.ids()))] == [2, 1]
    assert endpoint.taken[0] == endpoint.taken[1] == sent


def test_a_slow_endpoint_is_waited_for(daemon, endpoint, tmp_path):
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket")))
    endpoint.script({"delay": 2})
    outputs.put(d, b"one")
    settled(d, 1)
    assert endpoint.count() == 1


def test_a_restart_amid_retries_changes_no_request(daemon, endpoint, tmp_path):
    endpoint.script({"times": 0, "status": 500})
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket")), shutdown_timeout="200ms")
    sent = [lines(0, 100), lines(100, 100)]
    for count, records in enumerate(sent, 1):
        outputs.put(d, *records)
        d.flush("s")
        harness.wait_for(lambda n=count: len(set(endpoint.ids())) >= n, "it is tried")
    before = set(endpoint.ids())
    d.kill()
    d.start()
    seen = endpoint.count()
    harness.wait_for(lambda: endpoint.count() > seen, "it is tried again")
    endpoint.script()
    harness.wait_for(lambda: len(endpoint.records()) >= 200, "all is taken")
    assert set(endpoint.ids()) == before
    assert endpoint.times() == once(sent[0] + sent[1])
    assert not failures(tmp_path / "bucket")


def test_a_dead_endpoint_does_not_hold_back_another(daemon, endpoints, tmp_path):
    dead, well = endpoints(access_key=KEY), endpoints(access_key=KEY)
    dead.script({"times": 0, "end": "hang"})
    destinations = [
        to(dead.url, tmp_path / "dead", name="dead"),
        to(well.url, tmp_path / "well", name="well"),
    ]
    d = daemon(stream(*destinations), shutdown_timeout="200ms")
    sent = lines(0, 100)
    outputs.put(d, *sent)
    became = outputs.settled(d, "s", len(sent), "well", KIND)
    assert became["delivered"] == len(sent)
    assert well.times() == once(sent)


# ------------------------------------------------------------------- too large, and poisonous


def test_requests_that_are_too_large_are_halved(daemon, endpoints, tmp_path):
    endpoint = endpoints(access_key=KEY, max_bytes=100_000)
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket")))
    huge = b"h" * 200_000
    sent = [*lines(0, 300), huge, *lines(300, 300), *[bytes([65 + n]) * 30_000 for n in range(9)]]
    outputs.put(d, *sent[:500])
    outputs.put(d, *sent[500:])
    became = settled(d, len(sent))
    assert (became["delivered"], became["failed"]) == (len(sent) - 1, 1)
    assert endpoint.times() == once(record for record in sent if record != huge)
    assert [code for code, _ in codes(tmp_path / "bucket").values()] == [REFUSED]
    assert set(failures(tmp_path / "bucket")) == {huge}


def test_one_bad_record_among_many_fails_alone(daemon, endpoints, tmp_path):
    endpoint = endpoints(body="ndjson", poison=b"poison")
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket", body="ndjson", access_key=None)))
    sent = [b'{"n":%d}' % number for number in range(500)]
    sent[371] = b'{"n":"poison"}'
    outputs.put(d, *sent)
    became = settled(d, len(sent))
    assert (became["delivered"], became["failed"]) == (499, 1)
    assert endpoint.times() == once(record for record in sent if b"poison" not in record)
    assert set(failures(tmp_path / "bucket")) == {sent[371]}
    # Halves of halves, and not each on its own.
    assert endpoint.count() < 40


# -------------------------------------------------------------------------- all in the backup


def test_all_source_records_are_kept_where_that_is_wanted(daemon, endpoint, tmp_path):
    one = to(endpoint.url, tmp_path / "bucket", s3_backup_mode="all", retry={"duration": "0s"})
    one["http_endpoint"]["backup"]["prefix"] = "source/"
    d = daemon(stream({**one, "transforms": [{"append_delimiter": "\n"}]}))
    endpoint.script({"status": 500})
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
    assert endpoint.records() == [b"three\n"]
    errors = [key for key in outputs.local_contents(tmp_path / "bucket") if key not in found]
    assert errors and all(key.startswith("errors/http-endpoint-failed/") for key in errors)


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
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_trial_tells_what_is_wrong(daemon, endpoint, tmp_path):
    away = harness.free_port()
    d = daemon(
        {
            "well": {"destinations": [to(endpoint.url, tmp_path / "bucket")]},
            "wrong": {
                "destinations": [
                    to(endpoint.url, tmp_path / "bucket", name="key", access_key="wrong"),
                    to(f"http://127.0.0.1:{away}/", tmp_path / "bucket", name="away"),
                    to(endpoint.url, tmp_path / "no/bucket", name="folder"),
                ]
            },
        },
        start=False,
    )
    d.write_config()
    code, trials = check(d, "well")
    assert code == 0 and all(trial["ok"] for trial in trials), trials
    assert {trial["destination"] for trial in trials} == {NAME, f"{NAME}.backup"}
    code, trials = check(d)
    assert code == 1
    wrong = {t["destination"]: t["code"] for t in trials if not t["ok"]}
    assert wrong == {
        "key": REFUSED,
        "away": "Standpipe.ConnectionFailed",
        "folder.backup": "File.NoSuchFolder",
    }
    assert {trial["stream"] for trial in trials} == {"well", "wrong"}
    # A trial delivers nothing but an empty record.
    assert set(endpoint.records()) <= {b""}
    assert not outputs.local_contents(tmp_path / "bucket")
    text = d.command("check", str(d.config_path), "well")
    assert all(line.startswith("well/http_endpoint") for line in text.splitlines())
