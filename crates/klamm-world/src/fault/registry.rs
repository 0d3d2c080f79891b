//! Which faults there are, and how often each fired.

use std::collections::BTreeMap;

use klamm_node::{NodeId, Timestamp, Trace, TraceKind};

use super::{Fault, FaultId, FaultStatus};

/// Every fault that was ever injected.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    all: BTreeMap<FaultId, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    fault: Fault,
    armed: bool,
    fired: u64,
}

impl Registry {
    /// Adds a fault, armed.
    pub(crate) fn arm(&mut self, id: FaultId, fault: Fault) {
        self.all.insert(id, Entry { fault, armed: true, fired: 0 });
    }

    /// Says that a fault fires no more; false when it did not any more before.
    pub(crate) fn disarm(&mut self, id: FaultId) -> bool {
        self.all.get_mut(&id).is_some_and(|entry| std::mem::take(&mut entry.armed))
    }

    /// Counts and tells that a fault fired.
    pub(crate) fn fired(
        &mut self,
        id: FaultId,
        at: Timestamp,
        node: Option<NodeId>,
        trace: &mut Trace,
        text: impl FnOnce() -> String,
    ) {
        if let Some(entry) = self.all.get_mut(&id) {
            entry.fired += 1;
        }
        if trace.is_enabled() {
            trace.record(at, node, TraceKind::FaultFired { fault: id.0, text: text() });
        }
    }

    pub(super) fn get(&self, id: FaultId) -> Option<&Fault> {
        self.all.get(&id).map(|entry| &entry.fault)
    }

    pub(super) fn is_armed(&self, id: FaultId) -> bool {
        self.all.get(&id).is_some_and(|entry| entry.armed)
    }

    pub(crate) fn armed(&self) -> impl Iterator<Item = (FaultId, &Fault)> {
        self.all.iter().filter(|(_, entry)| entry.armed).map(|(id, entry)| (*id, &entry.fault))
    }

    /// Whether there never was one.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn next_id(&self) -> FaultId {
        FaultId(self.all.last_key_value().map_or(0, |(id, _)| id.0.saturating_add(1)))
    }

    pub(super) fn statuses(&self) -> impl Iterator<Item = FaultStatus> {
        self.all.iter().map(|(id, Entry { fault, armed, fired })| FaultStatus {
            id: *id,
            fault: fault.clone(),
            armed: *armed,
            fired: *fired,
            held: 0,
        })
    }
}
