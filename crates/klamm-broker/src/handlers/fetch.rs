//! Fetch (key 1), versions 4–18. Answers to `KafkaApis.handleFetchRequest` and `FetchManager.newContext`.
//!
//! * v4 isolation level · v5 log start offset · v7 sessions (KIP-227) · v9 leader epochs (KIP-320) · v11 racks (KIP-392)
//! * v12 diverging epochs (KIP-595) · v13 topic ids (KIP-516) · v15 broker epochs (KIP-903) · v16 node endpoints (KIP-951)
//!
//! From version 11 on a follower answers consumers too, below its own high watermark, and a leader may send them to one (KIP-392).

use indexmap::IndexMap;
use klamm_log::FetchIsolation;
use klamm_node::{Ctx, NodeId};
use klamm_wire::messages::{FetchRequest, TopicName};
use klamm_wire::{ErrorCode, FetchPartition, FetchResponse, FetchTopic, Uuid};

use crate::broker::Broker;
use crate::core::{Core, RequestContext};
use crate::fetch_session::{FINAL_EPOCH, INITIAL_EPOCH, PartitionRef, TopicRef, next_epoch};
use crate::partition::fetch::{FetchParams, PartitionFetch};
use crate::purgatory::fetch::{FetchItem, FetchOp, FetchScope};

/// The replica id of a consumer.
const CONSUMER: i32 = -1;

/// Answers with records, or waits for enough of them.
pub(crate) fn handle(broker: &mut Broker, ctx: &mut Ctx<'_>, rc: RequestContext, request: FetchRequest) {
    let core = &mut broker.core;
    if !matches!(request.isolation_level, 0 | 1) {
        return refuse(ctx, &rc, &request);
    }
    let params = params(core, &rc, &request);
    let scope = match scope(core, ctx, rc.api_version, &request) {
        Ok(scope) => scope,
        Err(error_code) => {
            return ctx.reply(rc.reply_to, FetchResponse { error_code, ..FetchResponse::default() });
        }
    };
    let selects = core.config.hot.rack_aware && rc.api_version >= 11 && !params.is_from_follower();
    let rack = selects.then(|| request.rack_id.clone()).filter(|rack| !rack.is_empty());
    let RequestContext { reply_to, api_version, client_id, .. } = rc;
    let op = FetchOp { reply_to, api_version, client_id, params, rack, scope };
    core.start_fetch(ctx, op, request.max_wait_ms);
}

fn params(core: &Core, rc: &RequestContext, request: &FetchRequest) -> FetchParams {
    let api_version = rc.api_version;
    let (replica, replica_epoch) = if api_version >= 15 {
        (request.replica_state.replica_id.0, request.replica_state.replica_epoch)
    } else {
        (request.replica_id.0, -1)
    };
    let isolation = if replica != CONSUMER {
        FetchIsolation::LogEnd
    } else if request.isolation_level == 1 {
        FetchIsolation::TxnCommitted
    } else {
        FetchIsolation::HighWatermark
    };
    let mut max_bytes = request.max_bytes.min(core.config.hot.fetch_max_bytes);
    if replica < 0 && core.counts_fetched() {
        max_bytes = max_bytes.min(core.most_fetched_at_once(&rc.client_id()));
    }
    FetchParams {
        replica: NodeId(replica),
        replica_epoch,
        only_leader: replica >= 0 || (replica == CONSUMER && api_version < 11),
        isolation,
        min_bytes: request.min_bytes.min(max_bytes),
        max_bytes,
    }
}

fn scope(
    core: &mut Core,
    ctx: &Ctx<'_>,
    api_version: i16,
    request: &FetchRequest,
) -> Result<FetchScope, ErrorCode> {
    let (id, epoch) =
        if api_version >= 7 { (request.session_id, request.session_epoch) } else { (0, FINAL_EPOCH) };
    if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
        if id != 0
            && let Some(session) = core.sessions.remove(id)
        {
            core.unsubscribe_all(id, &session);
        }
        // Of a partition that is named twice the last word counts, in the first one's place.
        let distinct: IndexMap<PartitionRef, PartitionFetch> = asked(request, api_version).collect();
        let items =
            distinct.into_iter().map(|(target, fetch)| FetchItem { target, fetch, slot: None }).collect();
        return Ok(FetchScope::Full { items, wants_session: epoch == INITIAL_EPOCH });
    }
    core.sessions.check(id, epoch, api_version >= 13)?;
    let forgotten: Vec<_> = request
        .forgotten_topics_data
        .iter()
        .flat_map(|topic| {
            topic.partitions.iter().map(|p| partition_ref(api_version, &topic.topic, topic.topic_id, *p))
        })
        .collect();
    let Some(session) = core.sessions.get_mut(id) else { return Err(ErrorCode::FetchSessionIdNotFound) };
    for (target, fetch) in asked(request, api_version) {
        session.upsert(target, fetch);
    }
    let mut let_go = Vec::new();
    for target in &forgotten {
        let_go.extend(session.forget(target));
    }
    session.epoch = next_epoch(epoch);
    session.last_fetch_ms = ctx.wall.millis();
    // A fetch that still waits was given up by the fetcher: it ends with an epoch that is not the session's.
    session.parked = None;
    let next = session.epoch;
    let empty = session.len() == 0;
    for (index, slot) in let_go {
        if let Some(slot) = slot {
            core.unsubscribe(slot, id, index);
        }
    }
    if empty {
        core.sessions.remove(id);
        return Ok(FetchScope::Full { items: Vec::new(), wants_session: false });
    }
    core.sessions.note_use(id, ctx.now.as_millis());
    Ok(FetchScope::Session { id, epoch: next })
}

fn partition_ref(api_version: i16, topic: &TopicName, topic_id: Uuid, partition: i32) -> PartitionRef {
    let topic = if api_version < 13 { TopicRef::Name(topic.0.clone()) } else { TopicRef::Id(topic_id) };
    PartitionRef { topic, partition }
}

/// What the request names, in its order.
fn asked(request: &FetchRequest, api_version: i16) -> impl Iterator<Item = (PartitionRef, PartitionFetch)> {
    request.topics.iter().flat_map(move |topic| {
        topic.partitions.iter().map(move |partition| {
            let fetch = PartitionFetch {
                fetch_offset: partition.fetch_offset,
                log_start_offset: partition.log_start_offset,
                max_bytes: partition.partition_max_bytes,
                current_leader_epoch: Some(partition.current_leader_epoch).filter(|epoch| *epoch >= 0),
                last_fetched_epoch: Some(partition.last_fetched_epoch).filter(|epoch| *epoch >= 0),
            };
            (partition_ref(api_version, &topic.topic, topic.topic_id, partition.partition), fetch)
        })
    })
}

/// Kafka's answer to a request that it cannot read the isolation level of (`FetchRequest.getErrorResponse`).
fn refuse(ctx: &mut Ctx<'_>, rc: &RequestContext, request: &FetchRequest) {
    let error_code = ErrorCode::UnknownServerError;
    let topics = request.topics.iter().filter(|_| rc.api_version < 13).map(|topic| FetchTopic {
        topic: topic.topic.0.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| FetchPartition {
                aborted_transactions: Some(Vec::new()),
                ..FetchPartition::error(partition.partition, error_code)
            })
            .collect(),
    });
    let session_id = request.session_id;
    let response =
        FetchResponse { error_code, session_id, topics: topics.collect(), ..FetchResponse::default() };
    ctx.reply(rc.reply_to, response);
}
