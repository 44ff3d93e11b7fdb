"""Records that are posted: what of a body becomes a record, who may post, and what a success is
worth. Clients speak to the real binary."""

import contextlib
import gzip
import http.client
import json
import os
import signal
import socket
import subprocess
import uuid

import pytest
import zstandard

import harness
import outputs
import posts
from certificates import with_tls
from posts import BEARER, JSON, NDJSON, TEXT, TOKEN, numbered, post

# How many clients hold a connection and do nothing with it.
IDLERS = int(os.environ.get("STANDPIPE_TEST_IDLERS", "300"))
# How often a daemon is killed right behind its answer.
KILLS = int(os.environ.get("STANDPIPE_TEST_HTTP_KILLS", "5"))
MIB = 1024 * 1024


@pytest.fixture
def served(daemon, tmp_path):
    """Makes a daemon with one stream `s`, and answers it with the URL that is posted to."""

    def make(lines=True, **options):
        port = harness.free_port()
        streams = {"s": posts.stream(port, tmp_path / "bucket", lines, **options)}
        return posts.ready(daemon(streams), port), f"http://127.0.0.1:{port}/s"

    return make


# ------------------------------------------------------------------------- from body to records

BODIES = {
    "ndjson": (NDJSON, b'{"a": 1}\r\n\n["x"]\n  \n7', [b'{"a": 1}', b'["x"]', b"7"]),
    "array": (
        JSON,
        ' [ {"b":"],"} ,"ü\\n", null,[1, 2] ]\n'.encode(),
        [b'{"b":"],"}', '"ü\\n"'.encode(), b"null", b"[1, 2]"],
    ),
    "document": (JSON, b'\n {"a": [1,\t2]} ', [b'{"a": [1,\t2]}']),
    "empty-array": (JSON, b"[]", []),
    "suffix": ({"Content-Type": "application/cloudevents+json"}, b'{"id":1}', [b'{"id":1}']),
    "lines": (TEXT, b"one\r\n\n two \xff\nthree", [b"one", b" two \xff", b"three"]),
    "nothing": (TEXT, b"", []),
}


def test_a_content_type_says_what_a_body_is(served, tmp_path):
    d, url = served()
    expected = []
    for name, (headers, body, records) in BODIES.items():
        answer = post(url, body, headers)
        assert (answer.status, answer.json["accepted"]) == (200, len(records)), (name, answer)
        expected += records
    assert posts.landed(d, tmp_path / "bucket", len(expected)) == expected


def test_a_raw_body_is_one_record_of_any_bytes(served, tmp_path):
    d, url = served(lines=False)
    body = bytes(range(256)) * 3 + b"\n\r\n"
    for headers in ({}, {"Content-Type": "application/octet-stream"}):
        assert post(url, body, headers).json["accepted"] == 1
    harness.wait_for(lambda: posts.idle(d, "s"), "both are delivered", pause=0.05)
    assert outputs.written(tmp_path / "bucket") == body * 2


FORMATS = {
    "ndjson": (b'[1,2]\n["3"]\n', [b"[1,2]", b'["3"]']),
    "lines": (b'[1,2]\n["3"\n', [b"[1,2]", b'["3"']),
    "json": (b'[1,"2"]', [b"1", b'"2"']),
    "raw": (b'[1,"2"]', [b'[1,"2"]']),
}


def test_a_format_that_is_set_goes_before_the_content_type(daemon, tmp_path):
    port = harness.free_port()
    streams = {name: posts.stream(port, tmp_path / name, format=name) for name in FORMATS}
    d = posts.ready(daemon(streams), port)
    for name, (body, expected) in FORMATS.items():
        # A form is refused by its type, but here nobody asks for it.
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = post(f"http://127.0.0.1:{port}/{name}", body, form)
        assert answer.status == 200, (name, answer)
        posts.assert_landed(d, tmp_path / name, expected, name)


def test_packed_bodies(served, tmp_path):
    d, url = served()
    # More than one part of 4 MiB.
    sent = {"gzip": numbered(0, 90, pad=50_000), "zstd": numbered(100, 90, pad=50_000)}
    for encoding, pack in {"gzip": gzip.compress, "zstd": zstandard.compress}.items():
        headers = {"Content-Encoding": encoding, **NDJSON}
        body = pack(posts.ndjson(sent[encoding]))
        assert post(url, body, headers).json == {"accepted": 90, "repeated": False}
        # Of a packed body a piece is no body.
        assert post(url, body[:-20], headers).status == 400
        assert post(url, b"plain", headers).status == 400
    posts.assert_landed(d, tmp_path / "bucket", sent["gzip"] + sent["zstd"])


def test_encodings_and_forms_that_nobody_knows(served, tmp_path):
    d, url = served()
    for headers in (
        {"Content-Encoding": "br", **NDJSON},
        {"Content-Encoding": "gzip, gzip", **NDJSON},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
    ):
        assert post(url, b"1\n", headers).status == 415, headers
    posts.assert_nothing_landed(d, tmp_path / "bucket")


BAD = {
    "line": (NDJSON, b'{"a":1}\n{"a":2}\n{"a":,}\n{"a":4}\n', "line 3, column 6"),
    "half": (NDJSON, b'{"a":1}\n{"a":2', "line 2"),
    "two": (NDJSON, b"1 2\n", "line 1, column 3"),
    "bytes": (NDJSON, b'1\n"\xff"\n', "line 2, column 2"),
    "array": (JSON, b'[{"a":1},\n {"a":2},\n {]', "line 3, column 3"),
    "tail": (JSON, b'{"a":1}\n{"a":2}', "line 2, column 1"),
    "deep": (JSON, b"[" * 200 + b"]" * 200, "line 1"),
}


def test_bad_json_is_refused_with_its_place_and_nothing_is_stored(served, tmp_path):
    d, url = served()
    for name, (headers, body, place) in BAD.items():
        answer = post(url, body, headers)
        assert answer.status == 400, (name, answer)
        assert place in answer.json["error"], (name, answer)
        assert "nothing of the body is stored" in answer.json["error"], (name, answer)
    assert post(url, b'"good"\n', NDJSON).status == 200
    posts.assert_landed(d, tmp_path / "bucket", [b'"good"'])


def test_what_is_too_large_is_refused(served, tmp_path):
    d, url = served(max_body_size="2MiB")
    # The largest record, and one byte more.
    largest = b'"%s"' % (b"r" * 1_023_998)
    assert post(url, largest + b"\n1\n", NDJSON).json["accepted"] == 2
    answer = post(url, b"1\n" + largest.replace(b"r", b"rr", 1), NDJSON)
    assert answer.status == 413 and "line 2" in answer.json["error"], answer
    # The largest body, and one byte more.
    assert post(url, b" " * (2 * MIB - 1) + b"2", JSON).json["accepted"] == 1
    answer = post(url, b" " * (2 * MIB) + b"2", JSON)
    assert answer.status == 413 and "max_body_size" in answer.json["error"], answer
    # Small as they are sent, and a GiB when they are unpacked: members behind one another.
    zeros = b"\0" * (8 * MIB)
    bombs = {"gzip": gzip.compress(zeros) * 128, "zstd": zstandard.compress(zeros) * 128}
    for encoding, bomb in bombs.items():
        assert len(bomb) < 2 * MIB
        answer = post(url, bomb, {"Content-Encoding": encoding})
        assert answer.status == 413, (encoding, answer)
    posts.assert_landed(d, tmp_path / "bucket", [largest, b"1", b"2"])


def test_a_body_of_unknown_length(served, tmp_path):
    d, url = served(max_body_size="1MiB")
    sent = numbered(0, 100)
    pieces = lambda records: (record + b"\n" for record in records)  # noqa: E731
    assert post(url, pieces(sent), NDJSON).json["accepted"] == 100
    # It is cut off when it grows too long, not when it ends.
    with posts.raw_connection(url) as (one, answer):
        one.sendall(b"POST /s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        # Whether all of it can be sent does not matter.
        with contextlib.suppress(OSError):
            for _ in range(2_000):
                one.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert b" 413 " in answer.readline()
    posts.assert_landed(d, tmp_path / "bucket", sent)


# --------------------------------------------------------------------------------- who may post


def test_streams_share_a_listener_by_path_and_by_token(daemon, tmp_path):
    port = harness.free_port()
    other = ["a second one", "a third one"]
    streams = {
        "first": posts.stream(port, tmp_path / "first", token=TOKEN),
        "second": posts.stream(port, tmp_path / "second", token=other, path="/deep/er"),
        # The path of the first, told from it by the credential.
        "third": posts.stream(
            port,
            tmp_path / "third",
            basic={"username": "Ü", "password": "p:w"},
            path="/first",
        ),
    }
    d = posts.ready(daemon(streams), port)
    url = f"http://127.0.0.1:{port}"
    told = {f"Bearer {token}" for token in other}
    bearers = [{"Authorization": text} for text in sorted(told)]
    assert post(url + "/first", b"1", BEARER, JSON).status == 200
    assert post(url + "/first/", b"2", {"authorization": f"bearer {TOKEN}"}, JSON).status == 200
    assert post(url + "/deep/er", b"3", bearers[0], JSON).status == 200
    assert post(url + "/deep/er", b"4", bearers[1], JSON).status == 200
    assert post(url + "/first", b"5", posts.basic("Ü", "p:w"), JSON).status == 200
    refused = [
        ("/first", {}),
        ("/first", bearers[0]),
        ("/first", {"Authorization": "Bearer "}),
        ("/first", {"Authorization": TOKEN}),
        ("/first", {"Authorization": f"Bearer {TOKEN}x"}),
        ("/first", posts.basic("Ü", "p:W")),
        ("/first", posts.basic("U", "p:w")),
        ("/deep/er", BEARER),
    ]
    for path, headers in refused:
        answer = post(url + path, b"0", headers, JSON)
        assert answer.status == 401, (path, headers, answer)
        assert "realm=" in answer.headers["WWW-Authenticate"], answer
        assert TOKEN not in answer.body.decode()
    assert post(url + "/", b"0", BEARER, JSON).status == 404
    assert post(url + "/second", b"0", bearers[0], JSON).status == 404
    answer = post(url + "/first", b"", BEARER, method="GET")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST"), answer
    for name, records in {"first": [b"1", b"2"], "second": [b"3", b"4"], "third": [b"5"]}.items():
        posts.assert_landed(d, tmp_path / name, records, name)
    metrics = d.metrics()
    assert metrics["standpipe_incoming_records_total", {"stream": "first"}] == 2
    assert TOKEN not in d.log() and TOKEN not in metrics.text


def test_a_token_in_a_file_is_changed_without_a_restart(served, tmp_path):
    token = tmp_path / "token"
    token.write_text("old\n")
    d, url = served(token={"file": str(token)})
    old, new = {"Authorization": "Bearer old"}, {"Authorization": "Bearer new"}
    assert post(url, b"1", old, JSON).status == 200
    assert post(url, b"0", new, JSON).status == 401
    token.write_text("new\n")
    # Posted records are no test of whether it has changed: an empty body is one without any.
    harness.wait_for(lambda: post(url, b"", new, JSON).status == 200, "the new token is taken")
    assert post(url, b"0", old, JSON).status == 401
    assert post(url, b"2", new, JSON).status == 200
    posts.assert_landed(d, tmp_path / "bucket", [b"1", b"2"])


def test_a_web_page_may_not_post_to_a_stream_without_credentials(served, tmp_path):
    d, url = served()
    page = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    assert post(url, b"1", JSON, page).status == 403
    assert post(url, b"2", JSON).status == 200
    posts.assert_landed(d, tmp_path / "bucket", [b"2"])


def problems(daemon):
    """What `validate` says of a configuration that it does not take."""
    daemon.write_config()
    done = subprocess.run(
        [harness.BINARY, "validate", str(daemon.config_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


REFUSED = {
    "anybody": ({}, "anybody could post"),
    "anonymous-outside": ({"listen": "0.0.0.0:4999", "anonymous": True}, "loopback address only"),
    "plain-outside": ({"listen": "0.0.0.0:4999", "token": "t"}, "plain_http"),
    "both": ({"anonymous": True, "token": "t"}, "exclude each other"),
    "other-credential": ({"access_key": "k"}, "is not for `protocol: records`"),
    "path": ({"token": "t", "path": "s"}, "must begin with /"),
    "size": ({"token": "t", "max_body_size": "1GiB"}, "between 1KiB and 64MiB"),
}


def test_validate_refuses_what_is_unsafe(daemon, tmp_path):
    """All of it at once: each under the stream that it is said of."""
    destinations = [harness.local(tmp_path / "bucket")]
    streams = {
        name: {"source": {"http": options}, "destinations": destinations}
        for name, (options, _) in REFUSED.items()
    }
    # Those above take no place of one another; these two do.
    for name in ("one", "two"):
        options = {"listen": "127.0.0.1:4998", "token": "t", "path": "/same"}
        streams[name] = {"source": {"http": options}, "destinations": destinations}
    text = problems(daemon(streams, start=False))
    for name, (_, said) in REFUSED.items():
        assert name in text and said in text, (name, text)
    assert "/same" in text and "different paths or credentials" in text, text


@pytest.mark.parametrize("protocol", ["splunk_hec", "otlp"])
def test_validate_refuses_two_of_a_protocol_on_one_path(daemon, tmp_path, protocol):
    make = lambda **options: {  # noqa: E731
        "source": posts.source(4998, protocol=protocol, **options),
        "destinations": [harness.local(tmp_path / "bucket")],
    }
    d = daemon({"one": make(token="t"), "two": make(token="t")}, start=False)
    assert "different paths or credentials" in problems(d)
    d.config["streams"]["two"] = make(token="u")
    d.write_config()
    d.command("validate", str(d.config_path))
    d.config["streams"]["two"] = make(token="t", path="/two")
    d.write_config()
    d.command("validate", str(d.config_path))
    tls = {"certificate": "/x.crt", "key": {"file": "/x.key"}}
    d.config["streams"]["two"] = make(token="t", path="/two", tls=tls)
    assert "must agree" in problems(d)


def test_tls(daemon, tmp_path, certificates):  # noqa: F811
    port = harness.free_port()
    files = with_tls(certificates, "server")
    tls = {"certificate": str(files["certificate"]), "key": {"file": str(files["key"])}}
    # Everybody's address, for the credential and the certificate allow it.
    streams = {"s": posts.stream(port, tmp_path / "bucket", token=TOKEN, tls=tls)}
    streams["s"]["source"]["http"]["listen"] = f"0.0.0.0:{port}"
    d = posts.ready(daemon(streams), port)
    ca = certificates / "ca.crt"
    url = f"https://localhost:{port}/s"
    sent = numbered(0, 50, pad=50_000)
    assert post(url, posts.ndjson(sent), BEARER, NDJSON, ca=ca).json["accepted"] == len(sent)
    assert post(url, b"0", JSON, ca=ca).status == 401
    with pytest.raises((OSError, http.client.HTTPException)):
        post(url.replace("https", "http"), b"0", BEARER, JSON)
    posts.assert_landed(d, tmp_path / "bucket", sent)


# ------------------------------------------------------------------------ what a success is worth


def test_a_repeated_request_is_stored_once(served, tmp_path):
    d, url = served(token=TOKEN)
    # Several parts of 4 MiB.
    sent = numbered(0, 90, pad=100_000)
    body, key = posts.ndjson(sent), {"Idempotency-Key": str(uuid.uuid4())}
    assert post(url, body, BEARER, NDJSON, key).json == {"accepted": 90, "repeated": False}
    assert post(url, body, BEARER, NDJSON, key).json == {"accepted": 90, "repeated": True}
    d.kill()
    d.start()
    posts.ready(d, posts.port_of(url))
    assert post(url, body, BEARER, NDJSON, key).json == {"accepted": 90, "repeated": True}
    # Another body, or no key: another request.
    assert post(url, b"1", BEARER, NDJSON, key).json == {"accepted": 1, "repeated": False}
    for _ in range(2):
        assert post(url, b"2", BEARER, NDJSON).json == {"accepted": 1, "repeated": False}
    for bad in ("", "x" * 257):
        assert post(url, b"0", BEARER, NDJSON, {"Idempotency-Key": bad}).status == 400
    posts.assert_landed(d, tmp_path / "bucket", [*sent, b"1", b"2", b"2"])


def test_what_was_answered_outlives_a_kill(daemon, tmp_path):
    """Each answer is followed by kill -9; whatever had no answer is sent again under its key."""
    port = harness.free_port()
    d = posts.ready(daemon({"s": posts.stream(port, tmp_path / "bucket")}), port)
    url, sent = f"http://127.0.0.1:{port}/s", []
    for number in range(KILLS):
        records = numbered(1_000 * number, 500, pad=100)
        assert post(url, posts.ndjson(records), NDJSON).status == 200
        sent += records
        # One more is under way when the daemon ends.
        more, key = numbered(1_000 * number + 500, 500, pad=100), {"Idempotency-Key": str(number)}
        body = posts.ndjson(more)
        with contextlib.closing(posts.connect(url)) as connection:
            connection.request("POST", "/s", body, {**NDJSON, **key})
            d.kill()
        d.start()
        posts.ready(d, port)
        assert post(url, body, NDJSON, key).json["accepted"] == 500
        sent += more
    posts.assert_landed(d, tmp_path / "bucket", sent)


def test_a_full_journal_tells_when_to_come_again(daemon, tmp_path):
    port, s3_server = harness.free_port(), harness.S3Server(tmp_path / "versitygw")
    streams = {
        "s": {
            "source": posts.source(port),
            "journal": {"max_size": "128MiB"},
            "destinations": [harness.bucket("bucket", s3_server)],
        }
    }
    d = posts.ready(daemon(streams, aws=harness.outgoing()), port)
    url, stored = f"http://127.0.0.1:{port}/s", 0
    line = lambda number: b"%08d" % number + b"." * 999_991  # noqa: E731
    keyed = lambda number: {"Idempotency-Key": str(number), **TEXT}  # noqa: E731
    body = lambda number: b"\n".join(line(10 * number + n) for n in range(10))  # noqa: E731
    for number in range(20):
        answer = post(url, body(number), keyed(number))
        if answer.status != 200:
            break
        stored += answer.json["accepted"]
    assert answer.status == 503 and "full" in answer.json["error"], answer
    assert int(answer.headers["Retry-After"]) > 0, answer
    # Of a request of several parts the first ones may be in.
    assert answer.json["accepted"] < 10 and stored == 10 * number
    assert post(url, body(number), keyed(number)).status == 503
    s3_server.start()
    try:
        s3_server.client().create_bucket(Bucket="bucket")

        def taken():
            d.flush("s")
            return post(url, body(number), keyed(number)).status == 200

        # The same request again stores the rest, and nothing twice.
        harness.wait_for(taken, "there is room again", pause=0.2)
        size = 10 * (number + 1) * len(line(0))
        found = harness.delivered_to_s3(d, "s", s3_server, "bucket", size)
        data = b"".join(found[key]["Body"] for key in sorted(found))
        ids = [int(data[at : at + 8]) for at in range(0, len(data), len(line(0)))]
        assert sorted(ids) == list(range(10 * (number + 1)))
    finally:
        s3_server.stop()


# ------------------------------------------------------------------------------ bad neighbours


def head(length):
    return (
        b"POST /s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    )


def test_half_requests_store_nothing_and_harm_nobody(served, tmp_path):
    d, url = served()
    with contextlib.ExitStack() as stack:
        for number in range(IDLERS):
            one, _ = stack.enter_context(posts.raw_connection(url))
            # Nothing, half a head, half a body, half a body and gone.
            if number % 4 == 1:
                one.sendall(head(100)[:40])
            elif number % 4 >= 2:
                one.sendall(head(1_000_000) + b"half\n" * 100)
            if number % 4 == 3:
                one.close()
        sent = numbered(0, 200)
        for record in sent:
            assert post(url, record, TEXT).status == 200
        # All of them are still there, and the daemon ends all the same.
        posts.assert_landed(d, tmp_path / "bucket", sent)
        assert d.terminate(30) == 0
    assert b"half" not in outputs.written(tmp_path / "bucket")


def test_a_client_that_leaves_early_is_stored_whole_or_not_at_all(served, tmp_path):
    d, url = served()
    body = posts.ndjson(numbered(0, 100))
    for cut in (1, len(body) // 2, len(body) - 1):
        with posts.raw_connection(url) as (one, _):
            one.sendall(head(len(body)) + body[:cut])
    # An answer that nobody reads.
    with posts.raw_connection(url) as (one, _):
        one.sendall(head(len(body)) + body)
    posts.assert_landed(d, tmp_path / "bucket", numbered(0, 100))


def test_a_slow_client_is_waited_for(served, tmp_path):
    """Its body comes in pieces, each after a whole request of somebody else's."""
    d, url = served()
    slow, others = numbered(1_000, 50), numbered(0, 50)
    body = posts.ndjson(slow)
    with posts.raw_connection(url) as (one, answer):
        one.sendall(head(len(body)))
        for number, record in enumerate(slow):
            assert post(url, others[number], TEXT).status == 200
            one.sendall(record + b"\n")
        assert b" 200 " in answer.readline()
    posts.assert_landed(d, tmp_path / "bucket", slow + others)


def test_a_connection_is_used_again(served, tmp_path):
    d, url = served()
    sent = numbered(0, 300)
    with contextlib.closing(posts.connect(url)) as connection:
        opened = None
        for record in sent:
            connection.request("POST", "/s", record, JSON)
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())["accepted"]) == (200, 1)
            opened = opened or connection.sock
            assert connection.sock is opened
    assert posts.landed(d, tmp_path / "bucket", len(sent)) == sent


# ---------------------------------------------------------------------------- coming and going


def test_reload_adds_changes_and_removes_streams(daemon, tmp_path):
    port, elsewhere = harness.free_port(), harness.free_port()
    folders = {name: tmp_path / name for name in ("stays", "goes", "comes")}
    d = daemon({name: posts.stream(port, folders[name]) for name in ("stays", "goes")})
    posts.ready(d, port)
    url = f"http://127.0.0.1:{port}"
    assert post(url + "/goes", b"1", JSON).status == 200
    with contextlib.closing(posts.connect(url)) as kept:
        put = lambda record: kept.request("POST", "/stays", record, JSON)  # noqa: E731
        put(b"1")
        assert status_of(kept) == 200
        d.config["streams"] = {
            "stays": posts.stream(port, folders["stays"]),
            "comes": posts.stream(elsewhere, folders["comes"], token=TOKEN, path="/in"),
        }
        d.write_config()
        d.process.send_signal(signal.SIGHUP)
        posts.ready(d, elsewhere)
        assert post(f"http://127.0.0.1:{elsewhere}/in", b"1", JSON, BEARER).status == 200

        def gone():
            answer = post(url + "/goes", b"", JSON)
            return answer.status in (404, 503) and answer

        answer = harness.wait_for(gone, "the stream is gone")
        # For a while it may come back.
        assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0, answer
        # Who stays does not notice.
        put(b"2")
        assert status_of(kept) == 200
    posts.assert_landed(d, folders["stays"], [b"1", b"2"], "stays")
    posts.assert_landed(d, folders["comes"], [b"1"], "comes")
    # It comes back on the other address, under another token; the first address is let go of.
    d.config["streams"] = {"goes": posts.stream(elsewhere, folders["goes"], token=TOKEN)}
    d.write_config()
    d.process.send_signal(signal.SIGHUP)
    goes = f"http://127.0.0.1:{elsewhere}/goes"

    def back():
        with contextlib.suppress(OSError):
            return post(goes, b"", BEARER, JSON).status == 200

    harness.wait_for(back, "the stream is back")
    assert post(goes, b"2", BEARER, JSON).status == 200
    harness.wait_for(lambda: not harness.listening(port), "the first address is free")
    posts.assert_landed(d, folders["goes"], [b"1", b"2"], "goes")


def status_of(connection):
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_an_address_that_is_taken_is_waited_for(daemon, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        d = daemon({"s": posts.stream(port, tmp_path / "bucket")})
        # Not ready yet, and the reason is told.
        harness.wait_for(lambda: "cannot listen on" in d.log(), "it is told")
    posts.ready(d, port)
    said = lambda: post(f"http://127.0.0.1:{port}/s", b"", JSON).status == 200  # noqa: E731
    harness.wait_for(said, "it listens")
    assert post(f"http://127.0.0.1:{port}/s", b"1", JSON).status == 200
    posts.assert_landed(d, tmp_path / "bucket", [b"1"])


def test_requests_under_way_are_answered_when_the_daemon_ends(served, tmp_path):
    d, url = served()
    body = posts.ndjson(numbered(0, 10))
    with posts.raw_connection(url) as (one, answer):
        one.sendall(head(len(body)) + body[:10])
        d.process.send_signal(signal.SIGTERM)
        # The rest does not come: the daemon says so and goes.
        line = answer.readline()
        assert line == b"" or b" 503 " in line, line
        assert d.process.wait(30) == 0
    d.start()
    posts.ready(d, posts.port_of(url))
    posts.assert_nothing_landed(d, tmp_path / "bucket")
