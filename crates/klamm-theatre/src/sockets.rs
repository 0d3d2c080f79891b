//! Requests of scripted clients over real sockets: sent at once, answered whenever.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use klamm_node::NodeId;
use klamm_scenario::theatre::{Answer, Ticket};
use klamm_wire::api::{decode_response, encode_request};
use klamm_wire::messages::ResponseKind;
use socket2::SockRef;

use klamm_wire::{
    ApiKey, ErrorCode, FetchPartition, FetchResponse, FetchTopic, Request, RequestHeader, Response, StrBytes,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Larger than any answer that a scenario asks for.
const MAX_FRAME: usize = 256 << 20;

/// Every connection, and what waits for an answer.
#[derive(Debug, Default)]
pub struct Sockets {
    names: BTreeMap<u32, String>,
    connections: BTreeMap<(u32, NodeId), Connection>,
    next_ticket: u64,
    answers: BTreeMap<Ticket, Answer>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    received: BytesMut,
    open: BTreeMap<i32, (Ticket, ApiKey, i16)>,
    /// Requests that no answer comes to: they are over when the connection closes, if it does.
    unanswered: Vec<Ticket>,
}

impl Sockets {
    /// Gives a client its `client.id`.
    pub fn name(&mut self, client: u32, name: &str) {
        self.names.insert(client, name.to_owned());
    }

    /// A ticket for a request.
    pub(crate) const fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    /// Sends a request to a broker at `address`. Where that cannot be, its connection is closed.
    pub fn ask(
        &mut self,
        client: u32,
        broker: NodeId,
        address: &str,
        (key, version): (ApiKey, i16),
        request: &Request,
    ) -> Ticket {
        let ticket = self.ticket();
        if !self.send(ticket, client, broker, address, (key, version), request) {
            self.answers.insert(ticket, Answer::Closed);
        }
        ticket
    }

    /// Sends a request that has a ticket; false when the connection cannot be made, or is broken.
    pub(crate) fn send(
        &mut self,
        ticket: Ticket,
        client: u32,
        broker: NodeId,
        address: &str,
        (key, version): (ApiKey, i16),
        request: &Request,
    ) -> bool {
        let sent = self.try_send(ticket, client, broker, address, (key, version), request).is_some();
        if !sent {
            self.close(client, broker);
            self.answers.remove(&ticket);
        }
        sent
    }

    fn try_send(
        &mut self,
        ticket: Ticket,
        client: u32,
        broker: NodeId,
        address: &str,
        (key, version): (ApiKey, i16),
        request: &Request,
    ) -> Option<()> {
        let correlation_id = correlation_id(ticket);
        let name = self.names.get(&client).cloned().unwrap_or_else(|| "klamm".to_owned());
        let header = RequestHeader {
            api_key: key,
            api_version: version,
            correlation_id,
            client_id: Some(StrBytes::from(name)),
        };
        let frame = encode_request(&header, request).ok()?;
        let connection = match self.connections.entry((client, broker)) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => place.insert(Connection::open(address).ok()?),
        };
        if matches!(request, Request::Produce(produce) if produce.acks == 0) {
            connection.unanswered.push(ticket);
        } else {
            connection.open.insert(correlation_id, (ticket, key, version));
        }
        connection.send(&frame).ok()
    }

    /// Takes what has arrived; whether anything has.
    pub fn pump(&mut self) -> bool {
        let mut any = false;
        let mut broken = Vec::new();
        for (of, connection) in &mut self.connections {
            match connection.receive(&mut self.answers) {
                Ok(received) => any |= received,
                Err(_) => broken.push(*of),
            }
        }
        for (client, broker) in broken {
            any = true;
            self.close(client, broker);
        }
        any
    }

    /// Takes the answer to a request, if there is one.
    pub fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.answers.remove(&ticket)
    }

    /// Answers a request in the place of its broker, which does not.
    pub(crate) fn end(&mut self, ticket: Ticket, answer: Answer) {
        for connection in self.connections.values_mut() {
            connection.unanswered.retain(|unanswered| *unanswered != ticket);
            connection.open.retain(|_, (open, ..)| *open != ticket);
        }
        self.answers.insert(ticket, answer);
    }

    /// Whether a request waits for its answer, or for the news that its connection is closed.
    pub(crate) fn is_waiting(&self, ticket: Ticket) -> bool {
        self.connections.values().any(|connection| {
            connection.open.values().any(|(open, ..)| *open == ticket)
                || connection.unanswered.contains(&ticket)
        })
    }

    /// Closes the connection that a request waits on.
    pub fn give_up(&mut self, ticket: Ticket) {
        let of = self
            .connections
            .iter()
            .find(|(_, connection)| connection.open.values().any(|(open, ..)| *open == ticket));
        if let Some((client, broker)) = of.map(|(of, _)| *of) {
            self.close(client, broker);
            self.answers.remove(&ticket);
        }
    }

    fn close(&mut self, client: u32, broker: NodeId) {
        let Some(connection) = self.connections.remove(&(client, broker)) else { return };
        // Both ends know at once: a broker that still owes an answer would take the end of the stream for patience.
        let _ = SockRef::from(&connection.stream).set_linger(Some(Duration::ZERO));
        let tickets = connection.open.into_values().map(|(ticket, ..)| ticket).chain(connection.unanswered);
        self.answers.extend(tickets.map(|ticket| (ticket, Answer::Closed)));
    }
}

impl Connection {
    fn open(address: &str) -> std::io::Result<Self> {
        let addresses = std::net::ToSocketAddrs::to_socket_addrs(address)?;
        let mut failure = std::io::Error::from(ErrorKind::NotFound);
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    let (open, unanswered) = (BTreeMap::new(), Vec::new());
                    return Ok(Self { stream, received: BytesMut::new(), open, unanswered });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn send(&mut self, mut frame: &[u8]) -> std::io::Result<()> {
        self.stream.set_nonblocking(false)?;
        while !frame.is_empty() {
            let written = self.stream.write(frame)?;
            frame = &frame[written..];
        }
        self.stream.set_nonblocking(true)
    }

    /// Reads what is there; whether anything was. An error when the connection is closed or says what no broker says.
    fn receive(&mut self, answers: &mut BTreeMap<Ticket, Answer>) -> std::io::Result<bool> {
        let mut any = false;
        let mut chunk = [0; 1 << 16];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    any = true;
                    self.received.extend_from_slice(&chunk[..read]);
                    self.answers(answers)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(any),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn answers(&mut self, answers: &mut BTreeMap<Ticket, Answer>) -> std::io::Result<()> {
        while let Some(size) = self.received.first_chunk::<4>() {
            let size = u32::from_be_bytes(*size) as usize;
            if !(4..=MAX_FRAME).contains(&size) {
                return Err(ErrorKind::InvalidData.into());
            }
            if self.received.len() < 4 + size {
                break;
            }
            self.received.advance(4);
            let frame = self.received.split_to(size).freeze();
            let correlation_id = frame.first_chunk::<4>().map_or(-1, |id| i32::from_be_bytes(*id));
            let Some((ticket, key, version)) = self.open.remove(&correlation_id) else { continue };
            let answer = match decode_response(key, version, frame) {
                Ok((_, kind)) => Answer::Response(Box::new(response(kind))),
                Err(_) => Answer::Closed,
            };
            answers.insert(ticket, answer);
        }
        Ok(())
    }
}

/// The correlation id of a request: its ticket.
pub(crate) const fn correlation_id(ticket: Ticket) -> i32 {
    (ticket.0 & 0x7fff_ffff) as i32
}

/// A decoded response as the world has it.
fn response(kind: ResponseKind) -> Response {
    let ResponseKind::Fetch(fetch) = kind else { return kind.into() };
    let topics = fetch.responses.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| FetchPartition {
            partition: partition.partition_index,
            error_code: ErrorCode::from_code(partition.error_code).unwrap_or(ErrorCode::UnknownServerError),
            high_watermark: partition.high_watermark,
            last_stable_offset: partition.last_stable_offset,
            log_start_offset: partition.log_start_offset,
            diverging_epoch: Some(partition.diverging_epoch),
            current_leader: None,
            snapshot_id: None,
            aborted_transactions: partition.aborted_transactions,
            preferred_read_replica: partition.preferred_read_replica,
            records: partition.records.into_iter().collect(),
        });
        FetchTopic { topic: topic.topic.0, topic_id: topic.topic_id, partitions: partitions.collect() }
    });
    FetchResponse {
        throttle_time_ms: fetch.throttle_time_ms,
        error_code: ErrorCode::from_code(fetch.error_code).unwrap_or(ErrorCode::UnknownServerError),
        session_id: fetch.session_id,
        topics: topics.collect(),
        node_endpoints: Vec::new(),
    }
    .into()
}
