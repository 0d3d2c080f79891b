//! Heartbeats of members of the consumer protocol (KIP-848) and of share groups (KIP-932).

use klamm_node::Ctx;
use klamm_wire::messages::{ConsumerGroupHeartbeatRequest, ResponseKind, ShareGroupHeartbeatRequest};

use crate::core::RequestContext;
use crate::group::GroupCoordinator;
use crate::group::host::Host;
use crate::group::modern::consumer::heartbeat;
use crate::group::modern::refusal::Refusal;
use crate::group::modern::share::heartbeat as share_heartbeat;

impl GroupCoordinator {
    /// ConsumerGroupHeartbeat.
    pub(crate) fn consumer_heartbeat(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: ConsumerGroupHeartbeatRequest,
    ) {
        let partition = match heartbeat::validate(&self.config, &request, rc.api_version) {
            Ok(()) => self.lookup(&request.group_id).map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        match partition {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.consumer_heartbeat(&mut env, rc, request);
            }
            Err(refusal) => {
                let response = heartbeat::error_response(refusal);
                ctx.reply(rc.reply_to, ResponseKind::ConsumerGroupHeartbeat(response));
            }
        }
    }

    /// ShareGroupHeartbeat.
    pub(crate) fn share_heartbeat(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: ShareGroupHeartbeatRequest,
    ) {
        let partition = match share_heartbeat::validate(&request) {
            Ok(()) => self.lookup(&request.group_id).map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        match partition {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.share_heartbeat(&mut env, rc, request);
            }
            Err(refusal) => {
                let response = share_heartbeat::error_response(refusal);
                ctx.reply(rc.reply_to, ResponseKind::ShareGroupHeartbeat(response));
            }
        }
    }
}
