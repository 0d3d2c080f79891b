//! What a client knows of one topic: where its partitions' leaders are.

use klamm_node::{NodeId, Timestamp};
use klamm_wire::messages::metadata_request::MetadataRequestTopic;
use klamm_wire::messages::{MetadataRequest, ResponseKind, TopicName};
use klamm_wire::{ApiKey, Request, Response, StrBytes};

use super::{ClientCtx, RETRY_BACKOFF};

const VERSION: i16 = 12;

/// A topic's leaders, as metadata last told.
#[derive(Debug, Clone)]
pub(super) struct Leaders {
    topic: StrBytes,
    leaders: Vec<Option<NodeId>>,
    asked: Option<i32>,
    /// When to ask again; `None` while all is well.
    ask_at: Option<Timestamp>,
}

impl Leaders {
    pub(super) const fn new(topic: StrBytes) -> Self {
        Self { topic, leaders: Vec::new(), asked: None, ask_at: Some(Timestamp::ZERO) }
    }

    pub(super) fn partitions(&self) -> usize {
        self.leaders.len()
    }

    pub(super) fn of(&self, partition: usize) -> Option<NodeId> {
        self.leaders.get(partition).copied().flatten()
    }

    /// A request found that this is out of date.
    pub(super) fn refresh(&mut self, now: Timestamp) {
        if self.ask_at.is_none() {
            self.ask_at = Some(now);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        if self.asked.is_some() { None } else { self.ask_at }
    }

    /// Asks when it is time to.
    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>) {
        if self.asked.is_some() || self.ask_at.is_none_or(|at| at > ctx.now) {
            return;
        }
        let Some(broker) = ctx.any_broker() else { return };
        let topic = MetadataRequestTopic::default().with_name(Some(TopicName(self.topic.clone())));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        self.asked = Some(ctx.ask(broker, ApiKey::Metadata, VERSION, Request::Metadata(request)));
        self.ask_at = None;
    }

    /// Takes an answer that is this one's; false when it is another's.
    pub(super) fn on_answer(
        &mut self,
        ctx: &ClientCtx<'_>,
        correlation_id: i32,
        answer: Option<&Response>,
    ) -> bool {
        if self.asked != Some(correlation_id) {
            return false;
        }
        self.asked = None;
        if !answer.is_some_and(|answer| self.learn(answer)) {
            self.ask_at = Some(ctx.now + RETRY_BACKOFF);
        }
        true
    }

    /// False when some partition's leader is not known yet.
    fn learn(&mut self, answer: &Response) -> bool {
        let Response::Other(answer) = answer else { return false };
        let ResponseKind::Metadata(answer) = &**answer else { return false };
        let Some(topic) = answer.topics.first() else { return false };
        if topic.error_code != 0 || topic.partitions.is_empty() {
            return false;
        }
        self.leaders.resize(self.leaders.len().max(topic.partitions.len()), None);
        let mut complete = true;
        for partition in &topic.partitions {
            let leader = (partition.leader_id.0 >= 0).then_some(NodeId(partition.leader_id.0));
            complete &= leader.is_some();
            let known =
                usize::try_from(partition.partition_index).ok().and_then(|index| self.leaders.get_mut(index));
            if let Some(known) = known {
                *known = leader;
            }
        }
        complete
    }
}
