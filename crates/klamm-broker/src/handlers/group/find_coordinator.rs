//! FindCoordinator (key 10), versions 0–6. Answers to `KafkaApis.handleFindCoordinatorRequest`.
//!
//! * v1 key type, throttle time · v3 flexible · v4 several keys (KIP-699) · v5 `TRANSACTION_ABORTABLE` (KIP-890)
//! * v6 share groups (KIP-932)
//!
//! Difference: the first question about a group makes `__consumer_offsets`, as one about a transactional id does
//! `__transaction_state`, and one about a share-partition `__share_group_state`. Kafka answers `COORDINATOR_NOT_AVAILABLE` and lets the
//! client come again after its back-off; here the answer waits for the topic, for a second at most.

use std::collections::VecDeque;
use std::time::Duration;

use klamm_node::{Ctx, Timestamp};
use klamm_wire::messages::find_coordinator_response::Coordinator;
use klamm_wire::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes};

use crate::broker::Broker;
use crate::core::{
    Core, GROUP_METADATA_TOPIC, RequestContext, SHARE_GROUP_STATE_TOPIC, TRANSACTION_STATE_TOPIC, Timer,
};
use crate::group::{GroupTimer, partition_for};
use crate::handlers::INVALID_REQUEST;
use crate::share::key::SharePartitionKey;

/// Key types (`FindCoordinatorRequest.CoordinatorType`).
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// How long an answer waits for the coordinators' topic to be made.
const TOPIC_WAIT: Duration = Duration::from_secs(1);

/// Questions that wait for the coordinators' topic, in the order they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct WaitingFinds(VecDeque<(Timestamp, RequestContext, FindCoordinatorRequest)>);

/// Where a key's coordinator is.
enum Found {
    /// There.
    At(BrokerId, StrBytes, i32),
    /// Nowhere, and why.
    Not(ErrorCode, &'static str),
    /// There is no such type of coordinator here, and why.
    NotServed(&'static str),
}

const UNAVAILABLE: Found =
    Found::Not(ErrorCode::CoordinatorNotAvailable, "The coordinator is not available.");

/// Answers from this broker's metadata.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: FindCoordinatorRequest,
) {
    if let Some(topic) = topic_of(request.key_type, rc.api_version)
        && broker.core.partition_count(topic).is_none()
    {
        broker.core.ensure_internal_topic(ctx, topic);
        let deadline = ctx.now + TOPIC_WAIT;
        if broker.groups.waiting_finds.0.is_empty() {
            broker.core.set_timer(Timer::Group(GroupTimer::Find), deadline);
        }
        broker.groups.waiting_finds.0.push_back((deadline, rc, request));
        return;
    }
    answer(&broker.core, ctx, &rc, request);
}

/// The step may have brought a topic: answers what waits for it.
pub(crate) fn answer_waiting(broker: &mut Broker, ctx: &mut Ctx<'_>) {
    let core = &mut broker.core;
    let waiting = &mut broker.groups.waiting_finds.0;
    let is_ready = |(_, rc, request): &(Timestamp, RequestContext, FindCoordinatorRequest)| {
        topic_of(request.key_type, rc.api_version).is_none_or(|topic| core.partition_count(topic).is_some())
    };
    if !waiting.iter().any(is_ready) {
        return;
    }
    let (ready, not_yet): (Vec<_>, Vec<_>) = std::mem::take(waiting).into_iter().partition(is_ready);
    *waiting = not_yet.into();
    match waiting.front() {
        Some((deadline, ..)) => core.set_timer(Timer::Group(GroupTimer::Find), *deadline),
        None => drop(core.cancel_timer(&Timer::Group(GroupTimer::Find))),
    }
    for (_, rc, request) in ready {
        answer(core, ctx, &rc, request);
    }
}

impl WaitingFinds {
    /// Answers what has waited long enough.
    pub(crate) fn expire(&mut self, core: &mut Core, ctx: &mut Ctx<'_>) {
        while self.0.front().is_some_and(|(deadline, ..)| *deadline <= ctx.now) {
            if let Some((_, rc, request)) = self.0.pop_front() {
                answer(core, ctx, &rc, request);
            }
        }
        if let Some((deadline, ..)) = self.0.front() {
            core.set_timer(Timer::Group(GroupTimer::Find), *deadline);
        }
    }
}

fn answer(core: &Core, ctx: &mut Ctx<'_>, rc: &RequestContext, request: FindCoordinatorRequest) {
    let key_type = request.key_type;
    let response = if rc.api_version < 4 {
        single(find(core, rc, key_type, &request.key))
    } else {
        let coordinators = request.coordinator_keys.into_iter().map(|key| {
            let found = find(core, rc, key_type, &key);
            one_of_many(found).with_key(key)
        });
        FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
    };
    ctx.reply(rc.reply_to, ResponseKind::FindCoordinator(response));
}

/// The topic whose partitions' leaders are the coordinators.
const fn topic_of(key_type: i8, version: i16) -> Option<&'static str> {
    match key_type {
        GROUP => Some(GROUP_METADATA_TOPIC),
        TRANSACTION => Some(TRANSACTION_STATE_TOPIC),
        SHARE if version >= 6 => Some(SHARE_GROUP_STATE_TOPIC),
        _ => None,
    }
}

fn find(core: &Core, rc: &RequestContext, key_type: i8, key: &str) -> Found {
    let (topic, share_partition) = match key_type {
        GROUP => (GROUP_METADATA_TOPIC, None),
        TRANSACTION => (TRANSACTION_STATE_TOPIC, None),
        SHARE => match SharePartitionKey::parse(key).filter(|_| rc.api_version >= 6) {
            Some(parsed) => (SHARE_GROUP_STATE_TOPIC, Some(parsed)),
            None => return Found::Not(ErrorCode::InvalidRequest, INVALID_REQUEST),
        },
        _ => return Found::NotServed(INVALID_REQUEST),
    };
    let Some(partitions) = core.partition_count(topic) else { return UNAVAILABLE };
    let partition = match share_partition {
        Some(parsed) => parsed.coordinator_partition(partitions),
        None => partition_for(key, partitions),
    };
    match core.leader_endpoint(topic, partition) {
        Some((node, host, port)) => Found::At(BrokerId(node.0), host, port),
        None => UNAVAILABLE,
    }
}

fn single(found: Found) -> FindCoordinatorResponse {
    match found {
        Found::At(node, host, port) => FindCoordinatorResponse::default()
            .with_node_id(node)
            .with_host(host)
            .with_port(port)
            .with_error_message(Some(StrBytes::from_static_str("NONE"))),
        Found::Not(error, message) => FindCoordinatorResponse::default()
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(message))),
        Found::NotServed(message) => single(Found::Not(ErrorCode::InvalidRequest, message)),
    }
}

fn one_of_many(found: Found) -> Coordinator {
    match found {
        Found::At(node, host, port) => {
            Coordinator::default().with_node_id(node).with_host(host).with_port(port)
        }
        // Kafka explains nothing here, but for what it cannot even begin to look up.
        Found::Not(error, _) => Coordinator::default()
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::default())),
        Found::NotServed(message) => Coordinator::default()
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(ErrorCode::InvalidRequest.code())
            .with_error_message(Some(StrBytes::from_static_str(message))),
    }
}
