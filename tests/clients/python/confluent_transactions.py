"""Consume, transform and produce in transactions (KIP-447) with librdkafka, while brokers crash: BOOTSTRAP TOPIC STOP-FILE.

A feeder numbers records into the topic until the file exists. Two workers, members of one group and each with a transactional
id of its own, copy them to TOPIC-copy; a batch's copies and its offsets are one transaction. A reader of committed records tells
every so often how many different copies it has seen (`ACKED n`). In the end it has seen every number once, in order within
its partition, and nothing of what was aborted; and a producer whose transactional id another one takes over is fenced.
"""

import os
import sys
import threading
import time

import confluent_kafka as ck

from common import check, main, wait_for

GROUP = "copiers"
PATIENT = {"reconnect.backoff.max.ms": 500, "socket.timeout.ms": 5000}


def transactional(bootstrap, transactional_id):
    producer = ck.Producer({"bootstrap.servers": bootstrap, "transactional.id": transactional_id, "linger.ms": 5,
                            "transaction.timeout.ms": 30_000, "retry.backoff.ms": 50, **PATIENT})
    insist(lambda: producer.init_transactions(30))
    return producer


def insist(step):
    """Does `step` again for as long as librdkafka says that this helps."""
    end = time.monotonic() + 60
    while True:
        try:
            return step()
        except ck.KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > end:
                raise


class Worker(threading.Thread):
    def __init__(self, number, bootstrap, topic, copy):
        super().__init__(name=f"worker-{number}", daemon=True)
        self.bootstrap, self.topic, self.copy = bootstrap, topic, copy
        self.leaving, self.error, self.aborted, self.fatal = threading.Event(), None, 0, 0
        self.consumer = ck.Consumer({
            "bootstrap.servers": bootstrap, "group.id": GROUP, "auto.offset.reset": "earliest", "client.id": self.name,
            "enable.auto.commit": False, "heartbeat.interval.ms": 300, "session.timeout.ms": 10_000,
            "isolation.level": "read_committed", "fetch.wait.max.ms": 100, **PATIENT,
        })

    def run(self):
        try:
            self.consumer.subscribe([self.topic])
            producer = transactional(self.bootstrap, self.name)
            while not self.leaving.is_set():
                batch = [m for m in self.consumer.consume(100, 0.1) if not m.error()]
                if not batch:
                    continue
                try:
                    self.copy_batch(producer, batch)
                except ck.KafkaException as failure:
                    error = failure.args[0]
                    print(f"{self.name}: {error}", file=sys.stderr)
                    if error.fatal():
                        self.fatal += 1
                        producer = transactional(self.bootstrap, self.name)
                    else:
                        self.aborted += 1
                        insist(lambda: producer.abort_transaction(30))
                    self.rewind()
            self.consumer.close()
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            self.error = error

    def copy_batch(self, producer, batch):
        producer.begin_transaction()
        positions = {}
        for message in batch:
            producer.produce(self.copy, value=message.value(), partition=message.partition())
            positions[message.partition()] = message.offset() + 1
        offsets = [ck.TopicPartition(self.topic, p, offset) for p, offset in positions.items()]
        group = self.consumer.consumer_group_metadata()
        insist(lambda: producer.send_offsets_to_transaction(offsets, group, 30))
        insist(lambda: producer.commit_transaction(30))

    def rewind(self):
        """Goes back to what is committed: what was read since is to be read again."""
        owned = self.consumer.assignment()
        for found in insist(lambda: self.consumer.committed(owned, timeout=30)):
            offset = found.offset if found.offset >= 0 else ck.OFFSET_BEGINNING
            try:
                self.consumer.seek(ck.TopicPartition(found.topic, found.partition, offset))
            except ck.KafkaException as error:
                # The partition has been given up in the meantime.
                print(f"{self.name}: seek: {error}", file=sys.stderr)


class Reader(threading.Thread):
    """Sees what is committed, in order and once."""

    def __init__(self, bootstrap, copy, partitions):
        super().__init__(name="reader", daemon=True)
        self.leaving, self.error, self.partitions = threading.Event(), None, partitions
        self.next = {p: p for p in range(partitions)}
        self.count = 0
        self.consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "isolation.level": "read_committed",
                                     "enable.auto.commit": False, "fetch.wait.max.ms": 100, **PATIENT})
        self.consumer.assign([ck.TopicPartition(copy, p, ck.OFFSET_BEGINNING) for p in range(partitions)])

    def run(self):
        try:
            while not self.leaving.is_set():
                for message in self.consumer.consume(500, 0.1):
                    if message.error():
                        check(message.error().retriable() or message.error().code() < 0, "{}", message.error())
                        continue
                    p, number = message.partition(), int(message.value())
                    check(number == self.next[p], "copy-{}: {} at {} where {} was next", p, number, message.offset(), self.next[p])
                    self.next[p] = number + self.partitions
                    self.count += 1
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            self.error = error


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
    topic, stop = sys.argv[2], sys.argv[3]
    copy = f"{topic}-copy"
    errors = []
    feeder = ck.Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5,
                          "message.timeout.ms": 90_000, "retry.backoff.ms": 50, **PATIENT})
    partitions = len(feeder.list_topics(topic, 30).topics[topic].partitions)
    threads = [Worker(i, bootstrap, topic, copy) for i in range(2)]
    reader = Reader(bootstrap, copy, partitions)
    for thread in [*threads, reader]:
        thread.start()

    def healthy():
        for thread in [*threads, reader]:
            if thread.error:
                raise thread.error
        check(not errors, "{}", errors[:1])
        return True

    n, told = 0, 0.0
    while not os.path.exists(stop):
        if n - reader.count < 3000:
            for _ in range(30):
                feeder.produce(topic, value=b"%d" % n, partition=n % partitions,
                               on_delivery=lambda error, _: errors.append(str(error)) if error else None)
                n += 1
        feeder.poll(0.01)
        healthy()
        if time.monotonic() - told > 0.05:
            told = time.monotonic()
            print(f"ACKED {reader.count}", flush=True)
    check(feeder.flush(90) == 0, "the feeder does not end")
    wait_for("every copy", lambda: healthy() and reader.count == n)
    for worker in threads:
        worker.leaving.set()
        worker.join(60)
        check(not worker.is_alive(), "{} did not leave", worker.name)
    zombie(bootstrap, copy)
    time.sleep(0.5)
    healthy()
    check(reader.count == n, "{} copies of {} records", reader.count, n)
    return {"records": n, "aborted": sum(w.aborted for w in threads), "fatal": sum(w.fatal for w in threads)}


main("confluent-transactions", program)
