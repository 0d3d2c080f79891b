//! Differences that are meant: each is told in `docs/differences.md`.

use crate::transcript::Difference;

/// A step in which klamm is meant to answer differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The subject.
    pub subject: &'static str,
    /// The step's label.
    pub label: &'static str,
    /// Why.
    pub reason: &'static str,
}

const fn known(subject: &'static str, label: &'static str, reason: &'static str) -> Known {
    Known { subject, label, reason }
}

const NO_SIZE: &str = "a log directory in memory has no size";

const NO_GROUP: &str = "a commit of which nothing is accepted leaves no group behind; in Kafka it does";

const OLD_ASSIGNMENT: &str = "Kafka 4.3.1 leaves the assignment epoch behind; 4.4 answers as klamm does";

const NAMED_TWICE: &str = "a group that is named twice is answered once";

const NEGATIVE_SIZE: &str = "klamm takes a negative size for none; in Kafka an exception escapes";

const NO_SHARD: &str = "no part of Kafka's cache holds such a session id, and an exception escapes";

const REGEX: &str = "what is wrong with a regular expression is told in the words of another library";

/// Every one of them. One that no longer differs fails the comparison, so that the list stays true.
pub const KNOWN: &[Known] = &[
    known("cluster", "the log directory's partitions", NO_SIZE),
    known("cluster", "partitions of no topic", NO_SIZE),
    known("cluster", "no partitions", NO_SIZE),
    known("cluster", "every partition", NO_SIZE),
    known(
        "metadata",
        "partitions: an invalid name",
        "Kafka 4.3.1 fails with an exception; 4.4 answers as klamm does",
    ),
    known(
        "create_partitions",
        "a huge number",
        "the controller's bound has a reason; in Kafka an exception escapes",
    ),
    known("configs", "broker loggers", "klamm's brokers have no loggers of their own"),
    known(
        "configs",
        "validate: an unknown operation",
        "klamm says what is wrong; in Kafka an exception escapes",
    ),
    known(
        "configs",
        "validate brokers: a key of one broker only, everywhere",
        "listeners follow from the cluster's shape and cannot be set",
    ),
    known("quotas", "request time", "no time passes in a request, so no share of it can be kept to"),
    known("produce", "no records (null)", "Kafka never answers"),
    known("consumer_groups", "described when empty", OLD_ASSIGNMENT),
    known("consumer_groups", "enter: a regular expression that is none", REGEX),
    known("consumer_groups", "beat: a regular expression that is none", REGEX),
    known(
        "consumer_groups",
        "a classic member joins",
        "klamm refuses bytes that are no subscription; in Kafka an exception escapes",
    ),
    known("consumer_groups", "described twice", NAMED_TWICE),
    known("share_groups", "described twice", NAMED_TWICE),
    known("share_groups", "described when empty", OLD_ASSIGNMENT),
    known(
        "share_records",
        "unknown: a topic",
        "klamm says that it does not know the topic; in Kafka an exception escapes",
    ),
    known("share_records", "fetch: a negative number of bytes", NEGATIVE_SIZE),
    known("extremes", "fetch: at most -1 bytes", NEGATIVE_SIZE),
    known("extremes", "fetch: at most -2147483648 bytes", NEGATIVE_SIZE),
    known("extremes", "fetch: epoch 1 of session -2147483648", NO_SHARD),
    known("extremes", "fetch: epoch 2147483647 of session 2147483647", NO_SHARD),
    known("transaction_offsets", "commit: an unknown member", NO_GROUP),
    known("transaction_offsets", "commit: an instance id that is unknown", NO_GROUP),
    known("transaction_offsets", "commit: a generation without a member", NO_GROUP),
    known("offsets", "fetch: several groups", NAMED_TWICE),
];

/// What is not meant: the differences that are not known, and those known that are none (their labels).
pub fn unexpected(subject: &str, differences: Vec<Difference>) -> (Vec<Difference>, Vec<&'static str>) {
    let known = || KNOWN.iter().filter(|known| known.subject == subject);
    let stale = known()
        .map(|known| known.label)
        .filter(|label| differences.iter().all(|difference| difference.label != *label))
        .collect();
    let unknown = differences
        .into_iter()
        .filter(|difference| known().all(|known| known.label != difference.label))
        .collect();
    (unknown, stale)
}
