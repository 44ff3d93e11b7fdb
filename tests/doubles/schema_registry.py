"""A schema registry that speaks Confluent's API (reference, "Schemas", "Subjects", "Errors").

It answers `GET /schemas/ids/{id}` and `GET /subjects/{subject}/versions/{version}` and nothing
else, wants its credential before all, and knows no id that it did not give out.
"""

import base64
import re
import urllib.parse

import receiver
from receiver import Answer

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


class Refusal(receiver.Refusal):
    """An error of the registry: its code begins with the status."""

    def __init__(self, code, message, mistake=False):
        super().__init__(message, int(str(code)[:3]), mistake)
        self.code = code


class SchemaRegistry(receiver.Receiver):
    """Schemas are kept by id and by subject."""

    def __init__(self, username=None, password=None, **options):
        text = f"{username}:{password}".encode()
        self.login = f"Basic {base64.b64encode(text).decode()}" if username else None
        self.schemas = {}
        self.subjects = {}
        super().__init__(**options)

    def register(self, schema, kind="AVRO", subject=None, references=()):
        """The id of a schema, which becomes the next version of a subject. `references` are names
        of subjects whose newest version is meant."""
        with self.lock:
            identity = 100_001 + len(self.schemas)
            described = {"schema": schema}
            # For Avro it is not said.
            if kind != "AVRO":
                described["schemaType"] = kind
            if references:
                described["references"] = [
                    {"name": name, "subject": name, "version": len(self.subjects[name])}
                    for name in references
                ]
            self.schemas[identity] = described
            self.subjects.setdefault(subject or f"subject-{identity}", []).append(identity)
            return identity

    def check(self, request):
        if self.login and request.header("Authorization") != self.login:
            raise Refusal(401, "User cannot access the resource.")
        if not self.login and request.header("Authorization"):
            raise Refusal(401, "a credential that nobody asked for", mistake=True)
        if request.method != "GET" or request.body:
            raise Refusal(405, "HTTP 405 Method Not Allowed", mistake=True)
        if CONTENT_TYPE not in (request.header("Accept") or ""):
            raise Refusal(406, "HTTP 406 Not Acceptable", mistake=True)

    def answer(self, request):
        with self.lock:
            if asked := re.fullmatch(r"/schemas/ids/(\d+)", request.path):
                return self.said(self.by_id(int(asked[1])))
            if asked := re.fullmatch(r"/subjects/([^/]+)/versions/(\d+)", request.path):
                subject = urllib.parse.unquote(asked[1])
                return self.said(self.by_version(subject, int(asked[2])))
        raise Refusal(404, "HTTP 404 Not Found", mistake=True)

    def by_id(self, identity):
        if identity not in self.schemas:
            raise Refusal(40403, f"Schema {identity} not found")
        return self.schemas[identity]

    def by_version(self, subject, version):
        if subject not in self.subjects:
            raise Refusal(40401, f"Subject '{subject}' not found.")
        versions = self.subjects[subject]
        if not 1 <= version <= len(versions):
            raise Refusal(40402, f"Version {version} not found.")
        identity = versions[version - 1]
        return {
            "subject": subject,
            "version": version,
            "id": identity,
            **self.schemas[identity],
        }

    def said(self, body, status=200):
        return Answer(status, body, CONTENT_TYPE)

    def refusal(self, request, refused):
        code = getattr(refused, "code", refused.status)
        return self.said({"error_code": code, "message": refused.reason}, refused.status)

    def asked(self):
        """The paths that were asked for, in order."""
        return [request.path for request in self.seen()]
