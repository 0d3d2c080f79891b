//! G1 to G3: groups.

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::StrBytes;

use super::report::{Invariant, Report, When};

pub(super) const G1: Invariant = Invariant {
    id: "G1",
    name: "OneOwner",
    statement: "within a generation, a partition is assigned to at most one member of a group; in a consumer group it has at most one owner at \
                any time",
    when: When::Event,
};

pub(super) const G2: Invariant = Invariant {
    id: "G2",
    name: "GenerationMonotone",
    statement: "a group's generation or epoch does not go back while one coordinator has it, and for the next one not below the last that \
                members were told with an assignment",
    when: When::Event,
};

pub(super) const G3: Invariant = Invariant {
    id: "G3",
    name: "CommitByMember",
    statement: "a commit that is accepted came from a member of the generation that was the coordinator's when it was asked; in a consumer \
                group, from one that was in that epoch, or has had the partition since before it",
    when: When::Event,
};

/// A member of the classic protocol, as it names itself in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) group: StrBytes,
    pub(super) id: StrBytes,
    /// `group.instance.id` of a static member, which keeps its partitions under another member id.
    pub(super) instance: Option<StrBytes>,
}

/// What the checker remembers of groups. A coordinator is known by the leader epoch of its partition of `__consumer_offsets`.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    groups: BTreeMap<StrBytes, Group>,
    /// Whether anything was ever forgotten.
    partial: bool,
}

/// One group.
#[derive(Debug, Clone, Default)]
struct Group {
    /// The owners of (topic, partition) by generation, the last ones.
    owners: BTreeMap<i32, BTreeMap<(StrBytes, i32), StrBytes>>,
    /// The members that were told that they joined a generation, the last ones.
    members: BTreeMap<i32, BTreeSet<StrBytes>>,
    /// The generation of each coordinator, once a member was told that it joined.
    generations: BTreeMap<i32, i32>,
    /// The last generation whose assignment a member was told, which is in the log then; and the coordinator that told.
    assigned: Option<(i32, i32)>,
    /// Each static member's id.
    instances: BTreeMap<StrBytes, StrBytes>,
    /// The first generation that was seen, where it began unseen: others may have joined it.
    partial: Option<i32>,
}

/// How many generations of a group are remembered.
const REMEMBERED: usize = 16;

impl Groups {
    /// Records of `__consumer_offsets` were lost, and nobody promised to keep them: what was known of groups holds no more.
    pub(super) fn forget(&mut self) {
        self.groups.clear();
        self.partial = true;
    }

    fn group(&mut self, name: &StrBytes, generation: i32) -> &mut Group {
        let partial = self.partial.then_some(generation);
        self.groups.entry(name.clone()).or_insert_with(|| Group { partial, ..Group::default() })
    }

    /// A member was answered its assignment by a coordinator.
    pub(super) fn assigned(
        &mut self,
        coordinator: i32,
        generation: i32,
        member: &Member,
        partitions: impl IntoIterator<Item = (StrBytes, i32)>,
        report: &mut Report,
    ) {
        let group = self.group(&member.group, generation);
        let owners = group.owners.entry(generation).or_default();
        let owns = member.instance.as_ref().unwrap_or(&member.id);
        for partition in partitions {
            let owner = owners.entry(partition.clone()).or_insert_with(|| owns.clone());
            if owner != owns {
                let what = format!(
                    "generation {generation} gave {}-{} to {owner} and to {owns}",
                    partition.0, partition.1
                );
                report.violation(G1, &member.group, what);
            }
        }
        while group.owners.len() > REMEMBERED {
            group.owners.pop_first();
        }
        if group.assigned.is_none_or(|(told_by, last)| told_by <= coordinator && last <= generation) {
            group.assigned = Some((coordinator, generation));
        }
    }

    /// A coordinator told a member that it joined a generation.
    pub(super) fn joined(&mut self, coordinator: i32, generation: i32, member: &Member, report: &mut Report) {
        let group = self.group(&member.group, generation);
        let own = group.generations.get(&coordinator).copied();
        let loaded = group.assigned.filter(|(told_by, _)| *told_by < coordinator).map(|(_, last)| last);
        if let Some(last) = own.max(loaded).filter(|last| generation < *last) {
            let what = format!("{} joined generation {generation} after generation {last}", member.id);
            report.violation(G2, &member.group, what);
        }
        let known = group.generations.entry(coordinator).or_insert(generation);
        *known = generation.max(*known);
        group.members.entry(generation).or_default().insert(member.id.clone());
        if let Some(instance) = &member.instance {
            let before = group.instances.insert(instance.clone(), member.id.clone());
            // The coordinator fences who went by that name before.
            if let Some(before) = before.filter(|before| *before != member.id) {
                group.members.values_mut().for_each(|members| _ = members.remove(&before));
            }
        }
        while group.members.len() > REMEMBERED {
            group.members.pop_first();
        }
        while group.generations.len() > REMEMBERED {
            group.generations.pop_first();
        }
    }

    /// A consumer group became a classic one, in a generation that its members did not join: they are in it all the same. A group that was empty is
    /// replaced by a new one, which begins at 0 (`GroupMetadataManager.maybeDeleteEmptyConsumerGroup`).
    pub(super) fn became_classic<'a>(
        &mut self,
        name: &StrBytes,
        generation: i32,
        mut members: impl Iterator<Item = &'a StrBytes>,
    ) {
        let group = self.group(name, generation);
        if let Some((_, last)) = group.assigned.filter(|(_, last)| generation < *last) {
            let told = group.members.get(&last);
            if !members.any(|id| told.is_some_and(|told| told.contains(id))) {
                group.assigned = None;
                group.owners.clear();
                group.members.clear();
            }
        }
        group.partial = Some(generation);
        group.generations.clear();
    }

    /// What would be wrong if a coordinator accepted what a member commits now; `None` when all is well, or when nobody joined the group as far as
    /// is known (then it has another protocol, or none).
    pub(super) fn objection(&self, coordinator: i32, generation: i32, member: &Member) -> Option<String> {
        let group = self.groups.get(&member.group).filter(|_| generation >= 0)?;
        let id = &member.id;
        if group.partial.is_some_and(|first| generation <= first) {
            return None;
        }
        if !group.members.get(&generation).is_some_and(|members| members.contains(id)) {
            return Some(format!("{id} committed in generation {generation}, which it has not joined"));
        }
        let own = group.generations.get(&coordinator);
        let loaded = group.assigned.filter(|(told_by, _)| *told_by < coordinator).map(|(_, last)| last);
        let is_old = match own {
            Some(own) => generation != *own,
            None => loaded.is_some_and(|last| generation < last),
        };
        is_old.then(|| {
            let now = own.copied().or(loaded).unwrap_or_default();
            format!("{id} committed in generation {generation}, and the generation is {now}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::found;

    fn name(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    fn member(id: &'static str) -> Member {
        Member { group: name("g"), id: name(id), instance: None }
    }

    #[test]
    fn two_owners_of_one_partition_are_found() {
        let mut groups = Groups::default();
        let mut assign = |generation, member: &Member, partition| {
            found(|report| groups.assigned(0, generation, member, [(name("t"), partition)], report))
        };
        let (a, b) = (member("a"), member("b"));
        assert!(assign(1, &a, 0).is_empty() && assign(1, &a, 0).is_empty());
        assert!(assign(1, &b, 1).is_empty() && assign(2, &b, 0).is_empty());
        assert_eq!(assign(1, &b, 0), ["G1"]);
        let once = Member { instance: Some(name("i")), ..member("c") };
        let again = Member { instance: Some(name("i")), ..member("d") };
        assert!(assign(3, &once, 0).is_empty() && assign(3, &again, 0).is_empty(), "the same static member");
    }

    #[test]
    fn a_generation_that_goes_back_is_found() {
        let mut groups = Groups::default();
        let a = member("a");
        assert!(found(|report| groups.joined(0, 2, &a, report)).is_empty());
        assert_eq!(found(|report| groups.clone().joined(0, 1, &a, report)), ["G2"]);
        assert!(
            found(|report| groups.joined(1, 1, &a, report)).is_empty(),
            "generation 2 was never written down"
        );
        assert!(found(|report| groups.assigned(1, 1, &a, [], report)).is_empty());
        assert!(found(|report| groups.joined(2, 2, &a, report)).is_empty());
        assert!(found(|report| groups.assigned(2, 2, &a, [], report)).is_empty());
        assert_eq!(found(|report| groups.clone().joined(3, 1, &a, report)), ["G2"]);
        assert!(found(|report| groups.joined(1, 1, &a, report)).is_empty(), "a stale coordinator");
        let mut downgraded = groups.clone();
        downgraded.became_classic(&name("g"), 1, [&a.id].into_iter());
        assert_eq!(found(|report| downgraded.joined(3, 1, &a, report)), ["G2"], "the group goes on");
        let mut replaced = groups.clone();
        replaced.became_classic(&name("g"), 1, [&name("b")].into_iter());
        assert!(found(|report| replaced.joined(3, 1, &member("b"), report)).is_empty(), "it was empty");
        groups.forget();
        assert!(found(|report| groups.joined(3, 1, &a, report)).is_empty());
    }

    #[test]
    fn a_commit_of_who_may_not_is_objected_to() {
        let mut groups = Groups::default();
        let (a, b) = (member("a"), member("b"));
        assert!(groups.objection(0, 7, &a).is_none(), "another protocol's");
        found(|report| groups.joined(0, 2, &a, report));
        assert!(groups.objection(0, 2, &a).is_none() && groups.objection(0, -1, &a).is_none());
        assert!(groups.objection(0, 2, &b).is_some() && groups.objection(0, 1, &a).is_some());
        assert!(groups.objection(1, 2, &a).is_none(), "the next coordinator has it from the log");
        found(|report| groups.joined(0, 3, &b, report));
        assert!(groups.objection(0, 2, &a).is_some(), "the generation is 3");
        found(|report| groups.assigned(0, 3, &b, [], report));
        assert!(groups.objection(1, 2, &a).is_some() && groups.objection(1, 3, &b).is_none());
        let old = Member { instance: Some(name("i")), ..member("old") };
        let new = Member { instance: Some(name("i")), ..member("new") };
        found(|report| groups.joined(1, 4, &old, report));
        found(|report| groups.joined(1, 4, &new, report));
        assert!(groups.objection(1, 4, &old).is_some() && groups.objection(1, 4, &new).is_none());
        let mut downgraded = groups.clone();
        downgraded.became_classic(&name("g"), 6, [&b.id].into_iter());
        assert!(downgraded.objection(1, 6, &b).is_none() && downgraded.objection(1, 7, &b).is_some());
        groups.forget();
        found(|report| groups.joined(2, 4, &a, report));
        assert!(groups.objection(2, 4, &b).is_none(), "who joined before is not known any more");
        found(|report| groups.joined(2, 5, &a, report));
        assert!(groups.objection(2, 5, &b).is_some());
    }
}
