//! One step of a member towards its target (Kafka's `CurrentAssignmentBuilder`).
//!
//! A member first gives up what it is not to have (`UNREVOKED_PARTITIONS`), in its old epoch; then it goes to the target's epoch
//! and gets what is free; what others have not given up yet it waits for (`UNRELEASED_PARTITIONS`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::{ErrorCode, Uuid};

use super::super::Partitions;
use super::super::refusal::Refusal;
use super::member::{Assigned, ConsumerMember, MemberState};

/// What a member is reconciled with.
pub(crate) struct Reconciliation<'a> {
    /// The target's epoch.
    pub(crate) target_epoch: i32,
    /// What the member is to have.
    pub(crate) target: &'a Partitions,
    /// Ids of the topics that it subscribes to.
    pub(crate) subscribed: &'a BTreeSet<Uuid>,
    /// Whether it changed its subscription just now.
    pub(crate) subscription_changed: bool,
    /// What it says it has; `None` when it did not say.
    pub(crate) owned: Option<&'a Partitions>,
    /// Whether somebody has a partition.
    pub(crate) is_owned: &'a dyn Fn(&Uuid, i32) -> bool,
}

impl Reconciliation<'_> {
    /// The member after this step; the same when it cannot move.
    pub(crate) fn apply(&self, member: &ConsumerMember) -> Result<ConsumerMember, Refusal> {
        match member.state {
            MemberState::Stable if member.epoch != self.target_epoch => Ok(self.next(member, member.epoch)),
            MemberState::Stable if self.subscription_changed => Ok(self.drop_unsubscribed(member)),
            MemberState::Stable => Ok(member.clone()),
            // Partitions count as given up once a heartbeat says what the member has, and they are not in it.
            MemberState::UnrevokedPartitions if self.still_owns(&member.revoking) => {
                Ok(if self.subscription_changed { self.drop_unsubscribed(member) } else { member.clone() })
            }
            MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => {
                Ok(self.next(member, member.epoch))
            }
            MemberState::Unknown if self.owned.is_none_or(|owned| !owned.is_empty()) => Err(Refusal::new(
                ErrorCode::FencedMemberEpoch,
                "The consumer group member is in a unknown state. The member must abandon all its partitions and \
                 rejoin.",
            )),
            MemberState::Unknown => Ok(self.next(member, self.target_epoch)),
        }
    }

    fn still_owns(&self, revoking: &Assigned) -> bool {
        let Some(owned) = self.owned else { return true };
        owned.iter().any(|(topic, partitions)| {
            revoking.get(topic).is_some_and(|revoking| partitions.iter().any(|p| revoking.contains_key(p)))
        })
    }

    /// Takes away topics that the member does not subscribe to any more, without looking at the target.
    fn drop_unsubscribed(&self, member: &ConsumerMember) -> ConsumerMember {
        let (assigned, dropped): (Assigned, Assigned) = member
            .assigned
            .iter()
            .map(|(topic, partitions)| (*topic, partitions.clone()))
            .partition(|(topic, _)| self.subscribed.contains(topic));
        if dropped.is_empty() {
            return member.clone();
        }
        let mut revoking = member.revoking.clone();
        for (topic, partitions) in dropped {
            revoking.entry(topic).or_default().extend(partitions);
        }
        let mut updated = member.clone();
        updated.update_epoch(member.epoch);
        updated.assigned = assigned;
        if self.still_owns(&revoking) {
            updated.state = MemberState::UnrevokedPartitions;
            updated.revoking = revoking;
        }
        updated
    }

    /// The next state towards the target, from an epoch.
    fn next(&self, member: &ConsumerMember, epoch: i32) -> ConsumerMember {
        let mut assigned = Assigned::new();
        let mut revoking = Assigned::new();
        let mut pending: BTreeMap<Uuid, BTreeSet<i32>> = BTreeMap::new();
        let mut unreleased = false;
        let topics: BTreeSet<Uuid> = self.target.keys().chain(member.assigned.keys()).copied().collect();
        let (no_partitions, none_assigned) = (BTreeSet::new(), BTreeMap::new());
        for topic in topics {
            // A topic that is not subscribed to any more is as if it were not in the target.
            let target = match self.subscribed.contains(&topic) {
                true => self.target.get(&topic).unwrap_or(&no_partitions),
                false => &no_partitions,
            };
            let has = member.assigned.get(&topic).unwrap_or(&none_assigned);
            let (keeps, gives): (BTreeMap<i32, i32>, BTreeMap<i32, i32>) =
                has.iter().map(|(p, epoch)| (*p, *epoch)).partition(|(p, _)| target.contains(p));
            let own_revoking = member.revoking.get(&topic);
            let (free, taken): (BTreeSet<i32>, BTreeSet<i32>) =
                target.iter().copied().filter(|p| !keeps.contains_key(p)).partition(|p| {
                    // What the member itself is giving up is nobody else's.
                    !(self.is_owned)(&topic, *p) || own_revoking.is_some_and(|own| own.contains_key(p))
                });
            unreleased |= !taken.is_empty();
            for (into, what) in [(&mut assigned, keeps), (&mut revoking, gives)] {
                if !what.is_empty() {
                    into.insert(topic, what);
                }
            }
            if !free.is_empty() {
                pending.insert(topic, free);
            }
        }
        let mut updated = member.clone();
        if !revoking.is_empty() && self.still_owns(&revoking) {
            updated.state = MemberState::UnrevokedPartitions;
            updated.update_epoch(epoch);
            updated.assigned = assigned;
            updated.revoking = revoking;
            return updated;
        }
        for (topic, partitions) in pending {
            let epochs = partitions.into_iter().map(|p| (p, self.target_epoch));
            assigned.entry(topic).or_default().extend(epochs);
        }
        updated.state = if unreleased { MemberState::UnreleasedPartitions } else { MemberState::Stable };
        updated.update_epoch(self.target_epoch);
        updated.assigned = assigned;
        updated.revoking = Assigned::new();
        updated
    }
}
