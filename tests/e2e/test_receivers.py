"""The receivers that deliveries are tested against, before anything is delivered to them: what
they take, and what they refuse."""

import base64
import gzip
import http.client
import json
import time
import urllib.parse
import uuid

import pytest

import datadog_intake
import firehose_endpoint
import harness
import opensearch_bulk
import otel


def post(url, body, headers, method="POST"):
    """Status, headers and body of one request."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def firehose_request(records, identity=None, **headers):
    """Body and headers of a delivery; a header that is None is left out."""
    identity = identity or str(uuid.uuid4())
    body = {
        "requestId": identity,
        "timestamp": int(time.time() * 1000),
        "records": [{"data": base64.b64encode(record).decode()} for record in records],
    }
    given = {
        "Content-Type": "application/json",
        "User-Agent": firehose_endpoint.USER_AGENT,
        "X-Amz-Firehose-Protocol-Version": "1.0",
        "X-Amz-Firehose-Request-Id": identity,
        "X-Amz-Firehose-Source-Arn": "arn:aws:firehose:us-east-1:000000000000:deliverystream/s",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    named = {name: value for name, value in given.items() if value is not None}
    return json.dumps(body).encode(), named


# ------------------------------------------------------------------------------ the collector


def test_the_collector_takes_firehose_deliveries(collector):
    attributes = {"commonAttributes": {"environment": "test"}}
    records = [otel.payload(["first", "second"], "curl"), otel.payload(["third"], "curl")]
    body, headers = firehose_request(
        records,
        X_Amz_Firehose_Access_Key=otel.ACCESS_KEY,
        X_Amz_Firehose_Common_Attributes=json.dumps(attributes),
        Content_Encoding="gzip",
    )
    status, _, answer = post(collector.firehose_url, gzip.compress(body), headers)
    assert status == 200, answer
    assert json.loads(answer)["requestId"] == headers["X-Amz-Firehose-Request-Id"]

    def arrived():
        found = collector.logs("firehose")
        return [one for one in found if one[1]["aws.cloudwatch.log_group_name"] == "curl"]

    found = harness.wait_for(lambda: len(arrived()) >= 3 and arrived(), "they are written down")
    assert [body for body, _ in found] == ["first", "second", "third"]
    assert all(resource["environment"] == "test" for _, resource in found)
    headers["X-Amz-Firehose-Access-Key"] = "another"
    assert post(collector.firehose_url, gzip.compress(body), headers)[0] == 401


@pytest.mark.parametrize("kind", ["raw", "event"])
def test_the_collector_takes_events_and_acknowledges_them(collector, kind):
    headers = {
        "Authorization": f"Splunk {otel.TOKEN}",
        "X-Splunk-Request-Channel": str(uuid.uuid4()),
        "Content-Encoding": "gzip",
    }
    messages = [f"{kind} {number}" for number in range(3)]
    lines = messages if kind == "raw" else [json.dumps({"event": text}) for text in messages]
    body = "".join(line + "\n" for line in lines).encode()
    url = f"{collector.hec_url}/services/collector"
    status, _, answer = post(f"{url}/{kind}", gzip.compress(body), headers)
    assert status == 200, answer
    told = json.loads(answer)
    assert told["code"] == 0, told
    del headers["Content-Encoding"]

    def acknowledged():
        question = json.dumps({"acks": [told["ackId"]]})
        answer = json.loads(post(f"{url}/ack", question, headers)[2])
        return answer["acks"][str(told["ackId"])]

    harness.wait_for(acknowledged, "it is acknowledged")
    # It is told once.
    assert not acknowledged()

    def arrived():
        return [one for one in collector.logs("hec") if str(one[0]).startswith(kind)]

    found = harness.wait_for(lambda: len(arrived()) >= 3 and arrived(), "they are written down")
    assert [body for body, _ in found] == messages
    assert {resource["com.splunk.hec.access_token"] for _, resource in found} == {otel.TOKEN}


# ----------------------------------------------------------------------------- the HTTP double


@pytest.fixture
def endpoint():
    double = firehose_endpoint.FirehoseEndpoint(access_key="key")
    yield double
    double.close()


def test_the_endpoint_takes_what_the_protocol_says(endpoint):
    sent = [b"one", b"", bytes(range(256))]
    body, headers = firehose_request(sent, X_Amz_Firehose_Access_Key="key")
    status, answered, answer = post(endpoint.url, body, headers)
    assert (status, answered["Content-Type"]) == (200, "application/json")
    told = json.loads(answer)
    assert set(told) == {"requestId", "timestamp"}
    assert told["requestId"] == headers["X-Amz-Firehose-Request-Id"]
    assert endpoint.records() == sent
    assert endpoint.mistakes == []
    endpoint.wait(1)
    _, _, page = post(f"{endpoint.origin}/_requests", b"", {}, "GET")
    (request,) = json.loads(page)
    assert request["taken"] and request["answered"] == 200
    assert request["records"] == [base64.b64encode(r).decode() for r in endpoint.records()]


@pytest.mark.parametrize(
    "name, value",
    [
        ("X-Amz-Firehose-Protocol-Version", "1.1"),
        ("X-Amz-Firehose-Protocol-Version", None),
        ("X-Amz-Firehose-Request-Id", None),
        ("X-Amz-Firehose-Request-Id", "5f1e9a1e-0000-4000-8000-000000000000"),
        ("X-Amz-Firehose-Source-Arn", None),
        ("X-Amz-Firehose-Source-Arn", "arn:aws:s3:::bucket"),
        ("X-Amz-Firehose-Common-Attributes", '{"a":"b"}'),
        ("X-Amz-Firehose-Common-Attributes", '{"commonAttributes":{"a":1}}'),
        ("Content-Type", "application/json; charset=utf-8"),
        ("Content-Type", None),
        ("Content-Encoding", "gzip"),
        ("User-Agent", "curl"),
        ("Transfer-Encoding", "chunked"),
    ],
)
def test_the_endpoint_refuses_a_header_that_is_wrong(endpoint, name, value):
    body, headers = firehose_request([b"one"], X_Amz_Firehose_Access_Key="key")
    headers[name] = value
    headers = {name: value for name, value in headers.items() if value is not None}
    if name == "Transfer-Encoding":
        body = iter([body])
    status, _, _ = post(endpoint.url, body, headers)
    assert status in (400, 411, 415)
    assert len(endpoint.mistakes) == 1 and not endpoint.records()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: {**body, "extra": 1},
        lambda body: {"timestamp": body.pop("timestamp"), **body},
        lambda body: {**body, "timestamp": 1_700_000_000_000},
        lambda body: {**body, "timestamp": str(body["timestamp"])},
        lambda body: {**body, "requestId": str(uuid.uuid4())},
        lambda body: {**body, "records": []},
        lambda body: {**body, "records": [{"data": "YQ"}]},
        lambda body: {**body, "records": [{"data": "YR=="}]},
        lambda body: {**body, "records": [{"data": "YQ==", "id": 1}]},
        lambda body: {**body, "records": [{"data": "YQ=="}] * 10_001},
    ],
)
def test_the_endpoint_refuses_a_body_that_is_wrong(endpoint, spoil):
    body, headers = firehose_request([b"a"], X_Amz_Firehose_Access_Key="key")
    body = json.dumps(spoil(json.loads(body))).encode()
    assert post(endpoint.url, body, headers)[0] == 400
    assert len(endpoint.mistakes) == 1 and not endpoint.records()


def test_the_endpoint_knows_the_same_request_again(endpoint):
    identity = str(uuid.uuid4())
    key = {"X_Amz_Firehose_Access_Key": "key"}
    for records, expected in [([b"a"], 200), ([b"a"], 200), ([b"b"], 400)]:
        assert post(endpoint.url, *firehose_request(records, identity, **key))[0] == expected
    assert endpoint.ids() == [identity] * 3
    assert endpoint.records() == [b"a", b"a"]
    assert len(endpoint.mistakes) == 1


def test_the_endpoint_does_as_it_is_told(endpoint):
    steps = [
        {"status": 503, "message": "busy", "headers": {"Retry-After": "1"}},
        {"request_id": "another"},
        {"timestamp": None, "fields": {"extra": True}},
        {"headers": {"Content-Type": "text/plain"}, "body": "OK"},
        {"gzip": True},
        {"size": 2_000_000},
        {"status": 301, "headers": {"Location": "http://127.0.0.1:1/"}},
        {"status": 200, "reason": "x" * 65},
    ]
    post(f"{endpoint.origin}/_control", json.dumps(steps), {})
    seen = []
    for _ in steps:
        body, headers = firehose_request([b"a"], X_Amz_Firehose_Access_Key="key")
        seen.append(post(endpoint.url, body, headers))
    assert [status for status, _, _ in seen] == [503, 200, 200, 200, 200, 200, 301, 200]
    assert json.loads(seen[0][2])["errorMessage"] == "busy"
    assert seen[0][1]["Retry-After"] == "1"
    assert json.loads(seen[1][2])["requestId"] == "another"
    assert set(json.loads(seen[2][2])) == {"requestId", "extra"}
    assert (seen[3][1]["Content-Type"], seen[3][2]) == ("text/plain", b"OK")
    assert "requestId" in json.loads(gzip.decompress(seen[4][2]))
    assert len(seen[5][2]) == 2_000_000
    assert len(endpoint.records()) == 6, "a scripted refusal takes nothing"
    assert endpoint.mistakes == []


@pytest.mark.parametrize("end", ["drop", "cut", "hang", "dribble", "flood"])
def test_the_endpoint_ends_its_answers_as_it_is_told(endpoint, end):
    endpoint.script({"end": end})
    body, headers = firehose_request([b"a"], X_Amz_Firehose_Access_Key="key")
    parts = urllib.parse.urlsplit(endpoint.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=0.3)
    connection.request("POST", firehose_endpoint.PATH, body, headers)
    if end in ("flood", "dribble"):
        # It goes on for as long as somebody reads.
        some = {"flood": 3_000_000, "dribble": 3}[end]
        with connection.getresponse() as answer:
            assert len(answer.read(some)) == some
    else:
        with pytest.raises((OSError, http.client.HTTPException)) as told:
            connection.getresponse().read()
        assert isinstance(told.value, TimeoutError) == (end == "hang"), told.value
    connection.close()
    assert endpoint.records() == [b"a"]


def test_the_endpoint_refuses_keys_and_sizes(endpoint):
    endpoint.max_bytes = 1000
    for key, size, expected in [("other", 1, 401), (None, 1, 401), ("key", 1000, 413)]:
        body, headers = firehose_request([b"a" * size], X_Amz_Firehose_Access_Key=key)
        status, _, answer = post(endpoint.url, body, headers)
        assert status == expected and json.loads(answer)["errorMessage"]
    assert not endpoint.records() and endpoint.mistakes == []


@pytest.mark.parametrize(
    "kind, body, records",
    [
        ("ndjson", b'{"a":1}\nb\n', [b'{"a":1}', b"b"]),
        ("json_array", b'[{"a":1},2]', [{"a": 1}, 2]),
        ("raw", b"ab\n", [b"ab\n"]),
    ],
)
def test_the_endpoint_takes_plain_bodies(kind, body, records):
    double = firehose_endpoint.FirehoseEndpoint(body=kind)
    try:
        headers = {
            "Content-Type": firehose_endpoint.CONTENT_TYPES[kind],
            "Idempotency-Key": str(uuid.uuid4()),
        }
        double.script({"status": 204, "body": None})
        assert post(double.url, body, headers)[0] == 204
        assert double.records() == records
        assert double.mistakes == []
    finally:
        double.close()


# --------------------------------------------------------------------------- the bulk double


@pytest.fixture
def bulk():
    double = opensearch_bulk.OpenSearchBulk(data_streams=["events"])
    yield double
    double.close()


def bulk_body(*actions):
    lines = []
    for verb, index, identity, document in actions:
        members = {"_index": index, **({"_id": identity} if identity else {})}
        lines += [json.dumps({verb: members}), json.dumps(document)]
    return "".join(line + "\n" for line in lines).encode()


def bulk_post(bulk, body, query="", **headers):
    headers = {"Content-Type": "application/x-ndjson", **headers}
    status, _, answer = post(f"{bulk.url}/_bulk{query}", body, headers)
    return status, json.loads(answer) if answer else None


def statuses(answer):
    return [one["status"] for item in answer["items"] for one in item.values()]


def test_bulk_keeps_documents_and_knows_them_again(bulk):
    body = bulk_body(*[("create", "logs", str(n), {"n": n}) for n in range(3)])
    bulk.script({"items": {"1": 429}}, {"items": {"*": 503}})
    status, answer = bulk_post(bulk, body)
    assert (status, answer["errors"], statuses(answer)) == (200, True, [201, 429, 201])
    assert statuses(bulk_post(bulk, body)[1]) == [503] * 3
    _, answer = bulk_post(bulk, body, "?filter_path=errors,items.*.status,items.*.error")
    assert statuses(answer) == [409, 201, 409]
    assert set(answer) == {"errors", "items"}
    assert set(answer["items"][1]["create"]) == {"status"}
    assert bulk.told_docs() == {"logs": {str(n): {"n": n} for n in range(3)}}
    assert bulk.conflicts == 2 and bulk.mistakes == []


def test_bulk_refuses_as_clusters_do(bulk):
    bulk.reject = {b"bad": 400}
    bulk.script({"missing": 1})
    actions = [("index", "events", "1", {}), ("create", "events", "1", {"bad": 1})]
    assert statuses(bulk_post(bulk, bulk_body(*actions))[1]) == [400]
    assert statuses(bulk_post(bulk, bulk_body(*actions))[1]) == [400, 400]
    bulk.serverless = True
    actions = [("create", "logs", "1", {}), ("create", "logs", None, {})]
    _, answer = bulk_post(bulk, bulk_body(*actions))
    assert statuses(answer) == [400, 201]
    assert "Document ID is not supported" in answer["items"][0]["create"]["error"]["reason"]
    bulk.max_bytes = 10
    assert bulk_post(bulk, bulk_body(*actions)) == (413, None)
    bulk.max_bytes = None
    assert bulk.mistakes == []
    for wrong in [b"", b"{}\n", b'{"create":{"_index":"A"}}\n{}\n', b'{"delete":{}}\n{}\n']:
        assert bulk_post(bulk, wrong)[0] == 400
    assert len(bulk.mistakes) == 4


def test_bulk_asks_who_is_there(bulk):
    body = bulk_body(("create", "logs", None, {}))
    signed = "AWS4-HMAC-SHA256 Credential=A/20261121/us-east-1/{}/aws4_request, "
    signed += "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + "0" * 64
    more = {"X-Amz-Date": "20261121T000000Z", "X-Amz-Content-Sha256": "0" * 64}
    basic = "Basic " + base64.b64encode(b"user:hush").decode()
    for auth, authorization, expected in [
        (None, None, 200),
        (None, basic, 400),
        (("user", "hush"), basic, 200),
        (("user", "hush"), None, 401),
        (("user", "other"), basic, 401),
        ("es", signed.format("es"), 200),
        ("es", signed.format("aoss"), 403),
        ("aoss", signed.format("aoss"), 200),
        ("aoss", None, 403),
    ]:
        bulk.auth = auth
        headers = {**more, **({"Authorization": authorization} if authorization else {})}
        assert bulk_post(bulk, body, **headers)[0] == expected, (auth, authorization)


# ------------------------------------------------------------------------ the intake's double


def test_the_intake_keeps_to_its_limits():
    double = datadog_intake.DatadogIntake()
    url = double.url + datadog_intake.PATH
    headers = {"DD-API-KEY": "key", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    try:
        for logs, more, expected in [
            ([{"message": "a", "ddtags": "a:b,c"}, {"n": 1}], {}, 202),
            ([{"message": "a"}], {"DD-API-KEY": "other"}, 403),
            ([{"message": "a"}], {"DD-API-KEY": ""}, 401),
            ([{"message": "a" * 900_000}] * 6, {}, 413),
            ([{"message": "a"}] * 1001, {}, 413),
            ([{"message": "a" * 1_000_000}], {}, 413),
            ([], {}, 400),
            ([{"message": 1}], {}, 400),
        ]:
            body = gzip.compress(json.dumps(logs).encode(), 1)
            assert post(url, body, {**headers, **more})[0] == expected
        assert double.messages() == ["a", None]
        assert len(double.mistakes) == 4
    finally:
        double.close()
