//! DescribeProducers (key 61), version 0. Answers to `KafkaApis.handleDescribeProducersRequest` (KIP-664).
//!
//! Difference: none known.

use klamm_metadata::topic_name;
use klamm_node::{Ctx, TopicPartition};
use klamm_wire::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use klamm_wire::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes};

use crate::broker::Broker;
use crate::core::{Core, RequestContext};
use crate::handlers::UNKNOWN_PARTITION;

/// Tells what this broker's replicas know of those who produce to them.
pub(crate) fn handle(
    broker: &Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: DescribeProducersRequest,
) {
    let core = &broker.core;
    let topics = request.topics.into_iter().map(|topic| {
        let refused = match topic_name::validate(&topic.name) {
            Err(message) => Some((ErrorCode::InvalidTopicException, message.to_string())),
            Ok(()) if core.topic_id(&topic.name).is_none() => {
                Some((ErrorCode::UnknownTopicOrPartition, UNKNOWN_PARTITION.to_owned()))
            }
            Ok(()) => None,
        };
        let partitions = topic.partition_indexes.iter().map(|index| {
            let answer = match &refused {
                Some((error, message)) => PartitionResponse::default()
                    .with_error_code(error.code())
                    .with_error_message(Some(StrBytes::from_string(message.clone()))),
                None => describe(core, &TopicPartition { topic: topic.name.0.clone(), partition: *index }),
            };
            answer.with_partition_index(*index)
        });
        let partitions = partitions.collect();
        TopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    let response = DescribeProducersResponse::default().with_topics(topics.collect());
    ctx.reply(rc.reply_to, ResponseKind::DescribeProducers(response));
}

fn describe(core: &Core, name: &TopicPartition) -> PartitionResponse {
    let refuse = |error: ErrorCode| PartitionResponse::default().with_error_code(error.code());
    let partition = match core.local_partition(name) {
        Ok(slot) => core.replicas.get(slot),
        Err(error) => return refuse(error),
    };
    // A follower tells what it knows too: tools ask the leader, for its word counts.
    let Some(partition) = partition else { return refuse(ErrorCode::NotLeaderOrFollower) };
    let producers = partition.log.active_producers().into_iter().map(|producer| {
        ProducerState::default()
            .with_producer_id(ProducerId(producer.producer_id))
            .with_producer_epoch(producer.producer_epoch.into())
            .with_last_sequence(producer.last_sequence)
            .with_last_timestamp(producer.last_timestamp)
            .with_coordinator_epoch(producer.coordinator_epoch)
            .with_current_txn_start_offset(producer.current_txn_start_offset.unwrap_or(-1))
    });
    PartitionResponse::default().with_active_producers(producers.collect())
}
