"""A little S3 server that fails on command; keeps what it takes in memory."""

import http.server
import re
import socket
import threading
import urllib.parse


class FaultyS3:
    """`mode` says what happens to uploads:

    ok         taken
    slow_down  503 SlowDown
    forbidden  403 AccessDenied
    no_bucket  404 NoSuchBucket
    cut        the connection is reset in the middle of the body
    silent     taken, but the answer is lost: the connection is reset after the body
    """

    def __init__(self):
        self.mode = "ok"
        self.objects = {}
        self.uploads = {}
        self.attempts = 0
        self.aborted = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_PUT(self):
                outer.put(self)

            def do_POST(self):
                outer.post(self)

            def do_DELETE(self):
                outer.delete(self)

            def do_HEAD(self):
                reply(self, 200)

            do_GET = do_HEAD

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def put(self, handler):
        with self.lock:
            self.attempts += 1
            mode = self.mode
        if mode == "cut":
            handler.rfile.read(int(handler.headers["Content-Length"]) // 2)
            return reset(handler)
        body = dechunk(handler)
        if self.refuse(handler, mode):
            return None
        url = urllib.parse.urlsplit(handler.path)
        query = urllib.parse.parse_qs(url.query)
        key = urllib.parse.unquote(url.path)
        with self.lock:
            if "uploadId" in query:
                self.uploads[query["uploadId"][0]][int(query["partNumber"][0])] = body
            else:
                self.objects[key] = body
        if mode == "silent":
            return reset(handler)
        return reply(handler, 200, headers={"ETag": '"etag"'})

    def post(self, handler):
        body = dechunk(handler)
        url = urllib.parse.urlsplit(handler.path)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        key = urllib.parse.unquote(url.path)
        if self.refuse(handler, self.mode):
            return
        with self.lock:
            if "uploads" in query:
                upload = f"upload-{len(self.uploads)}"
                self.uploads[upload] = {}
                name = "InitiateMultipartUploadResult"
                text = f"<UploadId>{upload}</UploadId>"
            else:
                parts = self.uploads.pop(query["uploadId"][0])
                numbers = [int(n) for n in re.findall(rb"<PartNumber>(\d+)<", body)]
                self.objects[key] = b"".join(parts[n] for n in numbers)
                name = "CompleteMultipartUploadResult"
                text = '<ETag>"etag"</ETag>'
        bucket, _, rest = key.lstrip("/").partition("/")
        xml = f"<{name}><Bucket>{bucket}</Bucket><Key>{rest}</Key>{text}</{name}>"
        reply(handler, 200, xml)

    def delete(self, handler):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query)
        with self.lock:
            if self.uploads.pop(query.get("uploadId", [""])[0], None) is not None:
                self.aborted += 1
        reply(handler, 204)

    def refuse(self, handler, mode):
        refusals = {
            "slow_down": (503, "SlowDown", "Please reduce your request rate."),
            "forbidden": (403, "AccessDenied", "Access Denied"),
            "no_bucket": (404, "NoSuchBucket", "The specified bucket does not exist"),
        }
        if mode not in refusals:
            return False
        status, code, message = refusals[mode]
        reply(handler, status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>")
        return True


def reply(handler, status, text="", headers=None):
    body = text.encode()
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    if body:
        handler.send_header("Content-Type", "application/xml")
    if status != 204:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def reset(handler):
    """Ends the connection without an answer."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def dechunk(handler):
    body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    if not handler.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        return body
    content, at = b"", 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end].split(b";")[0], 16)
        if size == 0:
            return content
        content += body[end + 2 : end + 2 + size]
        at = end + 2 + size + 2
