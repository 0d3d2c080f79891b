//! klamm's scripted clients as clients of Kafka: what they send goes over sockets, and what comes back is handed to them.

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_node::{ConnectionId, NodeId, Timestamp, TopicPartition, WallTime};
use klamm_scenario::theatre::{Answer, Ticket};
use klamm_theatre::Sockets;
use klamm_world::scripted::{ClientOp, MemberStatus, OpId, OpResult};
use klamm_world::{ClientId, ClientSpec, Does, Heard, OutsideClient};

/// Sockets know a connection by the number of its client; these are beyond those of the runner's own.
const FIRST: u32 = 1 << 20;

/// Every scripted client of a run.
#[derive(Default)]
pub(crate) struct Clients {
    clients: BTreeMap<ClientId, OutsideClient>,
    /// The number that sockets know each connection by.
    connections: BTreeMap<ConnectionId, u32>,
    open: BTreeMap<Ticket, Open>,
    next_number: u32,
}

/// A request that waits for its answer.
#[derive(Clone, Copy)]
struct Open {
    client: ClientId,
    connection: ConnectionId,
    correlation_id: i32,
}

/// The time, and the roads to brokers.
pub(crate) struct Now<'a> {
    pub(crate) now: Timestamp,
    pub(crate) wall: WallTime,
    pub(crate) sockets: &'a mut Sockets,
    pub(crate) addresses: &'a BTreeMap<NodeId, String>,
}

impl Clients {
    pub(crate) fn add(&mut self, spec: ClientSpec, brokers: Vec<NodeId>) {
        let id = ClientId(u32::try_from(self.clients.len()).unwrap_or(u32::MAX));
        self.clients.insert(id, OutsideClient::new(id, 0, spec, brokers));
    }

    pub(crate) fn ask(&mut self, now: &mut Now<'_>, client: ClientId, op: ClientOp) -> Option<OpId> {
        let (id, does) = self.clients.get_mut(&client)?.ask(now.now, now.wall, op);
        self.carry_out(now, client, does);
        Some(id)
    }

    pub(crate) fn end(&mut self, now: &mut Now<'_>, client: ClientId) {
        let Some(ended) = self.clients.get_mut(&client) else { return };
        let left = ended.stop(now.now).into_iter().map(Does::Close).collect();
        self.carry_out(now, client, left);
    }

    /// Hands out the answers that have come, and the time to whoever waits for it.
    pub(crate) fn go_on(&mut self, now: &mut Now<'_>) {
        let answered: Vec<_> = self
            .open
            .iter()
            .filter_map(|(ticket, open)| Some((*ticket, *open, now.sockets.answer(*ticket)?)))
            .collect();
        for (ticket, open, answer) in answered {
            self.open.remove(&ticket);
            let Open { client, connection, correlation_id } = open;
            let heard = match answer {
                Answer::Response(response) => {
                    Heard::Answer { connection, correlation_id, response: *response }
                }
                Answer::Nothing => continue,
                Answer::Closed => {
                    self.connections.remove(&connection);
                    Heard::Lost(connection)
                }
            };
            self.hear(now, client, heard);
        }
        let due = self.clients.iter().filter(|(_, client)| client.next_deadline() <= now.now);
        for client in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.hear(now, client, Heard::Time);
        }
    }

    fn hear(&mut self, now: &mut Now<'_>, client: ClientId, heard: Heard) {
        let Some(hears) = self.clients.get_mut(&client) else { return };
        let does = hears.hear(now.now, now.wall, heard);
        self.carry_out(now, client, does);
    }

    fn carry_out(&mut self, now: &mut Now<'_>, client: ClientId, all: Vec<Does>) {
        for does in all {
            match does {
                Does::Send { connection, broker, correlation_id, api_key, api_version, request } => {
                    let number = *self.connections.entry(connection).or_insert_with(|| {
                        self.next_number += 1;
                        FIRST + self.next_number
                    });
                    let name = self.clients.get(&client).map(|client| client.name().to_string());
                    now.sockets.name(number, &name.unwrap_or_default());
                    let address = now.addresses.get(&broker).cloned().unwrap_or_default();
                    let ticket = now.sockets.ask(number, broker, &address, (api_key, api_version), &request);
                    self.open.insert(ticket, Open { client, connection, correlation_id });
                }
                Does::Close(connection) => {
                    self.connections.remove(&connection);
                    let over = self.open.iter().filter(|(_, open)| open.connection == connection);
                    for ticket in over.map(|(ticket, _)| *ticket).collect::<Vec<_>>() {
                        now.sockets.give_up(ticket);
                        self.open.remove(&ticket);
                    }
                }
            }
        }
    }

    /// When the next of them wants to be told the time.
    pub(crate) fn next_deadline(&self) -> Timestamp {
        self.clients.values().map(OutsideClient::next_deadline).min().unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn op(&self, client: ClientId, id: OpId) -> Option<OpResult> {
        Some(self.clients.get(&client)?.op(id)?.ended.as_ref()?.1.clone())
    }

    pub(crate) fn member(&self, client: ClientId) -> Option<MemberStatus> {
        self.clients.get(&client)?.member()
    }

    pub(crate) fn positions(&self, client: ClientId) -> BTreeMap<TopicPartition, Option<i64>> {
        self.clients.get(&client).map(OutsideClient::positions).unwrap_or_default()
    }

    pub(crate) fn reads(&self, client: ClientId, partition: &TopicPartition) -> Vec<Option<Bytes>> {
        self.clients.get(&client).map(|of| of.history().reads(client, partition)).unwrap_or_default()
    }
}
