//! DeleteShareGroupState (key 86), version 0. Answers to `ShareCoordinatorShard` (KIP-932). A group coordinator lets a share-partition go.
//!
//! Difference: none known.

use klamm_wire::messages::delete_share_group_state_response::{DeleteStateResult, PartitionResult};
use klamm_wire::messages::{DeleteShareGroupStateRequest, DeleteShareGroupStateResponse};

use crate::share_coordinator::ask::Ask;

state_handler!(
    DeleteShareGroupStateRequest,
    DeleteShareGroupState(DeleteShareGroupStateResponse),
    DeleteStateResult,
    PartitionResult,
    p => Ask::Delete,
    (told, answer) => told,
);
