//! A member of a group, with the rules of Java's, in one of the two protocols that consumers speak: [`classic`] (its members
//! share the partitions out among themselves) and [`modern`] (KIP-848: the coordinator does).
//!
//! It joins while its consumer polls; between polls it keeps its place with heartbeats, until `max.poll.interval.ms` is over. Nothing is
//! committed by itself (`enable.auto.commit=false`).

mod classic;
mod coordinator;
mod modern;
mod offsets;

use klamm_node::{NodeId, Timestamp};
use klamm_wire::messages::GroupId;
use klamm_wire::{ErrorCode, StrBytes};

pub use self::classic::Assignor;
pub(super) use self::classic::Classic;
use self::coordinator::Coordinator;
pub(super) use self::modern::Modern;
pub(super) use self::offsets::{Commit, Committed, OffsetsAnswer};
use super::base::Base;
use super::error::ClientError;
use super::settings::{GroupProtocol, GroupSettings};
use crate::client::{Answer, ClientCtx};

/// Where a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    /// Not in the group.
    Unjoined,
    /// Classic protocol: it has asked to join.
    PreparingRebalance,
    /// Classic protocol: it has joined, and has asked for its share.
    CompletingRebalance,
    /// Consumer protocol: it has asked to join, or is about to.
    Joining,
    /// Consumer protocol: it was told of another share, and does not have it yet.
    Reconciling,
    /// Consumer protocol: it has another share, and is about to tell the coordinator.
    Acknowledging,
    /// It has its share.
    Stable,
    /// Consumer protocol: it left because it was not polled in time, and joins again at the next poll.
    Stale,
}

/// A member, as it sees itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Where it stands.
    pub state: MemberState,
    /// Its id: the coordinator gives it one in the classic protocol, the member itself in the consumer protocol. Empty for none.
    pub member_id: StrBytes,
    /// The generation, or member epoch, it is in; -1 for none.
    pub generation: i32,
    /// Whether it leads the group; nobody does in the consumer protocol.
    pub leads: bool,
    /// The broker that it believes to be the coordinator.
    pub coordinator: Option<NodeId>,
}

/// Under which name a member commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its generation, or member epoch; -1 for who is no member.
    generation: i32,
    member_id: StrBytes,
    instance: Option<StrBytes>,
}

/// What a member does with what it has before it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prepare {
    /// It is out of the group: others may have it by now.
    LoseAll,
    /// It gives everything up.
    RevokeAll,
    /// It gives up what it no longer subscribes to.
    KeepSubscribed,
}

fn group_id(settings: &GroupSettings) -> GroupId {
    GroupId(settings.group_id.clone())
}

/// A member of either protocol.
#[derive(Debug, Clone)]
pub(super) enum Member {
    Classic(Classic),
    Modern(Modern),
}

/// The same of a member, whichever protocol it speaks.
macro_rules! either {
    ($self:expr, $member:ident => $what:expr) => {
        match $self {
            Member::Classic($member) => $what,
            Member::Modern($member) => $what,
        }
    };
}

impl Member {
    pub(super) fn new(settings: GroupSettings) -> Self {
        match settings.protocol {
            GroupProtocol::Classic => Self::Classic(Classic::new(settings)),
            GroupProtocol::Consumer => Self::Modern(Modern::new(settings)),
        }
    }

    pub(super) fn status(&self) -> MemberStatus {
        either!(self, member => member.status())
    }

    /// Its generation, or member epoch; -1 for none.
    pub(super) const fn generation(&self) -> i32 {
        either!(self, member => member.generation())
    }

    /// Whether it is, or wants to be, in the group.
    pub(super) const fn is_subscribed(&self) -> bool {
        either!(self, member => member.is_subscribed())
    }

    /// Why it can do nothing more.
    pub(super) const fn failure(&self) -> Option<&ClientError> {
        either!(self, member => member.failure())
    }

    /// What it subscribes to.
    pub(super) fn topics(&self) -> &[StrBytes] {
        either!(self, member => member.topics())
    }

    /// Subscribes to these topics instead of what it was subscribed to.
    pub(super) fn subscribe(&mut self, base: &mut Base, topics: Vec<StrBytes>) {
        for topic in &topics {
            base.metadata.want(topic);
        }
        either!(self, member => member.subscribe(topics));
    }

    /// Leaves the group, and wants nothing any more.
    pub(super) fn unsubscribe(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        either!(self, member => member.unsubscribe(ctx, base));
    }

    /// The application polls.
    pub(super) fn polled(&mut self, now: Timestamp) {
        either!(self, member => member.polled(now));
    }

    /// Heartbeats, and whatever else goes on between polls.
    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        either!(self, member => member.go_on(ctx, base));
    }

    pub(super) fn find_coordinator(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        either!(self, member => member.find_coordinator(ctx, base));
    }

    /// Takes an answer to something that the member asked; false when it is another's.
    pub(super) fn on_answer(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        correlation_id: i32,
        answer: &Answer,
    ) -> bool {
        either!(self, member => member.on_answer(ctx, base, correlation_id, answer))
    }

    pub(super) fn next_deadlines(&self) -> Box<dyn Iterator<Item = Timestamp> + '_> {
        either!(self, member => Box::new(member.next_deadlines()))
    }

    fn settings(&self) -> &GroupSettings {
        either!(self, member => member.settings())
    }

    fn coordinator(&mut self) -> &mut Coordinator {
        either!(self, member => &mut member.coordinator)
    }

    /// Why it may not commit now.
    fn objects_to_commit(&self) -> Option<ClientError> {
        match self {
            Self::Classic(member) => member.objects_to_commit(),
            // The coordinator decides (`CommitRequestManager`).
            Self::Modern(_) => None,
        }
    }

    /// Under which name it commits.
    fn identity(&self) -> Identity {
        either!(self, member => member.identity())
    }

    /// The coordinator refused what was committed under a name, for good.
    fn commit_refused(&mut self, error: ErrorCode, sent: &Identity) -> ClientError {
        match self {
            Self::Classic(member) => member.commit_refused(error, sent),
            Self::Modern(member) => member.commit_refused(error),
        }
    }
}
