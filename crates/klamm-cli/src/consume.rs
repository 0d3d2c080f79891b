//! `klamm consume`: prints a topic's records.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context as _, bail};
use clap::Args;
use kafka_protocol::protocol::StrBytes;
use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use klamm_wire::messages::fetch_response::PartitionData;
use klamm_wire::messages::{BrokerId, FetchRequest, TopicName};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::{ErrorCode, Record};

use crate::client::{BATCH_LIMIT, Bootstrap, Cluster, Position, Topic, check};
use crate::errors::Mistake;

/// Print the records of a topic of any Kafka cluster, and go on with new ones until Ctrl-C
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// The topic
    topic: String,
    /// Where to begin: earliest, latest, or an offset
    #[arg(long, default_value = "earliest")]
    from: String,
    /// Read this partition only
    #[arg(long)]
    partition: Option<i32>,
    /// Stop after this many records
    #[arg(long)]
    count: Option<u64>,
    /// Stop at the end of the topic
    #[arg(long, short = 'e')]
    exit: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let cluster = arguments.bootstrap.connect()?;
    let mut consumer = Consumer {
        cluster,
        name: arguments.topic.clone(),
        topic: Topic { partitions: Vec::new() },
        partition: arguments.partition,
        positions: BTreeMap::new(),
        left: arguments.count.unwrap_or(u64::MAX),
        json: arguments.json,
    };
    consumer.refresh()?;
    let name = &arguments.topic;
    if let Some(partition) = arguments.partition.filter(|_| consumer.topic.partitions.is_empty()) {
        return Err(Mistake(format!("{name} has no partition {partition}")).into());
    }
    consumer.begin(&arguments.from)?;
    let ends = if arguments.exit { Some(consumer.offsets(Position::Latest)?) } else { None };
    while consumer.left > 0 && !ends.as_ref().is_some_and(|ends| consumer.is_past(ends)) {
        consumer.poll()?;
    }
    Ok(())
}

struct Consumer {
    cluster: Cluster,
    name: String,
    topic: Topic,
    partition: Option<i32>,
    positions: BTreeMap<i32, i64>,
    left: u64,
    json: bool,
}

impl Consumer {
    fn refresh(&mut self) -> anyhow::Result<()> {
        self.topic = self.cluster.topic(&self.name, false)?;
        if let Some(only) = self.partition {
            self.topic.partitions.retain(|partition| partition.index == only);
        }
        Ok(())
    }

    fn offsets(&mut self, position: Position) -> anyhow::Result<BTreeMap<i32, i64>> {
        self.cluster.offsets(&self.name, &self.topic.partitions, position)
    }

    fn begin(&mut self, from: &str) -> anyhow::Result<()> {
        self.positions = match from {
            "earliest" => self.offsets(Position::Earliest)?,
            "latest" => self.offsets(Position::Latest)?,
            offset => {
                let Ok(offset) = offset.parse::<i64>() else {
                    let message = format!("--from takes earliest, latest or an offset, not {offset:?}");
                    return Err(Mistake(message).into());
                };
                self.topic.partitions.iter().map(|partition| (partition.index, offset)).collect()
            }
        };
        Ok(())
    }

    fn is_past(&self, ends: &BTreeMap<i32, i64>) -> bool {
        ends.iter()
            .all(|(partition, end)| self.positions.get(partition).is_none_or(|position| position >= end))
    }

    /// Fetches once from every leader.
    fn poll(&mut self) -> anyhow::Result<()> {
        let mut by_leader: BTreeMap<i32, Vec<FetchPartition>> = BTreeMap::new();
        for partition in &self.topic.partitions {
            let position = self.positions.get(&partition.index).copied().unwrap_or(0);
            let asked = FetchPartition::default()
                .with_partition(partition.index)
                .with_fetch_offset(position)
                .with_partition_max_bytes(1 << 20);
            by_leader.entry(partition.leader).or_default().push(asked);
        }
        // With several leaders, waiting long for one would hold up the others.
        let wait = if by_leader.len() == 1 { 1_000 } else { 100 };
        let mut moved = false;
        for (leader, partitions) in by_leader {
            let request = FetchRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_max_wait_ms(wait)
                .with_min_bytes(1)
                .with_max_bytes(32 << 20)
                .with_topics(vec![
                    FetchTopic::default()
                        .with_topic(TopicName(StrBytes::from_string(self.name.clone())))
                        .with_partitions(partitions),
                ]);
            let response = self.cluster.broker(leader)?.ask(12, &request)?;
            check(response.error_code, None)?;
            for partition in response.responses.into_iter().flat_map(|topic| topic.partitions) {
                moved |= self.take(partition)?;
            }
        }
        if moved {
            self.cluster.reconnect();
            self.refresh()?;
        }
        Ok(())
    }

    /// Prints what came from one partition. `true` when its leader is another now.
    fn take(&mut self, data: PartitionData) -> anyhow::Result<bool> {
        let index = data.partition_index;
        match ErrorCode::from_code(data.error_code) {
            Some(ErrorCode::None) => {}
            Some(
                ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch | ErrorCode::LeaderNotAvailable,
            ) => {
                return Ok(true);
            }
            Some(ErrorCode::OffsetOutOfRange) => {
                let position = self.positions.get(&index).copied().unwrap_or(0);
                bail!("offset {position} is not in {}-{index}", self.name);
            }
            _ => check(data.error_code, None).with_context(|| format!("fetch {}-{index}", self.name))?,
        }
        for batch in BatchIter::new(data.records.unwrap_or_default()) {
            let batch = batch?;
            let position = self.positions.entry(index).or_insert(0);
            let begin = *position;
            *position = batch.header.next_offset().max(begin);
            if batch.header.is_control() {
                continue;
            }
            let records = batch.records(BATCH_LIMIT)?;
            for record in records.iter() {
                let record = record?;
                let offset = batch.header.base_offset + i64::from(record.offset_delta);
                if offset >= begin && self.left > 0 {
                    self.left -= 1;
                    let timestamp = batch.header.base_timestamp + record.timestamp_delta;
                    self.print(index, offset, timestamp, &record)?;
                }
            }
        }
        Ok(false)
    }

    fn print(&self, partition: i32, offset: i64, timestamp: i64, record: &Record<'_>) -> anyhow::Result<()> {
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let mut stdout = std::io::stdout().lock();
        if self.json {
            let headers: Vec<_> = record
                .headers
                .iter()
                .map(|header| (String::from_utf8_lossy(header.key).into_owned(), text(header.value)))
                .collect();
            let line = serde_json::json!({
                "partition": partition, "offset": offset, "timestamp": timestamp,
                "key": text(record.key), "value": text(record.value), "headers": headers,
            });
            writeln!(stdout, "{line}")?;
        } else {
            let key = text(record.key).unwrap_or_else(|| "-".to_owned());
            let value = text(record.value).unwrap_or_else(|| "(tombstone)".to_owned());
            writeln!(stdout, "{partition}:{offset}\t{key}\t{value}")?;
        }
        Ok(())
    }
}
