//! LeaveGroup (the classic half of Kafka's `GroupMetadataManager.classicGroupLeave*`).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use klamm_wire::messages::leave_group_request::MemberIdentity;
use klamm_wire::messages::leave_group_response::MemberResponse;
use klamm_wire::messages::{LeaveGroupRequest, LeaveGroupResponse};
use klamm_wire::{ErrorCode, StrBytes};

use super::done::Done;
use super::member::Parked;
use super::reply;
use super::shard::{Env, Shard, Wrote, trace_removed};
use super::state::ClassicState;
use crate::core::RequestContext;

impl Shard {
    /// Members leave, each by its id, or (for an administrator) by its group instance id.
    pub(crate) fn leave(&mut self, env: &mut Env<'_, '_>, rc: &RequestContext, request: LeaveGroupRequest) {
        let asker = Parked { to: rc.reply_to, version: rc.api_version };
        let identities = if rc.api_version >= 3 {
            request.members
        } else {
            vec![MemberIdentity::default().with_member_id(request.member_id)]
        };
        let id = request.group_id.0;
        if self.groups.consumer(&id).is_some() {
            return self.leave_consumer_group(env, &id, asker, identities);
        }
        let mut members = Vec::with_capacity(identities.len());
        let mut leaving: BTreeMap<StrBytes, &'static str> = BTreeMap::new();
        let mut anyone = false;
        for identity in identities {
            let result = self.leave_one(env, &id, &identity, &mut leaving);
            anyone |= result.is_ok();
            members.push(
                MemberResponse::default()
                    .with_member_id(identity.member_id)
                    .with_group_instance_id(identity.group_instance_id)
                    .with_error_code(result.err().unwrap_or(ErrorCode::None).code()),
            );
        }
        self.expel(env, &id, &leaving);
        let wrote = match self.groups.classic(&id).map(|group| group.state()) {
            Some(ClassicState::Stable | ClassicState::CompletingRebalance) if anyone => {
                self.rebalance_or_complete(env, &id, "members left")
            }
            Some(ClassicState::PreparingRebalance) if anyone => self.maybe_complete_join(env, &id),
            _ => Wrote::Nothing,
        };
        let response = LeaveGroupResponse::default().with_members(members);
        match wrote {
            Wrote::Failed(error) => {
                reply::leave(env.ctx, asker, LeaveGroupResponse::default().with_error_code(error.code()));
            }
            Wrote::Nothing | Wrote::Appended => self.after_writes(env, Done::Leave { asker, response }),
        }
    }

    /// Finds who is meant. Members are noted with the reason, to be removed all at once.
    fn leave_one(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        identity: &MemberIdentity,
        leaving: &mut BTreeMap<StrBytes, &'static str>,
    ) -> Result<(), ErrorCode> {
        let group = self.groups.classic_mut(id).ok_or(ErrorCode::UnknownMemberId)?;
        let instance_id = identity.group_instance_id.as_ref();
        let (member, cause) = if identity.member_id.is_empty() {
            let member = instance_id.and_then(|instance| group.static_member(instance)).cloned();
            (member.ok_or(ErrorCode::UnknownMemberId)?, "removed by its instance id")
        } else if group.is_pending_member(&identity.member_id) {
            group.remove(&identity.member_id);
            trace_removed(env.ctx, id, &identity.member_id, "left before it joined");
            self.cancel_session(env, id, &identity.member_id);
            return Ok(());
        } else {
            group.validate_member(&identity.member_id, instance_id)?;
            (identity.member_id.clone(), "left")
        };
        match leaving.entry(member) {
            // It has left already, a few places earlier in this request.
            Entry::Occupied(_) => Err(ErrorCode::UnknownMemberId),
            Entry::Vacant(entry) => {
                entry.insert(cause);
                Ok(())
            }
        }
    }
}
