//! A leader asks for another ISR (`ReplicationControlManager.alterPartition`).

use klamm_metadata::{
    LeaderRecoveryState, MetadataRecord, NO_LEADER_CHANGE, PartitionRegistration, TopicImage,
};
use klamm_node::{Era, NodeId};
use klamm_wire::ErrorCode;
use klamm_wire::messages::alter_partition_request::PartitionData as RequestPartition;
use klamm_wire::messages::alter_partition_response::{PartitionData, TopicData};
use klamm_wire::messages::{AlterPartitionRequest, AlterPartitionResponse, BrokerId};

use super::{default_dir, leaders};
use crate::api_error::ApiError;
use crate::partition_change::{Election, PartitionChange};
use crate::state::ClusterState;

/// An ISR as a request proposes it: each member with its broker epoch, -1 where that is not to be checked.
type ProposedIsr = Vec<(NodeId, i64)>;

/// The answer, and the records of the changes that are accepted. Refuses the whole request of an old incarnation.
pub(crate) fn alter_partition(
    state: &ClusterState,
    version: i16,
    request: &AlterPartitionRequest,
    records: &mut Vec<MetadataRecord>,
) -> Result<AlterPartitionResponse, ApiError> {
    let sender = NodeId(request.broker_id.0);
    state.check_broker_epoch(sender, request.broker_epoch)?;
    let topics = request.topics.iter().map(|topic| {
        let mut answer = TopicData::default().with_topic_id(topic.topic_id);
        let image = state.image.topics.by_id(topic.topic_id);
        for partition in &topic.partitions {
            let result = match image {
                None => Err(ErrorCode::UnknownTopicId),
                Some(image) => alter(state, version, sender, image, partition, records),
            };
            answer.partitions.push(match result {
                Ok(now) => committed(partition.partition_index, &now),
                Err(code) => PartitionData::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code.code()),
            });
        }
        answer
    });
    let topics = topics.collect();
    Ok(AlterPartitionResponse::default().with_topics(topics))
}

fn committed(index: i32, partition: &PartitionRegistration) -> PartitionData {
    PartitionData::default()
        .with_partition_index(index)
        .with_leader_id(BrokerId(partition.leader.0))
        .with_isr(partition.isr.iter().map(|id| BrokerId(id.0)).collect())
        .with_leader_recovery_state(partition.leader_recovery_state.code())
        .with_leader_epoch(partition.leader_epoch)
        .with_partition_epoch(partition.partition_epoch)
}

/// The partition after the change.
fn alter(
    state: &ClusterState,
    version: i16,
    sender: NodeId,
    topic: &TopicImage,
    request: &RequestPartition,
    records: &mut Vec<MetadataRecord>,
) -> Result<PartitionRegistration, ErrorCode> {
    let partition = topic.partition(request.partition_index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let isr: ProposedIsr = if version < 3 {
        request.new_isr.iter().map(|id| (NodeId(id.0), -1)).collect()
    } else {
        request.new_isr_with_epochs.iter().map(|m| (NodeId(m.broker_id.0), m.broker_epoch)).collect()
    };
    let recovery_state = validate(state, sender, partition, request, &isr)?;
    let cluster = &state.image.cluster;
    let acceptable =
        |id: NodeId| cluster.is_active(id) && leaders::has_online_replica(state, partition.directory(id), id);
    let default_dir = |id: NodeId| default_dir(cluster, id);
    let election =
        if state.unclean_election_enabled(&topic.name) { Election::Unclean } else { Election::Online };
    let change = PartitionChange::new(
        partition,
        &acceptable,
        &default_dir,
        state.effective_min_isr(topic.id),
        state.partition_rules(),
    )
    .election(election)
    .isr(isr.into_iter().map(|(id, _)| id).collect())
    .recovery_state(recovery_state)
    .build(topic.id, request.partition_index);
    let Some(record) = change else { return Ok((**partition).clone()) };
    let after = partition.merge(&record).map_err(|_| ErrorCode::UnknownServerError)?;
    let new_leader = record.leader != NO_LEADER_CHANGE && record.leader != sender.0;
    records.push(MetadataRecord::PartitionChange(record));
    // Completing a reassignment can take the leadership from the sender: the change stands, and the error tells the
    // sender to wait for metadata.
    if new_leader { Err(ErrorCode::NewLeaderElected) } else { Ok(after) }
}

/// Kafka's checks in Kafka's order (`validateAlterPartitionData`). The recovery state that the change asks for.
fn validate(
    state: &ClusterState,
    sender: NodeId,
    partition: &PartitionRegistration,
    request: &RequestPartition,
    isr: &ProposedIsr,
) -> Result<LeaderRecoveryState, ErrorCode> {
    // A leader that knows more than this controller has likely heard of a newer one.
    if request.leader_epoch > partition.leader_epoch || request.partition_epoch > partition.partition_epoch {
        return Err(ErrorCode::NotController);
    }
    if request.leader_epoch < partition.leader_epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if sender != partition.leader {
        return Err(ErrorCode::InvalidRequest);
    }
    if request.partition_epoch < partition.partition_epoch {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    let is_unique = |at: usize| isr[..at].iter().all(|(id, _)| *id != isr[at].0);
    let valid = (0..isr.len()).all(|at| partition.has_replica(isr[at].0) && is_unique(at));
    if !valid || isr.iter().all(|(id, _)| *id != partition.leader) {
        return Err(ErrorCode::InvalidRequest);
    }
    let asked =
        LeaderRecoveryState::from_code(request.leader_recovery_state).ok_or(ErrorCode::InvalidRequest)?;
    let recovering = asked == LeaderRecoveryState::Recovering;
    if recovering && (isr.len() > 1 || partition.leader_recovery_state == LeaderRecoveryState::Recovered) {
        return Err(ErrorCode::InvalidRequest);
    }
    if isr.iter().any(|(id, epoch)| !is_eligible(state, *id, *epoch)) {
        return Err(ErrorCode::IneligibleReplica);
    }
    Ok(asked)
}

/// Whether a broker may be in an ISR: active, and the incarnation that the leader saw fetch (KIP-841, KIP-903).
fn is_eligible(state: &ClusterState, id: NodeId, epoch: i64) -> bool {
    (state.image.cluster.is_active(id) || state.eras.on(Era::NoIsrFencing))
        && (epoch == -1 || state.image.cluster.epoch(id) == Some(epoch))
}
