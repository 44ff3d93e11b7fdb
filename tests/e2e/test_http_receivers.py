"""Protocols of others, received: deliveries of Firehose streams, Splunk's collector, OpenTelemetry
logs. Their clients are another Standpipe, the exporter of OpenTelemetry, and plain requests."""

import base64
import gzip
import json
import signal
import uuid

import pytest
from google.protobuf import json_format
from google.rpc import status_pb2
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

import harness
import http_deliveries
import outputs
import posts
import test_splunk
from posts import JSON, TOKEN, numbered, post
from test_receivers import firehose_request

KEY = http_deliveries.KEY
SPLUNK = {"Authorization": f"Splunk {TOKEN}"}
CHANNEL = {"X-Splunk-Request-Channel": str(uuid.uuid4())}
PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.fixture
def receiver(daemon, tmp_path):
    """Makes a daemon that receives into `received`, and answers it with its address."""

    def make(protocol, **options):
        port = harness.free_port()
        one = posts.stream(port, tmp_path / "received", protocol=protocol, **options)
        d = posts.ready(daemon({"s": one}), port)
        return d, f"http://127.0.0.1:{port}"

    return make


def split(records, count):
    return [records[at : at + count] for at in range(0, len(records), count)]


# --------------------------------------------------------------------------- from Firehose


@pytest.mark.parametrize("encoding", ["none", "gzip"])
def test_a_delivery_of_firehose_is_taken(daemon, receiver, tmp_path, encoding):
    d, url = receiver("firehose", access_key=["another", KEY])
    one = http_deliveries.to(
        f"{url}/s",
        tmp_path / "failed",
        content_encoding=encoding,
        common_attributes={"environment": "test", "city": "Zürich"},
    )
    sender = daemon(http_deliveries.stream(one))
    sent = [*numbered(0, 1_500, pad=100), "日本".encode(), b"", bytes(range(11, 256))]
    outputs.put(sender, *sent)
    assert http_deliveries.settled(sender, len(sent))["delivered"] == len(sent)
    posts.assert_landed(d, tmp_path / "received", sent)
    assert not outputs.local_contents(tmp_path / "failed")


def test_deliveries_arrive_once_though_the_receiver_is_killed(daemon, receiver, tmp_path):
    d, url = receiver("firehose", access_key=KEY)
    options = {"buffering": {"size": "1MiB", "interval": "900s"}, "retry": {"duration": "7200s"}}
    one = http_deliveries.to(f"{url}/s", tmp_path / "failed", **options)
    sender = daemon(http_deliveries.stream(one))
    # Some twelve requests, and the receiver ends somewhere among them.
    sent = numbered(0, 6_000, pad=2_000)
    came = lambda: d.metrics()[  # noqa: E731
        "standpipe_incoming_records_total", {"stream": "s"}
    ]
    for number, some in enumerate(split(sent, 1_500)):
        outputs.put(sender, *some)
        if number % 2:
            harness.wait_for(lambda: came() >= 500, "it has some")
            d.kill()
            outputs.put(sender, b"%d behind a kill" % number)
            d.start()
    sent += [b"1 behind a kill", b"3 behind a kill"]
    posts.ready(d, posts.port_of(url))
    assert http_deliveries.settled(sender, len(sent))["delivered"] == len(sent)
    posts.assert_landed(d, tmp_path / "received", sent)
    assert not outputs.local_contents(tmp_path / "failed")


def test_a_wrong_access_key_holds_the_sender(daemon, receiver, tmp_path):
    d, url = receiver("firehose", access_key=KEY)
    key = tmp_path / "key"
    key.write_text("wrong")
    streams = {
        "held": {"destinations": [http_deliveries.to(f"{url}/s", tmp_path / "held")]},
        "backed-up": {"destinations": [http_deliveries.to(f"{url}/s", tmp_path / "backed-up")]},
    }
    for name, stream in streams.items():
        options = stream["destinations"][0]["http_endpoint"]
        options["access_key"] = {"file": str(key)}
        options["retry"] = {"duration": "0s"}
    streams["backed-up"]["destinations"][0]["http_endpoint"]["retry"]["on_denied"] = "backup"
    sender = daemon(streams)
    for name in streams:
        outputs.put(sender, b"to be " + name.encode(), stream=name)
        sender.flush(name)
    became = http_deliveries.settled(sender, 1, "backed-up")
    assert became["failed"] == 1, became
    (failed,) = http_deliveries.failures(tmp_path / "backed-up").values()
    assert "access key" in failed["errorMessage"], failed
    labels = {"stream": "held", "destination": http_deliveries.NAME}
    is_held = lambda: sender.metrics()["standpipe_held", labels] == 1  # noqa: E731
    harness.wait_for(is_held, "the destination is held")
    posts.assert_nothing_landed(d, tmp_path / "received")
    key.write_text(KEY)
    assert http_deliveries.settled(sender, 1, "held")["delivered"] == 1
    posts.assert_landed(d, tmp_path / "received", [b"to be held"])
    assert KEY not in d.log() and KEY not in sender.log()


def test_answers_of_firehose_receivers(receiver, tmp_path):
    d, url = receiver("firehose", access_key=KEY, path="/deep/er", max_body_size="1MiB")
    url += "/deep/er"
    key = {"X_Amz_Firehose_Access_Key": KEY}
    body, headers = firehose_request([b"one", b"two"], **key)
    first = post(url, body, headers)
    assert first.status == 200 and first.headers["Content-Type"] == "application/json", first
    assert first.json["requestId"] == headers["X-Amz-Firehose-Request-Id"]
    assert isinstance(first.json["timestamp"], int)
    assert set(first.json) == {"requestId", "timestamp"}
    # Another attempt of the same request: another time in its body, the same records.
    again = json.dumps({**json.loads(body), "timestamp": 1}).encode()
    assert post(url, gzip.compress(again), headers, {"Content-Encoding": "gzip"}).status == 200
    d.kill()
    d.start()
    posts.ready(d, posts.port_of(url))
    assert post(url, body, headers).status == 200
    of = lambda records: json.dumps({**json.loads(body), "records": records}).encode()  # noqa: E731
    broken = {
        "key": (401, body, {"X-Amz-Firehose-Access-Key": "other"}),
        "version": (400, body, {"X-Amz-Firehose-Protocol-Version": "2.0"}),
        "other-id": (400, body, {"X-Amz-Firehose-Request-Id": "x"}),
        "type": (400, body, {"Content-Type": "text/plain"}),
        "attributes": (400, body, {"X-Amz-Firehose-Common-Attributes": "{}"}),
        "no-json": (400, body[:-1], {}),
        "no-records": (400, of(None), {}),
        "base64": (400, of([{"data": "b25l"}, {"data": "?"}]), {}),
        # Never 413: Firehose would drop the records of it.
        "large": (400, body + b" " * 1024 * 1024, {}),
        "unpacked": (400, gzip.compress(b" " * 2 * 1024 * 1024), {"Content-Encoding": "gzip"}),
        "many": (400, of([{"data": ""}] * 10_001), {}),
    }
    for name, (status, wrong, more) in broken.items():
        answer = post(url, wrong, headers, more)
        assert answer.status == status and answer.json["errorMessage"], (name, answer)
        if name != "other-id":
            assert answer.json["requestId"] == headers["X-Amz-Firehose-Request-Id"], (name, answer)
    posts.assert_landed(d, tmp_path / "received", [b"one", b"two"])


# ----------------------------------------------------------------------------- from Splunk's


@pytest.mark.parametrize("kind", ["raw", "event"])
def test_a_delivery_to_splunk_is_taken(daemon, receiver, tmp_path, kind):
    d, url = receiver("splunk_hec", token=TOKEN, ack=True, output="event")
    one = test_splunk.to(url, tmp_path / "failed", endpoint_type=kind, token=TOKEN)
    sender = daemon(test_splunk.stream(one))
    events = [f"event {number} ü" for number in range(2_000)]
    sent = [
        event.encode() if kind == "raw" else test_splunk.envelope(event, host="h", time=1.5)
        for event in events
    ]
    for some in split(sent, 700):
        outputs.put(sender, *some)
        sender.flush("s")
    assert test_splunk.settled(sender, len(sent))["delivered"] == len(sent)
    posts.assert_landed(d, tmp_path / "received", [event.encode() for event in events])
    assert not outputs.local_contents(tmp_path / "failed")
    assert TOKEN not in d.log()


def test_a_delivery_to_splunk_outlives_its_receiver(daemon, receiver, tmp_path):
    """Acknowledgements are lost with it, so records may come twice; none is missing."""
    d, url = receiver("splunk_hec", token=TOKEN, ack=True, output="event")
    one = test_splunk.to(url, tmp_path / "failed", token=TOKEN, acknowledgment_timeout="3s")
    sender = daemon(test_splunk.stream(one))
    sent = [b"event %d" % number for number in range(1_500)]
    for number, some in enumerate(split(sent, 500)):
        if number == 1:
            d.kill()
        outputs.put(sender, *some)
        sender.flush("s")
        if number == 1:
            d.start()
            posts.ready(d, posts.port_of(url))
    assert test_splunk.settled(sender, len(sent))["delivered"] == len(sent)
    assert set(posts.landed(d, tmp_path / "received", len(sent))) == set(sent)


def test_what_of_an_event_is_kept(receiver, tmp_path):
    d, url = receiver("splunk_hec", token=TOKEN, path="/in")
    url += "/in/services/collector"
    ok = {"text": "Success", "code": 0}
    whole = b'{"time":1.5,"host":"h","event":{"a":[1, 2]},"fields":{"f":"v"}}'
    text = '{"event":"日本","new":null}'.encode()
    assert post(url, whole + b"\n\n" + text, SPLUNK).json == ok
    assert post(url + "/event/1.0", b"[" + whole + b"," + text + b"]", SPLUNK).json == ok
    query = "?host=h%20%C3%BC&sourcetype=t&time=17.5&source=&channel=x"
    body = b'one "quoted"\r\n\n\xff two'
    packed = {"Content-Encoding": "gzip"}
    assert post(url + "/raw" + query, gzip.compress(body), SPLUNK, packed).json == ok
    found = posts.landed(d, tmp_path / "received", 6)
    assert found[:4] == [whole, text, whole, text]
    told = {"time": 17.5, "host": "h ü", "sourcetype": "t"}
    assert [json.loads(line) for line in found[4:]] == [
        {**told, "event": 'one "quoted"'},
        {**told, "event": "\ufffd two"},
    ]


def test_codes_of_the_collector(receiver, tmp_path):
    d, url = receiver("splunk_hec", token=TOKEN, ack=True, output="event", max_body_size="1MiB")
    url += "/services/collector"
    basic = posts.basic("anybody", TOKEN)
    good = b'{"event":"good"}'
    answers = [
        # What is asked, and the status, the code and more of the answer.
        ("/event", good, {}, 401, 2),
        ("/event", good, {"Authorization": "Splunk"}, 401, 3),
        ("/event", good, {"Authorization": f"Bearer {TOKEN}"}, 401, 3),
        ("/event", good, {"Authorization": "Splunk other"}, 403, 4),
        ("/raw", good, posts.basic("x", "other"), 403, 4),
        ("/event", good, SPLUNK, 400, 10),
        ("/raw", good, {**SPLUNK, "X-Splunk-Request-Channel": "x"}, 400, 11),
        ("/event", b"", {**SPLUNK, **CHANNEL}, 400, 5),
        ("/raw", b"\n\n", {**SPLUNK, **CHANNEL}, 400, 5),
        ("/event", b"{", {**basic, **CHANNEL}, 400, 6),
        ("/event", b'{"host":"h"}', {**SPLUNK, **CHANNEL}, 400, 12),
        ("/event", b'{"event":""}', {**SPLUNK, **CHANNEL}, 400, 13),
        ("/event", b'{"event":"x","fields":[]}', {**SPLUNK, **CHANNEL}, 400, 15),
        ("/ack", b"{}", {**SPLUNK, **CHANNEL}, 400, 6),
        ("/event", b"x" * 1024 * 1025, {**SPLUNK, **CHANNEL}, 413, 413),
    ]
    for path, body, headers, status, code in answers:
        answer = post(url + path, body, headers)
        assert (answer.status, answer.json["code"]) == (status, code), (path, body[:40], answer)
    posts.assert_nothing_landed(d, tmp_path / "received")
    health = post(url + "/health", method="GET")
    assert (health.status, health.json) == (200, {"text": "HEC is healthy", "code": 17})
    # What stands before a bad event is taken, and the bad one is named.
    answer = post(url, good + b'{"event":"second"}{"event":null}' + good, SPLUNK, CHANNEL)
    assert (answer.status, answer.json["code"]) == (400, 12), answer
    assert answer.json["invalid-event-number"] == 2, answer
    posts.assert_landed(d, tmp_path / "received", [b"good", b"second"])


def test_acknowledgements_are_said_once(receiver, tmp_path):
    d, url = receiver("splunk_hec", token=[TOKEN, "other"], ack=True, output="event")
    url += "/services/collector"
    given = []
    for number in range(4):
        answer = post(url + "/raw", b"line %d" % number, posts.basic("x", TOKEN), CHANNEL)
        assert answer.status == 200, answer
        given.append(answer.json["ackId"])
    assert given == [0, 1, 2, 3]
    ask = lambda ids, *headers: post(  # noqa: E731
        url + "/ack", json.dumps({"acks": ids}).encode(), JSON, *headers
    ).json
    mine = (SPLUNK, CHANNEL)
    # Neither another token nor another channel is told of them, and asking takes nothing away.
    other = {"Authorization": "Splunk other"}
    assert ask([0], other, CHANNEL) == {"acks": {"0": False}}
    elsewhere = {"X-Splunk-Request-Channel": str(uuid.uuid4())}
    assert ask([0], SPLUNK, elsewhere) == {"acks": {"0": False}}
    assert ask([2, 0, 9], *mine) == {"acks": {"0": True, "2": True, "9": False}}
    assert ask([0, 1, 2, 3], *mine) == {"acks": {"0": False, "1": True, "2": False, "3": True}}
    posts.assert_landed(d, tmp_path / "received", [b"line %d" % n for n in range(4)])


def test_without_acknowledgement_nobody_is_told_of_ids(receiver):
    _, url = receiver("splunk_hec", token=TOKEN)
    url += "/services/collector"
    assert post(url, b'{"event":1}', SPLUNK, CHANNEL).json == {"text": "Success", "code": 0}
    answer = post(url + "/ack", b'{"acks":[0]}', SPLUNK, CHANNEL)
    assert (answer.status, answer.json["code"]) == (400, 14), answer


# ------------------------------------------------------------------------ from OpenTelemetry's


def value(of):
    """An AnyValue."""
    any_value = common_pb2.AnyValue
    match of:
        case None:
            return any_value()
        case bool():
            return any_value(bool_value=of)
        case int():
            return any_value(int_value=of)
        case float():
            return any_value(double_value=of)
        case str():
            return any_value(string_value=of)
        case bytes():
            return any_value(bytes_value=of)
        case list():
            values = [value(one) for one in of]
            return any_value(array_value=common_pb2.ArrayValue(values=values))
        case dict():
            return any_value(kvlist_value=common_pb2.KeyValueList(values=pairs(of)))


def pairs(of):
    return [common_pb2.KeyValue(key=key, value=value(one)) for key, one in of.items()]


VALUES = {
    "text": 'ü "quoted"\n',
    "yes": True,
    "no": False,
    "int": -(2**63),
    "float": 0.25,
    "bytes": b"\x00\xff",
    "list": [1, "two", [None], {}],
    "map": {"a": {"b": [3]}},
    "nothing": None,
}


def export_request(records=1, first=0):
    """A request with everything that a log record has."""
    made = [
        logs_pb2.LogRecord(
            time_unix_nano=1_700_000_000_123_456_789 + number,
            observed_time_unix_nano=1_700_000_001_000_000_000,
            severity_number=9,
            severity_text="INFO",
            body=value({"n": number}),
            attributes=pairs(VALUES),
            dropped_attributes_count=3,
            flags=1,
            trace_id=bytes(range(16)),
            span_id=bytes(range(8)),
            event_name="event",
        )
        for number in range(first, first + records)
    ]
    scope = common_pb2.InstrumentationScope(name="scope", version="1", attributes=pairs({"s": 1}))
    resource = resource_pb2.Resource(attributes=pairs({"service.name": "test"}))
    scope_logs = logs_pb2.ScopeLogs(scope=scope, log_records=made, schema_url="https://scope")
    resource_logs = logs_pb2.ResourceLogs(
        resource=resource, scope_logs=[scope_logs], schema_url="https://resource"
    )
    return logs_service_pb2.ExportLogsServiceRequest(resource_logs=[resource_logs])


def as_json(request):
    """As OTLP has it: protobuf's JSON, but ids in hexadecimal and enums as numbers."""
    document = json_format.MessageToDict(request, use_integers_for_enums=True)
    for resource in document["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                for name in ("traceId", "spanId"):
                    record[name] = base64.b64decode(record[name]).hex().upper()
    return json.dumps(document, ensure_ascii=False).encode()


def expected_document(number):
    return {
        # More digits than a double holds: as text, as in OTLP's own JSON.
        "timeUnixNano": str(1_700_000_000_123_456_789 + number),
        "observedTimeUnixNano": "1700000001000000000",
        "severityNumber": 9,
        "severityText": "INFO",
        "eventName": "event",
        "body": {"n": number},
        "attributes": {**VALUES, "bytes": base64.b64encode(VALUES["bytes"]).decode()},
        "droppedAttributesCount": 3,
        "traceId": bytes(range(16)).hex(),
        "spanId": bytes(range(8)).hex(),
        "flags": 1,
        "resource": {"attributes": {"service.name": "test"}, "schemaUrl": "https://resource"},
        "scope": {
            "name": "scope",
            "version": "1",
            "attributes": {"s": 1},
            "schemaUrl": "https://scope",
        },
    }


def test_both_encodings_of_otlp_make_the_same_documents(receiver, tmp_path):
    d, url = receiver("otlp", token=TOKEN, basic={"username": "u", "password": "p"})
    url += "/v1/logs"
    packed = {"Content-Encoding": "gzip"}
    protobuf = export_request(2).SerializeToString()
    bodies = [
        (protobuf, PROTOBUF, posts.BEARER),
        (gzip.compress(protobuf), {**PROTOBUF, **packed}, posts.basic("u", "p")),
        (as_json(export_request(2)), JSON, posts.BEARER),
        (gzip.compress(as_json(export_request(2))), {**JSON, **packed}, posts.BEARER),
    ]
    for body, headers, credential in bodies:
        answer = post(url, body, headers, credential)
        assert answer.status == 200, answer
        assert answer.headers["Content-Type"] == headers["Content-Type"]
        assert answer.body == (b"{}" if headers["Content-Type"] == "application/json" else b"")
    found = posts.landed(d, tmp_path / "received", 8)
    assert [json.loads(line) for line in found] == [expected_document(n) for n in (0, 1)] * 4
    # Not only alike: the same bytes.
    assert len(set(found)) == 2


def test_answers_of_the_otlp_receiver(receiver, tmp_path):
    d, url = receiver("otlp", token=TOKEN, path="/in", max_body_size="4MiB")
    url += "/in/v1/logs"
    good = export_request().SerializeToString()
    refused = [
        (401, 16, good, PROTOBUF, {}),
        (401, 16, good, PROTOBUF, {"Authorization": "Bearer x"}),
        (400, 3, good[:-3], PROTOBUF, posts.BEARER),
        (400, 3, as_json(export_request())[:-3], JSON, posts.BEARER),
        (400, 3, b'{"resourceLogs": 1}', JSON, posts.BEARER),
        (413, 8, b" " * (4 * 1024 * 1024 + 1), JSON, posts.BEARER),
    ]
    for status, code, body, headers, credential in refused:
        answer = post(url, body, headers, credential)
        assert answer.status == status, answer
        if headers is JSON:
            told = answer.json
        else:
            told = status_of(answer.body)
        assert told["code"] == code and told["message"], (told, answer)
    assert post(url, good, {"Content-Type": "text/plain"}, posts.BEARER).status == 415
    posts.assert_nothing_landed(d, tmp_path / "received")
    # A record that is too large is rejected alone, and the client is told not to send it again.
    request = export_request(3)
    request.resource_logs[0].scope_logs[0].log_records[1].body.string_value = "x" * 1_100_000
    answer = post(url, request.SerializeToString(), PROTOBUF, posts.BEARER)
    response = logs_service_pb2.ExportLogsServiceResponse.FromString(answer.body)
    assert answer.status == 200 and response.partial_success.rejected_log_records == 1, answer
    assert "larger" in response.partial_success.error_message
    answer = post(url, as_json(request), JSON, posts.BEARER)
    assert answer.json["partialSuccess"]["rejectedLogRecords"] == "1", answer
    found = [json.loads(line) for line in posts.landed(d, tmp_path / "received", 4)]
    assert found == [expected_document(n) for n in (0, 2)] * 2


def status_of(body):
    status = status_pb2.Status.FromString(body)
    return {"code": status.code, "message": status.message}


def test_the_exporter_of_opentelemetry_is_a_client(receiver, tmp_path):
    """Across a restart of the receiver: what it could not send it sends again."""
    d, url = receiver("otlp", token=TOKEN)
    exporter = OTLPLogExporter(
        endpoint=url + "/v1/logs", headers=dict(posts.BEARER), compression=Compression.Gzip
    )
    provider = LoggerProvider(resource=Resource({"service.name": "client"}))
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = provider.get_logger("scope", "1.0")
    for number in range(40):
        if number == 20:
            assert d.terminate(30) == 0
            d.start()
            posts.ready(d, posts.port_of(url))
        logger.emit(body=f"message {number}", attributes={"n": number}, severity_text="INFO")
    provider.shutdown()
    found = [json.loads(line) for line in posts.landed(d, tmp_path / "received", 40)]
    assert [one["body"] for one in found] == [f"message {number}" for number in range(40)]
    assert [one["attributes"]["n"] for one in found] == list(range(40))
    assert {one["resource"]["attributes"]["service.name"] for one in found} == {"client"}
    assert {one["scope"]["name"] for one in found} == {"scope"}


def test_a_receiver_that_goes_tells_its_clients_to_come_again(receiver, tmp_path):
    d, url = receiver("otlp", token=TOKEN)
    d.config["streams"]["t"] = posts.stream(posts.port_of(url), tmp_path / "t")
    d.write_config()
    d.process.send_signal(signal.SIGHUP)
    there = lambda: post(url + "/t", b"", JSON).status == 200  # noqa: E731
    harness.wait_for(there, "the other stream shares the address")
    del d.config["streams"]["s"]
    d.write_config()
    d.process.send_signal(signal.SIGHUP)
    good = export_request().SerializeToString()
    gone = lambda: post(url + "/v1/logs", good, PROTOBUF, posts.BEARER)  # noqa: E731
    answer = harness.wait_for(lambda: (one := gone()).status != 200 and one, "it is gone")
    assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0, answer
