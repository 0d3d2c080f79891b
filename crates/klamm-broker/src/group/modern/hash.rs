//! The hash by which a group knows that its topics changed (KIP-1101; Kafka's `Utils.computeGroupHash`, `computeTopicHash`).

use klamm_wire::StrBytes;
use twox_hash::XxHash3_64;

use crate::group::host::Host;

/// The version of the hash (`TOPIC_HASH_MAGIC_BYTE`).
const TOPIC_HASH_MAGIC: u8 = 0;

/// The hash of a topic: its id, name, partitions and the racks of their replicas. `None` when it does not exist.
pub(crate) fn topic_hash(name: &StrBytes, host: &dyn Host) -> Option<i64> {
    let topic = host.topic(name)?;
    let mut bytes = vec![TOPIC_HASH_MAGIC];
    let (most, least) = topic.id.as_u64_pair();
    bytes.extend(most.to_le_bytes());
    bytes.extend(least.to_le_bytes());
    put_string(&mut bytes, name);
    bytes.extend(topic.partitions.to_le_bytes());
    for partition in 0..topic.partitions {
        bytes.extend(partition.to_le_bytes());
        let mut racks = host.partition_racks(name, partition);
        racks.sort_unstable();
        for rack in racks {
            bytes.extend(utf16_length(&rack).to_le_bytes());
            put_string(&mut bytes, &rack);
        }
    }
    Some(XxHash3_64::oneshot(&bytes) as i64)
}

/// The hash of topics' hashes, which come in order of the topics' names; 0 without any.
pub(crate) fn group_hash(topics: impl Iterator<Item = i64>) -> i64 {
    let bytes: Vec<u8> = topics.flat_map(i64::to_le_bytes).collect();
    if bytes.is_empty() { 0 } else { XxHash3_64::oneshot(&bytes) as i64 }
}

/// As hash4j's `putString`: UTF-16 units, then how many they are.
fn put_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    bytes.extend(utf16_length(text).to_le_bytes());
}

fn utf16_length(text: &str) -> i32 {
    i32::try_from(text.encode_utf16().count()).unwrap_or(i32::MAX)
}
