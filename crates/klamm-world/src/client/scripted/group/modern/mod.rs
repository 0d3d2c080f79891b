//! A member that speaks the consumer protocol (KIP-848), with the rules of Java's (`AbstractMembershipManager`,
//! `ConsumerMembershipManager`).
//!
//! Whatever it has to say or to hear is in one request, ConsumerGroupHeartbeat. The coordinator names the member's share; the
//! member gives up and takes over while its consumer polls, and says so with its next heartbeat. It has no rebalance
//! listener, and joins again at once when it is fenced.

mod heartbeat;

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::{NodeId, Timestamp, TopicPartition};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use self::heartbeat::{Heartbeat, LEAVE, LEAVE_FOR_A_WHILE};
use super::coordinator::Coordinator;
use super::{Identity, MemberState, MemberStatus};
use crate::client::scripted::base::Base;
use crate::client::scripted::error::ClientError;
use crate::client::scripted::settings::GroupSettings;
use crate::client::{Answer, ClientCtx, second_connection};

#[derive(Debug, Clone)]
pub(in super::super) struct Modern {
    settings: GroupSettings,
    topics: Vec<StrBytes>,
    pub(super) coordinator: Coordinator,
    state: MemberState,
    /// Its own choice, for as long as it lives; empty before it is first needed.
    member_id: StrBytes,
    /// The member epoch; 0 for who is about to join.
    epoch: i32,
    /// What it is to have.
    target: Share,
    /// What it has.
    current: Share,
    /// The topics of what it has: metadata may have forgotten them.
    names: BTreeMap<Uuid, StrBytes>,
    /// It was subscribed, and joins at the next poll.
    wants_to_join: bool,
    /// What it had is not its any more, and its consumer has not heard of that yet.
    lost: bool,
    heartbeat: Heartbeat,
    /// An error for the next poll, after which it goes on.
    complaint: Option<ClientError>,
    /// An error after which it does nothing more.
    failure: Option<ClientError>,
}

/// Partitions, and how many shares there were before in this membership (`LocalAssignment`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Share {
    /// `None` before the first.
    local_epoch: Option<u64>,
    partitions: BTreeSet<(Uuid, i32)>,
}

impl Share {
    /// Takes over what the coordinator says, if it is anything new.
    fn update(&mut self, partitions: BTreeSet<(Uuid, i32)>) {
        if self.local_epoch.is_none() || self.partitions != partitions {
            let local_epoch = Some(self.local_epoch.map_or(0, |epoch| epoch + 1));
            *self = Self { local_epoch, partitions };
        }
    }
}

impl Modern {
    pub(super) fn new(settings: GroupSettings) -> Self {
        Self {
            settings,
            topics: Vec::new(),
            coordinator: Coordinator::default(),
            state: MemberState::Unjoined,
            member_id: StrBytes::default(),
            epoch: 0,
            target: Share::default(),
            current: Share::default(),
            names: BTreeMap::new(),
            wants_to_join: false,
            lost: false,
            heartbeat: Heartbeat::default(),
            complaint: None,
            failure: None,
        }
    }

    pub(super) fn status(&self) -> MemberStatus {
        MemberStatus {
            state: self.state,
            member_id: self.member_id.clone(),
            generation: self.generation(),
            leads: false,
            coordinator: self.coordinator.broker(),
        }
    }

    pub(super) const fn settings(&self) -> &GroupSettings {
        &self.settings
    }

    pub(super) const fn is_subscribed(&self) -> bool {
        !self.topics.is_empty()
    }

    pub(super) const fn generation(&self) -> i32 {
        if self.epoch > 0 { self.epoch } else { -1 }
    }

    pub(super) const fn failure(&self) -> Option<&ClientError> {
        self.failure.as_ref()
    }

    pub(super) fn topics(&self) -> &[StrBytes] {
        &self.topics
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            generation: self.generation(),
            member_id: self.member_id.clone(),
            instance: self.settings.instance_id.clone().filter(|_| self.is_subscribed()),
        }
    }

    /// A commit's error that no retry heals (`CommitRequestManager`).
    pub(super) const fn commit_refused(&self, error: ErrorCode) -> ClientError {
        match error {
            ErrorCode::UnknownMemberId | ErrorCode::StaleMemberEpoch => {
                ClientError::CommitFailed { error: Some(error) }
            }
            error => ClientError::Broker(error),
        }
    }

    pub(super) fn subscribe(&mut self, topics: Vec<StrBytes>) {
        self.topics = topics;
        self.failure = None;
        self.wants_to_join = true;
    }

    pub(super) fn unsubscribe(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        self.leave(ctx, base);
        self.state = MemberState::Unjoined;
        self.topics.clear();
        self.wants_to_join = false;
        self.failure = None;
    }

    pub(super) fn polled(&mut self, now: Timestamp) {
        self.heartbeat.poll_until = now + self.settings.max_poll_interval;
        let joins = match self.state {
            MemberState::Unjoined => std::mem::take(&mut self.wants_to_join),
            MemberState::Stale => true,
            _ => false,
        };
        if joins && self.failure.is_none() {
            self.join();
        }
    }

    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        if self.failure.is_some() || !self.is_in_group() {
            return;
        }
        self.find_coordinator(ctx, base);
        if self.heartbeat.poll_until <= ctx.now {
            self.leave(ctx, base);
            self.state = MemberState::Stale;
            self.lost = true;
            return;
        }
        self.go_on_heartbeat(ctx, base);
    }

    pub(super) fn find_coordinator(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        let group = self.settings.group_id.clone();
        self.coordinator.go_on(ctx, base, &group);
    }

    pub(super) fn on_answer(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &Base,
        correlation_id: i32,
        answer: &Answer,
    ) -> bool {
        if let Some(result) = self.coordinator.on_answer(ctx, base, correlation_id, answer) {
            if let Err(error) = result {
                self.fail(error);
            }
            return true;
        }
        self.on_heartbeat(ctx, base, correlation_id, answer)
    }

    /// A connection broke: the coordinator may be another by now, if it was the one to it.
    pub(in super::super) fn on_lost(&mut self, address: NodeId) {
        if self.coordinator.broker().map(second_connection) == Some(address) {
            self.coordinator.forget();
        }
    }

    /// Whether others may have what the consumer still reads. It is told once.
    pub(in super::super) const fn take_lost(&mut self) -> bool {
        std::mem::replace(&mut self.lost, false)
    }

    /// An error that the poll has to tell. It is told once.
    pub(in super::super) const fn take_complaint(&mut self) -> Option<ClientError> {
        self.complaint.take()
    }

    /// What the consumer has to read from now on, when that changes; the next heartbeat says that it does (`maybeReconcile`).
    /// A topic that metadata does not know yet has to wait.
    pub(in super::super) fn reconcile(&mut self, base: &mut Base) -> Option<BTreeSet<TopicPartition>> {
        if self.state != MemberState::Reconciling || self.current == self.target {
            return None;
        }
        let mut share = Share { local_epoch: self.target.local_epoch, partitions: BTreeSet::new() };
        let (mut names, mut partitions) = (BTreeMap::new(), BTreeSet::new());
        for (id, partition) in &self.target.partitions {
            let Some(name) = base.metadata.topic_name(id).or_else(|| self.names.get(id)).cloned() else {
                base.metadata.request_update();
                continue;
            };
            share.partitions.insert((*id, *partition));
            partitions.insert(TopicPartition { topic: name.clone(), partition: *partition });
            names.insert(*id, name);
        }
        let is_same = self.current.local_epoch.is_some() && self.current.partitions == share.partitions;
        if is_same && self.current.local_epoch == share.local_epoch {
            return None;
        }
        self.current = share;
        self.names = names;
        self.state = MemberState::Acknowledging;
        (!is_same).then_some(partitions)
    }

    const fn is_in_group(&self) -> bool {
        !matches!(self.state, MemberState::Unjoined | MemberState::Stale)
    }

    fn join(&mut self) {
        self.state = MemberState::Joining;
        self.epoch = 0;
        self.target = Share::default();
        self.names.clear();
        self.heartbeat.begin_anew();
    }

    /// The coordinator knows it no more, or not in this epoch: it loses what it has, and joins again.
    fn fenced(&mut self) {
        self.current = Share::default();
        self.lost = true;
        self.join();
    }

    fn fail(&mut self, error: ClientError) {
        self.state = MemberState::Unjoined;
        self.epoch = 0;
        self.current = Share::default();
        self.lost = true;
        self.failure = Some(error);
    }

    /// Tells the coordinator, if that can be done now, that it goes; a static member says that it will be back.
    fn leave(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        if self.is_in_group() {
            self.epoch = if self.settings.instance_id.is_some() { LEAVE_FOR_A_WHILE } else { LEAVE };
            self.current = Share::default();
            self.send_heartbeat(ctx, base);
        }
        self.epoch = 0;
        self.target = Share::default();
        self.current = Share::default();
        self.names.clear();
        self.heartbeat.begin_anew();
    }

    pub(super) fn next_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        let beats = self.is_in_group() && self.failure.is_none();
        self.coordinator.next_deadline().into_iter().chain(self.heartbeat_deadlines().filter(move |_| beats))
    }
}
