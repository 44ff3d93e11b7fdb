"""A strict double of Lambda's Invoke API, and a plain function behind a URL.

Both look closely at what they are sent: whatever Firehose would not have sent is written down in
`mistakes`, which must be empty when a test ends. What they answer is the test's to say.
"""

import base64
import http.server
import json
import re
import sys
import threading
import time
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

# Limits of a synchronous call (Lambda quotas).
REQUEST_BYTES_MAX = 6 * 1024 * 1024
ANSWER_BYTES_MAX = 6_291_556

EVENT_MEMBERS = ["invocationId", "deliveryStreamArn", "region", "records"]
RECORD_MEMBERS = ["recordId", "approximateArrivalTimestamp", "data"]
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


class Reply:
    """What goes over the wire."""

    def __init__(self, status, body=b"", headers=None):
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = headers or {}


def refusal(status, name, message, headers=None):
    """An error of the Invoke API itself."""
    body = {"Type": "User", "message": message}
    return Reply(status, body, {"x-amzn-ErrorType": name, **(headers or {})})


def function_error(kind="RuntimeError", message="it failed"):
    """A function that was called and failed."""
    body = {"errorMessage": message, "errorType": kind, "stackTrace": []}
    return Reply(200, body, {"X-Amz-Function-Error": "Unhandled"})


def ok(record, data=None, **metadata):
    """The answer for one record; its data unchanged if none is given."""
    text = record["data"] if data is None else base64.b64encode(data).decode()
    answer = {"recordId": record["recordId"], "result": "Ok", "data": text}
    return {**answer, "metadata": metadata} if metadata else answer


def data_of(record):
    return base64.b64decode(record["data"], validate=True)


def each(function):
    """An answer made record by record; `function(record)` may give one entry or a list of them."""

    def answer(event):
        entries = []
        for record in event["records"]:
            made = function(record)
            entries += made if isinstance(made, list) else [made]
        return {"records": entries}

    return answer


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A daemon that is killed leaves without a word; all else is worth one."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Function:
    """What both kinds of server share: the checks, the calls so far and the answer."""

    # What an event and its records have, in their order; more where the source is told.
    event_members = EVENT_MEMBERS
    record_members = RECORD_MEMBERS

    def __init__(self):
        self.answer = each(ok)
        self.calls = []
        self.mistakes = []
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_POST(self):
                outer.post(self)

            def do_GET(self):
                outer.mistakes.append(f"{self.command} {self.path}")
                send(self, Reply(405))

            do_PUT = do_DELETE = do_HEAD = do_GET

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def expect(self, condition, mistake):
        if not condition:
            self.mistakes.append(mistake)

    def post(self, handler):
        length = handler.headers.get("Content-Length")
        self.expect(length is not None, "no Content-Length")
        body = handler.rfile.read(int(length or 0))
        self.expect(len(body) <= REQUEST_BYTES_MAX, f"an event of {len(body)} bytes")
        kind = handler.headers.get("Content-Type")
        self.expect(kind == "application/json", f"Content-Type {kind}")
        self.check_request(handler, body)
        event = self.event(body)
        with self.lock:
            self.calls.append(event)
        try:
            answer = self.answer(event)
        except Exception as error:  # A mistake of the test itself: it must not pass for an answer.
            self.mistakes.append(f"the test's own answer: {error!r}")
            answer = Reply(500)
        if not isinstance(answer, Reply):
            answer = Reply(200, answer)
        send(handler, self.limited(answer))

    def event(self, body):
        """The event, its shape and the order of its members held against Firehose's."""
        event = json.loads(body, object_pairs_hook=self.ordered)
        self.expect(list(event) == self.event_members, f"members {list(event)}")
        identity = event.get("invocationId", "")
        self.expect(re.fullmatch(UUID, identity), f"invocationId {identity}")
        arn = event.get("deliveryStreamArn", "")
        form = r"arn:aws:firehose:us-east-1:\d{12}:deliverystream/[\w.-]+"
        self.expect(re.fullmatch(form, arn), f"deliveryStreamArn {arn}")
        self.expect(event.get("region") == "us-east-1", f"region {event.get('region')}")
        records = event.get("records", [])
        self.expect(records, "an event without records")
        for record in records:
            self.check_record(record)
        ids = {record["recordId"] for record in records}
        self.expect(len(ids) == len(records), "a record id stands twice in one event")
        return event

    def ordered(self, pairs):
        self.expect(len(dict(pairs)) == len(pairs), "a member stands twice")
        return dict(pairs)

    def check_record(self, record):
        self.expect(list(record) == self.record_members, f"members of a record {list(record)}")
        identity = record["recordId"]
        self.expect(isinstance(identity, str) and identity, f"recordId {identity!r}")
        arrival = record["approximateArrivalTimestamp"]
        now = time.time() * 1000
        recent = isinstance(arrival, int) and now - 3_600_000 < arrival <= now + 1_000
        self.expect(recent, f"approximateArrivalTimestamp {arrival!r}")
        try:
            data_of(record)
        except ValueError as error:
            self.mistakes.append(f"data that is not base64: {error}")

    def check_request(self, handler, body):
        raise NotImplementedError

    def limited(self, answer):
        return answer

    # ------------------------------------------------------------------ what was called so far

    def sent(self):
        """The data of every record of every call, in their order."""
        with self.lock:
            return [data_of(record) for event in self.calls for record in event["records"]]

    def count(self):
        with self.lock:
            return len(self.calls)


class LambdaApi(Function):
    """`POST /2015-03-31/functions/ARN/invocations`, signed."""

    def __init__(self, function, access_key, secret_key):
        self.function = function
        self.keys = botocore.credentials.Credentials(access_key, secret_key)
        super().__init__()

    def check_request(self, handler, body):
        name = urllib.parse.quote(self.function, safe="")
        path = f"/2015-03-31/functions/{name}/invocations"
        self.expect(handler.path == path, f"path {handler.path} and not {path}")
        kind = handler.headers.get("X-Amz-Invocation-Type")
        self.expect(kind in (None, "RequestResponse"), f"X-Amz-Invocation-Type {kind}")
        self.check_signature(handler, body)

    def check_signature(self, handler, body):
        """Computed once more by botocore."""
        text = handler.headers.get("Authorization", "")
        form = (
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([\w-]+)/(\w+)/aws4_request, ?"
            r"SignedHeaders=([\w;-]+), ?Signature=([0-9a-f]{64})"
        )
        found = re.fullmatch(form, text)
        if not found:
            self.mistakes.append(f"Authorization {text!r}")
            return
        key, _, region, service, names, signature = found.groups()
        self.expect(key == self.keys.access_key, f"signed by {key}")
        self.expect((region, service) == ("us-east-1", "lambda"), f"signed for {region} {service}")
        names = names.split(";")
        for name in ("host", "x-amz-date"):
            self.expect(name in names, f"{name} is not signed")
        request = botocore.awsrequest.AWSRequest(
            method="POST",
            url=f"http://{handler.headers['Host']}{handler.path}",
            data=body,
            headers={name: handler.headers[name] for name in names},
        )
        request.context["timestamp"] = handler.headers["X-Amz-Date"]
        auth = botocore.auth.SigV4Auth(self.keys, service, region)
        canonical = auth.canonical_request(request)
        expected = auth.signature(auth.string_to_sign(request, canonical), request)
        self.expect(signature == expected, "the signature is wrong")

    def limited(self, answer):
        """Lambda passes no larger answers on."""
        if answer.status == 200 and len(answer.body) > ANSWER_BYTES_MAX:
            text = "Response payload size exceeded maximum allowed payload size"
            text = f"{text} ({ANSWER_BYTES_MAX} bytes)."
            return function_error("Function.ResponseSizeTooLarge", text)
        answer.headers.setdefault("X-Amz-Executed-Version", "$LATEST")
        return answer


class UrlFunction(Function):
    """A plain web server that takes the event; nothing is signed."""

    def check_request(self, handler, body):
        self.expect(handler.path == "/transform?of=s", f"path {handler.path}")
        self.expect("Authorization" not in handler.headers, "it is signed")


def send(handler, answer):
    handler.send_response(answer.status)
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(answer.body)))
    handler.end_headers()
    handler.wfile.write(answer.body)
