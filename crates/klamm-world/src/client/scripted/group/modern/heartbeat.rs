//! ConsumerGroupHeartbeat (`AbstractHeartbeatRequestManager`, `ConsumerHeartbeatRequestManager`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klamm_log::checkpoint::encode_uuid;
use klamm_node::Timestamp;
use klamm_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use klamm_wire::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ResponseKind, TopicName,
};
use klamm_wire::{ApiKey, ErrorCode, Request, Response, StrBytes, Uuid};

use super::{MemberState, Modern, Share};
use crate::client::scripted::base::Base;
use crate::client::scripted::error::ClientError;
use crate::client::scripted::group::group_id;
use crate::client::{Answer, ClientCtx};

const VERSION: i16 = 1;
/// The member epochs of who leaves, and of a static member that will be back (`ConsumerGroupHeartbeatRequest`).
pub(super) const LEAVE: i32 = -1;
pub(super) const LEAVE_FOR_A_WHILE: i32 = -2;

/// When the next heartbeat is due, and what the coordinator was told.
#[derive(Debug, Clone, Default)]
pub(super) struct Heartbeat {
    /// `group.consumer.heartbeat.interval.ms`, as the coordinator has it; zero before the first answer.
    interval: Duration,
    next_at: Timestamp,
    /// None is sent before this, after one that failed.
    retry_at: Timestamp,
    failures: u32,
    asked: Option<i32>,
    sent: Sent,
    pub(super) poll_until: Timestamp,
}

/// What was sent last; it is not sent again while it stays the same.
#[derive(Debug, Clone, Default)]
struct Sent {
    rebalance_timeout_ms: Option<i32>,
    topics: Option<BTreeSet<StrBytes>>,
    assignor: Option<StrBytes>,
    share: Option<Share>,
}

impl Heartbeat {
    /// The next is the first of a membership.
    pub(super) fn begin_anew(&mut self) {
        let Self { interval, poll_until, .. } = *self;
        *self = Self { interval, poll_until, ..Self::default() };
    }
}

impl Modern {
    /// Sends a heartbeat when one is due: at once if the coordinator has to hear something.
    pub(super) fn go_on_heartbeat(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        let Heartbeat { next_at, retry_at, asked, .. } = self.heartbeat;
        let urgent = matches!(self.state, MemberState::Joining | MemberState::Acknowledging);
        // Java's does not wait when it is urgent; without latency that would go on and on in one moment.
        if asked.is_some() || retry_at > ctx.now || !urgent && next_at > ctx.now {
            return;
        }
        self.heartbeat.asked = self.send_heartbeat(ctx, base);
        if self.heartbeat.asked.is_none() {
            return;
        }
        self.heartbeat.next_at = ctx.now + self.heartbeat.interval;
        if self.state == MemberState::Acknowledging {
            self.state =
                if self.current == self.target { MemberState::Stable } else { MemberState::Reconciling };
        }
    }

    /// Sends a heartbeat now, if the coordinator is known and can be asked.
    pub(super) fn send_heartbeat(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) -> Option<i32> {
        let to = self.coordinator.ready(ctx, base)?;
        if !base.channels.serves(to, ApiKey::ConsumerGroupHeartbeat) {
            self.fail(ClientError::Broker(ErrorCode::UnsupportedVersion));
            return None;
        }
        if self.member_id.is_empty() {
            self.member_id = encode_uuid(ctx.rng.uuid()).into();
        }
        let request = self.heartbeat_request();
        Some(base.ask(ctx, to, ApiKey::ConsumerGroupHeartbeat, VERSION, |_| {
            Request::ConsumerGroupHeartbeat(request)
        }))
    }

    /// All that the coordinator has not heard yet; everything when it joins (`HeartbeatState.buildRequestData`).
    fn heartbeat_request(&mut self) -> ConsumerGroupHeartbeatRequest {
        let joins = self.state == MemberState::Joining;
        let sent = &mut self.heartbeat.sent;
        let mut request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group_id(&self.settings))
            .with_member_id(self.member_id.clone())
            .with_member_epoch(self.epoch)
            .with_instance_id(self.settings.instance_id.clone())
            .with_subscribed_topic_names(None)
            .with_topic_partitions(None)
            .with_rebalance_timeout_ms(-1);
        let timeout_ms = i32::try_from(self.settings.max_poll_interval.as_millis()).unwrap_or(i32::MAX);
        if joins || sent.rebalance_timeout_ms != Some(timeout_ms) {
            request.rebalance_timeout_ms = timeout_ms;
            sent.rebalance_timeout_ms = Some(timeout_ms);
        }
        let topics: BTreeSet<_> = self.topics.iter().cloned().collect();
        if joins || sent.topics.as_ref() != Some(&topics) {
            request.subscribed_topic_names = Some(topics.iter().cloned().map(TopicName).collect());
            sent.topics = Some(topics);
        }
        if self.settings.remote_assignor.is_some()
            && (joins || sent.assignor != self.settings.remote_assignor)
        {
            request.server_assignor.clone_from(&self.settings.remote_assignor);
            sent.assignor.clone_from(&self.settings.remote_assignor);
        }
        if joins || sent.share.as_ref() != Some(&self.current) {
            let mut by_topic: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
            for (topic, partition) in &self.current.partitions {
                by_topic.entry(*topic).or_default().push(*partition);
            }
            let topic =
                |(id, partitions)| TopicPartitions::default().with_topic_id(id).with_partitions(partitions);
            request.topic_partitions = Some(by_topic.into_iter().map(topic).collect());
            sent.share = Some(self.current.clone());
        }
        request
    }

    /// Takes an answer to a heartbeat; false when it is another's.
    pub(super) fn on_heartbeat(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &Base,
        correlation_id: i32,
        answer: &Answer,
    ) -> bool {
        if self.heartbeat.asked != Some(correlation_id) {
            return false;
        }
        self.heartbeat.asked = None;
        let response = response(answer);
        let error = response.and_then(|response| ErrorCode::from_code(response.error_code));
        if let (Some(response), Some(ErrorCode::None)) = (response, error) {
            self.beaten(ctx.now, response);
            return true;
        }
        let heartbeat = &mut self.heartbeat;
        heartbeat.sent = Sent::default();
        heartbeat.next_at = ctx.now;
        heartbeat.retry_at = ctx.now + base.backoff.wait(ctx.rng, heartbeat.failures);
        heartbeat.failures += 1;
        match error {
            None | Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) => {
                self.coordinator.forget();
            }
            Some(ErrorCode::CoordinatorLoadInProgress) => {}
            Some(ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId) => self.fenced(),
            Some(ErrorCode::TopicAuthorizationFailed) => {
                self.complaint = Some(ClientError::Broker(ErrorCode::TopicAuthorizationFailed));
            }
            Some(error) => self.fail(ClientError::Broker(error)),
        }
        true
    }

    fn beaten(&mut self, now: Timestamp, response: &ConsumerGroupHeartbeatResponse) {
        let heartbeat = &mut self.heartbeat;
        heartbeat.failures = 0;
        heartbeat.retry_at = Timestamp::ZERO;
        let millis = u64::try_from(response.heartbeat_interval_ms).unwrap_or(0);
        if heartbeat.interval != Duration::from_millis(millis) {
            heartbeat.interval = Duration::from_millis(millis);
            heartbeat.next_at = now + heartbeat.interval;
        }
        self.epoch = response.member_epoch;
        let Some(assignment) = &response.assignment else { return };
        let partitions = assignment
            .topic_partitions
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, *partition)));
        self.target.update(partitions.collect());
        if self.target != self.current {
            self.state = MemberState::Reconciling;
        } else if matches!(self.state, MemberState::Joining | MemberState::Reconciling) {
            self.state = MemberState::Stable;
        }
    }

    pub(super) fn heartbeat_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        let Heartbeat { next_at, retry_at, poll_until, .. } = self.heartbeat;
        [next_at, retry_at, poll_until].into_iter()
    }
}

fn response(answer: &Answer) -> Option<&ConsumerGroupHeartbeatResponse> {
    let Answer::Response(Response::Other(response)) = answer else { return None };
    if let ResponseKind::ConsumerGroupHeartbeat(response) = &**response { Some(response) } else { None }
}
