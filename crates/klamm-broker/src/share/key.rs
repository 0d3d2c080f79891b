//! What a share group's state is kept by: group, topic and partition (`SharePartitionKey`).

use klamm_log::checkpoint::{decode_uuid, encode_uuid};
use klamm_wire::{StrBytes, Uuid};

use crate::group::partition_for;

/// A partition as one share group sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SharePartitionKey {
    /// The group.
    pub(crate) group: StrBytes,
    /// The topic.
    pub(crate) topic_id: Uuid,
    /// The partition.
    pub(crate) partition: i32,
}

impl SharePartitionKey {
    /// A key with a copy of the group's name: one out of a request would hold the request's memory.
    pub(crate) fn new(group: &str, topic_id: Uuid, partition: i32) -> Self {
        Self { group: StrBytes::from_string(group.to_owned()), topic_id, partition }
    }

    /// Reads what [`SharePartitionKey::coordinator_key`] writes, from the right: a group's name may hold colons.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        let mut parts = key.rsplitn(3, ':');
        let (partition, topic_id, group) = (parts.next()?, parts.next()?, parts.next()?);
        if group.trim().is_empty() {
            return None;
        }
        Some(Self::new(group, decode_uuid(topic_id)?, partition.parse().ok()?))
    }

    /// The key that FindCoordinator is asked with (`asCoordinatorKey`).
    pub(crate) fn coordinator_key(&self) -> String {
        format!("{}:{}:{}", self.group, encode_uuid(self.topic_id), self.partition)
    }

    /// Which of so many partitions of `__share_group_state` keeps the state.
    pub(crate) fn coordinator_partition(&self, partitions: i32) -> i32 {
        partition_for(&self.coordinator_key(), partitions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinators_key_is_read_back() {
        let key =
            SharePartitionKey::new("a:b", Uuid::from_u128(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210), 7);
        assert_eq!(key.coordinator_key(), "a:b:ASNFZ4mrze_-3LqYdlQyEA:7");
        assert_eq!(SharePartitionKey::parse(&key.coordinator_key()), Some(key));
        for wrong in ["", "g", "g:7", ":ASNFZ4mrze_-3LqYdlQyEA:7", "g:x:7", "g:ASNFZ4mrze_-3LqYdlQyEA:x"] {
            assert_eq!(SharePartitionKey::parse(wrong), None, "{wrong}");
        }
    }
}
