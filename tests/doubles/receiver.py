"""What the doubles of HTTP destinations share: the requests so far, the faults on command, TLS.

A double refuses what its destination would not take, and keeps the reason in `mistakes`, which
must be empty when a test ends. What the next requests are answered is scripted, by `script(...)`
or `POST /_control` with the same steps as JSON: a list of objects, one for each request to come.
When the script is at its end, requests are answered as the destination would.

    {"times": 3, "status": 503}     three requests get this answer
    {"times": 0, "status": 503}     all requests do, until the next script

The members of a step, each of which may be left out:

    delay       seconds before the answer
    status      the status; what the destination itself would answer if none is given
    reason      the phrase behind the status
    body        the body: text, or a value to be written as JSON
    headers     more headers; one that is null is not sent
    take        whether the records count as taken though the answer says something else
    end         how the answer ends:
                  "drop"     there is none: the connection is reset
                  "cut"      in the middle of the body
                  "hang"     there is none, and the connection stays open
                  "dribble"  never: a byte of the announced body now and then
                  "flood"    never: as many bytes as the client takes

A double may say more of its own. `GET /_requests` lists what was asked so far, `GET /_mistakes`
what was wrong with it.
"""

import base64
import contextlib
import http.server
import json
import socket
import ssl
import struct
import sys
import threading
import time
import zlib

# An endless answer ends with the test; this only keeps a forgotten one from running on.
ENDLESS_SECONDS = 300
DRIBBLE_SECONDS = 0.05
# When a client that does not go on with a handshake, or does not leave after it, is given up.
HANDSHAKE_SECONDS = 30
BODY_BYTES_MAX = 256 * 1024 * 1024


class Refusal(Exception):
    """What the destination does not take, and its answer."""

    def __init__(self, reason, status=400, mistake=None):
        """A mistake is what the client must not do; by its status if nothing is said."""
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.mistake = status in (400, 405, 406, 411, 415) if mistake is None else mistake


class Request:
    """One request as it came. A double adds what it read from it."""

    def __init__(self, handler, body):
        self.at = time.time()
        self.method = handler.command
        self.path = handler.path
        self.headers = handler.headers
        self.wire = body
        # The body without its Content-Encoding; filled by `unpack`.
        self.body = body
        # Requests over one connection share its number.
        self.connection = handler.connection_number
        # What was answered: a status, or how the connection ended instead.
        self.answered = None
        self.taken = False
        self.details = {}

    def header(self, name):
        """A header that stands there at most once; `None` if it does not."""
        values = self.headers.get_all(name) or []
        if len(values) > 1:
            raise Refusal(f"{name} stands there {len(values)} times")
        return values[0] if values else None

    def unpack(self):
        """Takes the Content-Encoding off."""
        encoding = self.header("Content-Encoding")
        if encoding is None:
            return
        if encoding != "gzip":
            raise Refusal(f"Content-Encoding {encoding}", 415)
        reader = zlib.decompressobj(wbits=31)
        try:
            self.body = reader.decompress(self.wire, BODY_BYTES_MAX)
        except zlib.error as error:
            raise Refusal(f"no gzip: {error}") from error
        if not reader.eof or reader.unused_data or reader.unconsumed_tail:
            raise Refusal("not exactly one gzip member")

    def told(self):
        """As `GET /_requests` tells of it."""
        return {
            "at": self.at,
            "method": self.method,
            "path": self.path,
            "headers": self.headers.items(),
            "bytes": len(self.body),
            "wire_bytes": len(self.wire),
            "connection": self.connection,
            "answered": self.answered,
            "taken": self.taken,
            **{name: told(value) for name, value in self.details.items()},
        }


class Answer:
    """What goes over the wire if nothing else is scripted."""

    def __init__(self, status, body=None, content_type="application/json", headers=None):
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers or {}


class Receiver:
    """A server whose requests are checked by `check` and answered by `answer`."""

    def __init__(self, certificate=None, key=None, client_ca=None, port=0):
        """With a certificate it speaks TLS, with `client_ca` only to clients with one of its. A
        port that another one listened at makes it come back."""
        self.requests = []
        self.mistakes = []
        self.handshake_failures = []
        self.lock = threading.Condition()
        self.steps = []
        self.closing = threading.Event()
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            if client_ca:
                context.load_verify_locations(client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        self.server = Server(("127.0.0.1", port), handler_of(self))
        self.server.receiver = self
        self.server.context = context
        self.port = self.server.server_port
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        """Ends it; nobody listens at its port afterwards. Connections that are open are reset."""
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.server.reset_all()

    # ------------------------------------------------------------------ for the double to say

    def check(self, request):
        """Looks at a request; raises `Refusal`."""
        raise NotImplementedError

    def answer(self, request):
        """The destination's answer to a request that is as it must be."""
        raise NotImplementedError

    def refusal(self, request, refused):
        """The destination's answer to a request that is not."""
        return Answer(refused.status, {"error": refused.reason})

    def take(self, request):
        """Keeps the records of a request that was answered with success."""

    def finish(self, request, answer):
        """The answer once the records are kept."""
        return answer

    def adjust(self, request, step, answer):
        """Members of a step that only this double knows."""
        return answer

    def get(self, path):
        """What `GET /_something` tells; `None` if there is no such page."""
        return {"/_requests": self.told, "/_mistakes": lambda: list(self.mistakes)}.get(path)

    # ---------------------------------------------------------------------------- for the test

    def script(self, *steps):
        with self.lock:
            self.steps = [dict(step) for step in steps]

    def count(self):
        with self.lock:
            return len(self.requests)

    def seen(self):
        """The requests so far."""
        with self.lock:
            return list(self.requests)

    def told(self):
        return [request.told() for request in self.seen()]

    def wait(self, requests, seconds=60):
        """Waits until so many requests have come and been answered."""
        with self.lock:
            come = self.lock.wait_for(
                lambda: sum(r.answered is not None for r in self.requests) >= requests, seconds
            )
        assert come, f"{self.count()} of {requests} requests within {seconds} s"

    # ------------------------------------------------------------------------------- inside

    def step(self):
        """What the script says of the next request."""
        with self.lock:
            if not self.steps:
                return {}
            step = self.steps[0]
            times = step.get("times", 1)
            if times == 1:
                self.steps.pop(0)
            elif times:
                step["times"] = times - 1
            return step

    def serve(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = Request(handler, body)
        step = self.step()
        with self.lock:
            self.requests.append(request)
        try:
            self.check(request)
            answer = self.answer(request)
        except Refusal as refused:
            answer = self.refusal(request, refused)
            if refused.mistake:
                self.mistakes.append(refused.reason)
        except Exception as error:  # A mistake of the double itself must not pass for an answer.
            self.mistakes.append(f"the double itself: {error!r}")
            answer = Answer(500)
        taken = 200 <= answer.status < 300
        if step:
            # A scripted refusal takes nothing, whatever the destination would have answered.
            taken = step.get("take", taken and step.get("status", 200) in range(200, 300))
            answer = self.adjust(request, step, scripted(answer, step))
        with self.lock:
            request.taken = taken
            if taken:
                self.take(request)
                answer = self.finish(request, answer)
        self.closing.wait(step.get("delay", 0))
        end = step.get("end")
        try:
            Writer(handler, answer, step).send(end, self.closing)
        finally:
            with self.lock:
                request.answered = end or answer.status
                self.lock.notify_all()

    def control(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.script(*json.loads(body))
        Writer(handler, Answer(200, {}), {}).send(None, self.closing)

    def page(self, handler):
        page = self.get(handler.path)
        answer = Answer(200, page()) if page else Answer(404, {})
        Writer(handler, answer, {}).send(None, self.closing)


def scripted(answer, step):
    status = step.get("status", answer.status)
    body = step["body"] if "body" in step else answer.body
    return Answer(status, body, answer.content_type, {**answer.headers, **step.get("headers", {})})


class Writer:
    """One answer on its way."""

    def __init__(self, handler, answer, step):
        self.handler = handler
        self.answer = answer
        self.reason = step.get("reason")

    def send(self, end, closing):
        if end == "drop":
            return self.reset()
        if end == "hang":
            closing.wait(ENDLESS_SECONDS)
            return self.reset()
        body = encoded(self.answer.body)
        if end == "flood":
            self.head({"Transfer-Encoding": "chunked"})
            return self.endless(b"10000\r\n" + b" " * 65_536 + b"\r\n", 0, closing)
        if end == "dribble":
            self.head({"Content-Length": "100000"})
            return self.endless(b" ", DRIBBLE_SECONDS, closing)
        self.head({"Content-Length": str(len(body))})
        if self.handler.command == "HEAD":
            body = b""
        if end == "cut":
            self.handler.wfile.write(body[: len(body) // 2])
            return self.reset()
        self.handler.wfile.write(body)
        return self.handler.wfile.flush()

    def head(self, length):
        self.handler.send_response(self.answer.status, self.reason)
        headers = {"Content-Type": self.answer.content_type, **length, **self.answer.headers}
        for name, value in headers.items():
            if value is not None:
                self.handler.send_header(name, value)
        self.handler.end_headers()
        self.handler.wfile.flush()

    def endless(self, piece, pause, closing):
        end = time.monotonic() + ENDLESS_SECONDS
        try:
            while not closing.wait(pause) and time.monotonic() < end:
                self.handler.wfile.write(piece)
                self.handler.wfile.flush()
        except OSError:
            pass
        self.reset()

    def reset(self):
        self.handler.wfile.flush()
        self.handler.close_connection = True
        reset(self.handler.connection)


def reset(connection):
    """Ends a connection in the middle of whatever it was at."""
    with contextlib.suppress(OSError):
        # A linger of 0 s: the other end is told of a reset and not of an orderly end.
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.shutdown(socket.SHUT_RD)


def farewell(connection):
    """Ends a connection whose handshake failed, with time for the client to read why."""
    with socket.socket(fileno=connection.detach()) as plain, contextlib.suppress(OSError):
        plain.settimeout(HANDSHAKE_SECONDS)
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(65_536):
            pass


def encoded(body):
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def told(value):
    """A value as JSON can tell it: bytes in base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return [told(one) for one in value] if isinstance(value, list) else value


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments):
        self.open = {}
        self.accepted = 0
        super().__init__(*arguments)

    def finish_request(self, request, client_address):
        """In the thread of the connection, so that a slow handshake holds up nobody else."""
        self.accepted += 1
        connection = self.secured(request) if self.context else request
        if connection is None:
            return
        self.open[id(connection)] = connection
        try:
            super().finish_request(connection, client_address)
        finally:
            self.open.pop(id(connection), None)
            connection.close()

    def secured(self, request):
        """The connection under TLS; `None` if the two do not come together."""
        connection = self.context.wrap_socket(
            request, server_side=True, do_handshake_on_connect=False
        )
        connection.settimeout(HANDSHAKE_SECONDS)
        try:
            connection.do_handshake()
        except OSError as error:
            # A client that does not like the certificate, or has none to show itself.
            self.receiver.handshake_failures.append(str(error))
            farewell(connection)
            return None
        connection.settimeout(None)
        return connection

    def shutdown_request(self, request):
        """Without an orderly end of its own, which would go ahead of a reset."""
        self.close_request(request)

    def reset_all(self):
        for connection in list(self.open.values()):
            reset(connection)

    def handle_error(self, request, client_address):
        """A client that is gone left without a word; all else is worth one."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError, OSError)):
            super().handle_error(request, client_address)


def handler_of(receiver):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def setup(self):
            super().setup()
            self.connection_number = self.server.accepted

        def log_message(self, *_):
            pass

        def do_POST(self):
            if self.path == "/_control":
                receiver.control(self)
            else:
                receiver.serve(self)

        def do_GET(self):
            if self.path.startswith("/_"):
                receiver.page(self)
            else:
                receiver.serve(self)

        do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_GET

    return Handler


def run(receiver):
    """A double as a process of its own: tells its URL and serves until standard input ends."""
    print(receiver.url, flush=True)
    sys.stdin.read()
    receiver.close()
