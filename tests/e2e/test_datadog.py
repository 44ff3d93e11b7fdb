"""Datadog's logs intake: what its logs look like, and what becomes of records that it does not
take. The intake is strict: what Datadog would cut off or refuse is a mistake."""

import base64
import collections
import contextlib
import json
import subprocess

import pytest

import datadog_intake
import harness
import outputs
from certificates import with_tls

KIND = "delivery_to_datadog"
NAME = "datadog"
KEY = "0123456789abcdef0123456789abcdef"
OF_BOTH = {"stream": "s", "destination": NAME}
MEMBERS = [
    "attemptsMade",
    "arrivalTimestamp",
    "errorCode",
    "errorMessage",
    "attemptEndingTimestamp",
    "rawData",
]


@pytest.fixture
def intakes():
    """Makes intakes; in the end none may have found a mistake."""
    with contextlib.ExitStack() as all_of_them:
        made = []

        def make(**options):
            one = datadog_intake.DatadogIntake(**{"api_key": KEY, **options})
            all_of_them.callback(one.close)
            made.append(one)
            return one

        yield make
    assert [mistake for one in made for mistake in one.mistakes] == []


@pytest.fixture
def intake(intakes):
    return intakes()


def to(url, folder, *, name=None, **options):
    """A destination whose requests go when they are told to, or at 1 MiB."""
    settings = {
        "endpoint": f"{url}/api/v2/logs",
        "api_key": KEY,
        "plain_http": url.startswith("http:"),
        "buffering": {"size": "1MiB", "interval": "900s"},
        "retry": {"duration": "60s"},
        "backup": backup(folder),
        **options,
    }
    return {**({"name": name} if name else {}), NAME: settings}


def backup(folder):
    return {
        "bucket": folder.resolve().as_uri(),
        "error_output_prefix": outputs.ERRORS,
        "buffering": {"size": "5MiB", "interval": "900s"},
    }


def stream(*destinations):
    return {"s": {"destinations": list(destinations)}}


def settled(daemon, count, name="s", destination=NAME):
    return outputs.settled(daemon, name, count, destination, KIND)


def failures(contents):
    """Raw data → line of every failed record."""
    found = {}
    for key, data in contents.items():
        assert key.startswith("errors/http-endpoint-failed/"), key
        for text in data.splitlines():
            line = json.loads(text)
            assert list(line)[: len(MEMBERS)] == MEMBERS, list(line)
            assert line["arrivalTimestamp"] <= line["attemptEndingTimestamp"], line
            raw = base64.b64decode(line["rawData"], validate=True)
            assert raw not in found, "a record failed twice"
            found[raw] = line
    return found


def failed(folder):
    return failures(outputs.local_contents(folder))


def codes(folder):
    return {raw: (line["errorCode"], line["attemptsMade"]) for raw, line in failed(folder).items()}


def numbered(first, count):
    return [b'{"n":%d}' % number for number in range(first, first + count)]


def numbers(intake):
    """How often each number was taken."""
    with intake.lock:
        return collections.Counter(log["n"] for log in intake.logs)


def once(first, count):
    return collections.Counter(range(first, first + count))


# ------------------------------------------------------------------------- all is well


@pytest.mark.parametrize("gzip", [True, False])
def test_objects_are_logs_and_all_else_is_a_message(daemon, intakes, tmp_path, gzip):
    intake = intakes(gzip=gzip)
    own = {
        "message": "Zürich 日本",
        "service": "own",
        "ddsource": "own",
        "hostname": "own",
        "ddtags": "a:b",
        "nested": {"service": [1, None]},
    }
    sent = {
        json.dumps(own).encode(): {**own, "ddtags": "a:b,env:test,team:one"},
        json.dumps({"n": 1}, indent=2).encode() + b"\n": {"n": 1},
        b"a line\n": {"message": "a line"},
        b"two\nlines\r\n": {"message": "two\nlines"},
        b'[{"n":1}]': {"message": '[{"n":1}]'},
        b'{"n":1}{"n":2}': {"message": '{"n":1}{"n":2}'},
        b"\xff\x00": {"message": "\ufffd\x00"},
        b"": {"message": ""},
    }
    added = {
        "service": "shop",
        "ddsource": "nginx",
        "hostname": "host-7",
        "ddtags": "env:test,team:one",
    }
    options = {
        "gzip": gzip,
        "service": "shop",
        "source": "nginx",
        "hostname": "host-7",
        "tags": ["env:test", "team:one"],
    }
    d = daemon(stream(to(intake.url, tmp_path / "bucket", **options)))
    outputs.put(d, *sent)
    assert settled(d, len(sent))["delivered"] == len(sent)
    assert intake.logs == [{**added, **expected} for expected in sent.values()]
    assert not outputs.local_contents(tmp_path / "bucket")


def test_many_logs_keep_to_the_limits_of_a_request(daemon, intake, tmp_path):
    d = daemon(stream(to(intake.url, tmp_path / "bucket")))
    sent = numbered(0, 5_500)
    outputs.put(d, *sent)
    assert settled(d, len(sent))["delivered"] == len(sent)
    assert numbers(intake) == once(0, 5_500)
    # A thousand in a request, and not many fewer.
    assert intake.count() <= 20


def test_logs_that_are_too_large_fail_alone(daemon, intake, tmp_path):
    size = {"size": "4MiB", "interval": "900s"}
    d = daemon(stream(to(intake.url, tmp_path / "bucket", buffering=size)))
    filler = b"x" * 900_000
    sent = [b'{"n":%d,"filler":"%s"}' % (number, filler) for number in range(12)]
    # Each escape is six bytes of JSON for one of the record.
    sent[5] = b"\x01" * 300_000
    sent[7] = b"m" * 1_000_000
    for first in range(0, 12, 4):
        outputs.put(d, *sent[first : first + 4])
    became = settled(d, len(sent))
    assert (became["delivered"], became["failed"]) == (10, 2)
    assert numbers(intake) == once(0, 12) - collections.Counter([5, 7])
    expected = ("Datadog.LogTooLarge", 1)
    assert codes(tmp_path / "bucket") == {sent[5]: expected, sent[7]: expected}


def test_with_zero_buffering_records_come_by_themselves(daemon, intake, tmp_path):
    zero = {"size": "1MiB", "interval": "0s"}
    d = daemon(stream(to(intake.url, tmp_path / "bucket", buffering=zero)))
    client = d.firehose()
    for record in numbered(0, 50):
        client.put_record(DeliveryStreamName="s", Record={"Data": record})
    harness.wait_for(lambda: len(intake.logs) >= 50, "all is there, and nobody flushed")
    assert numbers(intake) == once(0, 50)


def test_all_source_records_are_kept_where_that_is_wanted(daemon, intake, tmp_path):
    one = to(intake.url, tmp_path / "bucket", s3_backup_mode="all", retry={"duration": "0s"})
    one[NAME]["backup"].update(prefix="source/", append_delimiter="\n")
    d = daemon(stream(one))
    intake.script({"status": 500})
    sent = numbered(0, 20)
    outputs.put(d, *sent[:10])
    assert settled(d, 10)["failed"] == 10
    outputs.put(d, *sent[10:])
    settled(d, 20)

    def kept():
        d.flush("s")
        contents = outputs.local_contents(tmp_path / "bucket")
        found = {key: data for key, data in contents.items() if key.startswith("source/")}
        return b"".join(found.values()).splitlines()

    harness.wait_for(lambda: len(kept()) >= 20, "the source is kept")
    assert sorted(kept()) == sorted(sent)
    assert numbers(intake) == once(10, 10)


# ---------------------------------------------------------------------- trouble that passes


def test_an_intake_that_was_away_gets_everything(daemon, intakes, tmp_path):
    away = intakes()
    away.close()
    d = daemon(stream(to(away.url, tmp_path / "bucket")), shutdown_timeout="200ms")
    outputs.put(d, *numbered(0, 100))
    d.flush("s")
    attempts = lambda: d.metrics()[f"standpipe_{KIND}_attempts_total", OF_BOTH]  # noqa: E731
    harness.wait_for(lambda: attempts() >= 1, "it is tried")
    outputs.put(d, *numbered(100, 100))
    d.kill()
    d.start()
    back = intakes(port=away.port)
    assert settled(d, 200)["delivered"] == 200
    assert numbers(back) == once(0, 200)
    assert not outputs.local_contents(tmp_path / "bucket")


def test_an_intake_that_flaps_gets_everything_once(daemon, intake, tmp_path):
    d = daemon(stream(to(intake.url, tmp_path / "bucket")))
    intake.script({"status": 503}, {}, {"end": "drop", "take": False}, {}, {"status": 408})
    for first in range(0, 400, 100):
        outputs.put(d, *numbered(first, 100))
        d.flush("s")
    assert settled(d, 400)["delivered"] == 400
    assert numbers(intake) == once(0, 400)


def test_a_wait_that_is_asked_for_is_kept(daemon, intake, tmp_path):
    d = daemon(stream(to(intake.url, tmp_path / "bucket")))
    intake.script({"status": 429, "headers": {"X-RateLimit-Reset": "2"}})
    outputs.put(d, *numbered(0, 10))
    assert settled(d, 10)["delivered"] == 10
    first, second = intake.seen()
    assert second.at - first.at >= 2
    assert numbers(intake) == once(0, 10)


def test_a_slow_answer_is_waited_for(daemon, intake, tmp_path):
    d = daemon(stream(to(intake.url, tmp_path / "bucket")))
    intake.script({"delay": 1})
    outputs.put(d, b"one")
    settled(d, 1)
    assert intake.messages() == ["one"]


def test_an_answer_that_was_lost_loses_no_log(daemon, intake, tmp_path):
    """The intake knows no request again: what was taken without a word is there twice."""
    d = daemon(stream(to(intake.url, tmp_path / "bucket")))
    intake.script({"end": "drop", "take": True})
    outputs.put(d, *numbered(0, 10))
    assert settled(d, 10)["delivered"] == 10
    assert numbers(intake) == once(0, 10) + once(0, 10)
    first, second = intake.seen()
    assert first.body == second.body


def test_a_dead_intake_does_not_hold_back_another(daemon, intakes, tmp_path):
    dead, well = intakes(), intakes()
    dead.script({"times": 0, "end": "hang"})
    destinations = [
        to(dead.url, tmp_path / "dead", name="dead"),
        to(well.url, tmp_path / "well", name="well"),
    ]
    d = daemon(stream(*destinations), shutdown_timeout="200ms")
    outputs.put(d, *numbered(0, 100))
    assert settled(d, 100, destination="well")["delivered"] == 100
    assert numbers(well) == once(0, 100)


# ----------------------------------------------------------------- what does not pass in time

LOST = "Datadog.ConnectionFailed"
FAULTS = {
    "408": ({"status": 408}, "Datadog.RequestTimeout"),
    "429": ({"status": 429}, "Datadog.TooManyRequests"),
    "500": ({"status": 500}, "Datadog.ServerError"),
    "502": ({"status": 502, "body": "<html>"}, "Datadog.ServerError"),
    "503": ({"status": 503, "headers": {"Retry-After": "3600"}}, "Datadog.ServerError"),
    "dropped": ({"end": "drop"}, LOST),
    "cut": ({"end": "cut"}, LOST),
    # More than an answer may be.
    "floods": ({"end": "flood"}, LOST),
    "dribbles": ({"end": "dribble"}, LOST),
    "hangs": ({"end": "hang"}, "Datadog.RequestTimeout"),
}
# What may be one log's fault is asked of each alone before it is believed.
OF_ONE = {
    "400": ({"status": 400}, "Datadog.InvalidPayload"),
    "413": ({"status": 413}, "Datadog.PayloadTooLarge"),
}


def test_what_is_no_success_fails_when_the_time_is_over(daemon, intakes, tmp_path):
    """One stream for each, so that none waits for another. A duration of 0 is one attempt."""
    faults = {**FAULTS, **OF_ONE}
    streams, made = {}, {}
    for name, (step, _) in faults.items():
        made[name] = intakes()
        made[name].script({"times": 0, **step})
        options = {"retry": {"duration": "0s"}, "timeout": "2s"}
        streams[name] = {"destinations": [to(made[name].url, tmp_path / name, **options)]}
    d = daemon(streams)
    for name in streams:
        outputs.put(d, b"one", b"two", stream=name)
        d.flush(name)
    seen = {}
    for name in streams:
        assert settled(d, 2, name)["failed"] == 2, name
        seen[name] = codes(tmp_path / name)
    assert seen == {
        name: {b"one": (code, 1), b"two": (code, 1)} for name, (_, code) in faults.items()
    }
    asked = {name: one.count() for name, one in made.items()}
    assert asked == {**dict.fromkeys(FAULTS, 1), **dict.fromkeys(OF_ONE, 3)}


@pytest.mark.parametrize("status", [202, 200, 204])
def test_any_success_is_one(daemon, intake, tmp_path, status):
    intake.script({"times": 0, "status": status, "body": None if status == 204 else {}})
    d = daemon(stream(to(intake.url, tmp_path / "bucket")))
    outputs.put(d, *numbered(0, 10))
    assert settled(d, 10)["delivered"] == 10
    assert numbers(intake) == once(0, 10)


def test_one_bad_log_among_many_fails_alone(daemon, intake, tmp_path):
    """A tag that the intake does not like spoils the whole request."""
    d = daemon(stream(to(intake.url, tmp_path / "bucket")))
    sent = numbered(0, 500)
    sent[371] = b'{"n":371,"ddtags":"a:b, c:d"}'
    outputs.put(d, *sent)
    became = settled(d, len(sent))
    assert (became["delivered"], became["failed"]) == (499, 1)
    assert numbers(intake) == once(0, 500) - collections.Counter([371])
    assert codes(tmp_path / "bucket") == {sent[371]: ("Datadog.InvalidPayload", 1)}
    # Halves of halves, and not each on its own.
    assert intake.count() < 40
    # What the intake found is what was sent to it.
    assert len(set(intake.mistakes)) == 1
    intake.mistakes.clear()


def test_requests_that_are_too_large_are_halved(daemon, intakes, tmp_path):
    intake = intakes(max_bytes=100_000)
    d = daemon(stream(to(intake.url, tmp_path / "bucket")))
    sent = [b'{"n":%d,"filler":"%s"}' % (number, b"x" * 9_000) for number in range(100)]
    sent[50] = b'{"n":50,"filler":"%s"}' % (b"x" * 200_000)
    outputs.put(d, *sent)
    became = settled(d, len(sent))
    assert (became["delivered"], became["failed"]) == (99, 1)
    assert numbers(intake) == once(0, 100) - collections.Counter([50])
    assert codes(tmp_path / "bucket") == {sent[50]: ("Datadog.PayloadTooLarge", 1)}


def test_nothing_is_lost_while_the_backup_fails_too(daemon, intake, s3_server, tmp_path):
    intake.script({"times": 0, "status": 500})
    missing = {
        "bucket": "bucket",
        "endpoint": s3_server.url,
        "path_style": True,
        "error_output_prefix": outputs.ERRORS,
    }
    one = to(intake.url, tmp_path / "bucket", backup=missing, retry={"duration": "0s"})
    d = daemon(stream(one), aws=harness.outgoing(), shutdown_timeout="200ms")
    sent = numbered(0, 10)
    outputs.put(d, *sent)

    def held():
        d.flush("s")
        return d.metrics()["standpipe_held", OF_BOTH]

    harness.wait_for(held, "it is held")
    s3_server.client().create_bucket(Bucket="bucket")
    assert settled(d, 10)["failed"] == 10
    found = {key: answer["Body"] for key, answer in s3_server.objects("bucket").items()}
    assert set(failures(found)) == set(sent)


# --------------------------------------------------------------------------- we are refused


def test_a_refused_key_holds_and_loses_nothing(daemon, intake, tmp_path):
    file = tmp_path / "key"
    file.write_text("another key\n")
    options = {"api_key": {"file": str(file)}, "retry": {"duration": "0s"}}
    d = daemon(
        stream(to(intake.url, tmp_path / "bucket", **options)),
        shutdown_timeout="200ms",
        env={"STANDPIPE_LOG": "trace"},
    )
    outputs.put(d, *numbered(0, 10))
    d.flush("s")
    harness.wait_for(lambda: intake.count() >= 2, "it is asked again")
    assert d.metrics()["standpipe_held", OF_BOTH] == 1
    assert "held" in d.get("/health/ready")[1] and "Datadog.InvalidApiKey" in d.log()
    outputs.put(d, *numbered(10, 10))
    # The file is read again.
    file.write_text(KEY + "\n")
    assert settled(d, 20)["delivered"] == 20
    assert numbers(intake) == once(0, 20)
    assert not failed(tmp_path / "bucket")
    assert "another key" not in d.log() and KEY not in d.log()


def test_a_refused_key_fails_the_records_where_that_is_wanted(daemon, intake, tmp_path):
    retry = {"duration": "0s", "on_denied": "backup"}
    d = daemon(stream(to(intake.url, tmp_path / "bucket", api_key="another key", retry=retry)))
    outputs.put(d, b"one")
    settled(d, 1)
    assert codes(tmp_path / "bucket") == {b"one": ("Datadog.InvalidApiKey", 1)}
    assert "another key" not in str(failed(tmp_path / "bucket")) + d.log()


def test_whatever_is_no_intake_holds(daemon, intake, tmp_path):
    intake.script({"times": 0, "status": 302, "headers": {"Location": "/_requests"}})
    d = daemon(stream(to(intake.url, tmp_path / "bucket")), shutdown_timeout="200ms")
    outputs.put(d, *numbered(0, 10))
    d.flush("s")
    held = lambda: d.metrics()["standpipe_held", OF_BOTH]  # noqa: E731
    harness.wait_for(held, "it is held")
    intake.script()
    assert settled(d, 10)["delivered"] == 10
    assert numbers(intake) == once(0, 10)


def test_nothing_is_sent_to_a_server_that_cannot_show_who_it_is(
    daemon,
    intakes,
    certificates,
    tmp_path,
):
    made = {
        name: intakes(**with_tls(certificates, name)) for name in ("stranger", "misnamed", "server")
    }
    tls = {"ca_file": str(certificates / "ca.crt")}
    streams = {}
    for name, one in made.items():
        options = {"tls": tls, "retry": {"duration": "0s"}}
        streams[name] = {"destinations": [to(one.url, tmp_path / name, **options)]}
    d = daemon(streams)
    for name in streams:
        outputs.put(d, b"one", stream=name)
        d.flush(name)
        if name == "server":
            assert settled(d, 1, name)["delivered"] == 1
            continue
        # It is a setting that is wrong, so nothing is given up.
        labels = {"stream": name, "destination": OF_BOTH["destination"]}
        harness.wait_for(lambda: d.metrics()["standpipe_held", labels] == 1, f"{name} is held")
        assert made[name].count() == 0
    assert not outputs.local_contents(tmp_path / "stranger")


# ------------------------------------------------------------------------------------- trials


def test_a_trial_tells_what_is_wrong(daemon, intakes, tmp_path):
    # To a trial an array without logs is sent, which the intake refuses.
    intake = intakes(gzip=False)
    (tmp_path / "bucket").mkdir()
    away = f"http://127.0.0.1:{harness.free_port()}"
    wrong = [
        to(intake.url, tmp_path / "bucket", name="key", api_key="another key"),
        to(away, tmp_path / "bucket", name="away"),
        to(intake.url, tmp_path / "no/bucket", name="folder"),
    ]
    d = daemon(
        {
            "well": {"destinations": [to(intake.url, tmp_path / "bucket", gzip=False)]},
            "wrong": {"destinations": wrong},
        },
        start=False,
    )
    d.write_config()

    def check(*arguments):
        done = subprocess.run(
            [harness.BINARY, "check", d.config_path, "--json", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=d.folder,
        )
        assert done.returncode in (0, 1), done.stderr
        assert KEY not in done.stdout + done.stderr and "another key" not in done.stdout
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    code, trials = check("well")
    assert code == 0 and all(trial["ok"] for trial in trials), trials
    assert {trial["destination"] for trial in trials} == {NAME, f"{NAME}.backup"}
    code, trials = check()
    assert code == 1
    assert {trial["destination"]: trial["code"] for trial in trials if not trial["ok"]} == {
        "key": "Datadog.InvalidApiKey",
        "away": "Datadog.ConnectionFailed",
        "folder.backup": "File.NoSuchFolder",
    }
    # A trial leaves no log.
    assert not intake.logs and not outputs.local_contents(tmp_path / "bucket")
    intake.mistakes.clear()
