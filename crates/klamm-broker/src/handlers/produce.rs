//! Produce (key 0), versions 3–13. Answers to `KafkaApis.handleProduceRequest` and `ReplicaManager.appendRecords`.
//!
//! * v3 record batches only · v5 log start offset · v8 per-record errors (KIP-467) · v9 flexible
//! * v10 current leader in the response (KIP-951) · v11 `TRANSACTION_ABORTABLE` (KIP-890)
//! * v12 a transaction's partitions are added to it on the way (KIP-890) · v13 topic ids (KIP-516)
//!
//! Difference: none known.

pub(crate) mod verify;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use klamm_log::{AppendAs, AppendError, AppendOrigin, LogAppendInfo};
use klamm_node::{Ctx, Effect, TopicPartition};
use klamm_wire::error_response::error_response;
use klamm_wire::messages::produce_request::PartitionProduceData;
use klamm_wire::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse,
    TopicProduceResponse,
};
use klamm_wire::messages::{BrokerId, ProduceRequest, ResponseKind};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::record::inspect::{InspectedBatch, InspectedProduce, RecordError, inspect_produce};
use klamm_wire::record::legacy;
use klamm_wire::size::produce_request_size;
use klamm_wire::{ErrorCode, Request, StrBytes};

use self::verify::Verdicts;
use crate::broker::Broker;
use crate::core::{Core, RequestContext, is_internal};
use crate::partition::Slot;
use crate::purgatory::produce::{Appended, Awaited, ProduceOp};
use crate::quota::Charge;

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
    if request.topic_data.iter().flat_map(|topic| &topic.partition_data).any(|data| data.records.is_none()) {
        // The schema allows it, Kafka trips over it.
        return ctx.close(rc.reply_to);
    }
    let inspected = inspected.unwrap_or_else(|| inspect_produce(&request, rc.api_version));
    if !verify::is_transactional(&inspected) {
        return append_all(core, ctx, &rc, request, inspected, &Verdicts::default());
    }
    if request.transactional_id.is_none() {
        return refuse_all(ctx, &rc, request, ErrorCode::TransactionalIdAuthorizationFailed);
    }
    if let Err(refused) = verify::verify_and_append(core, ctx, rc, request, inspected) {
        let (rc, request, error) = *refused;
        refuse_all(ctx, &rc, request, error);
    }
}

/// Answers a request that is refused as a whole.
fn refuse_all(ctx: &mut Ctx<'_>, rc: &RequestContext, request: ProduceRequest, error: ErrorCode) {
    let acks = request.acks;
    match error_response(&Request::Produce(request), rc.api_version, error) {
        Some(response) if acks != 0 => ctx.reply(rc.reply_to, response),
        _ => ctx.close(rc.reply_to),
    }
}

/// Appends a request's records, and answers or waits.
fn append_all(
    core: &mut Core,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: ProduceRequest,
    inspected: InspectedProduce,
    verdicts: &Verdicts,
) {
    let as_request = AsRequest {
        acks: request.acks,
        internal_allowed: rc.client_id.as_deref() == Some(ADMIN_CLIENT),
        verdicts,
    };
    let charge = core.counts_produced().then(|| Charge {
        client_id: rc.client_id(),
        bytes: produce_request_size(&request, rc.api_version, rc.client_id.as_ref()),
    });
    let mut response = ProduceResponse::default();
    let mut awaited = Vec::new();
    let mut failed = false;
    let mut inspected = inspected.into_iter();
    for topic in request.topic_data {
        let mut batches = inspected.next().unwrap_or_default().into_iter();
        if topic.partition_data.is_empty() {
            continue;
        }
        // Found out once a topic: its name, or the error for all of its partitions.
        let name = if rc.api_version < 13 {
            Ok(topic.name.0.clone())
        } else {
            core.topic_name(topic.topic_id).ok_or(ErrorCode::UnknownTopicId)
        };
        let mut answer = TopicProduceResponse::default().with_topic_id(topic.topic_id);
        if rc.api_version < 13 {
            answer.name = topic.name;
        }
        let twice = named_twice(&topic.partition_data);
        for (at, data) in topic.partition_data.into_iter().enumerate() {
            let batches = batches.next().unwrap_or_else(|| {
                Err(RecordError { code: ErrorCode::InvalidRecord, message: String::new() })
            });
            if twice.contains(&at) {
                continue;
            }
            let partition_index = answer.partition_responses.len();
            let records = data.records.unwrap_or_default();
            let result = match &name {
                Ok(name) => {
                    let partition = TopicPartition { topic: name.clone(), partition: data.index };
                    let appended = append(core, ctx, &partition, &records, batches, as_request);
                    appended.map_err(|error| (error, Some(partition)))
                }
                Err(error) => Err((Refusal::of(*error), None)),
            };
            let answered = match result {
                Ok((slot, info)) => {
                    if request.acks == -1 {
                        awaited.push(Awaited {
                            slot,
                            required_offset: info.last_offset + 1,
                            topic: response.responses.len(),
                            partition: partition_index,
                        });
                    }
                    PartitionProduceResponse::default()
                        .with_base_offset(info.first_offset)
                        .with_log_append_time_ms(info.log_append_time)
                        .with_log_start_offset(info.log_start_offset)
                }
                Err((refusal, partition)) => {
                    failed = true;
                    let hint = partition.filter(|_| {
                        rc.api_version >= 10 && refusal.error.code == ErrorCode::NotLeaderOrFollower
                    });
                    let mut answer = refusal.answer();
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

    if request.acks == 0 || awaited.is_empty() {
        // Without an answer the client is not told, but waits all the same.
        if let Some(charge) = &charge {
            response.throttle_time_ms = core.charge_produce(ctx, rc.reply_to, charge);
        }
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
        let then = Appended::Produce { reply_to: rc.reply_to, response, charge };
        let timeout = Duration::from_millis(request.timeout_ms.max(0).unsigned_abs().into());
        core.await_replication(ctx, ProduceOp { then, awaited }, timeout);
    }
}

/// Places that a later one takes the partition of: Kafka keeps the last records that a request has for a partition.
fn named_twice(partitions: &[PartitionProduceData]) -> Vec<usize> {
    if partitions.is_sorted_by(|a, b| a.index < b.index) {
        return Vec::new();
    }
    let last: BTreeMap<i32, usize> =
        partitions.iter().enumerate().map(|(at, data)| (data.index, at)).collect();
    (0..partitions.len()).filter(|at| last.get(&partitions[*at].index) != Some(at)).collect()
}

/// What a request says of all of its records.
#[derive(Debug, Clone, Copy)]
struct AsRequest<'a> {
    acks: i16,
    internal_allowed: bool,
    verdicts: &'a Verdicts,
}

/// Why records were not appended, and what the answer tells beside the code.
#[derive(Debug, Clone)]
struct Refusal {
    error: AppendError,
    log_start_offset: i64,
    /// Kafka explains only what is wrong with records.
    explained: bool,
}

impl Refusal {
    /// A refusal without another word.
    fn of(code: ErrorCode) -> Self {
        AppendError::new(code, "").into()
    }

    fn answer(self) -> PartitionProduceResponse {
        let issues = self.error.record_issues.into_iter().map(|issue| {
            BatchIndexAndErrorMessage::default()
                .with_batch_index(issue.batch_index)
                .with_batch_index_error_message(Some(StrBytes::from_string(issue.message)))
        });
        PartitionProduceResponse::default()
            .with_error_code(self.error.code.code())
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(self.log_start_offset)
            .with_record_errors(issues.collect())
            .with_error_message(self.explained.then(|| StrBytes::from_string(self.error.message)))
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        let explained = !error.record_issues.is_empty();
        Self { error, log_start_offset: -1, explained }
    }
}

fn append(
    core: &mut Core,
    ctx: &mut Ctx<'_>,
    name: &TopicPartition,
    records: &Bytes,
    batches: Result<Vec<InspectedBatch>, RecordError>,
    request: AsRequest<'_>,
) -> Result<(Slot, LogAppendInfo), Refusal> {
    // First what Kafka looks at before it looks for the partition's log: the cluster, and the request's form.
    if !core.metadata.has_partition(name) {
        return Err(Refusal::of(ErrorCode::UnknownTopicOrPartition));
    }
    if let Err(error) = &batches {
        if let Some(message) = cannot_be_walked(records) {
            let error = AppendError::new(ErrorCode::CorruptMessage, message);
            return Err(Refusal { error, log_start_offset: -1, explained: true });
        }
        if is_wrong_for_a_produce(records, error.code) {
            return Err(Refusal::of(error.code));
        }
    }
    if let Some(refusal) = request.verdicts.refusal(name) {
        return Err(refusal);
    }
    if !matches!(request.acks, -1..=1) {
        return Err(Refusal::of(ErrorCode::InvalidRequiredAcks));
    }
    if !request.internal_allowed && is_internal(&name.topic) {
        return Err(Refusal::of(ErrorCode::InvalidTopicException));
    }
    let slot = core.local_partition(name).map_err(Refusal::of)?;
    let needs_all = request.acks == -1;
    let result = match batches {
        Ok(batches) => {
            let guard = request.verdicts.guards.get(name).copied();
            let how = AppendAs { guard, ..AppendOrigin::Client.into() };
            core.append(ctx, slot, &batches, how, needs_all)
        }
        Err(error) => {
            let partition =
                core.replicas.get(slot).ok_or_else(|| Refusal::of(ErrorCode::NotLeaderOrFollower))?;
            partition
                .check_append(core.settings.node, needs_all)
                .and_then(|()| Err(AppendError::new(error.code, error.message)))
        }
    };
    result.map(|info| (slot, info)).map_err(|error| {
        let mut refusal = Refusal::from(error);
        if tells_log_start(refusal.error.code) {
            let partition = core.replicas.get(slot);
            refusal.log_start_offset = partition.map_or(-1, |partition| partition.log.log_start_offset());
        }
        refusal
    })
}

/// Why not even the first batch can be told from what follows it (`ByteBufferLogInputStream.nextBatchSize`).
fn cannot_be_walked(records: &Bytes) -> Option<String> {
    let length = i32::from_be_bytes(records.get(8..12)?.try_into().ok()?);
    if length < legacy::MIN_LENGTH {
        return Some(format!(
            "Record size {length} is less than the minimum record overhead ({})",
            legacy::MIN_LENGTH
        ));
    }
    let magic = legacy::magic_of(records)?;
    (!(0..=2).contains(&magic)).then(|| format!("Invalid magic found in record: {magic}"))
}

/// Whether records are refused for what a produce request may hold, whatever is in them (`ProduceRequest.validateRecords`).
fn is_wrong_for_a_produce(records: &Bytes, code: ErrorCode) -> bool {
    code == ErrorCode::UnsupportedCompressionType
        || matches!(legacy::magic_of(records), Some(0 | 1))
        || BatchIter::new(records.clone()).take(2).filter(Result::is_ok).count() != 1
}

/// Whether a refusal tells where the log starts: those that Kafka's `ReplicaManager.appendRecordsToLeader` does not know by name.
const fn tells_log_start(code: ErrorCode) -> bool {
    !matches!(
        code,
        ErrorCode::UnknownTopicOrPartition
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::MessageTooLarge
            | ErrorCode::RecordListTooLarge
            | ErrorCode::CorruptMessage
            | ErrorCode::KafkaStorageError
            | ErrorCode::UnknownTopicId
    )
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
