//! Produce: acks, and all that a batch can be.

use bytes::{Bytes, BytesMut};
use klamm_wire::{BatchBuilder, Compression, Uuid};

use super::records::{THEN, To, batch, build, damaged, patched};
use crate::Session;

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    let id = s.create("produce-a", &[&[1, 2, 3], &[2, 3, 1]], &[])?;
    let a = To("produce-a", id);
    s.on(1);
    for acks in [1, -1] {
        s.all(&format!("acks {acks}"), |v| a.produce(v, acks, 0, Some(batch(2).to_bytes())))?;
    }
    for acks in [2, -2, i16::MAX] {
        s.all(&format!("acks {acks}"), |v| a.produce(v, acks, 0, Some(batch(1).to_bytes())))?;
    }
    for version in [3, 13] {
        s.tell(version, &a.produce(version, 0, 0, Some(batch(1).to_bytes())))?;
        s.each(&format!("after one with acks 0, v{version}"), [version], |v| {
            a.produce(v, 1, 0, Some(batch(1).to_bytes()))
        })?;
    }
    s.tell(13, &a.produce(13, 0, 99, Some(batch(1).to_bytes())))?;
    s.at("after a refused one with acks 0", 13, a.produce(13, 1, 0, Some(batch(1).to_bytes())))?;
    s.all("an unknown partition", |v| a.produce(v, -1, 9, Some(batch(1).to_bytes())))?;
    s.all("a negative partition", |v| a.produce(v, -1, -1, Some(batch(1).to_bytes())))?;
    s.all("another broker's partition", |v| a.produce(v, -1, 1, Some(batch(1).to_bytes())))?;
    let none = To("produce-none", Uuid::from_u128(9));
    s.all("an unknown topic", |v| none.produce(v, -1, 0, Some(batch(1).to_bytes())))?;
    s.at("an empty id", 13, To("", Uuid::nil()).produce(13, -1, 0, Some(batch(1).to_bytes())))?;
    s.at("an empty name", 12, To("", Uuid::nil()).produce(12, -1, 0, Some(batch(1).to_bytes())))?;
    s.at("an invalid name", 12, To("a b", Uuid::nil()).produce(12, -1, 0, Some(batch(1).to_bytes())))?;
    s.at("no records (null)", 13, a.produce(13, -1, 0, None))?;
    s.all("no records (empty)", |v| a.produce(v, -1, 0, Some(Bytes::new())))?;
    s.all("no topics", |v| a.produce(v, -1, 0, None).with_topic_data(vec![]))?;
    s.all("no partitions", |v| a.partitions(v, -1, vec![]))?;
    s.at(
        "one good, one bad",
        13,
        a.partitions(13, -1, vec![(0, Some(batch(1).to_bytes())), (7, Some(batch(1).to_bytes()))]),
    )?;
    let id = s.create("produce-twice", &[&[1, 2]], &[])?;
    let two = vec![(0, Some(batch(1).to_bytes())), (0, Some(batch(1).to_bytes()))];
    s.at("a partition twice", 13, To("produce-twice", id).partitions(13, -1, two))?;
    broken(s, a)?;
    codecs(s, a)?;
    kinds(s)
}

fn broken(s: &mut Session, a: To<'_>) -> anyhow::Result<()> {
    let good = batch(2);
    let mut two = BytesMut::from(&good.to_bytes()[..]);
    two.extend_from_slice(&good.to_bytes());
    let transactional = build(BatchBuilder::new().producer(1, 0, 0).transactional(), 1);
    let cases: Vec<(&str, Bytes)> = vec![
        ("a wrong CRC", damaged(&good, 70, b"!")),
        ("a wrong CRC field", damaged(&good, 17, b"\0\0\0\0")),
        ("magic 3", damaged(&good, 16, b"\x03")),
        ("magic 1", damaged(&good, 16, b"\x01")),
        ("magic -1", damaged(&good, 16, b"\xff")),
        ("a batch length too large", damaged(&good, 8, &[0, 0, 1, 0])),
        ("a batch length too small", damaged(&good, 8, &[0, 0, 0, 3])),
        ("a batch length one less", damaged(&good, 8, &(good.header.batch_length - 1).to_be_bytes())),
        ("a negative batch length", damaged(&good, 8, &[0xff, 0xff, 0xff, 0xff])),
        ("a batch that is cut off", good.to_bytes().slice(..good.to_bytes().len() - 3)),
        ("half a header", good.to_bytes().slice(..30)),
        ("ten bytes", good.to_bytes().slice(..10)),
        ("two batches", two.freeze()),
        ("a base offset", damaged(&good, 0, &7_i64.to_be_bytes())),
        ("a negative base offset", damaged(&good, 0, &(-7_i64).to_be_bytes())),
        ("one record more than there is", patched(&good, 57, &3_i32.to_be_bytes())),
        ("one record fewer than there are", patched(&good, 57, &1_i32.to_be_bytes())),
        ("no records in a batch", patched(&batch(0), 57, &0_i32.to_be_bytes())),
        ("a negative number of records", patched(&good, 57, &(-1_i32).to_be_bytes())),
        ("a last offset delta too large", patched(&good, 23, &5_i32.to_be_bytes())),
        ("a last offset delta too small", patched(&good, 23, &0_i32.to_be_bytes())),
        ("a negative last offset delta", patched(&good, 23, &(-1_i32).to_be_bytes())),
        ("a record's length wrong", patched(&good, 61, b"\x7e")),
        ("a control batch", build(BatchBuilder::new().control(), 1).to_bytes()),
        ("a transactional batch", transactional.to_bytes()),
        ("LogAppendTime from the client", patched(&good, 21, &8_i16.to_be_bytes())),
        ("a delete horizon from the client", patched(&good, 21, &0x40_i16.to_be_bytes())),
        ("unused attributes", patched(&good, 21, &0x100_i16.to_be_bytes())),
        ("a wrong max timestamp", patched(&good, 35, &5_i64.to_be_bytes())),
        ("a leader epoch from the client", damaged(&good, 12, &5_i32.to_be_bytes())),
        ("a producer id without an epoch", patched(&good, 43, &5_i64.to_be_bytes())),
    ];
    for (label, records) in cases {
        a.send(s, &format!("records: {label}"), records)?;
    }
    for (label, records) in
        [("a wrong CRC", damaged(&good, 70, b"!")), ("magic 1", damaged(&good, 16, b"\x01"))]
    {
        s.all(&format!("records in every version: {label}"), |v| a.produce(v, -1, 0, Some(records.clone())))?;
    }
    Ok(())
}

fn codecs(s: &mut Session, a: To<'_>) -> anyhow::Result<()> {
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let compressed = || build(BatchBuilder::new().compression(codec, None), 3).to_bytes();
        s.all(&format!("compressed: {codec:?}"), |v| a.produce(v, -1, 0, Some(compressed())))?;
        let batch = build(BatchBuilder::new().compression(codec, None), 3);
        a.send(
            s,
            &format!("compressed, one record more: {codec:?}"),
            patched(&batch, 57, &4_i32.to_be_bytes()),
        )?;
        a.send(s, &format!("compressed, garbage: {codec:?}"), patched(&batch, 61, b"\xde\xad\xbe\xef"))?;
    }
    Ok(())
}

/// Topics of other kinds.
fn kinds(s: &mut Session) -> anyhow::Result<()> {
    let compacted =
        To("produce-compacted", s.create("produce-compacted", &[&[1, 2]], &[("cleanup.policy", "compact")])?);
    let keyless = |codec| {
        let mut builder = BatchBuilder::new().compression(codec, None);
        builder.push(THEN, Some(b"k"), Some(b"v"), &[]);
        builder.push(THEN, None, Some(b"v"), &[]);
        builder.push(THEN, None, Some(b"v"), &[]);
        builder.build().map(|batch| batch.to_bytes())
    };
    s.all("no key in a compacted topic", |v| compacted.produce(v, -1, 0, keyless(Compression::None).ok()))?;
    compacted.send(s, "no key in a compacted topic, compressed", keyless(Compression::Lz4)?)?;
    compacted.send(s, "keys in a compacted topic", batch(2).to_bytes())?;

    let appended = To(
        "produce-append-time",
        s.create("produce-append-time", &[&[1, 2]], &[("message.timestamp.type", "LogAppendTime")])?,
    );
    s.all("LogAppendTime", |v| appended.produce(v, -1, 0, Some(batch(2).to_bytes())))?;
    appended.send(
        s,
        "LogAppendTime, compressed",
        build(BatchBuilder::new().compression(Compression::Gzip, None), 2).to_bytes(),
    )?;

    let bounded = To(
        "produce-bounded",
        s.create(
            "produce-bounded",
            &[&[1]],
            &[("message.timestamp.before.max.ms", "1000"), ("message.timestamp.after.max.ms", "1000")],
        )?,
    );
    s.all("timestamps too old", |v| bounded.produce(v, -1, 0, Some(batch(2).to_bytes())))?;
    let mut late = BatchBuilder::new();
    late.push(THEN * 2, Some(b"k"), Some(b"v"), &[]);
    bounded.send(s, "timestamps too new", late.build()?.to_bytes())?;
    let mut without = BatchBuilder::new();
    without.push(-1, Some(b"k"), Some(b"v"), &[]);
    bounded.send(s, "no timestamps", without.build()?.to_bytes())?;
    let mut negative = BatchBuilder::new();
    negative.push(-5, Some(b"k"), Some(b"v"), &[]);
    bounded.send(s, "a negative timestamp", negative.build()?.to_bytes())?;

    let small = To("produce-small", s.create("produce-small", &[&[1]], &[("max.message.bytes", "100")])?);
    s.all("a batch too large", |v| small.produce(v, -1, 0, Some(batch(9).to_bytes())))?;
    small.send(s, "a batch small enough", batch(1).to_bytes())?;

    let strict =
        To("produce-strict", s.create("produce-strict", &[&[1, 2]], &[("min.insync.replicas", "3")])?);
    for acks in [1, -1] {
        s.all(&format!("too few replicas, acks {acks}"), |v| {
            strict.produce(v, acks, 0, Some(batch(1).to_bytes()))
        })?;
    }

    let zstd = To(
        "produce-recompressed",
        s.create("produce-recompressed", &[&[1]], &[("compression.type", "zstd")])?,
    );
    zstd.send(s, "stored as zstd", batch(2).to_bytes())?;
    zstd.send(
        s,
        "stored as zstd, from gzip",
        build(BatchBuilder::new().compression(Compression::Gzip, None), 2).to_bytes(),
    )?;

    s.coordinate("produce-group")?;
    let offsets = s.metadata("__consumer_offsets")?;
    let led = offsets.topics.first().and_then(|topic| {
        let partition = topic.partitions.iter().min_by_key(|partition| partition.partition_index)?;
        Some((topic.topic_id, partition.leader_id.0))
    });
    let Some((id, leader)) = led else { anyhow::bail!("no offsets topic") };
    s.name_id(id, "__consumer_offsets");
    let internal = To("__consumer_offsets", id);
    s.on(leader);
    s.all("into the offsets topic", |v| internal.produce(v, -1, 0, Some(batch(1).to_bytes())))?;
    s.on(1);
    Ok(())
}
