//! The groups of a shard, each of its kind (Kafka's `Group`, `Group.GroupType` and `GroupMetadataManager.groups`).

use std::collections::BTreeMap;

use klamm_wire::{ErrorCode, StrBytes};

use super::classic::{CONSUMER_PROTOCOL, ClassicGroup};
use super::modern::consumer::group::ConsumerGroup;
use super::modern::share::group::ShareGroup;
use super::records::Record;
use super::state::ClassicState;

/// A group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Group {
    /// Of the classic protocol; also one that only holds offsets.
    Classic(Box<ClassicGroup>),
    /// Of the consumer protocol (KIP-848).
    Consumer(Box<ConsumerGroup>),
    /// Of share consumers (KIP-932).
    Share(Box<ShareGroup>),
}

impl Group {
    /// Its id.
    pub(crate) const fn id(&self) -> &StrBytes {
        match self {
            Self::Classic(group) => group.id(),
            Self::Consumer(group) => group.id(),
            Self::Share(group) => group.id(),
        }
    }

    /// Kafka's name of its type.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Classic(_) => "classic",
            Self::Consumer(_) => "consumer",
            Self::Share(_) => "share",
        }
    }

    /// Kafka's name of its state.
    pub(crate) fn state_name(&self) -> &'static str {
        match self {
            Self::Classic(group) => group.state().name(),
            Self::Consumer(group) => group.state().name(),
            Self::Share(group) => group.state_name(),
        }
    }

    /// What its members speak; empty for a group that only holds offsets.
    pub(crate) fn protocol_type(&self) -> StrBytes {
        match self {
            Self::Classic(group) => group.protocol_type().cloned().unwrap_or_default(),
            Self::Consumer(_) => StrBytes::from_static_str(CONSUMER_PROTOCOL),
            Self::Share(_) => StrBytes::from_static_str("share"),
        }
    }

    /// Its generation or epoch.
    pub(crate) fn generation(&self) -> i32 {
        match self {
            Self::Classic(group) => group.generation(),
            Self::Consumer(group) => group.base.epoch,
            Self::Share(group) => group.base.epoch,
        }
    }

    /// Whether there are no members.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(group) => group.is(ClassicState::Empty),
            Self::Consumer(group) => group.is_empty(),
            Self::Share(group) => group.is_empty(),
        }
    }

    /// Whether JoinGroup can have to do with it.
    pub(crate) const fn takes_classic_members(&self) -> bool {
        match self {
            Self::Classic(_) | Self::Consumer(_) => true,
            Self::Share(_) => false,
        }
    }

    /// Whether it reads a topic, as far as the coordinator can know.
    pub(crate) fn is_subscribed_to(&self, topic: &StrBytes) -> bool {
        match self {
            Self::Classic(group) => group.is_subscribed_to(topic),
            Self::Consumer(group) => group.is_subscribed_to(topic),
            Self::Share(group) => group.is_subscribed_to(topic),
        }
    }

    /// The records that delete the group, without its offsets.
    pub(crate) fn tombstones(&self) -> Vec<Record> {
        match self {
            Self::Classic(group) => vec![Record::Group { group: group.id().clone(), value: None }],
            Self::Consumer(group) => group.tombstones(),
            Self::Share(group) => group.tombstones(),
        }
    }

    /// Whether the group may be deleted.
    pub(crate) fn validate_delete(&self) -> Result<(), ErrorCode> {
        match self {
            Self::Classic(group) => group.validate_delete(),
            Self::Consumer(group) if group.is_empty() => Ok(()),
            Self::Share(group) if group.is_empty() => Ok(()),
            Self::Consumer(_) | Self::Share(_) => Err(ErrorCode::NonEmptyGroup),
        }
    }

    /// Whether single offsets of the group may be deleted.
    pub(crate) fn validate_offset_delete(&self) -> Result<(), ErrorCode> {
        match self {
            Self::Classic(group) => group.validate_offset_delete(),
            Self::Consumer(_) => Ok(()),
            Self::Share(_) => Err(ErrorCode::GroupIdNotFound),
        }
    }
}

/// Groups by their ids.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Groups {
    all: BTreeMap<StrBytes, Group>,
    /// The epoch of a consumer group that has no record of it.
    pub(crate) first_epoch: i32,
}

impl Groups {
    /// No groups yet.
    pub(crate) const fn new(first_epoch: i32) -> Self {
        Self { all: BTreeMap::new(), first_epoch }
    }

    /// A group of any kind.
    pub(crate) fn group(&self, id: &StrBytes) -> Option<&Group> {
        self.all.get(id)
    }

    /// A group of any kind, to change.
    pub(crate) fn group_mut(&mut self, id: &StrBytes) -> Option<&mut Group> {
        self.all.get_mut(id)
    }

    /// A classic group; `None` also for a group of another kind.
    pub(crate) fn classic(&self, id: &StrBytes) -> Option<&ClassicGroup> {
        match self.all.get(id) {
            Some(Group::Classic(group)) => Some(group),
            _ => None,
        }
    }

    /// A classic group, to change.
    pub(crate) fn classic_mut(&mut self, id: &StrBytes) -> Option<&mut ClassicGroup> {
        match self.all.get_mut(id) {
            Some(Group::Classic(group)) => Some(group),
            _ => None,
        }
    }

    /// A consumer group; `None` also for a group of another kind.
    pub(crate) fn consumer(&self, id: &StrBytes) -> Option<&ConsumerGroup> {
        match self.all.get(id) {
            Some(Group::Consumer(group)) => Some(group),
            _ => None,
        }
    }

    /// A consumer group, to change.
    pub(crate) fn consumer_mut(&mut self, id: &StrBytes) -> Option<&mut ConsumerGroup> {
        match self.all.get_mut(id) {
            Some(Group::Consumer(group)) => Some(group),
            _ => None,
        }
    }

    /// Adds a group, or replaces the one of its name.
    pub(crate) fn insert(&mut self, group: Group) {
        self.all.insert(group.id().clone(), group);
    }

    /// Removes a group.
    pub(crate) fn remove(&mut self, id: &StrBytes) -> Option<Group> {
        self.all.remove(id)
    }

    /// Whether there is a group of any kind.
    pub(crate) fn contains(&self, id: &StrBytes) -> bool {
        self.all.contains_key(id)
    }

    /// Every group, in order of their ids.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&StrBytes, &Group)> {
        self.all.iter()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes every group out.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (StrBytes, Group)> + use<> {
        std::mem::take(&mut self.all).into_iter()
    }
}
