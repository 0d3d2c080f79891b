"""Consume, transform and produce in transactions (KIP-447) with librdkafka, while brokers crash (see transactions.py)."""

import sys
import time

import confluent_kafka as ck

from common import WAIT_S, check, main
from transactions import GROUP, Copier, Helper, Order, copy_exactly_once

PATIENT = {"reconnect.backoff.max.ms": 500, "socket.timeout.ms": 5000}


def transactional(bootstrap, transactional_id):
    producer = ck.Producer({"bootstrap.servers": bootstrap, "transactional.id": transactional_id, "linger.ms": 5,
                            "transaction.timeout.ms": 30_000, "retry.backoff.ms": 50, **PATIENT})
    insist(lambda: producer.init_transactions(30))
    return producer


def insist(step):
    """Does `step` again for as long as librdkafka says that this helps."""
    end = time.monotonic() + WAIT_S
    while True:
        try:
            return step()
        except ck.KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > end:
                raise


class Worker(Copier):
    def __init__(self, number, bootstrap, topic, copy):
        super().__init__(number)
        self.bootstrap, self.topic, self.copy = bootstrap, topic, copy
        self.consumer = ck.Consumer({
            "bootstrap.servers": bootstrap, "group.id": GROUP, "auto.offset.reset": "earliest", "client.id": self.name,
            "enable.auto.commit": False, "heartbeat.interval.ms": 300, "session.timeout.ms": 10_000,
            "isolation.level": "read_committed", "fetch.wait.max.ms": 100, **PATIENT,
        })

    def work(self):
        self.consumer.subscribe([self.topic])
        producer = transactional(self.bootstrap, self.name)
        while not self.leaving.is_set():
            batch = [m for m in self.consumer.consume(100, 0.1) if not m.error()]
            if not batch:
                continue
            try:
                committed = self.copy_batch(producer, batch)
            except ck.KafkaException as failure:
                error = failure.args[0]
                self.tell(error)
                self.aborted += 1
                if error.fatal():
                    self.replaced += 1
                    producer = transactional(self.bootstrap, self.name)
                else:
                    insist(lambda: producer.abort_transaction(30))
                committed = False
            if not committed:
                self.rewind()
        self.consumer.close()

    def copy_batch(self, producer, batch):
        """Whether the batch was committed."""
        deliberate = self.deliberate()
        producer.begin_transaction()
        positions = {}
        for message in batch:
            producer.produce(self.copy, value=message.value(), partition=message.partition())
            positions[message.partition()] = message.offset() + 1
        if deliberate:
            # Else librdkafka would drop what it has not sent yet.
            producer.flush(30)
        if deliberate != "before":
            offsets = [ck.TopicPartition(self.topic, p, offset) for p, offset in positions.items()]
            group = self.consumer.consumer_group_metadata()
            insist(lambda: producer.send_offsets_to_transaction(offsets, group, 30))
        if deliberate:
            insist(lambda: producer.abort_transaction(30))
            return False
        insist(lambda: producer.commit_transaction(30))
        return True

    def rewind(self):
        """Goes back to what is committed: what was read since is to be read again."""
        owned = self.consumer.assignment()
        for found in self.committed(owned):
            offset = found.offset if found.offset >= 0 else ck.OFFSET_BEGINNING
            try:
                self.consumer.seek(ck.TopicPartition(found.topic, found.partition, offset))
            except ck.KafkaException as error:
                # The partition has been given up in the meantime.
                self.tell(f"seek: {error}")


    def committed(self, partitions):
        """What is committed, once there is a coordinator to say it: librdkafka calls none of its refusals retriable."""
        end = time.monotonic() + WAIT_S
        while True:
            try:
                return self.consumer.committed(partitions, timeout=30)
            except ck.KafkaException as failure:
                if time.monotonic() > end:
                    raise
                self.tell(failure.args[0])
                time.sleep(0.05)


class Reader(Helper):
    def __init__(self, bootstrap, copy, order):
        super().__init__("reader")
        self.order = order
        self.consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "isolation.level": "read_committed",
                                     "enable.auto.commit": False, "fetch.wait.max.ms": 100, **PATIENT})
        self.consumer.assign([ck.TopicPartition(copy, p, ck.OFFSET_BEGINNING) for p in range(order.partitions)])

    def work(self):
        while not self.leaving.is_set():
            for message in self.consumer.consume(500, 0.1):
                if message.error():
                    check(message.error().retriable() or message.error().code() < 0, "{}", message.error())
                else:
                    self.order.accept(message.partition(), message.value(), message.offset())


def zombie(bootstrap, copy):
    """A producer that another one of the same id has replaced can do nothing any more."""
    old = transactional(bootstrap, "zombie")
    old.begin_transaction()
    old.produce(copy, value=b"-1", partition=0)
    check(old.flush(30) == 0, "the zombie's record was not taken")
    new = transactional(bootstrap, "zombie")
    try:
        old.commit_transaction(30)
    except ck.KafkaException as failure:
        error = failure.args[0]
        check(error.fatal() and error.code() == ck.KafkaError._FENCED, "the zombie was told {}", error)  # noqa: SLF001
    else:
        check(False, "the zombie's transaction was committed")
    new.begin_transaction()
    insist(lambda: new.commit_transaction(30))


def program(bootstrap, _unique):
    topic = sys.argv[2]
    copy = f"{topic}-copy"
    errors = []
    feeder = ck.Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5,
                          "message.timeout.ms": 90_000, "retry.backoff.ms": 50, **PATIENT})
    partitions = len(feeder.list_topics(topic, 30).topics[topic].partitions)

    def feed(numbers):
        for n in numbers:
            feeder.produce(topic, value=b"%d" % n, partition=n % partitions,
                           on_delivery=lambda error, _: errors.append(str(error)) if error else None)
        feeder.poll(0)
        check(not errors, "{}", errors[:1])

    def end():
        check(feeder.flush(90) == 0, "the feeder does not end")
        check(not errors, "{}", errors[:1])

    order = Order(partitions)
    workers = [Worker(i, bootstrap, topic, copy) for i in range(2)]
    return copy_exactly_once(feed, end, workers, Reader(bootstrap, copy, order), order, lambda: zombie(bootstrap, copy))


main("confluent-transactions", program)
