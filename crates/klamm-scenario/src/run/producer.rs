//! A producer that is told step by step what to send.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klamm_node::{NodeId, Timestamp, TopicPartition};
use klamm_wire::ErrorCode;

use super::ask;
use super::told::Told;
use super::txn;
use crate::step::{ProducerSpec, Send};
use crate::theatre::{Answer, Ticket, Wire};

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Kafka's name of the error; `NONE` for success, `DISCONNECTED` when the connection broke.
    pub(crate) error: String,
    /// The first record's offset, as the broker told it; -1 when it told none.
    pub(crate) offset: i64,
    /// For how long the broker says that the producer is throttled.
    pub(crate) throttle_ms: i32,
}

#[derive(Debug)]
pub(crate) struct Producer {
    spec: ProducerSpec,
    client: u32,
    /// Producer id and epoch.
    identity: Option<(i64, i16)>,
    sequences: BTreeMap<TopicPartition, i32>,
    batches: Vec<Batch>,
    /// Results since anybody asked, as lines for a report.
    told: Told,
    /// Requests that nobody answers, while their connection lives.
    unanswered: Vec<Ticket>,
    /// How often a broker closed a connection instead of an answer.
    disconnects: u64,
    /// What the answer that is looked at says of it.
    throttle_ms: i32,
    /// Its transactions.
    pub(super) txn: Transactions,
}

/// Where a producer stands in its transactions.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// The broker that is believed to coordinate them.
    pub(super) coordinator: Option<NodeId>,
    /// Whether one was begun and not ended.
    pub(super) open: bool,
    /// Whether anything belongs to it.
    pub(super) used: bool,
    /// What was added to it, where leaders do not do that.
    pub(super) added: BTreeSet<TopicPartition>,
    /// Groups whose offsets were added to it, likewise.
    pub(super) groups: BTreeSet<String>,
    /// Whether a batch of it failed, so that sequences have a hole.
    pub(super) failed: bool,
}

impl Transactions {
    /// No transaction is open.
    pub(super) fn start_anew(&mut self) {
        self.open = false;
        self.used = false;
        self.added.clear();
        self.groups.clear();
    }
}

#[derive(Debug)]
struct Batch {
    to: TopicPartition,
    records: Vec<String>,
    acks: i16,
    /// The broker to ask, whoever leads.
    broker: Option<NodeId>,
    key: Option<String>,
    age_ms: i64,
    tombstone: bool,
    sequence: Option<i32>,
    /// What it claims to be, instead of what the producer counts.
    forged: (Option<i32>, Option<i16>),
    transactional: bool,
    retries: u32,
    delivered_by: Timestamp,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It goes on at this time.
    Waiting(Timestamp),
    /// It asks the broker at this place of the list for a producer id.
    Identifying(Ticket, usize),
    /// It asks the broker at this place of the list who coordinates the transactions.
    Finding(Ticket, usize),
    /// It asks the coordinator to add its partition to the transaction.
    Adding(Ticket),
    /// It asks the broker at this place of the list who leads.
    Locating(Ticket, usize),
    /// The leader has it.
    Asked(Ticket, Timestamp),
    Done(Outcome),
}

impl Producer {
    pub(crate) fn new(client: u32, spec: ProducerSpec) -> Self {
        Self {
            spec,
            client,
            identity: None,
            sequences: BTreeMap::new(),
            batches: Vec::new(),
            told: Told::default(),
            unanswered: Vec::new(),
            disconnects: 0,
            throttle_ms: 0,
            txn: Transactions::default(),
        }
    }

    pub(crate) const fn spec(&self) -> &ProducerSpec {
        &self.spec
    }

    pub(crate) fn send(&mut self, send: &Send, now: Timestamp) {
        let batches: Vec<Vec<String>> = if send.one_batch {
            vec![send.records.clone()]
        } else {
            send.records.iter().map(|record| vec![record.clone()]).collect()
        };
        self.txn.used |= self.txn.open;
        for records in batches {
            self.batches.push(Batch {
                to: send.to.clone(),
                records,
                acks: send.acks.unwrap_or(self.spec.acks),
                broker: send.broker,
                key: send.key.clone(),
                age_ms: send.age_ms,
                tombstone: send.tombstone,
                sequence: None,
                forged: (send.sequence, send.epoch),
                transactional: self.txn.open,
                retries: 0,
                delivered_by: now + self.spec.delivery_timeout,
                state: State::Waiting(now),
            });
        }
    }

    /// The outcome of the batch with this record, and the record's place in it; `None` while there is none.
    pub(crate) fn outcome(&self, record: &str) -> Option<(&Outcome, usize)> {
        self.batches.iter().find_map(|batch| {
            let at = batch.records.iter().position(|other| other == record)?;
            match &batch.state {
                State::Done(outcome) => Some((outcome, at)),
                _ => None,
            }
        })
    }

    /// Records without a result.
    pub(crate) fn pending(&self) -> Vec<String> {
        let pending = self.batches.iter().filter(|batch| !matches!(batch.state, State::Done(_)));
        pending.flat_map(|batch| batch.records.clone()).collect()
    }

    /// How often a broker closed a connection instead of an answer.
    pub(crate) const fn disconnects(&self) -> u64 {
        self.disconnects
    }

    /// Results since this was last called.
    pub(crate) fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told).finish(&self.spec.name)
    }

    /// Does whatever can be done now.
    pub(crate) fn go_on(&mut self, wire: &mut impl Wire) {
        for at in 0..self.batches.len() {
            while self.batch(at, wire) {}
        }
        self.unanswered.retain(|ticket| match wire.answer(*ticket) {
            None => true,
            Some(answer) => {
                if matches!(answer, Answer::Closed) {
                    self.disconnects += 1;
                    self.told.line(&self.spec.name, "finds its connection closed".to_owned());
                }
                false
            }
        });
    }

    /// When it has something to do though nothing is answered.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let deadlines = self.batches.iter().filter_map(|batch| match &batch.state {
            State::Waiting(at) => Some((*at).min(batch.delivered_by)),
            State::Asked(_, until) => Some((*until).min(batch.delivered_by)),
            State::Identifying(..) | State::Finding(..) | State::Adding(_) | State::Locating(..) => {
                Some(batch.delivered_by)
            }
            State::Done(_) => None,
        });
        deadlines.min()
    }

    /// Takes one step with a batch; false when it waits or is done.
    fn batch(&mut self, at: usize, wire: &mut impl Wire) -> bool {
        let now = wire.now();
        let batch = &self.batches[at];
        match &batch.state {
            State::Done(_) => false,
            _ if batch.delivered_by <= now => {
                if let State::Asked(ticket, _) = batch.state {
                    wire.give_up(ticket);
                }
                self.done(at, ErrorCode::RequestTimedOut.name().to_owned(), -1);
                false
            }
            State::Waiting(until) => {
                // Batches of a partition leave in order.
                let behind = self.batches[..at].iter().any(|before| {
                    before.to == batch.to && !matches!(before.state, State::Done(_) | State::Asked(..))
                });
                *until <= now && !behind && self.ask(at, wire)
            }
            State::Identifying(ticket, place) => {
                let (ticket, place) = (*ticket, *place);
                let Some(answer) = wire.answer(ticket) else { return false };
                self.identified(at, place, &answer, wire)
            }
            State::Finding(ticket, place) => {
                let (ticket, place) = (*ticket, *place);
                let Some(answer) = wire.answer(ticket) else { return false };
                self.found(at, place, &answer, wire)
            }
            State::Adding(ticket) => {
                let Some(answer) = wire.answer(*ticket) else { return false };
                self.added(at, &answer, wire)
            }
            State::Locating(ticket, place) => {
                let (ticket, place) = (*ticket, *place);
                let Some(answer) = wire.answer(ticket) else { return false };
                self.located(at, place, &answer, wire)
            }
            State::Asked(ticket, until) => {
                let (ticket, until) = (*ticket, *until);
                match wire.answer(ticket) {
                    Some(answer) => self.answered(at, &answer, now),
                    None if until <= now => {
                        wire.give_up(ticket);
                        self.failed(at, "DISCONNECTED".to_owned(), true, now)
                    }
                    None => false,
                }
            }
        }
    }

    fn ask(&mut self, at: usize, wire: &mut impl Wire) -> bool {
        if self.spec.idempotent && self.identity.is_none() {
            if self.spec.transactional.is_some() {
                // Kafka's producer refuses to send before `initTransactions`.
                return self.failed(at, "ILLEGAL_STATE".to_owned(), false, wire.now());
            }
            return self.identify(at, 0, wire);
        }
        let batch = &self.batches[at];
        if batch.transactional && !self.leaders_add() && !self.txn.added.contains(&batch.to) {
            return match self.txn.coordinator {
                Some(coordinator) => self.add(at, coordinator, wire),
                None => self.find(at, 0, wire),
            };
        }
        match self.batches[at].broker {
            Some(broker) => self.produce(at, broker, wire),
            None => self.locate(at, 0, wire),
        }
    }

    fn identify(&mut self, at: usize, place: usize, wire: &mut impl Wire) -> bool {
        let Some(broker) = wire.brokers().get(place).copied() else {
            return self.failed(at, "DISCONNECTED".to_owned(), true, wire.now());
        };
        let (key, version) = ask::INIT_PRODUCER_ID;
        let ticket = wire.ask(self.client, broker, key, version, ask::init_producer_id());
        self.batches[at].state = State::Identifying(ticket, place);
        true
    }

    fn identified(&mut self, at: usize, place: usize, answer: &Answer, wire: &mut impl Wire) -> bool {
        let Answer::Response(response) = answer else { return self.identify(at, place + 1, wire) };
        match ask::identity(response) {
            Ok(identity) => {
                self.identity = Some(identity);
                self.ask(at, wire)
            }
            // A broker that fetches its first block of producer ids. Kafka's producer asks again whatever its `retries` are.
            Err(error) if error == ErrorCode::CoordinatorLoadInProgress.name() => {
                self.batches[at].state = State::Waiting(wire.now() + self.spec.retry_backoff);
                false
            }
            Err(error) => self.failed(at, error, true, wire.now()),
        }
    }

    /// Whether partitions are added to transactions by the leaders that are written to (KIP-890).
    fn leaders_add(&self) -> bool {
        self.spec.transactional.as_ref().is_some_and(|transactional| transactional.v2)
    }

    fn find(&mut self, at: usize, place: usize, wire: &mut impl Wire) -> bool {
        let Some(broker) = wire.brokers().get(place).copied() else {
            return self.failed(at, "DISCONNECTED".to_owned(), true, wire.now());
        };
        let id = self.spec.transactional.as_ref().map_or("", |transactional| &transactional.id);
        let (key, version, request) = txn::find_coordinator(id, true);
        let ticket = wire.ask(self.client, broker, key, version, request);
        self.batches[at].state = State::Finding(ticket, place);
        true
    }

    fn found(&mut self, at: usize, place: usize, answer: &Answer, wire: &mut impl Wire) -> bool {
        let Answer::Response(response) = answer else { return self.find(at, place + 1, wire) };
        match txn::coordinator(response) {
            Ok(coordinator) => {
                self.txn.coordinator = Some(coordinator);
                self.ask(at, wire)
            }
            Err(_) => self.later(at, wire.now()),
        }
    }

    fn add(&mut self, at: usize, coordinator: NodeId, wire: &mut impl Wire) -> bool {
        let Some((transactional, identity)) = self.spec.transactional.as_ref().zip(self.identity) else {
            return false;
        };
        let batch = &self.batches[at];
        let identity = (identity.0, batch.forged.1.unwrap_or(identity.1));
        let (key, version, request) = txn::add_partition(&transactional.id, identity, &batch.to);
        let ticket = wire.ask(self.client, coordinator, key, version, request);
        self.batches[at].state = State::Adding(ticket);
        true
    }

    fn added(&mut self, at: usize, answer: &Answer, wire: &mut impl Wire) -> bool {
        let error = match answer {
            Answer::Response(response) => txn::error(response),
            _ => ErrorCode::NetworkException,
        };
        match error {
            ErrorCode::None => {
                let to = self.batches[at].to.clone();
                self.txn.added.insert(to);
                self.ask(at, wire)
            }
            error if error.is_retriable() => {
                if error != ErrorCode::ConcurrentTransactions {
                    self.txn.coordinator = None;
                }
                self.later(at, wire.now())
            }
            error => self.failed(at, error.name().to_owned(), false, wire.now()),
        }
    }

    /// Tries again in a moment: that is no retry of the batch.
    fn later(&mut self, at: usize, now: Timestamp) -> bool {
        self.batches[at].state = State::Waiting(now + txn::BACKOFF);
        false
    }

    /// Its number among the clients.
    pub(super) const fn client(&self) -> u32 {
        self.client
    }

    /// Its producer id and epoch.
    pub(super) const fn identity(&self) -> Option<(i64, i16)> {
        self.identity
    }

    /// Takes a producer id and epoch; its sequences begin anew with another one.
    pub(super) fn set_identity(&mut self, identity: (i64, i16)) {
        if self.identity != Some(identity) {
            self.sequences.clear();
        }
        self.identity = Some(identity);
    }

    /// Tells something of its transactions.
    pub(super) fn tell(&mut self, text: String) {
        self.told.line(&self.spec.name, text);
    }

    fn locate(&mut self, at: usize, place: usize, wire: &mut impl Wire) -> bool {
        let Some(broker) = wire.brokers().get(place).copied() else {
            return self.failed(at, "DISCONNECTED".to_owned(), true, wire.now());
        };
        let (key, version) = ask::METADATA;
        let ticket =
            wire.ask(self.client, broker, key, version, ask::metadata(&self.batches[at].to.topic, false));
        self.batches[at].state = State::Locating(ticket, place);
        true
    }

    fn located(&mut self, at: usize, place: usize, answer: &Answer, wire: &mut impl Wire) -> bool {
        let Answer::Response(response) = answer else { return self.locate(at, place + 1, wire) };
        match ask::leader(response, self.batches[at].to.partition) {
            Ok(leader) => self.produce(at, leader, wire),
            Err(error) => self.failed(at, error, true, wire.now()),
        }
    }

    fn produce(&mut self, at: usize, broker: NodeId, wire: &mut impl Wire) -> bool {
        let now = wire.now();
        let batch = &mut self.batches[at];
        let (forged_sequence, forged_epoch) = batch.forged;
        let identity = self.identity.filter(|_| self.spec.idempotent).map(|(id, epoch)| {
            let epoch = forged_epoch.unwrap_or(epoch);
            if let Some(sequence) = forged_sequence {
                return (id, epoch, sequence);
            }
            let next = self.sequences.entry(batch.to.clone()).or_default();
            let sequence = *batch.sequence.get_or_insert_with(|| {
                let sequence = *next;
                *next += i32::try_from(batch.records.len()).unwrap_or(i32::MAX);
                sequence
            });
            (id, epoch, sequence)
        });
        let timeout = self.spec.request_timeout;
        let request = ask::produce(&ask::Produce {
            to: &batch.to,
            acks: batch.acks,
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            identity,
            values: &batch.records,
            tombstones: batch.tombstone,
            key: batch.key.as_deref(),
            wall: wire.wall_millis() - batch.age_ms,
            transactional_id: self
                .spec
                .transactional
                .as_ref()
                .filter(|_| batch.transactional)
                .map(|transactional| transactional.id.as_str()),
        });
        let (key, version) = match self.spec.transactional.as_ref().filter(|_| batch.transactional) {
            Some(transactional) => txn::produce_version(transactional),
            None => ask::PRODUCE,
        };
        let ticket = wire.ask(self.client, broker, key, version, request);
        if batch.acks == 0 {
            // Nobody will ever say what came of it.
            self.unanswered.push(ticket);
            self.done(at, ErrorCode::None.name().to_owned(), -1);
            return false;
        }
        // The broker answers when its own timeout ends; the client waits a little longer for that.
        self.batches[at].state = State::Asked(ticket, now + timeout + Duration::from_secs(1));
        true
    }

    fn answered(&mut self, at: usize, answer: &Answer, now: Timestamp) -> bool {
        let Answer::Response(response) = answer else {
            self.disconnects += 1;
            return self.failed(at, "DISCONNECTED".to_owned(), true, now);
        };
        let (code, offset, throttle_ms) = ask::produced(response);
        self.throttle_ms = throttle_ms;
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => {
                self.done(at, ErrorCode::None.name().to_owned(), offset);
                false
            }
            error => self.failed(at, ask::error_name(code), error.is_some_and(ErrorCode::is_retriable), now),
        }
    }

    /// Tries again if it may; else that is the result.
    fn failed(&mut self, at: usize, error: String, retriable: bool, now: Timestamp) -> bool {
        let batch = &mut self.batches[at];
        if retriable && batch.retries < self.spec.retries {
            batch.retries += 1;
            self.told.line(&self.spec.name, format!("{}: {error}, tries again", batch.records.join(" ")));
            batch.state = State::Waiting(now + self.spec.retry_backoff);
            return false;
        }
        self.txn.failed |= batch.transactional;
        if batch.sequence.is_some() && self.spec.transactional.is_none() {
            // What comes next must not leave a hole: as Kafka's producer does, begin anew in the next epoch
            // (`TransactionManager.bumpIdempotentProducerEpoch`).
            self.identity = self.identity.map(|(id, epoch)| (id, epoch.wrapping_add(1)));
            self.sequences.clear();
        }
        self.done(at, error, -1);
        false
    }

    fn done(&mut self, at: usize, error: String, offset: i64) {
        let batch = &mut self.batches[at];
        self.told.result(&self.spec.name, &batch.records, &error, offset);
        let throttle_ms = std::mem::take(&mut self.throttle_ms);
        if throttle_ms > 0 {
            self.told.line(&self.spec.name, format!("is throttled for {throttle_ms} ms"));
        }
        batch.state = State::Done(Outcome { error, offset, throttle_ms });
    }
}
