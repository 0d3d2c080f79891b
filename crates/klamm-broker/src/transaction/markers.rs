//! Markers: each partition of a decided transaction is told of the decision, through its leader, until every one has it
//! (`TransactionMarkerChannelManager`, `TransactionMarkerRequestCompletionHandler`).
//!
//! A broker is asked one WriteTxnMarkers at a time, with everything that has come together for it. What fails is tried again after
//! [`RETRY_BACKOFF`], at the leader of then; Kafka waits as long before it connects again, and not at all after an error.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{Ctx, NodeId, SendError, TopicPartition, TransactionEvent};
use klamm_wire::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use klamm_wire::messages::{ProducerId, ResponseKind, TopicName, WriteTxnMarkersRequest};
use klamm_wire::{Api, ApiKey, ErrorCode, Response, StrBytes};

use super::append::After;
use super::metadata::Transit;
use super::state::{TransactionState, TransactionVersion};
use super::{TransactionCoordinator, TransactionTimer};
use crate::core::{Call, Core, Timer};

/// How long what failed waits before it is tried again (the sender's `reconnect.backoff.ms`).
const RETRY_BACKOFF: Duration = Duration::from_millis(50);

/// A decided transaction, and what it becomes once every partition has its marker.
#[derive(Debug, Clone)]
pub(crate) struct Completion {
    /// The transactional id.
    pub(super) transactional_id: StrBytes,
    /// The coordinator's epoch.
    pub(super) epoch: i32,
    /// What it becomes.
    pub(super) transit: Transit,
}

/// Markers of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Marker {
    /// The partition of `__transaction_state` that the transaction belongs to.
    partition: i32,
    transactional_id: StrBytes,
    coordinator_epoch: i32,
    producer_id: i64,
    producer_epoch: i16,
    commit: bool,
    /// The level at which the transaction's client works.
    version: TransactionVersion,
    /// Where they go.
    partitions: Vec<TopicPartition>,
}

/// Markers on their way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Markers {
    /// Decided transactions that wait for their markers.
    completions: BTreeMap<StrBytes, Completion>,
    /// Markers to send, by the leader of their partitions.
    queues: BTreeMap<NodeId, Vec<Marker>>,
    /// Markers of partitions without a leader, and the metadata that said so.
    leaderless: Vec<Marker>,
    looked_at: i64,
    /// Markers that were sent, by whom they were sent to.
    in_flight: BTreeMap<NodeId, Vec<Marker>>,
    /// Markers to send again after a while.
    retries: Vec<Marker>,
    /// Last words to write again after a while.
    write_retries: Vec<Completion>,
}

impl Markers {
    /// This broker coordinates a partition of `__transaction_state` no more. What is in flight is not waited for.
    pub(super) fn forget_partition(&mut self, partition: i32) {
        let queues = self.queues.values_mut().chain([&mut self.leaderless, &mut self.retries]);
        let mut forgotten: Vec<StrBytes> = Vec::new();
        for queue in queues.chain(self.in_flight.values_mut()) {
            let gone = queue.extract_if(.., |marker| marker.partition == partition);
            forgotten.extend(gone.map(|marker| marker.transactional_id));
        }
        for id in forgotten {
            self.completions.remove(&id);
        }
    }
}

impl TransactionCoordinator {
    /// Prepares what a decided transaction becomes.
    pub(super) fn prepare_completion(
        &mut self,
        ctx: &Ctx<'_>,
        transactional_id: &StrBytes,
    ) -> Result<Completion, ErrorCode> {
        let (epoch, metadata) = self.transaction(transactional_id)?;
        let metadata = metadata.ok_or(ErrorCode::NotCoordinator)?;
        let transit = metadata.prepare_complete(ctx.wall.millis())?;
        Ok(Completion { transactional_id: transactional_id.clone(), epoch, transit })
    }

    /// As [`Self::send_markers`], for a decision that was found in the log.
    pub(super) fn send_markers_of(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, id: &StrBytes) {
        if let Ok(completion) = self.prepare_completion(ctx, id) {
            self.send_markers(core, ctx, completion);
        }
    }

    /// Has a decided transaction's markers sent; when there are none (any more) it is complete.
    pub(super) fn send_markers(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, completion: Completion) {
        let partition = self.partition_for(&completion.transactional_id);
        let Ok((epoch, Some(metadata))) = self.transaction(&completion.transactional_id) else { return };
        let id = completion.transactional_id.clone();
        let now = &metadata.current;
        let marker = Marker {
            partition,
            transactional_id: id.clone(),
            coordinator_epoch: epoch,
            producer_id: now.producer_id,
            producer_epoch: now.producer_epoch,
            commit: now.state == TransactionState::PrepareCommit,
            version: now.client_version,
            partitions: now.partitions.iter().cloned().collect(),
        };
        self.markers.completions.insert(id.clone(), completion);
        self.queue(core, marker);
        self.complete_if_marked(core, ctx, &id);
    }

    /// Sorts markers by the leaders of their partitions. A partition that is gone needs none.
    fn queue(&mut self, core: &Core, marker: Marker) {
        let mut by_leader: BTreeMap<Option<NodeId>, Vec<TopicPartition>> = BTreeMap::new();
        for partition in &marker.partitions {
            let topics = &core.metadata.image().topics;
            match topics.partition_by_name(&partition.topic, partition.partition) {
                Some(registration) => {
                    let leader = registration.leader;
                    let reachable = core.metadata.address(leader).is_some();
                    by_leader.entry(reachable.then_some(leader)).or_default().push(partition.clone());
                }
                None => self.mark(&marker, partition),
            }
        }
        for (leader, partitions) in by_leader {
            let part = Marker { partitions, ..marker.clone() };
            match leader {
                Some(leader) => self.markers.queues.entry(leader).or_default().push(part),
                None => self.markers.leaderless.push(part),
            }
        }
    }

    /// A partition has its marker, or needs none.
    fn mark(&mut self, marker: &Marker, partition: &TopicPartition) {
        if let Ok((epoch, Some(metadata))) = self.transaction(&marker.transactional_id)
            && epoch == marker.coordinator_epoch
            && metadata.current.state.is_prepared()
        {
            metadata.current.partitions.remove(partition);
        }
    }

    /// Whether markers still are the business of this coordinator. They are where another partition of their transaction refused its own for good, too:
    /// the transaction will not be complete, and the rest of its partitions are told all the same.
    fn is_mine(&mut self, marker: &Marker) -> bool {
        matches!(
            self.transaction(&marker.transactional_id),
            Ok((epoch, Some(metadata)))
                if epoch == marker.coordinator_epoch && metadata.current.state.is_prepared()
        )
    }

    /// Sends what is queued to every broker that is not being asked already.
    pub(crate) fn flush_markers(&mut self, core: &mut Core, ctx: &mut Ctx<'_>) {
        let metadata_at = core.metadata.image().provenance.last_contained_offset;
        if !self.markers.leaderless.is_empty() && metadata_at != self.markers.looked_at {
            for marker in std::mem::take(&mut self.markers.leaderless) {
                let id = marker.transactional_id.clone();
                self.queue(core, marker);
                self.complete_if_marked(core, ctx, &id);
            }
        }
        self.markers.looked_at = metadata_at;
        if self.markers.queues.is_empty() {
            return;
        }
        let busy = &self.markers.in_flight;
        let idle: Vec<NodeId> =
            self.markers.queues.keys().copied().filter(|leader| !busy.contains_key(leader)).collect();
        for leader in idle {
            let Some(markers) = self.markers.queues.remove(&leader).filter(|markers| !markers.is_empty())
            else {
                continue;
            };
            if ctx.tracing() {
                for marker in &markers {
                    ctx.trace(TransactionEvent::TransactionMarkersSent {
                        transactional_id: marker.transactional_id.clone(),
                        to: leader,
                        outcome: if marker.commit { "commit" } else { "abort" },
                        partitions: marker.partitions.clone(),
                        coordinator_epoch: marker.coordinator_epoch,
                    });
                }
            }
            // A cluster is of one release. Before 4.2 markers did not tell the version of their transaction (KIP-1228).
            let served = Api::of(ApiKey::WriteTxnMarkers).versions_in(core.settings.kafka_version);
            let version = served.map_or(1, |(_, max)| max);
            let request = WriteTxnMarkersRequest::default()
                .with_markers(markers.iter().map(Marker::to_request).collect());
            let timeout_ms = core.config.hot.request_timeout_ms;
            let call = ctx.send(leader, version, request.into(), timeout_ms);
            core.calls.insert(call, Call::WriteTxnMarkers { to: leader });
            self.markers.in_flight.insert(leader, markers);
        }
    }

    /// A broker answered, or did not.
    pub(crate) fn on_markers_answered(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        leader: NodeId,
        result: &Result<Response, SendError>,
    ) {
        let Some(markers) = self.markers.in_flight.remove(&leader) else { return };
        let answered = errors_by_producer(result);
        for marker in markers {
            if !self.is_mine(&marker) {
                self.forget_completion(&marker);
                continue;
            }
            let mut again = Vec::new();
            let mut given_up = false;
            for partition in &marker.partitions {
                let error = answered
                    .get(&marker.producer_id)
                    .and_then(|errors| errors.get(partition))
                    .copied()
                    .unwrap_or(ErrorCode::NetworkException);
                match fate(error) {
                    Fate::Marked => self.mark(&marker, partition),
                    Fate::Again => again.push(partition.clone()),
                    Fate::GivenUp => {
                        given_up = true;
                        self.trace_given_up(ctx, &marker, partition, error);
                    }
                }
            }
            if given_up {
                self.forget_completion(&marker);
            } else if again.is_empty() {
                self.complete_if_marked(core, ctx, &marker.transactional_id);
            } else {
                self.markers.retries.push(Marker { partitions: again, ..marker });
                self.schedule_retry(core, ctx);
            }
        }
    }

    fn trace_given_up(
        &self,
        ctx: &mut Ctx<'_>,
        marker: &Marker,
        partition: &TopicPartition,
        error: ErrorCode,
    ) {
        if ctx.tracing() {
            ctx.trace(TransactionEvent::MarkerGivenUp {
                transactional_id: marker.transactional_id.clone(),
                partition: partition.clone(),
                error: error.name(),
            });
        }
    }

    fn forget_completion(&mut self, marker: &Marker) {
        let completions = &mut self.markers.completions;
        if completions
            .get(&marker.transactional_id)
            .is_some_and(|waiting| waiting.epoch == marker.coordinator_epoch)
        {
            completions.remove(&marker.transactional_id);
        }
    }

    /// Completes a transaction once every partition has its marker.
    fn complete_if_marked(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, id: &StrBytes) {
        let Ok((_, Some(metadata))) = self.transaction(id) else { return };
        if metadata.current.partitions.is_empty()
            && let Some(completion) = self.markers.completions.remove(id)
        {
            self.write_completion(core, ctx, completion);
        }
    }

    fn write_completion(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, completion: Completion) {
        let (id, epoch) = (completion.transactional_id.clone(), completion.epoch);
        let transit = completion.transit.clone();
        self.append(core, ctx, &id, epoch, transit, After::Complete(completion));
    }

    /// The last word on a transaction is committed, or is not: then it is written again, unless another coordinator does so.
    pub(super) fn completed(
        &mut self,
        core: &mut Core,
        ctx: &Ctx<'_>,
        completion: Completion,
        result: Result<(), ErrorCode>,
    ) {
        if result == Err(ErrorCode::CoordinatorNotAvailable) {
            self.markers.write_retries.push(completion);
            self.schedule_retry(core, ctx);
        }
    }

    fn schedule_retry(&self, core: &mut Core, ctx: &Ctx<'_>) {
        let timer = Timer::Transaction(TransactionTimer::Retry);
        if core.timers.deadline(&timer).is_none() {
            core.set_timer(timer, ctx.now + RETRY_BACKOFF);
        }
    }

    /// Tries again what failed.
    pub(super) fn retry(&mut self, core: &mut Core, ctx: &mut Ctx<'_>) {
        for completion in std::mem::take(&mut self.markers.write_retries) {
            self.write_completion(core, ctx, completion);
        }
        for marker in std::mem::take(&mut self.markers.retries) {
            if self.is_mine(&marker) {
                let id = marker.transactional_id.clone();
                self.queue(core, marker);
                self.complete_if_marked(core, ctx, &id);
            }
        }
    }
}

impl Marker {
    fn to_request(&self) -> WritableTxnMarker {
        let mut topics: BTreeMap<&StrBytes, Vec<i32>> = BTreeMap::new();
        for partition in &self.partitions {
            topics.entry(&partition.topic).or_default().push(partition.partition);
        }
        let topics = topics.into_iter().map(|(topic, indexes)| {
            WritableTxnMarkerTopic::default()
                .with_name(TopicName(topic.clone()))
                .with_partition_indexes(indexes)
        });
        WritableTxnMarker::default()
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.producer_epoch)
            .with_transaction_result(self.commit)
            .with_coordinator_epoch(self.coordinator_epoch)
            .with_topics(topics.collect())
            .with_transaction_version(i8::try_from(self.version.level()).unwrap_or(i8::MAX))
    }
}

/// What became of a marker.
enum Fate {
    /// It is written, or there is nothing to write it to.
    Marked,
    /// It may be written later, or elsewhere.
    Again,
    /// Another coordinator or producer has overtaken it.
    GivenUp,
}

const fn fate(error: ErrorCode) -> Fate {
    match error {
        ErrorCode::None
        | ErrorCode::UnsupportedForMessageFormat
        // A broker that is too old for markers has no transactional records either.
        | ErrorCode::UnsupportedVersion => Fate::Marked,
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotLeaderOrFollower
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut
        | ErrorCode::KafkaStorageError
        // No answer.
        | ErrorCode::NetworkException => Fate::Again,
        _ => Fate::GivenUp,
    }
}

/// What an answer says of each partition, by producer; nothing at all when there is none.
fn errors_by_producer(
    result: &Result<Response, SendError>,
) -> BTreeMap<i64, BTreeMap<TopicPartition, ErrorCode>> {
    let mut errors: BTreeMap<i64, BTreeMap<TopicPartition, ErrorCode>> = BTreeMap::new();
    let Ok(Response::Other(kind)) = result else { return errors };
    let ResponseKind::WriteTxnMarkers(response) = &**kind else { return errors };
    for marker in &response.markers {
        let of_producer = errors.entry(marker.producer_id.0).or_default();
        for topic in &marker.topics {
            for partition in &topic.partitions {
                let error =
                    ErrorCode::from_code(partition.error_code).unwrap_or(ErrorCode::UnknownServerError);
                let name = TopicPartition::new(topic.name.0.clone(), partition.partition_index);
                of_producer.insert(name, error);
            }
        }
    }
    errors
}
