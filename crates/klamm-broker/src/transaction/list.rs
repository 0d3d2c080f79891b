//! What a coordinator tells of its transactions (`handleListTransactions`, `handleDescribeTransactions`).

use std::collections::BTreeMap;

use klamm_node::Ctx;
use klamm_wire::messages::describe_transactions_response::{self, TopicData};
use klamm_wire::messages::{
    ListTransactionsRequest, ListTransactionsResponse, ProducerId, TopicName, TransactionalId,
    list_transactions_response,
};
use klamm_wire::{ErrorCode, StrBytes};

use super::TransactionCoordinator;
use super::shard::ShardState;
use super::state::TransactionState;
use crate::group::modern::consumer::regex::compile;

impl TransactionCoordinator {
    /// The transactions that pass every filter of the request. Filters that are empty, or a negative duration, let all pass.
    /// `INVALID_REGULAR_EXPRESSION` for a pattern that is none.
    pub(crate) fn list(&self, ctx: &Ctx<'_>, request: &ListTransactionsRequest) -> ListTransactionsResponse {
        let response = ListTransactionsResponse::default();
        let pattern = request.transactional_id_pattern.as_deref().filter(|pattern| !pattern.is_empty());
        if self.shards.values().any(|shard| shard.state != ShardState::Active) {
            return response.with_error_code(ErrorCode::CoordinatorLoadInProgress.code());
        }
        let Ok(pattern) = pattern.map(compile).transpose() else {
            return response.with_error_code(ErrorCode::InvalidRegularExpression.code());
        };
        let mut states = Vec::new();
        let mut unknown = Vec::new();
        for name in &request.state_filters {
            match TransactionState::from_name(name) {
                Some(state) => states.push(state),
                None if unknown.contains(name) => {}
                None => unknown.push(name.clone()),
            }
        }
        let now_ms = ctx.wall.millis();
        let mut listed = Vec::new();
        for (id, metadata) in self.shards.values().flat_map(|shard| &shard.transactions) {
            let current = &metadata.current;
            let producers = &request.producer_id_filters;
            let is_wanted = (producers.is_empty() || producers.contains(&ProducerId(current.producer_id)))
                && (request.state_filters.is_empty() || states.contains(&current.state))
                && (request.duration_filter < 0
                    || now_ms.saturating_sub(current.start_ms) > request.duration_filter)
                && pattern.as_ref().is_none_or(|pattern| pattern.is_match(id));
            if is_wanted {
                listed.push(
                    list_transactions_response::TransactionState::default()
                        .with_transactional_id(TransactionalId(id.clone()))
                        .with_producer_id(ProducerId(current.producer_id))
                        .with_transaction_state(StrBytes::from_static_str(current.state.name())),
                );
            }
        }
        response.with_unknown_state_filters(unknown).with_transaction_states(listed)
    }

    /// What is known of a transactional id.
    pub(crate) fn describe(
        &mut self,
        transactional_id: &TransactionalId,
    ) -> describe_transactions_response::TransactionState {
        let described = describe_transactions_response::TransactionState::default()
            .with_transactional_id(transactional_id.clone());
        let failed = |error: ErrorCode| described.clone().with_error_code(error.code());
        if transactional_id.is_empty() {
            return failed(ErrorCode::InvalidRequest);
        }
        let current = match self.transaction(transactional_id) {
            Err(error) => return failed(error),
            Ok((_, None)) => return failed(ErrorCode::TransactionalIdNotFound),
            Ok((_, Some(metadata))) => &metadata.current,
        };
        let mut topics: BTreeMap<&StrBytes, Vec<i32>> = BTreeMap::new();
        for partition in &current.partitions {
            topics.entry(&partition.topic).or_default().push(partition.partition);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            TopicData::default().with_topic(TopicName(topic.clone())).with_partitions(partitions)
        });
        let topics = topics.collect();
        described
            .with_producer_id(ProducerId(current.producer_id))
            .with_producer_epoch(current.producer_epoch)
            .with_transaction_state(StrBytes::from_static_str(current.state.name()))
            .with_transaction_timeout_ms(current.timeout_ms)
            .with_transaction_start_time_ms(current.start_ms)
            .with_topics(topics)
    }
}
