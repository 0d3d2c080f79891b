//! What the checker remembers, outside of the system: the true high watermark, what was committed, acknowledged and consumed,
//! who wrote in which epoch, and how much loss the faults so far excuse.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use klamm_broker::ReplicaView;
use klamm_log::EpochEntry;
use klamm_metadata::{LeaderRecoveryState, PartitionRegistration};
use klamm_node::{NodeId, TopicPartition};
use klamm_wire::Uuid;

use super::mirror::{Entry, Mirror};
use super::s21_retention::Retention;
use super::s22_compaction::Newest;
use super::transactions::Txns;

/// One replica, with its whole log.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    /// Whether its broker runs, and is registered in this life.
    pub(crate) running: bool,
    /// What it knows.
    pub(crate) view: ReplicaView,
    /// Its log.
    pub(crate) log: Mirror,
    /// Below this its log is known to equal what was committed.
    pub(crate) matches_to: i64,
    /// Whether its broker lost power, and it has not caught up since.
    pub(crate) after_loss: bool,
    /// What its epoch cache went through, in this life of its broker and earlier ones.
    pub(crate) epochs: EpochPast,
    /// Where its log ended when it last read its producers' state from a snapshot: when its broker started, or it was truncated. `None` before
    /// it is seen in its broker's new life.
    pub(crate) reloaded: Option<i64>,
    /// The producers of which its log knew something when it last read their state from a snapshot, as `reloaded` says.
    pub(crate) known: BTreeSet<i64>,
    /// What its broker wrote as a leader of old metadata before it was registered in this life or an earlier one, and is still there: its own
    /// coordinators do.
    pub(crate) premature: Vec<Entry>,
    /// What it kept of its own where its leader's log has a hole, and is still there.
    pub(crate) kept: Vec<Entry>,
    /// Whom it counted for a proposal that it forgot, in the partition epoch that it still has.
    pub(crate) forgotten: Vec<NodeId>,
}

impl Replica {
    /// A replica at its first sight, or as long as its broker is not registered: all is read anew. `old` is what was last seen of it, in an
    /// earlier life or in this one; `lost_power` whether its broker's last life ended so, and `known` the producers that its log knows now.
    pub(super) fn look(
        old: Option<&Self>,
        running: bool,
        lost_power: bool,
        view: ReplicaView,
        log: Mirror,
        known: BTreeSet<i64>,
    ) -> Self {
        let old_end = old.map_or(0, |old| old.log.end());
        let is_new_life = old.is_none_or(|old| old.reloaded.is_none());
        // Who lost something and stopped once more has not caught up by that, and neither by being looked at twice.
        let after_loss =
            old.is_some_and(|old| old.after_loss) || is_new_life && lost_power && log.end() < old_end;
        let mut epochs = old.map(|old| old.epochs.clone()).unwrap_or_default();
        epochs.see(&view);
        let since = old.filter(|_| log.end() >= old_end);
        let since = since.and_then(|old| Some((old.reloaded?, old.known.clone())));
        let (reloaded, known) = since.unwrap_or_else(|| (log.end(), known));
        let mut replica = Self {
            running,
            view,
            log,
            matches_to: 0,
            after_loss,
            epochs,
            reloaded: Some(reloaded),
            known,
            premature: old.map(|old| old.premature.clone()).unwrap_or_default(),
            kept: old.map(|old| old.kept.clone()).unwrap_or_default(),
            forgotten: Vec::new(),
        };
        replica.drop_excused();
        if !running
            && replica.view.leading.is_some()
            && let Some(old) = old.filter(|old| old.reloaded.is_some())
        {
            let new = replica.log.range(old.log.end(), i64::MAX).iter();
            replica.premature.extend(new.filter(|entry| entry.epoch == replica.view.leader_epoch));
        }
        replica
    }

    /// What is not in its log any more is excused no more.
    pub(super) fn drop_excused(&mut self) {
        let log = &self.log;
        let is_there = |entry: &Entry| log.at(entry.base) == Some(entry);
        self.premature.retain(is_there);
        self.kept.retain(is_there);
    }

    /// Where its log differs first in `from..to` from another replica's, but for what is excused in either.
    pub(super) fn differs_from(&self, other: &Self, from: i64, to: i64, sparse: bool) -> Option<i64> {
        self.first_difference(&other.log, Some(other), from, to, sparse)
    }

    /// Where its log differs first in `from..to` from what is committed, but for what is excused in it.
    pub(super) fn differs_from_committed(
        &self,
        committed: &Mirror,
        from: i64,
        to: i64,
        sparse: bool,
    ) -> Option<i64> {
        self.first_difference(committed, None, from, to, sparse)
    }

    fn first_difference(
        &self,
        log: &Mirror,
        other: Option<&Self>,
        mut from: i64,
        to: i64,
        sparse: bool,
    ) -> Option<i64> {
        loop {
            let offset = self.log.first_difference(log, from, to, sparse)?;
            let excused = |replica: &Self| replica.excused_at(offset, sparse);
            match excused(self).or_else(|| other.and_then(excused)) {
                Some(last) => from = last + 1,
                None => return Some(offset),
            }
        }
    }

    /// The end of the batch at `offset`, should it be one that differs for a reason: only a compacted log has a hole that something is kept in.
    fn excused_at(&self, offset: i64, sparse: bool) -> Option<i64> {
        let kept = self.kept.iter().filter(|_| sparse);
        let mut excused = self.premature.iter().chain(kept);
        excused.find(|entry| (entry.base..=entry.last).contains(&offset)).map(|entry| entry.last)
    }

    /// Metadata of the partition epoch that a leader already has, from an answer to an earlier proposal, makes it forget the one that is under way
    /// (`TopicDelta.localChanges`, `Partition.makeLeader`, `Partition.updateAssignmentAndIsr`), and the answer to that then finds another state and is ignored
    /// (`Partition.submitAlterPartition`). Until metadata of a later epoch comes round it does not count whom it proposed. `before` is its state before
    /// this step, `learned` whether its broker applied metadata in it.
    pub(super) fn forget_proposal(&mut self, before: &ReplicaView, now: &ReplicaView, learned: bool) {
        let epochs = |view: &ReplicaView| (view.leader_epoch, view.partition_epoch);
        let (Some(led), Some(leads)) = (&before.leading, &now.leading) else {
            self.forgotten.clear();
            return;
        };
        if epochs(before) != epochs(now) {
            self.forgotten.clear();
        } else if learned {
            let gone = led.maximal_isr.iter().filter(|id| !leads.maximal_isr.contains(id));
            self.forgotten.extend(gone);
        }
    }

    /// Whether its log knew something of a batch's producer when that was appended: it read of it with the snapshot, or has had a batch of it since.
    /// What compaction takes is not forgotten before producers' state is read again.
    pub(super) fn knew_producer(&self, entry: &Entry) -> bool {
        let since = self.log.range(self.reloaded.unwrap_or(0), entry.base);
        self.known.contains(&entry.producer_id)
            || since.iter().any(|other| other.producer_id == entry.producer_id && other.base < entry.base)
    }

    /// Where its log begins, and never began later. A crash may bring back records that were deleted: the log start is written down once a
    /// minute. They count for nothing.
    pub(crate) fn begins(&self) -> i64 {
        self.view.log_start.max(self.epochs.log_start)
    }

    /// Where its log ends: where it begins, should nothing be in it.
    pub(crate) fn ends(&self) -> i64 {
        self.log.end().max(self.view.log_start)
    }

    /// Whether it takes a producer's transaction that begins at `first` for stable, whatever its high watermark: a snapshot of producers' state
    /// has open transactions and none that is decided (`ProducerStateManager.loadFromSnapshot`), and one is written wherever a log is recovered
    /// or rebuilt up to (`LogLoader.recoverSegment`, `UnifiedLog.rebuildProducerState`).
    ///
    /// What is decided below its own high watermark, a stale leader's too, is stable there as well.
    pub(super) fn forgot_undecided(&self, producer_id: i64, first: i64) -> bool {
        let marks = |entry: &Entry| entry.control && entry.transactional && entry.producer_id == producer_id;
        let end = self.reloaded.unwrap_or(0).max(self.view.high_watermark);
        self.log.range(first, end).iter().any(marks)
    }
}

/// What of a replica's past explains an epoch cache that says less than its batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EpochPast {
    /// The largest log start it ever had.
    pub(crate) log_start: i64,
    /// Every leader epoch that it noted at what was its log's end then.
    pub(crate) empty: Vec<EpochEntry>,
}

impl EpochPast {
    /// Takes note of what a replica shows now.
    pub(crate) fn see(&mut self, view: &ReplicaView) {
        self.log_start = self.log_start.max(view.log_start);
        let last = view.epochs.last().filter(|last| last.start_offset == view.log_end);
        if let Some(last) = last
            && !self.empty.contains(last)
        {
            self.empty.push(*last);
        }
    }
}

/// A batch that a broker acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    /// The batch as it was sent, at the offsets that were answered.
    pub(crate) entry: Entry,
    /// `acks`: 1 or -1.
    pub(crate) level: i16,
    /// Who answered.
    pub(crate) by: NodeId,
}

/// Everything about one partition.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    /// Its name.
    pub(crate) name: TopicPartition,
    /// Its topic's id.
    pub(crate) topic_id: Uuid,
    /// The controller's committed word; `None` once its topic is deleted.
    pub(crate) registration: Option<Arc<PartitionRegistration>>,
    /// min(`min.insync.replicas`, replicas), as the controller has it.
    pub(crate) min_isr: usize,
    /// Whether ISR and leader may be chosen outside of ISR and ELR.
    pub(crate) unclean_allowed: bool,
    /// Whether eligible leader replicas are kept (KIP-966).
    pub(crate) elr_enabled: bool,
    /// Whether what they keep is promised.
    pub(crate) elr_promised: bool,
    /// The highest high watermark that a leader reached that was no stale one.
    pub(crate) true_hw: i64,
    /// The highest high watermark that any leader reached, a stale one too.
    pub(crate) led_hw: i64,
    /// What lay below it when it was reached.
    pub(crate) committed: Mirror,
    /// Who appended records in each leader epoch.
    pub(crate) writers: BTreeMap<i32, NodeId>,
    /// What was acknowledged.
    pub(crate) acked: Vec<Ack>,
    /// What was shown to clients, by base offset.
    pub(crate) consumed: BTreeMap<i64, Entry>,
    /// The largest log end that clients were told in each leader epoch.
    pub(crate) told: BTreeMap<i32, i64>,
    /// The leader epoch in which the last excused loss was seen: what leaders of earlier ones tell is of another history.
    pub(crate) told_since: i32,
    /// The replicas.
    pub(crate) replicas: BTreeMap<NodeId, Replica>,
    /// The election of a leader without what was committed that Kafka allows, since all was last well.
    pub(crate) unclean: Option<&'static str>,
    /// Brokers that lost power since they last held everything that is committed.
    pub(crate) lossy: BTreeSet<NodeId>,
    /// The leader in whose log what was acknowledged and shown was last looked for.
    pub(crate) searched: Option<(NodeId, i32)>,
    /// Epoch, last sequence and the offset of that of each producer in what is committed.
    pub(crate) producers: BTreeMap<i64, (i16, i32, i64)>,
    /// What retention may take.
    pub(crate) retention: Retention,
    /// Below this, somebody asked to delete the records.
    pub(crate) delete_asked: i64,
    /// The newest record of each key, where the partition is compacted.
    pub(crate) newest: Newest,
    /// The transactions in what is committed.
    pub(crate) txns: Txns,
}

impl Partition {
    /// A partition of which nothing is known.
    pub(crate) const fn new(name: TopicPartition, topic_id: Uuid) -> Self {
        Self {
            name,
            topic_id,
            registration: None,
            min_isr: 1,
            unclean_allowed: false,
            elr_enabled: true,
            elr_promised: true,
            true_hw: 0,
            led_hw: 0,
            committed: Mirror::EMPTY,
            writers: BTreeMap::new(),
            acked: Vec::new(),
            consumed: BTreeMap::new(),
            told: BTreeMap::new(),
            told_since: 0,
            replicas: BTreeMap::new(),
            unclean: None,
            lossy: BTreeSet::new(),
            searched: None,
            producers: BTreeMap::new(),
            retention: Retention { deletes: false, ms: -1, bytes: -1 },
            delete_asked: 0,
            newest: Newest::EMPTY,
            txns: Txns::EMPTY,
        }
    }

    /// The leader that is no stale one, if it runs and knows of its leadership.
    pub(crate) fn true_leader(&self) -> Option<(NodeId, &Replica)> {
        let registration = self.registration.as_ref()?;
        let replica = self.replicas.get(&registration.leader)?;
        let current = replica.running
            && replica.view.leading.is_some()
            && replica.view.leader_epoch == registration.leader_epoch;
        current.then_some((registration.leader, replica))
    }

    /// Whether compaction may take records out.
    pub(crate) fn is_compacted(&self) -> bool {
        self.replicas.values().any(|replica| replica.view.compacted)
    }

    /// Whether compaction took batches from `from..to` of what is committed.
    pub(crate) fn is_thinned(&self, from: i64, to: i64) -> bool {
        let mut next = from;
        let whole = self.committed.range(from, to).iter().all(|entry| {
            let follows = entry.base <= next;
            next = entry.last + 1;
            follows
        });
        self.is_compacted() && !(whole && next >= to)
    }

    /// Every running replica of the ISR and the ELR.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = (NodeId, &Replica)> {
        let registration = self.registration.as_deref();
        let ids = registration.into_iter().flat_map(|r| r.isr.iter().chain(&r.elr));
        ids.filter_map(|id| Some((*id, self.replicas.get(id)?))).filter(|(_, replica)| replica.running)
    }

    /// Why a loss is none that Kafka promises to prevent; `None` while it does.
    pub(crate) fn excuse(&self) -> Option<String> {
        if let Some(unclean) = self.unclean {
            return Some(unclean.to_owned());
        }
        if self.lossy.len() >= self.min_isr {
            let lost: Vec<_> = self.lossy.iter().map(|id| id.0).collect();
            return Some(format!(
                "brokers {lost:?} lost power, and min.insync.replicas is {} here",
                self.min_isr
            ));
        }
        let registration = self.registration.as_ref()?;
        if let [last] = registration.isr[..]
            && !self.elr_promised
            && self.lossy.contains(&last)
        {
            return Some(format!("the ISR's last member {last} lost power, and the ELR is off"));
        }
        None
    }

    /// A replica's log is as long as it shows, and what of it was compared holds no further than that.
    pub(crate) fn cut(&mut self, node: NodeId, offset: i64) {
        if let Some(replica) = self.replicas.get_mut(&node) {
            replica.log.truncate(offset);
            replica.matches_to = replica.matches_to.min(replica.log.end());
            // Cut below where it began, it begins anew there (`UnifiedLog.truncateTo`): what it is given from then on counts.
            replica.epochs.log_start = replica.epochs.log_start.min(offset);
            replica.drop_excused();
        }
    }

    /// A follower whose log ended at `end` goes on from there. What it has of its own where its leader's log has a hole, it keeps: a leader that
    /// fetched a compacted log knows an epoch from the first batch on that was left of it (`UnifiedLog.appendAsFollower`), and takes the epoch before
    /// to have lasted until there, so that nothing diverges (`LeaderEpochFileCache.endOffsetFor`).
    pub(super) fn keep_in_hole(&mut self, node: NodeId, end: i64) {
        if !self.is_compacted() {
            return;
        }
        let Some((leader_id, leader)) = self.true_leader() else { return };
        let Some(replica) = self.replicas.get(&node).filter(|_| node != leader_id) else { return };
        let is_hole = |entry: &&Entry| leader.log.range(entry.base, entry.last + 1).is_empty();
        let lasted = |entry: &&Entry| {
            let epochs = &leader.view.epochs;
            let place = epochs.iter().position(|cached| cached.epoch == entry.epoch);
            // The last epoch lasts until the log's end.
            let lasts =
                |place: usize| epochs.get(place + 1).is_none_or(|next| entry.last < next.start_offset);
            place.is_some_and(lasts)
        };
        let own = replica.log.range(replica.matches_to.max(replica.begins()), end).iter();
        let own = own.filter(|entry| entry.last < leader.log.end());
        let new = own.filter(|entry| !replica.kept.contains(entry));
        let new: Vec<_> = new.filter(is_hole).filter(lasted).copied().collect();
        if let Some(replica) = self.replicas.get_mut(&node) {
            replica.kept.extend(new);
        }
    }

    /// A broker was elected that has something else than what is committed, for a reason that is excused in a follower: what was committed there
    /// goes from then on.
    pub(crate) fn follow_excused(&mut self) {
        let Some((id, leader)) = self.true_leader() else { return };
        let differs = |entry: &&Entry| {
            let end = self.true_hw.min(entry.last + 1);
            leader.log.first_difference(&self.committed, entry.base, end, self.is_compacted()).is_some()
        };
        let premature = leader.premature.iter().find(differs).map(|entry| entry.base);
        let kept = leader.kept.iter().find(differs).map(|entry| entry.base);
        let Some(first) = premature.into_iter().chain(kept).min() else { return };
        self.unclean = Some(match premature {
            Some(_) => "the election of a broker that wrote before it was registered",
            None => "the election of a broker that kept its own where its leader's log had a hole",
        });
        if let Some(leader) = self.replicas.get_mut(&id) {
            leader.matches_to = leader.matches_to.min(first);
        }
    }

    /// Takes note of how far each replica's log equals what is committed.
    pub(crate) fn compare(&mut self) {
        let sparse = self.is_compacted();
        let leader = self.true_leader().map(|(id, _)| id);
        let (committed, true_hw) = (&self.committed, self.true_hw);
        for (id, replica) in self.replicas.iter_mut().filter(|(_, replica)| replica.running) {
            let from = replica.matches_to.max(replica.begins());
            let to = true_hw.min(replica.log.end());
            if from < to {
                let differs = match leader == Some(*id) {
                    true => replica.log.first_difference(committed, from, to, sparse),
                    false => replica.differs_from_committed(committed, from, to, sparse),
                };
                replica.matches_to = differs.unwrap_or(to);
            }
        }
        let held = |replica: &Replica| replica.running && replica.matches_to >= true_hw;
        self.lossy.retain(|id| !self.replicas.get(id).is_some_and(held));
        for replica in self.replicas.values_mut().filter(|replica| held(replica)) {
            replica.after_loss = false;
        }
    }

    /// Follows the true high watermark as its leader moves it.
    pub(crate) fn advance(&mut self) {
        let leaders =
            self.replicas.values().filter(|replica| replica.running && replica.view.leading.is_some());
        let led_hw = leaders.map(|leader| leader.view.high_watermark).max();
        self.led_hw = self.led_hw.max(led_hw.unwrap_or(0));
        let Some((id, leader)) = self.true_leader() else { return };
        let reached = leader.view.high_watermark;
        let committed: Vec<_> = leader.log.range(self.true_hw, reached).to_vec();
        if reached <= self.true_hw {
            return;
        }
        for entry in committed {
            if entry.base >= self.committed.end() {
                self.committed.push(entry);
            }
        }
        let before = std::mem::replace(&mut self.true_hw, reached);
        if let Some(leader) = self.replicas.get_mut(&id)
            && leader.matches_to >= before
        {
            leader.matches_to = reached;
        }
    }

    /// After an excused loss: what the leader has is what there is. What was lost, in offsets.
    pub(crate) fn rebase(&mut self) -> Option<std::ops::Range<i64>> {
        let (_, leader) = self.true_leader()?;
        if leader.matches_to >= self.true_hw || leader.view.log_start >= self.true_hw {
            return None;
        }
        let (from, to) = (leader.matches_to, self.true_hw);
        self.told_since = leader.view.leader_epoch;
        self.committed.truncate(from);
        let from = self.committed.end().min(from);
        (self.true_hw, self.led_hw) = (from, from);
        self.consumed.retain(|_, entry| entry.last < from);
        self.told.clear();
        self.acked.retain(|ack| ack.level != -1 || ack.entry.last < from);
        for replica in self.replicas.values_mut() {
            replica.matches_to = replica.matches_to.min(from);
        }
        self.producers.clear();
        self.newest.forget_up_to(from);
        for entry in self.committed.entries() {
            // A marker and a coordinator's transactional offsets have no sequence.
            if entry.producer_id >= 0 && entry.sequence >= 0 {
                let last = entry.sequence.wrapping_add((entry.last - entry.base) as i32);
                self.producers.insert(entry.producer_id, (entry.producer_epoch, last, entry.last));
            }
        }
        Some(from..to)
    }

    /// While a loss is excused: forgets what was acknowledged or shown and a new leader does not have (a stale one may have acknowledged it), and
    /// once more when the excuse is `over`. What it was. Offsets and transactions are acknowledged without a produce request: what a stale leader
    /// committed of those shows by its high watermark.
    pub(crate) fn forget_lost(&mut self, over: bool) -> Option<String> {
        let (id, leader) = self.true_leader()?;
        let now = Some((id, leader.view.leader_epoch));
        if !over && now == self.searched {
            return None;
        }
        let (log, start) = (leader.log.clone(), leader.view.log_start);
        self.searched = now;
        let (acked, consumed) = (self.acked.len(), self.consumed.len());
        self.acked.retain(|ack| {
            ack.level != -1
                || ack.entry.base < start
                || log.at(ack.entry.base).is_some_and(|entry| entry.is_same_send(&ack.entry))
        });
        self.consumed.retain(|base, shown| *base < start || log.at(*base) == Some(shown));
        let (acked, consumed) = (acked - self.acked.len(), consumed - self.consumed.len());
        let committed = self.led_hw - log.end().max(start);
        self.led_hw = self.led_hw.min(log.end().max(start));
        (acked > 0 || consumed > 0 || committed > 0).then(|| {
            let committed = committed.max(0);
            format!(
                "{acked} acknowledged batches, {consumed} shown ones, and {committed} records that a stale leader committed are lost"
            )
        })
    }

    /// When every replica is in sync and holds everything, an unclean election is history: not while a broker that was taken out of the
    /// replicas, and has not heard of it, still shows what was lost.
    pub(crate) fn settle(&mut self) {
        let Some(registration) = &self.registration else { return };
        let whole = |id: &NodeId| {
            registration.isr.contains(id)
                && self.replicas.get(id).is_some_and(|replica| {
                    replica.running
                        && replica.view.high_watermark == self.true_hw
                        && replica.matches_to >= self.true_hw
                })
        };
        let agrees = |replica: &Replica| {
            !replica.running || replica.matches_to >= replica.view.high_watermark.min(self.true_hw)
        };
        if self.unclean.is_some()
            && registration.leader_recovery_state == LeaderRecoveryState::Recovered
            && registration.replicas.iter().all(whole)
            && self.replicas.values().all(agrees)
        {
            self.unclean = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::invariant::fixture::{FOLLOWER, LEADER, healthy, of, registration};

    #[test]
    fn what_a_stale_leader_committed_is_lost_with_it() {
        let mut partition = healthy();
        registration(&mut partition).leader_epoch = 1;
        let stale = of(&mut partition, LEADER);
        (stale.view.high_watermark, stale.view.log_end) = (12, 12);
        partition.advance();
        assert_eq!((partition.true_hw, partition.led_hw), (10, 12));
        registration(&mut partition).leader = FOLLOWER;
        let leading = of(&mut partition, LEADER).view.leading.take();
        let next = of(&mut partition, FOLLOWER);
        (next.view.leading, next.view.leader_epoch) = (leading, 1);
        assert!(partition.clone().rebase().is_none(), "of what is known to be committed nothing is lost");
        let lost = partition.forget_lost(false).expect("two records are lost");
        assert!(lost.contains("and 2 records that a stale leader committed"), "{lost}");
        assert_eq!(partition.forget_lost(true), None, "once");
    }
}
