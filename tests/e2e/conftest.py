"""Fixtures: a daemon factory whose daemons end with the test, and an S3 server."""

import pathlib

import pytest

import harness


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


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().failed:
        item.failed = True
