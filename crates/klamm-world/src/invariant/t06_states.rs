//! T6 and T7: how a transaction goes on, as `__transaction_state` has it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klamm_node::TopicPartition;
use klamm_wire::StrBytes;

use super::mirror::Entry;
use super::report::{Invariant, Report, When};

pub(super) const T6: Invariant = Invariant {
    id: "T6",
    name: "ValidTransitions",
    statement: "what is committed of a transactional id follows from what was, as TransactionState.VALID_PREVIOUS_STATES says",
    when: When::Event,
};

pub(super) const T7: Invariant = Invariant {
    id: "T7",
    name: "DecisionIsFinal",
    statement: "a committed decision never changes; a marker follows a decision in the coordinator's log and agrees with it; and EndTxn is answered NONE only when \
                the decision that it asked for is committed",
    when: When::Event,
};

pub(super) const EMPTY: i8 = 0;
pub(super) const ONGOING: i8 = 1;
pub(super) const PREPARE_COMMIT: i8 = 2;
pub(super) const PREPARE_ABORT: i8 = 3;
pub(super) const COMPLETE_COMMIT: i8 = 4;
pub(super) const COMPLETE_ABORT: i8 = 5;

/// What `__transaction_state` says of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// `TransactionState`'s number.
    pub(super) status: i8,
    pub(super) producer_id: i64,
    pub(super) producer_epoch: i16,
    /// `transaction.timeout.ms`, which is how long its coordinator waits for it to be committed.
    pub(super) timeout: Duration,
    pub(super) partitions: BTreeSet<TopicPartition>,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decision {
    epoch: i16,
    commit: bool,
    partitions: BTreeSet<TopicPartition>,
    /// Whether it is known to be committed.
    committed: bool,
}

/// The transactional ids.
#[derive(Debug, Clone, Default)]
pub(super) struct States {
    ids: BTreeMap<StrBytes, State>,
    /// What was before each of the states, one after the other, that were not committed in time: a coordinator forgets that such a state was to come
    /// (the callback of `TransactionStateManager.appendTransactionToLog` empties the pending state), and only the next coordinator finds it in the log.
    before_late: BTreeMap<StrBytes, Vec<Option<State>>>,
    /// What was last written: a coordinator that is new goes by all that is in the log, committed or not
    /// (`TransactionStateManager.loadTransactionMetadata` reads up to the log's end).
    written: BTreeMap<StrBytes, State>,
    of_producer: BTreeMap<i64, StrBytes>,
    /// The decisions on each producer's transactions.
    decisions: BTreeMap<i64, Vec<Decision>>,
}

/// Whether one state may follow another. `PrepareEpochFence` is only ever pending (`TransactionMetadata.prepareFenceProducerEpoch`; the coordinator
/// goes on to write `PrepareAbort`), and `Dead` is written as a tombstone.
const fn may_follow(next: i8, before: i8) -> bool {
    let at_rest = matches!(before, EMPTY | COMPLETE_COMMIT | COMPLETE_ABORT);
    match next {
        EMPTY => at_rest,
        ONGOING => at_rest || before == ONGOING,
        PREPARE_COMMIT => before == ONGOING,
        PREPARE_ABORT => at_rest || before == ONGOING,
        COMPLETE_COMMIT => before == PREPARE_COMMIT,
        COMPLETE_ABORT => before == PREPARE_ABORT,
        _ => false,
    }
}

const fn is_flip(next: i8, before: i8) -> bool {
    matches!(
        (before, next),
        (PREPARE_COMMIT, PREPARE_ABORT | COMPLETE_ABORT) | (PREPARE_ABORT, PREPARE_COMMIT | COMPLETE_COMMIT)
    )
}

impl States {
    /// The transactional id of a producer.
    pub(super) fn id_of(&self, producer_id: i64) -> Option<&StrBytes> {
        self.of_producer.get(&producer_id)
    }

    /// Every state in which the coordinator may have the id of a producer, what is committed first.
    pub(super) fn of_producer(&self, producer_id: i64) -> impl Iterator<Item = &State> {
        let id = self.id_of(producer_id);
        let committed = id.and_then(|id| self.ids.get(id));
        let late = id.and_then(|id| self.before_late.get(id)).into_iter().flatten().flatten();
        let written = id.and_then(|id| self.written.get(id));
        committed.into_iter().chain(late).chain(written)
    }

    /// A coordinator wrote states into its log.
    pub(super) fn appended(&mut self, states: &[(StrBytes, Option<State>)]) {
        for (id, state) in states {
            let Some(state) = state else { continue };
            self.of_producer.insert(state.producer_id, id.clone());
            self.written.insert(id.clone(), state.clone());
            if matches!(state.status, PREPARE_COMMIT | PREPARE_ABORT) {
                self.decisions.entry(state.producer_id).or_default().push(Decision {
                    epoch: state.producer_epoch,
                    commit: state.status == PREPARE_COMMIT,
                    partitions: state.partitions.clone(),
                    committed: false,
                });
            }
        }
    }

    /// Whether a producer's transaction was decided in both ways, and not both times for good: a coordinator that is new sends the markers of a decision
    /// that it finds in its log, committed or not, and the one after it may know nothing of that and decide otherwise.
    pub(super) fn decided_in_doubt(&self, producer_id: i64, epoch: i16) -> bool {
        let decisions = self.decisions.get(&producer_id).map(Vec::as_slice).unwrap_or_default();
        let of_epoch = || decisions.iter().filter(|decision| decision.epoch == epoch);
        let both = of_epoch().any(|decision| decision.commit) && of_epoch().any(|decision| !decision.commit);
        let committed = |commit| of_epoch().any(|decision| decision.commit == commit && decision.committed);
        both && !(committed(true) && committed(false))
    }

    /// An id's next state is committed, so long after it was written. Its producer.
    pub(super) fn became(
        &mut self,
        id: &StrBytes,
        state: Option<&State>,
        waited: Duration,
        report: &mut Report,
    ) -> Option<i64> {
        let known = self.ids.get(id);
        let before = known.map(|before| before.status);
        // What is not committed in time is written again, and both may be in the log then: the end of a transaction by its coordinator
        // (`TransactionMarkerChannelManager.tryAppendToLog`), a decision when its client asks again.
        let is_again = |state: &State| {
            known.is_some_and(|known| {
                state.status >= PREPARE_COMMIT
                    && known.status == state.status
                    && (known.producer_id, known.producer_epoch) == (state.producer_id, state.producer_epoch)
            })
        };
        let Some(state) = state else {
            if let Some(before) = before.filter(|before| !may_follow(EMPTY, *before)) {
                report.violation(T6, id, format!("it is forgotten in state {}", name(before)));
            }
            return self.ids.remove(id).map(|state| state.producer_id);
        };
        let (next, pid) = (state.status, state.producer_id);
        if matches!(next, PREPARE_COMMIT | PREPARE_ABORT) {
            let decisions = self.decisions.entry(pid).or_default();
            let same = |decision: &&mut Decision| {
                decision.epoch == state.producer_epoch && decision.commit == (next == PREPARE_COMMIT)
            };
            decisions.iter_mut().filter(same).for_each(|decision| decision.committed = true);
        }
        let mut late = self.before_late.get(id).into_iter().flatten();
        let fits = |before: Option<i8>| before.is_none_or(|before| may_follow(next, before));
        if let Some(before) = before
            && !fits(Some(before))
            && !late.any(|state| fits(state.as_ref().map(|state| state.status)))
            && !is_again(state)
        {
            let what = format!("{} follows {} of {pid}:{}", name(next), name(before), state.producer_epoch);
            report.violation(if is_flip(next, before) { T7 } else { T6 }, id, what);
        }
        if waited >= state.timeout {
            let known = self.ids.get(id).cloned();
            self.before_late.entry(id.clone()).or_default().push(known);
        } else {
            self.before_late.remove(id);
        }
        self.ids.insert(id.clone(), state.clone());
        Some(pid)
    }

    /// An EndTxn was answered NONE.
    pub(super) fn ended(&self, id: &StrBytes, commit: bool, report: &mut Report) {
        let decided = match commit {
            true => [PREPARE_COMMIT, COMPLETE_COMMIT],
            false => [PREPARE_ABORT, COMPLETE_ABORT],
        };
        let now = self.ids.get(id).map(|state| state.status);
        let late = self.before_late.get(id).into_iter().flatten().flatten().map(|state| state.status);
        if !now.into_iter().chain(late).any(|now| decided.contains(&now)) {
            let asked = if commit { "commit" } else { "abort" };
            let now = now.map_or("not known", name);
            report.violation(
                T7,
                id,
                format!("EndTxn ({asked}) was answered NONE, and what is committed is {now}"),
            );
        }
    }
}

/// A marker is committed in a partition. Its decision need not be: a coordinator that is new acts on what it finds in its log
/// (`TransactionStateManager.loadTransactionsForTxnTopicPartition`).
pub(super) fn marker(
    states: &States,
    partition: &TopicPartition,
    entry: &Entry,
    committed: bool,
    report: &mut Report,
) {
    let decisions = states.decisions.get(&entry.producer_id).map(Vec::as_slice).unwrap_or_default();
    let mut of_epoch = decisions
        .iter()
        .rev()
        .filter(|decision| decision.epoch == entry.producer_epoch && decision.commit == committed);
    let what = || {
        let kind = if committed { "commit" } else { "abort" };
        format!("the {kind} marker of {}:{} at {}", entry.producer_id, entry.producer_epoch, entry.base)
    };
    let Some(first) = of_epoch.next() else {
        return report.violation(T7, partition, format!("{} follows no such decision", what()));
    };
    if !first.partitions.contains(partition) && !of_epoch.any(|d| d.partitions.contains(partition)) {
        let what = format!("{} is where the transaction has nothing", what());
        report.violation(super::t04_atomic::T4, partition, what);
    }
}

pub(super) const fn name(status: i8) -> &'static str {
    match status {
        EMPTY => "Empty",
        ONGOING => "Ongoing",
        PREPARE_COMMIT => "PrepareCommit",
        PREPARE_ABORT => "PrepareAbort",
        COMPLETE_COMMIT => "CompleteCommit",
        COMPLETE_ABORT => "CompleteAbort",
        _ => "an unknown state",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::invariant::fixture::{entry, found};

    fn id() -> StrBytes {
        StrBytes::from_static_str("id")
    }

    /// A state of producer 7 in epoch 3, with one partition.
    pub(in super::super) fn state(status: i8) -> State {
        let partitions = [TopicPartition::new("t", 0)].into();
        State { status, producer_id: 7, producer_epoch: 3, timeout: Duration::from_secs(9), partitions }
    }

    /// What came of these states of `id`.
    pub(in super::super) fn states(of: &[i8]) -> States {
        let mut states = States::default();
        for status in of {
            states.appended(&[(id(), Some(state(*status)))]);
            states.became(&id(), Some(&state(*status)), Duration::ZERO, &mut Report::default());
        }
        states
    }

    #[test]
    fn a_decision_that_was_lost_leaves_a_doubt() {
        let abort = state(PREPARE_ABORT);
        let mut lost = states(&[EMPTY, ONGOING]);
        lost.appended(&[(id(), Some(abort.clone()))]);
        assert!(!lost.decided_in_doubt(7, 3), "there is one decision");
        lost.appended(&[(id(), Some(state(PREPARE_COMMIT)))]);
        assert!(lost.decided_in_doubt(7, 3) && !lost.decided_in_doubt(7, 4));
        found(|report| _ = lost.became(&id(), Some(&state(PREPARE_COMMIT)), Duration::ZERO, report));
        assert!(lost.decided_in_doubt(7, 3));
        found(|report| _ = lost.became(&id(), Some(&abort), Duration::ZERO, report));
        assert!(!lost.decided_in_doubt(7, 3), "both are committed: that is T7's");
    }

    #[test]
    fn a_state_that_does_not_follow_is_found() {
        let then = |before: &[i8], next| {
            let mut states = states(before);
            found(|report| {
                states.became(&id(), Some(&state(next)), Duration::ZERO, report);
            })
        };
        for (before, next) in [
            (EMPTY, ONGOING),
            (ONGOING, PREPARE_COMMIT),
            (PREPARE_COMMIT, COMPLETE_COMMIT),
            (COMPLETE_COMMIT, PREPARE_ABORT),
            (PREPARE_ABORT, COMPLETE_ABORT),
        ] {
            assert!(then(&[before], next).is_empty(), "{} after {}", name(next), name(before));
        }
        assert!(then(&[EMPTY, ONGOING, PREPARE_ABORT], PREPARE_ABORT).is_empty(), "written again");
        assert_eq!(then(&[EMPTY], PREPARE_COMMIT), ["T6"]);
        assert_eq!(then(&[EMPTY, ONGOING], EMPTY), ["T6"]);
        assert_eq!(then(&[EMPTY, ONGOING, PREPARE_COMMIT], PREPARE_ABORT), ["T7"]);
        assert_eq!(then(&[EMPTY, ONGOING, PREPARE_ABORT], COMPLETE_COMMIT), ["T7"]);
        let mut open = states(&[EMPTY, ONGOING]);
        let ids = found(|report| {
            open.became(&id(), None, Duration::ZERO, report);
        });
        assert_eq!(ids, ["T6"], "it is open");
    }

    #[test]
    fn what_was_not_committed_in_time_may_be_forgotten() {
        let mut states = states(&[EMPTY]);
        let mut then = |status, waited| {
            let state = state(status);
            found(|report| {
                states.became(&id(), Some(&state), Duration::from_secs(waited), report);
            })
        };
        assert!(then(ONGOING, 9).is_empty());
        assert!(then(EMPTY, 0).is_empty(), "its coordinator still had it empty");
        assert!(then(ONGOING, 8).is_empty());
        assert_eq!(then(EMPTY, 0), ["T6"]);
    }

    #[test]
    fn of_several_that_were_not_committed_in_time_each_may_be_forgotten() {
        let mut states = states(&[EMPTY, ONGOING, PREPARE_ABORT]);
        let mut then = |status, waited| {
            let state = state(status);
            found(|report| {
                states.became(&id(), Some(&state), Duration::from_secs(waited), report);
            })
        };
        assert!(then(COMPLETE_ABORT, 9).is_empty());
        assert!(then(ONGOING, 9).is_empty());
        assert!(then(EMPTY, 0).is_empty(), "its coordinator had it at rest");
        assert_eq!(then(COMPLETE_COMMIT, 0), ["T6"]);
    }

    #[test]
    fn an_answer_before_its_decision_is_found() {
        let ended = |of: &[i8], commit| found(|report| states(of).ended(&id(), commit, report));
        assert!(ended(&[EMPTY, ONGOING, PREPARE_COMMIT], true).is_empty());
        assert!(ended(&[EMPTY, ONGOING, PREPARE_ABORT, COMPLETE_ABORT], false).is_empty());
        assert_eq!(ended(&[EMPTY, ONGOING], true), ["T7"]);
        assert_eq!(ended(&[EMPTY, ONGOING, PREPARE_ABORT], true), ["T7"]);
    }

    #[test]
    fn a_marker_against_its_decision_is_found() {
        let here = TopicPartition::new("t", 0);
        let batch = Entry { producer_id: 7, producer_epoch: 3, control: true, ..entry(10, 10, 0) };
        let decided = states(&[EMPTY, ONGOING, PREPARE_COMMIT]);
        let check = |states, partition, entry, commit| {
            found(|report| marker(states, partition, entry, commit, report))
        };
        assert!(check(&decided, &here, &batch, true).is_empty());
        assert_eq!(check(&decided, &here, &batch, false), ["T7"]);
        let (open, there) = (states(&[EMPTY, ONGOING]), TopicPartition::new("t", 1));
        assert_eq!(check(&open, &here, &batch, true), ["T7"]);
        assert_eq!(check(&decided, &there, &batch, true), ["T4"]);
    }
}
