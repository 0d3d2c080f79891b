"""confluent-kafka (librdkafka) with group.protocol=consumer (KIP-848): a group that grows and shrinks, each record once."""

import confluent_kafka as ck
from confluent_kafka import admin as adm

from common import PARTITIONS, REPLICAS, WAIT_S, Checker, Records, check, dance, main, wait_for
from confluent import Consumer, one, produce


class NewConsumer(Consumer):
    def open(self):
        self.consumer = ck.Consumer({
            "bootstrap.servers": self.bootstrap, "group.id": self.group, "auto.offset.reset": "earliest",
            "enable.auto.commit": False, "group.protocol": "consumer", "client.id": self.name,
            "topic.metadata.refresh.interval.ms": 2000, "fetch.wait.max.ms": 100,
        })
        self.consumer.subscribe([self.topic], on_assign=self.on_assign, on_revoke=self.on_revoke, on_lost=self.on_lost)


def program(bootstrap, unique):
    topic, group = unique, f"g-{unique}"
    records = Records(["none"])
    admin = adm.AdminClient({"bootstrap.servers": bootstrap})
    one(admin.create_topics([adm.NewTopic(topic, PARTITIONS, REPLICAS)]))
    produce(bootstrap, topic, records, range(records.total), "none")

    def stable(_members):
        def four():
            answer = one(admin.describe_consumer_groups([group], request_timeout=WAIT_S))
            return answer if answer.state == ck.ConsumerGroupState.STABLE and len(answer.members) == 4 else None

        answer = wait_for("a stable group of four", four)
        check(answer.type == ck.ConsumerGroupType.CONSUMER, "{}", answer.type)
        owned = sorted(tp.partition for member in answer.members for tp in member.assignment.topic_partitions)
        check(owned == list(range(PARTITIONS)), "assignment: {}", owned)

    checker = Checker(records)
    for member in dance(lambda i: NewConsumer(f"m{i}", checker, bootstrap, topic, group), checker, stable):
        member.leave()
    committed = one(admin.list_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(group)]))
    check({p.partition: p.offset for p in committed.topic_partitions} == checker.next_offset, "committed {}", committed)
    wait_for("an empty group",
             lambda: one(admin.describe_consumer_groups([group])).state == ck.ConsumerGroupState.EMPTY)
    one(admin.delete_consumer_groups([group]))
    return {"records": checker.count(), "version": ck.version()}


main("confluent-consumer-protocol", program)
