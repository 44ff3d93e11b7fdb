"""Partitions: the keys of records, what fails, and that partitions don't disturb each other."""

import collections
import concurrent.futures
import json
import re
import threading

import pytest

import containers
import faulty_s3
import harness
import lambda_api
import outputs

FAILED = ("metadata-extraction-failed", "DynamicPartitioning.MetadataExtractionFailed")


def parted(folder, query, prefix, *before, partitioning=None, **options):
    """A destination in a folder, with partitions by `query` and what else stands in `prefix`."""
    options = {"buffering": {"size": "5MiB", "interval": "900s"}, **options}
    destination = harness.local(
        folder,
        prefix=prefix,
        error_output_prefix=outputs.ERRORS,
        dynamic_partitioning=partitioning or {},
        **options,
    )
    destination["transforms"] = [*before, {"metadata_extraction": query}]
    return {"s": {"destinations": [destination]}}


def by_folder(contents, decode=lambda data: data):
    """Folder of the key → the lines of its objects, sorted."""
    found = collections.defaultdict(list)
    for key, data in outputs.objects(contents).items():
        found[key.rsplit("/", 1)[0]] += decode(data).splitlines()
    return {folder: sorted(lines) for folder, lines in found.items()}


def failed(contents):
    """(output type, code, message) of every failed record by its bytes."""
    found = {}
    for output_type, raw, line in outputs.failures(contents):
        assert raw not in found, "a record failed twice"
        found[raw] = (output_type, line["errorCode"], line["errorMessage"])
    return found


def test_keys_of_every_type(daemon, tmp_path):
    folder = tmp_path / "bucket"
    query = "{app: .app, of: .meta.of, both: ((.app | tostring) + .meta.kind)}"
    keys = "!{partitionKeyFromQuery:of}/!{partitionKeyFromQuery:both}/"
    prefix = "app=!{partitionKeyFromQuery:app}/" + keys
    d = daemon(parted(folder, query, prefix))
    good = {
        b'{"app":"a","meta":{"of":1,"kind":"k"}}\n': "app=a/1/ak",
        b'{"meta":{"kind":"k","of":true},"app":"\\u00fc b"}\n': "app=ü b/true/ü bk",
        b'{"app":7.50,"meta":{"of":false,"kind":"x"}}\n': "app=7.5/false/7.5x",
        b'{"app":"twice","app":"last","meta":{"of":-0.0,"kind":"x"}}\n': "app=last/-0/lastx",
    }
    empty = "partitionKeys values must not be null or empty"
    bad = {
        b'{"app":null,"meta":{"of":1,"kind":"k"}}': empty,
        b'{"app":"","meta":{"of":1,"kind":"k"}}': empty,
        b'{"meta":{"of":1,"kind":"k"}}': None,
        b'{"app":"a"}': None,
        b"no json": "Non JSON record provided",
        b"": "Non JSON record provided",
        b'{"app":"a","meta":{"of":1,"kind":"k"}} {}': "Non JSON record provided",
        b'{"app":"a","meta":{"of":1,"kind":"k"}': "Non JSON record provided",
        b"\xff\xfe": "Non JSON record provided",
        b'["a"]': None,
    }
    outputs.put(d, *good, *bad)
    became = outputs.settled(d, "s", len(good) + len(bad))
    assert (became["delivered"], became["failed"]) == (len(good), len(bad))
    contents = outputs.local_contents(folder)
    assert by_folder(contents) == {to: [line.rstrip(b"\n")] for line, to in good.items()}
    found = failed(contents)
    assert found.keys() == bad.keys()
    for raw, message in bad.items():
        assert found[raw][:2] == FAILED
        assert message in (None, found[raw][2]), (raw, found[raw])


def test_keys_of_a_function_and_of_a_query(daemon, tmp_path):
    function = lambda_api.UrlFunction()

    def keyed(record):
        number = json.loads(lambda_api.data_of(record))["n"]
        keys = {0: {"parity": "even"}, 1: {"parity": "odd"}, 2: {"parity": ""}, 3: {"parity": None}}
        return lambda_api.ok(record, partitionKeys=keys.get(number % 5, {}))

    function.answer = lambda_api.each(keyed)
    call = {"lambda": {"url": f"{function.url}/transform?of=s", "buffer_interval": "0s"}}
    folder = tmp_path / "bucket"
    prefix = "!{partitionKeyFromLambda:parity}/!{partitionKeyFromQuery:n}/"
    d = daemon(parted(folder, "{n}", prefix, call))
    sent = [b'{"n":%d}\n' % n for n in range(10)]
    outputs.put(d, *sent)
    outputs.settled(d, "s", len(sent))
    contents = outputs.local_contents(folder)
    good = {n: ["even", "odd"][n % 5] for n in range(10) if n % 5 < 2}
    assert by_folder(contents) == {f"{name}/{n}": [b'{"n":%d}' % n] for n, name in good.items()}
    expected = (*FAILED, "partitionKeys values must not be null or empty")
    assert failed(contents) == {sent[n]: expected for n in range(10) if n % 5 >= 2}
    function.close()
    assert function.mistakes == []


# Values that mean something to file systems, URLs or the daemon itself: how they stand in a key.
HOSTILE = {
    "..": "%2E%2E",
    ".": "%2E",
    "...": "...",
    "/x": "%2Fx",
    "x/": "x%2F",
    "/": "%2F",
    "a/b": "a/b",
    "a//b": "a%2F%2Fb",
    "a/../../../b": "a/%2E%2E/%2E%2E/%2E%2E/b",
    "/../x": "%2F%2E%2E/x",
    "a\nb": "a%0Ab",
    "\u0000": "%00",
    "a\u001eb\u001fc": "a%1Eb%1Fc",
    "\u007f": "%7F",
    "\u0085": "%C2%85",
    "%2F": "%252F",
    "%2e%2e": "%252e%252e",
    "100%": "100%",
    "a?b&c=d#e+f": "a?b&c=d#e+f",
    "a\\b:c*d|e<f>g\"'": "a\\b:c*d|e<f>g\"'",
    " ": " ",
    "Grüße/日本/\U0001f600": "Grüße/日本/\U0001f600",
    "x" * 200: "x" * 200,
    "!{timestamp:yyyy}": "!{timestamp:yyyy}",
}
TOO_LONG = ["y" * 600, "z/" * 300, "ü" * 600]


def hostile_records():
    return [json.dumps({"n": n, "k": key}).encode() + b"\n" for n, key in enumerate(HOSTILE)]


def check_hostile(contents):
    sent = dict(zip(HOSTILE, hostile_records(), strict=True))
    folders = by_folder(contents)
    assert folders == {f"k={HOSTILE[key]}": [line.rstrip(b"\n")] for key, line in sent.items()}
    found = failed(contents)
    assert {json.loads(raw)["k"] for raw in found} == set(TOO_LONG)
    assert {fate[:2] for fate in found.values()} == {FAILED}


def too_long_records():
    return [json.dumps({"k": key}).encode() for key in TOO_LONG]


def test_hostile_values_in_a_folder(daemon, tmp_path):
    folder = tmp_path / "deep" / "down" / "bucket"
    folder.parent.mkdir(parents=True)
    d = daemon(parted(folder, "{k}", "k=!{partitionKeyFromQuery:k}/"))
    outputs.put(d, *hostile_records(), *too_long_records())
    outputs.settled(d, "s", len(HOSTILE) + len(TOO_LONG))
    # A folder's names are the key's; but one that would begin with % begins with %25.
    contents = {}
    for path in folder.rglob("*"):
        if path.is_file():
            names = path.relative_to(folder).parts
            key = "/".join(re.sub("^%25", "%", name) for name in names)
            contents[key] = path.read_bytes()
    check_hostile(contents)
    # Nothing beside the bucket.
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["down"]
    assert [path.name for path in (tmp_path / "deep" / "down").iterdir()] == ["bucket"]


def test_hostile_values_in_s3(daemon):
    server = faulty_s3.FaultyS3()
    try:
        streams = parted("unused", "{k}", "k=!{partitionKeyFromQuery:k}/")
        target = {"bucket": "bucket", "endpoint": server.url, "path_style": True}
        streams["s"]["destinations"][0]["s3"].update(target)
        d = daemon(streams, aws=harness.outgoing())
        outputs.put(d, *hostile_records(), *too_long_records())
        outputs.settled(d, "s", len(HOSTILE) + len(TOO_LONG))
        with server.lock:
            contents = {key.removeprefix("/bucket/"): data for key, data in server.objects.items()}
        check_hostile(contents)
    finally:
        server.close()


def test_surplus_partitions_go_to_the_error_output(daemon, tmp_path):
    folder = tmp_path / "bucket"
    prefix = "!{partitionKeyFromQuery:k}/"
    d = daemon(parted(folder, "{k}", prefix, partitioning={"max_active_partitions": 3}))
    names = [b"a", b"b", b"c", b"d", b"e"]
    sent = [b'{"k":"%s","n":%d}\n' % (name, n) for n in range(4) for name in names]
    outputs.put(d, *sent)
    became = outputs.settled(d, "s", len(sent))
    assert (became["delivered"], became["failed"]) == (12, 8)
    contents = outputs.local_contents(folder)
    assert by_folder(contents) == {
        name: [b'{"k":"%s","n":%d}' % (name.encode(), n) for n in range(4)] for name in "abc"
    }
    surplus = failed(contents)
    assert surplus.keys() == {line for line in sent if line[6:7] in b"de"}
    kinds = {fate[:2] for fate in surplus.values()}
    assert kinds == {
        ("activePartitionExceeded", "DynamicPartitioning.ActivePartitionsLimitExceeded")
    }
    # What was delivered is no longer active.
    outputs.put(d, b'{"k":"d","n":9}\n')
    outputs.settled(d, "s", len(sent) + 1)
    assert by_folder(outputs.local_contents(folder))["d"] == [b'{"k":"d","n":9}']


@pytest.mark.parametrize("missing", ["fail", "arrival"])
def test_event_times_and_late_records(daemon, tmp_path, missing):
    folder = tmp_path / "bucket"
    prefix = "day=!{timestamp:yyyy-MM-dd}/hour=!{timestamp:HH}/k=!{partitionKeyFromQuery:k}/"
    streams = parted(
        folder,
        "{k}",
        prefix,
        event_time={"path": ".at", "missing": missing},
        late={"after": "365d", "prefix": "late/"},
    )
    d = daemon(streams)
    good = {
        b'{"k":1,"at":"2001-02-03T04:05:06Z"}': "late/day=2001-02-03/hour=04/k=1",
        b'{"k":1,"at":"2001-02-03T04:59:59.999+01:00"}': "late/day=2001-02-03/hour=03/k=1",
        b'{"k":2,"at":981173106}': "late/day=2001-02-03/hour=04/k=2",
        b'{"k":1,"at":981173106789}': "late/day=2001-02-03/hour=04/k=1",
        # Ahead of its arrival: not late.
        b'{"k":1,"at":"2090-12-31T23:59:59Z"}': "day=2090-12-31/hour=23/k=1",
    }
    timeless = [b'{"k":3}', b'{"k":3,"at":"some day"}', b'{"k":3,"at":null}']
    outputs.put(d, *(record + b"\n" for record in [*good, *timeless]))
    became = outputs.settled(d, "s", len(good) + len(timeless))
    contents = outputs.local_contents(folder)
    expected = collections.defaultdict(list)
    for record, place in good.items():
        expected[place].append(record)
    found = by_folder(contents)
    arrived = {place: lines for place, lines in found.items() if place.endswith("/k=3")}
    for place in arrived:
        del found[place]
    assert found == {place: sorted(lines) for place, lines in expected.items()}
    if missing == "fail":
        assert became["failed"] == len(timeless) and not arrived
        fates = failed(contents)
        assert fates.keys() == {record + b"\n" for record in timeless}
        assert {fate[0] for fate in fates.values()} == {FAILED[0]}
    else:
        assert became["failed"] == 0
        assert sorted(sum(arrived.values(), [])) == sorted(timeless)
        assert not any(place.startswith("late/") for place in arrived)


def test_a_partition_is_closed_by_its_own_size(daemon, tmp_path):
    folder = tmp_path / "bucket"
    prefix = "!{partitionKeyFromQuery:k}/"
    buffering = {"size": "100KiB", "interval": "900s"}
    d = daemon(parted(folder, "{k}", prefix, buffering=buffering))
    large = json.dumps({"k": "large", "filler": "x" * 1000}).encode() + b"\n"
    small = [b'{"k":"small%d"}\n' % n for n in range(50)]
    outputs.put(d, *small, *[large] * 350)
    # No flush: only the size can have closed them.
    found = lambda: harness.files(folder)  # noqa: E731
    harness.wait_for(lambda: len(found()) >= 3, "three objects by size")
    contents = outputs.local_contents(folder)
    assert all(key.startswith("large/") for key in contents), contents.keys()
    assert all(len(data) >= 90_000 for data in contents.values())
    outputs.settled(d, "s", 400)
    folders = by_folder(outputs.local_contents(folder))
    assert len(folders.pop("large")) == 350
    assert folders == {f"small{n}": [b'{"k":"small%d"}' % n] for n in range(50)}


@pytest.mark.parametrize("compression", containers.ALL)
def test_every_compression(daemon, tmp_path, compression):
    read, extension, _ = containers.ALL[compression]
    folder = tmp_path / "bucket"
    prefix = "!{partitionKeyFromQuery:k}/"
    d = daemon(parted(folder, "{k}", prefix, compression=compression))
    sent = [b'{"k":%d,"n":%d}\n' % (n % 7, n) for n in range(700)]
    # An error output is never compressed.
    outputs.put(d, *sent, b"bad")
    outputs.settled(d, "s", len(sent) + 1)
    contents = outputs.local_contents(folder)
    assert all(key.endswith(extension) for key in outputs.objects(contents))
    expected = collections.defaultdict(list)
    for line in sent:
        expected[str(json.loads(line)["k"])].append(line.rstrip(b"\n"))
    found = by_folder(contents, read)
    assert found == {name: sorted(lines) for name, lines in expected.items()}
    assert list(failed(contents)) == [b"bad"]


def test_a_small_partition_is_not_starved_by_a_busy_one(daemon, tmp_path):
    folder = tmp_path / "bucket"
    prefix = "!{partitionKeyFromQuery:k}/"
    buffering = {"size": "1MiB", "interval": "1s"}
    d = daemon(parted(folder, "{k}", prefix, buffering=buffering, compression="gzip"))
    busy = json.dumps({"k": "busy", "filler": "x" * 7000}).encode() + b"\n"
    stop = threading.Event()

    def pour():
        count = 0
        while not stop.is_set():
            outputs.put(d, *[busy] * 400)
            count += 400
        return count

    def keys(start):
        return [key for key in harness.files(folder) if key.startswith(start)]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(pour) for _ in range(2)]
        try:
            harness.wait_for(lambda: len(keys("busy/")) > 3, "it is busy")
            for n in range(2):
                outputs.put(d, b'{"k":"small%d"}\n' % n)
                harness.wait_for(lambda: keys(f"small{n}/"), "the small partition is delivered")
        finally:
            stop.set()
        count = sum(writer.result() for writer in writers)
    assert outputs.settled(d, "s", count + 2)["delivered"] == count + 2
    found = by_folder(outputs.local_contents(folder), containers.gzip_one_member)
    assert {place: len(lines) for place, lines in found.items()} == {
        "busy": count,
        "small0": 1,
        "small1": 1,
    }
