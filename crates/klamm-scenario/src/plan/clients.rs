//! Lines that declare clients, and names that must be theirs.

use std::time::Duration;

use super::read::Read;
use super::steps::acks;
use super::{Planner, Sent};
use crate::error::Mistake;
use crate::line::Line;
use crate::step::{ConsumerSpec, ProducerSpec};

impl Planner<'_> {
    pub(super) fn producer(&mut self, line: &Line) -> ProducerSpec {
        let name = line.text(0);
        self.new_client(line, &name);
        self.names.producers.insert(name.clone(), Sent::default());
        let acks = acks(line).unwrap_or(-1);
        let idempotent = line.prop_flag("idempotence").unwrap_or(acks == -1);
        if idempotent && acks != -1 {
            self.wrong("an idempotent producer has acks=all", line.span, "Kafka's producer refuses this too");
        }
        ProducerSpec {
            name,
            acks,
            idempotent,
            retries: line.prop_int("retries").and_then(|retries| u32::try_from(retries).ok()).unwrap_or(0),
            retry_backoff: line.prop_time("retry-backoff").unwrap_or(Duration::from_millis(100)),
            request_timeout: line.prop_time("request-timeout").unwrap_or(Duration::from_secs(30)),
            delivery_timeout: line.prop_time("delivery-timeout").unwrap_or(Duration::from_secs(120)),
            transactional: self.transactional(line, idempotent),
        }
    }

    pub(super) fn consumer(&mut self, line: &Line) -> ConsumerSpec {
        let name = line.text(0);
        self.new_client(line, &name);
        self.names.consumers.insert(name.clone());
        let member = self.member_spec(line);
        if member.group.is_some() {
            self.names.grouped.insert(name.clone());
            let group = line.prop_text("group").unwrap_or_default();
            self.names.groups.insert(group.clone());
            self.names.group_of.insert(name.clone(), group);
        }
        let isolation = line.prop_text("isolation").unwrap_or_else(|| "read_uncommitted".to_owned());
        if !matches!(isolation.as_str(), "read_uncommitted" | "read_committed") {
            let span = line.get("isolation").map_or(line.span, |value| value.span);
            let mistake = Mistake::new(format!("there is no isolation level `{isolation}`"), span, "unknown");
            self.mistakes.push(mistake.suggest(&isolation, ["read_uncommitted", "read_committed"]));
        }
        ConsumerSpec {
            name,
            read_committed: isolation == "read_committed",
            rack: line.prop_text("rack"),
            member,
            request_timeout: line.prop_time("request-timeout").unwrap_or(Duration::from_secs(30)),
        }
    }

    pub(super) fn new_client(&mut self, line: &Line, name: &str) {
        if self.names.producers.contains_key(name) || self.names.consumers.contains(name) {
            self.wrong(format!("there is a client `{name}` already"), line.span, "named twice");
        }
    }

    pub(super) fn known_producer(&mut self, line: &Line) -> Option<String> {
        let name = line.text(0);
        if self.names.producers.contains_key(&name) {
            return Some(name);
        }
        let mistake = Mistake::new(
            format!("there is no producer `{name}`"),
            line.args.first()?.span,
            "unknown producer",
        );
        self.mistakes.push(if self.names.producers.is_empty() {
            mistake.help(format!("say `producer {name}` before"))
        } else {
            mistake.suggest(&name, self.names.producers.keys().map(String::as_str))
        });
        None
    }

    pub(super) fn known_consumer(&mut self, line: &Line) -> Option<String> {
        let name = line.text(0);
        if self.names.consumers.contains(&name) {
            return Some(name);
        }
        let mistake = Mistake::new(
            format!("there is no consumer `{name}`"),
            line.args.first()?.span,
            "unknown consumer",
        );
        self.mistakes.push(if self.names.consumers.is_empty() {
            mistake.help(format!("say `consumer {name}` before"))
        } else {
            mistake.suggest(&name, self.names.consumers.iter().map(String::as_str))
        });
        None
    }
}
