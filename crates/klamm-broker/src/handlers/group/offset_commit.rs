//! OffsetCommit (key 8), versions 2–10. Answers to `KafkaApis.handleOffsetCommitRequest`.
//!
//! * v2–4 retention time · v3 throttle time · v6 leader epoch (KIP-320) · v7 group instance id (KIP-345) · v8 flexible
//! * v9 `GROUP_ID_NOT_FOUND` and the new protocol's errors · v10 topic ids instead of names (KIP-848)

use klamm_node::Ctx;
use klamm_wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use klamm_wire::messages::{OffsetCommitRequest, TopicName};
use klamm_wire::{ErrorCode, Uuid};

use crate::broker::Broker;
use crate::core::RequestContext;

/// Answers once the offsets are committed; partitions that do not exist are refused here.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    mut request: OffsetCommitRequest,
) {
    let mut refused: Vec<OffsetCommitResponseTopic> = Vec::new();
    let by_id = rc.api_version >= 10;
    request.topics.retain_mut(|topic| {
        let id = if by_id { Some(topic.topic_id) } else { broker.core.topic_id(&topic.name) };
        let known = id.and_then(|id| broker.core.topic_name(id).map(|name| (name, id)));
        let mut answer = OffsetCommitResponseTopic::default();
        let is_unknown = known.is_none();
        if let Some((name, id)) = known {
            // The metadata's own name: it is kept, and that of the request would keep the request with it.
            topic.name = TopicName::from(name);
            topic.topic_id = id;
            let count = broker.core.partition_count(&topic.name).unwrap_or(0);
            topic.partitions.retain(|partition| {
                let exists = (0..count).contains(&partition.partition_index);
                if !exists {
                    answer
                        .partitions
                        .push(refusal(partition.partition_index, ErrorCode::UnknownTopicOrPartition));
                }
                exists
            });
        } else {
            let error = if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
            let partitions = topic.partitions.drain(..);
            answer.partitions.extend(partitions.map(|p| refusal(p.partition_index, error)));
            if !by_id {
                topic.topic_id = Uuid::nil();
            }
        }
        if is_unknown || !answer.partitions.is_empty() {
            refused.push(answer.with_name(topic.name.clone()).with_topic_id(topic.topic_id));
        }
        !topic.partitions.is_empty()
    });
    broker.groups.commit(&mut broker.core, ctx, rc, request, refused);
}

fn refusal(partition: i32, error: ErrorCode) -> OffsetCommitResponsePartition {
    OffsetCommitResponsePartition::default().with_partition_index(partition).with_error_code(error.code())
}
