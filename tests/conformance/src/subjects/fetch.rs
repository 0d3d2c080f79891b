//! Fetch without a session: offsets, epochs, sizes.

use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use klamm_wire::messages::{BrokerId, FetchRequest};
use klamm_wire::{BatchBuilder, Compression, Uuid};

use super::records::{To, batch, build};
use crate::Session;
use crate::session::{text, topic};

/// One partition in a request.
pub(super) fn partition(index: i32, offset: i64) -> FetchPartition {
    FetchPartition::default()
        .with_partition(index)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20)
        .with_current_leader_epoch(-1)
        .with_last_fetched_epoch(-1)
        .with_log_start_offset(-1)
}

/// A consumer's request that does not wait.
pub(super) fn request(version: i16, to: To<'_>, partitions: Vec<FetchPartition>) -> FetchRequest {
    let asked = FetchTopic::default().with_partitions(partitions);
    let asked = if version < 13 { asked.with_topic(topic(to.0)) } else { asked.with_topic_id(to.1) };
    let request = FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(0)
        .with_max_bytes(1 << 20)
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(vec![asked]);
    let nobody = BrokerId(-1);
    if version < 15 {
        request.with_replica_id(nobody)
    } else {
        request.with_replica_state(ReplicaState::default().with_replica_id(nobody).with_replica_epoch(-1))
    }
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    let a = To("fetch-a", s.create("fetch-a", &[&[1, 2], &[1, 2], &[2, 1]], &[])?);
    s.on(1);
    a.fill(s, 0, batch(3).to_bytes())?;
    a.fill(s, 0, build(BatchBuilder::new().compression(Compression::Zstd, None), 2).to_bytes())?;
    a.fill(s, 1, batch(1).to_bytes())?;
    for offset in [0, 1, 3, 4] {
        s.all(&format!("from offset {offset}"), |v| request(v, a, vec![partition(0, offset)]))?;
    }
    s.all("from the end", |v| request(v, a, vec![partition(0, 5)]))?;
    s.all("behind the end", |v| request(v, a, vec![partition(0, 6)]))?;
    s.all("from -1", |v| request(v, a, vec![partition(0, -1)]))?;
    s.all("two partitions", |v| request(v, a, vec![partition(0, 0), partition(1, 0)]))?;
    s.all("a partition twice", |v| request(v, a, vec![partition(1, 0), partition(1, 1)]))?;
    s.all("an unknown partition", |v| request(v, a, vec![partition(9, 0)]))?;
    s.all("a negative partition", |v| request(v, a, vec![partition(-1, 0)]))?;
    s.all("another broker's partition", |v| request(v, a, vec![partition(2, 0)]))?;
    let none = To("fetch-none", Uuid::from_u128(9));
    s.all("an unknown topic", |v| request(v, none, vec![partition(0, 0)]))?;
    s.each("a null id", 13..=18, |v| request(v, To("", Uuid::nil()), vec![partition(0, 0)]))?;
    s.all("no topics", |v| request(v, a, vec![]).with_topics(vec![]))?;
    s.all("at most one byte", |v| {
        request(v, a, vec![partition(0, 0).with_partition_max_bytes(1), partition(1, 0)]).with_max_bytes(1)
    })?;
    s.all("at most one byte a partition", |v| {
        request(
            v,
            a,
            vec![partition(0, 0).with_partition_max_bytes(1), partition(1, 0).with_partition_max_bytes(1)],
        )
    })?;
    s.all("at most nothing", |v| request(v, a, vec![partition(0, 0).with_partition_max_bytes(0)]))?;
    s.all("at most a negative number", |v| {
        request(v, a, vec![partition(0, 0).with_partition_max_bytes(-1)])
    })?;
    s.all("at most 150 bytes", |v| request(v, a, vec![partition(0, 0).with_partition_max_bytes(150)]))?;
    for epoch in [0, 1, 99, -2] {
        s.each(&format!("a leader epoch of {epoch}"), 9..=18, |v| {
            request(v, a, vec![partition(0, 0).with_current_leader_epoch(epoch)])
        })?;
    }
    for (epoch, offset) in [(0, 5), (0, 9), (1, 2), (5, 5)] {
        s.each(&format!("last fetched epoch {epoch} at offset {offset}"), 12..=18, |v| {
            request(v, a, vec![partition(0, offset).with_last_fetched_epoch(epoch)])
        })?;
    }
    s.all("read committed", |v| request(v, a, vec![partition(0, 0)]).with_isolation_level(1))?;
    s.all("an unknown isolation", |v| request(v, a, vec![partition(0, 5)]).with_isolation_level(7))?;
    s.each("from a rack", 11..=18, |v| request(v, a, vec![partition(0, 5)]).with_rack_id(text("r")))?;
    s.each("a cluster id of another cluster", 12..=18, |v| {
        request(v, a, vec![partition(0, 5)]).with_cluster_id(Some(text("other")))
    })?;
    s.each("min bytes above max bytes", [12, 18], |v| {
        request(v, a, vec![partition(0, 0)]).with_min_bytes(1 << 21).with_max_wait_ms(50)
    })?;
    s.each("a follower's partition", [4, 11, 12, 18], |v| {
        request(v, a, vec![partition(2, 0).with_current_leader_epoch(if v < 9 { -1 } else { 0 })])
    })?;
    s.each("as a replica that is none", [12, 14], |v| {
        request(v, a, vec![partition(1, 0)]).with_replica_id(BrokerId(3))
    })?;
    s.each("as a broker that is not there", [12, 14], |v| {
        request(v, a, vec![partition(0, 0)]).with_replica_id(BrokerId(99))
    })?;
    s.each("as a replica that is none, with an epoch", [15, 18], |v| {
        request(v, a, vec![partition(1, 0)])
            .with_replica_state(ReplicaState::default().with_replica_id(BrokerId(3)).with_replica_epoch(0))
    })?;
    s.each("as a debugger", [12], |v| request(v, a, vec![partition(0, 4)]).with_replica_id(BrokerId(-2)))?;
    s.each("as a replica of -3", [12], |v| {
        request(v, a, vec![partition(0, 4)]).with_replica_id(BrokerId(-3))
    })?;
    Ok(())
}
