//! Where a scenario happens: a world in virtual time, klamm's own listeners, or somebody else's cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use klamm_metadata::MetadataImage;
use klamm_node::{NodeId, Timestamp, TopicPartition};
use klamm_wire::{ApiKey, Request, Response, StrBytes};
use klamm_world::scripted::{ClientOp, MemberStatus, OpId, OpResult};
use klamm_world::{
    ClientId, ClientSpec, Command, Fault, FaultId, FaultStatus, GroupStatus, PartitionStatus, QuorumView,
    StoredLog, World,
};

/// A request that was sent, by which its answer is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What came of a request.
#[derive(Debug)]
pub enum Answer {
    /// The response.
    Response(Box<Response>),
    /// It was handled, and has no response.
    Nothing,
    /// The connection broke before an answer came, or was never made.
    Closed,
}

/// What can be seen in one place and not in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// What nodes decided, event by event.
    Trace,
    /// Which leader epoch a broker believes to be its replica's.
    EpochOfReplica,
    /// Whether a controller runs, decides, and whom it takes for the quorum's leader in which epoch.
    Quorum,
    /// What a controller takes itself for, and its high watermark.
    RoleOfController,
    /// What coordinators have of groups.
    Groups,
}

/// Requests to the brokers of a cluster.
pub trait Wire {
    /// The time on the cluster's clock.
    fn now(&self) -> Timestamp;
    /// What a wall clock without skew shows, in milliseconds.
    fn wall_millis(&self) -> i64;
    /// Sends a request over the connection that `client` has to `broker`, which is made where there is none.
    fn ask(&mut self, client: u32, broker: NodeId, key: ApiKey, version: i16, request: Request) -> Ticket;
    /// Takes the answer to a request, if there is one.
    fn answer(&mut self, ticket: Ticket) -> Option<Answer>;
    /// Gives up waiting: the connection is closed, as a client does whose request timed out.
    fn give_up(&mut self, ticket: Ticket);
    /// The brokers that a client knows from its `bootstrap.servers`.
    fn brokers(&self) -> Vec<NodeId>;
}

/// A cluster that a scenario happens to.
pub trait Theatre: Wire {
    /// Looks at the world, where there is one to look at.
    fn look<R>(&self, f: impl FnOnce(&World) -> R) -> Option<R>;
    /// Starts every node, and lets time pass until all of them do their work.
    ///
    /// # Errors
    /// Why the cluster did not come up, for a person.
    fn boot(&mut self) -> Result<(), String>;
    /// Lets the next thing happen that is due by `end`; false when nothing is, and the time is `end` now.
    fn step(&mut self, end: Timestamp) -> bool;
    /// Passes over the time until something happens, at most until `end`, where that time is idle and can be passed over. What happens
    /// at the moment that it ends at has not happened yet.
    fn skip(&mut self, _end: Timestamp) {}
    /// Does something to the cluster, as its owner.
    fn command(&mut self, command: Command);
    /// Gives a client its `client.id`.
    fn name_client(&mut self, client: u32, name: &str);
    /// What went wrong since this was last asked that no scenario asks for: a node that could not start.
    fn take_trouble(&mut self) -> Vec<String>;
    /// Why a fault was refused since this was last asked.
    fn take_refusals(&mut self) -> Vec<String>;

    /// Whether something can be seen here. What cannot is not checked, and counted in the report.
    fn sees(&self, _sight: Sight) -> bool {
        true
    }

    /// How much later than a file says something may come to be: real time is not exact. What must hold at a moment is given so much
    /// time to come to hold, too.
    fn leeway(&self) -> Duration {
        Duration::ZERO
    }

    /// Looks at what the active controller's log says.
    fn metadata<R>(&self, f: impl FnOnce(&MetadataImage) -> R) -> Option<R> {
        self.look(|world| world.metadata().map(f)).flatten()
    }

    /// The log of a partition's replica, record by record.
    fn stored_log(&self, broker: NodeId, topic: &str, partition: i32) -> Option<StoredLog> {
        self.look(|world| world.stored_log(broker, topic, partition)).flatten()
    }

    /// Every group, as its coordinator has it.
    fn groups(&self) -> BTreeMap<StrBytes, GroupStatus> {
        self.look(World::groups).unwrap_or_default()
    }

    /// A controller's part in the quorum.
    fn quorum(&self, controller: NodeId) -> Option<QuorumView> {
        self.look(|world| world.quorum().remove(&controller)).flatten()
    }

    /// The controller that decides for the cluster.
    fn active_controller(&self) -> Option<NodeId> {
        self.look(World::active_controller).flatten()
    }

    /// The name that the next fault has; `None` where nothing can go wrong on purpose.
    fn next_fault_id(&self) -> Option<FaultId> {
        self.look(World::next_fault_id)
    }

    /// Whether a fault can be.
    ///
    /// # Errors
    /// Why not, for a person.
    fn check_fault(&self, fault: &Fault) -> Result<(), String> {
        let checked = self.look(|world| world.check_fault(fault).map_err(|error| error.to_string()));
        checked.unwrap_or(Ok(()))
    }

    /// How a fault is doing.
    fn fault(&self, id: FaultId) -> Option<FaultStatus> {
        self.look(|world| world.fault(id)).flatten()
    }

    /// Adds a client that behaves as Kafka's own. The first is [`ClientId`] 0, the next 1.
    fn add_client(&mut self, spec: ClientSpec) {
        self.command(Command::AddClient(spec));
    }

    /// Asks such a client to do something; `None` when there is none such.
    fn ask_client(&mut self, client: ClientId, op: ClientOp) -> Option<OpId> {
        let id = self.look(|world| world.next_client_op(client)).flatten()?;
        self.command(Command::Client { client, op: Box::new(op) });
        Some(id)
    }

    /// Ends such a client.
    fn end_client(&mut self, client: ClientId) {
        self.command(Command::StopClient(client));
    }

    /// How an operation of such a client ended, if it has.
    fn client_op(&self, client: ClientId, id: OpId) -> Option<OpResult> {
        self.look(|world| Some(world.client_op(client, id)?.ended.as_ref()?.1.clone())).flatten()
    }

    /// Such a client's place in its group, as it sees itself.
    fn client_member(&self, client: ClientId) -> Option<MemberStatus> {
        self.look(|world| world.client_member(client)).flatten()
    }

    /// The partitions that such a client reads, and the offset that it reads next in each, where it has one.
    fn client_positions(&self, client: ClientId) -> BTreeMap<TopicPartition, Option<i64>> {
        self.look(|world| world.client_positions(client)).unwrap_or_default()
    }

    /// The value of every record of a partition that such a client has read, in order.
    fn client_reads(&self, client: ClientId, partition: &TopicPartition) -> Vec<Option<Bytes>> {
        self.look(|world| world.client_history().reads(client, partition)).unwrap_or_default()
    }

    /// One partition.
    fn partition(&self, topic: &str, partition: i32) -> Option<PartitionStatus> {
        self.look(|world| world.partition(topic, partition)).flatten()
    }

    /// Every topic with its number of partitions, by name.
    fn topics(&self) -> BTreeMap<StrBytes, i32> {
        self.look(World::topics).unwrap_or_default()
    }

    /// Whether a topic that was just created can be used.
    fn is_topic_ready(&self, topic: &str) -> bool {
        self.look(|world| world.is_topic_ready(topic)).unwrap_or(false)
    }

    /// Whether a node's process runs.
    fn is_up(&self, node: NodeId) -> bool {
        self.look(|world| world.is_up(node)).unwrap_or(true)
    }

    /// How much time a scenario leaves between its set-up and its first step, and after what an administrator asked.
    fn breath(&self) -> Duration {
        Duration::from_millis(100)
    }
}
