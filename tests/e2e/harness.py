"""Starts the real daemon and real S3 servers, and reads back what was delivered.

Nothing here sleeps for a fixed time: `wait_for` polls a condition and fails with its name.
"""

import contextlib
import http.client
import itertools
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("STANDPIPE_BIN", str(REPOSITORY / "target/debug/standpipe"))
CACHE = pathlib.Path(os.environ.get("STANDPIPE_TEST_CACHE", REPOSITORY / "target/test-servers"))

ACCESS_KEY = "AKIATESTTESTTESTTEST"
SECRET_KEY = "test/secret/test/secret/test/secret/0000"
REGION = "us-east-1"
ROLE = "arn:aws:iam::000000000000:role/firehose"


def wait_for(condition, what, timeout=60.0, pause=0.02):
    """Polls until `condition()` is true and answers its value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {timeout:.0f} s: {what}"
        time.sleep(pause)


# Ports that the kernel gives to nobody by itself; each run begins at another one.
PORTS = range(20_000, 32_000)
_ports = itertools.cycle(PORTS)
for _ in range(os.getpid() * 100 % len(PORTS)):
    next(_ports)


def free_port():
    """None is given twice: a server may take its port long after it was chosen."""
    for port in itertools.islice(_ports, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def listening(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def no_retries(attempts=1):
    return botocore.config.Config(
        retries={"mode": "standard", "total_max_attempts": attempts}, read_timeout=60
    )


class Daemon:
    """`standpipe run` with a configuration of its own."""

    def __init__(self, folder, streams, *, api=None, aws=None, env=None, flags=(), **top):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.config = {
            "data_dir": str(self.folder / "data"),
            "api": {
                "listen": f"127.0.0.1:{self.port}",
                "region": REGION,
                "credentials": [
                    {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
                ],
                **(api or {}),
            },
            "aws": {"region": REGION, **(aws or {})},
            "streams": streams,
            **top,
        }
        self.env = env or {}
        self.flags = flags
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def config_path(self):
        return self.folder / "config.yaml"

    @property
    def log_path(self):
        return self.folder / "standpipe.log"

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def write_config(self):
        # JSON is YAML.
        self.config_path.write_text(json.dumps(self.config, indent=1))

    def start(self, wait=True):
        self.write_config()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "run", str(self.config_path), *self.flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "RUST_BACKTRACE": "1", **self.env},
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            code = self.process.poll()
            assert code is None, f"the daemon ended with {code}\n{self.log()[-4000:]}"
            return self.get("/health/ready")[0] == 200

        wait_for(ready, "the daemon is ready")

    def get(self, path):
        """Status and text of a GET; status 0 if nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self, timeout=60):
        """SIGTERM; answers the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()

    def firehose(self, **options):
        return boto3.client(
            "firehose",
            **{
                "endpoint_url": self.url,
                "region_name": REGION,
                "aws_access_key_id": ACCESS_KEY,
                "aws_secret_access_key": SECRET_KEY,
                "config": no_retries(),
                **options,
            },
        )

    def flush(self, stream):
        """Closes what is open now."""
        status, body = self.signed("POST", f"/v1/streams/{stream}/flush")
        assert 200 <= status < 300, f"flush: {status} {body}"

    def signed(self, method, path, body=b"", headers=None):
        """One signed request; status and body. `headers` are signed too."""
        request = botocore.awsrequest.AWSRequest(
            method=method, url=self.url + path, data=body, headers=headers or {}
        )
        keys = botocore.credentials.Credentials(ACCESS_KEY, SECRET_KEY)
        botocore.auth.SigV4Auth(keys, "firehose", REGION).add_auth(request)
        return self.raw(method, path, body, dict(request.headers))

    def raw(self, method, path, body=b"", headers=None):
        """One request as it stands; status and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metrics(self):
        """All samples of the metrics page."""
        status, text = self.get("/metrics")
        assert status == 200, text
        return Metrics(text)

    def command(self, *arguments, **options):
        """Runs another command of the binary and answers its output."""
        done = subprocess.run(
            [BINARY, *arguments], capture_output=True, text=True, timeout=60, **options
        )
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stderr}"
        return done.stdout


class Metrics:
    """A page of metrics as Prometheus reads it."""

    def __init__(self, text):
        self.text = text
        self.samples = {}
        for line in text.splitlines():
            sample = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if sample and not line.startswith("#"):
                labels = frozenset(re.findall(r'(\w+)="([^"]*)"', sample[2] or ""))
                self.samples[sample[1], labels] = float(sample[3])

    def __getitem__(self, key):
        """`metrics["standpipe_x", {"stream": "s"}]`; a sample that is not there is a mistake."""
        name, labels = key
        return self.samples[name, frozenset(labels.items())]

    def ledger(self, stream, destination, kind="delivery_to_s3"):
        """What came in, and what became of it at one destination."""
        of_stream = {"stream": stream}
        of_both = {**of_stream, "destination": destination}
        came = (
            self["standpipe_incoming_records_total", of_stream]
            + self["standpipe_backlog_at_start_records", of_both]
        )
        became = {
            "delivered": self[f"standpipe_{kind}_records_total", of_both],
            "failed": self["standpipe_failed_records_total", of_both],
            "dropped": self["standpipe_dropped_records_total", of_both],
            "damaged": self["standpipe_damaged_records_total", of_both],
            "backlog": self["standpipe_backlog_records", of_both],
        }
        return came, became


def local(folder, **options):
    """A destination that is a local folder, with buffering that only a flush or 5 MiB closes."""
    return {
        "s3": {
            "bucket": pathlib.Path(folder).resolve().as_uri(),
            "buffering": {"size": "5MiB", "interval": "900s"},
            **options,
        }
    }


def bucket(name, server, **options):
    """A destination in a bucket of an S3 server."""
    return {
        "s3": {
            "bucket": name,
            "endpoint": server.url,
            "path_style": True,
            "buffering": {"size": "5MiB", "interval": "900s"},
            **options,
        }
    }


def aws_environment(url, **more):
    """The environment of a client process, with keys that the daemon takes."""
    return {
        **os.environ,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "STANDPIPE_ENDPOINT": url,
        **more,
    }


def outgoing():
    """The `aws` section with the keys of our S3 servers."""
    return {"credentials": {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}}


def files(folder):
    """Key → path of every object in a local bucket."""
    folder = pathlib.Path(folder)
    found = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        # Objects that are being written lie in a folder with a dot.
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            found[urllib.parse.unquote(str(relative))] = path
    return found


def delivered(daemon, stream, folder, bytes_expected, decode=lambda data: data):
    """Flushes until the objects of a local bucket hold so many bytes; key → decoded content."""

    def enough():
        daemon.flush(stream)
        found = {key: decode(path.read_bytes()) for key, path in files(folder).items()}
        return found if sum(map(len, found.values())) >= bytes_expected else None

    return wait_for(enough, f"{bytes_expected} bytes are delivered", pause=0.1)


class Process:
    """A server of its own process, in `self.process`, that is ended and held up from outside."""

    process = None
    # On a crowded machine servers take their time.
    start_timeout_s = 180

    def is_ready(self):
        """Whether it takes requests."""
        raise NotImplementedError

    def wait_ready(self):
        def ready():
            code = self.process.poll()
            log = self.log_path.read_text(errors="replace")[-4000:] if code is not None else ""
            assert code is None, f"{type(self).__name__} ended with {code}\n{log}"
            return self.is_ready()

        wait_for(ready, f"{type(self).__name__} is ready", self.start_timeout_s, 0.1)
        return self

    def ask_to_stop(self):
        self.process.terminate()

    def stop(self):
        """Stops it in order."""
        if self.process and self.process.poll() is None:
            self.resume()
            self.ask_to_stop()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None

    def kill(self):
        """Ends it at once, as a crash does."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def pause(self):
        """It takes connections, but answers nothing until `resume`."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)


class S3Server:
    """versitygw on a folder; can be stopped and started again at the same address."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.root = self.folder / "objects"
        self.root.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        binary = CACHE / "bin/versitygw"
        assert binary.exists(), f"{binary} is missing: run tests/servers/install.sh"
        with (self.folder / "versitygw.log").open("ab") as log:
            self.process = subprocess.Popen(
                [binary, "--access", ACCESS_KEY, "--secret", SECRET_KEY, "--region", REGION]
                + ["--quiet", "--port", f"127.0.0.1:{self.port}", "posix", self.root],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: listening(self.port), "versitygw listens")
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=botocore.config.Config(s3={"addressing_style": "path"}),
        )

    def objects(self, name):
        """Key → answer of GetObject with `Body` read, of a whole bucket."""
        client = self.client()
        found = {}
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
            for entry in page.get("Contents", []):
                answer = client.get_object(Bucket=name, Key=entry["Key"])
                found[entry["Key"]] = {**answer, "Body": answer["Body"].read()}
        return found


def delivered_to_s3(daemon, stream, server, name, bytes_expected, decode=lambda data: data):
    """Flushes until a bucket holds so many decoded bytes; key → answer of GetObject."""

    def enough():
        daemon.flush(stream)
        found = server.objects(name)
        size = sum(len(decode(answer["Body"])) for answer in found.values())
        return found if size >= bytes_expected else None

    return wait_for(enough, f"{bytes_expected} bytes are delivered", pause=0.2)
