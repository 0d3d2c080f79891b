//! Holding a node at a named point.

use std::fmt;

use klamm_node::pause::PausePoint;
use klamm_node::{NodeId, TopicPartition};

/// Holds what would follow a named point, until the breakpoint is healed (released).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Breakpoint {
    /// The point.
    pub at: PausePoint,
    /// On this node only.
    pub node: Option<NodeId>,
    /// For this partition only.
    pub partition: Option<TopicPartition>,
    /// The how manieth arrival is held; 1 is the first. Later ones are held too, behind it.
    pub nth: u32,
}

impl Breakpoint {
    /// Holds the first arrival at a point.
    pub const fn at(at: PausePoint) -> Self {
        Self { at, node: None, partition: None, nth: 1 }
    }

    /// On this node only.
    pub const fn node(mut self, node: NodeId) -> Self {
        self.node = Some(node);
        self
    }

    /// For this partition only.
    pub fn partition(mut self, partition: TopicPartition) -> Self {
        self.partition = Some(partition);
        self
    }

    /// The `n`th arrival; 1 is the first.
    pub const fn nth(mut self, n: u32) -> Self {
        self.nth = n;
        self
    }
}

impl fmt::Display for Breakpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "breakpoint {}", self.at)?;
        if let Some(node) = self.node {
            write!(f, " on node {node}")?;
        }
        if let Some(partition) = &self.partition {
            write!(f, " for {partition}")?;
        }
        if self.nth > 1 {
            write!(f, ", arrival {}", self.nth)?;
        }
        Ok(())
    }
}
