//! Each fault is injected, is seen to fire, and changes what happens.

mod breakpoints;
mod cluster;
mod disks;
mod groups;
mod network;
mod nodes;
mod property;
mod requests;
mod wrong;

use klamm_node::{NodeId, TopicPartition};
use klamm_world::fault::{DiskFault, NodeFault};
use klamm_world::{ClientId, Command, Fault, FaultError, FaultId};

use crate::scripted::{CONTROLLER, Stage, TOPIC};
use klamm_world::scripted::{ClientSettings, ScriptedProducerSpec};

impl Stage {
    pub(crate) fn inject(&mut self, fault: impl Into<Fault>) -> FaultId {
        self.try_inject(fault).unwrap()
    }

    pub(crate) fn try_inject(&mut self, fault: impl Into<Fault>) -> Result<FaultId, FaultError> {
        let now = self.world.now();
        self.world.inject(now, fault, &mut Vec::new())
    }

    fn node_fault(&mut self, node: i32, fault: NodeFault) -> FaultId {
        self.inject(Fault::Node { node: NodeId(node), fault })
    }

    fn disk_fault(&mut self, node: i32, fault: DiskFault) -> FaultId {
        self.inject(Fault::Disk { node: NodeId(node), fault })
    }

    pub(crate) fn heal(&mut self, id: FaultId) {
        self.command(Command::Heal(id));
    }

    fn fired(&self, id: FaultId) -> u64 {
        self.world.fault(id).unwrap().fired
    }

    fn held(&self, id: FaultId) -> usize {
        self.world.fault(id).unwrap().held
    }

    /// A producer that has its connections and its id, and has produced one record.
    fn warm_producer(&mut self, spec: ScriptedProducerSpec) -> ClientId {
        let producer = self.producer(spec);
        assert_eq!(self.sent(producer, "warm").base_offset, Some(0));
        producer
    }
}

fn partition() -> TopicPartition {
    TopicPartition::new(TOPIC, 0)
}

/// A producer that sends once, and gives up after two seconds.
fn once() -> ScriptedProducerSpec {
    let client = ClientSettings {
        request_timeout: std::time::Duration::from_secs(2),
        ..ClientSettings::named("once")
    };
    ScriptedProducerSpec { client, idempotent: false, retries: 0, ..ScriptedProducerSpec::default() }
}

/// A producer that retries, and gives a request up after two seconds.
fn persistent(idempotent: bool) -> ScriptedProducerSpec {
    let client = ClientSettings {
        request_timeout: std::time::Duration::from_secs(2),
        ..ClientSettings::named("persistent")
    };
    ScriptedProducerSpec { client, idempotent, ..ScriptedProducerSpec::default() }
}
