//! What happens once an operation's records are committed, or have failed to be.

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_node::ReplyTo;
use klamm_wire::messages::delete_groups_response::DeletableGroupResult;
use klamm_wire::messages::offset_commit_response::OffsetCommitResponseTopic;
use klamm_wire::messages::offset_fetch_response::OffsetFetchResponseGroup;
use klamm_wire::messages::{
    ConsumerGroupHeartbeatResponse, LeaveGroupResponse, OffsetCommitResponse, OffsetDeleteResponse,
    ResponseKind, ShareGroupHeartbeatResponse, SyncGroupResponse, TxnOffsetCommitResponse,
};
use klamm_wire::{ErrorCode, StrBytes};

use super::gather::GatherId;
use super::member::{Parked, Protocol};
use super::modern::consumer::classic_member::MemberJoin;
use super::modern::consumer::heartbeat::error_response;
use super::modern::share::delete_offsets::OffsetsDeletion;
use super::modern::share::heartbeat::error_response as share_error_response;
use super::modern::share::initialize::{Asks, ShareAsked};
use super::reply;
use super::shard::{Env, Failure, Shard};
use crate::handlers::write_txn_markers::{MarkerOutcome, MarkersId};

/// What waits for a commit.
#[derive(Debug, Clone)]
pub(crate) enum Done {
    /// Nothing: the records speak for themselves.
    Nothing,
    /// A group was made by a JoinGroup; if its record fails it is gone again.
    NewGroup {
        /// The group.
        group: StrBytes,
    },
    /// The leader's assignment: the group becomes stable and every member gets its part.
    Sync {
        /// The group.
        group: StrBytes,
        /// The generation that the assignment is for.
        generation: i32,
        /// Assignments by member id.
        assignments: BTreeMap<StrBytes, Bytes>,
    },
    /// A static member came back under a new id while the group was stable.
    StaticJoin(Box<StaticJoin>),
    /// A Heartbeat's answer.
    Heartbeat {
        /// Where it goes.
        to: ReplyTo,
        /// What it says.
        error: ErrorCode,
    },
    /// A LeaveGroup's answer.
    Leave {
        /// Who asked.
        asker: Parked,
        /// What it says.
        response: LeaveGroupResponse,
    },
    /// A ConsumerGroupHeartbeat's answer.
    ConsumerHeartbeat {
        /// Where it goes.
        to: ReplyTo,
        /// What it says.
        response: Box<ConsumerGroupHeartbeatResponse>,
    },
    /// A ShareGroupHeartbeat's answer.
    ShareHeartbeat {
        /// Where it goes.
        to: ReplyTo,
        /// What it says.
        response: Box<ShareGroupHeartbeatResponse>,
        /// The group.
        group: StrBytes,
        /// What to ask the share coordinator for.
        initialize: Option<Asks>,
    },
    /// That a share group is about to change, which the share coordinator is asked for next.
    ShareAsk {
        /// What for.
        asked: ShareAsked,
        /// About which partitions.
        asks: Asks,
    },
    /// That topics of a share group are forgotten.
    ShareOffsetsDeleted(OffsetsDeletion),
    /// A classic member's JoinGroup to a consumer group.
    MemberJoin(Box<MemberJoin>),
    /// A classic member's SyncGroup to a consumer group.
    MemberSync {
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
        /// Who asked.
        asker: Parked,
        /// What it says.
        response: Box<SyncGroupResponse>,
    },
    /// An OffsetCommit's answer.
    Commit {
        /// Where it goes.
        to: ReplyTo,
        /// Topics that the broker refused before the coordinator saw them.
        refused: Vec<OffsetCommitResponseTopic>,
        /// The coordinator's own.
        topics: Vec<OffsetCommitResponseTopic>,
    },
    /// A TxnOffsetCommit's answer.
    TxnCommit {
        /// Where it goes.
        to: ReplyTo,
        /// The request's version.
        version: i16,
        /// What it says.
        response: TxnOffsetCommitResponse,
    },
    /// A transaction's marker.
    Marker {
        /// The request that brought it.
        id: MarkersId,
        /// Whose it is and where; the error is filled in.
        outcome: MarkerOutcome,
    },
    /// An OffsetDelete's answer.
    OffsetDelete {
        /// Where it goes.
        to: ReplyTo,
        /// What it says.
        response: OffsetDeleteResponse,
    },
    /// One group's part of an OffsetFetch's answer.
    Fetch {
        /// The answer.
        gather: GatherId,
        /// The part.
        slot: usize,
        /// The request's version.
        version: i16,
        /// What it says.
        group: OffsetFetchResponseGroup,
    },
    /// Some groups' parts of a DeleteGroups' answer.
    Delete {
        /// The answer.
        gather: GatherId,
        /// The parts.
        results: Vec<(usize, DeletableGroupResult)>,
    },
}

/// What is needed to answer a static member that came back, or to undo its coming.
#[derive(Debug, Clone)]
pub(crate) struct StaticJoin {
    /// The group.
    pub(crate) group: StrBytes,
    /// The member's instance id.
    pub(crate) instance_id: StrBytes,
    /// The id it had.
    pub(crate) old_id: StrBytes,
    /// The id it has now.
    pub(crate) new_id: StrBytes,
    /// What it offered.
    pub(crate) old_protocols: Vec<Protocol>,
    /// Its rebalance timeout before, in milliseconds.
    pub(crate) old_rebalance_timeout_ms: i32,
    /// Its session timeout before, in milliseconds.
    pub(crate) old_session_timeout_ms: i32,
    /// The leader before.
    pub(crate) old_leader: Option<StrBytes>,
}

impl Shard {
    /// Does what waited, now that its records are committed (`Ok`), or have failed to be.
    pub(crate) fn finish(&mut self, env: &mut Env<'_, '_>, done: Done, result: Result<(), Failure>) {
        let failure = result.err();
        let error = failure.map(|failure| failure.error);
        match done {
            Done::Nothing => {}
            Done::NewGroup { group } => {
                if let Some(Failure { error, in_log: false }) = failure {
                    self.forget_new_group(env, &group, error);
                }
            }
            Done::Sync { group, generation, assignments } => {
                self.finish_sync(env, &group, generation, &assignments, error);
            }
            Done::StaticJoin(join) => self.finish_static_join(env, *join, failure),
            Done::Heartbeat { to, error: answer } => {
                reply::heartbeat(env.ctx, to, error.unwrap_or(answer));
            }
            Done::ConsumerHeartbeat { to, response } => {
                let response = match error {
                    None => *response,
                    Some(error) => error_response(error.into()),
                };
                env.ctx.reply(to, ResponseKind::ConsumerGroupHeartbeat(response));
            }
            Done::ShareHeartbeat { to, response, group, initialize } => {
                let response = match error {
                    None => *response,
                    Some(error) => share_error_response(error.into()),
                };
                env.ctx.reply(to, ResponseKind::ShareGroupHeartbeat(response));
                if let Some(asks) = initialize.filter(|_| error.is_none()) {
                    env.host.ask_share_coordinator(env.ctx, asks, ShareAsked::Initialize(group));
                }
            }
            Done::ShareAsk { asked, asks } => match error {
                None => env.host.ask_share_coordinator(env.ctx, asks, asked),
                Some(error) => asked.refused(env.gathers, env.ctx, error),
            },
            Done::ShareOffsetsDeleted(deletion) => match error {
                None => deletion.reply(env.ctx),
                Some(error) => deletion.refused(env.ctx, error),
            },
            Done::MemberJoin(join) => self.finish_member_join(env, *join, error),
            Done::MemberSync { group, member, asker, response } => match error {
                None => self.finish_member_sync(env, &group, &member, asker, *response),
                Some(error) => reply::sync_error(env.ctx, asker, error),
            },
            Done::Leave { asker, response } => {
                let response = match error {
                    None => response,
                    Some(error) => LeaveGroupResponse::default().with_error_code(error.code()),
                };
                reply::leave(env.ctx, asker, response);
            }
            Done::Commit { to, refused, mut topics } => {
                if let Some(error) = error {
                    for partition in topics.iter_mut().flat_map(|t| &mut t.partitions) {
                        partition.error_code = error.code();
                    }
                }
                env.ctx.reply(to, ResponseKind::OffsetCommit(commit_response(refused, topics)));
            }
            Done::TxnCommit { to, version, mut response } => {
                if let Some(error) = error {
                    super::txn::fail(&mut response, error);
                }
                super::txn::reply(env.ctx, to, version, response);
            }
            Done::Marker { id, mut outcome } => {
                if let Some(failure) = failure {
                    outcome.error = super::txn::marker_error(failure);
                }
                env.host.marker_written(env.ctx, id, outcome);
            }
            Done::OffsetDelete { to, response } => {
                let response = match error {
                    None => response,
                    Some(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
                };
                env.ctx.reply(to, ResponseKind::OffsetDelete(response));
            }
            Done::Fetch { gather, slot, version, mut group } => {
                if let Some(error) = error {
                    // Consumers older than 3.9 do not retry COORDINATOR_NOT_AVAILABLE here.
                    let error = match error {
                        ErrorCode::CoordinatorNotAvailable => ErrorCode::NotCoordinator,
                        error => error,
                    };
                    fail_fetch(&mut group, version, error);
                }
                env.gathers.fetched(env.ctx, gather, slot, group);
            }
            Done::Delete { gather, results } => {
                for (slot, mut result) in results {
                    if let Some(error) = error {
                        result.error_code = error.code();
                    }
                    env.gathers.deleted(env.ctx, gather, slot, result);
                }
            }
        }
    }
}

/// Makes a group's part of an OffsetFetch answer an error. Version 1 has no place for it but the partitions.
pub(crate) fn fail_fetch(group: &mut OffsetFetchResponseGroup, version: i16, error: ErrorCode) {
    if version >= 2 {
        group.error_code = error.code();
        group.topics.clear();
        return;
    }
    for partition in group.topics.iter_mut().flat_map(|t| &mut t.partitions) {
        partition.error_code = error.code();
        partition.committed_offset = -1;
        partition.committed_leader_epoch = -1;
        partition.metadata = Some(StrBytes::default());
    }
}

/// Joins the coordinator's topics to the refused ones; a topic that is in both keeps one entry.
pub(crate) fn commit_response(
    mut refused: Vec<OffsetCommitResponseTopic>,
    topics: Vec<OffsetCommitResponseTopic>,
) -> OffsetCommitResponse {
    if refused.is_empty() {
        return OffsetCommitResponse::default().with_topics(topics);
    }
    let known: BTreeMap<StrBytes, usize> =
        refused.iter().enumerate().map(|(i, topic)| (topic.name.0.clone(), i)).collect();
    for topic in topics {
        match known.get(&topic.name.0) {
            Some(i) => refused[*i].partitions.extend(topic.partitions),
            None => refused.push(topic),
        }
    }
    OffsetCommitResponse::default().with_topics(refused)
}
