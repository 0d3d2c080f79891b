//! Which topics and partitions a request is about.

use crate::messages::TopicName;
use uuid::Uuid;

use crate::{Request, StrBytes};

/// A topic as a request names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicRef<'a> {
    /// By its name.
    Name(&'a StrBytes),
    /// By its id.
    Id(Uuid),
}

impl<'a> TopicRef<'a> {
    /// By its id where there is one: newer versions leave the name empty.
    fn new(name: &'a TopicName, id: Uuid) -> Self {
        if id.is_nil() { Self::Name(&name.0) } else { Self::Id(id) }
    }
}

/// The type of a topic among the resources of configurations (`ConfigResource.Type.TOPIC`).
const TOPIC_RESOURCE: i8 = 2;

/// Whether the request is about a topic, or a partition of it, that `is` says yes to; `None` for a partition is all of its
/// topic. A request that names no topic is about none, though it may concern all.
pub fn is_about(request: &Request, is: &mut dyn FnMut(TopicRef<'_>, Option<i32>) -> bool) -> bool {
    use TopicRef::{Id, Name};
    match request {
        Request::Produce(r) => r
            .topic_data
            .iter()
            .any(|t| t.partition_data.iter().any(|p| is(TopicRef::new(&t.name, t.topic_id), Some(p.index)))),
        Request::Fetch(r) => r
            .topics
            .iter()
            .any(|t| t.partitions.iter().any(|p| is(TopicRef::new(&t.topic, t.topic_id), Some(p.partition)))),
        Request::ListOffsets(r) => {
            r.topics.iter().any(|t| t.partitions.iter().any(|p| is(Name(&t.name.0), Some(p.partition_index))))
        }
        Request::OffsetForLeaderEpoch(r) => {
            r.topics.iter().any(|t| t.partitions.iter().any(|p| is(Name(&t.topic.0), Some(p.partition))))
        }
        Request::DeleteRecords(r) => {
            r.topics.iter().any(|t| t.partitions.iter().any(|p| is(Name(&t.name.0), Some(p.partition_index))))
        }
        Request::AlterPartition(r) => {
            r.topics.iter().any(|t| t.partitions.iter().any(|p| is(Id(t.topic_id), Some(p.partition_index))))
        }
        Request::OffsetCommit(r) => r.topics.iter().any(|t| {
            t.partitions.iter().any(|p| is(TopicRef::new(&t.name, t.topic_id), Some(p.partition_index)))
        }),
        Request::OffsetFetch(r) => {
            let old =
                r.topics.iter().flatten().any(|t| {
                    t.partition_indexes.iter().any(|partition| is(Name(&t.name.0), Some(*partition)))
                });
            old || r.groups.iter().flat_map(|group| group.topics.iter().flatten()).any(|t| {
                let topic = TopicRef::new(&t.name, t.topic_id);
                t.partition_indexes.iter().any(|partition| is(topic, Some(*partition)))
            })
        }
        Request::OffsetDelete(r) => {
            r.topics.iter().any(|t| t.partitions.iter().any(|p| is(Name(&t.name.0), Some(p.partition_index))))
        }
        Request::TxnOffsetCommit(r) => r.topics.iter().any(|t| {
            t.partitions.iter().any(|p| is(TopicRef::new(&t.name, t.topic_id), Some(p.partition_index)))
        }),
        Request::AddPartitionsToTxn(r) => r
            .v3_and_below_topics
            .iter()
            .chain(r.transactions.iter().flat_map(|transaction| &transaction.topics))
            .any(|t| t.partitions.iter().any(|partition| is(Name(&t.name.0), Some(*partition)))),
        Request::WriteTxnMarkers(r) => r
            .markers
            .iter()
            .flat_map(|marker| &marker.topics)
            .any(|t| t.partition_indexes.iter().any(|partition| is(Name(&t.name.0), Some(*partition)))),
        Request::DescribeProducers(r) => r
            .topics
            .iter()
            .any(|t| t.partition_indexes.iter().any(|partition| is(Name(&t.name.0), Some(*partition)))),
        Request::ElectLeaders(r) => r
            .topic_partitions
            .iter()
            .flatten()
            .any(|t| t.partitions.iter().any(|partition| is(Name(&t.topic.0), Some(*partition)))),
        Request::AlterPartitionReassignments(r) => {
            r.topics.iter().any(|t| t.partitions.iter().any(|p| is(Name(&t.name.0), Some(p.partition_index))))
        }
        Request::ShareFetch(r) => {
            r.topics.iter().any(|t| t.partitions.iter().any(|p| is(Id(t.topic_id), Some(p.partition_index))))
        }
        Request::ShareAcknowledge(r) => {
            r.topics.iter().any(|t| t.partitions.iter().any(|p| is(Id(t.topic_id), Some(p.partition_index))))
        }
        Request::InitializeShareGroupState(r) => {
            r.topics.iter().any(|t| t.partitions.iter().any(|p| is(Id(t.topic_id), Some(p.partition))))
        }
        Request::ReadShareGroupState(r) => {
            r.topics.iter().any(|t| t.partitions.iter().any(|p| is(Id(t.topic_id), Some(p.partition))))
        }
        Request::WriteShareGroupState(r) => {
            r.topics.iter().any(|t| t.partitions.iter().any(|p| is(Id(t.topic_id), Some(p.partition))))
        }
        Request::DeleteShareGroupState(r) => {
            r.topics.iter().any(|t| t.partitions.iter().any(|p| is(Id(t.topic_id), Some(p.partition))))
        }
        Request::ReadShareGroupStateSummary(r) => {
            r.topics.iter().any(|t| t.partitions.iter().any(|p| is(Id(t.topic_id), Some(p.partition))))
        }
        Request::Metadata(r) => r.topics.iter().flatten().any(|t| match &t.name {
            Some(name) => is(Name(&name.0), None),
            None => is(Id(t.topic_id), None),
        }),
        Request::DescribeTopicPartitions(r) => r.topics.iter().any(|t| is(Name(&t.name.0), None)),
        Request::CreateTopics(r) => r.topics.iter().any(|t| is(Name(&t.name.0), None)),
        Request::CreatePartitions(r) => r.topics.iter().any(|t| is(Name(&t.name.0), None)),
        Request::DeleteTopics(r) => {
            r.topic_names.iter().any(|name| is(Name(&name.0), None))
                || r.topics.iter().any(|t| match &t.name {
                    Some(name) => is(Name(&name.0), None),
                    None => is(Id(t.topic_id), None),
                })
        }
        Request::DescribeConfigs(r) => {
            r.resources.iter().any(|r| r.resource_type == TOPIC_RESOURCE && is(Name(&r.resource_name), None))
        }
        Request::IncrementalAlterConfigs(r) => {
            r.resources.iter().any(|r| r.resource_type == TOPIC_RESOURCE && is(Name(&r.resource_name), None))
        }
        Request::AlterConfigs(r) => {
            r.resources.iter().any(|r| r.resource_type == TOPIC_RESOURCE && is(Name(&r.resource_name), None))
        }
        _ => false,
    }
}
