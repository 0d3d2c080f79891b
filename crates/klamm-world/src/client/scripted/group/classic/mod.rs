//! A member that speaks the classic protocol, with the rules of Java's (`AbstractCoordinator`, `ConsumerCoordinator`).

mod assignor;
mod heartbeat;
mod join;
mod protocol;

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::{Timestamp, TopicPartition};
use klamm_wire::messages::LeaveGroupRequest;
use klamm_wire::messages::leave_group_request::MemberIdentity;
use klamm_wire::{ApiKey, ErrorCode, Request, StrBytes};

use self::assignor::Assignment;
pub use self::assignor::Assignor;
use self::heartbeat::Heartbeat;
use super::coordinator::Coordinator;
use super::{Identity, MemberState, MemberStatus, Prepare, group_id};
use crate::client::scripted::base::Base;
use crate::client::scripted::error::ClientError;
use crate::client::scripted::settings::GroupSettings;
use crate::client::{Answer, ClientCtx};

const PROTOCOL_TYPE: &str = "consumer";
const LEAVE_VERSION: i16 = 5;

#[derive(Debug, Clone)]
struct Generation {
    id: i32,
    member_id: StrBytes,
    protocol: Option<Assignor>,
}

impl Generation {
    fn none() -> Self {
        Self { id: -1, member_id: StrBytes::default(), protocol: None }
    }
}

#[derive(Debug, Clone)]
pub(in super::super) struct Classic {
    settings: GroupSettings,
    /// What it subscribes to; nothing for a consumer that only commits.
    topics: Vec<StrBytes>,
    pub(super) coordinator: Coordinator,
    state: MemberState,
    generation: Generation,
    /// The JoinGroup or SyncGroup under way.
    asked: Option<i32>,
    rejoin_needed: bool,
    rejoin_at: Timestamp,
    /// What it has must be given up before it joins.
    needs_prepare: bool,
    heartbeat: Heartbeat,
    leads: bool,
    /// The leader's shares for all, and the partitions that there were when it shared them out.
    shares: Assignment,
    counted: BTreeMap<StrBytes, i32>,
    /// The share that was assigned and not taken over yet.
    joined: Option<BTreeSet<TopicPartition>>,
    /// An error after which it does nothing more.
    failure: Option<ClientError>,
}

impl Classic {
    pub(super) fn new(settings: GroupSettings) -> Self {
        Self {
            settings,
            topics: Vec::new(),
            coordinator: Coordinator::default(),
            state: MemberState::Unjoined,
            generation: Generation::none(),
            asked: None,
            rejoin_needed: false,
            rejoin_at: Timestamp::ZERO,
            needs_prepare: true,
            heartbeat: Heartbeat::default(),
            leads: false,
            shares: Assignment::new(),
            counted: BTreeMap::new(),
            joined: None,
            failure: None,
        }
    }

    pub(super) fn status(&self) -> MemberStatus {
        MemberStatus {
            state: self.state,
            member_id: self.generation.member_id.clone(),
            generation: self.generation.id,
            leads: self.leads && self.state == MemberState::Stable,
            coordinator: self.coordinator.broker(),
        }
    }

    /// Whether it is, or wants to be, in the group.
    pub(super) const fn is_subscribed(&self) -> bool {
        !self.topics.is_empty()
    }

    pub(super) const fn generation(&self) -> i32 {
        self.generation.id
    }

    /// Why it can do nothing more.
    pub(super) const fn failure(&self) -> Option<&ClientError> {
        self.failure.as_ref()
    }

    /// Subscribes to these topics instead of what it was subscribed to.
    pub(super) fn subscribe(&mut self, topics: Vec<StrBytes>) {
        self.topics = topics;
        self.failure = None;
        self.request_rejoin();
    }

    /// Leaves the group, and wants nothing any more.
    pub(super) fn unsubscribe(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        self.leave(ctx, base, "the consumer unsubscribed from all topics");
        self.topics.clear();
        self.rejoin_needed = false;
        self.failure = None;
    }

    /// Heartbeats, and whatever else goes on between polls.
    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        if self.failure.is_some() || !self.is_subscribed() {
            return;
        }
        if self.state != MemberState::Unjoined {
            self.find_coordinator(ctx, base);
        }
        self.go_on_heartbeat(ctx, base);
    }

    pub(in super::super) fn find_coordinator(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        let group = self.settings.group_id.clone();
        self.coordinator.go_on(ctx, base, &group);
    }

    /// Whether what it has must be given up now, because it is about to join: all of it is lost, or the protocol has it so.
    pub(in super::super) fn must_prepare(&self) -> Option<Prepare> {
        let due = self.rejoin_needed && self.needs_prepare && self.asked.is_none() && self.failure.is_none();
        if !due || self.coordinator.broker().is_none() {
            return None;
        }
        if self.generation.id < 0 || self.generation.member_id.is_empty() {
            return Some(Prepare::LoseAll);
        }
        let cooperative = self.settings.assignors.iter().all(|assignor| assignor.is_cooperative());
        Some(if cooperative { Prepare::KeepSubscribed } else { Prepare::RevokeAll })
    }

    pub(in super::super) const fn prepared(&mut self) {
        self.needs_prepare = false;
    }

    pub(super) fn topics(&self) -> &[StrBytes] {
        &self.topics
    }

    /// The share that was assigned since the last poll, and whether what is not in it must be given up and the group
    /// joined again.
    pub(in super::super) fn take_joined(&mut self) -> Option<(BTreeSet<TopicPartition>, bool)> {
        if self.state != MemberState::Stable {
            return None;
        }
        let joined = self.joined.take()?;
        self.needs_prepare = true;
        Some((joined, self.generation.protocol.is_some_and(Assignor::is_cooperative)))
    }

    /// Joins as long as its consumer polls.
    pub(in super::super) fn go_on_polled(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        owned: &BTreeSet<TopicPartition>,
    ) {
        if self.failure.is_some() {
            return;
        }
        self.find_coordinator(ctx, base);
        // The leader looks after topics that grow.
        let grown = |(topic, count): (&StrBytes, &i32)| base.metadata.partitions(topic) != *count;
        if self.leads && self.state == MemberState::Stable && self.counted.iter().any(grown) {
            self.request_rejoin();
        }
        self.go_on_join(ctx, base, owned);
    }

    /// Takes an answer to something that the member asked; false when it is another's.
    pub(super) fn on_answer(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        correlation_id: i32,
        answer: &Answer,
    ) -> bool {
        if let Some(result) = self.coordinator.on_answer(ctx, base, correlation_id, answer) {
            if let Err(error) = result {
                self.fail(error);
            }
            return true;
        }
        if self.asked == Some(correlation_id) {
            self.asked = None;
            match self.state {
                MemberState::PreparingRebalance => self.on_join(ctx, base, answer),
                MemberState::CompletingRebalance => self.on_sync(ctx, base, answer),
                _ => {}
            }
            return true;
        }
        self.on_heartbeat(ctx, base, correlation_id, answer)
    }

    pub(super) const fn settings(&self) -> &GroupSettings {
        &self.settings
    }

    /// Who subscribes has to be in the group to commit; who assigns for itself commits as nobody in particular.
    pub(super) fn objects_to_commit(&self) -> Option<ClientError> {
        match self.state {
            _ if !self.is_subscribed() => None,
            MemberState::Stable => None,
            MemberState::Unjoined => Some(ClientError::CommitFailed { error: None }),
            _ => Some(ClientError::Broker(ErrorCode::RebalanceInProgress)),
        }
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            generation: self.generation.id,
            member_id: self.generation.member_id.clone(),
            instance: self.settings.instance_id.clone().filter(|_| self.is_subscribed()),
        }
    }

    /// Takes a commit's error that no retry heals (`OffsetCommitResponseHandler`).
    pub(super) fn commit_refused(&mut self, error: ErrorCode, sent: &Identity) -> ClientError {
        let unchanged =
            (sent.generation, &sent.member_id) == (self.generation.id, &self.generation.member_id);
        match error {
            ErrorCode::RebalanceInProgress => {
                self.request_rejoin();
                ClientError::Broker(error)
            }
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::FencedInstanceId => {
                if !unchanged && self.state == MemberState::PreparingRebalance {
                    return ClientError::Broker(ErrorCode::RebalanceInProgress);
                }
                if error != ErrorCode::FencedInstanceId {
                    self.reset_generation(error != ErrorCode::IllegalGeneration);
                    self.rejoin();
                }
                ClientError::CommitFailed { error: Some(error) }
            }
            error => ClientError::Broker(error),
        }
    }

    /// Wants to join again, and keeps its place until then (`requestRejoin`).
    pub(in super::super) const fn request_rejoin(&mut self) {
        self.rejoin_needed = true;
    }

    /// Is out of the group, and wants to join again.
    fn rejoin(&mut self) {
        self.state = MemberState::Unjoined;
        self.asked = None;
        self.joined = None;
        self.rejoin_needed = true;
    }

    /// Forgets its generation (`resetStateAndGeneration`).
    fn reset_generation(&mut self, member_id_too: bool) {
        let member_id = std::mem::take(&mut self.generation.member_id);
        self.generation = Generation::none();
        if !member_id_too {
            self.generation.member_id = member_id;
        }
        self.state = MemberState::Unjoined;
        self.needs_prepare = true;
    }

    fn fail(&mut self, error: ClientError) {
        self.state = MemberState::Unjoined;
        self.asked = None;
        self.failure = Some(error);
    }

    /// Tells the coordinator that it goes, unless it is a static member, and forgets its generation
    /// (`maybeLeaveGroup`).
    fn leave(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base, why: &'static str) {
        let tells = self.settings.instance_id.is_none()
            && self.state != MemberState::Unjoined
            && !self.generation.member_id.is_empty();
        if tells && let Some(to) = self.coordinator.ready(ctx, base) {
            let member_id = self.generation.member_id.clone();
            let request = LeaveGroupRequest::default().with_group_id(group_id(&self.settings));
            base.ask(ctx, to, ApiKey::LeaveGroup, LEAVE_VERSION, |version| {
                let identity = MemberIdentity::default().with_member_id(member_id.clone());
                Request::LeaveGroup(match version {
                    ..3 => request.with_member_id(member_id),
                    3 | 4 => request.with_members(vec![identity]),
                    5.. => {
                        request.with_members(vec![identity.with_reason(Some(StrBytes::from_static_str(why)))])
                    }
                })
            });
        }
        self.reset_generation(true);
        self.rejoin();
    }

    pub(super) fn next_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        let lives = self.failure.is_none();
        let rejoin = Some(self.rejoin_at).filter(|_| self.rejoin_needed && lives);
        let beats = self.heartbeat_deadlines().filter(move |_| lives);
        self.coordinator.next_deadline().into_iter().chain(rejoin).chain(beats)
    }
}
