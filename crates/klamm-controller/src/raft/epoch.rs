//! How a new leader of the quorum makes itself known, and how one that resigns says goodbye (BeginQuorumEpoch, EndQuorumEpoch).

use std::time::Duration;

use klamm_log::LogError;
use klamm_node::{Ctx, NodeId, ReplyTo};
use klamm_wire::ErrorCode;
use klamm_wire::messages::{
    BeginQuorumEpochRequest, BeginQuorumEpochResponse, BrokerId, EndQuorumEpochRequest,
    EndQuorumEpochResponse, ResponseKind,
};
use klamm_wire::messages::{
    begin_quorum_epoch_request, begin_quorum_epoch_response, end_quorum_epoch_request,
    end_quorum_epoch_response,
};

use super::Raft;
use super::connections::Purpose;
use super::election::metadata_topic;
use super::quorum_state::State;

impl Raft {
    /// Tells voters that have not fetched for a while who leads (`maybeSendBeginQuorumEpochRequests`).
    pub(super) fn send_begin_epoch(&mut self, ctx: &mut Ctx<'_>) {
        let State::Leader(leader) = &mut self.state else { return };
        if leader.begin_epoch_at > ctx.now {
            return;
        }
        let interval = self.config.fetch_timeout / 2;
        leader.begin_epoch_at = ctx.now + interval;
        for voter in leader.silent_voters(self.me, ctx.now, interval) {
            if !self.connections.is_ready(voter, ctx.now) {
                continue;
            }
            let partition = begin_quorum_epoch_request::PartitionData::default()
                .with_leader_id(BrokerId(self.me.0))
                .with_leader_epoch(self.epoch);
            let topic = begin_quorum_epoch_request::TopicData::default()
                .with_topic_name(metadata_topic())
                .with_partitions(vec![partition]);
            let request = BeginQuorumEpochRequest::default()
                .with_cluster_id(Some(self.cluster_id.clone()))
                .with_voter_id(BrokerId(voter.0))
                .with_topics(vec![topic]);
            self.send(ctx, voter, 1, request.into(), Purpose::BeginQuorumEpoch);
        }
    }

    /// Another controller says that it leads (`handleBeginQuorumEpochRequest`).
    pub(crate) fn on_begin_epoch(
        &mut self,
        ctx: &mut Ctx<'_>,
        to: ReplyTo,
        request: &BeginQuorumEpochRequest,
    ) -> Result<(), LogError> {
        let asked = request.topics.first().and_then(|topic| topic.partitions.first());
        let asked = match self.of_this_quorum(request.cluster_id.as_ref(), asked) {
            Ok(asked) => asked,
            Err(error) => {
                let response = BeginQuorumEpochResponse::default().with_error_code(error.code());
                ctx.reply(to, ResponseKind::BeginQuorumEpoch(response));
                return Ok(());
            }
        };
        let error = self.hear_of_leader(ctx, NodeId(asked.leader_id.0), asked.leader_epoch)?;
        let partition = begin_quorum_epoch_response::PartitionData::default()
            .with_error_code(error.code())
            .with_leader_id(BrokerId(self.leader_or_none()))
            .with_leader_epoch(self.epoch);
        let topic = begin_quorum_epoch_response::TopicData::default()
            .with_topic_name(metadata_topic())
            .with_partitions(vec![partition]);
        let response = BeginQuorumEpochResponse::default().with_topics(vec![topic]);
        ctx.reply(to, ResponseKind::BeginQuorumEpoch(response));
        Ok(())
    }

    /// A controller says that it leads an epoch, or did so until now.
    fn hear_of_leader(
        &mut self,
        ctx: &mut Ctx<'_>,
        leader: NodeId,
        epoch: i32,
    ) -> Result<ErrorCode, LogError> {
        if epoch < self.epoch {
            return Ok(ErrorCode::FencedLeaderEpoch);
        }
        if leader.0 < 0 || leader == self.me {
            return Ok(ErrorCode::InvalidRequest);
        }
        self.learn_leader(ctx, Some(leader), epoch, "the leader makes itself known")?;
        Ok(ErrorCode::None)
    }

    /// Tells the others that we lead no more, and in which order they had best stand for election.
    pub(super) fn send_end_epoch(&mut self, ctx: &mut Ctx<'_>) {
        let State::Resigned { unacked, successors, .. } = &self.state else { return };
        let (unacked, successors) = (unacked.clone(), successors.clone());
        for voter in unacked {
            if !self.connections.is_ready(voter, ctx.now) {
                continue;
            }
            let candidates = successors
                .iter()
                .map(|id| end_quorum_epoch_request::ReplicaInfo::default().with_candidate_id(BrokerId(id.0)));
            let partition = end_quorum_epoch_request::PartitionData::default()
                .with_leader_id(BrokerId(self.me.0))
                .with_leader_epoch(self.epoch)
                .with_preferred_candidates(candidates.collect());
            let topic = end_quorum_epoch_request::TopicData::default()
                .with_topic_name(metadata_topic())
                .with_partitions(vec![partition]);
            let request = EndQuorumEpochRequest::default()
                .with_cluster_id(Some(self.cluster_id.clone()))
                .with_topics(vec![topic]);
            self.send(ctx, voter, 1, request.into(), Purpose::EndQuorumEpoch);
        }
    }

    /// The leader resigned (`handleEndQuorumEpochRequest`): whoever comes first among its successors stands at once.
    pub(crate) fn on_end_epoch(
        &mut self,
        ctx: &mut Ctx<'_>,
        to: ReplyTo,
        request: &EndQuorumEpochRequest,
    ) -> Result<(), LogError> {
        let asked = request.topics.first().and_then(|topic| topic.partitions.first());
        let asked = match self.of_this_quorum(request.cluster_id.as_ref(), asked) {
            Ok(asked) => asked,
            Err(error) => {
                let response = EndQuorumEpochResponse::default().with_error_code(error.code());
                ctx.reply(to, ResponseKind::EndQuorumEpoch(response));
                return Ok(());
            }
        };
        let leader = NodeId(asked.leader_id.0);
        let error = self.hear_of_leader(ctx, leader, asked.leader_epoch)?;
        let candidates = asked.preferred_candidates.iter().map(|replica| replica.candidate_id.0);
        let successors: Vec<i32> = candidates.collect();
        let wait = self.successor_backoff(&successors);
        if let State::Follower(follower) = &mut self.state
            && error == ErrorCode::None
            && follower.leader == leader
        {
            follower.fetch_deadline = ctx.now + wait;
        }
        let partition = end_quorum_epoch_response::PartitionData::default()
            .with_error_code(error.code())
            .with_leader_id(BrokerId(self.leader_or_none()))
            .with_leader_epoch(self.epoch);
        let topic = end_quorum_epoch_response::TopicData::default()
            .with_topic_name(metadata_topic())
            .with_partitions(vec![partition]);
        let response = EndQuorumEpochResponse::default().with_topics(vec![topic]);
        ctx.reply(to, ResponseKind::EndQuorumEpoch(response));
        Ok(())
    }

    /// How long we let others come first (`strictExponentialElectionBackoffMs`).
    fn successor_backoff(&self, successors: &[i32]) -> Duration {
        let longest = self.config.election_backoff_max;
        match successors.iter().position(|id| *id == self.me.0) {
            None => longest,
            Some(0) => Duration::ZERO,
            Some(position) => {
                let base = longest / (1 << (successors.len() - 1).min(30));
                (base * (1 << (position - 1).min(30))).min(longest)
            }
        }
    }

    /// A voter heard that we resigned. False when it is to be asked again later.
    pub(super) fn on_end_epoch_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        from: NodeId,
        response: &EndQuorumEpochResponse,
    ) -> Result<bool, LogError> {
        let answer = response.topics.first().and_then(|topic| topic.partitions.first());
        let Some(answer) = answer.filter(|_| response.error_code == 0) else { return Ok(false) };
        let handled =
            self.on_common_response(ctx, answer.error_code, answer.leader_id.0, answer.leader_epoch)?;
        if let Some(handled) = handled {
            return Ok(handled);
        }
        if let State::Resigned { unacked, .. } = &mut self.state {
            unacked.remove(&from);
        }
        Ok(answer.error_code == 0)
    }

    /// A voter heard that we lead.
    pub(super) fn on_begin_epoch_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        response: &BeginQuorumEpochResponse,
    ) -> Result<bool, LogError> {
        let answer = response.topics.first().and_then(|topic| topic.partitions.first());
        let Some(answer) = answer.filter(|_| response.error_code == 0) else { return Ok(false) };
        let handled =
            self.on_common_response(ctx, answer.error_code, answer.leader_id.0, answer.leader_epoch)?;
        Ok(handled.unwrap_or(answer.error_code == 0))
    }
}
