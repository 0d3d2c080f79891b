//! ShareGroupDescribe (Kafka's `ShareGroup.asDescribedGroup`).

use klamm_wire::StrBytes;
use klamm_wire::messages::share_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use klamm_wire::messages::{GroupId, TopicName};

use super::group::{ShareMember, not_a_share_group};
use super::simple;
use crate::group::host::Host;
use crate::group::shard::Shard;

impl Shard {
    /// Describes a share group.
    pub(crate) fn describe_share(&self, host: &dyn Host, id: &StrBytes) -> DescribedGroup {
        let response = DescribedGroup::default().with_group_id(GroupId::from(id.clone()));
        let Some(group) = self.groups.share(id) else {
            let refusal = not_a_share_group(id, self.groups.contains(id));
            return response.with_error_code(refusal.error.code()).with_error_message(refusal.message);
        };
        response
            .with_assignor_name(StrBytes::from_static_str(simple::NAME))
            .with_group_epoch(group.base.epoch)
            .with_group_state(StrBytes::from_static_str(group.state_name()))
            .with_assignment_epoch(group.base.target.epoch)
            .with_members(group.members().map(|member| described(host, member)).collect())
    }
}

fn described(host: &dyn Host, member: &ShareMember) -> Member {
    let topics = member.assigned.iter().filter_map(|(topic, partitions)| {
        Some(
            TopicPartitions::default()
                .with_topic_id(*topic)
                .with_topic_name(TopicName::from(host.topic_name(*topic)?))
                .with_partitions(partitions.iter().copied().collect()),
        )
    });
    Member::default()
        .with_member_id(member.id.clone())
        .with_member_epoch(member.epoch)
        .with_rack_id(member.rack_id.clone())
        .with_client_id(member.client_id.clone())
        .with_client_host(member.client_host.clone())
        .with_subscribed_topic_names(member.topics.iter().cloned().map(TopicName::from).collect())
        .with_assignment(Assignment::default().with_topic_partitions(topics.collect()))
}
