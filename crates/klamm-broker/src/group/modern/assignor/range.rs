//! The range assignor (Kafka's `RangeAssignor`).

use std::collections::BTreeMap;

use klamm_wire::Uuid;

use super::{Assignment, GroupSpec, MemberSpec};
use crate::group::modern::Partitions;

/// How far a topic has been dealt out.
struct Topic {
    /// Its partitions.
    count: i32,
    /// Its subscribers.
    members: i32,
    /// The first partition that nobody has yet.
    next: i32,
    /// How many members have got a partition more than the others.
    extra_given: i32,
}

impl Topic {
    /// The next member's range: those who come first get one more where the partitions do not divide.
    fn take(&mut self) -> std::ops::Range<i32> {
        let extra = self.count % self.members;
        let mut quota = self.count / self.members;
        if self.extra_given < extra {
            self.extra_given += 1;
            quota += 1;
        }
        let start = self.next;
        self.next = (start + quota).min(self.count);
        start..self.next
    }
}

/// Assigns ranges, topic by topic.
pub(super) fn assign(spec: &GroupSpec) -> Assignment {
    let members = in_order(spec);
    let mut topics: BTreeMap<Uuid, Topic> = BTreeMap::new();
    for topic in members.iter().flat_map(|member| &member.topics) {
        let new = || Topic { count: spec.count(topic), members: 0, next: 0, extra_given: 0 };
        topics.entry(*topic).or_insert_with(new).members += 1;
    }
    let mut assign_one = |member: &MemberSpec| {
        let mut assignment = Partitions::new();
        for topic in &member.topics {
            let range = topics.get_mut(topic).map_or(0..0, Topic::take);
            if !range.is_empty() {
                assignment.insert(*topic, range.collect());
            }
        }
        (member.id.clone(), assignment)
    };
    members.into_iter().map(&mut assign_one).collect()
}

/// Static members first, by their instance ids: theirs are the ranges that outlive a restart.
fn in_order(spec: &GroupSpec) -> Vec<&MemberSpec> {
    let mut members: Vec<&MemberSpec> = spec.members.iter().collect();
    members.sort_by_key(|member| match &member.instance_id {
        Some(instance) => (false, instance.clone()),
        None => (true, member.id.clone()),
    });
    members
}
