//! A share group, its members, and the partitions whose state the share coordinator keeps for it (Kafka's `ShareGroup`,
//! `ShareGroupMember`, `ShareGroupStatePartitionMetadataInfo`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::{ErrorCode, StrBytes, Uuid};

use super::super::Partitions;
use super::super::base::ModernGroup;
use super::super::refusal::Refusal;
use super::super::subscriptions::{Change, Subscriptions};
use super::records::{CurrentAssignment, ShareRecord};
use crate::group::groups::{Group, Groups};
use crate::group::records::Record;

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShareMember {
    /// Its id, which it made itself.
    pub(crate) id: StrBytes,
    /// The epoch that it is in.
    pub(crate) epoch: i32,
    /// The epoch before: a heartbeat with it is one whose answer was lost.
    pub(crate) previous_epoch: i32,
    /// Its rack.
    pub(crate) rack_id: Option<StrBytes>,
    /// `client.id` of its last request.
    pub(crate) client_id: StrBytes,
    /// Host of its last request, with Kafka's leading slash.
    pub(crate) client_host: StrBytes,
    /// The topics that it subscribes to.
    pub(crate) topics: BTreeSet<StrBytes>,
    /// What it has.
    pub(crate) assigned: Partitions,
}

impl ShareMember {
    /// A member that has nothing yet.
    pub(crate) fn new(id: StrBytes) -> Self {
        Self {
            id,
            epoch: 0,
            previous_epoch: -1,
            rack_id: None,
            client_id: StrBytes::default(),
            client_host: StrBytes::default(),
            topics: BTreeSet::new(),
            assigned: Partitions::new(),
        }
    }
}

/// Partitions of a topic, and when that was noted, in wall milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TopicState {
    /// The topic's name.
    pub(crate) name: StrBytes,
    /// The partitions.
    pub(crate) partitions: BTreeSet<i32>,
    /// When.
    pub(crate) timestamp_ms: i64,
}

/// For which partitions the share coordinator keeps state. Only those can be assigned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StateMetadata {
    /// It has been asked to.
    pub(crate) initializing: BTreeMap<Uuid, TopicState>,
    /// It does.
    pub(crate) initialized: BTreeMap<Uuid, TopicState>,
    /// It has been asked to forget them.
    pub(crate) deleting: BTreeMap<Uuid, StrBytes>,
}

impl StateMetadata {
    /// The partitions that can be assigned.
    pub(crate) fn assignable(&self) -> Partitions {
        self.initialized.iter().map(|(id, topic)| (*id, topic.partitions.clone())).collect()
    }
}

/// A share group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ShareGroup {
    /// What it has in common with other modern groups.
    pub(crate) base: ModernGroup,
    members: BTreeMap<StrBytes, ShareMember>,
    /// For which partitions state is kept.
    pub(crate) state: StateMetadata,
}

impl ShareGroup {
    /// A group that no record knows yet.
    pub(crate) fn new(id: StrBytes, first_epoch: i32) -> Self {
        Self {
            base: ModernGroup::new(id, first_epoch),
            members: BTreeMap::new(),
            state: StateMetadata::default(),
        }
    }

    /// The group's id.
    pub(crate) const fn id(&self) -> &StrBytes {
        &self.base.id
    }

    /// Kafka's name of its state.
    pub(crate) fn state_name(&self) -> &'static str {
        if self.members.is_empty() { "Empty" } else { "Stable" }
    }

    /// Whether there are no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members, in order of their ids.
    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = &ShareMember> {
        self.members.values()
    }

    /// A member.
    pub(crate) fn member(&self, id: &StrBytes) -> Option<&ShareMember> {
        self.members.get(id)
    }

    /// A member, or Kafka's words that there is none.
    pub(crate) fn require(&self, id: &StrBytes) -> Result<&ShareMember, Refusal> {
        self.member(id).ok_or_else(|| {
            let text = format!("Member {id} is not a member of group {}.", self.id());
            Refusal::new(ErrorCode::UnknownMemberId, text)
        })
    }

    /// Whether somebody reads a topic.
    pub(crate) fn is_subscribed_to(&self, topic: &StrBytes) -> bool {
        self.base.subscriptions.contains(topic)
    }

    /// One of the group's records.
    pub(crate) fn record(&self, record: ShareRecord) -> Record {
        Record::Share { group: self.id().clone(), record }
    }

    /// What the group would be subscribed to if a member became another (or came, or went).
    pub(crate) fn subscriptions_with(
        &self,
        old: Option<&ShareMember>,
        new: Option<&ShareMember>,
    ) -> Subscriptions {
        let mut subscriptions = self.base.subscriptions.clone();
        for (member, change) in [(old, Change::Remove), (new, Change::Add)] {
            if let Some(member) = member {
                subscriptions.names(&member.topics, change);
            }
        }
        subscriptions
    }

    /// The records that delete the group.
    pub(crate) fn tombstones(&self) -> Vec<Record> {
        let ids = || self.members.keys().cloned();
        let mut records = Vec::new();
        records.extend(ids().map(|id| ShareRecord::Current(id, None)));
        records.extend(ids().map(|id| ShareRecord::TargetMember(id, None)));
        records.push(ShareRecord::Target(None));
        records.extend(ids().map(|id| ShareRecord::Member(id, None)));
        records.push(ShareRecord::State(None));
        records.push(ShareRecord::Epoch(None));
        records.into_iter().map(|record| self.record(record)).collect()
    }

    fn update(&mut self, member: ShareMember) {
        self.remove(&member.id.clone());
        self.base.subscriptions.names(&member.topics, Change::Add);
        self.members.insert(member.id.clone(), member);
    }

    fn remove(&mut self, id: &StrBytes) {
        if let Some(old) = self.members.remove(id) {
            self.base.subscriptions.names(&old.topics, Change::Remove);
        }
    }

    fn replay(&mut self, record: ShareRecord) {
        let member_or_new = |group: &Self, id: &StrBytes| {
            group.member(id).cloned().unwrap_or_else(|| ShareMember::new(id.clone()))
        };
        match record {
            ShareRecord::Epoch(value) => {
                if let Some((epoch, hash)) = value {
                    self.base.epoch = epoch;
                    self.base.metadata_hash = hash;
                }
            }
            ShareRecord::Member(id, Some(metadata)) => {
                let member = member_or_new(self, &id);
                let (epoch, previous_epoch, assigned) =
                    (member.epoch, member.previous_epoch, member.assigned);
                self.update(ShareMember { epoch, previous_epoch, assigned, ..*metadata });
            }
            ShareRecord::Member(id, None) => self.remove(&id),
            ShareRecord::Target(value) => {
                let (epoch, timestamp_ms) = value.unwrap_or((-1, 0));
                self.base.target.epoch = epoch;
                self.base.target.timestamp_ms = timestamp_ms;
            }
            ShareRecord::TargetMember(id, target) => self.base.target.set(id, target),
            ShareRecord::Current(id, Some(current)) => {
                let CurrentAssignment { epoch, previous_epoch, assigned } = current;
                let member = member_or_new(self, &id);
                self.update(ShareMember { epoch, previous_epoch, assigned, ..member });
            }
            ShareRecord::Current(id, None) => {
                if let Some(member) = self.member(&id).cloned() {
                    let assigned = Partitions::new();
                    self.update(ShareMember { epoch: -1, previous_epoch: -1, assigned, ..member });
                }
            }
            ShareRecord::State(value) => self.state = value.unwrap_or_default(),
        }
    }
}

impl Groups {
    /// A share group; `None` also for a group of another kind.
    pub(crate) fn share(&self, id: &StrBytes) -> Option<&ShareGroup> {
        match self.group(id) {
            Some(Group::Share(group)) => Some(group),
            _ => None,
        }
    }

    /// A share group, to change.
    pub(crate) fn share_mut(&mut self, id: &StrBytes) -> Option<&mut ShareGroup> {
        match self.group_mut(id) {
            Some(Group::Share(group)) => Some(group),
            _ => None,
        }
    }

    /// Every share group.
    pub(crate) fn shares(&self) -> impl Iterator<Item = &ShareGroup> {
        self.iter().filter_map(|(_, group)| match group {
            Group::Share(group) => Some(&**group),
            _ => None,
        })
    }

    /// Replays a record. Tombstones of what is not there change nothing; a record of a group that is of another kind is left out.
    pub(crate) fn replay_share(&mut self, id: &StrBytes, record: ShareRecord) {
        if record == ShareRecord::Epoch(None) {
            if self.share(id).is_some() {
                self.remove(id);
            }
            return;
        }
        if record.has_value() && !self.contains(id) {
            self.insert(Group::Share(Box::new(ShareGroup::new(id.clone(), self.first_epoch))));
        }
        if let Some(group) = self.share_mut(id) {
            group.replay(record);
        }
    }
}

/// Kafka's words for a group that has members.
pub(super) const NOT_EMPTY: &str = "The group is not empty.";

/// Kafka's words for a group that is none, or not one of share consumers.
pub(crate) fn not_a_share_group(id: &StrBytes, exists: bool) -> Refusal {
    let text =
        if exists { format!("Group {id} is not a share group.") } else { format!("Group {id} not found.") };
    Refusal::new(ErrorCode::GroupIdNotFound, text)
}
