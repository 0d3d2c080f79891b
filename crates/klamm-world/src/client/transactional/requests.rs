//! What a transactional producer asks of coordinators, and of the leaders that it reads from.

use klamm_node::NodeId;
use klamm_wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use klamm_wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use klamm_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use klamm_wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, BrokerId, EndTxnRequest, FetchRequest,
    FindCoordinatorRequest, GroupId, InitProducerIdRequest, OffsetFetchRequest, ProducerId, TopicName,
    TransactionalId, TxnOffsetCommitRequest,
};
use klamm_wire::{ApiKey, Request, StrBytes};

use super::{Phase, Transactional};
use crate::client::ClientCtx;

/// What was asked, and what has to be known of it when the answer comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Who coordinates the transactional id (`true`), or the group.
    Coordinator(bool),
    Init,
    Positions,
    Read(usize),
    AddPartitions(Vec<i32>),
    AddOffsets,
    Offsets,
    End {
        commit: bool,
    },
}

impl Transactional {
    /// The group whose offsets are part of the transactions.
    fn group(&self) -> StrBytes {
        StrBytes::from(format!("of-{}", self.spec.id))
    }

    /// A coordinator, which is asked for where it is not known.
    fn coordinator(&mut self, ctx: &mut ClientCtx<'_>, of_transactions: bool) -> Option<NodeId> {
        let known = if of_transactions { self.coordinator } else { self.group_coordinator };
        if known.is_none() {
            let (kind, key) = if of_transactions { (1, self.spec.id.clone()) } else { (0, self.group()) };
            let request =
                FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(vec![key]);
            let broker = ctx.any_broker()?;
            let request = Request::FindCoordinator(request);
            self.ask(ctx, broker, ApiKey::FindCoordinator, 4, request, Asked::Coordinator(of_transactions));
        }
        known
    }

    fn ask(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        to: NodeId,
        key: ApiKey,
        version: i16,
        request: Request,
        asked: Asked,
    ) {
        self.asked = Some((ctx.ask(to, key, version, request), asked));
    }

    /// Asks the next thing that the phase is about.
    pub(super) fn ask_coordinators(&mut self, ctx: &mut ClientCtx<'_>) {
        match self.phase {
            Phase::Init { recover } => self.ask_init(ctx, recover),
            Phase::Rest => {}
            Phase::Position => self.ask_positions(ctx),
            Phase::Read => self.ask_read(ctx),
            Phase::Send if self.spec.v2 => {}
            Phase::Send => self.ask_add_partitions(ctx),
            Phase::Offsets => self.ask_offsets(ctx),
            Phase::End { commit } => self.ask_end(ctx, commit),
        }
    }

    fn ask_init(&mut self, ctx: &mut ClientCtx<'_>, recover: bool) {
        let Some(to) = self.coordinator(ctx, true) else { return };
        let (id, epoch) = self.identity.filter(|_| recover).unwrap_or((-1, -1));
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(self.spec.id.clone())))
            .with_transaction_timeout_ms(i32::try_from(self.spec.timeout.as_millis()).unwrap_or(i32::MAX))
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch);
        let version = if self.spec.v2 { 5 } else { 4 };
        self.ask(ctx, to, ApiKey::InitProducerId, version, Request::InitProducerId(request), Asked::Init);
    }

    fn ask_positions(&mut self, ctx: &mut ClientCtx<'_>) {
        let (Some(topic), Some(from)) = (self.spec.reads.clone(), &self.from) else { return };
        let partitions = (0..i32::try_from(from.partitions()).unwrap_or(0)).collect();
        let Some(to) = self.coordinator(ctx, false) else { return };
        let topic = OffsetFetchRequestTopics::default()
            .with_name(TopicName(topic))
            .with_partition_indexes(partitions);
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(self.group()))
            .with_member_epoch(-1)
            .with_topics(Some(vec![topic]));
        let request = OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(true);
        self.ask(ctx, to, ApiKey::OffsetFetch, 8, Request::OffsetFetch(request), Asked::Positions);
    }

    fn ask_read(&mut self, ctx: &mut ClientCtx<'_>) {
        let (Some(topic), Some(from)) = (self.spec.reads.clone(), &mut self.from) else { return };
        let index = self.reading % from.partitions().max(1);
        let Some(leader) = from.of(index) else {
            from.refresh(ctx.now);
            return self.again(ctx.now);
        };
        let partition = i32::try_from(index).unwrap_or(i32::MAX);
        let position = self.positions.get(&partition).copied().unwrap_or(0);
        let asked = FetchPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(-1)
            .with_last_fetched_epoch(-1)
            .with_log_start_offset(-1)
            .with_fetch_offset(position)
            .with_partition_max_bytes(1 << 16);
        let topic = FetchTopic::default().with_topic(TopicName(topic)).with_partitions(vec![asked]);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(200)
            .with_min_bytes(1)
            .with_max_bytes(1 << 16)
            .with_isolation_level(1)
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        self.ask(ctx, leader, ApiKey::Fetch, 12, Request::Fetch(request), Asked::Read(index));
    }

    fn ask_add_partitions(&mut self, ctx: &mut ClientCtx<'_>) {
        let new = self.transaction.as_ref().map(|open| open.to_add(ctx.now)).unwrap_or_default();
        let (false, Some(identity)) = (new.is_empty(), self.identity) else { return };
        let Some(to) = self.coordinator(ctx, true) else { return };
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(self.spec.topic.clone()))
            .with_partitions(new.clone());
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(self.spec.id.clone()))
            .with_v3_and_below_producer_id(ProducerId(identity.0))
            .with_v3_and_below_producer_epoch(identity.1)
            .with_v3_and_below_topics(vec![topic]);
        let request = Request::AddPartitionsToTxn(request);
        self.ask(ctx, to, ApiKey::AddPartitionsToTxn, 3, request, Asked::AddPartitions(new));
    }

    fn ask_offsets(&mut self, ctx: &mut ClientCtx<'_>) {
        let (Some(open), Some(identity)) = (&self.transaction, self.identity) else { return };
        let (Some((partition, next)), Some(topic)) = (open.read, self.spec.reads.clone()) else { return };
        if !self.spec.v2 && !open.added_group {
            let Some(to) = self.coordinator(ctx, true) else { return };
            let request = AddOffsetsToTxnRequest::default()
                .with_transactional_id(TransactionalId(self.spec.id.clone()))
                .with_producer_id(ProducerId(identity.0))
                .with_producer_epoch(identity.1)
                .with_group_id(GroupId(self.group()));
            let request = Request::AddOffsetsToTxn(request);
            return self.ask(ctx, to, ApiKey::AddOffsetsToTxn, 4, request, Asked::AddOffsets);
        }
        let Some(to) = self.coordinator(ctx, false) else { return };
        let position = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(next)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(StrBytes::default()));
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(TopicName(topic))
            .with_partitions(vec![position]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(TransactionalId(self.spec.id.clone()))
            .with_producer_id(ProducerId(identity.0))
            .with_producer_epoch(identity.1)
            .with_group_id(GroupId(self.group()))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        // From 5 on the group's partition is added to the transaction on the way.
        let version = if self.spec.v2 { 5 } else { 4 };
        self.ask(
            ctx,
            to,
            ApiKey::TxnOffsetCommit,
            version,
            Request::TxnOffsetCommit(request),
            Asked::Offsets,
        );
    }

    fn ask_end(&mut self, ctx: &mut ClientCtx<'_>, commit: bool) {
        let Some(identity) = self.identity else { return };
        if !self.transaction.as_ref().is_some_and(|open| open.is_known(self.spec.v2)) {
            return self.finish(ctx.now, Some(false));
        }
        let Some(to) = self.coordinator(ctx, true) else { return };
        if let Some(open) = &mut self.transaction {
            open.asked_to_commit |= commit;
        }
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(self.spec.id.clone()))
            .with_producer_id(ProducerId(identity.0))
            .with_producer_epoch(identity.1)
            .with_committed(commit);
        // From 5 on the answer brings the next transaction's epoch.
        let version = if self.spec.v2 { 5 } else { 4 };
        self.ask(ctx, to, ApiKey::EndTxn, version, Request::EndTxn(request), Asked::End { commit });
    }
}
