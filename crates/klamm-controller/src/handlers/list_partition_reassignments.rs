//! ListPartitionReassignments (key 46): the reassignments under way (KIP-455).

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::{ListPartitionReassignmentsRequest, ResponseKind};

use crate::controller::Controller;
use crate::replication_control;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    request: &ListPartitionReassignmentsRequest,
) {
    let response = replication_control::list_reassignments(&controller.state, request);
    let response = ResponseKind::ListPartitionReassignments(response);
    controller.commit(ctx, to, &[], "reassignments listed", response);
}
