//! Who may commit and fetch offsets of a consumer group (Kafka's `ConsumerGroup.validateOffsetCommit`, `validateOffsetFetch`).

use klamm_wire::messages::{OffsetCommitRequest, TxnOffsetCommitRequest};
use klamm_wire::{ErrorCode, KafkaVersion, StrBytes, Uuid};

use super::group::ConsumerGroup;
use super::member::ConsumerMember;

impl ConsumerGroup {
    /// Whether a commit is accepted. Since 4.3 a member that has not heard of its newest epoch yet may commit what it has had since an
    /// older one (KIP-1251); before, its epoch has to be the newest.
    pub(crate) fn validate_offset_commit(
        &self,
        request: &OffsetCommitRequest,
        version: i16,
        release: KafkaVersion,
        metadata_fits: impl Fn(Option<&StrBytes>) -> bool,
    ) -> Result<(), ErrorCode> {
        let epoch = request.generation_id_or_member_epoch;
        // An administrator, or a consumer that manages its partitions itself.
        if epoch < 0 && self.is_empty() {
            return Ok(());
        }
        let member = self.member(&request.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if !member.is_classic() && version < 9 {
            return Err(ErrorCode::UnsupportedVersion);
        }
        if epoch == member.epoch {
            return Ok(());
        }
        if epoch > member.epoch || release < KafkaVersion::V4_3 {
            return Err(stale(member));
        }
        for topic in &request.topics {
            for partition in &topic.partitions {
                if metadata_fits(partition.committed_metadata.as_ref()) {
                    self.validate_partition(member, epoch, topic.topic_id, partition.partition_index)?;
                }
            }
        }
        Ok(())
    }

    /// As [`Self::validate_offset_commit`], of a transaction's. It may come without a member, for which its older versions have no room.
    pub(crate) fn validate_txn_offset_commit(
        &self,
        request: &TxnOffsetCommitRequest,
        release: KafkaVersion,
        metadata_fits: impl Fn(Option<&StrBytes>) -> bool,
    ) -> Result<(), ErrorCode> {
        let epoch = request.generation_id_or_member_epoch;
        let by_nobody = request.member_id.is_empty() && request.group_instance_id.is_none();
        if (epoch < 0 && self.is_empty()) || (epoch == -1 && by_nobody) {
            return Ok(());
        }
        let member = self.member(&request.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if epoch == member.epoch {
            return Ok(());
        }
        if epoch > member.epoch || release < KafkaVersion::V4_3 {
            return Err(stale(member));
        }
        for topic in &request.topics {
            for partition in &topic.partitions {
                if metadata_fits(partition.committed_metadata.as_ref()) {
                    self.validate_partition(member, epoch, topic.topic_id, partition.partition_index)?;
                }
            }
        }
        Ok(())
    }

    fn validate_partition(
        &self,
        member: &ConsumerMember,
        epoch: i32,
        topic: Uuid,
        partition: i32,
    ) -> Result<(), ErrorCode> {
        match member.assignment_epoch(&topic, partition) {
            Some(assigned) if epoch >= assigned => Ok(()),
            Some(_) | None => Err(stale(member)),
        }
    }

    /// Whether a fetch of offsets is answered. Without a member it is an administrator's.
    pub(crate) fn validate_offset_fetch(
        &self,
        member: Option<&StrBytes>,
        epoch: i32,
    ) -> Result<(), ErrorCode> {
        let Some(id) = member else {
            return if epoch < 0 { Ok(()) } else { Err(ErrorCode::UnknownMemberId) };
        };
        let member = self.member(id).ok_or(ErrorCode::UnknownMemberId)?;
        if epoch == member.epoch { Ok(()) } else { Err(stale(member)) }
    }
}

/// What a member in another epoch is told.
const fn stale(member: &ConsumerMember) -> ErrorCode {
    if member.is_classic() { ErrorCode::IllegalGeneration } else { ErrorCode::StaleMemberEpoch }
}
