//! Blocks of producer ids (`ProducerIdControlManager`).

use klamm_metadata::MetadataRecord;
use klamm_metadata::record::ProducerIdsRecord;
use klamm_node::NodeId;
use klamm_wire::ErrorCode;

use crate::api_error::ApiError;
use crate::state::ClusterState;

/// How many ids a block has (`ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
pub(crate) const BLOCK_SIZE: i32 = 1000;

/// The first id of a new block for a broker, and the record that gives it out.
pub(crate) fn allocate(
    state: &ClusterState,
    broker: NodeId,
    broker_epoch: i64,
) -> Result<(i64, MetadataRecord), ApiError> {
    state.check_broker_epoch(broker, broker_epoch)?;
    let first = state.image.producer_ids.next_producer_id;
    let next = first.checked_add(i64::from(BLOCK_SIZE)).ok_or_else(|| {
        ApiError::new(
            ErrorCode::UnknownServerError,
            "Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit",
        )
    })?;
    let record = ProducerIdsRecord { broker_id: broker.0, broker_epoch, next_producer_id: next };
    Ok((first, MetadataRecord::ProducerIds(record)))
}
