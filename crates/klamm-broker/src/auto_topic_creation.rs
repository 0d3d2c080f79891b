//! Topics that a broker creates on its own account: for a client that asked for one, and for its coordinators
//! (`DefaultAutoTopicCreationManager`).

use std::collections::BTreeSet;

use klamm_metadata::MetadataDelta;
use klamm_node::config::{Key, broker, group, share, transaction};
use klamm_node::{Ctx, SendError, TraceKind};
use klamm_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use klamm_wire::messages::{CreateTopicsRequest, ResponseKind, TopicName};
use klamm_wire::{ErrorCode, Response, StrBytes};

use crate::core::{Call, Core, GROUP_METADATA_TOPIC, SHARE_GROUP_STATE_TOPIC, TRANSACTION_STATE_TOPIC};

/// The version that topics are created with.
const CREATE_TOPICS_VERSION: i16 = 7;

/// Topics that were asked for and are not there yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct AutoTopicCreation {
    in_flight: BTreeSet<StrBytes>,
}

impl Core {
    /// Asks the controller to create topics, each once however often it is asked for in the meantime; for a client, where
    /// it is one that asks.
    pub(crate) fn create_topics(
        &mut self,
        ctx: &mut Ctx<'_>,
        client_id: Option<StrBytes>,
        topics: &[StrBytes],
    ) {
        let mut wanted = Vec::new();
        for topic in topics {
            if self.auto_topics.in_flight.insert(topic.clone()) {
                wanted.push(topic.clone());
            }
        }
        if wanted.is_empty() {
            return;
        }
        let creatable = wanted.iter().map(|topic| self.creatable(topic)).collect();
        let request = CreateTopicsRequest::default()
            .with_topics(creatable)
            .with_timeout_ms(i32::try_from(self.config.hot.request_timeout_ms).unwrap_or(i32::MAX));
        self.call_controller_for(
            ctx,
            client_id,
            CREATE_TOPICS_VERSION,
            request.into(),
            self.config.hot.request_timeout_ms,
            Call::CreateTopics(wanted),
        );
    }

    fn creatable(&self, topic: &StrBytes) -> CreatableTopic {
        let creatable = CreatableTopic::default().with_name(TopicName(topic.clone()));
        let config = |name: &'static str, value: String| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_string(value)))
        };
        if &**topic == SHARE_GROUP_STATE_TOPIC {
            let min_isr = self.config.get(share::SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR);
            let segment = self.config.get(share::SHARE_COORDINATOR_STATE_TOPIC_SEGMENT_BYTES);
            return creatable
                .with_num_partitions(self.config.get(share::SHARE_COORDINATOR_STATE_TOPIC_NUM_PARTITIONS))
                .with_replication_factor(
                    self.internal_replication_factor(share::SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR),
                )
                .with_configs(vec![
                    config("cleanup.policy", "delete".to_owned()),
                    config("compression.type", "producer".to_owned()),
                    config("min.insync.replicas", min_isr.to_string()),
                    config("retention.ms", "-1".to_owned()),
                    config("segment.bytes", segment.to_string()),
                ]);
        }
        if &**topic == TRANSACTION_STATE_TOPIC {
            let segment_bytes = self.config.get(transaction::TRANSACTION_STATE_LOG_SEGMENT_BYTES);
            return creatable
                .with_num_partitions(self.config.get(transaction::TRANSACTION_STATE_LOG_NUM_PARTITIONS))
                .with_replication_factor(
                    self.internal_replication_factor(transaction::TRANSACTION_STATE_LOG_REPLICATION_FACTOR),
                )
                .with_configs(vec![
                    config("unclean.leader.election.enable", "false".to_owned()),
                    config("compression.type", "uncompressed".to_owned()),
                    config("cleanup.policy", "compact".to_owned()),
                    config("min.insync.replicas", self.transaction_state_min_isr().to_string()),
                    config("segment.bytes", segment_bytes.to_string()),
                ]);
        }
        if &**topic == GROUP_METADATA_TOPIC {
            return creatable
                .with_num_partitions(self.config.get(group::OFFSETS_TOPIC_NUM_PARTITIONS))
                .with_replication_factor(
                    self.internal_replication_factor(group::OFFSETS_TOPIC_REPLICATION_FACTOR),
                )
                .with_configs(vec![
                    config("cleanup.policy", "compact".to_owned()),
                    config("compression.type", "producer".to_owned()),
                    config("segment.bytes", self.config.get(group::OFFSETS_TOPIC_SEGMENT_BYTES).to_string()),
                ]);
        }
        // What this broker's user set counts; otherwise the controller's defaults do.
        let set = self.config.layers().static_properties();
        let partitions =
            if set.contains_key(broker::NUM_PARTITIONS.name()) { self.config.hot.num_partitions } else { -1 };
        let replication = if set.contains_key(broker::DEFAULT_REPLICATION_FACTOR.name()) {
            i16::try_from(self.config.hot.default_replication_factor).unwrap_or(-1)
        } else {
            -1
        };
        creatable.with_num_partitions(partitions).with_replication_factor(replication)
    }

    /// The replication factor of an internal topic. Its default is for three brokers; a smaller cluster gets as many replicas as
    /// it has brokers, running or not. Kafka refuses to make the topic there.
    fn internal_replication_factor(&self, key: Key<i16>) -> i16 {
        let factor = self.config.get(key);
        if self.config.layers().static_properties().contains_key(key.name()) {
            return factor;
        }
        factor.min(i16::try_from(self.brokers()).unwrap_or(i16::MAX)).max(1)
    }

    /// `transaction.state.log.min.isr`, which a cluster with fewer brokers could never reach unless it is set.
    fn transaction_state_min_isr(&self) -> i32 {
        let key = transaction::TRANSACTION_STATE_LOG_MIN_ISR;
        let min_isr = self.config.get(key);
        if self.config.layers().static_properties().contains_key(key.name()) {
            return min_isr;
        }
        min_isr.min(i32::try_from(self.brokers()).unwrap_or(i32::MAX)).max(1)
    }

    fn brokers(&self) -> usize {
        self.metadata.image().cluster.brokers().len()
    }

    /// Asks the controller to create an internal topic with Kafka's settings for it (`offsets.topic.*`, `transaction.state.log.*`), once however
    /// often it is called. Answers the caller `COORDINATOR_NOT_AVAILABLE` in the meantime, as Kafka does.
    pub(crate) fn ensure_internal_topic(&mut self, ctx: &mut Ctx<'_>, topic: &'static str) {
        if self.topic_id(topic).is_none() {
            self.create_topics(ctx, None, &[StrBytes::from_static_str(topic)]);
        }
    }

    /// The controller answered. Whoever still wants a topic that was refused asks again.
    pub(crate) fn on_topics_created(
        &mut self,
        ctx: &mut Ctx<'_>,
        topics: &[StrBytes],
        result: &Result<Response, SendError>,
    ) {
        for topic in topics {
            self.auto_topics.in_flight.remove(topic);
        }
        let answer = match result {
            Ok(Response::Other(kind)) => match &**kind {
                ResponseKind::CreateTopics(answer) => Some(answer),
                _ => None,
            },
            _ => None,
        };
        let Some(answer) = answer else { return };
        for topic in answer.topics.iter().filter(|topic| topic.error_code != 0) {
            if ctx.tracing() {
                let error = ErrorCode::from_code(topic.error_code).map_or("unknown error", ErrorCode::name);
                let message = topic.error_message.as_deref().unwrap_or_default().to_owned();
                ctx.trace(TraceKind::TopicNotCreated { topic: topic.name.0.clone(), error, message });
            }
        }
    }

    /// Topics that are there need not be waited for.
    pub(crate) fn forget_created_topics(&mut self, delta: &MetadataDelta) {
        for topic in delta.topics.values().filter(|topic| topic.created) {
            self.auto_topics.in_flight.remove(&topic.name);
        }
    }
}
