"""A real OpenSearch of one node without security, as a process of its own."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import pytest

import harness

FOLDER = harness.CACHE / "opensearch"
# The tests' data is small.
HEAP = "512m"
# Far less than its default, so that a test can send more.
REQUEST_BYTES_MAX = 4 * 1024 * 1024


class OpenSearch(harness.Process):
    """One node; its data lives as long as this object, across `stop` and `start`."""

    def __init__(self, folder, **settings):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = harness.free_port()
        self.settings = settings

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_path(self):
        return self.folder / "opensearch.log"

    def start(self):
        settings = {"http.port": self.port, **self.settings}
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                ["java", f"-Xms{HEAP}", f"-Xmx{HEAP}", "-XX:+UseSerialGC",
                 "-XX:TieredStopAtLevel=1", "-cp", f"{FOLDER}:{FOLDER}/*", "SearchNode",
                 str(self.folder), *(f"{key}={value}" for key, value in settings.items())],
                # It ends with us: when its standard input is closed.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        return self.wait_ready()

    def is_ready(self):
        try:
            status, health = self.request("GET", "/_cluster/health")
        except OSError:
            return False
        return status == 200 and health["status"] in ("green", "yellow")

    def ask_to_stop(self):
        self.process.stdin.close()

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ------------------------------------------------------------------------------- requests

    def request(self, method, path, body=None, content_type="application/json"):
        """Status and answer, parsed; any status. `body` is JSON unless it is bytes."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data=body, method=method, headers={"content-type": content_type}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return error.code, json.loads(text or b"null")
            except ValueError:
                return error.code, text.decode(errors="replace")

    def ask(self, method, path, body=None):
        """The answer to a request that must succeed."""
        status, answer = self.request(method, path, body)
        assert status < 300, (method, path, status, answer)
        return answer

    def ask_of_shards(self, method, path, body=None):
        """As `ask`, of an index that may have been made this moment: until its shards have
        started, the answer is 503."""

        def attempt():
            status, answer = self.request(method, path, body)
            return status != 503 and (status, answer)

        status, answer = harness.wait_for(attempt, "the shards of the index have started")
        assert status < 300, (method, path, status, answer)
        return answer

    def bulk(self, *lines):
        """The items of an answer to `_bulk`, without the action's name around each."""
        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
        status, answer = self.request("POST", "/_bulk", body, "application/x-ndjson")
        assert status == 200, answer
        return [item for wrapped in answer["items"] for item in wrapped.values()]

    def indices(self, pattern="*"):
        """Names of the indexes, sorted, without those of the system."""
        rows = self.ask("GET", f"/_cat/indices/{urllib.parse.quote(pattern)}?format=json")
        return sorted(row["index"] for row in rows if not row["index"].startswith("."))

    def create_index(self, name, mappings=None, settings=None):
        # No copies: there is one node.
        body = {"settings": {"number_of_replicas": 0, "number_of_shards": 1, **(settings or {})}}
        if mappings is not None:
            body["mappings"] = mappings
        self.ask("PUT", f"/{name}", body)

    def data_stream(self, name, mappings=None):
        template = {"index_patterns": [name], "data_stream": {}, "priority": 100}
        if mappings is not None:
            template["template"] = {"mappings": mappings}
        self.ask("PUT", f"/_index_template/{name}", template)
        self.ask("PUT", f"/_data_stream/{name}")

    def cluster_settings(self, **settings):
        """Dotted names with `__` for each dot; None goes back to the default."""
        named = {name.replace("__", "."): value for name, value in settings.items()}
        self.ask("PUT", "/_cluster/settings", {"transient": named})

    def refresh(self, index="_all"):
        self.ask("POST", f"/{index}/_refresh?ignore_unavailable=true")

    def search(self, index, size=10_000, **body):
        """The hits of a search after a refresh (`_index`, `_id`, `_source`), sorted by id."""
        self.refresh(index)
        path = f"/{index}/_search?ignore_unavailable=true"
        answer = self.ask_of_shards("POST", path, {"size": size, **body})
        return sorted(answer["hits"]["hits"], key=lambda hit: hit["_id"])

    def documents(self, index):
        return [hit["_source"] for hit in self.search(index)]

    def count(self, index):
        self.refresh(index)
        return self.ask_of_shards("GET", f"/{index}/_count?ignore_unavailable=true")["count"]

    def clear(self):
        """Removes every index and data stream, and resets what a test may have set."""
        for stream in self.ask("GET", "/_data_stream")["data_streams"]:
            self.ask("DELETE", f"/_data_stream/{stream['name']}")
        for name in self.ask("GET", "/_index_template").get("index_templates", []):
            self.ask("DELETE", f"/_index_template/{name['name']}")
        for index in self.indices():
            self.ask("DELETE", f"/{index}")
        self.ask("PUT", "/_cluster/settings", {"transient": {"*": None}, "persistent": {"*": None}})


@pytest.fixture(scope="session")
def opensearch_server():
    """The node that the session's tests share; started when the first of them asks for it."""
    folder = tempfile.mkdtemp(prefix="standpipe-opensearch-")
    server = OpenSearch(folder, **{"http.max_content_length": f"{REQUEST_BYTES_MAX}b"})
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def opensearch(opensearch_server):
    """The shared node, empty and running."""
    if opensearch_server.process is None:
        opensearch_server.start()
    opensearch_server.resume()
    opensearch_server.clear()
    return opensearch_server
