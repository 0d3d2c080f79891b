//! How a node's process begins and ends.

use klamm_broker::{Broker, BrokerSettings};
use klamm_controller::{Controller, ControllerSettings};
use klamm_node::{NodeId, Rng, SendError, TraceKind};

use super::{Event, World};
use crate::input::Output;
use crate::network::Body;
use crate::node::Node;

/// How a node's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Shutdown,
    Crash,
    PowerLoss,
}

impl End {
    const fn cause(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Crash => "crash",
            Self::PowerLoss => "power loss",
        }
    }
}

impl World {
    pub(crate) fn start(&mut self, id: NodeId, out: &mut Vec<Output>) {
        let Some(slot) = self.slot(id) else {
            out.push(Output::NodeFailed { node: id, message: format!("there is no node {id}") });
            return;
        };
        if self.slots[slot].node.is_some() {
            return;
        }
        self.trace.record(self.now, Some(id), TraceKind::NodeStarted);
        let mut effects = std::mem::take(&mut self.effects);
        let booted = match self.broker_settings(id) {
            Some(settings) => self.slots[slot].boot(self.now, &mut self.trace, &mut effects, |disk, ctx| {
                let booted = Broker::boot(settings, disk, ctx).map(|node| Node::Broker(Box::new(node)));
                booted.map_err(|failure| (failure.error, Some(failure.disk)))
            }),
            None => {
                let settings = self.controller_settings(id);
                self.slots[slot].boot(self.now, &mut self.trace, &mut effects, |disk, ctx| {
                    let booted = Controller::boot(settings, disk, ctx);
                    booted.map(|node| Node::Controller(Box::new(node))).map_err(|error| (error, None))
                })
            }
        };
        if !self.faults.registry.is_empty() {
            self.arm_breakpoints_of(slot, out);
            self.check_checksums(slot);
            self.note_disk(slot);
        }
        match booted {
            Some(Ok(())) => out.push(Output::NodeStarted { node: id }),
            Some(Err((error, disk))) => {
                if let Some(mut disk) = disk {
                    disk.crash();
                    self.slots[slot].disk = Some(disk);
                }
                out.push(Output::NodeFailed { node: id, message: error.to_string() });
            }
            None => out.push(Output::NodeFailed {
                node: id,
                message: "its disk was lost when an earlier start failed".to_owned(),
            }),
        }
        self.schedule.follow(self.trace.effect());
        self.perform(slot, &mut effects, out);
        self.effects = effects;
    }

    pub(crate) fn stop(&mut self, id: NodeId, out: &mut Vec<Output>) {
        let Some(slot) = self.slot(id) else { return };
        if self.slots[slot].door.is_shut(self.now) {
            self.slots[slot].door.wait(Event::Stop(id), self.trace.effect());
            return;
        }
        let mut in_order = true;
        self.step(slot, out, |node, ctx| in_order = node.begin_shutdown(ctx));
        if !in_order {
            self.end(id, End::Shutdown, out);
        }
    }

    pub(crate) fn end(&mut self, id: NodeId, how: End, out: &mut Vec<Output>) {
        let Some(slot) = self.slot(id) else { return };
        let Some(disk) = self.slots[slot].end() else { return };
        if how == End::PowerLoss {
            let mut torn = Rng::stream(self.settings.seed, &format!("power loss of {id} at {}", self.now.0));
            disk.power_loss(&mut |_, unflushed| torn.below(unflushed.saturating_add(1)));
        } else {
            disk.crash();
        }
        self.trace.record(self.now, Some(id), TraceKind::NodeStopped { cause: how.cause() });
        self.schedule.follow(self.trace.effect());
        if self.faults.disks {
            self.note_disk(slot);
        }
        for connection in self.connections.close_all(id) {
            self.emit(id, Output::Close { connection }, out);
        }
        // Whoever waits for this node's answer sees the connection break.
        for caller in 0..self.slots.len() {
            let calls: Vec<_> = self.slots[caller].calls.to(id).collect();
            let caller = self.slots[caller].id;
            for call in calls {
                self.send(id, caller, Body::Failure { call, error: SendError::Disconnected });
            }
        }
        out.push(Output::NodeStopped { node: id, cause: how.cause() });
        if let Some(pause) = self.slots[slot].door.reset() {
            self.faults.registry.disarm(pause);
        }
        self.forget_struck(|node, _| node == id);
        self.faults.quiet.forget(id);
        if std::mem::take(&mut self.slots[slot].restarts) && how == End::Shutdown {
            self.schedule.push(self.now, self.now, Event::Restart(id));
        }
    }

    pub(super) fn broker_settings(&self, id: NodeId) -> Option<BrokerSettings> {
        let spec = self.settings.brokers.iter().find(|broker| broker.node == id)?;
        Some(BrokerSettings {
            node: id,
            cluster_id: self.cluster_id.clone(),
            host: spec.host.clone(),
            port: spec.port,
            rack: spec.rack.clone(),
            controllers: self.settings.controllers.clone(),
            config: self.settings.config.clone(),
            kafka_version: self.settings.kafka_version,
            eras: self.settings.eras,
        })
    }

    pub(super) fn controller_settings(&self, id: NodeId) -> ControllerSettings {
        let mut settings = ControllerSettings::new(id, self.cluster_id.clone());
        settings.voters.clone_from(&self.settings.controllers);
        settings.config.clone_from(&self.settings.config);
        settings.of_release(self.settings.kafka_version, self.settings.eras)
    }
}
