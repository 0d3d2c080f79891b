//! WriteShareGroupState (key 85), version 0. Answers to `ShareCoordinatorShard` (KIP-932). A leader writes what changed in a share-partition.
//!
//! Difference: version 1, which tells how many records are done with (KIP-1226), waits until `kafka-protocol` has it.

use klamm_wire::messages::write_share_group_state_request::StateBatch;
use klamm_wire::messages::write_share_group_state_response::{PartitionResult, WriteStateResult};
use klamm_wire::messages::{WriteShareGroupStateRequest, WriteShareGroupStateResponse};

use crate::share_coordinator::ask::Ask;
use crate::share_coordinator::state;

state_handler!(
    WriteShareGroupStateRequest,
    WriteShareGroupState(WriteShareGroupStateResponse),
    WriteStateResult,
    PartitionResult,
    p => Ask::Write {
        state_epoch: p.state_epoch,
        leader_epoch: p.leader_epoch,
        start_offset: p.start_offset,
        batches: p.state_batches.iter().map(batch).collect(),
    },
    (told, answer) => told,
);

const fn batch(batch: &StateBatch) -> state::StateBatch {
    state::StateBatch {
        first: batch.first_offset,
        last: batch.last_offset,
        state: batch.delivery_state,
        count: batch.delivery_count,
    }
}
