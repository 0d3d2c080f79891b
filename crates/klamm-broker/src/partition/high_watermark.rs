//! The high watermark of a leader (R5) and of a follower (R6), and the low watermark that DeleteRecords waits for.

use klamm_metadata::ClusterImage;
use klamm_node::Era;

use crate::partition::isr::is_eligible;
use crate::partition::{Changes, LeaderEnv, Partition};

impl Partition {
    /// R5: raises the leader's high watermark to the smallest log end among the maximal ISR and the replicas that are caught
    /// up and may join it. Not at all while the committed ISR is below `min.insync.replicas` (KAFKA-15583).
    pub(crate) fn maybe_increment_high_watermark(&mut self, env: LeaderEnv<'_>) -> bool {
        let Some(state) = &self.leading else { return false };
        if self.is_under_min_isr() && self.eras.on(Era::StrictMinIsr) {
            return false;
        }
        let log_end = self.log.log_end_offset();
        let mut new = log_end;
        for replica in &state.remotes {
            if replica.log_end_offset < new
                && (self.in_maximal_isr(replica.id)
                    || (replica.is_caught_up(log_end, env.now_ms, env.max_lag_ms)
                        && is_eligible(env.cluster, replica, self.eras)))
            {
                new = replica.log_end_offset;
            }
        }
        if new <= self.log.high_watermark() {
            return false;
        }
        let moved = self.log.maybe_increment_high_watermark(new).is_some();
        if moved {
            self.changes.add(Changes::HIGH_WATERMARK);
        }
        moved
    }

    /// R6: a follower takes its leader's high watermark, bounded by its own log. It may go back.
    pub(crate) fn follow_high_watermark(&mut self, leader_high_watermark: i64) {
        let before = self.log.high_watermark();
        if self.log.update_high_watermark(leader_high_watermark) != before {
            self.changes.add(Changes::HIGH_WATERMARK);
        }
    }

    /// The smallest log start among the replicas that live (`Partition.lowWatermarkIfLeader`).
    pub(crate) fn low_watermark(&self, cluster: &ClusterImage) -> Option<i64> {
        let state = self.leading.as_ref()?;
        let live = state.remotes.iter().filter(|r| cluster.is_unfenced(r.id)).map(|r| r.log_start_offset);
        Some(live.fold(self.log.log_start_offset(), i64::min))
    }
}
