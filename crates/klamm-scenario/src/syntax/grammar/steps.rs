//! Words that make something happen.

use super::{Kind, Place, Prop, WORD, Word, any, arg, optional, prop, some};

const SENDING: &[Prop] = &[
    prop("to", Kind::Partition, "the partition; may be left out where the file has only one"),
    prop("count", Kind::Count, "sends so many records, named by `prefix` and a number from 0"),
    prop("prefix", Kind::Name, "what the names of `count` records begin with (r)"),
    prop("acks", Kind::Acks, "other than the producer's"),
    prop("broker", Kind::Node, "asks this broker, whoever leads: a producer whose metadata is stale"),
    prop("batch", Kind::Flag, "all in one batch (#false: one batch a record)"),
    prop(
        "key",
        Kind::Text,
        "the records' key; without `to`, it says which partition they go to, as in Kafka's own producer",
    ),
    prop("age", Kind::Time, "how long ago the records were made, by their timestamp (0s)"),
    prop("ahead", Kind::Time, "how far in the future the records were made, by their timestamp (0s)"),
    prop("tombstone", Kind::Flag, "the records have no value: their key is deleted (#false)"),
    prop(
        "sequence",
        Kind::Count,
        "claims this sequence for the first record, and leaves the producer's own count alone",
    ),
    prop("producer-epoch", Kind::Count, "claims this producer epoch"),
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
            prop(
                "key",
                Kind::Text,
                "the records' key; without `to`, it says which partition they go to, as in Kafka's own producer",
            ),
            prop("age", Kind::Time, "how long ago the records were made, by their timestamp (0s)"),
            prop("ahead", Kind::Time, "how far in the future the records were made, by their timestamp (0s)"),
            prop("tombstone", Kind::Flag, "the records have no value: their key is deleted (#false)"),
            prop(
                "sequence",
                Kind::Count,
                "claims this sequence for the first record, and leaves the producer's own count alone",
            ),
            prop("producer-epoch", Kind::Count, "claims this producer epoch"),
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
            prop("offset", Kind::Count, "the first record's offset must be this"),
            prop("within", Kind::Time, "how long to wait (the producer's delivery timeout)"),
        ],
        doc: "Waits for the results of records that were sent; of all that are pending, when none is named.",
        example: "send p a b\nawait p a b",
        ..WORD
    },
    Word {
        name: "transaction",
        args: &[arg("producer", Kind::Name), arg("what", Kind::Text)],
        props: &[
            prop("error", Kind::Error, "the result must be this (NONE)"),
            prop("retry", Kind::Flag, "tries again after a retriable error (#true)"),
            prop("wait", Kind::Flag, "waits for the result; else only sends the request (#true)"),
            prop("within", Kind::Time, "how long it may take (60s)"),
            prop("producer-epoch", Kind::Count, "claims this producer epoch"),
        ],
        doc: "Has a producer with a `transactional-id` do its part: `init` asks for its id and epoch, and fences who had it; `begin` begins a \
              transaction, to which what it sends from then on belongs; `commit` and `abort` wait for what was sent, and end it.",
        example: "producer tp transactional-id=T\ntransaction tp init\ntransaction tp begin\nproduce tp a\ntransaction tp commit",
        ..WORD
    },
    Word {
        name: "send-offset",
        args: &[arg("producer", Kind::Name), optional("partition", Kind::Partition)],
        props: &[
            prop("group", Kind::Text, "`group.id` (required)"),
            prop("offset", Kind::Count, "the offset to read from next (required)"),
            prop(
                "as",
                Kind::Name,
                "a consumer of the group: with its generation, member id and instance (`groupMetadata`)",
            ),
            prop(
                "generation",
                Kind::Int,
                "the generation, or member epoch, of the member that has read up to there (-1)",
            ),
            prop("member", Kind::Text, "that member's id"),
            prop("error", Kind::Error, "the result must be this (NONE)"),
            prop("retry", Kind::Flag, "tries again after a retriable error (#true)"),
            prop("within", Kind::Time, "how long it may take (60s)"),
        ],
        doc: "Commits a position of a group in a producer's transaction.",
        example: "producer tp transactional-id=T\ntransaction tp init\ntransaction tp begin\nsend-offset tp t-0 group=g offset=5\ntransaction tp commit",
        ..WORD
    },
    Word {
        name: "write-epoch",
        args: &[arg("producer", Kind::Name), arg("epoch", Kind::Count)],
        props: &[prop("error", Kind::Error, "the result must be this (NONE)")],
        doc: "Writes into `__transaction_state`, as an administrator can, that the producer of a transactional id has this epoch. Its coordinator \
              finds it when it loads its log the next time. It stands for as many transactions.",
        example: "producer tp transactional-id=T\ntransaction tp init\nwrite-epoch tp 32765",
        ..WORD
    },
    Word {
        name: "consume",
        args: &[arg("consumer", Kind::Name), optional("partition", Kind::Partition)],
        props: &[
            prop("from", Kind::Count, "the offset to read from (where it stopped; first 0)"),
            prop("broker", Kind::Node, "asks this broker, whoever leads"),
            prop("epoch", Kind::Int, "the leader epoch that it claims to know"),
            prop(
                "last-epoch",
                Kind::Int,
                "the epoch of the record before: where the log says otherwise, it is told where that epoch ended (DIVERGING_EPOCH)",
            ),
            prop("max-wait", Kind::Time, "how long the broker may wait for a record (0s)"),
            prop("wait", Kind::Flag, "waits until it is over; else `consumed` tells how it ended (#true)"),
            prop("error", Kind::Error, "the result must be this (NONE)"),
        ],
        doc: "Reads a partition to the end that the broker shows it.",
        example: "consume c t-0\nconsume c from=0\nconsume c from=0 max-wait=1s wait=#false",
        ..WORD
    },
    Word {
        name: "advance",
        args: &[arg("time", Kind::Time)],
        doc: "Lets time pass. Of ten minutes or more, stretches are passed over in which nothing happens but what always does: fetches \
              without an answer, heartbeats, checks that find nothing.",
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
        name: "create-topic",
        args: &[arg("name", Kind::Name)],
        props: &[
            prop("partitions", Kind::Count, "how many (1)"),
            prop("replication-factor", Kind::Count, "how many replicas each has, placed by the controller"),
            prop("replicas", Kind::Nodes, "the replicas of each partition, the preferred leader first"),
            prop("api-version", Kind::Count, "the version of CreateTopics, as an older client speaks it (7)"),
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
        name: "alter-quota",
        props: &[
            prop("user", Kind::Text, "of this user, or of each that has none of its own: <default>"),
            prop("client-id", Kind::Text, "of this client, by its name in the file; or <default>"),
            prop("producer_byte_rate", Kind::Count, "bytes that it may produce, a second, at each broker"),
            prop("consumer_byte_rate", Kind::Count, "bytes that it may fetch, a second, at each broker"),
            prop(
                "controller_mutation_rate",
                Kind::Count,
                "partitions that it may create and delete, a second",
            ),
            prop("error", Kind::Error, "the result must be this (NONE)"),
        ],
        doc: "Sets quotas of a user, of a client, or of a client of a user's; 0 removes one. All clients are the user \
              ANONYMOUS, and an administrator's `client.id` is klamm.",
        example: "producer p\nalter-quota client-id=p producer_byte_rate=1000",
        ..WORD
    },
    Word {
        name: "add-partitions",
        args: &[arg("topic", Kind::Name), arg("count", Kind::Count)],
        props: &[prop("error", Kind::Error, "the result must be this (NONE)")],
        doc: "Gives a topic more partitions, so that it has this many.",
        example: "add-partitions t 3",
        ..WORD
    },
    Word {
        name: "metadata",
        args: &[arg("topic", Kind::Name)],
        props: &[
            prop("create", Kind::Flag, "has the topic created where there is none (#false)"),
            prop("broker", Kind::Node, "asks this broker (the first that answers)"),
            prop(
                "error",
                Kind::Error,
                "the result must be this (NONE); a topic's error, else the first that one of its partitions has",
            ),
        ],
        doc: "Asks a broker who leads a topic's partitions, as clients do before they produce or fetch.",
        example: "metadata t\nmetadata late create=#true error=UNKNOWN_TOPIC_OR_PARTITION",
        ..WORD
    },
    Word {
        name: "delete-records",
        args: &[arg("partition", Kind::Partition)],
        props: &[
            prop("before", Kind::Count, "the first offset that stays (the high watermark)"),
            prop("error", Kind::Error, "the result must be this (NONE)"),
        ],
        doc: "Deletes the records below an offset.",
        example: "produce p a b\ndelete-records t-0 before=1",
        ..WORD
    },
    Word {
        name: "elect",
        args: &[arg("how", Kind::Text), optional("partition", Kind::Partition)],
        props: &[prop("error", Kind::Error, "the result must be this (NONE)")],
        doc: "Asks for an election: `preferred` or `unclean`.",
        example: "elect preferred t-0 error=ELECTION_NOT_NEEDED",
        ..WORD
    },
    Word {
        name: "reassign",
        args: &[optional("partition", Kind::Partition)],
        props: &[
            prop("to", Kind::Nodes, "the new replicas, the preferred leader first"),
            prop("cancel", Kind::Flag, "cancels the reassignment that is going on instead (#false)"),
            prop("error", Kind::Error, "the result must be this (NONE)"),
        ],
        doc: "Begins to move a partition's replicas, or cancels it.",
        example: "cluster brokers=4\ntopic t replicas=\"1,2,3\"\nreassign t-0 to=\"1,2,4\"",
        ..WORD
    },
    Word {
        name: "unregister",
        args: &[arg("broker", Kind::Node)],
        props: &[prop("error", Kind::Error, "the result must be this (NONE)")],
        doc: "Removes a broker's registration.",
        example: "crash 3\nunregister 3",
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
