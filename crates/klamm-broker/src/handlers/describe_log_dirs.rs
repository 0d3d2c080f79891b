//! DescribeLogDirs (key 35), versions 1–4. Answers to `ReplicaManager.describeLogDirs`.
//!
//! * v3 top-level error · v4 size of the volume (KIP-827)
//!
//! Difference: a simulated disk has no size; its total and usable bytes are -1 (unknown).

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::Ctx;
use klamm_wire::ErrorCode;
use klamm_wire::StrBytes;
use klamm_wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use klamm_wire::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, ResponseKind, TopicName};

use crate::broker::Broker;
use crate::core::RequestContext;

/// Tells what lies in the log directory.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: DescribeLogDirsRequest,
) {
    let core = &broker.core;
    let wanted: Option<BTreeSet<(StrBytes, i32)>> = request.topics.map(|topics| {
        let partitions = topics
            .into_iter()
            .flat_map(|topic| topic.partitions.into_iter().map(move |p| (topic.topic.0.clone(), p)));
        partitions.collect()
    });
    let mut topics: BTreeMap<StrBytes, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (_, partition) in core.replicas.iter() {
        let key = (partition.name.topic.clone(), partition.name.partition);
        if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&key)) {
            continue;
        }
        // How far the replica is behind what it knows to be committed.
        let lag = (partition.log.high_watermark() - partition.log.log_end_offset()).max(0);
        topics.entry(key.0).or_default().push(
            DescribeLogDirsPartition::default()
                .with_partition_index(key.1)
                .with_partition_size(i64::try_from(partition.log.size()).unwrap_or(i64::MAX))
                .with_offset_lag(lag),
        );
    }
    let topics = topics.into_iter().map(|(name, mut partitions)| {
        partitions.sort_by_key(|partition| partition.partition_index);
        DescribeLogDirsTopic::default().with_name(TopicName(name)).with_partitions(partitions)
    });
    let dir = core.replicas.log_manager.settings().dir.clone();
    let mut result = DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_string(format!("/{}", dir.trim_start_matches('/'))))
        .with_total_bytes(-1)
        .with_usable_bytes(-1);
    if core.replicas.offline {
        result.error_code = ErrorCode::KafkaStorageError.code();
    } else {
        result.topics = topics.collect();
    }
    let response = DescribeLogDirsResponse::default().with_results(vec![result]);
    ctx.reply(rc.reply_to, ResponseKind::DescribeLogDirs(response));
}
