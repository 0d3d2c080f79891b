//! Every request a broker can get, and who answers it (Kafka's `KafkaApis`).

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_replica_log_dirs;
mod api_versions;
mod delete_records;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod describe_transactions;
mod end_txn;
mod fetch;
pub(crate) mod forward;
pub(crate) mod group;
mod init_producer_id;
mod list_offsets;
mod list_transactions;
pub(crate) mod metadata;
mod offset_for_leader_epoch;
pub(crate) mod produce;
mod share;
mod share_state;
pub(crate) mod txn_offset_commit;
pub(crate) mod write_txn_markers;

use klamm_node::{Ctx, Incoming};
use klamm_wire::Request;

use crate::broker::Broker;
use crate::core::RequestContext;

/// What Kafka says of a partition that it does not know (`Errors.UNKNOWN_TOPIC_OR_PARTITION`).
pub(crate) const UNKNOWN_PARTITION: &str = "This server does not host this topic-partition.";

/// What Kafka says of an invalid request when there is nothing more to say of it (`Errors.INVALID_REQUEST`).
pub(crate) const INVALID_REQUEST: &str = "This most likely occurs because of a request being malformed by the client library \
                                          or the message was sent to an incompatible broker. See the broker logs for more \
                                          details.";

/// Answers a request, now or later.
pub(crate) fn dispatch(broker: &mut Broker, ctx: &mut Ctx<'_>, incoming: Incoming) {
    let Incoming { reply_to, origin, api_version, client_id, request, inspected, arrived: _ } = incoming;
    let rc = RequestContext { reply_to, origin, api_version, client_id };
    match request {
        Request::Produce(request) => produce::handle(broker, ctx, rc, request, inspected),
        Request::Fetch(request) => fetch::handle(broker, ctx, rc, request),
        Request::ListOffsets(request) => list_offsets::handle(broker, ctx, rc, request),
        Request::OffsetForLeaderEpoch(request) => offset_for_leader_epoch::handle(broker, ctx, rc, request),
        Request::DeleteRecords(request) => delete_records::handle(broker, ctx, rc, request),
        Request::InitProducerId(request) => init_producer_id::handle(broker, ctx, rc, request),
        Request::AddPartitionsToTxn(request) => add_partitions_to_txn::handle(broker, ctx, rc, request),
        Request::AddOffsetsToTxn(request) => add_offsets_to_txn::handle(broker, ctx, rc, request),
        Request::EndTxn(request) => end_txn::handle(broker, ctx, rc, request),
        Request::DescribeTransactions(request) => describe_transactions::handle(broker, ctx, rc, &request),
        Request::ListTransactions(request) => list_transactions::handle(broker, ctx, rc, &request),

        Request::WriteTxnMarkers(request) => write_txn_markers::handle(broker, ctx, rc, request),
        Request::TxnOffsetCommit(request) => txn_offset_commit::handle(broker, ctx, rc, request),
        Request::DescribeProducers(request) => describe_producers::handle(broker, ctx, &rc, request),

        Request::ApiVersions(request) => api_versions::handle(broker, ctx, rc, request),
        Request::Metadata(request) => metadata::handle(broker, ctx, rc, request),
        Request::DescribeCluster(request) => describe_cluster::handle(broker, ctx, rc, request),
        Request::DescribeTopicPartitions(request) => {
            describe_topic_partitions::handle(broker, ctx, rc, request);
        }
        Request::DescribeClientQuotas(request) => describe_client_quotas::handle(broker, ctx, &rc, &request),
        Request::DescribeConfigs(request) => describe_configs::handle(broker, ctx, rc, request),
        Request::AlterReplicaLogDirs(request) => alter_replica_log_dirs::handle(broker, ctx, rc, request),
        Request::DescribeLogDirs(request) => describe_log_dirs::handle(broker, ctx, rc, request),

        request @ (Request::CreateTopics(_)
        | Request::DeleteTopics(_)
        | Request::CreatePartitions(_)
        | Request::AlterConfigs(_)
        | Request::IncrementalAlterConfigs(_)
        | Request::AlterClientQuotas(_)
        | Request::ElectLeaders(_)
        | Request::AlterPartitionReassignments(_)
        | Request::ListPartitionReassignments(_)
        | Request::DescribeQuorum(_)
        | Request::UnregisterBroker(_)
        | Request::UpdateFeatures(_)) => forward::handle(broker, ctx, rc, request),

        request @ (Request::OffsetCommit(_)
        | Request::OffsetFetch(_)
        | Request::FindCoordinator(_)
        | Request::JoinGroup(_)
        | Request::Heartbeat(_)
        | Request::LeaveGroup(_)
        | Request::SyncGroup(_)
        | Request::DescribeGroups(_)
        | Request::ListGroups(_)
        | Request::ConsumerGroupHeartbeat(_)
        | Request::ConsumerGroupDescribe(_)
        | Request::DeleteGroups(_)
        | Request::ShareGroupHeartbeat(_)
        | Request::ShareGroupDescribe(_)
        | Request::DescribeShareGroupOffsets(_)
        | Request::AlterShareGroupOffsets(_)
        | Request::DeleteShareGroupOffsets(_)
        | Request::OffsetDelete(_)) => group::handle(broker, ctx, rc, request),

        Request::ShareFetch(request) => share::share_fetch::handle(broker, ctx, &rc, request),
        Request::ShareAcknowledge(request) => share::share_acknowledge::handle(broker, ctx, &rc, request),
        request @ (Request::InitializeShareGroupState(_)
        | Request::ReadShareGroupState(_)
        | Request::WriteShareGroupState(_)
        | Request::DeleteShareGroupState(_)
        | Request::ReadShareGroupStateSummary(_)) => share_state::handle(broker, ctx, &rc, request),

        // Not served by brokers, or not yet: never advertised, and whoever sends one is cut off, as Kafka does.
        Request::SaslHandshake(_)
        | Request::SaslAuthenticate(_)
        | Request::DescribeAcls(_)
        | Request::CreateAcls(_)
        | Request::DeleteAcls(_)
        | Request::CreateDelegationToken(_)
        | Request::RenewDelegationToken(_)
        | Request::ExpireDelegationToken(_)
        | Request::DescribeDelegationToken(_)
        | Request::DescribeUserScramCredentials(_)
        | Request::AlterUserScramCredentials(_)
        | Request::Vote(_)
        | Request::BeginQuorumEpoch(_)
        | Request::EndQuorumEpoch(_)
        | Request::AlterPartition(_)
        | Request::Envelope(_)
        | Request::FetchSnapshot(_)
        | Request::BrokerRegistration(_)
        | Request::BrokerHeartbeat(_)
        | Request::AllocateProducerIds(_)
        | Request::ControllerRegistration(_)
        | Request::GetTelemetrySubscriptions(_)
        | Request::PushTelemetry(_)
        | Request::AssignReplicasToDirs(_)
        | Request::ListConfigResources(_)
        | Request::AddRaftVoter(_)
        | Request::RemoveRaftVoter(_)
        | Request::UpdateRaftVoter(_) => ctx.close(rc.reply_to),
    }
}
