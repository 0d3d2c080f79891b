//! K9, K10, K13 and K14: what brokers and the controller tell each other.

use std::collections::BTreeMap;

use klamm_metadata::MetadataImage;
use klamm_node::{NodeId, ReplyTo};

use super::report::{Invariant, Report, When};

const fn invariant(id: &'static str, name: &'static str, statement: &'static str) -> Invariant {
    Invariant { id, name, statement, when: When::Event }
}

pub(super) const K9: Invariant = invariant(
    "K9",
    "MetadataPrefix",
    "what a broker has applied of the metadata log is committed, and a prefix of the log",
);
pub(super) const K10: Invariant = invariant(
    "K10",
    "AnsweredWhenCommitted",
    "a controller answers a request only once the records that it wrote for it are committed",
);
pub(super) const K13: Invariant = invariant(
    "K13",
    "UnfencedWhenCaughtUp",
    "a broker is unfenced only when it has read the metadata log up to its own registration",
);
pub(super) const K14: Invariant = invariant(
    "K14",
    "ShutdownGranted",
    "a controlled shutdown is granted only to a broker that leads nothing",
);

/// A broker has applied the metadata log below `applied`.
pub(super) fn applied(node: NodeId, applied: i64, committed: i64, report: &mut Report) {
    if applied > committed {
        report.violation(
            K9,
            &format!("broker {node}"),
            format!("it applied up to {applied}, and {committed} is committed"),
        );
    }
}

/// Requests that made a controller write, and up to where it must commit before it answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Writes(BTreeMap<(NodeId, ReplyTo), i64>);

impl Writes {
    /// Handling a request moved the end of the controller's log.
    pub(super) fn wrote(&mut self, node: NodeId, peer: ReplyTo, log_end: i64) {
        self.0.insert((node, peer), log_end);
    }

    /// The controller answers.
    pub(super) fn answered(
        &mut self,
        node: NodeId,
        peer: ReplyTo,
        is_ok: bool,
        high_watermark: i64,
        report: &mut Report,
    ) {
        if let Some(needed) = self.0.remove(&(node, peer))
            && is_ok
            && high_watermark < needed
        {
            let what = format!(
                "answered {peer:?}, whose records end at {needed}, at high watermark {high_watermark}"
            );
            report.violation(K10, &format!("controller {node}"), what);
        }
    }

    /// A node's process ended.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.0.retain(|(of, _), _| *of != node);
    }
}

/// A broker was unfenced that had applied the metadata log below `applied`.
pub(super) fn unfenced(node: NodeId, told: i64, registered_at: i64, report: &mut Report) {
    if told < registered_at {
        let what = format!("unfenced at metadata offset {told}, and it registered at {registered_at}");
        report.violation(K13, &format!("broker {node}"), what);
    }
}

/// A broker was told that it may stop.
pub(super) fn let_go(node: NodeId, image: &MetadataImage, report: &mut Report) {
    let led = image.topics.iter().flat_map(|topic| topic.iter().map(move |(index, r)| (topic, index, r)));
    if let Some((topic, index, _)) = led.into_iter().find(|(_, _, r)| r.leader == node) {
        report.violation(
            K14,
            &format!("broker {node}"),
            format!("let go while it leads {}-{index}", topic.name),
        );
    }
}

#[cfg(test)]
mod tests {
    use klamm_metadata::MetadataPublisher;
    use klamm_metadata::record::{PartitionRecord, TopicRecord};
    use klamm_node::CallId;
    use klamm_wire::Uuid;

    use super::*;
    use crate::invariant::fixture::{FOLLOWER, LEADER, found};

    #[test]
    fn each_of_them_is_found() {
        assert_eq!(found(|report| applied(LEADER, 8, 7, report)), ["K9"]);
        assert!(found(|report| applied(LEADER, 7, 7, report)).is_empty());
        let mut writes = Writes::default();
        let peer = ReplyTo::Node { node: LEADER, call: CallId(1) };
        for (high_watermark, expected) in [(9, 1), (10, 0)] {
            writes.wrote(NodeId(100), peer, 10);
            assert_eq!(
                found(|report| writes.answered(NodeId(100), peer, true, high_watermark, report)).len(),
                expected
            );
        }
        assert_eq!(found(|report| unfenced(LEADER, 5, 6, report)), ["K13"]);
        assert!(found(|report| unfenced(LEADER, 6, 6, report)).is_empty());
    }

    #[test]
    fn a_leader_that_is_let_go_is_found() {
        let mut publisher = MetadataPublisher::new();
        let topic_id = Uuid::from_u128(1000);
        publisher.load(0, 1, TopicRecord { name: "t".into(), topic_id }.into()).unwrap();
        let partition = PartitionRecord {
            partition_id: 0,
            topic_id,
            replicas: vec![1],
            isr: vec![1],
            leader: 1,
            ..PartitionRecord::default()
        };
        publisher.load(1, 1, partition.into()).unwrap();
        assert_eq!(found(|report| let_go(LEADER, publisher.image(), report)), ["K14"]);
        assert!(found(|report| let_go(FOLLOWER, publisher.image(), report)).is_empty());
    }
}
