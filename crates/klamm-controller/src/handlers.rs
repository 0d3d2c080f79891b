//! One file per API key that a controller answers.

mod allocate_producer_ids;
mod alter_configs;
mod alter_partition;
mod alter_partition_reassignments;
mod assign_replicas_to_dirs;
mod broker_heartbeat;
mod broker_registration;
mod configs;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod elect_leaders;
pub(crate) mod fetch;
mod incremental_alter_configs;
mod list_partition_reassignments;
mod unregister_broker;

use klamm_node::{Ctx, Incoming};
use klamm_wire::Request;

use crate::controller::Controller;

/// Hands a request to its handler; a request that controllers do not answer closes the connection it came over.
pub(crate) fn dispatch(controller: &mut Controller, ctx: &mut Ctx<'_>, incoming: Incoming) {
    let (to, version) = (incoming.reply_to, incoming.api_version);
    match incoming.request {
        Request::Fetch(request) => fetch::handle(controller, ctx, to, &request),
        Request::CreateTopics(request) => create_topics::handle(controller, ctx, to, &request),
        Request::DeleteTopics(request) => delete_topics::handle(controller, ctx, to, version, &request),
        Request::AlterConfigs(request) => {
            alter_configs::handle(controller, ctx, to, &incoming.origin, &request)
        }
        Request::CreatePartitions(request) => create_partitions::handle(controller, ctx, to, &request),
        Request::IncrementalAlterConfigs(request) => {
            incremental_alter_configs::handle(controller, ctx, to, &incoming.origin, &request);
        }
        Request::AlterPartition(request) => alter_partition::handle(controller, ctx, to, version, &request),
        Request::BrokerRegistration(request) => {
            broker_registration::handle(controller, ctx, to, version, &request);
        }
        Request::BrokerHeartbeat(request) => broker_heartbeat::handle(controller, ctx, to, &request),
        Request::ElectLeaders(request) => elect_leaders::handle(controller, ctx, to, &request),
        Request::AlterPartitionReassignments(request) => {
            alter_partition_reassignments::handle(controller, ctx, to, &request);
        }
        Request::ListPartitionReassignments(request) => {
            list_partition_reassignments::handle(controller, ctx, to, &request);
        }
        Request::UnregisterBroker(request) => unregister_broker::handle(controller, ctx, to, &request),
        Request::AllocateProducerIds(request) => allocate_producer_ids::handle(controller, ctx, to, &request),
        Request::AssignReplicasToDirs(request) => {
            assign_replicas_to_dirs::handle(controller, ctx, to, &request);
        }
        _ => ctx.close(to),
    }
}
