//! A classic group becomes a consumer group and the other way round, with its members in it (KIP-848 "online migration"; Kafka's
//! `ConsumerGroup.fromClassicGroup`, `ClassicGroup.fromConsumerGroup` and the `validateOnline…` checks).

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::{ErrorCode, StrBytes};

use super::super::base::ModernGroup;
use super::super::refusal::Refusal;
use super::super::{Partitions, partitions};
use super::fence::not_a_consumer_group;
use super::group::ConsumerGroup;
use super::member::{ClassicMember, ConsumerMember, MemberState, with_epoch};
use super::protocol;
use super::records::ConsumerRecord;
use crate::group::classic::{CONSUMER_PROTOCOL, ClassicGroup};
use crate::group::config::GroupConfig;
use crate::group::done::Done;
use crate::group::groups::Group;
use crate::group::host::Host;
use crate::group::member::Member;
use crate::group::records::{GroupValue, Record};
use crate::group::reply;
use crate::group::shard::{Env, Shard, Wrote};
use crate::group::state::ClassicState;

impl Shard {
    /// The consumer group that a heartbeat is for, where there is none yet (`getOrMaybeCreateConsumerGroup`): a new one, one in
    /// the place of a classic group without members, or a classic group converted with its members.
    pub(super) fn make_consumer_group(
        &self,
        env: &Env<'_, '_>,
        id: &StrBytes,
        found: Option<&Group>,
        joins: bool,
        records: &mut Vec<Record>,
    ) -> Result<ConsumerGroup, Refusal> {
        let new = || ConsumerGroup::new(id.clone(), self.groups.first_epoch);
        match found {
            None if joins => Ok(new()),
            None => {
                let text = format!("Consumer group {id} not found.");
                Err(Refusal::new(ErrorCode::GroupIdNotFound, text))
            }
            Some(Group::Classic(classic)) if joins => {
                records.push(Record::Group { group: id.clone(), value: None });
                if classic.is(ClassicState::Empty) {
                    return Ok(new());
                }
                validate_upgrade(env.config, classic)?;
                let group = upgraded(&*env.host, classic)?;
                records.extend(group.creation());
                Ok(group)
            }
            Some(_) => Err(not_a_consumer_group(id, true)),
        }
    }

    /// A classic group is a consumer group from now on: whoever waits in it joins again.
    pub(super) fn end_classic(&mut self, env: &mut Env<'_, '_>, mut old: ClassicGroup) {
        let id = old.id().clone();
        env.host.cancel_timer(self.join_timer(&id));
        env.host.cancel_timer(self.sync_timer(&id));
        let pending: Vec<StrBytes> = old.pending_members().cloned().collect();
        for member in pending {
            self.cancel_session(env, &id, &member);
        }
        for member in old.members_mut() {
            let member_id = member.id.clone();
            if let Some(parked) = member.joining.take() {
                reply::join_error(env.ctx, parked, member_id, ErrorCode::RebalanceInProgress);
            }
            if let Some(parked) = member.syncing.take() {
                reply::sync_error(env.ctx, parked, ErrorCode::RebalanceInProgress);
            }
        }
        note_conversion(env, &id, "classic", "consumer", old.generation());
        self.schedule_consumer_sessions(env, &id, false);
    }

    /// Whether a group goes back to the classic protocol once these members are gone: only classic ones are left then.
    pub(super) fn may_downgrade(
        &self,
        env: &Env<'_, '_>,
        group: &ConsumerGroup,
        gone: &BTreeSet<StrBytes>,
    ) -> bool {
        let classic_gone = gone.iter().filter_map(|id| group.member(id)).filter(|m| m.is_classic()).count();
        let left = group.members().len().saturating_sub(gone.len());
        left > 0
            && group.classic_members() - classic_gone == left
            && env.config.consumer.migration.allows_downgrade()
            && left <= env.config.max_size
    }

    /// As [`Self::may_downgrade`], when a classic member takes the place of a static one.
    pub(super) fn may_downgrade_replacing(
        &self,
        env: &Env<'_, '_>,
        group: &ConsumerGroup,
        replaced: &ConsumerMember,
    ) -> bool {
        !replaced.is_classic()
            && group.classic_members() == group.members().len() - 1
            && env.config.consumer.migration.allows_downgrade()
            && group.members().len() <= env.config.max_size
    }

    /// Removes members and makes the rest a classic group, which rebalances.
    pub(super) fn downgrade_without(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        gone: &BTreeSet<StrBytes>,
        done: Done,
        cause: &'static str,
    ) -> Wrote {
        let Some(group) = self.groups.consumer(id) else { return Wrote::Nothing };
        let stay = group.members().filter(|member| !gone.contains(&member.id));
        let stay = stay.map(|member| (member, group.base.target.of(&member.id)));
        let Some(classic) = downgraded(env, group, stay.collect()) else {
            let error = ErrorCode::GroupIdNotFound;
            let failure = crate::group::shard::Failure { error, in_log: false };
            self.finish(env, done, Err(failure));
            return Wrote::Failed(error);
        };
        let mut records = group.tombstones();
        records.push(classic_record(&classic));
        let ids: Vec<StrBytes> = group.members().map(|member| member.id.clone()).collect();
        self.install_classic(env, classic, ids, records, done, Some(cause))
    }

    /// Writes a downgrade down, and puts the classic group in the consumer group's place. With a cause it rebalances.
    pub(super) fn install_classic(
        &mut self,
        env: &mut Env<'_, '_>,
        classic: ClassicGroup,
        old_members: Vec<StrBytes>,
        records: Vec<Record>,
        done: Done,
        rebalance: Option<&'static str>,
    ) -> Wrote {
        let id = classic.id().clone();
        let wrote = self.write(env, records, false, done);
        if wrote != Wrote::Appended {
            return wrote;
        }
        for member in old_members {
            self.cancel_member_timers(env, &id, &member);
        }
        let sessions: Vec<(StrBytes, i32)> =
            classic.members().map(|m| (m.id.clone(), m.session_timeout_ms)).collect();
        note_conversion(env, &id, "consumer", "classic", classic.generation());
        self.groups.insert(Group::Classic(Box::new(classic)));
        for (member, timeout_ms) in sessions {
            self.restart_session(env, &id, &member, timeout_ms);
        }
        if let Some(cause) = rebalance {
            let _ = self.prepare_rebalance(env, &id, cause);
        }
        wrote
    }
}

/// Says that a group speaks another protocol now.
pub(super) fn note_conversion(
    env: &mut Env<'_, '_>,
    group: &StrBytes,
    from: &'static str,
    to: &'static str,
    epoch: i32,
) {
    if env.ctx.tracing() {
        env.ctx.trace(klamm_node::GroupEvent::GroupConverted { group: group.clone(), from, to, epoch });
    }
}

fn validate_upgrade(config: &GroupConfig, group: &ClassicGroup) -> Result<(), Refusal> {
    let id = group.id();
    let refuse = |why: &str| {
        let text = format!("Cannot upgrade classic group {id} to consumer group because {why}.");
        Err(Refusal::new(ErrorCode::GroupIdNotFound, text))
    };
    if !config.consumer.migration.allows_upgrade() {
        refuse("online upgrade is disabled")
    } else if !group.uses_consumer_protocol() {
        refuse("the group does not use the consumer embedded protocol")
    } else if group.members().len() > config.consumer.max_size {
        refuse("the group size exceeds the consumer group maximum size")
    } else {
        Ok(())
    }
}

/// The consumer group that a classic group becomes: everyone in the epoch of its generation, with what it has.
fn upgraded(host: &dyn Host, classic: &ClassicGroup) -> Result<ConsumerGroup, Refusal> {
    let refuse = |why: &str| {
        let text = format!("Cannot upgrade classic group {} to consumer group because {why}.", classic.id());
        Refusal::new(ErrorCode::GroupIdNotFound, text)
    };
    let malformed = || refuse("the embedded consumer protocol is malformed");
    let generation = classic.generation();
    let mut group = ConsumerGroup::new(classic.id().clone(), generation);
    group.base.target.epoch = generation;
    for member in classic.members() {
        let mut assigned = Partitions::new();
        if !member.assignment.is_empty() {
            let read = protocol::assignment(member.assignment.clone()).ok_or_else(malformed)?;
            if read.has_user_data {
                return Err(refuse(
                    "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default \
                     assignor before re-attempting the upgrade",
                ));
            }
            assigned = partition_ids(host, read.partitions);
        }
        let metadata = member.metadata(classic.protocol_name().or_else(|| first_protocol(member)));
        let subscription = protocol::subscription(metadata).ok_or_else(malformed)?;
        group.base.target.set(member.id.clone(), Some(assigned.clone()));
        group.update_member(ConsumerMember {
            epoch: generation,
            previous_epoch: generation,
            state: MemberState::Stable,
            instance_id: member.instance_id.clone(),
            rack_id: subscription.rack_id,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            topics: subscription.topics.into_iter().collect(),
            assigned: with_epoch(&assigned, generation),
            classic: Some(ClassicMember {
                session_timeout_ms: member.session_timeout_ms,
                protocols: member.protocols.clone(),
            }),
            ..ConsumerMember::new(member.id.clone())
        });
    }
    group.base.metadata_hash = ModernGroup::hash_of(&group.base.subscriptions, host);
    Ok(group)
}

fn first_protocol(member: &Member) -> Option<&StrBytes> {
    member.protocols.first().map(|protocol| &protocol.name)
}

/// Partitions by topic id; those of topics that do not exist are left out.
pub(super) fn partition_ids(host: &dyn Host, named: Vec<(StrBytes, Vec<i32>)>) -> Partitions {
    partitions(named.into_iter().filter_map(|(topic, p)| Some((host.topic(&topic)?.id, p))))
}

/// Partitions by topic name, as a classic consumer is told of them.
pub(super) fn partition_names(host: &dyn Host, partitions: &Partitions) -> Vec<(StrBytes, Vec<i32>)> {
    let named: BTreeMap<StrBytes, Vec<i32>> = partitions
        .iter()
        .filter_map(|(topic, p)| Some((host.topic_name(*topic)?, p.iter().copied().collect())))
        .collect();
    named.into_iter().collect()
}

impl ConsumerGroup {
    /// The records that make the group what it is (`createConsumerGroupRecords`).
    fn creation(&self) -> Vec<Record> {
        let mut records: Vec<ConsumerRecord> = self.members().map(ConsumerRecord::member).collect();
        records.push(ConsumerRecord::Epoch(Some((self.base.epoch, self.base.metadata_hash))));
        records.extend(
            self.members()
                .map(|m| ConsumerRecord::TargetMember(m.id.clone(), Some(self.base.target.of(&m.id)))),
        );
        let target = &self.base.target;
        records.push(ConsumerRecord::Target(Some((target.epoch, target.timestamp_ms))));
        records.extend(self.members().map(ConsumerRecord::current));
        records.into_iter().map(|record| self.record(record)).collect()
    }
}

/// The classic group of these members, each with its target; `None` when a subscription is malformed, or they have no protocol in
/// common.
pub(super) fn downgraded(
    env: &Env<'_, '_>,
    group: &ConsumerGroup,
    stay: Vec<(&ConsumerMember, Partitions)>,
) -> Option<ClassicGroup> {
    let member = |member: &ConsumerMember| {
        let classic = member.classic.clone()?;
        Some(Member {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic.protocols,
            assignment: bytes::Bytes::new(),
            joining: None,
            syncing: None,
            is_new: false,
        })
    };
    let members = stay.iter().map(|(m, _)| member(m)).collect::<Option<Vec<_>>>()?;
    let restore = |members: Vec<Member>, protocol: Option<StrBytes>| {
        ClassicGroup::restored(
            group.id().clone(),
            Some(StrBytes::from_static_str(CONSUMER_PROTOCOL)),
            protocol,
            group.base.epoch,
            None,
            Some(env.wall_ms()),
            members,
        )
    };
    let protocol = restore(members.clone(), None).select_protocol()?;
    let mut classic = restore(members, Some(protocol.clone()));
    for (member, target) in stay {
        let metadata = classic.member(&member.id)?.metadata(Some(&protocol));
        let version = protocol::subscription(metadata)?.version;
        let names = partition_names(&*env.host, &target);
        classic.member_mut(&member.id)?.assignment = protocol::write_assignment(version, &names);
    }
    Some(classic)
}

/// The record of a classic group with its members' assignments.
pub(super) fn classic_record(classic: &ClassicGroup) -> Record {
    let value = GroupValue::of(classic, |member| member.assignment.clone());
    Record::Group { group: classic.id().clone(), value: Some(value) }
}
