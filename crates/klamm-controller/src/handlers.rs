//! One file per API key that a controller answers.

mod allocate_producer_ids;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition;
mod alter_partition_reassignments;
mod assign_replicas_to_dirs;
pub(crate) mod broker_heartbeat;
mod broker_registration;
mod configs;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod describe_quorum;
mod elect_leaders;
mod expired;
mod fetch;
mod incremental_alter_configs;
mod list_partition_reassignments;
pub(crate) mod not_controller;
mod unregister_broker;
mod update_features;

use klamm_log::LogError;
use klamm_node::{Ctx, Incoming};
use klamm_wire::Request;

use crate::controller::Controller;

/// Hands a request to its handler. What only the active controller answers is refused by the others; a request that
/// controllers do not answer closes the connection it came over.
pub(crate) fn dispatch(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    incoming: Incoming,
) -> Result<(), LogError> {
    if expired::answer(controller, ctx, &incoming) {
        return Ok(());
    }
    let to = incoming.reply_to;
    match &incoming.request {
        Request::Fetch(request) => fetch::handle(controller, ctx, to, incoming.api_version, request),
        Request::Vote(request) => controller.raft.on_vote(ctx, to, request)?,
        Request::BeginQuorumEpoch(request) => controller.raft.on_begin_epoch(ctx, to, request)?,
        Request::EndQuorumEpoch(request) => controller.raft.on_end_epoch(ctx, to, request)?,
        Request::FetchSnapshot(request) => controller.raft.on_fetch_snapshot(ctx, to, request)?,
        Request::DescribeQuorum(request) => describe_quorum::handle(controller, ctx, to, request),
        request if !controller.is_active() => match not_controller::answer(request) {
            Some(response) => ctx.reply(to, response),
            None => ctx.close(to),
        },
        _ => dispatch_active(controller, ctx, incoming),
    }
    Ok(())
}

/// The requests that the active controller answers.
fn dispatch_active(controller: &mut Controller, ctx: &mut Ctx<'_>, incoming: Incoming) {
    let (to, version) = (incoming.reply_to, incoming.api_version);
    let (waited, expired) = (incoming.waited(ctx.now), controller.is_expired(ctx.now, &incoming));
    match incoming.request {
        Request::CreateTopics(request) => {
            create_topics::handle(controller, ctx, to, version, incoming.client_id.as_ref(), &request);
        }
        Request::DeleteTopics(request) => {
            delete_topics::handle(controller, ctx, to, version, incoming.client_id.as_ref(), &request);
        }
        Request::AlterClientQuotas(request) => alter_client_quotas::handle(controller, ctx, to, &request),
        Request::AlterConfigs(request) => {
            alter_configs::handle(controller, ctx, to, &incoming.origin, &request)
        }
        Request::CreatePartitions(request) => {
            create_partitions::handle(controller, ctx, to, version, incoming.client_id.as_ref(), &request);
        }
        Request::IncrementalAlterConfigs(request) => {
            incremental_alter_configs::handle(controller, ctx, to, &incoming.origin, &request);
        }
        Request::AlterPartition(request) => alter_partition::handle(controller, ctx, to, version, &request),
        Request::BrokerRegistration(request) => {
            broker_registration::handle(controller, ctx, to, version, &request);
        }
        Request::BrokerHeartbeat(request) if expired => {
            broker_heartbeat::expire(controller, ctx, to, &request, waited);
        }
        Request::BrokerHeartbeat(request) => broker_heartbeat::handle(controller, ctx, to, &request, waited),
        Request::ElectLeaders(request) => elect_leaders::handle(controller, ctx, to, &request),
        Request::AlterPartitionReassignments(request) => {
            alter_partition_reassignments::handle(controller, ctx, to, &request);
        }
        Request::ListPartitionReassignments(request) => {
            list_partition_reassignments::handle(controller, ctx, to, &request);
        }
        Request::UnregisterBroker(request) => unregister_broker::handle(controller, ctx, to, &request),
        Request::UpdateFeatures(request) => update_features::handle(controller, ctx, to, version, &request),
        Request::AllocateProducerIds(request) => allocate_producer_ids::handle(controller, ctx, to, &request),
        Request::AssignReplicasToDirs(request) => {
            assign_replicas_to_dirs::handle(controller, ctx, to, &request);
        }
        _ => ctx.close(to),
    }
}
