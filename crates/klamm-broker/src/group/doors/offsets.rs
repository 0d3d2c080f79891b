//! Requests about committed offsets.

use klamm_node::Ctx;
use klamm_wire::messages::offset_commit_response::OffsetCommitResponseTopic;
use klamm_wire::messages::{OffsetCommitRequest, OffsetDeleteRequest, OffsetDeleteResponse, ResponseKind};

use crate::core::RequestContext;
use crate::group::host::Host;
use crate::group::{GroupCoordinator, GroupFetch, commit, done, parked};

impl GroupCoordinator {
    /// OffsetCommit. `refused` are topics that do not exist.
    pub(crate) fn commit(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: OffsetCommitRequest,
        refused: Vec<OffsetCommitResponseTopic>,
    ) {
        match self.lookup(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.commit(&mut env, rc, request, refused);
            }
            Err(error) => {
                let response = done::commit_response(refused, commit::commit_error(&request, error));
                ctx.reply(rc.reply_to, ResponseKind::OffsetCommit(response));
            }
        }
    }

    /// OffsetFetch, of any number of groups.
    pub(crate) fn fetch(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        require_stable: bool,
        groups: Vec<GroupFetch>,
    ) {
        let gather = self.gathers.fetch(ctx, parked(rc), groups.len());
        for (slot, fetch) in groups.into_iter().enumerate() {
            match self.lookup(&fetch.group) {
                Ok(partition) => {
                    let (shard, mut env) = self.at(host, ctx, partition);
                    shard.fetch_offsets(&mut env, gather, slot, rc.api_version, require_stable, fetch);
                }
                Err(error) => {
                    self.gathers.fetched(ctx, gather, slot, fetch.error(rc.api_version, error));
                }
            }
        }
    }

    /// OffsetDelete. `response` holds what was refused before.
    pub(crate) fn delete_offsets(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: OffsetDeleteRequest,
        response: OffsetDeleteResponse,
    ) {
        match self.lookup_named(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.delete_offsets(&mut env, rc, request, response);
            }
            Err(error) => {
                let response = OffsetDeleteResponse::default().with_error_code(error.code());
                ctx.reply(rc.reply_to, ResponseKind::OffsetDelete(response));
            }
        }
    }
}
