//! Injects faults, heals them, and finds those that never fired.

use klamm_world::fault::NodeFault;
use klamm_world::{Command, Fault, FaultId, FaultStatus};

use super::Runner;
use crate::report::Failure;
use crate::step::Inject;
use crate::theatre::Theatre;

/// A fault that a scenario injected.
#[derive(Debug)]
pub(super) struct Injected {
    id: FaultId,
    name: Option<String>,
    may_not_fire: bool,
    /// The line that it stands in.
    line: usize,
}

/// What a node's owner does to it is a command of its own.
const fn at_once(fault: &Fault) -> Option<Command> {
    match fault {
        Fault::Node { node, fault: NodeFault::Start } => Some(Command::Start(*node)),
        Fault::Node { node, fault: NodeFault::Stop } => Some(Command::Stop(*node)),
        Fault::Node { node, fault: NodeFault::Crash } => Some(Command::Crash(*node)),
        Fault::Node { node, fault: NodeFault::PowerLoss } => Some(Command::PowerLoss(*node)),
        _ => None,
    }
}

impl<T: Theatre> Runner<T> {
    pub(super) fn inject(&mut self, all: &[Inject]) -> Vec<Failure> {
        for inject in all {
            let Some(id) = self.stage.next_fault_id() else { break };
            if let Err(error) = self.stage.check_fault(&inject.fault) {
                return vec![Failure::new(inject.fault.to_string(), "it can be", error)];
            }
            if let Some(command) = at_once(&inject.fault) {
                self.stage.command(command);
                continue;
            }
            self.stage.command(Command::Inject { id, fault: Box::new(inject.fault.clone()) });
            if let Some(refused) = self.stage.take_refusals().pop() {
                return vec![Failure::new(inject.fault.to_string(), "it can be", refused)];
            }
            self.faults.push(Injected {
                id,
                name: inject.name.clone(),
                may_not_fire: inject.may_not_fire,
                line: self.line,
            });
        }
        Vec::new()
    }

    /// Ends the faults with these names; all of them, when there are none.
    pub(super) fn heal(&mut self, names: &[String]) {
        if names.is_empty() {
            self.stage.command(Command::HealAll);
            return;
        }
        let named = |fault: &&Injected| fault.name.as_ref().is_some_and(|name| names.contains(name));
        let ids: Vec<_> = self.faults.iter().filter(named).map(|fault| fault.id).collect();
        for id in ids {
            if self.status(id).is_some_and(|status| status.armed) {
                self.stage.command(Command::Heal(id));
            }
        }
    }

    fn status(&self, id: FaultId) -> Option<FaultStatus> {
        self.stage.fault(id)
    }

    /// How often the faults of a name have fired.
    pub(super) fn fired(&self, name: &str) -> u64 {
        let named = self.faults.iter().filter(|fault| fault.name.as_deref() == Some(name));
        named.filter_map(|fault| self.status(fault.id)).map(|status| status.fired).sum()
    }

    /// Faults that never fired: a scenario that holds in spite of them may hold because they were inert.
    pub(super) fn inert(&self) -> Vec<Failure> {
        let inert = self.faults.iter().filter(|fault| !fault.may_not_fire && !self.any_fired(fault));
        let mut failures: Vec<Failure> = Vec::new();
        for fault in inert {
            let Some(status) = self.status(fault.id) else { continue };
            // What is done at once cannot be inert.
            if matches!(status.fault, Fault::Node { .. } | Fault::Cluster(_))
                && status.fired == 0
                && !status.armed
            {
                continue;
            }
            let what = match &fault.name {
                Some(name) => format!("fault `{name}` ({}) of line {}", status.fault, fault.line),
                None => format!("fault ({}) of line {}", status.fault, fault.line),
            };
            if fault.name.is_none()
                || failures.iter().all(|failure| {
                    !failure
                        .what
                        .starts_with(&format!("fault `{}`", fault.name.as_deref().unwrap_or_default()))
                })
            {
                failures.push(Failure::new(
                    what,
                    "it fires at least once, or is said to be `may-not-fire=#true`",
                    "it never fired",
                ));
            }
        }
        failures
    }

    /// Of faults that one line injected under one name, one is enough.
    fn any_fired(&self, fault: &Injected) -> bool {
        match &fault.name {
            Some(name) => self.fired(name) > 0,
            None => self.status(fault.id).is_some_and(|status| status.fired > 0),
        }
    }
}
