//! BrokerHeartbeat (key 63): keeps a broker's session, and moves it between fenced, unfenced and shut down.

use std::time::Duration;

use klamm_node::{Ctx, EventId, NodeId, ReplyTo, Timestamp, TraceKind};
use klamm_wire::ErrorCode;
use klamm_wire::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse, ResponseKind};

use crate::broker_heartbeat::BrokerState;
use crate::cluster_control;
use crate::controller::Controller;

/// Keeps a broker's session when its heartbeat comes, before there is time for it (`ClusterControlManager.trackBrokerHeartbeat`).
pub(crate) fn track(
    controller: &mut Controller,
    now: Timestamp,
    request: &BrokerHeartbeatRequest,
    cause: Option<EventId>,
) {
    let id = NodeId(request.broker_id.0);
    if controller.state.check_broker_epoch(id, request.broker_epoch).is_ok() {
        controller.state.heartbeats.contact(id, request.broker_epoch, now, cause);
    }
}

/// A heartbeat has waited for too long (`ReplicationControlManager.processExpiredBrokerHeartbeat`): nothing changes, so that nobody is
/// fenced or unfenced by what was so a while ago.
pub(super) fn expire(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    request: &BrokerHeartbeatRequest,
    waited: Duration,
) {
    let id = NodeId(request.broker_id.0);
    if controller.state.check_broker_epoch(id, request.broker_epoch).is_ok() {
        let fenced = controller.state.image.cluster.broker(id).is_some_and(|broker| broker.fenced);
        controller.state.heartbeats.touch(id, fenced, request.current_metadata_offset);
        let waited_ms = i64::try_from(waited.as_millis()).unwrap_or(i64::MAX);
        ctx.trace(TraceKind::HeartbeatExpired { broker: id, waited_ms });
    }
    let response = BrokerHeartbeatResponse::default().with_error_code(ErrorCode::RequestTimedOut.code());
    ctx.reply(to, ResponseKind::BrokerHeartbeat(response));
}

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    request: &BrokerHeartbeatRequest,
    waited: Duration,
) {
    let id = NodeId(request.broker_id.0);
    let mut records = Vec::new();
    let heartbeat = match cluster_control::heartbeat(&controller.state, request, &mut records) {
        Ok(heartbeat) => heartbeat,
        Err(error) => {
            let response = BrokerHeartbeatResponse::default().with_error_code(error.code.code());
            controller.commit(ctx, to, &[], "heartbeat", ResponseKind::BrokerHeartbeat(response));
            return;
        }
    };
    if heartbeat.next == BrokerState::ShutdownNow {
        // The process ends now, so its successor need not wait for the session to run out, as in Kafka it would.
        controller.state.heartbeats.end_session(id, request.broker_epoch);
    } else if waited.is_zero() {
        // One that had to wait was noted when it came.
        controller.state.heartbeats.contact(id, request.broker_epoch, ctx.now, ctx.trace.effect());
    }
    controller.state.heartbeats.touch(id, heartbeat.next.is_fenced(), request.current_metadata_offset);
    let cause = match heartbeat.next {
        BrokerState::ControlledShutdown => "controlled shutdown",
        BrokerState::ShutdownNow => "shutdown",
        BrokerState::Fenced => "fenced at its own wish",
        BrokerState::Unfenced if !request.offline_log_dirs.is_empty() => "log directory offline",
        BrokerState::Unfenced => "unfenced",
    };
    controller.commit(ctx, to, &records, cause, ResponseKind::BrokerHeartbeat(heartbeat.response));
    if heartbeat.next == BrokerState::ControlledShutdown {
        let end = controller.raft.next_offset() - 1;
        controller.state.heartbeats.note_controlled_shutdown(id, end);
    }
}
