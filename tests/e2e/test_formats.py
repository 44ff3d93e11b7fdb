"""Parquet and ORC files, value by value, in readers that others wrote."""

import itertools

import duckdb
import pyarrow.dataset
import pyarrow.orc
import pyarrow.parquet
import pytest

import harness
import hive_rows
import lake

ROWS = hive_rows.rows(1200)
UNITS = {"int96": 1, "millis": 10**6, "micros": 10**3, "nanos": 1}


def parquet_variants():
    """Every compression with both kinds of pages, with and without dictionaries."""
    units = itertools.cycle(UNITS)
    variants = {"defaults": {}}
    for compression, version, dictionary in itertools.product(
        ["snappy", "gzip", "uncompressed", "zstd"], ["v1", "v2"], [False, True]
    ):
        unit = next(units)
        variants[f"{compression}-{version}-{unit}" + "-dictionary" * dictionary] = {
            "compression": compression,
            "writer_version": version,
            "enable_dictionary_compression": dictionary,
            "timestamp_unit": unit,
            "page_size": "1KiB",
        }
        # Another unit for every combination.
        if (version, dictionary) == ("v2", True):
            next(units)
    variants["bloom"] = {"bloom_filter_columns": ["text", "whole", "person.name", "big"]}
    return variants


def orc_variants():
    thresholds = itertools.cycle([0.8, 1, 0])
    variants = {"defaults": {}}
    for compression, version in itertools.product(
        ["snappy", "zlib", "none", "zstd"], ["v0_12", "v0_11"]
    ):
        variants[f"{compression}-{version}"] = {
            "compression": compression,
            "format_version": version,
            "dictionary_key_threshold": next(thresholds),
            "row_index_stride": 1000,
            "stripe_size": "1MiB",
        }
    variants["bloom"] = {
        "bloom_filter_columns": ["text", "whole", "person.name"],
        "row_index_stride": 1000,
        "enable_padding": True,
    }
    return variants


PARQUET = parquet_variants()
ORC = orc_variants()


@pytest.fixture(scope="module")
def lake_of_all_types(tmp_path_factory):
    """Every variant is a destination of one stream; variant → its only file."""
    folder = tmp_path_factory.mktemp("formats")
    named = {("parquet", name): options for name, options in PARQUET.items()}
    named |= {("orc", name): options for name, options in ORC.items()}
    destinations = []
    for (kind, name), options in named.items():
        conversion = {"schema": {"ddl": hive_rows.DDL}, "output": {kind: options}}
        s3 = harness.local(folder / f"{kind}.{name}", format_conversion=conversion)
        s3["s3"]["buffering"]["size"] = "64MiB"
        destinations.append({"name": f"{kind}.{name}", **s3})
    daemon = harness.Daemon(folder / "standpipe", {"s": {"destinations": destinations}}).start()
    try:
        records = [hive_rows.record(row) for row in ROWS]
        # Several objects may stand in one record.
        joined = [b"\n".join(records[at : at + 3]) for at in range(0, len(records), 3)]
        answer = daemon.firehose().put_record_batch(
            DeliveryStreamName="s", Records=[{"Data": data} for data in joined]
        )
        assert answer["FailedPutCount"] == 0
        assert daemon.terminate() == 0, daemon.log()[-4000:]
    finally:
        daemon.close()
    found = {}
    for kind, name in named:
        ((key, path),) = harness.files(folder / f"{kind}.{name}").items()
        assert key.endswith(f".{kind}"), key
        found[kind, name] = path
    return found


@pytest.mark.parametrize("variant", PARQUET)
def test_parquet_holds_every_value(lake_of_all_types, variant):
    path = lake_of_all_types["parquet", variant]
    unit = PARQUET[variant].get("timestamp_unit", "int96")
    expected = hive_rows.table(ROWS, UNITS[unit])
    lake.assert_same(lake.by_pyarrow(path), expected, "pyarrow")
    # DuckDB reads the times of INT96 in microseconds.
    expected = hive_rows.table(ROWS, max(UNITS[unit], 10**3 if unit == "int96" else 1))
    lake.assert_same(lake.by_duckdb(path), expected, "DuckDB")


@pytest.mark.parametrize("variant", PARQUET)
def test_parquet_is_written_as_asked(lake_of_all_types, variant):
    options = PARQUET[variant]
    metadata = pyarrow.parquet.read_metadata(lake_of_all_types["parquet", variant])
    schema = metadata.schema
    leaves = {schema.column(at).path: schema.column(at) for at in range(len(schema))}
    chunks = [metadata.row_group(0).column(at) for at in range(len(schema))]
    codec = options.get("compression", "snappy").upper()
    assert {chunk.compression for chunk in chunks} == {codec}
    by_path = {chunk.path_in_schema: chunk for chunk in chunks}
    dictionary = options.get("enable_dictionary_compression", False)
    assert by_path["limited"].has_dictionary_page is dictionary
    is_int96 = options.get("timestamp_unit", "int96") == "int96"
    for path in ["at", "events.bag.array_element.at"]:
        assert leaves[path].physical_type == ("INT96" if is_int96 else "INT64")
    # The names within lists and maps, and the widths of decimals, are those of Hive's writer.
    assert "labels.map.key" in leaves and "numbers.bag.array_element" in leaves
    assert leaves["huge"].length == 16 and leaves["money"].length == 6
    assert leaves["huge"].physical_type == "FIXED_LEN_BYTE_ARRAY"


def test_parquet_bloom_filters_exclude_what_is_not_there(lake_of_all_types):
    path = str(lake_of_all_types["parquet", "bloom"])

    def excluded(column, value):
        query = "SELECT bloom_filter_excludes FROM parquet_bloom_probe(?, ?, ?)"
        with duckdb.connect() as connection:
            return [row[0] for row in connection.execute(query, [path, column, value]).fetchall()]

    texts = {row["text"] for row in ROWS} - {None}
    assert not any(any(excluded("text", text)) for text in sorted(texts)[:40])
    wrong = sum(not all(excluded("text", f"absent {n}")) for n in range(40))
    assert wrong < 15
    numbers = sorted({row["big"] for row in ROWS} - {None})
    assert not any(any(excluded("big", number)) for number in numbers[:40])


SCALARS = [name for name, (of, _) in hive_rows.COLUMNS.items() if "<" not in of]


@pytest.mark.parametrize("variant", ["defaults", "zstd-v2-micros-dictionary"])
def test_parquet_s_statistics_exclude_nothing_that_is_there(lake_of_all_types, variant):
    path = lake_of_all_types["parquet", variant]
    unit = PARQUET[variant].get("timestamp_unit", "int96")
    dataset = pyarrow.dataset.dataset(path, format="parquet")
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW v AS SELECT * FROM read_parquet('{path}')")
        for name in SCALARS:
            # DuckDB's parameters and its INT96 are no finer than microseconds.
            if name in {"at", "single"}:
                continue
            values = [row[name] for row in ROWS]
            query = f"SELECT count(*) FROM v WHERE {name} = ?"
            for value in dict.fromkeys([*values[:3], *values[5:15]]):
                if value is None:
                    continue
                one = pyarrow.scalar(value, hive_rows.SCHEMA.field(name).type)
                count = dataset.count_rows(filter=pyarrow.dataset.field(name) == one)
                assert count == values.count(value), f"pyarrow: {name} = {value!r}"
                (count,) = connection.execute(query, [value]).fetchone()
                assert count == values.count(value), f"DuckDB: {name} = {value!r}"
    if unit != "int96":
        times = [row["at"] and row["at"] // 1000 for row in ROWS]
        for time in times[:15]:
            if time is not None:
                one = pyarrow.scalar(time, pyarrow.timestamp("us", "UTC"))
                count = dataset.count_rows(filter=pyarrow.dataset.field("at") == one)
                assert count == times.count(time), time


@pytest.mark.parametrize("variant", ORC)
def test_orc_holds_every_value(lake_of_all_types, variant):
    path = lake_of_all_types["orc", variant]
    expected = hive_rows.table(hive_rows.padded(ROWS))
    lake.assert_same(lake.by_pyarrow_orc(path), expected, "pyarrow")
    file = pyarrow.orc.ORCFile(path)
    options = ORC[variant]
    compression = options.get("compression", "snappy")
    assert file.compression == ("UNCOMPRESSED" if compression == "none" else compression.upper())
    assert file.file_version == options.get("format_version", "v0_12")[1:].replace("_", ".")
    assert file.row_index_stride == options.get("row_index_stride", 10_000)


def test_orc_holds_every_value_in_the_java_reader(lake_of_all_types):
    paths = {variant: lake_of_all_types["orc", variant] for variant in ORC}
    read = lake.by_java(*paths.values())
    expected = hive_rows.table(ROWS)
    for variant, path in paths.items():
        lake.assert_same(hive_rows.of_java(read[path]), expected, f"Java: {variant}")
