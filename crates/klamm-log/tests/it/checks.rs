//! What a leader refuses, and what it changes.

use klamm_log::{AppendError, AppendOrigin, FetchIsolation, LogAppendInfo, LogConfig, MemoryDisk};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::record::compress::Compression;
use klamm_wire::record::inspect::InspectedBatch;
use klamm_wire::{ErrorCode, RecordBatch};

use crate::support::*;

fn lead(
    pairs: &[(&str, &str)],
    batch: &InspectedBatch,
) -> (Result<LogAppendInfo, AppendError>, Vec<RecordBatch>) {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(pairs));
    let result = log.append_as_leader(&mut disk, std::slice::from_ref(batch), 4, NOW, AppendOrigin::Client);
    let data = log.read(&disk, 0, usize::MAX, FetchIsolation::LogEnd, true).unwrap();
    (result, BatchIter::new(join(&data.records)).map(Result::unwrap).collect())
}

#[test]
fn log_append_time_stamps_the_batch() {
    let sent = batch(&[(5, "a"), (NOW + 9, "b")]);
    let (info, stored) = lead(&[("message.timestamp.type", "LogAppendTime")], &sent);
    assert_eq!(info.unwrap().log_append_time, NOW);
    assert!(stored[0].crc_holds() && stored[0].header.is_log_append_time());
    assert_eq!((stored[0].header.max_timestamp, stored[0].header.partition_leader_epoch), (NOW, 4));
    assert_eq!(stored[0].body, sent.batch.body);
}

#[test]
fn a_wrong_max_timestamp_is_put_right() {
    let mut sent = batch(&[(NOW, "a"), (NOW - 7, "b")]);
    sent.batch = sent.batch.with_max_timestamp(false, NOW + 1000);
    let (info, stored) = lead(&[], &sent);
    assert_eq!(info.unwrap().max_timestamp, NOW);
    assert!(stored[0].crc_holds());
    assert_eq!(stored[0].header.max_timestamp, NOW);
}

#[test]
fn timestamps_too_far_from_the_clock_are_named() {
    let hour = 3_600_000;
    let sent = batch(&[(NOW, "a"), (NOW + hour + 1, "b"), (NOW + hour, "c")]);
    let error = lead(&[], &sent).0.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidTimestamp);
    assert_eq!(error.record_issues.iter().map(|i| i.batch_index).collect::<Vec<_>>(), [1]);
    let before = [("message.timestamp.before.max.ms", "10")];
    assert_eq!(lead(&before, &batch(&[(NOW - 10, "a")])).0.map(|i| i.records), Ok(1));
    let error = lead(&before, &batch(&[(NOW, "a"), (NOW - 11, "b")])).0.unwrap_err();
    assert_eq!((error.code, error.record_issues[0].batch_index), (ErrorCode::InvalidTimestamp, 1));
    let any = [("message.timestamp.type", "LogAppendTime")];
    assert!(lead(&any, &batch(&[(0, "a")])).0.is_ok(), "the producer's time does not matter there");
}

#[test]
fn a_producer_must_not_set_log_append_time() {
    let mut builder = BatchBuilder::new().log_append_time(NOW);
    builder.push(NOW, None, Some(b"a"), &[]);
    let error = lead(&[("message.timestamp.type", "LogAppendTime")], &inspected(builder)).0.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidTimestamp);
}

#[test]
fn a_compacted_log_wants_keys() {
    let mut builder = BatchBuilder::new();
    builder.push(NOW, Some(b"k"), Some(b"a"), &[]);
    builder.push(NOW, None, Some(b"b"), &[]);
    let sent = inspected(builder);
    let error = lead(&[("cleanup.policy", "compact,delete")], &sent).0.unwrap_err();
    assert_eq!((error.code, error.record_issues[0].batch_index), (ErrorCode::InvalidRecord, 1));
    assert!(lead(&[], &sent).0.is_ok());
}

#[test]
fn a_batch_above_the_limit_is_too_large() {
    let sent = batch(&[(NOW, "0123456789")]);
    let size = sent.batch.size();
    assert!(lead(&[("max.message.bytes", &size.to_string())], &sent).0.is_ok());
    let error = lead(&[("max.message.bytes", &(size - 1).to_string())], &sent).0.unwrap_err();
    assert_eq!(error.code, ErrorCode::MessageTooLarge);
    let error = lead(&[("internal.segment.bytes", &(size - 1).to_string())], &sent).0.unwrap_err();
    assert_eq!(error.code, ErrorCode::RecordListTooLarge);
}

#[test]
fn compression_type_rewrites_what_differs() {
    let names = ["uncompressed", "gzip", "snappy", "lz4", "zstd"];
    for source in Compression::ALL {
        let mut builder = BatchBuilder::new().compression(source, None).producer(5, 1, 9);
        for n in 0..20 {
            builder.push(NOW, Some(b"key"), Some(format!("value {n}").as_bytes()), &[(b"h", None)]);
        }
        let sent = inspected(builder);
        for (target, name) in Compression::ALL.into_iter().zip(names) {
            let (info, stored) = lead(&[("compression.type", name)], &sent);
            assert_eq!(info.unwrap().last_offset, 19);
            let header = stored[0].header;
            assert!(stored[0].crc_holds());
            assert_eq!(header.compression(), Some(target));
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (5, 1, 9));
            let texts = |batch: &RecordBatch| batch.records(1 << 20).unwrap().bytes().clone();
            assert_eq!(texts(&stored[0]), texts(&sent.batch));
            assert_eq!(source == target, stored[0].body == sent.batch.body, "{source:?} to {target:?}");
        }
        let (_, stored) = lead(&[("compression.type", "producer")], &sent);
        assert_eq!(stored[0].body, sent.batch.body);
    }
}

#[test]
fn configuration_is_read_with_kafkas_defaults_and_limits() {
    let config = |key: &str, value: &str| LogConfig::from_map(&[(key.to_owned(), value.to_owned())].into());
    let defaults = LogConfig::from_map(&std::collections::BTreeMap::new()).unwrap();
    assert_eq!(defaults, LogConfig::default());
    assert_eq!(defaults.max_message_bytes, 1_048_588);
    assert!(config("cleanup.policy", "compact").unwrap().compact);
    assert!(!config("cleanup.policy", "compact").unwrap().delete);
    for (key, bad) in [
        ("segment.bytes", "100"),
        ("segment.ms", "0"),
        ("cleanup.policy", "shred"),
        ("compression.type", "rar"),
        ("min.cleanable.dirty.ratio", "1.5"),
        ("preallocate", "maybe"),
        ("retention.ms", "soon"),
        ("min.insync.replicas", "0"),
    ] {
        let error = config(key, bad).unwrap_err();
        assert_eq!((error.key.as_str(), error.value.as_str()), (key, bad));
    }
    assert_eq!(config("retention.ms", "-1").unwrap().retention_ms, -1);
    assert_eq!(config("not.a.log.key", "1").unwrap(), LogConfig::default());
}
