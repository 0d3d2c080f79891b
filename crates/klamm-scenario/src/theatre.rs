//! Where a scenario happens: a world in virtual time, klamm's own listeners, or somebody else's cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{NodeId, Timestamp};
use klamm_wire::{ApiKey, Request, Response, StrBytes};
use klamm_world::{Command, PartitionStatus, World};

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
