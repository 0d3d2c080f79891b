//! ConsumerGroupDescribe (Kafka's `ConsumerGroup.asDescribedGroup`).

use klamm_wire::StrBytes;
use klamm_wire::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use klamm_wire::messages::{GroupId, TopicName};

use super::super::Partitions;
use super::fence::not_a_consumer_group;
use super::group::ConsumerGroup;
use super::member::{ConsumerMember, without_epochs};
use crate::group::host::Host;
use crate::group::shard::Shard;

/// `MemberType` of a member that speaks the classic protocol, and of one that does not.
const MEMBER_TYPES: [i8; 2] = [0, 1];

impl Shard {
    /// Describes a consumer group.
    pub(crate) fn describe_consumer(
        &self,
        host: &dyn Host,
        id: &StrBytes,
        default_assignor: &str,
    ) -> DescribedGroup {
        let response = DescribedGroup::default().with_group_id(GroupId::from(id.clone()));
        let Some(group) = self.groups.consumer(id) else {
            let refusal = not_a_consumer_group(id, self.groups.contains(id));
            return response.with_error_code(refusal.error.code()).with_error_message(refusal.message);
        };
        let assignor = group.preferred_assignor().cloned();
        let assignor = assignor.unwrap_or_else(|| StrBytes::from(default_assignor.to_owned()));
        response
            .with_assignor_name(assignor)
            .with_group_epoch(group.base.epoch)
            .with_group_state(StrBytes::from_static_str(group.state().name()))
            .with_assignment_epoch(group.base.target.epoch)
            .with_members(group.members().map(|member| described(host, group, member)).collect())
    }
}

fn described(host: &dyn Host, group: &ConsumerGroup, member: &ConsumerMember) -> Member {
    // What it still has to give up is its own until it has.
    let mut owned = without_epochs(&member.assigned);
    for (topic, partitions) in without_epochs(&member.revoking) {
        owned.entry(topic).or_default().extend(partitions);
    }
    Member::default()
        .with_member_id(member.id.clone())
        .with_member_epoch(member.epoch)
        .with_instance_id(member.instance_id.clone())
        .with_rack_id(member.rack_id.clone())
        .with_client_id(member.client_id.clone())
        .with_client_host(member.client_host.clone())
        .with_subscribed_topic_names(member.topics.iter().cloned().map(TopicName::from).collect())
        .with_subscribed_topic_regex(member.regex.clone())
        .with_assignment(assignment(host, &owned))
        .with_target_assignment(assignment(host, &group.base.target.of(&member.id)))
        .with_member_type(MEMBER_TYPES[usize::from(!member.is_classic())])
}

fn assignment(host: &dyn Host, partitions: &Partitions) -> Assignment {
    let topics = partitions.iter().filter_map(|(topic, partitions)| {
        Some(
            TopicPartitions::default()
                .with_topic_id(*topic)
                .with_topic_name(TopicName::from(host.topic_name(*topic)?))
                .with_partitions(partitions.iter().copied().collect()),
        )
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
