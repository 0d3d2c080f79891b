//! Says what a run of records decided, as trace events.

use klamm_metadata::{ConfigResource, ConfigResourceKind, MetadataDelta, PartitionRegistration, TopicDelta};
use klamm_node::{Ctx, NodeId, TopicPartition, TraceKind};
use klamm_wire::{StrBytes, Uuid};

use crate::state::ClusterState;

/// Records an event for each change that `delta` made on the way to `state`; `cause` says why.
pub(crate) fn trace(ctx: &mut Ctx<'_>, state: &ClusterState, delta: &MetadataDelta, cause: &'static str) {
    if !ctx.tracing() {
        return;
    }
    for (id, topic) in &delta.topics {
        trace_topic(ctx, state, *id, topic, cause);
    }
    for (id, before) in &delta.brokers {
        let before = before.as_ref();
        let Some(now) = state.image.cluster.broker(*id) else {
            ctx.trace(TraceKind::BrokerUnregistered { broker: *id });
            continue;
        };
        if before.is_none_or(|before| before.epoch != now.epoch) {
            ctx.trace(TraceKind::BrokerRegistered { broker: *id, epoch: now.epoch });
        }
        if before.is_some_and(|before| before.fenced != now.fenced) {
            ctx.trace(if now.fenced {
                TraceKind::BrokerFenced { broker: *id, cause }
            } else {
                TraceKind::BrokerUnfenced { broker: *id }
            });
        }
        if now.in_controlled_shutdown && before.is_some_and(|before| !before.in_controlled_shutdown) {
            ctx.trace(TraceKind::BrokerShuttingDown { broker: *id });
        }
    }
    for (entity, keys) in &delta.client_quotas {
        for key in keys {
            let value = state.image.client_quotas.value(entity, key);
            ctx.trace(TraceKind::ConfigChanged {
                resource: entity.to_string(),
                key: key.clone(),
                value: value.map(|value| StrBytes::from_string(value.to_string())),
            });
        }
    }
    for (resource, keys) in &delta.configs {
        for key in keys {
            ctx.trace(TraceKind::ConfigChanged {
                resource: describe(resource),
                key: key.clone(),
                value: state.image.configs.value(resource, key).cloned(),
            });
        }
    }
}

fn describe(resource: &ConfigResource) -> String {
    match resource.kind {
        ConfigResourceKind::Topic => format!("topic {}", resource.name),
        ConfigResourceKind::Broker if resource.name.is_empty() => "brokers".to_owned(),
        ConfigResourceKind::Broker => format!("broker {}", resource.name),
        ConfigResourceKind::Group => format!("group {}", resource.name),
        ConfigResourceKind::BrokerLogger => format!("broker logger {}", resource.name),
        ConfigResourceKind::ClientMetrics => format!("client metrics {}", resource.name),
    }
}

fn trace_topic(ctx: &mut Ctx<'_>, state: &ClusterState, id: Uuid, delta: &TopicDelta, cause: &'static str) {
    let Some(topic) = state.image.topics.by_id(id) else {
        ctx.trace(TraceKind::TopicDeleted { topic: delta.name.clone() });
        return;
    };
    let partitions = topic.partitions.len() as i32;
    if delta.created {
        ctx.trace(TraceKind::TopicCreated { topic: delta.name.clone(), partitions });
    } else if delta.partitions.values().any(Option::is_none) {
        ctx.trace(TraceKind::PartitionsAdded { topic: delta.name.clone(), partitions });
    }
    for (index, before) in &delta.partitions {
        if let Some(now) = topic.partition(*index) {
            let partition = TopicPartition::new(delta.name.clone(), *index);
            trace_partition(ctx, partition, before.as_deref(), now, cause);
        }
    }
}

fn trace_partition(
    ctx: &mut Ctx<'_>,
    partition: TopicPartition,
    before: Option<&PartitionRegistration>,
    now: &PartitionRegistration,
    cause: &'static str,
) {
    let from: Vec<NodeId> = before.map(|before| before.isr.clone()).unwrap_or_default();
    if from != now.isr {
        ctx.trace(TraceKind::IsrChanged {
            partition: partition.clone(),
            from,
            to: now.isr.clone(),
            partition_epoch: now.partition_epoch,
            cause,
        });
    }
    let assignment = |p: &PartitionRegistration| {
        (p.replicas.clone(), p.adding_replicas.clone(), p.removing_replicas.clone())
    };
    if before.is_some_and(|before| assignment(before) != assignment(now)) {
        let (replicas, adding, removing) = assignment(now);
        let partition = partition.clone();
        ctx.trace(TraceKind::ReplicasChanged { partition, replicas, adding, removing, cause });
    }
    if before.is_none_or(|before| before.leader_epoch != now.leader_epoch) {
        ctx.trace(TraceKind::LeaderElected { partition, leader: now.leader, epoch: now.leader_epoch, cause });
    }
}
