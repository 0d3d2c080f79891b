//! A transactional producer that is spelled out request by request, and where its coordinator is.

use anyhow::Context as _;
use bytes::Bytes;
use klamm_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use klamm_wire::messages::describe_producers_request::TopicRequest;
use klamm_wire::messages::describe_transactions_response::TransactionState;
use klamm_wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeProducersRequest, DescribeTransactionsRequest,
    EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, ProducerId, TransactionalId,
};
use klamm_wire::{BatchBuilder, ErrorCode};

use super::records::build;
use crate::Session;
use crate::session::{group, text, topic};

/// The newest version of AddPartitionsToTxn that clients send; the others are for brokers.
pub(super) const OF_CLIENTS: i16 = 3;

/// A transactional id of the protocol.
pub(super) fn transactional_id(name: &str) -> TransactionalId {
    TransactionalId(text(name))
}

/// A new producer of `name`.
pub(super) fn init(name: &str) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(Some(transactional_id(name)))
        .with_transaction_timeout_ms(60_000)
}

/// Which transactions there are.
pub(super) fn described(names: &[&str]) -> DescribeTransactionsRequest {
    let names = names.iter().map(|name| transactional_id(name)).collect();
    DescribeTransactionsRequest::default().with_transactional_ids(names)
}

/// Who produces to partitions.
pub(super) fn producers(name: &str, partitions: &[i32]) -> DescribeProducersRequest {
    let asked = TopicRequest::default().with_name(topic(name)).with_partition_indexes(partitions.to_vec());
    DescribeProducersRequest::default().with_topics(vec![asked])
}

/// Topics and their partitions.
pub(super) fn topics(to: &[(&str, &[i32])]) -> Vec<AddPartitionsToTxnTopic> {
    to.iter()
        .map(|(name, partitions)| {
            AddPartitionsToTxnTopic::default().with_name(topic(name)).with_partitions(partitions.to_vec())
        })
        .collect()
}

/// Who speaks: a transactional id, and the id and the epoch that its producer was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Producer<'a> {
    pub(super) name: &'a str,
    pub(super) id: i64,
    pub(super) epoch: i16,
}

impl<'a> Producer<'a> {
    /// Goes to the coordinator of `name`, and begins anew there.
    pub(super) fn new(s: &mut Session, name: &'a str) -> anyhow::Result<Self> {
        coordinate(s, name)?;
        let answer = s.quiet(5, &init(name))?;
        anyhow::ensure!(answer.error_code == 0, "no producer id for {name}: {answer:?}");
        Ok(Self { name, id: answer.producer_id.0, epoch: answer.producer_epoch })
    }

    /// The same with an epoch that is `by` higher.
    pub(super) const fn epoch_by(self, by: i16) -> Self {
        Self { epoch: self.epoch + by, ..self }
    }

    /// The same with an id that nobody was given.
    pub(super) const fn other_id(self) -> Self {
        Self { id: self.id + 1_000_000, ..self }
    }

    /// The same under another transactional id.
    pub(super) const fn named(self, name: &'a str) -> Self {
        Self { name, ..self }
    }

    /// InitProducerId that tells who this is.
    pub(super) fn init(self) -> InitProducerIdRequest {
        init(self.name).with_producer_id(ProducerId(self.id)).with_producer_epoch(self.epoch)
    }

    /// This transaction, as brokers name it.
    pub(super) fn transaction(
        self,
        to: &[(&str, &[i32])],
        verify_only: bool,
    ) -> AddPartitionsToTxnTransaction {
        AddPartitionsToTxnTransaction::default()
            .with_transactional_id(transactional_id(self.name))
            .with_producer_id(ProducerId(self.id))
            .with_producer_epoch(self.epoch)
            .with_verify_only(verify_only)
            .with_topics(topics(to))
    }

    /// AddPartitionsToTxn, in the form that its version has.
    pub(super) fn add(self, version: i16, to: &[(&str, &[i32])]) -> AddPartitionsToTxnRequest {
        if version > OF_CLIENTS {
            return AddPartitionsToTxnRequest::default().with_transactions(vec![self.transaction(to, false)]);
        }
        AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(transactional_id(self.name))
            .with_v3_and_below_producer_id(ProducerId(self.id))
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(topics(to))
    }

    /// A broker's question whether partitions are in the transaction.
    pub(super) fn verify(self, to: &[(&str, &[i32])]) -> AddPartitionsToTxnRequest {
        AddPartitionsToTxnRequest::default().with_transactions(vec![self.transaction(to, true)])
    }

    /// AddOffsetsToTxn.
    pub(super) fn add_offsets(self, of: &str) -> AddOffsetsToTxnRequest {
        AddOffsetsToTxnRequest::default()
            .with_transactional_id(transactional_id(self.name))
            .with_producer_id(ProducerId(self.id))
            .with_producer_epoch(self.epoch)
            .with_group_id(group(of))
    }

    /// EndTxn.
    pub(super) fn end(self, committed: bool) -> EndTxnRequest {
        EndTxnRequest::default()
            .with_transactional_id(transactional_id(self.name))
            .with_producer_id(ProducerId(self.id))
            .with_producer_epoch(self.epoch)
            .with_committed(committed)
    }

    /// `count` records of its transaction.
    pub(super) fn batch(self, sequence: i32, count: usize) -> Bytes {
        build(BatchBuilder::new().producer(self.id, self.epoch, sequence).transactional(), count).to_bytes()
    }

    /// Waits, at the coordinator, until the markers of its transaction are written, and records how it stands then.
    pub(super) fn settled(self, s: &mut Session, label: &str) -> anyhow::Result<Self> {
        let found = settled(s, self.name)?;
        s.at(label, 0, described(&[self.name]))?;
        Ok(Self { id: found.producer_id.0, epoch: found.producer_epoch, ..self })
    }
}

/// Goes to the coordinator of a transactional id, once it is ready.
pub(super) fn coordinate<'s>(s: &'s mut Session, name: &str) -> anyhow::Result<&'s mut Session> {
    let request = FindCoordinatorRequest::default().with_key(text(name)).with_key_type(1);
    let coordinator = klamm_tests::wait_until(klamm_tests::PATIENCE, || {
        let answer = s.quiet(3, &request).ok()?;
        (answer.error_code == 0).then_some(answer.node_id.0)
    })
    .context("there is no coordinator")?;
    s.on(coordinator);
    klamm_tests::wait_until(klamm_tests::PATIENCE, || {
        let known = state(s, name).ok()?.error_code;
        let ready = [ErrorCode::None, ErrorCode::TransactionalIdNotFound].map(ErrorCode::code);
        if !ready.contains(&known) {
            return None;
        }
        // A broker that has no producer ids yet asks the controller for some, and its clients to come again.
        let any = InitProducerIdRequest::default().with_transactional_id(None);
        (s.quiet(5, &any).ok()?.error_code == 0).then_some(())
    })
    .context("the coordinator does not get ready")?;
    Ok(s)
}

/// Whether the broker that is asked coordinates a transactional id.
pub(super) fn is_here(s: &mut Session, name: &str) -> anyhow::Result<bool> {
    Ok(state(s, name)?.error_code != ErrorCode::NotCoordinator.code())
}

fn state(s: &mut Session, name: &str) -> anyhow::Result<TransactionState> {
    s.quiet(0, &described(&[name]))?.transaction_states.pop().context("no transaction in the answer")
}

/// Waits, at the coordinator, until no transaction of `name` is about to end.
fn settled(s: &mut Session, name: &str) -> anyhow::Result<TransactionState> {
    klamm_tests::wait_until(klamm_tests::PATIENCE, || {
        let found = state(s, name).ok()?;
        (found.error_code == 0 && !found.transaction_state.starts_with("Prepare")).then_some(found)
    })
    .with_context(|| format!("the transaction of {name} does not end"))
}
