"""A librdkafka group of two, while brokers crash under it, coordinators too: BOOTSTRAP TOPIC STOP-FILE.

A producer feeds the topic until the file exists, and the group tells every so often how many different records it has
seen (`ACKED n`). In the end it has seen every record, none out of order between two rebalances, and its last commits
stand at the ends of the partitions.
"""

import os
import sys
import threading
import time

import confluent_kafka as ck

from common import WAIT_S, check, main, wait_for

GROUP = "survivors"


class Member(threading.Thread):
    def __init__(self, name, bootstrap, topic, seen):
        super().__init__(name=name, daemon=True)
        self.seen, self.error, self.leaving, self.at = seen, None, threading.Event(), {}
        self.consumer = ck.Consumer({
            "bootstrap.servers": bootstrap, "group.id": GROUP, "auto.offset.reset": "earliest", "client.id": name,
            "enable.auto.commit": False, "heartbeat.interval.ms": 300, "session.timeout.ms": 10_000,
            "fetch.wait.max.ms": 100, "reconnect.backoff.max.ms": 500, "socket.timeout.ms": 5000,
            "partition.assignment.strategy": "cooperative-sticky",
        })
        self.topic = topic
        self.consumer.subscribe([topic], on_revoke=self.given_up, on_lost=self.given_up)

    def given_up(self, _consumer, partitions):
        self.commit()
        for partition in partitions:
            self.at.pop(partition.partition, None)

    def commit(self):
        offsets = [ck.TopicPartition(self.topic, p, offset) for p, offset in self.at.items()]
        try:
            if offsets:
                self.consumer.commit(offsets=offsets, asynchronous=False)
        except ck.KafkaException as error:
            # Whoever comes next reads again from the last commit: at least once.
            print(f"{self.name}: commit: {error}", file=sys.stderr)

    def run(self):
        try:
            count = 0
            while not self.leaving.is_set():
                message = self.consumer.poll(0.1)
                if message is None:
                    continue
                if message.error():
                    check(message.error().retriable() or message.error().code() < 0, "{}", message.error())
                    continue
                p, offset = message.partition(), message.offset()
                check(offset == self.at.get(p, offset), "{}-{}: {} was next", p, offset, self.at.get(p))
                self.at[p] = offset + 1
                had = self.seen.setdefault((p, offset), message.value())
                check(had == message.value(), "{}-{} was {} and is {}", p, offset, had, message.value())
                count += 1
                if count % 500 == 0:
                    self.commit()
            self.commit()
            self.consumer.close()
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            self.error = error


def program(bootstrap, _unique):
    topic, stop = sys.argv[2], sys.argv[3]
    errors, seen, acked = [], {}, {}
    producer = ck.Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5,
                            "message.timeout.ms": 90_000, "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 500,
                            "socket.timeout.ms": 5000})
    partitions = len(producer.list_topics(topic, 30).topics[topic].partitions)
    members = [Member(f"m{i}", bootstrap, topic, seen) for i in range(2)]
    for member in members:
        member.start()

    def delivered(error, message):
        if error:
            errors.append(str(error))
        else:
            acked[(message.partition(), message.offset())] = message.value()

    n, told = 0, 0.0
    while not os.path.exists(stop):
        for _ in range(20):
            producer.produce(topic, value=b"%d" % n, partition=n % partitions, on_delivery=delivered)
            n += 1
        while len(producer) > 2000:
            producer.poll(0.1)
        producer.poll(0.01)
        for member in members:
            if member.error:
                raise member.error
        check(not errors, "{}", errors[:1])
        if time.monotonic() - told > 0.05:
            told = time.monotonic()
            print(f"ACKED {len(seen)}", flush=True)
    check(producer.flush(90) == 0 and not errors and len(acked) == n, "{}: {} of {}", errors[:1], len(acked), n)
    wait_for("every record", lambda: any(m.error for m in members) or len(seen) == n)
    for member in members:
        member.leaving.set()
        member.join(WAIT_S)
        check(not member.is_alive(), "{} did not leave", member.name)
        if member.error:
            raise member.error
    check(seen == acked, "what was read is not what was acknowledged")

    observer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": GROUP})
    committed = observer.committed([ck.TopicPartition(topic, p) for p in range(partitions)], timeout=30)
    for found in committed:
        end = observer.get_watermark_offsets(ck.TopicPartition(topic, found.partition), timeout=30)[1]
        check(found.offset == end, "committed {} of {}, not {}", found.offset, found.partition, end)
    return {"records": n}


main("confluent-group-failover", program)
