//! Transactional ids near the end of their epochs.

use klamm_node::TopicPartition;
use klamm_wire::internal::Schema as _;
use klamm_wire::internal::txn::{TransactionLogKey, TransactionLogValue, TransactionRecordKey};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::{ErrorCode, StrBytes};

use super::{Runner, ask};
use crate::step::TransactionStep;
use crate::theatre::{Answer, Theatre};

/// Where coordinators keep what they know.
const STATE_TOPIC: &str = "__transaction_state";
/// The client id that Kafka lets write to internal topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT: &str = "__admin_client";

impl<T: Theatre> Runner<T> {
    /// Writes the coordinator's record of a transactional id, as an administrator can (`AdminUtils`): what it says of the producer is
    /// what the coordinator knows once it has loaded its log again.
    pub(super) fn write_epoch(&mut self, step: &TransactionStep, epoch: i16) -> String {
        let Some(producer) = self.producers.get(&step.client) else { return String::new() };
        let (Some(spec), Some((producer_id, _))) =
            (producer.spec().transactional.clone(), producer.identity())
        else {
            return ErrorCode::InvalidTxnState.name().to_owned();
        };
        let partitions = self.stage.topics().get(STATE_TOPIC.as_bytes()).copied().unwrap_or(0);
        if partitions == 0 {
            return ErrorCode::UnknownTopicOrPartition.name().to_owned();
        }
        let at = TopicPartition::new(STATE_TOPIC, klamm_world::coordinator_partition(&spec.id, partitions));
        let now = self.stage.wall_millis();
        let key = TransactionLogKey { transactional_id: StrBytes::from(spec.id.clone()) };
        let value = TransactionLogValue {
            producer_id,
            producer_epoch: epoch,
            transaction_timeout_ms: i32::try_from(spec.timeout.as_millis()).unwrap_or(i32::MAX),
            transaction_last_update_timestamp_ms: now,
            transaction_start_timestamp_ms: -1,
            ..TransactionLogValue::default()
        };
        let (Ok(key), Ok(value)) = (TransactionRecordKey::from(key).encode(), value.to_versioned_bytes(0))
        else {
            return ErrorCode::UnknownServerError.name().to_owned();
        };
        let mut batch = BatchBuilder::new();
        batch.push(now, Some(&key), Some(&value), &[]);
        let records = batch.build().expect("uncompressed batches always build").to_bytes();
        let request = ask::produce_bytes(&at, -1, 30_000, None, records);
        let leader = self.stage.partition(&at.topic, at.partition).and_then(|status| status.leader);
        let Some(leader) = leader else { return ErrorCode::LeaderNotAvailable.name().to_owned() };
        let client = self.next_client;
        self.next_client += 1;
        self.stage.name_client(client, ADMIN_CLIENT);
        let ticket = self.stage.ask(client, leader, ask::PRODUCE.0, ask::PRODUCE.1, request);
        match self.answer(ticket) {
            Some(Answer::Response(answer)) => ErrorCode::from_code(ask::produced(&answer).0)
                .unwrap_or(ErrorCode::UnknownServerError)
                .name()
                .to_owned(),
            _ => "DISCONNECTED".to_owned(),
        }
    }
}
