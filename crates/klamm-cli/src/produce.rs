//! `klamm produce`: lines of standard input become records.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use kafka_protocol::protocol::StrBytes;
use klamm_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use klamm_wire::messages::{ProduceRequest, TopicName};
use klamm_wire::{BatchBuilder, Compression};

use crate::client::{Bootstrap, Cluster, Topic, check};
use crate::errors::Mistake;
use crate::output;

/// Batches are sent when they hold this many bytes, or the input pauses.
const BATCH_BYTES: usize = 256 * 1024;

/// Produce each line of standard input as a record to a topic of any Kafka cluster
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// The topic; it is created if it does not exist and the cluster allows that
    topic: String,
    /// Split each line into key and value at the first of these
    #[arg(long, value_name = "SEPARATOR")]
    key: Option<String>,
    /// Produce to this partition only [default: by the key's hash, without a key in turn]
    #[arg(long)]
    partition: Option<i32>,
    /// How many replicas must have the record before it counts as produced
    #[arg(long, value_enum, default_value_t = Acks::All)]
    acks: Acks,
    /// The codec to compress batches with: none, gzip, snappy, lz4 or zstd
    #[arg(long, default_value = "none", value_name = "CODEC")]
    compression: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Acks {
    /// The leader
    #[value(name = "1")]
    Leader,
    /// All in-sync replicas
    All,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(codec) = Compression::from_name(&arguments.compression) else {
        let codec = &arguments.compression;
        return Err(Mistake(format!("{codec:?} is no codec; choose none, gzip, snappy, lz4 or zstd")).into());
    };
    let mut cluster = arguments.bootstrap.connect()?;
    let topic = cluster.topic(&arguments.topic, true)?;
    if let Some(partition) = arguments.partition
        && !topic.partitions.iter().any(|known| known.index == partition)
    {
        let count = topic.partitions.len();
        let name = &arguments.topic;
        return Err(Mistake(format!("{name} has no partition {partition}, it has {count} partitions")).into());
    }
    let acks = match arguments.acks {
        Acks::Leader => 1,
        Acks::All => -1,
    };
    let mut producer =
        Producer { cluster, name: arguments.topic.clone(), topic, acks, codec, batches: BTreeMap::new() };
    let count = producer.produce_lines(arguments.key.as_deref(), arguments.partition)?;
    output::line(&format!("produced {count} records to {}", arguments.topic))
}

struct Producer {
    cluster: Cluster,
    name: String,
    topic: Topic,
    acks: i16,
    codec: Compression,
    batches: BTreeMap<i32, BatchBuilder>,
}

impl Producer {
    fn produce_lines(&mut self, separator: Option<&str>, fixed: Option<i32>) -> anyhow::Result<u64> {
        let mut input = BufReader::with_capacity(BATCH_BYTES, std::io::stdin());
        let mut line = Vec::new();
        let mut count: u64 = 0;
        let mut batched = 0;
        loop {
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            let (key, value) = split(&line, separator);
            let partition = fixed.unwrap_or_else(|| self.partition_of(key, count));
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
            let codec = self.codec;
            self.batches
                .entry(partition)
                .or_insert_with(|| BatchBuilder::new().compression(codec, None))
                .push(i64::try_from(now)?, key, Some(value), &[]);
            count += 1;
            batched += line.len() + 16;
            // With nothing read ahead, the next read may wait: a person sees a line produced when they press Enter.
            if batched >= BATCH_BYTES || input.buffer().is_empty() {
                self.flush()?;
                batched = 0;
            }
        }
        self.flush()?;
        Ok(count)
    }

    /// The partition that Kafka's own producer chooses for a key (`BuiltInPartitioner`).
    fn partition_of(&self, key: Option<&[u8]>, count: u64) -> i32 {
        let partitions = self.topic.partitions.len();
        let slot = match key {
            Some(key) => klamm_wire::partition_for_key(key, partitions),
            None => usize::try_from(count).unwrap_or(0) % partitions,
        };
        self.topic.partitions[slot].index
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        for (partition, batch) in std::mem::take(&mut self.batches) {
            let records = batch.build()?.to_bytes();
            self.send(partition, records).with_context(|| format!("produce to {}-{partition}", self.name))?;
        }
        Ok(())
    }

    fn send(&mut self, partition: i32, records: Bytes) -> anyhow::Result<()> {
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
        let topic = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_string(self.name.clone())))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(self.acks)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![topic]);
        let known = self.topic.partitions.iter().find(|known| known.index == partition);
        let leader = known.map_or(-1, |known| known.leader);
        let response = self.cluster.broker(leader)?.ask(9, &request)?;
        for partition in response.responses.into_iter().flat_map(|topic| topic.partition_responses) {
            check(partition.error_code, partition.error_message.as_deref())?;
        }
        Ok(())
    }
}

fn split<'a>(line: &'a [u8], separator: Option<&str>) -> (Option<&'a [u8]>, &'a [u8]) {
    let Some(separator) = separator.filter(|separator| !separator.is_empty()) else { return (None, line) };
    let at = line.windows(separator.len()).position(|window| window == separator.as_bytes());
    at.map_or((None, line), |at| (Some(&line[..at]), &line[at + separator.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first_separator() {
        assert_eq!(split(b"k:v:w", Some(":")), (Some(&b"k"[..]), &b"v:w"[..]));
        assert_eq!(split(b"no key", Some(":")), (None, &b"no key"[..]));
        assert_eq!(split(b"k:v", None), (None, &b"k:v"[..]));
    }
}
