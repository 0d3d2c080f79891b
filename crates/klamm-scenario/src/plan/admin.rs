//! Lines that ask the cluster for something as an administrator does.

use super::Planner;
use super::read::Read;
use super::steps::error;
use crate::error::Mistake;
use crate::line::Line;
use crate::step::{Admin, Resource, Step};

impl Planner<'_> {
    pub(super) fn alter_config(&mut self, line: &Line) -> Option<Step> {
        let resource = match line.args.first() {
            Some(arg) => {
                let topic = line.text(0);
                if !self.names.topics.contains_key(&topic) && error(line) == "NONE" {
                    self.unknown_topic(&topic, arg.span);
                    return None;
                }
                Resource::Topic(topic)
            }
            None => Resource::Broker(self.broker_prop(line, "broker")),
        };
        let configs = line.configs();
        if configs.is_empty() {
            self.wrong(
                "there is nothing to set",
                line.span,
                "for example: alter-config t min.insync.replicas=1",
            );
        }
        match &resource {
            _ if error(line) != "NONE" => {}
            Resource::Topic(_) => self.topic_configs(line),
            Resource::Broker(_) => self.dynamic_configs(line),
        }
        Some(Step::Admin { ask: Admin::AlterConfig { resource, configs }, error: error(line) })
    }

    pub(super) fn ask(&mut self, line: &Line) -> Option<Admin> {
        Some(match line.word.as_str() {
            "add-partitions" => {
                let topic = line.text(0);
                let count = line.text(1).parse().ok()?;
                if error(line) == "NONE" {
                    if !self.names.topics.contains_key(&topic) {
                        self.unknown_topic(&topic, line.args[0].span);
                        return None;
                    }
                    let before = self.names.topics.insert(topic.clone(), count);
                    if let Some(before) = before.filter(|before| *before >= count) {
                        let span = line.args.get(1).map_or(line.span, |arg| arg.span);
                        self.wrong(format!("topic `{topic}` has {before} already"), span, "more than that");
                    }
                }
                Admin::AddPartitions { topic, count }
            }
            "delete-records" => {
                let partition = self.partition_at(line, 0)?;
                // -1 stands for the high watermark.
                let before = line.prop_int("before").unwrap_or(-1);
                Admin::DeleteRecords { partition, before }
            }
            "metadata" => self.metadata(line),
            "elect" => {
                let how = line.text(0);
                if !matches!(how.as_str(), "preferred" | "unclean") {
                    let mistake =
                        Mistake::new(format!("there is no election `{how}`"), line.args[0].span, "unknown");
                    self.mistakes.push(mistake.suggest(&how, ["preferred", "unclean"]));
                }
                Admin::Elect { unclean: how == "unclean", partition: self.partition_at(line, 1)? }
            }
            "reassign" => {
                let partition = self.partition_at(line, 0)?;
                let to = self.brokers_prop(line, "to");
                if to.is_some() == line.prop_flag("cancel").unwrap_or(false) {
                    self.wrong(
                        "`reassign` needs either `to` or `cancel`",
                        line.span,
                        "for example to=\"1,2,4\"",
                    );
                    return None;
                }
                if let Some(to) = &to {
                    self.moved(&partition, to);
                }
                Admin::Reassign { partition, to }
            }
            _ => Admin::Unregister(self.broker(line, 0)?),
        })
    }
}
