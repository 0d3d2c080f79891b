"""confluent-kafka (librdkafka): cooperative-sticky group, idempotent producers, the whole admin client."""

import confluent_kafka as ck
from confluent_kafka import admin as adm

from common import KEEP, PARTITIONS, REPLICAS, RESUMED, WAIT_S, Checker, Member, Records, check, dance, main, wait_for

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def produce(bootstrap, topic, records, numbers, codec):
    producer = ck.Producer({
        "bootstrap.servers": bootstrap, "enable.idempotence": True, "compression.type": codec, "linger.ms": 5,
        "queue.buffering.max.messages": 200_000, "message.timeout.ms": 100_000,
    })
    errors, acked = [], []

    def delivered(error, message):
        errors.append(str(error)) if error else acked.append(message.offset())

    for n in numbers:
        producer.produce(topic, key=records.key(n), value=records.value(n), headers=records.headers(n),
                         timestamp=records.timestamp(n), on_delivery=delivered)
        if n % 1000 == 0:
            producer.poll(0)
    check(producer.flush(WAIT_S) == 0, "{}: records are still queued", codec)
    check(not errors, "{}: {}", codec, errors[:1])
    check(len(acked) == len(numbers) and min(acked) >= 0, "{}: {} acks", codec, len(acked))


class Consumer(Member):
    def __init__(self, name, checker, bootstrap, topic, group):
        super().__init__(name, checker)
        self.bootstrap, self.topic, self.group = bootstrap, topic, group
        self.mine, self.positions = set(), {}

    def owned(self):
        return len(self.mine)

    def open(self):
        self.consumer = ck.Consumer({
            "bootstrap.servers": self.bootstrap, "group.id": self.group, "auto.offset.reset": "earliest",
            "enable.auto.commit": False, "partition.assignment.strategy": "cooperative-sticky",
            "heartbeat.interval.ms": 300, "session.timeout.ms": 20_000, "client.id": self.name,
            "topic.metadata.refresh.interval.ms": 2000, "fetch.wait.max.ms": 100,
        })
        self.consumer.subscribe([self.topic], on_assign=self.on_assign, on_revoke=self.on_revoke, on_lost=self.on_lost)

    def on_assign(self, _consumer, partitions):
        self.mine |= {p.partition for p in partitions}

    def on_revoke(self, _consumer, partitions):
        self.commit([p.partition for p in partitions])
        self.mine -= {p.partition for p in partitions}

    def on_lost(self, _consumer, partitions):
        self.error = AssertionError(f"{self.name} lost {partitions}")

    def commit(self, partitions):
        offsets = [ck.TopicPartition(self.topic, p, self.positions.pop(p)) for p in partitions if p in self.positions]
        if offsets:
            for done in self.consumer.commit(offsets=offsets, asynchronous=False):
                check(done.error is None, "commit: {}", done.error)

    def poll(self):
        message = self.consumer.poll(0.1)
        if message is None:
            return
        check(message.error() is None, "{}", message.error())
        self.checker.accept(message.partition(), message.offset(), message.timestamp()[1], message.key(),
                            message.value(), message.headers())
        self.positions[message.partition()] = message.offset() + 1

    def close(self):
        self.commit(list(self.mine))
        self.consumer.close()


def one(futures):
    check(len(futures) == 1, "one answer expected: {}", futures)
    return next(iter(futures.values())).result(WAIT_S)


def program(bootstrap, unique):
    topic, group = unique, f"g-{unique}"
    records = Records(CODECS)
    admin = adm.AdminClient({"bootstrap.servers": bootstrap})
    cluster = admin.describe_cluster().result(WAIT_S)
    check(len(cluster.nodes) == 3 and cluster.cluster_id, "cluster: {}", cluster.nodes)
    one(admin.create_topics([adm.NewTopic(topic, PARTITIONS, REPLICAS, config={"retention.ms": "86400000"})]))
    try:
        one(admin.create_topics([adm.NewTopic(topic, 1, 1)]))
        check(False, "the topic was created twice")
    except ck.KafkaException as error:
        check(error.args[0].code() == ck.KafkaError.TOPIC_ALREADY_EXISTS, "{}", error)
    described = wait_for("leaders", lambda: leaders(admin, topic))
    check(all(len(p.replicas) == REPLICAS for p in described.partitions), "replicas")

    for c, codec in enumerate(CODECS):
        produce(bootstrap, topic, records, range(c * 20_000, (c + 1) * 20_000), codec)

    def stable(_members):
        def four():
            answer = one(admin.describe_consumer_groups([group], request_timeout=WAIT_S))
            return answer if answer.state == ck.ConsumerGroupState.STABLE and len(answer.members) == 4 else None

        answer = wait_for("a stable group of four", four)
        check(answer.partition_assignor == "cooperative-sticky", "{}", answer.partition_assignor)
        owned = sorted(tp.partition for member in answer.members for tp in member.assignment.topic_partitions)
        check(owned == list(range(PARTITIONS)), "assignment: {}", owned)

    checker = Checker(records)
    for member in dance(lambda i: Consumer(f"m{i}", checker, bootstrap, topic, group), checker, stable):
        member.leave()
    ends = dict(checker.next_offset)

    # Resume: a new member gets what came after the last commit, and nothing else.
    committed = one(admin.list_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(group)]))
    check({p.partition: p.offset for p in committed.topic_partitions} == ends, "committed {}", committed)
    records.codecs = [*CODECS, "none"]
    produce(bootstrap, topic, records, range(records.total, records.total + RESUMED), "none")
    resumed = Checker(records, records.total, records.total + RESUMED)
    resumed.next_offset = dict(ends)
    member = Consumer("resumed", resumed, bootstrap, topic, group)
    member.start()
    wait_for("the resumed records", lambda: member.error or resumed.complete())
    member.leave()

    seek_and_look_up(bootstrap, topic, records, checker, {p: resumed.next_offset[p] for p in ends})
    describe(admin, topic, group, {p: resumed.next_offset[p] for p in ends})
    return {"records": checker.count() + resumed.count(), "codecs": len(CODECS), "version": ck.version()}


def leaders(admin, topic):
    try:
        described = one(admin.describe_topics(ck.TopicCollection([topic])))
    except ck.KafkaException:
        return None
    good = len(described.partitions) == PARTITIONS and all(
        p.leader and p.leader.id >= 0 and len(p.isr) == REPLICAS for p in described.partitions)
    return described if good else None


def seek_and_look_up(bootstrap, topic, records, checker, ends):
    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": f"none-{topic}", "enable.auto.commit": False,
                            "fetch.wait.max.ms": 100, "enable.partition.eof": False})
    middle = records.total // 2
    partitions = [ck.TopicPartition(topic, p, records.timestamp(middle)) for p in range(PARTITIONS)]
    for found in consumer.offsets_for_times(partitions, timeout=WAIT_S):
        wanted = checker.offset_at(found.partition, middle)
        check(found.offset == wanted, "timestamp: {} is {}, not {}", found.partition, found.offset, wanted)
    for p in range(PARTITIONS):
        low, high = consumer.get_watermark_offsets(ck.TopicPartition(topic, p), timeout=WAIT_S)
        check((low, high) == (0, ends[p]), "watermarks of {}: {} {}", p, low, high)
    late = consumer.offsets_for_times([ck.TopicPartition(topic, 0, records.timestamp(10 ** 7))], timeout=WAIT_S)
    check(late[0].offset == ck.OFFSET_END, "a timestamp past the end: {}", late)

    for p in range(PARTITIONS):
        start = ends[p] // 2
        consumer.assign([ck.TopicPartition(topic, p, start)])
        read(consumer, p, start, checker)
        for start in (ends[p] // 3, 0):
            consumer.seek(ck.TopicPartition(topic, p, start))
            read(consumer, p, start, checker)
    consumer.close()


def read(consumer, partition, start, checker):
    for offset in range(start, start + 10):
        message = wait_for("a record after seek", lambda: consumer.poll(1))
        check(message.error() is None, "{}", message.error())
        check((message.partition(), message.offset()) == (partition, offset), "seek {}-{}: {}-{}", partition, offset,
              message.partition(), message.offset())
        n = int(dict(message.headers())["seq"])
        check(checker.where[(partition, offset)] == n, "seek {}-{}: record {}", partition, offset, n)


def describe(admin, topic, group, ends):
    listed = admin.list_topics(timeout=WAIT_S)
    check(topic in listed.topics and len(listed.brokers) == 3, "{}", listed.topics)
    resource = adm.ConfigResource(adm.ResourceType.TOPIC, topic)
    config = one(admin.describe_configs([resource]))
    check(config["retention.ms"].value == "86400000", "{}", config["retention.ms"])
    change = adm.ConfigResource(adm.ResourceType.TOPIC, topic, incremental_configs=[
        adm.ConfigEntry("max.message.bytes", "2000000", incremental_operation=adm.AlterConfigOpType.SET)])
    one(admin.incremental_alter_configs([change]))
    wait_for("the changed config", lambda: one(admin.describe_configs([resource]))["max.message.bytes"].value == "2000000")
    check(one(admin.describe_configs([adm.ConfigResource(adm.ResourceType.BROKER, "1")])), "broker configs")
    groups = admin.list_consumer_groups().result(WAIT_S)
    check(not groups.errors and group in [g.group_id for g in groups.valid], "groups: {}", groups.valid)
    empty = one(admin.describe_consumer_groups([group]))
    check(empty.state == ck.ConsumerGroupState.EMPTY, "state: {}", empty.state)
    latest = {ck.TopicPartition(topic, p): adm.OffsetSpec.latest() for p in range(PARTITIONS)}
    found = {tp.partition: f.result(WAIT_S).offset for tp, f in admin.list_offsets(latest).items()}
    check(found == ends, "latest offsets {}", found)
    one(admin.alter_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(group, [ck.TopicPartition(topic, 0, 7)])]))
    rewound = one(admin.list_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(group, [ck.TopicPartition(topic, 0)])]))
    check(rewound.topic_partitions[0].offset == 7, "{}", rewound.topic_partitions)
    one(admin.delete_records([ck.TopicPartition(topic, 1, 100)]))
    earliest = admin.list_offsets({ck.TopicPartition(topic, 1): adm.OffsetSpec.earliest()})
    check(one(earliest).offset == 100, "delete records")
    one(admin.create_partitions([adm.NewPartitions(topic, PARTITIONS + 1)]))
    wait_for("a seventh partition", lambda: len(admin.list_topics(topic, 30).topics[topic].partitions) == PARTITIONS + 1)
    if KEEP:
        return
    one(admin.delete_consumer_groups([group]))
    one(admin.delete_topics([topic]))
    wait_for("the topic to be gone", lambda: topic not in admin.list_topics(timeout=WAIT_S).topics)


if __name__ == "__main__":
    main("confluent-kafka", program)
