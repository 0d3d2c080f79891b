"""kafka-python: range assignor, idempotent producer, the admin client."""

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource
from kafka.protocol.consumer import OffsetSpec
from kafka.structs import OffsetAndMetadata

from common import PARTITIONS, REPLICAS, RESUMED, WAIT_S, Checker, Member, Records, check, dance, main, wait_for

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def produce(bootstrap, topic, records, numbers, codec):
    producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type=None if codec == "none" else codec,
                             linger_ms=5, acks="all", batch_size=64 * 1024, metrics_enabled=False)
    futures = [
        producer.send(topic, key=records.key(n), value=records.value(n), headers=records.headers(n),
                      timestamp_ms=records.timestamp(n))
        for n in numbers
    ]
    producer.flush(WAIT_S)
    for n, future in zip(numbers, futures, strict=True):
        answer = future.get(WAIT_S)
        check(answer.offset >= 0, "record {}: {}", n, answer)
    producer.close()


class Consumer(Member, kafka.ConsumerRebalanceListener):
    """Commits by itself, also before each rebalance: a listener may not block, so it could not."""

    def __init__(self, name, checker, bootstrap, topic, group):
        super().__init__(name, checker)
        self.bootstrap, self.topic, self.group = bootstrap, topic, group
        self.mine, self.positions = set(), {}

    def owned(self):
        return len(self.mine)

    def open(self):
        self.consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=self.group, auto_offset_reset="earliest",
            enable_auto_commit=True, auto_commit_interval_ms=1000, heartbeat_interval_ms=300,
            session_timeout_ms=20_000, client_id=self.name, fetch_max_wait_ms=100, metrics_enabled=False)
        self.consumer.subscribe([self.topic], listener=self)
        # A leader that joins before it knows the topic it subscribed to joins again as soon as it does. 3.0.12 forgets
        # such a rejoin when `poll` gives up while it is under way: `need_rejoin` compares two snapshots of the metadata,
        # which the rejoin itself makes equal. Nobody then takes its result, and the member neither beats nor joins.
        wait_for("the topic", lambda: len(self.consumer.partitions_for_topic(self.topic)) == PARTITIONS)

    def on_partitions_revoked(self, revoked):
        self.mine -= {tp.partition for tp in revoked}

    def on_partitions_assigned(self, assigned):
        self.mine = {tp.partition for tp in assigned}

    def commit(self, partitions):
        offsets = {TopicPartition(self.topic, p): OffsetAndMetadata(self.positions.pop(p), "", -1)
                   for p in partitions if p in self.positions}
        if offsets:
            self.consumer.commit(offsets)

    def poll(self):
        for tp, messages in self.consumer.poll(timeout_ms=100).items():
            for m in messages:
                self.checker.accept(tp.partition, m.offset, m.timestamp, m.key, m.value, m.headers)
            self.positions[tp.partition] = messages[-1].offset + 1

    def close(self):
        self.commit(list(self.mine))
        self.consumer.close()


def program(bootstrap, unique):
    topic, group = unique, f"g-{unique}"
    records = Records(CODECS)
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    cluster = admin.describe_cluster()
    check(len(cluster["brokers"]) == 3 and cluster["cluster_id"], "cluster: {}", cluster)
    admin.create_topics({topic: {"num_partitions": PARTITIONS, "replication_factor": REPLICAS,
                                 "configs": {"retention.ms": "86400000"}}}, wait_for_metadata=True)
    try:
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}})
        check(False, "the topic was created twice")
    except kafka.errors.TopicAlreadyExistsError:
        pass
    described = wait_for("in-sync replicas", lambda: in_sync(admin, topic))
    check(all(len(p["replica_nodes"]) == REPLICAS for p in described["partitions"]), "replicas {}", described)

    for c, codec in enumerate(CODECS):
        produce(bootstrap, topic, records, range(c * 20_000, (c + 1) * 20_000), codec)

    def stable(_members):
        def four():
            answer = admin.describe_groups([group])[group]
            return answer if answer["group_state"] == "Stable" and len(answer["members"]) == 4 else None

        answer = wait_for("a stable group of four", four)
        check(answer["protocol_data"] == "range", "{}", answer)

    checker = Checker(records)
    for member in dance(lambda i: Consumer(f"m{i}", checker, bootstrap, topic, group), checker, stable):
        member.leave()
    ends = dict(checker.next_offset)

    committed = admin.list_group_offsets(group)[group]
    check({tp.partition: o.offset for tp, o in committed.items()} == ends, "committed {}", committed)
    records.codecs = [*CODECS, "none"]
    produce(bootstrap, topic, records, range(records.total, records.total + RESUMED), "none")
    resumed = Checker(records, records.total, records.total + RESUMED)
    resumed.next_offset = dict(ends)
    member = Consumer("resumed", resumed, bootstrap, topic, group)
    member.start()
    wait_for("the resumed records", lambda: member.error or resumed.complete())
    member.leave()
    ends = {p: resumed.next_offset[p] for p in ends}

    seek_and_look_up(bootstrap, topic, records, checker, ends)
    describe(admin, topic, group, ends)
    return {"records": checker.count() + resumed.count(), "codecs": len(CODECS), "version": kafka.__version__}


def in_sync(admin, topic):
    described = admin.describe_topics([topic])[0]
    good = all(p["leader_id"] >= 0 and len(p["isr_nodes"]) == REPLICAS for p in described["partitions"])
    return described if good and len(described["partitions"]) == PARTITIONS else None


def seek_and_look_up(bootstrap, topic, records, checker, ends):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=100)
    partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(partitions)
    middle = records.total // 2
    for tp, found in consumer.offsets_for_times({tp: records.timestamp(middle) for tp in partitions}).items():
        wanted = checker.offset_at(tp.partition, middle)
        check(found.offset == wanted, "timestamp: {} is {}, not {}", tp, found, wanted)
    late = consumer.offsets_for_times({partitions[0]: records.timestamp(10**7)})
    check(late[partitions[0]] is None, "a timestamp past the end: {}", late)
    check(set(consumer.beginning_offsets(partitions).values()) == {0}, "beginnings")
    check({tp.partition: o for tp, o in consumer.end_offsets(partitions).items()} == ends, "ends")
    for tp in partitions:
        consumer.assign([tp])
        for start in (ends[tp.partition] // 2, ends[tp.partition] // 3, 0):
            consumer.seek(tp, start)
            read(consumer, tp, start, checker)
        consumer.seek_to_end(tp)
        check(consumer.position(tp) == ends[tp.partition], "seek to the end of {}", tp)
        consumer.seek_to_beginning(tp)
        read(consumer, tp, 0, checker)
    consumer.close()


def read(consumer, tp, start, checker):
    messages = []
    while len(messages) < 10:
        messages += wait_for("records after seek", lambda: consumer.poll(1000, max_records=10).get(tp))
    for offset, m in enumerate(messages, start):
        check(m.offset == offset, "seek {}-{}: {}", tp, offset, m.offset)
        check(checker.where[(tp.partition, offset)] == int(dict(m.headers)["seq"]), "seek {}-{}", tp, offset)


def describe(admin, topic, group, ends):
    check(topic in admin.list_topics(), "topic not listed")

    def config(name):
        answer = admin.describe_configs([ConfigResource("TOPIC", topic)], config_filter="all")
        return answer["topic"][topic][name]["value"]

    check(config("retention.ms") == "86400000", "{}", config("retention.ms"))
    admin.alter_configs([ConfigResource("TOPIC", topic, {"max.message.bytes": "2000000"})])
    wait_for("the changed config", lambda: config("max.message.bytes") == "2000000")
    check(admin.describe_configs([ConfigResource("BROKER", "1")], config_filter="all")["broker"]["1"], "broker configs")
    groups = admin.list_groups()
    check(group in [g["group_id"] for g in groups], "groups: {}", groups)
    check(admin.describe_groups([group])[group]["group_state"] == "Empty", "the group is not empty")
    latest = admin.list_partition_offsets({TopicPartition(topic, p): OffsetSpec.LATEST for p in ends})
    check({tp.partition: o.offset for tp, o in latest.items()} == ends, "latest {}", latest)
    first = TopicPartition(topic, 0)
    admin.alter_group_offsets(group, {first: OffsetAndMetadata(7, "seven", -1)})
    check(admin.list_group_offsets({group: [first]})[group][first][:2] == (7, "seven"), "altered group offset")
    admin.delete_group_offsets(group, [TopicPartition(topic, 1)])
    check(TopicPartition(topic, 1) not in admin.list_group_offsets(group)[group], "deleted group offset")
    admin.delete_records({TopicPartition(topic, 1): 100})
    earliest = admin.list_partition_offsets({TopicPartition(topic, 1): OffsetSpec.EARLIEST})
    check(earliest[TopicPartition(topic, 1)].offset == 100, "delete records: {}", earliest)
    check(len(admin.describe_log_dirs([topic])) == 3, "log dirs")
    described = admin.describe_topic_partitions([topic])
    check(described, "describe topic partitions: {}", described)
    admin.create_partitions({topic: PARTITIONS + 1})
    wait_for("a seventh partition", lambda: len(admin.describe_topics([topic])[0]["partitions"]) == PARTITIONS + 1)
    check(admin.delete_groups([group]) == {group: "OK"}, "delete group")
    admin.delete_topics([topic])
    wait_for("the topic to be gone", lambda: topic not in admin.list_topics())
    admin.close()


main("kafka-python", program)
