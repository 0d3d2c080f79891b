//! Transactions of one record each, one behind the other, by several producers at once.
//!
//! The producers speak the versions that every target has (AddPartitionsToTxn, then Produce, then EndTxn), so that all are asked the
//! same.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, ApiKey, EndTxnRequest, InitProducerIdRequest, ProduceRequest, ProducerId,
    RequestKind, ResponseKind, TopicName, TransactionalId,
};
use klamm_wire::record::builder::BatchBuilder;

use super::{Kind, find, text, until};
use crate::cluster::Leaders;
use crate::wire::Connection;

const PRODUCERS: usize = 6;

/// Commits `count` transactions, spread over six producers, and returns how long that took.
pub(crate) fn commit(bootstrap: &str, leaders: &Leaders, topic: &str, count: usize) -> Result<Duration> {
    let places: Vec<(&String, i32)> = leaders
        .iter()
        .flat_map(|(address, partitions)| partitions.iter().map(move |p| (address, *p)))
        .collect();
    let mut producers = Vec::new();
    for i in 0..PRODUCERS {
        let (address, partition) = places.get(i % places.len()).context("a topic without partitions")?;
        let mut producer = Producer::new(bootstrap, &format!("bench-txn-{i}"), address, topic, *partition)?;
        producer.transaction()?;
        producers.push(producer);
    }
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = producers
            .into_iter()
            .map(|mut producer| {
                scope.spawn(move || (0..count / PRODUCERS).try_for_each(|_| producer.transaction()))
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|t| t.join().map_err(|_| anyhow::anyhow!("a load thread panicked"))?)
    })?;
    Ok(start.elapsed())
}

struct Producer {
    coordinator: Connection,
    leader: Connection,
    add: RequestKind,
    end: RequestKind,
    id: TransactionalId,
    topic: TopicName,
    partition: i32,
    producer: (i64, i16),
    sequence: i32,
}

impl Producer {
    fn new(bootstrap: &str, id: &str, leader: &str, topic: &str, partition: i32) -> Result<Self> {
        let mut coordinator = Connection::open(&find(bootstrap, id, Kind::Transaction)?)?;
        let (id, topic) = (TransactionalId(text(id)), TopicName(text(topic)));
        let init = InitProducerIdRequest::default()
            .with_transactional_id(Some(id.clone()))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let init = RequestKind::InitProducerId(init);
        let producer = until(|| match coordinator.call(ApiKey::InitProducerId, 4, &init)? {
            ResponseKind::InitProducerId(r) if r.error_code == 0 => {
                Ok(Ok((r.producer_id.0, r.producer_epoch)))
            }
            ResponseKind::InitProducerId(r) => Ok(Err(r.error_code)),
            other => bail!("asked for a producer id, got {other:?}"),
        })?;
        let added =
            AddPartitionsToTxnTopic::default().with_name(topic.clone()).with_partitions(vec![partition]);
        let add = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id.clone())
            .with_v3_and_below_producer_id(ProducerId(producer.0))
            .with_v3_and_below_producer_epoch(producer.1)
            .with_v3_and_below_topics(vec![added]);
        let end = EndTxnRequest::default()
            .with_transactional_id(id.clone())
            .with_producer_id(ProducerId(producer.0))
            .with_producer_epoch(producer.1)
            .with_committed(true);
        Ok(Self {
            coordinator,
            leader: Connection::open(leader)?,
            add: RequestKind::AddPartitionsToTxn(add),
            end: RequestKind::EndTxn(end),
            id,
            topic,
            partition,
            producer,
            sequence: 0,
        })
    }

    fn transaction(&mut self) -> Result<()> {
        until(|| match self.coordinator.call(ApiKey::AddPartitionsToTxn, 3, &self.add)? {
            ResponseKind::AddPartitionsToTxn(r) => {
                let results = r.results_by_topic_v3_and_below;
                let partition = results
                    .first()
                    .and_then(|t| t.results_by_partition.first())
                    .context("an empty answer")?;
                Ok(coded(partition.partition_error_code))
            }
            other => bail!("asked to add a partition, got {other:?}"),
        })?;
        let record = self.record()?;
        until(|| match self.leader.call(ApiKey::Produce, 9, &record)? {
            ResponseKind::Produce(r) => {
                let partition = r
                    .responses
                    .first()
                    .and_then(|t| t.partition_responses.first())
                    .context("an empty answer")?;
                Ok(coded(partition.error_code))
            }
            other => bail!("asked to produce, got {other:?}"),
        })?;
        self.sequence += 1;
        until(|| match self.coordinator.call(ApiKey::EndTxn, 3, &self.end)? {
            ResponseKind::EndTxn(r) => Ok(coded(r.error_code)),
            other => bail!("asked to end a transaction, got {other:?}"),
        })
    }

    fn record(&self) -> Result<RequestKind> {
        let mut batch =
            BatchBuilder::new().producer(self.producer.0, self.producer.1, self.sequence).transactional();
        let now =
            i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis())?;
        batch.push(now, None, Some(&[0x6b; 100]), &[]);
        let batch = batch.build().map_err(|e| anyhow::anyhow!("{e}"))?;
        let data = PartitionProduceData::default()
            .with_index(self.partition)
            .with_records(Some([batch.head, batch.body].concat().into()));
        let topic = TopicProduceData::default().with_name(self.topic.clone()).with_partition_data(vec![data]);
        Ok(RequestKind::Produce(
            ProduceRequest::default()
                .with_transactional_id(Some(self.id.clone()))
                .with_acks(-1)
                .with_timeout_ms(30_000)
                .with_topic_data(vec![topic]),
        ))
    }
}

const fn coded(code: i16) -> Result<(), i16> {
    if code == 0 { Ok(()) } else { Err(code) }
}
