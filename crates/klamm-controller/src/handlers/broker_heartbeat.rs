//! BrokerHeartbeat (key 63): keeps a broker's session, and moves it between fenced, unfenced and shut down.

use klamm_node::{Ctx, NodeId, ReplyTo};
use klamm_wire::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse, ResponseKind};

use crate::broker_heartbeat::BrokerState;
use crate::cluster_control;
use crate::controller::Controller;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    request: &BrokerHeartbeatRequest,
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
    } else {
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
