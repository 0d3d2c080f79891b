//! Lines of what must hold.

use klamm_node::{NodeId, TopicPartition};

use super::Planner;
use super::read::Read;
use crate::error::Mistake;
use crate::expect::{
    BrokerFact, Expectation, GroupFact, MemberFact, PartitionFact, RecordPattern, ReplicaFact,
};
use crate::line::{Line, Value};

/// The states of a classic group, by the names that Kafka gives them.
const GROUP_STATES: &[&str] =
    &["Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Assigning", "Reconciling"];

impl Planner<'_> {
    pub(super) fn expectations(&mut self, line: &Line) -> Vec<Expectation> {
        if line.block.is_empty() {
            self.wrong("nothing is expected here", line.span, "an empty block");
        }
        line.block.iter().flat_map(|child| self.expectation(child)).collect()
    }

    fn expectation(&mut self, line: &Line) -> Vec<Expectation> {
        self.try_expectation(line).unwrap_or_default()
    }

    fn try_expectation(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let before = self.mistakes.len();
        let all = match line.word.as_str() {
            "partition" => self.partition_expectation(line),
            "replica" => self.replica(line),
            "log" => self.log(line),
            "same-logs" => self.same_logs(line),
            "result" => self.result(line),
            "consumed" => self.consumed(line),
            "acquired" => self.acquired(line),
            "broker" => self.broker_expectation(line),
            "controller" => self.controller(line),
            "topic" if line.prop_flag("exists") == Some(true) && !self.names.ever.contains(&line.text(0)) => {
                self.ever_topic(&line.text(0), line.args.first()?.span);
                None
            }
            "topic" => Some(vec![Expectation::Topic {
                topic: line.text(0),
                exists: line.prop_flag("exists"),
                partitions: line.prop_int("partitions").and_then(|count| i32::try_from(count).ok()),
            }]),
            "group" => self.group(line),
            "committed" => self.committed(line),
            "position" => {
                let client = self.known_consumer(line)?;
                let partition = self.partition_at(line, 1)?;
                Some(vec![Expectation::Position { client, partition, offset: Self::offset_at(line, 2)? }])
            }
            "member" => self.member(line),
            "disconnected" => {
                let client = self.known_producer(line)?;
                Some(vec![Expectation::Disconnected { client, times: line.text(1).parse().unwrap_or(0) }])
            }
            "fired" => {
                let fault = self.known_fault(line, 0)?;
                Some(vec![Expectation::Fired { fault, times: line.prop_int("times") }])
            }
            "happened" => {
                let event = self.one_event(line)?;
                Some(vec![Expectation::Happened { event, times: line.prop_int("times") }])
            }
            "happened-before" => self.happened_before(line),
            "never" => Some(vec![Expectation::Never { event: self.one_event(line)? }]),
            _ => None,
        };
        let empty = match all.as_deref() {
            Some([first, ..]) => says_nothing(first),
            _ => false,
        };
        if empty && self.mistakes.len() == before {
            self.wrong(
                format!("this `{}` says nothing that could be checked", line.word),
                line.span,
                "expect something of it",
            );
        }
        all
    }

    pub(super) fn node_prop(&mut self, line: &Line, name: &str) -> Option<NodeId> {
        let (id, span) = (line.prop_int(name)?, line.get(name)?.span);
        self.known_node(id, span)
    }

    fn partition_expectation(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let partition = self.partition_at(line, 0)?;
        let mut facts = Vec::new();
        for (name, value) in &line.props {
            let int = || match value.value {
                Value::Int(number) => Some(number),
                _ => None,
            };
            facts.push(match name.as_str() {
                "leader" => PartitionFact::Leader(self.broker_or_none(line, name)?),
                "leader-epoch" => PartitionFact::LeaderEpoch(int()?),
                "partition-epoch" => PartitionFact::PartitionEpoch(int()?),
                "isr" => PartitionFact::Isr(self.brokers_prop(line, name)?),
                "elr" => PartitionFact::Elr(self.brokers_prop(line, name)?),
                "last-known-leader" => PartitionFact::LastKnownLeader(self.broker_or_none(line, name)?),
                "replicas" => PartitionFact::Replicas(self.brokers_prop(line, name)?),
                "adding" => PartitionFact::Adding(self.brokers_prop(line, name)?),
                "removing" => PartitionFact::Removing(self.brokers_prop(line, name)?),
                "recovering" => PartitionFact::Recovering(line.prop_flag(name)?),
                "log-end" => PartitionFact::LogEnd(int()?),
                "high-watermark" => PartitionFact::HighWatermark(int()?),
                "last-stable-offset" => PartitionFact::LastStableOffset(int()?),
                _ => return None,
            });
        }
        Some(vec![Expectation::Partition { partition, facts }])
    }

    fn broker_or_none(&mut self, line: &Line, name: &str) -> Option<Option<NodeId>> {
        match line.get(name)?.value {
            Value::Int(_) => self.broker_prop(line, name).map(Some),
            _ => Some(None),
        }
    }

    fn replica(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let partition = self.partition_of(line)?;
        let mut facts = Vec::new();
        for (name, value) in &line.props {
            let int = || match value.value {
                Value::Int(number) => Some(number),
                _ => None,
            };
            facts.push(match name.as_str() {
                "log-start" => ReplicaFact::LogStart(int()?),
                "log-end" => ReplicaFact::LogEnd(int()?),
                "high-watermark" => ReplicaFact::HighWatermark(int()?),
                "last-stable-offset" => ReplicaFact::LastStableOffset(int()?),
                "leader-epoch" => ReplicaFact::LeaderEpoch(int()?),
                "hosted" => ReplicaFact::Hosted(line.prop_flag(name)?),
                "epochs" => {
                    let text = line.prop_text(name)?;
                    let Some(epochs) = epochs(&text) else {
                        self.mistakes.push(
                            Mistake::new(
                                format!("{text:?} is no leader-epoch cache"),
                                value.span,
                                "not understood",
                            )
                            .help("each entry is epoch@offset, such as \"0@0 1@10\"; none for an empty one"),
                        );
                        return None;
                    };
                    ReplicaFact::Epochs(epochs)
                }
                _ => continue,
            });
        }
        let brokers = self.brokers(line);
        if facts.iter().any(|fact| !matches!(fact, ReplicaFact::Hosted(_))) {
            self.all_may_host(line, &brokers, &partition);
        }
        let each =
            |broker| Expectation::Replica { partition: partition.clone(), broker, facts: facts.clone() };
        Some(brokers.into_iter().map(each).collect())
    }

    fn log(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let partition = self.partition_of(line)?;
        let brokers = self.brokers(line);
        let mut records = Vec::new();
        for (at, arg) in line.args.iter().enumerate() {
            if !matches!(arg.value, Value::Text(_)) {
                continue;
            }
            let text = line.text(at);
            let (values, epoch) = match text.rsplit_once('@') {
                Some((values, epoch)) => match epoch.parse() {
                    Ok(epoch) => (values.to_owned(), Some(epoch)),
                    Err(_) => {
                        self.mistakes.push(
                            Mistake::new(format!("`{epoch}` is no leader epoch"), arg.span, "after the @")
                                .help("a record reads \"a@0\", several \"r0..r9@0\""),
                        );
                        continue;
                    }
                },
                None => (text, None),
            };
            let values = self.named(&values, arg.span);
            records.extend(values.into_iter().map(|value| RecordPattern { value, epoch }));
        }
        let from = line.prop_int("from");
        self.all_may_host(line, &brokers, &partition);
        let each = |broker| Expectation::Log {
            partition: partition.clone(),
            broker,
            from,
            records: records.clone(),
        };
        Some(brokers.into_iter().map(each).collect())
    }

    fn all_may_host(&mut self, line: &Line, brokers: &[NodeId], partition: &TopicPartition) {
        for (broker, arg) in brokers.iter().zip(&line.args) {
            self.may_host(*broker, partition, arg.span);
        }
    }

    fn same_logs(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let partition = self.partition_of(line)?;
        let brokers = self.brokers(line);
        if brokers.len() < 2 {
            self.wrong("`same-logs` compares at least two brokers", line.span, "with what?");
        }
        self.all_may_host(line, &brokers, &partition);
        Some(vec![Expectation::SameLogs { partition, brokers }])
    }

    fn result(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let client = self.known_producer(line)?;
        let records = self.sent_records(line, &client);
        let (error, offset) = (line.prop_text("error"), line.prop_int("offset"));
        let throttle = line.prop_time("throttle");
        Some(vec![Expectation::Result { client, records, error, offset, throttle }])
    }

    fn consumed(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let client = self.known_consumer(line)?;
        let partition = self.partition_of(line)?;
        let records = self.named_from(line, 1).into_iter().map(|(record, _)| record).collect();
        let error = line.prop_text("error");
        Some(vec![Expectation::Consumed { client, partition, records, error }])
    }

    fn broker_expectation(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let mut facts = Vec::new();
        for (name, _) in &line.props {
            let flag = line.prop_flag(name)?;
            facts.push(match name.as_str() {
                "up" => BrokerFact::Up(flag),
                "fenced" => BrokerFact::Fenced(flag),
                "registered" => BrokerFact::Registered(flag),
                "shutting-down" => BrokerFact::ShuttingDown(flag),
                _ => continue,
            });
        }
        let brokers = self.brokers(line);
        Some(brokers.into_iter().map(|broker| Expectation::Broker { broker, facts: facts.clone() }).collect())
    }

    fn group(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let mut facts = Vec::new();
        for (name, _) in &line.props {
            facts.push(match name.as_str() {
                "state" => GroupFact::State(self.group_state(line)?),
                "generation" => GroupFact::Generation(line.prop_int(name)?),
                "members" => GroupFact::Members(line.prop_int(name)?),
                "coordinator" => GroupFact::Coordinator(self.broker_prop(line, name)?),
                _ => continue,
            });
        }
        Some(vec![Expectation::Group { group: self.known_group(line)?, facts }])
    }

    fn group_state(&mut self, line: &Line) -> Option<String> {
        let state = line.prop_text("state")?;
        if GROUP_STATES.contains(&state.as_str()) {
            return Some(state);
        }
        let mistake =
            Mistake::new(format!("no group is ever {state}"), line.get("state")?.span, "unknown state");
        self.mistakes.push(mistake.suggest(&state, GROUP_STATES.iter().copied()));
        None
    }

    fn member(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let client = self.known_consumer(line)?;
        let mut facts = Vec::new();
        for (name, value) in &line.props {
            facts.push(match name.as_str() {
                "generation" => MemberFact::Generation(line.prop_int(name)?),
                "leads" => MemberFact::Leads(line.prop_flag(name)?),
                "coordinator" => MemberFact::Coordinator(self.broker_or_none(line, name)?),
                "assigned" => {
                    let text = line.prop_text(name)?;
                    let names = text.split_whitespace().filter(|name| *name != "none");
                    let mut assigned = Vec::new();
                    for name in names {
                        let Some(partition) = self.known_partition(name, value.span) else {
                            self.wrong(
                                format!("`{name}` is no partition here"),
                                value.span,
                                "such as \"t-0 t-1\"",
                            );
                            return None;
                        };
                        assigned.push(partition);
                    }
                    MemberFact::Assigned(assigned)
                }
                _ => continue,
            });
        }
        Some(vec![Expectation::Member { client, facts }])
    }

    fn committed(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let partition = self.partition_at(line, 1)?;
        let offset = match line.args.get(2).map(|arg| &arg.value) {
            Some(Value::Int(offset)) => Some(*offset),
            _ => None,
        };
        Some(vec![Expectation::Committed { group: self.known_group(line)?, partition, offset }])
    }
}

/// Whether an expectation holds whatever happens.
fn says_nothing(expectation: &Expectation) -> bool {
    match expectation {
        Expectation::Partition { facts, .. } => facts.is_empty(),
        Expectation::Replica { facts, .. } => facts.is_empty(),
        Expectation::Broker { facts, .. } => facts.is_empty(),
        Expectation::Controller { facts, .. } => facts.is_empty(),
        Expectation::Group { facts, .. } => facts.is_empty(),
        Expectation::Member { facts, .. } => facts.is_empty(),
        Expectation::Result { error, offset, throttle, .. } => {
            error.is_none() && offset.is_none() && throttle.is_none()
        }
        Expectation::Topic { exists, partitions, .. } => exists.is_none() && partitions.is_none(),
        _ => false,
    }
}

/// `"0@0 1@10"`.
fn epochs(text: &str) -> Option<Vec<(i32, i64)>> {
    if text == "none" {
        return Some(Vec::new());
    }
    let entries = text.split_whitespace().map(|entry| {
        let (epoch, offset) = entry.split_once('@')?;
        Some((epoch.parse().ok()?, offset.parse().ok()?))
    });
    entries.collect()
}
