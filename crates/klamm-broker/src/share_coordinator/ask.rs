//! What the share coordinator is asked of one share-partition, and what it answers. The five APIs have requests and responses of
//! the same shape: topics, partitions, and for each partition one question.

use std::collections::BTreeMap;

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::ResponseKind;
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use super::state::StateBatch;

/// A question about one share-partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// InitializeShareGroupState.
    Initialize {
        /// The new state epoch.
        state_epoch: i32,
        /// Where the share-partition starts, or -1.
        start_offset: i64,
    },
    /// ReadShareGroupState.
    Read {
        /// The epoch of the leader that asks.
        leader_epoch: i32,
    },
    /// WriteShareGroupState.
    Write {
        /// The state epoch that the leader knows.
        state_epoch: i32,
        /// The epoch of the leader that writes.
        leader_epoch: i32,
        /// The new start offset.
        start_offset: i64,
        /// Records' new states.
        batches: Vec<StateBatch>,
    },
    /// DeleteShareGroupState.
    Delete,
    /// ReadShareGroupStateSummary.
    Summary,
}

/// The answer for one share-partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The partition.
    pub(crate) partition: i32,
    /// What was wrong, or nothing.
    pub(crate) error: ErrorCode,
    /// What to say of it.
    pub(crate) message: Option<StrBytes>,
    /// The state epoch.
    pub(crate) state_epoch: i32,
    /// The leader epoch.
    pub(crate) leader_epoch: i32,
    /// The start offset.
    pub(crate) start_offset: i64,
    /// The records' states.
    pub(crate) batches: Vec<StateBatch>,
}

impl Answer {
    /// Nothing was wrong.
    pub(crate) const fn ok(partition: i32) -> Self {
        Self {
            partition,
            error: ErrorCode::None,
            message: None,
            state_epoch: 0,
            leader_epoch: 0,
            start_offset: 0,
            batches: Vec::new(),
        }
    }

    /// Something was.
    pub(crate) fn error(partition: i32, error: ErrorCode, message: &'static str) -> Self {
        let message = Some(StrBytes::from_static_str(message));
        Self { error, message, ..Self::ok(partition) }
    }
}

/// A topic's answers.
pub(crate) type TopicAnswers = (Uuid, Vec<Answer>);
/// Puts the answers for all share-partitions of a request into a response.
pub(crate) type Respond = fn(Vec<TopicAnswers>) -> ResponseKind;

/// A request some of whose share-partitions have no answer yet.
#[derive(Debug, Clone)]
struct Gather {
    to: ReplyTo,
    respond: Respond,
    topics: Vec<(Uuid, usize)>,
    answers: Vec<Option<Answer>>,
    missing: usize,
}

/// Names a [`Gather`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GatherId(u64);

/// Requests that wait for the answers of several share-partitions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gathers {
    next: u64,
    open: BTreeMap<GatherId, Gather>,
}

impl Gathers {
    /// Begins an answer with a number of partitions for each topic.
    pub(crate) fn begin(&mut self, to: ReplyTo, respond: Respond, topics: Vec<(Uuid, usize)>) -> GatherId {
        let id = GatherId(self.next);
        self.next += 1;
        let missing = topics.iter().map(|(_, partitions)| partitions).sum();
        self.open.insert(id, Gather { to, respond, topics, answers: vec![None; missing], missing });
        id
    }

    /// Notes an answer; the last one sends the response.
    pub(crate) fn answer(&mut self, ctx: &mut Ctx<'_>, id: GatherId, slot: usize, answer: Answer) {
        let Some(gather) = self.open.get_mut(&id) else { return };
        let Some(place) = gather.answers.get_mut(slot) else { return };
        if place.replace(answer).is_none() {
            gather.missing -= 1;
        }
        if gather.missing > 0 {
            return;
        }
        let Some(Gather { to, respond, topics, answers, .. }) = self.open.remove(&id) else { return };
        let mut answers = answers.into_iter().flatten();
        let topics =
            topics.into_iter().map(|(id, partitions)| (id, answers.by_ref().take(partitions).collect()));
        ctx.reply(to, respond(topics.collect()));
    }
}
