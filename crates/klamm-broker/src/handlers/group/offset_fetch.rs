//! OffsetFetch (key 9), versions 1–10. Answers to `KafkaApis.handleOffsetFetchRequest`.
//!
//! * v2 every topic of the group, an error at the top · v3 throttle time · v5 leader epoch (KIP-320) · v6 flexible
//! * v7 require stable (KIP-447) · v8 several groups (KIP-709) · v9 member id and epoch · v10 topic ids instead of names
//!   (KIP-848)
//!
//! Difference: of a group that is named twice only the first request is answered.

use std::collections::BTreeSet;

use klamm_node::Ctx;
use klamm_wire::messages::offset_fetch_request::OffsetFetchRequestTopics;
use klamm_wire::messages::offset_fetch_response::{OffsetFetchResponsePartitions, OffsetFetchResponseTopics};
use klamm_wire::messages::{OffsetFetchRequest, TopicName};
use klamm_wire::{ErrorCode, StrBytes};

use crate::broker::Broker;
use crate::core::{Core, RequestContext};
use crate::group::GroupFetch;

/// Answers at once, or (when stable offsets are required) once what is appended is committed.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: OffsetFetchRequest,
) {
    let version = rc.api_version;
    let groups = if version >= 8 {
        // Asked for a hundred thousand times, all offsets of a group would fill the memory.
        let mut named = BTreeSet::new();
        request
            .groups
            .into_iter()
            .filter(|group| named.insert(group.group_id.clone()))
            .map(|group| GroupFetch {
                member: group.member_id,
                member_epoch: group.member_epoch,
                ..group_fetch(&broker.core, version, group.group_id.0, group.topics)
            })
            .collect()
    } else {
        let topics = request.topics.map(|topics| {
            let topic = topics.into_iter().map(|topic| {
                OffsetFetchRequestTopics::default()
                    .with_name(topic.name)
                    .with_partition_indexes(topic.partition_indexes)
            });
            topic.collect()
        });
        vec![group_fetch(&broker.core, version, request.group_id.0, topics)]
    };
    broker.groups.fetch(&mut broker.core, ctx, rc, request.require_stable, groups);
}

/// From version 10 on topics come as ids; those that nobody knows are answered here.
fn group_fetch(
    core: &Core,
    version: i16,
    group: StrBytes,
    topics: Option<Vec<OffsetFetchRequestTopics>>,
) -> GroupFetch {
    let mut refused = Vec::new();
    let topics = topics.map(|mut topics| {
        if version >= 10 {
            topics.retain_mut(|topic| match core.topic_name(topic.topic_id) {
                Some(name) => {
                    topic.name = TopicName::from(name);
                    true
                }
                None => {
                    refused.push(unknown_topic(topic));
                    false
                }
            });
        }
        topics
    });
    GroupFetch { group, member: None, member_epoch: -1, topics, refused }
}

fn unknown_topic(topic: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.iter().map(|index| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(*index)
            .with_committed_offset(-1)
            .with_error_code(ErrorCode::UnknownTopicId.code())
    });
    OffsetFetchResponseTopics::default().with_topic_id(topic.topic_id).with_partitions(partitions.collect())
}
