//! How scripted clients reach a cluster, whichever it is.

use klamm_node::{NodeId, Timestamp};
use klamm_wire::{ApiKey, Request, Response};

/// A request that was sent, by which its answer is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(crate) u64);

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The response.
    Response(Box<Response>),
    /// It was handled, and has no response.
    Nothing,
    /// The connection broke before an answer came, or was never made.
    Closed,
}

/// Requests to the brokers of a cluster.
pub(crate) trait Wire {
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
