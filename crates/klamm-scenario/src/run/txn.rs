//! A producer's part in its transactions (`TransactionManager`): requests to coordinators, and what follows from their answers.

use std::time::Duration;

use klamm_node::{NodeId, TopicPartition};
use klamm_wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use klamm_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use klamm_wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, FindCoordinatorRequest, GroupId,
    InitProducerIdRequest, ProducerId, ResponseKind, TopicName, TransactionalId, TxnOffsetCommitRequest,
};
use klamm_wire::{Api, ApiKey, ErrorCode, KafkaVersion, Request, Response, StrBytes, Uuid};

use super::{Runner, ask};
use crate::report::Failure;
use crate::step::{Metadata, Transaction, TransactionStep, TransactionalSpec};
use crate::theatre::{Answer, Theatre};

/// How long a producer waits before it asks a coordinator again (`TransactionManager.ADD_PARTITIONS_RETRY_BACKOFF_MS`).
pub(super) const BACKOFF: Duration = Duration::from_millis(20);

/// A request with its API and version.
pub(super) type Asked = (ApiKey, i16, Request);

fn text(text: &str) -> StrBytes {
    StrBytes::from(text.to_owned())
}

/// The newest version that a release has, up to `newest`.
fn version(key: ApiKey, release: KafkaVersion, newest: i16) -> i16 {
    Api::of(key).versions_in(release).map_or(newest, |(_, max)| newest.min(max))
}

/// In which version a batch of a transaction is sent: from 12 on, the leader adds its partition to the transaction.
pub(super) fn produce_version(transactional: &TransactionalSpec) -> (ApiKey, i16) {
    let newest = if transactional.v2 { 12 } else { 11 };
    (ApiKey::Produce, version(ApiKey::Produce, transactional.release, newest))
}

/// Who coordinates a transactional id, or a group.
pub(super) fn find_coordinator(key: &str, transactions: bool) -> Asked {
    let request = FindCoordinatorRequest::default()
        .with_key_type(transactions.into())
        .with_coordinator_keys(vec![text(key)]);
    (ApiKey::FindCoordinator, 4, Request::FindCoordinator(request))
}

/// The coordinator that was found.
pub(super) fn coordinator(answer: &Response) -> Result<NodeId, ErrorCode> {
    let found = match kind(answer) {
        Some(ResponseKind::FindCoordinator(answer)) => answer.coordinators.first(),
        _ => None,
    };
    let found = found.ok_or(ErrorCode::UnknownServerError)?;
    match code(found.error_code) {
        ErrorCode::None => Ok(NodeId(found.node_id.0)),
        error => Err(error),
    }
}

/// Adds a partition to a transaction, as clients before KIP-890 do.
pub(super) fn add_partition(id: &str, identity: (i64, i16), to: &TopicPartition) -> Asked {
    let topic = AddPartitionsToTxnTopic::default()
        .with_name(TopicName(to.topic.clone()))
        .with_partitions(vec![to.partition]);
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(TransactionalId(text(id)))
        .with_v3_and_below_producer_id(ProducerId(identity.0))
        .with_v3_and_below_producer_epoch(identity.1)
        .with_v3_and_below_topics(vec![topic]);
    (ApiKey::AddPartitionsToTxn, 3, Request::AddPartitionsToTxn(request))
}

fn kind(answer: &Response) -> Option<&ResponseKind> {
    match answer {
        Response::Other(kind) => Some(kind),
        Response::Fetch(_) => None,
    }
}

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}

/// The error of an answer about a transaction.
pub(super) fn error(answer: &Response) -> ErrorCode {
    let found = match kind(answer) {
        Some(ResponseKind::InitProducerId(answer)) => Some(answer.error_code),
        Some(ResponseKind::EndTxn(answer)) => Some(answer.error_code),
        Some(ResponseKind::AddOffsetsToTxn(answer)) => Some(answer.error_code),
        Some(ResponseKind::AddPartitionsToTxn(answer)) => {
            let topic = answer.results_by_topic_v3_and_below.first();
            topic.and_then(|topic| Some(topic.results_by_partition.first()?.partition_error_code))
        }
        Some(ResponseKind::TxnOffsetCommit(answer)) => {
            answer.topics.first().and_then(|topic| Some(topic.partitions.first()?.error_code))
        }
        _ => None,
    };
    code(found.unwrap_or(-1))
}

/// Whose coordinator is asked.
enum Of {
    Transactions,
    Group(String),
}

impl<T: Theatre> Runner<T> {
    pub(super) fn transaction(&mut self, step: &TransactionStep) -> Vec<Failure> {
        let actual = match &step.what {
            Transaction::WriteEpoch(epoch) => self.write_epoch(step, *epoch),
            Transaction::SendOffset { partition, group, offset, of } => {
                let (partition, group, of) = (partition.clone(), group.clone(), self.group_metadata(of));
                let what = Transaction::SendOffset { partition, group, offset: *offset, of };
                self.carry_out(&TransactionStep { what, ..step.clone() })
            }
            _ => self.carry_out(step),
        };
        let text = match &step.what {
            Transaction::Init => "init",
            Transaction::Begin => "begin",
            Transaction::End { commit: true } => "commit",
            Transaction::End { commit: false } => "abort",
            Transaction::SendOffset { .. } => "send-offset",
            Transaction::WriteEpoch(_) => "write-epoch",
        };
        if let Some(producer) = self.producers.get_mut(&step.client) {
            let identity = producer.identity();
            let who = identity.map(|(id, epoch)| format!(" (producer {id}, epoch {epoch})"));
            producer.tell(format!("{text}: {actual}{}", who.unwrap_or_default()));
        }
        if !step.wait || actual == step.error {
            return Vec::new();
        }
        vec![Failure::new(format!("{} of {}", text, step.client), step.error.clone(), actual)]
    }

    /// Kafka's name of how it ended.
    fn carry_out(&mut self, step: &TransactionStep) -> String {
        let until = self.stage.now() + step.within;
        if let Transaction::End { .. } = step.what
            && step.wait
        {
            let sent = |runner: &Self| {
                runner.producers.get(&step.client).is_none_or(|producer| producer.pending().is_empty())
            };
            self.wait(step.within, sent);
        }
        let Some(producer) = self.producers.get_mut(&step.client) else { return String::new() };
        match &step.what {
            Transaction::Begin => {
                producer.txn.open = true;
                return "NONE".to_owned();
            }
            Transaction::End { .. } if !producer.txn.used => {
                // Kafka's producer ends a transaction that nothing belongs to by itself.
                self.transaction_ended(step, None);
                return "NONE".to_owned();
            }
            _ => {}
        }
        loop {
            let error = self.attempt(step);
            let again = step.retry && step.wait && error.name() != step.error && error.is_retriable();
            if !again || self.stage.now() >= until {
                return error.name().to_owned();
            }
            self.pass(BACKOFF);
        }
    }

    /// Tries once.
    fn attempt(&mut self, step: &TransactionStep) -> ErrorCode {
        let Some(producer) = self.producers.get(&step.client) else { return ErrorCode::UnknownServerError };
        let Some(spec) = producer.spec().transactional.clone() else { return ErrorCode::UnknownServerError };
        let identity = producer.identity().map(|(id, epoch)| (id, step.epoch.unwrap_or(epoch)));
        let producer_client = producer.client();
        match &step.what {
            Transaction::Begin | Transaction::WriteEpoch(_) => ErrorCode::None,
            Transaction::Init => {
                let request = init(&spec, None);
                match self.ask_coordinator(step, &spec, &Of::Transactions, request) {
                    Ok(answer) => self.took_identity(step, &answer),
                    Err(error) => error,
                }
            }
            Transaction::End { commit } => {
                let Some(identity) = identity else { return ErrorCode::InvalidTxnState };
                let failed = producer.txn.failed;
                let request = end(&spec, identity, *commit);
                match self.ask_coordinator(step, &spec, &Of::Transactions, request) {
                    Ok(answer) => {
                        self.transaction_ended(step, Some(&answer));
                        if failed && !spec.v2 && step.wait {
                            // The sequences have a hole: only another epoch leads on.
                            let request = init(&spec, Some(identity));
                            return match self.ask_coordinator(step, &spec, &Of::Transactions, request) {
                                Ok(answer) => self.took_identity(step, &answer),
                                Err(error) => error,
                            };
                        }
                        ErrorCode::None
                    }
                    Err(error) => error,
                }
            }
            Transaction::SendOffset { group, .. } => {
                let Some(identity) = identity else { return ErrorCode::InvalidTxnState };
                if !spec.v2 && !producer.txn.groups.contains(group) {
                    let request = add_offsets(&spec, identity, group);
                    if let Err(error) = self.ask_coordinator(step, &spec, &Of::Transactions, request) {
                        return error;
                    }
                    self.uses(step, group);
                }
                let request = match self.commit_offset(producer_client, &spec, identity, &step.what) {
                    Ok(request) => request,
                    Err(error) => return error,
                };
                match self.ask_coordinator(step, &spec, &Of::Group(group.clone()), request) {
                    Ok(_) => {
                        self.uses(step, group);
                        ErrorCode::None
                    }
                    Err(error) => error,
                }
            }
        }
    }

    /// Asks the consumer, if there is one to ask, for what was not given.
    fn group_metadata(&self, of: &Metadata) -> Metadata {
        let Some((client, spec)) = of.consumer.as_ref().and_then(|name| self.member_and_spec(name)) else {
            return of.clone();
        };
        let member = self.stage.client_member(client);
        Metadata {
            consumer: of.consumer.clone(),
            generation: of.generation.or_else(|| member.as_ref().map(|member| member.generation)),
            member: of.member.clone().or_else(|| member.map(|member| member.member_id.to_string())),
            instance: spec
                .member
                .group
                .as_ref()
                .and_then(|group| group.instance_id.as_ref())
                .map(ToString::to_string),
        }
    }

    /// A commit of a position. Since version 6 its topic is named by its id.
    fn commit_offset(
        &mut self,
        client: u32,
        spec: &TransactionalSpec,
        identity: (i64, i16),
        what: &Transaction,
    ) -> Result<Asked, ErrorCode> {
        let (key, version, mut request) = commit_offset(spec, identity, what);
        if version >= 6
            && let Request::TxnOffsetCommit(request) = &mut request
        {
            for topic in &mut request.topics {
                topic.topic_id = self.topic_id(client, &topic.name.0)?;
                topic.name = TopicName::default();
            }
        }
        Ok((key, version, request))
    }

    /// What the first broker that answers knows a topic by.
    fn topic_id(&mut self, client: u32, topic: &StrBytes) -> Result<Uuid, ErrorCode> {
        let (key, version) = ask::METADATA;
        for broker in self.stage.brokers() {
            let ticket = self.stage.ask(client, broker, key, version, ask::metadata(topic, false));
            let Some(Answer::Response(answer)) = self.answer(ticket) else { continue };
            if let Some(ResponseKind::Metadata(answer)) = kind(&answer) {
                return Ok(answer.topics.first().map(|topic| topic.topic_id).unwrap_or_default());
            }
        }
        Err(ErrorCode::NetworkException)
    }

    fn uses(&mut self, step: &TransactionStep, group: &str) {
        if let Some(producer) = self.producers.get_mut(&step.client) {
            producer.txn.used = true;
            producer.txn.groups.insert(group.to_owned());
        }
    }

    fn took_identity(&mut self, step: &TransactionStep, answer: &Response) -> ErrorCode {
        let Some(producer) = self.producers.get_mut(&step.client) else { return ErrorCode::None };
        if let Some(ResponseKind::InitProducerId(answer)) = kind(answer) {
            producer.set_identity((answer.producer_id.0, answer.producer_epoch));
            // It begins anew, whatever became of a transaction before.
            producer.txn.start_anew();
            producer.txn.failed = false;
        }
        ErrorCode::None
    }

    /// A transaction is over; with KIP-890 the answer says under which epoch the next one is.
    fn transaction_ended(&mut self, step: &TransactionStep, answer: Option<&Response>) {
        let Some(producer) = self.producers.get_mut(&step.client) else { return };
        if let Some(ResponseKind::EndTxn(answer)) = answer.and_then(kind)
            && answer.producer_epoch >= 0
        {
            producer.set_identity((answer.producer_id.0, answer.producer_epoch));
            producer.txn.failed = false;
        }
        producer.txn.start_anew();
    }

    /// Asks a coordinator, which is found first where it is not known.
    fn ask_coordinator(
        &mut self,
        step: &TransactionStep,
        spec: &TransactionalSpec,
        of: &Of,
        (key, version, request): Asked,
    ) -> Result<Response, ErrorCode> {
        let client = self.producers.get(&step.client).map_or(0, |producer| producer.client());
        let known = self.producers.get(&step.client).and_then(|producer| producer.txn.coordinator);
        let coordinator = match (of, known) {
            (Of::Transactions, Some(known)) => known,
            (Of::Transactions, None) => {
                let found = self.coordinator_of(client, find_coordinator(&spec.id, true))?;
                if let Some(producer) = self.producers.get_mut(&step.client) {
                    producer.txn.coordinator = Some(found);
                }
                found
            }
            (Of::Group(group), _) => self.coordinator_of(client, find_coordinator(group, false))?,
        };
        let ticket = self.stage.ask(client, coordinator, key, version, request);
        if !step.wait {
            return Err(ErrorCode::None);
        }
        let answer = match self.answer(ticket) {
            Some(Answer::Response(answer)) => *answer,
            _ => return Err(self.lost(step, ErrorCode::NetworkException)),
        };
        match error(&answer) {
            ErrorCode::None => Ok(answer),
            error => Err(self.lost(step, error)),
        }
    }

    /// Forgets a coordinator that is none, or cannot be reached.
    fn lost(&mut self, step: &TransactionStep, error: ErrorCode) -> ErrorCode {
        if matches!(
            error,
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable | ErrorCode::NetworkException
        ) && let Some(producer) = self.producers.get_mut(&step.client)
        {
            producer.txn.coordinator = None;
        }
        error
    }

    pub(super) fn coordinator_of(
        &mut self,
        client: u32,
        (key, version, request): Asked,
    ) -> Result<NodeId, ErrorCode> {
        for broker in self.stage.brokers() {
            let ticket = self.stage.ask(client, broker, key, version, request.clone());
            if let Some(Answer::Response(answer)) = self.answer(ticket) {
                return coordinator(&answer);
            }
        }
        Err(ErrorCode::NetworkException)
    }
}

fn init(spec: &TransactionalSpec, identity: Option<(i64, i16)>) -> Asked {
    let (id, epoch) = identity.unwrap_or((-1, -1));
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text(&spec.id))))
        .with_transaction_timeout_ms(i32::try_from(spec.timeout.as_millis()).unwrap_or(i32::MAX))
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(epoch);
    (
        ApiKey::InitProducerId,
        version(ApiKey::InitProducerId, spec.release, 5),
        Request::InitProducerId(request),
    )
}

/// From version 5 on the transaction's end brings a new epoch.
fn end(spec: &TransactionalSpec, identity: (i64, i16), commit: bool) -> Asked {
    let request = EndTxnRequest::default()
        .with_transactional_id(TransactionalId(text(&spec.id)))
        .with_producer_id(ProducerId(identity.0))
        .with_producer_epoch(identity.1)
        .with_committed(commit);
    let newest = if spec.v2 { 5 } else { 4 };
    (ApiKey::EndTxn, version(ApiKey::EndTxn, spec.release, newest), Request::EndTxn(request))
}

fn add_offsets(spec: &TransactionalSpec, identity: (i64, i16), group: &str) -> Asked {
    let request = AddOffsetsToTxnRequest::default()
        .with_transactional_id(TransactionalId(text(&spec.id)))
        .with_producer_id(ProducerId(identity.0))
        .with_producer_epoch(identity.1)
        .with_group_id(GroupId(text(group)));
    let version = version(ApiKey::AddOffsetsToTxn, spec.release, 4);
    (ApiKey::AddOffsetsToTxn, version, Request::AddOffsetsToTxn(request))
}

/// From version 5 on the group's partition is added to the transaction on the way; version 6 has all that it says, and more words for
/// what is wrong.
fn commit_offset(spec: &TransactionalSpec, identity: (i64, i16), what: &Transaction) -> Asked {
    let mut request = TxnOffsetCommitRequest::default()
        .with_transactional_id(TransactionalId(text(&spec.id)))
        .with_producer_id(ProducerId(identity.0))
        .with_producer_epoch(identity.1);
    if let Transaction::SendOffset { partition, group, offset, of } = what {
        let position = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(partition.partition)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(StrBytes::default()));
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(TopicName(partition.topic.clone()))
            .with_partitions(vec![position]);
        request = request
            .with_group_id(GroupId(text(group)))
            .with_generation_id_or_member_epoch(of.generation.unwrap_or(-1))
            .with_member_id(text(of.member.as_deref().unwrap_or_default()))
            .with_group_instance_id(of.instance.as_deref().map(text))
            .with_topics(vec![topic]);
    }
    let newest = if spec.v2 { 6 } else { 4 };
    (
        ApiKey::TxnOffsetCommit,
        version(ApiKey::TxnOffsetCommit, spec.release, newest),
        Request::TxnOffsetCommit(request),
    )
}
