//! Transactions at nodes' doors: what coordinators are asked and answer, and what consumers that read what is committed are shown.

use klamm_node::{NodeId, TopicPartition};
use klamm_wire::messages::{OffsetFetchRequest, ResponseKind};
use klamm_wire::{FetchResponse, Request, StrBytes};

use super::report::Report;
use super::transactions::Transactions;
use super::{Checker, t01_read_committed, t09_offsets};
use crate::world::World;

/// A request about transactions that is not answered yet.
#[derive(Debug, Clone)]
pub(super) enum TransactionAsked {
    /// A new epoch.
    Init,
    /// The end of a transaction.
    End { id: StrBytes, commit: bool },
    /// Offsets of one group.
    Offsets(t09_offsets::Asked),
}

impl TransactionAsked {
    /// What a request asks about transactions; `None` when it is about something else.
    pub(super) fn of(request: &Request, transactions: &Transactions) -> Option<Self> {
        match request {
            Request::InitProducerId(request) if request.transactional_id.is_some() => Some(Self::Init),
            Request::EndTxn(request) => {
                Some(Self::End { id: request.transactional_id.0.clone(), commit: request.committed })
            }
            Request::OffsetFetch(request) => {
                let group = one_group(request)?;
                Some(Self::Offsets(transactions.offsets.asked(&group, request.require_stable)))
            }
            _ => None,
        }
    }

    /// The id or group whose coordinator is asked, and whether it is a transactional id.
    pub(super) fn key(&self) -> Option<(&StrBytes, bool)> {
        match self {
            Self::Init => None,
            Self::End { id, .. } => Some((id, true)),
            Self::Offsets(asked) => Some((&asked.group, false)),
        }
    }

    /// It is answered; `current` says that the coordinator was no stale one.
    pub(super) fn answered(
        self,
        answer: &ResponseKind,
        current: bool,
        transactions: &mut Transactions,
        report: &mut Report,
    ) {
        if transactions.is_off() {
            return;
        }
        match (self, answer) {
            (Self::Init, ResponseKind::InitProducerId(answer)) if answer.error_code == 0 => {
                let fence = transactions.fences.entry(answer.producer_id.0).or_default();
                *fence = (*fence).max(answer.producer_epoch);
            }
            (Self::End { id, commit }, ResponseKind::EndTxn(answer)) if answer.error_code == 0 && current => {
                transactions.states.ended(&id, commit, report);
            }
            (Self::Offsets(asked), ResponseKind::OffsetFetch(answer)) if current => {
                let groups = answer.groups.iter().filter(|group| group.error_code == 0);
                for topic in groups.flat_map(|group| &group.topics) {
                    for told in topic.partitions.iter().filter(|told| told.error_code == 0) {
                        let partition = TopicPartition::new(topic.name.0.clone(), told.partition_index);
                        transactions.offsets.told(&asked, &partition, told.committed_offset, report);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The group of an OffsetFetch for one group, by topics' names.
fn one_group(request: &OffsetFetchRequest) -> Option<StrBytes> {
    match &request.groups[..] {
        [group] => Some(group.group_id.0.clone()),
        _ => None,
    }
}

impl Checker {
    /// A broker shows a client what is committed.
    pub(super) fn shown_committed(&mut self, node: NodeId, response: &FetchResponse) {
        if self.transactions.is_off() {
            return;
        }
        for topic in &response.topics {
            for shown in topic.partitions.iter().filter(|partition| !partition.records.is_empty()) {
                if let Some(index) = self.locate(&topic.topic, topic.topic_id, shown.partition) {
                    t01_read_committed::shown(&self.partitions[index], node, shown, &mut self.report);
                }
            }
        }
    }

    /// What transactional producers were told, against what is so, once everything is decided.
    pub(super) fn transactions_told(&mut self, world: &World) {
        if self.transactions.is_off() {
            return;
        }
        self.transactions.leave_open(&self.partitions);
        for client in &world.clients {
            if let Some(told) = client.transactional() {
                self.transactions.tags.told(client.id.0, told, &mut self.report);
            }
        }
    }
}
