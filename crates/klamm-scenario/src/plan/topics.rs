//! What clients ask topics about: who leads, and where a key belongs.

use klamm_node::TopicPartition;

use super::Planner;
use super::read::Read;
use crate::error::Mistake;
use crate::line::Line;
use crate::step::Admin;

/// `num.partitions`, which a topic that is created by asking for it has.
const NUM_PARTITIONS: i32 = 1;

impl Planner<'_> {
    /// The partition of the file's only topic that a key belongs to, by as many partitions as it has at this line.
    pub(super) fn partition_of_key(&mut self, line: &Line, key: &str) -> Option<TopicPartition> {
        let mut topics = self.names.topics.iter();
        let (Some((topic, count)), None) = (topics.next(), topics.next()) else {
            self.mistakes.push(
                Mistake::new(
                    "a key in which topic?",
                    line.span,
                    "there is not exactly one topic in this file",
                )
                .help("name the partition, such as to=t-0"),
            );
            return None;
        };
        let partitions = usize::try_from(*count).unwrap_or_default();
        let index = klamm_wire::partition_for_key(key.as_bytes(), partitions);
        Some(TopicPartition::new(topic.clone(), i32::try_from(index).ok()?))
    }

    /// A topic that this asks to create is there in what follows.
    pub(super) fn metadata(&mut self, line: &Line) -> Admin {
        let topic = line.text(0);
        let create = line.prop_flag("create").unwrap_or(false);
        if create {
            self.names.topics.entry(topic.clone()).or_insert(NUM_PARTITIONS);
        }
        Admin::Metadata { topic, create, broker: self.broker_prop(line, "broker") }
    }
}
