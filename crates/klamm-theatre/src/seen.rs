//! What a served cluster was seen to do.

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::ConnectionId;
use klamm_world::{Input, Output};

/// What the cluster has done that this side has to wait for, or to tell of.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The request that is on its way now, by its correlation id.
    pub(super) expected: Option<i32>,
    /// The requests that were taken in, and the connections that they came over, until they are answered.
    pub(super) taken: BTreeMap<i32, ConnectionId>,
    /// The requests that were answered, until the answer is here.
    pub(super) answered: BTreeSet<i32>,
    /// The requests that were handled and have no answer.
    pub(super) unanswered: BTreeSet<i32>,
    /// The connections that the cluster closed, until that is known here.
    pub(super) closed: BTreeSet<ConnectionId>,
    /// The connections that the cluster knows to be gone.
    pub(super) gone: BTreeSet<ConnectionId>,
    pub(super) trouble: Vec<String>,
    pub(super) refusals: Vec<String>,
}

impl Seen {
    pub(super) fn see(&mut self, input: &Input, outputs: &[Output]) {
        match input {
            Input::Request(request) => {
                self.expected.take_if(|expected| *expected == request.correlation_id);
                self.taken.insert(request.correlation_id, request.connection);
            }
            Input::Disconnect { connection } => {
                self.gone.insert(*connection);
            }
            _ => {}
        }
        for output in outputs {
            match output {
                Output::Response { correlation_id, .. } | Output::Damaged { correlation_id, .. } => {
                    self.answered.insert(*correlation_id);
                }
                Output::NoResponse { correlation_id, .. } => {
                    self.unanswered.insert(*correlation_id);
                }
                Output::Close { connection } => {
                    self.closed.insert(*connection);
                }
                Output::NodeFailed { node, message } => {
                    self.trouble.push(format!("node {node} failed: {message}"));
                }
                Output::FaultRefused { error, .. } => self.refusals.push(error.to_string()),
                Output::Stalled(stall) => self.trouble.push(stall.to_string()),
                Output::NodeStarted { .. } | Output::NodeStopped { .. } => {}
            }
        }
    }
}
