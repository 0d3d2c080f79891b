//! Batches to append, and what a log holds as a list.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use klamm_log::{
    AppendOrigin, CleanReport, CleanerSettings, Disk, FetchIsolation, Log, LogConfig, LogLimits, OpenLog,
};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::record::inspect::{InspectedBatch, inspect_batches};

pub(crate) const NOW: i64 = 1_700_000_000_000;

pub(crate) fn config(pairs: &[(&str, &str)]) -> Arc<LogConfig> {
    let map = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Arc::new(LogConfig::from_map(&map).unwrap())
}

pub(crate) fn open(disk: &mut dyn Disk, config: Arc<LogConfig>) -> Log {
    open_with(disk, config, OpenLog::default())
}

pub(crate) fn open_with(disk: &mut dyn Disk, config: Arc<LogConfig>, options: OpenLog) -> Log {
    Log::open(disk, "logs/t-0", config, LogLimits::default(), options, NOW).unwrap()
}

pub(crate) fn inspected(builder: BatchBuilder) -> InspectedBatch {
    let batch = builder.build().unwrap();
    inspect_batches(&batch.to_bytes()).unwrap().remove(0)
}

/// A batch of these values, each at its own timestamp, keyed by its value.
pub(crate) fn batch(values: &[(i64, &str)]) -> InspectedBatch {
    let mut builder = BatchBuilder::new();
    for (timestamp, value) in values {
        builder.push(*timestamp, Some(value.as_bytes()), Some(value.as_bytes()), &[]);
    }
    inspected(builder)
}

pub(crate) fn append(log: &mut Log, disk: &mut dyn Disk, values: &[&str]) -> i64 {
    let values: Vec<_> = values.iter().map(|v| (NOW, *v)).collect();
    let info = log.append_as_leader(disk, &[batch(&values)], 0, NOW, AppendOrigin::Client).unwrap();
    info.first_offset
}

/// Compacts the log `piece` bytes at a time.
pub(crate) fn clean_in_pieces(
    log: &mut Log,
    disk: &mut dyn Disk,
    settings: &CleanerSettings,
    now: i64,
    piece: u64,
) -> CleanReport {
    if !log.begin_cleaning(settings, now) {
        return CleanReport::default();
    }
    loop {
        if let Some(report) = log.continue_cleaning(disk, piece, now).unwrap() {
            return report;
        }
        run_flushes(log, disk, now);
    }
}

/// Performs the fsyncs that were asked for, as a driver does.
pub(crate) fn run_flushes(log: &mut Log, disk: &mut dyn Disk, now: i64) {
    for job in disk.take_flush_jobs() {
        let outcome = job.run();
        disk.complete_flush(&outcome);
        log.on_flushed(&outcome, now);
    }
}

pub(crate) fn join(slices: &[Bytes]) -> Bytes {
    let mut out = BytesMut::new();
    slices.iter().for_each(|s| out.extend_from_slice(s));
    out.freeze()
}

/// (offset, timestamp, leader epoch, value) of every record in these slices.
pub(crate) fn records_in(slices: &[Bytes]) -> Vec<(i64, i64, i32, String)> {
    let mut out = Vec::new();
    for batch in BatchIter::new(join(slices)) {
        let batch = batch.unwrap();
        assert!(batch.crc_holds());
        for record in &batch.records(1 << 20).unwrap() {
            let record = record.unwrap();
            out.push((
                batch.header.base_offset + i64::from(record.offset_delta),
                if batch.header.is_log_append_time() {
                    batch.header.max_timestamp
                } else {
                    batch.header.base_timestamp + record.timestamp_delta
                },
                batch.header.partition_leader_epoch,
                String::from_utf8(record.value.unwrap_or_default().to_vec()).unwrap(),
            ));
        }
    }
    out
}

/// Every record of the log, read `max_bytes` at a time.
pub(crate) fn all(log: &Log, disk: &dyn Disk, max_bytes: usize) -> Vec<(i64, i64, i32, String)> {
    let mut out = Vec::new();
    let mut offset = log.log_start_offset();
    while offset < log.log_end_offset() {
        let data = log.read(disk, offset, max_bytes, FetchIsolation::LogEnd, true).unwrap();
        let records = records_in(&data.records);
        let Some(last) = records.last() else { break };
        let next = last.0 + 1;
        assert!(next > offset, "a read at {offset} went back to {next}");
        out.extend(records.into_iter().filter(|r| r.0 >= offset));
        offset = next;
    }
    out
}

pub(crate) fn values(log: &Log, disk: &dyn Disk) -> Vec<String> {
    all(log, disk, 4096).into_iter().map(|r| r.3).collect()
}
