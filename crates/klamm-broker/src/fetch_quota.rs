//! What quotas have to do with fetches: how long an answer would be, and what is told instead of one that is too long.

use klamm_node::Ctx;
use klamm_wire::fetch_response::FetchSize;
use klamm_wire::{ErrorCode, FetchPartition, FetchResponse, FetchTopic, StrBytes};

use crate::core::Core;
use crate::fetch_session::{PartitionRef, TopicRef};
use crate::purgatory::fetch::FetchOp;
use crate::quota::Charge;

impl Core {
    /// Counts what an answer to a follower holds of throttled partitions (`KafkaApis.sizeOfThrottledPartitions`).
    pub(crate) fn count_throttled(&mut self, ctx: &Ctx<'_>, api_version: i16, response: &FetchResponse) {
        let is_throttled = |topic: &FetchTopic, answer: &FetchPartition| {
            let slot = self.replicas.slot_by_id(topic.topic_id, answer.partition);
            slot.and_then(|slot| self.replicas.get(slot)).is_some_and(|p| p.throttled.as_leader)
        };
        let mut size = FetchSize::new(api_version);
        for topic in &response.topics {
            let mut throttled =
                topic.partitions.iter().filter(|answer| is_throttled(topic, answer)).peekable();
            if throttled.peek().is_some() {
                size.topic(&topic.topic);
                throttled.for_each(|answer| size.partition(answer));
            }
        }
        self.quotas.leader.record(size.finish(&[]), ctx.wall.millis());
    }

    /// How long the answer to a consumer would be that says this of these partitions.
    pub(crate) fn answer_size<'a>(
        &self,
        api_version: i16,
        answers: impl Iterator<Item = (&'a PartitionRef, &'a FetchPartition)>,
    ) -> usize {
        let mut size = FetchSize::new(api_version);
        let mut hints = FetchResponse::default();
        let mut last = None;
        for (target, answer) in answers {
            if last != Some(&target.topic) {
                last = Some(&target.topic);
                match &target.topic {
                    TopicRef::Id(_) => size.topic(&StrBytes::default()),
                    TopicRef::Name(name) => size.topic(name),
                }
            }
            if api_version >= 16
                && matches!(answer.error_code, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch)
            {
                let mut answer = answer.clone();
                self.hint_leader(&mut hints, target, &mut answer, true);
                size.partition(&answer);
            } else {
                size.partition(answer);
            }
        }
        size.finish(&hints.node_endpoints)
    }

    /// What a consumer gets in place of an answer of so many bytes that takes it above its quota: nothing, and how long it must wait
    /// (`FetchContext.getThrottledResponse`).
    pub(crate) fn over_quota(
        &mut self,
        ctx: &mut Ctx<'_>,
        op: &FetchOp,
        bytes: usize,
        session_id: i32,
    ) -> Option<FetchResponse> {
        let charge = Charge { client_id: op.client_id.clone().unwrap_or_default(), bytes };
        let throttle_time_ms = self.charge_fetch(ctx, op.reply_to, &charge);
        (throttle_time_ms > 0).then(|| FetchResponse {
            throttle_time_ms,
            session_id,
            ..FetchResponse::default()
        })
    }
}
