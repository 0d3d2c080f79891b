//! DescribeGroups and ListGroups.

use klamm_wire::messages::GroupId;
use klamm_wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use klamm_wire::messages::list_groups_response::ListedGroup;
use klamm_wire::{ErrorCode, StrBytes};

use super::groups::Group;
use super::shard::Shard;
use super::state::ClassicState;

impl Shard {
    /// Describes a group. One that does not exist is `Dead`; since version 6 that is an error too (KIP-1043).
    pub(crate) fn describe(&self, id: &StrBytes, version: i16) -> DescribedGroup {
        let response = DescribedGroup::default().with_group_id(GroupId::from(id.clone()));
        let Some(group) = self.groups.classic(id) else {
            let response = response.with_group_state(state_name(ClassicState::Dead));
            let text = match self.groups.contains(id) {
                true => format!("Group {id} is not a classic group."),
                false => format!("Group {id} not found."),
            };
            return if version >= 6 {
                response
                    .with_error_code(ErrorCode::GroupIdNotFound.code())
                    .with_error_message(Some(StrBytes::from(text)))
            } else {
                response
            };
        };
        let stable = group.is(ClassicState::Stable);
        let protocol = group.protocol_name().filter(|_| stable);
        let members = group.members().map(|member| {
            let described = DescribedGroupMember::default()
                .with_member_id(member.id.clone())
                .with_group_instance_id(member.instance_id.clone())
                .with_client_id(member.client_id.clone())
                .with_client_host(member.client_host.clone())
                .with_member_assignment(member.assignment.clone());
            if stable { described.with_member_metadata(member.metadata(protocol)) } else { described }
        });
        response
            .with_group_state(state_name(group.state()))
            .with_protocol_type(group.protocol_type().cloned().unwrap_or_default())
            .with_protocol_data(protocol.cloned().unwrap_or_default())
            .with_members(members.collect())
    }

    /// Lists the groups whose state and type are asked for; a filter without entries lets everything through. Case does not matter,
    /// nor blanks around a state.
    pub(crate) fn list(&self, states: &[StrBytes], types: &[StrBytes]) -> Vec<ListedGroup> {
        let named = |filter: &[StrBytes], name: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.trim().eq_ignore_ascii_case(name))
        };
        let wanted = |group: &&Group| named(states, group.state_name()) && named(types, group.type_name());
        let listed = self.groups.iter().map(|(_, group)| group).filter(wanted).map(|group| {
            ListedGroup::default()
                .with_group_id(GroupId::from(group.id().clone()))
                .with_protocol_type(group.protocol_type())
                .with_group_state(StrBytes::from_static_str(group.state_name()))
                .with_group_type(StrBytes::from_static_str(group.type_name()))
        });
        listed.collect()
    }
}

fn state_name(state: ClassicState) -> StrBytes {
    StrBytes::from_static_str(state.name())
}
