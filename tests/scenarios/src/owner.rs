//! What a cluster's owner can do to it over the wire: requests of operators, and such as brokers send to their controller.

use std::time::Duration;

use anyhow::Context as _;
use klamm_node::{NodeId, TopicPartition};
use klamm_scenario::theatre::Theatre as _;
use klamm_wire::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use klamm_wire::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use klamm_wire::messages::elect_leaders_request::TopicPartitions;
use klamm_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionRequest, BrokerHeartbeatRequest, BrokerId,
    ElectLeadersRequest, TopicName,
};
use klamm_wire::{ApiKey, Request};

use crate::theatre::Kafka;

/// How long the controller may take to agree.
const AGREES: Duration = Duration::from_secs(30);

/// What brokers need to hear of a decision of their controller.
const HEARD: Duration = Duration::from_millis(500);

impl Kafka {
    /// Makes a replica the preferred leader, and has it elected: the way that operators go.
    pub(crate) fn move_leader(&self, at: &TopicPartition, to: NodeId) {
        let Some(status) = self.partition(&at.topic, at.partition) else { return };
        let mut replicas = status.replicas;
        replicas.retain(|replica| *replica != to);
        replicas.insert(0, to);
        let replicas = replicas.into_iter().map(|id| BrokerId(id.0)).collect();
        let topic =
            ReassignableTopic::default().with_name(TopicName(at.topic.clone())).with_partitions(vec![
                ReassignablePartition::default()
                    .with_partition_index(at.partition)
                    .with_replicas(Some(replicas)),
            ]);
        let request =
            AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        self.ask_as_owner(
            ApiKey::AlterPartitionReassignments,
            0,
            &Request::AlterPartitionReassignments(request),
        );
        let topic = TopicPartitions::default()
            .with_topic(TopicName(at.topic.clone()))
            .with_partitions(vec![at.partition]);
        let request = ElectLeadersRequest::default()
            .with_election_type(0)
            .with_topic_partitions(Some(vec![topic]))
            .with_timeout_ms(30_000);
        self.ask_as_owner(ApiKey::ElectLeaders, 2, &Request::ElectLeaders(request));
        // The controller has decided; the brokers hear of it a moment later, where klamm's have heard.
        std::thread::sleep(HEARD);
    }

    /// Asks the first broker that answers.
    fn ask_as_owner(&self, key: ApiKey, version: i16, request: &Request) {
        for broker in self.running_brokers() {
            if self.ask_one(broker, key, version, request).is_some() {
                return;
            }
        }
    }

    /// Tells the controller in a broker's name that it wants to be fenced (`BrokerHeartbeatManager`). Its own next heartbeat ends that.
    pub(crate) fn fence(&self, broker: NodeId) {
        let Some(epoch) = self.broker_epoch(broker) else { return };
        let Some(controller) = self.active_controller() else { return };
        let (_, end) = self.folder_of(controller).metadata_end();
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(broker.0))
            .with_broker_epoch(epoch)
            .with_current_metadata_offset(end - 1)
            .with_want_fence(true);
        self.ask_one(controller, ApiKey::BrokerHeartbeat, 1, &Request::BrokerHeartbeat(request));
    }

    /// Tells the controller in the leader's name that these are in sync: it does not look into logs. It refuses members that have
    /// not registered yet, so it is told again until it agrees.
    pub(crate) fn set_isr(&self, at: &TopicPartition, isr: &[NodeId]) -> anyhow::Result<()> {
        let agreed = || {
            self.propose_isr(at, isr);
            let found = self
                .metadata(|image| Some(image.topics.partition_by_name(&at.topic, at.partition)?.isr.clone()));
            (found.flatten()? == isr).then_some(())
        };
        klamm_tests::wait_until(AGREES, agreed).context("the controller does not take this ISR")
    }

    fn propose_isr(&self, at: &TopicPartition, isr: &[NodeId]) {
        let found = self.metadata(|image| {
            let topic = image.topics.by_name(&at.topic)?;
            Some((topic.id, topic.partition(at.partition)?.clone()))
        });
        let Some((topic, partition)) = found.flatten() else { return };
        let (Some(controller), Some(epoch)) = (self.active_controller(), self.broker_epoch(partition.leader))
        else {
            return;
        };
        let members = isr.iter().map(|id| {
            let epoch = self.broker_epoch(*id).unwrap_or(-1);
            BrokerState::default().with_broker_id(BrokerId(id.0)).with_broker_epoch(epoch)
        });
        let change = PartitionData::default()
            .with_partition_index(at.partition)
            .with_leader_epoch(partition.leader_epoch)
            .with_new_isr_with_epochs(members.collect())
            .with_partition_epoch(partition.partition_epoch);
        let request = AlterPartitionRequest::default()
            .with_broker_id(BrokerId(partition.leader.0))
            .with_broker_epoch(epoch)
            .with_topics(vec![TopicData::default().with_topic_id(topic).with_partitions(vec![change])]);
        self.ask_one(controller, ApiKey::AlterPartition, 3, &Request::AlterPartition(request));
    }

    fn broker_epoch(&self, broker: NodeId) -> Option<i64> {
        self.metadata(|image| image.cluster.epoch(broker)).flatten()
    }
}
