//! Share groups (KIP-932): who is a member, what is refused, and what administrators do with a group's offsets.

use klamm_wire::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use klamm_wire::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use klamm_wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use klamm_wire::messages::{
    AlterShareGroupOffsetsRequest, ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest,
    DeleteGroupsRequest, DeleteShareGroupOffsetsRequest, DescribeGroupsRequest,
    DescribeShareGroupOffsetsRequest, HeartbeatRequest, ListGroupsRequest, ShareGroupDescribeRequest,
    ShareGroupHeartbeatRequest,
};

use super::groups::join;
use crate::Session;
use crate::session::{group, text, topic};

/// What the cluster is started with: nothing that a step waits for may take long, and no lock end by itself.
pub(super) const PROPERTIES: &[(&str, &str)] = &[
    ("share.coordinator.state.topic.num.partitions", "3"),
    ("group.share.record.lock.duration.ms", "60000"),
    ("group.share.delivery.count.limit", "3"),
    ("group.share.max.size", "3"),
];

const NAME: &str = "shared";
const TOPIC: &str = "shared-topic";
/// A topic that is not there: who subscribes to it is assigned nothing, now and later.
const NOWHERE: &str = "shared-nowhere";

pub(super) fn beat(name: &str, member: &str, epoch: i32) -> ShareGroupHeartbeatRequest {
    ShareGroupHeartbeatRequest::default()
        .with_group_id(group(name))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_subscribed_topic_names(None)
}

/// A member's first heartbeat.
pub(super) fn enter(name: &str, member: &str, topics: &[&str]) -> ShareGroupHeartbeatRequest {
    beat(name, member, 0).with_subscribed_topic_names(Some(topics.iter().map(|name| topic(name)).collect()))
}

/// Has a member join, and waits until it is assigned so many partitions; its epoch.
pub(super) fn joined(
    s: &mut Session,
    name: &str,
    member: &str,
    topics: &[&str],
    partitions: usize,
) -> anyhow::Result<i32> {
    let first = s.quiet(1, &enter(name, member, topics))?;
    anyhow::ensure!(first.error_code == 0, "{first:?}");
    let mut epoch = first.member_epoch;
    let assigned = klamm_tests::wait_until(klamm_tests::PATIENCE, || {
        let answer = s.quiet(1, &beat(name, member, epoch)).ok()?;
        epoch = answer.member_epoch;
        let assigned = answer.assignment?.topic_partitions;
        (assigned.iter().map(|topic| topic.partitions.len()).sum::<usize>() == partitions).then_some(epoch)
    });
    assigned.ok_or_else(|| anyhow::anyhow!("{member} is not assigned {partitions} partitions"))
}

fn described(s: &mut Session, label: &str, name: &str) -> anyhow::Result<()> {
    s.all(label, |_| {
        ShareGroupDescribeRequest::default()
            .with_group_ids(vec![group(name)])
            .with_include_authorized_operations(true)
    })
    .map(drop)
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    s.create(TOPIC, &[&[1], &[2]], &[])?;
    s.coordinate(NAME)?;
    described(s, "described before", NAME)?;
    entrances(s)?;
    described(s, "described after refusals", NAME)?;
    s.at("enter", 1, enter(NAME, "m-1", &[NOWHERE]))?;
    described(s, "described with a member", NAME)?;
    s.at("described twice", 1, {
        ShareGroupDescribeRequest::default().with_group_ids(vec![group(NAME), group(NAME)])
    })?;
    members(s)?;
    other_protocols(s)?;
    let coordinator = s.asked();
    offsets(s)?;
    s.on(coordinator);
    s.at("delete: with members", 2, DeleteGroupsRequest::default().with_groups_names(vec![group(NAME)]))?;
    for member in ["m-1", "m-1", "m-2", "m-3"] {
        s.at(&format!("leave: {member}"), 1, beat(NAME, member, -1))?;
    }
    described(s, "described when empty", NAME)?;
    let empty = ListGroupsRequest::default().with_types_filter(vec![text("share")]);
    s.at("listed when empty", 5, empty)?;
    s.at("delete: when empty", 2, DeleteGroupsRequest::default().with_groups_names(vec![group(NAME)]))?;
    described(s, "described after it was deleted", NAME)
}

/// What is no way to enter a group.
fn entrances(s: &mut Session) -> anyhow::Result<()> {
    let enter = || enter(NAME, "m-1", &[NOWHERE]);
    s.coordinate("")?;
    s.at("enter: an empty group id", 1, beat("", "m-1", 0))?;
    s.coordinate(NAME)?;
    s.at("enter: an empty member id", 1, self::enter(NAME, "", &[NOWHERE]))?;
    s.at("enter: no subscription", 1, enter().with_subscribed_topic_names(None))?;
    s.at("enter: an empty subscription", 1, enter().with_subscribed_topic_names(Some(vec![])))?;
    s.at("enter: an empty rack", 1, enter().with_rack_id(Some(text(""))))?;
    for epoch in [1, i32::MAX, -1, -2, -3, i32::MIN] {
        s.at(&format!("epoch {epoch} of a group that is not there"), 1, beat(NAME, "m-1", epoch))?;
    }
    s.elsewhere();
    s.at("elsewhere: enter", 1, enter())?;
    s.coordinate(NAME).map(drop)
}

/// What a group with one member does not take, and two more that it does.
fn members(s: &mut Session) -> anyhow::Result<()> {
    let epoch = s.quiet(1, &enter(NAME, "m-1", &[NOWHERE]))?.member_epoch;
    s.at("beat", 1, beat(NAME, "m-1", epoch))?;
    for by in [1, 100] {
        s.at(&format!("beat: an epoch {by} further"), 1, beat(NAME, "m-1", epoch + by))?;
    }
    for wrong in [-2, -3, i32::MAX, i32::MIN] {
        s.at(&format!("beat: epoch {wrong}"), 1, beat(NAME, "m-1", wrong))?;
    }
    s.at("beat: an unknown member", 1, beat(NAME, "m-9", epoch))?;
    s.at("beat: an unknown member leaves", 1, beat(NAME, "m-9", -1))?;
    s.at("beat: a subscription to nothing", 1, {
        beat(NAME, "m-1", epoch).with_subscribed_topic_names(Some(vec![]))
    })?;
    described(s, "described after more refusals", NAME)?;

    // Names that no topic may have, one twice, and many.
    let long = "x".repeat(300);
    let mut odd: Vec<String> =
        ["", ".", "..", "a b", "\u{1F600}", NOWHERE, NOWHERE, &long].map(str::to_owned).into();
    odd.extend((0..2_000).map(|n| format!("{NOWHERE}-{n}")));
    let odd: Vec<&str> = odd.iter().map(String::as_str).collect();
    s.at("enter: odd names", 1, enter(NAME, "m-2", &odd))?;
    s.at("enter: a member id that no string may have", 1, enter(NAME, &"m".repeat(40_000), &[NOWHERE]))?;
    let member = "m".repeat(30_000);
    s.at("enter: an oversized member id", 1, enter(NAME, &member, &[NOWHERE]))?;
    s.at("enter: one more than there is room for", 1, enter(NAME, "m-3", &[NOWHERE]))?;
    s.at("enter: still one more", 1, enter(NAME, "m-4", &[NOWHERE]))?;
    s.at("leave: the oversized member id", 1, beat(NAME, &member, -1)).map(drop)
}

/// Members of other groups, and what asks for those.
fn other_protocols(s: &mut Session) -> anyhow::Result<()> {
    s.at("a classic member joins", 9, join(9, NAME, ""))?;
    s.at("a classic member's heartbeat", 4, {
        HeartbeatRequest::default()
            .with_group_id(group(NAME))
            .with_generation_id(1)
            .with_member_id(text("m-1"))
    })?;
    s.at("a consumer group's member enters", 1, {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group(NAME))
            .with_member_id(text("m-8"))
            .with_member_epoch(0)
            .with_rebalance_timeout_ms(30_000)
            .with_subscribed_topic_names(Some(vec![]))
            .with_topic_partitions(Some(vec![]))
    })?;
    s.at("described as a consumer group", 1, {
        ConsumerGroupDescribeRequest::default().with_group_ids(vec![group(NAME)])
    })?;
    s.at("described as a classic group", 6, {
        DescribeGroupsRequest::default().with_groups(vec![group(NAME)])
    })?;
    for states in [&["Stable"][..], &["Empty"], &["Nonsense"]] {
        let request = ListGroupsRequest::default()
            .with_types_filter(vec![text("Share")])
            .with_states_filter(states.iter().map(|state| text(state)).collect());
        s.at(&format!("listed: {states:?}"), 5, request)?;
    }
    Ok(())
}

fn asked(name: &str, topics: Option<&[(&str, &[i32])]>) -> DescribeShareGroupOffsetsRequest {
    let topics = topics.map(|topics| {
        topics
            .iter()
            .map(|(name, partitions)| {
                DescribeShareGroupOffsetsRequestTopic::default()
                    .with_topic_name(topic(name))
                    .with_partitions(partitions.to_vec())
            })
            .collect()
    });
    let asked =
        DescribeShareGroupOffsetsRequestGroup::default().with_group_id(group(name)).with_topics(topics);
    DescribeShareGroupOffsetsRequest::default().with_groups(vec![asked])
}

fn altered(name: &str, topics: &[(&str, &[(i32, i64)])]) -> AlterShareGroupOffsetsRequest {
    let topics = topics.iter().map(|(name, partitions)| {
        let partitions = partitions.iter().map(|(partition, offset)| {
            AlterShareGroupOffsetsRequestPartition::default()
                .with_partition_index(*partition)
                .with_start_offset(*offset)
        });
        AlterShareGroupOffsetsRequestTopic::default()
            .with_topic_name(topic(name))
            .with_partitions(partitions.collect())
    });
    AlterShareGroupOffsetsRequest::default().with_group_id(group(name)).with_topics(topics.collect())
}

fn deleted(name: &str, topics: &[&str]) -> DeleteShareGroupOffsetsRequest {
    let topics =
        topics.iter().map(|name| DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(topic(name)));
    DeleteShareGroupOffsetsRequest::default().with_group_id(group(name)).with_topics(topics.collect())
}

/// DescribeShareGroupOffsets, AlterShareGroupOffsets and DeleteShareGroupOffsets: of groups that are not there, that have members, and that
/// have none.
fn offsets(s: &mut Session) -> anyhow::Result<()> {
    const GROUP: &str = "shared-moved";
    let both: &[(i32, i64)] = &[(0, 5), (1, 7)];
    s.coordinate(GROUP)?;
    s.at("offsets: of an unknown group", 0, asked(GROUP, Some(&[(TOPIC, &[0, 1])])))?;
    s.at("offsets: every one of an unknown group", 0, asked(GROUP, None))?;
    s.at("alter: an unknown group", 0, altered(GROUP, &[(NOWHERE, &[(0, 1)])]))?;
    s.at("delete: offsets of an unknown group", 0, deleted(GROUP, &[TOPIC]))?;
    s.at("alter: an empty group id", 0, altered("", &[(TOPIC, both)]))?;
    s.at("delete: offsets of an empty group id", 0, deleted("", &[TOPIC]))?;

    joined(s, GROUP, "m-1", &[TOPIC], 2)?;
    s.at("alter: a group with members", 0, altered(GROUP, &[(TOPIC, both)]))?;
    s.at("delete: offsets of a group with members", 0, deleted(GROUP, &[TOPIC]))?;
    s.at("offsets: untouched", 0, asked(GROUP, Some(&[(TOPIC, &[0, 1])])))?;
    s.quiet(1, &beat(GROUP, "m-1", -1))?;

    s.at("offsets: of an unknown topic", 0, asked(GROUP, Some(&[(NOWHERE, &[0])])))?;
    s.at("offsets: of nothing", 0, asked(GROUP, Some(&[])))?;
    s.at("offsets: every one", 0, asked(GROUP, None))?;
    s.at("alter: nothing", 0, altered(GROUP, &[]))?;
    s.at("alter: an unknown topic", 0, altered(GROUP, &[(NOWHERE, &[(0, 1)])]))?;
    s.at("alter: an unknown partition", 0, altered(GROUP, &[(TOPIC, &[(9, 1)])]))?;
    s.at("alter: both partitions", 0, altered(GROUP, &[(TOPIC, both)]))?;
    s.at("offsets: both", 0, asked(GROUP, Some(&[(TOPIC, &[0, 1])])))?;
    s.at("delete: offsets of nothing", 0, deleted(GROUP, &[]))?;
    s.at("delete: offsets of an unknown topic", 0, deleted(GROUP, &[NOWHERE]))?;
    s.at("delete: offsets", 0, deleted(GROUP, &[TOPIC]))?;
    s.at("delete: offsets that are gone", 0, deleted(GROUP, &[TOPIC]))?;
    s.at("offsets: of a topic that was deleted", 0, asked(GROUP, Some(&[(TOPIC, &[0, 1])])))?;
    s.at("offsets: every one that is left", 0, asked(GROUP, None))?;

    let consumers = "shared-consumers";
    s.coordinate(consumers)?;
    let member = join(9, consumers, "");
    s.quiet(9, &member)?;
    s.at("offsets: of a classic group", 0, asked(consumers, Some(&[(TOPIC, &[0])])))?;
    s.at("alter: a classic group", 0, altered(consumers, &[(TOPIC, both)]))?;
    s.at("delete: offsets of a classic group", 0, deleted(consumers, &[TOPIC]))?;
    s.at("enter: a classic group", 1, enter(consumers, "m-1", &[NOWHERE]))?;
    described(s, "described: a classic group", consumers)
}
