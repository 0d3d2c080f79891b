//! Offsets that open transactions committed (the pending half of Kafka's `OffsetMetadataManager`): they become a group's when the
//! transaction's marker says so.

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::StrBytes;

use super::offsets::OffsetAndMetadata;

/// A position's place: group, topic, partition.
type Place = (StrBytes, StrBytes, i32);

/// A position of a transaction, and the offset of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingOffset {
    /// Offset of the record.
    pub(crate) record_offset: i64,
    /// The position.
    pub(crate) value: OffsetAndMetadata,
}

/// The positions of open transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PendingOffsets {
    by_producer: BTreeMap<i64, BTreeMap<Place, PendingOffset>>,
    /// The producers with an open transaction, by place.
    open: BTreeMap<Place, BTreeSet<i64>>,
}

impl PendingOffsets {
    /// A transaction commits a position; the last one of a place counts.
    pub(crate) fn add(
        &mut self,
        producer_id: i64,
        place: Place,
        record_offset: i64,
        value: OffsetAndMetadata,
    ) {
        self.open.entry(place.clone()).or_default().insert(producer_id);
        let of_producer = self.by_producer.entry(producer_id).or_default();
        of_producer.insert(place, PendingOffset { record_offset, value });
    }

    /// A transaction has its marker: what it committed, whatever the marker says.
    pub(crate) fn end(&mut self, producer_id: i64) -> BTreeMap<Place, PendingOffset> {
        let ended = self.by_producer.remove(&producer_id).unwrap_or_default();
        for place in ended.keys() {
            if let Some(producers) = self.open.get_mut(place) {
                producers.remove(&producer_id);
                if producers.is_empty() {
                    self.open.remove(place);
                }
            }
        }
        ended
    }

    /// A place's tombstone takes the positions of open transactions with it.
    pub(crate) fn forget(&mut self, group: &StrBytes, topic: &StrBytes, partition: i32) {
        if self.open.is_empty() {
            return;
        }
        let place = (group.clone(), topic.clone(), partition);
        for producer_id in self.open.remove(&place).into_iter().flatten() {
            if let Some(of_producer) = self.by_producer.get_mut(&producer_id) {
                of_producer.remove(&place);
                if of_producer.is_empty() {
                    self.by_producer.remove(&producer_id);
                }
            }
        }
    }

    /// Whether an open transaction has a position for the place.
    pub(crate) fn contains(&self, group: &StrBytes, topic: &StrBytes, partition: i32) -> bool {
        !self.open.is_empty() && self.open.contains_key(&(group.clone(), topic.clone(), partition))
    }

    /// The topics and partitions of a group for which open transactions have positions.
    pub(crate) fn of_group<'a>(
        &'a self,
        group: &'a StrBytes,
    ) -> impl Iterator<Item = (&'a StrBytes, i32)> + use<'a> {
        let from = (group.clone(), StrBytes::default(), i32::MIN);
        let places = self.open.range(from..).map(|(place, _)| place);
        places.take_while(move |(g, ..)| g == group).map(|(_, topic, partition)| (topic, *partition))
    }

    /// Whether open transactions have positions of the group.
    pub(crate) fn has_group(&self, group: &StrBytes) -> bool {
        self.of_group(group).next().is_some()
    }

    /// Every position of an open transaction, with its place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Place, &PendingOffset)> {
        self.by_producer.values().flatten()
    }
}
