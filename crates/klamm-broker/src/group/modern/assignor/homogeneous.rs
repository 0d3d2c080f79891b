//! The uniform assignor where all members subscribe to the same topics (Kafka's `UniformHomogeneousAssignmentBuilder`).

use klamm_wire::Uuid;

use super::{Assignment, GroupSpec, MemberSpec};
use crate::group::modern::Partitions;

/// Keeps what each member has up to its share, then deals the rest out to those who have less.
pub(super) fn assign(spec: &GroupSpec) -> Assignment {
    let Some(first) = spec.members.first() else { return Assignment::new() };
    let subscribed = &first.topics;
    if subscribed.is_empty() {
        return Assignment::new();
    }
    let members = spec.members.len();
    let total: usize = subscribed.iter().map(|topic| usize::try_from(spec.count(topic)).unwrap_or(0)).sum();
    let mut shares = Shares { minimum: total / members, extra: total % members, left: members };
    let mut free = unassigned(spec);
    let mut assignment = Assignment::new();
    let mut unfilled: Vec<(&MemberSpec, usize)> = Vec::new();
    for member in &spec.members {
        let mut quota = shares.offer();
        let mut kept = Partitions::new();
        for (topic, partitions) in member.before.iter().filter(|(topic, _)| subscribed.contains(*topic)) {
            for partition in partitions.iter().filter(|p| (0..spec.count(topic)).contains(p)) {
                if quota > 0 {
                    quota -= 1;
                    kept.entry(*topic).or_default().insert(*partition);
                } else {
                    free.push((*topic, *partition));
                }
            }
        }
        let quota = shares.settle(quota);
        if quota > 0 {
            unfilled.push((member, quota));
        }
        assignment.insert(member.id.clone(), kept);
    }
    let mut free = free.into_iter();
    for (member, quota) in unfilled {
        let Some(partitions) = assignment.get_mut(&member.id) else { continue };
        for (topic, partition) in free.by_ref().take(quota) {
            partitions.entry(topic).or_default().insert(partition);
        }
    }
    assignment
}

/// How many partitions each member is due.
struct Shares {
    /// What everyone gets.
    minimum: usize,
    /// How many get one more.
    extra: usize,
    /// How many members have not been looked at, the present one among them.
    left: usize,
}

impl Shares {
    /// What the next member may keep.
    const fn offer(&self) -> usize {
        if self.extra > 0 { self.minimum + 1 } else { self.minimum }
    }

    /// What a member still lacks, after `quota` of its offer was not used. Who does not fill its offer leaves the extra partition
    /// to another, unless there are only as many members left as extra partitions.
    const fn settle(&mut self, quota: usize) -> usize {
        let has_extra = self.extra > 0;
        let gives_up = quota > 0 && has_extra && self.left > self.extra;
        self.left -= 1;
        if gives_up {
            return quota - 1;
        }
        if has_extra {
            self.extra -= 1;
        }
        quota
    }
}

/// Subscribed partitions that no member had before.
fn unassigned(spec: &GroupSpec) -> Vec<(Uuid, i32)> {
    let Some(first) = spec.members.first() else { return Vec::new() };
    let mut owned = Partitions::new();
    for (topic, partitions) in spec.members.iter().flat_map(|member| &member.before) {
        owned.entry(*topic).or_default().extend(partitions);
    }
    let all = first.topics.iter().flat_map(|topic| (0..spec.count(topic)).map(|p| (*topic, p)));
    all.filter(|(topic, p)| owned.get(topic).is_none_or(|owned| !owned.contains(p))).collect()
}
