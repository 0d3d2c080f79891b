//! ReadShareGroupState (key 84), version 0. Answers to `ShareCoordinatorShard` (KIP-932). A new leader of a partition reads the state of a share-partition, which fences earlier leaders.
//!
//! Difference: none known.

use klamm_wire::messages::read_share_group_state_response::{PartitionResult, ReadStateResult, StateBatch};
use klamm_wire::messages::{ReadShareGroupStateRequest, ReadShareGroupStateResponse};

use crate::share_coordinator::ask::Ask;
use crate::share_coordinator::state;

state_handler!(
    ReadShareGroupStateRequest,
    ReadShareGroupState(ReadShareGroupStateResponse),
    ReadStateResult,
    PartitionResult,
    p => Ask::Read { leader_epoch: p.leader_epoch },
    (told, answer) => told
        .with_state_epoch(answer.state_epoch)
        .with_start_offset(answer.start_offset)
        .with_state_batches(answer.batches.iter().map(batch).collect()),
);

fn batch(batch: &state::StateBatch) -> StateBatch {
    StateBatch::default()
        .with_first_offset(batch.first)
        .with_last_offset(batch.last)
        .with_delivery_state(batch.state)
        .with_delivery_count(batch.count)
}
