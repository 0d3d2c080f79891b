//! Whether a position is still in the log after the leader has changed: if the log was truncated below it, the consumer
//! is told, or goes to where the logs parted (KIP-320, `SubscriptionState.maybeCompleteValidation`).

use klamm_node::TopicPartition;
use klamm_wire::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use klamm_wire::messages::offset_for_leader_epoch_response::EpochEndOffset;
use klamm_wire::messages::{BrokerId, OffsetForLeaderEpochRequest, ResponseKind, TopicName};
use klamm_wire::{ApiKey, ErrorCode, Request, Response};

use super::Consumer;
use super::assigned::{Position, State};
use crate::client::scripted::base::Base;
use crate::client::scripted::error::ClientError;
use crate::client::scripted::history::HistoryEvent;
use crate::client::{Answer, ClientCtx};

const VERSION: i16 = 4;
/// `OffsetsForLeaderEpochResponse.UNDEFINED_EPOCH_OFFSET` and `UNDEFINED_EPOCH`.
const UNDEFINED: i64 = -1;

impl Consumer {
    /// Has partitions look at the leader that metadata knows now.
    pub(super) fn see_leaders(&mut self, base: &Base) {
        for (name, assigned) in &mut self.assigned {
            if let Some(leader) = base.metadata.leader(name) {
                assigned.saw_leader(leader);
            }
        }
    }

    /// Asks leaders about the positions that have to be validated.
    pub(super) fn ask_validations(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        for (name, assigned) in &mut self.assigned {
            if assigned.state != State::AwaitValidation || assigned.asked || assigned.retry_at > ctx.now {
                continue;
            }
            let Some(position) = assigned.position else { continue };
            let (Some(epoch), Some(known)) = (position.epoch, position.leader) else { continue };
            let Some(leader) = known.leader.filter(|leader| base.channels.ready(ctx, *leader)) else {
                continue;
            };
            let partition = OffsetForLeaderPartition::default()
                .with_partition(name.partition)
                .with_current_leader_epoch(known.epoch)
                .with_leader_epoch(epoch);
            let topic = OffsetForLeaderTopic::default()
                .with_topic(TopicName(name.topic.clone()))
                .with_partitions(vec![partition]);
            let call = base.ask(ctx, leader, ApiKey::OffsetForLeaderEpoch, VERSION, |version| {
                let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
                let replica = BrokerId(if version >= 3 { -1 } else { -2 });
                Request::OffsetForLeaderEpoch(request.with_replica_id(replica))
            });
            assigned.asked = true;
            self.validations.insert(call, (name.clone(), position));
        }
    }

    /// Takes a leader's word on a position.
    pub(super) fn on_validated(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        name: &TopicPartition,
        position: Position,
        answer: &Answer,
    ) {
        let Some(assigned) = self.assigned.get_mut(name) else { return };
        if assigned.state != State::AwaitValidation || assigned.position != Some(position) {
            return;
        }
        assigned.asked = false;
        let Some(end) = outcome(answer).filter(|end| end.error_code == ErrorCode::None.code()) else {
            assigned.retry_at = ctx.now + self.spec.client.retry_backoff;
            base.metadata.request_update();
            return;
        };
        let reset = self.spec.auto_offset_reset.timestamp();
        if end.end_offset == UNDEFINED || end.leader_epoch == -1 {
            // The leader has nothing of that epoch or an older one: nobody knows where the logs parted.
            match reset {
                Some(timestamp) => assigned.reset(timestamp),
                None => self.truncated(ctx, name, position, None),
            }
        } else if end.end_offset < position.offset {
            if reset.is_none() {
                self.truncated(ctx, name, position, Some((end.end_offset, end.leader_epoch)));
                return;
            }
            let found =
                Position { offset: end.end_offset, epoch: Some(end.leader_epoch), leader: position.leader };
            assigned.seek(found, State::Fetching);
            ctx.happened(
                self.op(),
                HistoryEvent::Positioned {
                    partition: name.clone(),
                    from: Some(position.offset),
                    to: end.end_offset,
                    cause: "the log was truncated",
                },
            );
        } else {
            assigned.state = State::Fetching;
        }
    }

    /// Tells of a truncation (`LogTruncationException`); the partition waits for a seek.
    fn truncated(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        name: &TopicPartition,
        position: Position,
        divergent: Option<(i64, i32)>,
    ) {
        if let Some(assigned) = self.assigned.get_mut(name) {
            assigned.retry_at = ctx.now + self.spec.client.retry_backoff;
        }
        let (partition, offset) = (name.clone(), position.offset);
        self.fail_poll(ClientError::LogTruncation { partition, offset, divergent });
    }
}

fn outcome(answer: &Answer) -> Option<&EpochEndOffset> {
    let Answer::Response(Response::Other(response)) = answer else { return None };
    let ResponseKind::OffsetForLeaderEpoch(response) = &**response else { return None };
    response.topics.first()?.partitions.first()
}
