//! A client that asks again and again where the partitions of a topic end, as monitoring tools do.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{NodeId, Timestamp};
use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::{BrokerId, ListOffsetsRequest, ResponseKind, TopicName};
use klamm_wire::{ApiKey, Request, Response, StrBytes};

use super::leaders::Leaders;
use super::{ClientCtx, RETRY_BACKOFF};

const VERSION: i16 = 7;
/// ListOffsets' word for a log's end.
const LATEST: i64 = -1;

/// How a watcher behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatcherSpec {
    /// The topic.
    pub topic: StrBytes,
    /// The time from one look to the next.
    pub interval: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct Watcher {
    spec: WatcherSpec,
    leaders: Leaders,
    look_at: Timestamp,
    /// Whom it asked and waits for.
    asking: BTreeMap<i32, NodeId>,
}

impl Watcher {
    pub(super) fn new(spec: WatcherSpec) -> Self {
        let leaders = Leaders::new(spec.topic.clone());
        Self { spec, leaders, look_at: Timestamp::ZERO, asking: BTreeMap::new() }
    }

    pub(super) fn next_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        self.leaders.next_deadline().into_iter().chain([self.look_at])
    }

    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>) {
        self.leaders.go_on(ctx);
        if self.look_at > ctx.now {
            return;
        }
        self.look_at = ctx.now + self.spec.interval;
        for broker in ctx.brokers {
            // One that does not answer is not asked again before its connection is given up.
            if self.asking.values().all(|asked| asked != broker) {
                self.look(ctx, *broker);
            }
        }
    }

    /// Asks a broker of every partition that it leads.
    fn look(&mut self, ctx: &mut ClientCtx<'_>, broker: NodeId) {
        let led = (0..self.leaders.partitions()).filter(|index| self.leaders.of(*index) == Some(broker));
        let partitions: Vec<_> = led
            .map(|index| {
                ListOffsetsPartition::default()
                    .with_partition_index(i32::try_from(index).unwrap_or(i32::MAX))
                    .with_current_leader_epoch(-1)
                    .with_timestamp(LATEST)
            })
            .collect();
        if partitions.is_empty() {
            return;
        }
        let topic = ListOffsetsTopic::default()
            .with_name(TopicName(self.spec.topic.clone()))
            .with_partitions(partitions);
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
        let correlation_id = ctx.ask(broker, ApiKey::ListOffsets, VERSION, Request::ListOffsets(request));
        self.asking.insert(correlation_id, broker);
    }

    pub(super) fn on_answer(&mut self, ctx: &ClientCtx<'_>, correlation_id: i32, answer: Option<Response>) {
        if self.leaders.on_answer(ctx, correlation_id, answer.as_ref()) {
            return;
        }
        if self.asking.remove(&correlation_id).is_none() {
            return;
        }
        let told = match &answer {
            Some(Response::Other(kind)) => match &**kind {
                ResponseKind::ListOffsets(answer) => {
                    answer.topics.iter().flat_map(|topic| &topic.partitions).all(|p| p.error_code == 0)
                }
                _ => false,
            },
            _ => false,
        };
        if !told {
            self.leaders.refresh(ctx.now);
            self.look_at = self.look_at.min(ctx.now + RETRY_BACKOFF);
        }
    }
}
