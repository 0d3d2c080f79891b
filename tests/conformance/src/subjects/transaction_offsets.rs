//! Offsets that are committed in transactions: AddOffsetsToTxn, TxnOffsetCommit, and what OffsetFetch shows of them.

use klamm_wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use klamm_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use klamm_wire::messages::{OffsetFetchRequest, ProducerId, TxnOffsetCommitRequest};

use super::groups::alone;
use super::transactional::{Producer, coordinate, described, transactional_id};
use crate::Session;
use crate::session::{group, text, topic};

const TOPIC: &str = "transacted-offsets";

fn commit(p: Producer<'_>, version: i16, name: &str, partition: i32, offset: i64) -> TxnOffsetCommitRequest {
    let partition = TxnOffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("note")));
    let partition = if version < 2 { partition } else { partition.with_committed_leader_epoch(0) };
    let asked =
        TxnOffsetCommitRequestTopic::default().with_name(topic(TOPIC)).with_partitions(vec![partition]);
    TxnOffsetCommitRequest::default()
        .with_transactional_id(transactional_id(p.name))
        .with_group_id(group(name))
        .with_producer_id(ProducerId(p.id))
        .with_producer_epoch(p.epoch)
        .with_topics(vec![asked])
}

fn with_metadata(mut request: TxnOffsetCommitRequest, metadata: Option<&str>) -> TxnOffsetCommitRequest {
    for partition in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.committed_metadata = metadata.map(text);
    }
    request
}

fn fetch(name: &str, stable: bool) -> OffsetFetchRequest {
    let asked =
        OffsetFetchRequestTopics::default().with_name(topic(TOPIC)).with_partition_indexes(vec![0, 1]);
    let asked = OffsetFetchRequestGroup::default().with_group_id(group(name)).with_topics(Some(vec![asked]));
    OffsetFetchRequest::default().with_groups(vec![asked]).with_require_stable(stable)
}

/// What is committed, and what is about to be.
fn shown(s: &mut Session, label: &str, name: &str) -> anyhow::Result<()> {
    s.coordinate(name)?;
    s.at(&format!("{label}, fetched"), 9, fetch(name, false))?;
    s.at(&format!("{label}, stable"), 9, fetch(name, true))?;
    Ok(())
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    s.create(TOPIC, &[&[1], &[2]], &[])?;
    additions(s)?;
    lives(s)?;
    refusals(s)?;
    members(s)
}

fn additions(s: &mut Session) -> anyhow::Result<()> {
    let name = "txn-offsets-add";
    let p = Producer::new(s, name)?;
    let of = "txn-offsets-group";
    s.all("add: another producer id", |_| p.other_id().add_offsets(of))?;
    s.all("add: an older epoch", |_| p.epoch_by(-1).add_offsets(of))?;
    s.all("add: a newer epoch", |_| p.epoch_by(1).add_offsets(of))?;
    s.all("add: no transactional id", |_| p.named("").add_offsets(of))?;
    s.newest("add: described after refusals", described(&[name]))?;
    s.all("add: offsets", |_| p.add_offsets(of))?;
    s.newest("add: commit", p.end(true))?;
    let p = p.settled(s, "add: committed")?;
    s.all("add: an empty group id", |_| p.add_offsets(""))?;
    s.newest("add: an empty group id, abort", p.end(false))?;
    p.settled(s, "add: aborted")?;
    let other = "txn-offsets-none";
    coordinate(s, other)?;
    s.all("add: a transactional id that is not there", |_| p.named(other).add_offsets(of))?;
    coordinate(s, name)?.elsewhere();
    s.all("elsewhere: add", |_| p.add_offsets(of))?;
    Ok(())
}

/// A transaction that commits offsets, once committed and once aborted, in every version.
fn lives(s: &mut Session) -> anyhow::Result<()> {
    for version in 0..=5 {
        let name = &format!("txn-offsets-{version}")[..];
        let of = &format!("txn-offsets-group-{version}")[..];
        let label = |what: &str| format!("v{version}: {what}");
        let p = Producer::new(s, name)?;
        if version < 5 {
            s.coordinate(of)?;
            s.at(&label("offsets that are not in the transaction"), version, commit(p, version, of, 0, 5))?;
            coordinate(s, name)?;
            s.at(&label("add"), version.min(4), p.add_offsets(of))?;
        }
        s.coordinate(of)?;
        s.at(&label("offsets"), version, commit(p, version, of, 0, 5))?;
        shown(s, &label("open"), of)?;
        coordinate(s, name)?;
        s.newest(&label("open, described"), described(&[name]))?;
        s.at(&label("commit"), version, p.end(true))?;
        let p = p.settled(s, &label("committed"))?;
        shown(s, &label("committed"), of)?;
        if version < 5 {
            coordinate(s, name)?;
            s.at(&label("add again"), version.min(4), p.add_offsets(of))?;
        }
        s.coordinate(of)?;
        s.at(&label("other offsets"), version, commit(p, version, of, 0, 9))?;
        s.at(&label("of another partition"), version, commit(p, version, of, 1, 2))?;
        shown(s, &label("open again"), of)?;
        coordinate(s, name)?;
        s.at(&label("abort"), version, p.end(false))?;
        p.settled(s, &label("aborted"))?;
        shown(s, &label("aborted"), of)?;
        s.at(&label("what was aborted comes again"), version, commit(p, version, of, 0, 9))?;
    }
    Ok(())
}

fn refusals(s: &mut Session) -> anyhow::Result<()> {
    let name = "txn-offsets-refused";
    let of = "txn-offsets-refused-group";
    let p = Producer::new(s, name)?;
    s.quiet(3, &p.add_offsets(of))?;
    s.coordinate(of)?;
    s.all("commit: another producer id", |v| commit(p.other_id(), v, of, 0, 5))?;
    s.all("commit: an older epoch", |v| commit(p.epoch_by(-1), v, of, 0, 5))?;
    s.all("commit: a newer epoch", |v| commit(p.epoch_by(1), v, of, 0, 5))?;
    s.all("commit: another transactional id", |v| commit(p.named("txn-offsets-nobody"), v, of, 0, 5))?;
    s.all("commit: no transactional id", |v| commit(p.named(""), v, of, 0, 5))?;
    s.all("commit: an unknown partition", |v| commit(p, v, of, 9, 5))?;
    s.all("commit: a negative partition", |v| commit(p, v, of, -1, 5))?;
    s.all("commit: an unknown topic", |v| {
        let mut request = commit(p, v, of, 0, 5);
        request.topics.iter_mut().for_each(|asked| asked.name = topic("transacted-offsets-none"));
        request
    })?;
    s.all("commit: nothing", |v| commit(p, v, of, 0, 5).with_topics(vec![]))?;
    s.all("commit: metadata too large", |v| with_metadata(commit(p, v, of, 0, 5), Some(&"x".repeat(5000))))?;
    s.each("commit: an unknown member", 3..=5, |v| {
        commit(p, v, of, 0, 5).with_generation_id_or_member_epoch(1).with_member_id(text("nobody"))
    })?;
    s.each("commit: an instance id that is unknown", 3..=5, |v| {
        commit(p, v, of, 0, 5)
            .with_generation_id_or_member_epoch(1)
            .with_member_id(text("nobody"))
            .with_group_instance_id(Some(text("instance")))
    })?;
    s.each("commit: a generation without a member", 3..=5, |v| {
        commit(p, v, of, 0, 5).with_generation_id_or_member_epoch(1)
    })?;
    shown(s, "commit: after refusals", of)?;
    s.all("commit: a negative offset", |v| commit(p, v, of, 0, -1))?;
    s.all("commit: no metadata", |v| with_metadata(commit(p, v, of, 1, 5), None))?;
    s.coordinate("")?;
    s.all("commit: an empty group id", |v| commit(p, v, "", 0, 5))?;
    s.coordinate(of)?.elsewhere();
    s.all("elsewhere: commit", |v| commit(p, v, of, 0, 5))?;
    coordinate(s, name)?;
    s.newest("commit: end", p.end(true))?;
    p.settled(s, "commit: ended")?;
    shown(s, "commit: ended", of)
}

/// A group with a member.
fn members(s: &mut Session) -> anyhow::Result<()> {
    let name = "txn-offsets-member";
    let of = "txn-offsets-member-group";
    let p = Producer::new(s, name)?;
    s.quiet(3, &p.add_offsets(of))?;
    s.coordinate(of)?;
    let member = alone(s, of, "committing member")?;
    let by = |v: i16, generation: i32, member: &str| {
        commit(p, v, of, 0, 7).with_generation_id_or_member_epoch(generation).with_member_id(text(member))
    };
    s.each("member: nobody in particular", 0..=5, |v| commit(p, v, of, 0, 7))?;
    s.each("member: before it has synced", 3..=5, |v| by(v, 1, &member))?;
    s.each("member: a wrong generation", 3..=5, |v| by(v, 2, &member))?;
    s.each("member: no generation", 3..=5, |v| by(v, -1, &member))?;
    s.each("member: an unknown member", 3..=5, |v| by(v, 1, "nobody"))?;
    s.each("member: an instance id that is unknown", 3..=5, |v| {
        by(v, 1, &member).with_group_instance_id(Some(text("instance")))
    })?;
    coordinate(s, name)?;
    s.newest("member: commit", p.end(true))?;
    p.settled(s, "member: committed")?;
    shown(s, "member: committed", of)
}
