//! Words of a file's head: what the cluster is made of.

use super::{Kind, Place, WORD, Word, any, arg, prop, some};

pub(super) const WORDS: &[Word] = &[
    Word {
        name: "scenario",
        place: Place::Head,
        args: &[arg("id", Kind::Text)],
        props: &[prop("title", Kind::Text, "what it shows, in one line")],
        doc: "Names the scenario. The first line of every file.",
        example: "scenario \"ACK-02\" title=\"acks=1: an acknowledged record is lost on failover\"",
        ..WORD
    },
    Word {
        name: "versions",
        place: Place::Head,
        args: &[some("release", Kind::Version)],
        doc: "The Kafka releases whose behaviour the file is run with, one run each. Without it, the newest.",
        example: "versions \"3.6\" \"4.4\"",
        ..WORD
    },
    Word {
        name: "variants",
        place: Place::Head,
        args: &[some("name", Kind::Name)],
        doc: "The file is run once for each name; a `when` block belongs to the runs it names.",
        example: "variants idempotent plain",
        ..WORD
    },
    Word {
        name: "cluster",
        place: Place::Head,
        props: &[
            prop("brokers", Kind::Count, "how many, with the node ids 1, 2, 3 … (3)"),
            prop("controllers", Kind::Count, "how many, with the node ids 100, 101 … (1)"),
            prop("seed", Kind::Count, "the root of every random draw (0)"),
            prop("latency", Kind::Time, "how long each message between nodes takes (0s)"),
            prop("jitter", Kind::Time, "how much longer it may take, drawn evenly (0s)"),
        ],
        block: Some(Place::Cluster),
        doc: "What the cluster is made of. Without it: three brokers, one controller.",
        example: "cluster brokers=3 latency=1ms",
        ..WORD
    },
    Word {
        name: "broker",
        place: Place::Cluster,
        args: &[arg("broker", Kind::Node)],
        props: &[prop("rack", Kind::Text, "its `broker.rack`")],
        doc: "Something about one broker.",
        example: "cluster brokers=2 {\n    broker 1 rack=a\n    broker 2 rack=b\n}",
        ..WORD
    },
    Word {
        name: "era",
        place: Place::Head,
        args: &[some("switch", Kind::Text)],
        doc: "Brings single rules of older releases back, or takes newer ones: `NAME`, `NAME=on` or `NAME=off` in quotes. The \
              switches are listed in [Kafka's releases](kafka-versions.md).",
        example: "era truncate_to_hw \"elr=off\"",
        ..WORD
    },
    Word {
        name: "config",
        place: Place::Head,
        configs: true,
        doc: "Server properties of every node, by Kafka's names.",
        example: "config min.insync.replicas=2 unclean.leader.election.enable=#true",
        ..WORD
    },
    Word {
        name: "topic",
        place: Place::Head,
        args: &[arg("name", Kind::Name)],
        props: &[
            prop("partitions", Kind::Count, "how many (1)"),
            prop("replication-factor", Kind::Count, "how many replicas each has, placed by the controller"),
            prop("replicas", Kind::Nodes, "the replicas of each partition, the preferred leader first"),
        ],
        configs: true,
        block: Some(Place::Topic),
        doc: "A topic that is there when the steps begin. Without replicas, every broker has one of each partition, in the \
              order of node ids. Properties with a dot are the topic's configuration.",
        example: "topic t replicas=\"1,2,3\" min.insync.replicas=2",
    },
    Word {
        name: "partition",
        place: Place::Topic,
        args: &[arg("index", Kind::Count)],
        props: &[prop("replicas", Kind::Nodes, "its replicas, the preferred leader first")],
        doc: "One partition's replicas.",
        example: "topic t {\n    partition 0 replicas=\"1,2\"\n    partition 1 replicas=\"2,3\"\n}",
        ..WORD
    },
    Word {
        name: "producer",
        place: Place::Head,
        args: &[arg("name", Kind::Name)],
        props: &[
            prop("acks", Kind::Acks, "`acks` (all)"),
            prop("idempotence", Kind::Flag, "`enable.idempotence` (#true with acks=all, else #false)"),
            prop("retries", Kind::Count, "how often a send is tried again after a retriable error (0)"),
            prop("retry-backoff", Kind::Time, "`retry.backoff.ms` (100ms)"),
            prop("request-timeout", Kind::Time, "`request.timeout.ms` (30s)"),
            prop("delivery-timeout", Kind::Time, "`delivery.timeout.ms` (2m)"),
            prop("transactional-id", Kind::Text, "`transactional.id`: it sends in transactions"),
            prop("transaction-timeout", Kind::Time, "`transaction.timeout.ms` (1m)"),
            prop(
                "transaction-version",
                Kind::Count,
                "the protocol of its transactions: 2 (KIP-890), or 1 as clients before 4.0 have it (2 from release 4.0 on)",
            ),
        ],
        doc: "A producer that is told step by step what to send. It tries once unless `retries` says otherwise, so that each \
              error can be seen.",
        example: "producer p acks=1",
        ..WORD
    },
    Word {
        name: "consumer",
        place: Place::Head,
        args: &[arg("name", Kind::Name)],
        props: &[
            prop(
                "isolation",
                Kind::Text,
                "`isolation.level`: read_uncommitted or read_committed (read_uncommitted)",
            ),
            prop("rack", Kind::Text, "`client.rack`"),
            prop("reset", Kind::Text, "`auto.offset.reset`: latest, earliest or none (latest)"),
            prop("group", Kind::Text, "`group.id`"),
            prop("instance", Kind::Text, "`group.instance.id`"),
            prop("protocol", Kind::Text, "`group.protocol`: classic or consumer (classic)"),
            prop(
                "session-timeout",
                Kind::Time,
                "`session.timeout.ms` (45s); with protocol=consumer it is the broker's",
            ),
            prop(
                "heartbeat",
                Kind::Time,
                "`heartbeat.interval.ms` (3s); with protocol=consumer it is the broker's",
            ),
            prop("max-poll-interval", Kind::Time, "`max.poll.interval.ms` (5m)"),
            prop(
                "assignor",
                Kind::Text,
                "range or cooperative-sticky (range); with protocol=consumer `group.remote.assignor`: uniform or range (uniform)",
            ),
            prop("request-timeout", Kind::Time, "`request.timeout.ms` (30s)"),
        ],
        doc: "A consumer that is told step by step what to do. `consume` has it send nothing but fetches, so that each error can be seen; \
              with `assign`, `subscribe` and `poll` it behaves as Kafka's consumer.",
        example: "consumer c",
        ..WORD
    },
    Word {
        name: "note",
        args: &[any("prose", Kind::Text)],
        doc: "Prose. It stands in every report. A line of nothing but a quoted text is a note as well.",
        example: "note \"Nobody has fetched the two records yet.\"\n\"And nobody will.\"",
        ..WORD
    },
];
