//! Breakpoints: most hold the message that would leave a point or arrive at it; what has no message is held within its
//! node.

use klamm_node::pause::PausePoint;
use klamm_node::{NodeId, TopicPartition};
use klamm_wire::ApiKey;

use crate::fault::engine::request::Only;
use crate::fault::{Breakpoint, Fault, FaultId, RequestAction, RequestMatch, RequestOrigin};
use crate::input::Output;
use crate::node::Node;
use crate::world::World;

impl World {
    pub(crate) fn arm_breakpoint(&mut self, id: FaultId, breakpoint: Breakpoint, out: &mut Vec<Output>) {
        let Breakpoint { at, node, partition, nth } = breakpoint;
        let mut on = match at {
            PausePoint::AfterAppendBeforeAck => {
                RequestMatch { to: node, ..RequestMatch::api(ApiKey::Produce) }
            }
            PausePoint::AlterPartitionInFlight | PausePoint::AlterPartitionAnswerInFlight => {
                let from = node.map(RequestOrigin::Node);
                RequestMatch { from, ..RequestMatch::api(ApiKey::AlterPartition) }
            }
            PausePoint::FollowerFetchAnswerInFlight => {
                let from = node.map(RequestOrigin::Node);
                RequestMatch { from, ..RequestMatch::api(ApiKey::Fetch) }
            }
            PausePoint::AfterMetadataAppendBeforeReplication => {
                RequestMatch { to: node, ..RequestMatch::api(ApiKey::Fetch) }
            }
            PausePoint::AfterHwAdvanceBeforePurgatory | PausePoint::BetweenTruncateAndFetch => {
                for slot in 0..self.slots.len() {
                    if node.is_none_or(|node| self.slots[slot].id == node) {
                        self.arm_within(slot, id, at, partition.as_ref(), nth, out);
                    }
                }
                return;
            }
        };
        if let Some(partition) = partition {
            on = on.topic_partition(&partition);
        }
        on.skip = nth.saturating_sub(1);
        let (only, action) = match at {
            PausePoint::AlterPartitionInFlight => (Only::All, RequestAction::Hold),
            PausePoint::FollowerFetchAnswerInFlight => (Only::ReplicaFetchAnswers, RequestAction::HoldAnswer),
            PausePoint::AfterMetadataAppendBeforeReplication => {
                (Only::QuorumFetchAnswers, RequestAction::HoldAnswer)
            }
            _ => (Only::All, RequestAction::HoldAnswer),
        };
        self.arm_request(id, on, only, action);
    }

    fn arm_within(
        &mut self,
        slot: usize,
        id: FaultId,
        at: PausePoint,
        partition: Option<&TopicPartition>,
        nth: u32,
        _: &mut Vec<Output>,
    ) {
        if let Some(Node::Broker(broker)) = &mut self.slots[slot].node {
            broker.arm_breakpoint(id.0, at, partition.cloned(), nth);
        }
    }

    /// A broker that starts must be told of the breakpoints within it.
    pub(crate) fn arm_breakpoints_of(&mut self, slot: usize, out: &mut Vec<Output>) {
        let node = self.slots[slot].id;
        let armed: Vec<_> = self
            .faults
            .registry
            .armed()
            .filter_map(|(id, fault)| match fault {
                Fault::Breakpoint(breakpoint) if breakpoint.node.is_none_or(|only| only == node) => {
                    Some((id, breakpoint.clone()))
                }
                _ => None,
            })
            .collect();
        for (id, Breakpoint { at, partition, nth, .. }) in armed {
            if matches!(at, PausePoint::AfterHwAdvanceBeforePurgatory | PausePoint::BetweenTruncateAndFetch) {
                self.arm_within(slot, id, at, partition.as_ref(), nth, out);
            }
        }
    }

    /// A node has come to a point where a breakpoint is armed within it.
    pub(crate) fn reached(&mut self, node: NodeId, fault: u32, at: PausePoint, partition: &TopicPartition) {
        let id = FaultId(fault);
        self.fired(id, Some(node), || format!("{at} at {partition}"));
        if at == PausePoint::BetweenTruncateAndFetch && !self.faults.requests.iter().any(|rule| rule.id == id)
        {
            // The step goes on, but its next fetch stays on the way.
            let fetches = RequestMatch::api(ApiKey::Fetch).from_node(node);
            self.arm_request(id, fetches, Only::ReplicaFetches, RequestAction::Hold);
        }
    }

    /// How many continuations brokers hold within themselves for a breakpoint.
    pub(crate) fn held_within(&self, id: FaultId) -> usize {
        let held = self.slots.iter().map(|slot| match &slot.node {
            Some(Node::Broker(broker)) => broker.held_by_breakpoint(id.0),
            _ => 0,
        });
        held.sum()
    }

    pub(crate) fn release_breakpoint(&mut self, id: FaultId, out: &mut Vec<Output>) {
        self.disarm_request(id);
        for slot in 0..self.slots.len() {
            self.step(slot, out, |node, ctx| {
                if let Node::Broker(broker) = node {
                    broker.release_breakpoint(ctx, id.0);
                }
            });
        }
    }
}
