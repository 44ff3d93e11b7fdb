"""A strict double of Datadog's logs intake, version 2 (API reference, "Send logs").

Faults come from the script of `receiver`. What it took stands in `logs`, in the order of arrival.
"""

import argparse
import json

import receiver
from receiver import Answer, Refusal

PATH = "/api/v2/logs"
PAYLOAD_BYTES_MAX = 5_000_000
LOGS_MAX = 1000
# Larger ones are cut by Datadog and still answered with 202: to be sent one is a mistake.
LOG_BYTES_MAX = 1_000_000
RESERVED = {"message", "ddsource", "ddtags", "hostname", "service"}


class DatadogIntake(receiver.Receiver):
    def __init__(self, api_key="key", gzip=True, max_bytes=PAYLOAD_BYTES_MAX, **tls):
        self.api_key = api_key
        self.gzip = gzip
        self.max_bytes = max_bytes
        self.logs = []
        super().__init__(**tls)

    def get(self, path):
        return (lambda: list(self.logs)) if path == "/_logs" else super().get(path)

    def messages(self):
        """The `message` of every log that it took, as often as it took it."""
        with self.lock:
            return [log.get("message") for log in self.logs]

    def take(self, request):
        self.logs += request.details.get("logs", [])

    def check(self, request):
        path, _, query = request.path.partition("?")
        if request.method != "POST" or path != PATH:
            raise Refusal(f"{request.method} {request.path}", 405)
        request.details["query"] = query
        key = request.header("DD-API-KEY")
        if not key:
            raise Refusal("Unauthorized", 401)
        if key != self.api_key:
            raise Refusal("Forbidden", 403)
        if request.header("Content-Type") != "application/json":
            raise Refusal(f"Content-Type {request.header('Content-Type')}", 415)
        if request.header("Content-Length") is None:
            raise Refusal("no Content-Length", 411)
        encoding = request.header("Content-Encoding")
        if encoding != ("gzip" if self.gzip else None):
            raise Refusal(f"Content-Encoding {encoding}", 415)
        request.unpack()
        if len(request.body) > self.max_bytes:
            raise Refusal(f"{len(request.body)} bytes are too many", 413)
        request.details["logs"] = logs_of(request.body)

    def answer(self, request):
        return Answer(202, {})

    def refusal(self, request, refused):
        error = {"status": str(refused.status), "title": "Refused", "detail": refused.reason}
        return Answer(refused.status, {"errors": [error]})


def logs_of(body):
    def members(pairs):
        if len(dict(pairs)) != len(pairs):
            raise Refusal("a member stands twice")
        return dict(pairs)

    try:
        logs = json.loads(body, object_pairs_hook=members)
    except ValueError as error:
        raise Refusal(f"the body is no JSON: {error}") from error
    if not isinstance(logs, list) or not logs:
        raise Refusal("the body is no list of logs")
    if len(logs) > LOGS_MAX:
        raise Refusal(f"{len(logs)} logs in one request", 413, mistake=True)
    for log in logs:
        check_log(log)
    return logs


def check_log(log):
    if not isinstance(log, dict) or not log:
        raise Refusal("a log is no object")
    for name in RESERVED & set(log):
        if not isinstance(log[name], str):
            raise Refusal(f"{name} is no text")
    for tag in log.get("ddtags", "").split(",") if log.get("ddtags") else []:
        if not tag or tag != tag.strip():
            raise Refusal(f"tag {tag!r}")
    if len(json.dumps(log, ensure_ascii=False, separators=(",", ":")).encode()) > LOG_BYTES_MAX:
        raise Refusal("a log of more than 1 MB", 413, mistake=True)


def main():
    parser = argparse.ArgumentParser(description="A double of Datadog's logs intake.")
    parser.add_argument("--api-key", default="key")
    parser.add_argument("--plain", action="store_false", dest="gzip")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    receiver.run(DatadogIntake(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
