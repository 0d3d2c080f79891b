//! DeleteRecords (key 21), versions 0–2. Answers to `ReplicaManager.deleteRecords`.
//!
//! Difference: none known.

use std::time::Duration;

use klamm_log::ReadError;
use klamm_node::{Ctx, TopicPartition};
use klamm_wire::ErrorCode;
use klamm_wire::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use klamm_wire::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::broker::Broker;
use crate::core::{Core, RequestContext, is_internal};
use crate::partition::{Changes, Slot};
use crate::purgatory::delete_records::{Awaited, DeleteRecordsOp};

/// Stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;

/// Moves log starts, and answers when every live replica has moved its own.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: DeleteRecordsRequest,
) {
    let core = &mut broker.core;
    let mut op = DeleteRecordsOp {
        reply_to: rc.reply_to,
        response: DeleteRecordsResponse::default(),
        awaited: Vec::new(),
    };
    for (topic_index, topic) in request.topics.into_iter().enumerate() {
        let mut answer = DeleteRecordsTopicResult::default().with_name(topic.name.clone());
        for (partition_index, asked) in topic.partitions.into_iter().enumerate() {
            let name = TopicPartition { topic: topic.name.0.clone(), partition: asked.partition_index };
            let mut result =
                DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
            match delete(core, ctx, &name, asked.offset) {
                Ok((slot, required_offset, low_watermark)) => {
                    result.low_watermark = low_watermark;
                    if low_watermark < required_offset {
                        op.awaited.push(Awaited {
                            slot,
                            required_offset,
                            topic: topic_index,
                            partition: partition_index,
                        });
                    }
                }
                Err(error) => {
                    result.low_watermark = -1;
                    result.error_code = error.code();
                }
            }
            answer.partitions.push(result);
        }
        op.response.topics.push(answer);
    }
    if op.awaited.is_empty() {
        return op.complete(ctx);
    }
    let deadline = ctx.now + Duration::from_millis(request.timeout_ms.max(0).unsigned_abs().into());
    let keys = op.awaited.iter().map(|awaited| awaited.slot).collect();
    core.delete_ops.insert(op, keys, deadline, ctx.trace.effect());
}

fn delete(
    core: &mut Core,
    ctx: &mut Ctx<'_>,
    name: &TopicPartition,
    offset: i64,
) -> Result<(Slot, i64, i64), ErrorCode> {
    if !core.metadata.has_partition(name) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    if is_internal(&name.topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let slot = core.local_partition(name)?;
    let partition = core.replicas.get_mut(slot).ok_or(ErrorCode::NotLeaderOrFollower)?;
    if !partition.is_leader() {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    let config = partition.log.config();
    if config.compact && !config.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let offset = if offset == HIGH_WATERMARK { partition.log.high_watermark() } else { offset };
    if offset < 0 {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let dir = partition.dir;
    let moved = partition.log.maybe_increment_log_start_offset(&mut *core.disk, offset);
    match moved {
        Ok(true) => partition.changes.add(Changes::LOG_START),
        Ok(false) => {}
        Err(ReadError::Log(error)) => {
            let code = error.code();
            core.on_log_failure(ctx, dir, &error);
            return Err(code);
        }
        Err(error) => return Err(error.code()),
    }
    let low =
        partition.low_watermark(&core.metadata.image().cluster).ok_or(ErrorCode::NotLeaderOrFollower)?;
    core.replicas.note(slot);
    Ok((slot, offset, low))
}
