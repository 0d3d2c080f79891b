//! Scripted clients as the world has them: handing them operations, and telling what became of them.

use std::collections::BTreeMap;

use klamm_node::{ClientDid, ConnectionId, NodeId, TopicPartition};
use klamm_wire::StrBytes;

use super::scripted::{
    ClientError, ClientOp, History, HistoryEntry, HistoryEvent, KnownLeader, MemberStatus, OpId, OpRecord,
};
use super::{Client, ClientEvent, ClientId, ClientSlot, News};
use crate::world::World;

impl ClientSlot {
    const fn scripted(&self) -> Option<&super::scripted::Scripted> {
        if let Client::Scripted(client) = &self.client { Some(client) } else { None }
    }

    /// A running member of a group, as it sees itself, and the topics that it subscribes to.
    pub(crate) fn member_of(&self, group: &StrBytes) -> Option<(MemberStatus, Vec<StrBytes>)> {
        let client = self.scripted().filter(|client| self.running && client.group() == Some(group))?;
        let topics = client.subscribed().to_vec();
        Some((client.member()?, topics)).filter(|(_, topics)| !topics.is_empty())
    }
}

impl World {
    /// Everything that scripted clients did and saw, in the order in which it happened, as far as it is kept
    /// ([`WorldSettings::client_history`](crate::WorldSettings::client_history)).
    pub const fn client_history(&self) -> &History {
        &self.client_history
    }

    /// An operation of a scripted client; `None` when it was never asked for, or ended so long ago that it is forgotten.
    pub fn client_op(&self, client: ClientId, op: OpId) -> Option<&OpRecord> {
        self.client(client)?.ops.get(op)
    }

    /// How many operations a client was asked for: the id of the next.
    pub fn next_client_op(&self, client: ClientId) -> Option<OpId> {
        Some(OpId(self.client(client)?.ops.asked()))
    }

    /// Whether every operation of every scripted client has ended.
    pub fn clients_are_idle(&self) -> bool {
        self.clients.iter().all(|client| client.ops.is_idle())
    }

    /// What a scripted client believes of a partition's leader.
    pub fn client_known_leader(&self, client: ClientId, partition: &TopicPartition) -> Option<KnownLeader> {
        self.client(client)?.scripted()?.known_leader(partition)
    }

    /// The partitions that a scripted consumer reads, and the offset that it reads next in each, where it has one.
    pub fn client_positions(&self, client: ClientId) -> BTreeMap<TopicPartition, Option<i64>> {
        let client = self.client(client).and_then(ClientSlot::scripted);
        client.map(super::scripted::Scripted::positions).unwrap_or_default()
    }

    /// A scripted consumer's place in its group, as it sees itself.
    pub fn client_member(&self, client: ClientId) -> Option<MemberStatus> {
        self.client(client)?.scripted()?.member()
    }

    /// The group of a scripted consumer.
    pub(crate) fn client_group(&self, client: ClientId) -> Option<&StrBytes> {
        self.client(client)?.scripted()?.group()
    }

    /// The name under which a client's links are set: the network knows clients by negative node ids.
    pub fn client_node(&self, client: ClientId) -> Option<NodeId> {
        self.client(client).map(ClientSlot::node)
    }

    pub(crate) fn ask_client(&mut self, client: ClientId, op: Box<ClientOp>) {
        let Some(index) = self.clients.iter().position(|slot| slot.id == client) else { return };
        let (now, capacity) = (self.now(), self.settings.client_history);
        let id = self.clients[index].ops.ask(now, capacity);
        self.client_step(index, ClientEvent::Op(id, op));
    }

    /// Ends a client and whatever it was at. Returns the connections that it leaves.
    pub(crate) fn stop_client(&mut self, client: ClientId) -> Vec<ConnectionId> {
        let now = self.now();
        let Some(slot) = self.client_mut(client) else { return Vec::new() };
        slot.ops.end_all(now, &ClientError::Stopped);
        slot.stop()
    }

    pub(crate) fn note_client_news(&mut self, index: usize, news: Vec<News>) {
        let (at, client) = (self.now(), self.clients[index].id);
        for news in news {
            match news {
                News::Happened(op, event) => {
                    self.trace_client_event(index, &event);
                    self.client_history.record(HistoryEntry { at, client, op, event });
                }
                News::Ended(op, result) => {
                    self.clients[index].ops.end(at, op, result);
                }
            }
        }
    }

    fn trace_client_event(&mut self, index: usize, event: &HistoryEvent) {
        if !self.trace.is_enabled() {
            return;
        }
        let client = self.clients[index].name();
        let kind = match event {
            HistoryEvent::Sent { partition, to, records, attempt, .. } => ClientDid::ClientSent {
                client,
                partition: partition.clone(),
                to: *to,
                records: *records,
                attempt: *attempt,
            },
            HistoryEvent::Acked { partition, base_offset, records, .. } => ClientDid::ClientAcked {
                client,
                partition: partition.clone(),
                offset: base_offset.unwrap_or(-1),
                records: *records,
            },
            HistoryEvent::SendFailed { partition, error, .. } => {
                ClientDid::ClientFailed { client, what: partition.to_string(), error: error.to_string() }
            }
            HistoryEvent::Ended { error: Some(error), .. } => {
                ClientDid::ClientFailed { client, what: "operation".to_owned(), error: error.to_string() }
            }
            HistoryEvent::Read { partition, offset, leader_epoch, .. } => ClientDid::ClientConsumed {
                client,
                partition: partition.clone(),
                offset: *offset,
                leader_epoch: *leader_epoch,
            },
            HistoryEvent::SendAsked { .. }
            | HistoryEvent::Positioned { .. }
            | HistoryEvent::Assigned { .. }
            | HistoryEvent::Revoked { .. }
            | HistoryEvent::Committed { .. }
            | HistoryEvent::Ended { error: None } => return,
        };
        self.trace.record(self.now(), None, kind.into());
    }
}
