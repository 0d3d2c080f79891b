//! How a group's leader shares partitions out.

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::TopicPartition;
use klamm_wire::StrBytes;

use super::protocol::Subscription;

/// `partition.assignment.strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Assignor {
    /// Each topic's partitions in consecutive ranges (`RangeAssignor`, without racks); members give everything up before they
    /// join.
    #[default]
    Range,
    /// As even as can be, and everyone keeps what they have as far as that goes; a partition that moves is first given up
    /// by whoever has it, and handed on in the rebalance that follows (KIP-429). It has the protocol of Kafka's
    /// `CooperativeStickyAssignor` and is as even, but among equals may choose others.
    CooperativeSticky,
}

impl Assignor {
    /// Kafka's name for it, by which members agree on one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    pub(super) const fn is_cooperative(self) -> bool {
        matches!(self, Self::CooperativeSticky)
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        [Self::Range, Self::CooperativeSticky].into_iter().find(|assignor| assignor.name() == name)
    }

    pub(super) fn assign(self, members: &[Member], partitions: &BTreeMap<StrBytes, i32>) -> Assignment {
        match self {
            Self::Range => range(members, partitions),
            Self::CooperativeSticky => sticky(members, partitions),
        }
    }
}

/// A member, as it told the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: StrBytes,
    pub(super) instance: Option<StrBytes>,
    pub(super) subscription: Subscription,
}

/// Who gets what, by member id.
pub(super) type Assignment = BTreeMap<StrBytes, BTreeSet<TopicPartition>>;

fn nothing(members: &[Member]) -> Assignment {
    members.iter().map(|member| (member.id.clone(), BTreeSet::new())).collect()
}

fn range(members: &[Member], partitions: &BTreeMap<StrBytes, i32>) -> Assignment {
    let mut assignment = nothing(members);
    for (topic, count) in partitions {
        let mut wanting: Vec<_> =
            members.iter().filter(|member| member.subscription.topics.contains(topic)).collect();
        // Static members first, by their instance ids (`MemberInfo.compareTo`).
        wanting.sort_by(|a, b| match (&a.instance, &b.instance) {
            (Some(a), Some(b)) => a.as_str().cmp(b.as_str()),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => a.id.as_str().cmp(b.id.as_str()),
        });
        let Ok(many) = i32::try_from(wanting.len()) else { continue };
        let mut next = 0;
        for (i, member) in (0..).zip(wanting) {
            let share = count / many + i32::from(i < count % many);
            let Some(mine) = assignment.get_mut(&member.id) else { continue };
            mine.extend(
                (next..next + share).map(|partition| TopicPartition { topic: topic.clone(), partition }),
            );
            next += share;
        }
    }
    assignment
}

fn sticky(members: &[Member], partitions: &BTreeMap<StrBytes, i32>) -> Assignment {
    let mut assignment = nothing(members);
    let owners = owners(members);
    let wants = |id: &StrBytes, topic: &StrBytes| {
        members.iter().any(|member| member.id == *id && member.subscription.topics.contains(topic))
    };
    let all = partitions.iter().flat_map(|(topic, count)| {
        (0..*count).map(move |partition| TopicPartition { topic: topic.clone(), partition })
    });
    let (mut free, mut total) = (Vec::new(), 0);
    for partition in all {
        match owners.get(&partition).filter(|owner| wants(owner, &partition.topic)) {
            Some(owner) => {
                assignment.entry(owner.clone()).or_default().insert(partition);
                total += 1;
            }
            None if members.iter().any(|member| member.subscription.topics.contains(&partition.topic)) => {
                free.push(partition);
                total += 1;
            }
            None => {}
        }
    }
    // Who has more than their share gives up the last.
    let least = total / members.len().max(1);
    let mut extra = total % members.len().max(1);
    for mine in assignment.values_mut() {
        let share = if mine.len() > least && extra > 0 { least + 1 } else { least };
        extra -= usize::from(mine.len() > least && share > least);
        while mine.len() > share {
            free.extend(mine.pop_last());
        }
    }
    free.sort();
    for partition in free {
        let poorest = assignment.iter().filter(|(id, _)| wants(id, &partition.topic));
        let poorest = poorest.min_by_key(|(_, mine)| mine.len()).map(|(id, _)| id.clone());
        // What somebody else still has is handed on only once it was given up.
        let taken = owners.get(&partition).filter(|owner| Some(*owner) != poorest.as_ref());
        if let (Some(poorest), None) = (poorest, taken) {
            assignment.entry(poorest).or_default().insert(partition);
        }
    }
    assignment
}

/// Who has what: of two that claim a partition, the one of the younger generation; nobody if they are equally young.
fn owners(members: &[Member]) -> BTreeMap<TopicPartition, StrBytes> {
    let mut claims: BTreeMap<TopicPartition, (i32, Option<StrBytes>)> = BTreeMap::new();
    for Member { id, subscription, .. } in members {
        for partition in &subscription.owned {
            let claim = claims.entry(partition.clone()).or_insert((i32::MIN, None));
            match subscription.generation.cmp(&claim.0) {
                std::cmp::Ordering::Greater => *claim = (subscription.generation, Some(id.clone())),
                std::cmp::Ordering::Equal => claim.1 = None,
                std::cmp::Ordering::Less => {}
            }
        }
    }
    claims.into_iter().filter_map(|(partition, (_, owner))| Some((partition, owner?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, topics: &[&str], owned: &[(&str, i32)], generation: i32) -> Member {
        let owned = owned.iter().map(|(topic, p)| TopicPartition::new((*topic).to_owned(), *p)).collect();
        let topics = topics.iter().map(|topic| StrBytes::from((*topic).to_owned())).collect();
        let subscription = Subscription { topics, owned, generation };
        Member { id: id.to_owned().into(), instance: None, subscription }
    }

    fn shares(assignor: Assignor, members: &[Member], partitions: &[(&str, i32)]) -> Vec<String> {
        let partitions =
            partitions.iter().map(|(topic, count)| ((*topic).to_owned().into(), *count)).collect();
        let shares = assignor.assign(members, &partitions);
        let text = |mine: &BTreeSet<TopicPartition>| mine.iter().map(ToString::to_string).collect::<Vec<_>>();
        shares.iter().map(|(id, mine)| format!("{id}: {}", text(mine).join(" "))).collect()
    }

    #[test]
    fn ranges_are_consecutive_and_the_first_get_one_more() {
        let members = [member("b", &["t", "u"], &[], -1), member("a", &["t"], &[], -1)];
        let shared = shares(Assignor::Range, &members, &[("t", 3), ("u", 2)]);
        assert_eq!(shared, ["a: t-0 t-1", "b: t-2 u-0 u-1"]);
    }

    #[test]
    fn static_members_come_first_by_instance() {
        let mut members = [member("a", &["t"], &[], -1), member("z", &["t"], &[], -1)];
        members[1].instance = Some("1".into());
        assert_eq!(shares(Assignor::Range, &members, &[("t", 3)]), ["a: t-2", "z: t-0 t-1"]);
    }

    #[test]
    fn a_newcomer_gets_nothing_before_the_others_gave_something_up() {
        let has_all = member("a", &["t"], &[("t", 0), ("t", 1), ("t", 2), ("t", 3)], 1);
        let members = [has_all, member("b", &["t"], &[], -1)];
        assert_eq!(shares(Assignor::CooperativeSticky, &members, &[("t", 4)]), ["a: t-0 t-1", "b: "]);
        let members = [member("a", &["t"], &[("t", 0), ("t", 1)], 2), member("b", &["t"], &[], 2)];
        assert_eq!(shares(Assignor::CooperativeSticky, &members, &[("t", 4)]), ["a: t-0 t-1", "b: t-2 t-3"]);
    }

    #[test]
    fn whoever_was_away_does_not_keep_what_others_got_since() {
        let members =
            [member("a", &["t"], &[("t", 0), ("t", 1)], 3), member("b", &["t"], &[("t", 0), ("t", 1)], 1)];
        let shared = shares(Assignor::CooperativeSticky, &members, &[("t", 2)]);
        assert_eq!(shared, ["a: t-0", "b: "]);
    }

    #[test]
    fn an_even_share_stays_as_it_is() {
        let members = [
            member("a", &["t"], &[("t", 3), ("t", 1)], 1),
            member("b", &["t"], &[("t", 0), ("t", 2), ("t", 4)], 1),
        ];
        let shared = shares(Assignor::CooperativeSticky, &members, &[("t", 5)]);
        assert_eq!(shared, ["a: t-1 t-3", "b: t-0 t-2 t-4"]);
    }
}
