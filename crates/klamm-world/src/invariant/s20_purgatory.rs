//! S20: whoever waits is answered once, in time, and as soon as the condition holds.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{NodeId, ReplyTo, Timestamp};

use super::report::{Invariant, Report, When};

pub(super) const S20: Invariant = Invariant {
    id: "S20",
    name: "Purgatory",
    statement: "every produce, fetch and DeleteRecords is answered exactly once, no later than its timeout and a timer's tick; an acks=all produce \
                in the event in which its records are committed",
    when: When::Event,
};

/// A timer's tick, and the steps that lie before it at the same moment.
const SLACK: Duration = Duration::from_millis(250);

/// Requests that wait at brokers, until when.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting {
    until: BTreeMap<(NodeId, ReplyTo), Timestamp>,
    /// Nodes that breakpoints may hold, and how many: what they are asked may be answered late.
    held: BTreeMap<NodeId, u32>,
}

impl Waiting {
    /// A request came that must be answered within `timeout`.
    pub(super) fn came(&mut self, node: NodeId, peer: ReplyTo, at: Timestamp, timeout: Duration) {
        if !self.held.contains_key(&node) {
            self.until.insert((node, peer), at + timeout + SLACK);
        }
    }

    /// It was answered, one way or the other. Whether it had to be in time.
    pub(super) fn answered(
        &mut self,
        node: NodeId,
        peer: ReplyTo,
        at: Timestamp,
        report: &mut Report,
    ) -> bool {
        let Some(until) = self.until.remove(&(node, peer)) else { return false };
        if at > until {
            report.violation(
                S20,
                &format!("node {node}"),
                format!("answered {peer:?} at {at}, which waited until {until} at most"),
            );
        }
        true
    }

    /// A breakpoint may hold a node from now on (`true`), or does not any more.
    pub(super) fn held(&mut self, node: NodeId, begins: bool) {
        self.forget(node);
        let count = self.held.entry(node).or_default();
        *count = if begins { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.held.remove(&node);
        }
    }

    /// Whether a breakpoint may hold a node.
    pub(super) fn is_held(&self, node: NodeId) -> bool {
        self.held.contains_key(&node)
    }

    /// Nobody is held any more.
    pub(super) fn calm(&mut self) {
        for node in std::mem::take(&mut self.held).into_keys() {
            self.forget(node);
        }
    }

    /// A node's process ended, or stood still, and what it owed with it.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.until.retain(|(of, _), _| *of != node);
    }

    /// A connection ended: nobody is there to be answered.
    pub(super) fn forget_connection(&mut self, id: klamm_node::ConnectionId) {
        self.until
            .retain(|(_, peer), _| !matches!(peer, ReplyTo::Client { connection, .. } if *connection == id));
    }

    /// Whoever waits for too long.
    pub(super) fn scan(&self, at: Timestamp, report: &mut Report) {
        for ((node, peer), until) in &self.until {
            if at > *until {
                report.violation(
                    S20,
                    &format!("node {node}"),
                    format!("{peer:?} waits since before {until}"),
                );
            }
        }
    }
}

/// An acks=all produce was answered NONE: it must not have been committed before this event.
pub(super) fn prompt(
    partition: &super::ghost::Partition,
    node: NodeId,
    last: i64,
    before: Option<&klamm_broker::ReplicaView>,
    report: &mut Report,
) {
    if let Some(before) = before
        && before.leading.is_some()
        && before.isr.len() >= before.effective_min_isr
        && before.high_watermark > last
    {
        let what = format!(
            "{node} acknowledged {last} late: its high watermark was {} before",
            before.high_watermark
        );
        report.violation(S20, &partition.name, what);
    }
}

#[cfg(test)]
mod tests {
    use klamm_node::ConnectionId;

    use super::*;
    use crate::invariant::fixture::{LEADER, found, healthy, of};

    #[test]
    fn an_answer_that_comes_late_or_never_is_found() {
        let mut waiting = Waiting::default();
        let peer = ReplyTo::Client { connection: ConnectionId(1), ordinal: 1 };
        let late = Timestamp::from_millis(1_400);
        for answered in [false, true] {
            waiting.came(LEADER, peer, Timestamp::ZERO, Duration::from_secs(1));
            assert!(found(|report| waiting.scan(Timestamp::from_millis(1_200), report)).is_empty());
            let ids = found(|report| match answered {
                true => _ = waiting.answered(LEADER, peer, late, report),
                false => waiting.scan(late, report),
            });
            assert_eq!(ids, ["S20"]);
        }
        waiting.came(LEADER, peer, Timestamp::ZERO, Duration::ZERO);
        waiting.forget(LEADER);
        assert!(found(|report| waiting.scan(late, report)).is_empty(), "its process ended");
        waiting.held(LEADER, true);
        waiting.came(LEADER, peer, Timestamp::ZERO, Duration::ZERO);
        waiting.held(LEADER, false);
        assert!(found(|report| waiting.scan(late, report)).is_empty(), "a breakpoint may have held it");
        waiting.came(LEADER, peer, Timestamp::ZERO, Duration::ZERO);
        assert_eq!(found(|report| waiting.scan(late, report)), ["S20"]);
    }

    #[test]
    fn an_acknowledgement_that_was_due_before_is_found() {
        let mut partition = healthy();
        let before = of(&mut partition, LEADER).view.clone();
        assert_eq!(found(|report| prompt(&partition, LEADER, 9, Some(&before), report)), ["S20"]);
        assert!(found(|report| prompt(&partition, LEADER, 10, Some(&before), report)).is_empty());
    }
}
