"""Streams to HTTP endpoints, and what became of their records."""

import base64
import collections
import json
import re

import outputs

KIND = "delivery_to_http_endpoint"
NAME = "http_endpoint"
KEY = "an access key"
# What a status of 4xx or 5xx is called in the error output.
REFUSED = "HttpEndpoint.DestinationException"
# The members of a line of this destination's error output, in Firehose's order.
MEMBERS = [
    "attemptsMade",
    "arrivalTimestamp",
    "errorCode",
    "errorMessage",
    "attemptEndingTimestamp",
    "rawData",
    "subsequenceNumber",
    "dataId",
]


def to(url, folder, *, name=None, **options):
    """A destination whose requests go when they are told to, or at 1 MiB."""
    settings = {
        "url": url,
        "plain_http": url.startswith("http:"),
        "access_key": KEY,
        "buffering": {"size": "1MiB", "interval": "900s"},
        "retry": {"duration": "60s"},
        "backup": backup(folder),
        **options,
    }
    settings = {member: value for member, value in settings.items() if value is not None}
    return {**({"name": name} if name else {}), "http_endpoint": settings}


def backup(folder):
    return {
        "bucket": folder.resolve().as_uri(),
        "error_output_prefix": outputs.ERRORS,
        "buffering": {"size": "5MiB", "interval": "900s"},
    }


def stream(*destinations):
    return {"s": {"destinations": list(destinations)}}


def settled(daemon, count, name="s"):
    return outputs.settled(daemon, name, count, NAME, KIND)


def failures(folder):
    """Raw data → line of every failed record."""
    found = {}
    for key, data in outputs.local_contents(folder).items():
        assert key.startswith("errors/http-endpoint-failed/"), key
        for text in data.splitlines():
            line = json.loads(text)
            assert list(line) == MEMBERS, list(line)
            assert re.fullmatch(r"\d{56}\.\d+", line["dataId"]), line
            assert isinstance(line["subsequenceNumber"], int), line
            assert line["arrivalTimestamp"] <= line["attemptEndingTimestamp"], line
            raw = base64.b64decode(line["rawData"], validate=True)
            assert raw not in found, "a record failed twice"
            found[raw] = line
    return found


def codes(folder):
    """Raw data → (code, attempts) of every failed record."""
    return {
        raw: (line["errorCode"], line["attemptsMade"]) for raw, line in failures(folder).items()
    }


def lines(first, count):
    return [b"line-%06d\n" % number for number in range(first, first + count)]


def once(records):
    return collections.Counter({record: 1 for record in records})
