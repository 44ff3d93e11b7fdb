"""A strict double of an HTTP endpoint: takes what Amazon Data Firehose delivers, and nothing else.

By the delivery protocol (guide, "Understand HTTP endpoint delivery request and response
specifications"), or plain bodies where it is made for `ndjson`, `json_array` or `raw`. Faults come
from the script of `receiver`, and these members of a step:

    request_id      another id in the answer; null leaves it out
    timestamp       another timestamp; null leaves it out
    fields          more members of the answer
    message         the `errorMessage` of a scripted status
    size            so many bytes of answer
    gzip            true: the answer says Content-Encoding: gzip, and is
"""

import argparse
import base64
import binascii
import collections
import gzip
import json
import re
import time

import receiver
from receiver import Answer, Refusal

PATH = "/deliver?to=here"
PROTOCOL = "1.0"
USER_AGENT = "Amazon Kinesis Data Firehose Agent/1.0"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
STREAM_ARN = r"arn:aws[\w-]*:firehose:[\w-]+:\d{12}:deliverystream/[\w.-]{1,64}"

ACCESS_KEY_BYTES_MAX = 4096
ATTRIBUTES_MAX = 50
ATTRIBUTE_NAME_MAX = 256
ATTRIBUTE_VALUE_MAX = 1024
RECORDS_MAX = 10_000
DATA_CHARS_MAX = 1_365_336
BODY_BYTES_MAX = 64 * 1024 * 1024

CONTENT_TYPES = {
    "firehose": "application/json",
    "ndjson": "application/x-ndjson",
    "json_array": "application/json",
    "raw": "application/octet-stream",
}


class FirehoseEndpoint(receiver.Receiver):
    """One endpoint at `url`. What it took stands in `taken`, request by request."""

    def __init__(
        self,
        body="firehose",
        access_key=None,
        attributes=None,
        content_encoding=None,
        max_bytes=None,
        poison=None,
        **tls,
    ):
        """`max_bytes` is the largest body it takes, uncompressed; a request that holds `poison`
        anywhere in a record is answered with 400."""
        self.kind = body
        self.access_key = access_key
        self.attributes = attributes
        self.content_encoding = content_encoding
        self.max_bytes = max_bytes
        self.poison = poison
        self.taken = []
        # The records that came under each request id, which must not change.
        self.contents = {}
        super().__init__(**tls)
        self.origin = self.url
        self.url += PATH

    # -------------------------------------------------------------------------- what was taken

    def records(self):
        """The data of every record that it took, as often as it took it."""
        with self.lock:
            return [record for records in self.taken for record in records]

    def times(self):
        """Record → how often it was taken."""
        return collections.Counter(self.records())

    def ids(self):
        """The request ids in the order of their requests, each as often as it came."""
        return [request.details.get("id") for request in self.seen()]

    def take(self, request):
        self.taken.append(request.details["records"])

    # ------------------------------------------------------------------------------ the checks

    def check(self, request):
        if request.method == "HEAD" and self.kind != "firehose":
            # How plain endpoints are asked whether they are there.
            raise Refusal("only POST", 405, mistake=False)
        if request.method != "POST":
            raise Refusal(f"{request.method} {request.path}", 405)
        if request.path != PATH:
            raise Refusal(f"path {request.path} and not {PATH}")
        self.check_transport(request)
        request.unpack()
        if self.kind == "firehose":
            self.check_protocol(request)
        else:
            self.read_plain(request)
        if self.access_key is not None and not self.knows(request):
            raise Refusal("Access key is not valid", 401)
        if self.max_bytes is not None and len(request.body) > self.max_bytes:
            raise Refusal(f"{len(request.body)} bytes are too many", 413)

    def check_transport(self, request):
        if request.header("Transfer-Encoding") is not None:
            raise Refusal("Transfer-Encoding instead of Content-Length", 411)
        if request.header("Content-Length") is None:
            raise Refusal("no Content-Length", 411)
        content_type = request.header("Content-Type")
        if content_type != CONTENT_TYPES[self.kind]:
            raise Refusal(f"Content-Type {content_type}", 415)
        encoding = request.header("Content-Encoding")
        if encoding != self.content_encoding:
            raise Refusal(f"Content-Encoding {encoding} and not {self.content_encoding}", 415)

    def knows(self, request):
        return request.header("X-Amz-Firehose-Access-Key") == self.access_key

    def check_protocol(self, request):
        version = request.header("X-Amz-Firehose-Protocol-Version")
        if version != PROTOCOL:
            raise Refusal(f"X-Amz-Firehose-Protocol-Version {version}")
        identity = request.header("X-Amz-Firehose-Request-Id") or ""
        if not re.fullmatch(UUID, identity):
            raise Refusal(f"X-Amz-Firehose-Request-Id {identity!r}")
        request.details["id"] = identity
        arn = request.header("X-Amz-Firehose-Source-Arn") or ""
        if not re.fullmatch(STREAM_ARN, arn):
            raise Refusal(f"X-Amz-Firehose-Source-Arn {arn!r}")
        request.details["source_arn"] = arn
        if request.header("User-Agent") != USER_AGENT:
            raise Refusal(f"User-Agent {request.header('User-Agent')!r}")
        key = request.header("X-Amz-Firehose-Access-Key")
        if key is not None and not 0 < len(key.encode("latin-1")) <= ACCESS_KEY_BYTES_MAX:
            raise Refusal("X-Amz-Firehose-Access-Key is empty or too long")
        if key is not None and self.access_key is None:
            raise Refusal("X-Amz-Firehose-Access-Key, and none is configured")
        self.read_attributes(request)
        self.read_body(request, identity)

    def read_attributes(self, request):
        text = request.header("X-Amz-Firehose-Common-Attributes")
        attributes = {}
        if text is not None:
            # Header values are read as Latin-1; the JSON in them is UTF-8.
            members = document(text.encode("latin-1"), "X-Amz-Firehose-Common-Attributes")
            exactly(members, ["commonAttributes"], "X-Amz-Firehose-Common-Attributes")
            attributes = members["commonAttributes"]
            if not isinstance(attributes, dict) or len(attributes) > ATTRIBUTES_MAX:
                raise Refusal(f"commonAttributes {text}")
        for name, value in attributes.items():
            fits = isinstance(value, str) and len(value) <= ATTRIBUTE_VALUE_MAX
            if not fits or not 1 <= len(name) <= ATTRIBUTE_NAME_MAX:
                raise Refusal(f"common attribute {name!r}: {value!r}")
        if self.attributes is not None and attributes != self.attributes:
            raise Refusal(f"common attributes {attributes} and not {self.attributes}")
        request.details["attributes"] = attributes

    def read_body(self, request, identity):
        if len(request.body) > BODY_BYTES_MAX:
            raise Refusal(f"a body of {len(request.body)} bytes")
        body = document(request.body, "the body")
        exactly(body, ["requestId", "timestamp", "records"], "the body")
        if body["requestId"] != identity:
            raise Refusal(f"requestId {body['requestId']} under the header {identity}")
        stamp = body["timestamp"]
        near = type(stamp) is int and abs(time.time() * 1000 - stamp) < 60_000
        if not near:
            raise Refusal(f"timestamp {stamp!r}")
        request.details["timestamp"] = stamp
        entries = body["records"]
        if not isinstance(entries, list) or not 1 <= len(entries) <= RECORDS_MAX:
            raise Refusal("records is no list of 1 to 10,000")
        records = [data_of(entry) for entry in entries]
        request.details["records"] = records
        self.same(identity, records)

    def read_plain(self, request):
        identity = request.header("Idempotency-Key") or ""
        if not re.fullmatch(UUID, identity):
            raise Refusal(f"Idempotency-Key {identity!r}")
        request.details["id"] = identity
        self.read_records(request)
        self.same(identity, request.details["records"])

    def same(self, identity, records):
        with self.lock:
            if self.contents.setdefault(identity, records) != records:
                raise Refusal(f"request {identity} comes again with other records")

    def read_records(self, request):
        if self.kind == "raw":
            request.details["records"] = [request.body]
        elif self.kind == "json_array":
            values = document(request.body, "the body")
            if not isinstance(values, list) or not values:
                raise Refusal("the body is no list")
            request.details["records"] = values
        elif not request.body.endswith(b"\n"):
            raise Refusal("the last line does not end")
        else:
            request.details["records"] = request.body.split(b"\n")[:-1]

    # ----------------------------------------------------------------------------- the answers

    def answer(self, request):
        if self.poison is not None and self.holds_poison(request):
            # No mistake of form: it is said here, and not as a refusal of `check`.
            return self.shaped(request, 400, "a record is not to be read")
        return self.shaped(request, 200)

    def holds_poison(self, request):
        records = (receiver.encoded(record) for record in request.details["records"])
        return any(self.poison in record for record in records)

    def refusal(self, request, refused):
        return self.shaped(request, refused.status, refused.reason)

    def shaped(self, request, status, message=None):
        if self.kind != "firehose":
            return Answer(status, {"message": message} if message else {})
        body = {"requestId": request.details.get("id", ""), "timestamp": int(time.time() * 1000)}
        if message:
            body["errorMessage"] = message
        return Answer(status, body)

    def adjust(self, request, step, answer):
        body = answer.body
        if isinstance(body, dict) and "body" not in step:
            if answer.status != 200:
                body = {**body, "errorMessage": step.get("message", "as scripted")}
            renamed = {"request_id": "requestId", "timestamp": "timestamp"}
            for name, member in renamed.items():
                if name in step:
                    body = {**body, member: step[name]}
                    if step[name] is None:
                        del body[member]
            body = {**body, **step.get("fields", {})}
        if "size" in step:
            # White space behind the document: as large as told, and still JSON.
            body = receiver.encoded(body).ljust(step["size"])
        if step.get("gzip"):
            body = gzip.compress(receiver.encoded(body))
            answer.headers["Content-Encoding"] = "gzip"
        answer.body = body
        return answer


def document(text, what):
    def members(pairs):
        if len(dict(pairs)) != len(pairs):
            raise Refusal(f"{what}: a member stands twice")
        return dict(pairs)

    try:
        return json.loads(text.decode(), object_pairs_hook=members)
    except ValueError as error:
        raise Refusal(f"{what} is no JSON: {error}") from error


def exactly(members, names, what):
    if not isinstance(members, dict) or list(members) != names:
        names_found = list(members) if isinstance(members, dict) else type(members).__name__
        raise Refusal(f"members of {what}: {names_found}")


def data_of(entry):
    exactly(entry, ["data"], "a record")
    text = entry["data"]
    if not isinstance(text, str) or len(text) > DATA_CHARS_MAX:
        raise Refusal("data is no text, or too long")
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Refusal(f"data is no base64: {error}") from error
    if base64.b64encode(data).decode() != text:
        raise Refusal("data is not base64 as it is written")
    return data


def main():
    parser = argparse.ArgumentParser(description="An HTTP endpoint that Firehose delivers to.")
    parser.add_argument("--body", choices=CONTENT_TYPES, default="firehose")
    parser.add_argument("--access-key")
    parser.add_argument("--content-encoding", choices=["gzip"])
    parser.add_argument("--max-bytes", type=int)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--client-ca")
    receiver.run(FirehoseEndpoint(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
