//! What members tell each other through the coordinator: subscriptions and assignments (`ConsumerProtocol`, version 3).
//!
//! Both come from other members, so nothing is reserved for a count before its elements are there.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use klamm_node::TopicPartition;
use klamm_wire::StrBytes;

const VERSION: i16 = 3;

/// What a member wants, and has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) topics: Vec<StrBytes>,
    pub(super) owned: BTreeSet<TopicPartition>,
    /// The generation that `owned` is of; -1 when unknown.
    pub(super) generation: i32,
}

impl Subscription {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_i16(VERSION);
        out.put_i32(len(self.topics.len()));
        for topic in &self.topics {
            put_string(&mut out, topic);
        }
        out.put_i32(-1);
        put_partitions(&mut out, &self.owned);
        out.put_i32(self.generation);
        out.put_i16(-1);
        out.freeze()
    }

    /// Reads what any version holds; `None` for nonsense.
    pub(super) fn decode(mut bytes: Bytes) -> Option<Self> {
        let version = bytes.try_get_i16().ok()?;
        let mut topics = Vec::new();
        for _ in 0..bytes.try_get_i32().ok()? {
            topics.push(take_string(&mut bytes)?);
        }
        let mut subscription = Self { topics, owned: BTreeSet::new(), generation: -1 };
        skip_bytes(&mut bytes)?;
        if version >= 1 {
            subscription.owned = take_partitions(&mut bytes)?;
        }
        if version >= 2 {
            subscription.generation = bytes.try_get_i32().ok()?;
        }
        Some(subscription)
    }
}

pub(super) fn encode_assignment(partitions: &BTreeSet<TopicPartition>) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(VERSION);
    put_partitions(&mut out, partitions);
    out.put_i32(-1);
    out.freeze()
}

/// The partitions of an assignment; none in empty bytes, `None` for nonsense.
pub(super) fn decode_assignment(mut bytes: Bytes) -> Option<BTreeSet<TopicPartition>> {
    if bytes.is_empty() {
        return Some(BTreeSet::new());
    }
    bytes.try_get_i16().ok()?;
    take_partitions(&mut bytes)
}

fn len(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}

fn put_string(out: &mut BytesMut, text: &StrBytes) {
    out.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
    out.put_slice(text.as_bytes());
}

fn put_partitions(out: &mut BytesMut, partitions: &BTreeSet<TopicPartition>) {
    let mut by_topic: BTreeMap<&StrBytes, Vec<i32>> = BTreeMap::new();
    for TopicPartition { topic, partition } in partitions {
        by_topic.entry(topic).or_default().push(*partition);
    }
    out.put_i32(len(by_topic.len()));
    for (topic, partitions) in by_topic {
        put_string(out, topic);
        out.put_i32(len(partitions.len()));
        for partition in partitions {
            out.put_i32(partition);
        }
    }
}

fn take_string(bytes: &mut Bytes) -> Option<StrBytes> {
    let len = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
    (len <= bytes.len()).then(|| StrBytes::from_utf8(bytes.split_to(len)).ok()).flatten()
}

fn skip_bytes(bytes: &mut Bytes) -> Option<()> {
    let len = usize::try_from(bytes.try_get_i32().ok()?).unwrap_or(0);
    (len <= bytes.len()).then(|| bytes.advance(len))
}

fn take_partitions(bytes: &mut Bytes) -> Option<BTreeSet<TopicPartition>> {
    let mut partitions = BTreeSet::new();
    for _ in 0..bytes.try_get_i32().ok()? {
        let topic = take_string(bytes)?;
        for _ in 0..bytes.try_get_i32().ok()? {
            let partition = bytes.try_get_i32().ok()?;
            partitions.insert(TopicPartition { topic: topic.clone(), partition });
        }
    }
    Some(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions() -> BTreeSet<TopicPartition> {
        [("a", 0), ("a", 2), ("b", 1)].map(|(topic, partition)| TopicPartition::new(topic, partition)).into()
    }

    #[test]
    fn what_is_written_is_read() {
        let topics = vec!["a".into(), "b".into()];
        let subscription = Subscription { topics, owned: partitions(), generation: 7 };
        assert_eq!(Subscription::decode(subscription.encode()), Some(subscription));
        assert_eq!(decode_assignment(encode_assignment(&partitions())), Some(partitions()));
        assert_eq!(decode_assignment(Bytes::new()), Some(BTreeSet::new()));
    }

    #[test]
    fn an_old_subscription_has_topics_only() {
        let old = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01a\xff\xff\xff\xff");
        let wanted = Subscription { topics: vec!["a".into()], owned: BTreeSet::new(), generation: -1 };
        assert_eq!(Subscription::decode(old), Some(wanted));
    }

    #[test]
    fn nonsense_is_refused() {
        let whole = Subscription { owned: partitions(), ..Subscription::default() }.encode();
        for len in 0..whole.len() - 6 {
            assert_eq!(Subscription::decode(whole.slice(..len)), None, "{len}");
        }
        assert_eq!(Subscription::decode(Bytes::from_static(b"\0\x03\x7f\xff\xff\xff")), None);
        assert_eq!(decode_assignment(Bytes::from_static(b"\0\x03\x7f\xff\xff\xff")), None);
    }
}
