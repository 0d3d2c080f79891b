//! OffsetForLeaderEpoch (key 23), versions 2–4. Answers to `KafkaApis.handleOffsetForLeaderEpochRequest`.
//!
//! * v2 current leader epoch (KIP-320) · v3 replica id · v4 flexible
//!
//! Difference: none known.

use klamm_node::{Ctx, TopicPartition};
use klamm_wire::ErrorCode;
use klamm_wire::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use klamm_wire::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use klamm_wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ResponseKind};

use crate::broker::Broker;
use crate::core::{Core, RequestContext};

/// Tells where leader epochs end.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: OffsetForLeaderEpochRequest,
) {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let name = TopicPartition { topic: topic.topic.0.clone(), partition: asked.partition };
            let answer = EpochEndOffset::default().with_partition(asked.partition);
            match lookup(&broker.core, &name, asked) {
                Ok(Some((epoch, end))) => answer.with_leader_epoch(epoch).with_end_offset(end),
                Ok(None) => answer.with_leader_epoch(-1).with_end_offset(-1),
                Err(error) => answer.with_error_code(error.code()).with_leader_epoch(-1).with_end_offset(-1),
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_partitions(partitions.collect())
            .with_topic(topic.topic.clone())
    });
    let response = OffsetForLeaderEpochResponse::default().with_topics(topics.collect());
    ctx.reply(rc.reply_to, ResponseKind::OffsetForLeaderEpoch(response));
}

fn lookup(
    core: &Core,
    name: &TopicPartition,
    asked: &OffsetForLeaderPartition,
) -> Result<Option<(i32, i64)>, ErrorCode> {
    let partition = core.replicas.get(core.local_partition(name)?).ok_or(ErrorCode::NotLeaderOrFollower)?;
    partition.check_epoch(Some(asked.current_leader_epoch).filter(|epoch| *epoch != -1))?;
    if !partition.is_leader() {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    Ok(partition.log.end_offset_for_epoch(asked.leader_epoch).map(|end| (end.epoch, end.end_offset)))
}
