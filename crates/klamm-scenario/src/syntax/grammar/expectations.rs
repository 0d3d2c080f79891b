//! Words of what must hold.

use super::{Kind, Place, WORD, Word, any, arg, optional, prop, some};

pub(super) const WORDS: &[Word] = &[
    Word {
        name: "partition",
        place: Place::Expect,
        args: &[optional("partition", Kind::Partition)],
        props: &[
            prop("leader", Kind::NodeOrNone, "the leader"),
            prop("leader-epoch", Kind::Count, "the leader's epoch"),
            prop("partition-epoch", Kind::Count, "the partition's epoch"),
            prop("isr", Kind::Nodes, "the in-sync replicas, in any order"),
            prop("elr", Kind::Nodes, "the eligible leader replicas, in any order"),
            prop("last-known-leader", Kind::NodeOrNone, "the last leader, kept while ISR and ELR are empty"),
            prop("replicas", Kind::Nodes, "the replicas, the preferred leader first"),
            prop("adding", Kind::Nodes, "the replicas that a reassignment brings in"),
            prop("removing", Kind::Nodes, "the replicas that a reassignment takes away"),
            prop("recovering", Kind::Flag, "whether the leader recovers from an unclean election"),
            prop("log-end", Kind::Count, "the leader's log end"),
            prop("high-watermark", Kind::Count, "the leader's high watermark"),
            prop(
                "last-stable-offset",
                Kind::Count,
                "where the first open transaction begins on the leader, or its high watermark",
            ),
        ],
        doc: "A partition, as the controller has it; log end and high watermark as its leader has them.",
        example: "expect { partition t-0 leader=1 leader-epoch=0 partition-epoch=0 isr=\"1,2,3\" elr=none; }",
        ..WORD
    },
    Word {
        name: "replica",
        place: Place::Expect,
        args: &[some("broker", Kind::Node)],
        props: &[
            prop("of", Kind::Partition, "the partition; may be left out where the file has only one"),
            prop("log-start", Kind::Count, "the first offset of the log"),
            prop("log-end", Kind::Count, "the next offset of the log"),
            prop("high-watermark", Kind::Count, "its high watermark"),
            prop(
                "last-stable-offset",
                Kind::Count,
                "where the first open transaction begins in it, or its high watermark",
            ),
            prop("leader-epoch", Kind::Count, "the leader's epoch that the broker knows"),
            prop("epochs", Kind::Text, "the leader-epoch cache: `epoch@offset` each, such as \"0@0 1@10\""),
            prop("hosted", Kind::Flag, "whether the broker runs and has the replica at all"),
        ],
        doc: "A replica of a partition, as its broker has it; of several brokers, each.",
        example: "expect { replica 2 3 log-end=0 high-watermark=0 log-start=0; }",
        ..WORD
    },
    Word {
        name: "log",
        place: Place::Expect,
        args: &[some("broker", Kind::Node), any("record", Kind::Text)],
        props: &[
            prop("of", Kind::Partition, "the partition; may be left out where the file has only one"),
            prop("from", Kind::Count, "only the log from this offset on (its start)"),
        ],
        doc: "The whole log of a replica (of several brokers, each): every record by its value, with the leader epoch of its \
              batch after an `@`. `r0..r9@0` is ten records. A record without `@` may have any epoch.",
        example: "produce p a b\nexpect { log 1 \"a@0\" \"b@0\"; }",
        ..WORD
    },
    Word {
        name: "same-logs",
        place: Place::Expect,
        args: &[some("broker", Kind::Node)],
        props: &[prop("of", Kind::Partition, "the partition; may be left out where the file has only one")],
        doc: "These brokers' replicas hold the same records with the same epochs.",
        example: "expect-eventually { same-logs 1 2 3; }",
        ..WORD
    },
    Word {
        name: "result",
        place: Place::Expect,
        args: &[arg("producer", Kind::Name), some("record", Kind::Text)],
        props: &[
            prop("error", Kind::Error, "the result by Kafka's name, NONE for success, PENDING for none yet"),
            prop(
                "offset",
                Kind::Int,
                "the offset that the broker told; of several records, the first's, the others follow on",
            ),
            prop(
                "throttle",
                Kind::Time,
                "for how long the broker says that it has the producer wait; 0s for not at all",
            ),
        ],
        doc: "What came of records that were sent.",
        example: "send p a\nexpect { result p a error=NONE offset=0; }",
        ..WORD
    },
    Word {
        name: "disconnected",
        place: Place::Expect,
        args: &[arg("producer", Kind::Name), arg("times", Kind::Count)],
        doc: "How often a broker closed a producer's connection instead of an answer, or where none is due (acks=0).",
        example: "expect { disconnected p 0; }",
        ..WORD
    },
    Word {
        name: "consumed",
        place: Place::Expect,
        args: &[arg("consumer", Kind::Name), any("record", Kind::Text)],
        props: &[
            prop("of", Kind::Partition, "the partition; may be left out where the file has only one"),
            prop("error", Kind::Error, "what the last `consume` ended in"),
        ],
        doc: "Every record that a consumer has read of a partition, in order.",
        example: "produce p a b\nconsume c\nexpect { consumed c a b; }",
        ..WORD
    },
    Word {
        name: "broker",
        place: Place::Expect,
        args: &[some("broker", Kind::Node)],
        props: &[
            prop("up", Kind::Flag, "whether its process runs"),
            prop("fenced", Kind::Flag, "whether the controller has fenced it"),
            prop("registered", Kind::Flag, "whether the controller knows it"),
            prop("shutting-down", Kind::Flag, "whether it is in controlled shutdown"),
        ],
        doc: "A broker; of several, each.",
        example: "expect { broker 1 2 3 up=#true fenced=#false; }",
        ..WORD
    },
    Word {
        name: "controller",
        place: Place::Expect,
        args: &[some("controller", Kind::Node)],
        props: &[
            prop("up", Kind::Flag, "whether its process runs"),
            prop("active", Kind::Flag, "whether it decides for the cluster"),
            prop("state", Kind::Text, "Unattached, Prospective, Candidate, Leader, Follower or Resigned"),
            prop("epoch", Kind::Count, "the epoch of the quorum that it knows"),
            prop("leader", Kind::NodeOrNone, "the leader of the quorum that it knows"),
            prop("log-end", Kind::Count, "the end of its metadata log"),
            prop("high-watermark", Kind::Count, "the end of what it knows to be committed"),
        ],
        doc: "A controller, as it sees itself and the metadata quorum; of several, each.",
        example: "expect { controller 100 up=#true active=#true state=Leader leader=100; }",
        ..WORD
    },
    Word {
        name: "topic",
        place: Place::Expect,
        args: &[arg("name", Kind::Name)],
        props: &[
            prop("exists", Kind::Flag, "whether the controller knows it"),
            prop("partitions", Kind::Count, "how many it has"),
        ],
        doc: "A topic, as the controller has it.",
        example: "expect { topic t exists=#true partitions=1; }",
        ..WORD
    },
    Word {
        name: "group",
        place: Place::Expect,
        args: &[arg("group", Kind::Text)],
        props: &[
            prop("state", Kind::Text, "Empty, PreparingRebalance, CompletingRebalance, Stable, Dead"),
            prop("generation", Kind::Int, "its generation"),
            prop("members", Kind::Count, "how many it has"),
            prop("coordinator", Kind::Node, "the broker that coordinates it"),
        ],
        doc: "A group, as its coordinator has it.",
        example: "expect-eventually { group g state=Stable; }",
        ..WORD
    },
    Word {
        name: "committed",
        place: Place::Expect,
        args: &[arg("group", Kind::Text), arg("partition", Kind::Partition), optional("offset", Kind::Count)],
        doc: "The offset that a group has committed; without one, that it has committed nothing.",
        example: "expect { committed g t-0 10; }",
        ..WORD
    },
    Word {
        name: "fired",
        place: Place::Expect,
        args: &[arg("fault", Kind::Name)],
        props: &[prop("times", Kind::Count, "exactly so often (at least once)")],
        doc: "A fault has fired.",
        example: "fault Produce nth=1 delay=10ms as=late\nproduce p a\nexpect { fired late times=1; }",
        ..WORD
    },
    Word {
        name: "happened",
        place: Place::Expect,
        args: &[arg("event", Kind::Text), optional("text", Kind::Text)],
        props: &[
            prop("of", Kind::Partition, "about this partition"),
            prop("node", Kind::Node, "the node that decided it"),
            prop("times", Kind::Count, "exactly so often"),
        ],
        doc: "A trace event of this kind, since the first step, whose line has the text in it. The kinds are those of the trace: LeaderElected, IsrChanged, LogTruncated … (`klamm trace --json` shows them).",
        example: "produce p a\nexpect { happened HighWatermarkMoved \"0 -> 1\" of=t-0 node=1; }",
        ..WORD
    },
    Word {
        name: "happened-before",
        place: Place::Expect,
        args: &[some("event", Kind::Text)],
        doc: "Two trace events, each a kind and perhaps a text that its line has: the first such one before the first such other.",
        example: "produce p a\nexpect { happened-before Appended \"0 -> 1\" HighWatermarkMoved \"0 -> 1\"; }",
        ..WORD
    },
    Word {
        name: "never",
        place: Place::Expect,
        args: &[arg("event", Kind::Text), optional("text", Kind::Text)],
        props: &[
            prop("of", Kind::Partition, "about this partition"),
            prop("node", Kind::Node, "the node that decided it"),
        ],
        doc: "There was no trace event of this kind, with this text in its line, since the first step.",
        example: "expect { never LogTruncated; }",
        ..WORD
    },
];
