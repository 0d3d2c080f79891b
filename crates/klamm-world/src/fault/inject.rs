//! Injecting and healing.

use klamm_node::{NodeId, Timestamp, TraceKind};

use super::engine::request::{Only, RequestRule};
use super::{Fault, FaultError, FaultId, FaultStatus, NetworkFault, NodeFault, RequestAction};
use crate::input::{Command, Input, Output};
use crate::world::World;

impl World {
    /// Makes something go wrong at `now`, under the next free id.
    ///
    /// # Errors
    /// When the fault cannot be; then nothing of it happened.
    pub fn inject(
        &mut self,
        now: Timestamp,
        fault: impl Into<Fault>,
        out: &mut Vec<Output>,
    ) -> Result<FaultId, FaultError> {
        let id = self.next_fault_id();
        self.try_command(now, id, Command::Inject { id, fault: Box::new(fault.into()) }, out)?;
        Ok(id)
    }

    /// Ends a fault at `now`.
    ///
    /// # Errors
    /// When there is no such fault, or it is over.
    pub fn heal(&mut self, now: Timestamp, id: FaultId, out: &mut Vec<Output>) -> Result<(), FaultError> {
        self.try_command(now, id, Command::Heal(id), out)
    }

    fn try_command(
        &mut self,
        now: Timestamp,
        of: FaultId,
        command: Command,
        out: &mut Vec<Output>,
    ) -> Result<(), FaultError> {
        let before = out.len();
        self.handle(now, Input::Command(command), out);
        let refused = out[before..]
            .iter()
            .position(|output| matches!(output, Output::FaultRefused { id, .. } if *id == of));
        match refused.map(|at| out.remove(before + at)) {
            Some(Output::FaultRefused { error, .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// Every fault that was injected, by id, those that are over among them.
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.faults.registry.statuses().map(|status| self.with_held(status)).collect()
    }

    /// One fault.
    pub fn fault(&self, id: FaultId) -> Option<FaultStatus> {
        let status = self.faults.registry.statuses().find(|status| status.id == id)?;
        Some(self.with_held(status))
    }

    fn with_held(&self, mut status: FaultStatus) -> FaultStatus {
        if status.armed {
            status.held = self.held_by(status.id, &status.fault);
        }
        status
    }

    fn held_by(&self, id: FaultId, fault: &Fault) -> usize {
        let requests = self.faults.requests.iter().filter(|rule| rule.id == id).map(RequestRule::held).sum();
        match fault {
            Fault::Node { node, fault: NodeFault::Pause } => {
                self.slot(*node).map_or(0, |slot| self.slots[slot].door.waiting())
            }
            Fault::Network(_) => self.faults.network.held(id),
            Fault::Breakpoint(_) => requests + self.held_within(id),
            _ => requests,
        }
    }

    /// The faults that have not fired: a test that passes with one of them may pass because it was inert.
    pub fn inert_faults(&self) -> Vec<FaultStatus> {
        self.faults.registry.statuses().filter(|status| status.fired == 0).collect()
    }

    /// An id that no fault has had.
    pub fn next_fault_id(&self) -> FaultId {
        self.faults.registry.next_id()
    }

    pub(crate) fn inject_fault(&mut self, id: FaultId, fault: Fault, out: &mut Vec<Output>) {
        if let Err(error) = self.can_inject(id, &fault) {
            out.push(Output::FaultRefused { id, error });
            return;
        }
        if let Fault::Disk { node, fault } = fault {
            if let Err(error) = self.arm_disk(id, node, fault) {
                out.push(Output::FaultRefused { id, error });
            }
            return;
        }
        self.inject_armed(id, fault.clone());
        if matches!(&fault, Fault::Request(fault) if matches!(fault.action, RequestAction::Corrupt { .. })) {
            self.expect_corruption();
        }
        match fault {
            Fault::Request(fault) => self.arm_request(id, fault.on, Only::All, fault.action),
            Fault::Node { node, fault } => {
                self.faults.doors = true;
                self.arm_node(id, node, fault, out);
            }
            Fault::Network(NetworkFault::Reset { link }) => {
                self.arm_network(id, NetworkFault::Reset { link });
                self.reset_connections(link, out);
            }
            Fault::Network(fault) => self.arm_network(id, fault),
            Fault::Disk { .. } => {}
            Fault::Cluster(fault) => self.arm_cluster(id, fault, out),
            Fault::Breakpoint(breakpoint) => self.arm_breakpoint(id, breakpoint, out),
        }
    }

    /// Takes note of a fault that is armed.
    pub(crate) fn inject_armed(&mut self, id: FaultId, fault: Fault) {
        if self.trace.is_enabled() {
            let kind = TraceKind::FaultArmed { fault: id.0, text: fault.to_string() };
            self.trace.record(self.now(), None, kind);
            self.follow_last();
        }
        self.faults.registry.arm(id, fault);
    }

    /// What happens from here on follows from the last event.
    fn follow_last(&mut self) {
        let cause = self.trace.effect();
        self.trace.begin(cause);
        self.schedule.follow(cause);
    }

    /// Counts and tells that a fault fired.
    pub(crate) fn fired(&mut self, id: FaultId, node: Option<NodeId>, text: impl FnOnce() -> String) {
        let now = self.now();
        self.faults.registry.fired(id, now, node, &mut self.trace, text);
    }

    fn can_inject(&self, id: FaultId, fault: &Fault) -> Result<(), FaultError> {
        if self.faults.registry.get(id).is_some() {
            return Err(FaultError::IdTaken(id));
        }
        self.check_fault(fault)
    }

    pub(crate) fn heal_fault(&mut self, id: FaultId, out: &mut Vec<Output>) {
        if self.faults.registry.get(id).is_none() {
            out.push(Output::FaultRefused { id, error: FaultError::NoFault(id) });
        } else if !self.faults.registry.is_armed(id) {
            out.push(Output::FaultRefused { id, error: FaultError::Over(id) });
        } else {
            self.end_fault(id, out);
        }
    }

    pub(crate) fn heal_all_faults(&mut self, out: &mut Vec<Output>) {
        let armed: Vec<_> = self.faults.registry.armed().map(|(id, _)| id).collect();
        for id in armed {
            self.end_fault(id, out);
        }
    }

    pub(crate) fn end_fault(&mut self, id: FaultId, out: &mut Vec<Output>) {
        if !self.faults.registry.disarm(id) {
            return;
        }
        self.trace.record(self.now(), None, TraceKind::FaultHealed { fault: id.0 });
        self.follow_last();
        match self.faults.registry.get(id).cloned() {
            Some(Fault::Request(_)) => self.disarm_request(id),
            Some(Fault::Node { node, fault }) => self.disarm_node(id, node, fault),
            Some(Fault::Network(_)) => self.disarm_network(id),
            Some(Fault::Disk { node, .. }) => self.disarm_disk(id, node),
            Some(Fault::Cluster(_)) => self.disarm_request(id),
            Some(Fault::Breakpoint(_)) => self.release_breakpoint(id, out),
            None => {}
        }
    }
}
