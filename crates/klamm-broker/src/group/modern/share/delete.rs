//! Having the share coordinator forget a group that is deleted (`GroupCoordinatorService.deleteShareGroups`,
//! `GroupMetadataManager.shareGroupBuildPartitionDeleteRequest`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::messages::GroupId;
use klamm_wire::messages::delete_groups_response::DeletableGroupResult;
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use super::group::{ShareGroup, StateMetadata};
use super::initialize::{Answers, ShareAsked};
use super::records::ShareRecord;
use crate::group::done::Done;
use crate::group::gather::GatherId;
use crate::group::host::Host;
use crate::group::records::Record;
use crate::group::shard::{Env, Shard};
use crate::share::key::SharePartitionKey;
use crate::share_coordinator::ask::Ask;

/// A share group's place in the answer of a DeleteGroups.
#[derive(Debug, Clone)]
pub(crate) struct ShareDeletion {
    /// The group.
    pub(crate) group: StrBytes,
    gather: GatherId,
    slot: usize,
}

impl ShareDeletion {
    /// The group's part of the answer, when it was not deleted.
    pub(crate) fn refused(self, error: ErrorCode) -> (GatherId, usize, DeletableGroupResult) {
        let result = DeletableGroupResult::default()
            .with_group_id(GroupId::from(self.group))
            .with_error_code(error.code());
        (self.gather, self.slot, result)
    }
}

impl Shard {
    /// Begins to delete an empty share group for whose partitions there may be state. False for any other group, which can be deleted
    /// at once.
    pub(crate) fn begins_share_deletion(
        &mut self,
        env: &mut Env<'_, '_>,
        gather: GatherId,
        slot: usize,
        id: &StrBytes,
    ) -> bool {
        let Some(group) = self.groups.share(id).filter(|group| group.is_empty()) else { return false };
        let kept = kept_partitions(group, env.host);
        if kept.is_empty() {
            return false;
        }
        // Noted before anything is asked: another coordinator goes on with the deletion when the client asks it to.
        let name = |topic| env.host.topic_name(topic).unwrap_or_default();
        let deleting = kept.keys().map(|topic| (*topic, name(*topic))).collect();
        let state = StateMetadata { deleting, ..StateMetadata::default() };
        let asks = kept.into_iter().flat_map(|(topic_id, partitions)| {
            let key = move |partition| SharePartitionKey { group: id.clone(), topic_id, partition };
            partitions.into_iter().map(move |partition| (key(partition), Ask::Delete))
        });
        let asks = asks.collect();
        let asked = ShareAsked::Delete(ShareDeletion { group: id.clone(), gather, slot });
        let records = vec![Record::Share { group: id.clone(), record: ShareRecord::State(Some(state)) }];
        let _ = self.write_consumer(env, id, records, Done::ShareAsk { asked, asks }, "the group is deleted");
        true
    }

    /// The share coordinator has forgotten the group, which can go as well; or it could not, and the group stays.
    pub(crate) fn on_share_state_deleted(
        &mut self,
        env: &mut Env<'_, '_>,
        deletion: ShareDeletion,
        answers: &Answers,
    ) {
        let failed = answers.iter().map(|(_, answer)| answer.error).find(|error| *error != ErrorCode::None);
        match failed {
            None => self.delete_now(env, deletion.gather, vec![(deletion.slot, deletion.group)]),
            Some(error) => {
                let (gather, slot, result) = deletion.refused(error);
                env.gathers.deleted(env.ctx, gather, slot, result);
            }
        }
    }
}

/// The partitions for which the share coordinator may have state: those that it was asked to keep, and those of topics that an
/// earlier deletion did not get rid of.
fn kept_partitions(group: &ShareGroup, host: &dyn Host) -> BTreeMap<Uuid, BTreeSet<i32>> {
    let mut kept: BTreeMap<Uuid, BTreeSet<i32>> = BTreeMap::new();
    for (id, topic) in group.state.initialized.iter().chain(&group.state.initializing) {
        kept.entry(*id).or_default().extend(&topic.partitions);
    }
    for id in group.state.deleting.keys() {
        if let Some(topic) = host.topic_name(*id).and_then(|name| host.topic(&name)) {
            kept.entry(*id).or_default().extend(0..topic.partitions);
        }
    }
    kept
}
