"""What a real OpenSearch answers, as far as the destination's rules rest on it."""


def create(index, key=None):
    return {"create": {"_index": index, **({"_id": key} if key else {})}}


def test_a_second_create_is_a_conflict_and_one_bad_document_fails_alone(opensearch):
    opensearch.create_index("strict", {"dynamic": "strict", "properties": {"n": {"type": "long"}}})
    items = opensearch.bulk(
        create("strict", "a"), {"n": 1},
        create("strict", "a"), {"n": 1},
        create("strict", "b"), {"n": "many"},
        create("strict", "c"), {"other": 1},
        create("strict"), {"n": 2},
    )
    assert [item["status"] for item in items] == [201, 409, 400, 400, 201]
    assert [item.get("error", {}).get("type") for item in items] == [
        None,
        "version_conflict_engine_exception",
        "mapper_parsing_exception",
        "strict_dynamic_mapping_exception",
        None,
    ]
    assert opensearch.count("strict") == 2


def test_data_streams_take_creates_alone(opensearch):
    opensearch.data_stream("events")
    document = {"@timestamp": "2026-11-21T00:00:00Z"}
    items = opensearch.bulk(
        create("events", "a"), document,
        create("events", "a"), document,
        {"index": {"_index": "events"}}, document,
    )
    assert [item["status"] for item in items] == [201, 409, 400]


def test_indexes_that_may_not_be_made_or_written_say_so(opensearch):
    opensearch.cluster_settings(action__auto_create_index="false")
    assert opensearch.bulk(create("none", "a"), {})[0]["status"] == 404
    opensearch.create_index("closed", settings={"index.blocks.write": True})
    assert opensearch.bulk(create("closed", "a"), {})[0]["status"] == 403


def test_troubles_of_the_cluster_may_look_like_the_documents(opensearch):
    opensearch.create_index("shut")
    opensearch.ask("POST", "/shut/_close")
    opensearch.cluster_settings(cluster__max_shards_per_node=1)
    closed, full = opensearch.bulk(create("shut", "a"), {}, create("new", "a"), {})
    assert (closed["status"], closed["error"]["type"]) == (400, "index_closed_exception")
    assert full["status"] == 400 and "shards open" in full["error"]["reason"]


def test_what_a_check_asks_leaves_nothing(opensearch):
    """A create whose document is none, and that may ask for an alias: no path of it writes."""
    opensearch.create_index("there")
    opensearch.create_index("behind")
    opensearch.ask("PUT", "/behind/_alias/alias")
    for index, status in [("there", 404), ("not-there", 404), ("alias", 400)]:
        action = {"create": {"_index": index, "_id": "standpipe-check", "require_alias": True}}
        assert [item["status"] for item in opensearch.bulk(action, [])] == [status], index
    action = {"create": {"_index": "there", "_id": "standpipe-check"}}
    assert [item["status"] for item in opensearch.bulk(action, [])] == [400]
    assert opensearch.indices() == ["behind", "there"]
    assert opensearch.count("_all") == 0


def test_data_survives_a_restart(opensearch):
    opensearch.bulk(create("kept", "a"), {"n": 1})
    opensearch.restart()
    assert opensearch.documents("kept") == [{"n": 1}]
