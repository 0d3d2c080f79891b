//! The group coordinator (Kafka's `GroupCoordinatorService`): who may ask what, and which shard answers.
//!
//! Each partition of `__consumer_offsets` that this broker leads is a [`shard::Shard`]: a state machine that knows its log and
//! its broker only as a [`host::Host`]. Groups are classic ones; every request is answered from one shard, except
//! those that name several groups ([`gather`]).
//!
//! Rules are Kafka 4.4's. What a client sees different: a second JoinGroup or SyncGroup of a member whose first one still
//! waits gets the first one answered with `REBALANCE_IN_PROGRESS`, where Kafka leaves it without an answer.

mod classic;
mod commit;
mod config;
mod describe;
mod done;
mod fetch;
mod force;
mod gather;
mod groups;
mod host;
mod inspect;
mod join;
mod leave;
mod member;
pub(crate) mod modern;
mod offsets;
mod partitioner;
mod pending;
mod rebalance;
mod records;
mod reply;
mod shard;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod timer;
pub(crate) mod txn;
mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::Ctx;
use klamm_wire::messages::consumer_group_describe_response::DescribedGroup as ConsumerDescribed;
use klamm_wire::messages::delete_groups_response::DeletableGroupResult;
use klamm_wire::messages::describe_groups_response::DescribedGroup;
use klamm_wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup as ShareOffsetsRequest;
use klamm_wire::messages::describe_share_group_offsets_response::DescribeShareGroupOffsetsResponseGroup as ShareOffsets;
use klamm_wire::messages::list_groups_response::ListedGroup;
use klamm_wire::messages::offset_commit_response::OffsetCommitResponseTopic;
use klamm_wire::messages::share_group_describe_response::DescribedGroup as ShareDescribed;
use klamm_wire::messages::{
    ConsumerGroupHeartbeatRequest, GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest,
    LeaveGroupResponse, OffsetCommitRequest, OffsetDeleteRequest, OffsetDeleteResponse, ResponseKind,
    ShareGroupHeartbeatRequest, SyncGroupRequest,
};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use crate::core::{CoordinatorEvent, Core, GROUP_METADATA_TOPIC, RequestContext};
use crate::handlers::group::find_coordinator::WaitingFinds;

pub(crate) use fetch::GroupFetch;
pub(crate) use host::offsets_partition;
pub use inspect::{AssignedPartitions, GroupInspection, GroupMemberInspection};
pub(crate) use modern::share::initialize::{Answers, Asks, ShareAsked};
pub(crate) use partitioner::partition_for;
pub(crate) use shard::coordinator_error;
pub(crate) use timer::GroupTimer;
pub use view::GroupView;

use config::GroupConfig;
use gather::Gathers;
use host::Host;
use join::Join;
use member::Parked;
pub(crate) use member::own;
use modern::consumer::heartbeat;
use modern::refusal::Refusal;
use modern::share::heartbeat as share_heartbeat;
use modern::share::offsets::{self as share_offsets, OffsetsAsked};

use shard::{Env, Shard, ShardState};

/// Groups, and the offsets they committed.
#[derive(Debug, Clone)]
pub(crate) struct GroupCoordinator {
    config: GroupConfig,
    shards: BTreeMap<i32, Shard>,
    gathers: Gathers,
    /// How many partitions `__consumer_offsets` has; the configured number until it exists.
    partitions: i32,
    /// FindCoordinator requests that wait for `__consumer_offsets`.
    pub(crate) waiting_finds: WaitingFinds,
}

impl GroupCoordinator {
    /// A coordinator that has loaded nothing.
    pub(crate) fn new(core: &mut Core, _ctx: &mut Ctx<'_>) -> Self {
        Self::with_config(GroupConfig::new(&core.config))
    }

    fn with_config(config: GroupConfig) -> Self {
        let partitions = config.partitions;
        Self {
            config,
            shards: BTreeMap::new(),
            gathers: Gathers::default(),
            partitions,
            waiting_finds: WaitingFinds::default(),
        }
    }

    /// Takes note of an election, a resignation, a commit or a deletion.
    pub(crate) fn on_event(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, event: CoordinatorEvent) {
        if let Some(partitions) = core.partition_count(GROUP_METADATA_TOPIC) {
            self.partitions = partitions;
        }
        self.on_host_event(core, ctx, event);
    }

    fn on_host_event(&mut self, host: &mut dyn Host, ctx: &mut Ctx<'_>, event: CoordinatorEvent) {
        match event {
            CoordinatorEvent::Elected { topic, partition, leader_epoch }
                if topic.as_str() == GROUP_METADATA_TOPIC =>
            {
                self.elected(host, ctx, partition, leader_epoch);
            }
            CoordinatorEvent::Resigned { topic, partition } if topic.as_str() == GROUP_METADATA_TOPIC => {
                if let Some(shard) = self.shards.remove(&partition) {
                    let gathers = &mut self.gathers;
                    shard.unload(&mut Env { host, ctx, config: &self.config, gathers });
                }
            }
            CoordinatorEvent::HighWatermark { topic, partition, offset }
                if topic.as_str() == GROUP_METADATA_TOPIC =>
            {
                if let Some((shard, mut env)) = self.shard(host, ctx, partition)
                    && shard.state == ShardState::Active
                {
                    shard.on_high_watermark(&mut env, offset);
                }
            }
            CoordinatorEvent::TopicsDeleted { topics } => self.topics_deleted(host, ctx, &topics),
            CoordinatorEvent::Elected { .. }
            | CoordinatorEvent::Resigned { .. }
            | CoordinatorEvent::HighWatermark { .. }
            | CoordinatorEvent::ProducerIds { .. } => {}
        }
    }

    /// A deadline has come.
    pub(crate) fn on_timer(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, timer: GroupTimer) {
        match timer {
            GroupTimer::Find => self.waiting_finds.expire(core, ctx),
            timer => self.on_host_timer(core, ctx, timer),
        }
    }

    fn on_host_timer(&mut self, host: &mut dyn Host, ctx: &mut Ctx<'_>, timer: GroupTimer) {
        let Some(partition) = timer.partition() else { return };
        if matches!(timer, GroupTimer::Load { .. }) {
            return self.load(host, ctx, partition);
        }
        let Some((shard, mut env)) = self.shard(host, ctx, partition) else { return };
        if shard.state != ShardState::Active {
            return;
        }
        match timer {
            GroupTimer::Find | GroupTimer::Load { .. } => {}
            GroupTimer::WriteTimeout { .. } => shard.on_write_timeout(&mut env),
            GroupTimer::ExpireOffsets { .. } => shard.expire_offsets(&mut env),
            GroupTimer::Join { group, .. } => shard.on_join_timeout(&mut env, &group),
            GroupTimer::Sync { group, .. } => shard.on_sync_timeout(&mut env, &group),
            GroupTimer::Session { group, member, .. } => {
                if !shard.fence_silent(&mut env, &group, &member, "session expired") {
                    shard.on_session_timeout(&mut env, &group, &member);
                }
            }
            GroupTimer::Rebalance { group, member, .. } => {
                shard.on_rebalance_timeout(&mut env, &group, &member);
            }
            GroupTimer::MemberJoin { group, member, .. } => {
                shard.fence_silent(&mut env, &group, &member, "did not join in time");
            }
            GroupTimer::MemberSync { group, member, .. } => {
                shard.fence_silent(&mut env, &group, &member, "did not sync in time");
            }
        }
    }

    /// When the offsets of a shard might expire, in milliseconds of the wall clock, as long as nobody uses its groups; `None` for
    /// never.
    pub(crate) fn next_expiry_ms(&self, partition: i32) -> Option<i64> {
        match self.shards.get(&partition) {
            Some(shard) if shard.state == ShardState::Active => {
                shard.next_expiry_ms(self.config.offsets_retention_ms)
            }
            _ => Some(i64::MIN),
        }
    }

    /// How often expired offsets are looked for.
    pub(crate) const fn expiry_interval(&self) -> Duration {
        Duration::from_millis(self.config.offsets_retention_check_interval_ms)
    }

    /// The partition of `__consumer_offsets` that keeps a group.
    pub(crate) fn partition_for(&self, group: &str) -> i32 {
        partition_for(group, self.partitions)
    }

    /// JoinGroup.
    pub(crate) fn join(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: JoinGroupRequest,
    ) {
        let timeouts = self.config.min_session_timeout_ms..=self.config.max_session_timeout_ms;
        let valid = if request.group_id.is_empty() {
            Err(ErrorCode::InvalidGroupId)
        } else if !timeouts.contains(&request.session_timeout_ms) {
            Err(ErrorCode::InvalidSessionTimeout)
        } else {
            Ok(())
        };
        if let Err(error) = valid {
            return reply::join_error(ctx, parked(rc), request.member_id, error);
        }
        match self.lookup(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.join(&mut env, Join::new(rc, request));
            }
            Err(error) => reply::join_error(ctx, parked(rc), StrBytes::default(), error),
        }
    }

    /// SyncGroup. Since version 5 a member says which protocol it means.
    pub(crate) fn sync(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: SyncGroupRequest,
    ) {
        if rc.api_version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
            return reply::sync_error(ctx, parked(rc), ErrorCode::InconsistentGroupProtocol);
        }
        if request.group_id.is_empty() {
            return reply::sync_error(ctx, parked(rc), ErrorCode::InvalidGroupId);
        }
        match self.lookup(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.sync(&mut env, rc, request);
            }
            Err(error) => reply::sync_error(ctx, parked(rc), error),
        }
    }

    /// Heartbeat.
    pub(crate) fn heartbeat(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: &HeartbeatRequest,
    ) {
        if request.group_id.is_empty() {
            return reply::heartbeat(ctx, rc.reply_to, ErrorCode::InvalidGroupId);
        }
        match self.lookup(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.heartbeat(&mut env, rc, request);
            }
            // While the group loads nobody can be missed: sessions start when it has.
            Err(ErrorCode::CoordinatorLoadInProgress) => {
                reply::heartbeat(ctx, rc.reply_to, ErrorCode::None);
            }
            Err(error) => reply::heartbeat(ctx, rc.reply_to, error),
        }
    }

    /// ConsumerGroupHeartbeat.
    pub(crate) fn consumer_heartbeat(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: ConsumerGroupHeartbeatRequest,
    ) {
        let partition = match heartbeat::validate(&self.config, &request, rc.api_version) {
            Ok(()) => self.lookup(&request.group_id).map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        match partition {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.consumer_heartbeat(&mut env, rc, request);
            }
            Err(refusal) => {
                let response = heartbeat::error_response(refusal);
                ctx.reply(rc.reply_to, ResponseKind::ConsumerGroupHeartbeat(response));
            }
        }
    }

    /// ShareGroupHeartbeat.
    pub(crate) fn share_heartbeat(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: ShareGroupHeartbeatRequest,
    ) {
        let partition = match share_heartbeat::validate(&request) {
            Ok(()) => self.lookup(&request.group_id).map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        match partition {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.share_heartbeat(&mut env, rc, request);
            }
            Err(refusal) => {
                let response = share_heartbeat::error_response(refusal);
                ctx.reply(rc.reply_to, ResponseKind::ShareGroupHeartbeat(response));
            }
        }
    }

    /// The share coordinator answered what was asked on behalf of a group.
    pub(crate) fn on_share_answers(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        asked: ShareAsked,
        answers: &Answers,
    ) {
        let partition = self.partition_for(asked.group());
        let active = self.shard(core, ctx, partition).filter(|(shard, _)| shard.state == ShardState::Active);
        match (asked, active) {
            (ShareAsked::Offsets(asked), _) => {
                let (gather, slot) = (asked.gather, asked.slot);
                let group = asked.answer(core, answers);
                self.gathers.share_offsets_described(ctx, gather, slot, group);
            }
            (ShareAsked::Initialize(group), Some((shard, mut env))) => {
                shard.on_share_state_initialized(&mut env, &group, answers);
            }
            (ShareAsked::Delete(deletion), Some((shard, mut env))) => {
                shard.on_share_state_deleted(&mut env, deletion, answers);
            }
            (ShareAsked::Alter(alteration), Some((shard, mut env))) => {
                shard.on_share_offsets_altered(&mut env, alteration, answers);
            }
            // The partitions begin elsewhere, whoever is the coordinator.
            (ShareAsked::Alter(alteration), None) => alteration.answered(ctx, answers),
            (ShareAsked::DeleteOffsets(deletion), Some((shard, mut env))) => {
                shard.on_share_offsets_deleted(&mut env, deletion, answers);
            }
            (ShareAsked::DeleteOffsets(deletion), None) => deletion.abandoned(ctx, answers),
            (asked @ (ShareAsked::Initialize(_) | ShareAsked::Delete(_)), None) => {
                asked.refused(&mut self.gathers, ctx, ErrorCode::NotCoordinator);
            }
        }
    }

    /// DescribeShareGroupOffsets, of any number of groups.
    pub(crate) fn describe_share_offsets(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        groups: Vec<ShareOffsetsRequest>,
    ) {
        let gather = self.gathers.describe_share_offsets(ctx, parked(rc), groups.len());
        for (slot, ShareOffsetsRequest { group_id, topics, .. }) in groups.into_iter().enumerate() {
            let planned = match topics {
                Some(topics) => Ok(share_offsets::ask_about_topics(host, &group_id, topics)),
                None => {
                    let partition = self.partition_for(&group_id);
                    self.shard_state(partition).map(|()| {
                        let shard = self.shards.get(&partition).into_iter();
                        let asks = shard.flat_map(|shard| shard.ask_about_share_offsets(host, &group_id));
                        (asks.collect(), Vec::new())
                    })
                }
            };
            match planned {
                // Without questions the answer is there at the end of the step.
                Ok((asks, unknown)) => {
                    let asked = OffsetsAsked { group: group_id.0, gather, slot, unknown };
                    host.ask_share_coordinator(ctx, asks, ShareAsked::Offsets(asked));
                }
                Err(error) => {
                    let group = ShareOffsets::default().with_group_id(group_id).with_error_code(error.code());
                    self.gathers.share_offsets_described(ctx, gather, slot, group);
                }
            }
        }
    }

    /// ShareGroupDescribe, one group.
    pub(crate) fn describe_share(&self, host: &dyn Host, id: &GroupId) -> ShareDescribed {
        let partition = self.partition_for(id);
        match (self.shard_state(partition), self.shards.get(&partition)) {
            (Ok(()), Some(shard)) => shard.describe_share(host, id),
            (state, _) => {
                let error = state.err().unwrap_or(ErrorCode::NotCoordinator);
                ShareDescribed::default().with_group_id(id.clone()).with_error_code(error.code())
            }
        }
    }

    /// ConsumerGroupDescribe, one group.
    pub(crate) fn describe_consumer(&self, host: &dyn Host, id: &GroupId) -> ConsumerDescribed {
        let partition = self.partition_for(id);
        match (self.shard_state(partition), self.shards.get(&partition)) {
            (Ok(()), Some(shard)) => {
                shard.describe_consumer(host, id, self.config.consumer.default_assignor().name())
            }
            (state, _) => {
                let error = state.err().unwrap_or(ErrorCode::NotCoordinator);
                ConsumerDescribed::default().with_group_id(id.clone()).with_error_code(error.code())
            }
        }
    }

    /// LeaveGroup.
    pub(crate) fn leave(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: LeaveGroupRequest,
    ) {
        match self.lookup_named(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.leave(&mut env, rc, request);
            }
            Err(error) => {
                let response = LeaveGroupResponse::default().with_error_code(error.code());
                reply::leave(ctx, parked(rc), response);
            }
        }
    }

    /// OffsetCommit. `refused` are topics that do not exist.
    pub(crate) fn commit(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: OffsetCommitRequest,
        refused: Vec<OffsetCommitResponseTopic>,
    ) {
        match self.lookup(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.commit(&mut env, rc, request, refused);
            }
            Err(error) => {
                let response = done::commit_response(refused, commit::commit_error(&request, error));
                ctx.reply(rc.reply_to, ResponseKind::OffsetCommit(response));
            }
        }
    }

    /// OffsetDelete. `response` holds what was refused before.
    pub(crate) fn delete_offsets(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: OffsetDeleteRequest,
        response: OffsetDeleteResponse,
    ) {
        match self.lookup_named(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.delete_offsets(&mut env, rc, request, response);
            }
            Err(error) => {
                let response = OffsetDeleteResponse::default().with_error_code(error.code());
                ctx.reply(rc.reply_to, ResponseKind::OffsetDelete(response));
            }
        }
    }

    /// OffsetFetch, of any number of groups.
    pub(crate) fn fetch(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        require_stable: bool,
        groups: Vec<GroupFetch>,
    ) {
        let gather = self.gathers.fetch(ctx, parked(rc), groups.len());
        for (slot, fetch) in groups.into_iter().enumerate() {
            match self.lookup(&fetch.group) {
                Ok(partition) => {
                    let (shard, mut env) = self.at(host, ctx, partition);
                    shard.fetch_offsets(&mut env, gather, slot, rc.api_version, require_stable, fetch);
                }
                Err(error) => {
                    self.gathers.fetched(ctx, gather, slot, fetch.error(rc.api_version, error));
                }
            }
        }
    }

    /// DeleteGroups. Names that come twice are answered once, as in Kafka.
    pub(crate) fn delete_groups(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        groups: Vec<GroupId>,
    ) {
        let mut distinct: indexmap::IndexSet<StrBytes, std::hash::BuildHasherDefault<rustc_hash::FxHasher>> =
            indexmap::IndexSet::default();
        distinct.extend(groups.into_iter().map(|group| group.0));
        let gather = self.gathers.delete(ctx, parked(rc), distinct.len());
        let mut by_partition: BTreeMap<i32, Vec<(usize, StrBytes)>> = BTreeMap::new();
        for (slot, group) in distinct.into_iter().enumerate() {
            by_partition.entry(self.partition_for(&group)).or_default().push((slot, group));
        }
        for (partition, groups) in by_partition {
            match self.shard_state(partition) {
                Ok(()) => {
                    let (shard, mut env) = self.at(host, ctx, partition);
                    shard.delete_groups(&mut env, gather, groups);
                }
                Err(error) => {
                    for (slot, group) in groups {
                        let result = DeletableGroupResult::default()
                            .with_group_id(GroupId::from(group))
                            .with_error_code(error.code());
                        self.gathers.deleted(ctx, gather, slot, result);
                    }
                }
            }
        }
    }

    /// DescribeGroups, one group.
    pub(crate) fn describe(&self, id: &GroupId, version: i16) -> DescribedGroup {
        let partition = self.partition_for(id);
        match (self.shard_state(partition), self.shards.get(&partition)) {
            (Ok(()), Some(shard)) => shard.describe(id, version),
            (state, _) => {
                let error = state.err().unwrap_or(ErrorCode::NotCoordinator);
                DescribedGroup::default().with_group_id(id.clone()).with_error_code(error.code())
            }
        }
    }

    /// ListGroups: every group that this broker coordinates.
    ///
    /// # Errors
    /// `COORDINATOR_LOAD_IN_PROGRESS` while a shard loads: the list would not be whole.
    pub(crate) fn list(
        &self,
        states: &[StrBytes],
        types: &[StrBytes],
    ) -> Result<Vec<ListedGroup>, ErrorCode> {
        let mut groups = Vec::new();
        for (partition, shard) in &self.shards {
            self.shard_state(*partition)?;
            groups.extend(shard.list(states, types));
        }
        groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        Ok(groups)
    }

    fn elected(&mut self, host: &mut dyn Host, ctx: &mut Ctx<'_>, partition: i32, leader_epoch: i32) {
        if let Some(shard) = self.shards.get_mut(&partition) {
            // It led before and leads on: nobody else wrote to the log in between.
            shard.leader_epoch = shard.leader_epoch.max(leader_epoch);
            return;
        }
        let log_start = host.log_start(partition).unwrap_or(0);
        self.shards.insert(partition, Shard::new(&self.config, partition, leader_epoch, log_start));
        self.load(host, ctx, partition);
    }

    /// Loads a piece, and asks to be called again if there is more: other work comes between the pieces.
    fn load(&mut self, host: &mut dyn Host, ctx: &mut Ctx<'_>, partition: i32) {
        let Some((shard, mut env)) = self.shard(host, ctx, partition) else { return };
        // An empty or short log, the usual one, is read to its end at once: the second read finds nothing.
        let loaded = match shard.load(&mut env) {
            Ok(false) => shard.load(&mut env),
            other => other,
        };
        match loaded {
            Ok(true) => {}
            Ok(false) => env.set_timer(GroupTimer::Load { partition }, 0),
            Err(_) => {
                // The log cannot be read: as long as that is so, this broker is no coordinator.
                if let Some(shard) = self.shards.remove(&partition) {
                    let gathers = &mut self.gathers;
                    shard.unload(&mut Env { host, ctx, config: &self.config, gathers });
                }
            }
        }
    }

    fn topics_deleted(&mut self, host: &mut dyn Host, ctx: &mut Ctx<'_>, topics: &[(StrBytes, Uuid)]) {
        let partitions: Vec<i32> = self.shards.keys().copied().collect();
        for partition in partitions {
            if let Some((shard, mut env)) = self.shard(host, ctx, partition)
                && shard.state == ShardState::Active
            {
                shard.forget_topics(&mut env, topics);
                shard.share_topics_deleted(&mut env, &topics.iter().map(|(_, id)| *id).collect());
            }
        }
    }

    fn shard_state(&self, partition: i32) -> Result<(), ErrorCode> {
        match self.shards.get(&partition).map(|shard| shard.state) {
            None => Err(ErrorCode::NotCoordinator),
            Some(ShardState::Loading(_)) => Err(ErrorCode::CoordinatorLoadInProgress),
            Some(ShardState::Active) => Ok(()),
        }
    }

    fn shard<'a, 'c>(
        &'a mut self,
        host: &'a mut dyn Host,
        ctx: &'a mut Ctx<'c>,
        partition: i32,
    ) -> Option<(&'a mut Shard, Env<'a, 'c>)> {
        let shard = self.shards.get_mut(&partition)?;
        Some((shard, Env { host, ctx, config: &self.config, gathers: &mut self.gathers }))
    }

    /// The shard of a group, if it serves.
    fn lookup(&self, group: &str) -> Result<i32, ErrorCode> {
        let partition = self.partition_for(group);
        self.shard_state(partition).map(|()| partition)
    }

    /// As [`Self::lookup`], for requests to which a group without a name is none.
    fn lookup_named(&self, group: &str) -> Result<i32, ErrorCode> {
        if group.is_empty() { Err(ErrorCode::InvalidGroupId) } else { self.lookup(group) }
    }

    fn at<'a, 'c>(
        &'a mut self,
        host: &'a mut dyn Host,
        ctx: &'a mut Ctx<'c>,
        partition: i32,
    ) -> (&'a mut Shard, Env<'a, 'c>) {
        self.shard(host, ctx, partition).expect("the partition was looked up a moment ago")
    }
}

const fn parked(rc: &RequestContext) -> Parked {
    Parked { to: rc.reply_to, version: rc.api_version }
}
