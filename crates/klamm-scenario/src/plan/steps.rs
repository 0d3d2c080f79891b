//! Lines that make something happen.

use std::time::Duration;

use klamm_metadata::quotas::{CONSUMER_BYTE_RATE, CONTROLLER_MUTATION_RATE, PRODUCER_BYTE_RATE};
use klamm_node::TopicPartition;

use super::read::Read;
use super::{Planned, Planner};
use crate::error::Mistake;
use crate::line::{Line, Value};
use crate::step::{Admin, Consume, Send, Step, Wait, When};
use crate::syntax::grammar::{self, Place};
use crate::syntax::time::show;

const MAX_RECORDS: i64 = 100_000;

impl Planner<'_> {
    pub(super) fn steps(&mut self, lines: &[Line]) {
        for line in lines {
            self.check_order(line);
            if let Some(step) = self.step(line) {
                self.push(line, step);
            }
        }
    }

    fn push(&mut self, line: &Line, step: Step) {
        let block = match line.word.as_str() {
            "at" => Vec::new(),
            _ => line.block.iter().map(Line::head).collect(),
        };
        self.run.steps.push(Planned { step, text: line.head(), block, span: line.span });
    }

    /// What the cluster is made of is said before anything happens in it.
    fn check_order(&mut self, line: &Line) {
        let head = grammar::word(Place::Step, &line.word).is_some_and(|word| word.place == Place::Head);
        let client = matches!(line.word.as_str(), "producer" | "consumer" | "share-consumer");
        if !head {
            self.begun |= !matches!(line.word.as_str(), "note" | "profile" | "when");
        } else if self.begun && !client {
            let mistake = Mistake::new(
                format!("`{}` comes before the first step", line.word),
                line.span,
                "too late here",
            );
            self.mistakes.push(match line.word.as_str() {
                "topic" => mistake.help("`create-topic` creates a topic while the scenario runs"),
                "config" => mistake.help("`alter-config` changes configuration while the scenario runs"),
                _ => mistake,
            });
        }
    }

    fn step(&mut self, line: &Line) -> Option<Step> {
        Some(match line.word.as_str() {
            "note" => {
                let prose: Vec<_> = (0..line.args.len()).map(|at| line.text(at)).collect();
                Step::Note(prose.join("\n"))
            }
            "topic" => {
                let topic = self.topic(line)?;
                self.run.topics.push(topic);
                return None;
            }
            "producer" => Step::Producer(self.producer(line)),
            "consumer" => Step::Consumer(self.consumer(line)),
            "share-consumer" => self.share_consumer(line)?,
            "share-join" | "share-poll" | "acknowledge" | "share-leave" => self.share_step(line)?,
            "send" => Step::Send { send: self.send(line)?, wait: None },
            "produce" => Step::Send { send: self.send(line)?, wait: Some(wait(line)) },
            "await" => self.await_results(line)?,
            "transaction" | "send-offset" | "write-epoch" => Step::Transaction(self.transaction(line)?),
            "consume" => Step::Consume(self.consume(line)?),
            "advance" => {
                self.passed = self.passed.saturating_add(time(line));
                Step::Advance(time(line))
            }
            "at" => {
                if time(line) < self.passed {
                    let message = format!("it is {} or later here", show(self.passed));
                    self.wrong(message, line.args.first()?.span, "over already");
                }
                self.passed = self.passed.max(time(line));
                self.push(line, Step::AdvanceTo(time(line)));
                self.steps(&line.block);
                return None;
            }
            "settle" => Step::Settle(line.prop_time("within").unwrap_or(Duration::from_secs(60))),
            "subscribe" | "unsubscribe" | "assign" | "poll" | "seek" | "commit" | "fetch-from" | "end" => {
                self.member_step(line)?
            }
            "link" => self.link(line)?,
            "create-topic" => {
                let topic = self.topic(line)?;
                Step::Admin { ask: Admin::CreateTopic(topic), error: error(line) }
            }
            "delete-topic" => {
                let topic = line.text(0);
                // A topic whose deletion is refused is still there.
                if error(line) == "NONE" && self.names.topics.remove(&topic).is_none() {
                    self.unknown_topic(&topic, line.args[0].span);
                }
                Step::Admin { ask: Admin::DeleteTopic(topic), error: error(line) }
            }
            "alter-config" => self.alter_config(line)?,
            "alter-quota" => self.alter_quota(line)?,
            "add-partitions" | "delete-records" | "elect" | "metadata" | "reassign" | "unregister" => {
                Step::Admin { ask: self.ask(line)?, error: error(line) }
            }
            "profile" | "when" => {
                if self.belongs(line) {
                    self.steps(&line.block);
                }
                return None;
            }
            "expect" => Step::Expect { when: When::Now, all: self.expectations(line) },
            "expect-eventually" => {
                let within = line.prop_time("within").unwrap_or(Duration::from_secs(60));
                let not_before = line.prop_time("not-before").unwrap_or_default();
                if not_before > within {
                    self.wrong("it cannot hold: `not-before` is after `within`", line.span, "never possible");
                }
                Step::Expect { when: When::Eventually { within, not_before }, all: self.expectations(line) }
            }
            "expect-always" => {
                let Some(during) = line.prop_time("during") else {
                    self.wrong("`expect-always` needs to know how long", line.span, "add `during=10s`");
                    return None;
                };
                self.passed = self.passed.saturating_add(during);
                Step::Expect { when: When::Always(during), all: self.expectations(line) }
            }
            // Faults; the rest are the head's words, which were read before.
            _ => return self.fault(line),
        })
    }

    fn send(&mut self, line: &Line) -> Option<Send> {
        let client = self.known_producer(line)?;
        let key = line.prop_text("key");
        let to = match &key {
            Some(key) if line.get("to").is_none() => self.partition_of_key(line, key)?,
            _ => self.partition_prop(line, "to")?,
        };
        let mut records = self.named_from(line, 1);
        if let Some(count) = line.prop_int("count") {
            let span = line.get("count").map_or(line.span, |value| value.span);
            if count > MAX_RECORDS {
                self.wrong(format!("`count` is at most {MAX_RECORDS}"), span, "too many");
                return None;
            }
            let prefix = line.prop_text("prefix").unwrap_or_else(|| "r".to_owned());
            let already = self.names.producers.get(&client).map_or(0, |sent| {
                (0..).take_while(|number| sent.records.contains(&format!("{prefix}{number}"))).count()
            });
            records.extend(
                (already..)
                    .take(usize::try_from(count).ok()?)
                    .map(|number| (format!("{prefix}{number}"), span)),
            );
        }
        if records.is_empty() {
            // A range that names none was told of.
            if line.args.len() > 1 {
                return None;
            }
            self.mistakes.push(
                Mistake::new("there is nothing to send", line.span, "which records?")
                    .help("for example: send p a b, or: send p count=10"),
            );
            return None;
        }
        for (record, span) in &records {
            let sent = self.names.producers.get_mut(&client)?;
            if !sent.records.insert(record.clone()) {
                self.mistakes.push(
                    Mistake::new(
                        format!("`{client}` has sent a record `{record}` before"),
                        *span,
                        "its result could not be told from that one's",
                    )
                    .help("give each record another name; a producer's retries are not steps"),
                );
            }
        }
        let broker = self.broker_prop(line, "broker");
        Some(Send {
            client,
            to,
            records: records.into_iter().map(|(record, _)| record).collect(),
            acks: acks(line),
            broker,
            one_batch: line.prop_flag("batch").unwrap_or(false),
            key,
            age_ms: millis(line.prop_time("age")).saturating_sub(millis(line.prop_time("ahead"))),
            tombstone: line.prop_flag("tombstone").unwrap_or(false),
            sequence: line.prop_int("sequence").and_then(|sequence| i32::try_from(sequence).ok()),
            epoch: line.prop_int("producer-epoch").and_then(|epoch| i16::try_from(epoch).ok()),
        })
    }

    fn await_results(&mut self, line: &Line) -> Option<Step> {
        let client = self.known_producer(line)?;
        let records = self.sent_records(line, &client);
        Some(Step::Await { client, records, wait: wait(line) })
    }

    /// Records in the arguments, which must have been sent; `r0..r9` is ten.
    pub(super) fn sent_records(&mut self, line: &Line, client: &str) -> Vec<String> {
        let mut records = Vec::new();
        for (record, span) in self.named_from(line, 1) {
            let sent = self.names.producers.get(client);
            if sent.is_some_and(|sent| sent.records.contains(&record)) {
                records.push(record);
            } else {
                let known: Vec<_> = sent.iter().flat_map(|sent| sent.records.iter()).cloned().collect();
                let mistake =
                    Mistake::new(format!("`{client}` has sent no record `{record}`"), span, "never sent");
                self.mistakes.push(mistake.suggest(&record, known.iter().take(20).map(String::as_str)));
            }
        }
        records
    }

    fn consume(&mut self, line: &Line) -> Option<Consume> {
        let client = self.known_consumer(line)?;
        let partition = self.partition_at(line, 1)?;
        Some(Consume {
            client,
            partition,
            from: line.prop_int("from"),
            broker: self.broker_prop(line, "broker"),
            epoch: line.prop_int("epoch").and_then(|epoch| i32::try_from(epoch).ok()),
            last_epoch: line.prop_int("last-epoch").and_then(|epoch| i32::try_from(epoch).ok()),
            max_wait: line.prop_time("max-wait").unwrap_or_default(),
            wait: line.prop_flag("wait").unwrap_or(true),
            error: error(line),
        })
    }

    fn link(&mut self, line: &Line) -> Option<Step> {
        let nodes = self.nodes(line);
        let [from, to] = nodes[..] else { return None };
        if from == to {
            self.wrong(format!("node {from} has no link to itself"), line.span, "impossible");
        }
        Some(Step::Link {
            from,
            to,
            latency: line.prop_time("latency").unwrap_or_default(),
            jitter: line.prop_time("jitter").unwrap_or_default(),
            one_way: line.prop_flag("one-way").unwrap_or(false),
        })
    }

    fn alter_quota(&mut self, line: &Line) -> Option<Step> {
        let entity: Vec<_> = ["user", "client-id"]
            .into_iter()
            .filter_map(|kind| line.prop_text(kind).map(|name| (kind, name)))
            .map(|(kind, name)| (kind, (name != "<default>").then_some(name)))
            .collect();
        if entity.is_empty() {
            self.wrong("a quota is somebody's", line.span, "add `client-id=` or `user=`");
        }
        let values: Vec<_> = [PRODUCER_BYTE_RATE, CONSUMER_BYTE_RATE, CONTROLLER_MUTATION_RATE]
            .into_iter()
            .filter_map(|key| line.prop_int(key).map(|value| (key, value)))
            .collect();
        if values.is_empty() {
            let example = "for example: alter-quota client-id=p producer_byte_rate=1000";
            self.wrong("there is nothing to set", line.span, example);
        }
        Some(Step::Admin { ask: Admin::AlterQuota { entity, values }, error: error(line) })
    }

    pub(super) fn partition_of(&mut self, line: &Line) -> Option<TopicPartition> {
        self.partition_prop(line, "of")
    }
}

fn time(line: &Line) -> Duration {
    match line.args.first().map(|arg| &arg.value) {
        Some(Value::Time(time)) => *time,
        _ => Duration::ZERO,
    }
}

pub(super) fn error(line: &Line) -> String {
    line.prop_text("error").unwrap_or_else(|| "NONE".to_owned())
}

fn wait(line: &Line) -> Wait {
    Wait { error: error(line), offset: line.prop_int("offset"), within: line.prop_time("within") }
}

pub(super) fn acks(line: &Line) -> Option<i16> {
    match &line.get("acks")?.value {
        Value::Int(acks) => i16::try_from(*acks).ok(),
        _ => Some(-1),
    }
}

/// A time in milliseconds, 0 for none.
fn millis(time: Option<Duration>) -> i64 {
    i64::try_from(time.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
