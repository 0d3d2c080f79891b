//! Injecting and healing.

use klamm_node::{Timestamp, TraceKind};

use super::{Fault, FaultError, FaultId, FaultStatus};
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
        self.faults.registry.statuses().collect()
    }

    /// One fault.
    pub fn fault(&self, id: FaultId) -> Option<FaultStatus> {
        self.faults.registry.statuses().find(|status| status.id == id)
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
        if self.trace.is_enabled() {
            let kind = TraceKind::FaultArmed { fault: id.0, text: fault.to_string() };
            self.trace.record(self.now(), None, kind);
        }
        self.faults.registry.arm(id, fault);
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

    fn end_fault(&mut self, id: FaultId, _: &mut Vec<Output>) {
        if self.faults.registry.disarm(id) {
            self.trace.record(self.now(), None, TraceKind::FaultHealed { fault: id.0 });
        }
    }
}
