//! Words for consumers that behave as Kafka's own: positions, validation, groups.

use super::{Kind, Place, WORD, Word, arg, optional, prop, some};

pub(super) const WORDS: &[Word] = &[
    Word {
        name: "subscribe",
        args: &[arg("consumer", Kind::Name), some("topic", Kind::Name)],
        doc: "Subscribes a consumer with a group to topics. It joins while it polls.",
        example: "consumer m group=g reset=earliest\nsubscribe m t\npoll m within=10s",
        ..WORD
    },
    Word {
        name: "unsubscribe",
        args: &[arg("consumer", Kind::Name)],
        doc: "The consumer leaves its group in order.",
        example: "consumer m group=g\nsubscribe m t\npoll m within=10s\nunsubscribe m",
        ..WORD
    },
    Word {
        name: "assign",
        args: &[arg("consumer", Kind::Name), some("partition", Kind::Partition)],
        doc: "Gives a consumer partitions to read, without a group's help.",
        example: "consumer m reset=earliest\nassign m t-0\nproduce p a\npoll m at-least=1",
        ..WORD
    },
    Word {
        name: "poll",
        args: &[arg("consumer", Kind::Name)],
        props: &[
            prop("at-least", Kind::Count, "it is over with so many records (0: it lasts for the whole time)"),
            prop("within", Kind::Time, "how long it may take (5s)"),
            prop(
                "error",
                Kind::Text,
                "what it ends in: Kafka's name of an error, LOG_TRUNCATION, NO_OFFSET_FOR_PARTITION (NONE)",
            ),
            prop("wait", Kind::Flag, "whether the next step waits for its end (#true)"),
        ],
        doc: "A consumer that was subscribed or assigned reads on, as Kafka's consumer does: it looks its position up, validates it after \
              an election, resets it, joins and heartbeats.",
        example: "consumer m reset=earliest\nassign m t-0\nproduce p a b\npoll m at-least=2\nexpect { consumed m a b; }",
        ..WORD
    },
    Word {
        name: "seek",
        args: &[arg("consumer", Kind::Name), optional("partition", Kind::Partition)],
        props: &[
            prop("to", Kind::Text, "beginning or end"),
            prop("offset", Kind::Count, "or an offset"),
            prop(
                "epoch",
                Kind::Count,
                "with offset: the leader epoch of the record before it, by which it is validated",
            ),
        ],
        doc: "Moves a consumer's position.",
        example: "consumer m\nassign m t-0\nseek m t-0 offset=0",
        ..WORD
    },
    Word {
        name: "commit",
        args: &[arg("consumer", Kind::Name), optional("partition", Kind::Partition)],
        props: &[
            prop("offset", Kind::Count, "this offset of the partition (its positions, when there is none)"),
            prop("error", Kind::Text, "what it ends in: Kafka's name of an error, or COMMIT_FAILED (NONE)"),
        ],
        doc: "A consumer commits for its group.",
        example: "consumer m group=g\nassign m t-0\ncommit m t-0 offset=3\nexpect { committed g t-0 3; }",
        ..WORD
    },
    Word {
        name: "fetch-from",
        args: &[arg("consumer", Kind::Name), optional("broker", Kind::Node)],
        doc: "A consumer reads from this broker, whoever leads; from the leader again, when there is none.",
        example: "consumer m\nassign m t-0\nfetch-from m 2",
        ..WORD
    },
    Word {
        name: "end",
        args: &[arg("consumer", Kind::Name)],
        doc: "A consumer's process dies: it leaves no group in order.",
        example: "consumer m group=g\nsubscribe m t\npoll m within=10s\nend m",
        ..WORD
    },
    Word {
        name: "position",
        place: Place::Expect,
        args: &[arg("consumer", Kind::Name), arg("partition", Kind::Partition), arg("offset", Kind::Count)],
        doc: "The offset that a consumer reads next.",
        example: "consumer m\nassign m t-0\nseek m t-0 offset=0\nexpect { position m t-0 0; }",
        ..WORD
    },
    Word {
        name: "member",
        place: Place::Expect,
        args: &[arg("consumer", Kind::Name)],
        props: &[
            prop("generation", Kind::Int, "the generation, or member epoch, it is in; -1 for none"),
            prop("leads", Kind::Flag, "whether it leads the group"),
            prop("coordinator", Kind::NodeOrNone, "the broker that it believes to be the coordinator"),
            prop("assigned", Kind::Text, "its partitions, such as \"t-0 t-1\", or none"),
        ],
        doc: "A consumer's place in its group, as it sees itself.",
        example: "consumer m group=g\nsubscribe m t\npoll m within=10s\nexpect { member m generation=1 leads=#true assigned=t-0; }",
        ..WORD
    },
];
