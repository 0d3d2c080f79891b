//! The offsets that groups committed (the storage half of Kafka's `OffsetMetadataManager`).
//!
//! A commit is applied as soon as it is in the leader's log, and answered once it is committed there. A plain OffsetFetch
//! must not see it in between: a failover could take it back. So each entry keeps its committed value beside the
//! values that wait for the high watermark (Kafka keeps snapshots of a whole timeline of maps for this).

use std::collections::{BTreeMap, VecDeque};

use klamm_wire::{StrBytes, Uuid};

/// A committed position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetAndMetadata {
    /// The next offset to consume.
    pub(crate) offset: i64,
    /// Leader epoch of the last consumed record; -1 when unknown.
    pub(crate) leader_epoch: i32,
    /// What the client wrote beside it.
    pub(crate) metadata: StrBytes,
    /// When it was committed, in milliseconds since the epoch.
    pub(crate) commit_timestamp: i64,
    /// When it expires, for the rare client that says so itself.
    pub(crate) expire_timestamp: Option<i64>,
    /// Id of the topic that it is about; nil when unknown.
    pub(crate) topic_id: Uuid,
}

/// Where a value stands: the committed one, and those appended but not committed yet, oldest first, each with the offset
/// of its record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    committed: Option<OffsetAndMetadata>,
    appended: VecDeque<(i64, Option<OffsetAndMetadata>)>,
    /// Offset of the record that the latest value was written in: for one of a transaction that is below its marker's.
    record_offset: i64,
}

impl Entry {
    fn latest(&self) -> Option<&OffsetAndMetadata> {
        match self.appended.back() {
            Some((_, value)) => value.as_ref(),
            None => self.committed.as_ref(),
        }
    }
}

/// Which values a reader wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Only what a failover cannot take back.
    Committed,
    /// Everything that was appended.
    Latest,
}

type Partitions = BTreeMap<i32, Entry>;
type Topics = BTreeMap<StrBytes, Partitions>;

/// Offsets by group, topic and partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    groups: BTreeMap<StrBytes, Topics>,
    /// Record offsets above the high watermark, and what they changed.
    appended: VecDeque<(i64, StrBytes, StrBytes, i32)>,
}

impl Offsets {
    /// Applies a record: a value, or `None` for a tombstone.
    pub(crate) fn apply(
        &mut self,
        record_offset: i64,
        group: &StrBytes,
        topic: &StrBytes,
        partition: i32,
        value: Option<OffsetAndMetadata>,
    ) {
        let topics = self.groups.entry(group.clone()).or_default();
        let entry = topics.entry(topic.clone()).or_default().entry(partition).or_default();
        entry.appended.push_back((record_offset, value));
        entry.record_offset = record_offset;
        self.appended.push_back((record_offset, group.clone(), topic.clone(), partition));
    }

    /// Applies a value that a transaction wrote at `record_offset` and committed with its marker at `marker_offset`. A value that
    /// was written later stands.
    pub(crate) fn apply_transactional(
        &mut self,
        (record_offset, marker_offset): (i64, i64),
        group: &StrBytes,
        topic: &StrBytes,
        partition: i32,
        value: OffsetAndMetadata,
    ) {
        let topics = self.groups.entry(group.clone()).or_default();
        let entry = topics.entry(topic.clone()).or_default().entry(partition).or_default();
        if entry.latest().is_some() && entry.record_offset >= record_offset {
            return;
        }
        entry.appended.push_back((marker_offset, Some(value)));
        entry.record_offset = record_offset;
        self.appended.push_back((marker_offset, group.clone(), topic.clone(), partition));
    }

    /// Notes that records below `high_watermark` are committed.
    pub(crate) fn commit(&mut self, high_watermark: i64) {
        while self.appended.front().is_some_and(|(offset, ..)| *offset < high_watermark) {
            let Some((_, group, topic, partition)) = self.appended.pop_front() else { break };
            self.settle(&group, &topic, partition, high_watermark);
        }
    }

    fn settle(&mut self, group: &StrBytes, topic: &StrBytes, partition: i32, high_watermark: i64) {
        let Some(topics) = self.groups.get_mut(group) else { return };
        let Some(partitions) = topics.get_mut(topic) else { return };
        let Some(entry) = partitions.get_mut(&partition) else { return };
        while entry.appended.front().is_some_and(|(offset, _)| *offset < high_watermark) {
            entry.committed = entry.appended.pop_front().and_then(|(_, value)| value);
        }
        if entry.committed.is_none() && entry.appended.is_empty() {
            partitions.remove(&partition);
            if partitions.is_empty() {
                topics.remove(topic);
            }
            if topics.is_empty() {
                self.groups.remove(group);
            }
        }
    }

    /// One position.
    pub(crate) fn get(
        &self,
        view: View,
        group: &StrBytes,
        topic: &StrBytes,
        partition: i32,
    ) -> Option<&OffsetAndMetadata> {
        let entry = self.groups.get(group)?.get(topic)?.get(&partition)?;
        match view {
            View::Committed => entry.committed.as_ref(),
            View::Latest => entry.latest(),
        }
    }

    /// A group's positions, in order of topic and partition.
    pub(crate) fn of_group<'a>(
        &'a self,
        view: View,
        group: &StrBytes,
    ) -> impl Iterator<Item = (&'a StrBytes, i32, &'a OffsetAndMetadata)> + use<'a> {
        self.groups.get(group).into_iter().flatten().flat_map(move |(topic, partitions)| {
            partitions.iter().filter_map(move |(partition, entry)| {
                let value = match view {
                    View::Committed => entry.committed.as_ref(),
                    View::Latest => entry.latest(),
                };
                value.map(|value| (topic, *partition, value))
            })
        })
    }

    /// Every group that has positions (or had until its last tombstone commits), in order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &StrBytes> {
        self.groups.keys()
    }

    /// How many positions are kept.
    pub(crate) fn len(&self) -> usize {
        self.groups.values().flat_map(BTreeMap::values).map(BTreeMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> Option<OffsetAndMetadata> {
        Some(OffsetAndMetadata {
            offset,
            leader_epoch: -1,
            metadata: StrBytes::default(),
            commit_timestamp: 0,
            expire_timestamp: None,
            topic_id: Uuid::nil(),
        })
    }

    #[test]
    fn a_reader_of_committed_values_sees_nothing_above_the_high_watermark() {
        let (g, t) = (StrBytes::from_static_str("g"), StrBytes::from_static_str("t"));
        let mut offsets = Offsets::default();
        let read = |o: &Offsets, view| o.get(view, &g, &t, 0).map(|v| v.offset);
        offsets.apply(10, &g, &t, 0, at(1));
        offsets.apply(11, &g, &t, 0, at(2));
        assert_eq!((read(&offsets, View::Committed), read(&offsets, View::Latest)), (None, Some(2)));
        offsets.commit(11);
        assert_eq!((read(&offsets, View::Committed), read(&offsets, View::Latest)), (Some(1), Some(2)));
        offsets.apply(12, &g, &t, 0, None);
        assert_eq!((read(&offsets, View::Committed), read(&offsets, View::Latest)), (Some(1), None));
        offsets.commit(13);
        assert_eq!(offsets, Offsets::default());
    }
}
