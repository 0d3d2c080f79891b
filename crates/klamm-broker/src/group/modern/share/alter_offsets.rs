//! AlterShareGroupOffsets: has a group that nobody is in begin elsewhere (`GroupMetadataManager.alterShareGroupOffsets`,
//! `GroupCoordinatorService.persisterInitialize`). A group that is not there is made.

use std::collections::BTreeMap;

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition as AlteredPartition,
    AlterShareGroupOffsetsResponseTopic as AlteredTopic,
};
use klamm_wire::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, ResponseKind, TopicName,
};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use super::super::refusal::Refusal;
use super::group::{NOT_EMPTY, StateMetadata, not_a_share_group};
use super::initialize::{Answers, Asks, ShareAsked};
use super::records::ShareRecord;
use crate::core::RequestContext;
use crate::group::GroupCoordinator;
use crate::group::done::Done;
use crate::group::groups::Group;
use crate::group::host::Host;
use crate::group::member::own;
use crate::group::records::Record;
use crate::group::shard::{Env, Shard};
use crate::handlers::UNKNOWN_PARTITION;
use crate::share::key::SharePartitionKey;
use crate::share_coordinator::ask::Ask;

/// An AlterShareGroupOffsets that is not answered yet.
#[derive(Debug, Clone)]
pub(crate) struct OffsetsAlteration {
    /// The group.
    pub(crate) group: StrBytes,
    to: ReplyTo,
    /// What it answers if the share coordinator has nothing against it.
    topics: Vec<AlteredTopic>,
}

impl OffsetsAlteration {
    /// Nothing came of it.
    pub(crate) fn refused(self, ctx: &mut Ctx<'_>, error: ErrorCode) {
        refuse(ctx, self.to, error.into());
    }

    /// The share coordinator has answered.
    pub(crate) fn answered(mut self, ctx: &mut Ctx<'_>, answers: &Answers) {
        for (key, answer) in answers.iter().filter(|(_, answer)| answer.error != ErrorCode::None) {
            let topic = self.topics.iter_mut().filter(|topic| topic.topic_id == key.topic_id);
            let partitions = topic.flat_map(|topic| &mut topic.partitions);
            for partition in partitions.filter(|partition| partition.partition_index == key.partition) {
                partition.error_code = answer.error.code();
                partition.error_message.clone_from(&answer.message);
            }
        }
        let response = AlterShareGroupOffsetsResponse::default().with_responses(self.topics);
        ctx.reply(self.to, ResponseKind::AlterShareGroupOffsets(response));
    }
}

impl GroupCoordinator {
    /// AlterShareGroupOffsets.
    pub(crate) fn alter_share_offsets(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: AlterShareGroupOffsetsRequest,
    ) {
        match self.lookup_named(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.alter_share_offsets(&mut env, rc.reply_to, request);
            }
            Err(error) => refuse(ctx, rc.reply_to, error.into()),
        }
    }
}

impl Shard {
    fn alter_share_offsets(
        &mut self,
        env: &mut Env<'_, '_>,
        to: ReplyTo,
        request: AlterShareGroupOffsetsRequest,
    ) {
        let id = own(&request.group_id);
        let (state_epoch, mut state) = match self.groups.group(&id) {
            None => (self.groups.first_epoch, StateMetadata::default()),
            Some(Group::Share(group)) if group.is_empty() => (group.base.epoch, group.state.clone()),
            Some(Group::Share(_)) => {
                return refuse(env.ctx, to, Refusal::new(ErrorCode::NonEmptyGroup, NOT_EMPTY));
            }
            Some(_) => return refuse(env.ctx, to, not_a_share_group(&id, true)),
        };
        let now = env.wall_ms();
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        let mut starts: BTreeMap<(Uuid, i32), i64> = BTreeMap::new();
        for topic in request.topics {
            let name = own(&topic.topic_name);
            let asked = topic.partitions.iter();
            let Some(found) = env.host.topic(&name) else {
                answer_topic(&mut unknown, &name, Uuid::nil(), asked.map(|p| refused(p.partition_index)));
                continue;
            };
            let exists = |partition: i32| (0..found.partitions).contains(&partition);
            let answers = asked.clone().map(|p| match p.partition_index {
                partition if exists(partition) => {
                    AlteredPartition::default().with_partition_index(partition).with_error_message(None)
                }
                partition => refused(partition),
            });
            answer_topic(&mut known, &name, found.id, answers);
            for partition in asked.filter(|p| exists(p.partition_index)) {
                starts.insert((found.id, partition.partition_index), partition.start_offset);
                state.deleting.remove(&found.id);
                let entry = state.initializing.entry(found.id).or_default();
                entry.name.clone_from(&name);
                entry.partitions.insert(partition.partition_index);
                entry.timestamp_ms = now;
            }
        }
        let asks: Asks = starts
            .into_iter()
            .map(|((topic_id, partition), start_offset)| {
                let key = SharePartitionKey { group: id.clone(), topic_id, partition };
                (key, Ask::Initialize { state_epoch, start_offset })
            })
            .collect();
        let mut records = Vec::new();
        if !asks.is_empty() {
            records.push(Record::Share { group: id.clone(), record: ShareRecord::State(Some(state)) });
        }
        unknown.append(&mut known);
        let asked = ShareAsked::Alter(OffsetsAlteration { group: id.clone(), to, topics: unknown });
        let _ = self.write_consumer(env, &id, records, Done::ShareAsk { asked, asks }, "offsets are altered");
    }

    /// The share coordinator has begun the partitions anew, or refused some of them: then none counts as begun.
    pub(crate) fn on_share_offsets_altered(
        &mut self,
        env: &mut Env<'_, '_>,
        alteration: OffsetsAlteration,
        answers: &Answers,
    ) {
        if !answers.is_empty() && answers.iter().all(|(_, answer)| answer.error == ErrorCode::None) {
            self.on_share_state_initialized(env, &alteration.group, answers);
        }
        alteration.answered(env.ctx, answers);
    }
}

fn refused(partition: i32) -> AlteredPartition {
    AlteredPartition::default()
        .with_partition_index(partition)
        .with_error_code(ErrorCode::UnknownTopicOrPartition.code())
        .with_error_message(Some(StrBytes::from_static_str(UNKNOWN_PARTITION)))
}

/// Answers for partitions of a topic; a topic that is named twice in a row keeps one entry.
fn answer_topic(
    topics: &mut Vec<AlteredTopic>,
    name: &StrBytes,
    topic_id: Uuid,
    partitions: impl Iterator<Item = AlteredPartition>,
) {
    match topics.last_mut().filter(|topic| topic.topic_name.0 == *name) {
        Some(topic) => topic.partitions.extend(partitions),
        None => topics.push(
            AlteredTopic::default()
                .with_topic_name(TopicName(name.clone()))
                .with_topic_id(topic_id)
                .with_partitions(partitions.collect()),
        ),
    }
}

fn refuse(ctx: &mut Ctx<'_>, to: ReplyTo, refusal: Refusal) {
    let response = AlterShareGroupOffsetsResponse::default()
        .with_error_code(refusal.error.code())
        .with_error_message(refusal.told());
    ctx.reply(to, ResponseKind::AlterShareGroupOffsets(response));
}
