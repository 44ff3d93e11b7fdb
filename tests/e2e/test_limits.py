"""Bounds of the API: one byte over each is refused, and a slow client is cut off."""

import base64
import http.client
import json
import socket
import time

import pytest
from botocore.exceptions import ClientError

import harness
from test_api import code_of, headers_of

RECORD_MAX = 1_024_000
BATCH_MAX = 4 * 1024 * 1024


@pytest.fixture
def served(daemon, tmp_path):
    return daemon({"s": {"destinations": [harness.local(tmp_path / "bucket")]}})


def refused(call):
    with pytest.raises(ClientError) as error:
        call()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] in {400, 413}
    return code_of(error)


def test_the_largest_record_and_one_byte_more(served, tmp_path):
    client = served.firehose()
    client.put_record(DeliveryStreamName="s", Record={"Data": b"r" * RECORD_MAX})
    put = lambda: client.put_record(  # noqa: E731
        DeliveryStreamName="s", Record={"Data": b"r" * (RECORD_MAX + 1)}
    )
    assert refused(put) in {"ValidationException", "InvalidArgumentException"}
    found = harness.delivered(served, "s", tmp_path / "bucket", RECORD_MAX)
    assert sum(map(len, found.values())) == RECORD_MAX


def test_the_largest_batch_and_one_byte_more(served):
    client = served.firehose()
    whole = [{"Data": b"r" * (BATCH_MAX // 8)} for _ in range(8)]
    assert client.put_record_batch(DeliveryStreamName="s", Records=whole)["FailedPutCount"] == 0
    put = lambda: client.put_record_batch(  # noqa: E731
        DeliveryStreamName="s", Records=[*whole, {"Data": b"x"}]
    )
    assert refused(put) in {"ValidationException", "InvalidArgumentException"}


def test_five_hundred_records_and_one_more(served):
    client = served.firehose()
    batch = [{"Data": b"x"}] * 500
    answer = client.put_record_batch(DeliveryStreamName="s", Records=batch)
    assert len(answer["RequestResponses"]) == 500
    put = lambda: client.put_record_batch(  # noqa: E731
        DeliveryStreamName="s", Records=[*batch, {"Data": b"x"}]
    )
    assert refused(put) == "ValidationException"


def test_an_endless_body_is_refused_before_it_is_sent(served):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.putrequest("POST", "/")
    for name, value in headers_of("PutRecord").items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(1 << 40))
    connection.endheaders()
    assert connection.getresponse().status in {400, 403, 413}


def test_a_client_that_sends_a_byte_a_second_is_cut_off(daemon, tmp_path):
    d = daemon(
        {"s": {"destinations": [harness.local(tmp_path / "bucket")]}}, api={"anonymous": True}
    )
    with socket.create_connection(("127.0.0.1", d.port)) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        slow.settimeout(1)
        start = time.monotonic()

        def cut():
            try:
                slow.sendall(b"a")
                return slow.recv(4096) == b"" or time.monotonic() - start > 90
            except TimeoutError:
                return False
            except OSError:
                return True

        harness.wait_for(cut, "the slow client is cut off", timeout=60)
    # Others are served meanwhile and after.
    d.firehose().put_record(DeliveryStreamName="s", Record={"Data": b"x"})


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"DeliveryStreamName":"s","Record":{"Data":"***"}}', b"\xff\xfe"],
)
def test_broken_bodies_are_the_clients_fault(served, body):
    status, text = served.signed("POST", "/", body, headers_of("PutRecord"))
    assert status == 400, text
    assert json.loads(text)["__type"] in {"SerializationException", "ValidationException"}


def test_throughput_limits_refuse_what_is_over(daemon, tmp_path):
    # A second's worth is there at the start, and nothing to speak of comes after it.
    folder = tmp_path / "bucket"
    throughput = {"records_per_second": 10, "requests_per_second": 1000}
    d = daemon({"s": {"throughput": throughput, "destinations": [harness.local(folder)]}})
    records = [{"Data": b"%04d" % n} for n in range(500)]
    answer = d.firehose().put_record_batch(DeliveryStreamName="s", Records=records)
    entries = answer["RequestResponses"]
    taken = [record["Data"] for record, entry in zip(records, entries) if "RecordId" in entry]
    failed = [entry for entry in entries if "RecordId" not in entry]
    assert len(taken) == 10 and len(failed) == answer["FailedPutCount"] == 490
    assert {entry["ErrorCode"] for entry in failed} == {"ServiceUnavailableException"}
    assert all(entry["ErrorMessage"] for entry in failed)
    found = harness.delivered(d, "s", folder, 40)
    assert b"".join(found.values()) == b"".join(taken)
    assert d.metrics()["standpipe_throttled_records_total", {"stream": "s"}] == 490


def test_a_request_over_the_limit_is_refused_whole(daemon, tmp_path):
    stream = {
        "throughput": {"requests_per_second": 1},
        "destinations": [harness.local(tmp_path / "bucket")],
    }
    d = daemon({"s": stream})
    client = d.firehose()
    put = lambda: client.put_record(DeliveryStreamName="s", Record={"Data": b"x"})  # noqa: E731

    def refused():
        try:
            put()
            return False
        except ClientError as error:
            answer = error.response
            assert answer["Error"]["Code"] == "ServiceUnavailableException"
            return answer["ResponseMetadata"]["HTTPStatusCode"] in {500, 503}

    harness.wait_for(refused, "a request is refused", pause=0)
    # The retries of an SDK get through.
    patient = d.firehose(config=harness.no_retries(10))
    assert patient.put_record(DeliveryStreamName="s", Record={"Data": b"x"})["RecordId"]


def test_a_repeated_call_over_the_limit_is_stored_once(daemon, tmp_path):
    """The first attempt was taken in part; its answer got lost, and the SDK sends it again."""
    folder = tmp_path / "bucket"
    throughput = {"records_per_second": 10}
    d = daemon({"s": {"throughput": throughput, "destinations": [harness.local(folder)]}})
    records = [{"Data": base64.b64encode(b"%04d" % n).decode()} for n in range(15)]
    body = json.dumps({"DeliveryStreamName": "s", "Records": records}).encode()
    headers = {**headers_of("PutRecordBatch"), "amz-sdk-invocation-id": "the same call"}

    def attempt():
        status, text = d.signed("POST", "/", body, headers)
        return json.loads(text) if status == 200 else None

    first = attempt()
    assert first["FailedPutCount"] == 5
    assert harness.wait_for(attempt, "the second attempt is answered", pause=0.1) == first
    d.kill()
    d.start()
    assert harness.wait_for(attempt, "the third attempt is answered", pause=0.1) == first
    found = harness.delivered(d, "s", folder, 40)
    assert b"".join(found.values()) == b"".join(b"%04d" % n for n in range(10))
    assert d.terminate() == 0
    assert sum(path.stat().st_size for path in harness.files(folder).values()) == 40


def test_a_repeated_call_is_stored_once(served, tmp_path):
    body = json.dumps(
        {"DeliveryStreamName": "s", "Record": {"Data": base64.b64encode(b"once").decode()}}
    ).encode()
    headers = {
        **headers_of("PutRecord"),
        "amz-sdk-invocation-id": "0b0e9e64-6f5f-4d7e-9d9c-9f4b3a6f0c11",
        "amz-sdk-request": "attempt=1; max=3",
    }
    answers = [json.loads(served.signed("POST", "/", body, headers)[1]) for _ in range(2)]
    served.kill()
    served.start()
    headers["amz-sdk-request"] = "attempt=2; max=3"
    answers.append(json.loads(served.signed("POST", "/", body, headers)[1]))
    assert len({answer["RecordId"] for answer in answers}) == 1

    # Another body under the same id is another call.
    other = body.replace(base64.b64encode(b"once"), base64.b64encode(b"more"))
    answer = json.loads(served.signed("POST", "/", other, headers)[1])
    assert answer["RecordId"] != answers[0]["RecordId"]
    found = harness.delivered(served, "s", tmp_path / "bucket", 8)
    assert b"".join(found.values()) == b"oncemore"


def test_a_repeated_batch_is_stored_once_even_after_it_was_delivered(served, tmp_path):
    folder = tmp_path / "bucket"
    records = [{"Data": base64.b64encode(b"%04d" % n).decode()} for n in range(300)]
    body = json.dumps({"DeliveryStreamName": "s", "Records": records}).encode()
    headers = {**headers_of("PutRecordBatch"), "amz-sdk-invocation-id": "one call"}
    attempt = lambda: served.signed("POST", "/", body, headers)[1]  # noqa: E731
    first = attempt()
    assert '"FailedPutCount":0' in first
    harness.delivered(served, "s", folder, 1200)
    assert attempt() == first
    served.kill()
    served.start()
    assert attempt() == first
    assert served.terminate() == 0
    served.start()
    assert attempt() == first
    assert served.metrics()["standpipe_repeated_put_requests_total", {"stream": "s"}] == 1
    assert served.metrics()["standpipe_incoming_records_total", {"stream": "s"}] == 0
    assert served.terminate() == 0
    assert sum(path.stat().st_size for path in harness.files(folder).values()) == 1200


def test_idempotency_key_does_the_same_for_other_clients(served, tmp_path):
    folder = tmp_path / "bucket"
    body = json.dumps({"DeliveryStreamName": "s", "Record": {"Data": "b25jZQ=="}}).encode()
    headers = {**headers_of("PutRecord"), "Idempotency-Key": "mine"}
    answers = {served.signed("POST", "/", body, headers)[1] for _ in range(3)}
    assert len(answers) == 1
    assert served.terminate() == 0
    assert [path.read_bytes() for path in harness.files(folder).values()] == [b"once"]
