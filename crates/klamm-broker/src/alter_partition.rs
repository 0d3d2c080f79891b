//! Proposals of another ISR on their way to the controller: one request at a time, each partition's newest proposal
//! (`AlterPartitionManager`).

use std::collections::BTreeMap;

use klamm_metadata::LeaderRecoveryState;
use klamm_node::{Ctx, NodeId, SendError, TopicIdPartition, TraceKind};
use klamm_wire::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use klamm_wire::messages::alter_partition_response::PartitionData as Answer;
use klamm_wire::messages::{AlterPartitionRequest, BrokerId, ResponseKind};
use klamm_wire::{ErrorCode, Response};

use crate::core::{Call, Core, Timer, leader_env};
use crate::partition::Slot;
use crate::partition::isr::IsrProposal;

/// The proposals.
#[derive(Debug, Clone, Default)]
pub(crate) struct AlterPartitionManager {
    pending: BTreeMap<TopicIdPartition, IsrProposal>,
    sent: BTreeMap<TopicIdPartition, IsrProposal>,
    in_flight: bool,
    backing_off: bool,
}

impl Core {
    /// Queues a proposal; it leaves before the step ends unless another request is under way.
    pub(crate) fn propose_isr(
        &mut self,
        ctx: &mut Ctx<'_>,
        slot: Slot,
        proposal: IsrProposal,
        cause: &'static str,
    ) {
        let Some(partition) = self.replicas.get(slot) else { return };
        let key = TopicIdPartition { topic_id: partition.topic_id, partition: partition.name.partition };
        if ctx.tracing() {
            let isr = proposal.isr.iter().map(|(id, _)| *id).collect();
            ctx.trace(TraceKind::IsrProposed { partition: partition.name.clone(), isr, cause });
        }
        self.alter_partition.pending.insert(key, proposal);
    }

    /// Sends what is queued. True when something was sent.
    pub(crate) fn send_isr_proposals(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let manager = &mut self.alter_partition;
        if manager.in_flight || manager.backing_off || manager.pending.is_empty() || self.lifecycle.epoch < 0
        {
            return false;
        }
        let mut topics: Vec<TopicData> = Vec::new();
        for (key, proposal) in &manager.pending {
            let isr = proposal.isr.iter().map(|(id, epoch)| {
                BrokerState::default().with_broker_id(BrokerId(id.0)).with_broker_epoch(*epoch)
            });
            let data = PartitionData::default()
                .with_partition_index(key.partition)
                .with_leader_epoch(proposal.leader_epoch)
                .with_new_isr_with_epochs(isr.collect())
                .with_leader_recovery_state(proposal.leader_recovery_state.code())
                .with_partition_epoch(proposal.partition_epoch);
            match topics.last_mut() {
                Some(topic) if topic.topic_id == key.topic_id => topic.partitions.push(data),
                _ => {
                    topics.push(TopicData::default().with_topic_id(key.topic_id).with_partitions(vec![data]))
                }
            }
        }
        manager.sent = std::mem::take(&mut manager.pending);
        manager.in_flight = true;
        let request = AlterPartitionRequest::default()
            .with_broker_id(BrokerId(self.settings.node.0))
            .with_broker_epoch(self.lifecycle.epoch)
            .with_topics(topics);
        self.call_controller(
            ctx,
            3,
            request.into(),
            self.config.hot.request_timeout_ms,
            Call::AlterPartition,
        );
        true
    }

    /// The controller answered.
    pub(crate) fn on_alter_partition(&mut self, ctx: &mut Ctx<'_>, result: Result<Response, SendError>) {
        self.alter_partition.in_flight = false;
        let sent = std::mem::take(&mut self.alter_partition.sent);
        let answer = match result {
            Ok(Response::Other(kind)) => match *kind {
                ResponseKind::AlterPartition(answer) => Some(answer),
                _ => None,
            },
            _ => None,
        };
        let Some(answer) = answer else {
            return self.propose_again(ctx, sent);
        };
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => {}
            // NOT_CONTROLLER, STALE_BROKER_EPOCH and whatever else concerns the whole request: again, with what is known then.
            _ => return self.propose_again(ctx, sent),
        }
        let mut answers = BTreeMap::new();
        for topic in answer.topics {
            for partition in topic.partitions {
                let key = TopicIdPartition { topic_id: topic.topic_id, partition: partition.partition_index };
                answers.insert(key, partition);
            }
        }
        for (key, proposal) in sent {
            // A partition that the answer leaves out is proposed again (`AlterPartitionManager.handleAlterPartitionResponse`).
            match answers.get(&key) {
                Some(answer) => self.on_proposal_answered(ctx, key, proposal, answer),
                None => {
                    self.alter_partition.pending.entry(key).or_insert(proposal);
                }
            }
        }
    }

    fn on_proposal_answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: TopicIdPartition,
        proposal: IsrProposal,
        answer: &Answer,
    ) {
        let Some(slot) = self.replicas.slot_by_id(key.topic_id, key.partition) else { return };
        let env = leader_env!(self, ctx);
        let Some(partition) = self.replicas.get_mut(slot) else { return };
        let error = ErrorCode::from_code(answer.error_code).unwrap_or(ErrorCode::UnknownServerError);
        if error == ErrorCode::None {
            partition.on_alter_partition_success(
                &proposal,
                answer.leader_epoch,
                answer.partition_epoch,
                answer.isr.iter().map(|id| NodeId(id.0)).collect(),
                LeaderRecoveryState::from_code(answer.leader_recovery_state).unwrap_or_default(),
                env,
            );
        } else if partition.on_alter_partition_error(&proposal, error) {
            self.alter_partition.pending.entry(key).or_insert(proposal);
            self.back_off_proposals(ctx);
        }
        self.replicas.note(slot);
    }

    fn propose_again(&mut self, ctx: &mut Ctx<'_>, sent: BTreeMap<TopicIdPartition, IsrProposal>) {
        for (key, proposal) in sent {
            self.alter_partition.pending.entry(key).or_insert(proposal);
        }
        self.back_off_proposals(ctx);
    }

    fn back_off_proposals(&mut self, ctx: &mut Ctx<'_>) {
        self.alter_partition.backing_off = true;
        self.timers.set(Timer::AlterPartitionRetry, ctx.now + self.controller.retry_delay());
    }

    /// The back-off is over.
    pub(crate) const fn retry_proposals(&mut self) {
        self.alter_partition.backing_off = false;
    }

    /// A partition's state changed under a proposal: it is not to be sent any more.
    pub(crate) fn cancel_proposal(&mut self, key: &TopicIdPartition) {
        self.alter_partition.pending.remove(key);
    }

    /// R3, for every partition that this broker leads: every half `replica.lag.time.max.ms`.
    pub(crate) fn shrink_isrs(&mut self, ctx: &mut Ctx<'_>) {
        for slot in self.replicas.slots() {
            let env = leader_env!(self, ctx);
            let proposal = self.replicas.get_mut(slot).and_then(|partition| partition.maybe_shrink_isr(env));
            if let Some(proposal) = proposal {
                self.propose_isr(ctx, slot, proposal, "replica lags");
                self.replicas.note(slot);
            }
        }
    }
}
