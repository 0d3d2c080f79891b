//! A member of a group, with the rules of Java's (`AbstractCoordinator`, `ConsumerCoordinator`): the classic protocol.
//!
//! It joins and rejoins while its consumer polls; between polls it keeps its place with heartbeats, until
//! `max.poll.interval.ms` is over. Nothing is committed by itself (`enable.auto.commit=false`).

mod assignor;
mod coordinator;
mod heartbeat;
mod join;
mod offsets;
mod protocol;

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::{NodeId, Timestamp, TopicPartition};
use klamm_wire::messages::leave_group_request::MemberIdentity;
use klamm_wire::messages::{GroupId, LeaveGroupRequest};
use klamm_wire::{ApiKey, Request, StrBytes};

use self::assignor::Assignment;
pub use self::assignor::Assignor;
use self::coordinator::Coordinator;
use self::heartbeat::Heartbeat;
pub(super) use self::offsets::{Commit, Committed, OffsetsAnswer};
use super::base::Base;
use super::error::ClientError;
use super::settings::GroupSettings;
use crate::client::{Answer, ClientCtx};

const PROTOCOL_TYPE: &str = "consumer";
const LEAVE_VERSION: i16 = 5;

/// Where a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    /// Not in the group.
    Unjoined,
    /// It has asked to join.
    PreparingRebalance,
    /// It has joined, and has asked for its share.
    CompletingRebalance,
    /// It has its share.
    Stable,
}

/// A member, as it sees itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Where it stands.
    pub state: MemberState,
    /// The id that the coordinator gave it; empty for none.
    pub member_id: StrBytes,
    /// The generation it is in; -1 for none.
    pub generation: i32,
    /// Whether it leads the group.
    pub leads: bool,
    /// The broker that it believes to be the coordinator.
    pub coordinator: Option<NodeId>,
}

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
pub(super) struct Member {
    settings: GroupSettings,
    /// What it subscribes to; nothing for a consumer that only commits.
    topics: Vec<StrBytes>,
    coordinator: Coordinator,
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

impl Member {
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

    fn group_id(&self) -> GroupId {
        GroupId(self.settings.group_id.clone())
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
    pub(super) fn subscribe(&mut self, base: &mut Base, topics: Vec<StrBytes>) {
        for topic in &topics {
            base.metadata.want(topic);
        }
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

    pub(super) fn find_coordinator(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        let group = self.settings.group_id.clone();
        self.coordinator.go_on(ctx, base, &group);
    }

    /// Whether what it has must be given up now, because it is about to join: all of it is lost, or the protocol has it so.
    pub(super) fn must_prepare(&self) -> Option<Prepare> {
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

    pub(super) const fn prepared(&mut self) {
        self.needs_prepare = false;
    }

    pub(super) fn topics(&self) -> &[StrBytes] {
        &self.topics
    }

    /// The share that was assigned since the last poll, and whether what is not in it must be given up and the group
    /// joined again.
    pub(super) fn take_joined(&mut self) -> Option<(BTreeSet<TopicPartition>, bool)> {
        if self.state != MemberState::Stable {
            return None;
        }
        let joined = self.joined.take()?;
        self.needs_prepare = true;
        Some((joined, self.generation.protocol.is_some_and(Assignor::is_cooperative)))
    }

    /// Joins as long as its consumer polls.
    pub(super) fn go_on_polled(
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
                MemberState::Unjoined | MemberState::Stable => {}
            }
            return true;
        }
        self.on_heartbeat(ctx, base, correlation_id, answer)
    }

    /// Wants to join again, and keeps its place until then (`requestRejoin`).
    pub(super) const fn request_rejoin(&mut self) {
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
            let request = LeaveGroupRequest::default().with_group_id(self.group_id());
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

/// What a member does with what it has before it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prepare {
    /// It is out of the group: others may have it by now.
    LoseAll,
    /// It gives everything up.
    RevokeAll,
    /// It gives up what it no longer subscribes to.
    KeepSubscribed,
}
