//! Record batches: what Kafka wrote is read, what klamm writes is the same, and what is wrong is refused.

use bytes::{BufMut, Bytes, BytesMut};
use klamm_wire::messages::ProduceRequest;
use klamm_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use klamm_wire::record::batch::HEADER_LEN;
use klamm_wire::record::control::{ControlType, EndTxnMarker};
use klamm_wire::record::inspect::{
    BatchFacts, InspectedBatch, inspect_batches, inspect_produce, inspect_produced, recompress,
};
use klamm_wire::record::varint::write_i32;
use klamm_wire::{BatchBuilder, BatchHeader, BatchIter, Compression, ErrorCode, RecordBatch, RecordError};
use proptest::prelude::*;

use crate::golden::golden;

fn only(bytes: &Bytes) -> RecordBatch {
    let mut batches = BatchIter::new(bytes.clone());
    let batch = batches.next().expect("a batch").expect("a good batch");
    assert!(batches.next().is_none() && batches.rest().is_empty());
    batch
}

/// What `Golden.append` appends.
fn append(batch: &mut BatchBuilder) {
    batch.push(
        1000,
        Some(b"key"),
        Some(b"value"),
        &[(b"trace", Some(b"abc")), (b"trace", None), (b"", Some(b""))],
    );
    batch.push(3000, None, Some(&[b'x'; 500]), &[]);
    batch.push(2000, Some(b"gone"), None, &[]);
}

fn sample(codec: Compression) -> RecordBatch {
    let mut batch = BatchBuilder::new()
        .base_offset(70)
        .leader_epoch(5)
        .producer(4000, 3, 17)
        .transactional()
        .compression(codec, None);
    append(&mut batch);
    batch.build().unwrap()
}

#[test]
fn an_uncompressed_batch_is_what_kafka_writes() {
    assert_eq!(sample(Compression::None).to_bytes(), golden("batch-none"));
    let mut batch = BatchBuilder::new().log_append_time(9999);
    append(&mut batch);
    assert_eq!(batch.build().unwrap().to_bytes(), golden("batch-log-append-time"));
}

#[test]
fn kafkas_batches_are_read_in_every_codec() {
    let ours = sample(Compression::None);
    let plain = ours.records(10_000).unwrap();
    for codec in Compression::ALL {
        let theirs = only(&golden(&format!("batch-{}", codec.name())));
        assert!(theirs.crc_holds(), "{codec:?}");
        assert_eq!(theirs.header.compression(), Some(codec));
        assert_eq!(theirs.records(10_000).unwrap().bytes(), plain.bytes(), "{codec:?}");
        let recompressed = recompress(&theirs, Compression::None, None).unwrap();
        assert_eq!(recompressed.to_bytes(), ours.to_bytes(), "{codec:?}");
    }
}

#[test]
fn the_records_of_a_batch_are_read_in_order_with_all_their_headers() {
    let batch = sample(Compression::Gzip);
    let records = batch.records(10_000).unwrap();
    let records: Vec<_> = records.iter().map(Result::unwrap).collect();
    assert_eq!(records.len(), 3);
    assert_eq!((records[0].key, records[0].value), (Some(&b"key"[..]), Some(&b"value"[..])));
    let headers: Vec<_> = records[0].headers.iter().map(|h| (h.key, h.value)).collect();
    let expected: [(&[u8], Option<&[u8]>); 3] =
        [(b"trace", Some(b"abc")), (b"trace", None), (b"", Some(b""))];
    assert_eq!(headers, expected);
    assert_eq!((records[1].key, records[1].offset_delta, records[1].timestamp_delta), (None, 1, 2000));
    assert_eq!((records[2].value, records[2].offset_delta, records[2].timestamp_delta), (None, 2, 1000));
}

#[test]
fn transaction_markers_are_what_kafka_writes() {
    let commit = EndTxnMarker { committed: true, coordinator_epoch: 8 };
    assert_eq!(commit.batch(4000, 3, 777).stamped(12, 6).to_bytes(), golden("marker-commit"));
    let abort = EndTxnMarker { committed: false, coordinator_epoch: 0 };
    assert_eq!(abort.batch(4001, 0, 778).to_bytes(), golden("marker-abort"));
    let records = only(&golden("marker-commit")).records(100).unwrap();
    let record = records.iter().next().unwrap().unwrap();
    assert_eq!(ControlType::from_key(record.key.unwrap()), Some(ControlType::Commit));
    assert_eq!(EndTxnMarker::read(record.key.unwrap(), record.value.unwrap()), Some(commit));
    assert_eq!(EndTxnMarker::read(b"", b""), None);
    assert_eq!(EndTxnMarker::read(&ControlType::LeaderChange.key(), &[0; 6]), None);
}

/// A batch that a producer may send, after `change` has touched its header; lengths and CRC are made to hold again.
fn produced(change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let batch = sample(Compression::None);
    let mut header = BatchHeader { base_offset: 0, ..batch.header };
    change(&mut header);
    RecordBatch::seal(header, batch.body).to_bytes()
}

fn refused(records: &Bytes, version: i16) -> ErrorCode {
    inspect_produced(records, version).unwrap_err().code
}

#[test]
fn a_good_batch_is_taken_and_its_facts_are_found() {
    for codec in Compression::ALL {
        let batch = sample(codec).stamped(0, -1);
        let InspectedBatch { batch: taken, facts } = inspect_produced(&batch.to_bytes(), 9).unwrap();
        assert_eq!(taken, batch);
        let expected = BatchFacts {
            max_timestamp: 3000,
            min_timestamp: 1000,
            max_timestamp_delta: 1,
            first_null_key: 1,
        };
        assert_eq!(facts, expected);
    }
}

#[test]
fn kafkas_rules_for_producers_hold() {
    assert_eq!(refused(&Bytes::new(), 9), ErrorCode::InvalidRecord);
    let good = produced(|_| ());
    inspect_produced(&good, 3).unwrap();
    assert_eq!(refused(&[&good[..], &good[..]].concat().into(), 9), ErrorCode::InvalidRecord);
    assert_eq!(refused(&produced(|h| h.base_offset = 1), 9), ErrorCode::InvalidRecord);
    assert_eq!(refused(&produced(|h| h.last_offset_delta = 3), 9), ErrorCode::InvalidRecord);
    assert_eq!(refused(&produced(|h| h.last_offset_delta = -1), 9), ErrorCode::InvalidRecord);
    assert_eq!(refused(&produced(|h| h.records_count = 0), 9), ErrorCode::InvalidRecord);
    assert_eq!(refused(&produced(|h| h.records_count = -1), 9), ErrorCode::InvalidRecord);
    let more = |count| produced(move |h| (h.records_count, h.last_offset_delta) = (count, count - 1));
    assert_eq!(refused(&more(4), 9), ErrorCode::InvalidRecord);
    assert_eq!(refused(&more(2), 9), ErrorCode::InvalidRecord);
    assert_eq!(refused(&more(i32::MAX), 9), ErrorCode::InvalidRecord);
    assert_eq!(refused(&produced(|h| h.attributes |= BatchHeader::CONTROL), 9), ErrorCode::InvalidRecord);
    assert_eq!(refused(&produced(|h| h.base_sequence = -1), 9), ErrorCode::InvalidRecord);
    assert_eq!(refused(&produced(|h| h.attributes |= 5), 9), ErrorCode::InvalidRecord);
    inspect_produced(&produced(|h| (h.producer_id, h.base_sequence) = (-1, -1)), 9).unwrap();

    let zstd = sample(Compression::Zstd).stamped(0, -1).to_bytes();
    assert_eq!(refused(&zstd, 6), ErrorCode::UnsupportedCompressionType);
    inspect_produced(&zstd, 7).unwrap();
    let lied = produced(|h| h.attributes |= Compression::Zstd.id());
    assert_eq!(refused(&lied, 9), ErrorCode::UnknownServerError);
}

#[test]
fn corrupt_and_cut_off_batches_are_refused() {
    let good = produced(|_| ());
    for at in [HEADER_LEN, 21, 30, 60, good.len() - 1] {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1;
        assert_eq!(refused(&bytes.into(), 9), ErrorCode::CorruptMessage, "byte {at}");
    }
    for len in 0..good.len() {
        inspect_produced(&good.slice(..len), 9).unwrap_err();
    }
    // What is cut off behind a whole batch is left out, as Kafka leaves it out.
    inspect_produced(&[&good[..], &good[..50]].concat().into(), 9).unwrap();
    for length in [-1, 0, 13, 48, i32::MIN] {
        let mut bytes = good.to_vec();
        bytes[8..12].copy_from_slice(&i32::to_be_bytes(length));
        assert_eq!(refused(&bytes.into(), 9), ErrorCode::CorruptMessage, "length {length}");
    }
    for (magic, code) in [(0, ErrorCode::InvalidRecord), (1, ErrorCode::InvalidRecord)] {
        let mut bytes = good.to_vec();
        bytes[16] = magic;
        assert_eq!(refused(&bytes.clone().into(), 9), code);
        let elsewhere = inspect_batches(&bytes.into()).unwrap_err();
        assert_eq!(elsewhere.code, ErrorCode::UnsupportedForMessageFormat);
    }
    let mut bytes = good.to_vec();
    bytes[16] = 3;
    assert_eq!(refused(&bytes.into(), 9), ErrorCode::CorruptMessage);
}

#[test]
fn records_whose_offsets_do_not_count_up_are_renumbered() {
    for codec in [Compression::None, Compression::Lz4] {
        let mut batch = BatchBuilder::new().producer(1, 0, 0).compression(codec, None);
        for (delta, timestamp) in [(0, 5), (0, 7), (2, 6)] {
            batch.push_at(delta, timestamp, Some(b"k"), Some(b"v"), &[(b"h", None)]);
        }
        let inspected = inspect_produced(&batch.build().unwrap().to_bytes(), 9).unwrap();
        assert!(inspected.batch.crc_holds());
        assert_eq!(inspected.batch.header.compression(), Some(codec));
        assert_eq!((inspected.facts.max_timestamp, inspected.facts.max_timestamp_delta), (7, 1));
        let records = inspected.batch.records(1000).unwrap();
        let deltas: Vec<_> = records.iter().map(|record| record.unwrap().offset_delta).collect();
        assert_eq!(deltas, [0, 1, 2]);
    }
}

#[test]
fn a_record_cannot_make_the_reader_run_away() {
    let batch_of = |body: &[u8]| {
        let header =
            BatchHeader { records_count: 1, last_offset_delta: 0, ..sample(Compression::None).header };
        RecordBatch::seal(BatchHeader { base_offset: 0, ..header }, Bytes::copy_from_slice(body)).to_bytes()
    };
    let record = |fields: &[i32]| {
        let mut body = BytesMut::new();
        body.put_u8(0);
        fields.iter().for_each(|field| write_i32(&mut body, *field));
        let mut out = BytesMut::new();
        write_i32(&mut out, body.len() as i32);
        out.put_slice(&body);
        out
    };
    // Timestamp delta, offset delta, key, value, number of headers.
    inspect_produced(&batch_of(&record(&[0, 0, -1, -1, 0])), 9).unwrap();
    for fields in [
        [0, 0, -1, -1, 1],
        [0, 0, -1, -1, -1],
        [0, 0, -1, -1, i32::MAX],
        [0, 0, i32::MAX, -1, 0],
        [0, 0, -1, i32::MAX, 0],
    ] {
        assert_eq!(refused(&batch_of(&record(&fields)), 9), ErrorCode::InvalidRecord, "{fields:?}");
    }
    assert_eq!(refused(&batch_of(b"\xff\xff\xff\xff\x0f"), 9), ErrorCode::InvalidRecord);
    assert_eq!(refused(&batch_of(b""), 9), ErrorCode::InvalidRecord);
}

#[test]
fn each_partition_of_a_request_answers_for_itself() {
    let partition = |index, records| PartitionProduceData::default().with_index(index).with_records(records);
    let topic = |partitions| TopicProduceData::default().with_partition_data(partitions);
    let request = ProduceRequest::default().with_topic_data(vec![
        topic(vec![partition(0, Some(produced(|_| ()))), partition(1, None)]),
        topic(vec![partition(0, Some(produced(|h| h.base_offset = 4)))]),
    ]);
    let inspected = inspect_produce(&request, 9);
    assert_eq!(inspected[0][0].as_ref().unwrap().len(), 1);
    assert!(matches!(&inspected[0][1], Err(RecordError { code: ErrorCode::InvalidRecord, .. })));
    assert!(inspected[1][0].is_err());
}

#[test]
fn the_broker_may_set_the_timestamps_without_touching_records() {
    let batch = sample(Compression::Snappy);
    let stamped = batch.with_max_timestamp(true, 123_456);
    assert!(stamped.crc_holds() && stamped.header.is_log_append_time());
    assert_eq!(stamped.body.as_ptr(), batch.body.as_ptr());
    let facts = inspect_batches(&stamped.to_bytes()).unwrap()[0].facts;
    assert_eq!((facts.min_timestamp, facts.max_timestamp), (123_456, 123_456));
    assert_eq!(stamped.with_max_timestamp(false, 3000), batch);
}

proptest! {
    #[test]
    fn any_batch_survives_building_and_every_codec(
        records in prop::collection::vec(
            (
                -1i64..i64::MAX / 2,
                prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
                prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
                prop::collection::vec(
                    (prop::collection::vec(any::<u8>(), 0..9), prop::option::of(prop::collection::vec(any::<u8>(), 0..9))),
                    0..4,
                ),
            ),
            1..30,
        ),
        codec in prop::sample::select(&Compression::ALL[..]),
    ) {
        let mut builder = BatchBuilder::new().compression(codec, None);
        for (timestamp, key, value, headers) in &records {
            let headers: Vec<_> = headers.iter().map(|(k, v)| (&k[..], v.as_deref())).collect();
            builder.push(*timestamp, key.as_deref(), value.as_deref(), &headers);
        }
        let inspected = inspect_produced(&builder.build().unwrap().to_bytes(), 13).unwrap();
        let read = inspected.batch.records(1 << 20).unwrap();
        let base = inspected.batch.header.base_timestamp;
        let read: Vec<_> = read.iter().map(|record| {
            let record = record.unwrap();
            let headers: Vec<_> = record.headers.iter().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect();
            (base + record.timestamp_delta, record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), headers)
        }).collect();
        prop_assert_eq!(inspected.facts.max_timestamp, records.iter().map(|r| r.0).max().unwrap());
        prop_assert_eq!(read, records);
    }

    #[test]
    fn damage_is_noticed_or_harmless(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..8),
        codec in prop::sample::select(&Compression::ALL[..]),
        reseal: bool,
    ) {
        let good = sample(codec).stamped(0, -1);
        let mut bytes = good.to_bytes().to_vec();
        for (at, mask) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
        }
        // With the CRC made to hold again, the damage reaches the codecs and the record reader.
        let mut bytes = Bytes::from(bytes);
        if reseal && let Ok(Some(batch)) = RecordBatch::read(&bytes) {
            bytes = RecordBatch::seal(batch.header, batch.body).to_bytes();
        }
        if let Ok(inspected) = inspect_produced(&bytes, 13) && !reseal {
            // Only what lies outside the CRC can have changed.
            prop_assert_eq!(inspected.batch.body, good.body);
        }
    }
}
