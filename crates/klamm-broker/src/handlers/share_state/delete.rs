//! DeleteShareGroupState (key 86), version 0. Answers to `ShareCoordinatorShard` (KIP-932). A group coordinator lets a share-partition go.
//!
//! Difference: none known.

use klamm_node::Ctx;
use klamm_wire::messages::delete_share_group_state_response::{DeleteStateResult, PartitionResult};
use klamm_wire::messages::{DeleteShareGroupStateRequest, DeleteShareGroupStateResponse, ResponseKind};

use crate::broker::Broker;
use crate::core::RequestContext;
use crate::share_coordinator::ask::{Ask, TopicAnswers};

/// Asks the share coordinator.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: &DeleteShareGroupStateRequest,
) {
    let asks = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            let ask = Ask::Delete;
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
        DeleteStateResult::default().with_topic_id(topic_id).with_partitions(partitions.collect())
    });
    ResponseKind::DeleteShareGroupState(
        DeleteShareGroupStateResponse::default().with_results(results.collect()),
    )
}
