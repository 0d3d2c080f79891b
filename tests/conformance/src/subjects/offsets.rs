//! OffsetCommit, OffsetFetch, OffsetDelete.

use klamm_wire::Uuid;
use klamm_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use klamm_wire::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use klamm_wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use klamm_wire::messages::{OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest};

use super::groups::alone;
use crate::Session;
use crate::session::{group, text, topic};

pub(super) fn commit(version: i16, name: &str, to: &str, partition: i32, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("note")));
    let partition = if version < 6 { partition } else { partition.with_committed_leader_epoch(0) };
    let topics = OffsetCommitRequestTopic::default().with_name(topic(to)).with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group(name))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topics])
}

pub(super) fn fetch(version: i16, name: &str, from: Option<&[(&str, &[i32])]>) -> OffsetFetchRequest {
    if version < 8 {
        let topics = from.map(|topics| {
            topics
                .iter()
                .map(|(name, partitions)| {
                    OffsetFetchRequestTopic::default()
                        .with_name(topic(name))
                        .with_partition_indexes(partitions.to_vec())
                })
                .collect()
        });
        return OffsetFetchRequest::default().with_group_id(group(name)).with_topics(topics);
    }
    let topics = from.map(|topics| {
        topics
            .iter()
            .map(|(name, partitions)| {
                OffsetFetchRequestTopics::default()
                    .with_name(topic(name))
                    .with_partition_indexes(partitions.to_vec())
            })
            .collect()
    });
    let asked = OffsetFetchRequestGroup::default().with_group_id(group(name)).with_topics(topics);
    OffsetFetchRequest::default().with_groups(vec![asked])
}

fn delete(name: &str, from: &str, partitions: &[i32]) -> OffsetDeleteRequest {
    let partitions = partitions
        .iter()
        .map(|index| OffsetDeleteRequestPartition::default().with_partition_index(*index))
        .collect();
    let topics = OffsetDeleteRequestTopic::default().with_name(topic(from)).with_partitions(partitions);
    OffsetDeleteRequest::default().with_group_id(group(name)).with_topics(vec![topics])
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    let id = s.create("committed", &[&[1], &[2], &[3]], &[])?;
    let name = "committing";
    s.coordinate(name)?;
    s.all("fetch: of a group that is not there", |v| fetch(v, name, Some(&[("committed", &[0])])))?;
    s.each("fetch: all of a group that is not there", 2..=9, |v| fetch(v, name, None))?;
    s.all("commit: without a generation", |v| commit(v, name, "committed", 0, 5))?;
    s.all("fetch: what was committed", |v| fetch(v, name, Some(&[("committed", &[0, 1, 9])])))?;
    s.each("fetch: everything", 2..=9, |v| fetch(v, name, None))?;
    s.all("fetch: nothing", |v| fetch(v, name, Some(&[])))?;
    s.all("fetch: no partitions", |v| fetch(v, name, Some(&[("committed", &[])])))?;
    s.all("fetch: an unknown topic", |v| fetch(v, name, Some(&[("committed-none", &[0])])))?;
    s.coordinate("")?;
    s.all("fetch: an empty group id", |v| fetch(v, "", Some(&[("committed", &[0])])))?;
    s.coordinate(name)?;
    s.each("fetch: stable offsets", 7..=9, |v| {
        fetch(v, name, Some(&[("committed", &[0])])).with_require_stable(true)
    })?;
    s.each("fetch: several groups", 8..=9, |v| {
        let mut request = fetch(v, name, Some(&[("committed", &[0])]));
        request.groups.extend(fetch(v, name, Some(&[("committed", &[1])])).groups);
        request
    })?;
    s.each("fetch: no groups", 8..=9, |_| OffsetFetchRequest::default())?;
    s.each("fetch: as a member of a classic group", [9], |v| {
        let mut request = fetch(v, name, Some(&[("committed", &[0])]));
        for asked in &mut request.groups {
            asked.member_id = Some(text("m"));
            asked.member_epoch = 1;
        }
        request
    })?;
    s.all("commit: an unknown topic", |v| commit(v, name, "committed-none", 0, 5))?;
    s.all("commit: an unknown partition", |v| commit(v, name, "committed", 9, 5))?;
    s.all("commit: a negative partition", |v| commit(v, name, "committed", -1, 5))?;
    s.all("commit: a negative offset", |v| commit(v, name, "committed", 0, -1))?;
    s.coordinate("")?;
    s.all("commit: an empty group id", |v| commit(v, "", "committed", 0, 5))?;
    s.coordinate(name)?;
    s.all("commit: nothing", |v| commit(v, name, "committed", 0, 5).with_topics(vec![]))?;
    s.all("commit: metadata too large", |v| {
        let mut request = commit(v, name, "committed", 0, 5);
        if let Some(partition) = request.topics.first_mut().and_then(|topic| topic.partitions.first_mut()) {
            partition.committed_metadata = Some(text(&"x".repeat(5000)));
        }
        request
    })?;
    s.all("commit: null metadata", |v| {
        let mut request = commit(v, name, "committed", 1, 5);
        if let Some(partition) = request.topics.first_mut().and_then(|topic| topic.partitions.first_mut()) {
            partition.committed_metadata = None;
        }
        request
    })?;
    s.all("commit: a generation of a group without members", |v| {
        commit(v, name, "committed", 0, 5).with_generation_id_or_member_epoch(3)
    })?;
    s.all("commit: a member of a group without members", |v| {
        commit(v, name, "committed", 0, 5).with_generation_id_or_member_epoch(0).with_member_id(text("m"))
    })?;
    s.coordinate("committing-none")?;
    s.all("commit: a generation of a group that is not there", |v| {
        commit(v, "committing-none", "committed", 0, 5)
            .with_generation_id_or_member_epoch(3)
            .with_member_id(text("m"))
    })?;
    s.coordinate(name)?;
    s.each("commit: with a retention time", 2..=4, |v| {
        commit(v, name, "committed", 0, 6).with_retention_time_ms(1000)
    })?;
    by_id(s, id)?;
    members(s)?;
    s.coordinate(name)?.elsewhere();
    s.all("elsewhere: commit", |v| commit(v, name, "committed", 0, 5))?;
    s.all("elsewhere: fetch", |v| fetch(v, name, Some(&[("committed", &[0])])))?;
    s.each("elsewhere: fetch everything", 2..=9, |v| fetch(v, name, None))?;
    s.newest("elsewhere: delete", delete(name, "committed", &[0]))?;
    deletions(s)
}

/// Topics that are named by their ids, as from version 10 on.
fn by_id(s: &mut Session, id: Uuid) -> anyhow::Result<()> {
    let name = "committing-by-id";
    s.coordinate(name)?;
    let commit = |topics: &[(Uuid, &[i32])]| {
        let topics = topics.iter().map(|(id, partitions)| {
            let partitions = partitions.iter().map(|index| {
                OffsetCommitRequestPartition::default().with_partition_index(*index).with_committed_offset(7)
            });
            OffsetCommitRequestTopic::default().with_topic_id(*id).with_partitions(partitions.collect())
        });
        OffsetCommitRequest::default()
            .with_group_id(group(name))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(topics.collect())
    };
    let fetch = |topics: Option<&[(Uuid, &[i32])]>| {
        let topics = topics.map(|topics| {
            let topics = topics.iter().map(|(id, partitions)| {
                OffsetFetchRequestTopics::default()
                    .with_topic_id(*id)
                    .with_partition_indexes(partitions.to_vec())
            });
            topics.collect()
        });
        let asked = OffsetFetchRequestGroup::default().with_group_id(group(name)).with_topics(topics);
        OffsetFetchRequest::default().with_groups(vec![asked])
    };
    let (none, nil) = (Uuid::from_u128(77), Uuid::nil());
    s.at("ids: nothing that there is", 10, commit(&[(none, &[0]), (nil, &[0]), (id, &[9])]))?;
    s.at("ids: no partitions", 10, commit(&[(id, &[]), (none, &[])]))?;
    s.at("ids: some of what there is", 10, commit(&[(none, &[0]), (id, &[0, 9])]))?;
    s.at("ids: fetch", 10, fetch(Some(&[(id, &[0, 1, 9])])))?;
    s.at("ids: fetch what nobody knows", 10, fetch(Some(&[(none, &[0]), (nil, &[0]), (id, &[0])])))?;
    s.at("ids: fetch nothing", 10, fetch(Some(&[])))?;
    s.at("ids: fetch everything", 10, fetch(None))?;
    s.at("ids: fetch everything that is stable", 10, fetch(None).with_require_stable(true)).map(drop)
}

fn members(s: &mut Session) -> anyhow::Result<()> {
    let name = "committing-members";
    s.coordinate(name)?;
    let member = alone(s, name, "committing member")?;
    let as_member = |v: i16, generation: i32, member: &str| {
        commit(v, name, "committed", 0, 7)
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(text(member))
    };
    s.all("commit: by a member before it has synced", |v| as_member(v, 1, &member))?;
    s.all("commit: without a generation into a group with members", |v| as_member(v, -1, ""))?;
    s.all("commit: an unknown member", |v| as_member(v, 1, "nobody"))?;
    s.all("commit: a wrong generation", |v| as_member(v, 2, &member))?;
    s.each("commit: with an instance id that is unknown", 7..=9, |v| {
        as_member(v, 1, &member).with_group_instance_id(Some(text("i")))
    })?;
    s.at("delete: offsets of a group that is not subscribed", 0, delete(name, "committed", &[0]))?;
    Ok(())
}

fn deletions(s: &mut Session) -> anyhow::Result<()> {
    let name = "committing";
    s.coordinate(name)?;
    s.newest("delete: one offset", delete(name, "committed", &[0]))?;
    s.newest("delete: it again", delete(name, "committed", &[0]))?;
    s.newest("delete: an unknown partition", delete(name, "committed", &[9]))?;
    s.newest("delete: an unknown topic", delete(name, "committed-none", &[0]))?;
    s.coordinate("committing-nobody")?;
    s.newest("delete: of a group that is not there", delete("committing-nobody", "committed", &[0]))?;
    s.coordinate("")?;
    s.newest("delete: of an empty group id", delete("", "committed", &[0]))?;
    s.coordinate(name)?;
    s.newest("delete: no partitions", delete(name, "committed", &[]))?;
    s.each("fetch: what is left", [1, 9], |v| fetch(v, name, Some(&[("committed", &[0, 1])])))?;
    Ok(())
}
