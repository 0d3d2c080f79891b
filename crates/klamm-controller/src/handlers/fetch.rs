//! Fetch (key 1) of the metadata log, by brokers and other controllers. A fetch that finds nothing waits until there is
//! something, or its time is over.

use klamm_metadata::{METADATA_TOPIC, METADATA_TOPIC_ID};
use klamm_node::{Ctx, NodeId, ReplyTo};
use klamm_wire::messages::FetchRequest;
use klamm_wire::{ErrorCode, FetchResponse};

use crate::controller::Controller;
use crate::raft::Wanted;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    version: i16,
    request: &FetchRequest,
) {
    if request.cluster_id.as_ref().is_some_and(|id| *id != controller.state.cluster_id) {
        ctx.reply(to, refusal(ErrorCode::InconsistentClusterId));
        return;
    }
    let Some(wanted) = wanted(version, request) else {
        ctx.reply(to, refusal(ErrorCode::InvalidRequest));
        return;
    };
    controller.raft.fetch_or_wait(ctx, to, wanted, request.max_wait_ms);
}

/// The metadata log is the only one that a controller has; `None` for a request that is not for exactly it.
fn wanted(version: i16, request: &FetchRequest) -> Option<Wanted> {
    let [topic] = request.topics.as_slice() else { return None };
    let [partition] = topic.partitions.as_slice() else { return None };
    let is_metadata = topic.topic_id == METADATA_TOPIC_ID || &*topic.topic.0 == METADATA_TOPIC;
    if !is_metadata || partition.partition != 0 || partition.fetch_offset < 0 {
        return None;
    }
    let limit = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
    let from = if version >= 15 { request.replica_state.replica_id } else { request.replica_id };
    Some(Wanted {
        from: NodeId(from.0),
        directory_id: partition.replica_directory_id,
        offset: partition.fetch_offset,
        last_fetched_epoch: partition.last_fetched_epoch,
        current_leader_epoch: partition.current_leader_epoch,
        max_bytes: limit(request.max_bytes).min(limit(partition.partition_max_bytes)).max(1),
        high_watermark: partition.high_watermark,
    })
}

fn refusal(error_code: ErrorCode) -> FetchResponse {
    FetchResponse { error_code, ..FetchResponse::default() }
}
