//! Numbers and texts at the ends of what they can be: times that are negative, ids that nobody was given, epochs from the future.

use klamm_wire::BatchBuilder;
use klamm_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::{
    BrokerId, DeleteRecordsRequest, HeartbeatRequest, JoinGroupRequest, ListOffsetsRequest, SyncGroupRequest,
};

use super::fetch::{partition, request};
use super::groups::{alone, join};
use super::offsets::{commit, fetch};
use super::records::{To, batch, build};
use crate::Session;
use crate::session::{group, text, topic};

const TOPIC: &str = "extremes";

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    let to = To(TOPIC, s.create(TOPIC, &[&[1], &[1]], &[])?);
    s.on(1);
    produced(s, to)?;
    fetched(s, to)?;
    asked(s)?;
    members(s)?;
    committed(s)
}

fn produced(s: &mut Session, to: To<'_>) -> anyhow::Result<()> {
    for timeout in [0, -1, i32::MIN] {
        let request = to.produce(13, -1, 0, Some(batch(1).to_bytes())).with_timeout_ms(timeout);
        s.at(&format!("produce: a timeout of {timeout}"), 13, request)?;
    }
    for (label, id, epoch, sequence) in [
        ("the last of all producer ids", i64::MAX, i16::MAX, 0),
        ("a producer id of -2", -2, 0, 0),
        ("the least of all producer ids", i64::MIN, 0, 0),
        ("the last sequence", 5_000_000, 0, i32::MAX),
        ("an epoch of -2", 5_000_001, -2, 0),
        ("the last epoch", 5_000_002, i16::MAX, 0),
        ("an epoch before the last", 5_000_002, i16::MAX - 1, 0),
        ("the least sequence", 5_000_003, 0, i32::MIN),
    ] {
        let records = build(BatchBuilder::new().producer(id, epoch, sequence), 1).to_bytes();
        to.send(s, &format!("produce: {label}"), records)?;
    }
    Ok(())
}

fn fetched(s: &mut Session, to: To<'_>) -> anyhow::Result<()> {
    let empty = || request(18, to, vec![partition(1, 0)]).with_min_bytes(1);
    for wait in [-1, i32::MIN] {
        s.at(&format!("fetch: a wait of {wait}"), 18, empty().with_max_wait_ms(wait))?;
    }
    for bytes in [-1, i32::MIN] {
        let request = request(18, to, vec![partition(0, 0)]);
        s.at(&format!("fetch: at least {bytes} bytes"), 18, request.clone().with_min_bytes(bytes))?;
        s.at(&format!("fetch: at most {bytes} bytes"), 18, request.with_max_bytes(bytes))?;
    }
    for offset in [i64::MAX, i64::MIN] {
        s.at(&format!("fetch: from {offset}"), 18, request(18, to, vec![partition(0, offset)]))?;
    }
    for epoch in [i32::MAX, i32::MIN] {
        let asked = partition(0, 0).with_current_leader_epoch(epoch);
        s.at(&format!("fetch: a leader epoch of {epoch}"), 18, request(18, to, vec![asked]))?;
        let asked = partition(0, 0).with_last_fetched_epoch(epoch);
        s.at(&format!("fetch: a last fetched epoch of {epoch}"), 18, request(18, to, vec![asked]))?;
    }
    for (id, epoch) in [(-1, 0), (i32::MIN, 1), (i32::MAX, i32::MAX), (0, i32::MIN)] {
        let request = empty().with_max_wait_ms(0).with_session_id(id).with_session_epoch(epoch);
        s.at(&format!("fetch: epoch {epoch} of session {id}"), 18, request)?;
    }
    Ok(())
}

/// ListOffsets and DeleteRecords.
fn asked(s: &mut Session) -> anyhow::Result<()> {
    let list = |timestamp: i64, epoch: i32| {
        let asked =
            ListOffsetsPartition::default().with_timestamp(timestamp).with_current_leader_epoch(epoch);
        let asked = ListOffsetsTopic::default().with_name(topic(TOPIC)).with_partitions(vec![asked]);
        ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked])
    };
    s.at("list: the last of all times", 10, list(i64::MAX, -1))?;
    for epoch in [i32::MAX, i32::MIN] {
        s.at(&format!("list: a leader epoch of {epoch}"), 10, list(-1, epoch))?;
    }
    for timeout in [-1, i32::MIN] {
        s.at(&format!("list: a timeout of {timeout}"), 10, list(-1, -1).with_timeout_ms(timeout))?;
    }
    let delete = |offset: i64| {
        let asked = DeleteRecordsPartition::default().with_offset(offset);
        let asked = DeleteRecordsTopic::default().with_name(topic(TOPIC)).with_partitions(vec![asked]);
        DeleteRecordsRequest::default().with_topics(vec![asked]).with_timeout_ms(10_000)
    };
    for offset in [i64::MAX, i64::MIN] {
        s.at(&format!("delete: before {offset}"), 2, delete(offset))?;
    }
    for timeout in [0, -1, i32::MIN] {
        s.at(&format!("delete: a timeout of {timeout}"), 2, delete(1).with_timeout_ms(timeout))?;
    }
    Ok(())
}

fn members(s: &mut Session) -> anyhow::Result<()> {
    const NAME: &str = "extreme-members";
    s.coordinate(NAME)?;
    let joining = |session: i32| -> JoinGroupRequest { join(9, NAME, "").with_session_timeout_ms(session) };
    for timeout in [0, -1, i32::MIN] {
        s.at(&format!("join: a session timeout of {timeout}"), 9, joining(timeout))?;
    }
    let member = alone(s, NAME, "extreme member")?;
    for generation in [i32::MAX, i32::MIN, -1, 0] {
        let beat = HeartbeatRequest::default()
            .with_group_id(group(NAME))
            .with_generation_id(generation)
            .with_member_id(text(&member));
        s.at(&format!("heartbeat: generation {generation}"), 4, beat)?;
        let sync = SyncGroupRequest::default()
            .with_group_id(group(NAME))
            .with_generation_id(generation)
            .with_member_id(text(&member))
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")));
        s.at(&format!("sync: generation {generation}"), 5, sync)?;
    }
    Ok(())
}

fn committed(s: &mut Session) -> anyhow::Result<()> {
    const NAME: &str = "extreme-commits";
    s.coordinate(NAME)?;
    let with = |metadata: &str| {
        let mut request = commit(9, NAME, TOPIC, 0, 5);
        for partition in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.committed_metadata = Some(text(metadata));
        }
        request
    };
    // The bound is one of characters, as Java counts them: the third of these takes two each.
    for (label, part, most) in
        [("one byte", "x", 4096), ("two bytes", "\u{e9}", 4096), ("four", "\u{1F600}", 2048)]
    {
        for count in [most, most + 1] {
            s.at(&format!("commit: {count} characters of {label}"), 9, with(&part.repeat(count)))?;
        }
        let answer = s.quiet(9, &fetch(9, NAME, Some(&[(TOPIC, &[0])])))?;
        let kept = answer
            .groups
            .first()
            .and_then(|group| group.topics.first()?.partitions.first()?.metadata.clone());
        s.note(&format!("commit: bytes of {label} that are kept"), &kept.map(|text| text.len()));
    }
    s.at("commit: more than a string may hold", 9, with(&"x".repeat(40_000)))?;
    s.coordinate(NAME)?;
    for offset in [i64::MAX, i64::MIN] {
        s.at(&format!("commit: offset {offset}"), 9, commit(9, NAME, TOPIC, 0, offset))?;
    }
    for epoch in [i32::MAX, -2, i32::MIN] {
        let mut request = commit(9, NAME, TOPIC, 1, 5);
        for partition in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.committed_leader_epoch = epoch;
            partition.committed_metadata = Some(text(""));
        }
        s.at(&format!("commit: a leader epoch of {epoch}"), 9, request)?;
        s.at(&format!("commit: what is kept of it ({epoch})"), 9, fetch(9, NAME, Some(&[(TOPIC, &[1])])))?;
    }
    for time in [-5, i64::MIN, i64::MAX] {
        let request = commit(4, NAME, TOPIC, 1, 5).with_retention_time_ms(time);
        s.at(&format!("commit: a retention time of {time}"), 4, request)?;
    }
    Ok(())
}
