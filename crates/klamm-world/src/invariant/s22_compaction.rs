//! S22: compaction keeps the newest record of every key.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use klamm_broker::StoredRecord;
use klamm_node::NodeId;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S22: Invariant = Invariant {
    id: "S22",
    name: "NewestOfEachKey",
    statement: "in a compacted partition, every running replica that holds what is committed holds the newest committed record of each \
                key, unless it is a tombstone or was aborted",
    when: When::Checkpoint,
};

/// Where a key's newest record is.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: i64,
    /// Whether it is no tombstone.
    stays: bool,
    producer_id: i64,
}

/// The newest committed record of each key.
#[derive(Debug, Clone)]
pub(crate) struct Newest {
    keys: BTreeMap<Bytes, Place>,
    /// What was read of the log.
    read: i64,
}

impl Newest {
    /// Nothing is known.
    pub(crate) const EMPTY: Self = Self { keys: BTreeMap::new(), read: 0 };

    /// Reads what was committed since it last looked.
    pub(super) fn read(&mut self, committed: i64, records: &[StoredRecord]) {
        let new = records.iter().filter(|record| (self.read..committed).contains(&record.offset));
        for record in new.filter(|record| !record.control) {
            if let Some(key) = &record.key {
                let place = Place {
                    offset: record.offset,
                    stays: record.value.is_some(),
                    producer_id: record.producer_id,
                };
                self.keys.insert(key.clone(), place);
            }
        }
        self.read = self.read.max(committed);
    }

    /// What was committed from `end` on was lost, and nobody promised to keep it. A replica may have compacted older records away for the sake
    /// of those: only what is committed from now on is asked for.
    pub(crate) fn forget_up_to(&mut self, end: i64) {
        *self = Self { keys: BTreeMap::new(), read: end };
    }
}

/// A replica's records against the newest ones. Where what became of transactions is not `known` any more, a transactional record may have been aborted.
pub(super) fn scan(
    partition: &Partition,
    node: NodeId,
    records: &[StoredRecord],
    known: bool,
    report: &mut Report,
) {
    let Some(replica) = partition.replicas.get(&node).filter(|replica| replica.running) else { return };
    // Without a leader nobody says what was committed since.
    if partition.newest.read < partition.true_hw {
        return;
    }
    // What replaced it may be committed by a leader that the controller has given up, and compacts on (`LogCleanerManager.cleanableOffsets` asks
    // the log itself what is stable).
    let held: BTreeSet<i64> = records.iter().map(|record| record.offset).collect();
    let stable = records.iter().filter(|record| record.offset < replica.view.high_watermark);
    let stable: BTreeMap<&Bytes, i64> =
        stable.filter_map(|record| Some((record.key.as_ref()?, record.offset))).collect();
    let range = replica.view.log_start..replica.matches_to;
    let is_gone = |key: &Bytes, offset: i64| {
        !held.contains(&offset) && stable.get(key).is_none_or(|newer| *newer < offset)
    };
    let newest = partition.newest.keys.iter();
    let gone = newest.filter(|(key, at)| at.stays && range.contains(&at.offset) && is_gone(key, at.offset));
    let may_be_aborted = |at: &Place| match known {
        true => partition.txns.may_be_aborted(at.producer_id, at.offset),
        false => partition.committed.at(at.offset).is_some_and(|entry| entry.transactional),
    };
    let gone = gone.filter(|(_, at)| !may_be_aborted(at));
    if let Some(offset) = gone.map(|(_, at)| at.offset).min() {
        let what = format!("{node} does not hold offset {offset}, the newest record of its key");
        report.violation(S22, &partition.name, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, LEADER, entry, found, healthy, of};
    use crate::invariant::mirror::Entry;
    use crate::invariant::transactions::Done;

    fn record(offset: i64, key: &'static str, value: Option<&'static str>) -> StoredRecord {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        StoredRecord {
            offset,
            leader_epoch: 0,
            producer_id: -1,
            control: false,
            key: Some(bytes(key)),
            value: value.map(bytes),
        }
    }

    #[test]
    fn a_newer_record_that_only_a_stale_leader_committed_replaces_the_newest() {
        let mut partition = healthy();
        partition.newest.read(10, &[record(0, "a", Some("1"))]);
        let newer = [record(10, "a", Some("2"))];
        let look = |partition: &Partition| found(|report| scan(partition, FOLLOWER, &newer, true, report));
        assert_eq!(look(&partition), ["S22"], "10 is not committed");
        of(&mut partition, FOLLOWER).view.high_watermark = 11;
        assert!(look(&partition).is_empty());
        of(&mut partition, FOLLOWER).view.high_watermark = 10;
        of(&mut partition, FOLLOWER).matches_to = 11;
        partition.newest.read(11, &newer);
        assert!(
            look(&partition).is_empty(),
            "it holds what is newest, and does not know yet that it is committed"
        );
    }

    #[test]
    fn a_newest_record_that_is_gone_is_found() {
        let mut partition = healthy();
        let all = [
            record(0, "a", Some("1")),
            record(1, "b", Some("2")),
            record(2, "a", Some("3")),
            record(3, "c", None),
        ];
        partition.newest.read(10, &all);
        let look = |partition: &Partition, records: &[StoredRecord]| {
            found(|report| scan(partition, FOLLOWER, records, true, report))
        };
        assert!(look(&partition, &all).is_empty());
        assert!(look(&partition, &all[1..3]).is_empty(), "an older one, and a tombstone");
        assert_eq!(look(&partition, &all[..2]), ["S22"]);
        let mut aborted = all.to_vec();
        aborted[2].producer_id = 7;
        partition.newest = Newest::EMPTY;
        partition.newest.read(10, &aborted);
        let done = |commit| Done { producer_id: 7, first: 2, marker: 4, commit };
        partition.txns.done = vec![done(false)];
        assert!(look(&partition, &all[..2]).is_empty(), "it was aborted");
        partition.txns.done = vec![done(true)];
        assert_eq!(look(&partition, &all[..2]), ["S22"]);
        of(&mut partition, FOLLOWER).view.log_start = 3;
        assert!(look(&partition, &[]).is_empty(), "retention took it");
        of(&mut partition, FOLLOWER).view.log_start = 0;
        partition.true_hw = 11;
        assert!(look(&partition, &all[..2]).is_empty(), "a newer one may be committed");
        partition.true_hw = 10;
        partition.newest.forget_up_to(10);
        assert!(found(|report| scan(&partition, LEADER, &[], true, report)).is_empty());
    }

    #[test]
    fn where_nobody_knows_what_was_aborted_only_what_is_in_no_transaction_is_asked_for() {
        let mut partition = healthy();
        partition.newest.read(10, &[record(7, "a", Some("1"))]);
        let look =
            |partition: &Partition, known| found(|report| scan(partition, FOLLOWER, &[], known, report));
        assert_eq!(look(&partition, false), ["S22"]);
        let last = Entry { producer_id: 7, transactional: true, ..entry(5, 9, 0) };
        partition.committed.truncate(5);
        partition.committed.push(last);
        assert_eq!(look(&partition, true), ["S22"]);
        assert!(look(&partition, false).is_empty());
    }

    #[test]
    fn after_a_loss_only_what_is_committed_from_then_on_is_asked_for() {
        let mut partition = healthy();
        let all = [record(0, "a", Some("1")), record(6, "b", Some("2"))];
        partition.newest.read(10, &all);
        partition.newest.forget_up_to(5);
        partition.newest.read(10, &all);
        let look =
            |records: &[StoredRecord]| found(|report| scan(&partition, FOLLOWER, records, true, report));
        assert!(look(&all[1..]).is_empty(), "what replaced it may be lost");
        assert_eq!(look(&all[..1]), ["S22"]);
    }
}
