//! DescribeShareGroupOffsets: where a group is in its partitions, as their share coordinators have it
//! (`GroupCoordinatorService.describeShareGroupOffsets`, `describeShareGroupAllOffsets`).

use std::collections::BTreeMap;

use klamm_wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestTopic as AskedTopic;
use klamm_wire::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponseGroup as GroupOffsets,
    DescribeShareGroupOffsetsResponsePartition as PartitionOffset,
    DescribeShareGroupOffsetsResponseTopic as TopicOffsets,
};
use klamm_wire::messages::{GroupId, TopicName};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use super::initialize::{Answers, Asks};
use crate::group::gather::GatherId;
use crate::group::host::Host;
use crate::group::shard::Shard;
use crate::share::key::SharePartitionKey;
use crate::share_coordinator::ask::Ask;
use crate::share_coordinator::state::UNINITIALIZED_START_OFFSET;

/// A group's place in the answer of a DescribeShareGroupOffsets.
#[derive(Debug, Clone)]
pub(crate) struct OffsetsAsked {
    /// The group.
    pub(crate) group: StrBytes,
    /// The answer.
    pub(crate) gather: GatherId,
    /// The place.
    pub(crate) slot: usize,
    /// Topics that do not exist.
    pub(crate) unknown: Vec<TopicOffsets>,
}

impl OffsetsAsked {
    /// The group's part of the answer, when nothing can be told.
    pub(crate) fn refused(self, error: ErrorCode) -> GroupOffsets {
        GroupOffsets::default().with_group_id(GroupId::from(self.group)).with_error_code(error.code())
    }

    /// The group's part of the answer. What went wrong with a partition is not told, as in Kafka: it has no start offset then.
    pub(crate) fn answer(self, host: &dyn Host, answers: &Answers) -> GroupOffsets {
        let mut topics: BTreeMap<Uuid, Vec<PartitionOffset>> = BTreeMap::new();
        for (key, answer) in answers {
            let partition = PartitionOffset::default().with_partition_index(key.partition);
            let partition = if answer.error == ErrorCode::None {
                partition.with_start_offset(answer.start_offset).with_leader_epoch(answer.leader_epoch)
            } else {
                partition.with_start_offset(UNINITIALIZED_START_OFFSET)
            };
            topics.entry(key.topic_id).or_default().push(partition);
        }
        let known = topics.into_iter().map(|(id, mut partitions)| {
            partitions.sort_by_key(|partition| partition.partition_index);
            TopicOffsets::default()
                .with_topic_id(id)
                .with_topic_name(TopicName::from(host.topic_name(id).unwrap_or_default()))
                .with_partitions(partitions)
        });
        GroupOffsets::default()
            .with_group_id(GroupId::from(self.group))
            .with_topics(known.chain(self.unknown).collect())
    }
}

/// What to ask about the partitions that a client names, and the topics that do not exist.
pub(crate) fn ask_about_topics(
    host: &dyn Host,
    group: &StrBytes,
    topics: Vec<AskedTopic>,
) -> (Asks, Vec<TopicOffsets>) {
    let (mut asks, mut unknown) = (Asks::new(), Vec::new());
    for topic in topics {
        match host.topic(&topic.topic_name) {
            Some(found) => asks.extend(summaries(group, found.id, topic.partitions)),
            None => {
                let partitions = topic.partitions.into_iter().map(|partition| {
                    PartitionOffset::default()
                        .with_partition_index(partition)
                        .with_start_offset(UNINITIALIZED_START_OFFSET)
                });
                let partitions = partitions.collect();
                unknown.push(
                    TopicOffsets::default().with_topic_name(topic.topic_name).with_partitions(partitions),
                );
            }
        }
    }
    (asks, unknown)
}

impl Shard {
    /// What to ask about every partition that a group has state for; nothing where there is no such group.
    pub(crate) fn ask_about_share_offsets(&self, host: &dyn Host, id: &StrBytes) -> Asks {
        let initialized = self.groups.share(id).into_iter().flat_map(|group| &group.state.initialized);
        initialized
            .filter(|(topic, _)| host.topic_name(**topic).is_some())
            .flat_map(|(topic, state)| summaries(id, *topic, state.partitions.iter().copied()))
            .collect()
    }
}

fn summaries(group: &StrBytes, topic_id: Uuid, partitions: impl IntoIterator<Item = i32>) -> Asks {
    let key = |partition| SharePartitionKey { group: group.clone(), topic_id, partition };
    partitions.into_iter().map(|partition| (key(partition), Ask::Summary)).collect()
}
