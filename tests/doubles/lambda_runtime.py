"""Runs a handler in AWS's own Python runtime, without a container.

The runtime (`python -m awslambdaric module.function`) asks Lambda's Runtime API for events; this is
that API for one function, one event at a time, as Lambda gives them to one sandbox.
"""

import http.server
import json
import os
import pathlib
import queue
import re
import subprocess
import sys
import threading
import time
import uuid

from lambda_api import Reply, send

FUNCTIONS = pathlib.Path(__file__).parent / "functions"
INVOCATION = "/2018-06-01/runtime/invocation"
TIMEOUT_S = 30


class Runtime:
    """`invoke(event)` hands an event to the handler and gives what it answered."""

    def __init__(self, handler, arn):
        self.arn = arn
        self.events = queue.Queue()
        self.answers = {}
        self.one_at_a_time = threading.Lock()
        outer = self

        class Api(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.next(self)

            def do_POST(self):
                outer.take(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler],
            cwd=FUNCTIONS,
            stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}",
                "AWS_LAMBDA_FUNCTION_NAME": "transform",
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
                "AWS_REGION": "us-east-1",
                "LAMBDA_TASK_ROOT": str(FUNCTIONS),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )

    def close(self):
        self.process.kill()
        self.process.wait()
        self.server.shutdown()
        self.server.server_close()

    def invoke(self, event):
        with self.one_at_a_time:
            identity = str(uuid.uuid4())
            answer = self.answers[identity] = queue.Queue()
            self.events.put((identity, json.dumps(event).encode()))
            return answer.get(timeout=TIMEOUT_S)

    def next(self, handler):
        assert handler.path == f"{INVOCATION}/next", handler.path
        identity, event = self.events.get()
        deadline = int((time.time() + TIMEOUT_S) * 1000)
        headers = {
            "Lambda-Runtime-Aws-Request-Id": identity,
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Lambda-Runtime-Invoked-Function-Arn": self.arn,
        }
        send(handler, Reply(200, event, headers))

    def take(self, handler):
        body = read(handler)
        found = re.fullmatch(rf"{INVOCATION}/([0-9a-f-]+)/(response|error)", handler.path)
        assert found, f"{handler.path}: {body}"
        failed = {"X-Amz-Function-Error": "Unhandled"} if found[2] == "error" else {}
        self.answers.pop(found[1]).put(Reply(200, body, failed))
        send(handler, Reply(202))


def read(handler):
    """The body, whichever way its length is told."""
    length = handler.headers.get("Content-Length")
    if length is not None:
        return handler.rfile.read(int(length))
    body = b""
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body
