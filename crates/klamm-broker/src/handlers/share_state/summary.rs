//! ReadShareGroupStateSummary (key 87), version 0. Answers to `ShareCoordinatorShard` (KIP-932). A group coordinator asks how far a share-partition is.
//!
//! Difference: version 1, which tells how many records are done with (KIP-1226), waits until `kafka-protocol` has it.

use klamm_node::Ctx;
use klamm_wire::messages::read_share_group_state_summary_response::{
    PartitionResult, ReadStateSummaryResult,
};
use klamm_wire::messages::{
    ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse, ResponseKind,
};

use crate::broker::Broker;
use crate::core::RequestContext;
use crate::share_coordinator::ask::{Ask, TopicAnswers};

/// Asks the share coordinator.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: &ReadShareGroupStateSummaryRequest,
) {
    let asks = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            let ask = Ask::Summary;
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
                .with_leader_epoch(answer.leader_epoch)
                .with_start_offset(answer.start_offset)
        });
        ReadStateSummaryResult::default().with_topic_id(topic_id).with_partitions(partitions.collect())
    });
    ResponseKind::ReadShareGroupStateSummary(
        ReadShareGroupStateSummaryResponse::default().with_results(results.collect()),
    )
}
