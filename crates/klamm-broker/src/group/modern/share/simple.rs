//! The assignor of share groups (Kafka's `SimpleAssignor`): each partition goes to as many members as it takes for all of them to have
//! about the same, and as few as possible move.

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::{StrBytes, Uuid};

use super::super::Partitions;
use super::super::assignor::{Assignment, GroupSpec};

/// Kafka's name of it.
pub(crate) const NAME: &str = "simple";

type TopicPartitionId = (Uuid, i32);

/// Computes an assignment of the partitions that can be assigned. Where members subscribe to different topics, each topic is shared
/// out on its own.
pub(crate) fn assign(spec: &GroupSpec, assignable: &Partitions) -> Assignment {
    let mut assignment: Assignment =
        spec.members.iter().map(|member| (member.id.clone(), Partitions::new())).collect();
    let topics: BTreeSet<Uuid> =
        spec.members.iter().flat_map(|member| member.topics.iter().copied()).collect();
    let of_topic = |topic: &Uuid| {
        let exists = spec.partitions.get(topic).copied().unwrap_or(0);
        let partitions = assignable.get(topic).into_iter().flatten().copied();
        let topic = *topic;
        partitions.filter(move |p| *p < exists).map(move |p| (topic, p))
    };
    if spec.homogeneous {
        let members: Vec<&StrBytes> = spec.members.iter().map(|member| &member.id).collect();
        let partitions: Vec<TopicPartitionId> = topics.iter().flat_map(of_topic).collect();
        share_out(spec, &members, &partitions, &mut assignment);
        return assignment;
    }
    for topic in &topics {
        let subscribed = spec.members.iter().filter(|member| member.topics.contains(topic));
        let members: Vec<&StrBytes> = subscribed.map(|member| &member.id).collect();
        let partitions: Vec<TopicPartitionId> = of_topic(topic).collect();
        share_out(spec, &members, &partitions, &mut assignment);
    }
    assignment
}

fn share_out(
    spec: &GroupSpec,
    members: &[&StrBytes],
    partitions: &[TopicPartitionId],
    assignment: &mut Assignment,
) {
    if members.is_empty() || partitions.is_empty() {
        return;
    }
    // How many members each partition goes to, and how many partitions each member gets.
    let sharing = members.len().div_ceil(partitions.len());
    let total = sharing * partitions.len();
    let share = |member: usize| {
        (total * (member + 1)).div_ceil(members.len()) - (total * member).div_ceil(members.len())
    };
    let mut readers: BTreeMap<TopicPartitionId, BTreeSet<usize>> =
        partitions.iter().map(|partition| (*partition, BTreeSet::new())).collect();
    let mut has: Vec<BTreeSet<TopicPartitionId>> = vec![BTreeSet::new(); members.len()];
    for (index, id) in members.iter().enumerate() {
        let Some(before) = spec.members.iter().find(|member| member.id == **id) else { continue };
        let kept = before.before.iter().flat_map(|(topic, p)| p.iter().map(|p| (*topic, *p)));
        for partition in kept {
            if let Some(readers) = readers.get_mut(&partition) {
                readers.insert(index);
                has[index].insert(partition);
            }
        }
        while has[index].len() > share(index) {
            if let Some(partition) = has[index].pop_first()
                && let Some(readers) = readers.get_mut(&partition)
            {
                readers.remove(&index);
            }
        }
    }
    for (partition, readers) in &mut readers {
        while readers.len() > sharing {
            if let Some(index) = readers.pop_first() {
                has[index].remove(partition);
            }
        }
    }
    let mut open: Vec<usize> = (0..members.len()).filter(|index| has[*index].len() < share(*index)).collect();
    let mut next = 0;
    for (partition, readers) in &mut readers {
        let mut tried = 0;
        // A partition that all who have room read already stays with fewer.
        while readers.len() < sharing && tried < open.len() {
            next %= open.len();
            let index = open[next];
            if !readers.insert(index) {
                tried += 1;
                next += 1;
                continue;
            }
            tried = 0;
            has[index].insert(*partition);
            if has[index].len() >= share(index) {
                open.remove(next);
            } else {
                next += 1;
            }
        }
    }
    for (index, partitions) in has.into_iter().enumerate() {
        let Some(assigned) = assignment.get_mut(members[index]) else { continue };
        for (topic, partition) in partitions {
            assigned.entry(topic).or_default().insert(partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::assignor::MemberSpec;
    use super::*;

    fn member(n: usize, topics: &[u128], before: Partitions) -> MemberSpec {
        MemberSpec {
            id: StrBytes::from_string(format!("m{n:02}")),
            instance_id: None,
            topics: topics.iter().map(|t| Uuid::from_u128(*t)).collect(),
            before,
        }
    }

    fn spec(members: Vec<MemberSpec>, partitions: &[(u128, i32)]) -> (GroupSpec, Partitions) {
        let partitions: BTreeMap<Uuid, i32> =
            partitions.iter().map(|(t, p)| (Uuid::from_u128(*t), *p)).collect();
        let homogeneous = members.windows(2).all(|pair| pair[0].topics == pair[1].topics);
        let assignable = partitions.iter().map(|(t, p)| (*t, (0..*p).collect())).collect();
        (GroupSpec { members, homogeneous, partitions }, assignable)
    }

    fn sizes(assignment: &Assignment) -> Vec<usize> {
        assignment.values().map(|p| p.values().map(BTreeSet::len).sum()).collect()
    }

    #[test]
    fn more_members_than_partitions_share_them() {
        let (spec, assignable) =
            spec((0..5).map(|n| member(n, &[1], Partitions::new())).collect(), &[(1, 2)]);
        let assignment = assign(&spec, &assignable);
        assert_eq!(sizes(&assignment).iter().sum::<usize>(), 6, "each goes to three");
        assert!(sizes(&assignment).iter().all(|size| (1..=2).contains(size)));
        assert_eq!(sizes(&assign(&spec, &Partitions::new())), [0; 5], "nothing can be assigned yet");
    }

    proptest! {
        #[test]
        fn everything_is_read_by_those_who_subscribe(
            members in 1_usize..8, topics in prop::collection::vec(1_i32..6, 1..4), odd in any::<bool>(), joining in 0_usize..3,
        ) {
            let topics: Vec<(u128, i32)> = topics.into_iter().enumerate().map(|(i, p)| (i as u128 + 1, p)).collect();
            let all: Vec<u128> = topics.iter().map(|(t, _)| *t).collect();
            let wants = |n: usize| if odd && n == 0 { &all[..1] } else { &all[..] };
            let (first, assignable) =
                spec((0..members).map(|n| member(n, wants(n), Partitions::new())).collect(), &topics);
            let before = assign(&first, &assignable);
            let again = (0..members + joining).map(|n| {
                let id = StrBytes::from_string(format!("m{n:02}"));
                member(n, wants(n), before.get(&id).cloned().unwrap_or_default())
            });
            let (second, _) = spec(again.collect(), &topics);
            for (spec, assignment) in [(&first, &before), (&second, &assign(&second, &assignable))] {
                let subscribed: BTreeSet<Uuid> = spec.members.iter().flat_map(|m| m.topics.iter().copied()).collect();
                for (topic, partitions) in &assignable {
                    for partition in partitions {
                        let readers: Vec<_> = spec.members.iter().filter(|m| {
                            assignment[&m.id].get(topic).is_some_and(|p| p.contains(partition))
                        }).collect();
                        prop_assert!(!readers.is_empty() || !subscribed.contains(topic), "{topic}-{partition}");
                        prop_assert!(readers.iter().all(|m| m.topics.contains(topic)));
                    }
                }
            }
            prop_assert_eq!(assign(&first, &assignable), before.clone(), "the same again");
            if !odd && joining == 0 {
                prop_assert_eq!(assign(&second, &assignable), before, "nobody moves without need");
            }
        }
    }
}
