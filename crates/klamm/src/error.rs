//! What can go wrong for a test's author.

use std::time::Duration;

use klamm_server::{NodeError, StartError};
use klamm_world::CannotFork;

/// What can go wrong for a test's author.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A node could not be commanded.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The cluster cannot be forked.
    #[error(transparent)]
    CannotFork(#[from] CannotFork),
    /// The trace is not what was expected; the text says what it is.
    #[error("{0}")]
    Trace(String),
    /// A fault cannot be.
    #[error(transparent)]
    Fault(#[from] klamm_world::FaultError),
    /// There is no such breakpoint.
    #[error("{message}")]
    NoBreakpoint {
        /// What was asked for, and what there is.
        message: String,
    },
    /// There is no such broker.
    #[error("there is no broker {broker}; the brokers are 1 to {last}")]
    NoBroker {
        /// The broker asked for.
        broker: i32,
        /// The last one there is.
        last: i32,
    },
    /// There is no such controller.
    #[error("there is no controller {controller}; the controllers are {}", list(.all))]
    NoController {
        /// The controller asked for.
        controller: i32,
        /// Those that there are.
        all: Vec<i32>,
    },
    /// There is no such partition.
    #[error("there is no partition {topic}-{partition}; {hint}")]
    NoPartition {
        /// The topic asked for.
        topic: String,
        /// The partition asked for.
        partition: i32,
        /// What there is.
        hint: String,
    },
    /// A condition did not come true in time.
    #[error("the condition did not come true within {after:?}; the cluster is\n{state}")]
    Timeout {
        /// How long it was waited for, in real time.
        after: Duration,
        /// The cluster's state at the end.
        state: String,
    },
}

fn list(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
