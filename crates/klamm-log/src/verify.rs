//! Looking for contradictions between a log's batches, its indexes and its books.

use crate::disk::Disk;
use crate::error::LogError;
use crate::log::Log;
use crate::read::read_batch;

impl Log {
    /// Reads the whole log and says what is wrong with it: CRCs, offsets that do not grow, index entries that name no batch, offsets out
    /// of order. What `kafka-dump-log --deep-iteration --verify-index-only` looks for, and more.
    pub fn verify(&self, disk: &dyn Disk) -> Result<Vec<String>, LogError> {
        let mut faults = Vec::new();
        let offsets = self.offsets();
        if offsets.log_start_offset > offsets.high_watermark
            || offsets.last_stable_offset > offsets.high_watermark
            || offsets.high_watermark > offsets.log_end_offset
            || self.recovery_point > offsets.log_end_offset
        {
            faults.push(format!(
                "offsets are out of order: {offsets:?}, recovery point {}",
                self.recovery_point
            ));
        }
        let mut next_offset = 0;
        let mut epoch = -1;
        for segment in &self.segments {
            let base = segment.base_offset;
            if !segment.indexes_are_sane(disk)? {
                faults.push(format!("segment {base}: an index is not sane"));
            }
            if base < next_offset {
                faults.push(format!("segment {base} begins below {next_offset}"));
            }
            let (mut position, mut spans) = (0, Vec::new());
            // (last offset, largest timestamp up to there)
            let mut times: Vec<(i64, i64)> = Vec::new();
            while let Some(batch) = read_batch(disk, segment, position)? {
                let header = batch.header;
                if !batch.crc_holds() {
                    faults.push(format!("segment {base}: the batch at position {position} has a wrong CRC"));
                }
                if header.base_offset < next_offset.max(base) {
                    faults.push(format!(
                        "segment {base}: offset {} comes after {next_offset}",
                        header.base_offset
                    ));
                }
                if header.partition_leader_epoch < epoch {
                    let now = header.partition_leader_epoch;
                    faults.push(format!("segment {base}: leader epoch {now} comes after {epoch}"));
                }
                epoch = header.partition_leader_epoch;
                next_offset = header.next_offset();
                spans.push((header.last_offset(), position));
                let before = times.last().map_or(-1, |(_, largest)| *largest);
                times.push((header.last_offset(), before.max(header.max_timestamp)));
                position += header.size() as u64;
            }
            if position != segment.size() {
                faults.push(format!("segment {base}: {position} of {} bytes are batches", segment.size()));
            }
            for (offset, at) in segment.offset_index.all(disk)? {
                if spans.binary_search(&(offset, u64::from(at))).is_err() {
                    faults.push(format!("segment {base}: index entry {offset} -> {at} names no batch"));
                }
            }
            for (timestamp, offset) in segment.time_index.all(disk)? {
                let at = times.binary_search_by_key(&offset, |(last, _)| *last);
                if at.map(|at| times[at].1) != Ok(timestamp) {
                    faults.push(format!(
                        "segment {base}: time index entry {timestamp} -> {offset} does not hold"
                    ));
                }
            }
        }
        if next_offset > offsets.log_end_offset {
            faults.push(format!(
                "the last record is {}, the log end offset {}",
                next_offset - 1,
                offsets.log_end_offset
            ));
        }
        let epochs = self.leader_epochs.entries();
        if epochs.windows(2).any(|w| w[0].epoch >= w[1].epoch || w[0].start_offset >= w[1].start_offset) {
            faults.push(format!("leader epochs do not grow: {epochs:?}"));
        }
        Ok(faults)
    }
}
