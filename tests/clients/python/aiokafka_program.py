"""aiokafka: round-robin assignor, idempotent producer, the admin client. A member is a thread with a loop of its own."""

import asyncio

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import TopicAlreadyExistsError

from common import PARTITIONS, REPLICAS, RESUMED, WAIT_S, Checker, Member, Records, check, dance, main, wait_for

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


async def produce(bootstrap, topic, records, numbers, codec):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type=None if codec == "none" else codec,
                                linger_ms=5, enable_idempotence=True, max_batch_size=64 * 1024)
    await producer.start()
    futures = [
        await producer.send(topic, key=records.key(n), value=records.value(n), headers=records.headers(n),
                            timestamp_ms=records.timestamp(n))
        for n in numbers
    ]
    for answer in await asyncio.wait_for(asyncio.gather(*futures), 60):
        check(answer.offset >= 0, "{}", answer)
    await producer.stop()


class Consumer(Member, ConsumerRebalanceListener):
    def __init__(self, name, checker, bootstrap, topic, group):
        super().__init__(name, checker)
        self.bootstrap, self.topic, self.group = bootstrap, topic, group
        self.mine, self.positions = set(), {}

    def owned(self):
        return len(self.mine)

    def open(self):
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self.start_consumer())

    async def start_consumer(self):
        self.lock = asyncio.Lock()  # records that were handed out are processed before their partition is given up
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=self.group, auto_offset_reset="earliest",
            enable_auto_commit=False, heartbeat_interval_ms=300, session_timeout_ms=20_000, client_id=self.name,
            fetch_max_wait_ms=100, partition_assignment_strategy=[RoundRobinPartitionAssignor])
        self.consumer.subscribe([self.topic], listener=self)
        await self.consumer.start()

    async def on_partitions_revoked(self, revoked):
        async with self.lock:
            await self.commit([tp.partition for tp in revoked])
            self.mine -= {tp.partition for tp in revoked}

    async def on_partitions_assigned(self, assigned):
        self.mine = {tp.partition for tp in assigned}

    async def commit(self, partitions):
        offsets = {TopicPartition(self.topic, p): self.positions.pop(p) for p in partitions if p in self.positions}
        if offsets:
            await self.consumer.commit(offsets)

    def poll(self):
        self.loop.run_until_complete(self.step())

    async def step(self):
        async with self.lock:
            for tp, messages in (await self.consumer.getmany(timeout_ms=100, max_records=500)).items():
                for m in messages:
                    self.checker.accept(tp.partition, m.offset, m.timestamp, m.key, m.value, m.headers)
                self.positions[tp.partition] = messages[-1].offset + 1
        await asyncio.sleep(0)

    def close(self):
        self.loop.run_until_complete(self.stop_consumer())

    async def stop_consumer(self):
        await self.commit(list(self.mine))
        await self.consumer.stop()


def program(bootstrap, unique):
    return asyncio.run(steps(bootstrap, unique, unique, f"g-{unique}"))


async def steps(bootstrap, unique, topic, group):
    records = Records(CODECS)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    cluster = await admin.describe_cluster()
    check(len(cluster["brokers"]) == 3 and cluster["cluster_id"], "cluster: {}", cluster)
    new = NewTopic(topic, PARTITIONS, REPLICAS, topic_configs={"retention.ms": "86400000"})
    raise_first(await admin.create_topics([new]))
    try:
        raise_first(await admin.create_topics([new]))
        check(False, "the topic was created twice")
    except TopicAlreadyExistsError:
        pass

    async def in_sync():
        described = (await admin.describe_topics([topic]))[0]["partitions"]
        good = all(p["leader"] >= 0 and len(p["isr"]) == REPLICAS for p in described)
        return good and len(described) == PARTITIONS

    await wait_async("in-sync replicas", in_sync)
    for c, codec in enumerate(CODECS):
        await produce(bootstrap, topic, records, range(c * 20_000, (c + 1) * 20_000), codec)

    loop = asyncio.get_running_loop()

    async def four():
        response = (await admin.describe_consumer_groups([group]))[0].to_object()["groups"][0]
        return response["state"] == "Stable" and len(response["members"]) == 4

    def stable(_members):
        asyncio.run_coroutine_threadsafe(wait_async("a stable group of four", four), loop).result(WAIT_S + 10)

    checker = Checker(records)

    def group_of_threads():
        for member in dance(lambda i: Consumer(f"m{i}", checker, bootstrap, topic, group), checker, stable):
            member.leave()

    await asyncio.to_thread(group_of_threads)
    ends = dict(checker.next_offset)

    committed = await admin.list_consumer_group_offsets(group)
    check({tp.partition: o.offset for tp, o in committed.items()} == ends, "committed {}", committed)
    records.codecs = [*CODECS, "none"]
    await produce(bootstrap, topic, records, range(records.total, records.total + RESUMED), "none")
    resumed = Checker(records, records.total, records.total + RESUMED)
    resumed.next_offset = dict(ends)
    member = Consumer("resumed", resumed, bootstrap, topic, group)
    member.start()
    await asyncio.to_thread(wait_for, "the resumed records", lambda: member.error or resumed.complete())
    await asyncio.to_thread(member.leave)
    ends = {p: resumed.next_offset[p] for p in ends}

    await seek_and_look_up(bootstrap, topic, records, checker, ends)
    await describe(admin, topic, group)
    await admin.close()
    return {"records": checker.count() + resumed.count(), "codecs": len(CODECS), "version": aiokafka.__version__}


def raise_first(response):
    for error in response.topic_errors:
        if error[1]:
            raise aiokafka.errors.for_code(error[1])(error[2])


async def wait_async(what, condition, deadline=40):
    end = asyncio.get_running_loop().time() + deadline
    while not (value := await condition()):
        check(asyncio.get_running_loop().time() < end, "waited {} s in vain for {}", deadline, what)
        await asyncio.sleep(0.02)
    return value


async def seek_and_look_up(bootstrap, topic, records, checker, ends):
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=100)
    await consumer.start()
    partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(partitions)
    middle = records.total // 2
    found = await consumer.offsets_for_times({tp: records.timestamp(middle) for tp in partitions})
    for tp, answer in found.items():
        wanted = checker.offset_at(tp.partition, middle)
        check(answer.offset == wanted, "timestamp: {} is {}, not {}", tp, answer, wanted)
    late = await consumer.offsets_for_times({partitions[0]: records.timestamp(10**7)})
    check(late[partitions[0]] is None, "a timestamp past the end: {}", late)
    check(set((await consumer.beginning_offsets(partitions)).values()) == {0}, "beginnings")
    check({tp.partition: o for tp, o in (await consumer.end_offsets(partitions)).items()} == ends, "ends")
    for tp in partitions:
        for start in (ends[tp.partition] // 2, ends[tp.partition] // 3, 0):
            consumer.seek(tp, start)
            for offset in range(start, start + 10):
                m = await asyncio.wait_for(consumer.getone(tp), 30)
                check(m.offset == offset, "seek {}-{}: {}", tp, offset, m.offset)
                check(checker.where[(tp.partition, offset)] == int(dict(m.headers)["seq"]), "seek {}-{}", tp, offset)
        await consumer.seek_to_end(tp)
        check(await consumer.position(tp) == ends[tp.partition], "seek to the end of {}", tp)
    await consumer.stop()


async def describe(admin, topic, group):
    check(topic in await admin.list_topics(), "topic not listed")
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)

    async def config(name):
        answers = await admin.describe_configs([resource])
        entries = [r for a in answers for r in a.to_object()["resources"]]
        return next(c["config_value"] for r in entries for c in r["config_entries"] if c["config_names"] == name)

    check(await config("retention.ms") == "86400000", "retention.ms")
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "2000000"})])

    async def changed():
        return await config("max.message.bytes") == "2000000"

    await wait_async("the changed config", changed)
    groups = await admin.list_consumer_groups()
    check(group in [g[0] for g in groups], "groups: {}", groups)
    await admin.delete_records({TopicPartition(topic, 1): RecordsToDelete(100)})
    await admin.create_partitions({topic: NewPartitions(PARTITIONS + 1)})

    async def seven():
        return len((await admin.describe_topics([topic]))[0]["partitions"]) == PARTITIONS + 1

    await wait_async("a seventh partition", seven)
    await admin.delete_topics([topic])

    async def gone():
        return topic not in await admin.list_topics()

    await wait_async("the topic to be gone", gone)


main("aiokafka", program)
