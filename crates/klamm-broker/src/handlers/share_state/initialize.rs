//! InitializeShareGroupState (key 83), version 0. Answers to `ShareCoordinatorShard` (KIP-932). A group coordinator says where a share-partition begins, or begins anew.
//!
//! Difference: none known.

use klamm_wire::messages::initialize_share_group_state_response::{InitializeStateResult, PartitionResult};
use klamm_wire::messages::{InitializeShareGroupStateRequest, InitializeShareGroupStateResponse};

use crate::share_coordinator::ask::Ask;

state_handler!(
    InitializeShareGroupStateRequest,
    InitializeShareGroupState(InitializeShareGroupStateResponse),
    InitializeStateResult,
    PartitionResult,
    p => Ask::Initialize { state_epoch: p.state_epoch, start_offset: p.start_offset },
    (told, answer) => told,
);
