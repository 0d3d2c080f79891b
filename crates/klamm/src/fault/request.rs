//! Faults of requests, as a sentence: which requests, then what happens to them.

use std::time::Duration;

use klamm_server::Server;
use klamm_wire::ErrorCode;
use klamm_world::fault::{Chance, RequestAction, RequestMatch};

use super::{FaultHandle, inject};
use crate::cluster::BrokerId;
use crate::error::Error;

/// Which requests, so far; ends with what happens to them.
///
/// Each of the last words injects the fault. Its only error is [`Error::Fault`]: a node or an API that there is not.
#[derive(Debug, Clone)]
#[must_use = "say what happens to the requests, with error(), drop_answer() and so on"]
pub struct RequestRule<'a> {
    pub(super) server: &'a Server,
    pub(super) on: RequestMatch,
}

#[expect(clippy::missing_errors_doc, reason = "the type says it once for all")]
impl<'a> RequestRule<'a> {
    /// With this `client.id`.
    pub fn client_id(self, client_id: &str) -> Self {
        self.with(|on| on.client_id(crate::text(client_id)))
    }

    /// From clients only.
    pub fn from_clients(self) -> Self {
        self.with(RequestMatch::from_clients)
    }

    /// From brokers and controllers only.
    pub fn from_nodes(self) -> Self {
        self.with(RequestMatch::from_nodes)
    }

    /// From this broker or controller.
    pub fn from_node(self, node: impl Into<BrokerId>) -> Self {
        self.with(|on| on.from_node(node.into().node()))
    }

    /// To this broker or controller.
    pub fn to(self, node: impl Into<BrokerId>) -> Self {
        self.with(|on| on.to(node.into().node()))
    }

    /// About this topic, among others.
    pub fn topic(self, topic: &str) -> Self {
        self.with(|on| on.topic(crate::text(topic)))
    }

    /// About this partition, among others.
    pub fn partition(self, topic: &str, partition: i32) -> Self {
        self.with(|on| on.partition(crate::text(topic), partition))
    }

    /// Only the `n`th that fits; 1 is the first.
    pub fn nth(self, n: u32) -> Self {
        self.with(|on| on.nth(n))
    }

    /// Only the first `count` that fit.
    pub fn first(self, count: u32) -> Self {
        self.with(|on| on.first(count))
    }

    /// Each with this chance.
    pub fn chance_percent(self, percent: u32) -> Self {
        self.with(|on| on.chance(Chance::percent(percent)))
    }

    /// They are not handled, but answered with an error.
    pub fn error(self, error: ErrorCode) -> Result<FaultHandle<'a>, Error> {
        self.then(RequestAction::Error(error))
    }

    /// They reach their node so much later.
    pub fn delay(self, by: Duration) -> Result<FaultHandle<'a>, Error> {
        self.then(RequestAction::Delay(by))
    }

    /// They are handled at once, and answered so much later.
    pub fn delay_answer(self, by: Duration) -> Result<FaultHandle<'a>, Error> {
        self.then(RequestAction::DelayAnswer(by))
    }

    /// They are lost: their connection goes silent.
    pub fn drop_request(self) -> Result<FaultHandle<'a>, Error> {
        self.then(RequestAction::Drop)
    }

    /// They are handled, and their answers are lost: their connection goes silent. A lost acknowledgement.
    pub fn drop_answer(self) -> Result<FaultHandle<'a>, Error> {
        self.then(RequestAction::DropAnswer)
    }

    /// They reach their node when the fault is healed.
    pub fn hold(self) -> Result<FaultHandle<'a>, Error> {
        self.then(RequestAction::Hold)
    }

    /// They are handled, and answered when the fault is healed.
    pub fn hold_answer(self) -> Result<FaultHandle<'a>, Error> {
        self.then(RequestAction::HoldAnswer)
    }

    /// They are not handled, and their connection is closed.
    pub fn close_before(self) -> Result<FaultHandle<'a>, Error> {
        self.then(RequestAction::CloseBefore)
    }

    /// They are handled, and their connection is closed instead of an answer.
    pub fn close_after(self) -> Result<FaultHandle<'a>, Error> {
        self.then(RequestAction::CloseAfter)
    }

    /// They are handled, and only so many bytes of the answer's frame are sent before the connection is closed.
    pub fn truncate_answer(self, bytes: u32) -> Result<FaultHandle<'a>, Error> {
        self.then(RequestAction::Truncate { bytes })
    }

    /// They are handled, and all bits of one byte of the answer are flipped: of those behind length and correlation id.
    pub fn corrupt_answer(self, byte: u32) -> Result<FaultHandle<'a>, Error> {
        self.then(RequestAction::Corrupt { byte, mask: 0 })
    }

    /// They are handled, and the answer says that the client was throttled for so long.
    pub fn throttle(self, by: Duration) -> Result<FaultHandle<'a>, Error> {
        self.then(RequestAction::Throttle(by))
    }

    /// Something happens to them, in the words that scenarios and the simulator use too.
    pub fn then(self, action: RequestAction) -> Result<FaultHandle<'a>, Error> {
        inject(self.server, self.on.then(action))
    }

    fn with(self, change: impl FnOnce(RequestMatch) -> RequestMatch) -> Self {
        Self { server: self.server, on: change(self.on) }
    }
}
