//! The load: prebuilt batches, pipelined.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, BrokerId, FetchRequest, FetchResponse, ProduceRequest, RequestKind, ResponseKind, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use klamm_wire::record::batch::{BatchHeader, RecordBatch};
use klamm_wire::record::builder::BatchBuilder;

use crate::cluster::Leaders;
use crate::wire::{Connection, Prepared};

const PRODUCE: i16 = 9;
const FETCH: i16 = 12;

/// What is written.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Bytes of each record's value.
    pub value: usize,
    /// Records in each batch; one batch a request.
    pub records: usize,
    /// -1, 0 or 1.
    pub acks: i16,
    /// Requests in flight on each connection.
    pub window: usize,
}

impl Shape {
    fn prepare(self, topic: &str, partition: i32) -> Result<Prepared> {
        let mut builder = BatchBuilder::new();
        let value = vec![0x6b; self.value];
        let now =
            i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis())?;
        for _ in 0..self.records {
            builder.push(now, None, Some(&value), &[]);
        }
        let batch = builder.build().map_err(|e| anyhow::anyhow!("{e}"))?;
        produce_request(topic, partition, self.acks, batch)
    }
}

/// A Produce of one batch.
pub(crate) fn produce_request(
    topic: &str,
    partition: i32,
    acks: i16,
    batch: RecordBatch,
) -> Result<Prepared> {
    let records = [batch.head, batch.body].concat().into();
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partition_data(vec![data]);
    let request =
        ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    Prepared::new(ApiKey::Produce, PRODUCE, &RequestKind::Produce(request))
}

fn check_produced(response: &ResponseKind) -> Result<i64> {
    let ResponseKind::Produce(response) = response else { bail!("asked to produce, got {response:?}") };
    let answer = response
        .responses
        .first()
        .and_then(|t| t.partition_responses.first())
        .context("a produce response without a partition")?;
    ensure!(answer.error_code == 0, "produce failed with error {}", answer.error_code);
    Ok(answer.base_offset)
}

/// One produce, with whatever retries a cluster that is just starting needs; returns the record's offset.
pub(crate) fn produce_once(address: &str, topic: &str, partition: i32) -> Result<i64> {
    let shape = Shape { value: 100, records: 1, acks: -1, window: 1 };
    let prepared = shape.prepare(topic, partition)?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut connection = Connection::open(address)?;
    loop {
        connection.send(&[&prepared])?;
        match check_produced(&connection.receive_for(&prepared)?) {
            Ok(offset) => return Ok(offset),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}

/// Writes `batches` batches spread over all partitions, one connection a broker; returns how long it took until the last
/// acknowledgement.
pub(crate) fn produce(leaders: &Leaders, topic: &str, shape: Shape, batches: usize) -> Result<Duration> {
    let partitions: usize = leaders.values().map(Vec::len).sum();
    let each = batches / partitions;
    let mut work = Vec::new();
    for (address, partitions) in leaders {
        let prepared: Vec<Prepared> =
            partitions.iter().map(|p| shape.prepare(topic, *p)).collect::<Result<_>>()?;
        work.push((Connection::open(address)?, prepared));
    }
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = work
            .into_iter()
            .map(|(connection, prepared)| {
                scope.spawn(move || pump(connection, &prepared, shape.window, each))
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|t| t.join().map_err(|_| anyhow::anyhow!("a load thread panicked"))?)
    })?;
    Ok(start.elapsed())
}

/// Keeps `window` requests in flight until each prepared request was sent `each` times and all are answered.
pub(crate) fn pump(
    mut connection: Connection,
    prepared: &[Prepared],
    window: usize,
    each: usize,
) -> Result<()> {
    // A burst of what is free in the window goes out in one system call, bounded so that large batches do not fill
    // both sides' socket buffers.
    const BURST_BYTES: usize = 1 << 20;
    let total = each * prepared.len();
    let (mut sent, mut answered) = (0, 0);
    while answered < total {
        let mut burst = Vec::new();
        let mut bytes = 0;
        while sent < total && sent - answered < window && bytes < BURST_BYTES {
            let request = &prepared[sent % prepared.len()];
            bytes += request.len();
            burst.push(request);
            sent += 1;
        }
        if !burst.is_empty() {
            connection.send(&burst)?;
        }
        loop {
            check_produced(&connection.receive_for(&prepared[0])?)?;
            answered += 1;
            if answered == sent || !connection.has_buffered() {
                break;
            }
        }
    }
    Ok(())
}

fn fetch_request(topic: &str, partitions: &[(i32, i64)], max_wait_ms: i32) -> Result<Prepared> {
    let partitions = partitions
        .iter()
        .map(|(partition, offset)| {
            FetchPartition::default()
                .with_partition(*partition)
                .with_fetch_offset(*offset)
                .with_partition_max_bytes(1 << 20)
        })
        .collect();
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(50 << 20)
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(vec![
            FetchTopic::default()
                .with_topic(TopicName(StrBytes::from_string(topic.to_owned())))
                .with_partitions(partitions),
        ]);
    Prepared::new(ApiKey::Fetch, FETCH, &RequestKind::Fetch(request))
}

fn fetched(response: ResponseKind) -> Result<FetchResponse> {
    let ResponseKind::Fetch(response) = response else { bail!("asked to fetch, got {response:?}") };
    ensure!(response.error_code == 0, "fetch failed with error {}", response.error_code);
    for partition in response.responses.iter().flat_map(|t| &t.partitions) {
        ensure!(
            partition.error_code == 0,
            "fetch of {} failed: {}",
            partition.partition_index,
            partition.error_code
        );
    }
    Ok(response)
}

/// The offset after the last whole batch in `records`, and the records in those batches.
fn advance(records: &[u8]) -> Option<(i64, u64)> {
    let (mut at, mut next, mut count) = (0, None, 0);
    while let Some(header) = records.get(at..).and_then(BatchHeader::read) {
        if at + header.size() > records.len() {
            break;
        }
        at += header.size();
        count += u64::try_from(header.records_count).unwrap_or(0);
        next = Some(header.next_offset());
    }
    Some((next?, count))
}

/// Reads every partition up to `records` records each; returns how long that took and how many records came.
pub(crate) fn consume(leaders: &Leaders, topic: &str, records: i64) -> Result<(Duration, u64)> {
    let start = Instant::now();
    let total = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = leaders
            .iter()
            .map(|(address, partitions)| {
                let total = &total;
                scope.spawn(move || -> Result<()> {
                    let mut connection = Connection::open(address)?;
                    let mut positions: Vec<(i32, i64)> = partitions.iter().map(|p| (*p, 0)).collect();
                    while !positions.is_empty() {
                        let request = fetch_request(topic, &positions, 500)?;
                        connection.send(&[&request])?;
                        for partition in fetched(connection.receive_for(&request)?)?
                            .responses
                            .iter()
                            .flat_map(|t| &t.partitions)
                        {
                            let Some(bytes) = &partition.records else { continue };
                            let Some((next, count)) = advance(bytes) else { continue };
                            total.fetch_add(count, Ordering::Relaxed);
                            if let Some(p) = positions.iter_mut().find(|p| p.0 == partition.partition_index) {
                                p.1 = next;
                            }
                        }
                        positions.retain(|p| p.1 < records);
                        // What was asked for last comes first next time, or the total limit would starve the tail.
                        let moved = positions.len().min(8);
                        positions.rotate_left(moved);
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|t| t.join().map_err(|_| anyhow::anyhow!("a load thread panicked"))?)
    })?;
    Ok((start.elapsed(), total.into_inner()))
}

/// The histogram of a wait, in nanoseconds.
type Latencies = Histogram<u64>;

/// A steady flow of one-record batches to one partition, with acks=all. A wait is counted from when a record was *due*, so
/// that a stall is not hidden by the sends that it held up.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    /// Bytes of each record's value.
    pub value: usize,
    /// Records a second.
    pub per_second: u64,
    /// Records that are counted.
    pub count: u64,
}

impl Flow {
    /// The first sends warm the connections and are not counted.
    const fn warm(self) -> u64 {
        self.per_second / 4
    }

    fn due(self, start: Instant, i: u64) -> Instant {
        start + Duration::from_nanos(i * 1_000_000_000 / self.per_second)
    }

    /// The waits until each record is acknowledged; nobody reads them.
    pub(crate) fn acknowledged(self, address: &str, topic: &str) -> Result<Latencies> {
        produce_once(address, topic, 0)?;
        self.send(address, topic, Instant::now() + Duration::from_millis(20))
    }

    /// The waits until a consumer that was already waiting holds each record.
    pub(crate) fn consumed(self, address: &str, topic: &str) -> Result<Latencies> {
        let first = produce_once(address, topic, 0)? + 1;
        let start = Instant::now() + Duration::from_millis(20);
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || self.read(address, topic, first, start));
            self.send(address, topic, start)?;
            reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?
        })
    }

    fn send(self, address: &str, topic: &str, start: Instant) -> Result<Latencies> {
        let prepared = Shape { value: self.value, records: 1, acks: -1, window: 1 }.prepare(topic, 0)?;
        let mut connection = Connection::open(address)?;
        let mut waits = histogram()?;
        for i in 0..self.warm() + self.count {
            let due = self.due(start, i);
            wait(due);
            connection.send(&[&prepared])?;
            check_produced(&connection.receive_for(&prepared)?)?;
            if i >= self.warm() {
                waits.record(nanos(due))?;
            }
        }
        Ok(waits)
    }

    fn read(self, address: &str, topic: &str, first: i64, start: Instant) -> Result<Latencies> {
        let mut connection = Connection::open(address)?;
        let mut waits = histogram()?;
        let mut next = first;
        let last = first + i64::try_from(self.warm() + self.count)?;
        while next < last {
            let request = fetch_request(topic, &[(0, next)], 500)?;
            connection.send(&[&request])?;
            let response = fetched(connection.receive_for(&request)?)?;
            let records = response.responses.first().and_then(|t| t.partitions.first()?.records.clone());
            let Some((to, _)) = records.as_deref().and_then(advance) else { continue };
            for offset in next..to {
                let i = u64::try_from(offset - first)?;
                if i >= self.warm() {
                    waits.record(nanos(self.due(start, i)))?;
                }
            }
            next = to;
        }
        Ok(waits)
    }
}

fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
}

fn histogram() -> Result<Latencies> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

fn wait(until: Instant) {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        // The kernel may wake us some 60 µs late: sleep short of the mark, then yield up to it.
        match left.checked_sub(Duration::from_micros(120)) {
            Some(sleep) => std::thread::sleep(sleep),
            None => std::thread::yield_now(),
        }
    }
}
