//! Records of share groups (KIP-932): share sessions, who acquires which records how often, and what may be said of them.

use klamm_wire::Uuid;
use klamm_wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::messages::share_acknowledge_request::AcknowledgePartition;
use klamm_wire::messages::share_fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use klamm_wire::messages::{DescribeShareGroupOffsetsRequest, IncrementalAlterConfigsRequest};

use super::records::{To, batch};
use super::share_groups::joined;
use super::share_member::{ACCEPT, GAP, Member, REJECT, RELEASE, Said};
use crate::Session;
use crate::session::{group, text, topic};

const NAME: &str = "share-records";
const TOPIC: &str = "share-records-topic";
const GROUP_RESOURCE: i8 = 32;

const fn member(id: &'static str, topic: Uuid) -> Member {
    Member::new(NAME, id, 1, topic)
}

/// Gives a group a key of its own.
pub(super) fn configure(
    s: &mut Session,
    label: &str,
    name: &str,
    key: &str,
    value: &str,
) -> anyhow::Result<()> {
    let config = AlterableConfig::default().with_name(text(key)).with_value(Some(text(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(GROUP_RESOURCE)
        .with_resource_name(text(name))
        .with_configs(vec![config]);
    s.at(label, 1, IncrementalAlterConfigsRequest::default().with_resources(vec![resource])).map(drop)
}

fn start(s: &mut Session, coordinator: i32, label: &str) -> anyhow::Result<()> {
    let partitions = DescribeShareGroupOffsetsRequestTopic::default()
        .with_topic_name(topic(TOPIC))
        .with_partitions(vec![0, 1]);
    let asked = DescribeShareGroupOffsetsRequestGroup::default()
        .with_group_id(group(NAME))
        .with_topics(Some(vec![partitions]));
    s.on(coordinator);
    s.at(label, 0, DescribeShareGroupOffsetsRequest::default().with_groups(vec![asked]))?;
    s.on(1);
    Ok(())
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    let id = s.create(TOPIC, &[&[1], &[1]], &[])?;
    s.on(1);
    let to = To(TOPIC, id);
    for count in [4, 6] {
        to.fill(s, 0, batch(count).to_bytes())?;
    }
    configure(s, "from the beginning", NAME, "share.auto.offset.reset", "earliest")?;
    s.coordinate(NAME)?;
    let coordinator = s.asked();
    joined(s, NAME, "m-1", &[TOPIC], 2)?;
    s.on(1);

    let mut one = member("m-1", id);
    no_sessions(s, &one)?;
    one.fetch(s, "open: one partition", &[(0, &[])])?;
    one.nothing(s, "open: the other one too", &[(1, &[])])?;
    sessions(s, &mut one)?;
    refused(s, &mut one)?;
    start(s, coordinator, "offsets: after the refusals")?;

    let mut two = member("m-2", id);
    two.nothing(s, "another member: nothing is left", &[(0, &[])])?;
    two.say(s, "another member: records of the first", &[(0, 3, &[ACCEPT])])?;
    dispositions(s, &mut one, &mut two)?;
    start(s, coordinator, "offsets: after all was accepted")?;
    piggybacked(s, to, &mut one)?;
    endings(s, to, &mut one, &mut two)?;
    start(s, coordinator, "offsets: in the end")?;
    unknown_topic(s, id)
}

/// Requests of a member that has no session.
fn no_sessions(s: &mut Session, one: &Member) -> anyhow::Result<()> {
    let fetching = || one.fetching(&[(0, &[])]);
    s.at("fetch: no group id", 1, fetching().with_group_id(None))?;
    s.at("fetch: no member id", 1, fetching().with_member_id(None))?;
    s.at("fetch: an empty member id", 1, fetching().with_member_id(Some(text(""))))?;
    s.at("fetch: a long member id", 1, fetching().with_member_id(Some(text(&"m".repeat(37)))))?;
    for epoch in [1, i32::MAX, -1, -2, i32::MIN] {
        s.at(
            &format!("fetch: epoch {epoch} without a session"),
            1,
            fetching().with_share_session_epoch(epoch),
        )?;
    }
    s.at("fetch: acknowledgements in the first request", 1, one.fetching(&[(0, &[(0, 3, &[ACCEPT])])]))?;
    let saying = || one.saying(one.topic, 0, &[(0, 3, &[ACCEPT])]);
    s.at("acknowledge: no group id", 1, saying().with_group_id(None))?;
    s.at("acknowledge: no member id", 1, saying().with_member_id(None))?;
    s.at("acknowledge: a long member id", 1, saying().with_member_id(Some(text(&"m".repeat(37)))))?;
    for epoch in [0, 1, -1, -2] {
        s.at(&format!("acknowledge: epoch {epoch} without a session"), 1, {
            saying().with_share_session_epoch(epoch)
        })?;
    }
    Ok(())
}

/// Requests in a session that are not the next.
fn sessions(s: &mut Session, one: &mut Member) -> anyhow::Result<()> {
    one.nothing(s, "all are acquired", &[])?;
    let epoch = one.epoch;
    for wrong in [epoch + 1, epoch - 1, i32::MAX, -2] {
        s.at(&format!("fetch: epoch {wrong} instead of {epoch}"), 1, {
            one.fetching(&[]).with_share_session_epoch(wrong)
        })?;
        s.at(&format!("acknowledge: epoch {wrong} instead of {epoch}"), 1, {
            one.saying(one.topic, 0, &[(0, 3, &[ACCEPT])]).with_share_session_epoch(wrong)
        })?;
    }
    let none = one.fetching(&[]).with_topics(vec![]);
    one.nothing(s, "fetch: an unknown partition", &[(9, &[])])?;
    let forgotten = ForgottenTopic::default().with_topic_id(one.topic).with_partitions(vec![9]);
    let request = none.with_share_session_epoch(one.epoch).with_forgotten_topics_data(vec![forgotten]);
    one.get(s, "fetch: that is forgotten", request)?;
    for (label, min, max, records, size) in [
        ("no bytes at all", 0, 0, 100, 100),
        ("a negative least number of bytes", -1, 1 << 20, 100, 100),
        ("no records at all", 1, 1 << 20, 0, 100),
        ("a negative number of records", 1, 1 << 20, -1, 100),
        ("a batch size of 0", 1, 1 << 20, 100, 0),
        ("a negative batch size", 1, 1 << 20, 100, -1),
    ] {
        let request = one
            .fetching(&[])
            .with_min_bytes(min)
            .with_max_bytes(max)
            .with_max_records(records)
            .with_batch_size(size);
        one.get(s, &format!("fetch: {label}"), request)?;
    }
    let request = one.fetching(&[]).with_max_wait_ms(-1);
    one.get(s, "fetch: a negative wait", request)?;
    Ok(())
}

/// What may not be said of ten records that are all acquired.
fn refused(s: &mut Session, one: &mut Member) -> anyhow::Result<()> {
    let cases: &[(&str, &[Said<'_>])] = &[
        ("never acquired", &[(100, 101, &[ACCEPT])]),
        ("some of them never acquired", &[(8, 12, &[ACCEPT])]),
        ("reversed", &[(5, 3, &[ACCEPT])]),
        ("reversed, a type for each", &[(5, 3, &[ACCEPT, ACCEPT, ACCEPT])]),
        ("negative", &[(-5, -1, &[ACCEPT])]),
        ("the whole of what there could be", &[(0, i64::MAX, &[ACCEPT])]),
        ("overlapping", &[(0, 2, &[ACCEPT]), (2, 4, &[ACCEPT])]),
        ("the same twice in one request", &[(0, 2, &[ACCEPT]), (0, 2, &[ACCEPT])]),
        ("in the wrong order", &[(4, 5, &[ACCEPT]), (0, 1, &[ACCEPT])]),
        ("no types", &[(0, 3, &[])]),
        ("fewer types than records", &[(0, 3, &[ACCEPT, ACCEPT])]),
        ("more types than records", &[(0, 1, &[ACCEPT, ACCEPT, ACCEPT])]),
        ("an unknown type", &[(0, 3, &[9])]),
        ("a negative type", &[(0, 3, &[-1])]),
        ("a renewal", &[(0, 3, &[4])]),
        ("an unknown type among others", &[(0, 3, &[ACCEPT, ACCEPT, 9, ACCEPT])]),
        ("a right batch beside a wrong one", &[(0, 3, &[ACCEPT]), (100, 101, &[ACCEPT])]),
        ("nothing", &[]),
        // The last: these are taken.
        ("from before the beginning", &[(-1, 3, &[ACCEPT])]),
    ];
    for (label, said) in cases {
        one.say(s, &format!("acknowledge: {label}"), said)?;
    }
    let right: &[Said<'_>] = &[(0, 3, &[ACCEPT])];
    let request = one.saying(one.topic, 9, right);
    one.send(s, "acknowledge: an unknown partition", request)?;
    let request = one.saying(one.topic, -1, right);
    one.send(s, "acknowledge: a negative partition", request)?;
    let request = one.saying(one.topic, 1, right);
    one.send(s, "acknowledge: a partition without records", request)?;
    let request = one.saying(Uuid::from_u128(77), 0, right);
    one.send(s, "acknowledge: an unknown topic", request)?;
    let request = one.saying(one.topic, 0, right).with_group_id(Some(group("share-nobody")));
    s.at("acknowledge: another group", 1, request)?;
    let request = one.saying(one.topic, 0, right).with_topics(vec![]);
    one.send(s, "acknowledge: no topics", request)
}

/// What is accepted, released and rejected, and how often what comes again was delivered.
fn dispositions(s: &mut Session, one: &mut Member, two: &mut Member) -> anyhow::Result<()> {
    one.say(s, "accepted, with a gap", &[(0, 3, &[ACCEPT, ACCEPT, GAP, ACCEPT])])?;
    one.say(s, "accepted twice", &[(0, 3, &[ACCEPT])])?;
    one.say(s, "released after it was accepted", &[(0, 0, &[RELEASE])])?;
    one.say(s, "released and rejected", &[(4, 9, &[RELEASE, RELEASE, RELEASE, REJECT, REJECT, RELEASE])])?;
    one.say(s, "accepted after they were released", &[(4, 6, &[ACCEPT])])?;
    two.fetch(s, "the other member gets what was released", &[])?;
    one.say(s, "accepted after another got them", &[(4, 6, &[ACCEPT])])?;
    two.say(s, "released again", &[(4, 6, &[RELEASE]), (9, 9, &[RELEASE])])?;
    // The last delivery is of one record at a time.
    for _ in 0..4 {
        one.fetch(s, "delivered for the third time", &[])?;
    }
    one.say(s, "released for the third time", &[(4, 4, &[RELEASE])])?;
    one.nothing(s, "not delivered for a fourth time", &[])?;
    one.say(s, "accepted in the end", &[(5, 6, &[ACCEPT]), (9, 9, &[ACCEPT])])?;
    one.say(s, "accepted below the start", &[(5, 6, &[ACCEPT])])
}

/// Acknowledgements that come with a fetch.
fn piggybacked(s: &mut Session, to: To<'_>, one: &mut Member) -> anyhow::Result<()> {
    to.fill(s, 0, batch(3).to_bytes())?;
    one.fetch(s, "three more", &[])?;
    to.fill(s, 0, batch(2).to_bytes())?;
    one.fetch(s, "with a fetch: wrong ones", &[(0, &[(100, 101, &[ACCEPT])])])?;
    one.nothing(s, "with a fetch: overlapping", &[(0, &[(10, 11, &[ACCEPT]), (11, 12, &[ACCEPT])])])?;
    one.nothing(s, "with a fetch: of an unknown partition", &[(9, &[(10, 11, &[ACCEPT])])])?;
    to.fill(s, 0, batch(1).to_bytes())?;
    one.fetch(s, "with a fetch: right ones", &[(0, &[(10, 12, &[ACCEPT, REJECT, ACCEPT])])])?;
    one.fetch(s, "with a fetch: what it releases comes back", &[(0, &[(13, 15, &[RELEASE])])])?;
    to.fill(s, 0, batch(1).to_bytes())?;
    one.fetch(s, "with a fetch: of one partition of two", &[(0, &[(13, 13, &[ACCEPT])]), (1, &[])])?;
    let both = one.saying(one.topic, 0, &[(16, 16, &[ACCEPT])]);
    let mut topics = both.topics.clone();
    topics[0].partitions.push(AcknowledgePartition::default().with_partition_index(1));
    one.send(s, "nothing of one partition, something of another", both.with_topics(topics))
}

/// Partitions that are forgotten, and sessions that are closed.
fn endings(s: &mut Session, to: To<'_>, one: &mut Member, two: &mut Member) -> anyhow::Result<()> {
    let forget = ForgottenTopic::default().with_topic_id(one.topic).with_partitions(vec![0]);
    let request = one.fetching(&[]).with_topics(vec![]).with_forgotten_topics_data(vec![forget]);
    one.get(s, "forgotten", request)?;
    one.say(s, "acknowledged after it was forgotten", &[(14, 14, &[RELEASE])])?;
    one.fetch(s, "remembered", &[(0, &[])])?;
    let open = one.fetching(&[(0, &[])]);
    let epoch = one.epoch;
    s.at("closed with a partition", 1, open.with_share_session_epoch(-1))?;
    s.at("and gone", 1, one.fetching(&[]).with_share_session_epoch(epoch))?;
    two.fetch(s, "what the closed session held", &[])?;
    let said = two.saying(two.topic, 0, &[(15, 15, &[ACCEPT])]).with_share_session_epoch(-1);
    s.at("closed with an acknowledgement", 1, said)?;
    s.at("and gone too", 1, two.saying(two.topic, 0, &[(15, 15, &[ACCEPT])]))?;
    *one = member(one.id, one.topic);
    to.fill(s, 1, batch(1).to_bytes())?;
    one.fetch(s, "opened again", &[(1, &[])])?;
    one.epoch = 0;
    one.nothing(s, "replaced by a new one", &[(1, &[])])
}

/// A topic that nobody knows and a negative size, in a session of its own. It takes the requests, whatever the answers are.
fn unknown_topic(s: &mut Session, id: Uuid) -> anyhow::Result<()> {
    let mut three = member("m-3", id);
    three.nothing(s, "unknown: a session", &[(1, &[])])?;
    let none = || Uuid::from_u128(77);
    let unknown =
        FetchTopic::default().with_topic_id(none()).with_partitions(vec![FetchPartition::default()]);
    s.at("unknown: a topic", 1, three.fetching(&[]).with_topics(vec![unknown]))?;
    three.next(true);
    let forgotten = ForgottenTopic::default().with_topic_id(none()).with_partitions(vec![0]);
    let request = three.fetching(&[]).with_topics(vec![]).with_forgotten_topics_data(vec![forgotten]);
    s.at("unknown: forgotten", 1, request)?;
    three.next(true);
    three.nothing(s, "unknown: the session goes on", &[])?;
    let request = three.fetching(&[]).with_max_bytes(-1);
    s.at("fetch: a negative number of bytes", 1, request).map(drop)
}
