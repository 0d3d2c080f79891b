//! Faults of one broker or controller, and of its disk.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_server::Server;
use klamm_world::Fault;
use klamm_world::fault::{DiskFault, NodeFault};

use super::{FaultHandle, inject};
use crate::cluster::Broker;
use crate::error::Error;

/// A broker or controller, for its faults.
///
/// ```
/// use std::time::Duration;
/// use klamm::Cluster;
///
/// # fn main() -> Result<(), klamm::Error> {
/// let cluster = Cluster::builder().brokers(3).start_blocking()?;
/// cluster.broker(1)?.pause()?;
/// cluster.node(100).wall_clock(3_600_000)?;
/// cluster.broker(1)?.resume()?;
/// # Ok(())
/// # }
/// ```
///
/// Every method's only error is [`Error::Fault`]: a node that there is not, or that cannot be made to do this now.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    pub(super) server: &'a Server,
    pub(super) id: NodeId,
}

#[expect(clippy::missing_errors_doc, reason = "the type says it once for all")]
impl<'a> Node<'a> {
    /// Stops its process, as `SIGSTOP` does: its connections stay open, its timers do not fire, and what comes waits.
    pub fn pause(self) -> Result<FaultHandle<'a>, Error> {
        self.fault(NodeFault::Pause)
    }

    /// Lets its process go on.
    pub fn resume(self) -> Result<(), Error> {
        self.fault(NodeFault::Resume).map(drop)
    }

    /// Kills its process.
    pub fn crash(self) -> Result<(), Error> {
        self.fault(NodeFault::Crash).map(drop)
    }

    /// Cuts its machine's power.
    pub fn power_loss(self) -> Result<(), Error> {
        self.fault(NodeFault::PowerLoss).map(drop)
    }

    /// Starts it again.
    pub fn start(self) -> Result<(), Error> {
        self.fault(NodeFault::Start).map(drop)
    }

    /// Makes each of its steps take longer.
    pub fn slow(self, by: Duration) -> Result<FaultHandle<'a>, Error> {
        self.fault(NodeFault::Slow { by })
    }

    /// Sets its wall clock so many milliseconds further, or back. Healing sets it right.
    pub fn wall_clock(self, millis: i64) -> Result<FaultHandle<'a>, Error> {
        self.fault(NodeFault::WallClock { millis })
    }

    /// Lets its monotonic clock jump ahead.
    pub fn monotonic_clock(self, by: Duration) -> Result<(), Error> {
        self.fault(NodeFault::MonotonicClock { by }).map(drop)
    }

    /// Makes both its clocks run faster by so many millionths, or slower.
    pub fn drift(self, ppm: i32) -> Result<FaultHandle<'a>, Error> {
        self.fault(NodeFault::Drift { ppm })
    }

    /// Does something to its disk.
    pub fn disk(self, fault: DiskFault) -> Result<FaultHandle<'a>, Error> {
        inject(self.server, Fault::Disk { node: self.id, fault })
    }

    /// Does something to it, in the words that scenarios and the simulator use too.
    pub fn fault(self, fault: NodeFault) -> Result<FaultHandle<'a>, Error> {
        inject(self.server, Fault::Node { node: self.id, fault })
    }
}

#[expect(clippy::missing_errors_doc, reason = "as for Node")]
impl<'a> Broker<'a> {
    /// Its faults, as any node's.
    pub const fn node(&self) -> Node<'a> {
        Node { server: self.server(), id: NodeId(self.id()) }
    }

    /// Stops its process, as `SIGSTOP` does: a zombie once it is resumed.
    pub fn pause(&self) -> Result<FaultHandle<'a>, Error> {
        self.node().pause()
    }

    /// Lets its process go on.
    pub fn resume(&self) -> Result<(), Error> {
        self.node().resume()
    }

    /// Makes each of its steps take longer.
    pub fn slow(&self, by: Duration) -> Result<FaultHandle<'a>, Error> {
        self.node().slow(by)
    }

    /// Sets its wall clock so many milliseconds further, or back.
    pub fn skew(&self, millis: i64) -> Result<FaultHandle<'a>, Error> {
        self.node().wall_clock(millis)
    }

    /// The controller fences it until healed.
    pub fn fence(&self) -> Result<FaultHandle<'a>, Error> {
        self.node().fault(NodeFault::Fence)
    }

    /// The controller finds its session expired, once.
    pub fn expire_session(&self) -> Result<(), Error> {
        self.node().fault(NodeFault::ExpireSession).map(drop)
    }

    /// Does something to its disk.
    pub fn disk(&self, fault: DiskFault) -> Result<FaultHandle<'a>, Error> {
        self.node().disk(fault)
    }
}
