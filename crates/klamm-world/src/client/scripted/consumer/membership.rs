//! A consumer in a group: it takes over what it is assigned, and begins where the group left off.

use std::collections::BTreeSet;

use klamm_node::{Timestamp, TopicPartition};

use super::assigned::{Assigned, Position, State};
use super::{API_TIMEOUT, Consumer};
use crate::client::ClientCtx;
use crate::client::scripted::base::Base;
use crate::client::scripted::error::ClientError;
use crate::client::scripted::group::{Committed, Member, Prepare};
use crate::client::scripted::history::HistoryEvent;
use crate::client::scripted::op::CommittedOffset;

impl Consumer {
    /// What has to happen in the group before records are read (`ConsumerCoordinator.poll`).
    pub(super) fn poll_group(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        let Some(member) = &mut self.member else { return };
        if !member.is_subscribed() {
            return;
        }
        if let Some(failure) = member.failure() {
            let failure = failure.clone();
            return self.fail_poll(failure);
        }
        match member {
            Member::Classic(_) => self.poll_classic(ctx, base),
            Member::Modern(member) => {
                if let Some(error) = member.take_complaint() {
                    self.fail_poll(error);
                } else if let Some(share) = member.reconcile(base) {
                    self.take_over(ctx, base, share, false);
                }
                // It joins, or says what it has now, at once.
                if let Some(member) = &mut self.member {
                    member.go_on(ctx, base);
                }
                self.give_up_lost(ctx);
            }
        }
    }

    fn poll_classic(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        let Some(Member::Classic(member)) = &mut self.member else { return };
        if let Some((partitions, cooperative)) = member.take_joined() {
            self.take_over(ctx, base, partitions, cooperative);
        }
        let Some(Member::Classic(member)) = &mut self.member else { return };
        member.find_coordinator(ctx, base);
        if let Some(prepare) = member.must_prepare() {
            member.prepared();
            self.prepare(ctx, prepare);
        }
        let owned: BTreeSet<_> = self.assigned.keys().cloned().collect();
        if let Some(Member::Classic(member)) = &mut self.member {
            member.go_on_polled(ctx, base, &owned);
        }
    }

    /// What a member of the consumer protocol has lost is read no further, polled or not.
    pub(super) fn give_up_lost(&mut self, ctx: &mut ClientCtx<'_>) {
        if let Some(Member::Modern(member)) = &mut self.member
            && member.take_lost()
        {
            let all = self.assigned.keys().cloned().collect();
            self.give_up(ctx, &all, true);
        }
    }

    /// Gives up what it has, as far as it must, before it joins (`onJoinPrepare`).
    fn prepare(&mut self, ctx: &mut ClientCtx<'_>, prepare: Prepare) {
        let topics = self.member.as_ref().map_or(&[][..], |member| member.topics());
        let keeps =
            |name: &TopicPartition| prepare == Prepare::KeepSubscribed && topics.contains(&name.topic);
        let given_up: BTreeSet<_> = self.assigned.keys().filter(|name| !keeps(name)).cloned().collect();
        self.give_up(ctx, &given_up, prepare == Prepare::LoseAll);
    }

    fn give_up(&mut self, ctx: &mut ClientCtx<'_>, partitions: &BTreeSet<TopicPartition>, lost: bool) {
        if partitions.is_empty() {
            return;
        }
        self.assigned.retain(|name, _| !partitions.contains(name));
        let partitions = partitions.iter().cloned().collect();
        ctx.happened(self.op(), HistoryEvent::Revoked { partitions, lost });
    }

    /// Takes its share over (`onJoinComplete`).
    fn take_over(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        share: BTreeSet<TopicPartition>,
        cooperative: bool,
    ) {
        let given_up: BTreeSet<_> =
            self.assigned.keys().filter(|name| !share.contains(*name)).cloned().collect();
        if let Some(Member::Classic(member)) = &mut self.member
            && cooperative
            && !given_up.is_empty()
        {
            // Whoever is to have them gets them in the next rebalance.
            member.request_rejoin();
        }
        self.give_up(ctx, &given_up, false);
        for name in &share {
            base.metadata.want(&name.topic);
            self.assigned.entry(name.clone()).or_insert_with(Assigned::new);
        }
        let generation = self.member.as_ref().map_or(-1, |member| member.generation());
        let partitions = share.into_iter().collect();
        ctx.happened(self.op(), HistoryEvent::Assigned { generation, partitions });
    }

    /// Asks what the group has committed for partitions without a position (`refreshCommittedOffsetsIfNeeded`).
    pub(super) fn ask_committed(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        let Some(member) = &mut self.member else { return };
        let unset = self.assigned.iter().filter(|(_, assigned)| assigned.state == State::Unset);
        let unset: Vec<_> = unset.map(|(name, _)| name.clone()).collect();
        if unset.is_empty() {
            self.refresh = None;
            return;
        }
        if self.refresh.as_ref().is_none_or(|refresh| refresh.partitions != unset) {
            self.refresh = Some(Committed::new(unset, Timestamp::MAX));
        }
        if let Some(refresh) = &mut self.refresh {
            refresh.go_on(ctx, base, member);
        }
    }

    /// Goes where the group left off.
    pub(super) fn on_refreshed(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &Base,
        result: Result<super::Offsets, ClientError>,
    ) {
        self.refresh = None;
        let offsets = match result {
            Ok(offsets) => offsets,
            Err(error) => return self.fail_poll(error),
        };
        for (name, committed) in offsets {
            let Some(assigned) = self.assigned.get_mut(&name).filter(|it| it.state == State::Unset) else {
                continue;
            };
            match (committed, self.spec.auto_offset_reset.timestamp()) {
                (Some(CommittedOffset { offset, leader_epoch }), _) => {
                    let epoch = Some(leader_epoch).filter(|epoch| *epoch >= 0);
                    assigned.seek(Position { offset, epoch, leader: None }, State::Fetching);
                    if let Some(leader) = base.metadata.leader(&name) {
                        assigned.saw_leader(leader);
                    }
                    let (partition, cause) = (name, "committed");
                    let event = HistoryEvent::Positioned { partition, from: None, to: offset, cause };
                    ctx.happened(self.op(), event);
                }
                (None, Some(timestamp)) => assigned.reset(timestamp),
                (None, None) => self.fail_poll(ClientError::NoOffset { partition: name }),
            }
        }
    }

    /// The offsets that a commit without any is about: where the consumer is.
    pub(super) fn offsets_to_commit(&self) -> std::collections::BTreeMap<TopicPartition, CommittedOffset> {
        let valid = |assigned: &&Assigned| matches!(assigned.state, State::Fetching | State::AwaitValidation);
        let position = |assigned: &Assigned| {
            let position = Some(assigned).filter(valid)?.position?;
            Some(CommittedOffset { offset: position.offset, leader_epoch: position.epoch.unwrap_or(-1) })
        };
        self.assigned.iter().filter_map(|(name, it)| Some((name.clone(), position(it)?))).collect()
    }

    pub(super) fn api_deadline(ctx: &ClientCtx<'_>) -> Timestamp {
        ctx.now + API_TIMEOUT
    }
}
