//! AssignReplicasToDirs (key 73): a broker says in which log directories its replicas are (KIP-858).

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, ResponseKind};

use crate::controller::Controller;
use crate::replication_control;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    request: &AssignReplicasToDirsRequest,
) {
    let mut records = Vec::new();
    let assigned = replication_control::assign_replicas_to_dirs(&controller.state, request, &mut records);
    let response = assigned
        .unwrap_or_else(|error| AssignReplicasToDirsResponse::default().with_error_code(error.code.code()));
    let response = ResponseKind::AssignReplicasToDirs(response);
    controller.commit(ctx, to, &records, "log directory assigned", response);
}
