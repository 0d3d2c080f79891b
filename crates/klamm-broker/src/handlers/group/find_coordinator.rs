//! FindCoordinator (key 10), versions 0–6. Answers to `KafkaApis.handleFindCoordinatorRequest`.
//!
//! * v1 key type, throttle time · v3 flexible · v4 several keys (KIP-699) · v5 `TRANSACTION_ABORTABLE` (KIP-890)
//! * v6 share groups (KIP-932)
//!
//! Difference: transactions and share groups are not served yet. Their keys get `INVALID_REQUEST` and a message that says so,
//! rather than an error that a client would retry for ever.

use klamm_node::Ctx;
use klamm_wire::messages::find_coordinator_response::Coordinator;
use klamm_wire::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes};

use crate::broker::Broker;
use crate::core::{GROUP_METADATA_TOPIC, RequestContext};
use crate::group::partition_for;

/// Key types (`FindCoordinatorRequest.CoordinatorType`).
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// Where a key's coordinator is.
enum Found {
    /// There.
    At(BrokerId, StrBytes, i32),
    /// Nowhere, and why.
    Not(ErrorCode, &'static str),
}

/// Answers from this broker's metadata. The first question about a group makes `__consumer_offsets`.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: FindCoordinatorRequest,
) {
    let key_type = request.key_type;
    let response = if rc.api_version < 4 {
        single(find(broker, ctx, rc, key_type, &request.key))
    } else {
        let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
        for key in request.coordinator_keys {
            let found = find(broker, ctx, rc, key_type, &key);
            coordinators.push(one_of_many(found).with_key(key));
        }
        FindCoordinatorResponse::default().with_coordinators(coordinators)
    };
    ctx.reply(rc.reply_to, ResponseKind::FindCoordinator(response));
}

fn find(broker: &mut Broker, ctx: &mut Ctx<'_>, rc: &RequestContext, key_type: i8, key: &str) -> Found {
    match key_type {
        GROUP => {}
        TRANSACTION => {
            return Found::Not(ErrorCode::InvalidRequest, "klamm does not serve transactions yet.");
        }
        SHARE if rc.api_version >= 6 => {
            return Found::Not(ErrorCode::InvalidRequest, "klamm does not serve share groups yet.");
        }
        SHARE => {
            return Found::Not(ErrorCode::InvalidRequest, "Share coordinators are known from version 6 on.");
        }
        _ => return Found::Not(ErrorCode::InvalidRequest, "Unknown coordinator type."),
    }
    const UNAVAILABLE: Found =
        Found::Not(ErrorCode::CoordinatorNotAvailable, "The coordinator is not available.");
    let Some(partitions) = broker.core.partition_count(GROUP_METADATA_TOPIC) else {
        broker.core.ensure_internal_topic(ctx, GROUP_METADATA_TOPIC);
        return UNAVAILABLE;
    };
    let partition = partition_for(key, partitions);
    match broker.core.leader_endpoint(GROUP_METADATA_TOPIC, partition) {
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
            .with_error_message(None),
        Found::Not(error, message) => FindCoordinatorResponse::default()
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(message))),
    }
}

fn one_of_many(found: Found) -> Coordinator {
    match found {
        Found::At(node, host, port) => {
            Coordinator::default().with_node_id(node).with_host(host).with_port(port)
        }
        Found::Not(error, message) => Coordinator::default()
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(message))),
    }
}
