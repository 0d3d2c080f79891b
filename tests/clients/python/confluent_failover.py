"""A librdkafka producer with acks=all and idempotence, while leaders crash under it: BOOTSTRAP TOPIC STOP-FILE.

It produces until the file exists, telling every so often how much has been acknowledged (`ACKED n`); then it reads the
whole topic and wants every record once, in order within its partition.
"""

import os
import sys
import time

import confluent_kafka as ck

from common import check, main, wait_for


def program(bootstrap, _unique):
    topic, stop = sys.argv[2], sys.argv[3]
    errors, acked, fatal = [], {}, []
    producer = ck.Producer({
        "bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5,
        "message.timeout.ms": 90_000, "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 500, "socket.timeout.ms": 5000,
        "error_cb": lambda error: fatal.append(error) if error.fatal() else None,
    })
    partitions = len(producer.list_topics(topic, 30).topics[topic].partitions)

    def delivered(error, message):
        if error:
            errors.append(str(error))
        else:
            n = int(message.value())
            check((message.partition(), message.offset()) not in acked, "offset {} was acknowledged twice", message.offset())
            acked[(message.partition(), message.offset())] = n

    n, told = 0, 0.0
    while not os.path.exists(stop):
        for _ in range(20):
            producer.produce(topic, value=b"%d" % n, partition=n % partitions, on_delivery=delivered)
            n += 1
        while len(producer) > 2000:
            producer.poll(0.1)
        producer.poll(0.005)
        check(not fatal and not errors, "{}", (fatal + errors)[:1])
        if time.monotonic() - told > 0.05:
            told = time.monotonic()
            print(f"ACKED {len(acked)}", flush=True)
    check(producer.flush(90) == 0, "records are still queued")
    check(not fatal and not errors and len(acked) == n, "{}: {} of {} acknowledged", (fatal + errors)[:1], len(acked), n)

    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False})
    total = 0
    for p in range(partitions):
        low, high = consumer.get_watermark_offsets(ck.TopicPartition(topic, p), timeout=30)
        consumer.assign([ck.TopicPartition(topic, p, low)])
        wanted = p
        for offset in range(low, high):
            message = wait_for(f"record {p}-{offset}", lambda: consumer.poll(1))
            check(message.error() is None, "{}", message.error())
            check(message.offset() == offset, "{}-{}: offset {}", p, offset, message.offset())
            check(int(message.value()) == wanted, "{}-{}: record {} where {} was next", p, offset, message.value(), wanted)
            check(acked[(p, offset)] == wanted, "{}-{} was acknowledged as record {}", p, offset, acked[(p, offset)])
            wanted += partitions
            total += 1
    check(total == n, "{} records, not {}", total, n)
    consumer.close()
    return {"records": n}


main("confluent-failover", program)
