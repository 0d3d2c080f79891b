//! ConsumerGroupHeartbeat (Kafka's `GroupMetadataManager.consumerGroupHeartbeat` and
//! `GroupCoordinatorService.throwIfConsumerGroupHeartbeatRequestIsInvalid`).

use std::collections::BTreeSet;

use klamm_node::{GroupEvent, ReplyTo};
use klamm_wire::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use klamm_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes};

use super::super::refusal::Refusal;
use super::super::{LEAVE_GROUP_MEMBER_EPOCH, LEAVE_GROUP_STATIC_MEMBER_EPOCH, Partitions, partitions};
use super::group::{Changed, ConsumerGroup};
use super::member::{Assigned, ConsumerMember};
use super::records::ConsumerRecord;
use crate::core::RequestContext;
use crate::group::config::GroupConfig;
use crate::group::done::Done;
use crate::group::groups::Group;
use crate::group::member::own;
use crate::group::records::Record;
use crate::group::shard::{Env, Shard, Wrote};

/// A heartbeat in the coordinator's terms: what may be kept is a copy.
#[derive(Debug, Clone)]
pub(crate) struct Beat {
    pub(super) to: ReplyTo,
    pub(super) group: StrBytes,
    pub(super) member: StrBytes,
    pub(super) epoch: i32,
    pub(super) instance_id: Option<StrBytes>,
    rack_id: Option<StrBytes>,
    /// `None` leaves it as it is.
    rebalance_timeout_ms: Option<i32>,
    topics: Option<BTreeSet<StrBytes>>,
    regex: Option<StrBytes>,
    assignor: Option<StrBytes>,
    owned: Option<Partitions>,
    client_id: StrBytes,
    client_host: StrBytes,
}

impl Beat {
    /// Reads a request.
    pub(crate) fn new(rc: &RequestContext, request: ConsumerGroupHeartbeatRequest) -> Self {
        Self {
            to: rc.reply_to,
            group: own(&request.group_id),
            member: own(&request.member_id),
            epoch: request.member_epoch,
            instance_id: request.instance_id.as_ref().map(own),
            rack_id: request.rack_id.as_ref().map(own),
            rebalance_timeout_ms: (request.rebalance_timeout_ms != -1)
                .then_some(request.rebalance_timeout_ms),
            topics: request.subscribed_topic_names.map(|names| names.iter().map(|name| own(name)).collect()),
            regex: request.subscribed_topic_regex.as_ref().map(own),
            assignor: request.server_assignor.as_ref().map(own),
            owned: request
                .topic_partitions
                .map(|topics| partitions(topics.into_iter().map(|t| (t.topic_id, t.partitions)))),
            client_id: own(&rc.client_id()),
            client_host: rc.client_host(),
        }
    }

    /// Whether it says everything that a request can say: then it is answered with everything.
    const fn is_full(&self) -> bool {
        self.rebalance_timeout_ms.is_some()
            && (self.topics.is_some() || self.regex.is_some())
            && self.owned.is_some()
    }

    /// Whether the member leaves.
    const fn leaves(&self) -> bool {
        matches!(self.epoch, LEAVE_GROUP_MEMBER_EPOCH | LEAVE_GROUP_STATIC_MEMBER_EPOCH)
    }
}

/// Checks the form of a request, before any group is looked at.
pub(crate) fn validate(
    config: &GroupConfig,
    request: &ConsumerGroupHeartbeatRequest,
    version: i16,
) -> Result<(), Refusal> {
    let invalid = |text: &str| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    let blank = |text: &StrBytes| text.trim().is_empty();
    let epoch = request.member_epoch;
    // Since version 1 members make their ids themselves (KIP-1082).
    let needs_id = version >= 1 || epoch > 0 || epoch == LEAVE_GROUP_MEMBER_EPOCH;
    if needs_id && blank(&request.member_id) {
        return invalid("MemberId can't be empty.");
    }
    if blank(&request.group_id) {
        return invalid("GroupId can't be empty.");
    }
    if request.instance_id.as_ref().is_some_and(blank) {
        return invalid("InstanceId can't be empty.");
    }
    if request.rack_id.as_ref().is_some_and(blank) {
        return invalid("RackId can't be empty.");
    }
    if epoch == 0 {
        if request.rebalance_timeout_ms == -1 {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
            return invalid(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
            );
        }
    } else if epoch == LEAVE_GROUP_STATIC_MEMBER_EPOCH {
        if request.instance_id.is_none() {
            return invalid("InstanceId can't be null.");
        }
    } else if epoch < LEAVE_GROUP_STATIC_MEMBER_EPOCH {
        return invalid("MemberEpoch is invalid.");
    }
    let assignors = &config.consumer.assignors;
    if let Some(name) = &request.server_assignor
        && !assignors.iter().any(|assignor| assignor.name() == name.as_str())
    {
        let names: Vec<&str> = assignors.iter().map(|assignor| assignor.name()).collect();
        let text =
            format!("ServerAssignor {name} is not supported. Supported assignors: {}.", names.join(", "));
        return Err(Refusal::new(ErrorCode::UnsupportedAssignor, text));
    }
    Ok(())
}

/// What a heartbeat comes to.
pub(super) struct Outcome {
    /// What is to be written.
    pub(super) records: Vec<Record>,
    /// The member as it will be.
    pub(super) member: ConsumerMember,
    /// Whether its assignment changed.
    pub(super) assignment_changed: bool,
    /// Whether what it has or is to give up changed in any way.
    pub(super) reconciled: bool,
    /// The metadata offset and the epoch up to which topics were compared.
    pub(super) checked: Option<(i64, i32)>,
    /// Why the group's epoch grew, if it did.
    pub(super) cause: &'static str,
}

impl Shard {
    /// A member's heartbeat.
    pub(crate) fn consumer_heartbeat(
        &mut self,
        env: &mut Env<'_, '_>,
        rc: &RequestContext,
        request: ConsumerGroupHeartbeatRequest,
    ) {
        let mut beat = Beat::new(rc, request);
        let result = if beat.leaves() {
            self.consumer_leave(env, &beat)
        } else {
            if beat.member.is_empty() {
                // Version 0: the coordinator makes the id. Kafka's are random too.
                beat.member = StrBytes::from_string(crate::group::member::new_id(env.ctx.rng));
            }
            self.consumer_beat(env, &beat)
        };
        if let Err(refusal) = result {
            reply_error(env, beat.to, refusal);
        }
    }

    fn consumer_beat(&mut self, env: &mut Env<'_, '_>, beat: &Beat) -> Result<(), Refusal> {
        let converted = self.groups.classic(&beat.group).cloned();
        let outcome = self.plan_beat(env, beat)?;
        let Outcome { records, member, assignment_changed, reconciled, checked, cause } = outcome;
        let was_member = self.groups.consumer(&beat.group).is_some_and(|g| g.member(&member.id).is_some());
        let mut response = ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(member.id.clone()))
            .with_member_epoch(member.epoch)
            .with_heartbeat_interval_ms(env.consumer_heartbeat_interval_ms(&beat.group));
        if beat.epoch == 0 || beat.is_full() || assignment_changed {
            response = response.with_assignment(Some(assignment(&member.assigned)));
        }
        if !was_member && env.ctx.tracing() {
            env.ctx.trace(GroupEvent::MemberJoined { group: beat.group.clone(), member: member.id.clone() });
        }
        let session_timeout_ms = env.consumer_session_timeout_ms(&beat.group);
        self.set_member_session(env, &beat.group, &member.id, session_timeout_ms);
        if reconciled {
            self.set_rebalance_timer(env, &beat.group, &member);
        }
        let done = Done::ConsumerHeartbeat { to: beat.to, response: Box::new(response) };
        let wrote = self.write_consumer(env, &beat.group, records, done, cause);
        if matches!(wrote, Wrote::Failed(_)) {
            return Ok(());
        }
        if let (Some((offset, epoch)), Some(group)) = (checked, self.groups.consumer_mut(&beat.group)) {
            group.base.set_metadata_checked(offset, epoch);
        }
        if let Some(classic) = converted {
            self.end_classic(env, classic);
        }
        self.maybe_refresh_regexes(env, &beat.group);
        Ok(())
    }

    /// Works out what a heartbeat changes, without changing anything.
    fn plan_beat(&self, env: &Env<'_, '_>, beat: &Beat) -> Result<Outcome, Refusal> {
        let mut records = Vec::new();
        let joins = beat.epoch == 0;
        let made;
        let group = match self.groups.group(&beat.group) {
            Some(Group::Consumer(group)) => &**group,
            found => {
                made = self.make_consumer_group(env, &beat.group, found, joins, &mut records)?;
                &made
            }
        };
        check_capacity(env.config, group, beat)?;
        let old = self.member_of_beat(group, beat, joins, &mut records)?;
        let mut updated = updated_member(&old, beat);
        let mut change = MemberChange::new(group, &old, &updated);
        if updated != old {
            records.push(group.record(ConsumerRecord::member(&updated)));
        }
        change.regex(group, &old, &updated, &mut records)?;
        let names_changed = old.topics != updated.topics;
        let default = env.config.consumer.default_assignor().name();
        let assignor_changed = group.preferred_assignor().map_or(default, |name| name.as_str())
            != change.after.preferred_assignor().map_or(default, |name| name.as_str());
        let subscription_changed = names_changed || change.regex_changed;
        let bump = names_changed || change.regex_resolved || assignor_changed;
        let cause = change.cause(names_changed, assignor_changed);
        let mut epoch = group.base.epoch;
        let mut checked = None;
        let offset = env.host.metadata_offset();
        if bump || group.base.has_metadata_expired(offset) {
            epoch = group.update_subscriptions(env, &change.after, bump, &mut records);
            checked = Some((offset, epoch));
        }
        let (target_epoch, target) =
            self.update_target(env, group, epoch, &old, &updated, &change.after, &mut records);
        let before = updated.clone();
        updated = self.reconcile(
            env,
            group,
            &updated,
            (target_epoch, &target),
            subscription_changed,
            beat.owned.as_ref(),
            &mut records,
        )?;
        Ok(Outcome {
            records,
            assignment_changed: old.assigned != updated.assigned,
            reconciled: before != updated,
            member: updated,
            checked,
            cause,
        })
    }

    /// The member that a heartbeat is of: a known one in an epoch that fits, or a new one.
    fn member_of_beat(
        &self,
        group: &ConsumerGroup,
        beat: &Beat,
        joins: bool,
        records: &mut Vec<Record>,
    ) -> Result<ConsumerMember, Refusal> {
        let Some(instance_id) = &beat.instance_id else {
            let member = match group.member(&beat.member) {
                Some(member) => member.clone(),
                None if joins => ConsumerMember::new(beat.member.clone()),
                None => group.require(&beat.member)?.clone(),
            };
            check_epoch(&member, beat)?;
            return Ok(member);
        };
        let existing = group.static_member(instance_id);
        if !joins {
            let member = require_static(existing, &beat.member, instance_id)?;
            check_epoch(member, beat)?;
            return Ok(member.clone());
        }
        match existing {
            None => Ok(group
                .member(&beat.member)
                .cloned()
                .unwrap_or_else(|| ConsumerMember::new(beat.member.clone()))),
            Some(existing) => {
                if !existing.is_classic() && existing.epoch != LEAVE_GROUP_STATIC_MEMBER_EPOCH {
                    let text = format!(
                        "Static member {} with instance id {instance_id} cannot join the group because the instance id \
                         is owned by {} member.",
                        beat.member, existing.id
                    );
                    return Err(Refusal::new(ErrorCode::UnreleasedInstanceId, text));
                }
                Ok(replace_static(group, existing, &beat.member, records))
            }
        }
    }
}

/// The records by which a new id stands for a static member, and the member under it.
pub(super) fn replace_static(
    group: &ConsumerGroup,
    existing: &ConsumerMember,
    id: &StrBytes,
    records: &mut Vec<Record>,
) -> ConsumerMember {
    let member = ConsumerMember { id: id.clone(), epoch: 0, previous_epoch: 0, ..existing.clone() };
    records.extend(ConsumerRecord::remove_member(&existing.id).map(|record| group.record(record)));
    records.push(group.record(ConsumerRecord::member(&member)));
    let target = group.base.target.of(&existing.id);
    records.push(group.record(ConsumerRecord::TargetMember(id.clone(), Some(target))));
    records.push(group.record(ConsumerRecord::current(&member)));
    member
}

/// The static member that a request names, if the request is that member's.
pub(super) fn require_static<'g>(
    existing: Option<&'g ConsumerMember>,
    member: &StrBytes,
    instance_id: &StrBytes,
) -> Result<&'g ConsumerMember, Refusal> {
    let Some(existing) = existing else {
        let text = format!("Instance id {instance_id} is unknown.");
        return Err(Refusal::new(ErrorCode::UnknownMemberId, text));
    };
    if existing.id != *member {
        let text = format!(
            "Static member {member} with instance id {instance_id} was fenced by member {}.",
            existing.id
        );
        return Err(Refusal::new(ErrorCode::FencedInstanceId, text));
    }
    Ok(existing)
}

/// What a change of one member means for its group.
struct MemberChange {
    after: Changed,
    regex_changed: bool,
    /// Whether it is known already what the changed expression stands for.
    regex_resolved: bool,
}

impl MemberChange {
    fn new(group: &ConsumerGroup, old: &ConsumerMember, updated: &ConsumerMember) -> Self {
        Self {
            after: group.with_change(Some(old), Some(updated)),
            regex_changed: false,
            regex_resolved: false,
        }
    }

    /// Checks a new regular expression, and forgets one that nobody uses any more (`maybeUpdateRegularExpressions`).
    fn regex(
        &mut self,
        group: &ConsumerGroup,
        old: &ConsumerMember,
        updated: &ConsumerMember,
        records: &mut Vec<Record>,
    ) -> Result<(), Refusal> {
        if old.regex == updated.regex {
            return Ok(());
        }
        self.regex_changed = true;
        if let Some(regex) = old.regex()
            && group.subscribers_of(regex) == 1
        {
            records.push(group.record(ConsumerRecord::Regex(regex.clone(), None)));
        }
        match updated.regex() {
            Some(regex) if group.subscribers_of(regex) == 0 => super::regex::check(regex)?,
            Some(regex) => self.regex_resolved = group.resolved.contains_key(regex),
            None => self.regex_resolved = old.regex().is_some(),
        }
        Ok(())
    }

    const fn cause(&self, names_changed: bool, assignor_changed: bool) -> &'static str {
        match (names_changed, self.regex_resolved, assignor_changed) {
            (true, ..) => "a member changed its topics",
            (_, true, _) => "a member changed its regular expression",
            (.., true) => "another assignor is preferred",
            _ => "topics changed",
        }
    }
}

impl ConsumerGroup {
    /// One of the group's records.
    pub(crate) fn record(&self, record: ConsumerRecord) -> Record {
        Record::Consumer { group: self.id().clone(), record }
    }

    /// Compares the topics with what they were, and raises the epoch if they (or something else) changed
    /// (`updateSubscriptionMetadata`). Returns the epoch.
    pub(super) fn update_subscriptions(
        &self,
        env: &Env<'_, '_>,
        after: &Changed,
        bump: bool,
        records: &mut Vec<Record>,
    ) -> i32 {
        let hash = super::super::base::ModernGroup::hash_of(&after.subscriptions, &*env.host);
        let mut epoch = self.base.epoch;
        if bump || hash != self.base.metadata_hash {
            epoch = epoch.saturating_add(1);
            records.push(self.record(ConsumerRecord::Epoch(Some((epoch, hash)))));
        }
        if self.has_partition_metadata {
            records.push(self.record(ConsumerRecord::PartitionMetadata(None)));
        }
        epoch
    }
}

fn check_capacity(config: &GroupConfig, group: &ConsumerGroup, beat: &Beat) -> Result<(), Refusal> {
    check_room(config, group, &beat.member, beat.instance_id.as_ref())
}

/// Whether there is room for a member (`throwIfConsumerGroupIsFull`).
pub(super) fn check_room(
    config: &GroupConfig,
    group: &ConsumerGroup,
    member: &StrBytes,
    instance_id: Option<&StrBytes>,
) -> Result<(), Refusal> {
    let max = config.consumer.max_size;
    let known = instance_id.is_some_and(|instance| group.static_member(instance).is_some())
        || group.member(member).is_some();
    if known || group.members().len() < max {
        return Ok(());
    }
    let text = format!("The consumer group has reached its maximum capacity of {max} members.");
    Err(Refusal::new(ErrorCode::GroupMaxSizeReached, text))
}

/// Whether a member may be in the epoch that it names. One epoch behind is forgiven when the answer that raised it may have been
/// lost: then the member has nothing that is not its own.
fn check_epoch(member: &ConsumerMember, beat: &Beat) -> Result<(), Refusal> {
    let fenced = |how: &str| {
        let text = format!(
            "The consumer group member has a {how} member epoch ({}) than the one known by the group coordinator ({}). \
             The member must abandon all its partitions and rejoin.",
            beat.epoch, member.epoch
        );
        Err(Refusal::new(ErrorCode::FencedMemberEpoch, text))
    };
    if beat.epoch == 0 || beat.epoch == member.epoch {
        return Ok(());
    }
    if beat.epoch > member.epoch {
        return fenced("greater");
    }
    let owns_only_its_own = beat.owned.as_ref().is_some_and(|owned| {
        owned.iter().all(|(topic, owned)| {
            member.assigned.get(topic).is_some_and(|has| owned.iter().all(|p| has.contains_key(p)))
        })
    });
    if beat.epoch == member.previous_epoch && owns_only_its_own { Ok(()) } else { fenced("smaller") }
}

fn updated_member(member: &ConsumerMember, beat: &Beat) -> ConsumerMember {
    let mut updated = member.clone();
    let keep = |new: &Option<StrBytes>, old: &mut Option<StrBytes>| {
        if new.is_some() {
            old.clone_from(new);
        }
    };
    keep(&beat.instance_id, &mut updated.instance_id);
    keep(&beat.rack_id, &mut updated.rack_id);
    keep(&beat.assignor, &mut updated.assignor);
    keep(&beat.regex, &mut updated.regex);
    if let Some(timeout_ms) = beat.rebalance_timeout_ms {
        updated.rebalance_timeout_ms = timeout_ms;
    }
    if let Some(topics) = &beat.topics {
        updated.topics.clone_from(topics);
    }
    updated.client_id.clone_from(&beat.client_id);
    updated.client_host.clone_from(&beat.client_host);
    updated.classic = None;
    updated
}

fn assignment(assigned: &Assigned) -> Assignment {
    let topics = assigned.iter().map(|(topic, partitions)| {
        TopicPartitions::default().with_topic_id(*topic).with_partitions(partitions.keys().copied().collect())
    });
    Assignment::default().with_topic_partitions(topics.collect())
}

/// Answers a heartbeat with an error.
pub(crate) fn reply_error(env: &mut Env<'_, '_>, to: ReplyTo, refusal: Refusal) {
    env.ctx.reply(to, ResponseKind::ConsumerGroupHeartbeat(error_response(refusal)));
}

/// A heartbeat's answer that is an error.
pub(crate) fn error_response(refusal: Refusal) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(refusal.error.code())
        .with_error_message(refusal.message)
}
