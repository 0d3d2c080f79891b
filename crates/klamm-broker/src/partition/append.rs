//! Appends: as leader for clients and coordinators, as follower what the leader sent.

use bytes::Bytes;
use klamm_log::{AppendAs, AppendError, Disk, LogAppendInfo};
use klamm_node::{Era, NodeId};
use klamm_wire::ErrorCode;
use klamm_wire::record::inspect::InspectedBatch;

use crate::fetch_session::FetchSessionCache;
use crate::partition::{Changes, LeaderEnv, Partition};

impl Partition {
    /// Whether an append may go on: this broker leads, and for acks=all the committed ISR is large enough. R7.
    pub(crate) fn check_append(&self, me: NodeId, needs_all: bool) -> Result<(), AppendError> {
        if !self.is_leader() {
            return Err(AppendError::new(
                ErrorCode::NotLeaderOrFollower,
                format!("Leader not local for partition {} on broker {me}", self.name),
            ));
        }
        let min_isr = self.effective_min_isr();
        if needs_all && self.isr.len() < min_isr {
            let isr: Vec<String> = self.isr.iter().map(ToString::to_string).collect();
            return Err(AppendError::new(
                ErrorCode::NotEnoughReplicas,
                format!(
                    "The size of the current ISR : {} is insufficient to satisfy the min.isr requirement of {min_isr} for \
                     partition {}, live replica(s) broker.id are : {}",
                    isr.len(),
                    self.name,
                    isr.join(", ")
                ),
            ));
        }
        Ok(())
    }

    /// Appends for a client or coordinator (`Partition.appendRecordsToLeader`). With `needs_all` (acks=all) the committed ISR must
    /// be as large as `min.insync.replicas` asks: that is checked before anything else of the records. R7.
    pub(crate) fn append_as_leader(
        &mut self,
        disk: &mut dyn Disk,
        batches: &[InspectedBatch],
        how: AppendAs,
        needs_all: bool,
        sessions: &FetchSessionCache,
        env: LeaderEnv<'_>,
    ) -> Result<LogAppendInfo, AppendError> {
        self.check_append(env.me, needs_all)?;
        let log_end = self.log.log_end_offset();
        let remotes = self.leading.iter_mut().flat_map(|state| &mut state.remotes);
        for replica in remotes.filter(|r| r.session_id != 0) {
            if let Some(at) = sessions.last_fetch_ms(replica.session_id) {
                replica.note_session_fetch(log_end, at);
            }
        }
        let info = self.log.append_as_leader(disk, batches, self.leader_epoch, env.now_ms, how)?;
        if self.log.log_end_offset() != log_end {
            self.changes.add(Changes::LOG_END);
        }
        // The ISR may be the leader alone.
        self.maybe_increment_high_watermark(env);
        Ok(info)
    }

    /// Appends what the leader sent (`Partition.appendRecordsToFollowerOrFutureReplica`).
    pub(crate) fn append_as_follower(
        &mut self,
        disk: &mut dyn Disk,
        records: &[Bytes],
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<LogAppendInfo, AppendError> {
        let log_end = self.log.log_end_offset();
        // Nothing bounded what a follower took before fetches carried an epoch.
        let newest_epoch = if self.eras.on(Era::NoFetchFencing) { i32::MAX } else { leader_epoch };
        let info = self.log.append_as_follower(disk, records, newest_epoch, now_ms)?;
        if self.log.log_end_offset() != log_end {
            self.changes.add(Changes::LOG_END);
        }
        Ok(info)
    }
}
