//! DescribeLogDirs (key 35), versions 1–4. Answers to `ReplicaManager.describeLogDirs`.
//!
//! * v3 top-level error · v4 size of the volume (KIP-827)
//!
//! A directory that failed has the error `KAFKA_STORAGE_ERROR` and nothing in it.
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
use crate::log_dirs::Dir;

/// Tells what lies in each log directory.
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
    let mut by_dir: BTreeMap<Dir, BTreeMap<StrBytes, Vec<DescribeLogDirsPartition>>> = BTreeMap::new();
    for (_, partition) in core.replicas.iter() {
        let key = (partition.name.topic.clone(), partition.name.partition);
        if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&key)) {
            continue;
        }
        // How far the replica is behind what it knows to be committed.
        let lag = (partition.log.high_watermark() - partition.log.log_end_offset()).max(0);
        if let Some(future) = &partition.future {
            // How far the copy is behind.
            let lag = partition.log.log_end_offset() - future.log.log_end_offset();
            by_dir.entry(future.dir).or_default().entry(key.0.clone()).or_default().push(
                DescribeLogDirsPartition::default()
                    .with_partition_index(key.1)
                    .with_partition_size(i64::try_from(future.log.size()).unwrap_or(i64::MAX))
                    .with_offset_lag(lag)
                    .with_is_future_key(true),
            );
        }
        by_dir.entry(partition.dir).or_default().entry(key.0).or_default().push(
            DescribeLogDirsPartition::default()
                .with_partition_index(key.1)
                .with_partition_size(i64::try_from(partition.log.size()).unwrap_or(i64::MAX))
                .with_offset_lag(lag),
        );
    }
    let results = core.replicas.dirs.iter().map(|(dir, path, online)| {
        let topics = by_dir.remove(&dir).unwrap_or_default().into_iter().map(|(name, mut partitions)| {
            partitions.sort_by_key(|partition| partition.partition_index);
            DescribeLogDirsTopic::default().with_name(TopicName(name)).with_partitions(partitions)
        });
        let error = if online { ErrorCode::None } else { ErrorCode::KafkaStorageError };
        DescribeLogDirsResult::default()
            .with_error_code(error.code())
            .with_log_dir(StrBytes::from_string(path))
            .with_topics(topics.collect())
            .with_total_bytes(-1)
            .with_usable_bytes(-1)
    });
    let results = results.collect();
    let response = DescribeLogDirsResponse::default().with_results(results);
    ctx.reply(rc.reply_to, ResponseKind::DescribeLogDirs(response));
}
