"""What the transactional programs share: BOOTSTRAP TOPIC STOP-FILE.

A feeder numbers records into the topic until the file exists. Two workers, members of one group and each with a transactional
id of its own, copy them to TOPIC-copy; a batch's copies and its offsets are one transaction. Every so many a worker aborts one of
its own accord, with its copies in the log, and copies the batch again. A reader of committed records tells every so often how
many different copies it has seen (`ACKED n`). In the end it has seen every number once, in order within its partition, and nothing
of what was aborted; and a producer whose transactional id another one takes over is fenced.
"""

import os
import sys
import threading
import time

from common import WAIT_S, check, wait_for

GROUP = "copiers"
ABORT_EVERY = 9


class Helper(threading.Thread):
    """A thread whose failure the main thread hears of. `work` returns when `leaving` is set."""

    def __init__(self, name):
        super().__init__(name=name, daemon=True)
        self.leaving, self.error = threading.Event(), None

    def run(self):
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            self.error = error


class Copier(Helper):
    """A worker. A client's program fills in `work`, which asks `deliberate` of each batch whether to abort it."""

    def __init__(self, number):
        super().__init__(f"worker-{number}")
        self.batches = self.deliberately = self.aborted = self.replaced = 0

    def deliberate(self):
        """None for a batch to commit, else whether to abort it after its offsets were sent or before."""
        self.batches += 1
        if self.batches % ABORT_EVERY:
            return None
        self.deliberately += 1
        return "after" if self.deliberately % 2 else "before"

    def tell(self, what):
        print(f"{self.name}: {what}", file=sys.stderr)


class Order:
    """Sees what is committed, in order and once."""

    def __init__(self, partitions):
        self.partitions, self.count = partitions, 0
        self.next = {p: p for p in range(partitions)}

    def accept(self, partition, value, offset):
        number = int(value)
        wanted = self.next[partition]
        check(number == wanted, "copy-{}: {} at {} where {} was next", partition, number, offset, wanted)
        self.next[partition] = number + self.partitions
        self.count += 1


def copy_exactly_once(feed, end, workers, reader, order, zombie):
    """`feed(numbers)` produces, `end()` waits for what was fed and fails if any of it did."""
    for thread in [*workers, reader]:
        thread.start()

    def healthy():
        for thread in [*workers, reader]:
            if thread.error:
                raise thread.error
        return True

    n, told, stop = 0, 0.0, sys.argv[3]
    while not os.path.exists(stop):
        if n - order.count < 3000:
            feed(range(n, n + 30))
            n += 30
        time.sleep(0.01)
        healthy()
        if time.monotonic() - told > 0.05:
            told = time.monotonic()
            print(f"ACKED {order.count}", flush=True)
    end()
    wait_for("every copy", lambda: healthy() and order.count == n)
    for worker in workers:
        worker.leaving.set()
        worker.join(WAIT_S)
        check(not worker.is_alive(), "{} did not leave", worker.name)
    zombie()
    time.sleep(0.5)
    healthy()
    check(order.count == n, "{} copies of {} records", order.count, n)
    deliberately = sum(w.deliberately for w in workers)
    check(deliberately > 0, "no transaction was aborted deliberately")
    return {"records": n, "deliberately": deliberately, "aborted": sum(w.aborted for w in workers),
            "replaced": sum(w.replaced for w in workers)}
