//! One client's connection: read, split, decode and check outside the lock; encode and write outside the lock.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use klamm_node::{ConnectionId, NodeId};
use klamm_wire::api::encode_response;
use klamm_wire::{ApiKey, KafkaVersion, StrBytes, frame};
use klamm_world::ClientRequest;
use socket2::SockRef;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until};

use crate::codec::{self, Received};
use crate::driver::Driver;
use crate::outbox::{Answer, Outbox};
use crate::runtime;

/// Requests of one connection that may be unanswered before its socket is no longer read.
const MAX_IN_FLIGHT: usize = 256;
/// Fetches among them. An answer may hold `fetch.max.bytes` of a file, and waits in memory for a client that reads slowly.
const MAX_FETCHES: usize = 4;
/// Bytes that may be unsent before its socket is no longer read.
const MAX_UNSENT: usize = 1 << 20;
/// How much room is made for reads, at least and at most: as much as reads have been filling lately. What is kept of a
/// request pins the room it was read into, so room is not made on the mere chance of more.
const ROOM: (usize, usize) = (16 << 10, 512 << 10);
/// A connection that is worth so much room carries a lot: more than small requests, a few at a time.
const BULK: usize = 64 << 10;
/// Room for a frame that has begun, beyond what it has already proved to send: a length is only a claim.
const CLAIM: usize = 1 << 20;
/// Slices in one vectored write.
const MAX_SLICES: usize = 64;

/// Limits on connections, from the broker's properties.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// `socket.request.max.bytes`.
    pub(crate) max_request: usize,
    /// `connections.max.idle.ms`; `None` for never.
    pub(crate) max_idle: Option<Duration>,
    /// Whose versions of the APIs are served.
    pub(crate) release: KafkaVersion,
}

/// A connection and its buffers.
struct Connection {
    driver: Arc<Driver>,
    stream: TcpStream,
    id: ConnectionId,
    outbox: Arc<Outbox>,
    limits: Limits,
    /// Received and not yet split into frames.
    received: BytesMut,
    /// How much room to make when there is too little left.
    room: usize,
    /// Decoded and not yet handed to the world.
    requests: Vec<ClientRequest>,
    /// Decoded, but one Fetch too many for now.
    waiting: Option<Box<ClientRequest>>,
    /// Requests that the world has not answered.
    in_flight: usize,
    /// Fetches among them.
    fetches: usize,
    /// Answers a frame that the world never saw, once everything before it is answered.
    held_back: Option<Bytes>,
    /// Taken from the outbox; empty between turns.
    answers: Vec<Answer>,
    /// Encoded and not yet sent.
    unsent: VecDeque<Bytes>,
    unsent_bytes: usize,
    /// Why the connection is closed once what is unsent has left.
    closing: Option<&'static str>,
    /// Nothing more is read: the client has closed its side, or sent what is no request.
    ended: bool,
    idle: IdleTimer,
    /// It carries a lot, and is served where such connections are.
    is_bulk: bool,
}

/// Why a task is done with a connection.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It is closed.
    Closed(&'static str),
    /// It goes on elsewhere.
    Bulk,
}

/// Ends the wait of a connection on which nothing happens. It is set again when it goes off, not with everything that happens.
#[derive(Default)]
struct IdleTimer(Option<Pin<Box<Sleep>>>);

impl IdleTimer {
    /// Whether it is `until`, which never moves back.
    fn poll(&mut self, until: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(until.into())));
        while sleep.as_mut().poll(context).is_ready() {
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until.into());
        }
        Poll::Pending
    }
}

/// What a connection can go on with.
enum Woken {
    /// The world has answered.
    Answered,
    /// So many bytes came; none says that no more will.
    Read(usize),
    /// The socket takes bytes again.
    Writable,
    /// Nothing has happened for `connections.max.idle.ms`.
    Idle,
}

/// Serves one connection until it closes.
pub(crate) async fn serve(
    driver: Arc<Driver>,
    stream: TcpStream,
    broker: NodeId,
    host: StrBytes,
    limits: Limits,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    // A client whose machine is gone is noticed in the end (as Kafka's `SocketServer` has it).
    if let Err(error) = SockRef::from(&stream).set_keepalive(true) {
        tracing::debug!(%error, "cannot set SO_KEEPALIVE");
    }
    let (id, outbox) = (driver.next_connection(), Outbox::new());
    driver.with("connect", |state| state.connect(id, broker, host.clone(), outbox.clone()));
    let mut connection = Connection {
        driver,
        stream,
        id,
        outbox,
        limits,
        received: BytesMut::new(),
        room: ROOM.0,
        requests: Vec::new(),
        waiting: None,
        in_flight: 0,
        fetches: 0,
        held_back: None,
        answers: Vec::new(),
        unsent: VecDeque::new(),
        unsent_bytes: 0,
        closing: None,
        ended: false,
        idle: IdleTimer::default(),
        is_bulk: false,
    };
    let driver = connection.driver.clone();
    let mut ended = connection.run().await;
    if matches!(ended, Ok(End::Bulk)) {
        let bulk = runtime::for_bulk(broker).spawn(connection.carry_bulk());
        ended = bulk.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
    }
    match ended {
        Ok(End::Closed(why)) => tracing::debug!(client = &*host, broker = broker.0, why, "connection closed"),
        // It goes elsewhere once.
        Ok(End::Bulk) => {}
        // A client that goes away without closing is everyday.
        Err(error) => tracing::debug!(client = &*host, broker = broker.0, %error, "connection lost"),
    }
    driver.with("disconnect", |state| state.disconnect(id));
}

impl Connection {
    /// Goes on in the runtime that this is spawned on: the socket and the timer belong to the one before.
    async fn carry_bulk(mut self) -> io::Result<End> {
        self.stream = TcpStream::from_std(self.stream.into_std()?)?;
        self.idle = IdleTimer::default();
        self.run().await
    }

    async fn run(&mut self) -> io::Result<End> {
        let mut active = Instant::now();
        loop {
            let mut progress = self.hand_over();
            let closed = self.outbox.take(&mut self.answers);
            progress |= !self.answers.is_empty();
            self.encode();
            if closed {
                self.close_behind_answers();
            }
            progress |= self.write()?;
            if progress {
                active = Instant::now();
                // One busy client must not keep a worker thread to itself.
                tokio::task::consume_budget().await;
                continue;
            }
            if let Some(why) = self.closing
                && self.unsent.is_empty()
            {
                return Ok(End::Closed(why));
            }
            if self.ended && self.in_flight == 0 && self.unsent.is_empty() {
                return Ok(End::Closed("the client is done"));
            }
            if self.room >= BULK && !self.is_bulk {
                self.is_bulk = true;
                return Ok(End::Bulk);
            }
            match self.wait(active).await? {
                Woken::Read(0) => self.ended = true,
                Woken::Read(_) => active = Instant::now(),
                Woken::Answered | Woken::Writable => {}
                Woken::Idle => return Ok(End::Closed("it was idle for connections.max.idle.ms")),
            }
        }
    }

    /// Whether more may be read: not while the client leaves its answers unread, nor while it has asked a lot.
    fn wants_input(&self) -> bool {
        !self.ended
            && self.waiting.is_none()
            && self.unsent_bytes < MAX_UNSENT
            && self.in_flight < MAX_IN_FLIGHT
    }

    /// Waits for whatever this connection can go on with.
    async fn wait(&mut self, active: Instant) -> io::Result<Woken> {
        let (wants_input, has_unsent) = (self.wants_input(), !self.unsent.is_empty());
        if wants_input {
            self.make_room();
        }
        let spare = self.received.capacity() - self.received.len();
        // A client that waits for an answer is not idle, one that does not read its answers is.
        let max_idle = self.limits.max_idle.filter(|_| self.in_flight == 0 || has_unsent);
        let Self { stream, received, outbox, idle, .. } = self;
        let woken = poll_fn(|context| {
            if outbox.poll_woken(context).is_ready() {
                return Poll::Ready(Ok(Woken::Answered));
            }
            if wants_input && let Poll::Ready(read) = pin!(stream.read_buf(received)).poll(context) {
                return Poll::Ready(read.map(Woken::Read));
            }
            if has_unsent && let Poll::Ready(ready) = stream.poll_write_ready(context) {
                return Poll::Ready(ready.map(|()| Woken::Writable));
            }
            match max_idle {
                Some(max_idle) => idle.poll(active + max_idle, context).map(|()| Ok(Woken::Idle)),
                None => Poll::Pending,
            }
        })
        .await?;
        if let Woken::Read(count) = woken {
            if count == spare {
                self.room = (self.room * 2).min(ROOM.1);
            } else if count < self.room / 8 {
                self.room = (self.room / 2).max(ROOM.0);
            }
        }
        Ok(woken)
    }

    /// Splits and decodes what was received, and hands it to the world in one go; whether there was anything.
    fn hand_over(&mut self) -> bool {
        while self.held_back.is_none()
            && self.unsent_bytes < MAX_UNSENT
            && self.in_flight + self.requests.len() < MAX_IN_FLIGHT
        {
            let Some(request) = self.next_request() else { break };
            if request.api_key == ApiKey::Fetch {
                if self.fetches == MAX_FETCHES {
                    self.waiting = Some(request);
                    break;
                }
                self.fetches += 1;
            }
            self.requests.push(*request);
        }
        if self.requests.is_empty() {
            return false;
        }
        self.in_flight += self.requests.len();
        let (id, requests) = (self.id, &mut self.requests);
        self.driver.with("request", |state| state.requests(id, requests.drain(..)));
        true
    }

    /// The next request that was received whole.
    fn next_request(&mut self) -> Option<Box<ClientRequest>> {
        if let Some(request) = self.waiting.take() {
            return Some(request);
        }
        match codec::next_request(self.id, &mut self.received, self.limits.max_request, self.limits.release) {
            Ok(Some(Received::Request(request))) => Some(request),
            Ok(Some(Received::Unsupported(answer))) => {
                self.held_back = Some(answer);
                None
            }
            Ok(None) => None,
            Err(error) => {
                let client = self.stream.peer_addr().map_or_else(|_| "?".to_owned(), |a| a.to_string());
                tracing::warn!(client, %error, "closing a connection: what it sent is no request");
                self.ended = true;
                self.received.clear();
                None
            }
        }
    }

    /// The broker closed the connection. Kafka begins a request only when the answer to the one before is written, so what was
    /// answered still leaves; nothing more is read.
    fn close_behind_answers(&mut self) {
        self.closing.get_or_insert("the broker closed it");
        self.ended = true;
        self.received.clear();
        self.waiting = None;
        self.held_back = None;
    }

    fn encode(&mut self) {
        for answer in self.answers.drain(..) {
            if self.closing.is_some() {
                break;
            }
            self.in_flight = self.in_flight.saturating_sub(1);
            let (correlation_id, api_key, api_version, response, damage) = match answer {
                Answer::Response { correlation_id, api_key, api_version, response } => {
                    (correlation_id, api_key, api_version, response, None)
                }
                Answer::Damaged { correlation_id, api_key, api_version, response, damage } => {
                    (correlation_id, api_key, api_version, response, Some(damage))
                }
                Answer::Nothing => continue,
            };
            self.fetches = self.fetches.saturating_sub(usize::from(api_key == ApiKey::Fetch));
            match encode_response(api_key, api_version, correlation_id, &response) {
                Ok(slices) => {
                    let slices = match damage {
                        None => slices,
                        Some(damage) => {
                            let mut frame = slices.concat();
                            if damage.apply(&mut frame) {
                                self.closing = Some("a fault cut an answer off");
                            }
                            vec![frame.into()]
                        }
                    };
                    self.unsent_bytes += slices.iter().map(Bytes::len).sum::<usize>();
                    self.unsent.extend(slices);
                }
                Err(error) => {
                    tracing::error!(%error, "closing a connection: klamm has a bug");
                    self.ended = true;
                }
            }
        }
        if self.in_flight == 0
            && let Some(answer) = self.held_back.take()
        {
            self.unsent_bytes += answer.len();
            self.unsent.push_back(answer);
        }
    }

    /// Writes what the socket takes; whether it took anything.
    fn write(&mut self) -> io::Result<bool> {
        let mut wrote = false;
        while !self.unsent.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.unsent) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            match self.stream.try_write_vectored(&slices[..count]) {
                Ok(written) => {
                    wrote = true;
                    self.sent(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(wrote)
    }

    fn sent(&mut self, mut written: usize) {
        self.unsent_bytes -= written;
        while let Some(front) = self.unsent.front_mut() {
            if front.len() > written {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.unsent.pop_front();
        }
    }

    /// Makes room for what comes next.
    fn make_room(&mut self) {
        // As much as the frame that has begun lacks, but no more at once than it has already proved to send:
        // a length is only a claim.
        let missing = frame::missing(&self.received, self.limits.max_request).unwrap_or(0);
        let missing = missing.min(self.received.len().max(CLAIM));
        // The last of the room is given up rather than filled by a read that is hardly worth its call.
        if self.received.capacity() - self.received.len() < missing.max(self.room / 16) {
            self.received.reserve(missing.max(self.room));
        }
    }
}
