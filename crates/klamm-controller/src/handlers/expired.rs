//! What has waited in the controller's queue for longer than it may take (`KafkaEventQueue`, `ControllerApis`): it is not carried out, by a controller
//! that is not active any more neither.

use klamm_node::{Ctx, Incoming, TraceKind};
use klamm_wire::{ErrorCode, Request};

use crate::controller::Controller;
use crate::handlers::not_controller;

/// Answers a request whose timeout is over with REQUEST_TIMED_OUT for everything that it asks; false for any other. Heartbeats have their own way
/// (`broker_heartbeat::expire`).
pub(super) fn answer(controller: &Controller, ctx: &mut Ctx<'_>, incoming: &Incoming) -> bool {
    let api = match incoming.request {
        Request::CreateTopics(_) => "CreateTopics",
        Request::DeleteTopics(_) => "DeleteTopics",
        Request::CreatePartitions(_) => "CreatePartitions",
        Request::ElectLeaders(_) => "ElectLeaders",
        Request::AlterPartitionReassignments(_) => "AlterPartitionReassignments",
        _ => return false,
    };
    if !controller.is_expired(ctx.now, incoming) {
        return false;
    }
    let waited_ms = i64::try_from(incoming.waited(ctx.now).as_millis()).unwrap_or(i64::MAX);
    ctx.trace(TraceKind::RequestExpired { api, waited_ms });
    match not_controller::refuse(&incoming.request, ErrorCode::RequestTimedOut, None) {
        Some(response) => ctx.reply(incoming.reply_to, response),
        None => ctx.close(incoming.reply_to),
    }
    true
}
