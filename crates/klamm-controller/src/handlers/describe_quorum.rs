//! DescribeQuorum (key 55): who votes, who watches, and how far each has come (KIP-595, KIP-836, KIP-853).

use klamm_metadata::METADATA_TOPIC;
use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::describe_quorum_response::{Node, PartitionData, TopicData};
use klamm_wire::messages::{BrokerId, DescribeQuorumRequest, DescribeQuorumResponse, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes};

use crate::controller::Controller;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    request: &DescribeQuorumRequest,
) {
    let asks_for_metadata = match request.topics.as_slice() {
        [topic] if &*topic.topic_name.0 == METADATA_TOPIC => {
            matches!(topic.partitions.as_slice(), [partition] if partition.partition_index == 0)
        }
        _ => false,
    };
    let response = if asks_for_metadata {
        describe(controller, ctx)
    } else {
        refuse(request, ErrorCode::UnknownTopicOrPartition)
    };
    ctx.reply(to, ResponseKind::DescribeQuorum(response));
}

fn describe(controller: &mut Controller, ctx: &Ctx<'_>) -> DescribeQuorumResponse {
    let raft = &mut controller.raft;
    let mut partition = PartitionData::default();
    let mut nodes = Vec::new();
    match raft.described(ctx) {
        Some((voters, observers)) => {
            let view = raft.view();
            partition = partition
                .with_leader_id(BrokerId(view.leader.0))
                .with_leader_epoch(view.epoch)
                .with_high_watermark(view.high_watermark)
                .with_current_voters(voters)
                .with_observers(observers);
            nodes = raft.voters().iter().map(|id| Node::default().with_node_id(BrokerId(id.0))).collect();
        }
        None => {
            let error = ErrorCode::NotLeaderOrFollower;
            partition = partition
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_static_str(NOT_LEADER)));
        }
    }
    let topic = TopicData::default().with_topic_name(topic_name()).with_partitions(vec![partition]);
    DescribeQuorumResponse::default().with_topics(vec![topic]).with_nodes(nodes)
}

/// What Kafka says of NOT_LEADER_OR_FOLLOWER.
const NOT_LEADER: &str = "For requests intended only for the leader, this error indicates that the broker is not the \
                          current leader. For requests intended for any replica, this error indicates that the broker \
                          is not a replica of the topic partition.";

fn topic_name() -> klamm_wire::messages::TopicName {
    klamm_wire::messages::TopicName(StrBytes::from_static_str(METADATA_TOPIC))
}

/// The same error for every partition that was asked about.
fn refuse(request: &DescribeQuorumRequest, error: ErrorCode) -> DescribeQuorumResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            PartitionData::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
        });
        TopicData::default().with_topic_name(topic.topic_name.clone()).with_partitions(partitions.collect())
    });
    DescribeQuorumResponse::default().with_topics(topics.collect())
}
