//! Making things go wrong, on purpose.

mod breakpoint;
mod network;
mod node;
mod request;

use klamm_server::Server;
use klamm_wire::ApiKey;
use klamm_world::fault::{ClusterFault, LogWork, RequestMatch};
use klamm_world::{Fault, FaultId, FaultStatus};

pub use self::breakpoint::{ArmedBreakpoint, BreakpointBuilder};
pub use self::network::Network;
pub use self::node::Node;
pub use self::request::RequestRule;
use crate::cluster::{BrokerId, Cluster};
use crate::error::Error;

/// What can go wrong in a cluster, and what was made to.
///
/// ```
/// use klamm::{ApiKey, Cluster, ErrorCode};
///
/// # fn main() -> Result<(), klamm::Error> {
/// let cluster = Cluster::builder().topic("orders", 1, 3).start_blocking()?;
/// // The second produce to "orders" is applied, but its acknowledgement is lost …
/// let lost = cluster.faults().on(ApiKey::Produce).topic("orders").nth(2).drop_answer()?;
/// // … and a tenth of all metadata requests fail.
/// cluster.faults().on(ApiKey::Metadata).chance_percent(10).error(ErrorCode::LeaderNotAvailable)?;
/// assert_eq!(lost.fired(), 0);
/// // At the end of a test: was any of them inert?
/// assert_eq!(cluster.faults().inert().len(), 2);
/// cluster.faults().heal_all();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Faults<'a> {
    server: &'a Server,
}

impl<'a> Faults<'a> {
    /// A fault of requests of one API; what it does comes at the end of the sentence.
    pub fn on(self, api: ApiKey) -> RequestRule<'a> {
        RequestRule { server: self.server, on: RequestMatch::api(api) }
    }

    /// A fault of requests of any API.
    pub fn on_any_request(self) -> RequestRule<'a> {
        RequestRule { server: self.server, on: RequestMatch::any() }
    }

    /// Injects a fault in the words that scenarios and the simulator use too.
    ///
    /// # Errors
    /// [`Error::Fault`] when it cannot be; then nothing of it happened. Here and below.
    pub fn inject(self, fault: impl Into<Fault>) -> Result<FaultHandle<'a>, Error> {
        inject(self.server, fault)
    }

    /// The controller makes another in-sync replica a partition's leader, at once.
    ///
    /// # Errors
    /// When that replica is not in sync, or leads already.
    pub fn move_leader(self, topic: &str, partition: i32, to: impl Into<BrokerId>) -> Result<(), Error> {
        let partition = crate::topic_partition(topic, partition);
        self.inject(ClusterFault::MoveLeader { partition, to: to.into().node() }).map(drop)
    }

    /// The controller makes another broker a group's coordinator, at once.
    ///
    /// # Errors
    /// When there is no such group, or that broker has no in-sync replica of its partition of `__consumer_offsets`.
    pub fn move_coordinator(self, group: &str, to: impl Into<BrokerId>) -> Result<(), Error> {
        let group = crate::text(group);
        self.inject(ClusterFault::MoveCoordinator { group, to: to.into().node() }).map(drop)
    }

    /// A partition's ISR stays as it is until healed.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn hold_isr(self, topic: &str, partition: i32) -> Result<FaultHandle<'a>, Error> {
        self.inject(ClusterFault::HoldIsr { partition: crate::topic_partition(topic, partition) })
    }

    /// The controller sets a partition's ISR, whatever the replicas hold.
    ///
    /// # Errors
    /// When one of them is no replica, or the leader is left out.
    pub fn set_isr(self, topic: &str, partition: i32, isr: &[i32]) -> Result<(), Error> {
        let isr = isr.iter().map(|id| klamm_node::NodeId(*id)).collect();
        let partition = crate::topic_partition(topic, partition);
        self.inject(ClusterFault::SetIsr { partition, isr }).map(drop)
    }

    /// Every broker that holds a replica of a partition begins a new segment of its log.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn roll_now(self, topic: &str, partition: i32) -> Result<(), Error> {
        self.log_work(topic, partition, LogWork::Roll)
    }

    /// Every broker that holds a replica of a partition deletes at once what retention lets go, without waiting for
    /// `log.retention.check.interval.ms`.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn apply_retention_now(self, topic: &str, partition: i32) -> Result<(), Error> {
        self.log_work(topic, partition, LogWork::ApplyRetention)
    }

    /// Every broker that holds a replica of a partition compacts all of its log but the last segment, however little of it is
    /// dirty.
    ///
    /// # Errors
    /// When there is no such partition, or its topic is not compacted.
    pub fn compact_now(self, topic: &str, partition: i32) -> Result<(), Error> {
        self.log_work(topic, partition, LogWork::Compact)
    }

    fn log_work(self, topic: &str, partition: i32, work: LogWork) -> Result<(), Error> {
        let partition = crate::topic_partition(topic, partition);
        self.inject(ClusterFault::Log { partition, work }).map(drop)
    }

    /// A group's coordinator begins a rebalance.
    ///
    /// # Errors
    /// When there is no such group, or it has no members.
    pub fn force_rebalance(self, group: &str) -> Result<(), Error> {
        self.inject(ClusterFault::ForceRebalance { group: crate::text(group) }).map(drop)
    }

    /// A group's coordinator finds a member's session expired. The member goes by its id or its `client.id`.
    ///
    /// # Errors
    /// When there is no such group or member.
    pub fn expire_member(self, group: &str, member: &str) -> Result<(), Error> {
        let (group, member) = (crate::text(group), crate::text(member));
        self.inject(ClusterFault::ExpireMember { group, member }).map(drop)
    }

    /// Every fault that was injected, those that are over among them.
    pub fn list(self) -> Vec<FaultStatus> {
        self.server.look(klamm_world::World::faults)
    }

    /// The faults that have not fired.
    pub fn inert(self) -> Vec<FaultStatus> {
        self.server.look(klamm_world::World::inert_faults)
    }

    /// Says that every fault must have fired by now: a test must not pass because its fault was inert.
    ///
    /// # Panics
    /// When one has not.
    pub fn assert_all_fired(self) {
        let inert = self.inert();
        let list: String = inert.iter().map(|status| format!("\n  {status}")).collect();
        assert!(inert.is_empty(), "{} faults never fired:{list}", inert.len());
    }

    /// Ends every fault: whatever they hold goes on.
    pub fn heal_all(self) {
        self.server.command(klamm_world::Command::HealAll);
    }
}

impl Cluster {
    /// Its faults.
    pub const fn faults(&self) -> Faults<'_> {
        Faults { server: self.server() }
    }

    /// The network between its nodes, and between them and their clients.
    pub const fn network(&self) -> Network<'_> {
        Network { server: self.server() }
    }

    /// A broker or controller, for its faults. The first controller is 100.
    pub const fn node(&self, id: i32) -> Node<'_> {
        Node { server: self.server(), id: klamm_node::NodeId(id) }
    }

    /// A named point at which a node is to be held: one of those in `docs/faults.md`.
    ///
    /// ```
    /// # fn main() -> Result<(), klamm::Error> {
    /// let cluster = klamm::Cluster::builder().topic("orders", 1, 3).start_blocking()?;
    /// let held = cluster.breakpoint("after_append_before_ack").partition("orders", 0).arm()?;
    /// // … a client produces; `held.reached().await`, or `held.reached_blocking()`, comes when the batch is in the log.
    /// assert_eq!(held.held(), 0);
    /// held.release();
    /// # Ok(())
    /// # }
    /// ```
    pub fn breakpoint(&self, name: &str) -> BreakpointBuilder<'_> {
        BreakpointBuilder::new(self.server(), name)
    }
}

/// A fault that was injected. It stays when this is dropped.
#[derive(Debug, Clone, Copy)]
#[must_use = "this is how to ask whether it fired, and to heal it; drop it where neither matters"]
pub struct FaultHandle<'a> {
    server: &'a Server,
    id: FaultId,
}

impl FaultHandle<'_> {
    /// Its name in the trace.
    pub const fn id(self) -> FaultId {
        self.id
    }

    /// How often it fired.
    pub fn fired(self) -> u64 {
        self.server.look(|world| world.fault(self.id).map_or(0, |status| status.fired))
    }

    /// How many messages it holds right now.
    pub fn held(self) -> usize {
        self.server.look(|world| world.fault(self.id).map_or(0, |status| status.held))
    }

    /// Whether it may still fire.
    pub fn is_armed(self) -> bool {
        self.server.look(|world| world.fault(self.id).is_some_and(|status| status.armed))
    }

    /// Ends it: whatever it holds goes on. Nothing when it is over already.
    pub fn heal(self) {
        // The only errors there are say that there is nothing to heal.
        let _ = self.server.heal(self.id);
    }
}

fn inject(server: &Server, fault: impl Into<Fault>) -> Result<FaultHandle<'_>, Error> {
    let id = server.inject(fault.into())?;
    Ok(FaultHandle { server, id })
}
