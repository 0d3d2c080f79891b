"""What the Python programs share: the records, the checker, the members' choreography, and the deadline.

The records, the same in every language (ordinal n, codec n // 20000):
key "key-NNN" of n % 997; value of 16 + n % 113 bytes, byte j being (n + 31 j) & 255, but null where n % 1000 == 999
and empty where n % 1000 == 500; headers seq = n in decimal, codec, bin = 00 ff (n & 255), empty; timestamp BASE + n ms.
"""

import faulthandler
import os
import sys
import threading
import time
import traceback

PER_CODEC = 20_000
KEYS = 997
PARTITIONS = 6
REPLICAS = 3
RESUMED = 500
DEADLINE_S = float(os.environ.get("KLAMM_CLIENT_DEADLINE", "200"))
WAIT_S = 100.0
KEEP = bool(os.environ.get("KLAMM_CLIENT_KEEP"))  # leave topics and groups behind


class Failed(Exception):
    """The cluster, or the client, did something wrong."""


def check(condition, message, *arguments):
    """An assertion that survives `python -O` and says what it saw."""
    if not condition:
        raise Failed(message.format(*arguments) if arguments else message)


def wait_for(what, condition, deadline=WAIT_S):
    """Polls `condition` until it holds and gives back what it said."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value is not None and value is not False:
            return value
        if time.monotonic() > end:
            raise Failed(f"waited {deadline:.0f} s in vain for {what}")
        time.sleep(0.01)


class Records:
    """Record number n, as key, value, headers and timestamp."""

    def __init__(self, codecs):
        self.codecs = codecs
        self.total = PER_CODEC * len(codecs)
        self.base = int(time.time() * 1000) - 600_000
        ramp = bytes((31 * j) & 255 for j in range(16 + 113))
        self.values = [bytes((n + b) & 255 for b in ramp) for n in range(256)]

    def key(self, n):
        return b"key-%03d" % (n % KEYS)

    def value(self, n):
        if n % 1000 == 999:
            return None
        if n % 1000 == 500:
            return b""
        return self.values[n & 255][: 16 + n % 113]

    def headers(self, n):
        codec = self.codecs[min(n // PER_CODEC, len(self.codecs) - 1)]
        return [("seq", b"%d" % n), ("codec", codec.encode()), ("bin", bytes((0, 255, n & 255))), ("empty", b"")]

    def timestamp(self, n):
        return self.base + n


class Checker:
    """Every record once, byte for byte, in order within its key and without a gap within its partition."""

    def __init__(self, records, first=0, last=None, in_order=True):
        """`in_order=False`: records of several processes come through several pipes; `finish` checks their order."""
        self.records = records
        self.in_order = in_order
        self.first = first
        self.expected = (records.total if last is None else last) - first
        self.lock = threading.Lock()
        self.seen = set()
        self.next_offset = {}
        self.last_of_key = {}
        self.partition_of_key = {}
        self.where = {}

    def accept(self, partition, offset, timestamp, key, value, headers):
        n = int(dict(headers)["seq"])
        check(key == self.records.key(n), "record {}: key {!r}", n, key)
        check(value == self.records.value(n), "record {}: value {!r}", n, value)
        check(list(headers) == self.records.headers(n), "record {}: headers {!r}", n, headers)
        check(timestamp == self.records.timestamp(n), "record {}: timestamp {}", n, timestamp)
        with self.lock:
            check(n >= self.first, "record {} belongs to what was committed before", n)
            check(n not in self.seen, "record {} came twice ({}-{})", n, partition, offset)
            self.seen.add(n)
            self.where[(partition, offset)] = n
            if self.in_order:
                self.order(partition, offset, key, n)
            else:
                self.next_offset[partition] = max(self.next_offset.get(partition, 0), offset + 1)

    def order(self, partition, offset, key, n):
        wanted = self.next_offset.get(partition, offset)
        check(offset == wanted, "partition {}: offset {} where {} was next", partition, offset, wanted)
        self.next_offset[partition] = offset + 1
        check(self.last_of_key.get(key, -1) < n, "key {!r}: {} after {}", key, n, self.last_of_key.get(key))
        self.last_of_key[key] = n
        home = self.partition_of_key.setdefault(key, partition)
        check(home == partition, "key {!r} in partitions {} and {}", key, home, partition)

    def finish(self):
        self.next_offset = {}
        for (partition, offset), n in sorted(self.where.items()):
            self.order(partition, offset, self.records.key(n), n)

    def count(self):
        return len(self.seen)

    def complete(self):
        return self.count() == self.expected

    def missing(self):
        return f"{self.count()} of {self.expected} records"

    def offset_at(self, partition, n):
        """The first offset of `partition` whose record is `n` or later."""
        return min((offset for (p, offset), m in self.where.items() if p == partition and m >= n), default=None)


class Member(threading.Thread):
    """A group member in its own thread. A client's program fills in `open`, `poll`, `owned` and `close`."""

    def __init__(self, name, checker):
        super().__init__(name=name, daemon=True)
        self.checker = checker
        self.leaving = threading.Event()
        self.error = None

    def run(self):
        try:
            self.open()
            while not self.leaving.is_set():
                self.poll()
            self.close()
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            self.error = error

    def leave(self):
        self.leaving.set()
        self.join(WAIT_S)
        check(not self.is_alive(), "{} did not leave", self.name)
        if self.error:
            raise self.error


def dance(new_member, checker, all_stable=lambda members: None, shrunk=lambda: None):
    """A group of three that grows to four and shrinks to two while the records flow. Gives back the two.

    `all_stable` sees the four; `shrunk` is called when two have left."""
    members = [new_member(i) for i in range(3)]

    def settled(sizes):
        for member in members:
            if member.error:
                raise member.error
        return sorted(member.owned() for member in members) == sizes

    def reached(count):
        wait_for(f"{count} records", lambda: settled([]) or checker.count() >= count)

    for member in members:
        member.start()
    wait_for("2+2+2 partitions", lambda: settled([2, 2, 2]))
    reached(checker.expected // 4)
    members.append(new_member(3))
    members[3].start()
    wait_for("1+1+2+2 partitions", lambda: settled([1, 1, 2, 2]))
    all_stable(members)
    reached(checker.expected // 2)
    for member in members[:2]:
        member.leave()
    del members[:2]
    shrunk()
    wait_for("3+3 partitions", lambda: settled([3, 3]))
    reached(checker.expected)
    return members


def main(name, program):
    """Runs `program(bootstrap, unique)`, which gives back what to report; prints the one line; exits."""
    started = time.monotonic()

    def too_late():
        print(f"FAIL {name}: not done after {DEADLINE_S:.0f} s", flush=True)
        faulthandler.dump_traceback()
        os._exit(1)

    watchdog = threading.Timer(DEADLINE_S, too_late)
    watchdog.daemon = True
    watchdog.start()
    try:
        report = program(sys.argv[1], f"{name}-{os.getpid()}-{time.time_ns() % 1_000_000}")
    except BaseException as error:  # noqa: BLE001 - the last line must say why
        faulthandler.dump_traceback()
        traceback.print_exc()
        print(f"FAIL {name}: {type(error).__name__}: {error}".replace("\n", " "), flush=True)
        os._exit(1)
    words = " ".join(f"{key}={value}" for key, value in report.items())
    print(f"OK {name} {words} seconds={time.monotonic() - started:.1f}", flush=True)
    os._exit(0)
