//! Moves of a group that no member asked for: how faults bring them about.

use klamm_node::Ctx;
use klamm_wire::StrBytes;

use super::GroupCoordinator;
use super::shard::ShardState;
use crate::core::Core;

impl GroupCoordinator {
    /// Begins a rebalance of a group with members, as when one of them changes its subscription.
    pub(crate) fn force_rebalance(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, group: &StrBytes) {
        let partition = self.partition_for(group);
        if let Some((shard, mut env)) = self.shard(core, ctx, partition)
            && shard.state == ShardState::Active
        {
            let _ = shard.rebalance_or_complete(&mut env, group, "forced by a fault");
        }
    }

    /// Finds a member's session expired.
    pub(crate) fn expire_member(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        group: &StrBytes,
        member: &StrBytes,
    ) {
        let partition = self.partition_for(group);
        if let Some((shard, mut env)) = self.shard(core, ctx, partition)
            && shard.state == ShardState::Active
        {
            shard.expire_member(&mut env, group, member, "session ended by a fault");
        }
    }
}
