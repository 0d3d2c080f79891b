//! A classic group's members and state (Kafka's `ClassicGroup`). Knows nothing of logs, timers or time.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasherDefault;

use bytes::{Buf, Bytes};
use indexmap::IndexMap;
use klamm_wire::{ErrorCode, StrBytes};
use rustc_hash::FxHasher;

use super::member::{Member, Parked, Protocol};
use super::state::ClassicState;

/// The protocol type of consumers, whose subscriptions the coordinator can read.
pub(crate) const CONSUMER_PROTOCOL: &str = "consumer";

/// How much longer the first rebalance of a group waits for more members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InitialDelay {
    /// The wait that is running, in milliseconds.
    pub(crate) delay_ms: i32,
    /// What the rebalance timeout leaves after it, in milliseconds.
    pub(crate) remaining_ms: i32,
}

/// Members in the order they joined.
type Members = IndexMap<StrBytes, Member, BuildHasherDefault<FxHasher>>;

/// A classic group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClassicGroup {
    id: StrBytes,
    state: ClassicState,
    previous_state: ClassicState,
    /// Wall time of the last change of state, in milliseconds; `None` when the record did not say.
    state_timestamp: Option<i64>,
    protocol_type: Option<StrBytes>,
    protocol_name: Option<StrBytes>,
    generation: i32,
    leader: Option<StrBytes>,
    members: Members,
    /// Member ids by group instance id.
    static_members: BTreeMap<StrBytes, StrBytes>,
    /// Ids that were given out and have not joined yet (KIP-394).
    pending_join: BTreeSet<StrBytes>,
    awaiting_join: usize,
    /// How many members offer each protocol.
    supported: BTreeMap<StrBytes, usize>,
    pending_sync: BTreeSet<StrBytes>,
    /// Topics that the members subscribe to; `None` when the coordinator cannot know.
    subscribed_topics: Option<BTreeSet<StrBytes>>,
    /// Whether a member came while the first rebalance waited.
    pub(crate) new_member_added: bool,
    /// The running wait of the first rebalance.
    pub(crate) initial_delay: Option<InitialDelay>,
}

impl ClassicGroup {
    /// An empty group that no record knows yet.
    pub(crate) fn new(id: StrBytes, wall_ms: i64) -> Self {
        Self {
            id,
            state: ClassicState::Empty,
            previous_state: ClassicState::Dead,
            state_timestamp: Some(wall_ms),
            protocol_type: None,
            protocol_name: None,
            generation: 0,
            leader: None,
            members: Members::default(),
            static_members: BTreeMap::new(),
            pending_join: BTreeSet::new(),
            awaiting_join: 0,
            supported: BTreeMap::new(),
            pending_sync: BTreeSet::new(),
            subscribed_topics: None,
            new_member_added: false,
            initial_delay: None,
        }
    }

    /// A group as its record describes it: stable when it has members, empty otherwise.
    pub(crate) fn restored(
        id: StrBytes,
        protocol_type: Option<StrBytes>,
        protocol_name: Option<StrBytes>,
        generation: i32,
        leader: Option<StrBytes>,
        state_timestamp: Option<i64>,
        members: Vec<Member>,
    ) -> Self {
        let mut group = Self::new(id, 0);
        group.state = if members.is_empty() { ClassicState::Empty } else { ClassicState::Stable };
        group.protocol_type = protocol_type;
        group.protocol_name = protocol_name;
        group.generation = generation;
        group.leader = leader;
        group.state_timestamp = state_timestamp;
        for member in members {
            group.add(member);
        }
        group.subscribed_topics = group.compute_subscribed_topics();
        group
    }

    /// The group's id.
    pub(crate) const fn id(&self) -> &StrBytes {
        &self.id
    }

    /// Its state.
    pub(crate) const fn state(&self) -> ClassicState {
        self.state
    }

    /// The state before.
    pub(crate) const fn previous_state(&self) -> ClassicState {
        self.previous_state
    }

    /// Whether it only holds offsets: no record but theirs is about it.
    pub(crate) fn is_simple(&self) -> bool {
        self.protocol_type.is_none() && self.is(ClassicState::Empty) && self.pending_join.is_empty()
    }

    /// Whether it is in a state.
    pub(crate) fn is(&self, state: ClassicState) -> bool {
        self.state == state
    }

    /// When its state last changed, in wall milliseconds.
    pub(crate) const fn state_timestamp(&self) -> Option<i64> {
        self.state_timestamp
    }

    /// Its generation.
    pub(crate) const fn generation(&self) -> i32 {
        self.generation
    }

    /// `consumer`, `connect` …; `None` for a group that only stores offsets.
    pub(crate) const fn protocol_type(&self) -> Option<&StrBytes> {
        self.protocol_type.as_ref()
    }

    /// The assignor that this generation uses.
    pub(crate) const fn protocol_name(&self) -> Option<&StrBytes> {
        self.protocol_name.as_ref()
    }

    /// The leader's member id.
    pub(crate) const fn leader(&self) -> Option<&StrBytes> {
        self.leader.as_ref()
    }

    /// Whether a member leads the group.
    pub(crate) fn is_leader(&self, member: &StrBytes) -> bool {
        self.leader.as_ref() == Some(member)
    }

    /// Members in the order they joined.
    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// Members in the order they joined.
    pub(crate) fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.values_mut()
    }

    /// A member.
    pub(crate) fn member(&self, id: &StrBytes) -> Option<&Member> {
        self.members.get(id)
    }

    /// A member.
    pub(crate) fn member_mut(&mut self, id: &StrBytes) -> Option<&mut Member> {
        self.members.get_mut(id)
    }

    /// Whether there is such a member.
    pub(crate) fn has_member(&self, id: &StrBytes) -> bool {
        self.members.contains_key(id)
    }

    /// A member's or pending member's id, as the group itself holds it.
    pub(crate) fn known_id(&self, id: &StrBytes) -> Option<&StrBytes> {
        self.members.get_key_value(id).map(|(id, _)| id).or_else(|| self.pending_join.get(id))
    }

    /// How many members wait for the answer to their JoinGroup.
    pub(crate) const fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    /// Whether the id was given out and has not joined yet.
    pub(crate) fn is_pending_member(&self, id: &StrBytes) -> bool {
        self.pending_join.contains(id)
    }

    /// Ids that were given out and have not joined yet.
    pub(crate) fn pending_members(&self) -> impl Iterator<Item = &StrBytes> {
        self.pending_join.iter()
    }

    /// Notes an id that was given out.
    pub(crate) fn add_pending_member(&mut self, id: StrBytes) {
        self.pending_join.insert(id);
    }

    /// The member of a group instance id.
    pub(crate) fn static_member(&self, instance_id: &StrBytes) -> Option<&StrBytes> {
        self.static_members.get(instance_id)
    }

    /// Adds a member. The first one leads until a rebalance says otherwise.
    fn add(&mut self, member: Member) {
        if let Some(instance) = &member.instance_id {
            self.static_members.insert(instance.clone(), member.id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        self.count_protocols(&member.protocols, true);
        self.awaiting_join += usize::from(member.joining.is_some());
        self.pending_join.remove(&member.id);
        if let Some(old) = self.members.insert(member.id.clone(), member) {
            self.count_protocols(&old.protocols, false);
            self.awaiting_join -= usize::from(old.joining.is_some());
        }
    }

    /// Adds the member of a JoinGroup request; the first one decides the group's protocol type.
    pub(crate) fn join(&mut self, member: Member, protocol_type: StrBytes) {
        let first = self.members.is_empty();
        self.add(member);
        if first {
            self.protocol_type = Some(protocol_type);
        }
    }

    /// Removes a member (or an id that has not joined), and answers for it no more.
    pub(crate) fn remove(&mut self, id: &StrBytes) -> Option<Member> {
        let removed = self.members.shift_remove(id);
        if let Some(member) = &removed {
            self.forget(member);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_join.remove(id);
        self.pending_sync.remove(id);
        removed
    }

    /// Removes every member that `gone` names, at once, and returns them.
    pub(crate) fn remove_where(&mut self, mut gone: impl FnMut(&Member) -> bool) -> Vec<Member> {
        let mut removed = Vec::new();
        self.members.retain(|_, member| {
            let keep = !gone(member);
            if !keep {
                removed.push(member.clone());
            }
            keep
        });
        for member in &removed {
            self.forget(member);
            self.pending_sync.remove(&member.id);
        }
        if self.leader.as_ref().is_some_and(|leader| removed.iter().any(|m| m.id == *leader)) {
            self.leader = self.members.keys().next().cloned();
        }
        removed
    }

    fn forget(&mut self, member: &Member) {
        self.count_protocols(&member.protocols, false);
        self.awaiting_join -= usize::from(member.joining.is_some());
        if let Some(instance) = &member.instance_id {
            self.static_members.remove(instance);
        }
    }

    fn count_protocols(&mut self, protocols: &[Protocol], more: bool) {
        for protocol in protocols {
            let count = self.supported.entry(protocol.name.clone()).or_default();
            *count = if more { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.supported.remove(&protocol.name);
            }
        }
    }

    /// Makes a new member id stand for a static member (KIP-345). Returns the requests that the old id had waiting: they
    /// belong to a member that is fenced now.
    pub(crate) fn replace_static_member(
        &mut self,
        instance_id: &StrBytes,
        old_id: &StrBytes,
        new_id: &StrBytes,
    ) -> (Option<Parked>, Option<Parked>) {
        let Some((index, _, mut member)) = self.members.shift_remove_full(old_id) else {
            return (None, None);
        };
        let joining = member.joining.take();
        let syncing = member.syncing.take();
        self.awaiting_join -= usize::from(joining.is_some());
        member.id = new_id.clone();
        member.is_new = false;
        self.members.shift_insert(index, new_id.clone(), member);
        if self.is_leader(old_id) {
            self.leader = Some(new_id.clone());
        }
        self.static_members.insert(instance_id.clone(), new_id.clone());
        (joining, syncing)
    }

    /// Replaces what a member offers, and the JoinGroup request it waits on. Returns the request it waited on before.
    pub(crate) fn update_member(
        &mut self,
        id: &StrBytes,
        protocols: Vec<Protocol>,
        rebalance_timeout_ms: i32,
        session_timeout_ms: i32,
        joining: Option<Parked>,
    ) -> Option<Parked> {
        let member = self.members.get_mut(id)?;
        let old_protocols = std::mem::replace(&mut member.protocols, protocols.clone());
        let old_joining = std::mem::replace(&mut member.joining, joining);
        member.rebalance_timeout_ms = rebalance_timeout_ms;
        member.session_timeout_ms = session_timeout_ms;
        self.awaiting_join -= usize::from(old_joining.is_some());
        self.awaiting_join += usize::from(joining.is_some());
        self.count_protocols(&old_protocols, false);
        self.count_protocols(&protocols, true);
        old_joining
    }

    /// Takes the JoinGroup request that a member waits on.
    pub(crate) fn take_joining(&mut self, id: &StrBytes) -> Option<Parked> {
        let parked = self.members.get_mut(id)?.joining.take();
        self.awaiting_join -= usize::from(parked.is_some());
        parked
    }

    /// Whether every member waits for the next generation, and nobody is expected.
    pub(crate) fn all_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending_join.is_empty()
    }

    /// The longest rebalance timeout of the members, in milliseconds.
    pub(crate) fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|m| m.rebalance_timeout_ms).max().unwrap_or(0).max(0)
    }

    /// Gives the lead to a member that has joined again, when the leader has not. False when nobody has.
    pub(crate) fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = &self.leader else { return false };
        if self.members.get(leader).is_some_and(|m| m.joining.is_some()) {
            return true;
        }
        let joined = self.members.values().find(|m| m.joining.is_some()).map(|m| m.id.clone());
        match joined {
            Some(id) => {
                self.leader = Some(id);
                true
            }
            None => false,
        }
    }

    /// Members that the next SyncGroup is awaited from.
    pub(crate) fn expect_sync_from_all(&mut self) {
        self.pending_sync = self.members.keys().cloned().collect();
    }

    /// Nobody's SyncGroup is awaited any more.
    pub(crate) fn clear_pending_sync(&mut self) {
        self.pending_sync.clear();
    }

    /// A member has sent its SyncGroup. True when that was the last.
    pub(crate) fn synced(&mut self, id: &StrBytes) -> bool {
        self.pending_sync.remove(id);
        self.pending_sync.is_empty()
    }

    /// Takes the members whose SyncGroup is still awaited.
    pub(crate) fn take_pending_sync(&mut self) -> BTreeSet<StrBytes> {
        std::mem::take(&mut self.pending_sync)
    }

    /// Whether no SyncGroup is awaited.
    pub(crate) fn all_synced(&self) -> bool {
        self.pending_sync.is_empty()
    }

    /// Changes state.
    pub(crate) fn become_state(&mut self, next: ClassicState, wall_ms: i64) {
        debug_assert!(self.state.may_become(next), "{} -> {}", self.state.name(), next.name());
        self.previous_state = self.state;
        self.state = next;
        self.state_timestamp = Some(wall_ms);
    }

    /// Opens the next generation: `CompletingRebalance` with members, `Empty` without.
    pub(crate) fn next_generation(&mut self, wall_ms: i64) {
        self.generation = self.generation.wrapping_add(1).max(0);
        self.protocol_name = self.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        let next =
            if self.members.is_empty() { ClassicState::Empty } else { ClassicState::CompletingRebalance };
        self.become_state(next, wall_ms);
        self.clear_pending_sync();
    }

    /// The protocol that every member supports and most members prefer; the first by name when votes are equal.
    pub(crate) fn select_protocol(&self) -> Option<StrBytes> {
        let everyone = self.members.len();
        let mut votes: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().find(|p| self.supported.get(&p.name) == Some(&everyone));
            if let Some(protocol) = vote {
                *votes.entry(&protocol.name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
    }

    /// Whether a member with these protocols can live with the others.
    pub(crate) fn supports_protocols(&self, protocol_type: &StrBytes, protocols: &[Protocol]) -> bool {
        if self.is(ClassicState::Empty) {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|p| self.supported.get(&p.name).copied().unwrap_or(0) == self.members.len())
    }

    /// Whether the group's subscriptions are a consumer's.
    pub(crate) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_ref().is_some_and(|t| t.as_str() == CONSUMER_PROTOCOL)
    }

    /// Topics that the members subscribe to; `None` when the coordinator cannot know.
    pub(crate) const fn subscribed_topics(&self) -> Option<&BTreeSet<StrBytes>> {
        self.subscribed_topics.as_ref()
    }

    /// Whether the group reads a topic, as far as the coordinator can know.
    pub(crate) fn is_subscribed_to(&self, topic: &StrBytes) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    fn compute_subscribed_topics(&self) -> Option<BTreeSet<StrBytes>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol_name.as_ref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscription_topics(member.metadata(Some(protocol)))?);
        }
        Some(topics)
    }

    /// Checks the identity that a request gives.
    pub(crate) fn validate_member(
        &self,
        id: &StrBytes,
        instance_id: Option<&StrBytes>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(existing) if existing != id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.has_member(id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether an offset commit is to be taken. Generation -1 without a member comes from a consumer that manages its
    /// partitions itself, or from the admin client.
    pub(crate) fn validate_offset_commit(
        &self,
        member: &StrBytes,
        instance_id: Option<&StrBytes>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        if self.is(ClassicState::Dead) {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        if generation < 0 && self.is(ClassicState::Empty) {
            return Ok(());
        }
        if generation >= 0 || !member.is_empty() || instance_id.is_some() {
            self.validate_member(member, instance_id)?;
            if generation != self.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else if !self.is(ClassicState::Empty) {
            return Err(ErrorCode::UnknownMemberId);
        }
        if self.is(ClassicState::CompletingRebalance) {
            // The member knows the new generation but not yet its partitions: it must sync before it commits.
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether the group may be deleted.
    pub(crate) const fn validate_delete(&self) -> Result<(), ErrorCode> {
        match self.state {
            ClassicState::Dead => Err(ErrorCode::GroupIdNotFound),
            ClassicState::Empty => Ok(()),
            _ => Err(ErrorCode::NonEmptyGroup),
        }
    }

    /// Whether single offsets of the group may be deleted.
    pub(crate) fn validate_offset_delete(&self) -> Result<(), ErrorCode> {
        match self.state {
            ClassicState::Dead => Err(ErrorCode::GroupIdNotFound),
            ClassicState::Empty => Ok(()),
            _ if self.uses_consumer_protocol() => Ok(()),
            _ => Err(ErrorCode::NonEmptyGroup),
        }
    }
}

/// The topics in a consumer's subscription (`ConsumerProtocolSubscription`). Version 0 is a prefix of every version, so
/// it is read as version 0; `None` when even that fails.
fn subscription_topics(mut bytes: Bytes) -> Option<Vec<StrBytes>> {
    let version = bytes.try_get_i16().ok()?;
    if version < 0 {
        return None;
    }
    let count = usize::try_from(bytes.try_get_i32().ok()?).ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
        if bytes.remaining() < length {
            return None;
        }
        topics.push(StrBytes::from_utf8(bytes.split_to(length)).ok()?);
    }
    let user_data = bytes.try_get_i32().ok()?;
    if user_data > 0 && bytes.remaining() < usize::try_from(user_data).ok()? {
        return None;
    }
    Some(topics)
}
