//! The records of a fetch answer, as a consumer sees them (`CompletedFetch`).

use std::collections::VecDeque;

use bytes::Bytes;
use klamm_node::TopicPartition;
use klamm_wire::{FetchPartition, RecordBatch};

use super::assigned::Position;
use crate::client::aborted::Aborted;
use crate::client::scripted::op::ConsumedRecord;

/// What a client decompresses a batch to at most.
const LIMIT: usize = 64 << 20;

/// What an answer holds, from `position` on: the records to show, and the position behind them.
///
/// # Errors
/// What is wrong with its bytes, for a person.
pub(super) fn read(
    name: &TopicPartition,
    answer: FetchPartition,
    position: Position,
    read_committed: bool,
) -> Result<(VecDeque<ConsumedRecord>, Position), String> {
    let mut filter = Aborted::new(answer.aborted_transactions.unwrap_or_default());
    let mut rest: Bytes = match answer.records.len() {
        1 => answer.records[0].clone(),
        _ => answer.records.concat().into(),
    };
    let (mut records, mut behind) = (VecDeque::new(), position);
    while !rest.is_empty() {
        // A batch that is cut off at the end of an answer comes whole with the next.
        let Some(batch) = RecordBatch::read(&rest).map_err(|error| error.to_string())? else { break };
        rest = rest.slice(batch.size()..);
        if !batch.crc_holds() {
            return Err(format!("the batch at {} has a wrong CRC", batch.header.base_offset));
        }
        let hidden = read_committed && filter.hides(&batch)?;
        if !batch.header.is_control() && !hidden {
            show(name, &batch, position.offset, &mut records)?;
        }
        if batch.header.next_offset() > behind.offset {
            behind.offset = batch.header.next_offset();
            behind.epoch = Some(batch.header.partition_leader_epoch).filter(|epoch| *epoch >= 0);
        }
    }
    Ok((records, behind))
}

fn show(
    name: &TopicPartition,
    batch: &RecordBatch,
    from: i64,
    to: &mut VecDeque<ConsumedRecord>,
) -> Result<(), String> {
    let records = batch.records(LIMIT).map_err(|error| error.to_string())?;
    let header = &batch.header;
    for record in &records {
        let record = record.map_err(|error| error.to_string())?;
        let offset = header.base_offset + i64::from(record.offset_delta);
        if offset < from {
            continue;
        }
        let timestamp = if header.is_log_append_time() {
            header.max_timestamp
        } else {
            header.base_timestamp.wrapping_add(record.timestamp_delta)
        };
        to.push_back(ConsumedRecord {
            partition: name.clone(),
            offset,
            leader_epoch: header.partition_leader_epoch,
            timestamp,
            key: record.key.map(Bytes::copy_from_slice),
            value: record.value.map(Bytes::copy_from_slice),
        });
    }
    Ok(())
}
