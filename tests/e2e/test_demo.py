"""`standpipe demo`: what a newcomer sees first."""

import os
import re
import signal
import subprocess
import threading

import boto3
import pytest

import containers
import harness

KINDS = ["sensor readings", "VPC flow logs", "CloudTrail events"]


def demo(*arguments):
    return [harness.BINARY, "demo", "--listen", "127.0.0.1:0", *arguments]


def test_the_demonstration_shows_the_way_of_a_record(tmp_path):
    done = subprocess.run(
        demo(),
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout
    for kind in KINDS:
        assert re.search(rf"sent 1000 {kind} \(\d+ bytes\) in 2 PutRecordBatch calls", told), kind
    # The objects with their keys and first lines.
    keys = re.findall(r"^  \d{4}/\d\d/\d\d/\d\d/demo-1-[0-9-]+-[0-9a-f-]{36}\.gz$", told, re.M)
    firsts = re.findall(r"^    1000 records in \d+ bytes, the first: (\S.*)$", told, re.M)
    assert len(set(keys)) == 3 and len(set(firsts)) == 3
    assert any('"sensor_id"' in first for first in firsts)
    assert any('"eventName"' in first for first in firsts)
    # The counters.
    assert re.search(r"standpipe_incoming_records_total\{.*\} 3000$", told, re.M)
    assert re.search(r"standpipe_delivery_to_s3_records_total\{.*\} 3000$", told, re.M)
    assert re.search(r"standpipe_backlog_records\{.*\} 0$", told, re.M)
    # How to go on.
    assert "aws firehose put-record" in told and "--keep-running" in told
    for example in re.findall(r"examples/config/\S+\.yaml", told):
        assert (harness.REPOSITORY / example).exists(), example
    assert not list(tmp_path.iterdir()), "the temporary folder is still there"


class KeptDemo:
    """A demonstration with --keep-running."""

    def __init__(self, *arguments, env=None):
        self.told = ""
        self.process = subprocess.Popen(
            demo("--keep-running", *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
        )
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            self.told += line

    def wait(self):
        def running():
            assert self.process.poll() is None, self.told
            return "Running until" in self.told

        harness.wait_for(running, "the demonstration is through")
        return re.search(r"listens on (http://\S+)", self.told)[1]


@pytest.fixture
def kept():
    made = []

    def make(*arguments, **options):
        made.append(KeptDemo(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_up_where_told_to(kept, tmp_path, by):
    one = kept("--dir", str(tmp_path / "demo"))
    url = one.wait()
    key, secret = re.search(r"the keys are (\S+) / ([^\s.]+)", one.told).groups()
    client = boto3.client(
        "firehose",
        endpoint_url=url,
        region_name=harness.REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )
    client.put_record(DeliveryStreamName="demo", Record={"Data": b"one more"})
    one.process.send_signal(by)
    # What is open is delivered before it leaves.
    assert one.process.wait(60) == 0
    assert len(harness.files(tmp_path / "demo/bucket")) == 4


def test_a_temporary_folder_does_not_outlive_it(kept, tmp_path):
    one = kept(env={**os.environ, "TMPDIR": str(tmp_path)})
    one.wait()
    assert list(tmp_path.iterdir())
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(60) == 0
    assert not list(tmp_path.iterdir())


def test_the_command_that_it_prints_works(kept, tmp_path):
    one = kept("--dir", str(tmp_path / "demo"))
    one.wait()
    command = re.search(r"(AWS_ACCESS_KEY_ID=.*?--record \S+)", one.told, re.S)[1]
    # An option of version 2 of the CLI; version 1, which pip installs, always does so.
    command = command.replace("--cli-binary-format raw-in-base64-out", "")
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "RecordId" in done.stdout, done.stderr
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(60) == 0
    found = harness.files(tmp_path / "demo/bucket").values()
    assert b"hello\n" in [containers.gzip_one_member(path.read_bytes()) for path in found]


def test_only_loopback(tmp_path):
    done = subprocess.run(
        [harness.BINARY, "demo", "--listen", "0.0.0.0:0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and "loopback" in done.stderr


def test_a_second_demonstration_in_the_same_folder(tmp_path):
    for objects in (3, 6):
        done = subprocess.run(
            demo("--dir", str(tmp_path / "demo")), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert len(harness.files(tmp_path / "demo/bucket")) == objects
