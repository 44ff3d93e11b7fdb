"""Functions: what they are sent, what becomes of what they answer, and what while they don't."""

import base64
import collections
import json

import pytest

import harness
import lambda_api
import lambda_runtime
import outputs
from lambda_api import data_of, each, function_error, ok, refusal

ARN = "arn:aws:lambda:us-east-1:123456789012:function:transform:$LATEST"


@pytest.fixture
def api():
    double = lambda_api.LambdaApi(ARN, harness.ACCESS_KEY, harness.SECRET_KEY)
    yield double
    double.close()
    assert double.mistakes == []


@pytest.fixture
def started(daemon, api, tmp_path):
    """Starts a daemon whose stream `s` goes through the function into `folder`."""
    return lambda **options: daemon(
        {"s": stream(tmp_path / "bucket", **options)},
        aws={"lambda_endpoint": api.url, **harness.outgoing()},
    )


def stream(folder, destination=None, **options):
    function = {"buffer_interval": "0s", **options}
    if "url" not in function:
        function["function"] = ARN
    return {
        "destinations": [
            {
                **harness.local(folder, error_output_prefix=outputs.ERRORS, **(destination or {})),
                "transforms": [{"lambda": function}],
            }
        ]
    }


def failures(folder, extra=("lambdaARN",)):
    """Raw data → (code, attempts) of every failed record."""
    found = {}
    for output_type, raw, line in outputs.failures(outputs.local_contents(folder), extra):
        assert output_type == "processing-failed"
        assert line.get("lambdaARN", ARN) == ARN
        assert raw not in found, "a record failed twice"
        found[raw] = (line["errorCode"], line["attemptsMade"])
    return found


def content(folder):
    return outputs.written(folder)


def test_ok_dropped_and_failed(started, api, tmp_path):
    def verdict(record):
        if data_of(record) == b"drop":
            return {"recordId": record["recordId"], "result": "Dropped"}
        if data_of(record) == b"fail":
            return {**ok(record), "result": "ProcessingFailed"}
        return ok(record, data_of(record).upper() + b"\n")

    api.answer = each(verdict)
    d = started()
    outputs.put(d, b"one", b"drop", b"fail", b"", b"two")
    became = outputs.settled(d, "s", 5)
    assert (became["delivered"], became["dropped"], became["failed"]) == (3, 1, 1)
    assert content(tmp_path / "bucket") == b"ONE\n\nTWO\n"
    ((_, raw, line),) = outputs.failures(outputs.local_contents(tmp_path / "bucket"), ["lambdaARN"])
    assert raw == b"fail"
    assert line["errorCode"] == "Lambda.ProcessingFailedStatus"
    assert line["errorMessage"] == "ProcessingFailed status set for record"
    assert line["attemptsMade"] == 1
    assert line["lambdaARN"] == ARN
    assert collections.Counter(api.sent()) == collections.Counter(
        [b"one", b"drop", b"fail", b"", b"two"]
    )


def test_a_record_that_is_answered_wrongly_fails_alone(started, api, tmp_path):
    def wrong(record):
        unknown = {**ok(record), "recordId": "0" * 62}
        return {
            b"missing": [],
            b"twice": [ok(record), ok(record)],
            b"unknown": [unknown, ok(record, b"with an unknown one\n")],
            b"renamed": [unknown],
            b"no data": {"recordId": record["recordId"], "result": "Ok"},
            b"null data": {**ok(record), "data": None},
            b"not base64": {**ok(record), "data": "*"},
            b"odd result": {**ok(record), "result": "ok"},
            b"bad keys": {**ok(record), "metadata": {"partitionKeys": {"a": 1}}},
        }.get(data_of(record), ok(record))

    api.answer = each(wrong)
    d = started()
    sent = [b"good 1\n", b"missing", b"twice", b"unknown", b"renamed", b"no data", b"null data"]
    sent += [b"not base64", b"odd result", b"bad keys", b"good 2\n"]
    outputs.put(d, *sent)
    outputs.settled(d, "s", len(sent))
    assert content(tmp_path / "bucket") == b"good 1\nwith an unknown one\ngood 2\n"
    assert failures(tmp_path / "bucket") == {
        b"missing": ("Lambda.MissingRecordId", 1),
        b"twice": ("Lambda.DuplicatedRecordId", 1),
        b"renamed": ("Lambda.MissingRecordId", 1),
        b"no data": ("Lambda.InvalidReturnFormat", 1),
        b"null data": ("Lambda.InvalidReturnFormat", 1),
        b"not base64": ("Lambda.JsonMappingException", 1),
        b"odd result": ("Lambda.JsonProcessingException", 1),
        b"bad keys": ("Lambda.InvalidReturnFormat", 1),
    }
    # Asking again would not have mended it.
    assert sorted(api.sent()) == sorted(sent)


def test_an_answer_that_cannot_be_read_is_final(started, api, tmp_path):
    answers = {
        b"a": b"",
        b"b": b"not json",
        b"c": b"[]",
        b"d": b'{"records": null}',
        b"e": b'{"records": []} and more',
        b"f": b'{"records": [{"recordId"',
        b"g": b"null",
        b"h": b"{}",
    }
    api.answer = lambda event: lambda_api.Reply(200, answers[data_of(event["records"][0])])
    d = started(buffer_size=1)
    outputs.put(d, *answers)
    outputs.settled(d, "s", len(answers))
    expected = {record: ("Lambda.MissingRecordId", 1) for record in answers}
    assert failures(tmp_path / "bucket") == expected
    assert api.count() == len(answers)


def test_a_function_that_fails_is_tried_again(started, api, tmp_path):
    seen = collections.Counter()

    def answer(event):
        record = event["records"][0]
        data = data_of(record)
        seen[data] += 1
        if data == b"always" or seen[data] == 1:
            return function_error()
        return {"records": [ok(record)]}

    api.answer = answer
    d = started(buffer_size=1, number_of_retries=1)
    outputs.put(d, b"always", b"once")
    outputs.settled(d, "s", 2)
    assert failures(tmp_path / "bucket") == {b"always": ("Lambda.FunctionError", 2)}
    assert content(tmp_path / "bucket") == b"once"
    assert seen == {b"always": 2, b"once": 2}
    # A call that is tried again is the same call.
    by_record = collections.defaultdict(set)
    for event in api.calls:
        record = event["records"][0]
        by_record[data_of(record)].add((event["invocationId"], record["recordId"]))
    assert all(len(names) == 1 for names in by_record.values()), by_record


def test_a_function_that_runs_out_of_time_says_so(started, api, tmp_path):
    text = "2026-11-21T10:00:00Z 1 Task timed out after 3.00 seconds"
    api.answer = lambda _: function_error("Sandbox.Timedout", text)
    d = started(number_of_retries=0)
    outputs.put(d, b"slow")
    outputs.settled(d, "s", 1)
    assert failures(tmp_path / "bucket") == {b"slow": ("Lambda.FunctionTimedOut", 1)}


def test_events_and_answers_that_are_too_large_are_halved(started, api, tmp_path):
    """The double refuses events above 6 MiB and passes on no answers above them, as Lambda does."""

    def grown(record):
        data = data_of(record)
        return ok(record, data * (8 if data.startswith(b"huge") else 2))

    api.answer = each(grown)
    d = started(buffer_size="6MiB")
    sent = [letter * 899_999 + b"\n" for letter in (b"a", b"b", b"c", b"d", b"e", b"f", b"g")]
    huge = b"huge" * 200_000
    outputs.put(d, *sent[:4])
    outputs.put(d, *sent[4:], huge)
    outputs.settled(d, "s", 8)
    lines = content(tmp_path / "bucket").splitlines(keepends=True)
    assert sorted(lines) == sorted(sent * 2), "not each one twice"
    assert failures(tmp_path / "bucket") == {huge: ("Lambda.FunctionError", 1)}
    assert api.count() > 2, "nothing was halved"


def test_many_small_records_keep_to_the_size_of_an_event(started, api, tmp_path):
    d = started(buffer_size="6MiB")
    sent = [b"%05d\n" % n for n in range(10_000)]
    outputs.put(d, *sent)
    outputs.settled(d, "s", len(sent))
    lines = content(tmp_path / "bucket").splitlines(keepends=True)
    assert sorted(lines) == sent


def test_throttling_holds_and_fails_nothing(started, api, tmp_path):
    refusals = [
        refusal(429, "TooManyRequestsException", "Rate Exceeded.", {"Retry-After": "1"}),
        refusal(500, "ServiceException", "Service unavailable"),
    ]

    def answer(event):
        return refusals.pop() if refusals else each(ok)(event)

    api.answer = answer
    # Not one retry for the function's own failures; these are none.
    d = started(number_of_retries=0)
    outputs.put(d, b"one", b"two")
    assert outputs.settled(d, "s", 2)["delivered"] == 2
    assert content(tmp_path / "bucket") == b"onetwo"
    assert not refusals and api.count() >= 3


def test_a_function_that_may_not_be_called_holds_and_nothing_is_lost(daemon, api, tmp_path):
    denied = refusal(403, "AccessDeniedException", "not authorized: lambda:InvokeFunction")
    api.answer = lambda _: denied
    d = daemon(
        {"s": stream(tmp_path / "bucket", number_of_retries=0)},
        aws={"lambda_endpoint": api.url, **harness.outgoing()},
        shutdown_timeout="100ms",
    )
    outputs.put(d, b"one\n")
    harness.wait_for(lambda: api.count() >= 2, "it is asked again")
    outputs.put(d, b"two\n")
    d.kill()
    d.start()
    outputs.put(d, b"three\n")
    # What waits for a function keeps nobody from stopping.
    d.terminate()
    d.start()
    assert not outputs.local_contents(tmp_path / "bucket")
    api.answer = each(ok)
    harness.delivered(d, "s", tmp_path / "bucket", 14)
    assert sorted(content(tmp_path / "bucket").splitlines()) == [b"one", b"three", b"two"]
    assert not failures(tmp_path / "bucket")


def test_whoever_wants_it_lets_records_fail_while_a_function_is_unavailable(
    started, api, tmp_path
):
    api.answer = lambda _: refusal(404, "ResourceNotFoundException", "Function not found")
    d = started(number_of_retries=0, on_unavailable="fail")
    outputs.put(d, b"lost and found")
    outputs.settled(d, "s", 1)
    assert failures(tmp_path / "bucket") == {b"lost and found": ("Lambda.ResourceNotFound", 1)}


def test_a_function_by_url(daemon, tmp_path):
    function = lambda_api.UrlFunction()

    def answer(event):
        if data_of(event["records"][0]) == b"bad":
            return lambda_api.Reply(500, {"error": "it broke"})
        return each(lambda record: ok(record, data_of(record)[::-1]))(event)

    function.answer = answer
    url = f"{function.url}/transform?of=s"
    options = {"url": url, "number_of_retries": 1, "buffer_size": 1}
    d = daemon({"s": stream(tmp_path / "bucket", **options)}, aws=harness.outgoing())
    outputs.put(d, b"abc", b"bad")
    outputs.settled(d, "s", 2)
    assert content(tmp_path / "bucket") == b"cba"
    assert failures(tmp_path / "bucket", extra=()) == {b"bad": ("Lambda.FunctionError", 2)}
    function.close()
    assert function.mistakes == []


def test_a_handler_in_the_real_runtime(daemon, api, tmp_path):
    runtime = lambda_runtime.Runtime("orders.handler", ARN)
    try:
        api.answer = runtime.invoke
        folder = tmp_path / "bucket"
        parted = {
            "prefix": "country=!{partitionKeyFromLambda:country}/",
            "dynamic_partitioning": {},
        }
        one = stream(folder, parted, buffer_size="1KiB", number_of_retries=0)
        d = daemon({"s": one}, aws={"lambda_endpoint": api.url, **harness.outgoing()})
        order = lambda country, amount: {"country": country, "amount": amount}  # noqa: E731
        good = [order(country, n / 4) for n in range(50) for country in ("de", "fr", "日本")]
        bad = [{"country": "de"}, order("", 1), order(None, 1)]
        crashing = {"crash": True, "filler": "x" * 1024}
        dropped = [{"test": True}] * 3
        sent = [json.dumps(record).encode() for record in [*good, *bad, crashing, *dropped]]
        outputs.put(d, *sent)
        became = outputs.settled(d, "s", len(sent))
        assert became["dropped"] == 3
        contents = outputs.local_contents(folder)
        for country in ("de", "fr", "日本"):
            lines = b"".join(
                data for key, data in contents.items() if key.startswith(f"country={country}/")
            )
            assert [json.loads(line) for line in lines.splitlines()] == [
                {**record, "cents": round(record["amount"] * 100)}
                for record in good
                if record["country"] == country
            ]
        errors = {key: data for key, data in contents.items() if key.startswith("errors/")}
        codes = {
            (key.split("/")[1], b"crash" in base64.b64decode(line["rawData"]), line["errorCode"])
            for key, data in errors.items()
            for line in map(json.loads, data.splitlines())
        }
        assert codes == {
            ("processing-failed", False, "Lambda.ProcessingFailedStatus"),
            ("processing-failed", True, "Lambda.FunctionError"),
            ("metadata-extraction-failed", False, "DynamicPartitioning.MetadataExtractionFailed"),
        }
    finally:
        runtime.close()


DENIED = refusal(403, "AccessDeniedException", "not authorized: lambda:InvokeFunction")


def test_health_tells_of_a_function_that_may_not_be_called(started, api):
    api.answer = lambda _: DENIED
    d = started()
    outputs.put(d, b"one")
    harness.wait_for(lambda: api.count() >= 2, "it is asked again")

    def problems():
        return json.loads(d.get("/health/ready")[1])["problems"]

    harness.wait_for(lambda: any("held" in one for one in problems()), "it tells")
    assert d.metrics()["standpipe_held", {"stream": "s", "destination": "s3"}] == 1


@pytest.fixture
def with_unfit_leaf(daemon, api, tmp_path):
    """A stream whose function has answered; the second half of each record fits no column."""
    one = {
        **harness.local(
            tmp_path / "bucket",
            prefix="k=!{partitionKeyFromQuery:k}/",
            error_output_prefix=outputs.ERRORS,
            dynamic_partitioning={},
            format_conversion={"schema": {"ddl": "n bigint"}},
        ),
        "transforms": [
            {"record_deaggregation": "json"},
            {"lambda": {"function": ARN, "buffer_interval": "0s"}},
            {"metadata_extraction": "{k}"},
        ],
    }
    aws = {"lambda_endpoint": api.url, **harness.outgoing()}
    d = daemon({"s": {"destinations": [one]}}, aws=aws, shutdown_timeout="200ms")
    outputs.put(d, *[b'{"k":1,"n":1}{"k":2,"n":"much"}'] * 10)
    harness.wait_for(lambda: len(api.sent()) == 20, "the function is called")
    return d


def test_what_fits_no_column_is_not_sent_to_the_function_again(with_unfit_leaf, api):
    outputs.settled(with_unfit_leaf, "s", 10)
    assert len(api.sent()) == 20


def test_a_held_function_keeps_no_daemon_from_stopping(with_unfit_leaf, api):
    api.answer = lambda _: DENIED
    outputs.put(with_unfit_leaf, b'{"k":1,"n":1}')
    harness.wait_for(lambda: api.count() >= 2, "the function is called again")
    with_unfit_leaf.terminate(timeout=15)
