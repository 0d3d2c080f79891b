//! Lines for consumers that behave as Kafka's own.

use std::time::Duration;

use klamm_world::scripted::{Assignor, ConsumerOp, GroupProtocol, GroupSettings, OffsetReset, SeekTo};

use super::Planner;
use super::read::Read;
use crate::error::Mistake;
use crate::line::{Line, Value};
use crate::step::{MemberSpec, Step};

impl Planner<'_> {
    /// What a consumer is beyond one that only fetches.
    pub(super) fn member_spec(&mut self, line: &Line) -> MemberSpec {
        let reset = match line.prop_text("reset").as_deref() {
            None | Some("latest") => OffsetReset::Latest,
            Some("earliest") => OffsetReset::Earliest,
            Some("none") => OffsetReset::None,
            Some(other) => {
                let span = line.get("reset").map_or(line.span, |value| value.span);
                let mistake =
                    Mistake::new(format!("`auto.offset.reset` cannot be `{other}`"), span, "unknown");
                self.mistakes.push(mistake.suggest(other, ["latest", "earliest", "none"]));
                OffsetReset::Latest
            }
        };
        let group = line.prop_text("group").map(|group| {
            let mut settings = GroupSettings::new(group);
            settings.instance_id = line.prop_text("instance").map(Into::into);
            settings.session_timeout = line.prop_time("session-timeout").unwrap_or(settings.session_timeout);
            settings.heartbeat_interval = line.prop_time("heartbeat").unwrap_or(settings.heartbeat_interval);
            settings.max_poll_interval =
                line.prop_time("max-poll-interval").unwrap_or(settings.max_poll_interval);
            settings.protocol = self.protocol(line);
            self.assignor(line, &mut settings);
            settings
        });
        if group.is_none() {
            for name in
                ["instance", "protocol", "session-timeout", "heartbeat", "max-poll-interval", "assignor"]
            {
                if let Some(value) = line.get(name) {
                    let span = value.span;
                    self.wrong(
                        format!("`{name}` is about a group, and this consumer has none"),
                        span,
                        "add `group=`",
                    );
                }
            }
        }
        MemberSpec { reset, group }
    }

    fn protocol(&mut self, line: &Line) -> GroupProtocol {
        let Some(value) = line.get("protocol") else { return GroupProtocol::Classic };
        let span = value.span;
        match line.prop_text("protocol").unwrap_or_default().as_str() {
            "classic" => GroupProtocol::Classic,
            "consumer" => {
                for name in ["session-timeout", "heartbeat"] {
                    if let Some(value) = line.get(name) {
                        let mistake = Mistake::new(
                            format!("with the consumer protocol `{name}` is the coordinator's"),
                            value.span,
                            "not the consumer's",
                        );
                        self.mistakes.push(mistake.help(
                            "for example: config group.consumer.session.timeout.ms=45000 group.consumer.heartbeat.interval.ms=5000",
                        ));
                    }
                }
                GroupProtocol::Consumer
            }
            other => {
                let mistake = Mistake::new(format!("there is no protocol `{other}`"), span, "unknown");
                self.mistakes.push(mistake.suggest(other, ["classic", "consumer"]));
                GroupProtocol::Classic
            }
        }
    }

    fn assignor(&mut self, line: &Line, settings: &mut GroupSettings) {
        let Some(value) = line.get("assignor") else { return };
        let span = value.span;
        let name = line.prop_text("assignor").unwrap_or_default();
        let known: &[&str] = match (settings.protocol, name.as_str()) {
            (GroupProtocol::Classic, "range") => return,
            (GroupProtocol::Classic, "cooperative-sticky") => {
                settings.assignors = vec![Assignor::CooperativeSticky];
                return;
            }
            (GroupProtocol::Consumer, "uniform" | "range") => {
                settings.remote_assignor = Some(name.into());
                return;
            }
            (GroupProtocol::Classic, _) => &["range", "cooperative-sticky"],
            (GroupProtocol::Consumer, _) => &["uniform", "range"],
        };
        let mistake = Mistake::new(format!("there is no assignor `{name}`"), span, "unknown");
        self.mistakes.push(mistake.suggest(&name, known.iter().copied()));
    }

    pub(super) fn member_step(&mut self, line: &Line) -> Option<Step> {
        let client = self.known_consumer(line)?;
        let (mut error, mut wait, mut patience) = ("NONE".to_owned(), true, Duration::from_secs(60));
        let op = match line.word.as_str() {
            "subscribe" => {
                let mut topics = Vec::new();
                for at in 1..line.args.len() {
                    let topic = line.text(at);
                    if !self.names.topics.contains_key(&topic) {
                        self.unknown_topic(&topic, line.args[at].span);
                    }
                    topics.push(topic.into());
                }
                self.needs_group(line, &client);
                self.uses_group(&client, true);
                ConsumerOp::Subscribe(topics)
            }
            "unsubscribe" => ConsumerOp::Unsubscribe,
            "assign" => {
                let partitions: Vec<_> =
                    (1..line.args.len()).filter_map(|at| self.partition_at(line, at)).collect();
                ConsumerOp::Assign(partitions)
            }
            "poll" => {
                error = line.prop_text("error").unwrap_or(error);
                wait = line.prop_flag("wait").unwrap_or(true);
                let within = line.prop_time("within").unwrap_or(Duration::from_secs(5));
                patience = within + Duration::from_secs(60);
                match line.prop_int("at-least").and_then(|count| u64::try_from(count).ok()) {
                    Some(at_least) if at_least > 0 => ConsumerOp::Poll { at_least, within },
                    _ => ConsumerOp::Poll { at_least: u64::MAX, within },
                }
            }
            "seek" => self.seek(line)?,
            "commit" => {
                self.needs_group(line, &client);
                self.uses_group(&client, false);
                error = line.prop_text("error").unwrap_or(error);
                let offsets = match line.prop_int("offset") {
                    Some(offset) => Some(vec![(self.partition_at(line, 1)?, offset.into())]),
                    None => None,
                };
                ConsumerOp::Commit(offsets)
            }
            "fetch-from" => ConsumerOp::FetchFrom(match line.args.get(1) {
                Some(_) => Some(self.broker(line, 1)?),
                None => None,
            }),
            "end" => return Some(Step::EndMember(client)),
            _ => return None,
        };
        Some(Step::Member { client, op, error, wait, patience })
    }

    fn seek(&mut self, line: &Line) -> Option<ConsumerOp> {
        let partition = self.partition_at(line, 1)?;
        let epoch = line.prop_int("epoch").and_then(|epoch| i32::try_from(epoch).ok());
        let to = match (line.prop_text("to").as_deref(), line.prop_int("offset")) {
            (Some("beginning"), None) => SeekTo::Beginning,
            (Some("end"), None) => SeekTo::End,
            (None, Some(offset)) => SeekTo::Offset { offset, leader_epoch: epoch },
            _ => {
                self.wrong("`seek` needs `to=beginning`, `to=end` or `offset=`", line.span, "where to?");
                return None;
            }
        };
        Some(ConsumerOp::Seek { partition, to })
    }

    fn needs_group(&mut self, line: &Line, client: &str) {
        if !self.names.grouped.contains(client) {
            let what = format!("`{client}` has no group");
            let span = line.args.first().map_or(line.span, |arg| arg.span);
            self.mistakes.push(
                Mistake::new(what, span, "not a member").help(format!("say `consumer {client} group=g`")),
            );
        }
    }

    /// The group in the first argument: one that some consumer has, for nobody else makes one.
    pub(super) fn known_group(&mut self, line: &Line) -> Option<String> {
        let group = line.text(0);
        if self.names.groups.contains(&group) {
            return Some(group);
        }
        let mistake = Mistake::new(
            format!("no consumer is in a group `{group}`"),
            line.args.first()?.span,
            "unknown group",
        );
        self.mistakes.push(if self.names.groups.is_empty() {
            mistake.help(format!("say `consumer c group={group}` before"))
        } else {
            mistake.suggest(&group, self.names.groups.iter().map(String::as_str))
        });
        None
    }

    /// An offset in the third argument.
    pub(super) fn offset_at(line: &Line, at: usize) -> Option<i64> {
        match line.args.get(at)?.value {
            Value::Int(offset) => Some(offset),
            _ => None,
        }
    }
}
