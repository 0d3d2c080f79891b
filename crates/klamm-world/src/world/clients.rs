//! Clients, outside and simulated: their connections, their requests on the way in and their answers on the way out.

use std::time::Duration;

use klamm_node::{ConnectionId, Incoming, NodeId, Origin, ReplyTo, WallTime};
use klamm_wire::{Response, StrBytes};

use super::{Event, World};
use crate::client::{
    self, ClientEvent, ClientId, ClientSlot, ConsumerReport, ProducerReport, Sent, TransactionalReport,
};
use crate::connection::MAX_QUEUED;
use crate::fault::Messages;
use crate::fault::engine::network::OUTSIDE;
use crate::input::{ClientRequest, Damage, Output};

impl World {
    pub(super) fn connect(
        &mut self,
        id: ConnectionId,
        broker: NodeId,
        host: StrBytes,
        out: &mut Vec<Output>,
    ) {
        if self.slot(broker).is_some_and(|slot| self.slots[slot].node.is_some()) {
            self.connections.open(id, broker, host);
        } else {
            self.emit(broker, Output::Close { connection: id }, out);
        }
    }

    pub(super) fn on_disconnect(&mut self, id: ConnectionId, out: &mut Vec<Output>) {
        if self.faults.network.is_armed()
            && let Some(broker) = self.connections.get(id).map(|connection| connection.broker)
        {
            self.travel(OUTSIDE, broker, Messages::Requests, Event::ClosedByClient(id));
        } else {
            self.disconnect(id, out);
        }
    }

    pub(crate) fn disconnect(&mut self, id: ConnectionId, out: &mut Vec<Output>) {
        if let Some(connection) = self.connections.close(id) {
            if !self.faults.answers.is_empty() {
                self.forget_struck(
                    |_, to| matches!(to, ReplyTo::Client { connection, .. } if *connection == id),
                );
            }
            self.gone(connection.broker, id, out);
        }
    }

    pub(super) fn gone(&mut self, broker: NodeId, connection: ConnectionId, out: &mut Vec<Output>) {
        let Some(slot) = self.slot(broker) else { return };
        if self.slots[slot].door.is_shut(self.now) {
            self.slots[slot].door.wait(Event::Gone { broker, connection }, self.trace.effect());
        } else {
            self.step(slot, out, |node, ctx| node.on_disconnect(ctx, connection));
        }
    }

    pub(super) fn on_request(&mut self, request: ClientRequest, out: &mut Vec<Output>) {
        if self.faults.network.is_armed()
            && let Some(broker) = self.connections.get(request.connection).map(|connection| connection.broker)
        {
            let event = Event::FromOutside { broker, request: Box::new(request) };
            self.travel(OUTSIDE, broker, Messages::Requests, event);
        } else {
            self.request(request, out);
        }
    }

    /// A request from a client that is gone, or unknown, is dropped.
    pub(super) fn request(&mut self, request: ClientRequest, out: &mut Vec<Output>) {
        let id = request.connection;
        let Some(connection) = self.connections.get(id) else { return };
        let broker = connection.broker;
        if connection.in_flight.is_none() && connection.queue.is_empty() {
            let muted_until = connection.muted_until;
            if muted_until <= self.now {
                return self.begin(request, out);
            }
            connection.queue.push_back(request);
            self.schedule.push(self.now, muted_until, Event::NextRequest(id));
        } else if connection.queue.len() < MAX_QUEUED {
            connection.queue.push_back(request);
        } else {
            self.emit(broker, Output::Close { connection: id }, out);
            self.disconnect(id, out);
        }
    }

    /// Begins no further request of a client's connection for a while (KIP-219).
    pub(crate) fn mute(&mut self, to: ReplyTo, by: Duration) {
        let until = self.now + by;
        if let ReplyTo::Client { connection, .. } = to
            && let Some(connection) = self.connections.get(connection)
        {
            connection.muted_until = connection.muted_until.max(until);
        }
    }

    /// Hands a request to its connection's broker.
    pub(super) fn begin(&mut self, request: ClientRequest, out: &mut Vec<Output>) {
        let Some(connection) = self.connections.get(request.connection) else { return };
        let ordinal = connection.begin(&request);
        let broker = connection.broker;
        let incoming = Incoming {
            reply_to: ReplyTo::Client { connection: request.connection, ordinal },
            origin: Origin::Client { connection: request.connection, host: connection.host.clone() },
            api_version: request.api_version,
            client_id: request.client_id,
            request: request.request,
            inspected: request.inspected,
            arrived: None,
        };
        self.reach(broker, incoming, out);
    }

    /// Ends a client's request; its connection's next may begin.
    pub(super) fn finish(
        &mut self,
        connection: ConnectionId,
        ordinal: u64,
        response: Option<Response>,
        damage: Option<Damage>,
        out: &mut Vec<Output>,
    ) {
        let Some(open) = self.connections.get(connection) else { return };
        let Some(request) = open.end(ordinal) else { return };
        if !open.queue.is_empty() {
            self.schedule.push(self.now, open.muted_until, Event::NextRequest(connection));
        }
        let (broker, correlation_id) = (open.broker, request.correlation_id);
        if let Some(Damage::Truncate { .. }) = damage {
            self.connections.close(connection);
        }
        let output = match (response, damage) {
            (Some(response), Some(damage)) => Output::Damaged {
                connection,
                correlation_id,
                api_key: request.api_key,
                api_version: request.api_version,
                response,
                damage,
            },
            (Some(response), None) => Output::Response {
                connection,
                correlation_id,
                api_key: request.api_key,
                api_version: request.api_version,
                response,
            },
            (None, _) => Output::NoResponse { connection, correlation_id },
        };
        self.emit(broker, output, out);
    }

    /// Hands an output of a broker's to the driver, or to the simulated client whose it is.
    pub(super) fn emit(&mut self, broker: NodeId, output: Output, out: &mut Vec<Output>) {
        let (owner, event) = match output {
            Output::Response { connection, correlation_id, response, .. }
                if client::owner(connection).is_some() =>
            {
                (client::owner(connection), ClientEvent::Answer { connection, correlation_id, response })
            }
            Output::NoResponse { connection, .. } if client::owner(connection).is_some() => return,
            Output::Close { connection } if client::owner(connection).is_some() => {
                (client::owner(connection), ClientEvent::Lost(connection))
            }
            output if self.faults.network.is_armed() => {
                self.travel(broker, OUTSIDE, Messages::Answers, Event::ToOutside { broker, output });
                return;
            }
            output => {
                out.push(output);
                return;
            }
        };
        let Some(owner) = owner else { return };
        let Some(client) = self.client(owner).map(ClientSlot::node) else { return };
        self.depart(broker, client, Messages::Answers, Event::ToClient(owner, event));
    }

    pub(crate) fn client_step(&mut self, index: usize, event: ClientEvent) {
        let wall = WallTime(self.settings.wall_epoch.millis() + self.now.as_millis());
        let (mut sent, mut news) = (std::mem::take(&mut self.sent), Vec::new());
        let slot = &mut self.clients[index];
        let given_up = slot.step(self.now, wall, &self.brokers, event, &mut sent, &mut news);
        let (id, from) = (slot.id, slot.node());
        self.note_client_news(index, news);
        self.schedule.follow(self.trace.effect());
        if self.trace.is_enabled() {
            self.clients[index].stamp_timers(self.now, self.trace.effect());
        }
        for Sent { to, correlation_id, api_key, api_version, request } in sent.drain(..) {
            let slot = &mut self.clients[index];
            let (connection, opens) = slot.connection(to);
            let request = Box::new(ClientRequest {
                connection,
                correlation_id,
                api_key,
                api_version,
                client_id: Some(slot.name()),
                request,
                inspected: None,
            });
            let broker = client::broker_at(to);
            self.depart(from, broker, Messages::Requests, Event::FromClient { broker, opens, request });
        }
        self.sent = sent;
        for connection in given_up {
            self.close_from_client(id, connection);
        }
    }

    pub(super) fn close_from_client(&mut self, client: ClientId, connection: ConnectionId) {
        let broker = self.connections.get(connection).map(|open| open.broker);
        if let (Some(broker), Some(from)) = (broker, self.client(client).map(ClientSlot::node)) {
            self.depart(from, broker, Messages::Requests, Event::ClosedByClient(connection));
        }
    }

    pub(crate) fn client(&self, id: ClientId) -> Option<&ClientSlot> {
        self.clients.get(id.0 as usize)
    }

    pub(crate) fn has_client(&self, id: ClientId) -> bool {
        self.client(id).is_some()
    }

    pub(crate) fn client_mut(&mut self, id: ClientId) -> Option<&mut ClientSlot> {
        self.clients.get_mut(id.0 as usize)
    }

    /// What a simulated producer has done.
    pub fn producer(&self, id: ClientId) -> Option<&ProducerReport> {
        self.client(id)?.producer()
    }

    /// What a simulated transactional producer has done.
    pub fn transactional(&self, id: ClientId) -> Option<&TransactionalReport> {
        self.client(id)?.transactional()
    }

    /// What a simulated consumer has seen.
    pub fn consumer(&self, id: ClientId) -> Option<&ConsumerReport> {
        self.client(id)?.consumer()
    }
}
