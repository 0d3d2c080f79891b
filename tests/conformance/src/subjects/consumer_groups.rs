//! Consumer groups of the new protocol (KIP-848): what is refused, and that it leaves nothing behind.

use klamm_wire::Uuid;
use klamm_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use klamm_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use klamm_wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use klamm_wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, OffsetCommitRequest, OffsetFetchRequest,
};

use super::groups::join;
use crate::Session;
use crate::session::{group, text, topic};

const NAME: &str = "modern";
const TOPIC: &str = "modern-topic";

fn beat(name: &str, member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group(name))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
        .with_subscribed_topic_names(None)
        .with_topic_partitions(None)
}

/// A member's first heartbeat. It subscribes to nothing: when an assignment is there is not what this is about.
fn enter(name: &str, member: &str) -> ConsumerGroupHeartbeatRequest {
    beat(name, member, 0)
        .with_rebalance_timeout_ms(30_000)
        .with_subscribed_topic_names(Some(vec![]))
        .with_topic_partitions(Some(vec![]))
}

fn owning(id: Uuid, partitions: &[i32]) -> Option<Vec<TopicPartitions>> {
    Some(vec![TopicPartitions::default().with_topic_id(id).with_partitions(partitions.to_vec())])
}

fn described(s: &mut Session, label: &str) -> anyhow::Result<()> {
    s.all(label, |_| ConsumerGroupDescribeRequest::default().with_group_ids(vec![group(NAME)])).map(drop)
}

fn commit(member: &str, epoch: i32) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(3);
    let asked = OffsetCommitRequestTopic::default().with_name(topic(TOPIC)).with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group(NAME))
        .with_generation_id_or_member_epoch(epoch)
        .with_member_id(text(member))
        .with_topics(vec![asked])
}

fn fetch(member: &str, epoch: i32) -> OffsetFetchRequest {
    let asked = OffsetFetchRequestTopics::default().with_name(topic(TOPIC)).with_partition_indexes(vec![0]);
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(group(NAME))
        .with_member_id(Some(text(member)))
        .with_member_epoch(epoch)
        .with_topics(Some(vec![asked]));
    OffsetFetchRequest::default().with_groups(vec![asked])
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    let id = s.create(TOPIC, &[&[1], &[2]], &[])?;
    s.coordinate(NAME)?;
    described(s, "described before")?;
    entrances(s, id)?;
    described(s, "described after refusals")?;
    odd_entrances(s)?;
    s.at("enter", 1, enter(NAME, "m-1"))?;
    described(s, "described with a member")?;
    s.all("described with what may be done", |_| {
        ConsumerGroupDescribeRequest::default()
            .with_group_ids(vec![group(NAME), group("modern-none")])
            .with_include_authorized_operations(true)
    })?;
    s.all("described twice", |_| {
        ConsumerGroupDescribeRequest::default().with_group_ids(vec![group(NAME), group(NAME)])
    })?;
    members(s, id)?;
    described(s, "described after more refusals")?;
    offsets(s)?;
    s.all("a classic member joins", |v| join(v, NAME, ""))?;
    s.coordinate(NAME)?.elsewhere();
    s.all("elsewhere: enter", |_| enter(NAME, "m-2"))?;
    s.coordinate(NAME)?;
    s.at("leave", 1, beat(NAME, "m-1", -1))?;
    s.at("leave again", 1, beat(NAME, "m-1", -1))?;
    described(s, "described when empty")
}

/// What is no way to enter a group.
fn entrances(s: &mut Session, id: Uuid) -> anyhow::Result<()> {
    let enter = || enter(NAME, "m-1");
    s.coordinate("")?;
    s.all("enter: an empty group id", |_| self::enter("", "m-1"))?;
    s.coordinate(NAME)?;
    s.each("enter: an empty member id", [1], |_| self::enter(NAME, ""))?;
    s.all("enter: no rebalance timeout", |_| enter().with_rebalance_timeout_ms(-1))?;
    s.all("enter: no subscription", |_| enter().with_subscribed_topic_names(None))?;
    s.all("enter: no partitions", |_| enter().with_topic_partitions(None))?;
    s.all("enter: partitions already", |_| enter().with_topic_partitions(owning(id, &[0])))?;
    s.all("enter: an empty instance id", |_| enter().with_instance_id(Some(text(""))))?;
    s.all("enter: an empty rack", |_| enter().with_rack_id(Some(text(""))))?;
    s.all("enter: an empty assignor", |_| enter().with_server_assignor(Some(text(""))))?;
    s.all("enter: an unknown assignor", |_| enter().with_server_assignor(Some(text("nobody"))))?;
    s.each("enter: a regular expression that is none", [1], |_| {
        enter().with_subscribed_topic_regex(Some(text("(")))
    })?;
    for epoch in [1, i32::MAX, -1, -2, -3, i32::MIN] {
        s.all(&format!("epoch {epoch} of a group that is not there"), |_| beat(NAME, "m-1", epoch))?;
    }
    Ok(())
}

/// What may look wrong and is taken.
fn odd_entrances(s: &mut Session) -> anyhow::Result<()> {
    for timeout in [0, -5, i32::MIN] {
        let name = format!("modern{timeout}");
        s.coordinate(&name)?;
        s.at(&format!("enter: a rebalance timeout of {timeout}"), 1, {
            enter(&name, "m-1").with_rebalance_timeout_ms(timeout)
        })?;
    }
    s.coordinate(NAME).map(drop)
}

/// What a group with one member does not take.
fn members(s: &mut Session, id: Uuid) -> anyhow::Result<()> {
    let epoch = s.quiet(1, &enter(NAME, "m-1"))?.member_epoch;
    for by in [1, 100, -1] {
        s.all(&format!("beat: an epoch {by} further"), |_| beat(NAME, "m-1", epoch + by))?;
    }
    for wrong in [-2, -3] {
        s.all(&format!("beat: epoch {wrong}"), |_| beat(NAME, "m-1", wrong))?;
    }
    s.all("beat: an unknown member", |_| beat(NAME, "m-9", epoch))?;
    s.all("beat: an unknown member leaves", |_| beat(NAME, "m-9", -1))?;
    s.all("beat: an unknown instance", |_| {
        beat(NAME, "m-1", epoch).with_instance_id(Some(text("instance")))
    })?;
    s.all("beat: an unknown assignor", |_| {
        beat(NAME, "m-1", epoch).with_server_assignor(Some(text("nobody")))
    })?;
    s.each("beat: a regular expression that is none", [1], |_| {
        beat(NAME, "m-1", epoch).with_subscribed_topic_regex(Some(text("(")))
    })?;
    s.all("beat: an empty assignor", |_| beat(NAME, "m-1", epoch).with_server_assignor(Some(text(""))))?;
    s.all("beat: owning what nobody gave it", |_| {
        beat(NAME, "m-1", epoch).with_topic_partitions(owning(Uuid::from_u128(77), &[0]))
    })?;
    s.all("beat: owning a partition that is not there", |_| {
        beat(NAME, "m-1", epoch).with_topic_partitions(owning(id, &[9]))
    })?;
    s.all("beat", |_| beat(NAME, "m-1", epoch))?;
    Ok(())
}

fn offsets(s: &mut Session) -> anyhow::Result<()> {
    let epoch = s.quiet(1, &enter(NAME, "m-1"))?.member_epoch;
    for (label, member, epoch) in [
        ("by the member", "m-1", epoch),
        ("in an epoch to come", "m-1", epoch + 1),
        ("in an epoch before", "m-1", epoch - 1),
        ("without an epoch", "m-1", -1),
        ("by an unknown member", "m-9", epoch),
        ("by nobody", "", -1),
        ("by nobody in an epoch", "", epoch),
    ] {
        s.each(&format!("commit: {label}"), 2..=9, |_| commit(member, epoch))?;
        s.each(&format!("fetch: {label}"), [9], |_| fetch(member, epoch))?;
    }
    Ok(())
}
