//! A consumer group's members and what follows from them (Kafka's `ConsumerGroup`). Knows nothing of logs, timers or time.

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::{ErrorCode, StrBytes, Uuid};

use super::super::base::ModernGroup;
use super::super::refusal::Refusal;
use super::super::subscriptions::{Change, Subscriptions};
use super::member::{Assigned, ConsumerMember, MemberState};
use super::regex::ResolvedRegex;

/// State of a consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsumerState {
    /// No members.
    Empty,
    /// The target is older than the group's epoch.
    Assigning,
    /// Members are on their way to the target.
    Reconciling,
    /// Everyone has arrived.
    Stable,
}

impl ConsumerState {
    /// Kafka's name of the state.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConsumerGroup {
    /// What it has in common with other modern groups.
    pub(crate) base: ModernGroup,
    members: BTreeMap<StrBytes, ConsumerMember>,
    /// Member ids by group instance id.
    static_members: BTreeMap<StrBytes, StrBytes>,
    /// The epoch of each partition's owner.
    partition_epochs: BTreeMap<Uuid, BTreeMap<i32, i32>>,
    /// How many members subscribe to each regular expression.
    regexes: BTreeMap<StrBytes, usize>,
    /// What regular expressions stand for.
    pub(crate) resolved: BTreeMap<StrBytes, ResolvedRegex>,
    /// How many members prefer each assignor.
    assignors: BTreeMap<StrBytes, usize>,
    /// How many classic members offer each protocol.
    classic_protocols: BTreeMap<StrBytes, usize>,
    classic_members: usize,
    /// Whether a record from before 4.1 is to be deleted.
    pub(crate) has_partition_metadata: bool,
}

impl ConsumerGroup {
    /// A group that no record knows yet.
    pub(crate) fn new(id: StrBytes, first_epoch: i32) -> Self {
        Self {
            base: ModernGroup::new(id, first_epoch),
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            partition_epochs: BTreeMap::new(),
            regexes: BTreeMap::new(),
            resolved: BTreeMap::new(),
            assignors: BTreeMap::new(),
            classic_protocols: BTreeMap::new(),
            classic_members: 0,
            has_partition_metadata: false,
        }
    }

    /// The group's id.
    pub(crate) const fn id(&self) -> &StrBytes {
        &self.base.id
    }

    /// Its state, which follows from epochs and members.
    pub(crate) fn state(&self) -> ConsumerState {
        if self.members.is_empty() {
            ConsumerState::Empty
        } else if self.base.epoch > self.base.target.epoch {
            ConsumerState::Assigning
        } else if self.members.values().all(|m| m.is_reconciled_to(self.base.target.epoch)) {
            ConsumerState::Stable
        } else {
            ConsumerState::Reconciling
        }
    }

    /// Whether there are no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members, in order of their ids.
    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = &ConsumerMember> {
        self.members.values()
    }

    /// A member.
    pub(crate) fn member(&self, id: &StrBytes) -> Option<&ConsumerMember> {
        self.members.get(id)
    }

    /// A member, or Kafka's words that there is none.
    pub(crate) fn require(&self, id: &StrBytes) -> Result<&ConsumerMember, Refusal> {
        self.member(id).ok_or_else(|| {
            let text = format!("Member {id} is not a member of group {}.", self.id());
            Refusal::new(ErrorCode::UnknownMemberId, text)
        })
    }

    /// The member of a group instance id.
    pub(crate) fn static_member(&self, instance_id: &StrBytes) -> Option<&ConsumerMember> {
        self.members.get(self.static_members.get(instance_id)?)
    }

    /// The epoch of a partition's owner; `None` when it is free.
    pub(crate) fn partition_epoch(&self, topic: &Uuid, partition: i32) -> Option<i32> {
        self.partition_epochs.get(topic)?.get(&partition).copied()
    }

    /// How many members subscribe to a regular expression.
    pub(crate) fn subscribers_of(&self, regex: &StrBytes) -> usize {
        self.regexes.get(regex).copied().unwrap_or(0)
    }

    /// The regular expressions, and how many members subscribe to each.
    pub(crate) const fn regexes(&self) -> &BTreeMap<StrBytes, usize> {
        &self.regexes
    }

    /// Whether somebody reads a topic.
    pub(crate) fn is_subscribed_to(&self, topic: &StrBytes) -> bool {
        self.base.subscriptions.contains(topic)
    }

    /// How many members speak the classic protocol.
    pub(crate) const fn classic_members(&self) -> usize {
        self.classic_members
    }

    /// Whether a classic member with these protocols can live with the others (`supportsClassicProtocols`).
    pub(crate) fn supports_classic(&self, protocol_type: &str, names: &[&StrBytes]) -> bool {
        protocol_type == crate::group::classic::CONSUMER_PROTOCOL
            && names
                .iter()
                .any(|name| self.classic_protocols.get(*name).copied().unwrap_or(0) == self.classic_members)
    }

    /// Adds a member, or replaces it.
    pub(crate) fn update_member(&mut self, member: ConsumerMember) {
        if let Some(old) = self.members.remove(&member.id) {
            self.count(&old, Change::Remove);
        }
        self.count(&member, Change::Add);
        self.members.insert(member.id.clone(), member);
    }

    /// Removes a member.
    pub(crate) fn remove_member(&mut self, id: &StrBytes) {
        if let Some(old) = self.members.remove(id) {
            self.count(&old, Change::Remove);
        }
    }

    fn count(&mut self, member: &ConsumerMember, change: Change) {
        self.base.subscriptions.names(&member.topics, change);
        if let Some(regex) = member.regex() {
            count(&mut self.regexes, regex, change);
        }
        if let Some(assignor) = &member.assignor {
            count(&mut self.assignors, assignor, change);
        }
        if let Some(classic) = &member.classic {
            for protocol in &classic.protocols {
                count(&mut self.classic_protocols, &protocol.name, change);
            }
        }
        match change {
            Change::Add => {
                self.classic_members += usize::from(member.is_classic());
                if let Some(instance) = &member.instance_id {
                    self.static_members.insert(instance.clone(), member.id.clone());
                }
                for assigned in [&member.assigned, &member.revoking] {
                    self.own(assigned, member.epoch);
                }
            }
            Change::Remove => {
                self.classic_members -= usize::from(member.is_classic());
                if let Some(instance) = &member.instance_id
                    && self.static_members.get(instance) == Some(&member.id)
                {
                    self.static_members.remove(instance);
                }
                for assigned in [&member.assigned, &member.revoking] {
                    self.disown(assigned, member.epoch);
                }
            }
        }
    }

    /// A partition belongs to whoever claims it in the newest epoch: records are compacted, so an old owner's may come late.
    fn own(&mut self, assigned: &Assigned, epoch: i32) {
        for (topic, partitions) in assigned {
            let owners = self.partition_epochs.entry(*topic).or_default();
            for partition in partitions.keys() {
                let owner = owners.entry(*partition).or_insert(epoch);
                *owner = (*owner).max(epoch);
            }
        }
    }

    fn disown(&mut self, assigned: &Assigned, epoch: i32) {
        for (topic, partitions) in assigned {
            let Some(owners) = self.partition_epochs.get_mut(topic) else { continue };
            for partition in partitions.keys() {
                if owners.get(partition) == Some(&epoch) {
                    owners.remove(partition);
                }
            }
            if owners.is_empty() {
                self.partition_epochs.remove(topic);
            }
        }
    }

    /// Replays what a regular expression stands for; `None` when it is forgotten.
    pub(crate) fn resolve(&mut self, regex: StrBytes, resolved: Option<ResolvedRegex>) {
        if let Some(old) = self.resolved.remove(&regex) {
            self.base.subscriptions.regex(&old.topics, Change::Remove);
        }
        if let Some(new) = resolved {
            self.base.subscriptions.regex(&new.topics, Change::Add);
            self.resolved.insert(regex, new);
        }
    }

    /// What the group would be subscribed to if a member became another (or came, or went).
    pub(crate) fn with_change(&self, old: Option<&ConsumerMember>, new: Option<&ConsumerMember>) -> Changed {
        let mut changed = Changed {
            subscriptions: self.base.subscriptions.clone(),
            regexes: self.regexes.clone(),
            assignors: self.assignors.clone(),
        };
        for (member, change) in [(old, Change::Remove), (new, Change::Add)] {
            let Some(member) = member else { continue };
            changed.subscriptions.names(&member.topics, change);
            if let Some(regex) = member.regex() {
                count(&mut changed.regexes, regex, change);
            }
            if let Some(assignor) = &member.assignor {
                count(&mut changed.assignors, assignor, change);
            }
        }
        if let Some(regex) = old.and_then(ConsumerMember::regex)
            && !changed.regexes.contains_key(regex)
            && let Some(resolved) = self.resolved.get(regex)
        {
            changed.subscriptions.regex(&resolved.topics, Change::Remove);
        }
        changed
    }

    /// The assignor that most members prefer.
    pub(crate) fn preferred_assignor(&self) -> Option<&StrBytes> {
        most(&self.assignors)
    }

    /// Every topic that a member is subscribed to, by name or by a resolved expression.
    pub(crate) fn topics_of(&self, member: &ConsumerMember) -> BTreeSet<StrBytes> {
        let mut topics = member.topics.clone();
        if let Some(resolved) = member.regex().and_then(|regex| self.resolved.get(regex)) {
            topics.extend(resolved.topics.iter().cloned());
        }
        topics
    }

    /// Whether a partition that the member is to have is still somebody else's (`waitingOnUnreleasedPartition`).
    pub(crate) fn waits_for_release(&self, member: &ConsumerMember) -> bool {
        if member.state != MemberState::UnreleasedPartitions {
            return false;
        }
        let target = self.base.target.of(&member.id);
        target.iter().any(|(topic, partitions)| {
            let has = member.assigned.get(topic);
            partitions.iter().any(|p| {
                has.is_none_or(|has| !has.contains_key(p)) && self.partition_epoch(topic, *p).is_some()
            })
        })
    }
}

/// What follows from a change of one member.
#[derive(Debug, Clone)]
pub(crate) struct Changed {
    /// The topics.
    pub(crate) subscriptions: Subscriptions,
    /// The regular expressions.
    pub(crate) regexes: BTreeMap<StrBytes, usize>,
    assignors: BTreeMap<StrBytes, usize>,
}

impl Changed {
    /// Whether all of `members` subscribe to the same (`ConsumerGroup.subscriptionType`).
    pub(crate) fn is_homogeneous(&self, members: usize) -> bool {
        match self.regexes.values().next() {
            None => self.subscriptions.all_named_by(members),
            Some(count) => *count == members && self.subscriptions.all_of_one_regex(),
        }
    }

    /// The assignor that most members prefer.
    pub(crate) fn preferred_assignor(&self) -> Option<&StrBytes> {
        most(&self.assignors)
    }
}

/// What most want; the first by name when they are equal, where Kafka takes whichever its hash map ends with.
fn most(counts: &BTreeMap<StrBytes, usize>) -> Option<&StrBytes> {
    let highest = counts.values().max()?;
    counts.iter().find(|(_, count)| *count == highest).map(|(name, _)| name)
}

fn count(counts: &mut BTreeMap<StrBytes, usize>, key: &StrBytes, change: Change) {
    match change {
        Change::Add => *counts.entry(key.clone()).or_default() += 1,
        Change::Remove => {
            if let Some(number) = counts.get_mut(key) {
                *number = number.saturating_sub(1);
                if *number == 0 {
                    counts.remove(key);
                }
            }
        }
    }
}
