//! Holding a node at a named point.

use std::time::Duration;

use klamm_node::PausePoint;
use klamm_server::{Server, block_on};
use klamm_world::fault::Breakpoint;

use super::{FaultHandle, inject};
use crate::cluster::BrokerId;
use crate::error::Error;

/// How long [`ArmedBreakpoint::reached`] waits.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// A breakpoint that is not armed yet.
#[derive(Debug, Clone)]
#[must_use = "arm it"]
pub struct BreakpointBuilder<'a> {
    server: &'a Server,
    breakpoint: Result<Breakpoint, String>,
}

impl<'a> BreakpointBuilder<'a> {
    pub(super) fn new(server: &'a Server, name: &str) -> Self {
        let point = name.parse::<PausePoint>();
        Self { server, breakpoint: point.map(Breakpoint::at).map_err(|error| error.to_string()) }
    }

    /// On this node only.
    pub fn node(self, node: impl Into<BrokerId>) -> Self {
        self.with(|breakpoint| breakpoint.node(node.into().node()))
    }

    /// For this partition only.
    pub fn partition(self, topic: &str, partition: i32) -> Self {
        self.with(|breakpoint| breakpoint.partition(crate::topic_partition(topic, partition)))
    }

    /// The `n`th arrival; 1 is the first.
    pub fn nth(self, n: u32) -> Self {
        self.with(|breakpoint| breakpoint.nth(n))
    }

    /// Arms it.
    ///
    /// # Errors
    /// [`Error::NoBreakpoint`] with the names that there are, [`Error::Fault`].
    pub fn arm(self) -> Result<ArmedBreakpoint<'a>, Error> {
        let breakpoint = self.breakpoint.map_err(|message| Error::NoBreakpoint { message })?;
        Ok(ArmedBreakpoint { fault: inject(self.server, breakpoint)? })
    }

    fn with(self, change: impl FnOnce(Breakpoint) -> Breakpoint) -> Self {
        Self { server: self.server, breakpoint: self.breakpoint.map(change) }
    }
}

/// A breakpoint that is armed. What it holds stays held when this is dropped.
#[derive(Debug, Clone, Copy)]
#[must_use = "what it holds is held until it is released"]
pub struct ArmedBreakpoint<'a> {
    fault: FaultHandle<'a>,
}

impl<'a> ArmedBreakpoint<'a> {
    /// The fault that it is.
    pub const fn fault(self) -> FaultHandle<'a> {
        self.fault
    }

    /// How many continuations it holds.
    pub fn held(self) -> usize {
        self.fault.held()
    }

    /// Waits until it holds something.
    ///
    /// # Errors
    /// [`Error::Timeout`] after 30 seconds of real time.
    pub async fn reached(self) -> Result<(), Error> {
        let (server, id) = (self.fault.server, self.fault.id);
        let holds = |world: &klamm_world::World| world.fault(id).is_some_and(|status| status.held > 0);
        let reached = server.wait_for(DEFAULT_DEADLINE, |world| holds(world).then_some(())).await;
        reached.ok_or_else(|| Error::Timeout {
            after: DEFAULT_DEADLINE,
            state: server.look(|world| world.status().to_string()),
        })
    }

    /// Blocks until it holds something.
    ///
    /// # Errors
    /// As [`ArmedBreakpoint::reached`].
    pub fn reached_blocking(self) -> Result<(), Error> {
        block_on(self.reached())
    }

    /// Lets go what it holds, and holds nothing more.
    pub fn release(self) {
        self.fault.heal();
    }
}
