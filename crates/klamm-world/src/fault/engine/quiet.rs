//! Nodes that were told to wait by a throttled answer: Kafka's clients between nodes are `NetworkClient`s too, and send nothing more over
//! the connection for so long (KIP-219).

use std::collections::BTreeMap;

use klamm_node::{NodeId, Timestamp};
use klamm_wire::ApiKey;

/// Until when nodes send nothing, by who sends, to whom, and over which connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quiet {
    until: BTreeMap<(NodeId, NodeId, i16), Timestamp>,
}

impl Quiet {
    /// Has `from` send nothing to `to` before `until`, over the connection that `api` goes over.
    pub(crate) fn begin(&mut self, from: NodeId, to: NodeId, api: ApiKey, until: Timestamp) {
        let end = self.until.entry((from, to, connection(api) as i16)).or_default();
        *end = until.max(*end);
    }

    /// Until when a request must wait; `None` when it need not.
    pub(crate) fn until(
        &mut self,
        from: NodeId,
        to: NodeId,
        api: impl FnOnce() -> ApiKey,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if self.until.is_empty() {
            return None;
        }
        self.until.retain(|_, end| *end > now);
        self.until.get(&(from, to, connection(api()) as i16)).copied()
    }

    /// A node's process is gone, and its connections with it.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.until.retain(|(from, to, _), _| *from != node && *to != node);
    }
}

/// Requests between two nodes that share a connection, by one of them: fetchers have their own (`BrokerBlockingSender`), and so have
/// the channels of a broker's life, its ISR changes, its directories and everything that it forwards (`NodeToControllerChannelManager`),
/// and the coordinators' senders.
const fn connection(api: ApiKey) -> ApiKey {
    match api {
        ApiKey::ListOffsets | ApiKey::OffsetForLeaderEpoch => ApiKey::Fetch,
        ApiKey::BrokerRegistration => ApiKey::BrokerHeartbeat,
        ApiKey::Fetch
        | ApiKey::BrokerHeartbeat
        | ApiKey::AlterPartition
        | ApiKey::AssignReplicasToDirs
        | ApiKey::AddPartitionsToTxn
        | ApiKey::WriteTxnMarkers => api,
        ApiKey::FetchSnapshot | ApiKey::Vote | ApiKey::BeginQuorumEpoch | ApiKey::EndQuorumEpoch => {
            ApiKey::Fetch
        }
        ApiKey::InitializeShareGroupState
        | ApiKey::ReadShareGroupState
        | ApiKey::WriteShareGroupState
        | ApiKey::DeleteShareGroupState
        | ApiKey::ReadShareGroupStateSummary => ApiKey::WriteShareGroupState,
        _ => ApiKey::Envelope,
    }
}
