//! Moves of a group that no member asked for: how faults bring them about.

use klamm_node::Ctx;
use klamm_wire::StrBytes;

use super::GroupCoordinator;
use super::host::Host;
use super::shard::ShardState;

impl GroupCoordinator {
    /// Begins a rebalance of a group with members, as when one of them changes its subscription. A consumer group's epoch grows: its
    /// target is computed anew with the next heartbeat.
    pub(crate) fn force_rebalance(&mut self, host: &mut dyn Host, ctx: &mut Ctx<'_>, group: &StrBytes) {
        let partition = self.partition_for(group);
        if let Some((shard, mut env)) = self.shard(host, ctx, partition)
            && shard.state == ShardState::Active
            && !shard.raise_epoch(&mut env, group, "forced by a fault")
        {
            let _ = shard.rebalance_or_complete(&mut env, group, "forced by a fault");
        }
    }

    /// Finds a member's session expired.
    pub(crate) fn expire_member(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        group: &StrBytes,
        member: &StrBytes,
    ) {
        let partition = self.partition_for(group);
        if let Some((shard, mut env)) = self.shard(host, ctx, partition)
            && shard.state == ShardState::Active
        {
            let cause = "session ended by a fault";
            if !shard.fence_silent(&mut env, group, member, cause) {
                shard.expire_member(&mut env, group, member, cause);
            }
        }
    }
}
