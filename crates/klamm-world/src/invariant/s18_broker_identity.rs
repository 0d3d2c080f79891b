//! S18: each life of a broker has an epoch of its own.

use std::collections::BTreeMap;

use klamm_node::NodeId;
use klamm_wire::Uuid;

use super::report::{Invariant, Report, When};

pub(super) const S18: Invariant = Invariant {
    id: "S18",
    name: "BrokerIdentity",
    statement: "a broker's epoch grows with each registration, and nothing that an earlier life sends is accepted under its old epoch",
    when: When::Event,
};

/// The epochs that brokers were given, and the incarnations that they were given to.
#[derive(Debug, Clone, Default)]
pub(super) struct BrokerEpochs(BTreeMap<NodeId, (i64, Uuid)>);

impl BrokerEpochs {
    /// The controller committed a registration. One life that registers again keeps its epoch.
    pub(super) fn registered(&mut self, broker: NodeId, epoch: i64, incarnation: Uuid, report: &mut Report) {
        if let Some((before, of)) = self.0.insert(broker, (epoch, incarnation))
            && (before > epoch || (before == epoch && of != incarnation))
        {
            report.violation(S18, &format!("broker {broker}"), format!("epoch {epoch} follows {before}"));
        }
    }

    /// The epoch of a later life than that of `epoch`, if there is one.
    pub(super) fn newer(&self, broker: NodeId, epoch: i64) -> Option<i64> {
        self.0.get(&broker).map(|(current, _)| *current).filter(|current| epoch < *current)
    }
}

/// The controller answered what a broker sent in `epoch`, without an error; `newer` is the epoch that it had when it came.
pub(super) fn accepted(broker: NodeId, newer: Option<i64>, epoch: i64, what: &str, report: &mut Report) {
    if let Some(newer) = newer {
        let what = format!("{what} of epoch {epoch} was accepted, and its epoch was {newer}");
        report.violation(S18, &format!("broker {broker}"), what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{LEADER, found};

    #[test]
    fn an_epoch_that_does_not_grow_or_is_old_is_found() {
        let mut epochs = BrokerEpochs::default();
        let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(found(|report| epochs.registered(LEADER, 5, first, report)).is_empty());
        assert!(
            found(|report| epochs.registered(LEADER, 5, first, report)).is_empty(),
            "the same life once more"
        );
        assert_eq!((epochs.newer(LEADER, 5), epochs.newer(LEADER, 4)), (None, Some(5)));
        assert!(found(|report| accepted(LEADER, None, 5, "a heartbeat", report)).is_empty());
        assert_eq!(found(|report| accepted(LEADER, Some(5), 4, "a heartbeat", report)), ["S18"]);
        assert_eq!(found(|report| epochs.registered(LEADER, 5, second, report)), ["S18"]);
    }
}
