//! Creating the topics that a cluster is to start with.

use std::sync::Arc;

use klamm_node::NodeId;
use klamm_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use klamm_wire::messages::{CreateTopicsRequest, ResponseKind, TopicName};
use klamm_wire::{ApiKey, ErrorCode, Request, Response, StrBytes};

use crate::bind::FIRST_BROKER;
use crate::call::call;
use crate::driver::Driver;
use crate::settings::{StartError, TopicSpec};

/// The version of CreateTopics that is spoken: the first that answers with what was created.
const VERSION: i16 = 7;

/// Creates topics as a client would, and waits until every broker knows them and each partition has a leader.
/// A topic that exists already (in a data directory) is left as it is.
pub(crate) async fn create(driver: &Arc<Driver>, topics: &[TopicSpec]) -> Result<(), StartError> {
    if topics.is_empty() {
        return Ok(());
    }
    let request = CreateTopicsRequest::default()
        .with_topics(topics.iter().map(creatable).collect())
        .with_timeout_ms(30_000);
    let response =
        call(driver, NodeId(FIRST_BROKER), ApiKey::CreateTopics, VERSION, Request::CreateTopics(request))
            .await;
    let Some(Response::Other(response)) = response else {
        let topic = topics[0].name.clone();
        return Err(StartError::Topic { topic, message: "the broker went down".to_owned() });
    };
    let ResponseKind::CreateTopics(response) = *response else {
        let topic = topics[0].name.clone();
        return Err(StartError::Topic { topic, message: "the broker answered something else".to_owned() });
    };
    for topic in response.topics {
        let error = ErrorCode::from_code(topic.error_code).unwrap_or(ErrorCode::UnknownServerError);
        if !matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists) {
            let message = match topic.error_message {
                Some(message) => format!("{message} ({error})"),
                None => error.to_string(),
            };
            return Err(StartError::Topic { topic: topic.name.to_string(), message });
        }
    }
    driver
        .wait_for("topics", |state| {
            topics.iter().all(|topic| state.world.is_topic_ready(&topic.name)).then_some(())
        })
        .await;
    Ok(())
}

fn creatable(topic: &TopicSpec) -> CreatableTopic {
    let configs = topic
        .config
        .iter()
        .map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from(name.clone()))
                .with_value(Some(StrBytes::from(value.clone())))
        })
        .collect();
    CreatableTopic::default()
        .with_name(TopicName(StrBytes::from(topic.name.clone())))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(topic.replication)
        .with_configs(configs)
}
