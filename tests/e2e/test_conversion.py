"""From JSON to rows: the two readers and their options, and what becomes of records that are unfit."""

import base64
import collections
import datetime
import decimal
import json

import duckdb
import pyarrow.dataset
import pytest

import harness
import lake

FAILED = "format-conversion-failed"
# Of an error line; those of streams with a Glue table have `dataCatalogTable` as well.
MEMBERS = [
    "attemptsMade",
    "arrivalTimestamp",
    "lastErrorCode",
    "lastErrorMessage",
    "attemptEndingTimestamp",
    "rawData",
    "sequenceNumber",
    "subSequenceNumber",
]


class Case:
    """Columns, a reader, records, and what is to become of each: a row, some, or a reason."""

    def __init__(self, ddl, *records, input={"openx_json": {}}, output="parquet", **options):
        self.ddl = ddl
        self.input = input
        self.output = output
        self.options = options
        self.records = [record for record, _ in records]
        self.rows = [row for _, rows in records for row in as_rows(rows)]
        self.failures = {
            record.encode(): reason for record, reason in records if isinstance(reason, tuple)
        }


def as_rows(expected):
    if isinstance(expected, tuple):
        return []
    return expected if isinstance(expected, list) else [expected]


def malformed(text):
    return ("DataFormatConversion.ParseError", "Encountered malformed JSON. ", text)


def misfit(text):
    return ("DataFormatConversion.MalformedData", "Data does not match the schema. ", text)


def hive(*formats):
    return {"hive_json": {"timestamp_formats": list(formats)}}


def at(*moment, **more):
    return datetime.datetime(*moment, **more)


# Bad ones stand between good ones, which go on.
CASES = {
    "bad records alone": Case(
        "id int, s struct<a:int>, m map<string,int>",
        ('{"id":1}', {"id": 1, "s": None, "m": None}),
        ('{"id":', malformed("")),
        ("", malformed("")),
        ("   \n", malformed("")),
        ("not json", malformed("")),
        ("[1]", malformed("")),
        ('{"id":2} x', malformed("")),
        ('{"id":3}{"id":', malformed("")),
        ('{"id":4}\n{"id":"five"}', misfit('For input string: "five"')),
        ('{"id":"oops"}', misfit('For input string: "oops"')),
        ('{"id":2147483648}', misfit('For input string: "2147483648"')),
        (
            '{"s":42}',
            misfit("Data is not JSONObject  but java.lang.Long with value 42"),
        ),
        ('{"m":[1]}', misfit("A map needs an object")),
        ('{"id":6,"s":{"a":"7"}}', {"id": 6, "s": {"a": 7}, "m": None}),
    ),
    "bad records alone, in ORC": Case(
        "id int",
        ('{"id":1}', {"id": 1}),
        ('{"id":"x"}', misfit('For input string: "x"')),
        ("{", malformed("")),
        ('{"id":2}', {"id": 2}),
        output="orc",
    ),
    "several objects in a record": Case(
        "id int",
        ('{"id":1}{"id":2}', [{"id": 1}, {"id": 2}]),
        ('{"id":3}\n{"id":4}\n', [{"id": 3}, {"id": 4}]),
    ),
    "openx coerces": Case(
        "i int, d double, b boolean, t string, m decimal(5,2), l array<int>, c char(2), "
        "s struct<a:int,b:string>",
        (
            '{"i":"7","d":"1.5","b":"TRUE","t":1.50,"m":"1.005","l":5,"c":"abc","s":[1,"x",2]}',
            {
                "i": 7,
                "d": 1.5,
                "b": True,
                "t": "1.50",
                "m": decimal.Decimal("1.01"),
                "l": [5],
                "c": "ab",
                "s": {"a": 1, "b": "x"},
            },
        ),
        (
            '{"t":{"Key":[1,true]},"s":{},"l":[null,"3"],"extra":{"x":1}}',
            {
                "i": None,
                "d": None,
                "b": None,
                "t": '{"key":[1,true]}',
                "m": None,
                "l": [None, 3],
                "c": None,
                "s": {"a": None, "b": None},
            },
        ),
        ('{"b":1}', misfit("is not a boolean")),
        ('{"m":1000}', misfit("1000 has too many digits for decimal(5,2)")),
        ('{"i":1.0}', misfit('For input string: "1.0"')),
    ),
    "openx times": Case(
        "t timestamp, d date",
        ('{"t":"2017-02-07T15:13:01.39256Z"}', {"t": at(2017, 2, 7, 15, 13, 1, 392560), "d": None}),
        ('{"t":"2017-2-7 5:3:1.5"}', {"t": at(2017, 2, 7, 5, 3, 1, 500000), "d": None}),
        ('{"t":1486480381}', {"t": at(2017, 2, 7, 15, 13, 1), "d": None}),
        ('{"t":1486480381123}', {"t": at(2017, 2, 7, 15, 13, 1, 123000), "d": None}),
        ('{"t":1486480381.5}', {"t": at(2017, 2, 7, 15, 13, 1, 500000), "d": None}),
        ('{"t":"1486480381"}', {"t": at(2017, 2, 7, 15, 13, 1), "d": None}),
        ('{"d":"2026-1-2"}', {"t": None, "d": datetime.date(2026, 1, 2)}),
        ('{"t":"2017-02-07T15:13:01"}', misfit("Timestamp format must be yyyy-mm-dd hh:mm:ss")),
        ('{"t":"yesterday"}', misfit('For input string: "yesterday"')),
        ('{"d":"2026-02-30"}', misfit("Date format must be yyyy-[m]m-[d]d")),
    ),
    "case is folded": Case(
        "userid int, m map<string,int>, s struct<inner:int>",
        (
            '{"UserId":1,"M":{"Key":2},"S":{"INNER":3}}',
            {"userid": 1, "m": [("key", 2)], "s": {"inner": 3}},
        ),
    ),
    "case counts": Case(
        "userId int, userid2 int, m map<string,int>, s struct<inner:int>",
        (
            '{"userId":1,"UserId2":2,"m":{"Key":2},"s":{"Inner":3}}',
            {"userId": 1, "userid2": None, "m": [("Key", 2)], "s": {"inner": None}},
        ),
        input={"openx_json": {"case_insensitive": False}},
    ),
    "keys that are no columns' names": Case(
        "ts timestamp, user_id int, content_type string, a_b int",
        (
            '{"timestamp":"2026-01-02 03:04:05","user-id":7,"Content-Type":"x","a.b":1}',
            {"ts": at(2026, 1, 2, 3, 4, 5), "user_id": 7, "content_type": "x", "a_b": 1},
        ),
        input={
            "openx_json": {
                "convert_dots_in_json_keys_to_underscores": True,
                "column_to_json_key_mappings": {
                    "ts": "timestamp",
                    "user_id": "user-id",
                    "content_type": "content-type",
                },
            }
        },
    ),
    "columns with dashes": Case(
        "`user-id` int, `x.y` int",
        ('{"user-id":1,"x.y":2}', {"user-id": 1, "x.y": 2}),
    ),
    "hive is strict": Case(
        "i int, l array<int>, s struct<a:int>, t string, m map<string,int>",
        (
            '{"I":1,"L":[1,null],"S":{"A":2},"t":1.50,"m":{"Key":1}}',
            {"i": 1, "l": [1, None], "s": {"a": 2}, "t": "1.50", "m": [("Key", 1)]},
        ),
        (
            '{"i":"7"}',
            misfit(
                "Current token (VALUE_STRING) not numeric, can not use numeric value accessors"
            ),
        ),
        ('{"l":1}', misfit("java.io.IOException: Start of Array expected")),
        ('{"s":[1]}', misfit("Start of Object expected")),
        (
            '{"t":{"a":1}}',
            misfit(
                "One or more fields have incorrect format. Exception when validating field (root)"
            ),
        ),
        input=hive(),
    ),
    "hive times": Case(
        "t timestamp",
        ('{"t":"2017-02-07 15:13:01.25"}', {"t": at(2017, 2, 7, 15, 13, 1, 250000)}),
        ('{"t":"2017-02-07T15:13:01Z"}', misfit("Timestamp format must be")),
        ('{"t":1486480381}', misfit("Timestamp format must be")),
        input=hive(),
    ),
    "hive times by patterns": Case(
        "t timestamp",
        ('{"t":"07/Feb/2017:16:13:01 +0100"}', {"t": at(2017, 2, 7, 15, 13, 1)}),
        ('{"t":1486480381123}', {"t": at(2017, 2, 7, 15, 13, 1, 123000)}),
        ('{"t":"2017-02-07T15:13:01.5Z"}', {"t": at(2017, 2, 7, 15, 13, 1, 500000)}),
        ('{"t":"Feb 7th"}', misfit("Timestamp format must be")),
        input=hive("dd/MMM/yyyy:HH:mm:ss Z", "millis", "yyyy-MM-dd'T'HH:mm:ss.SSSZ"),
    ),
    "what is no column": Case(
        "id int",
        ('{"id":1,"other":2}', {"id": 1, "_rest": '{"other":2}'}),
        ('{"id":2}', {"id": 2, "_rest": None}),
        unknown_fields="rest_column",
    ),
}


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Every case is a stream; case → its rows and its error lines."""
    folder = tmp_path_factory.mktemp("conversion")
    streams = {}
    for number, case in enumerate(CASES.values()):
        conversion = {
            "schema": {"ddl": case.ddl},
            "input": case.input,
            "output": {case.output: {}},
            **case.options,
        }
        s3 = harness.local(
            folder / f"bucket-{number}",
            format_conversion=conversion,
            prefix="data/",
            error_output_prefix="errors/!{firehose:error-output-type}/",
        )
        streams[f"s{number}"] = {"destinations": [s3]}
    daemon = harness.Daemon(folder / "standpipe", streams).start()
    try:
        client = daemon.firehose()
        for number, case in enumerate(CASES.values()):
            answer = client.put_record_batch(
                DeliveryStreamName=f"s{number}", Records=[{"Data": r} for r in case.records]
            )
            assert answer["FailedPutCount"] == 0
        assert daemon.terminate() == 0, daemon.log()[-4000:]
    finally:
        daemon.close()
    return {
        name: harness.files(folder / f"bucket-{number}") for number, name in enumerate(CASES)
    }


@pytest.mark.parametrize("name", CASES)
def test_records_become_rows(converted, name):
    case = CASES[name]
    rows = []
    for key, path in converted[name].items():
        if key.startswith("data/"):
            read = lake.by_pyarrow if case.output == "parquet" else lake.by_pyarrow_orc
            rows += read(path).to_pylist()
    assert rows == case.rows


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.failures])
def test_unfit_records_are_told_one_by_one(converted, name):
    lines = []
    for key, path in converted[name].items():
        if key.startswith("errors/"):
            assert key.startswith(f"errors/{FAILED}/s") and "." not in key, key
            lines += [json.loads(line) for line in path.read_text().splitlines()]
    expected = CASES[name].failures
    records = [base64.b64decode(line["rawData"]) for line in lines]
    assert collections.Counter(records) == collections.Counter(list(expected))
    for line, record in zip(lines, records):
        code, beginning, text = expected[record]
        assert line["lastErrorCode"] == code, line
        assert line["lastErrorMessage"].startswith(beginning), line
        assert text in line["lastErrorMessage"], line
        assert line["attemptsMade"] == 1, line
        assert 0 <= line["attemptEndingTimestamp"] - line["arrivalTimestamp"] < 120_000
        assert list(line) == MEMBERS
        # The number is the record's place in the journal.
        assert case_record(name, int(line["sequenceNumber"])) == record, line
        assert line["subSequenceNumber"] == 0


def case_record(name, number):
    return CASES[name].records[number].encode()


def orders():
    """Orders of three customers, over two days and in two states."""
    customers = ["acme", "b & sons", "Zoë"]
    for n in range(120):
        day = 20 + n % 2
        yield {
            "id": n,
            "customer": customers[n % 3],
            "ordered_at": f"2026-11-{day}T0{n % 10}:00:00Z",
            "total": f"{n}.50",
        }


def test_partitions_are_one_dataset(daemon, tmp_path):
    folder = tmp_path / "bucket"
    ddl = """CREATE EXTERNAL TABLE orders (id int, ordered_at timestamp, total decimal(9,2))
        PARTITIONED BY (customer string, dt date)"""
    s3 = harness.local(
        folder,
        prefix="orders/customer=!{partitionKeyFromQuery:customer}/dt=!{timestamp:yyyy-MM-dd}/",
        error_output_prefix="errors/!{firehose:error-output-type}/",
        dynamic_partitioning={},
        event_time=".ordered_at",
        format_conversion={
            "schema": {"ddl": ddl},
            "output": {"parquet": {"timestamp_unit": "micros"}},
        },
    )
    transforms = [{"metadata_extraction": "{customer: .customer}"}]
    d = daemon({"s": {"destinations": [{**s3, "transforms": transforms}]}})
    sent = list(orders())
    unfit = {**sent[0], "id": "none"}
    answer = d.firehose().put_record_batch(
        DeliveryStreamName="s", Records=[{"Data": json.dumps(o).encode()} for o in [*sent, unfit]]
    )
    assert answer["FailedPutCount"] == 0
    assert d.terminate() == 0
    keys = harness.files(folder)
    assert len([key for key in keys if key.startswith("orders/")]) == 6, sorted(keys)
    (error,) = (path for key, path in keys.items() if key.startswith("errors/"))
    (line,) = map(json.loads, error.read_text().splitlines())
    assert json.loads(base64.b64decode(line["rawData"])) == unfit

    def row(order):
        time = datetime.datetime.fromisoformat(order["ordered_at"].removesuffix("Z"))
        return (order["id"], time, order["total"], order["customer"], str(time.date()))

    expected = sorted(map(row, sent))
    found = pyarrow.dataset.dataset(
        folder / "orders", format="parquet", partitioning="hive"
    ).to_table()
    assert found.column_names == ["id", "ordered_at", "total", "customer", "dt"]
    rows = [
        (r["id"], r["ordered_at"].replace(tzinfo=None), str(r["total"]), r["customer"], r["dt"])
        for r in found.to_pylist()
    ]
    assert sorted(rows) == expected

    with duckdb.connect() as connection:
        files = f"{folder}/orders/**/*.parquet"
        query = """SELECT id, epoch_us(ordered_at), total::text, customer, dt::text
            FROM read_parquet(?, hive_partitioning = true) ORDER BY id"""
        rows = connection.execute(query, [files]).fetchall()
        # Only one folder is looked at.
        query = """SELECT count(*) FROM read_parquet(?, hive_partitioning = true)
            WHERE customer = 'b & sons' AND dt = '2026-11-21'"""
        assert connection.execute(query, [files]).fetchone() == (20,)
    utc = datetime.timezone.utc
    expected = [
        (n, int(time.replace(tzinfo=utc).timestamp() * 10**6), *rest) for n, time, *rest in expected
    ]
    assert rows == expected
