"""Records that were written with a schema of a registry, decoded on their way. Avro is written by
fastavro, and read back by it where it tells what a value has to be."""

import base64
import contextlib
import datetime
import decimal
import io
import json
import struct
import uuid
import zlib

import boto3
import fastavro
import pytest

import harness
import outputs
import schema_registry
from test_examples import moto  # noqa: F401, a fixture

LOGIN = {"username": "key", "password": "pass:word ü"}
TEXT = {"type": "record", "name": "Text", "fields": [{"name": "text", "type": "string"}]}


@pytest.fixture
def registries():
    """Makes registries; in the end none may have found a mistake."""
    with contextlib.ExitStack() as all_of_them:
        made = []

        def make(**options):
            one = schema_registry.SchemaRegistry(**options)
            all_of_them.callback(one.close)
            made.append(one)
            return one

        yield make
    assert [mistake for one in made for mistake in one.mistakes] == []


def stream(folder, confluent=None, **options):
    registry = {"confluent": confluent} if confluent else {}
    transforms = [{"decode_schema_registry": {**registry, **options}}, {"append_delimiter": "\n"}]
    destination = harness.local(folder, error_output_prefix=outputs.ERRORS)
    return {"s": {"destinations": [{**destination, "transforms": transforms}]}}


def avro(schema, value):
    packed = io.BytesIO()
    fastavro.schemaless_writer(packed, fastavro.parse_schema(schema, {}), value)
    return packed.getvalue()


def framed(identity, payload):
    return struct.pack(">bI", 0, identity) + payload


def landed(folder):
    """The documents, in order."""
    lines = outputs.written(folder).split(b"\n")[:-1]
    return [json.loads(line, parse_float=decimal.Decimal) for line in lines]


def codes(folder):
    """Raw data → code of each failed record."""
    failed = outputs.failures(outputs.local_contents(folder))
    assert {kind for kind, _, _ in failed} <= {"processing-failed"}
    return {raw: line["errorCode"] for _, raw, line in failed}


def field(name, kind, **more):
    return {"name": name, "type": kind, **more}


EVERYTHING = {
    "type": "record",
    "name": "Everything",
    "namespace": "example",
    "fields": [
        field("nothing", "null"),
        field("yes", "boolean"),
        field("int", "int"),
        field("long", "long"),
        field("float", "float"),
        field("double", "double"),
        field("bytes", "bytes"),
        field("string", "string"),
        field("fixed", {"type": "fixed", "name": "Four", "size": 4}),
        field("enum", {"type": "enum", "name": "Color", "symbols": ["RED", "GREEN"]}),
        field("again", "Color"),
        field("array", {"type": "array", "items": ["null", "int", "string"]}),
        field("map", {"type": "map", "values": {"type": "array", "items": "long"}}),
        field("union", ["null", "Color", "string"]),
        field("next", ["null", "Everything"]),
        field("date", {"type": "int", "logicalType": "date"}),
        field("at", {"type": "long", "logicalType": "timestamp-micros"}),
        field("price", {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 3}),
        field("uuid", {"type": "string", "logicalType": "uuid"}),
    ],
}


def everything(number, following=None):
    """A value of that schema, and the document that has to come of it."""
    at = datetime.datetime(2026, 1, 2, 3, 4, 5, number, datetime.timezone.utc)
    identity = uuid.UUID(int=number + 2**100)
    price = decimal.Decimal(-123456789012345678 - number).scaleb(-3)
    plain = {
        "nothing": None,
        "yes": bool(number % 2),
        "int": -(2**31) + number,
        "long": 2**63 - 1 - number,
        "float": 0.5 * number,
        "double": 1e-300,
        "string": 'ü "quoted"\n\0' * (number % 50),
        "enum": "GREEN",
        "again": "RED",
        "array": [None, number, "x"],
        "map": {"a": [1, 2, 3], "ü": []},
        "union": ["RED", None, "not a color"][number % 3],
    }
    value = {
        **plain,
        "bytes": bytes(range(256)),
        "fixed": b"\0\1\2\xff",
        "next": following and following[0],
        "date": datetime.date(2026, 1, 2),
        "at": at,
        "price": price,
        "uuid": identity,
    }
    document = {
        **plain,
        "bytes": base64.b64encode(bytes(range(256))).decode(),
        "fixed": base64.b64encode(b"\0\1\2\xff").decode(),
        "next": following and following[1],
        "date": (datetime.date(2026, 1, 2) - datetime.date(1970, 1, 1)).days,
        "at": int(at.timestamp()) * 1_000_000 + number,
        "price": price,
        "uuid": str(identity),
    }
    return value, document


def test_every_type_of_avro(daemon, registries, tmp_path):
    registry = registries(**LOGIN)
    identity = registry.register(json.dumps(EVERYTHING))
    d = daemon(stream(tmp_path / "bucket", {"url": registry.url + "/", **LOGIN}))
    made = [everything(number, everything(number + 500)) for number in range(50)]
    sent = [framed(identity, avro(EVERYTHING, value)) for value, _ in made]
    # What the one who wrote it reads is what was written.
    first = fastavro.schemaless_reader(io.BytesIO(sent[7][5:]), EVERYTHING)
    assert first["price"] == made[7][0]["price"] and first["long"] == made[7][0]["long"]
    outputs.put(d, *sent)
    assert outputs.settled(d, "s", len(sent))["delivered"] == len(sent)
    found = landed(tmp_path / "bucket")
    assert [with_floats(one) for one in found] == [with_floats(document) for _, document in made]
    # Digits stay as they are, however many.
    assert found[0]["price"] == made[0][1]["price"]
    # A schema that is known is not asked for again.
    asked = registry.asked()
    assert set(asked) == {f"/schemas/ids/{identity}"}
    outputs.put(d, sent[0])
    assert outputs.settled(d, "s", len(sent) + 1)["delivered"] == len(sent) + 1
    assert registry.asked() == asked
    assert LOGIN["password"] not in d.log()


def with_floats(document):
    return json.loads(json.dumps(document, default=float))


def test_other_forms_and_schemas_that_name_others(daemon, registries, tmp_path):
    registry = registries()
    money = {"type": "record", "name": "a.Money", "fields": [field("cents", "long")]}
    item = {"type": "record", "name": "b.Item", "fields": [field("price", "a.Money")]}
    order = {
        "type": "record",
        "name": "c.Order",
        "fields": [field("items", {"type": "array", "items": "b.Item"}), field("tip", "a.Money")],
    }
    registry.register(json.dumps(money), subject="a/money ü")
    registry.register(json.dumps(item), subject="item", references=["a/money ü"])
    of_order = registry.register(
        json.dumps(order), subject="order", references=["item", "a/money ü"]
    )
    of_json = registry.register('{"type":"object"}', "JSON")
    of_text = registry.register('"string"')
    d = daemon(stream(tmp_path / "bucket", {"url": registry.url}, unframed="pass"))
    named = {}
    for schema in (money, item):
        fastavro.parse_schema(schema, named)
    packed = io.BytesIO()
    value = {"items": [{"price": {"cents": 1}}, {"price": {"cents": -2}}], "tip": {"cents": 3}}
    fastavro.schemaless_writer(packed, fastavro.parse_schema(order, named), value)
    outputs.put(
        d,
        framed(of_order, packed.getvalue()),
        framed(of_json, b'{"as": "it is"}'),
        framed(of_text, avro("string", "text")),
        b'{"without":"header"}',
    )
    assert outputs.settled(d, "s", 4)["delivered"] == 4
    assert landed(tmp_path / "bucket") == [value, {"as": "it is"}, "text", {"without": "header"}]
    # Each once, though two of them name the first.
    assert sorted(registry.asked()) == sorted(set(registry.asked()))
    assert "/subjects/a%2Fmoney%20%C3%BC/versions/1" in registry.asked()


def test_a_records_own_fault_fails_it_and_nobody_else(daemon, registries, tmp_path):
    registry = registries()
    good = registry.register(json.dumps(TEXT))
    protobuf = registry.register('syntax = "proto3";', "PROTOBUF")
    broken = registry.register('{"type":"record","name":"X"}')
    payload = avro(TEXT, {"text": "x"})
    bad = {
        framed(good, payload[:-1]): "SchemaRegistry.InvalidPayload",
        framed(good, payload + b"\0"): "SchemaRegistry.InvalidPayload",
        framed(good, b"\x02\xff"): "SchemaRegistry.InvalidPayload",
        framed(good, b"\xff" * 12): "SchemaRegistry.InvalidPayload",
        framed(99, payload): "SchemaRegistry.UnknownSchema",
        framed(protobuf, b"\0"): "SchemaRegistry.UnsupportedFormat",
        framed(broken, b""): "SchemaRegistry.InvalidSchema",
        b'{"text":"x"}': "SchemaRegistry.NoHeader",
        b"": "SchemaRegistry.NoHeader",
        b"\0\0\0": "SchemaRegistry.NoHeader",
        b"\x03\x00" + uuid.uuid4().bytes: "SchemaRegistry.NoRegistry",
    }
    d = daemon(stream(tmp_path / "bucket", {"url": registry.url}))
    sent = []
    for number, raw in enumerate(bad):
        sent += [framed(good, avro(TEXT, {"text": str(number)})), raw]
    outputs.put(d, *sent)
    became = outputs.settled(d, "s", len(sent))
    assert (became["delivered"], became["failed"]) == (len(bad), len(bad)), became
    assert landed(tmp_path / "bucket") == [{"text": str(number)} for number in range(len(bad))]
    assert codes(tmp_path / "bucket") == bad


TROUBLE = {
    "away": {"status": 503, "body": {"error_code": 50003, "message": "forwarding failed"}},
    "slow": {"end": "hang"},
    "dropped": {"end": "drop"},
    "no-json": {"body": "<html>"},
    "other-404": {"status": 404, "body": "no such page"},
}


def test_what_ails_a_registry_holds_the_records(daemon, registries, tmp_path):
    streams, made, identities = {}, {}, {}
    for name, step in TROUBLE.items():
        made[name] = registry = registries()
        identities[name] = registry.register(json.dumps(TEXT))
        registry.script({"times": 0, **step})
        one = stream(tmp_path / name, {"url": registry.url}, timeout="1s")
        streams[name] = one["s"]
    d = daemon(streams)
    put = lambda name, text: outputs.put(  # noqa: E731
        d, framed(identities[name], avro(TEXT, {"text": text})), stream=name
    )
    for name in TROUBLE:
        put(name, "one")
    for name, registry in made.items():
        harness.wait_for(lambda one=registry: one.count() >= 2, f"{name} is asked again")
        put(name, "two")
        assert not outputs.local_contents(tmp_path / name)
    # It does not forget them either.
    d.kill()
    for registry in made.values():
        registry.script()
    d.start()
    for name in TROUBLE:
        assert outputs.settled(d, name, 2)["delivered"] == 2
        assert landed(tmp_path / name) == [{"text": "one"}, {"text": "two"}], name
        assert not codes(tmp_path / name)


def test_a_wrong_password_holds_until_it_is_right(daemon, registries, tmp_path):
    registry = registries(**LOGIN)
    identity = registry.register(json.dumps(TEXT))
    password = tmp_path / "password"
    password.write_text("wrong")
    confluent = {"url": registry.url, "username": "key", "password": {"file": str(password)}}
    d = daemon(stream(tmp_path / "bucket", confluent))
    outputs.put(d, framed(identity, avro(TEXT, {"text": "one"})))
    registry.wait(2)
    said = lambda: "SchemaRegistry.AccessDenied" in d.log()  # noqa: E731
    harness.wait_for(said, "the reason is told")
    assert not outputs.local_contents(tmp_path / "bucket")
    password.write_text(LOGIN["password"])
    assert outputs.settled(d, "s", 1)["delivered"] == 1
    assert landed(tmp_path / "bucket") == [{"text": "one"}]


def test_schemas_of_glue(daemon, moto, tmp_path):  # noqa: F811
    glue = boto3.client(
        "glue",
        endpoint_url=moto.url,
        region_name=harness.REGION,
        aws_access_key_id=harness.ACCESS_KEY,
        aws_secret_access_key=harness.SECRET_KEY,
    )
    glue.create_registry(RegistryName="registry")
    create = lambda name, kind, text: glue.create_schema(  # noqa: E731
        RegistryId={"RegistryName": "registry"},
        SchemaName=name,
        DataFormat=kind,
        Compatibility="NONE",
        SchemaDefinition=text,
    )["SchemaVersionId"]
    of_avro = create("avro", "AVRO", json.dumps(TEXT))
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
    of_json = create("json", "JSON", json.dumps(schema))
    header = lambda identity, packing=0: (  # noqa: E731
        bytes([3, packing]) + uuid.UUID(identity).bytes
    )
    payload = avro(TEXT, {"text": "glue"})
    unknown = header(str(uuid.uuid4())) + payload
    unpackable = header(of_avro, 5) + b"no zlib"
    d = daemon(stream(tmp_path / "bucket", glue={"endpoint": moto.url}), aws=harness.outgoing())
    outputs.put(
        d,
        header(of_avro) + payload,
        header(of_avro, 5) + zlib.compress(payload),
        unknown,
        header(of_json, 5) + zlib.compress(b'{"a":1}'),
        unpackable,
        framed(1, payload),
    )
    became = outputs.settled(d, "s", 6)
    assert (became["delivered"], became["failed"]) == (3, 3), became
    assert landed(tmp_path / "bucket") == [{"text": "glue"}, {"text": "glue"}, {"a": 1}]
    assert codes(tmp_path / "bucket") == {
        unknown: "SchemaRegistry.UnknownSchema",
        unpackable: "SchemaRegistry.InvalidPayload",
        framed(1, payload): "SchemaRegistry.NoRegistry",
    }
