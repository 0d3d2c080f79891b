//! ReadShareGroupStateSummary (key 87), version 0. Answers to `ShareCoordinatorShard` (KIP-932). A group coordinator asks how far a share-partition is.
//!
//! Difference: version 1, which tells how many records are done with (KIP-1226), waits until `kafka-protocol` has it.

use klamm_wire::messages::read_share_group_state_summary_response::{
    PartitionResult, ReadStateSummaryResult,
};
use klamm_wire::messages::{ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse};

use crate::share_coordinator::ask::Ask;

state_handler!(
    ReadShareGroupStateSummaryRequest,
    ReadShareGroupStateSummary(ReadShareGroupStateSummaryResponse),
    ReadStateSummaryResult,
    PartitionResult,
    p => Ask::Summary,
    (told, answer) => told
        .with_state_epoch(answer.state_epoch)
        .with_leader_epoch(answer.leader_epoch)
        .with_start_offset(answer.start_offset),
);
