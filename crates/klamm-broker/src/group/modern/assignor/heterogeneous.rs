//! The uniform assignor where members subscribe to different topics (Kafka's `UniformHeterogeneousAssignmentBuilder`).

use std::collections::BTreeMap;

use klamm_wire::Uuid;

use super::{Assignment, GroupSpec};

/// How often the topics are gone through at most: each round about halves the imbalance.
const MAX_ITERATION_COUNT: usize = 16;

/// Keeps what members had and still subscribe to, deals the rest out, then moves partitions until it is balanced.
pub(super) fn assign(spec: &GroupSpec) -> Assignment {
    let mut builder = Builder::new(spec);
    if builder.topics.is_empty() {
        return Assignment::new();
    }
    builder.keep();
    builder.assign_rest();
    builder.balance();
    builder.finish()
}

/// A topic while it is dealt out. Members are known by their place in the group.
struct Topic {
    /// Who subscribes to it, in order.
    subscribers: Vec<usize>,
    /// Who has each partition.
    owners: Vec<Option<usize>>,
}

struct Builder<'a> {
    spec: &'a GroupSpec,
    topics: BTreeMap<Uuid, Topic>,
    /// How many partitions each member has.
    sizes: Vec<usize>,
}

impl<'a> Builder<'a> {
    fn new(spec: &'a GroupSpec) -> Self {
        let mut topics: BTreeMap<Uuid, Topic> = BTreeMap::new();
        for (index, member) in spec.members.iter().enumerate() {
            for topic in &member.topics {
                let count = usize::try_from(spec.count(topic)).unwrap_or(0);
                let new = || Topic { subscribers: Vec::new(), owners: vec![None; count] };
                topics.entry(*topic).or_insert_with(new).subscribers.push(index);
            }
        }
        Self { spec, topics, sizes: vec![0; spec.members.len()] }
    }

    fn keep(&mut self) {
        for (index, member) in self.spec.members.iter().enumerate() {
            for (id, partitions) in member.before.iter().filter(|(id, _)| member.topics.contains(*id)) {
                let Some(topic) = self.topics.get_mut(id) else { continue };
                for partition in partitions {
                    let place = usize::try_from(*partition).ok().and_then(|p| topic.owners.get_mut(p));
                    if let Some(owner @ None) = place {
                        *owner = Some(index);
                        self.sizes[index] += 1;
                    }
                }
            }
        }
    }

    /// Most partitions per subscriber first; then fewest subscribers; then by id.
    fn sorted(&self, wanted: impl Fn(&Topic) -> bool) -> Vec<Uuid> {
        let mut ids: Vec<(&Uuid, &Topic)> = self.topics.iter().filter(|(_, t)| wanted(t)).collect();
        ids.sort_by(|(a_id, a), (b_id, b)| {
            // a/b compared with c/d without fractions: no two counts are so large.
            let a_load = a.owners.len() * b.subscribers.len();
            let b_load = b.owners.len() * a.subscribers.len();
            b_load
                .cmp(&a_load)
                .then(a.subscribers.len().cmp(&b.subscribers.len()))
                .then_with(|| a_id.cmp(b_id))
        });
        ids.into_iter().map(|(id, _)| *id).collect()
    }

    fn assign_rest(&mut self) {
        for id in self.sorted(|topic| topic.owners.contains(&None)) {
            let Some(topic) = self.topics.get_mut(&id) else { continue };
            let mut balancer = Balancer::new(&topic.subscribers, &self.sizes);
            for owner in topic.owners.iter_mut().filter(|owner| owner.is_none()) {
                let member = balancer.next_least_loaded(&self.sizes);
                *owner = Some(member);
                self.sizes[member] += 1;
            }
        }
    }

    fn balance(&mut self) {
        let ids = self.sorted(|topic| topic.subscribers.len() >= 2);
        let mut last_moved = None;
        for _ in 0..MAX_ITERATION_COUNT {
            for (index, id) in ids.iter().enumerate() {
                if last_moved == Some(index) {
                    // Once round without a move.
                    return;
                }
                if self.balance_topic(id) || last_moved.is_none() {
                    last_moved = Some(index);
                }
            }
        }
    }

    /// Moves partitions of a topic from who has most to who has least. True when one moved.
    fn balance_topic(&mut self, id: &Uuid) -> bool {
        let Some(topic) = self.topics.get_mut(id) else { return false };
        let mut balancer = Balancer::new(&topic.subscribers, &self.sizes);
        if balancer.imbalance(&self.sizes) <= 1 {
            return false;
        }
        // Each member's partitions, given up from the last.
        let mut owned: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (partition, owner) in topic.owners.iter().enumerate() {
            if let Some(owner) = owner {
                owned.entry(*owner).or_default().push(partition);
            }
        }
        let mut moved = false;
        while !balancer.is_balanced() {
            let partition = loop {
                let Some(most) = balancer.next_most_loaded(&self.sizes) else { return moved };
                match owned.get_mut(&most).and_then(Vec::pop) {
                    Some(partition) => break partition,
                    None => balancer.exclude_most_loaded(),
                }
            };
            let least = balancer.next_least_loaded(&self.sizes);
            if balancer.is_balanced() {
                break;
            }
            if let Some(before) = topic.owners[partition].replace(least) {
                self.sizes[before] -= 1;
            }
            self.sizes[least] += 1;
            moved = true;
        }
        moved
    }

    fn finish(self) -> Assignment {
        let mut assignment: Assignment =
            self.spec.members.iter().map(|member| (member.id.clone(), Default::default())).collect();
        for (id, topic) in self.topics {
            for (partition, owner) in (0..).zip(topic.owners) {
                let member = owner.and_then(|owner| self.spec.members.get(owner));
                if let Some(partitions) = member.and_then(|member| assignment.get_mut(&member.id)) {
                    partitions.entry(id).or_default().insert(partition);
                }
            }
        }
        assignment
    }
}

/// A topic's subscribers by load, with a range of the least loaded that grows upwards and one of the most loaded that grows
/// downwards (Kafka's `MemberAssignmentBalancer`). Within a range everyone began with the same number of partitions.
struct Balancer {
    sorted: Vec<usize>,
    least_end: usize,
    least_count: isize,
    next_least: usize,
    most_start: usize,
    most_end: usize,
    most_count: isize,
    /// One past the place in `sorted` to take from next, so that it cannot become negative.
    next_most: usize,
}

impl Balancer {
    fn new(subscribers: &[usize], sizes: &[usize]) -> Self {
        let mut sorted = subscribers.to_vec();
        sorted.sort_by_key(|member| (sizes[*member], *member));
        let size = |member: Option<&usize>| member.map_or(0, |member| sizes[*member] as isize);
        Self {
            least_end: 0,
            least_count: size(sorted.first()) - 1,
            next_least: 0,
            most_start: sorted.len(),
            most_end: sorted.len(),
            most_count: size(sorted.last()) + 1,
            next_most: sorted.len(),
            sorted,
        }
    }

    /// How far the most and the least loaded are apart.
    fn imbalance(&self, sizes: &[usize]) -> usize {
        match (self.sorted.first(), self.sorted.last()) {
            (Some(least), Some(most)) => sizes[*most] - sizes[*least],
            _ => 0,
        }
    }

    /// Who gets the next partition.
    fn next_least_loaded(&mut self, sizes: &[usize]) -> usize {
        if self.next_least >= self.least_end {
            self.least_count += 1;
            while self.sorted.get(self.least_end).is_some_and(|m| sizes[*m] as isize == self.least_count) {
                self.least_end += 1;
            }
            self.next_least = 0;
        }
        let member = self.sorted[self.next_least];
        self.next_least += 1;
        member
    }

    /// Who gives the next partition; `None` when nobody has any to give.
    fn next_most_loaded(&mut self, sizes: &[usize]) -> Option<usize> {
        // The range has been gone through: its level sinks by one, and it may grow.
        if self.next_most <= self.most_start {
            if self.most_end <= self.most_start && self.most_start > 0 {
                // Everyone in the range was excluded.
                self.most_count = sizes[self.sorted[self.most_start - 1]] as isize;
            } else {
                self.most_count -= 1;
            }
            while self.most_start > 0 && sizes[self.sorted[self.most_start - 1]] as isize == self.most_count {
                self.most_start -= 1;
            }
            self.next_most = self.most_end;
        }
        self.next_most = self.next_most.checked_sub(1)?;
        Some(self.sorted[self.next_most])
    }

    /// The member that was just returned has nothing to give.
    fn exclude_most_loaded(&mut self) {
        self.sorted.swap(self.next_most, self.most_end - 1);
        self.most_end -= 1;
    }

    const fn is_balanced(&self) -> bool {
        self.most_count - self.least_count <= 1
    }
}
