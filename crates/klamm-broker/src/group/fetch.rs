//! OffsetFetch (the reading half of Kafka's `OffsetMetadataManager`).

use klamm_wire::messages::GroupId;
use klamm_wire::messages::TopicName;
use klamm_wire::messages::offset_fetch_request::OffsetFetchRequestTopics;
use klamm_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use klamm_wire::{ErrorCode, StrBytes};

use super::done::Done;
use super::gather::GatherId;
use super::offsets::{OffsetAndMetadata, View};
use super::shard::{Env, Shard};

/// One group's part of an OffsetFetch request.
#[derive(Debug, Clone)]
pub(crate) struct GroupFetch {
    /// The group.
    pub(crate) group: StrBytes,
    /// The member of a consumer group that asks; `None` for anybody else.
    pub(crate) member: Option<StrBytes>,
    /// The epoch that it is in; -1 for anybody else.
    pub(crate) member_epoch: i32,
    /// What is asked for; `None` for everything.
    pub(crate) topics: Option<Vec<OffsetFetchRequestTopics>>,
    /// Topics whose ids nobody knows, answered already.
    pub(crate) refused: Vec<OffsetFetchResponseTopics>,
}

/// Since this version topics are named by their ids.
const FIRST_WITH_IDS: i16 = 10;

impl GroupFetch {
    /// One error for everything that was asked for. Version 1 has no place for it but the partitions.
    pub(crate) fn error(&self, version: i16, error: ErrorCode) -> OffsetFetchResponseGroup {
        let response = OffsetFetchResponseGroup::default().with_group_id(GroupId::from(self.group.clone()));
        if version >= 2 {
            return response.with_error_code(error.code());
        }
        let topics = self.topics.iter().flatten().map(|topic| {
            let partitions = topic
                .partition_indexes
                .iter()
                .map(|index| position(*index, None).with_error_code(error.code()));
            OffsetFetchResponseTopics::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        response.with_topics(topics.collect())
    }
}

impl Shard {
    /// Fills a group's part of an OffsetFetch answer. A reader that wants stable offsets gets the latest ones, and
    /// waits until they are committed; any other gets what is committed now.
    pub(crate) fn fetch_offsets(
        &mut self,
        env: &mut Env<'_, '_>,
        gather: GatherId,
        slot: usize,
        version: i16,
        require_stable: bool,
        fetch: GroupFetch,
    ) {
        if let Some(group) = self.groups.consumer(&fetch.group)
            && let Err(error) = group.validate_offset_fetch(fetch.member.as_ref(), fetch.member_epoch)
        {
            return env.gathers.fetched(env.ctx, gather, slot, fetch.error(version, error));
        }
        let view = if require_stable { View::Latest } else { View::Committed };
        let is_of_all = fetch.topics.is_none();
        let mut topics = match fetch.topics {
            Some(topics) => topics.into_iter().map(|t| self.fetch_topic(view, &fetch.group, t)).collect(),
            None => self.fetch_all(view, &fetch.group),
        };
        if is_of_all && version >= FIRST_WITH_IDS {
            // What has no id any more cannot be told of.
            topics.retain_mut(|topic: &mut OffsetFetchResponseTopics| {
                let known = env.host.topic(&topic.name);
                topic.topic_id = known.as_ref().map(|known| known.id).unwrap_or_default();
                known.is_some()
            });
        }
        topics.extend(fetch.refused);
        let group =
            OffsetFetchResponseGroup::default().with_group_id(GroupId::from(fetch.group)).with_topics(topics);
        if require_stable {
            self.after_writes(env, Done::Fetch { gather, slot, version, group });
        } else {
            env.gathers.fetched(env.ctx, gather, slot, group);
        }
    }

    fn fetch_topic(
        &self,
        view: View,
        group: &StrBytes,
        topic: OffsetFetchRequestTopics,
    ) -> OffsetFetchResponseTopics {
        let partitions = topic.partition_indexes.iter().map(|index| {
            if view == View::Latest && self.pending.contains(group, &topic.name, *index) {
                return unstable(*index);
            }
            let value = self.offsets.get(view, group, &topic.name, *index);
            // A position in an older topic of the same name is none in this one.
            let value = value
                .filter(|v| v.topic_id.is_nil() || topic.topic_id.is_nil() || v.topic_id == topic.topic_id);
            position(*index, value)
        });
        let partitions = partitions.collect();
        OffsetFetchResponseTopics::default()
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions)
    }

    fn fetch_all(&self, view: View, group: &StrBytes) -> Vec<OffsetFetchResponseTopics> {
        let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
        for (topic, partition, value) in self.offsets.of_group(view, group) {
            if topics.last().is_none_or(|last| last.name.0 != *topic) {
                let name = TopicName::from(topic.clone());
                topics.push(OffsetFetchResponseTopics::default().with_name(name));
            }
            if let Some(last) = topics.last_mut() {
                let is_pending = view == View::Latest && self.pending.contains(group, topic, partition);
                last.partitions.push(match is_pending {
                    true => unstable(partition),
                    false => position(partition, Some(value)),
                });
            }
        }
        topics
    }
}

/// An open transaction will have another position, or not: whoever wants a stable one has to ask again (KIP-447).
fn unstable(partition: i32) -> OffsetFetchResponsePartitions {
    position(partition, None).with_error_code(ErrorCode::UnstableOffsetCommit.code())
}

fn position(partition: i32, value: Option<&OffsetAndMetadata>) -> OffsetFetchResponsePartitions {
    let response = OffsetFetchResponsePartitions::default().with_partition_index(partition);
    match value {
        Some(value) => response
            .with_committed_offset(value.offset)
            .with_committed_leader_epoch(value.leader_epoch)
            .with_metadata(Some(value.metadata.clone())),
        None => response.with_committed_offset(-1).with_committed_leader_epoch(-1),
    }
}
