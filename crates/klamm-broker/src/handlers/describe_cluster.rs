//! DescribeCluster (key 60), versions 0–2. Answers to `KafkaApis.handleDescribeCluster`.
//!
//! * v1 endpoint type (KIP-919) · v2 fenced brokers (KIP-1073)
//!
//! Difference: none known.

use klamm_node::Ctx;
use klamm_wire::messages::describe_cluster_response::DescribeClusterBroker;
use klamm_wire::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes};

use crate::broker::Broker;
use crate::core::RequestContext;
use crate::handlers::metadata::{CLUSTER_OPERATIONS, some_alive_broker};
use crate::lifecycle::LISTENER;

/// `EndpointType.BROKER`
const BROKERS: i8 = 1;
/// `EndpointType.CONTROLLER`
const CONTROLLERS: i8 = 2;

/// Tells the brokers of the cluster.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: DescribeClusterRequest,
) {
    let core = &broker.core;
    let endpoint_type = if rc.api_version >= 1 { request.endpoint_type } else { BROKERS };
    let refuse = |ctx: &mut Ctx<'_>, error: ErrorCode, message: String| {
        let response = DescribeClusterResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)));
        ctx.reply(rc.reply_to, ResponseKind::DescribeCluster(response));
    };
    match endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let message = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type \
                           CONTROLLER";
            return refuse(ctx, ErrorCode::MismatchedEndpointType, message.to_owned());
        }
        other => {
            let message = format!("Unsupported endpoint type {other}");
            return refuse(ctx, ErrorCode::UnsupportedEndpointType, message);
        }
    }
    let mut response = DescribeClusterResponse::default()
        .with_endpoint_type(BROKERS)
        .with_cluster_id(core.settings.cluster_id.clone())
        .with_controller_id(some_alive_broker(core, ctx));
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    for registration in core.metadata.image().cluster.brokers() {
        if registration.fenced && !request.include_fenced_brokers {
            continue;
        }
        let Some(endpoint) = registration.endpoint(LISTENER) else { continue };
        response.brokers.push(
            DescribeClusterBroker::default()
                .with_broker_id(BrokerId(registration.id.0))
                .with_host(endpoint.host.clone())
                .with_port(endpoint.port.into())
                .with_rack(registration.rack.clone())
                .with_is_fenced(registration.fenced),
        );
    }
    ctx.reply(rc.reply_to, ResponseKind::DescribeCluster(response));
}
