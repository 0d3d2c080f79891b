//! A consumer without a group: it reads every partition of one topic from the beginning, and remembers what it saw.

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_node::{NodeId, Timestamp};
use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use klamm_wire::messages::{BrokerId, FetchRequest, TopicName};
use klamm_wire::{ApiKey, ErrorCode, RecordBatch, Request, Response, StrBytes};

use super::aborted::Aborted;
use super::leaders::Leaders;
use super::{ClientCtx, RETRY_BACKOFF};

const FETCH_VERSION: i16 = 12;

/// How a consumer behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSpec {
    /// The topic.
    pub topic: StrBytes,
    /// `fetch.max.wait.ms`.
    pub max_wait_ms: i32,
    /// `isolation.level`: whether it is read_committed.
    pub read_committed: bool,
}

/// What a consumer has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumerReport {
    /// The records of each partition, in the order in which they were seen: that of their offsets.
    pub records: BTreeMap<i32, Vec<SeenRecord>>,
    /// What a consumer must never see: an offset that is not below the high watermark, bytes that are no batch.
    pub contradictions: Vec<String>,
    /// How often it was told that its offset is out of range.
    pub resets: u64,
}

impl ConsumerReport {
    /// What was seen at an offset of a partition.
    pub fn at(&self, partition: i32, offset: i64) -> Option<SeenRecord> {
        let records = self.records.get(&partition)?;
        let index = records.binary_search_by_key(&offset, |record| record.offset).ok()?;
        Some(records[index])
    }
}

/// A record that a consumer has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenRecord {
    /// Its offset.
    pub offset: i64,
    /// The client that produced it: its key.
    pub producer: u32,
    /// Its number among that client's: its value.
    pub number: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Consumer {
    spec: ConsumerSpec,
    leaders: Leaders,
    partitions: Vec<Partition>,
    /// The one fetch that is in flight to each broker.
    fetching: BTreeMap<i32, NodeId>,
    report: ConsumerReport,
}

#[derive(Debug, Clone, Copy, Default)]
struct Partition {
    position: i64,
    retry_at: Timestamp,
}

impl Consumer {
    pub(super) fn new(spec: ConsumerSpec) -> Self {
        Self {
            leaders: Leaders::new(spec.topic.clone()),
            spec,
            partitions: Vec::new(),
            fetching: BTreeMap::new(),
            report: ConsumerReport::default(),
        }
    }

    pub(super) const fn report(&self) -> &ConsumerReport {
        &self.report
    }

    pub(super) fn next_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        let retries = self.partitions.iter().map(|partition| partition.retry_at);
        self.leaders.next_deadline().into_iter().chain(retries)
    }

    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>) {
        self.leaders.go_on(ctx);
        self.partitions.resize_with(self.leaders.partitions(), Partition::default);
        for broker in ctx.brokers {
            if self.fetching.values().all(|fetching| fetching != broker) {
                self.fetch(ctx, *broker);
            }
        }
    }

    pub(super) fn on_answer(&mut self, ctx: &ClientCtx<'_>, correlation_id: i32, answer: Option<Response>) {
        if self.leaders.on_answer(ctx, correlation_id, answer.as_ref()) {
            return;
        }
        let Some(broker) = self.fetching.remove(&correlation_id) else { return };
        let Some(Response::Fetch(answer)) = answer else {
            self.retry_all_of(ctx.now, broker);
            return;
        };
        if answer.error_code != ErrorCode::None {
            self.retry_all_of(ctx.now, broker);
        }
        for partition in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
            let Ok(index) = usize::try_from(partition.partition) else { continue };
            if index >= self.partitions.len() {
                continue;
            }
            match partition.error_code {
                ErrorCode::None => {
                    let aborted = Aborted::new(partition.aborted_transactions.unwrap_or_default());
                    self.read(index, join(partition.records), partition.high_watermark, aborted);
                }
                ErrorCode::OffsetOutOfRange => {
                    self.report.resets += 1;
                    // The broker says where its log begins, if it knows; otherwise ask again from where we are.
                    let position = &mut self.partitions[index].position;
                    *position = (*position).max(partition.log_start_offset);
                    self.retry(ctx.now, index);
                }
                _ => self.retry(ctx.now, index),
            }
        }
    }

    fn retry_all_of(&mut self, now: Timestamp, broker: NodeId) {
        for index in 0..self.partitions.len() {
            if self.leaders.of(index) == Some(broker) {
                self.retry(now, index);
            }
        }
        self.leaders.refresh(now);
    }

    fn retry(&mut self, now: Timestamp, partition: usize) {
        self.partitions[partition].retry_at = now + RETRY_BACKOFF;
        self.leaders.refresh(now);
    }

    /// Fetches from every partition that a broker leads.
    fn fetch(&mut self, ctx: &mut ClientCtx<'_>, broker: NodeId) {
        let partitions: Vec<_> = self
            .partitions
            .iter()
            .enumerate()
            .filter(|(index, partition)| {
                self.leaders.of(*index) == Some(broker) && partition.retry_at <= ctx.now
            })
            .map(|(index, partition)| {
                FetchPartition::default()
                    .with_partition(i32::try_from(index).unwrap_or(i32::MAX))
                    .with_current_leader_epoch(-1)
                    .with_last_fetched_epoch(-1)
                    .with_log_start_offset(-1)
                    .with_fetch_offset(partition.position)
                    .with_partition_max_bytes(1 << 20)
            })
            .collect();
        if partitions.is_empty() {
            return;
        }
        let topic =
            FetchTopic::default().with_topic(TopicName(self.spec.topic.clone())).with_partitions(partitions);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(self.spec.max_wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(50 << 20)
            .with_isolation_level(self.spec.read_committed.into())
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let correlation_id = ctx.ask(broker, ApiKey::Fetch, FETCH_VERSION, Request::Fetch(request));
        self.fetching.insert(correlation_id, broker);
    }

    fn read(&mut self, index: usize, mut rest: Bytes, high_watermark: i64, mut aborted: Aborted) {
        let partition = i32::try_from(index).unwrap_or(i32::MAX);
        while !rest.is_empty() {
            let batch = match RecordBatch::read(&rest) {
                Ok(Some(batch)) => batch,
                // A batch that is cut off at the end of an answer comes whole with the next.
                Ok(None) => return,
                Err(error) => {
                    self.contradict(format!("partition {partition}: {error}"));
                    return;
                }
            };
            rest = rest.slice(batch.size()..);
            let hidden = if self.spec.read_committed { aborted.hides(&batch) } else { Ok(false) };
            let read =
                hidden.and_then(|hidden| self.read_batch(index, partition, &batch, high_watermark, hidden));
            if let Err(error) = read {
                self.contradict(format!("partition {partition}: {error}"));
            }
        }
    }

    fn read_batch(
        &mut self,
        index: usize,
        partition: i32,
        batch: &RecordBatch,
        high_watermark: i64,
        hidden: bool,
    ) -> Result<(), String> {
        if !batch.crc_holds() {
            return Err(format!("the batch at {} has a wrong CRC", batch.header.base_offset));
        }
        let records = batch.records(64 << 20).map_err(|error| error.to_string())?;
        let seen = self.report.records.entry(partition).or_default();
        for record in &records {
            let record = record.map_err(|error| error.to_string())?;
            let offset = batch.header.base_offset + i64::from(record.offset_delta);
            let position = &mut self.partitions[index].position;
            if offset < *position {
                continue;
            }
            *position = offset + 1;
            if offset >= high_watermark {
                return Err(format!("offset {offset} was shown at high watermark {high_watermark}"));
            }
            if hidden || batch.header.is_control() {
                continue;
            }
            let client = record.key.and_then(|key| Some(u32::from_be_bytes(*key.first_chunk()?)));
            let value = record.value.and_then(|value| Some(u64::from_be_bytes(value.try_into().ok()?)));
            let (Some(producer), Some(number)) = (client, value) else { continue };
            seen.push(SeenRecord { offset, producer, number });
        }
        Ok(())
    }

    fn contradict(&mut self, what: String) {
        self.report.contradictions.push(what);
    }
}

/// The slices of an answer's records as a client receives them: in one piece.
fn join(mut slices: Vec<Bytes>) -> Bytes {
    if slices.len() == 1 {
        return slices.remove(0);
    }
    slices.concat().into()
}
