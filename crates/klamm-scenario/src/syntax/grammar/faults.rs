//! Words that make something go wrong.

use super::{Kind, Place, Prop, WORD, Word, any, arg, optional, prop, some};

const AS: Prop = prop("as", Kind::Name, "its name, for `heal` and `fired`");
const MAY_NOT_FIRE: Prop =
    prop("may-not-fire", Kind::Flag, "it is no failure that the fault never fires (#false)");

pub(super) const WORDS: &[Word] = &[
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
        doc: "Stops nodes in order. A broker hands its leaderships over first (controlled shutdown); the step waits for its end.",
        example: "stop 1",
        ..WORD
    },
    Word {
        name: "begin-stop",
        args: &[some("node", Kind::Node)],
        doc: "As `stop`, but does not wait for the end.",
        example: "begin-stop 1",
        ..WORD
    },
    Word {
        name: "restart",
        args: &[some("node", Kind::Node)],
        doc: "Stops nodes in order, and starts them again.",
        example: "restart 2",
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
        props: &[prop(
            "keeps",
            Kind::Text,
            "nothing or everything of what was not flushed, where the block does not say",
        )],
        block: Some(Place::PowerLoss),
        doc: "Cuts the power of nodes. What they had flushed stays; of the rest what is said here, else a part that is drawn from \
              the seed.",
        example: "power-loss 2 {\n    keeps t-0 below=0\n}",
        ..WORD
    },
    Word {
        name: "keeps",
        place: Place::PowerLoss,
        args: &[arg("partition", Kind::Partition)],
        props: &[
            prop("below", Kind::Count, "the first offset that is lost"),
            prop("torn-bytes", Kind::Count, "so many bytes of the batch behind stay too: a torn write"),
        ],
        doc: "What a power loss leaves of a partition: the records below an offset.",
        example: "produce p a b c\npower-loss 2 {\n    keeps t-0 below=2 torn-bytes=20\n}",
        ..WORD
    },
    Word {
        name: "pause",
        args: &[some("node", Kind::Node)],
        doc: "Stops the processes of nodes as SIGSTOP does: their connections stay open, nothing moves. Zombies.",
        example: "pause 1",
        ..WORD
    },
    Word {
        name: "resume",
        args: &[some("node", Kind::Node)],
        doc: "Lets paused nodes go on; everything that waited for them arrives.",
        example: "pause 1\nadvance 20s\nresume 1",
        ..WORD
    },
    Word {
        name: "fence",
        args: &[arg("broker", Kind::Node)],
        props: &[AS],
        doc: "The controller fences a broker, and hears none of its heartbeats until this is healed.",
        example: "fence 3 as=fenced\nadvance 5s\nheal fenced",
        ..WORD
    },
    Word {
        name: "expire-session",
        args: &[arg("broker", Kind::Node)],
        doc: "The controller finds a broker's session expired, once: it fences it; the next heartbeat may unfence it.",
        example: "expire-session 3",
        ..WORD
    },
    Word {
        name: "slow",
        args: &[arg("node", Kind::Node)],
        props: &[prop("by", Kind::Time, "how much longer each of its steps takes"), AS],
        doc: "A slow machine, until healed.",
        example: "slow 2 by=50ms",
        ..WORD
    },
    Word {
        name: "skew",
        args: &[arg("node", Kind::Node)],
        props: &[
            prop("ahead", Kind::Time, "how far its wall clock is set ahead"),
            prop("behind", Kind::Time, "how far its wall clock is set behind"),
            AS,
        ],
        doc: "Sets a node's wall clock off; healed, it is right again.",
        example: "skew 2 ahead=1h",
        ..WORD
    },
    Word {
        name: "jump",
        args: &[arg("node", Kind::Node)],
        props: &[prop("by", Kind::Time, "how far")],
        doc: "A node's monotonic clock jumps ahead, as after its machine was suspended.",
        example: "jump 2 by=10s",
        ..WORD
    },
    Word {
        name: "drift",
        args: &[arg("node", Kind::Node)],
        props: &[
            prop("ppm", Kind::Int, "millionths that its clocks are too fast; negative for too slow"),
            AS,
        ],
        doc: "A node's clocks run too fast or too slow, until healed.",
        example: "drift 2 ppm=1000",
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
        doc: "Changes how messages travel between two nodes, for good.",
        example: "link 1 2 latency=20ms jitter=5ms",
        ..WORD
    },
    Word {
        name: "cut",
        args: &[arg("from", Kind::Peer), some("to", Kind::Peer)],
        props: &[
            prop("one-way", Kind::Flag, "only from the first to the others (#false)"),
            prop("messages", Kind::Text, "only requests, or only answers"),
            prop(
                "lost",
                Kind::Flag,
                "messages are gone for good; else they wait until it is healed (#false)",
            ),
            AS,
            MAY_NOT_FIRE,
        ],
        doc: "Messages do not get through between the first and each of the others, and nobody is told. A peer is a node's id, \
              `clients`, or `anyone`.",
        example: "cut 1 100\nadvance 10s\nheal",
        ..WORD
    },
    Word {
        name: "partition-network",
        args: &[some("group", Kind::Nodes)],
        props: &[
            prop(
                "lost",
                Kind::Flag,
                "messages are gone for good; else they wait until it is healed (#false)",
            ),
            AS,
            MAY_NOT_FIRE,
        ],
        doc: "Nothing gets from one group of nodes to another.",
        example: "partition-network \"1,100\" \"2,3\" as=split\nadvance 5s\nheal split",
        ..WORD
    },
    Word {
        name: "delay-link",
        args: &[arg("from", Kind::Peer), arg("to", Kind::Peer)],
        props: &[
            prop("latency", Kind::Time, "how much longer each message takes"),
            prop("jitter", Kind::Time, "how much longer each may take, drawn evenly"),
            prop("bytes-per-second", Kind::Count, "how much gets through"),
            prop("one-way", Kind::Flag, "only from the first to the second (#false)"),
            AS,
            MAY_NOT_FIRE,
        ],
        doc: "A slow link, until healed: one of latency, jitter and bytes-per-second.",
        example: "delay-link 1 2 latency=20ms",
        ..WORD
    },
    Word {
        name: "reset",
        args: &[arg("from", Kind::Peer), arg("to", Kind::Peer)],
        props: &[MAY_NOT_FIRE],
        doc: "Every connection between the two is reset, once; both are told.",
        example: "reset 1 2",
        ..WORD
    },
    Word {
        name: "hold-fetches",
        args: &[some("follower", Kind::Node)],
        props: &[MAY_NOT_FIRE],
        doc: "The fetches that these brokers send to leaders wait on their way until `release-fetches`. A fetch that the \
              leader has already is answered as ever: let a second pass first. Heartbeats and metadata flow on.",
        example: "hold-fetches 2 3\nadvance 1s\nproducer q acks=1\nproduce q a\nrelease-fetches 2 3",
        ..WORD
    },
    Word {
        name: "release-fetches",
        args: &[any("follower", Kind::Node)],
        doc: "Lets held fetches go; of all brokers, when none is named.",
        example: "hold-fetches 2\nadvance 1s\nrelease-fetches",
        ..WORD
    },
    Word {
        name: "fault",
        args: &[optional("api", Kind::Text)],
        props: &[
            prop("from", Kind::Text, "from `clients`, `nodes` or one node"),
            prop("to", Kind::Node, "to this node"),
            prop("client", Kind::Name, "with this client.id"),
            prop("topic", Kind::Name, "about this topic"),
            prop("of", Kind::Partition, "about this partition"),
            prop("nth", Kind::Count, "only the nth that fits"),
            prop("skip", Kind::Count, "so many that fit pass first"),
            prop("first", Kind::Count, "so many are hit (all)"),
            prop("chance", Kind::Share, "each is hit with this chance"),
            prop("do", Kind::Text, "drop, drop-answer, hold, hold-answer, close-before or close-after"),
            prop("answer", Kind::Error, "it is not handled, and answered with this error"),
            prop("delay", Kind::Time, "it arrives so much later"),
            prop("delay-answer", Kind::Time, "its answer leaves so much later"),
            prop(
                "truncate",
                Kind::Count,
                "only so many bytes of its answer arrive; then its connection is closed",
            ),
            prop("corrupt", Kind::Count, "this byte of its answer is flipped"),
            prop("throttle", Kind::Time, "its answer says that the client was throttled for so long"),
            AS,
            MAY_NOT_FIRE,
        ],
        doc: "Something happens to requests that fit all that is said: exactly one of do, answer, delay, delay-answer, truncate, \
              corrupt and throttle. The API is named as Kafka does: Produce, Fetch, AlterPartition; none is any.",
        example: "fault Produce to=1 nth=1 do=drop-answer as=lost-ack\nsend p a\nadvance 1s\nheal lost-ack",
        ..WORD
    },
    Word {
        name: "disk",
        args: &[arg("node", Kind::Node)],
        props: &[
            prop("full", Kind::Flag, "writes fail for want of room"),
            prop("after-bytes", Kind::Count, "with full: only after so many bytes more"),
            prop("error", Kind::Text, "this fails: read, write or flush"),
            prop("times", Kind::Count, "with error: so often"),
            prop("slow", Kind::Time, "an operation takes so much longer"),
            prop("on", Kind::Text, "with slow: read, write or flush"),
            prop("lost", Kind::Flag, "the directory cannot be reached"),
            prop("rot", Kind::Count, "bits of the batch that holds this offset of the partition are flipped"),
            prop("byte", Kind::Count, "with rot: which byte of the batch (61, the first behind its header)"),
            prop("mask", Kind::Count, "with rot: which bits (255)"),
            prop("of", Kind::Partition, "only the files of this partition"),
            prop("path", Kind::Text, "only this file, or files under this directory"),
            AS,
            MAY_NOT_FIRE,
        ],
        doc: "Something happens to a node's disk, until healed: exactly one of full, error, slow, lost and rot.",
        example: "disk 1 full=#true as=full\nproducer q acks=1\nproduce q a error=KAFKA_STORAGE_ERROR",
        ..WORD
    },
    Word {
        name: "move-leader",
        args: &[arg("partition", Kind::Partition), arg("to", Kind::Node)],
        doc: "The controller makes another in-sync replica the leader, now.",
        example: "move-leader t-0 2",
        ..WORD
    },
    Word {
        name: "hold-isr",
        args: &[arg("partition", Kind::Partition)],
        props: &[AS, MAY_NOT_FIRE],
        doc: "The partition's ISR stays as it is, until healed: its leader's proposals do not reach the controller.",
        example: "hold-isr t-0 as=held may-not-fire=#true\nadvance 1s\nheal held",
        ..WORD
    },
    Word {
        name: "set-isr",
        args: &[arg("partition", Kind::Partition), arg("isr", Kind::Nodes)],
        doc: "The controller sets a partition's ISR, whatever the replicas hold.",
        example: "set-isr t-0 \"1,2\"",
        ..WORD
    },
    Word {
        name: "roll",
        args: &[arg("partition", Kind::Partition)],
        doc: "Every broker that holds the partition begins a new segment of its log, unless the last one is empty.",
        example: "produce p a\nroll t-0",
        ..WORD
    },
    Word {
        name: "apply-retention",
        args: &[arg("partition", Kind::Partition)],
        doc: "Every broker that holds the partition deletes at once what retention lets go.",
        example: "apply-retention t-0",
        ..WORD
    },
    Word {
        name: "compact",
        args: &[arg("partition", Kind::Partition)],
        doc: "Every broker that holds the partition, which must be of a compacted topic, compacts its log but for the last segment, \
              however little of it is dirty.",
        example: "alter-config t cleanup.policy=compact\nproduce p a key=k\nproduce p b key=k\nroll t-0\ncompact t-0\nexpect { log 1 \"b@0\"; }",
        ..WORD
    },
    Word {
        name: "move-coordinator",
        args: &[arg("group", Kind::Text), arg("to", Kind::Node)],
        doc: "The controller makes another broker a group's coordinator, now.",
        example: "consumer m group=g\nsubscribe m t\npoll m within=10s\nmove-coordinator g 2",
        ..WORD
    },
    Word {
        name: "force-rebalance",
        args: &[arg("group", Kind::Text)],
        doc: "A group's coordinator begins a rebalance.",
        example: "consumer m group=g\nsubscribe m t\npoll m within=10s\nforce-rebalance g",
        ..WORD
    },
    Word {
        name: "expire-member",
        args: &[arg("group", Kind::Text), arg("member", Kind::Text)],
        doc: "A group's coordinator finds a member's session expired. The member goes by its id or its client.id.",
        example: "consumer m group=g\nsubscribe m t\npoll m within=10s\nexpire-member g m",
        ..WORD
    },
    Word {
        name: "breakpoint",
        args: &[arg("name", Kind::Name), arg("point", Kind::Text)],
        props: &[
            prop("node", Kind::Node, "on this node only"),
            prop("of", Kind::Partition, "for this partition only"),
            prop("nth", Kind::Count, "the nth arrival (1)"),
            MAY_NOT_FIRE,
        ],
        doc: "Holds a node at a named point until `heal`: after_append_before_ack, after_hw_advance_before_purgatory, \
              alterpartition_inflight, alterpartition_answer_inflight, between_truncate_and_fetch, follower_fetch_answer_inflight, \
              after_metadata_append_before_replication.",
        example: "breakpoint held after_append_before_ack node=1\nsend p a\nawait-fired held\nheal held",
        ..WORD
    },
    Word {
        name: "await-fired",
        args: &[arg("fault", Kind::Name)],
        props: &[
            prop("times", Kind::Count, "so often in all (1)"),
            prop("within", Kind::Time, "how long it may take (60s)"),
        ],
        doc: "Lets time pass until a fault or breakpoint has fired.",
        example: "fault Produce nth=1 delay=1s as=late\nsend p a\nawait-fired late\nawait p a",
        ..WORD
    },
    Word {
        name: "heal",
        args: &[any("fault", Kind::Name)],
        doc: "Ends faults, and lets go what they hold; all of them, when none is named.",
        example: "cut 1 2 as=cable\nadvance 1s\nheal cable",
        ..WORD
    },
];
