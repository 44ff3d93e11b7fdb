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
    stream = {
        "throughput": {"records_per_second": 10},
        "destinations": [harness.local(tmp_path / "bucket")],
    }
    client = daemon({"s": stream}).firehose()
    taken, refused_entries = 0, 0
    for _ in range(5):
        try:
            answer = client.put_record_batch(
                DeliveryStreamName="s", Records=[{"Data": b"x"}] * 10
            )
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ServiceUnavailableException"
            refused_entries += 10
            continue
        failed = [e for e in answer["RequestResponses"] if "ErrorCode" in e]
        assert len(failed) == answer["FailedPutCount"]
        assert {e["ErrorCode"] for e in failed} <= {"ServiceUnavailableException"}
        refused_entries += len(failed)
        taken += 10 - len(failed)
    assert taken >= 1 and refused_entries >= 1


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
