"""librdkafka clients whose history is checked: BOOTSTRAP TOPIC STOP-FILE ENDS-FILE HISTORY-FILE TRANSACTIONAL SEED.

Two idempotent producers, and TRANSACTIONAL transactional ones, send values, each once, until the stop file exists. Meanwhile one
consumer reads uncommitted and one committed what they assign to themselves, and now and then go back; and two groups of two,
one of the classic and one of the consumer protocol (KIP-848), reading committed, commit. Everything that is sent, heard and polled is a line of the history file
(`klamm_tests::history`). What goes on is told every so often: `ACKED n`, `COMMITTED n` (transactions), `POLLED uncommitted
committed classic consumer`. When all producers have ended (`QUIET`), the ends file appears, which holds each partition's end
offset; every kind of reader goes on to there, and a last one reads everything from the beginning.
"""

import json
import os
import random
import sys
import threading
import time

import confluent_kafka as ck

from common import WAIT_S, check, main, wait_for

PATIENCE = 150.0
DEBUG = os.environ.get("KLAMM_CLIENT_DEBUG")  # what librdkafka tells of itself: eos,protocol
# What these say is certain: the record is not in the log. Of any other error nobody knows, "purged in queue" included: the queue also
# holds what was sent and waits to be sent again.
NEVER_SENT = (ck.KafkaError.MSG_SIZE_TOO_LARGE,)


class Book:
    """The history: one line a thing, in the order in which they happened to this program."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="ascii")
        self.lock = threading.Lock()

    def write(self, who, did, **more):
        line = json.dumps({"who": who, "did": did, **more}, separators=(",", ":"))
        with self.lock:
            self.file.write(line + "\n")

    def close(self):
        with self.lock:
            self.file.close()


class Stage:
    """What all threads share."""

    def __init__(self):
        self.bootstrap, self.topic, self.stop, self.ends_file, history = sys.argv[1:6]
        self.transactional, self.seed = int(sys.argv[6]), int(sys.argv[7])
        self.book = Book(history)
        self.acked = self.committed = 0
        self.partitions = 0
        self.done = threading.Event()
        self.ends = None

    def stopped(self):
        return os.path.exists(self.stop)

    def name(self, partition):
        return f"{self.topic}-{partition}"

    def config(self, **more):
        return {
            "bootstrap.servers": self.bootstrap, "retry.backoff.ms": 50, "retry.backoff.max.ms": 300,
            "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 300, "socket.timeout.ms": 3000,
            "topic.metadata.refresh.fast.interval.ms": 50,
            **({"debug": DEBUG} if DEBUG else {}),
            **{key.replace("_", "."): value for key, value in more.items()},
        }


class Worker(threading.Thread):
    def __init__(self, stage, name):
        super().__init__(name=name, daemon=True)
        self.stage, self.error = stage, None
        self.random = random.Random(f"{stage.seed} {name}")

    def run(self):
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            print(f"{self.name}: {error!r}", file=sys.stderr, flush=True)
            self.error = error


class Producer(Worker):
    """A producer, and those that take its place when it can go on no more. Its values are `index` million and so on."""

    def __init__(self, stage, index, transactional):
        super().__init__(stage, f"{'t' if transactional else 'p'}{index}")
        self.transactional = transactional
        self.next_value, self.life, self.transactions = (index + 1) * 1_000_000, 0, 0

    def open(self):
        """Another life begins."""
        self.life += 1
        self.who = f"{self.name}.{self.life}"
        config = self.stage.config(client_id=self.who, acks="all", enable_idempotence=True, linger_ms=2,
                                   message_timeout_ms=60_000, request_timeout_ms=3_000)
        if self.transactional:
            config |= {"transactional.id": self.name, "transaction.timeout.ms": 15_000, "message.timeout.ms": 14_000}
        self.producer = ck.Producer(config)
        self.stage.book.write(self.who, "produce", acks="all", idempotent=True)

    def send(self, transaction=None):
        value, partition = self.next_value, self.random.randrange(self.stage.partitions)
        self.next_value += 1
        more = {"transaction": transaction} if transaction else {}
        self.stage.book.write(self.who, "send", value=value, to=self.stage.name(partition), **more)
        who = self.who

        def delivered(error, message):
            if error:
                outcome = {"outcome": "failed" if error.code() in NEVER_SENT else "unknown", "why": error.str()}
            else:
                outcome = {"outcome": "ok", "offset": message.offset()}
                self.stage.acked += 1
            self.stage.book.write(who, "sent", value=value, **outcome)

        self.producer.produce(self.stage.topic, value=b"%d" % value, partition=partition, on_delivery=delivered)

    def work(self):
        while not self.stage.stopped():
            self.open()
            try:
                if self.transactional:
                    self.live_in_transactions()
                else:
                    self.live()
            except ck.KafkaException as error:
                # A fatal error. Kafka's own answer brings one about when an abort follows a commit whose markers are not written
                # yet, before the new transaction has a partition: INVALID_TXN_STATE, which librdkafka does not outlive.
                print(f"{self.who} ends: {error}", file=sys.stderr, flush=True)
                time.sleep(0.1)
            self.settle()
            self.producer = None

    def settle(self):
        """What is still under way is told about before the next life begins."""
        self.producer.purge()
        end = time.monotonic() + PATIENCE
        while len(self.producer) > 0:
            check(time.monotonic() < end, "{}: no reports of {} records", self.who, len(self.producer))
            try:
                self.producer.poll(0.05)
            except ck.KafkaException as error:
                # A fatal error is told once more.
                print(f"{self.who}: {error}", file=sys.stderr, flush=True)

    def live(self):
        # Any call tells of a fatal error by raising it.
        while not self.stage.stopped():
            for _ in range(self.random.randrange(1, 4)):
                self.send()
            self.producer.poll(0)
            time.sleep(0.02)
            while len(self.producer) > 300:
                self.producer.poll(0.1)
        check(self.producer.flush(70) == 0, "{}: records are still queued", self.who)

    def live_in_transactions(self):
        insist(lambda: self.producer.init_transactions(30))
        while not self.stage.stopped():
            self.transactions += 1
            transaction, commit = f"{self.name}/{self.transactions}", self.random.random() < 0.75
            self.producer.begin_transaction()
            try:
                for _ in range(self.random.randrange(1, 6)):
                    self.send(transaction)
                    self.producer.poll(self.random.random() * 0.02)
                self.end(transaction, commit)
            except ck.KafkaException as error:
                if not error.args[0].txn_requires_abort():
                    raise
                print(f"{self.who} aborts: {error}", file=sys.stderr, flush=True)
                self.end(transaction, False, failed=True)
                # What waited to be sent once more was purged with the abort, and librdkafka gives its sequence to the next record: the broker
                # takes that for the same one. A new life has a new epoch.
                raise
            self.producer.poll(0.02)

    def end(self, transaction, commit, failed=False):
        book = self.stage.book
        if not failed:
            # Before an abort as well: it must not purge what was sent and waits to be sent again.
            self.producer.flush(30)
        book.write(self.who, "commit" if commit else "abort", transaction=transaction)
        try:
            insist(self.producer.commit_transaction if commit else self.producer.abort_transaction)
        except ck.KafkaException as error:
            # A producer that can still abort has not committed.
            if not error.args[0].txn_requires_abort():
                book.write(self.who, "ended", transaction=transaction, outcome="unknown")
            raise
        book.write(self.who, "ended", transaction=transaction, outcome="committed" if commit else "aborted")
        self.stage.committed += commit


def insist(call):
    """Calls what may be called again until it is answered for good."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except ck.KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > end:
                raise


GROUPS = {
    "classic": {"group.id": "classic", "partition.assignment.strategy": "cooperative-sticky", "heartbeat.interval.ms": 300,
                "session.timeout.ms": 10_000},
    "consumer": {"group.id": "consumer", "group.protocol": "consumer"},
}


class Consumer(Worker):
    """A consumer; `group` is None for one that assigns itself everything, and now and then goes back."""

    def __init__(self, stage, name, isolation, group=None, wanders=False):
        super().__init__(stage, name)
        self.group, self.wanders, self.count = group, wanders, 0
        self.isolation, self.buffer, self.at, self.came_to = isolation, {}, {}, {}

    def work(self):
        more = GROUPS[self.group] if self.group else {"group.id": self.name}
        self.consumer = ck.Consumer(self.stage.config(
            client_id=self.name, isolation_level=self.isolation, enable_partition_eof=True, auto_offset_reset="earliest",
            enable_auto_commit=False, fetch_wait_max_ms=100) | more)
        self.stage.book.write(self.name, "consume", isolation=self.isolation)
        if self.group:
            self.consumer.subscribe([self.stage.topic], on_assign=self.moved, on_revoke=self.moved, on_lost=self.moved)
        else:
            everything = [ck.TopicPartition(self.stage.topic, p, 0) for p in range(self.stage.partitions)]
            self.moved(None, everything)
            self.consumer.assign(everything)
        wandered = committed = time.monotonic()
        while not self.finished():
            for _ in range(200):
                if not self.poll(0.05 if not self.buffer else 0):
                    break
            self.flush()
            if self.group and self.at and time.monotonic() - committed > 0.1:
                committed = time.monotonic()
                self.commit()
            if self.wanders and self.at and time.monotonic() - wandered > 4:
                wandered = time.monotonic()
                self.wander()
        self.consumer.close()

    def poll(self, timeout):
        message = self.consumer.poll(timeout)
        if message is None:
            return False
        if message.error():
            if message.error().code() == ck.KafkaError._PARTITION_EOF:
                self.came_to[message.partition()] = message.offset()
            else:
                check(message.error().retriable() or message.error().code() < 0, "{}: {}", self.name, message.error())
            return False
        partition, offset = message.partition(), message.offset()
        self.buffer.setdefault(self.stage.name(partition), []).append([offset, int(message.value())])
        self.at[partition] = offset + 1
        self.count += 1
        return True

    def flush(self):
        if self.buffer:
            self.stage.book.write(self.name, "poll", records=self.buffer)
            self.buffer = {}

    def moved(self, _consumer, partitions):
        """Positions in these partitions begin anew; what was polled before belongs before that."""
        self.flush()
        for partition in partitions:
            self.at.pop(partition.partition, None)
            self.came_to.pop(partition.partition, None)
        self.stage.book.write(self.name, "move", to=[self.stage.name(p.partition) for p in partitions])

    def wander(self):
        partition = self.random.choice(sorted(self.at))
        to = ck.TopicPartition(self.stage.topic, partition, max(0, self.at[partition] - self.random.randrange(1, 200)))
        self.moved(None, [to])
        try:
            self.consumer.seek(to)
        except ck.KafkaException as error:
            # Where it was, it stays: which is a move too.
            print(f"{self.name}: seek: {error}", file=sys.stderr, flush=True)

    def commit(self):
        offsets = [ck.TopicPartition(self.stage.topic, p, offset) for p, offset in self.at.items()]
        try:
            self.consumer.commit(offsets=offsets, asynchronous=True)
        except ck.KafkaException as error:
            # Whoever comes next reads again from the last commit: at least once.
            print(f"{self.name}: commit: {error}", file=sys.stderr, flush=True)

    def finished(self):
        return self.stage.done.is_set()

    def reached(self):
        """The partitions in which it came to the end."""
        ends = self.stage.ends
        return {p for p, offset in list(self.came_to.items()) if ends is not None and offset >= ends[p]}


class Last(Consumer):
    """Reads everything once more, from the beginning to the ends."""

    def finished(self):
        if self.reached() != set(range(self.stage.partitions)):
            return False
        self.flush()
        ends = {self.stage.name(p): end for p, end in enumerate(self.stage.ends)}
        self.stage.book.write(self.name, "read-all", ends=ends)
        return True


def program(_bootstrap, _unique):
    stage = Stage()
    asking = ck.Producer(stage.config())
    stage.partitions = len(asking.list_topics(stage.topic, 30).topics[stage.topic].partitions)
    producers = [Producer(stage, i, False) for i in range(2)]
    producers += [Producer(stage, 2 + i, True) for i in range(stage.transactional)]
    loose = Consumer(stage, "uncommitted", "read_uncommitted", wanders=True)
    strict = Consumer(stage, "committed", "read_committed", wanders=True)
    groups = [[Consumer(stage, f"{group}{i}", "read_committed", group) for i in range(2)] for group in GROUPS]
    everyone = [*producers, loose, strict, *sum(groups, [])]
    for worker in everyone:
        worker.start()

    def alive():
        for worker in everyone:
            if worker.error:
                raise worker.error

    while not stage.stopped():
        alive()
        print("ACKED", stage.acked, flush=True)
        print("COMMITTED", stage.committed, flush=True)
        print("POLLED", loose.count, strict.count, *(sum(member.count for member in group) for group in groups), flush=True)
        time.sleep(0.1)
    wait_for("the producers' end", lambda: alive() or not any(p.is_alive() for p in producers), PATIENCE)
    alive()
    print("QUIET", flush=True)
    wait_for("the ends", lambda: os.path.exists(stage.ends_file), PATIENCE)
    with open(stage.ends_file, encoding="ascii") as file:
        stage.ends = [int(line) for line in file]
    last = Last(stage, "last", "read_committed")
    everyone.append(last)
    last.start()
    whole = set(range(stage.partitions))
    for readers in [[loose], [strict], *groups]:
        wait_for(f"every end, by {readers[0].name}", lambda r=readers: alive() or set().union(*(x.reached() for x in r)) == whole, PATIENCE)
    wait_for("the last reader", lambda: alive() or not last.is_alive(), PATIENCE)
    stage.done.set()
    for worker in everyone:
        worker.join(WAIT_S)
        check(not worker.is_alive(), "{} does not end", worker.name)
    alive()
    stage.book.close()
    return {"acked": stage.acked, "committed": stage.committed}


main("confluent-history", program)
