"""A cluster of Amazon MSK that is known by its ARN: its brokers are asked for, and asked for again
until there is an answer that can be used."""

import socket

import botocore.credentials
import pytest

import harness
import kafka
import msk_api

REGION = "eu-west-1"
ARN = f"arn:aws:kafka:{REGION}:123456789012:cluster/events_1/0f0e0d0c-0b0a-4908-8706-050403020100-2"
IAM = {"sasl": {"mechanism": "aws_msk_iam"}}
SCRAM = {
    "sasl": {
        "mechanism": "scram_sha512",
        "username": kafka.SCRAM[0],
        "password": kafka.SCRAM[1],
    }
}
# Nobody listens there: who is told of it in vain must not go there.
NOWHERE = "127.0.0.1:1"


@pytest.fixture
def msk():
    one = msk_api.MskApi(harness.ACCESS_KEY, harness.SECRET_KEY)
    yield one
    one.close()
    assert one.mistakes == []


@pytest.fixture
def listeners():
    """Makes sockets that listen; nobody is let in."""
    made = []

    def make():
        made.append(socket.create_server(("127.0.0.1", 0)))
        made[-1].settimeout(60)
        return made[-1]

    yield make
    for one in made:
        one.close()


def aws(msk, **more):
    return {"msk_endpoint": msk.url, **harness.outgoing(), **more}


def stream(topic, folder, **options):
    given = {"cluster_arn": ARN, "topics": [topic], "group": topic, "start": "earliest", **options}
    destination = harness.local(folder, buffering={"size": "1MiB", "interval": "1s"})
    return {"s": {"source": {"kafka": given}, "destinations": [destination]}}


def at(listener):
    return f"127.0.0.1:{listener.getsockname()[1]}"


def assert_dialled(listener):
    """Somebody comes and says hello as TLS does: a record of a handshake."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(60)
        assert connection.recv(1) == b"\x16"


def assert_read(folder, content):
    def delivered():
        return b"".join(path.read_bytes() for path in harness.files(folder).values())

    harness.wait_for(lambda: delivered() == content, "the records are delivered", pause=0.1)


@pytest.mark.parametrize("way", ["PlainText", "SaslScram", "Tls"])
def test_the_brokers_of_the_way_that_is_spoken_are_read_from(
    daemon, topics, tmp_path, msk, certificates, way
):
    broker = topics.kafka
    tls = {"ca": "ca.crt", "certificate": "client.crt"}
    tls = {key: str(certificates / name) for key, name in tls.items()}
    tls["key"] = {"file": str(certificates / "client.key")}
    security, brokers = {
        "PlainText": ({}, broker.brokers),
        "SaslScram": (SCRAM, broker.sasl_brokers),
        "Tls": ({"tls": tls}, broker.tls_brokers),
    }[way]
    others = {one: NOWHERE for one in ["PlainText", "Tls", "SaslScram", "SaslIam", "PublicTls"]}
    msk.cluster(ARN, **{**others, way: brokers})
    topic, folder = topics.create(1), tmp_path / "bucket"
    topics.write(topic, b"a\n", b"b\n")
    d = daemon(stream(topic, folder, **security), aws=aws(msk))
    assert_read(folder, b"a\nb\n")
    assert d.terminate() == 0


@pytest.mark.parametrize("connectivity", ["private", "public"])
def test_brokers_that_take_iam_are_dialled(daemon, tmp_path, msk, listeners, connectivity):
    own, other = listeners(), listeners()
    private, public = (own, other) if connectivity == "private" else (other, own)
    msk.cluster(
        ARN,
        SaslIam=f"{at(private)},{NOWHERE}",
        PublicSaslIam=f"{at(public)},{NOWHERE}",
        **{way: at(other) for way in ["PlainText", "Tls", "SaslScram", "VpcConnectivitySaslIam"]},
    )
    options = {"connectivity": connectivity, **IAM}
    d = daemon(stream("t", tmp_path / "bucket", **options), aws=aws(msk))
    assert_dialled(own)
    assert d.terminate() == 0
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.accept()


def test_a_stream_made_by_the_api_dials_with_the_daemons_own_keys(daemon, s3_server, msk, listeners):
    s3_server.client().create_bucket(Bucket="bucket")
    broker = listeners()
    msk.cluster(ARN, SaslIam=at(broker))
    # Beside a server that stands for AWS there is nobody who gives roles.
    d = daemon({}, aws=aws(msk, endpoint=s3_server.url))
    d.firehose().create_delivery_stream(
        DeliveryStreamName="s",
        DeliveryStreamType="MSKAsSource",
        MSKSourceConfiguration={
            "MSKClusterARN": ARN,
            "TopicName": "t",
            "AuthenticationConfiguration": {"RoleARN": harness.ROLE, "Connectivity": "PRIVATE"},
        },
        ExtendedS3DestinationConfiguration={
            "RoleARN": harness.ROLE,
            "BucketARN": "arn:aws:s3:::bucket",
        },
    )
    assert_dialled(broker)
    assert d.terminate() == 0


def unknown(msk, brokers):
    yield
    msk.cluster(ARN, PlainText=brokers)


def answers(name, status, message):
    def refuse(msk, brokers):
        msk.cluster(ARN, PlainText=brokers)
        msk.script(msk_api.refused(name, status, message))
        yield
        msk.script()

    return refuse


def wrong_key(msk, brokers):
    good = msk.keys
    msk.keys = botocore.credentials.Credentials(harness.ACCESS_KEY, "another")
    msk.cluster(ARN, PlainText=brokers)
    yield
    msk.keys = good


def another_way(msk, brokers):
    msk.cluster(ARN, SaslIam=NOWHERE)
    yield
    msk.cluster(ARN, SaslIam=NOWHERE, PlainText=brokers)


DENIED = "User: arn:aws:iam::123456789012:user/x is not authorized to perform this operation"


@pytest.mark.parametrize(
    "trouble, told",
    [
        (
            answers("AccessDeniedException", 403, DENIED),
            [DENIED, "(status 403)", "allow kafka:GetBootstrapBrokers on the cluster"],
        ),
        (unknown, ["NotFoundException (status 404)", "look at cluster_arn"]),
        (
            answers("TooManyRequestsException", 429, "Too Many Requests"),
            ["TooManyRequestsException (status 429): Too Many Requests"],
        ),
        (
            answers("ServiceUnavailableException", 503, "try later"),
            ["ServiceUnavailableException (status 503): try later"],
        ),
        (wrong_key, ["InvalidSignatureException", "look at the credentials of the `aws` section"]),
        (another_way, [f"{ARN} has no bootstrapBrokerString", "turn plain text on"]),
    ],
    ids=["denied", "unknown", "throttled", "unavailable", "wrong key", "another way"],
)
def test_what_is_refused_is_asked_again(daemon, topics, tmp_path, msk, trouble, told):
    trouble = trouble(msk, topics.kafka.brokers)
    next(trouble)
    topic, folder = topics.create(1), tmp_path / "bucket"
    topics.write(topic, b"a\n")
    d = daemon(stream(topic, folder), aws=aws(msk))
    msk.wait(requests=3)
    harness.wait_for(lambda: "no consumer of kafka; trying again" in d.log(), "it is told")
    for text in told:
        assert text in d.log()
    next(trouble, None)
    assert_read(folder, b"a\n")
    assert d.terminate() == 0
    assert harness.SECRET_KEY not in d.log()
