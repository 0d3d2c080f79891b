"""kcat (Debian's package, on an old librdkafka): driven as a program, line by line.

It cannot make topics, so confluent-kafka makes and removes the one it uses. It sends one set of headers and no
timestamps of ours, so a record carries its number in its value, and timestamps are looked up as the broker tells them.
"""

import json
import re
import subprocess
import threading

from confluent_kafka import admin as adm

from common import PARTITIONS, PER_CODEC, REPLICAS, RESUMED, WAIT_S, Checker, Member, Records, check, dance, main, wait_for

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


class Lines(Records):
    """Records that fit in a line: key, tab, value."""

    def value(self, n):
        return b"%d:" % n + b"0123456789abcdefghijklmnopqrstuvwxyz"[n % 36 :] * (n % 4)

    def headers(self, n):
        codec = self.codecs[min(n // PER_CODEC, len(self.codecs) - 1)]
        return [("codec", codec.encode()), ("again", b"1"), ("again", b"2"), ("seq", b"%d" % n)]


def kcat(bootstrap, *arguments, text=None, deadline=WAIT_S):
    done = subprocess.run(["kcat", "-b", bootstrap, *arguments], input=text, capture_output=True, timeout=deadline)
    check(done.returncode == 0, "kcat {}: {}", " ".join(arguments), done.stderr.decode()[-500:])
    return done.stdout.decode()


def produce(bootstrap, topic, records, numbers, codec):
    text = b"".join(records.key(n) + b"\t" + records.value(n) + b"\n" for n in numbers)
    # Older librdkafka: no idempotence together with its default of a million requests in flight.
    kcat(bootstrap, "-P", "-t", topic, "-z", codec, "-K", "\t", "-H", f"codec={codec}", "-H", "again=1", "-H", "again=2",
         "-X", "enable.idempotence=true", "-X", "linger.ms=5", text=text)


class Consumer(Member):
    def __init__(self, name, checker, times, bootstrap, topic, group):
        super().__init__(name, checker)
        self.times, self.command = times, [
            "kcat", "-b", bootstrap, "-J", "-u", "-X", f"client.id={name}", "-X", "heartbeat.interval.ms=300",
            "-X", "session.timeout.ms=20000", "-X", "fetch.wait.max.ms=100", "-X", "topic.auto.offset.reset=earliest",
            "-G", group, topic,
        ]
        self.mine = 0

    def owned(self):
        return self.mine

    def open(self):
        self.kcat = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        """kcat tells of its assignments on stderr."""
        for line in self.kcat.stderr:
            text = line.decode()
            if "rebalanced" in text:
                self.mine = len(re.findall(r"\[\d+\]", text.split("assigned:", 1)[1])) if "assigned:" in text else 0

    def run(self):
        try:
            self.open()
            for line in self.kcat.stdout:
                self.take(json.loads(line))
            code = self.kcat.wait(WAIT_S)
            check(self.leaving.is_set() and code in (0, -15), "{} ended with {}", self.name, code)
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            self.error = error

    def take(self, message):
        check(message["headers"][:1] == ["codec"] and message["headers"][2:] == ["again", "1", "again", "2"], "{}", message)
        n = int(message["payload"].split(":")[0])
        headers = [("codec", message["headers"][1].encode()), *self.checker.records.headers(n)[1:]]
        self.times[(message["partition"], message["offset"])] = message["ts"]
        self.checker.accept(message["partition"], message["offset"], self.checker.records.timestamp(n),
                            message["key"].encode(), message["payload"].encode(), headers)

    def leave(self):
        self.leaving.set()
        self.kcat.terminate()
        self.join(WAIT_S)
        check(not self.is_alive(), "{} did not leave", self.name)
        if self.error:
            raise self.error


def topic_of(bootstrap, topic):
    listed = json.loads(kcat(bootstrap, "-L", "-J", "-t", topic))
    check(len(listed["brokers"]) == 3, "brokers: {}", listed["brokers"])
    return next(t for t in listed["topics"] if t["topic"] == topic)


def program(bootstrap, unique):
    topic, group = unique, f"g-{unique}"
    records, times = Lines(CODECS), {}
    admin = adm.AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([adm.NewTopic(topic, PARTITIONS, REPLICAS)])[topic].result(WAIT_S)

    def in_sync():
        partitions = topic_of(bootstrap, topic)["partitions"]
        good = all(p["leader"] > 0 and len(p["replicas"]) == len(p["isrs"]) == REPLICAS for p in partitions)
        return good and len(partitions) == PARTITIONS

    wait_for("in-sync replicas", in_sync)

    def produce_between(first, last):
        for c, codec in enumerate(CODECS):
            numbers = range(max(first, c * PER_CODEC), min(last, (c + 1) * PER_CODEC))
            if numbers:
                produce(bootstrap, topic, records, numbers, codec)

    # A kcat that is told to stop drops the record in its hand, which it then commits: two leave when there is none.
    half = records.total // 2
    produce_between(0, half)
    checker = Checker(records, in_order=False)
    members = dance(lambda i: Consumer(f"m{i}", checker, times, bootstrap, topic, group), checker,
                    shrunk=lambda: produce_between(half, records.total))
    for member in members:
        member.leave()
    checker.finish()
    ends = dict(checker.next_offset)

    records.codecs = [*CODECS, "none"]
    produce(bootstrap, topic, records, range(records.total, records.total + RESUMED), "none")
    resumed = Checker(records, records.total, records.total + RESUMED)
    resumed.next_offset = dict(ends)
    member = Consumer("resumed", resumed, times, bootstrap, topic, group)
    member.start()
    wait_for("the resumed records", lambda: member.error or resumed.complete())
    member.leave()

    for p, end in resumed.next_offset.items():
        for start in (end // 2, end // 3, 0):
            lines = kcat(bootstrap, "-C", "-J", "-t", topic, "-p", str(p), "-o", str(start), "-c", "10", "-e").splitlines()
            got = [(m["offset"], int(m["payload"].split(":")[0])) for m in map(json.loads, lines)]
            check(got == [(o, checker.where[(p, o)]) for o in range(start, start + 10)], "seek {}-{}: {}", p, start, got)
        sought = times[(p, end // 2)]
        wanted = min(o for (q, o), t in times.items() if q == p and t >= sought)
        found = kcat(bootstrap, "-Q", "-t", f"{topic}:{p}:{sought}")
        check(found.split()[-1] == str(wanted), "timestamp {}: {!r}, not {}", sought, found, wanted)
        latest = kcat(bootstrap, "-Q", "-t", f"{topic}:{p}:-1")
        check(latest.split()[-1] == str(end), "latest: {!r}, not {}", latest, end)
    check("controller" in kcat(bootstrap, "-L"), "no controller is listed")
    admin.delete_topics([topic])[topic].result(WAIT_S)
    return {"records": checker.count() + resumed.count(), "codecs": len(CODECS)}


main("kcat", program)
