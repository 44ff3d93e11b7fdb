"""A strict double of Splunk's HTTP Event Collector, with indexer acknowledgement.

It refuses what the real one refuses, loses silently what the real one loses silently, and says
`true` of an acknowledgement once. Run it alone (`python3 splunk_hec.py --port 0 --token T --ack`
prints its port as JSON on the first line) or as `Hec(token)` in a test.

What is not of Splunk is below `/_`:

* `GET /_events`: what is indexed, and how many requests of each kind there were.
* `GET /_requests`: every request to the collector, with the code it was answered.
* `POST /_control`: `{"mode": M}` and more, see `Collector.control`.
"""

import argparse
import contextlib
import gzip
import http.server
import json
import re
import socketserver
import ssl
import sys
import threading
import time
import urllib.parse
import uuid
import zlib

from receiver import DRIBBLE_SECONDS, ENDLESS_SECONDS, reset

COLLECTOR = "/services/collector"
ENVELOPE_KEYS = {"time", "host", "source", "sourcetype", "index", "event", "fields"}
GUID = r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
CONTENT_BYTES_MAX = 838_860_800
WAIT_MAX_S = 600

# Who gets these has sent what nobody should.
MISTAKES = {2, 3, 5, 10, 11, 12, 13, 16, 404, 411, 415}

# Status and text of every code.
ANSWERS = {
    0: (200, "Success"),
    1: (403, "Token disabled"),
    2: (401, "Token is required"),
    3: (401, "Invalid authorization"),
    4: (403, "Invalid token"),
    5: (400, "No data"),
    6: (400, "Invalid data format"),
    7: (400, "Incorrect index"),
    8: (500, "Internal server error"),
    9: (503, "Server is busy"),
    10: (400, "Data channel is missing"),
    11: (400, "Invalid data channel"),
    12: (400, "Event field is required"),
    13: (400, "Event field cannot be blank"),
    14: (400, "ACK is disabled"),
    15: (400, "Error in handling indexed fields"),
    16: (400, "Query string authorization is not enabled"),
    17: (200, "HEC is healthy"),
    18: (503, "HEC is unhealthy, queues are full"),
    19: (503, "HEC is unhealthy, ack service unavailable"),
    20: (503, "HEC is unhealthy, queues are full, ack service unavailable"),
    21: (400, "Invalid token"),
    22: (400, "Token disabled"),
    23: (503, "Server is shutting down"),
    24: (200, "Queue is approaching capacity"),
    25: (200, "ACK channel is approaching capacity"),
    26: (429, "Queue is at capacity"),
    27: (429, "ACK channel is at capacity"),
    28: (400, "Data channel is missing"),
    404: (404, "The requested URL was not found on this server."),
}

MODES = ("ok", "delay", "withhold", "lose")


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, code, status=None, **members):
        super().__init__(code)
        known, text = ANSWERS.get(code, (400, "An answer of the script"))
        self.status = status or known
        self.body = {"text": text, "code": code, **members}


class Collector:
    """What a server knows, and how it is told to behave."""

    def __init__(self, token, ack=False, indexes=("main",), sticky=False, content_bytes_max=None):
        self.tokens = {token: "enabled"}
        self.ack = ack
        self.indexes = set(indexes)
        self.sticky = sticky
        # Splunk Cloud answers larger bodies as if the first object were invalid.
        self.content_bytes_max = content_bytes_max
        self.lock = threading.Condition()
        self.mode = "ok"
        self.delay_s = 0.0
        self.script = []
        self.closing = threading.Event()
        self.health_code = 17
        self.events = []
        self.requests = []
        self.counts = {"raw": 0, "event": 0, "ack": 0, "health": 0}
        self.restart()

    def restart(self):
        """What a restart forgets: every channel with its ids, and who was tied to the server."""
        self.channels = {}
        self.instance = uuid.uuid4().hex

    # ------------------------------------------------------------------ what a test says

    def control(self, order):
        """What a test says: any of these members.

        mode: ok (acknowledged at once), delay (after `seconds`), withhold (never, until the mode
            is another one), lose (the poll answers `true` into a connection that is cut).
        answers: a list of `{"status", "code", "text", "headers", "body", "to"}`, one for each of
            the next requests (to `to`: raw, event, ack or health; any if absent), and besides
            times: for so many requests, 0 for all;
            delay: seconds before the answer;
            take: true does with the request what would be done without a script;
            end: "drop" (no answer, the connection is reset), "cut" (in the middle of the body),
            "hang" (none, the connection stays open), "dribble" (never: a byte now and then),
            "flood" (never: as many bytes as the client takes).
        script: the same, in place of what was laid down before.
        ack, sticky, indexes, content_bytes_max, health: the settings.
        token: `{"name": "enabled" | "disabled" | null}`.
        restart: true forgets channels and ids. clear: true forgets what was indexed and asked.
        """
        known = {"mode", "seconds", "answers", "script", "ack", "sticky", "indexes", "content_bytes_max"}
        known |= {"health", "token", "restart", "clear"}
        unknown = set(order) - known
        if unknown or order.get("mode", "ok") not in MODES:
            raise ValueError(f"no such order: {sorted(unknown) or order['mode']}")
        with self.lock:
            self.mode = order.get("mode", self.mode)
            self.delay_s = order.get("seconds", self.delay_s)
            self.script = list(order.get("script", self.script)) + order.get("answers", [])
            self.ack = order.get("ack", self.ack)
            self.sticky = order.get("sticky", self.sticky)
            self.indexes = set(order.get("indexes", self.indexes))
            self.content_bytes_max = order.get("content_bytes_max", self.content_bytes_max)
            self.health_code = order.get("health", self.health_code)
            for name, state in order.get("token", {}).items():
                self.tokens[name] = state
            if order.get("restart"):
                self.restart()
            if order.get("clear"):
                self.events, self.requests = [], []
                self.counts = dict.fromkeys(self.counts, 0)
            self.lock.notify_all()

    def scripted(self, kind):
        """The answer that a test has laid down for this request, if there is one."""
        with self.lock:
            for number, answer in enumerate(self.script):
                if answer.get("to", kind) == kind:
                    times = answer.get("times", 1)
                    if times == 1:
                        del self.script[number]
                    elif times:
                        self.script[number] = {**answer, "times": times - 1}
                    return answer
        return None

    # ------------------------------------------------------------------ what Splunk does

    def authorize(self, headers, query):
        text = headers.get("Authorization")
        if text is None:
            raise Refusal(16 if "token" in query else 2)
        scheme, _, token = text.partition(" ")
        if scheme.lower() != "splunk" or not token:
            raise Refusal(3)
        state = self.tokens.get(token)
        if state is None:
            raise Refusal(4)
        if state != "enabled":
            raise Refusal(1)

    def channel(self, headers, query):
        """The channel's name; `None` where none is needed."""
        name = headers.get("X-Splunk-Request-Channel") or query.get("channel", [None])[0]
        if not self.ack:
            return None
        if not name:
            raise Refusal(10)
        if not re.fullmatch(GUID, name):
            raise Refusal(11)
        return name.lower()

    def index(self, channel, events):
        """Keeps events; the id under which they will be acknowledged."""
        with self.lock:
            self.events += events
            self.lock.notify_all()
            if channel is None:
                return {}
            ids = self.channels.setdefault(channel, {})
            number = len(ids)
            ids[number] = {"at": time.monotonic(), "told": False}
            return {"ackId": number}

    def raw(self, channel, query, body):
        if not body.strip():
            raise Refusal(5)
        self.bound(body)
        meta = {key: query[key][0] for key in ("index", "source", "sourcetype", "host") if key in query}
        self.known_index(meta, 0)
        lines = [line.rstrip(b"\r") for line in body.split(b"\n")]
        events = [{"event": text(line), **meta} for line in lines if line.strip()]
        return self.index(channel, events)

    def event(self, channel, query, body):
        if not body.strip():
            raise Refusal(5)
        self.bound(body)
        events, problem = envelopes(body, self.known_index)
        if problem is None:
            return self.index(channel, events)
        # Those before the one at fault are in.
        if events:
            problem.body.update(self.index(channel, events))
        raise problem

    def bound(self, body):
        if self.content_bytes_max is not None and len(body) > self.content_bytes_max:
            raise Refusal(6, **{"invalid-event-number": 0})

    def known_index(self, envelope, number):
        name = envelope.get("index")
        if name is not None and name not in self.indexes:
            raise Refusal(7, **{"invalid-event-number": number + 1})

    def acks(self, channel, body, stranger):
        """What is acknowledged of what is asked for. `true` is said once."""
        try:
            asked = json.loads(body)["acks"]
            if not all(type(number) is int for number in asked):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise Refusal(6) from None
        with self.lock:
            # Another server's ids are unknown here, which is no error.
            ids = {} if stranger else self.channels.get(channel, {})
            found = {}
            for number in asked:
                entry = ids.get(number)
                found[str(number)] = entry is not None and self.is_indexed(entry)
                if found[str(number)]:
                    entry["told"] = True
            return found

    def is_indexed(self, entry):
        if entry["told"] or self.mode == "withhold":
            return False
        return self.mode != "delay" or time.monotonic() - entry["at"] >= self.delay_s


def text(line):
    return line.decode("utf-8", "backslashreplace")


def envelopes(body, known_index):
    """The events of a body, up to the first that is refused, and the refusal."""
    events = []

    def refuse(code):
        return events, Refusal(code, **{"invalid-event-number": number})

    number = 0
    for envelope in objects(body):
        if not isinstance(envelope, dict):
            return refuse(6)
        if set(envelope) - ENVELOPE_KEYS:
            # The real one says 200 and drops this one and all behind it.
            return events, None
        if "event" not in envelope:
            if "fields" in envelope:
                number += 1
                continue  # The real one says 200 and skips it.
            return refuse(12)
        if envelope["event"] is None or envelope["event"] == "":
            return refuse(13)
        if not time_fits(envelope.get("time")):
            return refuse(6)
        if not fields_fit(envelope.get("fields")):
            return refuse(15)
        try:
            known_index(envelope, number)
        except Refusal as refusal:
            return events, refusal
        events.append(envelope)
        number += 1
    return events, None


def time_fits(value):
    if value is None or isinstance(value, bool):
        return value is None
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def fields_fit(fields):
    """A flat map, whose values may be lists of texts."""
    if fields is None:
        return True
    if not isinstance(fields, dict):
        return False

    def flat(value):
        return not isinstance(value, dict | list)

    return all(
        flat(value) or isinstance(value, list) and all(map(flat, value)) for value in fields.values()
    )


def objects(body):
    """JSON values back to back, or in one array; `None` for what is none."""
    try:
        rest = body.decode()
    except UnicodeDecodeError:
        yield None
        return
    decoder = json.JSONDecoder()
    at = 0
    while True:
        while at < len(rest) and rest[at] in " \t\r\n":
            at += 1
        if at == len(rest):
            return
        try:
            value, at = decoder.raw_decode(rest, at)
        except (ValueError, RecursionError):
            yield None
            return
        if isinstance(value, list):
            yield from value
        else:
            yield value


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 120

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer("GET")

    def do_POST(self):
        self.answer("POST")

    def do_OPTIONS(self):
        self.send(200, {}, {"Allow": "POST,OPTIONS"})

    def do_PUT(self):
        self.answer("PUT")

    do_DELETE = do_PATCH = do_HEAD = do_PUT

    def answer(self, method):
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        body = self.body()
        if body is None:
            return
        if url.path.startswith("/_"):
            self.told(method, url.path, query, body)
            return
        kind = kind_of(url.path)
        seen = {
            "method": method,
            "path": self.path,
            "headers": dict(self.headers.items()),
            "bytes": len(body),
            "at": time.time(),
        }
        if kind is not None:
            with self.collector.lock:
                self.collector.counts[kind] += 1
        try:
            scripted = kind and self.collector.scripted(kind)
            if scripted:
                seen["scripted"] = True
                seen["code"] = scripted.get("code")
                usual = self.collected(method, kind, query, body) if scripted.get("take") else {}
                self.as_told(scripted, usual)
                return
            answer = self.collected(method, kind, query, body)
            seen["code"] = answer.get("code", 0)
            if kind == "ack" and self.collector.mode == "lose":
                self.end("drop", 200, answer)
            else:
                self.send(200 if kind != "health" else ANSWERS[answer["code"]][0], answer)
        except Refusal as refusal:
            seen["code"] = refusal.body["code"]
            self.send(refusal.status, refusal.body)
        finally:
            with self.collector.lock:
                self.collector.requests.append(seen)
                self.collector.lock.notify_all()

    @property
    def collector(self):
        return self.server.collector

    def body(self):
        """The body as it came; `None` if it was answered already."""
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self.send(411, {"text": "Length Required", "code": 411})
            return None
        length = self.headers.get("Content-Length", "0")
        if not length.isascii() or not length.isdigit():
            self.close_connection = True
            self.send(400, {"text": "Bad Request", "code": 400})
            return None
        if int(length) > CONTENT_BYTES_MAX:
            self.close_connection = True
            self.send(413, {"text": "Content-Length is too large", "code": 413})
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            # The client went away in the middle.
            self.close_connection = True
            return None
        return body

    def collected(self, method, kind, query, body):
        if kind is None:
            raise Refusal(404)
        if method != ("GET" if kind == "health" else "POST"):
            raise Refusal(404, 405)
        collector = self.collector
        if kind == "health":
            _, words = ANSWERS[collector.health_code]
            return {"text": words, "code": collector.health_code}
        collector.authorize(self.headers, query)
        if kind == "ack":
            if not collector.ack:
                raise Refusal(14)
            channel = collector.channel(self.headers, query)
            return {"acks": collector.acks(channel, body, self.is_stranger())}
        channel = collector.channel(self.headers, query)
        take = collector.raw if kind == "raw" else collector.event
        taken = take(channel, query, self.unpacked(body))
        return {"text": "Success", "code": 0, **taken}

    def unpacked(self, body):
        encoding = self.headers.get("Content-Encoding")
        if encoding in (None, "identity"):
            return body
        if encoding != "gzip":
            raise Refusal(6, 415)
        try:
            return gzip.decompress(body)
        except (OSError, EOFError, zlib.error):
            raise Refusal(6) from None

    def is_stranger(self):
        """Whether the balancer sends this request to another server than the last one."""
        if not self.collector.sticky:
            return False
        cookies = self.headers.get("Cookie", "").split("; ")
        return f"hec={self.collector.instance}" not in cookies

    # ------------------------------------------------------------------ what is not of Splunk

    def told(self, method, path, query, body):
        collector = self.collector
        if method == "GET" and path == "/_events":
            # `?at_least=N` waits until so many are there.
            wanted = int(query.get("at_least", ["0"])[0])
            with collector.lock:
                collector.lock.wait_for(lambda: len(collector.events) >= wanted, WAIT_MAX_S)
                answer = {"events": list(collector.events), "requests": dict(collector.counts)}
            self.send(200, answer)
        elif method == "GET" and path == "/_requests":
            with collector.lock:
                answer = {"requests": list(collector.requests)}
            self.send(200, answer)
        elif method == "POST" and path == "/_control":
            try:
                collector.control(json.loads(body))
                self.send(200, {"mode": collector.mode})
            except (ValueError, AttributeError, TypeError) as error:
                self.send(400, {"error": str(error)})
        else:
            self.send(404, {"error": "no such part of the double"})

    def as_told(self, answer, usual):
        """What a test has laid down."""
        self.collector.closing.wait(answer.get("delay", 0))
        code = answer.get("code", usual.get("code"))
        known, words = ANSWERS.get(code, (200, "Of the script"))
        body = answer.get("body")
        if body is None:
            body = {"text": answer.get("text", words), "code": code, **usual}
        self.end(answer.get("end"), answer.get("status", known), body, answer.get("headers"))

    def end(self, end, status, body, headers=None):
        """Answers, and ends the answer as it was told to."""
        closing = self.collector.closing
        if end is None:
            self.send(status, body, headers)
            return
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        if end == "hang":
            closing.wait(ENDLESS_SECONDS)
        elif end == "cut":
            self.head(status, headers, {"Content-Length": str(len(content))})
            self.wfile.write(content[: len(content) // 2])
        elif end == "dribble":
            self.head(status, headers, {"Content-Length": "10000"})
            self.endless(b" ", DRIBBLE_SECONDS)
        elif end == "flood":
            self.head(status, headers, {"Transfer-Encoding": "chunked"})
            self.endless(b"10000\r\n" + b" " * 65_536 + b"\r\n", 0)
        elif end != "drop":
            raise ValueError(f"no such end: {end}")
        with contextlib.suppress(OSError):
            self.wfile.flush()
        self.close_connection = True
        reset(self.connection)

    def endless(self, piece, pause):
        end = time.monotonic() + ENDLESS_SECONDS
        with contextlib.suppress(OSError):
            while not self.collector.closing.wait(pause) and time.monotonic() < end:
                self.wfile.write(piece)
                self.wfile.flush()

    def send(self, status, body, headers=None):
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.head(status, headers, {"Content-Length": str(len(content))})
        if self.command != "HEAD":
            self.wfile.write(content)

    def head(self, status, headers, length):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.collector.sticky and not self.path.startswith("/_"):
            self.send_header("Set-Cookie", f"hec={self.collector.instance}; Path=/; HttpOnly")
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        for name, value in length.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()


def kind_of(path):
    """Which part of the collector a path names: raw, event, ack, health, or none."""
    if not path.startswith(COLLECTOR):
        return None
    rest = re.sub(r"/1\.0$", "", path[len(COLLECTOR) :])
    parts = {"": "event", "/event": "event", "/raw": "raw", "/ack": "ack", "/health": "health"}
    return parts.get(rest)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, collector, certificate=None, key=None):
        self.collector = collector
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate, key)
        self.open = {}
        super().__init__(address, Handler)

    def server_bind(self):
        # Without asking a name server for the host's name, as the parent would.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def finish_request(self, request, client_address):
        """Shakes hands on the connection's own thread: a slow client holds up nobody."""
        if self.tls:
            request.settimeout(Handler.timeout)
            request = self.tls.wrap_socket(request, server_side=True)
        self.open[id(request)] = request
        try:
            super().finish_request(request, client_address)
        finally:
            self.open.pop(id(request), None)
            if self.tls:
                request.close()

    def shutdown_request(self, request):
        """Without an orderly end of its own, which would go ahead of a reset."""
        self.close_request(request)

    def reset_all(self):
        for connection in list(self.open.values()):
            reset(connection)

    def handle_error(self, request, client_address):
        """A client that leaves, or does not trust the certificate, is nothing to speak of."""
        if not isinstance(sys.exc_info()[1], ConnectionError | ssl.SSLError | TimeoutError):
            super().handle_error(request, client_address)


class Hec:
    """A server in a test's own process."""

    def __init__(self, token, certificate=None, key=None, port=0, **settings):
        self.collector = Collector(token, **settings)
        self.server = Server(("127.0.0.1", port), self.collector, certificate, key)
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_port}"
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def control(self, **order):
        self.collector.control(order)

    def events(self):
        with self.collector.lock:
            return list(self.collector.events)

    def requests(self):
        with self.collector.lock:
            return list(self.collector.requests)

    def mistakes(self):
        """Requests that no client should send."""
        return [r for r in self.requests() if r["code"] in MISTAKES and "scripted" not in r]

    def count(self, kind):
        """Requests of a kind: raw, event, ack or health."""
        with self.collector.lock:
            return self.collector.counts[kind]

    def close(self):
        """Nobody listens at its port afterwards. Connections that are open are reset."""
        self.collector.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.server.reset_all()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", required=True)
    parser.add_argument("--ack", action="store_true", help="the token acknowledges")
    parser.add_argument("--index", action="append", help="an index that it may write to")
    parser.add_argument("--sticky", action="store_true", help="a cookie ties a client to it")
    parser.add_argument("--content-bytes-max", type=int, help="Splunk Cloud's bound of a body")
    parser.add_argument("--certificate", help="PEM file; TLS with it")
    parser.add_argument("--key", help="PEM file of its key")
    given = parser.parse_args()
    collector = Collector(
        given.token,
        ack=given.ack,
        indexes=given.index or ("main",),
        sticky=given.sticky,
        content_bytes_max=given.content_bytes_max,
    )
    server = Server(("127.0.0.1", given.port), collector, given.certificate, given.key)
    print(json.dumps({"port": server.server_port}), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
