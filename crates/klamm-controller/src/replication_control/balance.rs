//! The balancer: gives leadership back to preferred replicas (`maybeBalancePartitionLeaders`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_metadata::MetadataRecord;
use klamm_node::config::broker;
use klamm_node::{NodeId, TopicIdPartition};

use super::leaders::elect_all;
use crate::partition_change::Election;
use crate::state::ClusterState;

/// Gives leadership back to preferred replicas that can take it. Whether there may be more to do.
pub(crate) fn balance_leaders(state: &ClusterState, records: &mut Vec<MetadataRecord>) -> bool {
    let Some(percentage) = state.config.get(broker::LEADER_IMBALANCE_PER_BROKER_PERCENTAGE) else {
        let imbalanced: Vec<_> = state.index.imbalanced().collect();
        return elect_all(state, &imbalanced, Election::Preferred, records);
    };
    // Before there was KRaft, a reassignment held the balancer up (`KafkaController.checkAndTriggerAutoLeaderRebalance`).
    if state.index.reassigning().next().is_some() {
        return false;
    }
    let worth_it = imbalanced_brokers(state, percentage);
    let preferred = |key: &TopicIdPartition| {
        let partition = state.image.topics.partition(key.topic_id, key.partition);
        partition.map(|partition| partition.preferred_replica())
    };
    let imbalanced: Vec<_> = state
        .index
        .imbalanced()
        .filter(|key| preferred(key).is_some_and(|broker| worth_it.contains(&broker)))
        .collect();
    elect_all(state, &imbalanced, Election::Preferred, records)
}

/// The brokers that lead too few of the partitions that prefer them, as Kafka with ZooKeeper counted it until 3.9: more
/// than `percentage` of these are led by others.
fn imbalanced_brokers(state: &ClusterState, percentage: i32) -> BTreeSet<NodeId> {
    let mut counts: BTreeMap<NodeId, (u64, u64)> = BTreeMap::new();
    for (_, partition) in state.image.topics.iter().flat_map(|topic| topic.iter()) {
        let preferred = partition.preferred_replica();
        let (all, elsewhere) = counts.entry(preferred).or_default();
        *all += 1;
        *elsewhere += u64::from(partition.leader != preferred);
    }
    let percentage = i128::from(percentage);
    counts
        .into_iter()
        .filter(|(_, (all, elsewhere))| i128::from(*elsewhere) * 100 > percentage * i128::from(*all))
        .map(|(broker, _)| broker)
        .collect()
}
