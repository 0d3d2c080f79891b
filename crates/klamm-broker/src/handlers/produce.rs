//! Produce (key 0), versions 3–13. Answers to `KafkaApis.handleProduceRequest` and `ReplicaManager.appendRecords`.
//!
//! * v3 record batches only · v5 log start offset · v8 per-record errors (KIP-467) · v9 flexible
//! * v10 current leader in the response (KIP-951) · v13 topic ids (KIP-516)
//!
//! Difference: transactions are not served yet, so a transactional batch is refused with INVALID_TXN_STATE.

use std::time::Duration;

use klamm_log::{AppendError, AppendOrigin, LogAppendInfo};
use klamm_node::{Ctx, Effect, TopicPartition};
use klamm_wire::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse,
    TopicProduceResponse,
};
use klamm_wire::messages::{BrokerId, ProduceRequest, ResponseKind};
use klamm_wire::record::inspect::{InspectedBatch, InspectedProduce, RecordError, inspect_produce};
use klamm_wire::{ErrorCode, StrBytes};

use crate::broker::Broker;
use crate::core::{Core, RequestContext, is_internal};
use crate::partition::Slot;
use crate::purgatory::produce::{Awaited, ProduceOp};

/// The client id that Kafka lets write to internal topics.
const ADMIN_CLIENT: &str = "__admin_client";

/// Appends a request's records, and answers when as many replicas have them as the request asks.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: ProduceRequest,
    inspected: Option<InspectedProduce>,
) {
    let core = &mut broker.core;
    let inspected = inspected.unwrap_or_else(|| inspect_produce(&request, rc.api_version));
    let internal_allowed = rc.client_id.as_deref() == Some(ADMIN_CLIENT);
    let mut response = ProduceResponse::default();
    let mut awaited = Vec::new();
    let mut failed = false;
    let mut inspected = inspected.into_iter();
    for (topic_index, topic) in request.topic_data.into_iter().enumerate() {
        let mut batches = inspected.next().unwrap_or_default().into_iter();
        // Found out once a topic: its name, or the error for all of its partitions.
        let name = if topic.topic_id.is_nil() {
            Ok(topic.name.0.clone())
        } else {
            core.topic_name(topic.topic_id).ok_or(ErrorCode::UnknownTopicId)
        };
        let mut answer = TopicProduceResponse::default().with_topic_id(topic.topic_id);
        if topic.topic_id.is_nil() {
            answer.name = topic.name;
        }
        for (partition_index, data) in topic.partition_data.into_iter().enumerate() {
            let batches = batches.next().unwrap_or_else(|| {
                Err(RecordError { code: ErrorCode::InvalidRecord, message: String::new() })
            });
            let result = match &name {
                Ok(name) => {
                    let partition = TopicPartition { topic: name.clone(), partition: data.index };
                    let appended = append(core, ctx, &partition, batches, request.acks, internal_allowed);
                    appended.map_err(|error| (error, Some(partition)))
                }
                Err(error) => Err((AppendError::new(*error, ""), None)),
            };
            let answered = match result {
                Ok((slot, info)) => {
                    if request.acks == -1 {
                        awaited.push(Awaited {
                            slot,
                            required_offset: info.last_offset + 1,
                            topic: topic_index,
                            partition: partition_index,
                        });
                    }
                    PartitionProduceResponse::default()
                        .with_base_offset(info.first_offset)
                        .with_log_append_time_ms(info.log_append_time)
                        .with_log_start_offset(info.log_start_offset)
                }
                Err((error, partition)) => {
                    failed = true;
                    let hint = partition
                        .filter(|_| rc.api_version >= 10 && error.code == ErrorCode::NotLeaderOrFollower);
                    let mut answer = refusal(error);
                    if let Some(partition) = hint {
                        hint_leader(core, &mut response.node_endpoints, &mut answer, &partition);
                    }
                    answer
                }
            };
            answer.partition_responses.push(answered.with_index(data.index));
        }
        response.responses.push(answer);
    }

    if request.acks == 0 {
        // Nobody waits for an answer. A closed connection is how the client learns that something is wrong.
        if failed {
            ctx.close(rc.reply_to);
        } else {
            ctx.effects.push(Effect::NoReply { to: rc.reply_to });
        }
    } else if awaited.is_empty() {
        ctx.reply(rc.reply_to, ResponseKind::Produce(response));
    } else {
        wait(core, ctx, rc, response, awaited, request.timeout_ms);
    }
}

/// Answers when the partitions' high watermarks have passed the records.
fn wait(
    core: &mut Core,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    response: ProduceResponse,
    awaited: Vec<Awaited>,
    timeout_ms: i32,
) {
    let mut op = ProduceOp { reply_to: rc.reply_to, response, awaited };
    // With a single replica the high watermark has moved already.
    for slot in op.awaited.iter().map(|awaited| awaited.slot).collect::<Vec<_>>() {
        let Some(partition) = core.replicas.get(slot) else { continue };
        let enough = partition.effective_min_isr() <= partition.maximal_isr_len();
        let error = if enough { ErrorCode::None } else { ErrorCode::NotEnoughReplicasAfterAppend };
        if op.settle(slot, partition.log.high_watermark(), error) {
            return op.complete(ctx);
        }
    }
    let deadline = ctx.now + Duration::from_millis(timeout_ms.max(0).unsigned_abs().into());
    let keys = op.awaited.iter().map(|awaited| (awaited.slot, awaited.required_offset)).collect();
    core.produce_ops.insert(op, keys, deadline);
}

fn append(
    core: &mut Core,
    ctx: &mut Ctx<'_>,
    partition: &TopicPartition,
    batches: Result<Vec<InspectedBatch>, RecordError>,
    acks: i16,
    internal_allowed: bool,
) -> Result<(Slot, LogAppendInfo), AppendError> {
    let slot = match core.local_partition(partition) {
        Ok(slot) => slot,
        // The cluster does not know it: Kafka says so before it looks at the records.
        Err(error @ ErrorCode::UnknownTopicOrPartition) => return Err(AppendError::new(error, "")),
        Err(error) => {
            batches.map_err(|error| AppendError::new(error.code, error.message))?;
            return Err(AppendError::new(error, ""));
        }
    };
    let batches = batches.map_err(|error| AppendError::new(error.code, error.message))?;
    if !matches!(acks, -1..=1) {
        return Err(AppendError::new(ErrorCode::InvalidRequiredAcks, ""));
    }
    if !internal_allowed && is_internal(&partition.topic) {
        return Err(AppendError::new(ErrorCode::InvalidTopicException, ""));
    }
    if batches.iter().any(|inspected| inspected.batch.header.is_transactional()) {
        return Err(AppendError::new(ErrorCode::InvalidTxnState, ""));
    }
    let info = core.append(ctx, slot, &batches, AppendOrigin::Client, acks == -1)?;
    Ok((slot, info))
}

fn refusal(error: AppendError) -> PartitionProduceResponse {
    // Kafka explains only what is wrong with records.
    let explained = !error.record_issues.is_empty();
    let issues = error.record_issues.into_iter().map(|issue| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(issue.batch_index)
            .with_batch_index_error_message(Some(StrBytes::from_string(issue.message)))
    });
    PartitionProduceResponse::default()
        .with_error_code(error.code.code())
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1)
        .with_record_errors(issues.collect())
        .with_error_message(explained.then(|| StrBytes::from_string(error.message)))
}

/// Tells who leads, and where (KIP-951).
fn hint_leader(
    core: &Core,
    endpoints: &mut Vec<NodeEndpoint>,
    answer: &mut PartitionProduceResponse,
    partition: &TopicPartition,
) {
    let topics = &core.metadata.image().topics;
    let hint = core.current_leader(topics.partition_by_name(&partition.topic, partition.partition));
    let leader = BrokerId(hint.leader);
    answer.current_leader = LeaderIdAndEpoch::default().with_leader_id(leader).with_leader_epoch(hint.epoch);
    if let Some(node) = hint.endpoint
        && !endpoints.iter().any(|known| known.node_id == leader)
    {
        endpoints.push(
            NodeEndpoint::default()
                .with_node_id(leader)
                .with_host(node.host)
                .with_port(node.port)
                .with_rack(node.rack),
        );
    }
}
