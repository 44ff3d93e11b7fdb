"""A transform as people write it for Firehose."""

import base64
import json


def handler(event, context):
    assert context.invoked_function_arn.startswith("arn:aws:lambda:")
    return {"records": [transform(record) for record in event["records"]]}


def transform(record):
    identity = record["recordId"]
    order = json.loads(base64.b64decode(record["data"]))
    if order.get("crash"):
        raise RuntimeError("an order that nobody expected")
    if order.get("test"):
        return {"recordId": identity, "result": "Dropped"}
    if "amount" not in order:
        return {"recordId": identity, "result": "ProcessingFailed", "data": record["data"]}
    order["cents"] = round(order["amount"] * 100)
    data = base64.b64encode(json.dumps(order).encode() + b"\n").decode()
    keys = {"country": order["country"]}
    return {
        "recordId": identity,
        "result": "Ok",
        "data": data,
        "metadata": {"partitionKeys": keys},
    }
