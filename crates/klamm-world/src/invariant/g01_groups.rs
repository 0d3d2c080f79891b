//! G1 to G3: groups.

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::StrBytes;

use super::report::{Invariant, Report, When};

pub(super) const G1: Invariant = Invariant {
    id: "G1",
    name: "OneOwner",
    statement: "within a generation, a partition is assigned to at most one member of a group",
    when: When::Event,
};

pub(super) const G2: Invariant = Invariant {
    id: "G2",
    name: "GenerationMonotone",
    statement: "a group's generation does not go back while one coordinator has it, and not below what it gave to a member",
    when: When::Event,
};

pub(super) const G3: Invariant = Invariant {
    id: "G3",
    name: "CommitByMember",
    statement: "a commit that is accepted came from a member of the present generation",
    when: When::Event,
};

/// What the checker remembers of groups.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    /// The owners of (group, generation, topic, partition), by member.
    owners: BTreeMap<(StrBytes, i32), BTreeMap<(StrBytes, i32), StrBytes>>,
    /// The generation in which each group's last member joined, and the members that learnt of it.
    generations: BTreeMap<StrBytes, (i32, BTreeSet<StrBytes>)>,
}

impl Groups {
    /// A member was answered its assignment.
    pub(super) fn assigned(
        &mut self,
        group: &StrBytes,
        generation: i32,
        member: &StrBytes,
        partitions: impl IntoIterator<Item = (StrBytes, i32)>,
        report: &mut Report,
    ) {
        let owners = self.owners.entry((group.clone(), generation)).or_default();
        for partition in partitions {
            let owner = owners.entry(partition.clone()).or_insert_with(|| member.clone());
            if owner != member {
                let what = format!(
                    "generation {generation} gave {}-{} to {owner} and to {member}",
                    partition.0, partition.1
                );
                report.violation(G1, group, what);
            }
        }
        while self.owners.len() > 64 {
            self.owners.pop_first();
        }
    }

    /// A member was told that it joined a generation.
    pub(super) fn joined(
        &mut self,
        group: &StrBytes,
        generation: i32,
        member: &StrBytes,
        report: &mut Report,
    ) {
        let (last, members) = self.generations.entry(group.clone()).or_default();
        if generation < *last {
            report.violation(
                G2,
                group,
                format!("{member} joined generation {generation} after generation {last}"),
            );
        }
        if generation > *last {
            *last = generation;
            members.clear();
        }
        members.insert(member.clone());
    }

    /// A commit of a member in a generation was accepted. Commits without a group's protocol have generation -1.
    pub(super) fn committed(
        &self,
        group: &StrBytes,
        generation: i32,
        member: &StrBytes,
        report: &mut Report,
    ) {
        if generation < 0 {
            return;
        }
        match self.generations.get(group) {
            Some((current, members)) if *current == generation && members.contains(member) => {}
            Some((current, _)) if *current == generation => {
                report.violation(
                    G3,
                    group,
                    format!("{member} committed in generation {generation}, which it has not joined"),
                );
            }
            current => {
                let current = current.map(|(generation, _)| *generation);
                let what = format!(
                    "{member} committed in generation {generation}, and the generation is {current:?}"
                );
                report.violation(G3, group, what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::found;

    fn name(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    #[test]
    fn two_owners_of_one_partition_are_found() {
        let mut groups = Groups::default();
        let mut assign = |generation, member, partition| {
            found(|report| {
                groups.assigned(&name("g"), generation, &name(member), [(name("t"), partition)], report)
            })
        };
        assert!(assign(1, "a", 0).is_empty() && assign(1, "a", 0).is_empty());
        assert!(assign(1, "b", 1).is_empty() && assign(2, "b", 0).is_empty());
        assert_eq!(assign(1, "b", 0), ["G1"]);
    }

    #[test]
    fn a_generation_that_goes_back_and_a_commit_of_an_old_one_are_found() {
        let mut groups = Groups::default();
        assert!(found(|report| groups.joined(&name("g"), 2, &name("a"), report)).is_empty());
        assert!(found(|report| groups.committed(&name("g"), 2, &name("a"), report)).is_empty());
        assert!(found(|report| groups.committed(&name("g"), -1, &name(""), report)).is_empty());
        assert_eq!(found(|report| groups.committed(&name("g"), 1, &name("a"), report)), ["G3"]);
        assert_eq!(found(|report| groups.committed(&name("g"), 2, &name("b"), report)), ["G3"]);
        assert_eq!(found(|report| groups.joined(&name("g"), 1, &name("a"), report)), ["G2"]);
    }
}
