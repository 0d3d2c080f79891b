//! A node's door: shut while its process is stopped or at a step that takes time. What comes meanwhile waits outside.

use std::collections::VecDeque;
use std::time::Duration;

use klamm_node::{EventId, Incoming, Timestamp};

use crate::fault::FaultId;
use crate::world::Event;

/// A node's door.
#[derive(Debug, Clone, Default)]
pub(crate) struct Door {
    /// The fault that stopped the node's process.
    pub(crate) paused: Option<FaultId>,
    /// Until when the node is at a step.
    busy_until: Timestamp,
    /// How much longer each step takes, and why.
    pub(crate) slow: Vec<(FaultId, Duration)>,
    /// What waits outside, in order of arrival, with what it follows from.
    waiting: VecDeque<(Event, Option<EventId>)>,
    /// One of those that waited is on its way in.
    admitting: bool,
    /// That one has waited for too long and is only turned away, which takes no time.
    turning_away: bool,
    /// Those who wait stood back once for the node's own timers, and are next.
    timers_had_turn: bool,
}

impl Door {
    /// Whether what comes must wait: the node cannot step now, or others wait already.
    pub(crate) fn is_shut(&self, now: Timestamp) -> bool {
        !self.can_step(now) || !self.waiting.is_empty() && !self.admitting
    }

    /// Whether the node can step.
    pub(crate) fn can_step(&self, now: Timestamp) -> bool {
        self.paused.is_none() && self.busy_until <= now
    }

    /// When the node next steps, that has something to do at `due`.
    pub(crate) fn opens_for(&self, due: Timestamp) -> Timestamp {
        if self.paused.is_some() {
            return Timestamp::MAX;
        }
        let due = if self.waiting.is_empty() { due } else { Timestamp::ZERO };
        due.max(self.busy_until)
    }

    /// Has an event wait that follows from `cause`.
    pub(crate) fn wait(&mut self, event: Event, cause: Option<EventId>) {
        self.waiting.push_back((event, cause));
    }

    /// Lets in one who waits, if the node can step: of those whose time is over, the one whose was first (`expired` tells when), or who came first.
    /// Timers that are due (the first at `timer`) and those who wait take turns, so that neither has to wait for ever. [`Door::admitted`] must follow.
    pub(crate) fn admit(
        &mut self,
        now: Timestamp,
        timer: Timestamp,
        expired: impl Fn(&Incoming) -> Option<Timestamp>,
    ) -> Option<(Event, Option<EventId>)> {
        if !self.can_step(now) || self.waiting.is_empty() {
            return None;
        }
        let over = self.waiting.iter().enumerate().filter_map(|(at, (event, _))| match event {
            Event::Enter { incoming, .. } => Some((expired(incoming)?, at)),
            _ => None,
        });
        let first = over.min().map(|(_, at)| at);
        if first.is_none() && !self.slow.is_empty() {
            self.timers_had_turn = timer <= now && !self.timers_had_turn;
            if self.timers_had_turn {
                return None;
            }
        }
        self.turning_away = first.is_some();
        self.admitting = true;
        self.waiting.remove(first.unwrap_or_default())
    }

    /// The requests that wait, with what they follow from.
    pub(crate) fn requests_mut(&mut self) -> impl Iterator<Item = (&mut Incoming, Option<EventId>)> {
        self.waiting.iter_mut().filter_map(|(event, cause)| match event {
            Event::Enter { incoming, .. } => Some((&mut **incoming, *cause)),
            _ => None,
        })
    }

    /// Who was let in is in.
    pub(crate) const fn admitted(&mut self) {
        self.admitting = false;
        self.turning_away = false;
    }

    /// Has the node be at its step for `cost` longer; when it is done.
    pub(crate) fn spend(&mut self, now: Timestamp, cost: Duration) -> Timestamp {
        self.busy_until = self.busy_until.max(now) + cost;
        self.busy_until
    }

    /// How much longer a step takes now.
    pub(crate) fn slowness(&self) -> Duration {
        if self.turning_away {
            return Duration::ZERO;
        }
        self.slow.iter().map(|(_, by)| *by).sum()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The process is gone, and who waited for it with it. The fault that had stopped it is over.
    pub(crate) fn reset(&mut self) -> Option<FaultId> {
        self.busy_until = Timestamp::ZERO;
        self.waiting.clear();
        self.admitting = false;
        self.turning_away = false;
        self.paused.take()
    }
}
