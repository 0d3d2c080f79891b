//! BrokerRegistration (key 62): a broker process joins the cluster and gets its epoch.

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::{BrokerRegistrationRequest, BrokerRegistrationResponse, ResponseKind};

use crate::cluster_control;
use crate::controller::Controller;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    version: i16,
    request: &BrokerRegistrationRequest,
) {
    let mut records = Vec::new();
    let next_offset = controller.raft.next_offset();
    let registered = cluster_control::register_broker(
        &controller.state,
        version,
        request,
        next_offset,
        ctx.now,
        &mut records,
    );
    let response = match registered {
        Ok(epoch) => BrokerRegistrationResponse::default().with_broker_epoch(epoch),
        Err(error) => {
            records.clear();
            BrokerRegistrationResponse::default().with_error_code(error.code.code())
        }
    };
    controller.commit(ctx, to, &records, "registered anew", ResponseKind::BrokerRegistration(response));
}
