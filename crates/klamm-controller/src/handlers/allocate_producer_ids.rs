//! AllocateProducerIds (key 67): a block of producer ids for a broker (KIP-730).

use klamm_node::{Ctx, NodeId, ReplyTo};
use klamm_wire::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, ProducerId, ResponseKind,
};

use crate::controller::Controller;
use crate::producer_id_control::{self, BLOCK_SIZE};

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    request: &AllocateProducerIdsRequest,
) {
    let broker = NodeId(request.broker_id.0);
    let allocated = producer_id_control::allocate(&controller.state, broker, request.broker_epoch);
    let (records, response) = match allocated {
        Ok((first, record)) => (
            vec![record],
            AllocateProducerIdsResponse::default()
                .with_producer_id_start(ProducerId(first))
                .with_producer_id_len(BLOCK_SIZE),
        ),
        Err(error) => (Vec::new(), AllocateProducerIdsResponse::default().with_error_code(error.code.code())),
    };
    controller.commit(ctx, to, &records, "producer ids", ResponseKind::AllocateProducerIds(response));
}
