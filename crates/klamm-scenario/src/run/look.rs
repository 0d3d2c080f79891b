//! Looks at the cluster: for the report, and to find out whether it has settled.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_metadata::MetadataImage;
use klamm_node::{NodeId, TopicPartition};

use super::Runner;
use crate::report::{BrokerState, LogState, PartitionState, State};
use crate::theatre::Theatre;

impl<T: Theatre> Runner<T> {
    /// Every partition of every topic that is not internal.
    fn partitions(&self) -> Vec<TopicPartition> {
        let topics = self.stage.topics().into_iter().filter(|(topic, _)| !topic.starts_with("__"));
        topics
            .flat_map(|(topic, count)| (0..count).map(move |at| TopicPartition::new(topic.clone(), at)))
            .collect()
    }

    /// Whether every replica that runs is in sync and has what the leader has.
    pub(super) fn is_settled(&self) -> bool {
        self.partitions().iter().all(|partition| self.is_partition_settled(partition))
            && self.fenced_but_up().is_empty()
    }

    /// Brokers that run and that the controller has not let in yet: a partition may look settled while all of its replicas start again.
    fn fenced_but_up(&self) -> Vec<NodeId> {
        let mut up = self.stage.brokers();
        up.retain(|broker| self.stage.is_up(*broker));
        let is_fenced =
            |image: &MetadataImage, id| image.cluster.broker(id).is_none_or(|broker| broker.fenced);
        let fenced = self.stage.metadata(|image| up.into_iter().filter(|id| is_fenced(image, *id)).collect());
        fenced.unwrap_or_default()
    }

    fn is_partition_settled(&self, at: &TopicPartition) -> bool {
        let Some(status) = self.stage.partition(&at.topic, at.partition) else { return false };
        let end = status.log_end();
        end.is_some()
            && status.adding_replicas.is_empty()
            && status.removing_replicas.is_empty()
            && status.replicas.iter().filter(|replica| self.stage.is_up(**replica)).all(|replica| {
                let log = status.logs.get(replica);
                status.isr.contains(replica)
                    && log.is_some_and(|log| Some(log.log_end) == end && Some(log.high_watermark) == end)
            })
            && status.isr.iter().all(|replica| self.stage.is_up(*replica))
    }

    pub(super) fn unsettled(&self) -> String {
        let partitions = self.partitions();
        let unsettled = partitions.iter().filter(|partition| !self.is_partition_settled(partition));
        let lines = unsettled.map(|at| match self.stage.partition(&at.topic, at.partition) {
            Some(status) => format!("{at}: {status}"),
            None => format!("{at} is not known"),
        });
        let fenced = self.fenced_but_up();
        let fenced = fenced.iter().map(|broker| format!("broker {broker} runs and is fenced"));
        lines.chain(fenced).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn look(&self) -> State {
        let ids = self.stage.brokers();
        let brokers = self.stage.metadata(|image| {
            let brokers = ids.into_iter().map(|id| {
                let fenced = image.cluster.broker(id).is_none_or(|registered| registered.fenced);
                (id, BrokerState { up: self.stage.is_up(id), fenced })
            });
            brokers.collect::<BTreeMap<_, _>>()
        });
        let partitions = self.partitions().into_iter().filter_map(|at| {
            let status = self.stage.partition(&at.topic, at.partition)?;
            let replicas = status.replicas.iter().map(|replica| {
                let log = status.logs.get(replica).map(|log| LogState {
                    start: log.log_start,
                    end: log.log_end,
                    high_watermark: log.high_watermark,
                    records: self.records(*replica, &at),
                });
                (*replica, log)
            });
            let state = PartitionState {
                leader: status.leader,
                leader_epoch: status.leader_epoch,
                partition_epoch: status.partition_epoch,
                isr: status.isr.clone(),
                elr: status.elr.clone(),
                replicas: replicas.collect(),
            };
            Some((at, state))
        });
        State { brokers: brokers.unwrap_or_default(), partitions: partitions.collect() }
    }

    /// A replica's records: offset, epoch, value.
    pub(super) fn records(&self, broker: klamm_node::NodeId, at: &TopicPartition) -> Vec<(i64, i32, String)> {
        let stored = self.stage.stored_log(broker, &at.topic, at.partition).unwrap_or_default();
        let records = stored.records.into_iter().map(|record| {
            let value = record
                .value
                .map_or_else(|| "(null)".to_owned(), |value| String::from_utf8_lossy(&value).into_owned());
            (record.offset, record.leader_epoch, if record.control { "(marker)".to_owned() } else { value })
        });
        records.collect()
    }
}

/// A time for a person: seconds, to the millisecond.
pub(crate) fn time(time: Duration) -> String {
    format!("{}.{:03}s", time.as_secs(), time.subsec_millis())
}
