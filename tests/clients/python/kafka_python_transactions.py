"""Consume, transform and produce in transactions (KIP-447) with kafka-python, while brokers crash (see transactions.py).

kafka-python 3.0.12 has two faults in its own house, which Apache Kafka would see as well; because of them a worker replaces its
producer whenever a transaction failed, or a step of it takes too long. A request to a coordinator that refuses the connection is
dropped (`Sender._maybe_send_pending_request` retries it only while no node is chosen), and whoever waits for its answer waits for
ever; and an abort leaves the offsets of a failed TxnOffsetCommit behind for the next transaction, though another member may own
those partitions by then.
"""

import concurrent.futures
import sys
import threading
import time

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError, ProducerFencedError, RetriableError
from kafka.structs import OffsetAndMetadata

from common import WAIT_S, check, main, wait_for
from transactions import GROUP, Copier, Helper, Order, copy_exactly_once

STEP_S = 8
PATIENT = {"reconnect_backoff_max_ms": 500, "request_timeout_ms": 5000, "metrics_enabled": False}


def step(body):
    """Does what has no deadline of its own, with one."""
    result = concurrent.futures.Future()

    def run():
        try:
            result.set_result(body())
        except BaseException as error:  # noqa: BLE001 - raised again below
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return result.result(STEP_S)
    except concurrent.futures.TimeoutError:
        raise KafkaTimeoutError("a step of the transaction has no end") from None


def transactional(bootstrap, transactional_id):
    """A producer that may begin a transaction. One whose initialisation failed is of no use any more."""
    end = time.monotonic() + WAIT_S
    while True:
        producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=transactional_id, linger_ms=5, acks="all",
                                 transaction_timeout_ms=30_000, retry_backoff_ms=50, delivery_timeout_ms=20_000,
                                 max_block_ms=STEP_S * 1000, client_id=transactional_id, **PATIENT)
        try:
            producer.init_transactions()
            return producer
        except KafkaError as error:
            print(f"{transactional_id}: init_transactions: {error!r}", file=sys.stderr)
            discard(producer)
            if time.monotonic() > end:
                raise


def discard(producer):
    try:
        producer.close(timeout=0)
    except KafkaTimeoutError:
        # Of records that were never sent.
        pass


class Worker(Copier):
    def __init__(self, number, bootstrap, topic, copy):
        super().__init__(number)
        self.bootstrap, self.topic, self.copy = bootstrap, topic, copy

    def work(self):
        self.consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=GROUP, auto_offset_reset="earliest", client_id=self.name,
            enable_auto_commit=False, heartbeat_interval_ms=300, session_timeout_ms=10_000, max_poll_records=100,
            isolation_level="read_committed", fetch_max_wait_ms=100, **PATIENT)
        self.consumer.subscribe([self.topic])
        # A leader that learns of its topic late joins again, which 3.0.12 may forget (see kafka_python.py).
        wait_for("the topic", lambda: self.consumer.partitions_for_topic(self.topic))
        producer = transactional(self.bootstrap, self.name)
        while not self.leaving.is_set():
            # Long enough for a rebalance: what `poll` gives up may be forgotten.
            batch = self.consumer.poll(timeout_ms=2000)
            if not batch:
                continue
            try:
                committed = self.copy_batch(producer, batch)
            except KafkaError as error:
                self.tell(f"{error!r}")
                self.aborted += 1
                self.replaced += 1
                discard(producer)
                producer = transactional(self.bootstrap, self.name)
                committed = False
            if not committed:
                self.rewind()
        producer.close(timeout=30)
        self.consumer.close()

    def copy_batch(self, producer, batch):
        """Whether the batch was committed."""
        deliberate = self.deliberate()
        producer.begin_transaction()
        futures = [producer.send(self.copy, value=message.value, partition=tp.partition)
                   for tp, messages in batch.items() for message in messages]
        for future in futures:
            future.get(STEP_S)
        if deliberate != "before":
            offsets = {tp: OffsetAndMetadata(messages[-1].offset + 1, "", -1) for tp, messages in batch.items()}
            group = self.consumer.group_metadata()
            step(lambda: producer.send_offsets_to_transaction(offsets, group))
        if deliberate:
            step(producer.abort_transaction)
            return False
        step(producer.commit_transaction)
        return True

    def rewind(self):
        """Goes back to what is committed: what was read since is to be read again."""
        for tp in self.consumer.assignment():
            offset = self.committed(tp)
            if offset is None:
                self.consumer.seek_to_beginning(tp)
            else:
                self.consumer.seek(tp, offset)

    def committed(self, tp):
        end = time.monotonic() + WAIT_S
        while True:
            try:
                return self.consumer.committed(tp, timeout_ms=30_000)
            except RetriableError:
                if time.monotonic() > end:
                    raise


class Reader(Helper):
    def __init__(self, bootstrap, copy, order):
        super().__init__("reader")
        self.bootstrap, self.copy, self.order = bootstrap, copy, order

    def work(self):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, isolation_level="read_committed", enable_auto_commit=False,
                                 auto_offset_reset="earliest", fetch_max_wait_ms=100, client_id=self.name, **PATIENT)
        consumer.assign([TopicPartition(self.copy, p) for p in range(self.order.partitions)])
        while not self.leaving.is_set():
            for tp, messages in consumer.poll(timeout_ms=100).items():
                for message in messages:
                    self.order.accept(tp.partition, message.value, message.offset)


def zombie(bootstrap, copy):
    """A producer that another one of the same id has replaced can do nothing any more."""
    old = transactional(bootstrap, "zombie")
    old.begin_transaction()
    old.send(copy, value=b"-1", partition=0).get(30)
    new = transactional(bootstrap, "zombie")
    try:
        old.commit_transaction()
    except ProducerFencedError:
        pass
    else:
        check(False, "the zombie's transaction was committed")
    new.begin_transaction()
    new.commit_transaction()
    new.close(timeout=30)
    discard(old)


def program(bootstrap, _unique):
    topic = sys.argv[2]
    copy = f"{topic}-copy"
    feeder = KafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=5, retry_backoff_ms=50,
                           delivery_timeout_ms=90_000, max_block_ms=60_000, **PATIENT)
    partitions = len(feeder.partitions_for(topic))
    errors = []

    def feed(numbers):
        for n in numbers:
            feeder.send(topic, value=b"%d" % n, partition=n % partitions).add_errback(errors.append)
        check(not errors, "{}", errors[:1])

    def end():
        feeder.flush(90)
        check(not errors, "{}", errors[:1])

    order = Order(partitions)
    workers = [Worker(i, bootstrap, topic, copy) for i in range(2)]
    report = copy_exactly_once(feed, end, workers, Reader(bootstrap, copy, order), order, lambda: zombie(bootstrap, copy))
    return {**report, "version": kafka.__version__}


main("kafka-python-transactions", program)
