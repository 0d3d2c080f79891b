//! Words for consumers of share groups.

use super::{Kind, Place, WORD, Word, any, arg, optional, prop, some};

pub(super) const WORDS: &[Word] = &[
    Word {
        name: "share-consumer",
        place: Place::Head,
        args: &[arg("name", Kind::Name)],
        props: &[prop("group", Kind::Text, "`group.id` (required)")],
        doc: "A consumer of a share group (KIP-932) that is told step by step what to do. Its name is its member id. It sends a heartbeat with \
              each of its steps, and none between them.",
        example: "share-consumer s group=work",
        ..WORD
    },
    Word {
        name: "share-join",
        args: &[arg("share-consumer", Kind::Name), some("topic", Kind::Name)],
        props: &[
            prop("error", Kind::Error, "the result must be this (NONE)"),
            prop("within", Kind::Time, "how long it may take (60s)"),
        ],
        doc: "Joins its share group for these topics, and waits until it may read a partition. A new group begins where the log ends when somebody \
              first asks for records.",
        example: "share-consumer s group=work\nshare-join s t",
        ..WORD
    },
    Word {
        name: "share-poll",
        args: &[arg("share-consumer", Kind::Name), optional("partition", Kind::Partition)],
        props: &[prop("error", Kind::Error, "the result must be this (NONE)")],
        doc: "Asks a partition's leader for records. Those that it is given are its own until it acknowledges them or their lock expires \
              (`group.share.record.lock.duration.ms`).",
        example: "share-consumer s group=work\nshare-join s t\nshare-poll s\nproduce p a b\nshare-poll s\nexpect { acquired s a b deliveries=1; }",
        ..WORD
    },
    Word {
        name: "acknowledge",
        args: &[arg("share-consumer", Kind::Name), arg("how", Kind::Text), any("record", Kind::Text)],
        props: &[prop("error", Kind::Error, "the result must be this (NONE)")],
        doc: "Says what became of records that it was given, of all of them when none is named: `accept` (done), `release` (somebody may try \
              again), `reject` (nobody shall). With `renew` it keeps them, and their locks begin anew.",
        example: "share-consumer s group=work\nshare-join s t\nshare-poll s\nproduce p a b\nshare-poll s\nacknowledge s accept a\nacknowledge s release b",
        ..WORD
    },
    Word {
        name: "share-leave",
        args: &[arg("share-consumer", Kind::Name)],
        props: &[prop("error", Kind::Error, "the result must be this (NONE)")],
        doc: "Leaves its share group in order.",
        example: "share-consumer s group=work\nshare-join s t\nshare-leave s",
        ..WORD
    },
    Word {
        name: "acquired",
        place: Place::Expect,
        args: &[arg("share-consumer", Kind::Name), any("record", Kind::Text)],
        props: &[
            prop("of", Kind::Partition, "the partition; may be left out where the file has only one"),
            prop("deliveries", Kind::Count, "how often each was delivered, to whomever"),
        ],
        doc: "The records that a consumer of a share group was given and has not acknowledged, in order of their offsets.",
        example: "share-consumer s group=work\nshare-join s t\nshare-poll s\nproduce p a\nshare-poll s\nexpect { acquired s a deliveries=1; }",
        ..WORD
    },
];
