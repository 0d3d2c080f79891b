//! WriteShareGroupState (key 85), version 0. Answers to `ShareCoordinatorShard` (KIP-932). A leader writes what changed in a share-partition.
//!
//! Difference: version 1, which tells how many records are done with (KIP-1226), waits until `kafka-protocol` has it.

use klamm_node::Ctx;
use klamm_wire::messages::write_share_group_state_request::StateBatch;
use klamm_wire::messages::write_share_group_state_response::{PartitionResult, WriteStateResult};
use klamm_wire::messages::{ResponseKind, WriteShareGroupStateRequest, WriteShareGroupStateResponse};

use crate::broker::Broker;
use crate::core::RequestContext;
use crate::share_coordinator::ask::{Ask, TopicAnswers};
use crate::share_coordinator::state;

/// Asks the share coordinator.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: &WriteShareGroupStateRequest,
) {
    let asks = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            let ask = Ask::Write {
                state_epoch: p.state_epoch,
                leader_epoch: p.leader_epoch,
                start_offset: p.start_offset,
                batches: p.state_batches.iter().map(batch).collect(),
            };
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
        });
        WriteStateResult::default().with_topic_id(topic_id).with_partitions(partitions.collect())
    });
    ResponseKind::WriteShareGroupState(
        WriteShareGroupStateResponse::default().with_results(results.collect()),
    )
}

const fn batch(batch: &StateBatch) -> state::StateBatch {
    state::StateBatch {
        first: batch.first_offset,
        last: batch.last_offset,
        state: batch.delivery_state,
        count: batch.delivery_count,
    }
}
