//! Fetch (key 1) of the metadata log, by brokers and other controllers. A fetch that finds nothing is parked until
//! there is something, or its time is over.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_metadata::{METADATA_TOPIC, METADATA_TOPIC_ID};
use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::fetch_response::{EpochEndOffset, LeaderIdAndEpoch};
use klamm_wire::messages::{BrokerId, FetchRequest};
use klamm_wire::{ErrorCode, FetchPartition, FetchResponse, FetchTopic, StrBytes};

use crate::controller::{Controller, Timer};
use crate::raft::Fetched;

/// Fetches that wait for records.
#[derive(Debug, Clone, Default)]
pub(crate) struct ParkedFetches {
    parked: BTreeMap<u64, (ReplyTo, Wanted)>,
    next: u64,
}

/// What a fetcher asks for.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    offset: i64,
    last_fetched_epoch: i32,
    current_leader_epoch: i32,
    max_bytes: usize,
    /// The high watermark that the fetcher knows (KIP-1166); one that does not say is not told of a newer one alone.
    high_watermark: i64,
}

pub(super) fn handle(controller: &mut Controller, ctx: &mut Ctx<'_>, to: ReplyTo, request: &FetchRequest) {
    if request.cluster_id.as_ref().is_some_and(|id| *id != controller.state.cluster_id) {
        ctx.reply(to, refusal(ErrorCode::InconsistentClusterId));
        return;
    }
    let Some(wanted) = wanted(request) else {
        ctx.reply(to, refusal(ErrorCode::InvalidRequest));
        return;
    };
    let (response, worth_sending) = read(controller, wanted);
    if worth_sending || request.max_wait_ms <= 0 {
        ctx.reply(to, response);
        return;
    }
    let fetches = &mut controller.fetches;
    let id = fetches.next;
    fetches.next += 1;
    fetches.parked.insert(id, (to, wanted));
    let wait = Duration::from_millis(u64::from(request.max_wait_ms.unsigned_abs()));
    controller.timers.set(Timer::Fetch(id), ctx.now + wait);
}

/// Answers the parked fetches that have something to learn now.
pub(crate) fn complete(controller: &mut Controller, ctx: &mut Ctx<'_>) {
    let parked = std::mem::take(&mut controller.fetches.parked);
    for (id, (to, wanted)) in parked {
        match read(controller, wanted) {
            (response, true) => {
                controller.timers.cancel(&Timer::Fetch(id));
                ctx.reply(to, response);
            }
            (_, false) => {
                controller.fetches.parked.insert(id, (to, wanted));
            }
        }
    }
}

/// Answers a parked fetch whose time is over.
pub(crate) fn time_out(controller: &mut Controller, ctx: &mut Ctx<'_>, id: u64) {
    if let Some((to, wanted)) = controller.fetches.parked.remove(&id) {
        let (response, _) = read(controller, wanted);
        ctx.reply(to, response);
    }
}

/// The metadata log is the only one that a controller has; `None` for a request that is not for exactly it.
fn wanted(request: &FetchRequest) -> Option<Wanted> {
    let [topic] = request.topics.as_slice() else { return None };
    let [partition] = topic.partitions.as_slice() else { return None };
    let is_metadata = topic.topic_id == METADATA_TOPIC_ID || &*topic.topic.0 == METADATA_TOPIC;
    if !is_metadata || partition.partition != 0 || partition.fetch_offset < 0 {
        return None;
    }
    let limit = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
    Some(Wanted {
        offset: partition.fetch_offset,
        last_fetched_epoch: partition.last_fetched_epoch,
        current_leader_epoch: partition.current_leader_epoch,
        max_bytes: limit(request.max_bytes).min(limit(partition.partition_max_bytes)).max(1),
        high_watermark: partition.high_watermark,
    })
}

fn refusal(error_code: ErrorCode) -> FetchResponse {
    FetchResponse { error_code, ..FetchResponse::default() }
}

/// The answer as of now, and whether it is worth sending at once.
fn read(controller: &Controller, wanted: Wanted) -> (FetchResponse, bool) {
    let raft = &controller.raft;
    let leader =
        LeaderIdAndEpoch::default().with_leader_id(BrokerId(raft.leader().0)).with_leader_epoch(raft.epoch());
    let mut partition = FetchPartition {
        log_start_offset: raft.log_start_offset(),
        high_watermark: raft.high_watermark(),
        current_leader: Some(leader),
        ..FetchPartition::error(0, ErrorCode::None)
    };
    if let Some(error) = epoch_error(wanted.current_leader_epoch, raft.epoch()) {
        partition.error_code = error;
        return (response(partition), true);
    }
    let mut worth_sending = wanted.high_watermark < raft.high_watermark();
    let disk = controller.disk.as_ref();
    match raft.fetch(disk, wanted.offset, wanted.last_fetched_epoch, wanted.max_bytes) {
        Ok(Fetched::Records(records)) => {
            worth_sending |= !records.is_empty();
            partition.records = records;
        }
        Ok(Fetched::Diverging { epoch, end_offset }) => {
            worth_sending = true;
            let end = EpochEndOffset::default().with_epoch(epoch).with_end_offset(end_offset);
            partition.diverging_epoch = Some(end);
        }
        Err(error) => {
            worth_sending = true;
            partition.error_code = error.code();
        }
    }
    (response(partition), worth_sending)
}

/// A fetcher that names an epoch names the leader's; -1 asks for the log of whoever leads.
const fn epoch_error(fetchers: i32, leaders: i32) -> Option<ErrorCode> {
    if fetchers == -1 || fetchers == leaders {
        None
    } else if fetchers < leaders {
        Some(ErrorCode::FencedLeaderEpoch)
    } else {
        Some(ErrorCode::UnknownLeaderEpoch)
    }
}

fn response(partition: FetchPartition) -> FetchResponse {
    let topic = FetchTopic {
        topic: StrBytes::from_static_str(METADATA_TOPIC),
        topic_id: METADATA_TOPIC_ID,
        partitions: vec![partition],
    };
    FetchResponse { topics: vec![topic], ..FetchResponse::default() }
}
