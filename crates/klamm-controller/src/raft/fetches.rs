//! Fetches of the metadata log that wait for something to learn (`fetchPurgatory`).

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{Ctx, EventId, ReplyTo, TimerTable, Timestamp};
use klamm_wire::Uuid;

use super::Raft;
use super::replication::Wanted;

/// Fetches that wait.
#[derive(Debug, Clone, Default)]
pub(super) struct ParkedFetches {
    parked: BTreeMap<u64, (ReplyTo, Wanted)>,
    deadlines: TimerTable<u64>,
    next: u64,
}

impl ParkedFetches {
    /// Every fetch that waits, with its asker and its deadline.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ReplyTo, &Wanted, Timestamp)> {
        self.parked.iter().filter_map(|(id, (to, wanted))| Some((*to, wanted, self.deadlines.deadline(id)?)))
    }

    /// Moves the deadline of a fetch; the directory that it is for.
    pub(super) fn wait_until(&mut self, to: ReplyTo, until: Timestamp) -> Option<Uuid> {
        let (id, (_, wanted)) = self.parked.iter().find(|(_, (asker, _))| *asker == to)?;
        self.deadlines.postpone(id, until);
        Some(wanted.directory_id)
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    pub(super) fn stamp(&mut self, cause: Option<EventId>) {
        self.deadlines.stamp(cause);
    }
}

impl Raft {
    /// Answers a fetch, now or when there is something to learn, within `max_wait_ms`.
    pub(crate) fn fetch_or_wait(&mut self, ctx: &mut Ctx<'_>, to: ReplyTo, wanted: Wanted, max_wait_ms: i32) {
        let before = self.high_watermark;
        let (response, worth_sending) = self.read_for(ctx, wanted, true);
        if worth_sending || max_wait_ms <= 0 {
            ctx.reply(to, response);
        } else {
            let id = self.fetches.next;
            self.fetches.next += 1;
            self.fetches.parked.insert(id, (to, wanted));
            let wait = Duration::from_millis(u64::from(max_wait_ms.unsigned_abs()));
            self.fetches.deadlines.set(id, ctx.now + wait);
        }
        if self.high_watermark != before {
            self.complete_fetches(ctx);
        }
    }

    /// Answers the waiting fetches that have something to learn now.
    pub(super) fn complete_fetches(&mut self, ctx: &mut Ctx<'_>) {
        let parked = std::mem::take(&mut self.fetches.parked);
        for (id, (to, wanted)) in parked {
            let (response, worth_sending) = self.read_for(ctx, wanted, true);
            if worth_sending {
                self.fetches.deadlines.cancel(&id);
                ctx.reply(to, response);
            } else {
                self.fetches.parked.insert(id, (to, wanted));
            }
        }
    }

    /// Answers the waiting fetches whose time is over: nothing new.
    pub(super) fn expire_fetches(&mut self, ctx: &mut Ctx<'_>) {
        while let Some((id, cause)) = self.fetches.deadlines.pop_due(ctx.now) {
            ctx.follow(cause);
            if let Some((to, wanted)) = self.fetches.parked.remove(&id) {
                let (response, _) = self.read_for(ctx, wanted, false);
                ctx.reply(to, response);
            }
        }
    }
}
