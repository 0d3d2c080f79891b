//! What is known of one transactional id, and how it changes (Kafka's `TransactionMetadata` and `TxnTransitMetadata`).
//!
//! A change is prepared, written to the log, and completed once it is committed there. In between the state that it leads to is
//! *pending*, and nothing else may change.

use std::collections::BTreeSet;

use klamm_node::TopicPartition;
use klamm_wire::{ErrorCode, StrBytes};

use super::state::{TransactionState, TransactionVersion};

/// No producer id.
pub(crate) const NO_PRODUCER_ID: i64 = -1;
/// No producer epoch.
pub(crate) const NO_PRODUCER_EPOCH: i16 = -1;

/// Whether no transaction may begin in an epoch: the highest of all is left to the coordinator, which can so always fence.
pub(crate) const fn is_epoch_exhausted(epoch: i16) -> bool {
    epoch >= i16::MAX - 1
}

/// What the log says of a transactional id: as it is, or as it is about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transit {
    /// The state.
    pub(crate) state: TransactionState,
    /// The producer.
    pub(crate) producer_id: i64,
    /// The producer before this change.
    pub(crate) prev_producer_id: i64,
    /// The producer that follows once the transaction that is being ended is complete, when its epochs are used up.
    pub(crate) next_producer_id: i64,
    /// The producer's epoch.
    pub(crate) producer_epoch: i16,
    /// The epoch before, which a client that missed an answer still has. Not in the log.
    pub(crate) last_producer_epoch: i16,
    /// How long a transaction may be open, in milliseconds.
    pub(crate) timeout_ms: i32,
    /// The partitions of the transaction that have no marker yet.
    pub(crate) partitions: BTreeSet<TopicPartition>,
    /// When the transaction began, by the wall clock; -1 for none.
    pub(crate) start_ms: i64,
    /// When the last change was made, by the wall clock.
    pub(crate) last_update_ms: i64,
    /// What the client that made the last change works at.
    pub(crate) client_version: TransactionVersion,
}

/// A transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransactionMetadata {
    /// What is committed.
    pub(crate) current: Transit,
    /// Where a change under way leads.
    pub(crate) pending: Option<TransactionState>,
    /// An attempt to fence the producer bumped the epoch here, but perhaps not in the log: the next one does not bump it again.
    pub(crate) has_failed_epoch_fence: bool,
}

impl TransactionMetadata {
    /// An id that nobody has used.
    pub(crate) const fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Self {
        Self::loaded(Transit {
            state: TransactionState::Empty,
            producer_id,
            prev_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            last_producer_epoch: NO_PRODUCER_EPOCH,
            timeout_ms,
            partitions: BTreeSet::new(),
            start_ms: -1,
            last_update_ms: now_ms,
            client_version: TransactionVersion::V0,
        })
    }

    /// An id as the log has it.
    pub(crate) const fn loaded(current: Transit) -> Self {
        Self { current, pending: None, has_failed_epoch_fence: false }
    }

    /// Whether the producer's epochs are used up.
    pub(crate) const fn is_epoch_exhausted(&self) -> bool {
        is_epoch_exhausted(self.current.producer_epoch)
    }

    /// Prepares to fence the producer of an open transaction: its epoch is bumped and the transaction aborted.
    pub(crate) fn prepare_fence(&mut self) -> Result<Transit, ErrorCode> {
        let mut next = self.next(TransactionState::PrepareEpochFence);
        if !self.has_failed_epoch_fence {
            next.producer_epoch = next.producer_epoch.saturating_add(1);
        }
        self.prepare(next)
    }

    /// Prepares the next epoch for a producer that asked for it (InitProducerId). `expected_epoch` is the one that it
    /// says it has.
    ///
    /// # Errors
    /// `PRODUCER_FENCED` when that is neither the epoch now nor the one before.
    pub(crate) fn prepare_increment_epoch(
        &mut self,
        timeout_ms: i32,
        expected_epoch: Option<i16>,
        now_ms: i64,
    ) -> Result<Transit, ErrorCode> {
        if self.is_epoch_exhausted() {
            return Err(ErrorCode::UnknownServerError);
        }
        let current = &self.current;
        let bumped = current.producer_epoch + 1;
        let (producer_epoch, last_producer_epoch) = match expected_epoch {
            None => (bumped, NO_PRODUCER_EPOCH),
            Some(expected)
                if current.producer_epoch == NO_PRODUCER_EPOCH || expected == current.producer_epoch =>
            {
                (bumped, current.producer_epoch)
            }
            // The answer to the bump was lost: it is told again. Another producer would have set the last epoch to -1.
            Some(expected) if expected == current.last_producer_epoch => {
                (current.producer_epoch, current.last_producer_epoch)
            }
            Some(_) => return Err(ErrorCode::ProducerFenced),
        };
        let next = Transit { producer_epoch, last_producer_epoch, ..self.emptied(timeout_ms, now_ms) };
        self.prepare(next)
    }

    /// Prepares a new producer id, because the epochs of the old one are used up.
    pub(crate) fn prepare_producer_id_rotation(
        &mut self,
        producer_id: i64,
        timeout_ms: i32,
        now_ms: i64,
        record_last_epoch: bool,
    ) -> Result<Transit, ErrorCode> {
        let last_producer_epoch =
            if record_last_epoch { self.current.producer_epoch } else { NO_PRODUCER_EPOCH };
        let next = Transit {
            producer_id,
            producer_epoch: 0,
            last_producer_epoch,
            ..self.emptied(timeout_ms, now_ms)
        };
        self.prepare(next)
    }

    /// Prepares to add partitions to the transaction, which begins with the first.
    pub(crate) fn prepare_add_partitions(
        &mut self,
        added: BTreeSet<TopicPartition>,
        now_ms: i64,
        client_version: TransactionVersion,
    ) -> Result<Transit, ErrorCode> {
        let mut next = self.next(TransactionState::Ongoing);
        if self.current.state != TransactionState::Ongoing {
            next.start_ms = now_ms;
        }
        next.partitions.extend(added);
        next.last_update_ms = now_ms;
        next.client_version = client_version;
        self.prepare(next)
    }

    /// Prepares the decision on a transaction. `next_producer_id` follows when the epochs are used up. `no_partition_added` says
    /// that the client aborts what may never have begun.
    pub(crate) fn prepare_abort_or_commit(
        &mut self,
        state: TransactionState,
        client_version: TransactionVersion,
        next_producer_id: i64,
        now_ms: i64,
        no_partition_added: bool,
    ) -> Result<Transit, ErrorCode> {
        let mut next = self.next(state);
        if client_version.bumps_epoch() {
            // At the highest epoch of all only an abort goes through: that is how such an id recovers.
            if next.producer_epoch < i16::MAX {
                next.producer_epoch += 1;
            } else if state != TransactionState::PrepareAbort {
                return Err(ErrorCode::UnknownServerError);
            }
            next.last_producer_epoch = self.current.producer_epoch;
        }
        if no_partition_added {
            next.start_ms = now_ms;
        }
        next.next_producer_id = next_producer_id;
        next.last_update_ms = now_ms;
        next.client_version = client_version;
        self.prepare(next)
    }

    /// Prepares the end of a transaction whose outcome is decided, for when every partition has its marker.
    pub(crate) fn prepare_complete(&mut self, now_ms: i64) -> Result<Transit, ErrorCode> {
        self.has_failed_epoch_fence = false;
        let state = match self.current.state {
            TransactionState::PrepareCommit => TransactionState::CompleteCommit,
            _ => TransactionState::CompleteAbort,
        };
        let mut next = self.next(state);
        if next.client_version.bumps_epoch() && next.next_producer_id != NO_PRODUCER_ID {
            next.producer_id = next.next_producer_id;
            next.producer_epoch = 0;
        }
        next.next_producer_id = NO_PRODUCER_ID;
        next.partitions = BTreeSet::new();
        next.last_update_ms = now_ms;
        self.prepare(next)
    }

    /// Prepares to forget an id that expired.
    pub(crate) fn prepare_dead(&mut self) -> Result<Transit, ErrorCode> {
        let mut next = self.next(TransactionState::Dead);
        next.partitions = BTreeSet::new();
        self.prepare(next)
    }

    /// A prepared change is committed in the log: it becomes what is.
    ///
    /// # Errors
    /// `UNKNOWN_SERVER_ERROR` when it does not follow from what is, as Kafka's `IllegalStateException` ends; nothing changes then.
    pub(crate) fn complete(&mut self, transit: Transit) -> Result<(), ErrorCode> {
        use TransactionState as S;
        let now = &self.current;
        if self.pending != Some(transit.state) {
            return Err(ErrorCode::UnknownServerError);
        }
        let valid = match transit.state {
            S::Empty => {
                (now.producer_epoch == transit.producer_epoch || is_epoch_bump(now, &transit))
                    && transit.partitions.is_empty()
                    && transit.start_ms == -1
            }
            S::Ongoing => {
                is_valid_epoch(now, &transit)
                    && transit.partitions.is_superset(&now.partitions)
                    && transit.timeout_ms == now.timeout_ms
            }
            S::PrepareCommit | S::PrepareAbort => {
                let aborts_nothing = transit.state == S::PrepareAbort
                    && transit.client_version.bumps_epoch()
                    && now.state.may_expire();
                is_valid_epoch(now, &transit)
                    && transit.partitions == now.partitions
                    && transit.timeout_ms == now.timeout_ms
                    && (transit.start_ms == now.start_ms || aborts_nothing)
            }
            S::CompleteCommit | S::CompleteAbort => {
                is_valid_epoch(now, &transit)
                    && transit.timeout_ms == now.timeout_ms
                    && transit.start_ms != -1
            }
            S::Dead | S::PrepareEpochFence => false,
        };
        if !valid {
            return Err(ErrorCode::UnknownServerError);
        }
        self.current = transit;
        self.pending = None;
        Ok(())
    }

    fn next(&self, state: TransactionState) -> Transit {
        Transit { state, ..self.current.clone() }
    }

    fn emptied(&self, timeout_ms: i32, now_ms: i64) -> Transit {
        Transit {
            timeout_ms,
            partitions: BTreeSet::new(),
            start_ms: -1,
            last_update_ms: now_ms,
            ..self.next(TransactionState::Empty)
        }
    }

    fn prepare(&mut self, mut next: Transit) -> Result<Transit, ErrorCode> {
        let epoch_is_set = next.producer_epoch >= 0 || next.state == TransactionState::Dead;
        let valid = self.pending.is_none()
            && next.producer_id >= 0
            && epoch_is_set
            && next.state.may_follow(self.current.state);
        if !valid {
            return Err(ErrorCode::UnknownServerError);
        }
        next.prev_producer_id = self.current.producer_id;
        self.pending = Some(next.state);
        Ok(next)
    }
}

/// Whether a change keeps the producer and epoch, or changes them as the end of a transaction does since KIP-890.
fn is_valid_epoch(now: &Transit, next: &Transit) -> bool {
    use TransactionState as S;
    if next.client_version.bumps_epoch() {
        match next.state {
            S::CompleteCommit | S::CompleteAbort if next.producer_epoch == 0 => {
                return next.last_producer_epoch == now.last_producer_epoch
                    && next.prev_producer_id == now.producer_id;
            }
            S::PrepareCommit | S::PrepareAbort => {
                return next.last_producer_epoch == now.producer_epoch && next.producer_id == now.producer_id;
            }
            _ => {}
        }
    }
    next.producer_epoch == now.producer_epoch && next.producer_id == now.producer_id
}

/// Whether a change begins the next epoch, or the first one of another producer.
const fn is_epoch_bump(now: &Transit, next: &Transit) -> bool {
    next.producer_epoch == now.producer_epoch.wrapping_add(1)
        || (next.producer_epoch == 0 && next.producer_id != now.producer_id)
}

/// What somebody outside may see of a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionView {
    /// Its state, by Kafka's name.
    pub state: &'static str,
    /// The state that a change under way leads to.
    pub pending: Option<&'static str>,
    /// The producer.
    pub producer_id: i64,
    /// The producer's epoch.
    pub producer_epoch: i16,
    /// The partitions of the transaction that have no marker yet.
    pub partitions: BTreeSet<TopicPartition>,
    /// The epoch of the coordinator: the leader epoch of the partition of `__transaction_state`.
    pub coordinator_epoch: i32,
    /// When the transaction began, by the coordinator's wall clock in milliseconds; -1 for none.
    pub start_ms: i64,
    /// How long it may be open, in milliseconds.
    pub timeout_ms: i32,
}

/// The transactional ids of a coordinator, by name.
pub type TransactionViews = std::collections::BTreeMap<StrBytes, TransactionView>;
