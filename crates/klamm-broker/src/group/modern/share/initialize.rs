//! Having the share coordinator keep state for the partitions that a group reads (Kafka's
//! `maybeCreateInitializeShareGroupStateRequest`, `initializeShareGroupState`, `uninitializeShareGroupState`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::Ctx;
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use super::super::subscriptions::Subscriptions;
use super::alter_offsets::OffsetsAlteration;
use super::delete::ShareDeletion;
use super::delete_offsets::OffsetsDeletion;
use super::group::{StateMetadata, TopicState};
use super::offsets::OffsetsAsked;
use super::records::ShareRecord;
use crate::group::done::Done;
use crate::group::gather::Gathers;
use crate::group::records::Record;
use crate::group::shard::{Env, Shard};
use crate::share::key::SharePartitionKey;
use crate::share_coordinator::ask::{Answer, Ask};
use crate::share_coordinator::state::UNINITIALIZED_START_OFFSET;

/// What the share coordinator is asked about a group's partitions.
pub(crate) type Asks = Vec<(SharePartitionKey, Ask)>;
/// What it answered.
pub(crate) type Answers = Vec<(SharePartitionKey, Answer)>;

/// What the share coordinator was asked for on behalf of a group.
#[derive(Debug, Clone)]
pub(crate) enum ShareAsked {
    /// To keep state for partitions that the group reads.
    Initialize(StrBytes),
    /// To forget a group that is deleted.
    Delete(ShareDeletion),
    /// To tell where a group is.
    Offsets(OffsetsAsked),
    /// To begin a group's partitions elsewhere.
    Alter(OffsetsAlteration),
    /// To forget some topics of a group.
    DeleteOffsets(OffsetsDeletion),
}

impl ShareAsked {
    /// The group.
    pub(crate) const fn group(&self) -> &StrBytes {
        match self {
            Self::Initialize(group) => group,
            Self::Delete(deletion) => &deletion.group,
            Self::Offsets(asked) => &asked.group,
            Self::Alter(alteration) => &alteration.group,
            Self::DeleteOffsets(deletion) => &deletion.group,
        }
    }

    /// The share coordinator is not asked after all, or nobody can take its answer: whoever waits for it is told why.
    pub(crate) fn refused(self, gathers: &mut Gathers, ctx: &mut Ctx<'_>, error: ErrorCode) {
        match self {
            // A member's next heartbeat asks again.
            Self::Initialize(_) => {}
            Self::Delete(deletion) => {
                let (gather, slot, result) = deletion.refused(error);
                gathers.deleted(ctx, gather, slot, result);
            }
            Self::Offsets(asked) => {
                let (gather, slot) = (asked.gather, asked.slot);
                gathers.share_offsets_described(ctx, gather, slot, asked.refused(error));
            }
            Self::Alter(alteration) => alteration.refused(ctx, error),
            Self::DeleteOffsets(deletion) => deletion.refused(ctx, error),
        }
    }
}

impl Shard {
    /// Notes partitions that are subscribed to and have no state yet, and what to ask the share coordinator for.
    pub(super) fn plan_initialization(
        &self,
        env: &Env<'_, '_>,
        id: &StrBytes,
        state_epoch: i32,
        subscriptions: &Subscriptions,
        records: &mut Vec<Record>,
    ) -> Option<Asks> {
        let none = StateMetadata::default();
        let state = self.groups.share(id).map_or(&none, |group| &group.state);
        let now = env.wall_ms();
        let retry_after = i64::from(env.config.share.initialize_retry_interval_ms);
        let mut next = state.clone();
        let mut asks = Asks::new();
        for name in subscriptions.topics() {
            let Some(topic) = env.host.topic(name) else { continue };
            let under_way = state.initializing.get(&topic.id).filter(|t| now - t.timestamp_ms < retry_after);
            let known: BTreeSet<i32> = [state.initialized.get(&topic.id), under_way]
                .into_iter()
                .flatten()
                .flat_map(|topic| topic.partitions.iter().copied())
                .collect();
            let missing: BTreeSet<i32> = (0..topic.partitions).filter(|p| !known.contains(p)).collect();
            if missing.is_empty() {
                continue;
            }
            // Partitions that a topic gets later are read from their beginning.
            let is_known =
                state.initialized.contains_key(&topic.id) || state.initializing.contains_key(&topic.id);
            let start_offset = if is_known { 0 } else { UNINITIALIZED_START_OFFSET };
            for partition in &missing {
                let key = SharePartitionKey { group: id.clone(), topic_id: topic.id, partition: *partition };
                asks.push((key, Ask::Initialize { state_epoch, start_offset }));
            }
            next.deleting.remove(&topic.id);
            let entry = next.initializing.entry(topic.id).or_default();
            entry.name = name.clone();
            entry.partitions.extend(missing);
            entry.timestamp_ms = now;
        }
        if asks.is_empty() {
            return None;
        }
        records.push(Record::Share { group: id.clone(), record: ShareRecord::State(Some(next)) });
        Some(asks)
    }

    /// The share coordinator has the partitions, or refused one of them: then all are asked for again.
    pub(crate) fn on_share_state_initialized(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        answers: &Answers,
    ) {
        let Some(group) = self.groups.share(id) else { return };
        let failed = answers.iter().any(|(_, answer)| answer.error != ErrorCode::None);
        let mut next = group.state.clone();
        let now = env.wall_ms();
        for (key, _) in answers {
            take(&mut next.initializing, key);
            if !failed {
                let entry = next.initialized.entry(key.topic_id).or_default();
                entry.name = env.host.topic_name(key.topic_id).unwrap_or_else(|| entry.name.clone());
                entry.partitions.insert(key.partition);
                entry.timestamp_ms = now;
            }
        }
        self.write_share_state(env, id, next, Done::Nothing, "partitions were initialised");
    }

    /// Topics are gone: so is their state (`maybeCleanupShareGroupState`).
    pub(crate) fn share_topics_deleted(&mut self, env: &mut Env<'_, '_>, deleted: &BTreeSet<Uuid>) {
        let touched = |state: &StateMetadata| {
            let known =
                state.initializing.keys().chain(state.initialized.keys()).chain(state.deleting.keys());
            known.into_iter().any(|topic| deleted.contains(topic))
        };
        let groups: Vec<(StrBytes, StateMetadata)> = self
            .groups
            .shares()
            .filter(|group| touched(&group.state))
            .map(|group| (group.id().clone(), group.state.clone()))
            .collect();
        for (id, mut state) in groups {
            state.initializing.retain(|topic, _| !deleted.contains(topic));
            state.initialized.retain(|topic, _| !deleted.contains(topic));
            state.deleting.retain(|topic, _| !deleted.contains(topic));
            self.write_share_state(env, &id, state, Done::Nothing, "topics were deleted");
        }
    }

    /// Writes for which partitions of a group state is kept.
    pub(super) fn write_share_state(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        state: StateMetadata,
        done: Done,
        cause: &'static str,
    ) {
        let record = Record::Share { group: id.clone(), record: ShareRecord::State(Some(state)) };
        let _ = self.write_consumer(env, id, vec![record], done, cause);
    }
}

/// Takes a partition out.
fn take(topics: &mut BTreeMap<Uuid, TopicState>, key: &SharePartitionKey) {
    if let Some(topic) = topics.get_mut(&key.topic_id) {
        topic.partitions.remove(&key.partition);
        if topic.partitions.is_empty() {
            topics.remove(&key.topic_id);
        }
    }
}
