//! A cluster: its brokers, who leads what, and a connection to each broker that was needed.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use kafka_protocol::protocol::{Request, StrBytes};
use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::metadata_request::MetadataRequestTopic;
use klamm_wire::messages::{
    BrokerId, FindCoordinatorRequest, ListOffsetsRequest, MetadataRequest, MetadataResponse, TopicName,
};

use super::{Connection, check};

/// What a compressed batch may unfold to.
pub(crate) const BATCH_LIMIT: usize = 1 << 30;

/// A topic's partitions in order, as Metadata describes them.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) partitions: Vec<Partition>,
}

/// One partition, as Metadata describes it.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    pub(crate) index: i32,
    pub(crate) leader: i32,
}

/// The special timestamps of ListOffsets.
#[derive(Debug, Clone, Copy)]
#[repr(i64)]
pub(crate) enum Position {
    Latest = -1,
    Earliest = -2,
}

/// A cluster, reached through any of its brokers.
#[derive(Debug)]
pub(crate) struct Cluster {
    seed: Connection,
    brokers: BTreeMap<i32, String>,
    connections: BTreeMap<i32, Connection>,
}

impl Cluster {
    /// Connects to the first broker of a comma-separated list that answers.
    pub(crate) fn connect(bootstrap: &str) -> anyhow::Result<Self> {
        let mut failure = None;
        for address in bootstrap.split(',').map(str::trim).filter(|address| !address.is_empty()) {
            match Connection::open(address) {
                Ok(seed) => return Ok(Self { seed, brokers: BTreeMap::new(), connections: BTreeMap::new() }),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| anyhow::anyhow!("no bootstrap address was given")))
    }

    /// Asks any broker.
    pub(crate) fn ask<R: Request>(&mut self, newest: i16, request: &R) -> anyhow::Result<R::Response> {
        self.seed.ask(newest, request)
    }

    /// A connection to one broker.
    pub(crate) fn broker(&mut self, id: i32) -> anyhow::Result<&mut Connection> {
        if !self.brokers.contains_key(&id) {
            self.metadata(Some(Vec::new()), false)?;
        }
        let address = self.brokers.get(&id).with_context(|| format!("there is no broker {id}"))?;
        match self.connections.entry(id) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => Ok(entry.insert(Connection::open(address)?)),
        }
    }

    /// The ids of the brokers that are up.
    pub(crate) fn broker_ids(&mut self) -> anyhow::Result<Vec<i32>> {
        self.metadata(Some(Vec::new()), false)?;
        Ok(self.brokers.keys().copied().collect())
    }

    /// Forgets connections, so that the next use opens new ones: after an error on one.
    pub(crate) fn reconnect(&mut self) {
        self.connections.clear();
    }

    /// Metadata of some topics, or of all with `None`.
    pub(crate) fn metadata(
        &mut self,
        topics: Option<Vec<String>>,
        create: bool,
    ) -> anyhow::Result<MetadataResponse> {
        let topics = topics.map(|names| {
            let named = |name| {
                MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string(name))))
            };
            names.into_iter().map(named).collect()
        });
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(create);
        let response = self.seed.ask(12, &request)?;
        self.brokers = response
            .brokers
            .iter()
            .map(|broker| (broker.node_id.0, format!("{}:{}", broker.host, broker.port)))
            .collect();
        Ok(response)
    }

    /// A topic's partitions; with `create`, a topic that does not exist is created where the cluster allows that.
    pub(crate) fn topic(&mut self, name: &str, create: bool) -> anyhow::Result<Topic> {
        // A topic that was just created by being asked for has its leaders a moment later.
        for attempt in 0.. {
            let response = self.metadata(Some(vec![name.to_owned()]), create)?;
            let Some(topic) = response.topics.into_iter().next() else {
                bail!("the broker says nothing of topic {name}");
            };
            let mut partitions: Vec<_> = topic
                .partitions
                .iter()
                .map(|partition| Partition {
                    index: partition.partition_index,
                    leader: partition.leader_id.0,
                })
                .collect();
            partitions.sort_by_key(|partition| partition.index);
            let leaders = !partitions.is_empty() && partitions.iter().all(|partition| partition.leader >= 0);
            let settled = match topic.error_code {
                0 => leaders,
                // UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE
                3 => !create,
                5 => false,
                _ => true,
            };
            if settled || attempt == 50 {
                check(topic.error_code, None).with_context(|| format!("topic {name}"))?;
                return Ok(Topic { partitions });
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        unreachable!("the loop ends by returning")
    }

    /// The offset at one end of some partitions of a topic.
    pub(crate) fn offsets(
        &mut self,
        name: &str,
        partitions: &[Partition],
        position: Position,
    ) -> anyhow::Result<BTreeMap<i32, i64>> {
        let mut offsets = BTreeMap::new();
        let mut by_leader: BTreeMap<i32, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for partition in partitions {
            let asked = ListOffsetsPartition::default()
                .with_partition_index(partition.index)
                .with_timestamp(position as i64);
            by_leader.entry(partition.leader).or_default().push(asked);
        }
        for (leader, partitions) in by_leader {
            let topic = ListOffsetsTopic::default()
                .with_name(TopicName(StrBytes::from_string(name.to_owned())))
                .with_partitions(partitions);
            let request =
                ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
            let response = self.broker(leader)?.ask(7, &request)?;
            for partition in response.topics.into_iter().flat_map(|topic| topic.partitions) {
                check(partition.error_code, None)
                    .with_context(|| format!("offset of {name}-{}", partition.partition_index))?;
                offsets.insert(partition.partition_index, partition.offset);
            }
        }
        Ok(offsets)
    }

    /// The broker that coordinates a group.
    pub(crate) fn coordinator(&mut self, group: &str) -> anyhow::Result<i32> {
        // A cluster that never had a group creates `__consumer_offsets` now, and answers once it exists.
        for attempt in 0.. {
            let key = StrBytes::from_string(group.to_owned());
            let response = self.seed.ask(3, &FindCoordinatorRequest::default().with_key(key))?;
            // COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE
            if !matches!(response.error_code, 14 | 15) || attempt == 50 {
                check(response.error_code, response.error_message.as_deref())
                    .with_context(|| format!("coordinator of group {group}"))?;
                return Ok(response.node_id.0);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        unreachable!("the loop ends by returning")
    }
}
