//! Which events are meant: for assertions on a trace, and for filtering one.

use std::fmt;

use super::{EventKind, TraceEvent, TraceKind};
use crate::ids::{NodeId, TopicPartition};
use crate::time::Timestamp;

/// What an event must be like. An empty pattern matches every event.
///
/// ```
/// use klamm_node::{EventKind, NodeId, TracePattern};
///
/// let elected = TracePattern::kind(EventKind::LeaderElected).partition("orders", 0).text("leader 2");
/// let anything_of_broker_1 = TracePattern::any().node(NodeId(1));
/// # let _ = (elected, anything_of_broker_1);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TracePattern {
    kind: Option<EventKind>,
    node: Option<NodeId>,
    topic: Option<String>,
    partition: Option<i32>,
    text: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl TracePattern {
    /// Every event.
    pub fn any() -> Self {
        Self::default()
    }

    /// Events of a kind. `"HighWatermarkMoved".parse()` is one too, unless there is none of that name.
    pub fn kind(kind: EventKind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    /// … that this node decided.
    #[must_use]
    pub const fn node(mut self, node: NodeId) -> Self {
        self.node = Some(node);
        self
    }

    /// … about this topic or one of its partitions.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// … about this partition.
    #[must_use]
    pub fn partition(mut self, topic: impl Into<String>, partition: i32) -> Self {
        self.topic = Some(topic.into());
        self.partition = Some(partition);
        self
    }

    /// … about a partition with this index.
    #[must_use]
    pub const fn index(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// … whose line says this: `leader 2`.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// … at this time or later.
    #[must_use]
    pub const fn from(mut self, from: Timestamp) -> Self {
        self.from = Some(from);
        self
    }

    /// … at this time or earlier.
    #[must_use]
    pub const fn to(mut self, to: Timestamp) -> Self {
        self.to = Some(to);
        self
    }

    /// Whether an event is meant.
    pub fn matches(&self, event: &TraceEvent) -> bool {
        self.from.is_none_or(|from| event.at >= from)
            && self.to.is_none_or(|to| event.at <= to)
            && self.node.is_none_or(|node| event.node == Some(node))
            && self.topic.as_deref().is_none_or(|topic| event.kind.topic() == Some(topic))
            && self.partition.is_none_or(|index| event.kind.partition().is_some_and(|p| p.partition == index))
            && self.kind.is_none_or(|kind| event.kind.kind() == kind)
            && self.text.as_deref().is_none_or(|text| event.kind.to_string().contains(text))
    }
}

/// As a person would say it: `LeaderElected of orders-0 that says "leader 2"`.
impl fmt::Display for TracePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.map_or("an event", EventKind::name))?;
        match (&self.topic, self.partition) {
            (Some(topic), Some(partition)) => write!(f, " of {topic}-{partition}")?,
            (Some(topic), None) => write!(f, " of {topic}")?,
            (None, Some(partition)) => write!(f, " of a partition {partition}")?,
            (None, None) => {}
        }
        if let Some(node) = self.node {
            write!(f, " at node {node}")?;
        }
        if let Some(text) = &self.text {
            write!(f, " that says {text:?}")?;
        }
        if let Some(from) = self.from {
            write!(f, " from {from} on")?;
        }
        if let Some(to) = self.to {
            write!(f, " until {to}")?;
        }
        Ok(())
    }
}

impl TraceKind {
    /// The partition that it is about.
    pub const fn partition(&self) -> Option<&TopicPartition> {
        match self {
            Self::IsrRefused { partition, .. }
            | Self::LeaderElected { partition, .. }
            | Self::IsrChanged { partition, .. }
            | Self::IsrProposed { partition, .. }
            | Self::BecameLeader { partition, .. }
            | Self::BecameFollower { partition, .. }
            | Self::Appended { partition, .. }
            | Self::HighWatermarkMoved { partition, .. }
            | Self::LastStableOffsetMoved { partition, .. }
            | Self::LogTruncated { partition, .. }
            | Self::FetchRefused { partition, .. }
            | Self::FetchNotAppended { partition, .. }
            | Self::ReplicasChanged { partition, .. }
            | Self::LogCompacted { partition, .. }
            | Self::ReplicaMoveBegan { partition, .. }
            | Self::ReplicaMoveEnded { partition, .. }
            | Self::LogUncleanable { partition, .. }
            | Self::SegmentsDeleted { partition, .. } => Some(partition),
            Self::Client(event) => event.partition(),
            Self::Group(event) => event.partition(),
            Self::Share(event) => event.partition(),
            Self::Transaction(event) => event.partition(),
            _ => None,
        }
    }

    /// The topic that it is about.
    pub fn topic(&self) -> Option<&str> {
        match self {
            Self::TopicCreated { topic, .. }
            | Self::TopicDeleted { topic }
            | Self::TopicNotCreated { topic, .. }
            | Self::PartitionsAdded { topic, .. } => Some(topic),
            _ => self.partition().map(|partition| &*partition.topic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::EventId;

    fn event() -> TraceEvent {
        let partition = TopicPartition::new("t", 3);
        let kind = TraceKind::HighWatermarkMoved { partition, from: 1, to: 2 };
        TraceEvent { id: EventId(1), cause: None, at: Timestamp(50), node: Some(NodeId(2)), kind }
    }

    #[test]
    fn an_event_must_be_like_all_of_a_pattern() {
        let moved = TracePattern::kind(EventKind::HighWatermarkMoved);
        let whole = moved
            .clone()
            .partition("t", 3)
            .node(NodeId(2))
            .text("1 -> 2")
            .from(Timestamp(50))
            .to(Timestamp(50));
        assert!(whole.matches(&event()) && TracePattern::any().matches(&event()));
        for not in [
            TracePattern::kind(EventKind::Appended),
            moved.clone().partition("t", 2),
            moved.clone().topic("u"),
            moved.clone().node(NodeId(1)),
            moved.clone().text("1 -> 3"),
            moved.clone().from(Timestamp(51)),
            moved.to(Timestamp(49)),
        ] {
            assert!(!not.matches(&event()), "{not}");
        }
        assert_eq!(
            whole.to_string(),
            "HighWatermarkMoved of t-3 at node 2 that says \"1 -> 2\" from 0.000000s on until 0.000000s"
        );
    }
}
