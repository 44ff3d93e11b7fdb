"""Streams to OpenSearch, and what became of their records."""

import base64
import collections
import json

import harness
import outputs

KIND = "delivery_to_amazon_open_search_service"
SERVERLESS = "delivery_to_amazon_open_search_serverless"
NAME = "opensearch"
INDEX = "idx"
OF_BOTH = {"stream": "s", "destination": NAME}
# The members of a line of this destination's error output, in Firehose's order.
ATTEMPT = [
    "attemptsMade",
    "arrivalTimestamp",
    "errorCode",
    "errorMessage",
    "attemptEndingTimestamp",
]
MEMBERS = [*ATTEMPT, "esDocumentId", "esIndexName", "esTypeName", "rawData"]
COLLECTION_MEMBERS = [*ATTEMPT, "osDocumentId", "osIndexName", "rawData"]
PASSWORD = "correct horse battery staple"
BASIC = {"basic": {"username": "writer", "password": PASSWORD}}


def to(url, folder, *, name=None, kind=NAME, **options):
    """A destination whose requests go when they are told to, or at 1 MiB."""
    settings = {
        "endpoint": url,
        "index_name": INDEX,
        "index_rotation": "no_rotation",
        "plain_http": url.startswith("http:"),
        "buffering": {"size": "1MiB", "interval": "900s"},
        "retry": {"duration": "60s"},
        "backup": backup(folder),
        **options,
    }
    settings = {member: value for member, value in settings.items() if value is not None}
    return {**({"name": name} if name else {}), kind: settings}


def backup(folder):
    return {
        "bucket": folder.resolve().as_uri(),
        "error_output_prefix": outputs.ERRORS,
        "buffering": {"size": "5MiB", "interval": "900s"},
    }


def stream(*destinations):
    return {"s": {"destinations": list(destinations)}}


def settled(daemon, count, name="s", destination=NAME, kind=KIND):
    return outputs.settled(daemon, name, count, destination, kind)


def failures(contents, members=MEMBERS):
    """Raw data → line of every failed record."""
    found = {}
    for key, data in contents.items():
        assert key.startswith("errors/AmazonOpenSearchService-failed/"), key
        for text in data.splitlines():
            line = json.loads(text)
            assert list(line) == members, list(line)
            assert line["arrivalTimestamp"] <= line["attemptEndingTimestamp"], line
            raw = base64.b64decode(line["rawData"], validate=True)
            assert raw not in found, "a record failed twice"
            found[raw] = line
    return found


def failed(folder, members=MEMBERS):
    return failures(outputs.local_contents(folder), members)


def codes(folder):
    """Raw data → (code, attempts) of every failed record."""
    return {raw: (line["errorCode"], line["attemptsMade"]) for raw, line in failed(folder).items()}


def numbered(first, count):
    return [b'{"n":%d}' % number for number in range(first, first + count)]


def numbers(documents):
    """How often each number is there."""
    return collections.Counter(document["n"] for document in documents)


def once(first, count):
    return collections.Counter(range(first, first + count))


def of_double(double, index=INDEX):
    return [json.loads(document) for document in double.documents(index)]


def ids(request):
    return [identity for _, _, identity, _ in request.details.get("actions", [])]


def attempts(daemon):
    return daemon.metrics()[f"standpipe_{KIND}_attempts_total", OF_BOTH]


def tried(daemon, times=1):
    """Waits until it has been tried so often."""
    harness.wait_for(lambda: attempts(daemon) >= times, f"it is tried {times} times")
