//! Whether expectations hold.

use std::time::Duration;

use klamm_metadata::LeaderRecoveryState;
use klamm_node::{NodeId, TopicPartition, TracePattern};

use super::Runner;
use super::producer::Producer;
use super::quorum::role;
use crate::expect::{BrokerFact, Expectation, PartitionFact, RecordPattern, ReplicaFact};
use crate::report::Failure;
use crate::theatre::{Sight, Theatre};

/// How exact a time that a broker tells is taken where time is real.
const ABOUT: Duration = Duration::from_millis(500);

impl<T: Theatre> Runner<T> {
    /// What of all this does not hold now.
    pub(super) fn check(&self, all: &[Expectation]) -> Vec<Failure> {
        all.iter().flat_map(|expectation| self.check_one(expectation)).collect()
    }

    /// How many of these, or of what they say, cannot be seen here.
    pub(super) fn unseen(&self, all: &[Expectation]) -> usize {
        let hidden = |sight: Option<Sight>| sight.is_some_and(|sight| !self.stage.sees(sight));
        let facts = |expectation: &Expectation| match expectation {
            Expectation::Replica { facts, .. } => facts.iter().filter(|fact| hidden(sight_of(fact))).count(),
            Expectation::Controller { facts, .. } => facts.iter().filter(|fact| hidden(role(fact))).count(),
            _ => 0,
        };
        all.iter().map(|one| if hidden(needs(one)) { 1 } else { facts(one) }).sum()
    }

    /// Whether nothing of all this can be seen here.
    pub(super) fn all_unseen(&self, all: &[Expectation]) -> bool {
        all.iter().all(|one| needs(one).is_some_and(|sight| !self.stage.sees(sight)))
    }

    fn check_one(&self, expectation: &Expectation) -> Vec<Failure> {
        if needs(expectation).is_some_and(|sight| !self.stage.sees(sight)) {
            return Vec::new();
        }
        match expectation {
            Expectation::Partition { partition, facts } => self.check_partition(partition, facts),
            Expectation::Replica { partition, broker, facts } => {
                self.check_replica(partition, *broker, facts)
            }
            Expectation::Log { partition, broker, from, records } => {
                self.check_log(partition, *broker, *from, records)
            }
            Expectation::SameLogs { partition, brokers } => self.check_same(partition, brokers),
            Expectation::Result { client, records, error, offset, throttle } => {
                let mut failures = self.check_results(client, records, error.as_deref(), *offset);
                failures.extend(throttle.iter().flat_map(|by| self.check_throttle(client, records, *by)));
                failures
            }
            Expectation::Consumed { client, partition, records, error } => {
                self.check_consumed(client, partition, records, error.as_deref())
            }
            Expectation::Acquired { client, partition, records, deliveries } => {
                self.check_acquired(client, partition, records, *deliveries)
            }
            Expectation::Broker { broker, facts } => self.check_broker(*broker, facts),
            Expectation::Controller { controller, facts } => self.check_controller(*controller, facts),
            Expectation::Topic { topic, exists, partitions } => {
                let count = self.stage.topics().get(topic.as_bytes()).copied();
                let what = format!("topic {topic}");
                let mut check = Check::new(what);
                if let Some(exists) = exists {
                    check.flag("exists", *exists, count.is_some());
                }
                if let Some(partitions) = partitions {
                    check.number("partitions", (*partitions).into(), count.map(i64::from));
                }
                check.failures
            }
            Expectation::Group { group, facts } => self.check_group(group, facts),
            Expectation::Committed { group, partition, offset } => {
                let groups = self.stage.groups();
                let actual = groups
                    .get(group.as_bytes())
                    .and_then(|group| group.group.offsets.get(partition).copied());
                let mut check = Check::new(format!("group {group} committed of {partition}"));
                let shown = |offset: Option<i64>| {
                    offset.map_or_else(|| "none".to_owned(), |offset| offset.to_string())
                };
                check.text("offset", &shown(*offset), &shown(actual));
                check.failures
            }
            Expectation::Position { client, partition, offset } => {
                let positions = self.member_id(client).map(|id| self.stage.client_positions(id));
                let actual = positions.and_then(|positions| positions.get(partition).copied().flatten());
                let mut check = Check::new(format!("{client} of {partition}"));
                check.number("position", *offset, actual);
                check.failures
            }
            Expectation::Member { client, facts } => self.check_member(client, facts),
            Expectation::Disconnected { client, times } => {
                let actual = self.producers.get(client).map_or(0, Producer::disconnects);
                let mut check = Check::new(client.clone());
                check.number("connections closed instead of an answer", *times, i64::try_from(actual).ok());
                check.failures
            }
            Expectation::Fired { fault, times } => {
                let fired = self.fired(fault);
                let fits = times.map_or(fired > 0, |times| u64::try_from(times) == Ok(fired));
                let expected =
                    times.map_or_else(|| "it fired".to_owned(), |times| format!("it fired {times} times"));
                Check::new(format!("fault `{fault}`")).unless(fits, expected, format!("{fired} times"))
            }
            Expectation::Happened { event, times } => {
                let found = self.find(event).count();
                let fits = match times {
                    Some(times) => i64::try_from(found) == Ok(*times),
                    None => found > 0,
                };
                let expected =
                    times.map_or_else(|| "at least once".to_owned(), |times| format!("{times} times"));
                Check::new("the trace").unless(fits, format!("{event}: {expected}"), format!("{found} times"))
            }
            Expectation::Never { event } => {
                let found = self.find(event).next().map(|(_, line)| line);
                let actual = found.clone().unwrap_or_default();
                Check::new("the trace").unless(found.is_none(), format!("never {event}"), actual)
            }
            Expectation::HappenedBefore { first, second } => {
                let places = [first, second].map(|event| self.find(event).next().map(|(at, _)| at));
                let (fits, actual) = match places {
                    [Some(one), Some(other)] => (one < other, "the other way round".to_owned()),
                    [None, _] => (false, format!("{first}: it never happened")),
                    [_, None] => (false, format!("{second}: it never happened")),
                };
                Check::new("the trace").unless(fits, format!("{first} before {second}"), actual)
            }
        }
    }

    /// The trace events since the first step that are meant: place and line of each.
    fn find(&self, event: &TracePattern) -> std::vec::IntoIter<(usize, String)> {
        let found = self.stage.look(|world| {
            let trace = world.trace();
            let skip = self.trace_before.saturating_sub(trace.recorded() - trace.events().len() as u64);
            let events = trace.events().skip(usize::try_from(skip).unwrap_or(usize::MAX)).enumerate();
            let found = events.filter(|(_, found)| event.matches(found));
            found.map(|(at, found)| (at, found.to_string())).collect::<Vec<_>>()
        });
        found.unwrap_or_default().into_iter()
    }

    fn check_partition(&self, partition: &TopicPartition, facts: &[PartitionFact]) -> Vec<Failure> {
        let mut check = Check::new(partition.to_string());
        let Some(status) = self.stage.partition(&partition.topic, partition.partition) else {
            return check.unless(
                false,
                "it exists".to_owned(),
                "the controller knows of none such, or none runs".to_owned(),
            );
        };
        for fact in facts {
            match fact {
                PartitionFact::Leader(leader) => check.text("leader", &node(*leader), &node(status.leader)),
                PartitionFact::LeaderEpoch(epoch) => {
                    check.number("leader epoch", *epoch, Some(status.leader_epoch.into()))
                }
                PartitionFact::PartitionEpoch(epoch) => {
                    check.number("partition epoch", *epoch, Some(status.partition_epoch.into()));
                }
                PartitionFact::Isr(isr) => check.set("ISR", isr, &status.isr),
                PartitionFact::Elr(elr) => check.set("ELR", elr, &status.elr),
                PartitionFact::LastKnownLeader(leader) => {
                    check.text(
                        "last known leader",
                        &node(*leader),
                        &node(status.last_known_elr.first().copied()),
                    );
                }
                PartitionFact::Replicas(replicas) => {
                    check.text("replicas", &nodes(replicas), &nodes(&status.replicas))
                }
                PartitionFact::Adding(adding) => check.set("adding", adding, &status.adding_replicas),
                PartitionFact::Removing(removing) => {
                    check.set("removing", removing, &status.removing_replicas)
                }
                PartitionFact::Recovering(recovering) => check.flag(
                    "recovering",
                    *recovering,
                    status.leader_recovery_state == LeaderRecoveryState::Recovering,
                ),
                PartitionFact::LogEnd(end) => check.number("log end", *end, status.log_end()),
                PartitionFact::HighWatermark(mark) => {
                    check.number("high watermark", *mark, status.high_watermark())
                }
                PartitionFact::LastStableOffset(offset) => {
                    let leader = status.leader.and_then(|leader| status.logs.get(&leader));
                    let actual = leader.map(|log| log.last_stable_offset);
                    check.number("last stable offset", *offset, actual);
                }
            }
        }
        check.failures
    }

    fn check_replica(&self, at: &TopicPartition, broker: NodeId, facts: &[ReplicaFact]) -> Vec<Failure> {
        let mut check = Check::new(format!("replica of {at} on broker {broker}"));
        let status = self.stage.partition(&at.topic, at.partition);
        let log = status.and_then(|status| status.logs.get(&broker).copied());
        let seen = |fact: &&ReplicaFact| sight_of(fact).is_none_or(|sight| self.stage.sees(sight));
        for fact in facts.iter().filter(seen) {
            match fact {
                ReplicaFact::Hosted(hosted) => check.flag("hosted", *hosted, log.is_some()),
                ReplicaFact::LogStart(start) => {
                    check.number("log start", *start, log.map(|log| log.log_start))
                }
                ReplicaFact::LogEnd(end) => check.number("log end", *end, log.map(|log| log.log_end)),
                ReplicaFact::HighWatermark(mark) => {
                    check.number("high watermark", *mark, log.map(|log| log.high_watermark));
                }
                ReplicaFact::LastStableOffset(offset) => {
                    check.number("last stable offset", *offset, log.map(|log| log.last_stable_offset));
                }
                ReplicaFact::LeaderEpoch(epoch) => {
                    check.number("leader epoch", *epoch, log.map(|log| log.leader_epoch.into()));
                }
                ReplicaFact::Epochs(expected) => {
                    let stored = self.stage.stored_log(broker, &at.topic, at.partition);
                    let actual: Vec<_> = stored
                        .iter()
                        .flat_map(|stored| &stored.epochs)
                        .map(|entry| (entry.epoch, entry.start_offset))
                        .collect();
                    check.text("epochs", &epochs(expected), &epochs(&actual));
                }
            }
        }
        check.failures
    }

    fn check_log(
        &self,
        at: &TopicPartition,
        broker: NodeId,
        from: Option<i64>,
        expected: &[RecordPattern],
    ) -> Vec<Failure> {
        let mut actual = self.records(broker, at);
        actual.retain(|(offset, ..)| from.is_none_or(|from| *offset >= from));
        let fits = actual.len() == expected.len()
            && actual.iter().zip(expected).all(|((_, epoch, value), pattern)| {
                pattern.value == *value && pattern.epoch.is_none_or(|expected| expected == *epoch)
            });
        let expected: Vec<_> = expected
            .iter()
            .map(|pattern| match pattern.epoch {
                Some(epoch) => format!("{}@{epoch}", pattern.value),
                None => pattern.value.clone(),
            })
            .collect();
        let actual: Vec<_> = actual.iter().map(|(_, epoch, value)| format!("{value}@{epoch}")).collect();
        let check = Check::new(format!("log of {at} on broker {broker}"));
        check.unless(fits, or_empty(expected.join(" ")), or_empty(actual.join(" ")))
    }

    fn check_same(&self, at: &TopicPartition, brokers: &[NodeId]) -> Vec<Failure> {
        let logs: Vec<_> = brokers.iter().map(|broker| (broker, self.records(*broker, at))).collect();
        let Some(((first, expected), others)) = logs.split_first() else { return Vec::new() };
        let other = others.iter().find(|(_, records)| records != expected);
        let Some((other, actual)) = other else { return Vec::new() };
        let show = |broker: &NodeId, records: &[(i64, i32, String)]| {
            let records: Vec<_> =
                records.iter().map(|(_, epoch, value)| format!("{value}@{epoch}")).collect();
            format!("on broker {broker}: {}", or_empty(records.join(" ")))
        };
        Check::new(format!("logs of {at}")).unless(false, show(first, expected), show(other, actual))
    }

    pub(super) fn check_results(
        &self,
        client: &str,
        records: &[String],
        error: Option<&str>,
        offset: Option<i64>,
    ) -> Vec<Failure> {
        let Some(producer) = self.producers.get(client) else { return Vec::new() };
        let mut failures = Vec::new();
        for (index, record) in (0..).zip(records) {
            let mut check = Check::new(format!("result of {client} {record}"));
            let outcome = producer.outcome(record);
            if let Some(error) = error {
                check.text("error", error, outcome.map_or("PENDING", |(outcome, _)| outcome.error.as_str()));
            }
            if let Some(first) = offset {
                // A result without an offset is -1 for each of its records.
                let expected = if first < 0 { first } else { first + index };
                let actual = outcome.map(|(outcome, at)| match outcome.offset {
                    base if base < 0 => base,
                    base => base + i64::try_from(at).unwrap_or(i64::MAX),
                });
                check.number("offset", expected, actual);
            }
            failures.extend(check.failures);
        }
        failures
    }

    /// What the answers to records said of their producer. Real time has passed since the quota's window began, a moment more or less.
    fn check_throttle(&self, client: &str, records: &[String], by: Duration) -> Vec<Failure> {
        let Some(producer) = self.producers.get(client) else { return Vec::new() };
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let near = millis(self.stage.leeway().min(ABOUT));
        let failures = records.iter().flat_map(|record| {
            let mut check = Check::new(format!("result of {client} {record}"));
            let actual = producer.outcome(record).map(|(outcome, _)| i64::from(outcome.throttle_ms));
            if actual.is_none_or(|actual| (actual - millis(by)).abs() > near) {
                check.number("throttle in ms", millis(by), actual);
            }
            check.failures
        });
        failures.collect()
    }

    fn check_consumed(
        &self,
        client: &str,
        partition: &TopicPartition,
        records: &[String],
        error: Option<&str>,
    ) -> Vec<Failure> {
        let position = self.consumers.get(client).and_then(|consumer| consumer.position(partition));
        let mut check = Check::new(format!("{client} of {partition}"));
        let read: Vec<_> =
            position.iter().flat_map(|position| &position.records).map(|(_, value)| value.as_str()).collect();
        let polled = self.member_records(client, partition);
        let read: Vec<_> = read.into_iter().chain(polled.iter().map(String::as_str)).collect();
        check.text("consumed", &or_empty(records.join(" ")), &or_empty(read.join(" ")));
        if let Some(error) = error {
            let actual = position.and_then(|position| position.error.as_deref());
            check.text("error", error, actual.unwrap_or("PENDING"));
        }
        check.failures
    }

    fn check_acquired(
        &self,
        client: &str,
        partition: &TopicPartition,
        records: &[String],
        deliveries: Option<i16>,
    ) -> Vec<Failure> {
        let mut check = Check::new(format!("{client} of {partition}"));
        let held = self.share_held(client, partition);
        let values: Vec<_> = held.iter().map(|(value, _)| value.as_str()).collect();
        check.text("acquired", &or_empty(records.join(" ")), &or_empty(values.join(" ")));
        if let Some(expected) = deliveries {
            for (value, actual) in &held {
                check.number(&format!("deliveries of {value}"), expected.into(), Some((*actual).into()));
            }
        }
        check.failures
    }

    fn check_broker(&self, broker: NodeId, facts: &[BrokerFact]) -> Vec<Failure> {
        let registered = self.stage.metadata(|image| image.cluster.broker(broker).cloned()).flatten();
        let registered = registered.as_ref();
        let mut check = Check::new(format!("broker {broker}"));
        for fact in facts {
            match fact {
                BrokerFact::Up(up) => check.flag("up", *up, self.stage.is_up(broker)),
                BrokerFact::Registered(is) => check.flag("registered", *is, registered.is_some()),
                BrokerFact::Fenced(fenced) => {
                    check.flag("fenced", *fenced, registered.is_none_or(|registered| registered.fenced));
                }
                BrokerFact::ShuttingDown(is) => {
                    check.flag(
                        "shutting down",
                        *is,
                        registered.is_some_and(|registered| registered.in_controlled_shutdown),
                    );
                }
            }
        }
        check.failures
    }
}

/// What must be seen for an expectation to be checked at all.
const fn needs(expectation: &Expectation) -> Option<Sight> {
    match expectation {
        Expectation::Happened { .. } | Expectation::Never { .. } | Expectation::HappenedBefore { .. } => {
            Some(Sight::Trace)
        }
        Expectation::Controller { .. } => Some(Sight::Quorum),
        Expectation::Group { .. } | Expectation::Committed { .. } => Some(Sight::Groups),
        _ => None,
    }
}

/// What must be seen for a fact of a replica.
const fn sight_of(fact: &ReplicaFact) -> Option<Sight> {
    match fact {
        ReplicaFact::LeaderEpoch(_) => Some(Sight::EpochOfReplica),
        _ => None,
    }
}

/// Compares facts of one thing.
pub(super) struct Check {
    what: String,
    pub(super) failures: Vec<Failure>,
}

impl Check {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), failures: Vec::new() }
    }

    pub(super) fn unless(mut self, fits: bool, expected: String, actual: String) -> Vec<Failure> {
        if !fits {
            self.failures.push(Failure { what: self.what.clone(), expected, actual });
        }
        self.failures
    }

    pub(super) fn text(&mut self, name: &str, expected: &str, actual: &str) {
        if expected != actual {
            let (expected, actual) = (format!("{name} {expected}"), format!("{name} {actual}"));
            self.failures.push(Failure { what: self.what.clone(), expected, actual });
        }
    }

    pub(super) fn number(&mut self, name: &str, expected: i64, actual: Option<i64>) {
        let actual =
            actual.map_or_else(|| "unknown: nobody who runs has it".to_owned(), |actual| actual.to_string());
        self.text(name, &expected.to_string(), &actual);
    }

    pub(super) fn flag(&mut self, name: &str, expected: bool, actual: bool) {
        self.text(name, &format!("#{expected}"), &format!("#{actual}"));
    }

    /// Node ids, in any order.
    fn set(&mut self, name: &str, expected: &[NodeId], actual: &[NodeId]) {
        let sorted = |ids: &[NodeId]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids
        };
        self.text(name, &nodes(&sorted(expected)), &nodes(&sorted(actual)));
    }
}

pub(super) fn node(id: Option<NodeId>) -> String {
    id.map_or_else(|| "none".to_owned(), |id| id.to_string())
}

fn nodes(ids: &[NodeId]) -> String {
    if ids.is_empty() {
        return "none".to_owned();
    }
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn epochs(entries: &[(i32, i64)]) -> String {
    or_empty(entries.iter().map(|(epoch, offset)| format!("{epoch}@{offset}")).collect::<Vec<_>>().join(" "))
}

pub(super) fn or_empty(text: String) -> String {
    if text.is_empty() { "nothing".to_owned() } else { text }
}
