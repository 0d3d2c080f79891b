//! Topics, ISRs and leaders: works out the records that change them (`ReplicationControlManager`).

mod alter_partition;
mod balance;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod directories;
mod elect_leaders;
mod leaders;
mod reassignments;

pub(crate) use alter_partition::alter_partition;
pub(crate) use balance::balance_leaders;
pub(crate) use create_partitions::create_partitions;
pub(crate) use create_topics::{create_topics, not_created};
pub(crate) use delete_topics::delete_topics;
pub(crate) use directories::{assign_replicas_to_dirs, directories_offline};
pub(crate) use elect_leaders::elect_leaders;
pub(crate) use leaders::{
    broker_fenced, broker_in_controlled_shutdown, broker_shutdown, broker_unfenced, broker_unregistered,
    elect_unclean_leaders,
};
pub(crate) use reassignments::{alter_reassignments, list_reassignments};

use klamm_metadata::record::PartitionRecord;
use klamm_metadata::{ClusterImage, DIRECTORY_UNASSIGNED};
use klamm_node::NodeId;
use klamm_wire::{ErrorCode, Uuid};

use crate::api_error::ApiError;
use crate::placement::UsableBroker;
use crate::state::ClusterState;

/// The most partitions that one CreateTopics request may make (`MAX_PARTITIONS_PER_BATCH`).
const MAX_PARTITIONS_PER_BATCH: i64 = 10_000;

/// Brokers that can be given replicas: all but those on their way down.
fn usable_brokers(state: &ClusterState) -> impl Iterator<Item = UsableBroker> {
    state
        .image
        .cluster
        .brokers()
        .filter(|broker| !state.heartbeats.is_shutting_down(broker.id))
        .map(|broker| UsableBroker { id: broker.id, rack: broker.rack.clone(), fenced: broker.fenced })
}

/// Where a broker's new replicas go.
fn default_dir(cluster: &ClusterImage, broker: NodeId) -> Uuid {
    cluster.broker(broker).map_or(DIRECTORY_UNASSIGNED, |broker| broker.default_dir())
}

/// The record of a new partition, led by the first member of its ISR; `None` when no replica is active.
fn new_partition(
    cluster: &ClusterImage,
    topic_id: Uuid,
    partition_id: i32,
    replicas: &[NodeId],
) -> Option<PartitionRecord> {
    let isr: Vec<i32> = replicas.iter().filter(|id| cluster.is_active(**id)).map(|id| id.0).collect();
    Some(PartitionRecord {
        partition_id,
        topic_id,
        leader: *isr.first()?,
        replicas: replicas.iter().map(|id| id.0).collect(),
        isr,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: replicas.iter().map(|id| default_dir(cluster, *id)).collect(),
        ..PartitionRecord::default()
    })
}

/// Checks replicas that a request names itself (`validateManualPartitionAssignment`).
fn validate_assignment(
    cluster: &ClusterImage,
    replicas: &[NodeId],
    replication_factor: Option<usize>,
) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    if replicas.is_empty() {
        return refuse("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    for (at, id) in sorted.iter().enumerate() {
        if cluster.broker(*id).is_none() {
            return refuse(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        }
        if at > 0 && sorted[at - 1] == *id {
            return refuse(format!(
                "The manual partition assignment includes the broker {id} more than once."
            ));
        }
    }
    match replication_factor {
        Some(expected) if expected != replicas.len() => refuse(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
             with previous partitions, which have {expected} replica(s).",
            replicas.len()
        )),
        _ => Ok(()),
    }
}
