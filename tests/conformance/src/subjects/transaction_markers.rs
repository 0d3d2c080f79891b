//! The ends of transactions in the partitions' logs: WriteTxnMarkers, and DescribeProducers, which shows them.

use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use klamm_wire::messages::{
    BrokerId, DescribeProducersRequest, ListOffsetsRequest, ProducerId, WriteTxnMarkersRequest,
};

use super::records::{To, build};
use super::transactional::{Producer, coordinate, producers, transactional_id};
use crate::Session;
use crate::session::topic;

const TOPIC: &str = "transacted-markers";

fn marker(
    p: Producer<'_>,
    committed: bool,
    coordinator_epoch: i32,
    to: &[(&str, &[i32])],
) -> WritableTxnMarker {
    let topics = to.iter().map(|(name, partitions)| {
        WritableTxnMarkerTopic::default().with_name(topic(name)).with_partition_indexes(partitions.to_vec())
    });
    WritableTxnMarker::default()
        .with_producer_id(ProducerId(p.id))
        .with_producer_epoch(p.epoch)
        .with_transaction_result(committed)
        .with_coordinator_epoch(coordinator_epoch)
        .with_topics(topics.collect())
}

fn write(markers: Vec<WritableTxnMarker>) -> WriteTxnMarkersRequest {
    WriteTxnMarkersRequest::default().with_markers(markers)
}

fn ends(isolation: i8) -> ListOffsetsRequest {
    let asked = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(-1);
    let asked = ListOffsetsTopic::default().with_name(topic(TOPIC)).with_partitions(vec![asked]);
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(isolation)
        .with_topics(vec![asked])
}

/// Who produces to partition 0 (its leader is broker 1), how long it is, and how much of it is stable.
fn shown(s: &mut Session, label: &str) -> anyhow::Result<()> {
    s.on(1);
    s.newest(&format!("{label}, producers"), producers(TOPIC, &[0]))?;
    s.at(&format!("{label}, end"), 7, ends(0))?;
    s.at(&format!("{label}, stable end"), 7, ends(1))?;
    Ok(())
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    let to = To(TOPIC, s.create(TOPIC, &[&[1, 2], &[2, 3], &[1, 3]], &[])?);
    described(s, to)?;
    markers(s)?;
    open(s, to)?;
    by_newer_rules(s, to)
}

fn described(s: &mut Session, to: To<'_>) -> anyhow::Result<()> {
    shown(s, "nobody")?;
    let idempotent = build(klamm_wire::BatchBuilder::new().producer(1_000_000, 3, 0), 2).to_bytes();
    to.fill(s, 2, idempotent)?;
    s.newest("describe: an idempotent producer", producers(TOPIC, &[2]))?;
    s.newest("describe: several partitions", producers(TOPIC, &[0, 2]))?;
    s.newest("describe: a partition twice", producers(TOPIC, &[2, 2]))?;
    s.newest("describe: another broker's partition", producers(TOPIC, &[1]))?;
    s.newest("describe: an unknown partition", producers(TOPIC, &[9]))?;
    s.newest("describe: a negative partition", producers(TOPIC, &[-1]))?;
    s.newest("describe: no partitions", producers(TOPIC, &[]))?;
    s.newest("describe: an unknown topic", producers("transacted-markers-none", &[0]))?;
    s.newest("describe: an invalid topic", producers("a b", &[0]))?;
    s.newest("describe: nothing", DescribeProducersRequest::default())?;
    s.on(3).newest("describe: a follower's partition", producers(TOPIC, &[2]))?;
    s.on(1);
    Ok(())
}

/// Markers of producers who have nothing open.
fn markers(s: &mut Session) -> anyhow::Result<()> {
    let p = Producer { name: "", id: 2_000_000, epoch: 5 };
    let one: &[(&str, &[i32])] = &[(TOPIC, &[0])];
    let mut send = |label: &str, markers: Vec<WritableTxnMarker>| s.newest(label, write(markers)).map(drop);
    send("write: nothing", vec![])?;
    send("write: to no topics", vec![marker(p, true, 0, &[])])?;
    send("write: to no partitions", vec![marker(p, true, 0, &[(TOPIC, &[])])])?;
    send("write: to an unknown topic", vec![marker(p, true, 0, &[("transacted-markers-none", &[0])])])?;
    send("write: to an unknown partition", vec![marker(p, true, 0, &[(TOPIC, &[9])])])?;
    send("write: to a negative partition", vec![marker(p, true, 0, &[(TOPIC, &[-1])])])?;
    send("write: to another broker's partition", vec![marker(p, true, 0, &[(TOPIC, &[1])])])?;
    shown(s, "write: refused")?;
    let mut send = |label: &str, markers: Vec<WritableTxnMarker>| s.newest(label, write(markers)).map(drop);
    send("write: a commit of an unknown producer", vec![marker(p, true, 3, one)])?;
    send("write: again", vec![marker(p, true, 3, one)])?;
    send("write: an older coordinator", vec![marker(p, true, 2, one)])?;
    send("write: a newer coordinator", vec![marker(p, false, 4, one)])?;
    send("write: an older epoch", vec![marker(p.epoch_by(-1), true, 4, one)])?;
    send("write: a newer epoch", vec![marker(p.epoch_by(1), true, 4, one)])?;
    shown(s, "write: written")?;
    let mut send = |label: &str, markers: Vec<WritableTxnMarker>| s.newest(label, write(markers)).map(drop);
    send("write: a negative epoch", vec![marker(Producer { epoch: -1, ..p }, true, 4, one)])?;
    send("write: a negative producer id", vec![marker(Producer { id: -1, ..p }, true, 4, one)])?;
    send("write: a negative coordinator epoch", vec![marker(p.other_id(), true, -1, one)])?;
    send(
        "write: to several partitions, good and bad",
        vec![marker(p.other_id(), true, 0, &[(TOPIC, &[0, 1, 2, 9]), ("transacted-markers-none", &[0])])],
    )?;
    send(
        "write: of two producers",
        vec![marker(p.epoch_by(2), true, 4, one), marker(p.other_id(), false, 0, one)],
    )?;
    shown(s, "write: all written")
}

/// Markers of a transaction that is open, which its coordinator knows nothing of.
fn open(s: &mut Session, to: To<'_>) -> anyhow::Result<()> {
    let one: &[(&str, &[i32])] = &[(TOPIC, &[0])];
    for (name, committed, by) in
        [("txn-marked", true, 0), ("txn-marked-later", false, 1), ("txn-marked-no", true, -1)]
    {
        // The second one's epoch has one before it.
        Producer::new(s, name)?;
        let p = Producer::new(s, name)?;
        s.quiet(3, &p.add(3, one))?;
        s.on(1);
        let records =
            to.produce(11, -1, 0, Some(p.batch(0, 2))).with_transactional_id(Some(transactional_id(name)));
        s.at(&format!("{name}: records"), 11, records)?;
        shown(s, &format!("{name}: open"))?;
        s.newest(&format!("{name}: its end"), write(vec![marker(p.epoch_by(by), committed, 0, one)]))?;
        shown(s, &format!("{name}: then"))?;
        coordinate(s, name)?;
        s.at(&format!("{name}: its producer ends it"), 4, p.end(true))?;
        if by <= 0 {
            p.settled(s, &format!("{name}: ended"))?;
            shown(s, &format!("{name}: in the end"))?;
        }
    }
    Ok(())
}

/// Markers that say under which `transaction.version` they are written: from 2 on the epoch is above that of the records.
fn by_newer_rules(s: &mut Session, to: To<'_>) -> anyhow::Result<()> {
    let one: &[(&str, &[i32])] = &[(TOPIC, &[0])];
    let idle = Producer { name: "", id: 3_000_000, epoch: 5 };
    for version in [1, 2, 3, -1] {
        for (what, by) in [("its", 0), ("the same", 0), ("an older", -1), ("a newer", 1)] {
            let p = Producer { id: idle.id + i64::from(version), ..idle }.epoch_by(by);
            let marker = marker(p, true, 0, one).with_transaction_version(version);
            s.newest(&format!("version {version}: {what} epoch"), write(vec![marker]))?;
        }
    }
    shown(s, "newer rules: written")?;
    for (name, by) in [("txn-marked-by-two", 0), ("txn-marked-by-two-later", 1)] {
        let p = Producer::new(s, name)?;
        s.quiet(3, &p.add(3, one))?;
        s.on(1);
        let records =
            to.produce(11, -1, 0, Some(p.batch(0, 2))).with_transactional_id(Some(transactional_id(name)));
        s.at(&format!("{name}: records"), 11, records)?;
        let marker = marker(p.epoch_by(by), true, 0, one).with_transaction_version(2);
        s.newest(&format!("{name}: its end"), write(vec![marker]))?;
        shown(s, &format!("{name}: then"))?;
    }
    Ok(())
}
