"""A librdkafka producer while things go wrong: BOOTSTRAP TOPIC STOP-FILE ACKED-FILE ACKS.

It produces numbered records, number n with key n % 10 to partition n % 10 % partitions, until the stop file exists, telling every so
often how many of each partition are acknowledged (`ACKED a b …`) and the longest wait for one since it last told
(`WAITED seconds`). Then it flushes, and writes down every acknowledgement: partition, offset, number. With ACKS=all it is
idempotent, and no record may fail.
"""

import os
import sys
import time

import confluent_kafka as ck

from common import WAIT_S, check, main


def program(bootstrap, _unique):
    topic, stop, acked_file, acks = sys.argv[2:6]
    acked, errors, fatal = [], [], []
    producer = ck.Producer({
        "bootstrap.servers": bootstrap, "client.id": "producer", "acks": acks, "enable.idempotence": acks == "all",
        "linger.ms": 2, "message.timeout.ms": 100_000, "retry.backoff.ms": 50, "retry.backoff.max.ms": 200,
        "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "socket.timeout.ms": 1500,
        "topic.metadata.refresh.fast.interval.ms": 50,
        "error_cb": lambda error: fatal.append(error) if error.fatal() else None,
    })
    partitions = len(producer.list_topics(topic, 30).topics[topic].partitions)
    counts, waited = [0] * partitions, 0.0

    def delivered(error, message):
        nonlocal waited
        if error:
            errors.append(str(error))
            return
        acked.append((message.partition(), message.offset(), int(message.value())))
        counts[message.partition()] += 1
        waited = max(waited, message.latency())

    n, told = 0, 0.0
    while not os.path.exists(stop):
        for _ in range(10):
            key = n % 10
            producer.produce(topic, key=b"%d" % key, value=b"%d" % n, partition=key % partitions, on_delivery=delivered)
            n += 1
        while len(producer) > 500 and not os.path.exists(stop):
            producer.poll(0.05)
        producer.poll(0.01)
        check(acks != "all" or not fatal and not errors, "{}", (fatal + errors)[:1])
        if time.monotonic() - told > 0.05:
            told = time.monotonic()
            print("ACKED", *counts, flush=True)
            print(f"WAITED {waited:.3f}", flush=True)
            waited = 0.0
    check(producer.flush(WAIT_S) == 0, "records are still queued")
    check(acks != "all" or not fatal and not errors, "{}", (fatal + errors)[:1])
    check(acks != "all" or len(acked) == n, "{} of {} acknowledged", len(acked), n)
    with open(acked_file, "w", encoding="ascii") as file:
        file.writelines(f"{partition} {offset} {number}\n" for partition, offset, number in acked)
    return {"records": n, "acked": len(acked), "failed": len(errors)}


main("confluent-faults", program)
