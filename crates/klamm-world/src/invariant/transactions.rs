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
use super::ghost::{Partition, Replica};
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

/// A batch as it was when it was first seen in a log.
#[derive(Debug, Clone)]
struct Seen {
    content: Content,
    at: Timestamp,
    producer_id: i64,
    /// The epoch that its producer had been given last.
    fence: Option<i16>,
    /// Whether it is committed, and folded in.
    folded: bool,
}

/// Everything about transactions that is not one partition's.
#[derive(Debug, Clone, Default)]
pub(super) struct Transactions {
    /// What batches say, by the partition's place, and the batch's offset and checksum: of ten thousand batches, two may well have the same.
    contents: BTreeMap<(usize, i64, u32), Seen>,
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
    /// The partitions that lost records that nobody promised to keep. Once there is one, what is known of transactions holds no more.
    lost: BTreeSet<TopicPartition>,
}

impl Transactions {
    /// Records of a partition were lost, and nobody promised to keep them.
    pub(super) fn give_up(&mut self, partition: &TopicPartition) {
        let mut lost = std::mem::take(&mut self.lost);
        lost.insert(partition.clone());
        *self = Self { lost, ..Self::default() };
    }

    /// Whether what was lost leaves anything to say.
    pub(super) fn is_off(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Whether a partition lost records.
    pub(super) fn has_lost(&self, partition: &TopicPartition) -> bool {
        self.lost.contains(partition)
    }

    /// Whether a transaction may stay open in a partition: its marker was lost, or what its coordinator knew of it.
    pub(super) fn may_stay_open(&self, partition: &TopicPartition) -> bool {
        self.has_lost(partition) || self.lost.iter().any(|lost| &*lost.topic == STATE_TOPIC)
    }

    /// Reads what is new in a log, where it is about transactions.
    pub(super) fn learn(
        &mut self,
        index: usize,
        inspection: &ReplicaInspection<'_>,
        entries: &[Entry],
        at: Timestamp,
    ) {
        if self.is_off() {
            return;
        }
        let name = inspection.name();
        let topic = name.topic.as_str();
        let counts = |entry: &&Entry| {
            let internal = !entry.control && (topic == STATE_TOPIC || topic == OFFSETS_TOPIC);
            let new = || !self.contents.contains_key(&(index, entry.base, entry.crc));
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
                let key = (index, batch.header.base_offset, batch.header.crc);
                if let Some(content) = read(topic, &batch).filter(|_| !self.contents.contains_key(&key)) {
                    if let Content::States(states) = &content {
                        self.states.appended(states);
                    }
                    let producer_id = batch.header.producer_id;
                    let seen = Seen {
                        content,
                        at,
                        producer_id,
                        fence: self.fences.get(&producer_id).copied(),
                        folded: false,
                    };
                    self.contents.insert(key, seen);
                }
            }
            if from == before {
                return;
            }
        }
    }

    /// Folds in what leaders of a partition have committed since.
    pub(super) fn fold(&mut self, index: usize, partition: &mut Partition, report: &mut Report) {
        if self.is_off() {
            return;
        }
        let Some((_, leader)) = partition.true_leader() else { return };
        let (from, to) = (partition.txns.folded, leader.view.high_watermark);
        if from >= to {
            return;
        }
        let begins = leader.view.log_start;
        let new: Vec<Entry> =
            leader.log.range(from, to).iter().filter(|entry| entry.base >= from).copied().collect();
        if begins > from {
            self.skip(index, partition, begins);
        }
        partition.txns.folded = to;
        for entry in &new {
            self.fold_entry(index, partition, entry, report);
        }
    }

    /// A leader deleted records before it was seen that they are committed: it may have been a stale one for so long. Their transactions are
    /// not counted, and those whose markers are gone as well are over.
    fn skip(&mut self, index: usize, partition: &mut Partition, begins: i64) {
        let deleted = self.contents.range_mut((index, 0, 0)..(index, begins, 0)).map(|(_, seen)| seen);
        for seen in deleted.filter(|seen| !seen.folded) {
            seen.folded = true;
            match seen.content {
                Content::Data { tag, .. } => self.tags.uncounted(tag),
                Content::Marker(_) => {
                    if let Some(tag) = partition.txns.open.remove(&seen.producer_id).and_then(|open| open.tag)
                    {
                        self.tags.uncounted(tag);
                    }
                    if let Some(places) = self.open_in.get_mut(&seen.producer_id) {
                        places.remove(&index);
                    }
                }
                Content::States(_) | Content::Offsets(_) => {}
            }
        }
    }

    fn fold_entry(&mut self, index: usize, partition: &mut Partition, entry: &Entry, report: &mut Report) {
        let seen = self.contents.get_mut(&(index, entry.base, entry.crc));
        let (at, fence) = seen.as_ref().map_or((report.at, None), |seen| (seen.at, seen.fence));
        let content = seen.map(|seen| {
            seen.folded = true;
            seen.content.clone()
        });
        match &content {
            Some(Content::States(states)) => {
                let waited = report.at.since(at);
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
                    let in_doubt = self.states.decided_in_doubt(pid, entry.producer_epoch);
                    self.tags.ended(&partition.name, &open, marker.committed, in_doubt, report);
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
                t08_zombies::written(partition, entry, fence, report);
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

    /// What is open in the end is not counted: a partition without a leader waits for its markers, and L6 knows for how long it may.
    pub(super) fn leave_open(&mut self, partitions: &[Partition]) {
        for open in partitions.iter().flat_map(|partition| partition.txns.open.values()) {
            if let Some(tag) = open.tag {
                self.tags.uncounted(tag);
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
                if partition.registration.is_none() {
                    continue;
                }
                // What a stale leader has ended meanwhile shows when the next one has committed it.
                let ended_before = |leader: &Replica| {
                    let led_from = leader.view.leading.as_ref().map_or(0, |leading| leading.epoch_start);
                    let old = leader.log.range(partition.txns.folded, led_from);
                    old.iter().any(|entry| entry.control && entry.producer_id == pid)
                };
                if partition.true_leader().is_some_and(|(_, leader)| !ended_before(leader)) {
                    t05_no_hanging::check(&self.states, partition, pid, report);
                } else {
                    self.changed.insert(pid);
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
    use crate::client::{TransactionOutcome, TransactionalReport};
    use crate::invariant::fixture::{LEADER, entry, found, healthy, log, of, registration};

    /// The fixture's first batch as one of transaction 4 of client 1, in epoch 3 of producer 7.
    fn transactional(partition: &mut Partition) -> Transactions {
        let first = Entry { producer_id: 7, producer_epoch: 3, transactional: true, ..entry(0, 4, 0) };
        let leader = of(partition, LEADER);
        leader.log = log(&[]);
        leader.log.push(first);
        leader.log.push(entry(5, 9, 0));
        let content = Content::Data { tag: (1, 4), read: -1, numbers: vec![0, 1, 2, 3, 4] };
        let seen = Seen { content, at: Timestamp(0), producer_id: 7, fence: None, folded: false };
        let mut all = Transactions::default();
        all.contents.insert((0, 0, first.crc), seen);
        all
    }

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

    #[test]
    fn what_a_stale_leader_may_have_ended_is_not_said_to_hang() {
        let mut partition = healthy();
        let mut all = transactional(&mut partition);
        assert!(found(|report| all.fold(0, &mut partition, report)).is_empty());
        registration(&mut partition).leader_epoch = 1;
        assert!(found(|report| all.judge(std::slice::from_ref(&partition), report)).is_empty());
        registration(&mut partition).leader_epoch = 0;
        assert_eq!(found(|report| all.judge(std::slice::from_ref(&partition), report)), ["T5"]);
        assert!(
            found(|report| all.judge(std::slice::from_ref(&partition), report)).is_empty(),
            "once is enough"
        );
        // The next leader has its marker, and has not committed that yet.
        all.changed.insert(7);
        let marker = Entry { producer_id: 7, transactional: true, control: true, ..entry(10, 10, 0) };
        of(&mut partition, LEADER).log.push(marker);
        assert_eq!(
            found(|report| all.judge(std::slice::from_ref(&partition), report)),
            ["T5"],
            "a marker of its own"
        );
        all.changed.insert(7);
        let leading = of(&mut partition, LEADER).view.leading.as_mut();
        leading.expect("the fixture leads").epoch_start = 11;
        assert!(found(|report| all.judge(&[partition], report)).is_empty());
        assert!(all.changed.contains(&7), "it is looked at again");
    }

    #[test]
    fn a_record_is_a_zombies_if_it_was_written_after_the_fence() {
        let mut partition = healthy();
        let mut all = transactional(&mut partition);
        all.fences.insert(7, 4);
        assert!(found(|report| all.fold(0, &mut partition, report)).is_empty(), "it was there before");
        let mut partition = healthy();
        let mut all = transactional(&mut partition);
        all.contents.values_mut().for_each(|seen| seen.fence = Some(4));
        assert_eq!(found(|report| all.fold(0, &mut partition, report)), ["T8"]);
    }

    #[test]
    fn batches_of_one_checksum_are_told_apart() {
        let mut partition = healthy();
        let mut all = transactional(&mut partition);
        let leader = of(&mut partition, LEADER);
        let [first, second] = [0, 1].map(|at| leader.log.entries()[at]);
        leader.log = log(&[]);
        leader.log.push(first);
        leader.log.push(Entry { base: second.base, last: second.last, ..first });
        all.fold(0, &mut partition, &mut Report::default());
        assert_eq!(partition.txns.open[&7].records, 5, "nothing is known of the second");
    }

    #[test]
    fn what_was_deleted_unseen_is_not_counted() {
        let told = |all: &Transactions| {
            let outcome = TransactionOutcome::Committed { records: 5 };
            let outcomes = [(4, outcome)].into();
            found(|report| all.tags.told(1, &TransactionalReport { outcomes, fenced: 0, expired: 0 }, report))
        };
        let mut partition = healthy();
        let mut all = transactional(&mut partition);
        assert_eq!(told(&all), ["T4"]);
        of(&mut partition, LEADER).view.log_start = 5;
        of(&mut partition, LEADER).log = log(&[(5, 9, 0)]);
        all.fold(0, &mut partition, &mut Report::default());
        assert!(told(&all).is_empty());

        // A transaction that was open before is over when its marker is gone as well.
        let mut partition = healthy();
        let mut all = transactional(&mut partition);
        all.fold(0, &mut partition, &mut Report::default());
        let leader = of(&mut partition, LEADER);
        (leader.view.log_start, leader.view.log_end, leader.view.high_watermark) = (11, 11, 11);
        let marker = EndTxnMarker { committed: true, coordinator_epoch: 0 };
        let content = Content::Marker(marker);
        let seen = Seen { content, at: Timestamp(0), producer_id: 7, fence: None, folded: false };
        all.contents.insert((0, 10, 1), seen);
        all.fold(0, &mut partition, &mut Report::default());
        assert!(partition.txns.open.is_empty() && told(&all).is_empty());
        assert!(found(|report| all.judge(&[partition], report)).is_empty());
    }

    #[test]
    fn what_waits_for_its_marker_is_not_counted() {
        let mut partition = healthy();
        let mut all = transactional(&mut partition);
        all.fold(0, &mut partition, &mut Report::default());
        let told = |all: &Transactions| {
            let outcomes = [(4, TransactionOutcome::Committed { records: 5 })].into();
            found(|report| all.tags.told(1, &TransactionalReport { outcomes, fenced: 0, expired: 0 }, report))
        };
        assert_eq!(told(&all), ["T4"]);
        all.leave_open(&[partition]);
        assert!(told(&all).is_empty());
    }

    #[test]
    fn what_was_lost_may_have_ended_a_transaction() {
        let (data, other) = (TopicPartition::new("t", 0), TopicPartition::new("t", 1));
        let mut all = Transactions::default();
        assert!(!all.is_off() && !all.may_stay_open(&data));
        all.give_up(&data);
        assert!(all.is_off() && all.may_stay_open(&data) && !all.may_stay_open(&other));
        all.give_up(&TopicPartition::new(STATE_TOPIC, 1));
        assert!(all.may_stay_open(&data) && all.may_stay_open(&other));
    }
}
