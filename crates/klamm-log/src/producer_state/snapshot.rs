//! Producer state as a file (`ProducerSnapshot.json`, version 1): version, CRC-32C of the rest, entries.

use bytes::{Buf, BufMut};
use klamm_wire::record::crc::crc32c;

use super::{BatchMetadata, ProducerEntry, ProducerState};

const VERSION: i16 = 1;
/// Where the bytes under the CRC begin.
const ENTRIES_AT: usize = 6;
const ENTRY: usize = 46;

pub(crate) fn write_snapshot(state: &ProducerState) -> Vec<u8> {
    let producers = state.producers();
    let mut out = Vec::with_capacity(ENTRIES_AT + 4 + producers.len() * ENTRY);
    out.put_i16(VERSION);
    out.put_u32(0);
    out.put_i32(producers.len() as i32);
    for (id, entry) in producers {
        let last = entry.last_batch();
        out.put_i64(*id);
        out.put_i16(entry.producer_epoch);
        out.put_i32(entry.last_sequence());
        out.put_i64(last.map_or(-1, |b| b.last_offset));
        out.put_i32(last.map_or(0, |b| b.offset_delta));
        out.put_i64(entry.last_timestamp);
        out.put_i32(entry.coordinator_epoch);
        out.put_i64(entry.current_txn_first_offset.unwrap_or(-1));
    }
    let crc = crc32c(&out[ENTRIES_AT..]);
    out[2..ENTRIES_AT].copy_from_slice(&crc.to_be_bytes());
    out
}

/// The entries of a snapshot; `None` when it is not one, or its CRC does not hold.
pub(crate) fn read_snapshot(mut bytes: &[u8]) -> Option<Vec<(i64, ProducerEntry)>> {
    if bytes.len() < ENTRIES_AT + 4 || bytes.get_i16() != VERSION {
        return None;
    }
    if bytes.get_u32() != crc32c(bytes) {
        return None;
    }
    let count = usize::try_from(bytes.get_i32()).ok()?;
    if bytes.len() != count.checked_mul(ENTRY)? {
        return None;
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let id = bytes.get_i64();
        let epoch = bytes.get_i16();
        let last_sequence = bytes.get_i32();
        let last_offset = bytes.get_i64();
        let offset_delta = bytes.get_i32();
        let timestamp = bytes.get_i64();
        let mut entry = ProducerEntry::default();
        entry.producer_epoch = epoch;
        entry.last_timestamp = timestamp;
        entry.coordinator_epoch = bytes.get_i32();
        entry.current_txn_first_offset = Some(bytes.get_i64()).filter(|first| *first >= 0);
        if last_offset >= 0 {
            entry.add_metadata(epoch, BatchMetadata { last_sequence, last_offset, offset_delta, timestamp });
        }
        entries.push((id, entry));
    }
    Some(entries)
}
