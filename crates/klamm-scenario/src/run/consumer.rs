//! A consumer that is told step by step what to read.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use klamm_node::{NodeId, Timestamp, TopicPartition};
use klamm_wire::fetch_response::FetchPartition;
use klamm_wire::record::batch::BatchIter;
use klamm_wire::record::inspect::DECOMPRESSED_LIMIT;
use klamm_wire::{ErrorCode, Response};

use super::ask;
use crate::step::{Consume, ConsumerSpec};
use crate::theatre::{Answer, Ticket, Wire};

#[derive(Debug)]
pub(crate) struct Consumer {
    spec: ConsumerSpec,
    client: u32,
    partitions: BTreeMap<TopicPartition, Position>,
    reading: Option<Reading>,
    told: Vec<String>,
}

/// What it has read of a partition.
#[derive(Debug, Default)]
pub(crate) struct Position {
    next: i64,
    /// Values with their offsets, in the order in which they were read.
    pub(crate) records: Vec<(i64, String)>,
    /// What the last read ended in.
    pub(crate) error: Option<String>,
}

#[derive(Debug)]
struct Reading {
    what: Consume,
    until: Timestamp,
    read: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Begin,
    Locating(Ticket, usize),
    Fetching(Ticket),
}

impl Consumer {
    pub(crate) const fn new(client: u32, spec: ConsumerSpec) -> Self {
        Self { spec, client, partitions: BTreeMap::new(), reading: None, told: Vec::new() }
    }

    pub(crate) fn consume(&mut self, what: &Consume, now: Timestamp) {
        let position = self.partitions.entry(what.partition.clone()).or_default();
        if let Some(from) = what.from {
            position.next = from;
        }
        position.error = None;
        let until = now + self.spec.request_timeout;
        self.reading = Some(Reading { what: what.clone(), until, read: 0, state: State::Begin });
    }

    pub(crate) fn position(&self, partition: &TopicPartition) -> Option<&Position> {
        self.partitions.get(partition)
    }

    pub(crate) const fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    pub(crate) fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.reading.as_ref().map(|reading| reading.until)
    }

    pub(crate) fn go_on(&mut self, wire: &mut impl Wire) {
        while self.step(wire) {}
    }

    fn step(&mut self, wire: &mut impl Wire) -> bool {
        let Some(reading) = &mut self.reading else { return false };
        match &reading.state {
            _ if reading.until <= wire.now() => {
                if let State::Locating(ticket, _) | State::Fetching(ticket) = reading.state {
                    wire.give_up(ticket);
                }
                self.end(ErrorCode::RequestTimedOut.name())
            }
            State::Begin => match reading.what.broker {
                Some(broker) => self.fetch(broker, wire),
                None => self.locate(0, wire),
            },
            State::Locating(ticket, place) => {
                let place = *place;
                let Some(answer) = wire.answer(*ticket) else { return false };
                let Answer::Response(response) = answer else { return self.locate(place + 1, wire) };
                match ask::leader(&response, reading.what.partition.partition) {
                    Ok(leader) => self.fetch(leader, wire),
                    Err(error) => self.end(&error),
                }
            }
            State::Fetching(ticket) => {
                let Some(answer) = wire.answer(*ticket) else { return false };
                let Answer::Response(response) = answer else { return self.end("DISCONNECTED") };
                self.fetched(*response, wire)
            }
        }
    }

    fn locate(&mut self, place: usize, wire: &mut impl Wire) -> bool {
        let Some(broker) = wire.brokers().get(place).copied() else { return self.end("DISCONNECTED") };
        let Some(reading) = &mut self.reading else { return false };
        let (key, version) = ask::METADATA;
        let ticket =
            wire.ask(self.client, broker, key, version, ask::metadata(&reading.what.partition.topic, false));
        reading.state = State::Locating(ticket, place);
        true
    }

    fn fetch(&mut self, broker: NodeId, wire: &mut impl Wire) -> bool {
        let Some(reading) = &mut self.reading else { return false };
        let position = self.partitions.entry(reading.what.partition.clone()).or_default();
        let (key, version) = ask::FETCH;
        let request = ask::fetch(&ask::Fetch {
            partition: &reading.what.partition,
            offset: position.next,
            epoch: reading.what.epoch,
            last_epoch: reading.what.last_epoch,
            max_wait: reading.what.max_wait,
            read_committed: self.spec.read_committed,
            rack: self.spec.rack.as_deref(),
        });
        reading.what.broker = Some(broker);
        reading.state = State::Fetching(wire.ask(self.client, broker, key, version, request));
        true
    }

    fn fetched(&mut self, response: Response, wire: &mut impl Wire) -> bool {
        let Response::Fetch(mut response) = response else { return self.end("DISCONNECTED") };
        let partition = response.topics.pop().and_then(|mut topic| topic.partitions.pop());
        let Some(partition) = partition else {
            let broker = self.reading.as_ref().and_then(|reading| reading.what.broker);
            return match (broker, response.throttle_time_ms) {
                // Its next fetch is not begun before that time.
                (Some(broker), by) if by > 0 => {
                    self.told.push(format!("{} is throttled for {by} ms", self.spec.name));
                    self.fetch(broker, wire)
                }
                _ => self.end(response.error_code.name()),
            };
        };
        if partition.error_code != ErrorCode::None {
            return self.end(partition.error_code.name());
        }
        if let Some(end) = partition.diverging_epoch.as_ref().filter(|end| end.epoch >= 0) {
            self.told.push(format!("{}: epoch {} ended at {}", self.spec.name, end.epoch, end.end_offset));
            return self.end("DIVERGING_EPOCH");
        }
        let preferred = NodeId(partition.preferred_read_replica.0);
        if preferred.0 >= 0
            && self.reading.as_ref().is_some_and(|reading| reading.what.broker != Some(preferred))
        {
            self.told.push(format!("{} is sent to read from broker {preferred}", self.spec.name));
            return self.fetch(preferred, wire);
        }
        if !self.read(&partition) {
            return self.end(ErrorCode::None.name());
        }
        let broker = self.reading.as_ref().and_then(|reading| reading.what.broker);
        broker.is_some_and(|broker| self.fetch(broker, wire))
    }

    /// Takes the records of an answer; false when it brought nothing new.
    fn read(&mut self, answer: &FetchPartition) -> bool {
        let Some(reading) = &mut self.reading else { return false };
        let Some(position) = self.partitions.get_mut(&reading.what.partition) else { return false };
        let before = position.next;
        let mut aborted: Vec<_> = answer.aborted_transactions.iter().flatten().collect();
        aborted.sort_by_key(|txn| std::cmp::Reverse(txn.first_offset));
        // Producers whose transaction was aborted, from its first offset to its marker.
        let mut hidden = BTreeSet::new();
        let bytes: Bytes = answer.records.concat().into();
        for batch in BatchIter::new(bytes).map_while(Result::ok) {
            let header = &batch.header;
            while let Some(txn) = aborted.pop_if(|txn| txn.first_offset <= header.last_offset()) {
                hidden.insert(txn.producer_id.0);
            }
            if header.is_control() {
                hidden.remove(&header.producer_id);
            }
            let is_aborted =
                self.spec.read_committed && header.is_transactional() && hidden.contains(&header.producer_id);
            let records = batch.records(DECOMPRESSED_LIMIT);
            for record in records.iter().flatten().map_while(Result::ok) {
                let offset = header.base_offset + i64::from(record.offset_delta);
                if offset < position.next || header.is_control() || is_aborted {
                    continue;
                }
                let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
                position.records.push((offset, value));
                reading.read += 1;
            }
            position.next = position.next.max(header.next_offset());
        }
        position.next > before
    }

    fn end(&mut self, error: &str) -> bool {
        let Some(reading) = self.reading.take() else { return false };
        let position = self.partitions.entry(reading.what.partition.clone()).or_default();
        position.error = Some(error.to_owned());
        let partition = &reading.what.partition;
        let from = reading.what.broker.map(|broker| format!(" from broker {broker}")).unwrap_or_default();
        self.told.push(format!(
            "{} reads {partition}{from}: {error}, {} records, next offset {}",
            self.spec.name, reading.read, position.next
        ));
        false
    }
}
