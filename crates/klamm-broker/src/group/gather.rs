//! Answers that are put together from several groups, each of which may be ready at another time.

use std::collections::BTreeMap;

use klamm_node::Ctx;
use klamm_wire::messages::delete_groups_response::DeletableGroupResult;
use klamm_wire::messages::describe_share_group_offsets_response::DescribeShareGroupOffsetsResponseGroup as ShareOffsets;
use klamm_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use klamm_wire::messages::{
    DeleteGroupsResponse, DescribeShareGroupOffsetsResponse, OffsetFetchResponse, ResponseKind,
};

use super::member::Parked;

/// Names an answer that is being put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GatherId(u64);

#[derive(Debug, Clone)]
enum Parts {
    Fetch(Vec<OffsetFetchResponseGroup>),
    Delete(Vec<DeletableGroupResult>),
    ShareOffsets(Vec<ShareOffsets>),
}

#[derive(Debug, Clone)]
struct Gather {
    asker: Parked,
    missing: usize,
    parts: Parts,
}

/// Every answer that is being put together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gathers {
    next: u64,
    open: BTreeMap<GatherId, Gather>,
}

impl Gathers {
    /// Opens an OffsetFetch answer of `groups` parts.
    pub(crate) fn fetch(&mut self, ctx: &mut Ctx<'_>, asker: Parked, groups: usize) -> GatherId {
        self.open(ctx, asker, groups, Parts::Fetch(vec![OffsetFetchResponseGroup::default(); groups]))
    }

    /// Opens a DeleteGroups answer of `groups` parts.
    pub(crate) fn delete(&mut self, ctx: &mut Ctx<'_>, asker: Parked, groups: usize) -> GatherId {
        self.open(ctx, asker, groups, Parts::Delete(vec![DeletableGroupResult::default(); groups]))
    }

    /// Opens a DescribeShareGroupOffsets answer of `groups` parts.
    pub(crate) fn describe_share_offsets(
        &mut self,
        ctx: &mut Ctx<'_>,
        asker: Parked,
        groups: usize,
    ) -> GatherId {
        self.open(ctx, asker, groups, Parts::ShareOffsets(vec![ShareOffsets::default(); groups]))
    }

    fn open(&mut self, ctx: &mut Ctx<'_>, asker: Parked, missing: usize, parts: Parts) -> GatherId {
        let id = GatherId(self.next);
        self.next += 1;
        self.open.insert(id, Gather { asker, missing, parts });
        self.close_if_complete(ctx, id);
        id
    }

    /// Fills a part of an OffsetFetch answer; each part is filled once.
    pub(crate) fn fetched(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: GatherId,
        slot: usize,
        group: OffsetFetchResponseGroup,
    ) {
        if let Some(Gather { parts: Parts::Fetch(groups), missing, .. }) = self.open.get_mut(&id) {
            groups[slot] = group;
            *missing -= 1;
        }
        self.close_if_complete(ctx, id);
    }

    /// Fills a part of a DeleteGroups answer; each part is filled once.
    pub(crate) fn deleted(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: GatherId,
        slot: usize,
        result: DeletableGroupResult,
    ) {
        if let Some(Gather { parts: Parts::Delete(results), missing, .. }) = self.open.get_mut(&id) {
            results[slot] = result;
            *missing -= 1;
        }
        self.close_if_complete(ctx, id);
    }

    /// Fills a part of a DescribeShareGroupOffsets answer; each part is filled once.
    pub(crate) fn share_offsets_described(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: GatherId,
        slot: usize,
        group: ShareOffsets,
    ) {
        if let Some(Gather { parts: Parts::ShareOffsets(groups), missing, .. }) = self.open.get_mut(&id) {
            groups[slot] = group;
            *missing -= 1;
        }
        self.close_if_complete(ctx, id);
    }

    /// How many answers are being put together.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    fn close_if_complete(&mut self, ctx: &mut Ctx<'_>, id: GatherId) {
        if self.open.get(&id).is_none_or(|gather| gather.missing > 0) {
            return;
        }
        let Some(gather) = self.open.remove(&id) else { return };
        let response = match gather.parts {
            Parts::Fetch(groups) => ResponseKind::OffsetFetch(fetch_response(groups, gather.asker.version)),
            Parts::Delete(results) => {
                ResponseKind::DeleteGroups(DeleteGroupsResponse::default().with_results(results))
            }
            Parts::ShareOffsets(groups) => {
                let response = DescribeShareGroupOffsetsResponse::default().with_groups(groups);
                ResponseKind::DescribeShareGroupOffsets(response)
            }
        };
        ctx.reply(gather.asker.to, response);
    }
}

/// Before version 8 an OffsetFetch was about one group, laid out at the top.
fn fetch_response(mut groups: Vec<OffsetFetchResponseGroup>, version: i16) -> OffsetFetchResponse {
    if version >= 8 {
        return OffsetFetchResponse::default().with_groups(groups);
    }
    let Some(group) = groups.pop() else { return OffsetFetchResponse::default() };
    let topics = group.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|p| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_committed_offset(p.committed_offset)
                .with_committed_leader_epoch(p.committed_leader_epoch)
                .with_metadata(p.metadata)
                .with_error_code(p.error_code)
        });
        OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect()).with_error_code(group.error_code)
}
