//! Requests of administrators: which groups there are, what is in them, and their end.

use std::collections::BTreeMap;

use klamm_node::Ctx;
use klamm_wire::messages::GroupId;
use klamm_wire::messages::consumer_group_describe_response::DescribedGroup as ConsumerDescribed;
use klamm_wire::messages::delete_groups_response::DeletableGroupResult;
use klamm_wire::messages::describe_groups_response::DescribedGroup;
use klamm_wire::messages::list_groups_response::ListedGroup;
use klamm_wire::messages::share_group_describe_response::DescribedGroup as ShareDescribed;
use klamm_wire::{ErrorCode, StrBytes};

use crate::core::RequestContext;
use crate::group::host::Host;
use crate::group::{GroupCoordinator, parked};

impl GroupCoordinator {
    /// DescribeGroups, one group.
    pub(crate) fn describe(&self, id: &GroupId, version: i16) -> DescribedGroup {
        let partition = self.partition_for(id);
        match (self.shard_state(partition), self.shards.get(&partition)) {
            (Ok(()), Some(shard)) => shard.describe(id, version),
            (state, _) => {
                let error = state.err().unwrap_or(ErrorCode::NotCoordinator);
                DescribedGroup::default().with_group_id(id.clone()).with_error_code(error.code())
            }
        }
    }

    /// ConsumerGroupDescribe, one group.
    pub(crate) fn describe_consumer(&self, host: &dyn Host, id: &GroupId) -> ConsumerDescribed {
        let partition = self.partition_for(id);
        match (self.shard_state(partition), self.shards.get(&partition)) {
            (Ok(()), Some(shard)) => {
                shard.describe_consumer(host, id, self.config.consumer.default_assignor().name())
            }
            (state, _) => {
                let error = state.err().unwrap_or(ErrorCode::NotCoordinator);
                ConsumerDescribed::default().with_group_id(id.clone()).with_error_code(error.code())
            }
        }
    }

    /// ShareGroupDescribe, one group.
    pub(crate) fn describe_share(&self, host: &dyn Host, id: &GroupId) -> ShareDescribed {
        let partition = self.partition_for(id);
        match (self.shard_state(partition), self.shards.get(&partition)) {
            (Ok(()), Some(shard)) => shard.describe_share(host, id),
            (state, _) => {
                let error = state.err().unwrap_or(ErrorCode::NotCoordinator);
                ShareDescribed::default().with_group_id(id.clone()).with_error_code(error.code())
            }
        }
    }

    /// ListGroups: every group that this broker coordinates.
    ///
    /// # Errors
    /// `COORDINATOR_LOAD_IN_PROGRESS` while a shard loads: the list would not be whole.
    pub(crate) fn list(
        &self,
        states: &[StrBytes],
        types: &[StrBytes],
    ) -> Result<Vec<ListedGroup>, ErrorCode> {
        let mut groups = Vec::new();
        for (partition, shard) in &self.shards {
            self.shard_state(*partition)?;
            groups.extend(shard.list(states, types));
        }
        groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        Ok(groups)
    }

    /// DeleteGroups. Names that come twice are answered once, as in Kafka.
    pub(crate) fn delete_groups(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        groups: Vec<GroupId>,
    ) {
        let mut distinct: indexmap::IndexSet<StrBytes, std::hash::BuildHasherDefault<rustc_hash::FxHasher>> =
            indexmap::IndexSet::default();
        distinct.extend(groups.into_iter().map(|group| group.0));
        let gather = self.gathers.delete(ctx, parked(rc), distinct.len());
        let mut by_partition: BTreeMap<i32, Vec<(usize, StrBytes)>> = BTreeMap::new();
        for (slot, group) in distinct.into_iter().enumerate() {
            by_partition.entry(self.partition_for(&group)).or_default().push((slot, group));
        }
        for (partition, groups) in by_partition {
            match self.shard_state(partition) {
                Ok(()) => {
                    let (shard, mut env) = self.at(host, ctx, partition);
                    shard.delete_groups(&mut env, gather, groups);
                }
                Err(error) => {
                    for (slot, group) in groups {
                        let result = DeletableGroupResult::default()
                            .with_group_id(GroupId::from(group))
                            .with_error_code(error.code());
                        self.gathers.deleted(ctx, gather, slot, result);
                    }
                }
            }
        }
    }
}
