//! T9: offsets that are part of a transaction.

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::TopicPartition;
use klamm_wire::StrBytes;

use super::report::{Invariant, Report, When};

pub(super) const T9: Invariant = Invariant {
    id: "T9",
    name: "TransactionalOffsets",
    statement: "a group's offsets that are part of a transaction are told once it is committed and never else, none while it is open where stable ones are \
                asked for; and what a transactional producer reads is in its committed transactions at most once",
    when: When::Event,
};

/// An offset that is in the log; `None` for one that is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) group: StrBytes,
    pub(super) partition: TopicPartition,
    pub(super) offset: Option<i64>,
}

/// What an OffsetFetch asked, and what was so then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) group: StrBytes,
    stable: bool,
    visible: BTreeMap<TopicPartition, i64>,
    pending: BTreeSet<TopicPartition>,
}

/// The offsets of groups.
#[derive(Debug, Clone, Default)]
pub(super) struct Offsets {
    /// The offset, and where its record is: a later record counts, even one of a transaction that ends earlier.
    visible: BTreeMap<(StrBytes, TopicPartition), (i64, i64)>,
    /// Of open transactions, by partition and producer.
    pending: BTreeMap<(usize, i64), Vec<(i64, Commit)>>,
    /// Groups with offsets that were part of a transaction; of others this says nothing.
    groups: BTreeSet<StrBytes>,
    /// What was read by committed transactions of each transactional id.
    processed: BTreeSet<(StrBytes, i32, u64)>,
}

impl Offsets {
    /// Offsets are committed in the log, as part of a producer's transaction or not.
    pub(super) fn written(&mut self, index: usize, producer: Option<i64>, at: i64, commits: &[Commit]) {
        for commit in commits {
            match producer {
                Some(producer) => {
                    self.groups.insert(commit.group.clone());
                    self.pending.entry((index, producer)).or_default().push((at, commit.clone()));
                }
                None => self.apply(at, commit),
            }
        }
    }

    fn apply(&mut self, at: i64, commit: &Commit) {
        let key = (commit.group.clone(), commit.partition.clone());
        match commit.offset {
            None => drop(self.visible.remove(&key)),
            Some(offset) => {
                let now = self.visible.entry(key).or_insert((offset, at));
                if now.1 <= at {
                    *now = (offset, at);
                }
            }
        }
    }

    /// A producer's transaction ended in a partition of `__consumer_offsets`.
    pub(super) fn ended(&mut self, index: usize, producer: i64, commit: bool) {
        let pending = self.pending.remove(&(index, producer)).unwrap_or_default();
        if commit {
            pending.iter().for_each(|(at, offset)| self.apply(*at, offset));
        }
    }

    /// A committed transaction was made of what was read.
    pub(super) fn processed(
        &mut self,
        id: &StrBytes,
        partition: &TopicPartition,
        read: &[(i32, u64)],
        report: &mut Report,
    ) {
        for (from, offset) in read {
            if !self.processed.insert((id.clone(), *from, *offset)) {
                let what =
                    format!("what {id} read at offset {offset} of partition {from} is committed twice");
                report.violation(T9, partition, what);
            }
        }
    }

    /// An OffsetFetch reached the coordinator.
    pub(super) fn asked(&self, group: &StrBytes, stable: bool) -> Asked {
        let of_group = |(key, (offset, _)): (&(StrBytes, TopicPartition), &(i64, i64))| {
            (key.0 == *group).then(|| (key.1.clone(), *offset))
        };
        let visible = self.visible.iter().filter_map(of_group).collect();
        let pending = self.pending.values().flatten().filter(|(_, commit)| commit.group == *group);
        let pending = pending.map(|(_, commit)| commit.partition.clone()).collect();
        Asked { group: group.clone(), stable, visible, pending }
    }

    /// It is answered: an offset, -1 for none.
    pub(super) fn told(&self, asked: &Asked, partition: &TopicPartition, offset: i64, report: &mut Report) {
        if !self.groups.contains(&asked.group) {
            return;
        }
        let now = self.asked(&asked.group, asked.stable);
        let visible = |asked: &Asked| asked.visible.get(partition).copied().unwrap_or(-1);
        if offset != visible(&now) && offset != visible(asked) {
            let what = format!("{partition} is told as {offset}, and is {}", visible(&now));
            report.violation(T9, &asked.group, what);
        }
        if asked.stable && asked.pending.contains(partition) && now.pending.contains(partition) {
            let what = format!("{partition} is told as {offset} while a transaction that changes it is open");
            report.violation(T9, &asked.group, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::found;

    fn here() -> TopicPartition {
        TopicPartition::new("t", 0)
    }

    fn group() -> StrBytes {
        StrBytes::from_static_str("g")
    }

    fn commit(offset: i64) -> Commit {
        Commit { group: group(), partition: here(), offset: Some(offset) }
    }

    #[test]
    fn offsets_of_open_or_aborted_transactions_are_found() {
        let mut offsets = Offsets::default();
        let told = |offsets: &Offsets, offset, stable| {
            let asked = offsets.asked(&group(), stable);
            found(|report| offsets.told(&asked, &here(), offset, report))
        };
        offsets.written(0, None, 0, &[commit(3)]);
        assert!(told(&offsets, 3, true).is_empty());
        offsets.written(0, Some(7), 1, &[commit(5)]);
        assert!(told(&offsets, 3, false).is_empty());
        assert_eq!(told(&offsets, 3, true), ["T9"], "a transaction is open");
        assert_eq!(told(&offsets, 5, false), ["T9"]);
        let mut aborted = offsets.clone();
        aborted.ended(0, 7, false);
        assert!(told(&aborted, 3, true).is_empty());
        assert_eq!(told(&aborted, 5, true), ["T9"]);
        offsets.ended(0, 7, true);
        assert!(told(&offsets, 5, true).is_empty());
        assert_eq!(told(&offsets, 3, true), ["T9"]);
        offsets.written(0, Some(7), 2, &[commit(6)]);
        offsets.written(0, None, 3, &[commit(4)]);
        offsets.ended(0, 7, true);
        assert!(told(&offsets, 4, true).is_empty(), "the later record counts");
    }

    #[test]
    fn what_is_processed_twice_is_found() {
        let mut offsets = Offsets::default();
        let mut process =
            |read: &[(i32, u64)]| found(|report| offsets.processed(&group(), &here(), read, report));
        assert!(process(&[(0, 1), (0, 2)]).is_empty() && process(&[(1, 1)]).is_empty());
        assert_eq!(process(&[(0, 2)]), ["T9"]);
    }
}
