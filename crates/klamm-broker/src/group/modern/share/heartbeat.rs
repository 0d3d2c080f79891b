//! ShareGroupHeartbeat (Kafka's `GroupMetadataManager.shareGroupHeartbeat` and
//! `GroupCoordinatorService.throwIfShareGroupHeartbeatRequestIsInvalid`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::config::group_resource::{
    SHARE_ASSIGNMENT_INTERVAL_MS, SHARE_HEARTBEAT_INTERVAL_MS, SHARE_SESSION_TIMEOUT_MS,
};
use klamm_node::{GroupEvent, ReplyTo};
use klamm_wire::messages::share_group_heartbeat_response::{Assignment, TopicPartitions};
use klamm_wire::messages::{ResponseKind, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};
use klamm_wire::{ErrorCode, StrBytes};

use super::super::assignor::{GroupSpec, MemberSpec};
use super::super::base::ModernGroup;
use super::super::refusal::Refusal;
use super::super::subscriptions::Subscriptions;
use super::super::{LEAVE_GROUP_MEMBER_EPOCH, Partitions};
use super::group::{ShareGroup, ShareMember, not_a_share_group};
use super::records::ShareRecord;
use super::simple;
use crate::core::RequestContext;
use crate::group::done::Done;
use crate::group::groups::Group;
use crate::group::member::own;
use crate::group::records::Record;
use crate::group::shard::{Env, Shard, Wrote};

/// Checks the form of a request, before any group is looked at.
pub(crate) fn validate(request: &ShareGroupHeartbeatRequest) -> Result<(), Refusal> {
    let invalid = |text: &str| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    let blank = |text: &StrBytes| text.trim().is_empty();
    if blank(&request.member_id) {
        return invalid("MemberId can't be empty.");
    }
    if blank(&request.group_id) {
        return invalid("GroupId can't be empty.");
    }
    if request.rack_id.as_ref().is_some_and(blank) {
        return invalid("RackId can't be empty.");
    }
    if request.member_epoch == 0 {
        if request.subscribed_topic_names.as_ref().is_none_or(Vec::is_empty) {
            return invalid("SubscribedTopicNames must be set in first request.");
        }
    } else if request.member_epoch < LEAVE_GROUP_MEMBER_EPOCH {
        return invalid("MemberEpoch is invalid.");
    }
    Ok(())
}

/// A heartbeat in the coordinator's terms: what may be kept is a copy.
struct Beat {
    to: ReplyTo,
    group: StrBytes,
    member: StrBytes,
    epoch: i32,
    rack_id: Option<StrBytes>,
    topics: Option<BTreeSet<StrBytes>>,
    client_id: StrBytes,
    client_host: StrBytes,
}

/// What a heartbeat comes to.
struct Outcome {
    records: Vec<Record>,
    epoch: i32,
    member: ShareMember,
    subscriptions: Subscriptions,
    assignment_changed: bool,
    checked: Option<(i64, i32)>,
    cause: &'static str,
}

impl Shard {
    /// A member's heartbeat.
    pub(crate) fn share_heartbeat(
        &mut self,
        env: &mut Env<'_, '_>,
        rc: &RequestContext,
        request: ShareGroupHeartbeatRequest,
    ) {
        let beat = Beat {
            to: rc.reply_to,
            group: own(&request.group_id),
            member: own(&request.member_id),
            epoch: request.member_epoch,
            rack_id: request.rack_id.as_ref().map(own),
            topics: request.subscribed_topic_names.map(|names| names.iter().map(|name| own(name)).collect()),
            client_id: own(&rc.client_id()),
            client_host: rc.client_host(),
        };
        let result = if beat.epoch == LEAVE_GROUP_MEMBER_EPOCH {
            self.share_leave(env, &beat)
        } else {
            self.share_beat(env, &beat)
        };
        if let Err(refusal) = result {
            env.ctx.reply(beat.to, ResponseKind::ShareGroupHeartbeat(error_response(refusal)));
        }
    }

    fn share_beat(&mut self, env: &mut Env<'_, '_>, beat: &Beat) -> Result<(), Refusal> {
        let mut outcome = self.plan_share_beat(env, beat)?;
        let was_member = self.groups.share(&beat.group).is_some_and(|g| g.member(&beat.member).is_some());
        let interval_ms =
            env.of_group(&beat.group, SHARE_HEARTBEAT_INTERVAL_MS, env.config.share.heartbeat_interval_ms);
        let mut response = ShareGroupHeartbeatResponse::default()
            .with_member_id(Some(outcome.member.id.clone()))
            .with_member_epoch(outcome.member.epoch)
            .with_heartbeat_interval_ms(interval_ms);
        if beat.epoch == 0 || beat.topics.is_some() || outcome.assignment_changed {
            response = response.with_assignment(Some(assignment(&outcome.member.assigned)));
        }
        let initialize = self.plan_initialization(
            env,
            &beat.group,
            outcome.epoch,
            &outcome.subscriptions,
            &mut outcome.records,
        );
        if !was_member && env.ctx.tracing() {
            env.ctx
                .trace(GroupEvent::MemberJoined { group: beat.group.clone(), member: beat.member.clone() });
        }
        self.set_share_session(env, &beat.group, &beat.member);
        let done = Done::ShareHeartbeat {
            to: beat.to,
            response: Box::new(response),
            group: beat.group.clone(),
            initialize,
        };
        let wrote = self.write_consumer(env, &beat.group, outcome.records, done, outcome.cause);
        if let (Some((offset, epoch)), Some(group)) = (outcome.checked, self.groups.share_mut(&beat.group))
            && !matches!(wrote, Wrote::Failed(_))
        {
            group.base.set_metadata_checked(offset, epoch);
        }
        Ok(())
    }

    /// Works out what a heartbeat changes, without changing anything.
    fn plan_share_beat(&self, env: &Env<'_, '_>, beat: &Beat) -> Result<Outcome, Refusal> {
        let made;
        let group = match self.groups.group(&beat.group) {
            Some(Group::Share(group)) => &**group,
            None if beat.epoch == 0 => {
                made = ShareGroup::new(beat.group.clone(), self.groups.first_epoch);
                &made
            }
            Some(_) => return Err(not_a_share_group(&beat.group, true)),
            None => {
                let text = format!("Share group {} not found.", beat.group);
                return Err(Refusal::new(ErrorCode::GroupIdNotFound, text));
            }
        };
        let max = env.config.share.max_size;
        if group.members().len() >= max && group.member(&beat.member).is_none() {
            let text = format!("The share group has reached its maximum capacity of {max} members.");
            return Err(Refusal::new(ErrorCode::GroupMaxSizeReached, text));
        }
        let old = match group.member(&beat.member) {
            Some(member) => member.clone(),
            None if beat.epoch == 0 => ShareMember::new(beat.member.clone()),
            None => group.require(&beat.member)?.clone(),
        };
        check_epoch(&old, beat.epoch)?;
        let mut updated = old.clone();
        if beat.rack_id.is_some() {
            updated.rack_id.clone_from(&beat.rack_id);
        }
        if let Some(topics) = &beat.topics {
            updated.topics.clone_from(topics);
        }
        updated.client_id.clone_from(&beat.client_id);
        updated.client_host.clone_from(&beat.client_host);
        let mut records = Vec::new();
        if updated != old {
            records.push(group.record(ShareRecord::member(&updated)));
        }
        let mut epoch = group.base.epoch;
        let topics_changed = updated.topics != old.topics;
        let mut bump = topics_changed || group.base.target.epoch >= epoch && group.has_pending_partitions();
        let mut cause =
            if topics_changed { "a member changed its topics" } else { "partitions were initialised" };
        let mut subscriptions = group.base.subscriptions.clone();
        let mut checked = None;
        let offset = env.host.metadata_offset();
        if bump || group.base.has_metadata_expired(offset) {
            subscriptions = group.subscriptions_with(Some(&old), Some(&updated));
            let hash = ModernGroup::hash_of(&subscriptions, &*env.host);
            if hash != group.base.metadata_hash && !bump {
                bump = true;
                cause = "topics changed";
            }
            if bump {
                epoch = epoch.saturating_add(1);
                records.push(group.record(ShareRecord::Epoch(Some((epoch, hash)))));
            }
            checked = Some((offset, epoch));
        }
        let (target_epoch, target) = update_target(env, group, epoch, &updated, &subscriptions, &mut records);
        let before = updated.clone();
        if bump || updated.epoch != target_epoch {
            let subscribed: BTreeSet<_> =
                updated.topics.iter().filter_map(|name| env.host.topic(name)).map(|topic| topic.id).collect();
            updated.assigned = target;
            updated.assigned.retain(|topic, _| subscribed.contains(topic));
            if updated.epoch != target_epoch {
                updated.previous_epoch = updated.epoch;
                updated.epoch = target_epoch;
            }
        }
        if updated != before {
            records.push(group.record(ShareRecord::current(&updated)));
        }
        let assignment_changed = updated.assigned != old.assigned;
        Ok(Outcome { records, epoch, member: updated, subscriptions, assignment_changed, checked, cause })
    }

    fn share_leave(&mut self, env: &mut Env<'_, '_>, beat: &Beat) -> Result<(), Refusal> {
        let Some(group) = self.groups.share(&beat.group) else {
            return Err(not_a_share_group(&beat.group, self.groups.contains(&beat.group)));
        };
        group.require(&beat.member)?;
        let response = ShareGroupHeartbeatResponse::default()
            .with_member_id(Some(beat.member.clone()))
            .with_member_epoch(beat.epoch);
        let done = Done::ShareHeartbeat {
            to: beat.to,
            response: Box::new(response),
            group: beat.group.clone(),
            initialize: None,
        };
        self.fence_share_member(env, &beat.group, &beat.member, done, "left");
        Ok(())
    }

    /// Removes a member.
    fn fence_share_member(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        member: &StrBytes,
        done: Done,
        cause: &'static str,
    ) {
        let Some((group, gone)) =
            self.groups.share(id).and_then(|group| Some((group, group.member(member)?)))
        else {
            return self.after_writes(env, done);
        };
        let mut records: Vec<Record> =
            ShareRecord::remove_member(member).into_iter().map(|record| group.record(record)).collect();
        let hash = ModernGroup::hash_of(&group.subscriptions_with(Some(gone), None), &*env.host);
        let epoch = group.base.epoch.saturating_add(1);
        records.push(group.record(ShareRecord::Epoch(Some((epoch, hash)))));
        if group.members().len() == 1 {
            records.push(group.record(ShareRecord::Target(Some((epoch, 0)))));
        }
        if self.write_consumer(env, id, records, done, cause) == Wrote::Appended {
            self.cancel_session(env, id, member);
        }
    }

    /// A member has been silent for too long. True when the group is a share group, whether or not it has the member.
    pub(crate) fn fence_silent_share(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        member: &StrBytes,
    ) -> bool {
        if self.groups.share(id).is_none() {
            return false;
        }
        self.fence_share_member(env, id, member, Done::Nothing, "session timed out");
        true
    }

    fn set_share_session(&self, env: &mut Env<'_, '_>, group: &StrBytes, member: &StrBytes) {
        let timeout_ms = env.of_group(group, SHARE_SESSION_TIMEOUT_MS, env.config.share.session_timeout_ms);
        self.set_member_session(env, group, member, timeout_ms);
    }

    /// Starts the time that each member of a share group may be silent.
    pub(crate) fn schedule_share_sessions(&self, env: &mut Env<'_, '_>, id: &StrBytes) {
        let Some(group) = self.groups.share(id) else { return };
        for member in group.members() {
            self.set_share_session(env, id, &member.id);
        }
    }
}

impl ShareGroup {
    /// Whether a partition can be assigned that is not (`initializedAssignmentPending`).
    fn has_pending_partitions(&self) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut assigned = Partitions::new();
        for member in self.members() {
            for (topic, partitions) in self.base.target.of(&member.id) {
                assigned.entry(topic).or_default().extend(partitions);
            }
        }
        let subscribed =
            self.state.initialized.iter().filter(|(_, topic)| self.is_subscribed_to(&topic.name));
        subscribed.into_iter().any(|(id, topic)| assigned.get(id) != Some(&topic.partitions))
    }
}

/// Computes the target of a newer epoch, if it is time. Returns the epoch of the target and the member's part of it.
fn update_target(
    env: &Env<'_, '_>,
    group: &ShareGroup,
    epoch: i32,
    updated: &ShareMember,
    subscriptions: &Subscriptions,
    records: &mut Vec<Record>,
) -> (i32, Partitions) {
    let target = &group.base.target;
    let interval_ms =
        env.of_group(group.id(), SHARE_ASSIGNMENT_INTERVAL_MS, env.config.share.assignment_interval_ms);
    if target.epoch >= epoch || !target.may_recompute(interval_ms, env.wall_ms()) {
        return (target.epoch, target.of(&updated.id));
    }
    let mut members: BTreeMap<&StrBytes, &ShareMember> = group.members().map(|m| (&m.id, m)).collect();
    members.insert(&updated.id, updated);
    let homogeneous = subscriptions.all_named_by(members.len());
    let mut partitions = BTreeMap::new();
    let members = members.into_values().map(|member| {
        let mut topics = BTreeSet::new();
        for topic in member.topics.iter().filter_map(|name| env.host.topic(name)) {
            topics.insert(topic.id);
            partitions.insert(topic.id, topic.partitions);
        }
        MemberSpec { id: member.id.clone(), instance_id: None, topics, before: target.of(&member.id) }
    });
    let spec = GroupSpec { members: members.collect(), homogeneous, partitions };
    let mut assignment = simple::assign(&spec, &group.state.assignable());
    let mut own = Partitions::new();
    for member in spec.members {
        let new = assignment.remove(&member.id).unwrap_or_default();
        if target.get(&member.id).is_none() || member.before != new {
            records.push(group.record(ShareRecord::TargetMember(member.id.clone(), Some(new.clone()))));
        }
        if member.id == updated.id {
            own = new;
        }
    }
    records.push(group.record(ShareRecord::Target(Some((epoch, env.wall_ms())))));
    (epoch, own)
}

/// Whether a member may be in the epoch that it names; one epoch behind is forgiven, for the answer that raised it may have been lost.
fn check_epoch(member: &ShareMember, epoch: i32) -> Result<(), Refusal> {
    if epoch == 0 || epoch == member.epoch || epoch < member.epoch && epoch == member.previous_epoch {
        return Ok(());
    }
    let how = if epoch > member.epoch {
        format!(
            "a greater member epoch ({epoch}) than the one known by the group coordinator ({}).",
            member.epoch
        )
    } else {
        format!(
            "a smaller member epoch ({epoch}) than the one known by the group coordinator ({}), and it does not match the \
             previous member epoch ({}).",
            member.epoch, member.previous_epoch
        )
    };
    let text =
        format!("The share group member has {how} The member must abandon all its partitions and rejoin.");
    Err(Refusal::new(ErrorCode::FencedMemberEpoch, text))
}

fn assignment(assigned: &Partitions) -> Assignment {
    let topics = assigned.iter().map(|(topic, partitions)| {
        TopicPartitions::default().with_topic_id(*topic).with_partitions(partitions.iter().copied().collect())
    });
    Assignment::default().with_topic_partitions(topics.collect())
}

/// A heartbeat's answer that is an error.
pub(crate) fn error_response(refusal: Refusal) -> ShareGroupHeartbeatResponse {
    ShareGroupHeartbeatResponse::default()
        .with_error_code(refusal.error.code())
        .with_error_message(refusal.message)
}
