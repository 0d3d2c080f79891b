//! WriteTxnMarkers (key 27), versions 1 to 2. Answers to `KafkaApis.handleWriteTxnMarkersRequest`.
//!
//! * v1 flexible
//! * v2 the `transaction.version` of each marker (KIP-1228); before that it is taken to be 0

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_log::{AppendAs, AppendOrigin};
use klamm_node::{Ctx, ReplyTo, TopicPartition, TransactionEvent};
use klamm_wire::messages::write_txn_markers_request::WritableTxnMarker;
use klamm_wire::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use klamm_wire::messages::{
    ProducerId, ResponseKind, TopicName, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use klamm_wire::record::control::EndTxnMarker;
use klamm_wire::{ErrorCode, RecordBatch};

use crate::broker::Broker;
use crate::core::{Core, GROUP_METADATA_TOPIC, RequestContext};
use crate::purgatory::produce::{Appended, Awaited, ProduceOp};
use crate::transaction::metadata::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};

/// The end of a producer's transaction, as its coordinator decided it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TxnEnd {
    /// The producer.
    pub(crate) producer_id: i64,
    /// Its epoch: from `transaction.version` 2 on above that of its records.
    pub(crate) producer_epoch: i16,
    /// What was decided, and by a coordinator of which epoch.
    pub(crate) marker: EndTxnMarker,
    /// The `transaction.version`.
    pub(crate) version: i16,
}

impl TxnEnd {
    /// Whether there can be such a batch (`MemoryRecordsBuilder.validateProducerState`): its producer must be one.
    const fn can_be_written(&self) -> bool {
        self.producer_id != NO_PRODUCER_ID && self.producer_epoch != NO_PRODUCER_EPOCH
    }

    /// What is appended, and how.
    pub(crate) fn batch(&self, wall_ms: i64) -> (RecordBatch, AppendAs) {
        let how = AppendAs { transaction_version: self.version, ..AppendOrigin::Coordinator.into() };
        (self.marker.batch(self.producer_id, self.producer_epoch, wall_ms), how)
    }

    /// Tells that it is in a partition's log.
    pub(crate) fn trace(&self, ctx: &mut Ctx<'_>, partition: &TopicPartition, offset: i64) {
        if ctx.tracing() {
            ctx.trace(TransactionEvent::MarkerAppended {
                partition: partition.clone(),
                offset,
                producer_id: self.producer_id,
                producer_epoch: self.producer_epoch,
                committed: self.marker.committed,
                coordinator_epoch: self.marker.coordinator_epoch,
            });
        }
    }
}

/// A request whose markers are being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct MarkersId(u64);

/// What became of one marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MarkerOutcome {
    /// The producer.
    pub(crate) producer_id: i64,
    /// Where it was to be written.
    pub(crate) partition: TopicPartition,
    /// How that went.
    pub(crate) error: ErrorCode,
}

#[derive(Debug, Clone)]
struct Waiting {
    reply_to: ReplyTo,
    /// By producer and partition.
    errors: BTreeMap<i64, BTreeMap<TopicPartition, ErrorCode>>,
    /// How many reports are to come.
    outstanding: usize,
}

/// Requests that are answered when their last marker is committed.
#[derive(Debug, Clone, Default)]
pub(crate) struct MarkerRequests {
    next: u64,
    waiting: BTreeMap<MarkersId, Waiting>,
}

impl MarkerRequests {
    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// Writes each transaction's end to its partitions. What a group committed in it is for the group coordinator to settle.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: WriteTxnMarkersRequest,
) {
    let core = &mut broker.core;
    let mut outcomes = Vec::new();
    let mut awaited = Vec::new();
    let mut of_groups = Vec::new();
    for marker in &request.markers {
        let end = TxnEnd {
            producer_id: marker.producer_id.0,
            producer_epoch: marker.producer_epoch,
            marker: EndTxnMarker {
                committed: marker.transaction_result,
                coordinator_epoch: marker.coordinator_epoch,
            },
            // Between brokers nothing is encoded that would leave the field out.
            version: if rc.api_version >= 2 { marker.transaction_version.into() } else { 0 },
        };
        for partition in partitions(marker) {
            let is_here = core.replicas.slot_by_name(&partition).is_some();
            let is_of_groups = partition.topic.as_str() == GROUP_METADATA_TOPIC;
            if is_here && !end.can_be_written() {
                if !is_of_groups {
                    return ctx.reply(rc.reply_to, ResponseKind::WriteTxnMarkers(failed(&request)));
                }
                let error = ErrorCode::UnknownServerError;
                outcomes.push(MarkerOutcome { producer_id: end.producer_id, partition, error });
                continue;
            }
            if is_here && is_of_groups {
                of_groups.push((end, partition.partition));
                continue;
            }
            let at = outcomes.len();
            let error = match append(core, ctx, &partition, &end) {
                Ok(written) => {
                    awaited.push(Awaited { partition: at, ..written });
                    ErrorCode::None
                }
                Err(error) => error,
            };
            outcomes.push(MarkerOutcome { producer_id: end.producer_id, partition, error });
        }
    }
    let id = MarkersId(core.markers.next);
    core.markers.next += 1;
    let waiting =
        Waiting { reply_to: rc.reply_to, errors: BTreeMap::new(), outstanding: 1 + of_groups.len() };
    core.markers.waiting.insert(id, waiting);
    for (end, partition) in of_groups {
        broker.groups.complete_transaction(&mut broker.core, ctx, partition, end, id);
    }
    let core = &mut broker.core;
    if awaited.is_empty() {
        core.markers_written(ctx, id, outcomes);
    } else {
        let then = Appended::Markers { id, outcomes };
        let timeout = Duration::from_millis(core.config.hot.request_timeout_ms.into());
        core.await_replication(ctx, ProduceOp { then, awaited }, timeout);
    }
}

/// A marker that cannot be written fails the request as a whole, as the exception does that Kafka meets on the way; what was
/// appended before it stays.
fn failed(request: &WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let mut errors: BTreeMap<i64, BTreeMap<TopicPartition, ErrorCode>> = BTreeMap::new();
    for marker in &request.markers {
        // Of two markers of one producer Kafka tells the last one's partitions.
        let all = partitions(marker).into_iter().map(|name| (name, ErrorCode::UnknownServerError));
        errors.insert(marker.producer_id.0, all.collect());
    }
    response(errors)
}

/// The partitions of a marker, each once.
fn partitions(marker: &WritableTxnMarker) -> std::collections::BTreeSet<TopicPartition> {
    let topics = marker.topics.iter();
    topics
        .flat_map(|topic| {
            let name = topic.name.0.clone();
            let partitions = topic.partition_indexes.iter();
            partitions.map(move |partition| TopicPartition { topic: name.clone(), partition: *partition })
        })
        .collect()
}

fn append(
    core: &mut Core,
    ctx: &mut Ctx<'_>,
    partition: &TopicPartition,
    end: &TxnEnd,
) -> Result<Awaited, ErrorCode> {
    let slot = core.replicas.slot_by_name(partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let (batch, how) = end.batch(ctx.wall.millis());
    let appended = core.append_internal_as(ctx, partition, batch, how)?;
    end.trace(ctx, partition, appended.base_offset);
    Ok(Awaited { slot, required_offset: appended.next_offset, topic: 0, partition: 0 })
}

impl Core {
    /// Some of a request's markers are committed, or have failed to be; answers with the last of them.
    pub(crate) fn markers_written(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: MarkersId,
        outcomes: impl IntoIterator<Item = MarkerOutcome>,
    ) {
        let Some(waiting) = self.markers.waiting.get_mut(&id) else { return };
        for MarkerOutcome { producer_id, partition, error } in outcomes {
            waiting.errors.entry(producer_id).or_default().insert(partition, error);
        }
        waiting.outstanding -= 1;
        if waiting.outstanding == 0
            && let Some(done) = self.markers.waiting.remove(&id)
        {
            ctx.reply(done.reply_to, ResponseKind::WriteTxnMarkers(response(done.errors)));
        }
    }
}

fn response(errors: BTreeMap<i64, BTreeMap<TopicPartition, ErrorCode>>) -> WriteTxnMarkersResponse {
    let markers = errors.into_iter().map(|(producer_id, partitions)| {
        let mut topics: Vec<WritableTxnMarkerTopicResult> = Vec::new();
        for (TopicPartition { topic, partition }, error) in partitions {
            if topics.last().is_none_or(|last| last.name.0 != topic) {
                topics.push(WritableTxnMarkerTopicResult::default().with_name(TopicName(topic)));
            }
            if let Some(last) = topics.last_mut() {
                last.partitions.push(
                    WritableTxnMarkerPartitionResult::default()
                        .with_partition_index(partition)
                        .with_error_code(error.code()),
                );
            }
        }
        WritableTxnMarkerResult::default().with_producer_id(ProducerId(producer_id)).with_topics(topics)
    });
    WriteTxnMarkersResponse::default().with_markers(markers.collect())
}
