//! Elections: who stands, who votes for whom, and what any answer tells of the epoch and its leader.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_log::LogError;
use klamm_metadata::METADATA_TOPIC;
use klamm_node::{Ctx, NodeId, ReplyTo, TraceKind};
use klamm_wire::messages::{
    BrokerId, ResponseKind, TopicName, VoteRequest, VoteResponse, vote_request, vote_response,
};
use klamm_wire::{ErrorCode, StrBytes};

use super::Raft;
use super::connections::Purpose;
use super::quorum_state::State;
use super::replication::LeaderState;

/// The version of Vote that has pre-votes, and the one before.
const VOTE_VERSION: i16 = 2;
const VOTE_VERSION_WITHOUT_PRE_VOTE: i16 = 1;

/// The votes of one election (`EpochElection`).
#[derive(Debug, Clone)]
pub(super) struct Election {
    /// Each voter's answer, once it is known.
    votes: BTreeMap<NodeId, Option<bool>>,
}

impl Election {
    /// An election in which `me` votes for itself.
    fn new(voters: &[NodeId], me: NodeId) -> Self {
        Self { votes: voters.iter().map(|voter| (*voter, (*voter == me).then_some(true))).collect() }
    }

    fn count(&self, answer: Option<bool>) -> usize {
        self.votes.values().filter(|vote| **vote == answer).count()
    }

    fn majority(&self) -> usize {
        self.votes.len() / 2 + 1
    }

    fn is_granted(&self) -> bool {
        self.count(Some(true)) >= self.majority()
    }

    /// Whether it cannot be won any more.
    pub(super) fn is_rejected(&self) -> bool {
        self.count(Some(true)) + self.count(None) < self.majority()
    }

    fn record(&mut self, voter: NodeId, granted: bool) {
        if let Some(vote) = self.votes.get_mut(&voter) {
            *vote = Some(granted);
        }
    }

    fn unrecorded(&self) -> Vec<NodeId> {
        self.votes.iter().filter(|(_, vote)| vote.is_none()).map(|(voter, _)| *voter).collect()
    }

    fn granting(&self) -> Vec<NodeId> {
        self.votes.iter().filter(|(_, vote)| **vote == Some(true)).map(|(voter, _)| *voter).collect()
    }
}

pub(super) fn metadata_topic() -> TopicName {
    TopicName(METADATA_TOPIC.into())
}

impl Raft {
    /// Begins to look for votes: with a pre-vote where there are such, else as a candidate of a new epoch.
    pub(super) fn stand(&mut self, ctx: &mut Ctx<'_>, cause: &'static str) -> Result<(), LogError> {
        if !self.config.pre_vote {
            return self.become_candidate(ctx, 0, cause);
        }
        let election = Election::new(&self.voters, self.me);
        let won = election.is_granted();
        let (leader, deadline) = (self.leader(), self.election_deadline(ctx));
        let state = State::Prospective { leader, election, deadline };
        self.transition(ctx, self.epoch, self.voted, state, cause)?;
        if won { self.become_candidate(ctx, 0, "has a majority of pre-votes") } else { Ok(()) }
    }

    /// Begins a new epoch, with a vote for itself.
    pub(super) fn become_candidate(
        &mut self,
        ctx: &mut Ctx<'_>,
        retries: u32,
        cause: &'static str,
    ) -> Result<(), LogError> {
        let election = Election::new(&self.voters, self.me);
        let deadline = self.election_deadline(ctx);
        let state = State::Candidate { election, deadline, retries, backing_off: false };
        self.transition(ctx, self.epoch + 1, Some(self.me), state, cause)?;
        self.lead_if_elected(ctx)
    }

    /// Goes on as a candidate that a restart interrupted, in the same epoch.
    pub(super) fn resume_candidacy(&mut self, ctx: &mut Ctx<'_>) -> Result<(), LogError> {
        let election = Election::new(&self.voters, self.me);
        let deadline = self.election_deadline(ctx);
        let state = State::Candidate { election, deadline, retries: 0, backing_off: false };
        self.transition(ctx, self.epoch, self.voted, state, "was a candidate before its restart")?;
        self.lead_if_elected(ctx)
    }

    fn lead_if_elected(&mut self, ctx: &mut Ctx<'_>) -> Result<(), LogError> {
        let State::Candidate { election, .. } = &self.state else { return Ok(()) };
        if !election.is_granted() {
            return Ok(());
        }
        let granting = election.granting();
        let epoch_start = self.log.log_end_offset();
        let leader = LeaderState::new(ctx.now, epoch_start, &self.voters, self.me, &self.config);
        // The high watermark is not known again until a majority has a record of this epoch.
        self.high_watermark = None;
        self.transition(ctx, self.epoch, None, State::Leader(leader), "has a majority of votes")?;
        self.log.assign_epoch_start_offset(self.disk.as_mut(), self.epoch, epoch_start)?;
        self.append_leader_change(ctx, &granting)
    }

    /// Asks the voters that have not answered yet.
    pub(super) fn send_votes(&mut self, ctx: &mut Ctx<'_>) {
        let (election, pre_vote) = match &self.state {
            State::Prospective { election, .. } => (election, true),
            State::Candidate { election, backing_off: false, .. } => (election, false),
            _ => return,
        };
        if election.is_rejected() {
            return;
        }
        for voter in election.unrecorded() {
            if !self.connections.is_ready(voter, ctx.now) {
                continue;
            }
            let partition = vote_request::PartitionData::default()
                .with_replica_epoch(self.epoch)
                .with_replica_id(BrokerId(self.me.0))
                .with_replica_directory_id(self.directory_id)
                .with_last_offset_epoch(self.last_epoch())
                .with_last_offset(self.log.log_end_offset())
                .with_pre_vote(pre_vote);
            let topic = vote_request::TopicData::default()
                .with_topic_name(metadata_topic())
                .with_partitions(vec![partition]);
            let request = VoteRequest::default()
                .with_cluster_id(Some(self.cluster_id.clone()))
                .with_voter_id(BrokerId(voter.0))
                .with_topics(vec![topic]);
            let version = if self.config.pre_vote { VOTE_VERSION } else { VOTE_VERSION_WITHOUT_PRE_VOTE };
            self.send(ctx, voter, version, request.into(), Purpose::Vote { pre_vote });
        }
    }

    /// Answers a request for our vote (`handleVoteRequest`).
    pub(crate) fn on_vote(
        &mut self,
        ctx: &mut Ctx<'_>,
        to: ReplyTo,
        request: &VoteRequest,
    ) -> Result<(), LogError> {
        if request.cluster_id.as_ref().is_some_and(|id| *id != self.cluster_id) {
            let response = VoteResponse::default().with_error_code(ErrorCode::InconsistentClusterId.code());
            ctx.reply(to, ResponseKind::Vote(response));
            return Ok(());
        }
        let asked = match request.topics.as_slice() {
            [topic] if &*topic.topic_name.0 == METADATA_TOPIC => match topic.partitions.as_slice() {
                [partition] if partition.partition_index == 0 => Some(partition),
                _ => None,
            },
            _ => None,
        };
        let Some(asked) = asked else {
            let response = VoteResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
            ctx.reply(to, ResponseKind::Vote(response));
            return Ok(());
        };
        let (candidate, epoch) = (NodeId(asked.replica_id.0), asked.replica_epoch);
        let (last_epoch, last_offset, pre_vote) =
            (asked.last_offset_epoch, asked.last_offset, asked.pre_vote);
        // A candidate has begun an epoch that no record is of; one that only asks has not.
        let impossible = if pre_vote { last_epoch > epoch } else { last_epoch >= epoch };
        let refused = if last_offset < 0 || last_epoch < 0 || impossible {
            Some(ErrorCode::InvalidRequest)
        } else if epoch < self.epoch {
            Some(ErrorCode::FencedLeaderEpoch)
        } else if candidate.0 < 0 {
            Some(ErrorCode::InvalidRequest)
        } else if request.voter_id.0 >= 0 && request.voter_id.0 != self.me.0 {
            Some(ErrorCode::InvalidVoterKey)
        } else {
            None
        };
        if refused.is_none() && epoch > self.epoch {
            self.become_unattached(ctx, epoch, None, "another controller stands in a later epoch")?;
        }
        let (granted, cause) = match refused {
            Some(ErrorCode::FencedLeaderEpoch) => (false, "its epoch is over"),
            Some(_) => (false, "the request makes no sense"),
            None => {
                let up_to_date = (last_epoch, last_offset) >= (self.last_epoch(), self.log.log_end_offset());
                self.can_grant_vote(candidate, up_to_date, pre_vote)
            }
        };
        if granted && !pre_vote && self.voted.is_none() {
            self.vote_for(ctx, candidate)?;
        }
        ctx.trace(TraceKind::VoteAnswered { candidate, epoch, pre_vote, granted, cause });
        let partition = vote_response::PartitionData::default()
            .with_error_code(refused.unwrap_or(ErrorCode::None).code())
            .with_leader_id(BrokerId(self.leader_or_none()))
            .with_leader_epoch(self.epoch)
            .with_vote_granted(granted);
        let topic = vote_response::TopicData::default()
            .with_topic_name(metadata_topic())
            .with_partitions(vec![partition]);
        ctx.reply(to, ResponseKind::Vote(VoteResponse::default().with_topics(vec![topic])));
        Ok(())
    }

    /// Whether a candidate gets our vote, and why (`EpochState.canGrantVote`).
    fn can_grant_vote(&self, candidate: NodeId, up_to_date: bool, pre_vote: bool) -> (bool, &'static str) {
        let by_log =
            if up_to_date { (true, "its log is up to date") } else { (false, "its log ends before ours") };
        match &self.state {
            State::Unattached { .. } | State::Prospective { .. } if pre_vote => by_log,
            State::Unattached { leader, .. } | State::Prospective { leader, .. } => match self.voted {
                Some(voted) if voted == candidate => (true, "voted for it before"),
                Some(_) => (false, "voted for another in this epoch"),
                None if leader.is_some() => (false, "the epoch has a leader"),
                None => by_log,
            },
            State::Candidate { .. } if pre_vote => by_log,
            State::Candidate { .. } => (false, "stands itself"),
            State::Resigned { .. } if pre_vote => by_log,
            State::Resigned { .. } => (false, "led this epoch itself"),
            State::Leader(_) if pre_vote && self.high_watermark.is_none() => by_log,
            State::Leader(_) => (false, "leads"),
            State::Follower(follower) if pre_vote && !follower.has_fetched => by_log,
            State::Follower(follower) if follower.has_fetched => (false, "has fetched from a leader"),
            State::Follower(_) => (false, "the epoch has a leader"),
        }
    }

    /// Notes our vote. The candidate is as good as we are, so it gets the time of an election before we stand ourselves.
    fn vote_for(&mut self, ctx: &mut Ctx<'_>, candidate: NodeId) -> Result<(), LogError> {
        let new_deadline = self.election_deadline(ctx);
        match &mut self.state {
            State::Unattached { deadline, .. } => *deadline = new_deadline,
            State::Prospective { election, deadline, .. } => {
                *deadline = new_deadline;
                *election = Election::new(&self.voters, self.me);
            }
            _ => return Ok(()),
        }
        self.voted = Some(candidate);
        self.persist()
    }

    /// A voter answered (`handleVoteResponse`). False when it is to be left alone for a while.
    pub(super) fn on_vote_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        from: NodeId,
        pre_vote: bool,
        response: &VoteResponse,
    ) -> Result<bool, LogError> {
        let answer = response.topics.first().and_then(|topic| topic.partitions.first());
        let Some(answer) = answer.filter(|_| response.error_code == 0) else { return Ok(false) };
        let handled =
            self.on_common_response(ctx, answer.error_code, answer.leader_id.0, answer.leader_epoch)?;
        if let Some(handled) = handled {
            return Ok(handled);
        }
        if answer.error_code != 0 {
            return Ok(false);
        }
        match &mut self.state {
            State::Prospective { election, .. } if pre_vote => {
                election.record(from, answer.vote_granted);
                if election.is_granted() {
                    self.become_candidate(ctx, 0, "has a majority of pre-votes")?;
                } else if election.is_rejected() {
                    self.give_up_prospect(ctx, "has no majority of pre-votes")?;
                }
            }
            State::Candidate { election, .. } if !pre_vote => {
                election.record(from, answer.vote_granted);
                if election.is_rejected() && !self.config.pre_vote {
                    self.back_off_candidacy(ctx);
                }
                self.lead_if_elected(ctx)?;
            }
            _ => {}
        }
        Ok(true)
    }

    /// Back to the leader that is known, or to waiting for one (`prospectiveTransitionAfterElectionLoss`).
    pub(super) fn give_up_prospect(
        &mut self,
        ctx: &mut Ctx<'_>,
        cause: &'static str,
    ) -> Result<(), LogError> {
        match self.leader() {
            Some(leader) if leader != self.me => self.become_follower(ctx, self.epoch, leader, cause),
            _ => self.become_unattached(ctx, self.epoch, None, cause),
        }
    }

    /// Before KIP-996 a candidate that lost stood again by itself after a pause that grew from time to time
    /// (`binaryExponentialElectionBackoffMs`).
    pub(super) fn back_off_candidacy(&mut self, ctx: &Ctx<'_>) {
        const BASE: u64 = 100;
        let State::Candidate { deadline, retries, backing_off, .. } = &mut self.state else { return };
        if *backing_off {
            return;
        }
        *backing_off = true;
        let slots = self.rng.below(2 << (*retries).min(20));
        *deadline = ctx.now + Duration::from_millis(BASE * slots).min(self.config.election_backoff_max);
    }

    /// What a request asks about the one partition that there is, if it is meant for this cluster.
    pub(super) fn of_this_quorum<'a, P>(
        &self,
        cluster_id: Option<&StrBytes>,
        asked: Option<&'a P>,
    ) -> Result<&'a P, ErrorCode> {
        if cluster_id.is_some_and(|id| *id != self.cluster_id) {
            return Err(ErrorCode::InconsistentClusterId);
        }
        asked.ok_or(ErrorCode::InvalidRequest)
    }

    /// What any answer of another controller says of the epoch (`maybeHandleCommonResponse`): `None` when the rest of it
    /// is to be read, otherwise whether it went well.
    pub(super) fn on_common_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        error: i16,
        leader: i32,
        epoch: i32,
    ) -> Result<Option<bool>, LogError> {
        let error = ErrorCode::from_code(error).unwrap_or(ErrorCode::UnknownServerError);
        let leader = (leader >= 0).then_some(NodeId(leader));
        if epoch < self.epoch || error == ErrorCode::UnknownLeaderEpoch {
            // The answer is of an epoch that is over. Asking the same again at once would bring the same.
            return Ok(Some(false));
        }
        if epoch > self.epoch
            || matches!(error, ErrorCode::FencedLeaderEpoch | ErrorCode::NotLeaderOrFollower)
        {
            let news = self.learn_leader(ctx, leader, epoch, "heard of in an answer")?;
            return Ok(Some(news));
        }
        if let Some(leader) = leader
            && self.leader().is_none()
            && leader != self.me
        {
            self.become_follower(ctx, epoch, leader, "heard of in an answer")?;
            return Ok(if error == ErrorCode::None { None } else { Some(true) });
        }
        Ok(match error {
            ErrorCode::BrokerNotAvailable | ErrorCode::InvalidVoterKey | ErrorCode::InvalidRequest => {
                Some(false)
            }
            _ => None,
        })
    }

    /// Follows what another controller says of the epoch and its leader (`maybeTransition`). True when it was news.
    pub(super) fn learn_leader(
        &mut self,
        ctx: &mut Ctx<'_>,
        leader: Option<NodeId>,
        epoch: i32,
        cause: &'static str,
    ) -> Result<bool, LogError> {
        if epoch > self.epoch {
            match leader.filter(|leader| *leader != self.me && self.voters.contains(leader)) {
                Some(leader) => self.become_follower(ctx, epoch, leader, cause)?,
                None => self.become_unattached(ctx, epoch, None, cause)?,
            }
            return Ok(true);
        }
        if epoch == self.epoch
            && let Some(leader) = leader
            && leader != self.me
            && self.leader().is_none()
        {
            self.become_follower(ctx, epoch, leader, cause)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// The leader's id, -1 where none is known.
    pub(crate) fn leader_or_none(&self) -> i32 {
        self.leader().map_or(-1, |leader| leader.0)
    }
}
