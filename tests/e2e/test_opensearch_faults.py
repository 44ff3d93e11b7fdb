"""OpenSearch: what becomes of records while a strict double of it answers what no real one does on
command, refuses us, or is not to be trusted."""

import base64
import collections
import json

import pytest

import harness
import outputs
from certificates import with_tls
from search_deliveries import (
    BASIC,
    COLLECTION_MEMBERS,
    INDEX,
    OF_BOTH,
    PASSWORD,
    SERVERLESS,
    backup,
    codes,
    failed,
    failures,
    ids,
    numbered,
    numbers,
    of_double,
    once,
    settled,
    stream,
    to,
    tried,
)

# ------------------------------------------------------------------------ faults on command


def test_single_documents_are_tried_again_alone(daemon, cluster, tmp_path):
    trouble = {3: 429, 5: 503, 7: 500, 11: 502, 13: 504, 17: 403, 19: 404}
    cluster.script({"items": {**trouble, 23: 400}})
    d = daemon(stream(to(cluster.url, tmp_path / "bucket")))
    outputs.put(d, *numbered(0, 500))
    became = settled(d, 500)
    assert (became["delivered"], became["failed"]) == (499, 1)
    first, second = cluster.seen()
    assert ids(second) == [ids(first)[place] for place in trouble]
    assert numbers(of_double(cluster)) == once(0, 500) - collections.Counter([23])
    assert cluster.conflicts == 0
    (line,) = failed(tmp_path / "bucket").values()
    assert (line["errorCode"], line["attemptsMade"]) == ("400", 1)
    assert line["esDocumentId"] == ids(first)[23]


def test_documents_that_never_pass_fail_alone(daemon, cluster, tmp_path):
    cluster.reject = {b'{"n":41}': 429, b'{"n":42}': 400, b'{"n":43}': 503}
    d = daemon(stream(to(cluster.url, tmp_path / "bucket", retry={"duration": "2s"})))
    outputs.put(d, *numbered(0, 100))
    became = settled(d, 100)
    assert (became["delivered"], became["failed"]) == (97, 3)
    assert numbers(of_double(cluster)) == once(0, 100) - collections.Counter([41, 42, 43])
    assert cluster.conflicts == 0
    found = codes(tmp_path / "bucket")
    assert found[b'{"n":42}'] == ("400", 1)
    for document in (b'{"n":41}', b'{"n":43}'):
        assert found[document][1] >= 2, found


def test_one_poisonous_record_among_many_fails_alone(daemon, cluster, tmp_path):
    """It spoils every request that it is in."""
    cluster.spoils = b"poison"
    d = daemon(stream(to(cluster.url, tmp_path / "bucket")))
    sent = numbered(0, 500)
    sent[371] = b'{"n":"poison"}'
    outputs.put(d, *sent)
    became = settled(d, len(sent))
    assert (became["delivered"], became["failed"]) == (499, 1)
    assert numbers(of_double(cluster)) == once(0, 500) - collections.Counter([371])
    assert codes(tmp_path / "bucket") == {sent[371]: ("400", 1)}
    # Halves of halves, and not each on its own.
    assert cluster.count() < 40


def test_an_answer_that_was_lost_is_a_conflict_and_a_success(daemon, cluster, tmp_path):
    d = daemon(stream(to(cluster.url, tmp_path / "bucket")))
    busy = {"status": 503, "take": True, "headers": {"Retry-After": "3"}}
    cluster.script({"end": "drop", "take": True}, busy)
    outputs.put(d, *numbered(0, 50))
    assert settled(d, 50)["delivered"] == 50
    assert numbers(of_double(cluster)) == once(0, 50)
    first, second, third = cluster.seen()
    assert ids(first) == ids(second) == ids(third)
    assert cluster.conflicts == 100
    # The wait that is asked for is kept.
    assert second.at - first.at >= 0.8 and third.at - second.at >= 3


def test_an_endpoint_that_flaps_gets_everything_once(daemon, cluster, tmp_path):
    d = daemon(stream(to(cluster.url, tmp_path / "bucket")))
    cluster.script(
        {"status": 500},
        {},
        {"end": "drop", "take": True},
        {},
        {"items": {"*": 429}},
    )
    for first in range(0, 400, 100):
        outputs.put(d, *numbered(first, 100))
        d.flush("s")
    assert settled(d, 400)["delivered"] == 400
    assert numbers(of_double(cluster)) == once(0, 400)
    assert not outputs.local_contents(tmp_path / "bucket")


def test_a_slow_answer_is_waited_for(daemon, cluster, tmp_path):
    d = daemon(stream(to(cluster.url, tmp_path / "bucket")))
    cluster.script({"delay": 1})
    outputs.put(d, *numbered(0, 10))
    assert settled(d, 10)["delivered"] == 10
    assert cluster.count() == 1


def test_a_restart_amid_retries_changes_no_ids(daemon, cluster, tmp_path):
    cluster.script({"times": 0, "status": 500})
    d = daemon(stream(to(cluster.url, tmp_path / "bucket")), shutdown_timeout="200ms")

    def tried_ids():
        return {identity for request in cluster.seen() for identity in ids(request)}

    for first in (0, 100):
        outputs.put(d, *numbered(first, 100))
        d.flush("s")
        harness.wait_for(lambda n=first + 100: len(tried_ids()) >= n, "it is tried")
    before = tried_ids()
    d.kill()
    d.start()
    seen = cluster.count()
    harness.wait_for(lambda: cluster.count() > seen, "it is tried again")
    cluster.script()
    assert settled(d, 200)["delivered"] == 200
    assert set(cluster.docs[INDEX]) == before
    assert numbers(of_double(cluster)) == once(0, 200)
    assert not failed(tmp_path / "bucket")


def test_a_dead_cluster_does_not_hold_back_another(daemon, clusters, tmp_path):
    dead, well = clusters(), clusters()
    dead.script({"times": 0, "end": "hang"})
    destinations = [
        to(dead.url, tmp_path / "dead", name="dead"),
        to(well.url, tmp_path / "well", name="well"),
    ]
    d = daemon(stream(*destinations), shutdown_timeout="200ms")
    outputs.put(d, *numbered(0, 100))
    assert settled(d, 100, destination="well")["delivered"] == 100
    assert numbers(of_double(well)) == once(0, 100)


# ----------------------------------------------------------------- what does not pass in time

PARSE = "OS.AmazonOpenSearchServiceParseException"
FAULTS = {
    "302": ({"status": 302, "headers": {"Location": "/_requests"}}, "OS.ClusterError"),
    "404": ({"status": 404}, "OS.ResourceNotFound"),
    "405": ({"status": 405, "body": "Method Not Allowed"}, "OS.ClusterError"),
    "408": ({"status": 408}, "OS.RequestTimeout"),
    "429": ({"status": 429}, "OS.ClusterError"),
    "500": ({"status": 500}, "OS.ServiceException"),
    "502": ({"status": 502, "body": "<html>", "headers": {"Content-Type": None}}, "OS.BadGateway"),
    "503": ({"status": 503, "headers": {"Retry-After": "3600"}}, "OS.ServiceException"),
    "504": ({"status": 504}, "OS.GatewayTimeout"),
    "no-body": ({"status": 204, "body": None, "take": False}, PARSE),
    "text": ({"body": "OK", "take": False}, PARSE),
    "no-items": ({"body": {"errors": False}, "take": False}, "OS.ResponseEntryCountMismatch"),
    "too-few": ({"missing": 1, "take": True}, "OS.ResponseEntryCountMismatch"),
    "refused": ({"items": {"*": 429}}, "OS.ClusterError"),
    "unavailable": ({"items": {"*": 503}}, "OS.ServiceException"),
    "blocked": ({"items": {"*": 403}}, "OS.ClusterBlockException"),
    "no-index": ({"items": {"*": 404}}, "OS.ResourceNotFound"),
    "dropped": ({"end": "drop"}, "OS.ConnectionReset"),
    "cut": ({"end": "cut"}, "OS.ConnectionReset"),
    "hangs": ({"end": "hang"}, "OS.RequestTimeout"),
    "dribbles": ({"end": "dribble"}, "OS.RequestTimeout"),
}
# What may be one document's fault is asked of each alone before it is believed.
OF_ONE = {
    "400": ({"status": 400}, "400"),
    "413": ({"status": 413, "body": None}, "413"),
    "floods": ({"end": "flood"}, PARSE),
}


def test_what_is_no_success_fails_when_the_time_is_over(daemon, clusters, tmp_path):
    """One stream for each, so that none waits for another. A duration of 0 is one attempt."""
    faults = {**FAULTS, **OF_ONE}
    streams, made = {}, {}
    for name, (step, _) in faults.items():
        made[name] = clusters()
        made[name].script({"times": 0, **step})
        options = {"retry": {"duration": "0s"}, "timeout": "2s"}
        streams[name] = {"destinations": [to(made[name].url, tmp_path / name, **options)]}
    d = daemon(streams)
    for name in streams:
        outputs.put(d, b'{"n":1}', b'{"n":2}', stream=name)
        d.flush(name)
    seen = {}
    for name in streams:
        assert settled(d, 2, name)["failed"] == 2, name
        seen[name] = codes(tmp_path / name)
    assert seen == {
        name: {b'{"n":1}': (code, 1), b'{"n":2}': (code, 1)} for name, (_, code) in faults.items()
    }
    asked = {name: one.count() for name, one in made.items()}
    assert asked == {**dict.fromkeys(FAULTS, 1), **dict.fromkeys(OF_ONE, 3)}


def test_a_cluster_that_is_down_fails_its_records_in_the_end(daemon, clusters, tmp_path):
    away = clusters()
    away.close()
    d = daemon(stream(to(away.url, tmp_path / "bucket", retry={"duration": "2s"})))
    sent = numbered(0, 10)
    outputs.put(d, *sent)
    assert settled(d, len(sent))["failed"] == len(sent)
    found = codes(tmp_path / "bucket")
    assert set(found) == set(sent)
    assert {code for code, _ in found.values()} == {"OS.ConnectionFailed"}
    assert all(made >= 2 for _, made in found.values()), found


def test_nothing_is_lost_while_the_backup_fails_too(daemon, clusters, s3_server, tmp_path):
    away = clusters()
    away.close()
    missing = {
        "bucket": "bucket",
        "endpoint": s3_server.url,
        "path_style": True,
        "error_output_prefix": outputs.ERRORS,
    }
    one = to(away.url, tmp_path / "bucket", backup=missing, retry={"duration": "0s"})
    d = daemon(stream(one), aws=harness.outgoing(), shutdown_timeout="200ms")
    outputs.put(d, *numbered(0, 10))
    d.flush("s")

    def held():
        d.flush("s")
        return d.metrics()["standpipe_held", OF_BOTH]

    harness.wait_for(held, "it is held")
    assert "held" in d.get("/health/ready")[1]
    outputs.put(d, *numbered(10, 10))
    d.kill()
    d.start()
    s3_server.client().create_bucket(Bucket="bucket")
    assert settled(d, 20)["failed"] == 20
    found = {key: answer["Body"] for key, answer in s3_server.objects("bucket").items()}
    assert set(failures(found)) == set(numbered(0, 20))


# --------------------------------------------------------------------------- who is asking

TRACE = {"STANDPIPE_LOG": "trace"}


def test_a_password_opens_the_cluster_and_is_told_nobody(daemon, clusters, tmp_path):
    cluster = clusters(auth=("writer", PASSWORD))
    cluster.script({"status": 500, "body": {"error": "something broke"}})
    cluster.reject = {b'{"n":3}': 400}
    d = daemon(stream(to(cluster.url, tmp_path / "bucket", auth=BASIC)), env=TRACE)
    outputs.put(d, *numbered(0, 10))
    became = settled(d, 10)
    assert (became["delivered"], became["failed"]) == (9, 1)
    client = d.firehose()
    description = client.describe_delivery_stream(DeliveryStreamName="s")
    encoded = base64.b64encode(f"writer:{PASSWORD}".encode()).decode()
    pages = [d.log(), str(description), d.metrics().text, str(failed(tmp_path / "bucket"))]
    for text in pages:
        assert PASSWORD not in text and encoded not in text


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_password_holds_and_loses_nothing(daemon, clusters, tmp_path, status):
    cluster = clusters(auth=("writer", PASSWORD))
    file = tmp_path / "password"
    file.write_text("wrong\n")
    if status == 403:
        cluster.script({"times": 0, "status": 403})
    basic = {"username": "writer", "password": {"file": str(file)}}
    options = {"auth": {"basic": basic}, "retry": {"duration": "0s"}}
    d = daemon(stream(to(cluster.url, tmp_path / "bucket", **options)), shutdown_timeout="200ms")
    outputs.put(d, *numbered(0, 10))
    d.flush("s")
    harness.wait_for(lambda: cluster.count() >= 2, "it is asked again")
    assert d.metrics()["standpipe_held", OF_BOTH] == 1
    assert "held" in d.get("/health/ready")[1] and "OS.AccessDenied" in d.log()
    outputs.put(d, *numbered(10, 10))
    # The file is read again.
    file.write_text(PASSWORD + "\n")
    cluster.script()
    assert settled(d, 20)["delivered"] == 20
    assert numbers(of_double(cluster)) == once(0, 20)
    assert not failed(tmp_path / "bucket")
    assert "wrong" not in d.log() and PASSWORD not in d.log()


def test_a_refused_password_fails_the_records_where_that_is_wanted(daemon, clusters, tmp_path):
    cluster = clusters(auth=("writer", "another"))
    retry = {"duration": "0s", "on_denied": "backup"}
    d = daemon(stream(to(cluster.url, tmp_path / "bucket", auth=BASIC, retry=retry)))
    outputs.put(d, b"{}")
    settled(d, 1)
    assert codes(tmp_path / "bucket") == {b"{}": ("OS.AccessDenied", 1)}


def test_requests_are_signed_for_a_domain(daemon, clusters, tmp_path):
    cluster = clusters(auth="es")
    d = daemon(stream(to(cluster.url, tmp_path / "bucket", auth="aws")), aws=harness.outgoing())
    outputs.put(d, *numbered(0, 100))
    assert settled(d, 100)["delivered"] == 100
    assert numbers(of_double(cluster)) == once(0, 100)
    (request,) = cluster.seen()
    assert f"Credential={harness.ACCESS_KEY}/" in request.headers["Authorization"]
    assert f"/{harness.REGION}/es/aws4_request" in request.headers["Authorization"]
    assert harness.SECRET_KEY not in d.log()


@pytest.mark.parametrize("takes_ids", [True, False])
def test_a_collection_may_take_no_ids(daemon, clusters, tmp_path, takes_ids):
    cluster = clusters(auth="aoss", serverless=not takes_ids)
    cluster.reject = {b'{"n":150}': 400}
    one = to(cluster.url, tmp_path / "bucket", serverless=True, index_rotation=None)
    d = daemon(stream(one), aws=harness.outgoing())
    for first in (0, 100):
        outputs.put(d, *numbered(first, 100))
        became = settled(d, first + 100, kind=SERVERLESS)
    assert (became["delivered"], became["failed"]) == (199, 1)
    assert numbers(of_double(cluster)) == once(0, 200) - collections.Counter([150])
    first, *rest = cluster.seen()
    assert all(ids(first))
    # They are left out as soon as it is known.
    assert all(bool(identity) == takes_ids for request in rest for identity in ids(request))
    assert len(rest) == (1 if takes_ids else 2)
    (line,) = failed(tmp_path / "bucket", COLLECTION_MEMBERS).values()
    assert (bool(line["osDocumentId"]), line["osIndexName"]) == (takes_ids, INDEX)


def test_types_are_told_to_old_versions(daemon, cluster, tmp_path):
    cluster.reject = {b'{"n":7}': 400}
    one = to(cluster.url, tmp_path / "bucket", kind="elasticsearch", type_name="log")
    d = daemon(stream(one))
    outputs.put(d, *numbered(0, 10))
    became = settled(d, 10, destination="elasticsearch")
    assert (became["delivered"], became["failed"]) == (9, 1)
    (request,) = cluster.seen()
    heads = [json.loads(line)["create"] for line in request.body.splitlines()[::2]]
    assert {head["_type"] for head in heads} == {"log"}
    (line,) = failed(tmp_path / "bucket").values()
    assert line["esTypeName"] == "log"


# --------------------------------------------------------------------------------------- TLS


def test_nothing_is_sent_to_a_server_that_cannot_show_who_it_is(
    daemon,
    clusters,
    certificates,
    tmp_path,
):
    ca = {"ca_file": str(certificates / "ca.crt")}
    made = {
        "stranger": clusters(auth=("writer", PASSWORD), **with_tls(certificates, "stranger")),
        "misnamed": clusters(auth=("writer", PASSWORD), **with_tls(certificates, "misnamed")),
        "plain": clusters(auth=("writer", PASSWORD)),
        "well": clusters(auth=("writer", PASSWORD), **with_tls(certificates, "server")),
    }
    streams = {}
    for name, one in made.items():
        url = one.url.replace("http:", "https:")
        options = {"tls": ca, "retry": {"duration": "0s"}, "auth": BASIC}
        streams[name] = {"destinations": [to(url, tmp_path / name, **options)]}
    d = daemon(streams)
    for name in streams:
        outputs.put(d, b"{}", stream=name)
        d.flush(name)
        if name in ("stranger", "misnamed"):
            # It is a setting that is wrong, so nothing is given up.
            labels = {"stream": name, "destination": OF_BOTH["destination"]}
            harness.wait_for(lambda: d.metrics()["standpipe_held", labels] == 1, f"{name} is held")
            assert not outputs.local_contents(tmp_path / name)
        elif name == "well":
            assert settled(d, 1, name)["delivered"] == 1
            continue
        else:
            assert settled(d, 1, name)["failed"] == 1
            assert codes(tmp_path / name) == {b"{}": ("OS.ConnectionError", 1)}
        assert made[name].count() == 0
