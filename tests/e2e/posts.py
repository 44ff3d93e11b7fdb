"""Streams whose records are posted to them, and what became of those records."""

import base64
import collections
import contextlib
import http.client
import json
import socket
import ssl
import urllib.parse

import harness
import outputs

TOKEN = "a token of 1/2+3="
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
ANSWER_TIMEOUT_S = 60


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:500]!r} {dict(self.headers)}"


def connect(url, ca=None):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port, ANSWER_TIMEOUT_S)
    context = ssl.create_default_context(cafile=ca)
    return http.client.HTTPSConnection(
        parts.hostname, parts.port, timeout=ANSWER_TIMEOUT_S, context=context
    )


def post(url, body=b"", *headers, method="POST", ca=None):
    """One request on a connection of its own. Of `headers` the later ones count."""
    parts = urllib.parse.urlsplit(url)
    given = {name: value for some in headers for name, value in some.items()}
    with contextlib.closing(connect(url, ca)) as connection:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body, given)
        return Answer(connection.getresponse())


def basic(username, password):
    text = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def ndjson(documents):
    return b"".join(document + b"\n" for document in documents)


def numbered(first, count, pad=0):
    """JSON documents that differ."""
    return [b'{"n":%d,"pad":"%s"}' % (n, b"." * pad) for n in range(first, first + count)]


def source(port, **options):
    """Anybody may post, unless the options name a credential."""
    named = {"token", "basic", "access_key"} & set(options)
    return {
        "http": {
            "listen": f"127.0.0.1:{port}",
            **({} if named else {"anonymous": True}),
            **options,
        }
    }


def stream(port, folder, lines=True, **options):
    """A stream into a local folder, a record a line unless told otherwise."""
    destination = harness.local(folder)
    if lines:
        destination["transforms"] = [{"append_delimiter": "\n"}]
    return {"source": source(port, **options), "destinations": [destination]}


def ready(daemon, *ports):
    """The daemon, once it listens there."""
    for port in ports:
        harness.wait_for(lambda port=port: harness.listening(port), f"{port} is listened at")
    return daemon


def idle(daemon, name, destination="s3"):
    """Flushes, and tells whether nothing is left to deliver."""
    daemon.flush(name)
    labels = {"stream": name, "destination": destination}
    return not daemon.metrics()["standpipe_backlog_records", labels]


def landed(daemon, folder, count, name="s"):
    """The lines of a local folder, in order, when nothing is left to deliver and there are at
    least so many of them."""

    def all_there():
        is_idle = idle(daemon, name)
        found = outputs.written(folder).split(b"\n")[:-1]
        return found if is_idle and len(found) >= count else None

    return harness.wait_for(all_there, f"{count} records of {name} are delivered", pause=0.05)


def assert_landed(daemon, folder, expected, name="s"):
    """Each of these records, and nothing else, as often as it stands here."""
    found = collections.Counter(landed(daemon, folder, len(expected), name))
    expected = collections.Counter(expected)
    assert found == expected, (found - expected, expected - found)


def assert_nothing_landed(daemon, folder, name="s"):
    harness.wait_for(lambda: idle(daemon, name), f"{name} is idle", pause=0.05)
    assert not outputs.local_contents(folder)


def port_of(url):
    return urllib.parse.urlsplit(url).port


@contextlib.contextmanager
def raw_connection(url):
    """A socket to write on what a test likes, and a file to read the answer from."""
    with socket.create_connection(("127.0.0.1", port_of(url)), ANSWER_TIMEOUT_S) as connection:
        with connection.makefile("rb") as answer:
            yield connection, answer
