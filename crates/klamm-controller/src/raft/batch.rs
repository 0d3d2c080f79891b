//! Batches of the metadata log.

use bytes::{BufMut, BytesMut};
use klamm_log::AppendError;
use klamm_metadata::MetadataRecord;
use klamm_metadata::record::version_of;
use klamm_node::NodeId;
use klamm_wire::ErrorCode;
use klamm_wire::record::batch::RecordBatch;
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::record::control::{ControlType, control_batch};
use klamm_wire::record::varint::write_unsigned;

/// The most records of one batch (`QuorumController.MAX_RECORDS_PER_USER_OP`).
pub(crate) const MAX_RECORDS_PER_BATCH: usize = 10_000;

/// Records as one batch.
pub(super) fn encode(records: &[MetadataRecord], now_ms: i64) -> Result<RecordBatch, AppendError> {
    let failed =
        |error: &dyn std::fmt::Display| AppendError::new(ErrorCode::UnknownServerError, error.to_string());
    let mut builder = BatchBuilder::new();
    for record in records {
        let value = record.encode(version_of(record)).map_err(|error| failed(&error))?;
        builder.push(now_ms, None, Some(&value), &[]);
    }
    builder.build().map_err(|error| failed(&error))
}

/// The control batch that a leader's epoch begins with.
pub(super) fn leader_change(
    leader: NodeId,
    voters: &[NodeId],
    granting: &[NodeId],
    now_ms: i64,
) -> RecordBatch {
    // LeaderChangeMessage version 0: version, leader, voters, granting voters, tagged fields.
    let mut value = BytesMut::new();
    value.put_i16(0);
    value.put_i32(leader.0);
    put_voters(&mut value, voters);
    put_voters(&mut value, granting);
    value.put_u8(0);
    control_batch(BatchBuilder::new(), now_ms, [(ControlType::LeaderChange, value.freeze())])
}

fn put_voters(out: &mut BytesMut, voters: &[NodeId]) {
    write_unsigned(out, voters.len() as u32 + 1);
    for voter in voters {
        out.put_i32(voter.0);
        out.put_u8(0);
    }
}
