//! Who subscribes to what (Kafka's `SubscriptionCount`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::StrBytes;

/// How often a topic is subscribed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    /// By members that name it.
    by_name: usize,
    /// By resolved regular expressions.
    by_regex: usize,
}

/// The topics that a group's members subscribe to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subscriptions(BTreeMap<StrBytes, Count>);

/// Whether a subscription came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It came.
    Add,
    /// It went.
    Remove,
}

impl Subscriptions {
    /// A member names these topics, or names them no more.
    pub(crate) fn names(&mut self, topics: &BTreeSet<StrBytes>, change: Change) {
        self.change(topics, change, |count| &mut count.by_name);
    }

    /// A regular expression resolves to these topics, or does so no more.
    pub(crate) fn regex(&mut self, topics: &BTreeSet<StrBytes>, change: Change) {
        self.change(topics, change, |count| &mut count.by_regex);
    }

    fn change(
        &mut self,
        topics: &BTreeSet<StrBytes>,
        change: Change,
        side: impl Fn(&mut Count) -> &mut usize,
    ) {
        for topic in topics {
            if change == Change::Remove && !self.0.contains_key(topic) {
                continue;
            }
            let count = self.0.entry(topic.clone()).or_default();
            let number = side(count);
            *number = match change {
                Change::Add => *number + 1,
                Change::Remove => number.saturating_sub(1),
            };
            if *count == Count::default() {
                self.0.remove(topic);
            }
        }
    }

    /// The topics, in order.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &StrBytes> {
        self.0.keys()
    }

    /// Whether anybody subscribes to a topic.
    pub(crate) fn contains(&self, topic: &StrBytes) -> bool {
        self.0.contains_key(topic)
    }

    /// Whether every member subscribes to the same topics, all of them by name (`ModernGroup.subscriptionType`).
    pub(crate) fn all_named_by(&self, members: usize) -> bool {
        self.0.values().all(|count| count.by_name == members)
    }

    /// Whether every topic is there because of one regular expression and nothing else.
    pub(crate) fn all_of_one_regex(&self) -> bool {
        self.0.values().all(|count| count.by_regex == 1 && count.by_name == 0)
    }
}
