//! Listening to a live cluster's trace.

use std::sync::Arc;

use klamm_node::TraceEvent;
use tokio::sync::broadcast::{self, error};

use crate::runtime::block_on;

/// The trace events of a cluster, from the moment on at which it was asked for. Dropping it ends the listening.
#[derive(Debug)]
pub struct TraceStream {
    events: broadcast::Receiver<Arc<TraceEvent>>,
    missed: u64,
}

impl TraceStream {
    pub(crate) const fn new(events: broadcast::Receiver<Arc<TraceEvent>>) -> Self {
        Self { events, missed: 0 }
    }

    /// The next event; `None` when the cluster is gone.
    pub async fn recv(&mut self) -> Option<Arc<TraceEvent>> {
        loop {
            match self.events.recv().await {
                Ok(event) => return Some(event),
                Err(error::RecvError::Lagged(count)) => self.missed += count,
                Err(error::RecvError::Closed) => return None,
            }
        }
    }

    /// The next event if it is there already.
    pub fn try_next(&mut self) -> Option<Arc<TraceEvent>> {
        loop {
            match self.events.try_recv() {
                Ok(event) => return Some(event),
                Err(error::TryRecvError::Lagged(count)) => self.missed += count,
                Err(error::TryRecvError::Empty | error::TryRecvError::Closed) => return None,
            }
        }
    }

    /// How many events were missed because they were not taken in time: the newest 65,536 wait.
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}

/// Blocks for each event, and ends with the cluster.
impl Iterator for TraceStream {
    type Item = Arc<TraceEvent>;

    fn next(&mut self) -> Option<Arc<TraceEvent>> {
        block_on(self.recv())
    }
}
