//! Words that make something happen.

use super::{Kind, Place, Prop, WORD, Word, any, arg, optional, prop, some};

const SENDING: &[Prop] = &[
    prop("to", Kind::Partition, "the partition; may be left out where the file has only one"),
    prop("count", Kind::Count, "sends so many records, named by `prefix` and a number from 0"),
    prop("prefix", Kind::Name, "what the names of `count` records begin with (r)"),
    prop("acks", Kind::Acks, "other than the producer's"),
    prop("broker", Kind::Node, "asks this broker, whoever leads: a producer whose metadata is stale"),
    prop("batch", Kind::Flag, "all in one batch (#false: one batch a record)"),
];

pub(super) const WORDS: &[Word] = &[
    Word {
        name: "send",
        args: &[arg("producer", Kind::Name), any("record", Kind::Text)],
        props: SENDING,
        doc: "Sends records, and does not wait for their results. A record is its value, which is also the name that \
              `await` and `expect result` know it by; the next record leaves when it was sent, not when it was answered.",
        example: "send p a b",
        ..WORD
    },
    Word {
        name: "produce",
        args: &[arg("producer", Kind::Name), any("record", Kind::Text)],
        props: &[
            prop("to", Kind::Partition, "the partition; may be left out where the file has only one"),
            prop("count", Kind::Count, "sends so many records, named by `prefix` and a number from 0"),
            prop("prefix", Kind::Name, "what the names of `count` records begin with (r)"),
            prop("acks", Kind::Acks, "other than the producer's"),
            prop("broker", Kind::Node, "asks this broker, whoever leads: a producer whose metadata is stale"),
            prop("batch", Kind::Flag, "all in one batch (#false: one batch a record)"),
            prop("error", Kind::Error, "each result must be this (NONE)"),
            prop("offset", Kind::Count, "the first record's offset must be this"),
            prop("within", Kind::Time, "how long to wait for the results (the producer's delivery timeout)"),
        ],
        doc: "Sends records, one batch each, and waits for each result, which must be NONE unless `error` says otherwise.",
        example: "produce p a10 a11 offset=10\nproduce p count=10\nproduce p late error=NOT_ENOUGH_REPLICAS",
        ..WORD
    },
    Word {
        name: "await",
        args: &[arg("producer", Kind::Name), any("record", Kind::Text)],
        props: &[
            prop("error", Kind::Error, "each result must be this (NONE)"),
            prop("within", Kind::Time, "how long to wait (the producer's delivery timeout)"),
        ],
        doc: "Waits for the results of records that were sent; of all that are pending, when none is named.",
        example: "send p a b\nawait p a b",
        ..WORD
    },
    Word {
        name: "consume",
        args: &[arg("consumer", Kind::Name), optional("partition", Kind::Partition)],
        props: &[
            prop("from", Kind::Count, "the offset to read from (where it stopped; first 0)"),
            prop("broker", Kind::Node, "asks this broker, whoever leads"),
            prop("epoch", Kind::Int, "the leader epoch that it claims to know"),
            prop("error", Kind::Error, "the result must be this (NONE)"),
        ],
        doc: "Reads a partition to the end that the broker shows it.",
        example: "consume c t-0\nconsume c from=0",
        ..WORD
    },
    Word {
        name: "advance",
        args: &[arg("time", Kind::Time)],
        doc: "Lets time pass.",
        example: "advance 30s",
        ..WORD
    },
    Word {
        name: "settle",
        props: &[prop("within", Kind::Time, "how long it may take (60s)")],
        doc: "Lets time pass until every replica that runs is in sync and all of them have what the leader has, its high watermark \
              included.",
        example: "settle",
        ..WORD
    },
    Word {
        name: "at",
        args: &[arg("time", Kind::Time)],
        block: Some(Place::Step),
        doc: "Lets time pass until this long after the first step, and then carries the block out.",
        example: "at 1234ms {\n    crash 1\n}",
        ..WORD
    },
    Word {
        name: "start",
        args: &[some("node", Kind::Node)],
        doc: "Starts nodes that are down, on the disks that they left behind.",
        example: "crash 1\nstart 1",
        ..WORD
    },
    Word {
        name: "stop",
        args: &[some("node", Kind::Node)],
        doc: "Stops nodes in order. A broker hands its leaderships over first (controlled shutdown), which takes time.",
        example: "stop 1",
        ..WORD
    },
    Word {
        name: "crash",
        args: &[some("node", Kind::Node)],
        doc: "Kills the processes of nodes. What they had written stays.",
        example: "crash 1 2",
        ..WORD
    },
    Word {
        name: "power-loss",
        args: &[some("node", Kind::Node)],
        doc: "Cuts the power of nodes. What they had flushed stays; of the rest, a part that is drawn from the seed.",
        example: "power-loss 2",
        ..WORD
    },
    Word {
        name: "link",
        args: &[arg("from", Kind::Node), arg("to", Kind::Node)],
        props: &[
            prop("latency", Kind::Time, "how long a message takes (0s)"),
            prop("jitter", Kind::Time, "how much longer it may take, drawn evenly (0s)"),
            prop("one-way", Kind::Flag, "only from the first to the second (#false)"),
        ],
        doc: "Changes how messages travel between two nodes.",
        example: "link 1 2 latency=20ms jitter=5ms",
        ..WORD
    },
    Word {
        name: "skew",
        args: &[arg("node", Kind::Node)],
        props: &[
            prop("ahead", Kind::Time, "how far its wall clock is ahead"),
            prop("behind", Kind::Time, "how far its wall clock is behind"),
        ],
        doc: "Sets a node's wall clock off.",
        example: "skew 2 ahead=1h",
        ..WORD
    },
    Word {
        name: "create-topic",
        args: &[arg("name", Kind::Name)],
        props: &[
            prop("partitions", Kind::Count, "how many (1)"),
            prop("replication-factor", Kind::Count, "how many replicas each has, placed by the controller"),
            prop("replicas", Kind::Nodes, "the replicas of each partition, the preferred leader first"),
            prop("error", Kind::Error, "the result must be this (NONE)"),
        ],
        configs: true,
        block: Some(Place::Topic),
        doc: "Creates a topic.",
        example: "create-topic late replicas=\"2,3\"",
        ..WORD
    },
    Word {
        name: "delete-topic",
        args: &[arg("name", Kind::Name)],
        props: &[prop("error", Kind::Error, "the result must be this (NONE)")],
        doc: "Deletes a topic.",
        example: "delete-topic t",
        ..WORD
    },
    Word {
        name: "alter-config",
        args: &[optional("topic", Kind::Name)],
        props: &[
            prop("broker", Kind::Node, "of this broker, not of a topic"),
            prop("error", Kind::Error, "the result must be this (NONE)"),
        ],
        configs: true,
        doc: "Sets configuration keys of a topic, of one broker, or else of all brokers.",
        example: "alter-config t min.insync.replicas=1\nalter-config unclean.leader.election.enable=#true",
        ..WORD
    },
    Word {
        name: "profile",
        args: &[some("release", Kind::Version)],
        block: Some(Place::Step),
        doc: "The block belongs only to runs with one of these releases: \"3.6\", \">=3.7\", \"<4.0\".",
        example: "profile \">=3.7\" {\n    expect { partition high-watermark=0; }\n}",
        ..WORD
    },
    Word {
        name: "when",
        args: &[some("variant", Kind::Name)],
        block: Some(Place::Step),
        doc: "The block belongs only to runs of these variants.",
        example: "variants idempotent plain\nwhen plain {\n    producer p idempotence=#false\n}\nwhen idempotent {\n    producer p\n}",
        ..WORD
    },
    Word {
        name: "expect",
        block: Some(Place::Expect),
        doc: "What must hold now.",
        example: "expect {\n    partition t-0 leader=1 isr=\"1,2,3\"\n}",
        ..WORD
    },
    Word {
        name: "expect-eventually",
        props: &[
            prop("within", Kind::Time, "how long it may take (60s)"),
            prop("not-before", Kind::Time, "how long it must take at least"),
        ],
        block: Some(Place::Expect),
        doc: "Lets time pass until all of it holds at once.",
        example: "crash 1\nexpect-eventually within=11s not-before=9s {\n    partition t-0 leader=2\n}",
        ..WORD
    },
    Word {
        name: "expect-always",
        props: &[prop("during", Kind::Time, "how long (required)")],
        block: Some(Place::Expect),
        doc: "Lets time pass, during which all of it must hold at every moment.",
        example: "expect-always during=20s {\n    partition t-0 leader=1\n}",
        ..WORD
    },
];
