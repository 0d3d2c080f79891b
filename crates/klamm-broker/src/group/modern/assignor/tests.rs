//! Properties of the assignors: complete, balanced, sticky, and Kafka's own examples.

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::{StrBytes, Uuid};
use proptest::prelude::*;

use super::{Assignment, Assignor, GroupSpec, MemberSpec};
use crate::group::modern::Partitions;

fn topic(number: u128) -> Uuid {
    Uuid::from_u128(number + 1)
}

/// A group: how many partitions each topic has, and which topics each member reads.
fn spec(topics: &[i32], members: &[BTreeSet<usize>], before: &Assignment) -> GroupSpec {
    let ids: Vec<Uuid> = (0..topics.len()).map(|t| topic(t as u128)).collect();
    let members: Vec<MemberSpec> = members
        .iter()
        .enumerate()
        .map(|(index, reads)| {
            let id = StrBytes::from(format!("member-{index:03}"));
            MemberSpec {
                before: before.get(&id).cloned().unwrap_or_default(),
                id,
                instance_id: None,
                topics: reads.iter().map(|t| ids[*t]).collect(),
            }
        })
        .collect();
    let read: BTreeSet<Uuid> = members.iter().flat_map(|m| m.topics.clone()).collect();
    GroupSpec {
        homogeneous: members.windows(2).all(|pair| pair[0].topics == pair[1].topics),
        members,
        partitions: ids.into_iter().zip(topics.iter().copied()).filter(|(id, _)| read.contains(id)).collect(),
    }
}

fn size(partitions: Option<&Partitions>) -> usize {
    partitions.into_iter().flat_map(BTreeMap::values).map(BTreeSet::len).sum()
}

/// Every partition that somebody reads has one owner, who reads it.
fn check_complete(spec: &GroupSpec, assignment: &Assignment) {
    let mut owners: BTreeMap<(Uuid, i32), &StrBytes> = BTreeMap::new();
    for member in &spec.members {
        for (topic, partitions) in assignment.get(&member.id).into_iter().flatten() {
            assert!(member.topics.contains(topic), "{} does not read {topic}", member.id);
            for partition in partitions {
                let before = owners.insert((*topic, *partition), &member.id);
                assert_eq!(before, None, "{topic}-{partition} has two owners");
            }
        }
    }
    let all: usize = spec.partitions.values().map(|count| *count as usize).sum();
    assert_eq!(owners.len(), all, "partitions without an owner");
    assert!(owners.keys().all(|(topic, p)| (0..spec.count(topic)).contains(p)));
}

fn sizes(spec: &GroupSpec, assignment: &Assignment) -> Vec<usize> {
    spec.members.iter().map(|member| size(assignment.get(&member.id))).collect()
}

fn subscriptions() -> impl Strategy<Value = (Vec<i32>, Vec<BTreeSet<usize>>)> {
    (1_usize..5).prop_flat_map(|topics| {
        let reads = proptest::collection::btree_set(0..topics, 0..=topics);
        (proptest::collection::vec(1..12, topics), proptest::collection::vec(reads, 1..9))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_group_is_assigned_completely((topics, members) in subscriptions(), after in 0_usize..9) {
        for assignor in [Assignor::Uniform, Assignor::Range] {
            let first = spec(&topics, &members, &Assignment::new());
            let assignment = assignor.assign(&first);
            check_complete(&first, &assignment);
            // Members go, and a topic grows.
            let mut fewer = members.clone();
            fewer.truncate(after.max(1));
            let mut grown = topics.clone();
            grown[0] += 3;
            let second = spec(&grown, &fewer, &assignment);
            check_complete(&second, &assignor.assign(&second));
        }
    }

    #[test]
    fn a_uniform_assignment_is_balanced_and_sticky(
        topics in proptest::collection::vec(1..12, 1..5),
        before in 1_usize..9,
        after in 1_usize..9,
    ) {
        let everything: BTreeSet<usize> = (0..topics.len()).collect();
        let group = |members: usize| vec![everything.clone(); members];
        let first = spec(&topics, &group(before), &Assignment::new());
        let old = Assignor::Uniform.assign(&first);
        let second = spec(&topics, &group(after), &old);
        let new = Assignor::Uniform.assign(&second);
        for (spec, assignment) in [(&first, &old), (&second, &new)] {
            let sizes = sizes(spec, assignment);
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{sizes:?}");
        }
        // Who stays keeps as much as its share allows.
        let total: usize = topics.iter().map(|count| *count as usize).sum();
        for member in &second.members {
            let (had, has) = (old.get(&member.id), new.get(&member.id));
            let kept: usize = had.into_iter().flatten().map(|(topic, p)| {
                has.and_then(|has| has.get(topic)).map_or(0, |has| has.intersection(p).count())
            }).sum();
            prop_assert!(kept >= size(had).min(total / after), "{} kept {kept}", member.id);
        }
        // The same group again moves nothing.
        let third = spec(&topics, &group(after), &new);
        prop_assert_eq!(Assignor::Uniform.assign(&third), new);
    }

    #[test]
    fn where_subscriptions_differ_nobody_who_could_take_a_partition_has_two_less(
        (topics, members) in subscriptions(),
    ) {
        let spec = spec(&topics, &members, &Assignment::new());
        let assignment = super::heterogeneous::assign(&spec);
        let sizes = sizes(&spec, &assignment);
        for (giver, member) in spec.members.iter().enumerate() {
            for topic in assignment.get(&member.id).into_iter().flatten().map(|(topic, _)| topic) {
                for (taker, other) in spec.members.iter().enumerate() {
                    prop_assert!(
                        !other.topics.contains(topic) || sizes[giver] <= sizes[taker] + 1,
                        "{sizes:?}: {} could have one of {}'s", other.id, member.id
                    );
                }
            }
        }
    }
}

#[test]
fn ranges_of_equal_topics_go_together() {
    // The example in the documentation of Kafka's RangeAssignor.
    let both = BTreeSet::from([0, 1]);
    let spec = spec(&[3, 3], &[both.clone(), both], &Assignment::new());
    let assignment = Assignor::Range.assign(&spec);
    let of = |member: usize| {
        let id = &spec.members[member].id;
        assignment[id].values().map(|p| p.iter().copied().collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(of(0), [vec![0, 1], vec![0, 1]]);
    assert_eq!(of(1), [vec![2], vec![2]]);
}

#[test]
fn static_members_come_first_in_ranges() {
    let one = BTreeSet::from([0]);
    let mut spec = spec(&[3], &[one.clone(), one], &Assignment::new());
    spec.members[1].instance_id = Some(StrBytes::from_static_str("i"));
    let assignment = Assignor::Range.assign(&spec);
    assert_eq!(assignment[&spec.members[1].id].values().next().unwrap(), &BTreeSet::from([0, 1]));
}
