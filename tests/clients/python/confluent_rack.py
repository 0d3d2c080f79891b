"""A librdkafka producer and a consumer with a rack (KIP-392): BOOTSTRAP TOPIC STOP-FILE [RACK].

Numbered records go to the topic's one partition until the file exists, and the consumer tells every so often how many it has
read (`READ n`). In the end it has read every one, in order.
"""

import os
import sys
import time

import confluent_kafka as ck

from common import check, main, wait_for


def program(bootstrap, _unique):
    topic, stop = sys.argv[2], sys.argv[3]
    patient = {"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 200, "socket.timeout.ms": 5000,
               "topic.metadata.refresh.fast.interval.ms": 50}
    errors = []
    producer = ck.Producer({**patient, "enable.idempotence": True, "linger.ms": 2})
    rack = {"client.rack": sys.argv[4]} if len(sys.argv) > 4 else {}
    consumer = ck.Consumer({**patient, **rack, "group.id": "racks", "enable.auto.commit": False, "fetch.wait.max.ms": 50})
    consumer.assign([ck.TopicPartition(topic, 0, ck.OFFSET_BEGINNING)])
    read, told = 0, 0.0

    def more():
        nonlocal read
        for message in consumer.consume(100, 0.02):
            if message.error():
                check(message.error().retriable() or message.error().code() < 0, "{}", message.error())
                continue
            check(message.offset() == read and int(message.value()) == read, "{} at {} where {} was next",
                  message.value(), message.offset(), read)
            read += 1
        return read

    n = 0
    while not os.path.exists(stop):
        producer.produce(topic, value=b"%d" % n, partition=0,
                         on_delivery=lambda error, _: errors.append(str(error)) if error else None)
        n += 1
        producer.poll(0)
        check(not errors, "{}", errors[:1])
        more()
        if time.monotonic() - told > 0.05:
            told = time.monotonic()
            print(f"READ {read}", flush=True)
    check(producer.flush(90) == 0 and not errors, "the producer does not end: {}", errors[:1])
    wait_for("every record", lambda: more() == n)
    consumer.close()
    return {"records": n}


main("confluent-rack", program)
