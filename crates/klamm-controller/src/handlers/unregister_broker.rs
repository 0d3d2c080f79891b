//! UnregisterBroker (key 64): removes a broker from the cluster for good.

use klamm_node::{Ctx, NodeId, ReplyTo};
use klamm_wire::ErrorCode;
use klamm_wire::messages::{ResponseKind, UnregisterBrokerRequest, UnregisterBrokerResponse};

use crate::api_error::ApiError;
use crate::controller::Controller;
use crate::replication_control;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    request: &UnregisterBrokerRequest,
) {
    let id = NodeId(request.broker_id.0);
    let mut records = Vec::new();
    let mut response = UnregisterBrokerResponse::default();
    if controller.state.image.cluster.broker(id).is_some() {
        replication_control::broker_unregistered(&controller.state, id, &mut records);
    } else {
        let message = format!("Broker ID {id} is not currently registered");
        let error = ApiError::new(ErrorCode::BrokerIdNotRegistered, message);
        response = response.with_error_code(error.code.code()).with_error_message(error.text());
    }
    controller.commit(ctx, to, &records, "broker unregistered", ResponseKind::UnregisterBroker(response));
}
