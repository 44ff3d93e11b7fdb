"""Who may call: signatures in headers and in the query, good ones and bad ones."""

import datetime
import hashlib
import hmac
import json
import urllib.parse

import botocore.auth
import pytest
from botocore.exceptions import ClientError

import harness
from test_api import code_of, headers_of

PUT = b'{"DeliveryStreamName":"s","Record":{"Data":"aGVsbG8="}}'


@pytest.fixture
def served(daemon, tmp_path):
    return daemon({"s": {"destinations": [harness.local(tmp_path / "bucket")]}})


def put(client):
    return client.put_record(DeliveryStreamName="s", Record={"Data": b"hello"})


def test_any_region_is_taken(served):
    assert put(served.firehose(region_name="ap-southeast-2"))["RecordId"]


@pytest.mark.parametrize(
    "options, code",
    [
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKIAUNKNOWNUNKNOWN00"}, "UnrecognizedClientException"),
    ],
)
def test_wrong_keys_are_refused(served, options, code):
    with pytest.raises(ClientError) as error:
        put(served.firehose(**options))
    assert code_of(error) == code
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] in {400, 403}


def test_session_tokens_are_compared(daemon, tmp_path):
    key = {
        "access_key_id": "ASIATOKENTOKENTOKEN0",
        "secret_access_key": "with/token",
        "session_token": "the-token",
    }
    d = daemon(
        {"s": {"destinations": [harness.local(tmp_path / "bucket")]}}, api={"credentials": [key]}
    )
    keys = {
        "aws_access_key_id": key["access_key_id"],
        "aws_secret_access_key": key["secret_access_key"],
    }
    assert put(d.firehose(**keys, aws_session_token="the-token"))["RecordId"]
    for token in [None, "another"]:
        with pytest.raises(ClientError) as error:
            put(d.firehose(**keys, aws_session_token=token))
        assert code_of(error) in {"UnrecognizedClientException", "InvalidSignatureException"}


def test_expired_keys_are_refused(daemon, tmp_path):
    key = {
        "access_key_id": "ASIAEXPIREDEXPIRED00",
        "secret_access_key": "expired",
        "expires": "2020-01-01T00:00:00Z",
    }
    d = daemon(
        {"s": {"destinations": [harness.local(tmp_path / "bucket")]}}, api={"credentials": [key]}
    )
    with pytest.raises(ClientError) as error:
        put(d.firehose(aws_access_key_id=key["access_key_id"], aws_secret_access_key="expired"))
    assert code_of(error) == "ExpiredTokenException"


def test_a_file_of_keys_is_read_again(daemon, tmp_path):
    file = tmp_path / "keys.yaml"

    def write(*keys):
        new = file.with_suffix(".new")
        new.write_text(json.dumps([{"access_key_id": k, "secret_access_key": "s"} for k in keys]))
        new.chmod(0o600)
        new.replace(file)

    def accepted(key):
        try:
            return put(d.firehose(aws_access_key_id=key, aws_secret_access_key="s"))["RecordId"]
        except ClientError as error:
            assert error.response["Error"]["Code"] == "UnrecognizedClientException"
            return None

    write("AKIAFIRST")
    d = daemon(
        {"s": {"destinations": [harness.local(tmp_path / "bucket")]}},
        api={"credentials_file": str(file)},
    )
    assert accepted("AKIAFIRST") and not accepted("AKIASECOND")
    write("AKIASECOND")
    harness.wait_for(lambda: accepted("AKIASECOND"), "the new key is taken", pause=0.2)
    assert not accepted("AKIAFIRST"), "the old key is still taken"
    # A broken file changes nothing.
    file.write_text("- {access_key_id: ")
    harness.wait_for(lambda: str(file) in d.log(), "the mistake is logged")
    assert accepted("AKIASECOND")


def test_unsigned_requests_are_refused(served):
    status, text = served.raw("POST", "/", PUT, headers_of("PutRecord"))
    assert status in {400, 403}
    assert json.loads(text)["__type"].endswith("MissingAuthenticationTokenException")


def test_unsigned_requests_pass_where_the_configuration_says_so(daemon, tmp_path):
    d = daemon(
        {"s": {"destinations": [harness.local(tmp_path / "bucket")]}}, api={"anonymous": True}
    )
    status, text = d.raw("POST", "/", PUT, headers_of("PutRecord"))
    assert status == 200, text


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def presigned(daemon, body, at=None, expires=300, secret=harness.SECRET_KEY):
    """Path and headers of a request whose signature stands in the query."""
    at = at or datetime.datetime.now(datetime.timezone.utc)
    stamp, day = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
    scope = f"{day}/{harness.REGION}/firehose/aws4_request"
    headers = {**headers_of("PutRecord"), "Host": f"127.0.0.1:{daemon.port}"}
    signed = {name.lower(): value for name, value in headers.items()}
    names = ";".join(sorted(signed))
    query = urllib.parse.urlencode(
        sorted(
            {
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
                "X-Amz-Credential": f"{harness.ACCESS_KEY}/{scope}",
                "X-Amz-Date": stamp,
                "X-Amz-Expires": str(expires),
                "X-Amz-SignedHeaders": names,
            }.items()
        ),
        quote_via=urllib.parse.quote,
        safe="-_.~",
    )
    lines = [f"{name}:{signed[name]}" for name in sorted(signed)]
    canonical = "\n".join(
        ["POST", "/", query, *lines, "", names, hashlib.sha256(body).hexdigest()]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = _hmac(f"AWS4{secret}".encode(), day)
    for part in (harness.REGION, "firehose", "aws4_request"):
        key = _hmac(key, part)
    signature = _hmac(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}").hex()
    return f"/?{query}&X-Amz-Signature={signature}", headers


def test_presigned_requests(served):
    path, headers = presigned(served, PUT)
    status, text = served.raw("POST", path, PUT, headers)
    assert status == 200, text


@pytest.mark.parametrize(
    "change",
    [
        {"secret": "wrong"},
        {"at": datetime.timedelta(minutes=-10), "expires": 60},
        {"at": datetime.timedelta(minutes=20)},
    ],
    ids=["wrong secret", "expired", "from the future"],
)
def test_bad_presigned_requests(served, change):
    if "at" in change:
        change = {**change, "at": datetime.datetime.now(datetime.timezone.utc) + change["at"]}
    path, headers = presigned(served, PUT, **change)
    status, text = served.raw("POST", path, PUT, headers)
    assert status in {400, 403}
    assert "Exception" in json.loads(text)["__type"]


def test_a_changed_body_breaks_the_signature(served):
    path, headers = presigned(served, PUT)
    status, text = served.raw("POST", path, PUT.replace(b"aGVsbG8", b"aGVsbG9"), headers)
    assert status in {400, 403}, text


def test_a_skewed_clock_is_refused(served, monkeypatch):
    skewed = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=20)
    client = served.firehose()
    assert put(client)["RecordId"]
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: skewed)
    with pytest.raises(ClientError) as error:
        put(client)
    assert code_of(error) == "InvalidSignatureException"
    assert "Signature expired" in error.value.response["Error"]["Message"]
