"""Where columns come from: texts, files, the Glue Data Catalog, and the records themselves."""

import base64
import io
import json
import re

import pyarrow.orc
import pyarrow.parquet
import pytest
from botocore.exceptions import ClientError

import catalog
import harness
import lake

ERRORS = "errors/!{firehose:error-output-type}/"


@pytest.fixture(scope="module")
def glue(tmp_path_factory):
    """One catalog for all tests; each takes a table and a bucket of its own."""
    server = catalog.Catalog(tmp_path_factory.mktemp("moto")).start()
    yield server
    server.stop()


@pytest.fixture
def name(glue, request):
    """A name that no other test has, and a bucket of that name."""
    text = re.sub("[^a-z0-9]+", "", request.node.name)[-50:]
    glue.client().create_bucket(Bucket=text)
    return text


def put(daemon, *records, stream="s"):
    data = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
    answer = daemon.firehose().put_record_batch(
        DeliveryStreamName=stream, Records=[{"Data": one} for one in data]
    )
    assert answer["FailedPutCount"] == 0


def converting(folder, schema, **options):
    conversion = {"schema": schema, **options}
    return {"s": {"destinations": [harness.local(folder, format_conversion=conversion)]}}


# --- Given as a text, a file or one by one


def test_the_same_columns_in_three_ways(daemon, tmp_path):
    ddl = "id bigint, at timestamp, tags array<string>, price decimal(7,2)"
    statement = f"CREATE EXTERNAL TABLE IF NOT EXISTS `lake`.`t` ({ddl})\n" + (
        "PARTITIONED BY (dt string) STORED AS PARQUET LOCATION 's3://bucket/t/'"
    )
    file = tmp_path / "t.sql"
    file.write_text(statement)
    columns = [
        {"name": "id", "type": "bigint"},
        {"name": "at", "type": "timestamp"},
        {"name": "tags", "type": "array<string>"},
        {"name": "price", "type": "decimal(7,2)"},
    ]
    schemas = {"ddl": ddl, "statement": statement, "file": str(file), "columns": columns}
    destinations = []
    for name, schema in schemas.items():
        kind = "ddl" if name == "statement" else name
        conversion = {"schema": {kind: schema}}
        s3 = harness.local(tmp_path / f"bucket-{name}", format_conversion=conversion)
        destinations.append({"name": name, **s3})
    d = daemon({"s": {"destinations": destinations}})
    put(d, {"id": 1, "at": "2026-01-02 03:04:05", "tags": ["a"], "price": 1.5, "dt": "x"}, {})
    assert d.terminate() == 0
    tables = []
    for name in schemas:
        ((key, path),) = harness.files(tmp_path / f"bucket-{name}").items()
        tables.append(lake.by_pyarrow(path))
    assert tables[0].column_names == ["id", "at", "tags", "price"]
    assert [str(value) for value in tables[0]["price"]] == ["1.50", "None"]
    assert all(table.equals(tables[0]) for table in tables)


# --- The Glue Data Catalog


def of_table(glue, name, prefix="data/", conversion=None, **options):
    """A stream to the bucket `name` with the columns of the table `name`."""
    table = {"database": catalog.DATABASE, "table": name, "refresh": "1s", **(conversion or {})}
    destination = harness.bucket(
        name,
        glue,
        prefix=prefix,
        error_output_prefix=ERRORS,
        format_conversion={"schema": {"glue": table}},
        **options,
    )
    return {"s": {"destinations": [destination]}}


def outgoing(glue):
    return {"glue_endpoint": glue.url, **harness.outgoing()}


def tables(glue, name, under="data/"):
    """Key → table of every Parquet object in a bucket."""
    found = {}
    for key, answer in glue.objects(name).items():
        if key.startswith(under):
            found[key] = pyarrow.parquet.read_table(io.BytesIO(answer["Body"]))
    return found


def rows_delivered(daemon, glue, name, count, under="data/", stream="s"):
    """Flushes until a bucket holds so many rows; key → table."""

    def enough():
        daemon.flush(stream)
        found = tables(glue, name, under)
        return found if sum(table.num_rows for table in found.values()) >= count else None

    return harness.wait_for(enough, f"{count} rows are delivered", pause=0.2)


def test_the_latest_version_of_a_table_is_picked_up(daemon, glue, name):
    glue.create_table(name, "id bigint")
    d = daemon(of_table(glue, name), aws=outgoing(glue))
    put(d, {"id": 1, "extra": "a"})
    (table,) = rows_delivered(d, glue, name, 1).values()
    assert table.to_pylist() == [{"id": 1}]
    glue.update_table(name, "id bigint; extra string")
    sent = 1

    def widened():
        nonlocal sent
        sent += 1
        put(d, {"id": sent, "extra": "b"})
        found = rows_delivered(d, glue, name, sent)
        return [t for t in found.values() if t.column_names == ["id", "extra"]]

    wide = harness.wait_for(widened, "the new column is used", pause=0.1)
    assert wide[0].to_pylist() == [{"id": sent, "extra": "b"}]
    rows = [row for table in tables(glue, name).values() for row in table.to_pylist()]
    assert sorted(row["id"] for row in rows) == list(range(1, sent + 1))


def test_a_fixed_version_stays(daemon, glue, name):
    glue.create_table(name, "id bigint")
    glue.update_table(name, "id bigint; extra string")
    streams = of_table(glue, name, conversion={"version_id": "1"})
    d = daemon(streams, aws=outgoing(glue))
    put(d, {"id": 1, "extra": "a"})
    (table,) = rows_delivered(d, glue, name, 1).values()
    assert table.column_names == ["id"]


def health(daemon):
    return json.loads(daemon.get("/health/ready")[1])


def held_for(daemon):
    """The codes for which destinations are held."""
    states = [one for stream in health(daemon)["streams"] for one in stream["destinations"]]
    return [one["code"] for one in states if one["state"] == "held"]


MISSING = ["DataFormatConversion.EntityNotFound"]


def test_a_missing_table_holds_until_it_is_made(daemon, glue, name):
    streams = of_table(glue, name)
    streams["s"]["destinations"][0]["s3"]["buffering"]["interval"] = "1s"
    d = daemon(streams, aws=outgoing(glue), shutdown_timeout="1s")
    put(d, *({"id": n} for n in range(50)))

    harness.wait_for(lambda: held_for(d) == MISSING, "the missing table is named")
    (problem,) = health(d)["problems"]
    assert problem.startswith("s: s3 held: Glue GetTable: EntityNotFoundException: "), problem
    assert name in problem
    put(d, *({"id": n} for n in range(50, 100)))
    assert d.terminate() == 0
    d.start()
    harness.wait_for(lambda: held_for(d) == MISSING, "it is held again")
    assert not glue.objects(name)
    glue.create_table(name, "id bigint")
    found = rows_delivered(d, glue, name, 100)
    ids = [row["id"] for table in found.values() for row in table.to_pylist()]
    assert sorted(ids) == list(range(100))
    harness.wait_for(lambda: not health(d)["problems"], "nothing is wrong any more")
    assert not any(key.startswith("errors/") for key in glue.objects(name))


def test_unfit_records_name_the_table(daemon, glue, name):
    glue.create_table(name, "id bigint")
    d = daemon(of_table(glue, name), aws=outgoing(glue))
    put(d, {"id": 1}, b'{"id":"x"}')
    assert d.terminate() == 0
    (answer,) = (a for key, a in glue.objects(name).items() if key.startswith("errors/"))
    (line,) = map(json.loads, answer["Body"].splitlines())
    assert base64.b64decode(line["rawData"]) == b'{"id":"x"}'
    assert list(line)[-1] == "dataCatalogTable"
    table = line["dataCatalogTable"]
    assert set(table) == {
        "catalogId",
        "databaseName",
        "tableName",
        "region",
        "versionId",
        "roleArn",
    }
    assert (table["databaseName"], table["tableName"]) == (catalog.DATABASE, name)
    assert (table["region"], table["versionId"]) == (harness.REGION, "LATEST")


def partitioned(glue, name, **options):
    return of_table(
        glue,
        name,
        prefix="data/customer=!{partitionKeyFromQuery:customer}/dt=!{timestamp:yyyy-MM-dd}/",
        dynamic_partitioning={},
        event_time=".at",
        **options,
    )


def test_partitions_are_added_once_their_first_object_is_there(daemon, glue, name):
    glue.create_table(
        name, "id bigint", "customer string; dt date", location=f"s3://{name}/data/"
    )
    streams = partitioned(glue, name, add_partitions="glue")
    (destination,) = streams["s"]["destinations"]
    destination["transforms"] = [{"metadata_extraction": "{customer: .customer}"}]
    d = daemon(streams, aws=outgoing(glue))
    put(d, *({"id": n, "customer": f"c{n % 2}", "at": "2026-11-21T01:00:00Z"} for n in range(4)))
    rows_delivered(d, glue, name, 4)
    both = {("c0", "2026-11-21"), ("c1", "2026-11-21")}
    found = harness.wait_for(
        lambda: glue.partitions(name).keys() >= both and glue.partitions(name), "both are added"
    )
    assert found.keys() == both
    for (customer, day), partition in found.items():
        storage = partition["StorageDescriptor"]
        assert storage["Location"] == f"s3://{name}/data/customer={customer}/dt={day}/"
        assert storage["Columns"] == [{"Name": "id", "Type": "bigint"}]
        assert storage["SerdeInfo"]["SerializationLibrary"].endswith("ParquetHiveSerDe")

    # The known ones are no trouble, not even to a daemon that does not know them; nor are records
    # that fail.
    d.kill()
    d.start()
    put(
        d,
        {"id": 4, "customer": "c0", "at": "2026-11-21T02:00:00Z"},
        {"id": 5, "customer": "c2", "at": "2026-11-22T02:00:00Z"},
        {"id": "x", "customer": "c3", "at": "2026-11-22T02:00:00Z"},
    )
    rows_delivered(d, glue, name, 6)
    new = ("c2", "2026-11-22")
    harness.wait_for(lambda: new in glue.partitions(name), "the third is added")
    assert d.terminate() == 0
    assert glue.partitions(name).keys() == {*both, new}


# --- Streams that the API makes


def made(served, name, **options):
    served.firehose().create_delivery_stream(
        DeliveryStreamName=name,
        ExtendedS3DestinationConfiguration={
            "RoleARN": harness.ROLE,
            "BucketARN": f"arn:aws:s3:::{name}",
            "Prefix": "data/",
            "ErrorOutputPrefix": ERRORS,
            **options,
        },
    )


def conversion(table, deserializer=None, serializer=None, **options):
    return {
        "DataFormatConversionConfiguration": {
            "InputFormatConfiguration": {"Deserializer": deserializer or {"OpenXJsonSerDe": {}}},
            "OutputFormatConfiguration": {"Serializer": serializer or {"ParquetSerDe": {}}},
            "SchemaConfiguration": {
                "RoleARN": harness.ROLE,
                "DatabaseName": catalog.DATABASE,
                "TableName": table,
            },
            **options,
        }
    }


@pytest.fixture
def served(daemon, glue):
    """A daemon without streams, whose outgoing clients reach the S3 and the catalog."""
    return daemon({}, aws={"endpoint": glue.url, **outgoing(glue)})


def described(served, name):
    answer = served.firehose().describe_delivery_stream(DeliveryStreamName=name)
    (destination,) = answer["DeliveryStreamDescription"]["Destinations"]
    return destination["ExtendedS3DestinationDescription"]


def test_a_stream_of_the_api_to_parquet(served, glue, name):
    glue.create_table(name, "id int; content_type string; at timestamp")
    options = conversion(
        name,
        {"OpenXJsonSerDe": {"ColumnToJsonKeyMappings": {"content_type": "content-type"}}},
        {"ParquetSerDe": {"Compression": "GZIP", "WriterVersion": "V2"}},
        Enabled=True,
    )
    made(served, name, **options)
    found = described(served, name)
    assert found["BufferingHints"] == {"SizeInMBs": 128, "IntervalInSeconds": 300}
    expected = options["DataFormatConversionConfiguration"]
    assert found["DataFormatConversionConfiguration"] == expected
    put(served, {"ID": 1, "Content-Type": "x", "at": "2026-01-02T03:04:05Z"}, stream=name)
    ((key, table),) = rows_delivered(served, glue, name, 1, stream=name).items()
    assert key.startswith("data/2") and key.endswith(".parquet")
    (row,) = table.to_pylist()
    assert (row["id"], row["content_type"], str(row["at"])) == (1, "x", "2026-01-02 03:04:05")
    metadata = pyarrow.parquet.read_metadata(io.BytesIO(glue.objects(name)[key]["Body"]))
    assert metadata.row_group(0).column(0).compression == "GZIP"
    assert metadata.schema.column(2).physical_type == "INT96"


def test_a_stream_of_the_api_to_orc(served, glue, name):
    glue.create_table(name, "id int; tags array<string>; at timestamp")
    options = conversion(
        name,
        {"HiveJsonSerDe": {"TimestampFormats": ["millis"]}},
        {"OrcSerDe": {"Compression": "ZLIB", "FormatVersion": "V0_11", "RowIndexStride": 1000}},
    )
    made(served, name, **options)
    put(served, {"id": 1, "tags": ["a", None], "at": 1486480381123}, stream=name)

    def orc():
        served.flush(name)
        return [a["Body"] for k, a in glue.objects(name).items() if k.endswith(".orc")]

    (body,) = harness.wait_for(orc, "the file is delivered", pause=0.2)
    file = pyarrow.orc.ORCFile(io.BytesIO(body))
    assert (file.compression, file.file_version) == ("ZLIB", "0.11")
    (row,) = file.read().to_pylist()
    assert (row["id"], row["tags"]) == (1, ["a", None])
    assert str(row["at"]) == "2017-02-07 15:13:01.123000"


def test_a_stream_of_the_api_with_partitions(served, glue, name):
    glue.create_table(name, "id int", "customer string")
    query = [
        {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{customer: .customer}"},
        {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
    ]
    made(
        served,
        name,
        **conversion(name),
        Prefix="data/customer=!{partitionKeyFromQuery:customer}/",
        DynamicPartitioningConfiguration={"Enabled": True},
        ProcessingConfiguration={
            "Enabled": True,
            "Processors": [{"Type": "MetadataExtraction", "Parameters": query}],
        },
    )
    put(served, *({"id": n, "customer": f"c{n % 3}"} for n in range(9)), stream=name)
    found = rows_delivered(served, glue, name, 9, stream=name)
    rows = {(key.split("/")[1], r["id"]) for key, t in found.items() for r in t.to_pylist()}
    assert rows == {(f"customer=c{n % 3}", n) for n in range(9)}


def test_a_table_that_comes_later_holds_a_stream_of_the_api(served, glue, name):
    hints = {"SizeInMBs": 64, "IntervalInSeconds": 0}
    made(served, name, **conversion(name), BufferingHints=hints)
    put(served, {"id": 1}, stream=name)
    harness.wait_for(lambda: held_for(served) == MISSING, "the missing table is named")
    glue.create_table(name, "id int")
    (table,) = rows_delivered(served, glue, name, 1, stream=name).values()
    assert table.to_pylist() == [{"id": 1}]


def parts(**options):
    """A conversion with members replaced; those that are None are left out."""
    (kind, whole), *_ = conversion("t").items()
    whole = {**whole, **options}
    return {kind: {key: value for key, value in whole.items() if value is not None}}


def test_an_update_turns_the_format_and_keeps_the_rest(served, glue, name):
    glue.create_table(name, "id int")
    made(served, name, **conversion(name, Enabled=True))
    put(served, {"id": 1}, stream=name)
    rows_delivered(served, glue, name, 1, stream=name)
    serializer = {"OutputFormatConfiguration": {"Serializer": {"OrcSerDe": {}}}}
    served.firehose().update_destination(
        DeliveryStreamName=name,
        CurrentDeliveryStreamVersionId="1",
        DestinationId="destinationId-000000000001",
        ExtendedS3DestinationUpdate={"DataFormatConversionConfiguration": serializer},
    )
    expected = {**parts(Enabled=True, **serializer)["DataFormatConversionConfiguration"]}
    expected["SchemaConfiguration"] = {**expected["SchemaConfiguration"], "TableName": name}
    assert described(served, name)["DataFormatConversionConfiguration"] == expected
    put(served, {"id": 2}, b'{"id":"x"}', stream=name)
    assert served.terminate() == 0
    (key,) = (key for key in glue.objects(name) if key.endswith(".orc"))
    assert f"/{name}-2-" in key
    file = pyarrow.orc.ORCFile(io.BytesIO(glue.objects(name)[key]["Body"]))
    assert file.read().to_pylist() == [{"id": 2}]


COMPRESSED = (
    "The S3 destination's compression format must be set to UNCOMPRESSED when data format "
    "conversion is enabled. To enable compression within the converted output format, set the "
    "appropriate serialization option in the output format configuration."
)
BOTH_READERS = {"Deserializer": {"OpenXJsonSerDe": {}, "HiveJsonSerDe": {}}}
BOTH_WRITERS = {"Serializer": {"ParquetSerDe": {}, "OrcSerDe": {}}}
BAD_TIMES = {"Deserializer": {"HiveJsonSerDe": {"TimestampFormats": ["QQ"]}}}
SMALL = {"BufferingHints": {"SizeInMBs": 63, "IntervalInSeconds": 60}}


@pytest.mark.parametrize(
    "options, message",
    [
        ({**parts(), "CompressionFormat": "GZIP", **SMALL}, COMPRESSED),
        (
            {**parts(InputFormatConfiguration=None), **SMALL},
            "BufferingHints.SizeInMBs must be at least 64 when data format conversion is enabled.",
        ),
        (
            parts(InputFormatConfiguration=None, OutputFormatConfiguration=None),
            "InputFormatConfiguration must not be null",
        ),
        (
            parts(OutputFormatConfiguration=None, SchemaConfiguration=None),
            "OutputFormatConfiguration must not be null",
        ),
        (
            parts(SchemaConfiguration=None, InputFormatConfiguration={}),
            "SchemaConfiguration must not be null",
        ),
        (
            parts(InputFormatConfiguration={}, OutputFormatConfiguration={}),
            "Deserializer must not be null",
        ),
        (parts(InputFormatConfiguration={"Deserializer": {}}), "Deserializer must not be null"),
        (parts(OutputFormatConfiguration={}), "Serializer must not be null"),
        (parts(OutputFormatConfiguration={"Serializer": {}}), "Serializer must not be null"),
        (
            parts(InputFormatConfiguration=BOTH_READERS, OutputFormatConfiguration=BOTH_WRITERS),
            "More than one deserializer specified. Only one may be chosen.",
        ),
        (
            parts(OutputFormatConfiguration=BOTH_WRITERS, SchemaConfiguration={}),
            "More than one serializer specified. Only one may be chosen.",
        ),
        (
            parts(SchemaConfiguration={}, InputFormatConfiguration=BAD_TIMES),
            "SchemaConfiguration.RoleArn must not be null or empty",
        ),
        (
            parts(SchemaConfiguration={"RoleARN": harness.ROLE}),
            "SchemaConfiguration.DatabaseName must not be null or empty",
        ),
        (
            parts(SchemaConfiguration={"RoleARN": harness.ROLE, "DatabaseName": "d"}),
            "SchemaConfiguration.TableName must not be null or empty",
        ),
    ],
)
def test_the_service_s_rules_in_its_order(served, options, message):
    with pytest.raises(ClientError) as refused:
        made(served, "refused", **options)
    error = refused.value.response["Error"]
    assert error["Code"] == "InvalidArgumentException"
    assert error["Message"] == message
    # What is off is kept as it is.
    off = options["DataFormatConversionConfiguration"] | {"Enabled": False}
    kept = {**options, "DataFormatConversionConfiguration": off}
    made(served, "kept", **kept)
    assert described(served, "kept")["DataFormatConversionConfiguration"]["Enabled"] is False


def test_patterns_of_times_are_read_when_a_stream_is_made(served):
    with pytest.raises(ClientError) as refused:
        made(served, "refused", **parts(InputFormatConfiguration=BAD_TIMES))
    error = refused.value.response["Error"]
    assert error["Code"] == "InvalidArgumentException"
    assert error["Message"].startswith("Invalid deserializer option(s): ")


# --- From the records


def inferred(folder, columns=(), **options):
    return converting(folder, {"infer": {"columns": list(columns)} if columns else {}}, **options)


def new_rows(daemon, folder, count, before=()):
    """Flushes until so many rows are there besides those of some keys; key → table."""

    def enough():
        daemon.flush("s")
        paths = {k: p for k, p in harness.files(folder).items() if k not in before}
        found = {key: lake.by_pyarrow(path) for key, path in paths.items()}
        return found if sum(table.num_rows for table in found.values()) >= count else None

    return harness.wait_for(enough, f"{count} rows are delivered", pause=0.1)


def schema_of(table):
    return {field.name: str(field.type) for field in table.schema}


def test_a_schema_is_inferred_widened_and_kept_over_restarts(daemon, tmp_path):
    folder = tmp_path / "bucket"
    d = daemon(inferred(folder, unknown_fields="evolve"))
    put(d, {"id": 1, "name": "x", "user": {"age": 1}}, {"id": 2, "nothing": None, "none": []})
    first = new_rows(d, folder, 2)
    (table,) = first.values()
    assert schema_of(table) == {
        "id": "int64",
        "name": "string",
        "user": "struct<age: int64>",
    }
    put(d, {"id": 3, "flag": True, "user": {"age": 2, "mail": "m"}, "score": 1})
    second = new_rows(d, folder, 1, first)
    (table,) = second.values()
    wide = {
        "id": "int64",
        "name": "string",
        "user": "struct<age: int64, mail: string>",
        "flag": "bool",
        "score": "int64",
    }
    assert schema_of(table) == wide

    d.kill()
    d.start()
    put(d, {"id": 4})
    third = new_rows(d, folder, 1, {**first, **second})
    assert [schema_of(table) for table in third.values()] == [wide]
    put(d, {"id": 5, "score": 1.5})
    fourth = new_rows(d, folder, 1, {**first, **second, **third})
    # Not `double`, which would round large numbers of the column that is there.
    assert [schema_of(table) for table in fourth.values()] == [{**wide, "score": "string"}]

    log = d.log()
    told = re.findall(r'schema widened.*?field="([^"]+)"', log)
    assert sorted(told) == ["flag", "id", "name", "score", "score", "user", "user.mail"], log
    assert not [key for key in harness.files(folder) if "error" in key]


def test_given_columns_keep_their_types(daemon, tmp_path):
    folder = tmp_path / "bucket"
    columns = [{"name": "total", "type": "decimal(12,2)"}, {"name": "at", "type": "timestamp"}]
    d = daemon(inferred(folder, columns, unknown_fields="evolve"))
    put(d, {"id": 1, "total": 1.5, "at": "2026-01-02 03:04:05"}, {"id": 2, "total": "2"})
    (table,) = new_rows(d, folder, 2).values()
    types = {"total": "decimal128(12, 2)", "at": "timestamp[ns]", "id": "int64"}
    assert schema_of(table) == types
    assert [str(value) for value in table["total"]] == ["1.50", "2.00"]


def test_without_evolution_the_first_schema_stays_and_each_new_field_is_told_once(
    daemon, tmp_path
):
    folder = tmp_path / "bucket"
    d = daemon(inferred(folder))
    put(d, {"id": 1})
    before = {}
    for n in range(2, 5):
        before |= new_rows(d, folder, 1, before)
        put(d, {"id": n, "colour": "red", "shape": {"size": 1}})
    before |= new_rows(d, folder, 1, before)
    assert {tuple(table.column_names) for table in before.values()} == {("id",)}
    assert sorted(id for table in before.values() for id in table["id"].to_pylist()) == [1, 2, 3, 4]
    told = re.findall(r'field has no column.*?field="([^"]+)"', d.log())
    assert sorted(told) == ["colour", "shape"]


def test_what_is_new_can_be_kept_in_a_column_of_its_own(daemon, tmp_path):
    folder = tmp_path / "bucket"
    d = daemon(inferred(folder, unknown_fields="rest_column"))
    put(d, {"id": 1})
    before = new_rows(d, folder, 1)
    put(d, {"id": 2, "colour": "red", "shape": {"Size": [1, None]}})
    (table,) = new_rows(d, folder, 1, before).values()
    (row,) = table.to_pylist()
    # Keys are in lower case, as everywhere with the lenient reader.
    rest = {"colour": "red", "shape": {"size": [1, None]}}
    assert (row["id"], json.loads(row["_rest"])) == (2, rest)
    assert [t.column_names for t in before.values()] == [["id", "_rest"]]


def test_unfit_records_of_the_api_name_the_role(served, glue, name):
    glue.create_table(name, "id int")
    made(served, name, **conversion(name))
    put(served, b'{"id":"x"}', stream=name)
    assert served.terminate() == 0
    (answer,) = (a for key, a in glue.objects(name).items() if key.startswith("errors/"))
    table = json.loads(answer["Body"])["dataCatalogTable"]
    assert table["roleArn"] == harness.ROLE
    assert table["catalogId"] == "000000000000"
