//! Metadata (key 3), versions 0–13. Answers to `KafkaApis.handleTopicMetadataRequest` and `KRaftMetadataCache`.
//!
//! * v1 all topics by null · v4 auto-creation by request · v5 offline replicas · v7 leader epochs · v8 authorized operations
//! * v9 flexible · v10 topic ids in the response · v12 topic ids in the request (KIP-516) · v13 top-level error
//!
//! Difference: topics come in order of name (Kafka's order is that of a hash set).

use std::collections::{BTreeMap, BTreeSet};

use klamm_metadata::{MetadataImage, PartitionRegistration, TopicImage, topic_name};
use klamm_node::{Ctx, NodeId};
use klamm_wire::messages::metadata_request::MetadataRequestTopic;
use klamm_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use klamm_wire::messages::{BrokerId, MetadataRequest, MetadataResponse, ResponseKind, TopicName};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use crate::broker::Broker;
use crate::core::{Core, RequestContext, is_internal};

/// Everything that may be done to a topic when nobody forbids anything, as a bit field of `AclOperation`.
pub(crate) const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// Everything that may be done to a cluster.
pub(crate) const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

/// Tells the cluster as this broker knows it, and creates the topics that were asked for and are not there.
pub(crate) fn handle(broker: &mut Broker, ctx: &mut Ctx<'_>, rc: RequestContext, request: MetadataRequest) {
    let core = &mut broker.core;
    let version = rc.api_version;
    let mut response = MetadataResponse::default().with_cluster_id(Some(core.settings.cluster_id.clone()));
    response.brokers = brokers(core);
    response.controller_id = some_alive_broker(core, ctx);
    if (8..=10).contains(&version) && request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }

    // In version 0 an empty list means every topic.
    let asked = request.topics.filter(|topics| version > 0 || !topics.is_empty());
    match asked {
        None => {
            let topics = core.metadata.image().topics.iter();
            response.topics = topics.map(|topic| describe(core.metadata.image(), topic, version)).collect();
        }
        Some(asked) => {
            if version < 12 && asked.iter().any(|topic| topic.name.is_none() || !topic.topic_id.is_nil()) {
                return refuse(ctx, &rc, &asked, ErrorCode::InvalidRequest);
            }
            if asked.iter().any(|topic| topic.name.is_none() && topic.topic_id.is_nil()) {
                // Neither name nor id: Kafka trips over it.
                return refuse(ctx, &rc, &asked, ErrorCode::UnknownServerError);
            }
            let ids: BTreeSet<Uuid> =
                asked.iter().map(|topic| topic.topic_id).filter(|id| !id.is_nil()).collect();
            if ids.is_empty() {
                let names = asked.into_iter().filter_map(|topic| topic.name).map(|name| name.0).collect();
                by_name(core, ctx, &rc, &names, request.allow_auto_topic_creation, &mut response);
            } else {
                let image = core.metadata.image();
                for id in ids {
                    response.topics.push(match image.topics.by_id(id) {
                        Some(topic) => describe(image, topic, version),
                        None => missing(None, id, ErrorCode::UnknownTopicId),
                    });
                }
            }
        }
    }
    if version >= 8 && request.include_topic_authorized_operations {
        for topic in &mut response.topics {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
        }
    }
    ctx.reply(rc.reply_to, ResponseKind::Metadata(response));
}

fn by_name(
    core: &mut Core,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    names: &BTreeSet<StrBytes>,
    may_create: bool,
    response: &mut MetadataResponse,
) {
    let version = rc.api_version;
    let mut to_create = Vec::new();
    let image = core.metadata.image();
    for name in names {
        match image.topics.by_name(name) {
            Some(topic) => response.topics.push(describe(image, topic, version)),
            None if topic_name::validate(name).is_err() => {
                response.topics.push(missing(Some(name), Uuid::nil(), ErrorCode::InvalidTopicException));
            }
            None => {
                to_create.push(name.clone());
                response.topics.push(missing(Some(name), Uuid::nil(), ErrorCode::UnknownTopicOrPartition));
            }
        }
    }
    // Versions before 4 cannot say that they do not want topics created, and Kafka reads that as yes.
    if (may_create || version < 4) && core.config.hot.auto_create_topics && !to_create.is_empty() {
        core.create_topics(ctx, rc.client_id.clone(), &to_create);
    }
}

fn missing(name: Option<&StrBytes>, id: Uuid, error: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(name.cloned().map(TopicName))
        .with_topic_id(id)
        .with_is_internal(name.is_some_and(|name| is_internal(name)))
}

/// The same error for every topic that was asked for (`MetadataRequest.getErrorResponse`).
fn refuse(ctx: &mut Ctx<'_>, rc: &RequestContext, asked: &[MetadataRequestTopic], error: ErrorCode) {
    let topics = asked.iter().map(|topic| {
        let id = if rc.api_version >= 10 { topic.topic_id } else { Uuid::nil() };
        MetadataResponseTopic::default()
            // A null name cannot be written in the older versions.
            .with_name(Some(topic.name.clone().unwrap_or_default()))
            .with_topic_id(id)
            .with_error_code(error.code())
    });
    let mut response = MetadataResponse::default()
        .with_cluster_id(None)
        .with_controller_id(BrokerId(-1))
        .with_topics(topics.collect());
    if rc.api_version >= 13 {
        response.error_code = error.code();
    }
    ctx.reply(rc.reply_to, ResponseKind::Metadata(response));
}

/// The brokers that live, and where.
fn brokers(core: &Core) -> Vec<MetadataResponseBroker> {
    let alive = core.metadata.image().cluster.brokers().filter_map(|broker| {
        let address = core.metadata.address(broker.id)?;
        Some(
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(broker.id.0))
                .with_host(address.host)
                .with_port(address.port)
                .with_rack(address.rack),
        )
    });
    alive.collect()
}

/// Clients may take any broker for the controller: each forwards what the controller answers.
pub(crate) fn some_alive_broker(core: &Core, ctx: &mut Ctx<'_>) -> BrokerId {
    let alive: Vec<NodeId> =
        core.metadata.image().cluster.brokers().filter(|b| !b.fenced).map(|b| b.id).collect();
    if alive.is_empty() {
        return BrokerId(-1);
    }
    BrokerId(alive[ctx.rng.below(alive.len() as u64) as usize].0)
}

fn describe(image: &MetadataImage, topic: &TopicImage, version: i16) -> MetadataResponseTopic {
    let partitions =
        topic.iter().map(|(index, partition)| describe_partition(image, index, partition, version));
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(topic.name.clone())))
        .with_topic_id(topic.id)
        .with_is_internal(is_internal(&topic.name))
        .with_partitions(partitions.collect())
}

fn describe_partition(
    image: &MetadataImage,
    index: i32,
    partition: &PartitionRegistration,
    version: i16,
) -> MetadataResponsePartition {
    // Version 0 leaves out replicas that are down, and says so with an error.
    let visible = |ids: &[NodeId]| -> Vec<BrokerId> {
        let seen = ids.iter().filter(|id| version > 0 || image.cluster.is_unfenced(**id));
        seen.map(|id| BrokerId(id.0)).collect()
    };
    let (replicas, isr) = (visible(&partition.replicas), visible(&partition.isr));
    let (leader, error) = if !image.cluster.is_unfenced(partition.leader) {
        let known = image.cluster.broker(partition.leader).is_some();
        let error =
            if known && version >= 6 { ErrorCode::ListenerNotFound } else { ErrorCode::LeaderNotAvailable };
        (NodeId(-1), error)
    } else if replicas.len() < partition.replicas.len() || isr.len() < partition.isr.len() {
        (partition.leader, ErrorCode::ReplicaNotAvailable)
    } else {
        (partition.leader, ErrorCode::None)
    };
    MetadataResponsePartition::default()
        .with_error_code(error.code())
        .with_partition_index(index)
        .with_leader_id(BrokerId(leader.0))
        .with_leader_epoch(partition.leader_epoch)
        .with_replica_nodes(replicas)
        .with_isr_nodes(isr)
        .with_offline_replicas(offline_replicas(image, partition))
}

/// The replicas whose broker is down.
pub(crate) fn offline_replicas(image: &MetadataImage, partition: &PartitionRegistration) -> Vec<BrokerId> {
    let offline = partition.replicas.iter().filter(|id| !image.cluster.is_unfenced(**id));
    offline.map(|id| BrokerId(id.0)).collect()
}

/// Topics by name, for those who ask for pages of them.
pub(crate) fn topics_from<'a>(
    image: &'a MetadataImage,
    first: &'a str,
) -> BTreeMap<StrBytes, &'a std::sync::Arc<TopicImage>> {
    let topics = image.topics.iter().filter(|topic| &*topic.name >= first);
    topics.map(|topic| (topic.name.clone(), topic)).collect()
}
