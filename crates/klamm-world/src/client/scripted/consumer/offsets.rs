//! Where a log begins and ends, or what came at a time: ListOffsets, for resets and for whoever asks
//! (`OffsetFetcher`).

use klamm_node::{Timestamp, TopicPartition};
use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::list_offsets_response::ListOffsetsPartitionResponse;
use klamm_wire::messages::{BrokerId, ListOffsetsRequest, ResponseKind, TopicName};
use klamm_wire::{ApiKey, ErrorCode, Request, Response};

use super::Consumer;
use super::assigned::{Position, State};
use crate::client::scripted::base::Base;
use crate::client::scripted::history::HistoryEvent;
use crate::client::scripted::metadata::KnownLeader;
use crate::client::scripted::op::FoundOffset;
use crate::client::{Answer, ClientCtx};

const VERSION: i16 = 10;

/// Asks a partition's leader for the offset of a timestamp. `None` when there is no leader, or no connection yet.
pub(super) fn ask(
    ctx: &mut ClientCtx<'_>,
    base: &mut Base,
    name: &TopicPartition,
    timestamp: i64,
    read_committed: bool,
) -> Option<i32> {
    let known = base.metadata.leader(name);
    let Some(KnownLeader { leader: Some(leader), epoch }) = known else {
        base.metadata.request_update();
        return None;
    };
    if !base.channels.ready(ctx, leader) {
        return None;
    }
    let partition = ListOffsetsPartition::default()
        .with_partition_index(name.partition)
        .with_current_leader_epoch(epoch)
        .with_timestamp(timestamp);
    let topic =
        ListOffsetsTopic::default().with_name(TopicName(name.topic.clone())).with_partitions(vec![partition]);
    let timeout_ms = i32::try_from(base.settings.request_timeout.as_millis()).unwrap_or(i32::MAX);
    Some(base.ask(ctx, leader, ApiKey::ListOffsets, VERSION, |version| {
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(read_committed.into())
            .with_topics(vec![topic]);
        Request::ListOffsets(if version >= 10 { request.with_timeout_ms(timeout_ms) } else { request })
    }))
}

/// What the answer says: the offset (`None` when no record is that young), or an error, `None` for a broken connection.
pub(super) fn outcome(answer: &Answer) -> Result<Option<FoundOffset>, Option<ErrorCode>> {
    let Answer::Response(Response::Other(response)) = answer else { return Err(None) };
    let ResponseKind::ListOffsets(response) = &**response else { return Err(None) };
    let partition = response.topics.first().and_then(|topic| topic.partitions.first());
    let Some(ListOffsetsPartitionResponse { error_code, offset, timestamp, leader_epoch, .. }) = partition
    else {
        return Err(None);
    };
    match ErrorCode::from_code(*error_code).unwrap_or(ErrorCode::UnknownServerError) {
        ErrorCode::None => Ok((*offset >= 0).then_some(FoundOffset {
            offset: *offset,
            timestamp: *timestamp,
            leader_epoch: *leader_epoch,
        })),
        error => Err(Some(error)),
    }
}

impl Consumer {
    /// Asks for the beginnings and ends that partitions wait for.
    pub(super) fn ask_resets(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        for (name, assigned) in &mut self.assigned {
            let State::AwaitReset(timestamp) = assigned.state else { continue };
            if assigned.asked || assigned.retry_at > ctx.now {
                continue;
            }
            if let Some(call) = ask(ctx, base, name, timestamp, self.spec.read_committed) {
                assigned.asked = true;
                self.resets.insert(call, (name.clone(), timestamp));
            }
        }
    }

    /// Takes an answer that a partition waits for to begin.
    pub(super) fn on_reset(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        name: &TopicPartition,
        timestamp: i64,
        answer: &Answer,
    ) {
        let Some(assigned) = self.assigned.get_mut(name) else { return };
        if assigned.state != State::AwaitReset(timestamp) {
            return;
        }
        assigned.asked = false;
        let Ok(Some(found)) = outcome(answer) else {
            assigned.retry_at = ctx.now + self.spec.client.retry_backoff;
            base.metadata.request_update();
            return;
        };
        let from = assigned.position.map(|position| position.offset);
        // Without the epoch of the record before it there is nothing to validate.
        let leader = base.metadata.leader(name);
        assigned.seek(Position { offset: found.offset, epoch: None, leader }, State::Fetching);
        ctx.happened(
            self.op(),
            HistoryEvent::Positioned {
                partition: name.clone(),
                from,
                to: found.offset,
                cause: if timestamp == super::EARLIEST { "reset to earliest" } else { "reset to latest" },
            },
        );
    }
}

/// A question that somebody asked, until it is answered.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) partition: TopicPartition,
    pub(super) timestamp: i64,
    pub(super) gives_up: Timestamp,
    pub(super) asked: Option<i32>,
    pub(super) retry_at: Timestamp,
}

impl Query {
    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base, read_committed: bool) {
        if self.asked.is_none() && self.retry_at <= ctx.now {
            self.asked = ask(ctx, base, &self.partition, self.timestamp, read_committed);
        }
    }
}
