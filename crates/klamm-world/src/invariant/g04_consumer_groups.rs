//! G4, G5 and G7, and what G1 to G3 say of the consumer protocol: a group as its coordinator has it.

use std::collections::{BTreeMap, BTreeSet};

use klamm_broker::{GroupInspection, GroupMemberInspection};
use klamm_node::TopicPartition;
use klamm_wire::{KafkaVersion, StrBytes, Uuid};

use super::g01_groups::{G1, G2};
use super::report::{Invariant, Report, When};

pub(super) const G4: Invariant = Invariant {
    id: "G4",
    name: "MemberEpochs",
    statement: "in a consumer group, a member's epoch is at most that of the target and that at most the group's, and it does not go back \
                but to 0, -1 or -2",
    when: When::Event,
};

pub(super) const G5: Invariant = Invariant {
    id: "G5",
    name: "AssignmentBySubscription",
    statement: "in a consumer group, a member is to have only partitions of topics that it subscribes to, and a stable group's members all \
                have what they are to have, in the group's epoch",
    when: When::Event,
};

pub(super) const G7: Invariant = Invariant {
    id: "G7",
    name: "OneInstance",
    statement: "a group has at most one member of a group instance id",
    when: When::Event,
};

/// What was seen of a consumer group, by one coordinator after the other: each is known by the leader epoch of its partition of
/// `__consumer_offsets`.
#[derive(Debug, Clone, Default)]
pub(super) struct Epochs {
    /// The coordinator that was last looked at, the group's epoch there, and its members'.
    seen: Option<(i32, i32, BTreeMap<StrBytes, i32>)>,
    /// The largest epoch that a member was told, and by which coordinator: it is in the log then.
    told: Option<(i32, i32)>,
}

impl Epochs {
    /// A coordinator answered a member that it is in an epoch.
    pub(super) fn told(&mut self, coordinator: i32, epoch: i32) {
        if self.told.is_none_or(|(_, last)| last <= epoch) {
            self.told = Some((coordinator, epoch));
        }
    }

    /// Looks at a group as a coordinator has it.
    pub(super) fn check(
        &mut self,
        name: &StrBytes,
        coordinator: i32,
        group: &GroupInspection,
        topic_name: impl Fn(Uuid) -> Option<StrBytes>,
        report: &mut Report,
    ) {
        one_instance(name, group, report);
        if group.kind != "consumer" {
            *self = Self::default();
            return;
        }
        one_owner(name, group, report);
        assignments(name, group, topic_name, report);
        for member in &group.members {
            if member.epoch > group.target_epoch || group.target_epoch > group.epoch {
                let what = format!(
                    "{} is in epoch {}, the target is of epoch {}, the group in epoch {}",
                    member.id, member.epoch, group.target_epoch, group.epoch
                );
                report.violation(G4, name, what);
            }
        }
        if let Some((by, before, members)) = &self.seen
            && *by == coordinator
        {
            if group.epoch < *before {
                report.violation(G2, name, format!("epoch {} follows epoch {before}", group.epoch));
            }
            for member in group.members.iter().filter(|member| member.epoch > 0) {
                if let Some(before) = members.get(&member.id).filter(|before| member.epoch < **before) {
                    let what = format!("{} went from epoch {before} to {}", member.id, member.epoch);
                    report.violation(G4, name, what);
                }
            }
        }
        if let Some((by, told)) = self.told.filter(|(by, told)| *by < coordinator && group.epoch < *told) {
            let what = format!("epoch {} follows epoch {told}, which coordinator {by} told", group.epoch);
            report.violation(G2, name, what);
        }
        let members = group.members.iter().map(|member| (member.id.clone(), member.epoch)).collect();
        self.seen = Some((coordinator, group.epoch, members));
    }
}

fn one_instance(name: &StrBytes, group: &GroupInspection, report: &mut Report) {
    let mut instances = BTreeSet::new();
    for instance in group.members.iter().filter_map(|member| member.instance.as_ref()) {
        if !instances.insert(instance) {
            report.violation(G7, name, format!("two members are instance {instance}"));
        }
    }
}

fn one_owner(name: &StrBytes, group: &GroupInspection, report: &mut Report) {
    let mut owners: BTreeMap<(Uuid, i32), &StrBytes> = BTreeMap::new();
    for GroupMemberInspection { id, assigned, revoking, .. } in &group.members {
        for partition in assigned.keys().chain(revoking.keys()) {
            let owner = *owners.entry(*partition).or_insert(id);
            if owner != id {
                let what = format!("{owner} and {id} both own {}-{}", partition.0, partition.1);
                report.violation(G1, name, what);
            }
        }
    }
}

fn assignments(
    name: &StrBytes,
    group: &GroupInspection,
    topic_name: impl Fn(Uuid) -> Option<StrBytes>,
    report: &mut Report,
) {
    let is_current = group.target_epoch == group.epoch;
    for member in &group.members {
        let foreign = member
            .target
            .iter()
            .find(|(topic, _)| topic_name(*topic).is_some_and(|name| !member.topics.contains(&name)));
        if let Some((topic, partition)) = foreign.filter(|_| is_current) {
            let what = format!(
                "{} is to have {topic}-{partition}, and subscribes to {:?}",
                member.id, member.topics
            );
            report.violation(G5, name, what);
        }
        if group.state != "Stable" {
            continue;
        }
        let has: BTreeSet<_> = member.assigned.keys().copied().collect();
        if !is_current || !member.is_reconciled || member.epoch != group.epoch || has != member.target {
            let what = format!(
                "it is stable in epoch {}, and {} in epoch {} has {has:?} of {:?}",
                group.epoch, member.id, member.epoch, member.target
            );
            report.violation(G5, name, what);
        }
    }
}

/// What would be wrong if a consumer group's coordinator accepted a commit; `None` when all is well.
pub(super) fn objection(
    group: &GroupInspection,
    (member, epoch): (&StrBytes, i32),
    release: KafkaVersion,
    partitions: &[(TopicPartition, Option<Uuid>)],
) -> Option<String> {
    if epoch < 0 && group.members.is_empty() {
        return None;
    }
    let Some(known) = group.member(member) else {
        return Some(format!("{member} committed in epoch {epoch}, and is no member"));
    };
    if epoch == known.epoch {
        return None;
    }
    let wrong = Some(format!("{member} committed in epoch {epoch}, and is in epoch {}", known.epoch));
    if epoch > known.epoch || release < KafkaVersion::V4_3 {
        return wrong;
    }
    // What it has had since then it may commit before it hears of the newer epoch (KIP-1251).
    let has_had = |(name, id): &(TopicPartition, Option<Uuid>)| {
        let key = id.map(|id| (id, name.partition));
        let since = key.and_then(|key| known.assigned.get(&key).or_else(|| known.revoking.get(&key)));
        since.is_some_and(|since| *since <= epoch)
    };
    wrong.filter(|_| !partitions.iter().all(has_had))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::found;

    const TOPIC: Uuid = Uuid::from_u128(7);

    fn name(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    fn member(id: &'static str, partition: i32) -> GroupMemberInspection {
        GroupMemberInspection {
            id: name(id),
            epoch: 4,
            is_reconciled: true,
            topics: [name("t")].into(),
            assigned: [((TOPIC, partition), 3)].into(),
            target: [(TOPIC, partition)].into(),
            ..GroupMemberInspection::default()
        }
    }

    fn stable() -> GroupInspection {
        GroupInspection {
            kind: "consumer",
            state: "Stable",
            epoch: 4,
            target_epoch: 4,
            members: vec![member("a", 0), member("b", 1)],
            ..GroupInspection::default()
        }
    }

    fn look(epochs: &mut Epochs, coordinator: i32, group: &GroupInspection) -> Vec<&'static str> {
        let topic = |_| Some(name("t"));
        let mut ids = found(|report| epochs.check(&name("g"), coordinator, group, topic, report));
        ids.dedup();
        ids
    }

    #[test]
    fn a_group_that_contradicts_itself_is_found() {
        type Case = (fn(&mut GroupInspection), &'static [&'static str]);
        let breaks: [Case; 8] = [
            (|_| {}, &[]),
            (|g| g.members[1].revoking = [((TOPIC, 0), 2)].into(), &["G1"]),
            (|g| g.members[0].epoch = 5, &["G5", "G4"]),
            (|g| g.target_epoch = 5, &["G5", "G4"]),
            (|g| g.members[0].topics = [name("u")].into(), &["G5"]),
            (|g| g.members[0].assigned.clear(), &["G5"]),
            (|g| g.members[0].is_reconciled = false, &["G5"]),
            (|g| g.members.iter_mut().for_each(|m| m.instance = Some(name("i"))), &["G7"]),
        ];
        for (break_it, expected) in breaks {
            let mut group = stable();
            break_it(&mut group);
            assert_eq!(look(&mut Epochs::default(), 0, &group), expected);
        }
        let mut moving = stable();
        (moving.state, moving.epoch) = ("Assigning", 5);
        moving.members[0].assigned.clear();
        assert!(look(&mut Epochs::default(), 0, &moving).is_empty());
    }

    #[test]
    fn an_epoch_that_goes_back_is_found() {
        let mut epochs = Epochs::default();
        assert!(look(&mut epochs, 1, &stable()).is_empty());
        let mut back = stable();
        (back.state, back.target_epoch) = ("Reconciling", 4);
        back.members[0].epoch = 3;
        assert_eq!(look(&mut epochs.clone(), 1, &back), ["G4"]);
        back.members[0].epoch = -2;
        assert!(look(&mut epochs.clone(), 1, &back).is_empty(), "a static member that will be back");
        let mut old = stable();
        (old.epoch, old.target_epoch) = (3, 3);
        old.members.iter_mut().for_each(|member| member.epoch = 3);
        assert_eq!(look(&mut epochs.clone(), 1, &old), ["G2", "G4"]);
        assert!(look(&mut epochs.clone(), 2, &old).is_empty(), "epoch 4 was never written down");
        epochs.told(1, 4);
        assert_eq!(look(&mut epochs, 2, &old), ["G2"]);
    }

    #[test]
    fn a_commit_of_who_may_not_is_objected_to() {
        let group = stable();
        let of = |partition| [(TopicPartition::new("t", partition), Some(TOPIC))];
        let says = |id, epoch, release, partition| {
            objection(&group, (&name(id), epoch), release, &of(partition)).is_some()
        };
        let (old, new) = (KafkaVersion::V4_0, KafkaVersion::NEWEST);
        assert!(!says("a", 4, old, 0) && !says("a", 4, new, 1));
        assert!(says("c", 4, new, 0) && says("a", 5, new, 0) && says("c", -1, new, 0));
        assert!(!says("a", 3, new, 0) && says("a", 3, old, 0), "since KIP-1251");
        assert!(says("a", 2, new, 0) && says("a", 3, new, 1), "it has not had it so long");
        let empty = GroupInspection { kind: "consumer", ..GroupInspection::default() };
        assert!(objection(&empty, (&name(""), -1), new, &of(0)).is_none());
    }
}
