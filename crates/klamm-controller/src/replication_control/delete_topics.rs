//! Deletes topics, by name or by id (`ControllerApis.deleteTopics`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_metadata::MetadataRecord;
use klamm_metadata::record::RemoveTopicRecord;
use klamm_node::config::broker;
use klamm_wire::messages::delete_topics_response::DeletableTopicResult;
use klamm_wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use crate::api_error::ApiError;
use crate::mutation_quota::MutationQuota;
use crate::state::ClusterState;

/// The answer, and the records of the deletions. An error refuses the whole request.
pub(crate) fn delete_topics(
    state: &ClusterState,
    version: i16,
    request: &DeleteTopicsRequest,
    quota: &mut MutationQuota<'_>,
    records: &mut Vec<MetadataRecord>,
) -> Result<DeleteTopicsResponse, ApiError> {
    if !state.config.get(broker::DELETE_TOPIC_ENABLE) {
        return Err(if version < 3 {
            ApiError::new(ErrorCode::InvalidRequest, "This version does not support topic deletion.")
        } else {
            ErrorCode::TopicDeletionDisabled.into()
        });
    }
    let mut responses = Vec::new();
    let mut refuse = |name: Option<&StrBytes>, id: Uuid, error: &ApiError| {
        responses.push(result(name, id, Some(error)));
    };
    let mut names = Once::default();
    let mut ids = Once::default();
    for name in &request.topic_names {
        names.add(name.0.clone());
    }
    for topic in &request.topics {
        match (&topic.name, topic.topic_id.is_nil()) {
            (Some(name), true) => names.add(name.0.clone()),
            (None, false) => ids.add(topic.topic_id),
            (None, true) => refuse(
                None,
                Uuid::nil(),
                &ApiError::new(ErrorCode::InvalidRequest, "Neither topic name nor id were specified."),
            ),
            (Some(name), false) => refuse(
                Some(&name.0),
                topic.topic_id,
                &ApiError::new(
                    ErrorCode::InvalidRequest,
                    "You may not specify both topic name and topic id.",
                ),
            ),
        }
    }
    let twice = |what| ApiError::new(ErrorCode::InvalidRequest, format!("Duplicate topic {what}."));
    for name in &names.repeated {
        refuse(Some(name), Uuid::nil(), &twice("name"));
    }
    for id in &ids.repeated {
        refuse(None, *id, &twice("id"));
    }
    let topics = &state.image.topics;
    let mut chosen: BTreeMap<Uuid, StrBytes> = BTreeMap::new();
    for id in &ids.single {
        match topics.by_id(*id) {
            Some(topic) => {
                chosen.insert(*id, topic.name.clone());
            }
            None => refuse(
                None,
                *id,
                &ApiError::new(ErrorCode::UnknownTopicId, "This server does not host this topic ID."),
            ),
        }
    }
    for name in &names.single {
        let Some(id) = topics.id(name) else {
            refuse(
                Some(name),
                Uuid::nil(),
                &ApiError::new(
                    ErrorCode::UnknownTopicOrPartition,
                    "This server does not host this topic-partition.",
                ),
            );
            continue;
        };
        if ids.repeated.contains(&id) || chosen.insert(id, name.clone()).is_some() {
            chosen.remove(&id);
            let message = "The provided topic name maps to an ID that was already supplied.";
            refuse(Some(name), id, &ApiError::new(ErrorCode::InvalidRequest, message));
        }
    }
    for (id, name) in chosen {
        let partitions = topics.by_id(id).map_or(0, |topic| topic.partitions.len());
        let refused = quota.record(partitions).err();
        if refused.is_none() {
            records.push(MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id: id }));
        }
        responses.push(result(Some(&name), id, refused.as_ref()));
    }
    Ok(DeleteTopicsResponse::default().with_responses(responses))
}

fn result(name: Option<&StrBytes>, id: Uuid, error: Option<&ApiError>) -> DeletableTopicResult {
    DeletableTopicResult::default()
        .with_name(name.cloned().map(Into::into))
        .with_topic_id(id)
        .with_error_code(error.map_or(0, |error| error.code.code()))
        .with_error_message(error.and_then(ApiError::text))
}

/// What was named once, and what was named more often.
struct Once<T> {
    single: BTreeSet<T>,
    repeated: BTreeSet<T>,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self { single: BTreeSet::new(), repeated: BTreeSet::new() }
    }
}

impl<T: Ord> Once<T> {
    fn add(&mut self, value: T) {
        if self.repeated.contains(&value) {
            return;
        }
        if let Some(value) = self.single.take(&value) {
            self.repeated.insert(value);
        } else {
            self.single.insert(value);
        }
    }
}
