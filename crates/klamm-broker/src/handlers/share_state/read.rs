//! ReadShareGroupState (key 84), version 0. Answers to `ShareCoordinatorShard` (KIP-932). A new leader of a partition reads the state of a share-partition, which fences earlier leaders.
//!
//! Difference: none known.

use klamm_node::Ctx;
use klamm_wire::messages::read_share_group_state_response::{PartitionResult, ReadStateResult, StateBatch};
use klamm_wire::messages::{ReadShareGroupStateRequest, ReadShareGroupStateResponse, ResponseKind};

use crate::broker::Broker;
use crate::core::RequestContext;
use crate::share_coordinator::ask::{Ask, TopicAnswers};
use crate::share_coordinator::state;

/// Asks the share coordinator.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: &ReadShareGroupStateRequest,
) {
    let asks = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            let ask = Ask::Read { leader_epoch: p.leader_epoch };
            (p.partition, ask)
        });
        (topic.topic_id, partitions.collect())
    });
    let asks = asks.collect();
    broker.share_coordinator.ask(&mut broker.core, ctx, rc.reply_to, &request.group_id, asks, respond);
}

fn respond(topics: Vec<TopicAnswers>) -> ResponseKind {
    let results = topics.into_iter().map(|(topic_id, answers)| {
        let partitions = answers.iter().map(|answer| {
            PartitionResult::default()
                .with_partition(answer.partition)
                .with_error_code(answer.error.code())
                .with_error_message(answer.message.clone())
                .with_state_epoch(answer.state_epoch)
                .with_start_offset(answer.start_offset)
                .with_state_batches(answer.batches.iter().map(batch).collect())
        });
        ReadStateResult::default().with_topic_id(topic_id).with_partitions(partitions.collect())
    });
    ResponseKind::ReadShareGroupState(ReadShareGroupStateResponse::default().with_results(results.collect()))
}

fn batch(batch: &state::StateBatch) -> StateBatch {
    StateBatch::default()
        .with_first_offset(batch.first)
        .with_last_offset(batch.last)
        .with_delivery_state(batch.state)
        .with_delivery_count(batch.count)
}
