//! S13: one broker writes in a leader epoch.

use klamm_node::NodeId;

use super::ghost::Partition;
use super::mirror::Entry;
use super::report::{Invariant, Report, When};

pub(super) const S13: Invariant = Invariant {
    id: "S13",
    name: "SingleWriterPerEpoch",
    statement: "at most one broker ever appends a client's records to a partition in one leader epoch",
    when: When::Event,
};

/// A leader appended.
pub(super) fn wrote(partition: &mut Partition, node: NodeId, entries: &[Entry], report: &mut Report) {
    for entry in entries {
        let first = *partition.writers.entry(entry.epoch).or_insert(node);
        if first != node {
            let what = format!(
                "{node} appended offset {} in epoch {}, in which {first} had written",
                entry.base, entry.epoch
            );
            report.violation(S13, &partition.name, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, LEADER, entry, found, healthy};

    #[test]
    fn a_second_writer_is_found() {
        let mut partition = healthy();
        assert!(found(|report| wrote(&mut partition, LEADER, &[entry(10, 10, 0)], report)).is_empty());
        assert!(found(|report| wrote(&mut partition, FOLLOWER, &[entry(10, 10, 1)], report)).is_empty());
        assert_eq!(found(|report| wrote(&mut partition, LEADER, &[entry(11, 11, 1)], report)), ["S13"]);
    }
}
