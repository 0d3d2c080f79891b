//! What a record changes in a consumer group (the consumer half of Kafka's `GroupMetadataManager.replay`).

use klamm_wire::StrBytes;

use super::super::LEAVE_GROUP_MEMBER_EPOCH;
use super::group::ConsumerGroup;
use super::member::{Assigned, ConsumerMember, MemberState};
use super::records::{ConsumerRecord, CurrentAssignment};
use crate::group::groups::{Group, Groups};

impl Groups {
    /// Replays a record. Tombstones of what is not there change nothing; a record of a group that is of another kind is left out,
    /// unless that group only held offsets.
    pub(crate) fn replay_consumer(&mut self, id: &StrBytes, record: ConsumerRecord) {
        if record == ConsumerRecord::Epoch(None) {
            if self.consumer(id).is_some() {
                self.remove(id);
            }
            return;
        }
        let makes_group = record.has_value();
        let holds_offsets_only = match self.group(id) {
            None => true,
            Some(Group::Classic(group)) => group.is_simple(),
            Some(_) => false,
        };
        if makes_group && holds_offsets_only {
            let group = ConsumerGroup::new(id.clone(), self.first_epoch);
            self.insert(Group::Consumer(Box::new(group)));
        }
        if let Some(group) = self.consumer_mut(id) {
            group.replay(record);
        }
    }
}

impl ConsumerRecord {
    const fn has_value(&self) -> bool {
        match self {
            Self::Epoch(value) | Self::Target(value) => value.is_some(),
            Self::PartitionMetadata(value) => value.is_some(),
            Self::Member(_, value) => value.is_some(),
            Self::TargetMember(_, value) => value.is_some(),
            Self::Current(_, value) => value.is_some(),
            Self::Regex(_, value) => value.is_some(),
        }
    }
}

impl ConsumerGroup {
    fn replay(&mut self, record: ConsumerRecord) {
        match record {
            ConsumerRecord::Epoch(value) => {
                if let Some((epoch, hash)) = value {
                    self.base.epoch = epoch;
                    self.base.metadata_hash = hash;
                }
            }
            ConsumerRecord::PartitionMetadata(value) => self.has_partition_metadata = value.is_some(),
            ConsumerRecord::Member(id, Some(metadata)) => {
                let member = self.member_or_new(&id);
                self.update_member(ConsumerMember {
                    epoch: member.epoch,
                    previous_epoch: member.previous_epoch,
                    state: member.state,
                    assigned: member.assigned,
                    revoking: member.revoking,
                    ..*metadata
                });
            }
            ConsumerRecord::Member(id, None) => self.remove_member(&id),
            ConsumerRecord::Target(value) => {
                let (epoch, timestamp_ms) = value.unwrap_or((-1, 0));
                self.base.target.epoch = epoch;
                self.base.target.timestamp_ms = timestamp_ms;
            }
            ConsumerRecord::TargetMember(id, target) => self.base.target.set(id, target),
            ConsumerRecord::Current(id, Some(current)) => {
                let CurrentAssignment { epoch, previous_epoch, state, assigned, revoking } = *current;
                let member = self.member_or_new(&id);
                self.update_member(ConsumerMember {
                    epoch,
                    previous_epoch,
                    state,
                    assigned,
                    revoking,
                    ..member
                });
            }
            ConsumerRecord::Current(id, None) => {
                if let Some(member) = self.member(&id).cloned() {
                    self.update_member(ConsumerMember {
                        epoch: LEAVE_GROUP_MEMBER_EPOCH,
                        previous_epoch: LEAVE_GROUP_MEMBER_EPOCH,
                        state: MemberState::Stable,
                        assigned: Assigned::new(),
                        revoking: Assigned::new(),
                        ..member
                    });
                }
            }
            ConsumerRecord::Regex(regex, resolved) => self.resolve(regex, resolved),
        }
    }

    fn member_or_new(&self, id: &StrBytes) -> ConsumerMember {
        self.member(id).cloned().unwrap_or_else(|| ConsumerMember::new(id.clone()))
    }
}
