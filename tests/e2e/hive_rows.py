"""A table with every Hive type, and rows of all kinds for it, as Python and as JSON has them."""

import datetime
import decimal
import json
import random
import struct

import pyarrow as pa

DECIMAL = decimal.Decimal
EPOCH = datetime.datetime(1970, 1, 1)
NANOS = 10**9
WIDE = decimal.Context(prec=60)

# Name → Hive's type and Arrow's.
COLUMNS = {
    "n": ("int", pa.int32()),
    "flag": ("boolean", pa.bool_()),
    "tiny": ("tinyint", pa.int8()),
    "small": ("smallint", pa.int16()),
    "whole": ("int", pa.int32()),
    "big": ("bigint", pa.int64()),
    "single": ("float", pa.float32()),
    "dbl": ("double", pa.float64()),
    "money": ("decimal(12,2)", pa.decimal128(12, 2)),
    "huge": ("decimal(38,10)", pa.decimal128(38, 10)),
    "part": ("decimal(4,4)", pa.decimal128(4, 4)),
    "bare": ("decimal", pa.decimal128(10, 0)),
    "text": ("string", pa.string()),
    "fixed": ("char(5)", pa.string()),
    "limited": ("varchar(7)", pa.string()),
    "bytes": ("binary", pa.binary()),
    "day": ("date", pa.date32()),
    "at": ("timestamp", pa.timestamp("ns")),
    "numbers": ("array<int>", pa.list_(pa.int32())),
    "matrix": ("array<array<bigint>>", pa.list_(pa.list_(pa.int64()))),
    "labels": ("map<string,string>", pa.map_(pa.string(), pa.string())),
    "sizes": ("map<int,double>", pa.map_(pa.int32(), pa.float64())),
    "person": (
        "struct<name:string,address:struct<city:string,zips:array<string>>>",
        pa.struct(
            [
                ("name", pa.string()),
                (
                    "address",
                    pa.struct([("city", pa.string()), ("zips", pa.list_(pa.string()))]),
                ),
            ]
        ),
    ),
    "events": (
        "array<struct<id:bigint,at:timestamp,tags:map<string,array<decimal(10,3)>>>>",
        pa.list_(
            pa.struct(
                [
                    ("id", pa.int64()),
                    ("at", pa.timestamp("ns")),
                    ("tags", pa.map_(pa.string(), pa.list_(pa.decimal128(10, 3)))),
                ]
            )
        ),
    ),
}
DDL = ", ".join(f"`{name}` {of}" for name, (of, _) in COLUMNS.items())
SCHEMA = pa.schema([(name, of) for name, (_, of) in COLUMNS.items()])


def nanos(text):
    """Nanoseconds since 1970 of a text like `2026-01-02 03:04:05.123456789`."""
    seconds, _, fraction = text.partition(".")
    whole = datetime.datetime.fromisoformat(seconds) - EPOCH
    return (whole.days * 86_400 + whole.seconds) * NANOS + int(fraction.ljust(9, "0"))


def timestamp_text(value):
    seconds, fraction = divmod(value, NANOS)
    return f"{EPOCH + datetime.timedelta(seconds=seconds)}.{fraction:09}"


def rows(count):
    """Extreme rows, empty ones, and as many more that are made up, with nulls here and there."""
    made = [_smallest(), _largest(), _empty(), {}, _nulls_within()]
    dice = random.Random(20261121)
    made += [_random(dice) for _ in range(count - len(made))]
    return [{name: row.get(name) for name in COLUMNS} | {"n": n} for n, row in enumerate(made)]


def _smallest():
    return {
        "flag": False,
        "tiny": -(2**7),
        "small": -(2**15),
        "whole": -(2**31),
        "big": -(2**63),
        "single": -3.4028234663852886e38,
        "dbl": -1.7976931348623157e308,
        "money": DECIMAL("-9999999999.99"),
        "huge": DECIMAL("-" + "9" * 28 + "." + "9" * 10),
        "part": DECIMAL("-0.9999"),
        "bare": DECIMAL("-9999999999"),
        "text": "\x01",
        "fixed": "a",
        "limited": "a",
        "bytes": b"\x00",
        "day": datetime.date(1, 1, 1),
        "at": nanos("1677-09-22 00:00:00.000000001"),
        "numbers": [-(2**31)],
        "matrix": [[-(2**63)]],
        "labels": [("", "")],
        "sizes": [(-(2**31), -0.0)],
        "person": {"name": "", "address": {"city": "", "zips": [""]}},
        "events": [{"id": -1, "at": 0, "tags": [("", [DECIMAL("-9999999.999")])]}],
    }


def _largest():
    wide = "Zoë \u4f60\u597d \U0001f600 \"'\\/\t\r\n\x7f\u2028"
    return {
        "flag": True,
        "tiny": 2**7 - 1,
        "small": 2**15 - 1,
        "whole": 2**31 - 1,
        "big": 2**63 - 1,
        "single": 3.4028234663852886e38,
        "dbl": 1.7976931348623157e308,
        "money": DECIMAL("9999999999.99"),
        "huge": DECIMAL("9" * 28 + "." + "9" * 10),
        "part": DECIMAL("0.9999"),
        "bare": DECIMAL("9999999999"),
        "text": wide * 3000,
        "fixed": "ü\U0001f600abc",
        "limited": "\U0001f600" * 7,
        "bytes": wide.encode() * 100,
        "day": datetime.date(9999, 12, 31),
        "at": nanos("2262-04-11 23:47:16.854775807"),
        "numbers": list(range(5000)),
        "matrix": [[2**63 - 1] * n for n in range(50)],
        "labels": [(f"{wide.lower()}{n}", wide) for n in range(200)],
        "sizes": [(2**31 - 1, 5e-324)],
        "person": {"name": wide, "address": {"city": wide, "zips": [wide] * 100}},
        "events": [
            {"id": n, "at": n * NANOS, "tags": [(f"t{n}", [DECIMAL("9999999.999")] * n)]}
            for n in range(30)
        ],
    }


def _empty():
    return {
        "text": "",
        "fixed": "",
        "limited": "",
        "bytes": b"",
        "at": 0,
        "numbers": [],
        "matrix": [],
        "labels": [],
        "sizes": [],
        "person": {"name": None, "address": None},
        "events": [],
    }


def _nulls_within():
    return {
        "numbers": [None, 1, None],
        "matrix": [None, [], [None], [1, None]],
        "labels": [("a", None), ("b", "")],
        "sizes": [(1, None)],
        "person": {"name": None, "address": {"city": None, "zips": [None]}},
        "events": [None, {"id": None, "at": None, "tags": None}, {"id": 1, "at": 1, "tags": []}],
    }


def _random(dice):
    few = [f"value {n}" for n in range(20)]

    def times():
        # Around 1970 as well; ORC cannot say fractions in the second before it.
        value = dice.randrange(-(2 * 10**18), 4 * 10**18)
        return value if not -NANOS < value < 0 else 0

    def money(precision, scale):
        return DECIMAL(dice.randrange(-(10**precision) + 1, 10**precision)).scaleb(
            -scale, decimal.Context(prec=38)
        )

    def single():
        return struct.unpack("f", struct.pack("f", dice.uniform(-1000, 1000)))[0]

    def some(make, most=4):
        return [None if dice.random() < 0.1 else make() for _ in range(dice.randrange(most))]

    def pairs(key, make):
        return [(key(n), make()) for n in range(dice.randrange(4))]

    row = {
        "flag": dice.random() < 0.5,
        "tiny": dice.randrange(-(2**7), 2**7),
        "small": dice.randrange(-(2**15), 2**15),
        "whole": dice.choice([1, 2, 3, dice.randrange(-(2**31), 2**31)]),
        "big": dice.randrange(-(2**63), 2**63),
        "single": single(),
        "dbl": dice.gauss(0, 1e6),
        "money": money(12, 2),
        "huge": money(38, 10),
        "part": money(4, 4),
        "bare": money(10, 0),
        "text": dice.choice([*few, "x" * dice.randrange(50)]),
        "fixed": dice.choice(["ab", "abcde", "ä"]),
        "limited": dice.choice(few)[-7:],
        "bytes": dice.choice(few).encode(),
        "day": datetime.date(1900, 1, 1) + datetime.timedelta(days=dice.randrange(80_000)),
        "at": times(),
        "numbers": some(lambda: dice.randrange(100)),
        "matrix": some(lambda: some(lambda: dice.randrange(-(2**63), 2**63))),
        "labels": pairs(lambda n: f"k{n}", lambda: dice.choice(few)),
        "sizes": pairs(lambda n: n, lambda: dice.uniform(0, 1)),
        "person": {
            "name": dice.choice(few),
            "address": {"city": dice.choice(few), "zips": some(lambda: dice.choice(few))},
        },
        "events": some(
            lambda: {
                "id": dice.randrange(10**6),
                "at": times(),
                "tags": pairs(lambda n: f"t{n}", lambda: some(lambda: money(10, 3))),
            }
        ),
    }
    return {name: None if dice.random() < 0.1 else value for name, value in row.items()}


def json_text(value, of):
    """A value of an Arrow type as it stands in a record."""
    if value is None:
        return "null"
    if pa.types.is_decimal(of):
        return f"{value:f}"
    if pa.types.is_timestamp(of):
        return f'"{timestamp_text(value)}"'
    if pa.types.is_date(of):
        return f'"{value.isoformat()}"'
    if pa.types.is_binary(of):
        return json.dumps(value.decode())
    if pa.types.is_list(of):
        return "[" + ",".join(json_text(one, of.value_type) for one in value) + "]"
    if pa.types.is_map(of):
        members = (f"{json.dumps(str(k))}:{json_text(v, of.item_type)}" for k, v in value)
        return "{" + ",".join(members) + "}"
    if pa.types.is_struct(of):
        members = (f"{json.dumps(f.name)}:{json_text(value[f.name], f.type)}" for f in of)
        return "{" + ",".join(members) + "}"
    return json.dumps(value)


def record(row):
    """A row as a JSON object; columns that are null are left out in every other row."""
    names = [name for name in COLUMNS if row[name] is not None or row["n"] % 2]
    members = (f"{json.dumps(name)}:{json_text(row[name], COLUMNS[name][1])}" for name in names)
    return ("{" + ",".join(members) + "}").encode()


def convert(value, of, leaf):
    """A value with `leaf(value, type)` in place of whatever is no container."""
    if value is None:
        return None
    if pa.types.is_list(of):
        return [convert(one, of.value_type, leaf) for one in value]
    if pa.types.is_map(of):
        return [
            (convert(k, of.key_type, leaf), convert(v, of.item_type, leaf)) for k, v in value
        ]
    if pa.types.is_struct(of):
        return {field.name: convert(value[field.name], field.type, leaf) for field in of}
    return leaf(value, of)


def table(made, unit_nanos=1):
    """The rows as a table, with timestamps cut to their unit as Java does it: downwards."""

    def leaf(value, of):
        return value // unit_nanos * unit_nanos if pa.types.is_timestamp(of) else value

    cut = [{name: convert(row[name], COLUMNS[name][1], leaf) for name in COLUMNS} for row in made]
    return pa.Table.from_pylist(cut, schema=SCHEMA)


def padded(made):
    """The rows with `char` values filled up, as ORC's readers give them."""
    return [row if row["fixed"] is None else row | {"fixed": row["fixed"].ljust(5)} for row in made]


def of_java(printed):
    """Rows that ORC's Java tools have printed as a table."""

    def value(of, shown):
        if pa.types.is_map(of) and shown is not None:
            return [
                (value(of.key_type, pair["_key"]), value(of.item_type, pair["_value"]))
                for pair in shown
            ]
        if pa.types.is_list(of) and shown is not None:
            return [value(of.value_type, one) for one in shown]
        if pa.types.is_struct(of) and shown is not None:
            return {field.name: value(field.type, shown[field.name]) for field in of}
        return convert(shown, of, leaf)

    def leaf(shown, of):
        if pa.types.is_decimal(of):
            return DECIMAL(shown).quantize(DECIMAL(1).scaleb(-of.scale), context=WIDE)
        if pa.types.is_timestamp(of):
            return nanos(shown)
        if pa.types.is_date(of):
            return datetime.date.fromisoformat(shown)
        if pa.types.is_binary(of):
            return bytes(shown)
        return shown

    made = [{name: value(of, row[name]) for name, (_, of) in COLUMNS.items()} for row in printed]
    return pa.Table.from_pylist(made, schema=SCHEMA)
