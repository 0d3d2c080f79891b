//! ListOffsets (key 2), versions 1–10. Answers to `ReplicaManager.fetchOffset` and `Partition.fetchOffsetForTimestamp`.
//!
//! * v2 isolation level · v4 leader epochs (KIP-320) · v5 OFFSET_NOT_AVAILABLE (KIP-207) · v7 largest timestamp (KIP-734)
//! * v8 earliest local (KIP-405) · v9 latest tiered (KIP-1005) · v10 timeout, which only tiered storage makes use of
//!
//! Difference: none known.

use std::collections::BTreeSet;

use klamm_log::{TimestampOffset, special_timestamp};
use klamm_node::{Ctx, Era, TopicPartition};
use klamm_wire::ErrorCode;
use klamm_wire::messages::list_offsets_request::ListOffsetsPartition;
use klamm_wire::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use klamm_wire::messages::{ListOffsetsRequest, ListOffsetsResponse, ResponseKind};

use crate::broker::Broker;
use crate::core::{Core, RequestContext};
use crate::partition::fetch::ReadFailure;

/// The replica id of a consumer.
const CONSUMER: i32 = -1;
/// The replica id of a debugging tool, which may ask a follower.
const DEBUGGING: i32 = -2;

/// Tells offsets by timestamp.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: ListOffsetsRequest,
) {
    let core = &mut broker.core;
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for topic in &request.topics {
        for partition in &topic.partitions {
            if !seen.insert((&topic.name, partition.partition_index)) {
                twice.insert((&topic.name, partition.partition_index));
            }
        }
    }
    let mut answered = BTreeSet::new();
    let mut response = ListOffsetsResponse::default();
    for topic in &request.topics {
        let mut answer = ListOffsetsTopicResponse::default().with_name(topic.name.clone());
        for partition in &topic.partitions {
            // Kafka's answers are a map: what is named twice is answered once.
            if !answered.insert((&topic.name, partition.partition_index)) {
                continue;
            }
            let result = if twice.contains(&(&topic.name, partition.partition_index)) {
                Err(ErrorCode::InvalidRequest)
            } else if !is_supported(partition.timestamp, rc.api_version) {
                Err(ErrorCode::UnsupportedVersion)
            } else {
                let name =
                    TopicPartition { topic: topic.name.0.clone(), partition: partition.partition_index };
                lookup(core, &request, &name, partition).map_err(|failure| match failure {
                    ReadFailure::Refused(error) => error,
                    ReadFailure::Storage(error) => {
                        if let Some(dir) = core.replicas.by_name(&name).map(|partition| partition.dir) {
                            core.on_log_failure(ctx, dir, &error);
                        }
                        error.code()
                    }
                })
            };
            answer.partitions.push(describe(rc.api_version, partition.partition_index, result));
        }
        response.topics.push(answer);
    }
    ctx.reply(rc.reply_to, ResponseKind::ListOffsets(response));
}

/// Whether a version knows a special timestamp.
const fn is_supported(timestamp: i64, version: i16) -> bool {
    match timestamp {
        special_timestamp::LATEST | special_timestamp::EARLIEST => true,
        special_timestamp::MAX_TIMESTAMP => version >= 7,
        special_timestamp::EARLIEST_LOCAL => version >= 8,
        special_timestamp::LATEST_TIERED => version >= 9,
        special_timestamp::EARLIEST_PENDING_UPLOAD => version >= 11,
        timestamp => timestamp >= 0,
    }
}

fn lookup(
    core: &Core,
    request: &ListOffsetsRequest,
    name: &TopicPartition,
    asked: &ListOffsetsPartition,
) -> Result<Option<TimestampOffset>, ReadFailure> {
    let partition = core.replicas.get(core.local_partition(name)?).ok_or(ErrorCode::NotLeaderOrFollower)?;
    partition.check_epoch(Some(asked.current_leader_epoch).filter(|epoch| *epoch != -1))?;
    if request.replica_id.0 != DEBUGGING && !partition.is_leader() {
        return Err(ErrorCode::NotLeaderOrFollower.into());
    }
    let offsets = partition.log.offsets();
    let from_client = request.replica_id.0 == CONSUMER;
    let last_fetchable = match (from_client, request.isolation_level) {
        (false, _) => offsets.log_end_offset,
        (true, 1) => offsets.last_stable_offset,
        (true, _) => offsets.high_watermark,
    };
    // A new leader's high watermark may lag behind what its predecessor already showed (KIP-207).
    let lagging = from_client
        && !partition.eras.on(Era::NoOffsetGuard)
        && partition.leading.as_ref().is_some_and(|l| l.epoch_start_offset > offsets.high_watermark);
    let by_timestamp = || {
        partition.log.fetch_offset_by_timestamp(&*core.disk, asked.timestamp).map_err(ReadFailure::Storage)
    };
    match asked.timestamp {
        special_timestamp::LATEST if lagging => Err(ErrorCode::OffsetNotAvailable.into()),
        special_timestamp::LATEST => Ok(Some(TimestampOffset {
            timestamp: -1,
            offset: last_fetchable,
            leader_epoch: Some(partition.leader_epoch),
        })),
        special_timestamp::EARLIEST | special_timestamp::EARLIEST_LOCAL => by_timestamp(),
        _ => match by_timestamp()? {
            Some(found) if found.offset < last_fetchable => Ok(Some(found)),
            _ if lagging => Err(ErrorCode::OffsetNotAvailable.into()),
            _ => Ok(None),
        },
    }
}

fn describe(
    version: i16,
    index: i32,
    result: Result<Option<TimestampOffset>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let answer = ListOffsetsPartitionResponse::default().with_partition_index(index);
    match result {
        Ok(Some(found)) => {
            let epoch = found.leader_epoch.filter(|_| version >= 4).unwrap_or(-1);
            answer.with_timestamp(found.timestamp).with_offset(found.offset).with_leader_epoch(epoch)
        }
        Ok(None) => answer.with_timestamp(-1).with_offset(-1),
        Err(error) => {
            let error = match error {
                ErrorCode::OffsetNotAvailable if version < 5 => ErrorCode::LeaderNotAvailable,
                error => error,
            };
            answer.with_error_code(error.code()).with_timestamp(-1).with_offset(-1)
        }
    }
}
