//! Lines for producers that send in transactions.

use std::time::Duration;

use klamm_wire::KafkaVersion;

use super::Planner;
use super::read::Read;
use super::steps::error;
use crate::error::Mistake;
use crate::line::Line;
use crate::step::{Metadata, Transaction, TransactionStep, TransactionalSpec};

impl Planner<'_> {
    /// How a producer sends in transactions, if it does.
    pub(super) fn transactional(&mut self, line: &Line, idempotent: bool) -> Option<TransactionalSpec> {
        let Some(id) = line.prop_text("transactional-id") else {
            for name in ["transaction-timeout", "transaction-version"] {
                if let Some(value) = line.get(name) {
                    let span = value.span;
                    let message = format!("`{name}` is about transactions, and this producer has none");
                    self.wrong(message, span, "add `transactional-id=`");
                }
            }
            return None;
        };
        if !idempotent {
            self.wrong(
                "a transactional producer is idempotent",
                line.span,
                "Kafka's producer refuses this too",
            );
        }
        let release = self.run.cluster.release;
        let version =
            line.prop_int("transaction-version").unwrap_or(if release >= KafkaVersion::V4_0 { 2 } else { 1 });
        if !matches!(version, 1 | 2) {
            self.wrong("`transaction-version` is 1 or 2", line.span, "there is no other protocol");
        }
        self.names.transactional.insert(line.text(0));
        Some(TransactionalSpec {
            id,
            timeout: line.prop_time("transaction-timeout").unwrap_or(Duration::from_secs(60)),
            v2: version == 2,
            release,
        })
    }

    fn group_metadata(&mut self, line: &Line) -> Option<Metadata> {
        let generation = line.prop_int("generation").and_then(|generation| i32::try_from(generation).ok());
        let mut metadata = Metadata { generation, member: line.prop_text("member"), ..Metadata::default() };
        if let Some(consumer) = line.prop_text("as") {
            let span = line.get("as").map_or(line.span, |value| value.span);
            if !self.names.grouped.contains(&consumer) {
                let mistake = Mistake::new(format!("no consumer `{consumer}` has a group"), span, "unknown");
                self.mistakes.push(mistake.suggest(&consumer, self.names.grouped.iter().map(String::as_str)));
                return None;
            }
            metadata.consumer = Some(consumer);
        }
        Some(metadata)
    }

    pub(super) fn transaction(&mut self, line: &Line) -> Option<TransactionStep> {
        let client = self.known_producer(line)?;
        if !self.names.transactional.contains(&client) {
            let mistake = Mistake::new(
                format!("`{client}` sends in no transactions"),
                line.args.first()?.span,
                "not transactional",
            );
            self.mistakes.push(mistake.help(format!("say `producer {client} transactional-id=T` before")));
            return None;
        }
        let what = match line.word.as_str() {
            "send-offset" => {
                let (Some(group), Some(offset)) = (line.prop_text("group"), line.prop_int("offset")) else {
                    self.wrong("which offset of which group?", line.span, "add `group=g offset=5`");
                    return None;
                };
                Transaction::SendOffset {
                    partition: self.partition_at(line, 1)?,
                    group,
                    offset,
                    of: self.group_metadata(line)?,
                }
            }
            "write-epoch" => match i16::try_from(line.text(1).parse::<i64>().unwrap_or(-1)) {
                Ok(epoch) if epoch >= 0 => Transaction::WriteEpoch(epoch),
                _ => {
                    self.wrong(
                        "a producer epoch is a number from 0 to 32767",
                        line.args[1].span,
                        "out of range",
                    );
                    return None;
                }
            },
            _ => match line.text(1).as_str() {
                "init" => Transaction::Init,
                "begin" => Transaction::Begin,
                "commit" => Transaction::End { commit: true },
                "abort" => Transaction::End { commit: false },
                other => {
                    let mistake = Mistake::new(
                        format!("a producer cannot `{other}` a transaction"),
                        line.args[1].span,
                        "unknown",
                    );
                    self.mistakes.push(mistake.suggest(other, ["init", "begin", "commit", "abort"]));
                    return None;
                }
            },
        };
        Some(TransactionStep {
            client,
            what,
            error: error(line),
            retry: line.prop_flag("retry").unwrap_or(true),
            wait: line.prop_flag("wait").unwrap_or(true),
            within: line.prop_time("within").unwrap_or(Duration::from_secs(60)),
            epoch: line.prop_int("producer-epoch").and_then(|epoch| i16::try_from(epoch).ok()),
        })
    }
}
