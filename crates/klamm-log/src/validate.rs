//! What a leader checks of a batch, and what it changes in it (`LogValidator`). The records themselves were read by
//! `klamm_wire::record::inspect`; here they are read again only to name the ones at fault.

use std::borrow::Cow;

use klamm_wire::record::batch::RecordBatch;
use klamm_wire::record::compress::Compression;
use klamm_wire::record::inspect::{BatchFacts, DECOMPRESSED_LIMIT, InspectedBatch, recompress};
use klamm_wire::{BatchHeader, ErrorCode};

use crate::config::{LogConfig, TimestampType, TopicCompression};
use crate::error::{AppendError, RecordIssue};
use crate::log::AppendOrigin;

/// The batch as it goes into the log, but for offset and leader epoch.
pub(crate) fn validate<'a>(
    config: &LogConfig,
    partition: &str,
    inspected: &'a InspectedBatch,
    now_ms: i64,
    origin: AppendOrigin,
) -> Result<Cow<'a, RecordBatch>, AppendError> {
    let InspectedBatch { batch, facts } = inspected;
    if matches!(origin, AppendOrigin::Raft | AppendOrigin::Replication) {
        return Ok(Cow::Borrowed(batch));
    }
    check_size(config, batch)?;
    if origin == AppendOrigin::Client {
        check_client(&batch.header)?;
    }
    if config.compact && facts.first_null_key >= 0 {
        return Err(null_keys(partition, batch));
    }
    let append_time = config.message_timestamp_type == TimestampType::LogAppendTime;
    check_timestamps(config, batch, facts, now_ms, append_time)?;
    let batch = maybe_recompress(config, batch)?;
    let max_timestamp = if append_time { now_ms } else { facts.max_timestamp };
    if (append_time, max_timestamp) == (batch.header.is_log_append_time(), batch.header.max_timestamp) {
        return Ok(batch);
    }
    Ok(Cow::Owned(batch.with_max_timestamp(append_time, max_timestamp)))
}

fn check_size(config: &LogConfig, batch: &RecordBatch) -> Result<(), AppendError> {
    if batch.size() <= config.max_message_bytes as usize {
        return Ok(());
    }
    Err(AppendError::new(
        ErrorCode::MessageTooLarge,
        format!(
            "The record batch size in the append is {} bytes which exceeds the maximum configured value of {}",
            batch.size(),
            config.max_message_bytes
        ),
    ))
}

/// Inspection has checked all this of what a client sent; a caller that builds its own batches meets it here.
fn check_client(header: &BatchHeader) -> Result<(), AppendError> {
    if header.is_control() {
        let message = "Clients are not allowed to write control records";
        return Err(AppendError::new(ErrorCode::InvalidRecord, message));
    }
    if header.base_offset != 0 {
        let message =
            format!("The baseOffset of the record batch should be 0, but it is {}", header.base_offset);
        return Err(AppendError::new(ErrorCode::InvalidRecord, message));
    }
    Ok(())
}

fn check_timestamps(
    config: &LogConfig,
    batch: &RecordBatch,
    facts: &BatchFacts,
    now_ms: i64,
    append_time: bool,
) -> Result<(), AppendError> {
    if append_time || (facts.max_timestamp == -1 && facts.min_timestamp == -1) {
        if batch.header.is_log_append_time() {
            return Err(bad_timestamps(
                batch,
                |_| true,
                |_, _| "Producer should not set timestamp type to LogAppendTime.".to_owned(),
            ));
        }
        return Ok(());
    }
    let (before, after) = (config.message_timestamp_before_max_ms, config.message_timestamp_after_max_ms);
    let bad = |t: i64| t != -1 && (now_ms.saturating_sub(t) > before || t.saturating_sub(now_ms) > after);
    if !bad(facts.max_timestamp) && !bad(facts.min_timestamp) {
        return Ok(());
    }
    let (low, high) = (now_ms.saturating_sub(before), now_ms.saturating_add(after));
    Err(bad_timestamps(batch, bad, |offset, t| {
        format!(
            "Timestamp {t} of message with offset {offset} is out of range. The timestamp should be within [{low}, {high}]"
        )
    }))
}

/// The records' timestamps in order; reading them again costs nothing that matters, for the batch is refused.
fn timestamps(batch: &RecordBatch) -> Vec<i64> {
    let header = &batch.header;
    let Ok(records) = batch.records(DECOMPRESSED_LIMIT) else { return Vec::new() };
    let timestamp = |delta: i64| {
        if header.is_log_append_time() {
            header.max_timestamp
        } else {
            header.base_timestamp.wrapping_add(delta)
        }
    };
    records.iter().map_while(Result::ok).map(|r| timestamp(r.timestamp_delta)).collect()
}

fn bad_timestamps(
    batch: &RecordBatch,
    bad: impl Fn(i64) -> bool,
    say: impl Fn(i32, i64) -> String,
) -> AppendError {
    let issues = (0..).zip(timestamps(batch)).filter(|(_, t)| bad(*t));
    AppendError {
        record_issues: issues
            .map(|(batch_index, t)| RecordIssue { batch_index, message: say(batch_index, t) })
            .collect(),
        ..AppendError::new(
            ErrorCode::InvalidTimestamp,
            "One or more records have been rejected due to invalid timestamp",
        )
    }
}

fn null_keys(partition: &str, batch: &RecordBatch) -> AppendError {
    let Ok(records) = batch.records(DECOMPRESSED_LIMIT) else {
        return AppendError::new(ErrorCode::InvalidRecord, "the records of the batch cannot be read");
    };
    let keyless = (0..).zip(&records).filter(|(_, record)| record.as_ref().is_ok_and(|r| r.key.is_none()));
    let issues: Vec<_> = keyless
        .map(|(batch_index, _)| RecordIssue {
            batch_index,
            message: format!(
                "Compacted topic cannot accept message without key in topic partition {partition}"
            ),
        })
        .collect();
    let first: Vec<String> = issues
        .iter()
        .take(3)
        .map(|i| format!("RecordError(batchIndex={}, message='{}')", i.batch_index, i.message))
        .collect();
    let message = format!(
        "One or more records have been rejected due to {} record errors in total, and only showing the first three errors at \
         most: [{}]",
        issues.len(),
        first.join(", ")
    );
    AppendError { record_issues: issues, ..AppendError::new(ErrorCode::InvalidRecord, message) }
}

fn maybe_recompress<'a>(
    config: &LogConfig,
    batch: &'a RecordBatch,
) -> Result<Cow<'a, RecordBatch>, AppendError> {
    let (codec, level) = match config.compression {
        TopicCompression::Producer => return Ok(Cow::Borrowed(batch)),
        TopicCompression::Uncompressed => (Compression::None, None),
        TopicCompression::Gzip(level) => (Compression::Gzip, Some(level)),
        TopicCompression::Snappy => (Compression::Snappy, None),
        TopicCompression::Lz4(level) => (Compression::Lz4, Some(level)),
        TopicCompression::Zstd(level) => (Compression::Zstd, Some(level)),
    };
    let source = batch.header.compression();
    if source == Some(codec) || (source == Some(Compression::None) && batch.header.is_control()) {
        return Ok(Cow::Borrowed(batch));
    }
    let batch = recompress(batch, codec, level).map_err(|e| AppendError::new(e.code, e.message))?;
    check_size(config, &batch)?;
    Ok(Cow::Owned(batch))
}
