"""Parquet and ORC files read back by others: pyarrow, DuckDB and the Java readers of ORC."""

import json
import subprocess

import duckdb
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet

import harness

ORC_TOOLS = harness.CACHE / "java/orc-tools-1.9.5-uber.jar"


def by_pyarrow(path):
    # Alone: neither the folders of its key nor its neighbours have a say.
    return pa.parquet.ParquetFile(path).read()


def by_duckdb(path):
    with duckdb.connect() as connection:
        query = connection.sql("SELECT * FROM read_parquet(?)", params=[str(path)])
        return query.to_arrow_table()


def by_pyarrow_orc(path):
    return pa.orc.ORCFile(path).read()


def by_java(*paths):
    """The rows of ORC files as the project's own tools print them: path → list of rows."""
    assert ORC_TOOLS.exists(), f"{ORC_TOOLS} is missing: run tests/servers/install.sh"
    done = subprocess.run(
        ["java", "-Duser.timezone=UTC", "-jar", ORC_TOOLS, "data", *paths],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    files = [[]]
    # Texts may hold what else Python takes for the end of a line.
    for line in done.stdout.split("\n"):
        if line.startswith("____"):
            files.append([])
        elif line:
            files[-1].append(json.loads(line))
    assert len(files) == len(paths) + 1 and not files.pop()
    return dict(zip(paths, files))


def assert_same(found, expected, what):
    """Column by column and value by value; types may differ in names of inner fields."""
    assert found.column_names == expected.column_names, what
    assert found.num_rows == expected.num_rows, what
    for name in expected.column_names:
        column = expected.column(name)
        one = found.column(name).cast(column.type).combine_chunks()
        if one.equals(column.combine_chunks()):
            continue
        for at, (is_there, wanted) in enumerate(zip(one, column)):
            assert str(is_there) == str(wanted), f"{what}: row {at} of {name}"
        raise AssertionError(f"{what}: {name} differs")
