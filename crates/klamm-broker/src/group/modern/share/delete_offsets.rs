//! DeleteShareGroupOffsets: has the share coordinator forget topics of a group that nobody is in
//! (`GroupMetadataManager.sharePartitionsEligibleForOffsetDeletion`, `completeDeleteShareGroupOffsets`).

use std::collections::BTreeMap;

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic as DeletedTopic;
use klamm_wire::messages::{
    DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse, ResponseKind, TopicName,
};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use super::super::refusal::Refusal;
use super::group::{NOT_EMPTY, not_a_share_group};
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

/// A DeleteShareGroupOffsets that is not answered yet.
#[derive(Debug, Clone)]
pub(crate) struct OffsetsDeletion {
    /// The group.
    pub(crate) group: StrBytes,
    to: ReplyTo,
    /// The topics that the share coordinator is asked to forget.
    topics: BTreeMap<Uuid, StrBytes>,
    /// Those that it is not asked about, or did not forget.
    refused: Vec<DeletedTopic>,
}

impl OffsetsDeletion {
    /// Nothing came of it.
    pub(crate) fn refused(self, ctx: &mut Ctx<'_>, error: ErrorCode) {
        refuse(ctx, self.to, error.into());
    }

    /// Takes out the topics that the share coordinator did not forget.
    fn note(&mut self, answers: &Answers) {
        for (key, answer) in answers.iter().filter(|(_, answer)| answer.error != ErrorCode::None) {
            if let Some(name) = self.topics.remove(&key.topic_id) {
                self.refused.push(topic(name, key.topic_id, answer.error, answer.message.clone()));
            }
        }
    }

    /// The answer, those that are forgotten first.
    fn answer(self) -> (ReplyTo, DeleteShareGroupOffsetsResponse) {
        let forgotten = self.topics.into_iter().map(|(id, name)| topic(name, id, ErrorCode::None, None));
        let topics = forgotten.chain(self.refused).collect();
        (self.to, DeleteShareGroupOffsetsResponse::default().with_responses(topics))
    }

    /// The share coordinator has answered, but the group's coordinator is another one by now.
    pub(crate) fn abandoned(mut self, ctx: &mut Ctx<'_>, answers: &Answers) {
        self.note(answers);
        if self.topics.is_empty() { self.reply(ctx) } else { self.refused(ctx, ErrorCode::NotCoordinator) }
    }

    /// Answers.
    pub(crate) fn reply(self, ctx: &mut Ctx<'_>) {
        let (to, response) = self.answer();
        ctx.reply(to, ResponseKind::DeleteShareGroupOffsets(response));
    }
}

impl GroupCoordinator {
    /// DeleteShareGroupOffsets.
    pub(crate) fn delete_share_offsets(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: DeleteShareGroupOffsetsRequest,
    ) {
        match self.lookup_named(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.delete_share_offsets(&mut env, rc.reply_to, request);
            }
            Err(error) => refuse(ctx, rc.reply_to, error.into()),
        }
    }
}

impl Shard {
    fn delete_share_offsets(
        &mut self,
        env: &mut Env<'_, '_>,
        to: ReplyTo,
        request: DeleteShareGroupOffsetsRequest,
    ) {
        let id = own(&request.group_id);
        let mut state = match self.groups.group(&id) {
            Some(Group::Share(group)) if group.is_empty() => group.state.clone(),
            Some(Group::Share(_)) => {
                return refuse(env.ctx, to, Refusal::new(ErrorCode::NonEmptyGroup, NOT_EMPTY));
            }
            Some(_) => return refuse(env.ctx, to, not_a_share_group(&id, true)),
            None => {
                let text = format!("Group {id} not found.");
                return refuse(env.ctx, to, Refusal::new(ErrorCode::GroupIdNotFound, text));
            }
        };
        let mut deletion =
            OffsetsDeletion { group: id.clone(), to, topics: BTreeMap::new(), refused: Vec::new() };
        let mut asks = Asks::new();
        for asked in request.topics {
            let name = own(&asked.topic_name);
            let unknown = ErrorCode::UnknownTopicOrPartition;
            let Some(found) = env.host.topic(&name) else {
                let message = Some(StrBytes::from_static_str(UNKNOWN_PARTITION));
                deletion.refused.push(topic(name, Uuid::nil(), unknown, message));
                continue;
            };
            if deletion.topics.contains_key(&found.id) {
                continue;
            }
            let partitions: Vec<i32> = match state.initialized.remove(&found.id) {
                Some(kept) => kept.partitions.into_iter().collect(),
                // An earlier deletion did not get through.
                None if state.deleting.contains_key(&found.id) => (0..found.partitions).collect(),
                None => {
                    let message = StrBytes::from_static_str("There is no offset information to delete.");
                    deletion.refused.push(topic(name, Uuid::nil(), unknown, Some(message)));
                    continue;
                }
            };
            let key = |partition| SharePartitionKey { group: id.clone(), topic_id: found.id, partition };
            asks.extend(partitions.into_iter().map(|partition| (key(partition), Ask::Delete)));
            state.deleting.insert(found.id, name.clone());
            deletion.topics.insert(found.id, name);
        }
        // Noted before anything is asked: what the share coordinator does not forget now is asked for again when the client does.
        let record = Record::Share { group: id.clone(), record: ShareRecord::State(Some(state)) };
        let done = Done::ShareAsk { asked: ShareAsked::DeleteOffsets(deletion), asks };
        let _ = self.write_consumer(env, &id, vec![record], done, "offsets are deleted");
    }

    /// The share coordinator has forgotten topics of the group, all or some.
    pub(crate) fn on_share_offsets_deleted(
        &mut self,
        env: &mut Env<'_, '_>,
        mut deletion: OffsetsDeletion,
        answers: &Answers,
    ) {
        deletion.note(answers);
        match self.groups.share(&deletion.group) {
            Some(group) if !deletion.topics.is_empty() => {
                let mut state = group.state.clone();
                state.deleting.retain(|topic, _| !deletion.topics.contains_key(topic));
                let id = deletion.group.clone();
                self.write_share_state(
                    env,
                    &id,
                    state,
                    Done::ShareOffsetsDeleted(deletion),
                    "offsets are deleted",
                );
            }
            _ => deletion.reply(env.ctx),
        }
    }
}

fn topic(name: StrBytes, id: Uuid, error: ErrorCode, message: Option<StrBytes>) -> DeletedTopic {
    DeletedTopic::default()
        .with_topic_name(TopicName(name))
        .with_topic_id(id)
        .with_error_code(error.code())
        .with_error_message(message)
}

fn refuse(ctx: &mut Ctx<'_>, to: ReplyTo, refusal: Refusal) {
    let response = DeleteShareGroupOffsetsResponse::default()
        .with_error_code(refusal.error.code())
        .with_error_message(refusal.told());
    ctx.reply(to, ResponseKind::DeleteShareGroupOffsets(response));
}
