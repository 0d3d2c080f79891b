//! ListOffsets and OffsetForLeaderEpoch.

use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use klamm_wire::messages::{BrokerId, ListOffsetsRequest, OffsetForLeaderEpochRequest};

use super::records::{THEN, To, batch};
use crate::Session;
use crate::session::topic;

fn ask(name: &str, partition: i32, timestamp: i64) -> ListOffsetsRequest {
    with_epoch(name, partition, timestamp, -1)
}

fn with_epoch(name: &str, partition: i32, timestamp: i64, epoch: i32) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_timestamp(timestamp)
        .with_current_leader_epoch(epoch);
    ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![
        ListOffsetsTopic::default().with_name(topic(name)).with_partitions(vec![partition]),
    ])
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    let a = To("offsets-a", s.create("offsets-a", &[&[1, 2], &[1, 2], &[2, 1]], &[])?);
    s.on(1);
    a.fill(s, 0, batch(3).to_bytes())?;
    a.fill(s, 0, batch(2).to_bytes())?;
    for timestamp in [-1, -2, -3, -4, -5, -6, -7, i64::MIN] {
        s.all(&format!("timestamp {timestamp}"), |_| ask("offsets-a", 0, timestamp))?;
        s.all(&format!("timestamp {timestamp} of an empty partition"), |_| ask("offsets-a", 1, timestamp))?;
    }
    for (label, timestamp) in [
        ("0", 0),
        ("the first", THEN),
        ("after the first", THEN + 1),
        ("the last", THEN + 2000),
        ("after the last", THEN + 2001),
    ] {
        s.all(&format!("time: {label}"), |_| ask("offsets-a", 0, timestamp))?;
    }
    s.all("an unknown partition", |_| ask("offsets-a", 9, -1))?;
    s.all("another broker's partition", |_| ask("offsets-a", 2, -1))?;
    s.all("an unknown topic", |_| ask("offsets-none", 0, -1))?;
    s.all("an invalid topic", |_| ask("a b", 0, -1))?;
    for epoch in [0, 7, -2] {
        s.each(&format!("a leader epoch of {epoch}"), 4..=10, |_| with_epoch("offsets-a", 0, -1, epoch))?;
    }
    s.each("read committed", 2..=10, |_| ask("offsets-a", 0, -1).with_isolation_level(1))?;
    s.each("read committed, the first", 2..=10, |_| ask("offsets-a", 0, THEN).with_isolation_level(1))?;
    s.all("a partition twice", |_| {
        let mut request = ask("offsets-a", 0, -1);
        if let Some(asked) = request.topics.first_mut() {
            asked.partitions.extend_from_within(..);
        }
        request
    })?;
    s.all("as a debugger", |_| ask("offsets-a", 0, -1).with_replica_id(BrokerId(-2)))?;
    s.all("as a follower", |_| ask("offsets-a", 0, -1).with_replica_id(BrokerId(2)))?;
    s.all("no topics", |_| ListOffsetsRequest::default().with_replica_id(BrokerId(-1)))?;
    epochs(s)
}

fn epochs(s: &mut Session) -> anyhow::Result<()> {
    let ask = |version: i16, name: &str, partition: i32, current: i32, epoch: i32| {
        let asked = OffsetForLeaderPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(current)
            .with_leader_epoch(epoch);
        let asked = OffsetForLeaderTopic::default().with_topic(topic(name)).with_partitions(vec![asked]);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![asked]);
        if version < 3 { request } else { request.with_replica_id(BrokerId(-1)) }
    };
    for (current, epoch) in [(-1, 0), (0, 0), (-1, 1), (-1, -1), (-1, 99), (5, 0), (-2, 0)] {
        s.all(&format!("end of epoch {epoch}, current {current}"), |v| {
            ask(v, "offsets-a", 0, current, epoch)
        })?;
        s.all(&format!("end of epoch {epoch} of an empty partition, current {current}"), |v| {
            ask(v, "offsets-a", 1, current, epoch)
        })?;
    }
    s.all("end of an epoch of an unknown partition", |v| ask(v, "offsets-a", 9, -1, 0))?;
    s.all("end of an epoch of another broker's partition", |v| ask(v, "offsets-a", 2, -1, 0))?;
    s.all("end of an epoch of an unknown topic", |v| ask(v, "offsets-none", 0, -1, 0))?;
    Ok(())
}
