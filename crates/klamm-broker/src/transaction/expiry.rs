//! What the coordinator does by itself: it aborts transactions that are open for too long, and forgets ids that nobody uses.

use std::time::Duration;

use klamm_node::{Ctx, Timestamp};
use klamm_wire::StrBytes;

use super::append::{After, Waiting};
use super::end::{EndReply, EndTransaction};
use super::metadata::{TransactionMetadata, Transit};
use super::shard::ShardState;
use super::state::TransactionState;
use super::{TransactionCoordinator, TransactionTimer, records, server_version, state_partition};
use crate::core::{Core, Timer};

/// How many bytes of ids one batch of tombstones holds, at most.
const MAX_TOMBSTONE_BYTES: usize = 512 * 1024;

impl TransactionCoordinator {
    /// Sees to it that both sweeps come, as long as there is something to coordinate.
    pub(super) fn schedule_sweeps(&self, core: &mut Core, ctx: &Ctx<'_>) {
        let sweeps = [
            (TransactionTimer::AbortTimedOut, self.config.abort_timed_out_interval),
            (TransactionTimer::RemoveExpired, self.config.remove_expired_interval),
        ];
        for (timer, interval) in sweeps {
            let timer = Timer::Transaction(timer);
            if core.timers.deadline(&timer).is_none() && !self.shards.is_empty() {
                core.set_timer(timer, next_after(self.booted, interval, ctx.now));
            }
        }
    }

    /// How often a sweep comes, and when, in milliseconds of the wall clock, it might find something as long as nobody begins or ends
    /// a transaction (`None` for never). `None` for what is no sweep.
    pub(crate) fn sweep(&self, timer: &TransactionTimer) -> Option<(Duration, Option<i64>)> {
        let ids = || self.shards.values().flat_map(|shard| shard.transactions.values());
        let id_expiration_ms = self.config.id_expiration_ms;
        match timer {
            TransactionTimer::AbortTimedOut => {
                let ongoing = ids().filter(|metadata| metadata.current.state == TransactionState::Ongoing);
                let next = ongoing.map(|metadata| {
                    metadata.current.start_ms.saturating_add(metadata.current.timeout_ms.into())
                });
                Some((self.config.abort_timed_out_interval, next.min()))
            }
            TransactionTimer::RemoveExpired => {
                let idle = ids().filter(|metadata| metadata.current.state.may_expire());
                let next =
                    idle.map(|metadata| metadata.current.last_update_ms.saturating_add(id_expiration_ms));
                Some((self.config.remove_expired_interval, next.min()))
            }
            _ => None,
        }
    }

    /// Aborts every transaction that is open for longer than its producer said.
    pub(super) fn abort_timed_out(&mut self, core: &mut Core, ctx: &mut Ctx<'_>) {
        let now_ms = ctx.wall.millis();
        let mut timed_out: Vec<(StrBytes, Transit)> = Vec::new();
        for shard in self.shards.values_mut().filter(|shard| shard.state == ShardState::Active) {
            for (id, metadata) in &mut shard.transactions {
                if has_timed_out(metadata, now_ms)
                    && let Ok(transit) = metadata.prepare_fence()
                {
                    timed_out.push((id.clone(), transit));
                }
            }
        }
        for (transactional_id, transit) in timed_out {
            let end = EndTransaction {
                transactional_id,
                producer_id: transit.producer_id,
                producer_epoch: transit.producer_epoch,
                commit: false,
                reply: EndReply::TimedOut,
            };
            self.end_transaction(core, ctx, end, server_version(core));
        }
        self.schedule_sweeps(core, ctx);
    }

    /// Forgets every id without a transaction that has not changed for `transactional.id.expiration.ms`.
    pub(super) fn remove_expired(&mut self, core: &mut Core, ctx: &mut Ctx<'_>) {
        let newest_ms = ctx.wall.millis().saturating_sub(self.config.id_expiration_ms);
        let partitions: Vec<i32> = self.shards.keys().copied().collect();
        for partition in partitions {
            while let Some(expired) = self.next_expired(partition, newest_ms)
                && self.write_tombstones(core, ctx, partition, expired)
            {}
        }
        self.schedule_sweeps(core, ctx);
    }

    /// As many expired ids of a partition as fit into a batch; `None` when there are none (left).
    fn next_expired(&mut self, partition: i32, newest_ms: i64) -> Option<Vec<(StrBytes, Transit)>> {
        let shard = self.shards.get_mut(&partition).filter(|shard| shard.state == ShardState::Active)?;
        let mut expired = Vec::new();
        let mut bytes = 0;
        for (id, metadata) in &mut shard.transactions {
            let may_go = metadata.current.state.may_expire() && metadata.current.last_update_ms <= newest_ms;
            if may_go
                && metadata.pending.is_none()
                && let Ok(transit) = metadata.prepare_dead()
            {
                bytes += id.len();
                expired.push((id.clone(), transit));
                if bytes >= MAX_TOMBSTONE_BYTES {
                    break;
                }
            }
        }
        (!expired.is_empty()).then_some(expired)
    }

    /// False when they could not be written: they are for the next sweep.
    fn write_tombstones(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        partition: i32,
        changes: Vec<(StrBytes, Transit)>,
    ) -> bool {
        let ids: Vec<StrBytes> = changes.iter().map(|(id, _)| id.clone()).collect();
        let batch = records::encode_tombstones(&ids, ctx.wall.millis());
        let after = After::Expire;
        match batch.and_then(|batch| core.append_internal(ctx, &state_partition(partition), batch)) {
            Ok(append) => {
                let timeout = Duration::from_millis(core.config.hot.request_timeout_ms.into());
                let deadline = ctx.now + timeout;
                let waiting = Waiting { offset: append.next_offset, deadline, changes, after };
                self.wait(core, ctx, partition, waiting);
                true
            }
            Err(error) => {
                self.failed(core, ctx, partition, &changes, after, error);
                false
            }
        }
    }
}

/// An id whose timeout is the longest possible belongs to somebody else's two-phase commit, and is left alone.
fn has_timed_out(metadata: &TransactionMetadata, now_ms: i64) -> bool {
    let current = &metadata.current;
    metadata.pending.is_none()
        && current.state == TransactionState::Ongoing
        && current.timeout_ms != i32::MAX
        && current.start_ms.saturating_add(current.timeout_ms.into()) < now_ms
}

/// The first time after `now` that is a whole number of intervals after `start`.
fn next_after(start: Timestamp, interval: Duration, now: Timestamp) -> Timestamp {
    let interval_ns = interval.as_nanos().max(1);
    let passed = now.since(start).as_nanos() / interval_ns + 1;
    start + Duration::from_nanos(u64::try_from(passed.saturating_mul(interval_ns)).unwrap_or(u64::MAX))
}
