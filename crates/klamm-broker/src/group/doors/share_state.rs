//! What share groups ask of the share coordinator, and what comes back.

use klamm_node::Ctx;
use klamm_wire::ErrorCode;
use klamm_wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup as ShareOffsetsRequest;
use klamm_wire::messages::describe_share_group_offsets_response::DescribeShareGroupOffsetsResponseGroup as ShareOffsets;

use crate::core::{Core, RequestContext};
use crate::group::host::Host;
use crate::group::modern::share::initialize::{Answers, ShareAsked};
use crate::group::modern::share::offsets::{self as share_offsets, OffsetsAsked};
use crate::group::shard::ShardState;
use crate::group::{GroupCoordinator, parked};

impl GroupCoordinator {
    /// The share coordinator answered what was asked on behalf of a group.
    pub(crate) fn on_share_answers(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        asked: ShareAsked,
        answers: &Answers,
    ) {
        let partition = self.partition_for(asked.group());
        let active = self.shard(core, ctx, partition).filter(|(shard, _)| shard.state == ShardState::Active);
        match (asked, active) {
            (ShareAsked::Offsets(asked), _) => {
                let (gather, slot) = (asked.gather, asked.slot);
                let group = asked.answer(core, answers);
                self.gathers.share_offsets_described(ctx, gather, slot, group);
            }
            (ShareAsked::Initialize(group), Some((shard, mut env))) => {
                shard.on_share_state_initialized(&mut env, &group, answers);
            }
            (ShareAsked::Delete(deletion), Some((shard, mut env))) => {
                shard.on_share_state_deleted(&mut env, deletion, answers);
            }
            (ShareAsked::Alter(alteration), Some((shard, mut env))) => {
                shard.on_share_offsets_altered(&mut env, alteration, answers);
            }
            // The partitions begin elsewhere, whoever is the coordinator.
            (ShareAsked::Alter(alteration), None) => alteration.answered(ctx, answers),
            (ShareAsked::DeleteOffsets(deletion), Some((shard, mut env))) => {
                shard.on_share_offsets_deleted(&mut env, deletion, answers);
            }
            (ShareAsked::DeleteOffsets(deletion), None) => deletion.abandoned(ctx, answers),
            (asked @ (ShareAsked::Initialize(_) | ShareAsked::Delete(_)), None) => {
                asked.refused(&mut self.gathers, ctx, ErrorCode::NotCoordinator);
            }
        }
    }

    /// DescribeShareGroupOffsets, of any number of groups.
    pub(crate) fn describe_share_offsets(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        groups: Vec<ShareOffsetsRequest>,
    ) {
        let gather = self.gathers.describe_share_offsets(ctx, parked(rc), groups.len());
        for (slot, ShareOffsetsRequest { group_id, topics, .. }) in groups.into_iter().enumerate() {
            let planned = match topics {
                Some(topics) => Ok(share_offsets::ask_about_topics(host, &group_id, topics)),
                None => {
                    let partition = self.partition_for(&group_id);
                    self.shard_state(partition).map(|()| {
                        let shard = self.shards.get(&partition).into_iter();
                        let asks = shard.flat_map(|shard| shard.ask_about_share_offsets(host, &group_id));
                        (asks.collect(), Vec::new())
                    })
                }
            };
            match planned {
                // Without questions the answer is there at the end of the step.
                Ok((asks, unknown)) => {
                    let asked = OffsetsAsked { group: group_id.0, gather, slot, unknown };
                    host.ask_share_coordinator(ctx, asks, ShareAsked::Offsets(asked));
                }
                Err(error) => {
                    let group = ShareOffsets::default().with_group_id(group_id).with_error_code(error.code());
                    self.gathers.share_offsets_described(ctx, gather, slot, group);
                }
            }
        }
    }
}
