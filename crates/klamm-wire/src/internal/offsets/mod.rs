//! The records of `__consumer_offsets`.

// Written by `cargo xtask codegen`; changes belong there.

pub mod consumer_group_current_member_assignment_key;
pub mod consumer_group_current_member_assignment_value;
pub mod consumer_group_member_metadata_key;
pub mod consumer_group_member_metadata_value;
pub mod consumer_group_metadata_key;
pub mod consumer_group_metadata_value;
pub mod consumer_group_partition_metadata_key;
pub mod consumer_group_partition_metadata_value;
pub mod consumer_group_regular_expression_key;
pub mod consumer_group_regular_expression_value;
pub mod consumer_group_target_assignment_member_key;
pub mod consumer_group_target_assignment_member_value;
pub mod consumer_group_target_assignment_metadata_key;
pub mod consumer_group_target_assignment_metadata_value;
pub mod group_metadata_key;
pub mod group_metadata_value;
pub mod legacy_offset_commit_key;
pub mod legacy_offset_commit_value;
pub mod offset_commit_key;
pub mod offset_commit_value;
pub mod share_group_current_member_assignment_key;
pub mod share_group_current_member_assignment_value;
pub mod share_group_member_metadata_key;
pub mod share_group_member_metadata_value;
pub mod share_group_metadata_key;
pub mod share_group_metadata_value;
pub mod share_group_state_partition_metadata_key;
pub mod share_group_state_partition_metadata_value;
pub mod share_group_target_assignment_member_key;
pub mod share_group_target_assignment_member_value;
pub mod share_group_target_assignment_metadata_key;
pub mod share_group_target_assignment_metadata_value;

use bytes::{Buf, BufMut, Bytes, BytesMut};

pub use consumer_group_current_member_assignment_key::ConsumerGroupCurrentMemberAssignmentKey;
pub use consumer_group_current_member_assignment_value::ConsumerGroupCurrentMemberAssignmentValue;
pub use consumer_group_member_metadata_key::ConsumerGroupMemberMetadataKey;
pub use consumer_group_member_metadata_value::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupMemberMetadataValue,
};
pub use consumer_group_metadata_key::ConsumerGroupMetadataKey;
pub use consumer_group_metadata_value::ConsumerGroupMetadataValue;
pub use consumer_group_partition_metadata_key::ConsumerGroupPartitionMetadataKey;
pub use consumer_group_partition_metadata_value::{
    ConsumerGroupPartitionMetadataValue, PartitionMetadata, TopicMetadata,
};
pub use consumer_group_regular_expression_key::ConsumerGroupRegularExpressionKey;
pub use consumer_group_regular_expression_value::ConsumerGroupRegularExpressionValue;
pub use consumer_group_target_assignment_member_key::ConsumerGroupTargetAssignmentMemberKey;
pub use consumer_group_target_assignment_member_value::ConsumerGroupTargetAssignmentMemberValue;
pub use consumer_group_target_assignment_metadata_key::ConsumerGroupTargetAssignmentMetadataKey;
pub use consumer_group_target_assignment_metadata_value::ConsumerGroupTargetAssignmentMetadataValue;
pub use group_metadata_key::GroupMetadataKey;
pub use group_metadata_value::{GroupMetadataValue, MemberMetadata};
pub use legacy_offset_commit_key::LegacyOffsetCommitKey;
pub use legacy_offset_commit_value::LegacyOffsetCommitValue;
pub use offset_commit_key::OffsetCommitKey;
pub use offset_commit_value::OffsetCommitValue;
pub use share_group_current_member_assignment_key::ShareGroupCurrentMemberAssignmentKey;
pub use share_group_current_member_assignment_value::ShareGroupCurrentMemberAssignmentValue;
pub use share_group_member_metadata_key::ShareGroupMemberMetadataKey;
pub use share_group_member_metadata_value::ShareGroupMemberMetadataValue;
pub use share_group_metadata_key::ShareGroupMetadataKey;
pub use share_group_metadata_value::ShareGroupMetadataValue;
pub use share_group_state_partition_metadata_key::ShareGroupStatePartitionMetadataKey;
pub use share_group_state_partition_metadata_value::{
    ShareGroupStatePartitionMetadataValue, TopicInfo, TopicPartitionsInfo,
};
pub use share_group_target_assignment_member_key::ShareGroupTargetAssignmentMemberKey;
pub use share_group_target_assignment_member_value::ShareGroupTargetAssignmentMemberValue;
pub use share_group_target_assignment_metadata_key::ShareGroupTargetAssignmentMetadataKey;
pub use share_group_target_assignment_metadata_value::ShareGroupTargetAssignmentMetadataValue;

use crate::internal::codec::{Schema, SchemaError, no_more};

/// The key of a record: its type, as two bytes, then the fields of that type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupRecordKey {
    /// Type 0.
    LegacyOffsetCommit(LegacyOffsetCommitKey),
    /// Type 1.
    OffsetCommit(OffsetCommitKey),
    /// Type 2.
    GroupMetadata(GroupMetadataKey),
    /// Type 3.
    ConsumerGroupMetadata(ConsumerGroupMetadataKey),
    /// Type 4.
    ConsumerGroupPartitionMetadata(ConsumerGroupPartitionMetadataKey),
    /// Type 5.
    ConsumerGroupMemberMetadata(ConsumerGroupMemberMetadataKey),
    /// Type 6.
    ConsumerGroupTargetAssignmentMetadata(ConsumerGroupTargetAssignmentMetadataKey),
    /// Type 7.
    ConsumerGroupTargetAssignmentMember(ConsumerGroupTargetAssignmentMemberKey),
    /// Type 8.
    ConsumerGroupCurrentMemberAssignment(ConsumerGroupCurrentMemberAssignmentKey),
    /// Type 10.
    ShareGroupMemberMetadata(ShareGroupMemberMetadataKey),
    /// Type 11.
    ShareGroupMetadata(ShareGroupMetadataKey),
    /// Type 12.
    ShareGroupTargetAssignmentMetadata(ShareGroupTargetAssignmentMetadataKey),
    /// Type 13.
    ShareGroupTargetAssignmentMember(ShareGroupTargetAssignmentMemberKey),
    /// Type 14.
    ShareGroupCurrentMemberAssignment(ShareGroupCurrentMemberAssignmentKey),
    /// Type 15.
    ShareGroupStatePartitionMetadata(ShareGroupStatePartitionMetadataKey),
    /// Type 16.
    ConsumerGroupRegularExpression(ConsumerGroupRegularExpressionKey),
}

impl GroupRecordKey {
    /// The key's bytes.
    pub fn encode(&self) -> Result<Bytes, SchemaError> {
        let mut out = BytesMut::new();
        match self {
            Self::LegacyOffsetCommit(key) => {
                out.put_i16(0);
                key.encode(0, &mut out)?
            }
            Self::OffsetCommit(key) => {
                out.put_i16(1);
                key.encode(0, &mut out)?
            }
            Self::GroupMetadata(key) => {
                out.put_i16(2);
                key.encode(0, &mut out)?
            }
            Self::ConsumerGroupMetadata(key) => {
                out.put_i16(3);
                key.encode(0, &mut out)?
            }
            Self::ConsumerGroupPartitionMetadata(key) => {
                out.put_i16(4);
                key.encode(0, &mut out)?
            }
            Self::ConsumerGroupMemberMetadata(key) => {
                out.put_i16(5);
                key.encode(0, &mut out)?
            }
            Self::ConsumerGroupTargetAssignmentMetadata(key) => {
                out.put_i16(6);
                key.encode(0, &mut out)?
            }
            Self::ConsumerGroupTargetAssignmentMember(key) => {
                out.put_i16(7);
                key.encode(0, &mut out)?
            }
            Self::ConsumerGroupCurrentMemberAssignment(key) => {
                out.put_i16(8);
                key.encode(0, &mut out)?
            }
            Self::ShareGroupMemberMetadata(key) => {
                out.put_i16(10);
                key.encode(0, &mut out)?
            }
            Self::ShareGroupMetadata(key) => {
                out.put_i16(11);
                key.encode(0, &mut out)?
            }
            Self::ShareGroupTargetAssignmentMetadata(key) => {
                out.put_i16(12);
                key.encode(0, &mut out)?
            }
            Self::ShareGroupTargetAssignmentMember(key) => {
                out.put_i16(13);
                key.encode(0, &mut out)?
            }
            Self::ShareGroupCurrentMemberAssignment(key) => {
                out.put_i16(14);
                key.encode(0, &mut out)?
            }
            Self::ShareGroupStatePartitionMetadata(key) => {
                out.put_i16(15);
                key.encode(0, &mut out)?
            }
            Self::ConsumerGroupRegularExpression(key) => {
                out.put_i16(16);
                key.encode(0, &mut out)?
            }
        }
        Ok(out.freeze())
    }

    /// Reads a key; [`SchemaError::UnknownType`] when its type is not known here.
    pub fn decode(bytes: &Bytes) -> Result<Self, SchemaError> {
        let mut bytes = bytes.clone();
        let key = match bytes.try_get_i16().map_err(|_| SchemaError::TooShort)? {
            0 => Self::LegacyOffsetCommit(LegacyOffsetCommitKey::decode(0, &mut bytes)?),
            1 => Self::OffsetCommit(OffsetCommitKey::decode(0, &mut bytes)?),
            2 => Self::GroupMetadata(GroupMetadataKey::decode(0, &mut bytes)?),
            3 => Self::ConsumerGroupMetadata(ConsumerGroupMetadataKey::decode(0, &mut bytes)?),
            4 => Self::ConsumerGroupPartitionMetadata(ConsumerGroupPartitionMetadataKey::decode(
                0, &mut bytes,
            )?),
            5 => Self::ConsumerGroupMemberMetadata(ConsumerGroupMemberMetadataKey::decode(0, &mut bytes)?),
            6 => Self::ConsumerGroupTargetAssignmentMetadata(
                ConsumerGroupTargetAssignmentMetadataKey::decode(0, &mut bytes)?,
            ),
            7 => Self::ConsumerGroupTargetAssignmentMember(ConsumerGroupTargetAssignmentMemberKey::decode(
                0, &mut bytes,
            )?),
            8 => Self::ConsumerGroupCurrentMemberAssignment(ConsumerGroupCurrentMemberAssignmentKey::decode(
                0, &mut bytes,
            )?),
            10 => Self::ShareGroupMemberMetadata(ShareGroupMemberMetadataKey::decode(0, &mut bytes)?),
            11 => Self::ShareGroupMetadata(ShareGroupMetadataKey::decode(0, &mut bytes)?),
            12 => Self::ShareGroupTargetAssignmentMetadata(ShareGroupTargetAssignmentMetadataKey::decode(
                0, &mut bytes,
            )?),
            13 => Self::ShareGroupTargetAssignmentMember(ShareGroupTargetAssignmentMemberKey::decode(
                0, &mut bytes,
            )?),
            14 => Self::ShareGroupCurrentMemberAssignment(ShareGroupCurrentMemberAssignmentKey::decode(
                0, &mut bytes,
            )?),
            15 => Self::ShareGroupStatePartitionMetadata(ShareGroupStatePartitionMetadataKey::decode(
                0, &mut bytes,
            )?),
            16 => Self::ConsumerGroupRegularExpression(ConsumerGroupRegularExpressionKey::decode(
                0, &mut bytes,
            )?),
            unknown => return Err(SchemaError::UnknownType(unknown)),
        };
        no_more(&bytes)?;
        Ok(key)
    }
}

impl From<LegacyOffsetCommitKey> for GroupRecordKey {
    fn from(key: LegacyOffsetCommitKey) -> Self {
        Self::LegacyOffsetCommit(key)
    }
}

impl From<OffsetCommitKey> for GroupRecordKey {
    fn from(key: OffsetCommitKey) -> Self {
        Self::OffsetCommit(key)
    }
}

impl From<GroupMetadataKey> for GroupRecordKey {
    fn from(key: GroupMetadataKey) -> Self {
        Self::GroupMetadata(key)
    }
}

impl From<ConsumerGroupMetadataKey> for GroupRecordKey {
    fn from(key: ConsumerGroupMetadataKey) -> Self {
        Self::ConsumerGroupMetadata(key)
    }
}

impl From<ConsumerGroupPartitionMetadataKey> for GroupRecordKey {
    fn from(key: ConsumerGroupPartitionMetadataKey) -> Self {
        Self::ConsumerGroupPartitionMetadata(key)
    }
}

impl From<ConsumerGroupMemberMetadataKey> for GroupRecordKey {
    fn from(key: ConsumerGroupMemberMetadataKey) -> Self {
        Self::ConsumerGroupMemberMetadata(key)
    }
}

impl From<ConsumerGroupTargetAssignmentMetadataKey> for GroupRecordKey {
    fn from(key: ConsumerGroupTargetAssignmentMetadataKey) -> Self {
        Self::ConsumerGroupTargetAssignmentMetadata(key)
    }
}

impl From<ConsumerGroupTargetAssignmentMemberKey> for GroupRecordKey {
    fn from(key: ConsumerGroupTargetAssignmentMemberKey) -> Self {
        Self::ConsumerGroupTargetAssignmentMember(key)
    }
}

impl From<ConsumerGroupCurrentMemberAssignmentKey> for GroupRecordKey {
    fn from(key: ConsumerGroupCurrentMemberAssignmentKey) -> Self {
        Self::ConsumerGroupCurrentMemberAssignment(key)
    }
}

impl From<ShareGroupMemberMetadataKey> for GroupRecordKey {
    fn from(key: ShareGroupMemberMetadataKey) -> Self {
        Self::ShareGroupMemberMetadata(key)
    }
}

impl From<ShareGroupMetadataKey> for GroupRecordKey {
    fn from(key: ShareGroupMetadataKey) -> Self {
        Self::ShareGroupMetadata(key)
    }
}

impl From<ShareGroupTargetAssignmentMetadataKey> for GroupRecordKey {
    fn from(key: ShareGroupTargetAssignmentMetadataKey) -> Self {
        Self::ShareGroupTargetAssignmentMetadata(key)
    }
}

impl From<ShareGroupTargetAssignmentMemberKey> for GroupRecordKey {
    fn from(key: ShareGroupTargetAssignmentMemberKey) -> Self {
        Self::ShareGroupTargetAssignmentMember(key)
    }
}

impl From<ShareGroupCurrentMemberAssignmentKey> for GroupRecordKey {
    fn from(key: ShareGroupCurrentMemberAssignmentKey) -> Self {
        Self::ShareGroupCurrentMemberAssignment(key)
    }
}

impl From<ShareGroupStatePartitionMetadataKey> for GroupRecordKey {
    fn from(key: ShareGroupStatePartitionMetadataKey) -> Self {
        Self::ShareGroupStatePartitionMetadata(key)
    }
}

impl From<ConsumerGroupRegularExpressionKey> for GroupRecordKey {
    fn from(key: ConsumerGroupRegularExpressionKey) -> Self {
        Self::ConsumerGroupRegularExpression(key)
    }
}
