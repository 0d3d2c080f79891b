//! K11: a controller that a majority can talk to stays in office.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{NodeId, Timestamp};

use super::report::{Invariant, Report, When};

pub(super) const K11: Invariant = Invariant {
    id: "K11",
    name: "StableLeadership",
    statement: "while the metadata quorum's leader and a majority of the voters with it run and reach each other, it stays the leader of its \
                epoch; and one that no majority reaches does not stay",
    when: When::Event,
};

/// How long after a disturbance a controller may still act on it: the longest fetch timeout and election, several times over.
const AFTERMATH: Duration = Duration::from_secs(15);
/// How long a leader without a majority may stay: check-quorum, which is 1.5 fetch timeouts, several times over.
const WITHOUT_MAJORITY: Duration = Duration::from_secs(12);

/// What is known of each controller's troubles.
#[derive(Debug, Clone, Default)]
pub(super) struct Stability {
    troubles: BTreeMap<NodeId, Trouble>,
    leader: Option<(NodeId, i32)>,
    /// Controllers that nobody reaches, and since when.
    alone: BTreeMap<NodeId, Timestamp>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    open: u32,
    last: Timestamp,
}

impl Stability {
    /// Something begins (`true`) or ends that keeps a controller from talking to others in time.
    pub(super) fn disturbed(&mut self, controller: NodeId, begins: bool, at: Timestamp) {
        let trouble = self.troubles.entry(controller).or_default();
        trouble.open = if begins { trouble.open + 1 } else { trouble.open.saturating_sub(1) };
        trouble.last = at;
    }

    /// Nothing gets through between a controller and any other node, from now on or no more.
    pub(super) fn cut_off(&mut self, controller: NodeId, begins: bool, at: Timestamp) {
        self.disturbed(controller, begins, at);
        if begins {
            self.alone.insert(controller, at);
        } else {
            self.alone.remove(&controller);
        }
    }

    /// Every fault is healed.
    pub(super) fn healed(&mut self, at: Timestamp) {
        self.alone.clear();
        for trouble in self.troubles.values_mut() {
            *trouble = Trouble { open: 0, last: at };
        }
    }

    fn is_calm(&self, controller: NodeId, at: Timestamp) -> bool {
        self.troubles
            .get(&controller)
            .is_none_or(|trouble| trouble.open == 0 && trouble.last + AFTERMATH <= at)
    }

    /// A controller is seen to lead in an epoch.
    pub(super) fn leads(
        &mut self,
        node: NodeId,
        epoch: i32,
        voters: &[NodeId],
        at: Timestamp,
        report: &mut Report,
    ) {
        if let Some(since) = self.alone.get(&node)
            && *since + WITHOUT_MAJORITY < at
            && self.troubles.get(&node).is_none_or(|trouble| trouble.open == 1 && trouble.last == *since)
            && voters.len() > 1
        {
            report.violation(
                K11,
                &"the metadata quorum",
                format!("{node} still leads, and is cut off since {since}"),
            );
        }
        let Some((before, last)) = self.leader.filter(|(_, last)| *last != epoch) else {
            self.leader = Some((node, epoch));
            return;
        };
        if epoch < last {
            return;
        }
        self.leader = Some((node, epoch));
        let calm = voters.iter().filter(|voter| self.is_calm(**voter, at)).count();
        if self.is_calm(before, at) && calm * 2 > voters.len() {
            let what = format!(
                "{node} took over in epoch {epoch} from {before} in epoch {last}, which {calm} of {} calm voters could reach",
                voters.len()
            );
            report.violation(K11, &"the metadata quorum", what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::found;

    const VOTERS: [NodeId; 3] = [NodeId(100), NodeId(101), NodeId(102)];

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_change_without_need_is_found() {
        let mut stability = Stability::default();
        let look = |stability: &mut Stability, node, epoch, seconds| {
            found(|report| stability.leads(NodeId(node), epoch, &VOTERS, at(seconds), report))
        };
        assert!(look(&mut stability, 100, 1, 20).is_empty());
        stability.disturbed(NodeId(102), true, at(21));
        stability.disturbed(NodeId(102), false, at(30));
        assert_eq!(look(&mut stability, 102, 2, 31), ["K11"], "nobody kept 100 and 101 apart");
        stability.disturbed(NodeId(102), true, at(40));
        assert!(look(&mut stability, 101, 3, 43).is_empty(), "the leader was in trouble");
    }

    #[test]
    fn a_leader_that_stays_alone_is_found() {
        let mut stability = Stability::default();
        stability.cut_off(NodeId(100), true, at(20));
        assert!(found(|report| stability.leads(NodeId(100), 1, &VOTERS, at(25), report)).is_empty());
        assert_eq!(found(|report| stability.leads(NodeId(100), 1, &VOTERS, at(40), report)), ["K11"]);
    }
}
