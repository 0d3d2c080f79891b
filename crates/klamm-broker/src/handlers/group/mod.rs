//! The group coordinator's API keys, one file each. A handler looks names up and checks the form; the coordinator decides.

mod alter_share_group_offsets;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod delete_groups;
mod delete_share_group_offsets;
mod describe_groups;
mod describe_share_group_offsets;
pub(crate) mod find_coordinator;
mod heartbeat;
mod join_group;
mod leave_group;
mod list_groups;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod share_group_describe;
mod share_group_heartbeat;
mod sync_group;

use std::collections::BTreeSet;

use klamm_node::Ctx;
use klamm_wire::Request;
use klamm_wire::messages::GroupId;

use crate::broker::Broker;
use crate::core::RequestContext;

/// The groups that a request names, each once: named a hundred thousand times, a large group would fill the memory.
fn distinct(groups: &[GroupId]) -> impl Iterator<Item = &GroupId> {
    let mut named = BTreeSet::new();
    groups.iter().filter(move |group| named.insert(*group))
}

/// Answers a request that belongs to the group coordinator.
pub(crate) fn handle(broker: &mut Broker, ctx: &mut Ctx<'_>, rc: RequestContext, request: Request) {
    match request {
        Request::FindCoordinator(request) => find_coordinator::handle(broker, ctx, rc, request),
        Request::JoinGroup(request) => join_group::handle(broker, ctx, &rc, request),
        Request::SyncGroup(request) => sync_group::handle(broker, ctx, &rc, request),
        Request::Heartbeat(request) => heartbeat::handle(broker, ctx, &rc, &request),
        Request::LeaveGroup(request) => leave_group::handle(broker, ctx, &rc, request),
        Request::DescribeGroups(request) => describe_groups::handle(broker, ctx, &rc, &request),
        Request::ListGroups(request) => list_groups::handle(broker, ctx, &rc, &request),
        Request::DeleteGroups(request) => delete_groups::handle(broker, ctx, &rc, request),
        Request::ShareGroupHeartbeat(request) => share_group_heartbeat::handle(broker, ctx, &rc, request),
        Request::ShareGroupDescribe(request) => share_group_describe::handle(broker, ctx, &rc, &request),
        Request::DescribeShareGroupOffsets(request) => {
            describe_share_group_offsets::handle(broker, ctx, &rc, request);
        }
        Request::AlterShareGroupOffsets(request) => {
            alter_share_group_offsets::handle(broker, ctx, &rc, request);
        }
        Request::DeleteShareGroupOffsets(request) => {
            delete_share_group_offsets::handle(broker, ctx, &rc, request);
        }
        Request::OffsetCommit(request) => offset_commit::handle(broker, ctx, &rc, request),
        Request::OffsetFetch(request) => offset_fetch::handle(broker, ctx, &rc, request),
        Request::OffsetDelete(request) => offset_delete::handle(broker, ctx, &rc, request),
        Request::ConsumerGroupHeartbeat(request) => {
            consumer_group_heartbeat::handle(broker, ctx, &rc, request);
        }
        Request::ConsumerGroupDescribe(request) => {
            consumer_group_describe::handle(broker, ctx, &rc, &request);
        }
        _ => ctx.close(rc.reply_to),
    }
}
