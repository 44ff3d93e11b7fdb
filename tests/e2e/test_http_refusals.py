"""HTTP endpoints that answer with no success, that refuse us, or that are not to be trusted."""

import pytest

import harness
import outputs
from certificates import with_tls
from http_deliveries import KEY, NAME, REFUSED, codes, failures, lines, settled, stream, to

# ----------------------------------------------------------------- what does not pass in time

INVALID = "HttpEndpoint.InvalidResponseFromDestination"
STATUS = "HttpEndpoint.InvalidStatusCode"
RESET = "HttpEndpoint.ConnectionReset"
SLOW = "HttpEndpoint.RequestTimeout"
# Whatever is not a 200 by the rules of the protocol is a failure.
FAULTS = {
    "400": ({"status": 400}, REFUSED),
    "404": ({"status": 404}, REFUSED),
    "429": ({"status": 429}, REFUSED),
    "500": ({"status": 500}, REFUSED),
    "503": ({"status": 503, "headers": {"Retry-After": "3600"}}, REFUSED),
    "no-json": ({"status": 502, "body": "<html>", "headers": {"Content-Type": None}}, REFUSED),
    "201": ({"status": 201, "take": False}, STATUS),
    "204": ({"status": 204, "body": None, "take": False}, STATUS),
    "redirect": ({"status": 302, "headers": {"Location": "/_requests"}}, STATUS),
    "other-id": ({"request_id": "5f1e9a1e-0000-4000-8000-000000000000"}, INVALID),
    "no-id": ({"request_id": None}, INVALID),
    "no-timestamp": ({"timestamp": None}, INVALID),
    "timestamp-as-text": ({"timestamp": "now"}, INVALID),
    "more-fields": ({"fields": {"status": "ok"}}, INVALID),
    "no-object": ({"body": "OK"}, INVALID),
    "empty": ({"body": None}, INVALID),
    "text": ({"headers": {"Content-Type": "text/plain"}}, INVALID),
    "gzip": ({"gzip": True}, INVALID),
    "too-large": ({"size": 1_048_577}, "HttpEndpoint.ResponseTooLarge"),
    "reason": ({"reason": "x" * 65}, "HttpEndpoint.ResponseReasonPhraseExceededLimit"),
    "dropped": ({"end": "drop"}, RESET),
    "cut": ({"end": "cut"}, RESET),
    "hangs": ({"end": "hang"}, SLOW),
    "dribbles": ({"end": "dribble"}, SLOW),
    "floods": ({"end": "flood"}, "HttpEndpoint.ResponseTooLarge"),
}


def test_what_is_no_success_fails_when_the_time_is_over(daemon, endpoints, tmp_path):
    """One stream for each, so that none waits for another. A duration of 0 is one attempt."""
    streams, made = {}, {}
    for name, (step, _) in FAULTS.items():
        made[name] = endpoints(access_key=KEY)
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
    expected = {
        name: {b"one": (code, 1), b"two": (code, 1)} for name, (_, code) in FAULTS.items()
    }
    assert seen == expected
    assert {name: one.count() for name, one in made.items()} == dict.fromkeys(FAULTS, 1)


def test_an_endpoint_that_is_down_fails_its_records_in_the_end(daemon, endpoints, tmp_path):
    away = endpoints(access_key=KEY)
    away.close()
    options = {"retry": {"duration": "3s"}}
    d = daemon(stream(to(away.url, tmp_path / "bucket", **options)))
    sent = lines(0, 10)
    outputs.put(d, *sent)
    assert settled(d, len(sent))["failed"] == len(sent)
    found = codes(tmp_path / "bucket")
    assert set(found) == set(sent)
    assert {code for code, _ in found.values()} == {"HttpEndpoint.ConnectionFailed"}
    assert all(attempts >= 2 for _, attempts in found.values()), found


def test_what_the_endpoint_said_stands_in_the_error_output(daemon, endpoint, tmp_path):
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket", retry={"duration": "0s"})))
    endpoint.script({"status": 500, "message": "the disk of host 7 is full"})
    outputs.put(d, b"one")
    settled(d, 1)
    (line,) = failures(tmp_path / "bucket").values()
    assert "500" in line["errorMessage"] and "the disk of host 7 is full" in line["errorMessage"]
    assert KEY not in line["errorMessage"] and KEY not in d.log()


# --------------------------------------------------------------------------- we are refused


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_holds_and_loses_nothing(daemon, endpoints, tmp_path, status):
    endpoint = endpoints(access_key=KEY)
    endpoint.script({"times": 0, "status": status})
    options = {"retry": {"duration": "0s"}}
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket", **options)), shutdown_timeout="200ms")
    outputs.put(d, b"one")
    d.flush("s")
    harness.wait_for(lambda: endpoint.count() >= 2, "it is asked again")
    assert d.metrics()["standpipe_held", {"stream": "s", "destination": NAME}] == 1
    assert "held" in d.get("/health/ready")[1]
    outputs.put(d, b"two")
    endpoint.script()
    assert settled(d, 2)["delivered"] == 2
    assert not failures(tmp_path / "bucket")


def test_a_refused_key_fails_the_records_where_that_is_wanted(daemon, endpoints, tmp_path):
    endpoint = endpoints(access_key="another key")
    retry = {"duration": "0s", "on_denied": "backup"}
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket", retry=retry)))
    outputs.put(d, b"one")
    settled(d, 1)
    assert codes(tmp_path / "bucket") == {b"one": (REFUSED, 1)}


def test_a_key_in_a_file_is_read_again(daemon, endpoints, tmp_path):
    endpoint = endpoints(access_key="new key")
    file = tmp_path / "key"
    file.write_text("old key\n")
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket", access_key={"file": str(file)})))
    outputs.put(d, b"one")
    d.flush("s")
    harness.wait_for(lambda: endpoint.count() >= 1, "it is asked")
    file.write_text("new key\n")
    assert settled(d, 1)["delivered"] == 1


# --------------------------------------------------------------------------------------- TLS


def test_certificates_of_both_sides(daemon, endpoints, certificates, tmp_path):
    endpoint = endpoints(
        access_key=KEY, **with_tls(certificates, "server", client_ca=certificates / "ca.crt")
    )
    tls = {
        "ca_file": str(certificates / "ca.crt"),
        "certificate_file": str(certificates / "client.crt"),
        "key_file": str(certificates / "client.key"),
    }
    d = daemon(stream(to(endpoint.url, tmp_path / "bucket", tls=tls)))
    sent = lines(0, 100)
    outputs.put(d, *sent)
    settled(d, len(sent))
    assert endpoint.records() == sent
    assert endpoint.handshake_failures == []


def test_a_certificate_that_is_not_trusted_is_told(daemon, endpoints, certificates, tmp_path):
    """Nothing is sent to a server that cannot show who it is, nor to one that wants to know who
    we are and is not told."""
    ca = {"ca_file": str(certificates / "ca.crt")}
    made = {
        "stranger": endpoints(access_key=KEY, **with_tls(certificates, "stranger")),
        "misnamed": endpoints(access_key=KEY, **with_tls(certificates, "misnamed")),
        "mutual": endpoints(
            access_key=KEY, **with_tls(certificates, "server", client_ca=certificates / "ca.crt")
        ),
        "plain": endpoints(access_key=KEY),
    }
    streams = {}
    for name, one in made.items():
        url = one.url.replace("http:", "https:")
        options = {"tls": ca, "retry": {"duration": "0s"}, "plain_http": False}
        streams[name] = {"destinations": [to(url, tmp_path / name, **options)]}
    d = daemon(streams)
    seen = {}
    for name in streams:
        outputs.put(d, b"one", stream=name)
        assert settled(d, 1, name)["failed"] == 1, name
        ((seen[name], attempts),) = codes(tmp_path / name).values()
        assert attempts == 1
        assert made[name].count() == 0
    assert seen == {
        "stranger": "HttpEndpoint.SSLHandshakeCertificatePathFailure",
        "misnamed": "HttpEndpoint.SSLHandshakeCertificatePathValidationFailure",
        "mutual": "HttpEndpoint.SSLHandshakeFailure",
        "plain": "HttpEndpoint.SSLHandshakeFailure",
    }
