//! What the checker remembers of transactions: what is committed in data partitions, in `__transaction_state` and in `__consumer_offsets`,
//! batch by batch, from the leader that is no stale one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use klamm_broker::ReplicaInspection;
use klamm_node::{Timestamp, TopicPartition};
use klamm_wire::internal::Schema as _;
use klamm_wire::internal::offsets::{GroupRecordKey, OffsetCommitValue};
use klamm_wire::internal::txn::{TransactionLogValue, TransactionRecordKey};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::record::control::EndTxnMarker;
use klamm_wire::record::record::Record;
use klamm_wire::{RecordBatch, StrBytes};

use super::doors::OFFSETS_TOPIC;
use super::ghost::Partition;
use super::mirror::Entry;
use super::report::Report;
use super::t06_states::State;
use super::{t04_atomic, t05_no_hanging, t06_states, t08_zombies, t09_offsets};
use crate::client::transactional::read_key;

/// The topic that coordinators keep transactions in.
pub(super) const STATE_TOPIC: &str = "__transaction_state";
/// What a batch is decompressed to at most.
const LIMIT: usize = 64 << 20;

/// A transaction of a simulated client: the client, and the number of the transaction.
pub(super) type Tag = (u32, u64);

/// What a batch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// The end of a transaction.
    Marker(EndTxnMarker),
    /// Records of a simulated client's transaction: the partition that they were read from, or -1, and their numbers.
    Data { tag: Tag, read: i32, numbers: Vec<u64> },
    /// What became of transactional ids; `None` for one that is forgotten.
    States(Vec<(StrBytes, Option<State>)>),
    /// Offsets of groups.
    Offsets(Vec<t09_offsets::Commit>),
}

/// An open transaction of a producer in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(super) first: i64,
    pub(super) epoch: i16,
    pub(super) tag: Option<Tag>,
    /// How many records of the tag it holds.
    pub(super) records: u64,
    /// What was read to make them.
    pub(super) read: Vec<(i32, u64)>,
}

/// A transaction that is over in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(super) producer_id: i64,
    pub(super) first: i64,
    pub(super) marker: i64,
    pub(super) commit: bool,
}

/// The transactions of one partition, as far as they are committed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Txns {
    /// Below this all is folded in.
    pub(super) folded: i64,
    pub(super) open: BTreeMap<i64, Open>,
    /// In the order of their markers.
    pub(super) done: Vec<Done>,
    /// The epoch of each producer's last marker, and of the coordinator that wrote it.
    pub(super) markers: BTreeMap<i64, (i16, i32)>,
}

/// Whether a batch is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Committed,
    Aborted,
    Open,
}

impl Txns {
    pub(crate) const EMPTY: Self =
        Self { folded: 0, open: BTreeMap::new(), done: Vec::new(), markers: BTreeMap::new() };

    /// The first offset of an open transaction.
    pub(super) fn first_open(&self) -> Option<i64> {
        self.open.values().map(|open| open.first).min()
    }

    /// What became of the transaction that a producer's batch belongs to; `None` for what is not known yet.
    pub(super) fn fate(&self, producer_id: i64, base: i64) -> Option<Fate> {
        if self.open.get(&producer_id).is_some_and(|open| open.first <= base) {
            return Some(Fate::Open);
        }
        let from = self.done.partition_point(|done| done.marker <= base);
        let done =
            self.done[from..].iter().find(|done| done.producer_id == producer_id && done.first <= base);
        done.map(|done| if done.commit { Fate::Committed } else { Fate::Aborted })
    }

    /// Whether a producer's record may be part of a transaction that is aborted, as far as is known: compaction drops those.
    pub(super) fn may_be_aborted(&self, producer_id: i64, base: i64) -> bool {
        let known = self.open.contains_key(&producer_id);
        let known = known || self.done.iter().any(|done| done.producer_id == producer_id);
        known && self.fate(producer_id, base) != Some(Fate::Committed)
    }

    /// The aborted transactions with records in `from..to`.
    pub(super) fn aborted(&self, from: i64, to: i64) -> impl Iterator<Item = &Done> {
        let begin = self.done.partition_point(|done| done.marker < from);
        self.done[begin..].iter().filter(move |done| !done.commit && done.first < to)
    }
}

/// Everything about transactions that is not one partition's.
#[derive(Debug, Clone, Default)]
pub(super) struct Transactions {
    /// What batches say, and when they were first seen.
    contents: BTreeMap<(usize, u32), (Content, Timestamp)>,
    pub(super) states: t06_states::States,
    pub(super) tags: t04_atomic::Tags,
    pub(super) offsets: t09_offsets::Offsets,
    /// The epoch that each producer was last given.
    pub(super) fences: BTreeMap<i64, i16>,
    /// Where each producer has an open transaction.
    pub(super) open_in: BTreeMap<i64, BTreeSet<usize>>,
    /// Markers of this step: the partition's place, and the batch.
    markers: Vec<(usize, Entry, bool)>,
    /// Producers whose transactions changed in this step.
    changed: BTreeSet<i64>,
    /// Whether records were lost that nobody promised to keep: what is known of transactions holds no more.
    off: bool,
}

impl Transactions {
    /// Records were lost, and nobody promised to keep them.
    pub(super) fn give_up(&mut self) {
        *self = Self { off: true, ..Self::default() };
    }

    /// Whether what was lost leaves anything to say.
    pub(super) const fn is_off(&self) -> bool {
        self.off
    }

    /// Reads what is new in a log, where it is about transactions.
    pub(super) fn learn(
        &mut self,
        index: usize,
        inspection: &ReplicaInspection<'_>,
        entries: &[Entry],
        at: Timestamp,
    ) {
        if self.off {
            return;
        }
        let name = inspection.name();
        let topic = name.topic.as_str();
        let counts = |entry: &&Entry| {
            let internal = !entry.control && (topic == STATE_TOPIC || topic == OFFSETS_TOPIC);
            let new = || !self.contents.contains_key(&(index, entry.crc));
            (internal || entry.transactional) && new()
        };
        let (Some(first), Some(last)) = (entries.iter().find(counts), entries.iter().rfind(counts)) else {
            return;
        };
        let mut from = first.base;
        while from <= last.base {
            let batches = inspection.batches(from);
            let before = from;
            for batch in BatchIter::new(batches.concat().into()).flatten() {
                from = from.max(batch.header.next_offset());
                let key = (index, batch.header.crc);
                if let Some(content) = read(topic, &batch).filter(|_| !self.contents.contains_key(&key)) {
                    if let Content::States(states) = &content {
                        self.states.appended(states);
                    }
                    self.contents.insert(key, (content, at));
                }
            }
            if from == before {
                return;
            }
        }
    }

    /// Folds in what leaders of a partition have committed since.
    pub(super) fn fold(&mut self, index: usize, partition: &mut Partition, report: &mut Report) {
        if self.off {
            return;
        }
        let Some((_, leader)) = partition.true_leader() else { return };
        let (from, to) = (partition.txns.folded, leader.view.high_watermark);
        if from >= to {
            return;
        }
        let new: Vec<Entry> =
            leader.log.range(from, to).iter().filter(|entry| entry.base >= from).copied().collect();
        partition.txns.folded = to;
        for entry in &new {
            self.fold_entry(index, partition, entry, report);
        }
    }

    fn fold_entry(&mut self, index: usize, partition: &mut Partition, entry: &Entry, report: &mut Report) {
        let (content, seen) = self.contents.get(&(index, entry.crc)).cloned().unzip();
        match &content {
            Some(Content::States(states)) => {
                let waited = report.at.since(seen.unwrap_or(report.at));
                for (id, state) in states {
                    self.changed.extend(self.states.became(id, state.as_ref(), waited, report));
                }
                return;
            }
            Some(Content::Offsets(commits)) => {
                let producer = entry.transactional.then_some(entry.producer_id);
                self.offsets.written(index, producer, entry.base, commits);
            }
            _ => {}
        }
        if !entry.transactional {
            return;
        }
        let pid = entry.producer_id;
        match content {
            Some(Content::Marker(marker)) => {
                t08_zombies::marker(partition, entry, marker.coordinator_epoch, report);
                self.markers.push((index, *entry, marker.committed));
                self.offsets.ended(index, pid, marker.committed);
                if let Some(open) = partition.txns.open.remove(&pid) {
                    let done = Done {
                        producer_id: pid,
                        first: open.first,
                        marker: entry.base,
                        commit: marker.committed,
                    };
                    partition.txns.done.push(done);
                    self.tags.ended(&partition.name, &open, marker.committed, report);
                    if marker.committed {
                        let id = self.states.id_of(pid).cloned().unwrap_or_default();
                        self.offsets.processed(&id, &partition.name, &open.read, report);
                    }
                    if let Some(places) = self.open_in.get_mut(&pid) {
                        places.remove(&index);
                    }
                }
            }
            content => {
                t08_zombies::written(partition, entry, self.fences.get(&pid).copied(), report);
                let new = Open {
                    first: entry.base,
                    epoch: entry.producer_epoch,
                    tag: None,
                    records: 0,
                    read: Vec::new(),
                };
                let open = partition.txns.open.entry(pid).or_insert(new);
                if let Some(Content::Data { tag, read, numbers }) = content {
                    self.tags.written(&partition.name, open, entry, tag, report);
                    open.records += numbers.len() as u64;
                    if read >= 0 {
                        open.read.extend(numbers.iter().map(|number| (read, *number)));
                    }
                }
                self.open_in.entry(pid).or_default().insert(index);
                self.changed.insert(pid);
            }
        }
    }

    /// Compares what this step wrote in different partitions, once all of it is folded in.
    pub(super) fn judge(&mut self, partitions: &[Partition], report: &mut Report) {
        for (index, entry, committed) in std::mem::take(&mut self.markers) {
            t06_states::marker(&self.states, &partitions[index].name, &entry, committed, report);
        }
        for pid in std::mem::take(&mut self.changed) {
            let places = self.open_in.get(&pid).into_iter().flatten();
            for partition in places.filter_map(|index| partitions.get(*index)) {
                if partition.registration.is_some() {
                    t05_no_hanging::check(&self.states, partition, pid, report);
                }
            }
        }
    }
}

/// What a batch says of transactions.
fn read(topic: &str, batch: &RecordBatch) -> Option<Content> {
    let header = &batch.header;
    let records = batch.records(LIMIT).ok()?;
    if header.is_control() {
        let marker = records.iter().flatten().next();
        return marker.and_then(|record| EndTxnMarker::read(record.key?, record.value?)).map(Content::Marker);
    }
    let owned = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    match topic {
        STATE_TOPIC => {
            let state = |record: Record<'_>| {
                let TransactionRecordKey::TransactionLog(key) =
                    TransactionRecordKey::decode(&owned(record.key?)).ok()?
                else {
                    return None;
                };
                let state = match record.value {
                    Some(value) => Some(state(&owned(value))?),
                    None => None,
                };
                Some((key.transactional_id, state))
            };
            Some(Content::States(records.iter().flatten().filter_map(state).collect()))
        }
        OFFSETS_TOPIC => {
            let commit = |record: Record<'_>| {
                let GroupRecordKey::OffsetCommit(key) = GroupRecordKey::decode(&owned(record.key?)).ok()?
                else {
                    return None;
                };
                let offset = match record.value {
                    Some(value) => {
                        Some(OffsetCommitValue::from_versioned_bytes(&owned(value)).ok()?.0.offset)
                    }
                    None => None,
                };
                let partition = TopicPartition::new(key.topic, key.partition);
                Some(t09_offsets::Commit { group: key.group, partition, offset })
            };
            Some(Content::Offsets(records.iter().flatten().filter_map(commit).collect()))
        }
        _ if header.is_transactional() => {
            let first = records.iter().flatten().next()?;
            let (client, number, read) = read_key(first.key?)?;
            let value = |record: Record<'_>| Some(u64::from_be_bytes(record.value?.try_into().ok()?));
            let numbers = records.iter().flatten().filter_map(value).collect();
            Some(Content::Data { tag: (client, number), read, numbers })
        }
        _ => None,
    }
}

fn state(bytes: &Bytes) -> Option<State> {
    let (value, _) = TransactionLogValue::from_versioned_bytes(bytes).ok()?;
    let topics = value.transaction_partitions.into_iter().flatten();
    let partitions = topics.flat_map(|topic| {
        let name = topic.topic;
        topic.partition_ids.into_iter().map(move |id| TopicPartition::new(name.clone(), id))
    });
    Some(State {
        status: value.transaction_status,
        producer_id: value.producer_id,
        producer_epoch: value.producer_epoch,
        timeout: Duration::from_millis(u64::try_from(value.transaction_timeout_ms).unwrap_or(0)),
        partitions: partitions.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{healthy, registration};

    #[test]
    fn what_a_stale_leader_has_is_not_committed_by_that() {
        let mut partition = healthy();
        registration(&mut partition).leader_epoch = 1;
        Transactions::default().fold(0, &mut partition, &mut Report::default());
        assert_eq!(partition.txns.folded, 0);
        registration(&mut partition).leader_epoch = 0;
        Transactions::default().fold(0, &mut partition, &mut Report::default());
        assert_eq!(partition.txns.folded, 10);
    }
}
