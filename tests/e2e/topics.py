"""Topics of the test's broker: made, written to, and what the broker knows of a group."""

import collections
import threading
import uuid

import confluent_kafka
import confluent_kafka.admin
import pytest

import harness

PATIENCE_S = 60


class Topics:
    """The broker `kafka`, with what tests do to it."""

    def __init__(self, kafka):
        self.kafka = kafka
        self.settings = {"bootstrap.servers": kafka.brokers, "log_level": 0}
        self.admin = confluent_kafka.admin.AdminClient(self.settings)

    def create(self, partitions=4, **settings):
        """A topic of the test's own; its name."""
        name = f"t-{uuid.uuid4().hex[:12]}"
        config = {key.replace("_", "."): str(value) for key, value in settings.items()}
        topic = confluent_kafka.admin.NewTopic(name, partitions, 1, config=config)
        for made in self.admin.create_topics([topic]).values():
            made.result(PATIENCE_S)
        return name

    def grow(self, topic, partitions):
        more = confluent_kafka.admin.NewPartitions(topic, partitions)
        for made in self.admin.create_partitions([more]).values():
            made.result(PATIENCE_S)

    def producer(self):
        return confluent_kafka.Producer(
            {**self.settings, "enable.idempotence": True, "message.max.bytes": 20_000_000}
        )

    def write(self, topic, *records, partition=0, producer=None, **options):
        """Writes records, which may be None, to one partition, in order."""
        producer = producer or self.producer()
        failed = []
        for record in records:
            producer.produce(
                topic,
                record,
                partition=partition,
                on_delivery=lambda error, _: error and failed.append(error),
                **options,
            )
        assert producer.flush(PATIENCE_S) == 0 and not failed, failed

    def committed(self, group, topic, partitions):
        """Partition → offset as the broker knows it of a group; none where it knows nothing."""
        places = [confluent_kafka.TopicPartition(topic, number) for number in range(partitions)]
        asked = confluent_kafka.ConsumerGroupTopicPartitions(group, places)
        (answer,) = self.admin.list_consumer_group_offsets([asked]).values()
        found = answer.result(PATIENCE_S).topic_partitions
        return {place.partition: place.offset for place in found if place.offset >= 0}

    def members(self, group):
        """How many members a group has."""
        (answer,) = self.admin.describe_consumer_groups([group]).values()
        return len(answer.result(PATIENCE_S).members)

    def ends(self, topic, partitions):
        """Partition → the offset behind its last record."""
        consumer = confluent_kafka.Consumer({**self.settings, "group.id": "nobody"})
        try:
            places = [confluent_kafka.TopicPartition(topic, n) for n in range(partitions)]
            marks = [consumer.get_watermark_offsets(place, PATIENCE_S) for place in places]
            return {number: end for number, (_, end) in enumerate(marks)}
        finally:
            consumer.close()


class Producing:
    """Writes numbered lines to all partitions of a topic until it is left, and waits until the
    broker has them. Each line names its partition."""

    PER_ROUND = 25

    def __init__(self, topics, topic, name="r"):
        self.topic = topic
        self.name = name
        self.sent = collections.Counter()
        self.partitions = len(topics.admin.list_topics(topic, PATIENCE_S).topics[topic].partitions)
        # Idempotent, so that what a restart of the broker has it send again is there once.
        self.producer = confluent_kafka.Producer(
            {
                **topics.settings,
                "enable.idempotence": True,
                "linger.ms": 2,
                "delivery.timeout.ms": 240_000,
                "topic.metadata.refresh.interval.ms": 300,
            }
        )
        self.failed = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        assert self.producer.flush(240) == 0 and not self.failed, self.failed

    def run(self):
        number = 0
        while not self.stop.is_set():
            for _ in range(self.PER_ROUND):
                partition = number % self.partitions
                line = f"{self.name}-{partition}-{number:07d}\n".encode()
                self.producer.produce(
                    self.topic, line, partition=partition, on_delivery=self.confirmed
                )
                number += 1
            self.producer.poll(0.005)

    def confirmed(self, error, message):
        if error:
            self.failed.append(error)
        else:
            self.sent[message.value()[:-1]] += 1

    def wait_more(self, count):
        """Until so many more are written."""
        goal = self.sent.total() + count
        harness.wait_for(lambda: self.sent.total() >= goal, f"{count} more are written", 120)


@pytest.fixture
def topics(kafka_broker):
    """The shared broker, running."""
    yield Topics(kafka_broker)
    if kafka_broker.process is None:
        kafka_broker.start()
