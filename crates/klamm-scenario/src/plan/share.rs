//! Lines for consumers of share groups.

use std::time::Duration;

use super::Planner;
use super::read::Read;
use super::steps::error;
use crate::error::Mistake;
use crate::expect::Expectation;
use crate::line::Line;
use crate::step::{RENEW, ShareStep, ShareWhat, Step};

/// What a consumer says of a record (`AcknowledgeType`).
const KINDS: [(&str, i8); 4] = [("accept", 1), ("release", 2), ("reject", 3), ("renew", RENEW)];

impl Planner<'_> {
    pub(super) fn share_consumer(&mut self, line: &Line) -> Option<Step> {
        let name = line.text(0);
        let Some(group) = line.prop_text("group") else {
            self.wrong("a consumer of a share group needs its group", line.span, "add `group=`");
            return None;
        };
        if !self.names.shares.insert(name.clone()) {
            self.wrong(format!("there is a consumer `{name}` already"), line.span, "named twice");
        }
        self.names.groups.insert(group.clone());
        Some(Step::ShareConsumer { name, group })
    }

    pub(super) fn share_step(&mut self, line: &Line) -> Option<Step> {
        let client = self.known_share(line)?;
        let what = match line.word.as_str() {
            "share-join" => {
                let topics: Vec<_> = (1..line.args.len()).map(|at| line.text(at)).collect();
                for (topic, arg) in topics.iter().zip(&line.args[1..]) {
                    if !self.names.topics.contains_key(topic) {
                        self.unknown_topic(topic, arg.span);
                    }
                }
                self.names.coordinated = true;
                ShareWhat::Join(topics)
            }
            "share-leave" => ShareWhat::Leave,
            "share-poll" => ShareWhat::Poll(self.partition_at(line, 1)?),
            _ => {
                let how = line.text(1);
                let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == how) else {
                    let mistake = Mistake::new(
                        format!("a record cannot be `{how}`"),
                        line.args.get(1)?.span,
                        "unknown",
                    );
                    self.mistakes.push(mistake.suggest(&how, KINDS.map(|(name, _)| name)));
                    return None;
                };
                let records = (2..line.args.len()).map(|at| line.text(at)).collect();
                ShareWhat::Acknowledge { kind: *kind, records }
            }
        };
        let within = line.prop_time("within").unwrap_or(Duration::from_secs(60));
        Some(Step::Share(ShareStep { client, what, error: error(line), within }))
    }

    pub(super) fn acquired(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let client = self.known_share(line)?;
        let partition = self.partition_of(line)?;
        let records = (1..line.args.len()).map(|at| line.text(at)).collect();
        let deliveries = line.prop_int("deliveries").and_then(|count| i16::try_from(count).ok());
        Some(vec![Expectation::Acquired { client, partition, records, deliveries }])
    }

    fn known_share(&mut self, line: &Line) -> Option<String> {
        let name = line.text(0);
        if self.names.shares.contains(&name) {
            return Some(name);
        }
        let mistake =
            Mistake::new(format!("there is no share consumer `{name}`"), line.args.first()?.span, "unknown");
        self.mistakes.push(if self.names.shares.is_empty() {
            mistake.help(format!("say `share-consumer {name} group=g` before"))
        } else {
            mistake.suggest(&name, self.names.shares.iter().map(String::as_str))
        });
        None
    }
}
