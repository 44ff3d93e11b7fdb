"""Fixtures: a daemon factory whose daemons end with the test, and an S3 server."""

import contextlib
import pathlib

import pytest

import firehose_endpoint
import harness
import http_deliveries
import kafka
import opensearch_bulk
import otel
from certificates import certificates  # noqa: F401, a fixture
from dynamodb import dynamo  # noqa: F401, a fixture
from kinesis import kinesis, kinesis_server  # noqa: F401, fixtures
from opensearch import opensearch, opensearch_server  # noqa: F401, fixtures
from topics import topics  # noqa: F401, a fixture


@pytest.fixture(scope="session", autouse=True)
def binary():
    assert pathlib.Path(harness.BINARY).exists(), f"{harness.BINARY} is missing: run ./test"


@pytest.fixture
def daemon(tmp_path, request):
    """Makes daemons: `daemon(streams, **config)`; the logs of a failed test are shown."""
    made = []

    def make(streams, start=True, **options):
        one = harness.Daemon(tmp_path / f"standpipe-{len(made)}", streams, **options)
        made.append(one)
        return one.start() if start else one

    yield make
    for one in made:
        one.close()
        if getattr(request.node, "failed", False):
            print(f"--- {one.log_path}\n{one.log()[-6000:]}")


@pytest.fixture
def s3_server(tmp_path):
    server = harness.S3Server(tmp_path / "versitygw").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def collector(tmp_path_factory):
    """One for all tests: each tells its own records from the others'."""
    one = otel.Collector(tmp_path_factory.mktemp("collector")).start()
    yield one
    one.stop()


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory, certificates):  # noqa: F811
    """One for all tests: each has topics and groups of its own."""
    one = kafka.Kafka(tmp_path_factory.mktemp("kafka"), certificates=certificates).start()
    yield one
    one.stop()


@pytest.fixture
def endpoints():
    """Makes endpoints; in the end none may have found a mistake."""
    with contextlib.ExitStack() as all_of_them:
        made = []

        def make(**options):
            one = firehose_endpoint.FirehoseEndpoint(**options)
            all_of_them.callback(one.close)
            made.append(one)
            return one

        yield make
    assert [mistake for one in made for mistake in one.mistakes] == []


@pytest.fixture
def endpoint(endpoints):
    return endpoints(access_key=http_deliveries.KEY)


@pytest.fixture
def clusters():
    """Makes doubles of OpenSearch; in the end none may have found a mistake."""
    with contextlib.ExitStack() as all_of_them:
        made = []

        def make(kind=opensearch_bulk.OpenSearchBulk, **options):
            one = kind(**options)
            all_of_them.callback(one.close)
            made.append(one)
            return one

        yield make
    assert [mistake for one in made for mistake in one.mistakes] == []


@pytest.fixture
def cluster(clusters):
    return clusters()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().failed:
        item.failed = True
