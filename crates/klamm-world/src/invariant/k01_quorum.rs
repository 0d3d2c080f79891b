//! K1 to K8, and K12: the metadata quorum (Kafka's `RaftEventSimulationTest` checks the same of its own).

use std::collections::BTreeMap;

use klamm_controller::QuorumView;
use klamm_node::NodeId;

use super::mirror::{Entry, Mirror};
use super::report::{Invariant, Report, When};

const fn invariant(id: &'static str, name: &'static str, statement: &'static str) -> Invariant {
    Invariant { id, name, statement, when: When::Event }
}

pub(super) const K1: Invariant =
    invariant("K1", "ElectionSafety", "at most one controller ever leads the metadata quorum in an epoch");
pub(super) const K2: Invariant = invariant(
    "K2",
    "MonotonicEpoch",
    "the epoch that a controller knows does not go back, over restarts too",
);
pub(super) const K3: Invariant = invariant(
    "K3",
    "MonotonicHighWatermark",
    "the high watermark of the quorum's leader does not go back in its epoch",
);
pub(super) const K4: Invariant = invariant(
    "K4",
    "MajorityReachedHighWatermark",
    "a majority of the voters has the log up to the leader's high watermark",
);
pub(super) const K5: Invariant = Invariant {
    when: When::Checkpoint,
    ..invariant("K5", "ConsistentCommittedData", "a committed metadata record is the same at every node")
};
pub(super) const K6: Invariant = invariant(
    "K6",
    "SnapshotAtLogStart",
    "a metadata log that does not begin at 0 begins where the oldest snapshot ends",
);
pub(super) const K7: Invariant =
    invariant("K7", "LeaderNeverLoadsSnapshot", "a leader's metadata log never begins beyond what it held");
pub(super) const K8: Invariant = invariant(
    "K8",
    "EpochStartCommitted",
    "a new leader commits nothing before a record of its own epoch is committed",
);
pub(super) const K12: Invariant = invariant(
    "K12",
    "CommittedMetadataDurable",
    "a new leader has every committed metadata record while fewer than a majority of the voters lost their disks",
);

/// One controller, as it is now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Voter {
    pub(super) node: NodeId,
    /// `None` while its process is down.
    pub(super) view: Option<QuorumView>,
    /// How far its log reached when it was last seen.
    pub(super) log_end: i64,
}

/// What the checker remembers of the quorum.
#[derive(Debug, Clone, Default)]
pub(super) struct Quorum {
    leaders: BTreeMap<i32, NodeId>,
    epochs: BTreeMap<NodeId, i32>,
    votes: BTreeMap<(NodeId, i32), NodeId>,
    /// How far each leader's log reached in its epoch.
    ends: BTreeMap<(NodeId, i32), i64>,
    high_watermark: Option<(NodeId, i32, i64)>,
    /// What is committed.
    pub(super) committed: Mirror,
    /// Voters that lost power and may have lost their log.
    pub(super) lossy: std::collections::BTreeSet<NodeId>,
}

impl Quorum {
    /// Looks at `of` after its step.
    pub(super) fn check(&mut self, of: NodeId, voters: &[Voter], report: &mut Report) {
        let Some(view) = voters.iter().find(|voter| voter.node == of).and_then(|voter| voter.view) else {
            return;
        };
        let subject = format!("controller {of}");
        let known = self.epochs.entry(of).or_insert(view.epoch);
        if view.epoch < *known && !self.lossy.contains(&of) {
            report.violation(K2, &subject, format!("epoch {} follows {known}", view.epoch));
        }
        *known = view.epoch;
        if let Some(vote) = view.voted_for {
            let first = *self.votes.entry((of, view.epoch)).or_insert(vote);
            if first != vote && !self.lossy.contains(&of) {
                report.violation(
                    K2,
                    &subject,
                    format!("voted for {first} and {vote} in epoch {}", view.epoch),
                );
            }
        }
        if view.log_start > 0 && view.earliest_snapshot.map(|(end, _)| end) != Some(view.log_start) {
            let what = format!(
                "its log begins at {}, its oldest snapshot is {:?}",
                view.log_start, view.earliest_snapshot
            );
            report.violation(K6, &subject, what);
        }
        if view.state != "Leader" {
            return;
        }
        let end = self.ends.insert((of, view.epoch), view.log_end);
        if let Some(end) = end
            && view.log_start > end
        {
            report.violation(
                K7,
                &subject,
                format!("its log ended at {end} and begins at {}", view.log_start),
            );
        }
        let first = *self.leaders.entry(view.epoch).or_insert(of);
        if first != of {
            report.violation(
                K1,
                &"the metadata quorum",
                format!("{first} and {of} led in epoch {}", view.epoch),
            );
        }
        if let Some((leader, epoch, high_watermark)) = self.high_watermark
            && (leader, epoch) == (of, view.epoch)
            && view.high_watermark < high_watermark
            && !self.lossy.contains(&of)
        {
            report.violation(K3, &subject, format!("{high_watermark} -> {}", view.high_watermark));
        }
        let advanced =
            self.high_watermark.is_none_or(|before| before != (of, view.epoch, view.high_watermark));
        self.high_watermark = Some((of, view.epoch, view.high_watermark));
        if advanced && self.lossy.is_empty() {
            let reached = voters.iter().filter(|voter| voter.log_end >= view.high_watermark).count();
            if reached * 2 <= voters.len() {
                let what = format!(
                    "high watermark {}, and {reached} of {} voters have it",
                    view.high_watermark,
                    voters.len()
                );
                report.violation(K4, &subject, what);
            }
        }
    }

    /// Whether a controller led in a later epoch.
    pub(super) fn has_later(&self, epoch: i32) -> bool {
        self.leaders.last_key_value().is_some_and(|(last, _)| *last > epoch)
    }

    /// `of` leads and shows these batches below its high watermark, from the end of what was known to be committed.
    pub(super) fn commit(&mut self, of: NodeId, epoch: i32, entries: &[Entry], report: &mut Report) {
        let before = self.committed.end();
        for entry in entries {
            if entry.base >= self.committed.end() {
                self.committed.push(*entry);
            }
        }
        let first_of_epoch = self.committed.entries().iter().any(|entry| entry.epoch == epoch);
        if self.committed.end() > before && !first_of_epoch {
            report.violation(
                K8,
                &format!("controller {of}"),
                format!("committed {before} without a record of epoch {epoch}"),
            );
        }
    }

    /// A node's copy of the log, of which it holds `below` to be committed.
    pub(super) fn copy(&self, of: NodeId, log: &Mirror, log_start: i64, below: i64, report: &mut Report) {
        let to = below.min(self.committed.end());
        if let Some(offset) = log.first_difference(&self.committed, log_start, to, false) {
            report.violation(
                K5,
                &format!("node {of}"),
                format!("its metadata log differs at {offset} below {below}"),
            );
        }
    }

    /// `of` leads with this log end.
    pub(super) fn leads(&self, of: NodeId, log_end: i64, voters: usize, report: &mut Report) {
        if log_end < self.committed.end() && self.lossy.len() * 2 < voters {
            let what = format!("leads with log end {log_end}, and {} is committed", self.committed.end());
            report.violation(K12, &format!("controller {of}"), what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{entry, found, log};

    fn view(leader: i32, epoch: i32, high_watermark: i64, log_end: i64) -> QuorumView {
        QuorumView {
            state: "Leader",
            epoch,
            leader: NodeId(leader),
            voted_for: Some(NodeId(leader)),
            log_start: 0,
            log_end,
            flushed: log_end,
            high_watermark,
            epoch_start: Some(0),
            earliest_snapshot: None,
            latest_snapshot: None,
        }
    }

    #[test]
    fn a_second_vote_and_a_log_without_its_snapshot_are_found() {
        let mut quorum = Quorum::default();
        let mut look = |view| {
            let voters = [Voter { node: NodeId(100), view: Some(view), log_end: 10 }];
            found(|report| quorum.check(NodeId(100), &voters, report))
        };
        let good = view(100, 3, 5, 10);
        assert!(look(good).is_empty());
        assert_eq!(look(QuorumView { voted_for: Some(NodeId(101)), ..good }), ["K2"]);
        assert_eq!(look(QuorumView { log_start: 4, ..good }), ["K6"]);
        let snapshot = Some((12, 3));
        assert_eq!(
            look(QuorumView { log_start: 12, log_end: 14, earliest_snapshot: snapshot, ..good }),
            ["K7"]
        );
    }

    fn voters(leader: i32, epoch: i32, high_watermark: i64, ends: [i64; 3]) -> Vec<Voter> {
        let voter = |(i, log_end): (usize, i64)| Voter {
            node: NodeId(100 + i as i32),
            view: Some(view(leader, epoch, high_watermark, log_end)),
            log_end,
        };
        ends.into_iter().enumerate().map(voter).collect()
    }

    #[test]
    fn two_leaders_epochs_and_marks_that_go_back_are_found() {
        let mut quorum = Quorum::default();
        let mut look = |of, voters: Vec<Voter>| found(|report| quorum.check(NodeId(of), &voters, report));
        assert!(look(100, voters(100, 3, 5, [5, 5, 0])).is_empty());
        assert_eq!(look(101, voters(101, 3, 5, [5, 5, 0])), ["K1"]);
        assert!(look(100, voters(100, 4, 6, [6, 6, 0])).is_empty());
        assert_eq!(look(100, voters(100, 4, 5, [6, 6, 0])), ["K3"]);
        assert_eq!(look(100, voters(100, 4, 7, [7, 6, 0])), ["K4"]);
        assert_eq!(look(100, voters(102, 3, 5, [7, 6, 0])), ["K2"]);
    }

    #[test]
    fn committed_records_that_differ_or_go_or_come_early_are_found() {
        let mut quorum = Quorum::default();
        let batches = [entry(0, 4, 1), entry(5, 9, 1)];
        assert!(found(|report| quorum.commit(NodeId(100), 1, &batches, report)).is_empty());
        let other = log(&[(0, 4, 1), (5, 9, 2)]);
        assert_eq!(found(|report| quorum.copy(NodeId(1), &other, 0, 10, report)), ["K5"]);
        assert!(
            found(|report| quorum.copy(NodeId(1), &other, 0, 5, report)).is_empty(),
            "it does not hold it to be committed"
        );
        assert_eq!(found(|report| quorum.leads(NodeId(101), 9, 3, report)), ["K12"]);
        assert_eq!(found(|report| quorum.commit(NodeId(101), 3, &[entry(10, 10, 2)], report)), ["K8"]);
    }
}
