//! Tells the controller in which log directory this broker keeps a replica, where the metadata says otherwise
//! (`AssignmentsManager`, KIP-858).

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_metadata::PartitionRegistration;
use klamm_node::{Ctx, SendError, TopicIdPartition};
use klamm_wire::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use klamm_wire::messages::{AssignReplicasToDirsRequest, BrokerId, ResponseKind};
use klamm_wire::{Response, Uuid};

use crate::core::{Call, Core, Timer};
use crate::partition::Slot;

/// The most replicas that one request names (`AssignReplicasToDirsRequest.MAX_ASSIGNMENTS_PER_REQUEST`).
const MAX_PER_REQUEST: usize = 2250;
/// The first and the longest wait after a failure; it doubles (`AssignmentsManager.STANDARD_BACKOFF`, without its jitter).
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Replicas whose directory the controller does not know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Assignments {
    /// Where each replica is.
    ready: BTreeMap<TopicIdPartition, Uuid>,
    in_flight: BTreeMap<TopicIdPartition, Uuid>,
    /// How often in a row the controller could not be asked.
    failures: u32,
    waiting: bool,
}

impl Assignments {
    fn backoff(&self) -> Duration {
        BACKOFF.0.saturating_mul(1 << self.failures.min(10)).min(BACKOFF.1)
    }
}

impl Assignments {
    /// Has the controller told in which directory a replica is, or will be.
    pub(crate) fn tell(&mut self, key: TopicIdPartition, dir: Uuid) {
        self.ready.insert(key, dir);
    }
}

impl Core {
    /// Compares where a replica is with where the metadata has it.
    pub(crate) fn check_assignment(&mut self, slot: Slot, registration: &PartitionRegistration) {
        let Some(partition) = self.replicas.get(slot) else { return };
        if let Some(future) = &partition.future
            && registration.directory(self.settings.node) == self.replicas.dirs.id(future.dir)
        {
            // The controller knows where it goes: it may go.
            self.moves_due = true;
            return;
        }
        let actual = self.replicas.dirs.id(partition.dir);
        if let Some(actual) = actual
            && registration.directory(self.settings.node) != Some(actual)
        {
            let key = TopicIdPartition { topic_id: partition.topic_id, partition: partition.name.partition };
            self.assignments.ready.insert(key, actual);
        }
    }

    /// Sends what the controller does not know yet, unless it is being told something. True when a request went out.
    pub(crate) fn send_assignments(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let assignments = &mut self.assignments;
        if assignments.ready.is_empty()
            || !assignments.in_flight.is_empty()
            || assignments.waiting
            || self.lifecycle.epoch < 0
        {
            return false;
        }
        while assignments.in_flight.len() < MAX_PER_REQUEST
            && let Some((key, dir)) = assignments.ready.pop_first()
        {
            // What was decided elsewhere in the meantime needs no telling.
            let registration = self.metadata.image().topics.partition(key.topic_id, key.partition);
            let me = self.settings.node;
            if registration.is_some_and(|r| r.has_replica(me) && r.directory(me) != Some(dir)) {
                assignments.in_flight.insert(key, dir);
            }
        }
        if assignments.in_flight.is_empty() {
            return false;
        }
        let mut by_dir: BTreeMap<Uuid, Vec<TopicData>> = BTreeMap::new();
        for (key, dir) in &assignments.in_flight {
            let topics = by_dir.entry(*dir).or_default();
            if topics.last().is_none_or(|topic| topic.topic_id != key.topic_id) {
                topics.push(TopicData::default().with_topic_id(key.topic_id));
            }
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(PartitionData::default().with_partition_index(key.partition));
            }
        }
        let directories =
            by_dir.into_iter().map(|(id, topics)| DirectoryData::default().with_id(id).with_topics(topics));
        let request = AssignReplicasToDirsRequest::default()
            .with_broker_id(BrokerId(self.settings.node.0))
            .with_broker_epoch(self.lifecycle.epoch)
            .with_directories(directories.collect());
        let timeout = self.config.hot.session_timeout_ms;
        self.call_controller(ctx, 0, request.into(), timeout, Call::AssignReplicasToDirs);
        true
    }

    /// The controller answered, or could not be reached: what it did not take is told again later.
    pub(crate) fn on_assignments(&mut self, ctx: &mut Ctx<'_>, result: Result<Response, SendError>) {
        let mut sent = std::mem::take(&mut self.assignments.in_flight);
        let answer = match result {
            Ok(Response::Other(kind)) => match *kind {
                ResponseKind::AssignReplicasToDirs(answer) => Some(answer),
                _ => None,
            },
            _ => None,
        };
        let taken = match answer {
            Some(answer) if answer.error_code == 0 => {
                for topic in answer.directories.iter().flat_map(|dir| &dir.topics) {
                    for partition in topic.partitions.iter().filter(|partition| partition.error_code == 0) {
                        let key = TopicIdPartition {
                            topic_id: topic.topic_id,
                            partition: partition.partition_index,
                        };
                        sent.remove(&key);
                    }
                }
                true
            }
            _ => false,
        };
        self.assignments.failures = if taken { 0 } else { self.assignments.failures + 1 };
        if !sent.is_empty() {
            self.assignments.waiting = true;
            self.timers.set(Timer::Assignments, ctx.now + self.assignments.backoff());
        }
        for (key, dir) in sent {
            self.assignments.ready.entry(key).or_insert(dir);
        }
    }

    /// The wait after a failure is over.
    pub(crate) const fn retry_assignments(&mut self) {
        self.assignments.waiting = false;
    }
}
