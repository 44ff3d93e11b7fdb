"""A strict double of OpenSearch's and Elasticsearch's `_bulk`, with the faults no real server gives
on command.

Faults of a whole request come from the script of `receiver`; these members of a step are of its
own:

    items           position in the request → status of that item: 429, 5xx, 403 (a block), 404
                    (no index), 400 (mapping); "*" is every item
    missing         so many items are left out at the end of the answer

What is refused for ever is said by attributes: `reject` (bytes → status: a document that holds
them always gets it), `spoils` (bytes: a request with a document that holds them gets a 400 as a
whole), `serverless`, `data_streams`.
`GET /_docs` tells index → id → document.
"""

import argparse
import base64
import json
import re

import receiver
from receiver import Answer, Refusal

SIGNATURE = (
    r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/[\w-]+/(es|aoss)/aws4_request, ?"
    r"SignedHeaders=([\w;-]+), ?Signature=[0-9a-f]{64}"
)
# An id is at most so long; an index name is lower case without these (`create index` API).
ID_BYTES_MAX = 512
INDEX_BYTES_MAX = 255
INDEX = r"[^-_+A-Z\\/*?\"<>| ,#:][^A-Z\\/*?\"<>| ,#:]*"

ERRORS = {
    400: ("mapper_parsing_exception", "failed to parse field [n] of type [long]"),
    403: ("cluster_block_exception", "blocked by: [FORBIDDEN/12/index read-only / allow delete]"),
    404: ("index_not_found_exception", "no such index and [action.auto_create_index] is [false]"),
    409: ("version_conflict_engine_exception", "version conflict, document already exists"),
    429: ("rejected_execution_exception", "rejected execution of coordinating operation"),
    500: ("exception", "something broke"),
    502: ("exception", "a node did not answer"),
    503: ("unavailable_shards_exception", "primary shard is not active"),
    504: ("process_cluster_event_timeout_exception", "failed to process cluster event"),
}
# The one id whose document may be none: a trial of the permission to write.
TRIAL = "standpipe-check"
NO_IDS = "Document ID is not supported in create/index operation request"


class OpenSearchBulk(receiver.Receiver):
    def __init__(self, auth=None, serverless=False, data_streams=(), max_bytes=None, **tls):
        """`auth` is None (nobody may be named), "es" or "aoss" (signed for it), or a tuple of
        user and password."""
        self.auth = auth
        # A collection of time series, which takes no ids.
        self.serverless = serverless
        self.data_streams = set(data_streams)
        self.max_bytes = max_bytes
        self.reject = {}
        self.spoils = None
        # index → id → document, as bytes.
        self.docs = {}
        # How often a document was refused because it was there already.
        self.conflicts = 0
        self.generated = 0
        super().__init__(**tls)

    def get(self, path):
        return self.told_docs if path == "/_docs" else super().get(path)

    def told_docs(self):
        with self.lock:
            return {
                index: {identity: json.loads(document) for identity, document in docs.items()}
                for index, docs in self.docs.items()
            }

    def documents(self, index):
        """All documents of an index, as bytes in the order of their arrival."""
        with self.lock:
            return list(self.docs.get(index, {}).values())

    # ------------------------------------------------------------------------------ the checks

    def check(self, request):
        self.check_auth(request)
        path, _, query = request.path.partition("?")
        request.details["query"] = query
        index = re.fullmatch(r"/(?:([^/_][^/]*)/)?_bulk", path)
        if request.method == "GET" and path == "/" or request.method == "HEAD":
            # Who are you, and is there such an index: asked by `check`.
            return
        if request.method not in ("POST", "PUT") or not index:
            raise Refusal(f"{request.method} {request.path}", 405)
        kind = request.header("Content-Type")
        if kind not in ("application/x-ndjson", "application/json"):
            raise Refusal(f"Content-Type {kind}", 406)
        if request.header("Content-Length") is None:
            raise Refusal("no Content-Length", 411)
        if self.max_bytes is not None and len(request.wire) > self.max_bytes:
            raise Refusal("the request is too large", 413)
        request.unpack()
        request.details["actions"] = actions(request.body, index[1])
        if self.spoils and self.spoils in request.body:
            raise Refusal("the request cannot be read", mistake=False)

    def check_auth(self, request):
        text = request.header("Authorization")
        if self.auth is None:
            if text is not None:
                raise Refusal("Authorization, and nobody asked for it")
        elif isinstance(self.auth, tuple):
            expected = base64.b64encode(":".join(self.auth).encode()).decode()
            if text is None:
                raise Refusal("missing authentication credentials", 401)
            if text != f"Basic {expected}":
                raise Refusal("unable to authenticate user", 401)
        else:
            self.check_signature(request, text or "")

    def check_signature(self, request, text):
        found = re.fullmatch(SIGNATURE, text)
        if not found or found[1] != self.auth:
            raise Refusal("The request signature is missing or for another service", 403)
        names = found[2].split(";")
        needed = ["host", "x-amz-date"]
        if self.auth == "aoss":
            needed.append("x-amz-content-sha256")
        for name in needed:
            if name not in names or request.header(name) is None:
                raise Refusal(f"{name} is not signed", 403)

    def refusal(self, request, refused):
        types = {401: "security_exception", 403: "security_exception", 413: None}
        kind = types.get(refused.status, "illegal_argument_exception")
        if kind is None:
            return Answer(413)
        error = {"type": kind, "reason": refused.reason}
        return Answer(
            refused.status,
            {"error": {"root_cause": [error], **error}, "status": refused.status},
        )

    # ----------------------------------------------------------------------------- the answers

    def answer(self, request):
        if request.method == "GET":
            version = {"distribution": "opensearch", "number": "3.1.0"}
            return Answer(200, {"cluster_name": "double", "version": version})
        if request.method == "HEAD":
            return Answer(200 if request.path.lstrip("/") in self.docs else 404)
        return Answer(200, {"took": 1, "errors": False, "items": []})

    def adjust(self, request, step, answer):
        # The items are made when the documents are taken; here only what they are to be.
        request.details["items"] = step.get("items", {})
        request.details["missing"] = step.get("missing", 0)
        return answer

    def take(self, request):
        if "actions" not in request.details:
            return
        scripted = request.details.get("items", {})
        items = []
        for position, action in enumerate(request.details["actions"]):
            status = scripted.get(str(position), scripted.get(position, scripted.get("*")))
            items.append(self.item(action, status))
        request.details["answered_items"] = items

    def finish(self, request, answer):
        items = request.details.get("answered_items")
        if items is None or not isinstance(answer.body, dict) or "items" not in answer.body:
            return answer
        kept = items[: len(items) - request.details.get("missing", 0)]
        errors = any("error" in next(iter(item.values())) for item in kept)
        body = {**answer.body, "errors": errors, "items": kept}
        answer.body = filtered(body, request.details["query"])
        return answer

    def item(self, action, status):
        """One action carried out, and its part of the answer."""
        verb, index, identity, document = action
        if identity == TRIAL:
            status = status or (400 if index in self.docs else 404)
        status = status or self.refused(document)
        reason = None
        if status is None and self.serverless and identity is not None:
            status, reason = 400, ("illegal_argument_exception", NO_IDS)
        if status is None and index in self.data_streams and verb != "create":
            text = "only write ops with an op_type of create are allowed in data streams"
            status, reason = 400, ("illegal_argument_exception", text)
        docs = self.docs.setdefault(index, {}) if status is None else {}
        if status is None and verb == "create" and identity in docs:
            status = 409
            self.conflicts += 1
        if status is None:
            if identity is None:
                self.generated += 1
                identity = f"generated-{self.generated}"
            status = 200 if identity in docs else 201
            docs[identity] = document
            told = {"result": "created" if status == 201 else "updated"}
        else:
            kind, text = reason or ERRORS[status]
            told = {"error": {"type": kind, "reason": text}}
        return {verb: {"_index": index, "_id": identity, "status": status, **told}}

    def refused(self, document):
        return next((status for held, status in self.reject.items() if held in document), None)


def actions(body, default_index):
    """(verb, index, id, document) of every action; only `create` and `index`."""
    if not body.endswith(b"\n"):
        raise Refusal("The bulk request must be terminated by a newline [\\n]")
    lines = body.split(b"\n")[:-1]
    if not lines or len(lines) % 2:
        raise Refusal(f"{len(lines)} lines are not an action and a document each")
    return [action(*pair, default_index) for pair in zip(lines[::2], lines[1::2], strict=True)]


def action(head, document, default_index):
    try:
        head = json.loads(head)
        parsed = json.loads(document)
    except ValueError as error:
        raise Refusal(f"a line is no JSON: {error}") from error
    if not isinstance(head, dict) or len(head) != 1 or next(iter(head)) not in ("create", "index"):
        raise Refusal(f"Malformed action/metadata line: {head}")
    ((verb, members),) = head.items()
    unknown = set(members) - {"_index", "_id", "_type"}
    if unknown and (unknown, members.get("_id")) != ({"require_alias"}, TRIAL):
        raise Refusal(f"Action/metadata line contains an unknown parameter {unknown}")
    if not isinstance(parsed, dict) and members.get("_id") != TRIAL:
        raise Refusal("a document is no object")
    index, identity = members.get("_index", default_index), members.get("_id")
    named = isinstance(index, str) and re.fullmatch(INDEX, index)
    if not named or len(index.encode()) > INDEX_BYTES_MAX:
        raise Refusal(f"index {index!r}")
    if identity is not None and not 1 <= len(identity.encode()) <= ID_BYTES_MAX:
        raise Refusal(f"id {identity!r}")
    return verb, index, identity, document


def filtered(body, query):
    """`filter_path=errors,items.*.status,items.*.error`, as far as it is asked for."""
    asked = re.search(r"(?:^|&)filter_path=([^&]*)", query)
    if not asked:
        return body
    paths = asked[1].replace("%2C", ",").replace("%2A", "*").split(",")
    members = {path.split(".")[2] for path in paths if path.startswith("items.*.")}
    kept = {name: body[name] for name in ("took", "errors") if name in paths}
    if "items" in paths:
        kept["items"] = body["items"]
    elif members:
        # What is empty after the filter is left out.
        items = [
            {verb: {name: value for name, value in one.items() if name in members}}
            for item in body["items"]
            for verb, one in item.items()
        ]
        kept["items"] = items
    return kept


def main():
    parser = argparse.ArgumentParser(description="A double of OpenSearch's _bulk.")
    parser.add_argument("--user", help="NAME:PASSWORD for Basic authentication")
    parser.add_argument("--signed", choices=["es", "aoss"])
    parser.add_argument("--serverless", action="store_true")
    parser.add_argument("--data-stream", action="append", default=[], dest="data_streams")
    parser.add_argument("--max-bytes", type=int)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    options = vars(parser.parse_args())
    user, signed = options.pop("user"), options.pop("signed")
    auth = tuple(user.split(":", 1)) if user else signed
    receiver.run(OpenSearchBulk(auth=auth, **options))


if __name__ == "__main__":
    main()
