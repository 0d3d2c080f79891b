//! Batches that no inspection saw: whatever a header claims, the log refuses it or holds together.

use bytes::Bytes;
use klamm_log::{AppendOrigin, FetchIsolation, MemoryDisk, special_timestamp};
use klamm_wire::record::inspect::{BatchFacts, InspectedBatch};
use klamm_wire::{BatchHeader, RecordBatch};
use proptest::prelude::*;

use crate::support::*;

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        -3..300_i64,
        Just(i64::MAX),
        Just(i64::MIN),
        Just(i64::from(i32::MAX)),
        (-9..9_i64).prop_map(|n| NOW + n)
    ]
}

prop_compose! {
    fn batch()(
        n in prop::array::uniform6(number()),
        small in prop::array::uniform4(-2..5_i32),
        body in prop::collection::vec(any::<u8>(), 0..90),
    ) -> InspectedBatch {
        let header = BatchHeader {
            base_offset: n[0],
            batch_length: 0,
            partition_leader_epoch: small[0],
            magic: 2,
            crc: 0,
            attributes: n[1] as i16,
            last_offset_delta: if small[3] < 3 { small[1] } else { n[2] as i32 },
            base_timestamp: n[2],
            max_timestamp: n[3],
            producer_id: i64::from(small[2]),
            producer_epoch: n[4] as i16,
            base_sequence: n[5] as i32,
            records_count: small[1] + 1,
        };
        let facts = BatchFacts {
            max_timestamp: n[3],
            min_timestamp: n[2],
            max_timestamp_delta: small[0],
            first_null_key: small[3],
        };
        InspectedBatch { batch: RecordBatch::seal(header, Bytes::from(body)), facts }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_log_survives_any_header(
        steps in prop::collection::vec((batch(), 0..4_u8, -1..5_i32), 1..30),
        compact in any::<bool>(),
        append_time in any::<bool>(),
    ) {
        let policy = if compact { "compact" } else { "delete" };
        let kind = if append_time { "LogAppendTime" } else { "CreateTime" };
        let config = config(&[
            ("internal.segment.bytes", "600"),
            ("index.interval.bytes", "0"),
            ("cleanup.policy", policy),
            ("message.timestamp.type", kind),
            ("message.timestamp.after.max.ms", &i64::MAX.to_string()),
        ]);
        let mut disk = MemoryDisk::new();
        let mut log = open(&mut disk, config.clone());
        for (batch, how, epoch) in &steps {
            let batches = std::slice::from_ref(batch);
            let _ = match how {
                0 => log.append_as_leader(&mut disk, batches, *epoch, NOW, AppendOrigin::Client),
                1 => log.append_as_leader(&mut disk, batches, *epoch, NOW, AppendOrigin::Coordinator),
                2 => log.append_as_leader(&mut disk, batches, *epoch, NOW, AppendOrigin::Raft),
                _ => log.append_as_follower(&mut disk, &[batch.batch.to_bytes()], *epoch, NOW),
            };
            log.update_high_watermark(i64::MAX);
            let start = log.log_start_offset();
            let _ = log.read(&disk, start, 500, FetchIsolation::TxnCommitted, true);
            for timestamp in [NOW, special_timestamp::MAX_TIMESTAMP, i64::MAX, i64::MIN] {
                let _ = log.fetch_offset_by_timestamp(&disk, timestamp);
            }
        }
        let _ = log.clean(&mut disk, &klamm_log::CleanerSettings::default(), NOW);
        let _ = log.delete_old_segments(&mut disk, i64::MAX);
        let _ = log.on_time(&mut disk, i64::MAX);
        log.close(&mut disk, NOW).unwrap();
        let end = log.log_end_offset();
        let log = open(&mut disk, config);
        prop_assert!(log.log_end_offset() <= end);
    }
}
