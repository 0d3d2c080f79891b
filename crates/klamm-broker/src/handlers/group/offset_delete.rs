//! OffsetDelete (key 47), version 0. Answers to `KafkaApis.handleOffsetDeleteRequest`.
//!
//! Difference: none known.

use klamm_node::Ctx;
use klamm_wire::ErrorCode;
use klamm_wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use klamm_wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::broker::Broker;
use crate::core::RequestContext;

/// Answers once the tombstones are committed; partitions that do not exist are refused here.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    mut request: OffsetDeleteRequest,
) {
    let mut response = OffsetDeleteResponse::default();
    request.topics.retain_mut(|topic| {
        let count = broker.core.partition_count(&topic.name).unwrap_or(0);
        let mut partitions = Vec::new();
        topic.partitions.retain(|partition| {
            let index = partition.partition_index;
            let exists = (0..count).contains(&index);
            if !exists {
                partitions.push(
                    OffsetDeleteResponsePartition::default()
                        .with_partition_index(index)
                        .with_error_code(ErrorCode::UnknownTopicOrPartition.code()),
                );
            }
            exists
        });
        if !partitions.is_empty() {
            let refused = OffsetDeleteResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions);
            response.topics.push(refused);
        }
        !topic.partitions.is_empty()
    });
    broker.groups.delete_offsets(&mut broker.core, ctx, rc, request, response);
}
