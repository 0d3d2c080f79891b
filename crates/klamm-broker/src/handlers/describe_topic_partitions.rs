//! DescribeTopicPartitions (key 75), version 0 (KIP-966). Answers to `DescribeTopicPartitionsRequestHandler`.
//!
//! Difference: none known.

use std::collections::BTreeSet;

use klamm_metadata::topic_name;
use klamm_node::Ctx;
use klamm_wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use klamm_wire::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, ResponseKind, TopicName,
};
use klamm_wire::{ErrorCode, StrBytes};

use crate::broker::Broker;
use crate::core::{RequestContext, is_internal};
use crate::handlers::metadata::{TOPIC_OPERATIONS, offline_replicas, topics_from};

/// Tells a page of partitions, and where the next one begins.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: DescribeTopicPartitionsRequest,
) {
    let core = &broker.core;
    let image = core.metadata.image();
    let cursor_topic = request.cursor.as_ref().map_or_else(StrBytes::default, |c| c.topic_name.0.clone());
    let cursor_partition = request.cursor.as_ref().map_or(0, |cursor| cursor.partition_index);
    let all = request.topics.is_empty();
    let names: BTreeSet<StrBytes> = if all {
        topics_from(image, &cursor_topic).into_keys().collect()
    } else {
        request.topics.iter().map(|t| t.name.0.clone()).filter(|name| **name >= *cursor_topic).collect()
    };
    let lost_cursor = !all && request.cursor.is_some() && !names.contains(&cursor_topic);
    if lost_cursor || cursor_partition < 0 {
        // Kafka's error answer names the topics of the request (`DescribeTopicPartitionsRequest.getErrorResponse`).
        let topics = request.topics.into_iter().map(|topic| {
            DescribeTopicPartitionsResponseTopic::default()
                .with_error_code(ErrorCode::InvalidRequest.code())
                .with_name(Some(topic.name))
        });
        let response = DescribeTopicPartitionsResponse::default().with_topics(topics.collect());
        return ctx.reply(rc.reply_to, ResponseKind::DescribeTopicPartitions(response));
    }

    let limit = core.config.hot.max_request_partition_size_limit.min(request.response_partition_limit).max(1);
    let mut left = limit.unsigned_abs() as usize;
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names {
        if left == 0 {
            response.next_cursor =
                Some(Cursor::default().with_topic_name(TopicName(name)).with_partition_index(0));
            break;
        }
        let mut answer = DescribeTopicPartitionsResponseTopic::default()
            .with_name(Some(TopicName(name.clone())))
            .with_is_internal(is_internal(&name))
            .with_topic_authorized_operations(TOPIC_OPERATIONS);
        let Some(topic) = image.topics.by_name(&name) else {
            let error = if topic_name::validate(&name).is_ok() {
                ErrorCode::UnknownTopicOrPartition
            } else {
                ErrorCode::InvalidTopicException
            };
            response.topics.push(answer.with_error_code(error.code()));
            continue;
        };
        let start = if name == cursor_topic { cursor_partition.unsigned_abs() as usize } else { 0 };
        let ids = |list: &[klamm_node::NodeId]| list.iter().map(|id| BrokerId(id.0)).collect::<Vec<_>>();
        for (index, partition) in topic.iter().skip(start).take(left) {
            let leader = if image.cluster.is_unfenced(partition.leader) { partition.leader.0 } else { -1 };
            answer.partitions.push(
                DescribeTopicPartitionsResponsePartition::default()
                    .with_partition_index(index)
                    .with_leader_id(BrokerId(leader))
                    .with_leader_epoch(partition.leader_epoch)
                    .with_replica_nodes(ids(&partition.replicas))
                    .with_isr_nodes(ids(&partition.isr))
                    .with_eligible_leader_replicas(Some(ids(&partition.elr)))
                    .with_last_known_elr(Some(ids(&partition.last_known_elr)))
                    .with_offline_replicas(offline_replicas(image, partition)),
            );
        }
        left -= answer.partitions.len();
        let next = start + answer.partitions.len();
        response.topics.push(answer.with_topic_id(topic.id));
        if next < topic.partitions.len() {
            response.next_cursor =
                Some(Cursor::default().with_topic_name(TopicName(name)).with_partition_index(next as i32));
            break;
        }
    }
    ctx.reply(rc.reply_to, ResponseKind::DescribeTopicPartitions(response));
}
