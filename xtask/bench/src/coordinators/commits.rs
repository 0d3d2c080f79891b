//! Offset commits, pipelined, each of one partition, by several groups at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{ApiKey, GroupId, OffsetCommitRequest, RequestKind, ResponseKind, TopicName};

use super::{Kind, find, text, until};
use crate::wire::{Connection, Prepared};

const VERSION: i16 = 8;
const GROUPS: usize = 6;
/// Requests in flight on each group's connection.
const WINDOW: usize = 16;

/// Commits `count` times, spread over six groups, and returns how long that took.
pub(crate) fn commit(bootstrap: &str, topic: &str, count: usize) -> Result<Duration> {
    let mut work = Vec::new();
    for group in (0..GROUPS).map(|i| format!("bench-commits-{i}")) {
        let address = find(bootstrap, &group, Kind::Group)?;
        let mut connection = Connection::open(&address)?;
        let request = Prepared::new(ApiKey::OffsetCommit, VERSION, &commit_of(&group, topic))?;
        until(|| {
            connection.send(&[&request])?;
            answer(&mut connection, &request)
        })?;
        work.push((connection, request));
    }
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = work
            .into_iter()
            .map(|(connection, request)| scope.spawn(move || pump(connection, &request, count / GROUPS)))
            .collect();
        threads
            .into_iter()
            .try_for_each(|t| t.join().map_err(|_| anyhow::anyhow!("a load thread panicked"))?)
    })?;
    Ok(start.elapsed())
}

fn pump(mut connection: Connection, request: &Prepared, count: usize) -> Result<()> {
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        let burst = vec![request; (count - sent).min(WINDOW - (sent - answered))];
        sent += burst.len();
        connection.send(&burst)?;
        loop {
            let code = answer(&mut connection, request)?.err();
            ensure!(code.is_none(), "a commit failed with error {code:?}");
            answered += 1;
            if answered == sent || !connection.has_buffered() {
                break;
            }
        }
    }
    Ok(())
}

fn commit_of(group: &str, topic: &str) -> RequestKind {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(1)
        .with_committed_metadata(Some(text("")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text(topic)))
        .with_partitions(vec![partition]);
    RequestKind::OffsetCommit(
        OffsetCommitRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]),
    )
}

fn answer(connection: &mut Connection, request: &Prepared) -> Result<Result<(), i16>> {
    let ResponseKind::OffsetCommit(response) = connection.receive_for(request)? else {
        bail!("not the answer to a commit")
    };
    let partition = response.topics.first().and_then(|t| t.partitions.first()).context("an empty answer")?;
    Ok(if partition.error_code == 0 { Ok(()) } else { Err(partition.error_code) })
}
