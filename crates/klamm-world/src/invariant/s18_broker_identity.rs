//! S18: each life of a broker has an epoch of its own.

use std::collections::BTreeMap;

use klamm_node::NodeId;

use super::report::{Invariant, Report, When};

pub(super) const S18: Invariant = Invariant {
    id: "S18",
    name: "BrokerIdentity",
    statement: "a broker's epoch grows with each registration, and nothing that an earlier life sends is accepted under its old epoch",
    when: When::Event,
};

/// The epochs that brokers were given.
#[derive(Debug, Clone, Default)]
pub(super) struct BrokerEpochs(BTreeMap<NodeId, i64>);

impl BrokerEpochs {
    /// The controller committed a registration.
    pub(super) fn registered(&mut self, broker: NodeId, epoch: i64, report: &mut Report) {
        if let Some(before) = self.0.insert(broker, epoch)
            && before >= epoch
        {
            report.violation(S18, &format!("broker {broker}"), format!("epoch {epoch} follows {before}"));
        }
    }

    /// The controller answered a broker's heartbeat or AlterPartition without an error.
    pub(super) fn accepted(&self, broker: NodeId, epoch: i64, what: &str, report: &mut Report) {
        if let Some(current) = self.0.get(&broker)
            && epoch < *current
        {
            let what = format!("{what} of epoch {epoch} was accepted, and its epoch is {current}");
            report.violation(S18, &format!("broker {broker}"), what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{LEADER, found};

    #[test]
    fn an_epoch_that_does_not_grow_or_is_old_is_found() {
        let mut epochs = BrokerEpochs::default();
        assert!(found(|report| epochs.registered(LEADER, 5, report)).is_empty());
        assert!(found(|report| epochs.accepted(LEADER, 5, "a heartbeat", report)).is_empty());
        assert_eq!(found(|report| epochs.accepted(LEADER, 4, "a heartbeat", report)), ["S18"]);
        assert_eq!(found(|report| epochs.registered(LEADER, 5, report)), ["S18"]);
    }
}
