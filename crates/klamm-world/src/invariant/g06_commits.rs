//! G6: what a group was told that it committed stays.

use std::collections::BTreeMap;

use klamm_node::TopicPartition;
use klamm_wire::StrBytes;

use super::report::{Invariant, Report, When};

pub(super) const G6: Invariant = Invariant {
    id: "G6",
    name: "CommitSurvives",
    statement: "an offset whose commit was acknowledged is the group's, over failovers of the coordinator, until another commit replaces it",
    when: When::Event,
};

/// A commit's place among all: the leader epoch of its coordinator, and its turn there.
type Order = (i32, u64);

/// Commits that were asked for, and those that were acknowledged.
#[derive(Debug, Clone, Default)]
pub(super) struct Commits {
    groups: BTreeMap<StrBytes, BTreeMap<TopicPartition, Known>>,
    turns: u64,
}

#[derive(Debug, Clone, Default)]
struct Known {
    /// Whether transactions commit here, which take effect later than they are asked for.
    transactional: bool,
    /// The last that was acknowledged.
    acked: Option<(Order, i64)>,
    /// Those after it, of which that is not known: any may have replaced it.
    open: Vec<(Order, i64)>,
}

impl Commits {
    /// Offsets were lost, and nobody promised to keep them.
    pub(super) fn forget(&mut self) {
        self.groups.clear();
    }

    /// A commit reaches a coordinator; its turn.
    pub(super) fn asked(
        &mut self,
        coordinator: i32,
        group: &StrBytes,
        offsets: &[(TopicPartition, i64)],
    ) -> u64 {
        self.turns += 1;
        let known = self.groups.entry(group.clone()).or_default();
        for (name, offset) in offsets {
            known.entry(name.clone()).or_default().open.push(((coordinator, self.turns), *offset));
        }
        self.turns
    }

    /// Offsets are committed with a transaction.
    pub(super) fn transactional(
        &mut self,
        group: &StrBytes,
        names: impl IntoIterator<Item = TopicPartition>,
    ) {
        let known = self.groups.entry(group.clone()).or_default();
        for name in names {
            known.entry(name).or_default().transactional = true;
        }
    }

    /// It is answered, and these are acknowledged. What is refused may be in the log all the same.
    pub(super) fn answered(
        &mut self,
        order: Order,
        group: &StrBytes,
        offsets: impl IntoIterator<Item = (TopicPartition, i64)>,
    ) {
        let Some(known) = self.groups.get_mut(group) else { return };
        for (name, offset) in offsets {
            let Some(known) = known.get_mut(&name) else { continue };
            if known.acked.is_none_or(|(before, _)| before < order) {
                known.acked = Some((order, offset));
                known.open.retain(|(other, _)| *other > order);
            }
        }
    }

    /// What a coordinator has, against what was acknowledged before its time.
    pub(super) fn check(
        &self,
        group: &StrBytes,
        coordinator: i32,
        has: &BTreeMap<TopicPartition, i64>,
        report: &mut Report,
    ) {
        for (name, known) in self.groups.get(group).into_iter().flatten() {
            let Some((order, acked)) = known.acked.filter(|((by, _), _)| *by <= coordinator) else {
                continue;
            };
            let now = has.get(name);
            let is_known = known.transactional
                || now.is_some_and(|now| *now == acked || known.open.iter().any(|(_, offset)| offset == now));
            if !is_known {
                let what = format!(
                    "coordinator {coordinator} has {now:?} for {name}, and {acked} was acknowledged by coordinator {}",
                    order.0
                );
                report.violation(G6, group, what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::found;

    #[test]
    fn a_commit_that_is_gone_is_found() {
        let (group, name) = (StrBytes::from_static_str("g"), TopicPartition::new("t", 0));
        let mut commits = Commits::default();
        let mut commit = |coordinator, offset, acked| {
            let turn = commits.asked(coordinator, &group, &[(name.clone(), offset)]);
            if acked {
                commits.answered((coordinator, turn), &group, [(name.clone(), offset)]);
            }
            commits.clone()
        };
        let says = |commits: &Commits, coordinator, has: Option<i64>| {
            let has = has.map(|offset| (name.clone(), offset)).into_iter().collect();
            found(|report| commits.check(&group, coordinator, &has, report))
        };
        let open = commit(0, 5, false);
        assert!(says(&open, 0, None).is_empty() && says(&open, 1, Some(5)).is_empty());
        let acked = commit(0, 7, true);
        assert!(says(&acked, 1, Some(7)).is_empty());
        assert_eq!((says(&acked, 1, None), says(&acked, 1, Some(5))), (vec!["G6"], vec!["G6"]));
        let later = commit(1, 9, false);
        assert!(says(&later, 1, Some(7)).is_empty() && says(&later, 2, Some(9)).is_empty());
        let last = commit(1, 11, true);
        assert_eq!(says(&last, 2, Some(9)), ["G6"]);
        assert!(says(&last, 0, None).is_empty(), "a stale coordinator");
        let mut transactional = last.clone();
        transactional.transactional(&group, [name.clone()]);
        assert!(says(&transactional, 2, Some(9)).is_empty(), "nobody knows when it takes effect");
        let mut forgotten = last;
        forgotten.forget();
        assert!(says(&forgotten, 2, None).is_empty());
    }
}
