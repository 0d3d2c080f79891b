//! The state of records in flight, and how it may change (`RecordState`, `InFlightState`).

use klamm_node::Timestamp;
use klamm_wire::StrBytes;

/// What became of a record so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordState {
    /// Anybody may have it.
    Available,
    /// A member has it, for a time.
    Acquired,
    /// A member is done with it.
    Acknowledged,
    /// It was rejected, delivered too often, or is gone from the log: nobody gets it again.
    Archived,
}

impl RecordState {
    /// Kafka's number of it.
    pub(crate) const fn id(self) -> i8 {
        match self {
            Self::Available => 0,
            Self::Acquired => 1,
            Self::Acknowledged => 2,
            Self::Archived => 4,
        }
    }

    /// Reads Kafka's number. Archiving (3) is what Kafka calls a record on its way to a dead-letter queue, which there is none of here.
    pub(crate) const fn from_id(id: i8) -> Option<Self> {
        Some(match id {
            0 => Self::Available,
            1 => Self::Acquired,
            2 => Self::Acknowledged,
            3 | 4 => Self::Archived,
            _ => return None,
        })
    }

    /// Kafka's name of it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Available => "AVAILABLE",
            Self::Acquired => "ACQUIRED",
            Self::Acknowledged => "ACKNOWLEDGED",
            Self::Archived => "ARCHIVED",
        }
    }

    /// Whether nothing changes it any more.
    pub(crate) const fn is_terminal(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Archived)
    }

    /// Whether it can become another state (`validateTransition`).
    const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Available => matches!(next, Self::Acquired),
            Self::Acquired => !matches!(next, Self::Acquired),
            Self::Acknowledged | Self::Archived => false,
        }
    }
}

/// What to go back to when a change cannot be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rollback {
    state: RecordState,
    member: StrBytes,
    max_deliveries: i16,
}

/// The state of one record, or of several in a row that share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InFlight {
    /// The state.
    pub(crate) state: RecordState,
    /// How often the record was delivered.
    pub(crate) deliveries: i16,
    /// Who has it; empty for nobody.
    pub(crate) member: StrBytes,
    /// When its holder loses it.
    pub(crate) lock: Option<Timestamp>,
    rollback: Option<Rollback>,
    /// It was archived while a change was being written: that change is not undone.
    settled: bool,
}

impl InFlight {
    /// A state that nothing is changing.
    pub(crate) const fn new(
        state: RecordState,
        deliveries: i16,
        member: StrBytes,
        lock: Option<Timestamp>,
    ) -> Self {
        Self { state, deliveries, member, lock, rollback: None, settled: false }
    }

    /// Whether a change of it is being written down.
    pub(crate) const fn is_changing(&self) -> bool {
        self.rollback.is_some()
    }

    /// Whether it can be given to a member.
    pub(crate) fn is_free(&self) -> bool {
        self.state == RecordState::Available && !self.is_changing()
    }

    /// Whether a member has it.
    pub(crate) fn is_held_by(&self, member: &str) -> bool {
        self.state == RecordState::Acquired && self.member.as_str() == member
    }

    /// Gives it to a member. False when that cannot be.
    pub(crate) fn acquire(&mut self, member: &StrBytes, lock: Timestamp) -> bool {
        if !self.is_free() {
            return false;
        }
        self.state = RecordState::Acquired;
        self.deliveries = self.deliveries.saturating_add(1);
        self.member = member.clone();
        self.lock = Some(lock);
        true
    }

    /// Changes it for good, taking it from its holder. What was delivered often enough is archived instead of made available.
    /// False when it cannot change so.
    pub(crate) fn change(&mut self, next: RecordState, max_deliveries: i16) -> bool {
        if !self.begin(next, max_deliveries) {
            return false;
        }
        self.rollback = None;
        self.lock = None;
        true
    }

    /// Changes it until [`InFlight::end`] says whether that could be written down.
    pub(crate) fn begin(&mut self, next: RecordState, max_deliveries: i16) -> bool {
        if self.is_changing() {
            return false;
        }
        let next = if next == RecordState::Available && self.deliveries >= max_deliveries {
            RecordState::Archived
        } else {
            next
        };
        if !self.state.may_become(next) {
            return false;
        }
        let member = std::mem::take(&mut self.member);
        self.rollback = Some(Rollback { state: self.state, member, max_deliveries });
        self.state = next;
        true
    }

    /// Ends a change. One that was not written down is undone; when its holder's time is over by now, the record is free.
    pub(crate) fn end(&mut self, written: bool, now: Timestamp) {
        let Some(before) = self.rollback.take() else { return };
        if written || self.settled {
            self.lock = None;
            return;
        }
        if self.lock.is_some_and(|lock| lock <= now) {
            self.lock = None;
            self.state = if self.deliveries >= before.max_deliveries {
                RecordState::Archived
            } else {
                RecordState::Available
            };
            return;
        }
        self.state = before.state;
        self.member = before.member;
    }

    /// Archives it, whatever it was.
    pub(crate) fn archive(&mut self) {
        self.settled = true;
        self.state = RecordState::Archived;
        self.member = StrBytes::default();
        self.lock = None;
    }
}
