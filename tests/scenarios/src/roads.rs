//! Everything that goes wrong on the roads between the nodes of a Kafka cluster, and on those of its clients.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use klamm_node::NodeId;
use klamm_world::fault::{Fate, Link, NetworkFault, RequestAction};
use klamm_world::{Fault, FaultId};

use crate::frames::Header;
use crate::rules::{Way, crosses, fits, is_on, request_fault};

/// The faults that were injected.
#[derive(Default)]
pub(crate) struct Roads {
    rules: Mutex<BTreeMap<FaultId, Rule>>,
    changed: Condvar,
    /// How much longer each road is, from one node to another.
    slow: Mutex<BTreeMap<(NodeId, NodeId), Duration>>,
    /// Every connection that is open, or was: the node, who is at the other end, and both streams.
    open: Mutex<Vec<Passage>>,
}

/// A connection through a door.
pub(crate) struct Passage {
    pub(crate) node: NodeId,
    pub(crate) peer: Option<NodeId>,
    pub(crate) streams: [TcpStream; 2],
}

struct Rule {
    fault: Fault,
    armed: bool,
    /// How many requests that fit there were.
    met: u32,
    fired: u64,
}

/// What the network does to a message.
pub(crate) enum Verdict {
    Pass,
    /// It arrives so much later.
    Delay(Duration),
    /// It arrives when the fault is over.
    Hold(FaultId),
    /// Neither it nor anything behind it arrives.
    Silence,
}

impl Roads {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<FaultId, Rule>> {
        held(&self.rules)
    }

    pub(crate) fn arm(&self, id: FaultId, fault: Fault) {
        self.lock().insert(id, Rule { fault, armed: true, met: 0, fired: 0 });
    }

    /// Ends a fault; what it holds goes on.
    pub(crate) fn heal(&self, id: FaultId) {
        if let Some(rule) = self.lock().get_mut(&id) {
            rule.armed = false;
        }
        self.changed.notify_all();
    }

    pub(crate) fn heal_all(&self) {
        self.lock().values_mut().for_each(|rule| rule.armed = false);
        self.changed.notify_all();
    }

    /// A fault, whether it is armed, and how often it fired.
    pub(crate) fn status(&self, id: FaultId) -> Option<(Fault, bool, u64)> {
        self.lock().get(&id).map(|rule| (rule.fault.clone(), rule.armed, rule.fired))
    }

    /// What the network does to a message.
    pub(crate) fn network(&self, way: Way) -> Verdict {
        let ends = way.from.zip(way.to);
        let mut later = ends.and_then(|ends| held(&self.slow).get(&ends).copied()).unwrap_or_default();
        for (id, rule) in self.lock().iter_mut().filter(|(_, rule)| rule.armed) {
            let Fault::Network(fault) = &rule.fault else { continue };
            if !crosses(fault, way) {
                continue;
            }
            rule.fired += 1;
            match fault {
                NetworkFault::Latency { by, .. } => later += *by,
                NetworkFault::Cut { fate: Fate::Lost, .. }
                | NetworkFault::Partition { fate: Fate::Lost, .. } => return Verdict::Silence,
                _ => return Verdict::Hold(*id),
            }
        }
        if later.is_zero() { Verdict::Pass } else { Verdict::Delay(later) }
    }

    /// What the first fault of requests that is about this one does to it, or to its answer.
    pub(crate) fn request(
        &self,
        from: Option<NodeId>,
        to: NodeId,
        header: &Header,
    ) -> Option<(FaultId, RequestAction)> {
        for (id, rule) in self.lock().iter_mut().filter(|(_, rule)| rule.armed) {
            let Some((on, action)) = request_fault(&rule.fault) else { continue };
            if !fits(&on, from, to, header) {
                continue;
            }
            rule.met += 1;
            if rule.met > on.skip && on.count.is_none_or(|count| rule.met - on.skip <= count) {
                rule.fired += u64::from(!hits_answer(action));
                return Some((*id, action));
            }
        }
        None
    }

    /// Counts an answer that a fault hits.
    pub(crate) fn hit_answer(&self, id: FaultId) {
        if let Some(rule) = self.lock().get_mut(&id) {
            rule.fired += 1;
        }
    }

    /// Makes a road longer from now on.
    pub(crate) fn slow(&self, from: NodeId, to: NodeId, by: Duration) {
        held(&self.slow).insert((from, to), by);
    }

    /// Notes a connection whose other end is known now.
    pub(crate) fn note(&self, passage: Passage) {
        held(&self.open).push(passage);
    }

    /// Breaks every connection of a link.
    pub(crate) fn reset(&self, link: Link) {
        held(&self.open).retain(|passage| {
            let way = Way { from: passage.peer, to: Some(passage.node), answer: false };
            let back = Way { from: way.to, to: way.from, answer: false };
            let meant = is_on(&link, way) || is_on(&link, back);
            if meant {
                for stream in &passage.streams {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
            !meant
        });
    }

    /// Waits until a fault is over.
    pub(crate) fn wait(&self, id: FaultId) {
        let mut rules = self.lock();
        while rules.get(&id).is_some_and(|rule| rule.armed) {
            rules = self.changed.wait(rules).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Whether it is the answer that something happens to: then it has not happened before there is one.
const fn hits_answer(action: RequestAction) -> bool {
    matches!(
        action,
        RequestAction::HoldAnswer
            | RequestAction::DelayAnswer(_)
            | RequestAction::DropAnswer
            | RequestAction::CloseAfter
    )
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
