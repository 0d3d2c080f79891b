//! Joining: JoinGroup, then SyncGroup, with the shares of all if this member leads
//! (`AbstractCoordinator.joinGroupIfNeeded`, `ConsumerCoordinator.onLeaderElected`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klamm_node::TopicPartition;
use klamm_wire::messages::join_group_request::JoinGroupRequestProtocol;
use klamm_wire::messages::join_group_response::JoinGroupResponse;
use klamm_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use klamm_wire::messages::{JoinGroupRequest, ResponseKind, SyncGroupRequest};
use klamm_wire::{ApiKey, ErrorCode, Request, Response, StrBytes};

use super::assignor::{self, Assignor};
use super::protocol::{Subscription, decode_assignment, encode_assignment};
use super::{Classic, MemberState, PROTOCOL_TYPE};
use crate::client::scripted::base::Base;
use crate::client::scripted::error::ClientError;
use crate::client::scripted::group::group_id;
use crate::client::{Answer, ClientCtx};

const JOIN_VERSION: i16 = 9;
const SYNC_VERSION: i16 = 5;
/// How much longer than the rebalance may take a member waits for the answer (`JOIN_GROUP_TIMEOUT_LAPSE`).
const LAPSE: Duration = Duration::from_secs(5);

impl Classic {
    /// Joins when that is needed and possible. `owned` is what the member has.
    pub(super) fn go_on_join(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        owned: &BTreeSet<TopicPartition>,
    ) {
        if !self.rejoin_needed || self.asked.is_some() || self.rejoin_at > ctx.now {
            return;
        }
        let Some(to) = self.coordinator.ready(ctx, base) else { return };
        let subscription = Subscription {
            topics: self.topics.clone(),
            owned: owned.clone(),
            generation: self.generation.id,
        }
        .encode();
        let protocol = |assignor: &Assignor| {
            JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_static_str(assignor.name()))
                .with_metadata(subscription.clone())
        };
        let millis = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        let request = JoinGroupRequest::default()
            .with_group_id(group_id(&self.settings))
            .with_session_timeout_ms(millis(self.settings.session_timeout))
            .with_rebalance_timeout_ms(millis(self.settings.max_poll_interval))
            .with_member_id(self.generation.member_id.clone())
            .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
            .with_protocols(self.settings.assignors.iter().map(protocol).collect());
        let version = base.channels.version(to, ApiKey::JoinGroup, JOIN_VERSION);
        let instance = self.settings.instance_id.clone();
        let request = if version >= 5 { request.with_group_instance_id(instance) } else { request };
        let patience = base.settings.request_timeout.max(self.settings.max_poll_interval + LAPSE);
        let call = ctx.ask_within(to, ApiKey::JoinGroup, version, Request::JoinGroup(request), patience);
        self.state = MemberState::PreparingRebalance;
        self.asked = Some(call);
        self.joined = None;
    }

    pub(super) fn on_join(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base, answer: &Answer) {
        let Some(response) = joined(answer) else {
            self.coordinator.forget();
            self.retry_join(ctx, base);
            return;
        };
        match ErrorCode::from_code(response.error_code).unwrap_or(ErrorCode::UnknownServerError) {
            ErrorCode::None => {
                self.state = MemberState::CompletingRebalance;
                self.generation.id = response.generation_id;
                self.generation.member_id = response.member_id.clone();
                self.generation.protocol = response.protocol_name.as_deref().and_then(Assignor::of);
                self.reset_heartbeat(ctx.now);
                let is_leader = response.leader == response.member_id;
                self.shares = if is_leader && !response.skip_assignment {
                    self.share(base, response)
                } else {
                    BTreeMap::new()
                };
                self.leads = is_leader;
                self.sync(ctx, base);
            }
            ErrorCode::MemberIdRequired => {
                self.generation.member_id = response.member_id.clone();
                self.rejoin();
            }
            ErrorCode::UnknownMemberId => {
                self.reset_generation(true);
                self.rejoin();
            }
            ErrorCode::RebalanceInProgress => self.rejoin(),
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                self.coordinator.forget();
                self.retry_join(ctx, base);
            }
            ErrorCode::CoordinatorLoadInProgress => self.retry_join(ctx, base),
            error => self.fail(ClientError::Broker(error)),
        }
    }

    /// Shares the partitions of all that members want out among them.
    fn share(&mut self, base: &mut Base, response: &JoinGroupResponse) -> assignor::Assignment {
        let members: Vec<_> = response
            .members
            .iter()
            .map(|member| assignor::Member {
                id: member.member_id.clone(),
                instance: member.group_instance_id.clone(),
                subscription: Subscription::decode(member.metadata.clone()).unwrap_or_default(),
            })
            .collect();
        let topics: BTreeSet<_> =
            members.iter().flat_map(|member| member.subscription.topics.iter().cloned()).collect();
        for topic in &topics {
            base.metadata.want(topic);
        }
        self.counted = topics
            .into_iter()
            .map(|topic| {
                let count = base.metadata.partitions(&topic);
                (topic, count)
            })
            .collect();
        self.generation.protocol.unwrap_or_default().assign(&members, &self.counted)
    }

    /// Sends the shares, if this member leads, and asks for its own.
    pub(super) fn sync(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        let Some(to) = self.coordinator.ready(ctx, base) else {
            // The connection broke just now: the coordinator begins again with whoever comes.
            self.rejoin();
            return;
        };
        let share = |(id, partitions): (&StrBytes, &BTreeSet<TopicPartition>)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(id.clone())
                .with_assignment(encode_assignment(partitions))
        };
        let request = SyncGroupRequest::default()
            .with_group_id(group_id(&self.settings))
            .with_generation_id(self.generation.id)
            .with_member_id(self.generation.member_id.clone())
            .with_assignments(self.shares.iter().map(share).collect());
        let version = base.channels.version(to, ApiKey::SyncGroup, SYNC_VERSION);
        let instance = self.settings.instance_id.clone();
        let request = if version >= 3 { request.with_group_instance_id(instance) } else { request };
        let request = if version >= 5 {
            let name = self.generation.protocol.map(|protocol| StrBytes::from_static_str(protocol.name()));
            request
                .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
                .with_protocol_name(name)
        } else {
            request
        };
        let patience = base.settings.request_timeout;
        self.asked =
            Some(ctx.ask_within(to, ApiKey::SyncGroup, version, Request::SyncGroup(request), patience));
    }

    pub(super) fn on_sync(&mut self, ctx: &mut ClientCtx<'_>, base: &Base, answer: &Answer) {
        let (error, assignment) = match answer {
            Answer::Response(Response::Other(response)) => match &**response {
                ResponseKind::SyncGroup(response) => {
                    (ErrorCode::from_code(response.error_code), response.assignment.clone())
                }
                _ => (None, bytes::Bytes::new()),
            },
            _ => (Some(ErrorCode::NotCoordinator), bytes::Bytes::new()),
        };
        match error.unwrap_or(ErrorCode::UnknownServerError) {
            ErrorCode::None => match decode_assignment(assignment) {
                Some(partitions) => {
                    self.state = MemberState::Stable;
                    self.rejoin_needed = false;
                    self.joined = Some(partitions);
                }
                None => {
                    self.fail(ClientError::Unsupported("the leader's assignment makes no sense".to_owned()))
                }
            },
            ErrorCode::RebalanceInProgress => self.rejoin(),
            error @ (ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                self.reset_generation(error != ErrorCode::IllegalGeneration);
                self.rejoin();
            }
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                self.coordinator.forget();
                self.retry_join(ctx, base);
            }
            error => self.fail(ClientError::Broker(error)),
        }
    }

    /// Joins again after a while.
    fn retry_join(&mut self, ctx: &mut ClientCtx<'_>, base: &Base) {
        self.rejoin();
        self.rejoin_at = ctx.now + base.settings.retry_backoff;
    }
}

fn joined(answer: &Answer) -> Option<&JoinGroupResponse> {
    let Answer::Response(Response::Other(response)) = answer else { return None };
    if let ResponseKind::JoinGroup(response) = &**response { Some(response) } else { None }
}
